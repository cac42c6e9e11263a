//! A message on its way from the wire to whoever keeps it: a short channel that is read like a file.
//! Promise: the reader sees the end only when the writer said that this was the end; a writer that is dropped before is an
//! error, so that half a message is never taken for a whole one.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use tokio::{
    io::{AsyncRead, ReadBuf},
    sync::mpsc,
};

/// Pieces under way; with pieces of 16 KiB a message holds 64 KiB here.
const PARTS_MAX: usize = 4;

enum Part {
    Bytes(Bytes),
    End,
}

/// The two ends of a message.
pub fn pipe() -> (Outgoing, Incoming) {
    let (sender, receiver) = mpsc::channel(PARTS_MAX);
    (Outgoing { sender }, Incoming { receiver, at: Bytes::new(), ended: false })
}

/// Where a message goes in.
pub struct Outgoing {
    sender: mpsc::Sender<Part>,
}

impl Outgoing {
    /// Waits for room; `false` when nobody reads any more.
    pub async fn send(&self, bytes: Bytes) -> bool {
        bytes.is_empty() || self.sender.send(Part::Bytes(bytes)).await.is_ok()
    }

    /// That was all of it.
    pub async fn finish(self) -> bool {
        self.sender.send(Part::End).await.is_ok()
    }
}

/// Where it comes out.
pub struct Incoming {
    receiver: mpsc::Receiver<Part>,
    at: Bytes,
    ended: bool,
}

impl Incoming {
    /// The next piece, `None` after the last one.
    ///
    /// # Errors
    /// `UnexpectedEof` when the message broke off.
    pub async fn next(&mut self) -> io::Result<Option<Bytes>> {
        if !self.at.is_empty() {
            return Ok(Some(std::mem::take(&mut self.at)));
        }
        if self.ended {
            return Ok(None);
        }
        let part = self.receiver.recv().await;
        self.taken(part)
    }

    fn taken(&mut self, part: Option<Part>) -> io::Result<Option<Bytes>> {
        match part {
            Some(Part::Bytes(bytes)) => Ok(Some(bytes)),
            Some(Part::End) => {
                self.ended = true;
                Ok(None)
            }
            None => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the message broke off before its end")),
        }
    }
}

impl AsyncRead for Incoming {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.at.is_empty() && !self.ended {
            let part = ready!(self.receiver.poll_recv(cx));
            self.at = self.taken(part)?.unwrap_or_default();
        }
        let length = self.at.len().min(buffer.remaining());
        buffer.put_slice(&self.at[..length]);
        self.at.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Incoming(ended: {})", self.ended)
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Outgoing")
    }
}
