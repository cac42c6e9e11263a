//! The received bytes of a container, read from any place, and the way of a member back into the raw zone.
//! Promise: one window of plaintext and a few chunks are in memory, whatever the sizes; an end is told as an end.
//! Never: plaintext does not touch a disk; a member that stops early does not look as if it had ended.

use std::{
    io::{self, Read, Write},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bonded_connectors::raw::RawReader;
use bytes::{Buf, Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, ReadBuf},
    runtime::Handle,
    sync::mpsc,
};

use super::limits::{Opens, Stop};
use crate::error::Error;

/// As large as a sealed block, so that each is opened once when reading on.
const WINDOW_BYTES: u64 = 1 << 20;
const CHUNK_BYTES: usize = 64 << 10;
const CHUNKS_AHEAD_MAX: usize = 4;

/// Bytes that can be read from any place.
pub(super) trait ReadAt: Send {
    fn size_bytes(&self) -> u64;
    /// Some bytes from `offset` on; none only at the end.
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

impl<T: ReadAt + ?Sized> ReadAt for &mut T {
    fn size_bytes(&self) -> u64 {
        (**self).size_bytes()
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        (**self).read_at(offset, buffer)
    }
}

/// Exactly this range, or a broken container.
pub(super) fn read_exactly(bytes: &mut dyn ReadAt, offset: u64, length: usize) -> Opens<Vec<u8>> {
    let mut out = vec![0; length];
    Section::new(bytes, offset, length as u64).read_exact(&mut out).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => Stop::broken("the container is cut short"),
        _ => Stop::from(error),
    })?;
    Ok(out)
}

/// A landed object. Reads block: only for threads that may.
pub(super) struct Landed {
    reader: Arc<RawReader>,
    runtime: Handle,
    window: Bytes,
    window_offset: u64,
}

impl Landed {
    /// To be called on the runtime.
    pub fn new(reader: Arc<RawReader>) -> Self {
        Self { reader, runtime: Handle::current(), window: Bytes::new(), window_offset: 0 }
    }
}

impl ReadAt for Landed {
    fn size_bytes(&self) -> u64 {
        self.reader.size_bytes()
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.size_bytes();
        if offset >= size || buffer.is_empty() {
            return Ok(0);
        }
        let in_window = offset.checked_sub(self.window_offset).filter(|at| *at < self.window.len() as u64);
        if in_window.is_none() {
            self.window_offset = offset - offset % WINDOW_BYTES;
            let length = WINDOW_BYTES.min(size - self.window_offset);
            let read = self.runtime.block_on(self.reader.read_range(self.window_offset, length));
            self.window = read.map_err(|error| io::Error::from(Stop::Failed(Error::from(error))))?;
        }
        let at = (offset - self.window_offset) as usize;
        let length = buffer.len().min(self.window.len() - at);
        buffer[..length].copy_from_slice(&self.window[at..at + length]);
        Ok(length)
    }
}

/// A part of a container, read from its start to its end.
pub(super) struct Section<B> {
    bytes: B,
    offset: u64,
    left: u64,
}

impl<B: ReadAt> Section<B> {
    pub fn new(bytes: B, offset: u64, length: u64) -> Self {
        Self { bytes, offset, left: length }
    }
}

impl<B: ReadAt> Read for Section<B> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.bytes.read_at(self.offset, &mut buffer[..length])?;
        self.offset += read as u64;
        self.left -= read as u64;
        Ok(read)
    }
}

/// A member on its way: written by a thread that may block, read by the landing.
pub(super) struct MemberStream {
    chunks: mpsc::Receiver<Opens<Option<Bytes>>>,
    chunk: Bytes,
    ended: bool,
    /// Why the member ended early, when it did.
    pub stop: Option<Stop>,
}

impl MemberStream {
    pub fn start(write: impl FnOnce(&mut dyn Write) -> Opens<()> + Send + 'static) -> Self {
        let (sender, chunks) = mpsc::channel(CHUNKS_AHEAD_MAX);
        tokio::task::spawn_blocking(move || {
            let mut sink = Sink { sender: sender.clone(), chunk: BytesMut::with_capacity(CHUNK_BYTES) };
            let last = write(&mut sink).and_then(|()| sink.flush().map_err(Stop::from)).map(|()| None);
            // The reader may be gone; then nobody wants to know.
            drop(sender.blocking_send(last));
        });
        Self { chunks, chunk: Bytes::new(), ended: false, stop: None }
    }
}

impl AsyncRead for MemberStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.chunk.is_empty() && !self.ended {
            match ready!(self.chunks.poll_recv(cx)) {
                Some(Ok(Some(chunk))) => self.chunk = chunk,
                Some(Ok(None)) => self.ended = true,
                Some(Err(stop)) => {
                    self.stop = Some(stop);
                    return Poll::Ready(Err(io::Error::other("a member does not unpack")));
                }
                // The thread ended without a word: it panicked over the container's bytes.
                None => {
                    self.stop = Some(Stop::broken("the container cannot be read"));
                    return Poll::Ready(Err(io::Error::other("a member does not unpack")));
                }
            }
        }
        let length = self.chunk.len().min(buffer.remaining());
        buffer.put_slice(&self.chunk[..length]);
        self.chunk.advance(length);
        Poll::Ready(Ok(()))
    }
}

struct Sink {
    sender: mpsc::Sender<Opens<Option<Bytes>>>,
    chunk: BytesMut,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.chunk.extend_from_slice(bytes);
        if self.chunk.len() >= CHUNK_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.chunk.is_empty() {
            let chunk = self.chunk.split().freeze();
            self.sender
                .blocking_send(Ok(Some(chunk)))
                .map_err(|_| io::Error::from(Stop::internal("the landing of a member ended early")))?;
        }
        Ok(())
    }
}

impl ReadAt for &[u8] {
    fn size_bytes(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = &self[(offset as usize).min(self.len())..];
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }
}
