//! Gzip: one file, or several put behind one another, which gzip itself takes as one.
//! Promise: every checksum on the way is checked; a cut file is an error, not an end.

use std::io::{self, BufReader, Read, Write};

use flate2::bufread::MultiGzDecoder;

use super::{
    limits::{Allowance, Meter, Opens, Stop},
    source::{ReadAt, Section},
};

/// The name in the header is looked for in so many bytes.
const HEADER_BYTES_MAX: usize = 4096;
const HAS_EXTRA: u8 = 4;
const HAS_NAME: u8 = 8;

/// What the packed file is called: as its header says, or the container's name without the ending.
pub(super) fn member_name(bytes: &mut dyn ReadAt, file_name: &str) -> Opens<String> {
    let mut first = Vec::new();
    Section::new(bytes, 0, HEADER_BYTES_MAX as u64).read_to_end(&mut first)?;
    if let Some(name) = header_name(&first) {
        return Ok(name);
    }
    let lower = file_name.to_ascii_lowercase();
    let cut = [".gz", ".gzip"].iter().find_map(|ending| lower.strip_suffix(ending)).map(str::len);
    Ok(match cut.and_then(|length| file_name.get(..length)) {
        Some(stem) if !stem.is_empty() => stem.to_owned(),
        _ => format!("{file_name}#content"),
    })
}

fn header_name(first: &[u8]) -> Option<String> {
    let flags = *first.get(3)?;
    let mut rest = first.get(10..)?;
    if flags & HAS_EXTRA != 0 {
        let length = usize::from(u16::from_le_bytes([*rest.first()?, *rest.get(1)?]));
        rest = rest.get(2 + length..)?;
    }
    if flags & HAS_NAME == 0 {
        return None;
    }
    let end = rest.iter().position(|byte| *byte == 0)?;
    // RFC 1952 says ISO-8859-1; gzip writes what the file system has, which is UTF-8 today.
    let name = match std::str::from_utf8(&rest[..end]) {
        Ok(name) => name.to_owned(),
        Err(_) => rest[..end].iter().map(|byte| char::from(*byte)).collect(),
    };
    (!name.is_empty()).then_some(name)
}

/// Writes the unpacked bytes.
pub(super) fn unpack(bytes: impl ReadAt, allowance: &Allowance, out: &mut dyn Write) -> Opens<()> {
    let size = bytes.size_bytes();
    let packed = BufReader::with_capacity(64 << 10, Section::new(bytes, 0, size));
    let mut plain = Meter::new(MultiGzDecoder::new(packed), allowance.member_bytes);
    io::copy(&mut plain, out).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => Stop::broken("the gzip file is cut short"),
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => Stop::broken(format!("the gzip file is damaged ({error})")),
        _ => Stop::from(error),
    })?;
    Ok(())
}
