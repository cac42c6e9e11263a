//! Records: chunks of a file become whole records, each with its line and byte.
//! Promise: the result does not depend on how the bytes were cut into chunks; at most one record is held beyond the
//! chunk in hand, and none longer than the limit.
//! Never: no copy of a record that lies whole in its chunk.

use memchr::{memchr, memchr2};

use super::{
    encoding::received_bytes,
    evidence::LineEnds,
    tokenise::{Cell, Scan, State, Tokeniser},
};

/// Quotes that never close, after which the lines behind are read again; a bound on the work, not on the data.
const LOST_QUOTES_MAX: u32 = 64;
/// One record, borrowed from the chunk or from what was carried over from earlier ones.
#[derive(Clone, Copy)]
pub(super) struct Record<'a> {
    /// Without its line end.
    pub bytes: &'a [u8],
    /// The same as text; `None` if it is not UTF-8.
    pub text: Option<&'a str>,
    pub cells: &'a [Cell],
    /// Byte offset in the received file where the record starts.
    pub offset: u64,
    /// 1-based physical line where it starts.
    pub line: u64,
    /// The file ended inside a quoted cell.
    pub unterminated: bool,
    pub has_nul: bool,
    /// A quote stands somewhere in it.
    pub has_quote: bool,
    /// The bytes from its start on, its own and some of what follows: what reads in words need not stop at its end.
    pub window: &'a [u8],
    /// So many leading cells are byte by byte those of the record handed out before.
    pub same: usize,
}

/// A record grew beyond the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLong {
    pub line: u64,
    pub offset: u64,
}

/// Where the records begin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beginning {
    /// Byte offset in the received file.
    pub offset: u64,
    pub line: u64,
    /// A carriage return ended what stands before: a line feed at the start belongs to it.
    pub after_return: bool,
    /// The bytes are UTF-8 made from UTF-16: places are counted in the received bytes.
    pub wide: bool,
    /// Line ends counted before.
    pub line_ends: LineEnds,
}

/// The push side: takes chunks, hands out records with their places.
pub(super) struct Records {
    tokeniser: Tokeniser,
    record_bytes_max: usize,
    /// The record that earlier chunks began.
    carry: Vec<u8>,
    state: State,
    /// A carriage return ended the last record: a line feed at the start of the next chunk belongs to it.
    after_return: bool,
    /// Byte offset of the next record (of the carried one while there is one).
    offset: u64,
    line: u64,
    wide: bool,
    line_ends: LineEnds,
    cells: Vec<Cell>,
}

impl Records {
    pub fn new(tokeniser: Tokeniser, record_bytes_max: usize, from: Beginning) -> Self {
        // Cell positions are 32 bits wide.
        let record_bytes_max = record_bytes_max.min(1 << 30);
        let (carry, cells) = (Vec::new(), Vec::new());
        let Beginning { offset, line, after_return, wide, line_ends } = from;
        let state = State::CellStart;
        Self { tokeniser, record_bytes_max, carry, state, after_return, offset, line, wide, line_ends, cells }
    }

    /// How the lines ended so far.
    pub fn line_ends(&self) -> LineEnds {
        self.line_ends
    }

    /// A record has ended in the last byte of `passed`.
    #[inline]
    fn pass(&mut self, passed: &[u8], lines: u64) {
        let line_end = passed[passed.len() - 1];
        self.line_ends.record(line_end);
        self.after_return = line_end == b'\r';
        self.offset += if self.wide { received_bytes(passed) } else { passed.len() as u64 };
        self.line += lines + 1;
    }

