//! Encoding: how a file's characters are written, by what evidence, and UTF-16 made into UTF-8 as it streams.
//! Promise: any way to cut the bytes gives the same text; places in the text lead back to places in the received file.
//! Never: no byte is dropped and none panics: what is no character becomes U+FFFD and is counted.

/// UTF-16 without a mark is told by its NUL bytes; among this many first bytes.
const PATTERN_BYTES: usize = 128;
const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();

/// How a file's characters are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Utf8,
    /// UTF-8 behind a byte order mark, as Excel saves it.
    Utf8Bom,
    /// Little-endian, as Windows programs save "Unicode text".
    Utf16Le,
    Utf16Be,
    /// Bytes that are not UTF-8 were seen in the head, some of 0x80 to 0x9f; each such cell is read as Windows-1252.
    Windows1252,
    /// The same without a byte of 0x80 to 0x9f: all others mean the same in both, so cells are read as Windows-1252.
    Iso8859_1,
}

impl Encoding {
    pub fn as_str(self) -> &'static str {
        match self {
            Encoding::Utf8 => "utf-8",
            Encoding::Utf8Bom => "utf-8 with byte order mark",
            Encoding::Utf16Le => "utf-16 little-endian",
            Encoding::Utf16Be => "utf-16 big-endian",
            Encoding::Windows1252 => "windows-1252",
            Encoding::Iso8859_1 => "iso-8859-1",
        }
    }

    /// Whether the file is transcoded before it is parsed.
    pub fn is_wide(self) -> bool {
        matches!(self, Encoding::Utf16Le | Encoding::Utf16Be)
    }

    /// Whether each character is one byte.
    pub(super) fn is_single_byte(self) -> bool {
        matches!(self, Encoding::Windows1252 | Encoding::Iso8859_1)
    }
}

/// UTF-16 as the first bytes tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wide {
    pub encoding: Encoding,
    /// Length of the byte order mark, if there is one.
    pub mark_bytes: usize,
    pub evidence: String,
}

/// Whether the file is UTF-16: by its mark, or by the NUL bytes that make up half of it.
pub(super) fn wide(first: &[u8]) -> Option<Wide> {
    let marked = [(&b"\xff\xfe"[..], Encoding::Utf16Le, "ff fe"), (b"\xfe\xff", Encoding::Utf16Be, "fe ff")];
    if let Some((mark, encoding, named)) = marked.into_iter().find(|(mark, ..)| first.starts_with(mark)) {
        return Some(Wide { encoding, mark_bytes: mark.len(), evidence: format!("byte order mark {named}") });
    }
    let looked_at = &first[..first.len().min(PATTERN_BYTES)];
    let (pairs, _) = looked_at.as_chunks::<2>();
    let nul = |place: usize| pairs.iter().filter(|pair| pair[place] == 0).count();
    let (front, back) = (nul(0), nul(1));
    // The head of a report is mostly ASCII, whose other byte is NUL; a stray NUL in a file of bytes is no pattern.
    let most = |count: usize| count * 10 >= pairs.len() * 6 && count >= 4;
    let (encoding, count, which) = match (front, back) {
        (0, back) if most(back) => (Encoding::Utf16Le, back, "second"),
        (front, 0) if most(front) => (Encoding::Utf16Be, front, "first"),
        _ => return None,
    };
    let evidence = format!("no byte order mark; the {which} byte of {count} of the first {} byte pairs is NUL", pairs.len());
    Some(Wide { encoding, mark_bytes: 0, evidence })
}

/// UTF-16 into UTF-8, chunk by chunk.
#[derive(Clone, Debug)]
pub(super) struct Transcoder {
    big_endian: bool,
    /// The first byte of a pair whose second is yet to come.
    half: Option<u8>,
    /// A high surrogate whose low one is yet to come.
    high: Option<u16>,
    /// Units that are no character, read as U+FFFD: lone surrogates, and a last byte without its pair.
    pub replaced: u64,
}

impl Transcoder {
    /// `None` for encodings that the parser reads as they are.
    pub fn new(encoding: Encoding) -> Option<Self> {
        encoding.is_wide().then_some(Self { big_endian: encoding == Encoding::Utf16Be, half: None, high: None, replaced: 0 })
    }

