//! Files within a text: uuencode (both forms) and yEnc.
//! Promise: a file that has no end is not one; what is around it stays text.
//! Never: a line in a letter that happens to begin with `begin` is taken for a file; more comes out than is allowed.

use bytes::Bytes;

use super::Origin;

/// Files in one text beyond this are left in it.
const FILES_MAX: usize = 100;

pub(super) struct Found {
    pub name: String,
    pub origin: Origin,
    pub bytes: Bytes,
    /// What does not hold of it.
    pub note: Option<String>,
}

/// More would come out than is allowed.
pub(super) struct TooMuch;

/// The files in a text, in order, as long as all of them have no more than so many bytes.
pub(super) fn files(text: &[u8], mut bytes_left: usize) -> Result<Vec<Found>, TooMuch> {
    let mut found = Vec::new();
    let mut at = 0;
    while found.len() < FILES_MAX
        && let Some(start) = next_start(text, at)
    {
        let (first, body) = line(text, start);
        let is_yenc = first.starts_with(b"=ybegin ");
        let file = if is_yenc { yenc(first, text, body, bytes_left)? } else { uuencoded(first, text, body, bytes_left)? };
        match file {
            Some((file, end)) => {
                bytes_left = bytes_left.saturating_sub(file.bytes.len());
                found.push(file);
                at = end;
            }
            None => at = body,
        }
    }
    Ok(found)
}

/// Whether there may be any; cheap.
pub(super) fn may_hold(text: &[u8]) -> bool {
    next_start(text, 0).is_some()
}

fn next_start(text: &[u8], from: usize) -> Option<usize> {
    let rest = text.get(from..)?;
    let hit = |at: usize| [&b"begin "[..], b"begin-base64 ", b"=ybegin "].iter().any(|word| rest[at..].starts_with(word));
    let is_start = |at: &usize| *at < rest.len() && matches!(rest[*at], b'b' | b'=') && hit(*at);
    let first = std::iter::once(0);
    first.chain(memchr::memchr_iter(b'\n', rest).map(|at| at + 1)).find(is_start).map(|at| from + at)
}

/// The line that begins here, without its end, and where the next one begins.
fn line(text: &[u8], from: usize) -> (&[u8], usize) {
    let rest = &text[from.min(text.len())..];
    let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
    let line = &rest[..end];
    (line.strip_suffix(b"\r").unwrap_or(line), (from + end + 1).min(text.len()))
}

/// The name that a line `begin 644 name` gives; none when it is no such line.
fn name_of(first: &[u8]) -> Option<String> {
    let first = String::from_utf8_lossy(first);
    let mut words = first.splitn(3, ' ');
    let (_, mode, name) = (words.next()?, words.next()?, words.next()?.trim());
    let is_mode = (3..=4).contains(&mode.len()) && mode.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    (is_mode && !name.is_empty()).then(|| name.to_owned())
}

/// A file and where what follows it begins; none when it has no end.
type End = Option<(Found, usize)>;

fn uuencoded(first: &[u8], text: &[u8], mut at: usize, bytes_max: usize) -> Result<End, TooMuch> {
    let is_base64 = first.starts_with(b"begin-base64 ");
    let Some(name) = name_of(first) else { return Ok(None) };
    let mut bytes = Vec::new();
    let mut encoded = Vec::new();
    let mut note = None;
    loop {
        if at >= text.len() {
            return Ok(None);
        }
        let (data, next) = line(text, at);
        at = next;
        if is_base64 {
            if data == b"====" {
                let content = super::Content { bytes: encoded.into(), coding: super::Coding::Base64 };
                bytes = content.whole(bytes_max).ok_or(TooMuch)?.to_vec();
                break;
            }
            // Also what keeps a text full of beginnings from being read once for each.
            if data.contains(&b'-') {
                return Ok(None);
            }
            encoded.extend_from_slice(data);
            encoded.push(b'\n');
            continue;
        }
        if data.trim_ascii_end() == b"end" {
            break;
        }
        let Some((count, data)) = data.split_first() else { continue };
        let Some(is_short) = uuencoded_line(*count, data, &mut bytes) else { return Ok(None) };
        if bytes.len() > bytes_max {
            return Err(TooMuch);
        }
        if is_short {
            note = Some("lines of it are shorter than they say; it may have been cut".to_owned());
        }
    }
    Ok(Some((Found { name, origin: Origin::Uuencode, bytes: bytes.into(), note }, at)))
}

/// Whether characters are missing; none when it is no such line. What is missing makes no bytes: two characters could be 63.
fn uuencoded_line(count: u8, data: &[u8], bytes: &mut Vec<u8>) -> Option<bool> {
    let mut left = usize::from(six(count)?);
    for quad in data.chunks(4) {
        if left == 0 {
            break;
        }
        let mut bits = 0_u32;
        // Blanks at the end of a line may be lost on the way; within a group of four they are put back.
        for place in 0..4 {
            bits = bits << 6 | u32::from(six(quad.get(place).copied().unwrap_or(b' '))?);
        }
        let three = [(bits >> 16) as u8, (bits >> 8) as u8, bits as u8];
        bytes.extend_from_slice(&three[..left.min(3)]);
        left = left.saturating_sub(3);
    }
    Some(left > 0)
}

fn six(byte: u8) -> Option<u8> {
    (b' '..=b'`').contains(&byte).then(|| (byte - b' ') & 63)
}

fn yenc(first: &[u8], text: &[u8], mut at: usize, bytes_max: usize) -> Result<End, TooMuch> {
    let first = String::from_utf8_lossy(first).into_owned();
    let Some((_, name)) = first.split_once(" name=") else { return Ok(None) };
    let mut bytes = Vec::new();
    let mut note = first.contains(" part=").then(|| "one of several yEnc parts; the others are not put to it".to_owned());
    loop {
        if at >= text.len() {
            return Ok(None);
        }
        let (data, next) = line(text, at);
        at = next;
        if data.starts_with(b"=ypart ") {
            continue;
        }
        if data.starts_with(b"=ybegin ") {
            return Ok(None);
        }
        if data.starts_with(b"=yend") {
            let told = String::from_utf8_lossy(data).into_owned();
            let size = told.split(" size=").nth(1).and_then(|rest| rest.split(' ').next()?.trim().parse::<usize>().ok());
            if size.is_some_and(|size| size != bytes.len()) {
                note = Some("its length is not what its last line says".to_owned());
            }
            break;
        }
        let mut escaped = false;
        for byte in data {
            match (escaped, byte) {
                (false, b'=') => escaped = true,
                _ => {
                    bytes.push(byte.wrapping_sub(if escaped { 106 } else { 42 }));
                    escaped = false;
                }
            }
        }
        if bytes.len() > bytes_max {
            return Err(TooMuch);
        }
    }
    Ok(Some((Found { name: name.trim().to_owned(), origin: Origin::Yenc, bytes: bytes.into(), note }, at)))
}
