//! Zip archives, read from their directory at the end (APPNOTE.TXT 6.3.10), stored or deflated.
//! Promise: directory and local headers agree, no byte serves two members, length and CRC-32 of each are checked;
//! limits are held before anything is reserved.
//! Never: nothing is unpacked into memory or onto a disk; no name is used as a path.

use std::io::{self, BufReader, Read};

use bonded_schemas::QuarantineReason;
use flate2::{Crc, bufread::DeflateDecoder};

use super::{
    limits::{Allowance, Meter, Opens, Stop},
    source::{ReadAt, Section, read_exactly},
};

mod end;

use end::{Fields, code_page_437, end};

const ENTRY: &[u8] = b"PK\x01\x02";
const LOCAL: &[u8] = b"PK\x03\x04";
const LOCAL_BYTES: u64 = 30;
/// Header, name, extra field and comment of one entry come to this on average at most.
const ENTRY_BYTES_MAX: u64 = 4096;
const FLAG_ENCRYPTED: u16 = 1;
const FLAG_STRONG: u16 = 1 << 6;
const FLAG_UTF8: u16 = 1 << 11;
const FLAG_MASKED: u16 = 1 << 13;
const STORED: u16 = 0;
const DEFLATED: u16 = 8;
const AES: u16 = 99;

/// One line of the directory.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub name: String,
    pub plain_bytes: u64,
    raw_name: Vec<u8>,
    flags: u16,
    method: u16,
    crc: u32,
    packed_bytes: u64,
    header_offset: u64,
    /// Known once the local header was read.
    data_offset: u64,
}

impl Entry {
    pub fn is_folder(&self) -> bool {
        self.name.ends_with('/') && self.plain_bytes == 0
    }
}

/// The files of an archive, in its order, each looked at and none unpacked; folders left out.
pub(super) fn entries(bytes: &mut dyn ReadAt, allowance: &Allowance) -> Opens<Vec<Entry>> {
    let mut entries = directory(bytes, allowance)?;
    if entries.iter().any(|entry| entry.flags & (FLAG_ENCRYPTED | FLAG_STRONG | FLAG_MASKED) != 0 || entry.method == AES) {
        return Err(Stop::encrypted("the archive"));
    }
    if let Some(entry) = entries.iter().find(|entry| !matches!(entry.method, STORED | DEFLATED)) {
        let message = format!(
            "a file in the archive is packed by {}, which is not read; have it packed as plain zip (deflate)",
            method_name(entry.method)
        );
        return Err(Stop::refused(QuarantineReason::BrokenContainer, message));
    }
    for entry in &mut entries {
        locate(bytes, entry)?;
    }
    disjoint(&entries)?;
    let told: u64 = entries.iter().fold(0, |sum, entry| sum.saturating_add(entry.plain_bytes));
    if told > allowance.bytes || entries.iter().any(|entry| entry.plain_bytes > allowance.member_bytes) {
        let limit = allowance.bytes;
        return Err(Stop::bomb(format!("it would unpack to {told} bytes, and {limit} are the limit for its size")));
    }
    entries.retain(|entry| !entry.is_folder());
    Ok(entries)
}

/// Unpacks everything once, to nowhere, so that a member is delivered only from an archive that is whole.
pub(super) fn verify(bytes: &mut dyn ReadAt, entries: &[Entry], allowance: &Allowance) -> Opens<u64> {
    let mut total = 0;
    for entry in entries {
        let mut plain = Meter::new(open(&mut *bytes, entry), (allowance.bytes - total).min(allowance.member_bytes));
        io::copy(&mut plain, &mut io::sink())?;
        total += plain.seen();
    }
    Ok(total)
}

/// The unpacked bytes of one entry; length and checksum are checked at their end.
pub(super) fn open<'a, B: ReadAt + 'a>(bytes: B, entry: &Entry) -> impl Read + 'a {
    let packed = BufReader::with_capacity(64 << 10, Section::new(bytes, entry.data_offset, entry.packed_bytes));
    let plain: Box<dyn Read + 'a> = if entry.method == STORED { Box::new(packed) } else { Box::new(DeflateDecoder::new(packed)) };
    Checked { inner: plain, crc: Crc::new(), crc_told: entry.crc, left: entry.plain_bytes }
}

struct Checked<R> {
    inner: R,
    crc: Crc,
    crc_told: u32,
    left: u64,
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let read = self.inner.read(buffer).map_err(|error| match error.get_ref() {
            Some(inner) if inner.is::<Stop>() => error,
            _ => Stop::broken(format!("a file in the archive does not unpack ({error})")).into(),
        })?;
        self.crc.update(&buffer[..read]);
        self.left = self
            .left
            .checked_sub(read as u64)
            .ok_or_else(|| io::Error::from(Stop::bomb("a file in the archive is longer than the archive's directory says")))?;
        if read == 0 && (self.left > 0 || self.crc.sum() != self.crc_told) {
            let what = "a file in the archive is not what the archive's directory says (length or checksum)";
            return Err(Stop::broken(what).into());
        }
        Ok(read)
    }
}

