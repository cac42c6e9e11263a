//! Dialect: how a file parts and quotes its cells, and by what the quoting was known.
//! Promise: quoting is the usual one unless a sample of the rows reads with strictly fewer faults by another.
//! Never: an apostrophe before a value (a spreadsheet's mark for text) is not taken for a quote.

use memchr::{memchr, memmem};

use super::{
    encoding::Encoding,
    tokenise::{Cell, Scan, Tokeniser, line_ends},
};

pub(super) const DOUBLE: u8 = b'"';
pub(super) const SINGLE: u8 = b'\'';
const BACKSLASH: u8 = b'\\';

/// How a file separates and quotes its cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    pub delimiter: u8,
    pub quote: u8,
    /// Inside quotes a quote is doubled; with an escape, it may stand behind that instead.
    pub escape: Option<u8>,
    pub encoding: Encoding,
}

impl Dialect {
    /// The delimiter's name, for people.
    pub fn delimiter_name(&self) -> &'static str {
        match self.delimiter {
            b',' => "comma",
            b'\t' => "tab",
            b';' => "semicolon",
            b'|' => "vertical bar",
            _ => "other",
        }
    }

    pub(super) fn tokeniser(&self) -> Tokeniser {
        Tokeniser::new(self.delimiter, self.quote).with_escape(self.escape)
    }
}

/// How cells are quoted, and by what that was known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Quoting {
    pub quote: u8,
    pub escape: Option<u8>,
    pub evidence: String,
}

/// Judges by the rows in `sample`; `quote` is what the header was read with, `names` how many cells it has.
pub(super) fn quoting(sample: &[u8], whole: bool, delimiter: u8, quote: u8, names: usize) -> Quoting {
    let read = |quote, escape| Reading::of(sample, whole, Tokeniser::new(delimiter, quote).with_escape(escape), names);
    // With an escape only where that reads with strictly fewer faults.
    let best_with = |quote: u8| {
        let doubled = (None, read(quote, None));
        if memmem::find(sample, &[BACKSLASH, quote]).is_none() {
            return doubled;
        }
        let escaped = (Some(BACKSLASH), read(quote, Some(BACKSLASH)));
        if escaped.1.faults() < doubled.1.faults() { escaped } else { doubled }
    };
    let (mut quote, (mut escape, mut reading)) = (quote, best_with(quote));
    if quote == DOUBLE && reading.quoted == 0 && memchr(SINGLE, sample).is_some() {
        let (with, single) = best_with(SINGLE);
        if single.is_column_of_quotes() && single.faults() <= reading.faults() {
            (quote, escape, reading) = (SINGLE, with, single);
        }
    }
    Quoting { quote, escape, evidence: words(quote, escape, &reading) }
}

fn words(quote: u8, escape: Option<u8>, reading: &Reading) -> String {
    let mark = if quote == SINGLE { "single" } else { "double" };
    if reading.quoted == 0 && escape.is_none() && quote == DOUBLE {
        return format!("{mark}, doubled inside (none seen in {} rows of the head)", reading.records);
    }
    let inside = if escape.is_some() { "behind a backslash inside" } else { "doubled inside" };
    let faults = match reading.faults() {
        0 => "none reads wrong so".to_owned(),
        count => format!("{count} of them read wrong all the same"),
    };
    format!("{mark}, {inside} ({} cells quoted in {} rows of the head; {faults})", reading.quoted, reading.records)
}

/// What a sample comes to under one way of quoting.
#[derive(Debug, Default)]
struct Reading {
    records: u64,
    /// Records that are neither as wide as the header nor a single cell, which notes are in any reading.
    ragged: u64,
    /// Cells with text behind the closing quote.
    dirty: u64,
    /// Lines swallowed by a record without an end.
    swallowed: u64,
    quoted: u64,
    /// Per position: cells that are not empty, and quoted ones.
    columns: Vec<(u64, u64)>,
}

impl Reading {
    fn of(sample: &[u8], whole: bool, tokeniser: Tokeniser, names: usize) -> Self {
        let mut reading = Self { columns: vec![(0, 0); names], ..Self::default() };
        let (mut cells, mut scratch) = (Vec::new(), Vec::new());
        let mut rest = sample;
        loop {
            let blank = rest.iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
            rest = &rest[blank..];
            if rest.is_empty() {
                return reading;
            }
            match tokeniser.record(rest, whole, &mut cells) {
                Scan::Whole { end, unterminated: false, .. } => {
                    reading.add(&rest[..end], &cells, tokeniser, &mut scratch);
                    rest = &rest[end..];
                }
                // The last line is cut off in any reading; more than that was swallowed by a quote.
                _ => {
                    reading.swallowed = line_ends(rest);
                    return reading;
                }
            }
        }
    }

    fn add(&mut self, record: &[u8], cells: &[Cell], tokeniser: Tokeniser, scratch: &mut Vec<u8>) {
        let names = self.columns.len();
        self.records += 1;
        let behind = cells.get(names..).unwrap_or_default();
        let wide = cells.len() >= names && behind.iter().all(|cell| cell.range().is_empty());
        self.ragged += u64::from(!wide && cells.len() > 1);
        for (position, cell) in cells.iter().enumerate() {
            self.quoted += u64::from(cell.quoted);
            self.dirty += u64::from(cell.escaped && tokeniser.unescape(&record[cell.range()], scratch));
            if let Some((filled, quoted)) = self.columns.get_mut(position) {
                *filled += u64::from(cell.quoted || !cell.range().is_empty());
                *quoted += u64::from(cell.quoted);
            }
        }
    }

    fn faults(&self) -> u64 {
        self.ragged + self.dirty + self.swallowed
    }

    /// Some column is quoted in every row that fills it, more than once, and no cell contradicts.
    fn is_column_of_quotes(&self) -> bool {
        self.dirty == 0 && self.columns.iter().any(|(filled, quoted)| *filled > 1 && filled == quoted)
    }
}

#[cfg(test)]
mod tests;
