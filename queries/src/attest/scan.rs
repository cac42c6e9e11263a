//! Where records end and how many cells each has: what a data frame no longer shows once short rows are filled up.
//! Promise: one pass, the common rules of CSV (a cell that opens with a quote runs to its closing one); every record counted.
//! Never: no cell is typed or kept; what the frame reader cannot take is told before it is asked.

/// Line by line of the body.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Neither blank nor cut short nor too long: as wide as the header, empty cells behind the last allowed.
    pub sound: Vec<bool>,
    /// Records with nothing in any cell.
    pub blank: u64,
    /// Records that are an empty line and nothing else.
    pub empty: Vec<bool>,
}

/// The record at the beginning of `bytes`: its length with the line end, and its number of cells.
pub(super) fn first_record(bytes: &[u8], delimiter: u8, quote: u8) -> Result<(usize, usize), &'static str> {
    let found = record(bytes, delimiter, quote);
    found.readable().map(|()| (found.length, found.cells))
}

pub(super) fn scan(mut bytes: &[u8], delimiter: u8, quote: u8, width: usize) -> Result<Scan, &'static str> {
    let mut scan = Scan::default();
    while !bytes.is_empty() {
        let found = record(bytes, delimiter, quote);
        found.readable()?;
        let text = &bytes[..found.length];
        let blank = is_blank(text, delimiter, quote);
        let as_wide = found.cells >= width && found.filled <= width;
        scan.blank += u64::from(blank);
        scan.sound.push(!blank && as_wide && !text.contains(&0));
        scan.empty.push(matches!(text, b"\n" | b"\r\n"));
        bytes = &bytes[found.length..];
    }
    Ok(scan)
}

struct Record {
    length: usize,
    cells: usize,
    /// Cells up to the last one with something in it.
    filled: usize,
    unterminated: bool,
    bare_return: bool,
}

impl Record {
    fn readable(&self) -> Result<(), &'static str> {
        if self.bare_return {
            return Err("lines end in a bare carriage return, which Polars' reader does not take for a line end");
        }
        if self.unterminated {
            return Err("a quote is opened and never closed, where Polars' reader stops");
        }
        Ok(())
    }
}

fn record(bytes: &[u8], delimiter: u8, quote: u8) -> Record {
    let mut found = Record { length: bytes.len(), cells: 1, filled: 0, unterminated: false, bare_return: false };
    let (mut inside, mut in_quoted_cell, mut at_start) = (false, false, true);
    for (place, &byte) in bytes.iter().enumerate() {
        if byte == quote && (in_quoted_cell || at_start) {
            // In a cell that opened with one, each quote turns the state over, as it does for Polars.
            inside = !inside;
            in_quoted_cell = true;
            at_start = false;
        } else if inside {
            found.filled = found.cells;
        } else if byte == delimiter {
            found.cells += 1;
            in_quoted_cell = false;
            at_start = true;
        } else if byte == b'\n' {
            found.length = place + 1;
            return found;
        } else if byte == b'\r' {
            found.bare_return |= bytes.get(place + 1).is_some_and(|next| *next != b'\n');
        } else {
            found.filled = found.cells;
            at_start = false;
        }
    }
    found.unterminated = inside;
    found
}

/// White space, delimiters and empty quotes only.
fn is_blank(text: &[u8], delimiter: u8, quote: u8) -> bool {
    let solid = |byte: u8| byte.is_ascii() && !byte.is_ascii_whitespace() && byte != delimiter && byte != quote;
    // Most records have a letter or digit at once.
    if text.first().is_some_and(|byte| solid(*byte)) {
        return false;
    }
    std::str::from_utf8(text).is_ok_and(|text| {
        text.chars().all(|c| c.is_whitespace() || c as u32 == u32::from(delimiter) || c as u32 == u32::from(quote))
    })
}