    /// Hands each record that `chunk` completes to `each`, in order.
    pub fn push(&mut self, chunk: &[u8], mut each: impl FnMut(Record<'_>)) -> Result<(), TooLong> {
        let mut chunk = chunk;
        if !self.carry.is_empty() {
            let Some(end) = self.tokeniser.advance(&mut self.state, chunk) else {
                return self.keep(chunk);
            };
            let (head, rest) = chunk.split_at(end);
            self.keep(head)?;
            self.carried(rest[0], &mut each);
            chunk = &rest[1..];
        }
        self.whole_records(chunk, &mut each)
    }

    /// The bytes have ended: hands out the last record, if it had no line end.
    ///
    /// A quote that never closes swallows all lines behind it. Then only its first line is handed out, as unterminated,
    /// and the lines behind are read as records again, so that one lost quote costs one row.
    pub fn finish(&mut self, mut each: impl FnMut(Record<'_>)) {
        let mut lost_quotes = 0;
        while !self.carry.is_empty() {
            let carry = std::mem::take(&mut self.carry);
            let Scan::Whole { end, unterminated, .. } = self.tokeniser.record(&carry, true, &mut self.cells) else {
                unreachable!("the end of the file ends every record");
            };
            let first_line_end = memchr2(b'\n', b'\r', &carry).unwrap_or(end);
            let end = if unterminated && lost_quotes < LOST_QUOTES_MAX { first_line_end } else { end };
            self.cells.retain(|cell| cell.start as usize <= end);
            self.cells.iter_mut().for_each(|cell| cell.end = cell.end.min(end as u32));
            self.hand_out(&carry[..end], unterminated, &mut each);
            let Some(passed) = carry.get(..=end) else { return };
            lost_quotes += 1;
            self.pass(passed, 0);
            self.whole_records(&carry[end + 1..], &mut each).expect("a part of a record within the limit is within it");
        }
    }

    /// Records that begin in `chunk`; what its last one lacks is carried over.
    fn whole_records(&mut self, chunk: &[u8], each: &mut impl FnMut(Record<'_>)) -> Result<(), TooLong> {
        // Checked once a chunk rather than once a record: nearly all files are clean.
        let chunk_text = std::str::from_utf8(chunk).ok();
        let chunk_has_nul = memchr(0, chunk).is_some();
        let quote = self.tokeniser.quote();
        let chunk_has_quote = memchr(quote, chunk).is_some();
        let mut at = 0;
        // The record before, whose cells are still in `cells`.
        let mut before: &[u8] = &[];
        loop {
            at = self.skip_line_ends(chunk, at);
            let rest = &chunk[at..];
            if rest.is_empty() {
                return Ok(());
            }
            // One byte more than the limit is enough to know that a record is too long.
            let window = &rest[..rest.len().min(self.record_bytes_max + 2)];
            let alike = common_bytes(before, window);
            let same = self.cells.iter().take_while(|cell| cell.behind() < alike).count();
            let Scan::Whole { end, lines, .. } = self.tokeniser.rest_of_record(window, same, false, &mut self.cells) else {
                self.state = State::CellStart;
                if window.len() > self.record_bytes_max {
                    return Err(TooLong { line: self.line, offset: self.offset });
                }
                let ended = self.tokeniser.advance(&mut self.state, rest);
                debug_assert!(ended.is_none(), "both scanners agree on where a record ends");
                return self.keep(rest);
            };
            if end > self.record_bytes_max {
                return Err(TooLong { line: self.line, offset: self.offset });
            }
            let bytes = &rest[..end];
            each(Record {
                bytes,
                text: match chunk_text {
                    Some(text) => text.get(at..at + end),
                    None => std::str::from_utf8(bytes).ok(),
                },
                cells: &self.cells,
                offset: self.offset,
                line: self.line,
                unterminated: false,
                has_nul: chunk_has_nul && memchr(0, bytes).is_some(),
                has_quote: chunk_has_quote && memchr(quote, bytes).is_some(),
                window: rest,
                same,
            });
            before = bytes;
            self.pass(&rest[..=end], lines);
            at += end + 1;
        }
    }

    /// Blank lines, and the line feed of a pair whose carriage return ended the last record.
    #[inline]
    fn skip_line_ends(&mut self, chunk: &[u8], from: usize) -> usize {
        let mut at = from;
        while let Some(&byte) = chunk.get(at) {
            match byte {
                b'\n' if self.after_return => {
                    self.line_ends.pair();
                    self.after_return = false;
                }
                line_end @ (b'\n' | b'\r') => {
                    self.line_ends.blank(line_end);
                    self.line += 1;
                    self.after_return = line_end == b'\r';
                }
                _ => {
                    self.after_return = false;
                    break;
                }
            }
            at += 1;
        }
        // Line ends only: each is one unit of UTF-16.
        self.offset += if self.wide { 2 } else { 1 } * (at - from) as u64;
        at
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        if self.carry.len() + bytes.len() > self.record_bytes_max {
            self.carry = Vec::new();
            return Err(TooLong { line: self.line, offset: self.offset });
        }
        self.carry.extend_from_slice(bytes);
        Ok(())
    }

    /// Hands out the carried record, now that its line end has come.
    fn carried(&mut self, line_end: u8, each: &mut impl FnMut(Record<'_>)) {
        let mut carry = std::mem::take(&mut self.carry);
        carry.push(line_end);
        let Scan::Whole { end, lines, .. } = self.tokeniser.record(&carry, false, &mut self.cells) else {
            unreachable!("both scanners agree on where a record ends");
        };
        self.hand_out(&carry[..end], false, each);
        self.pass(&carry, lines);
        carry.clear();
        self.carry = carry;
        self.state = State::CellStart;
    }

    fn hand_out(&self, bytes: &[u8], unterminated: bool, each: &mut impl FnMut(Record<'_>)) {
        each(Record {
            bytes,
            text: std::str::from_utf8(bytes).ok(),
            cells: &self.cells,
            offset: self.offset,
            line: self.line,
            unterminated,
            has_nul: memchr(0, bytes).is_some(),
            has_quote: memchr(self.tokeniser.quote(), bytes).is_some(),
            window: bytes,
            same: 0,
        });
    }
}

/// How many bytes both begin with, eight at a time; the last few are not looked at where either is that short.
#[inline]
fn common_bytes(a: &[u8], b: &[u8]) -> usize {
    let (a, _) = a.as_chunks::<8>();
    let (b, _) = b.as_chunks::<8>();
    for (at, (a, b)) in a.iter().zip(b).enumerate() {
        let differ = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
        if differ != 0 {
            return 8 * at + (differ.trailing_zeros() / 8) as usize;
        }
    }
    8 * a.len().min(b.len())
}

#[cfg(test)]
mod tests;
