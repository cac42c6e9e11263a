//! Files within a text: uuencode (both forms) and yEnc.
//! Promise: a file that has no end is not one; what is around it stays text.
//! Never: a line in a letter that happens to begin with `begin` is taken for a file.

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

/// The files in a text, in order.
pub(super) fn files(text: &[u8]) -> Vec<Found> {
    let mut found = Vec::new();
    let mut at = 0;
    while found.len() < FILES_MAX
        && let Some(start) = next_start(text, at)
    {
        let (first, body) = line(text, start);
        let file = if first.starts_with(b"=ybegin ") { yenc(first, text, body) } else { uuencoded(first, text, body) };
        match file {
            Some((file, end)) => {
                found.push(file);
                at = end;
            }
            None => at = body,
        }
    }
    found
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

fn uuencoded(first: &[u8], text: &[u8], mut at: usize) -> Option<(Found, usize)> {
    let is_base64 = first.starts_with(b"begin-base64 ");
    let first = String::from_utf8_lossy(first).into_owned();
    let mut words = first.splitn(3, ' ');
    let (_, mode, name) = (words.next()?, words.next()?, words.next()?.trim());
    let is_mode = (3..=4).contains(&mode.len()) && mode.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    if !is_mode || name.is_empty() {
        return None;
    }
    let mut bytes = Vec::new();
    let mut encoded = Vec::new();
    loop {
        if at >= text.len() {
            return None;
        }
        let (data, next) = line(text, at);
        at = next;
        if is_base64 {
            if data == b"====" {
                let content = super::Content { bytes: encoded.into(), coding: super::Coding::Base64 };
                bytes = content.whole(usize::MAX)?.to_vec();
                break;
            }
            // Also what keeps a text full of beginnings from being read once for each.
            if data.contains(&b'-') {
                return None;
            }
            encoded.extend_from_slice(data);
            encoded.push(b'\n');
            continue;
        }
        if data.trim_ascii_end() == b"end" {
            break;
        }
        let Some((count, data)) = data.split_first() else { continue };
        let count = six(*count)?;
        // Blanks at the end of a line may be lost on the way; they stand for nothing.
        let mut left = usize::from(count);
        for quad in data.chunks(4) {
            if left == 0 {
                break;
            }
            let mut bits = 0_u32;
            for place in 0..4 {
                bits = bits << 6 | u32::from(six(quad.get(place).copied().unwrap_or(b' '))?);
            }
            let three = [(bits >> 16) as u8, (bits >> 8) as u8, bits as u8];
            bytes.extend_from_slice(&three[..left.min(3)]);
            left = left.saturating_sub(3);
        }
        bytes.extend(std::iter::repeat_n(0, left));
    }
    Some((Found { name: name.to_owned(), origin: Origin::Uuencode, bytes: bytes.into(), note: None }, at))
}

fn six(byte: u8) -> Option<u8> {
    (b' '..=b'`').contains(&byte).then(|| (byte - b' ') & 63)
}

fn yenc(first: &[u8], text: &[u8], mut at: usize) -> Option<(Found, usize)> {
    let first = String::from_utf8_lossy(first).into_owned();
    let (_, name) = first.split_once(" name=")?;
    let mut bytes = Vec::new();
    let mut note = first.contains(" part=").then(|| "one of several yEnc parts; the others are not put to it".to_owned());
    loop {
        if at >= text.len() {
            return None;
        }
        let (data, next) = line(text, at);
        at = next;
        if data.starts_with(b"=ypart ") {
            continue;
        }
        if data.starts_with(b"=ybegin ") {
            return None;
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
    }
    Some((Found { name: name.trim().to_owned(), origin: Origin::Yenc, bytes: bytes.into(), note }, at))
}
