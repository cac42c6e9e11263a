//! AGS1, the AES-GCM stream of the Iceberg specification: `AGS1`, a block length, then blocks sealed one by one.
//! Promise: byte-compatible with Iceberg in Java and Rust; sealing and opening happen in place, in buffers used again.
//! Never: a stream that is cut, reordered or padded opens as a whole; the length is known before the first block.

use std::{
    fmt,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use ring::aead::LessSafeKey;

use super::cipher::{self, KEY_BYTES, NONCE_BYTES, OVERHEAD_BYTES, TAG_BYTES};
use crate::error::{Error, ErrorKind, Result};

const MAGIC: [u8; 4] = *b"AGS1";
/// `AGS1` and the plaintext block length as u32, little-endian.
pub const HEADER_BYTES: usize = 8;
/// Plaintext of a full block. Iceberg knows no other length.
pub const BLOCK_BYTES: usize = 1024 * 1024;
/// A full block as stored: nonce, ciphertext, tag.
pub const SEALED_BLOCK_BYTES: usize = BLOCK_BYTES + OVERHEAD_BYTES;
/// Blocks are counted in a u32.
pub const PLAIN_BYTES_MAX: u64 = (u32::MAX as u64) * BLOCK_BYTES as u64;

/// Header, then the first block: the largest piece a sealer gives out.
const BUFFER_BYTES: usize = HEADER_BYTES + SEALED_BLOCK_BYTES;
/// Buffers kept for use again; more are in flight only when the store is slow.
const BUFFERS_KEPT_MAX: usize = 12;

fn header() -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..4].copy_from_slice(&MAGIC);
    header[4..].copy_from_slice(&(BLOCK_BYTES as u32).to_le_bytes());
    header
}

/// Length of the sealed stream of so many plaintext bytes. An empty stream has one empty block.
pub fn sealed_size_bytes(plain_bytes: u64) -> u64 {
    HEADER_BYTES as u64 + plain_bytes + block_count(plain_bytes) * OVERHEAD_BYTES as u64
}

/// The most plaintext, in whole blocks, whose sealed stream is no longer than this.
pub fn plain_bytes_within(sealed_bytes: u64) -> u64 {
    let blocks = sealed_bytes.saturating_sub(HEADER_BYTES as u64) / SEALED_BLOCK_BYTES as u64;
    blocks.saturating_mul(BLOCK_BYTES as u64).min(PLAIN_BYTES_MAX)
}

fn block_count(plain_bytes: u64) -> u64 {
    plain_bytes.div_ceil(BLOCK_BYTES as u64).max(1)
}

/// Authenticated data of a block: the stream's prefix and the block's index, little-endian.
struct BlockAad {
    bytes: Vec<u8>,
}

impl BlockAad {
    fn new(aad_prefix: &[u8]) -> Self {
        let mut bytes = aad_prefix.to_vec();
        bytes.extend_from_slice(&[0; 4]);
        Self { bytes }
    }

    fn of(&mut self, index: u32) -> &[u8] {
        let place = self.bytes.len() - 4;
        self.bytes[place..].copy_from_slice(&index.to_le_bytes());
        &self.bytes
    }
}

/// Seals a stream. Plaintext goes straight into [`Ags1Sealer::space`], so that it is copied once at most.
pub struct Ags1Sealer {
    key: LessSafeKey,
    aad: BlockAad,
    blocks: u32,
    /// The open block: room for a header in the first, a nonce, plaintext, room for a tag.
    buffer: Vec<u8>,
    plain_start: usize,
    plain_bytes: usize,
    pool: Pool,
}

impl Ags1Sealer {
    /// `aad_prefix` ties the blocks to this stream; the reader needs it too.
    pub fn new(data_key: &[u8; KEY_BYTES], aad_prefix: &[u8]) -> Self {
        let pool = Pool::default();
        let mut buffer = pool.take();
        buffer[..HEADER_BYTES].copy_from_slice(&header());
        Self {
            key: cipher::aes(data_key),
            aad: BlockAad::new(aad_prefix),
            blocks: 0,
            buffer,
            plain_start: HEADER_BYTES + NONCE_BYTES,
            plain_bytes: 0,
            pool,
        }
    }

    /// Where the next plaintext goes; never empty. Tell how much was put there with [`Ags1Sealer::advance`].
    pub fn space(&mut self) -> &mut [u8] {
        let start = self.plain_start + self.plain_bytes;
        &mut self.buffer[start..self.plain_start + BLOCK_BYTES]
    }

    /// So many bytes of [`Ags1Sealer::space`] are plaintext now. Gives sealed bytes when that filled the block.
    ///
    /// # Errors
    /// `Input` when the stream has more blocks than AGS1 can count (4 PiB).
    ///
    /// # Panics
    /// When `bytes` is more than there was space.
    pub fn advance(&mut self, bytes: usize) -> Result<Option<Bytes>> {
        assert!(self.plain_bytes + bytes <= BLOCK_BYTES, "no more was filled than there was space");
        self.plain_bytes += bytes;
        if self.plain_bytes == BLOCK_BYTES { self.seal_block().map(Some) } else { Ok(None) }
    }

    /// Copies plaintext in and hands each sealed piece to `out`.
    ///
    /// # Errors
    /// As [`Ags1Sealer::advance`].
    pub fn push(&mut self, mut plain: &[u8], mut out: impl FnMut(Bytes)) -> Result<()> {
        while !plain.is_empty() {
            let space = self.space();
            let length = plain.len().min(space.len());
            space[..length].copy_from_slice(&plain[..length]);
            plain = &plain[length..];
            if let Some(sealed) = self.advance(length)? {
                out(sealed);
            }
        }
        Ok(())
    }

