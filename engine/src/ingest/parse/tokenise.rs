//! Tokenise: the bytes of one record become cells by RFC 4180, or with an escape character if the file has one.
//! Promise: agrees cell for cell with csv-async.
//! Never: no state between records, no copy, no allocation per cell.

use memchr::{memchr, memchr2, memchr3};

/// Where one cell lies within its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub start: u32,
    pub end: u32,
    /// The range still holds the opening quote, and doubled quotes or text behind the closing one: read it with `unescape`.
    pub escaped: bool,
    pub quoted: bool,
}

impl Cell {
    pub fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }

    /// Where the delimiter or the end of the record stands.
    pub fn behind(self) -> usize {
        // The range leaves out the quotes of a cell that needs no unescaping.
        self.end as usize + usize::from(self.quoted && !self.escaped)
    }
}

/// How one record ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scan {
    /// `end` is where its line end starts; `lines` were opened inside quotes.
    Whole { end: usize, lines: u64, unterminated: bool },
    /// The bytes ended first.
    Partial,
}

const ONES: u64 = 0x0101_0101_0101_0101;
const LOWS: u64 = 0x7f7f_7f7f_7f7f_7f7f;

/// Knows the delimiter, the quote and the escape; keeps no state between records.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tokeniser {
    delimiter: u8,
    quote: u8,
    /// Inside quotes takes the next byte along. Quotes may be doubled all the same.
    escape: Option<u8>,
    delimiters: u64,
}

impl Tokeniser {
    pub fn new(delimiter: u8, quote: u8) -> Self {
        Self { delimiter, quote, escape: None, delimiters: ONES * u64::from(delimiter) }
    }

    pub fn with_escape(self, escape: Option<u8>) -> Self {
        Self { escape, ..self }
    }

    pub fn quote(&self) -> u8 {
        self.quote
    }

    /// Splits the record that starts at `bytes[0]`. `last`: no bytes will follow, so their end ends the record.
    pub fn record(&self, bytes: &[u8], last: bool, cells: &mut Vec<Cell>) -> Scan {
        self.rest_of_record(bytes, 0, last, cells)
    }

    /// The same, where the first `known` of `cells` are known to be this record's: they and the delimiter behind the last
    /// of them were found byte by byte equal to another record's, which was split into these cells.
    pub fn rest_of_record(&self, bytes: &[u8], known: usize, last: bool, cells: &mut Vec<Cell>) -> Scan {
        cells.truncate(known);
        let mut start = cells.last().map_or(0, |cell| cell.behind() + 1);
        // Only a quoted cell can hold a line end.
        let mut any_quoted = cells.iter().any(|cell| cell.quoted);
        loop {
            let (end, cell) = if bytes.get(start) == Some(&self.quote) {
                any_quoted = true;
                match self.quoted(bytes, start, last) {
                    Some(Ok(found)) => found,
                    Some(Err(cell)) => {
                        cells.push(cell);
                        let lines = line_ends(bytes);
                        return Scan::Whole { end: bytes.len(), lines, unterminated: true };
                    }
                    None => return Scan::Partial,
                }
            } else {
                let (from, end) = self.plain_cells(bytes, start, cells);
                (end, Cell { start: from as u32, end: end as u32, escaped: false, quoted: false })
            };
            match bytes.get(end) {
                Some(&byte) if byte == self.delimiter => {
                    cells.push(cell);
                    start = end + 1;
                }
                None if !last => return Scan::Partial,
                _ => {
                    cells.push(cell);
                    let lines = if any_quoted { line_ends(&bytes[..end]) } else { 0 };
                    return Scan::Whole { end, lines, unterminated: false };
                }
            }
        }
    }

    /// Plain cells from the one that begins at `start`, up to one that is not known to be followed by another plain one:
    /// its start and end. Eight bytes at a time, and all ends in them: cells are short, and many are empty.
    #[inline]
    fn plain_cells(&self, bytes: &[u8], start: usize, cells: &mut Vec<Cell>) -> (usize, usize) {
        let (mut start, mut at) = (start, start);
        while let Some(eight) = bytes.get(at..at + 8) {
            let mut hits = self.hits(eight);
            while hits != 0 {
                let end = at + (hits.trailing_zeros() / 8) as usize;
                if bytes[end] != self.delimiter || bytes.get(end + 1) == Some(&self.quote) {
                    return (start, end);
                }
                cells.push(Cell { start: start as u32, end: end as u32, escaped: false, quoted: false });
                start = end + 1;
                hits &= hits - 1;
            }
            at += 8;
        }
        while at < bytes.len() && !self.ends_plain(bytes[at]) {
            at += 1;
        }
        (start, at)
    }

    /// Top bit of each byte set where it is a delimiter, a line feed or a carriage return.
    #[inline]
    fn hits(&self, eight: &[u8]) -> u64 {
        let word = u64::from_le_bytes(eight.try_into().expect("the slice has eight bytes"));
        // A byte of `held` has its top bit clear exactly where the byte is one of the three; no carry crosses bytes.
        let held = nonzero(word ^ self.delimiters) & nonzero(word ^ (ONES * 0x0a)) & nonzero(word ^ (ONES * 0x0d));
        !held & !LOWS
    }

    /// First delimiter, line feed or carriage return at or behind `from`; the length of `bytes` if there is none.
    /// Eight bytes at a time: cells are short, so the set-up of a wider search would cost more than it saves.
    #[inline]
    fn plain_end(&self, bytes: &[u8], from: usize) -> usize {
        let mut at = from;
        while let Some(eight) = bytes.get(at..at + 8) {
            let hits = self.hits(eight);
            if hits != 0 {
                return at + (hits.trailing_zeros() / 8) as usize;
            }
            at += 8;
        }
        while at < bytes.len() && !self.ends_plain(bytes[at]) {
            at += 1;
        }
        at
    }

