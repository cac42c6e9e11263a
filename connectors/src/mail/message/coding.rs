//! Transfer encodings: base64 and quoted-printable, decoded line by line while they are read.
//! Promise: what is no part of the encoding is passed over as RFC 2045 says; text under a wrong label stays what it is.
//! Never: more than a line beside the input is in memory.

use std::{
    io::{self, Write},
    ops::ControlFlow,
};

use bytes::Bytes;

/// Looked at to tell whether something is base64 at all.
const SAMPLE_BYTES: usize = 4 << 10;
/// A line is decoded in pieces of this size, so that one without end takes no memory.
const PIECE_BYTES: usize = 48 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// 7bit, 8bit, binary, or one that nobody knows.
    Plain,
    Base64,
    QuotedPrintable,
}

/// The bytes of a part, as they lie in the message.
#[derive(Clone)]
pub struct Content {
    pub(super) bytes: Bytes,
    pub(super) coding: Coding,
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Content({:?}, {} bytes)", self.coding, self.bytes.len())
    }
}

type Sink<'a> = dyn FnMut(&[u8]) -> ControlFlow<()> + 'a;

impl Content {
    pub fn plain(bytes: Bytes) -> Self {
        Self { bytes, coding: Coding::Plain }
    }

    /// Before decoding; what comes out is at most as long.
    pub fn encoded_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The first bytes, decoded; fewer only when there are no more.
    pub fn head(&self, length: usize) -> Vec<u8> {
        let mut head = Vec::new();
        self.decode(&mut |bytes| {
            head.extend_from_slice(&bytes[..bytes.len().min(length - head.len())]);
            if head.len() == length { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        head
    }

    /// Whole, in memory; `None` when more than so many bytes come out.
    pub fn whole(&self, bytes_max: usize) -> Option<Bytes> {
        if self.coding == Coding::Plain {
            return (self.bytes.len() <= bytes_max).then(|| self.bytes.clone());
        }
        let mut out = Vec::new();
        let mut fits = true;
        self.decode(&mut |bytes| {
            fits = out.len() + bytes.len() <= bytes_max;
            if !fits {
                return ControlFlow::Break(());
            }
            out.extend_from_slice(bytes);
            ControlFlow::Continue(())
        });
        fits.then(|| out.into())
    }

    /// Writes the decoded bytes.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_to(&self, out: &mut dyn Write) -> io::Result<u64> {
        let (mut written, mut failed) = (0, None);
        self.decode(&mut |bytes| match out.write_all(bytes) {
            Ok(()) => {
                written += bytes.len() as u64;
                ControlFlow::Continue(())
            }
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        });
        failed.map_or(Ok(written), Err)
    }

    fn decode(&self, sink: &mut Sink<'_>) {
        match self.coding {
            Coding::Plain => {
                let _ = self.bytes.chunks(PIECE_BYTES).try_for_each(sink);
            }
            Coding::Base64 => {
                let _ = base64(&self.bytes, sink);
            }
            Coding::QuotedPrintable => {
                let _ = quoted_printable(&self.bytes, sink);
            }
        }
    }
}

impl Coding {
    /// As the field says; what it says of bytes that are plainly not base64 is not believed.
    pub(super) fn of(field: Option<&str>, bytes: &[u8]) -> (Self, Option<&'static str>) {
        match field {
            Some("base64" | "b") if is_base64(bytes) => (Coding::Base64, None),
            Some("base64" | "b") => (Coding::Plain, Some("said to be base64 and is not; taken as it lies")),
            Some("quoted-printable" | "q") => (Coding::QuotedPrintable, None),
            _ => (Coding::Plain, None),
        }
    }
}

const fn alphabet() -> [u8; 256] {
    let mut table = [0xff; 256];
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut at = 0;
    while at < letters.len() {
        table[letters[at] as usize] = at as u8;
        at += 1;
    }
    table
}

const ALPHABET: [u8; 256] = alphabet();

fn is_letter(byte: u8) -> bool {
    ALPHABET[usize::from(byte)] != 0xff
}

/// Most of what is not blank is of the alphabet, and blanks are rare within lines.
fn is_base64(bytes: &[u8]) -> bool {
    let sample = &bytes[..bytes.len().min(SAMPLE_BYTES)];
    let (mut letters, mut others) = (0_usize, 0_usize);
    for byte in sample {
        match byte {
            b'\r' | b'\n' | b'=' | 0 => {}
            byte if is_letter(*byte) => letters += 1,
            _ => others += 1,
        }
    }
    others * 10 <= letters
}

fn base64(bytes: &[u8], sink: &mut Sink<'_>) -> ControlFlow<()> {
    let (mut bits, mut held) = (0_u32, 0_u32);
    let (mut was_padded, mut was_blank) = (false, false);
    let mut out = Vec::with_capacity(PIECE_BYTES);
    for line in bytes.split(|byte| *byte == b'\n') {
        let text = line.trim_ascii();
        let has_junk = text.iter().any(|byte| !is_letter(*byte) && *byte != b'=');
        // A mailing list's footer under the file. Junk elsewhere is passed over.
        if has_junk && (was_padded || was_blank) && held == 0 {
            break;
        }
        was_blank = text.is_empty();
        for byte in text {
            let value = ALPHABET[usize::from(*byte)];
            if value != 0xff {
                bits = bits << 6 | u32::from(value);
                held += 1;
                was_padded = false;
                if held == 4 {
                    out.extend_from_slice(&[(bits >> 16) as u8, (bits >> 8) as u8, bits as u8]);
                    held = 0;
                    if out.len() + 3 > PIECE_BYTES {
                        sink(&out)?;
                        out.clear();
                    }
                }
            } else if *byte == b'=' {
                rest(bits, held, &mut out);
                held = 0;
                was_padded = true;
            }
        }
    }
    // Some leave the padding out.
    rest(bits, held, &mut out);
    if out.is_empty() { ControlFlow::Continue(()) } else { sink(&out) }
}

fn rest(bits: u32, held: u32, out: &mut Vec<u8>) {
    match held {
        2 => out.push((bits >> 4) as u8),
        3 => out.extend_from_slice(&[(bits >> 10) as u8, (bits >> 2) as u8]),
        _ => {}
    }
}

fn quoted_printable(bytes: &[u8], sink: &mut Sink<'_>) -> ControlFlow<()> {
    let mut out = Vec::with_capacity(PIECE_BYTES);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let end = match line {
            [.., b'\r', b'\n'] => &line[line.len() - 2..],
            [.., b'\n'] => &line[line.len() - 1..],
            _ => &line[line.len()..],
        };
        // Blanks at the end of a line are a gateway's.
        let mut text = line[..line.len() - end.len()].trim_ascii_end();
        let is_soft = text.last() == Some(&b'=');
        if is_soft {
            text = &text[..text.len() - 1];
        }
        let mut at = 0;
        while at < text.len() {
            let decoded = match text[at..] {
                [b'=', high, low, ..] => hex(high).zip(hex(low)).map(|(high, low)| high << 4 | low),
                _ => None,
            };
            out.push(decoded.unwrap_or(text[at]));
            at += if decoded.is_some() { 3 } else { 1 };
            if out.len() == PIECE_BYTES {
                sink(&out)?;
                out.clear();
            }
        }
        if !is_soft {
            out.extend_from_slice(end);
        }
        if out.len() > PIECE_BYTES / 2 {
            sink(&out)?;
            out.clear();
        }
    }
    if out.is_empty() { ControlFlow::Continue(()) } else { sink(&out) }
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}