fn directory(bytes: &mut dyn ReadAt, allowance: &Allowance) -> Opens<Vec<Entry>> {
    let (count, span) = end(bytes)?;
    let most = allowance.members as u64;
    // Folders are no members, but nobody sends as many again.
    if count > most.saturating_mul(2) {
        return Err(allowance.too_many(count));
    }
    let length = span.end - span.start;
    if length > count.saturating_add(1).saturating_mul(ENTRY_BYTES_MAX) {
        return Err(Stop::bomb(format!("its directory has {length} bytes for {count} files")));
    }
    let length = usize::try_from(length).map_err(|_| Stop::broken("the archive's directory is too long"))?;
    let directory = read_exactly(bytes, span.start, length)?;
    let mut rest = Fields(&directory);
    let mut entries = Vec::new();
    for _ in 0..count {
        entries.push(entry(&mut rest).ok_or_else(|| Stop::broken("the archive's directory is damaged"))?);
    }
    if entries.iter().any(|entry| entry.header_offset >= span.start) {
        return Err(Stop::broken("the archive's directory points behind itself"));
    }
    let members = entries.iter().filter(|entry| !entry.is_folder()).count();
    if members > allowance.members {
        return Err(allowance.too_many(members));
    }
    Ok(entries)
}

fn entry(fields: &mut Fields<'_>) -> Option<Entry> {
    if fields.take(4)? != ENTRY {
        return None;
    }
    fields.take(4)?;
    let (flags, method) = (fields.u16()?, fields.u16()?);
    fields.take(4)?;
    let crc = fields.u32()?;
    let (packed, plain) = (fields.u32()?, fields.u32()?);
    let (name_bytes, extra_bytes, comment_bytes) = (fields.u16()?, fields.u16()?, fields.u16()?);
    fields.take(8)?;
    let offset = fields.u32()?;
    let raw_name = fields.take(name_bytes.into())?.to_vec();
    let extra = fields.take(extra_bytes.into())?;
    fields.take(comment_bytes.into())?;

    // Whatever does not fit is in the zip64 field, in this order.
    let mut wide = Fields(extra_field(extra, 1).unwrap_or_default());
    let mut whole = |narrow: u32| if narrow == u32::MAX { wide.u64() } else { Some(narrow.into()) };
    let (plain_bytes, packed_bytes, header_offset) = (whole(plain)?, whole(packed)?, whole(offset)?);
    let name = match String::from_utf8(raw_name.clone()) {
        Ok(name) => name,
        Err(_) if flags & FLAG_UTF8 != 0 => String::from_utf8_lossy(&raw_name).into_owned(),
        Err(_) => raw_name.iter().map(|byte| code_page_437(*byte)).collect(),
    };
    Some(Entry { name, plain_bytes, raw_name, flags, method, crc, packed_bytes, header_offset, data_offset: 0 })
}

fn extra_field(extra: &[u8], wanted: u16) -> Option<&[u8]> {
    let mut fields = Fields(extra);
    loop {
        let (id, length) = (fields.u16()?, fields.u16()?);
        let body = fields.take(length.into())?;
        if id == wanted {
            return Some(body);
        }
    }
}

/// Reads the local header, which says where the data begins and must name the same file.
fn locate(bytes: &mut dyn ReadAt, entry: &mut Entry) -> Opens<()> {
    let damaged = || Stop::broken("a file's header in the archive is not what the directory says");
    let header = read_exactly(bytes, entry.header_offset, LOCAL_BYTES as usize)?;
    if !header.starts_with(LOCAL) {
        return Err(damaged());
    }
    let mut fields = Fields(&header[6..]);
    let (flags, method) = (fields.u16(), fields.u16());
    fields.0 = &header[26..];
    let (Some(name_bytes), Some(extra_bytes)) = (fields.u16(), fields.u16()) else { return Err(damaged()) };
    let name = read_exactly(bytes, entry.header_offset + LOCAL_BYTES, name_bytes.into())?;
    if name != entry.raw_name || method != Some(entry.method) || flags.is_none_or(|flags| flags & FLAG_ENCRYPTED != 0) {
        return Err(damaged());
    }
    entry.data_offset = entry.header_offset + LOCAL_BYTES + u64::from(name_bytes) + u64::from(extra_bytes);
    Ok(())
}

/// Members that share bytes are how a small archive unpacks to petabytes.
fn disjoint(entries: &[Entry]) -> Opens<()> {
    let mut spans: Vec<(u64, u64)> = Vec::with_capacity(entries.len());
    for entry in entries {
        let end = entry.data_offset.checked_add(entry.packed_bytes).ok_or_else(|| Stop::broken("the archive is damaged"))?;
        spans.push((entry.header_offset, end));
    }
    spans.sort_unstable();
    if spans.windows(2).any(|pair| pair[1].0 < pair[0].1) {
        return Err(Stop::bomb("files in the archive overlap"));
    }
    Ok(())
}

fn method_name(method: u16) -> String {
    let name = match method {
        1 => "shrink",
        2..=5 => "reduce",
        6 => "implode",
        9 => "deflate64",
        12 => "bzip2",
        14 => "lzma",
        93 => "zstandard",
        95 => "xz",
        98 => "ppmd",
        _ => return format!("method {method}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests;
