//! The end of a zip archive, which says where its directory lies, and the fields that all its headers are made of.

use std::ops::Range;

use super::super::{
    limits::{Opens, Stop},
    source::{ReadAt, read_exactly},
};

const END: &[u8] = b"PK\x05\x06";
const END_64: &[u8] = b"PK\x06\x06";
const END_64_LOCATOR: &[u8] = b"PK\x06\x07";
const END_BYTES: usize = 22;
const COMMENT_BYTES_MAX: usize = 65_535;

/// How many entries, and where the directory lies.
pub(super) fn end(bytes: &mut dyn ReadAt) -> Opens<(u64, Range<u64>)> {
    let size = bytes.size_bytes();
    let tail_bytes = size.min((END_BYTES + COMMENT_BYTES_MAX) as u64);
    let tail_offset = size - tail_bytes;
    let tail = read_exactly(bytes, tail_offset, tail_bytes as usize)?;
    let cut = || Stop::broken("the archive has no directory at its end: it is cut short, or no zip at all");
    let at = (0..=tail.len().checked_sub(END_BYTES).ok_or_else(cut)?)
        .rev()
        .filter(|at| tail[*at..].starts_with(END))
        .find(|at| at + END_BYTES + usize::from(u16::from_le_bytes([tail[at + 20], tail[at + 21]])) <= tail.len())
        .ok_or_else(cut)?;
    let damaged = || Stop::broken("the end of the archive is damaged");
    let mut fields = Fields(&tail[at + 4..]);
    let disks = [fields.u16(), fields.u16()];
    let (here, count, length, start) = (fields.u16(), fields.u16(), fields.u32(), fields.u32());
    let (Some(here), Some(count), Some(length), Some(start)) = (here, count, length, start) else { return Err(damaged()) };
    let end_offset = tail_offset + at as u64;
    let mut found = (u64::from(count), u64::from(start), u64::from(length), end_offset);
    if count == u16::MAX || length == u32::MAX || start == u32::MAX {
        found = end_64(bytes, end_offset)?;
    } else if disks != [Some(0), Some(0)] || here != count {
        return Err(Stop::broken("the archive is one part of several"));
    }
    let (count, start, length, past) = found;
    match start.checked_add(length) {
        Some(end) if end <= past => Ok((count, start..end)),
        _ => Err(damaged()),
    }
}

/// Entries, offset and length of the directory, and where it must end.
fn end_64(bytes: &mut dyn ReadAt, end_offset: u64) -> Opens<(u64, u64, u64, u64)> {
    let damaged = || Stop::broken("the end of the archive (zip64) is damaged");
    let locator_offset = end_offset.checked_sub(20).ok_or_else(damaged)?;
    let locator = read_exactly(bytes, locator_offset, 20)?;
    let offset = locator.strip_prefix(END_64_LOCATOR).and_then(|rest| Fields(&rest[4..]).u64()).ok_or_else(damaged)?;
    if offset >= locator_offset {
        return Err(damaged());
    }
    let record = read_exactly(bytes, offset, 56)?;
    let mut fields = Fields(record.strip_prefix(END_64).map(|rest| &rest[8 + 4 + 8 + 8..]).ok_or_else(damaged)?);
    match (fields.u64(), fields.u64(), fields.u64()) {
        (Some(count), Some(length), Some(start)) => Ok((count, start, length, offset)),
        _ => Err(damaged()),
    }
}

/// Names without the UTF-8 flag are in the IBM PC's character set.
pub(super) fn code_page_437(byte: u8) -> char {
    const UPPER: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";
    match byte.checked_sub(0x80) {
        None => char::from(byte),
        Some(upper) => UPPER.chars().nth(upper.into()).unwrap_or(char::REPLACEMENT_CHARACTER),
    }
}

/// Little-endian fields, one after the other.
pub(super) struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    pub fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub fn u16(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_le_bytes)
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }
}
