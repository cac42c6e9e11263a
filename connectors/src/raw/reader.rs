//! Reading a landed object: as a stream with the next bytes fetched ahead, or a few bytes of one row.
//! Promise: every chunk was authenticated; the end is told only after length and SHA-256 were found right.
//! Never: an object that fails in the middle looks as if it had ended.

use std::{fmt, ops::Range, sync::Arc};

use bytes::{Bytes, BytesMut};
use object_store::{ObjectStore, path::Path};
use tokio::{sync::mpsc, task::JoinSet};

use super::footer::{self, Opened};
use crate::{
    error::{Error, ErrorKind, Result},
    seal::{
        Ags1Opener,
        ags1::{BLOCK_BYTES, HEADER_BYTES},
        cipher::{self, NONCE_BYTES},
    },
};

/// Blocks fetched by one request: enough that a remote store's latency does not set the pace.
const SPAN_BLOCKS: u32 = 4;
/// Opened blocks that wait for the caller.
const CHUNKS_AHEAD_MAX: usize = 2;
/// A row, or the neighbourhood of one; whole objects are read as a stream.
const RANGE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The plaintext of one landed object.
pub struct RawReader {
    object: Arc<Object>,
    progress: Progress,
}

struct Object {
    store: Arc<dyn ObjectStore>,
    location: Path,
    version: Option<String>,
    opened: Opened,
}

/// A chunk, or `None` for the verified end.
type Message = Result<Option<Bytes>>;

enum Progress {
    Fresh,
    /// The task ends with the reader.
    Running {
        receiver: mpsc::Receiver<Message>,
        _task: JoinSet<()>,
    },
    Ended,
    Failed,
}

impl RawReader {
    pub(super) fn new(store: Arc<dyn ObjectStore>, location: Path, version: Option<String>, opened: Opened) -> Self {
        Self { object: Arc::new(Object { store, location, version, opened }), progress: Progress::Fresh }
    }

    pub fn size_bytes(&self) -> u64 {
        self.object.opened.binding.size_bytes
    }

    /// Of the plaintext, lower-case hex, as it was when landed.
    pub fn sha256(&self) -> String {
        cipher::hex(&self.object.opened.binding.sha256)
    }

    pub(super) fn sha256_bytes(&self) -> [u8; 32] {
        self.object.opened.binding.sha256
    }

    /// The next bytes, at most 1 MiB, never empty; `None` once all were given out and found right.
    ///
    /// # Errors
    /// `Damaged` when a block or the length is not what was landed. After an error every call fails.
    pub async fn next_chunk(&mut self) -> Result<Option<Bytes>> {
        if matches!(self.progress, Progress::Fresh) {
            self.start();
        }
        let message = match &mut self.progress {
            Progress::Running { receiver, .. } => receiver.recv().await.unwrap_or_else(|| {
                Err(Error::new(ErrorKind::Internal, format!("reading raw object `{}` stopped", self.object.location)))
            }),
            Progress::Ended => return Ok(None),
            Progress::Fresh | Progress::Failed => {
                return Err(footer::damaged(&self.object.location, "not readable past an earlier failure"));
            }
        };
        match &message {
            Ok(Some(_)) => {}
            Ok(None) => self.progress = Progress::Ended,
            Err(_) => self.progress = Progress::Failed,
        }
        message
    }

    /// So many plaintext bytes from an offset, each block of them authenticated; at most 16 MiB.
    ///
    /// # Errors
    /// `Input` when the range is too long or reaches past the end; `Damaged` as [`RawReader::next_chunk`].
    pub async fn read_range(&self, offset: u64, length: u64) -> Result<Bytes> {
        let size = self.size_bytes();
        let end = offset.checked_add(length).filter(|end| *end <= size && length <= RANGE_BYTES_MAX).ok_or_else(|| {
            let message = format!(
                "{length} bytes at {offset} of raw object `{}` cannot be read: it has {size}, and {RANGE_BYTES_MAX} are read at most",
                self.object.location
            );
            Error::new(ErrorKind::Input, message)
        })?;
        let mut plain = BytesMut::with_capacity(length as usize);
        if length > 0 {
            let mut opener = self.object.opened.opener()?;
            for index in offset / BLOCK_BYTES as u64..=(end - 1) / BLOCK_BYTES as u64 {
                let block_start = index * BLOCK_BYTES as u64;
                let index = u32::try_from(index).expect("an object's blocks are counted in a u32");
                let mut sealed = self.object.fetch(opener.sealed_range(index)).await?;
                let block = opener.open_at(index, &mut sealed).map_err(|error| self.object.spoilt(error))?;
                let from = offset.saturating_sub(block_start) as usize;
                let to = (end - block_start).min(BLOCK_BYTES as u64) as usize;
                plain.extend_from_slice(&block[from..to]);
            }
        }
        Ok(plain.freeze())
    }

    fn start(&mut self) {
        let (sender, receiver) = mpsc::channel(CHUNKS_AHEAD_MAX);
        let object = self.object.clone();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let last = object.feed(&sender).await.map(|()| None);
            // The reader may be gone; then nobody wants to know.
            drop(sender.send(last).await);
        });
        self.progress = Progress::Running { receiver, _task: task };
    }
}

impl Object {
    /// Gives out all chunks, each authenticated, then checks that none is missing.
    async fn feed(&self, sender: &mpsc::Sender<Message>) -> Result<()> {
        let mut opener = self.opened.opener()?;
        let mut index = 0;
        while index < opener.block_count() {
            let past = opener.block_count().min(index.saturating_add(SPAN_BLOCKS));
            let mut span = self.fetch_span(&opener, index..past).await?;
            while index < past {
                let range = opener.sealed_range(index);
                let mut block = span.split_to((range.end - range.start) as usize);
                let plain = opener.open_next(&mut block).map_err(|error| self.spoilt(error))?;
                let plain_bytes = plain.len();
                index += 1;
                let chunk = block.freeze().slice(NONCE_BYTES..NONCE_BYTES + plain_bytes);
                if !chunk.is_empty() && sender.send(Ok(Some(chunk))).await.is_err() {
                    return Ok(());
                }
            }
        }
        // Every block was authenticated in its place under a key that sealed this object alone, and so was the length:
        // to take the digest again would cost a tenth of an ingest and prove nothing more.
        opener.finish().map_err(|error| self.spoilt(error))
    }

    /// Sealed blocks side by side; the stream's header is checked and taken off before the first.
    async fn fetch_span(&self, opener: &Ags1Opener, blocks: Range<u32>) -> Result<BytesMut> {
        let end = opener.sealed_range(blocks.end - 1).end;
        if blocks.start > 0 {
            return self.fetch(opener.sealed_range(blocks.start).start..end).await;
        }
        let mut span = self.fetch(0..end).await?;
        Ags1Opener::check_header(&span.split_to(HEADER_BYTES)).map_err(|error| self.spoilt(error))?;
        Ok(span)
    }

    /// Exactly these bytes, in a buffer that can be opened in place.
    async fn fetch(&self, range: Range<u64>) -> Result<BytesMut> {
        let length = range.end - range.start;
        let bytes = footer::get_range(self.store.as_ref(), &self.location, self.version.as_deref(), range).await?;
        if bytes.len() as u64 != length {
            return Err(footer::damaged(&self.location, "cut"));
        }
        Ok(bytes.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..])))
    }

    fn spoilt(&self, error: Error) -> Error {
        footer::damaged(&self.location, "altered").with_source(error)
    }
}

impl fmt::Debug for RawReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawReader({}, {} bytes)", self.object.location, self.size_bytes())
    }
}