    #[inline]
    fn ends_plain(&self, byte: u8) -> bool {
        byte == self.delimiter || byte == b'\n' || byte == b'\r'
    }

    /// The quoted cell that opens at `start`, and where it ends. `Some(Err)`: the file ends inside it.
    fn quoted(&self, bytes: &[u8], start: usize, last: bool) -> Option<Result<(usize, Cell), Cell>> {
        let mut at = start + 1;
        let mut escaped = false;
        loop {
            let Some(found) = self.quote_or_escape(&bytes[at..]) else {
                let open = Cell { start: start as u32, end: bytes.len() as u32, escaped: true, quoted: true };
                return last.then_some(Err(open));
            };
            let close = at + found;
            if Some(bytes[close]) == self.escape {
                escaped = true;
                // Behind the last byte, so that the search finds nothing more, if the escape is the last one.
                at = (close + 2).min(bytes.len());
                continue;
            }
            match bytes.get(close + 1) {
                Some(&byte) if byte == self.quote => {
                    escaped = true;
                    at = close + 2;
                }
                Some(&byte) if !self.ends_plain(byte) => {
                    // Text behind the closing quote belongs to the cell, as csv-async and spreadsheets read it.
                    let end = self.plain_end(bytes, close + 1);
                    return Some(Ok((end, Cell { start: start as u32, end: end as u32, escaped: true, quoted: true })));
                }
                None if !last => return None,
                _ => {
                    let cell = if escaped {
                        Cell { start: start as u32, end: close as u32 + 1, escaped, quoted: true }
                    } else {
                        Cell { start: start as u32 + 1, end: close as u32, escaped, quoted: true }
                    };
                    return Some(Ok((close + 1, cell)));
                }
            }
        }
    }

    #[inline]
    fn quote_or_escape(&self, bytes: &[u8]) -> Option<usize> {
        match self.escape {
            None => memchr(self.quote, bytes),
            Some(escape) => memchr2(self.quote, escape, bytes),
        }
    }

    /// Takes the quotes off an escaped cell; answers whether text stood behind the closing quote. Only quotes and
    /// escapes go, so valid UTF-8 stays valid.
    pub fn unescape(&self, raw: &[u8], out: &mut Vec<u8>) -> bool {
        out.clear();
        let mut rest = raw.get(1..).unwrap_or_default();
        while let Some(found) = self.quote_or_escape(rest) {
            let byte = rest[found];
            out.extend_from_slice(&rest[..found]);
            rest = &rest[found + 1..];
            match rest.first() {
                Some(&next) if byte == self.quote && next == byte => out.push(byte),
                _ if byte == self.quote => {
                    out.extend_from_slice(rest);
                    return !rest.trim_ascii().is_empty();
                }
                Some(&next) => {
                    // Before any other byte the escape is a character like others: `C:\temp`.
                    if next != self.quote && Some(next) != self.escape {
                        out.push(byte);
                    }
                    out.push(next);
                }
                None => {
                    out.push(byte);
                    return false;
                }
            }
            rest = &rest[1..];
        }
        out.extend_from_slice(rest);
        false
    }

    /// Goes on in `bytes` from `state` to the end of the record: the index of its line end, if it is there.
    pub fn advance(&self, state: &mut State, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < bytes.len() {
            match *state {
                State::CellStart if bytes[at] == self.quote => {
                    *state = State::Quoted;
                    at += 1;
                }
                State::QuoteInQuoted if bytes[at] == self.quote => {
                    *state = State::Quoted;
                    at += 1;
                }
                State::Quoted => match self.quote_or_escape(&bytes[at..]) {
                    Some(found) => {
                        let escaped = Some(bytes[at + found]) == self.escape;
                        *state = if escaped { State::Escaped } else { State::QuoteInQuoted };
                        at += found + 1;
                    }
                    None => return None,
                },
                State::Escaped => {
                    *state = State::Quoted;
                    at += 1;
                }
                State::CellStart | State::QuoteInQuoted | State::Plain => {
                    match memchr3(self.delimiter, b'\n', b'\r', &bytes[at..]) {
                        Some(found) if bytes[at + found] == self.delimiter => {
                            *state = State::CellStart;
                            at += found + 1;
                        }
                        Some(found) => return Some(at + found),
                        None => {
                            *state = State::Plain;
                            return None;
                        }
                    }
                }
            }
        }
        None
    }
}

/// Top bit of each byte set where the byte is not zero.
#[inline]
fn nonzero(word: u64) -> u64 {
    ((word & LOWS) + LOWS) | word
}

/// Line ends in `bytes`: a line feed, a carriage return, or both as one.
pub(super) fn line_ends(bytes: &[u8]) -> u64 {
    let mut count = 0;
    let mut rest = bytes;
    while let Some(found) = memchr2(b'\n', b'\r', rest) {
        count += 1;
        let both = rest[found] == b'\r' && rest.get(found + 1) == Some(&b'\n');
        rest = &rest[found + if both { 2 } else { 1 }..];
    }
    count
}

/// Where within a record `advance` stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    CellStart,
    Plain,
    Quoted,
    QuoteInQuoted,
    /// Behind an escape inside quotes.
    Escaped,
}

#[cfg(test)]
mod tests;