    /// The last sealed bytes, or none when the plaintext ended with a full block.
    ///
    /// # Errors
    /// As [`Ags1Sealer::advance`].
    pub fn finish(mut self) -> Result<Option<Bytes>> {
        if self.plain_bytes > 0 || self.blocks == 0 { self.seal_block().map(Some) } else { Ok(None) }
    }

    fn seal_block(&mut self) -> Result<Bytes> {
        let index = self.blocks;
        self.blocks = index
            .checked_add(1)
            .ok_or_else(|| Error::new(ErrorKind::Input, format!("stream is longer than {PLAIN_BYTES_MAX} bytes: split it")))?;
        let mut buffer = std::mem::replace(&mut self.buffer, self.pool.take());
        let nonce_start = self.plain_start - NONCE_BYTES;
        let end = self.plain_start + self.plain_bytes + TAG_BYTES;
        cipher::fill_random(&mut buffer[nonce_start..self.plain_start]);
        cipher::seal_in_place(&self.key, self.aad.of(index), &mut buffer[nonce_start..end]);
        self.plain_start = NONCE_BYTES;
        self.plain_bytes = 0;
        Ok(self.pool.lend(buffer).slice(..end))
    }
}

impl Drop for Ags1Sealer {
    /// An abandoned stream leaves no plaintext in memory that is used again.
    fn drop(&mut self) {
        if self.plain_bytes > 0 {
            self.buffer.fill(0);
            std::hint::black_box(&mut self.buffer);
        }
    }
}

impl fmt::Debug for Ags1Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ags1Sealer({} blocks sealed)", self.blocks)
    }
}

/// Opens a stream whose plaintext length is known, block by block or anywhere in it.
pub struct Ags1Opener {
    key: LessSafeKey,
    aad: BlockAad,
    plain_bytes: u64,
    next: u32,
}

impl Ags1Opener {
    /// # Errors
    /// `Damaged` when the length cannot be an AGS1 stream's.
    pub fn new(data_key: &[u8; KEY_BYTES], aad_prefix: &[u8], plain_bytes: u64) -> Result<Self> {
        if plain_bytes > PLAIN_BYTES_MAX {
            return Err(damaged("length is more than AGS1 can count"));
        }
        Ok(Self { key: cipher::aes(data_key), aad: BlockAad::new(aad_prefix), plain_bytes, next: 0 })
    }

    /// Refuses what does not begin as an AGS1 stream of 1 MiB blocks.
    ///
    /// # Errors
    /// `Damaged`.
    pub fn check_header(bytes: &[u8]) -> Result<()> {
        if bytes == header() { Ok(()) } else { Err(damaged("header is not AGS1 with blocks of 1 MiB")) }
    }

    pub fn block_count(&self) -> u32 {
        u32::try_from(block_count(self.plain_bytes)).expect("`new` refuses more blocks than a u32 counts")
    }

    /// Where a block lies in the sealed stream, header included.
    pub fn sealed_range(&self, index: u32) -> Range<u64> {
        let start = HEADER_BYTES as u64 + u64::from(index) * SEALED_BLOCK_BYTES as u64;
        start..(start + SEALED_BLOCK_BYTES as u64).min(sealed_size_bytes(self.plain_bytes))
    }

    /// Opens the next block where it lies and gives its plaintext.
    ///
    /// # Errors
    /// `Damaged` when it is not this stream's next block, whole and unaltered, or when there is no next one.
    pub fn open_next<'a>(&mut self, block: &'a mut [u8]) -> Result<&'a mut [u8]> {
        if self.next == self.block_count() {
            return Err(damaged("more blocks than its length says"));
        }
        let plain = self.open_at(self.next, block)?;
        self.next += 1;
        Ok(plain)
    }

    /// Opens any one block.
    ///
    /// # Errors
    /// As [`Ags1Opener::open_next`].
    pub fn open_at<'a>(&mut self, index: u32, block: &'a mut [u8]) -> Result<&'a mut [u8]> {
        let range = self.sealed_range(index);
        if block.len() as u64 != range.end.saturating_sub(range.start) {
            return Err(damaged("block is cut or padded"));
        }
        cipher::open_in_place(&self.key, self.aad.of(index), block)
            .ok_or_else(|| damaged("block is altered, moved, or of another stream"))
    }

    /// Says whether the stream was opened to its end.
    ///
    /// # Errors
    /// `Damaged` when blocks are missing.
    pub fn finish(self) -> Result<()> {
        if self.next == self.block_count() { Ok(()) } else { Err(damaged("ends before its length")) }
    }
}

impl fmt::Debug for Ags1Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ags1Opener({} of {} blocks opened)", self.next, self.block_count())
    }
}

fn damaged(what: &str) -> Error {
    Error::new(ErrorKind::Damaged, format!("sealed stream: {what}"))
}

/// Block buffers go round: lent out as `Bytes`, they come back when the last holder drops them.
#[derive(Clone, Default)]
struct Pool(Arc<Mutex<Vec<Vec<u8>>>>);

impl Pool {
    fn take(&self) -> Vec<u8> {
        self.kept().pop().unwrap_or_else(|| vec![0; BUFFER_BYTES])
    }

    fn lend(&self, buffer: Vec<u8>) -> Bytes {
        Bytes::from_owner(Lent { buffer, pool: self.clone() })
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Lent {
    buffer: Vec<u8>,
    pool: Pool,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut kept = self.pool.kept();
        if kept.len() < BUFFERS_KEPT_MAX {
            kept.push(std::mem::take(&mut self.buffer));
        }
    }
}
