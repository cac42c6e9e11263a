//! A connection as lines and bytes: read with a limit on time and length, answered in one piece where commands came in one.
//! Promise: a line ends with CR LF and is at most so long; no wait is without an end.

use std::io;

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{Instant, timeout_at},
};

/// Read at once while commands are awaited, and while a message comes in.
const COMMAND_READ_BYTES: usize = 2 << 10;
const DATA_READ_BYTES: usize = 16 << 10;
/// Answers that wait for the next read.
const ANSWERS_BYTES_MAX: usize = 4 << 10;
/// Of a line that is too long, skipped before the connection is cut.
const SKIPPED_BYTES_MAX: usize = 64 << 10;

pub(super) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// Why a connection ends that did not say goodbye.
#[derive(Debug)]
pub(super) enum Cut {
    /// The other side went away, or half of it did.
    Gone,
    TooSlow,
    Stopping,
    /// Told already.
    Told,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Without its CR LF.
    Whole(Vec<u8>),
    TooLong,
    /// It ended with an LF alone.
    Bare,
}

pub(super) struct Wire {
    socket: Box<dyn Socket>,
    incoming: BytesMut,
    answers: Vec<u8>,
    /// The end of the whole session.
    ends_at: Instant,
}

impl Wire {
    pub fn new(socket: Box<dyn Socket>, ends_at: Instant) -> Self {
        Self { socket, incoming: BytesMut::new(), answers: Vec::new(), ends_at }
    }

    /// The bare connection, for TLS to be put over it. Whatever came before the handshake is forgotten.
    pub fn into_socket(self) -> Box<dyn Socket> {
        self.socket
    }

    /// Sent before the next read, together with what else waits.
    pub fn answer(&mut self, text: &str) {
        self.answers.extend_from_slice(text.as_bytes());
        self.answers.extend_from_slice(b"\r\n");
    }

    pub async fn flush(&mut self, within: std::time::Duration) -> Result<(), Cut> {
        if self.answers.is_empty() {
            return Ok(());
        }
        let written = async {
            self.socket.write_all(&self.answers).await?;
            self.socket.flush().await
        };
        let until = self.ends_at.min(Instant::now() + within);
        timeout_at(until, written).await.map_err(|_| Cut::TooSlow)?.map_err(gone)?;
        self.answers = Vec::new();
        Ok(())
    }

    /// The next line.
    pub async fn line(&mut self, bytes_max: usize, within: std::time::Duration) -> Result<Line, Cut> {
        let until = self.ends_at.min(Instant::now() + within);
        let mut looked_at = 0;
        let mut skipped = 0;
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.incoming[looked_at..]).map(|at| at + looked_at) {
                let line = self.incoming.split_to(at + 1);
                return Ok(match line.strip_suffix(b"\r\n") {
                    _ if skipped > 0 || line.len() > bytes_max => Line::TooLong,
                    Some(whole) => Line::Whole(whole.to_vec()),
                    None => Line::Bare,
                });
            }
            looked_at = self.incoming.len();
            if looked_at > bytes_max {
                skipped += looked_at;
                if skipped > SKIPPED_BYTES_MAX {
                    return Err(Cut::TooSlow);
                }
                self.incoming.clear();
                looked_at = 0;
            }
            self.read(COMMAND_READ_BYTES, until).await?;
        }
    }

    /// Whether something was sent that is not looked at yet.
    pub fn has_more(&self) -> bool {
        !self.incoming.is_empty()
    }

    /// Bytes of a message: what is there, or what comes next.
    pub async fn bytes(&mut self, within: std::time::Duration) -> Result<&mut BytesMut, Cut> {
        if self.incoming.is_empty() {
            let until = self.ends_at.min(Instant::now() + within);
            self.read(DATA_READ_BYTES, until).await?;
        }
        Ok(&mut self.incoming)
    }

    pub fn used(&mut self, bytes: usize) {
        self.incoming.advance(bytes);
        if self.incoming.is_empty() {
            // A silent connection holds no buffer.
            self.incoming = BytesMut::new();
        }
    }

    async fn read(&mut self, room: usize, until: Instant) -> Result<(), Cut> {
        // Answers go out when nothing is left to be answered.
        if !self.answers.is_empty() {
            self.flush(until.saturating_duration_since(Instant::now())).await?;
        }
        self.incoming.reserve(room);
        match timeout_at(until, self.socket.read_buf(&mut self.incoming)).await {
            Err(_) => Err(Cut::TooSlow),
            Ok(Ok(0)) => Err(Cut::Gone),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(gone(error)),
        }
    }

    /// Whether so many answers wait that they should go out first: the client may not be reading any.
    pub fn is_full(&self) -> bool {
        self.answers.len() > ANSWERS_BYTES_MAX
    }

    pub async fn close(mut self, within: std::time::Duration) {
        // It ends in any case; a client that is gone has nothing to be told.
        if self.flush(within).await.is_ok() {
            let until = self.ends_at.min(Instant::now() + within);
            timeout_at(until, self.socket.shutdown()).await.ok();
        }
    }
}

fn gone(error: io::Error) -> Cut {
    tracing::debug!(target: "smtp.gone", %error);
    Cut::Gone
}