    /// Appends the characters that `bytes` complete.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let mut rest = bytes;
        if let Some(half) = self.half
            && let [next, tail @ ..] = rest
        {
            self.half = None;
            self.unit([half, *next], out);
            rest = tail;
        }
        out.reserve(rest.len() / 2);
        // Four ASCII characters at a time: every other byte is NUL and the rest are below 0x80.
        let (mask, place) = if self.big_endian { (0x80ff_80ff_80ff_80ff, 1) } else { (0xff80_ff80_ff80_ff80_u64, 0) };
        while let Some((eight, tail)) = rest.split_first_chunk::<8>() {
            if self.high.is_none() && u64::from_le_bytes(*eight) & mask == 0 {
                out.extend_from_slice(&[eight[place], eight[place + 2], eight[place + 4], eight[place + 6]]);
            } else {
                eight.as_chunks::<2>().0.iter().for_each(|pair| self.unit(*pair, out));
            }
            rest = tail;
        }
        let (pairs, odd) = rest.as_chunks::<2>();
        pairs.iter().for_each(|pair| self.unit(*pair, out));
        if let [half] = odd {
            self.half = Some(*half);
        }
    }

    /// The bytes have ended: what was left incomplete is told as such.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let left = usize::from(self.high.take().is_some()) + usize::from(self.half.take().is_some());
        (0..left).for_each(|_| self.replace(out));
    }

    fn unit(&mut self, pair: [u8; 2], out: &mut Vec<u8>) {
        let unit = if self.big_endian { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) };
        if let Some(high) = self.high.take() {
            if let Some(Ok(letter)) = char::decode_utf16([high, unit]).next() {
                return push(letter, out);
            }
            self.replace(out);
        }
        match char::from_u32(u32::from(unit)) {
            Some(letter) => push(letter, out),
            None if unit < 0xdc00 => self.high = Some(unit),
            None => self.replace(out),
        }
    }

    fn replace(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(REPLACEMENT);
        self.replaced += 1;
    }
}

fn push(letter: char, out: &mut Vec<u8>) {
    out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
}

/// How many bytes of UTF-16 became this text. A replacement stands for one unit and counts as one, so this is exact
/// up to a last byte without its pair, behind which nothing stands.
pub(super) fn received_bytes(text: &[u8]) -> u64 {
    let letters = text.iter().filter(|byte| **byte & 0xc0 != 0x80).count();
    let pairs = text.iter().filter(|byte| **byte >= 0xf0).count();
    2 * (letters + pairs) as u64
}

/// Bytes that are not UTF-8, and what they say of the encoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct HighBytes {
    pub count: u64,
    /// Of 0x80 to 0x9f: letters of Windows-1252, control characters of ISO-8859-1.
    pub c1: u64,
    /// Of those, the five to which Windows-1252 assigns no letter either.
    pub unassigned: u64,
    /// Byte offset in the received file.
    pub first_at: Option<u64>,
}

impl HighBytes {
    /// Looks through a piece of the file that starts at byte `at`; valid UTF-8 in it does not count.
    pub fn add(&mut self, piece: &[u8], at: u64) {
        let mut offset = at;
        for part in piece.utf8_chunks() {
            offset += part.valid().len() as u64;
            for byte in part.invalid() {
                self.count += 1;
                self.c1 += u64::from((0x80..0xa0).contains(byte));
                self.unassigned += u64::from(matches!(byte, 0x81 | 0x8d | 0x8f | 0x90 | 0x9d));
                self.first_at = Some(self.first_at.map_or(offset, |first| first.min(offset)));
                offset += 1;
            }
        }
    }

    /// `None` while all is UTF-8.
    pub fn encoding(&self) -> Option<Encoding> {
        match (self.count, self.c1) {
            (0, _) => None,
            (_, 0) => Some(Encoding::Iso8859_1),
            _ => Some(Encoding::Windows1252),
        }
    }

    pub fn evidence(&self) -> String {
        let c1 = match self.c1 {
            0 => "none of 0x80 to 0x9f, so windows-1252 reads the same".to_owned(),
            count => format!("{count} of 0x80 to 0x9f, which are control characters in iso-8859-1"),
        };
        let unassigned = match self.unassigned {
            0 => String::new(),
            count => format!("; {count} to which windows-1252 gives no letter"),
        };
        let first = self.first_at.unwrap_or_default();
        format!("bytes above 0x7f that are not UTF-8: {}, first at byte {first}; {c1}{unassigned}", self.count)
    }
}

#[cfg(test)]
mod tests;
