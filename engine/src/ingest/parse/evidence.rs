//! Evidence: what the rows told of the file, counted as they pass and put into words for the receipt.
//! Promise: counts are of the whole file and exact; each trait says by what it was known.
//! Never: nothing here changes how a cell is read.

use std::collections::BTreeMap;

use bonded_schemas::delivery::RejectKind;

use super::{
    encoding::{Encoding, HighBytes},
    style::Styles,
};

/// Lines of the preamble kept with the receipt, and characters of each.
pub(super) const PREAMBLE_LINES_MAX: usize = 20;

/// How the lines outside quotes ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LineEnds {
    /// Ends that began with a line feed, and with a carriage return.
    feeds: u64,
    returns: u64,
    /// Carriage returns that a line feed followed.
    pairs: u64,
    /// Lines with nothing on them.
    pub blank: u64,
}

impl LineEnds {
    /// A record ended in this byte.
    #[inline]
    pub fn record(&mut self, line_end: u8) {
        let is_return = u64::from(line_end == b'\r');
        self.returns += is_return;
        self.feeds += 1 - is_return;
    }

    /// A line feed behind a carriage return.
    #[inline]
    pub fn pair(&mut self) {
        self.pairs += 1;
    }

    /// An empty line ended in this byte.
    pub fn blank(&mut self, line_end: u8) {
        self.record(line_end);
        self.blank += 1;
    }

    pub fn words(self) -> String {
        let counts = [("crlf", self.pairs), ("lf", self.feeds), ("cr", self.returns - self.pairs)];
        let seen: Vec<String> =
            counts.iter().filter(|(_, count)| *count > 0).map(|(name, count)| format!("{name} {count}")).collect();
        match seen.len() {
            0 => "none: the file is one line".to_owned(),
            1 => seen.concat(),
            _ => format!("mixed: {}", seen.join(", ")),
        }
    }
}

/// A count of odd records and the line of the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    count: u64,
    first_line: u64,
}

impl Tally {
    fn add(&mut self, line: u64) {
        if self.count == 0 {
            self.first_line = line;
        }
        self.count += 1;
    }

    fn words(self, what: &str) -> Option<String> {
        (self.count > 0).then(|| format!("{} {what}, first at line {}", self.count, self.first_line))
    }
}

/// What is counted while rows pass; nothing of it for an ordinary row but the styles.
#[derive(Clone, Debug, Default)]
pub(super) struct Evidence {
    pub high: HighBytes,
    pub styles: Styles,
    trailing_delimiters: Tally,
    blank: Tally,
    shorter: Tally,
    longer: Tally,
    /// Rows whose quotes leave a doubt about the borders of their cells.
    quotes_in_doubt: Tally,
    apart: BTreeMap<RejectKind, Tally>,
}

impl Evidence {
    /// `high`: bytes up to the body that are not UTF-8.
    pub fn new(high: HighBytes, styles: Styles) -> Self {
        Self { high, styles, ..Self::default() }
    }

    #[cold]
    pub fn trailing_delimiter(&mut self, line: u64) {
        self.trailing_delimiters.add(line);
    }

    /// A line of white space, or of delimiters only.
    #[cold]
    pub fn blank_row(&mut self, line: u64) {
        self.blank.add(line);
    }

    #[cold]
    pub fn ragged(&mut self, line: u64, cells: usize, names: usize) {
        if cells < names { self.shorter.add(line) } else { self.longer.add(line) }
    }

    #[cold]
    pub fn quotes_in_doubt(&mut self, line: u64) {
        self.quotes_in_doubt.add(line);
    }

    /// A record that is no row of the table.
    #[cold]
    pub fn apart(&mut self, kind: RejectKind, line: u64) {
        self.apart.entry(kind).or_default().add(line);
    }

    /// How many records were no rows of the table.
    pub fn apart_total(&self) -> u64 {
        let kinds = self.apart.iter().filter(|(kind, _)| **kind != RejectKind::Unreadable);
        kinds.map(|(_, tally)| tally.count).sum()
    }

    /// For the receipt. `names` are the header's.
    pub fn words(&self, names: &[String], line_ends: LineEnds, replaced: u64, encoding: Encoding) -> BTreeMap<String, String> {
        let mut words = BTreeMap::from([("line_ends".to_owned(), line_ends.words())]);
        let mut tell = |trait_name: &str, text: Option<String>| {
            if let Some(text) = text {
                words.insert(trait_name.to_owned(), text);
            }
        };
        let read_as = self.high.encoding().map(|encoding| format!("{} ({})", encoding.as_str(), self.high.evidence()));
        let lost = (replaced > 0)
            .then(|| format!("{} ({replaced} of its units are no character and were read as U+FFFD)", encoding.as_str()));
        tell("encoding", read_as.or(lost));
        let bare = (line_ends.blank > 0).then(|| format!("{} without a character", line_ends.blank));
        let blank: Vec<String> = bare.into_iter().chain(self.blank.words("of white space or delimiters")).collect();
        tell("blank_rows", (!blank.is_empty()).then(|| blank.join("; ")));
        tell("trailing_delimiters", self.trailing_delimiters.words("rows end in delimiters behind their last cell"));
        let ragged: Vec<String> = [self.shorter.words("rows with fewer cells"), self.longer.words("rows with more cells")]
            .into_iter()
            .flatten()
            .collect();
        tell("ragged_rows", (!ragged.is_empty()).then(|| format!("{}; each is a reject", ragged.join("; "))));
        let early = self.quotes_in_doubt.words("rows have quotes where cells may not have them");
        tell("quotes_in_doubt", early.map(|text| format!("{text}; each is a reject")));
        for (kind, tally) in &self.apart {
            let (name, what) = match kind {
                RejectKind::Unreadable => continue,
                RejectKind::Total => ("totals", "rows of totals, kept as rejects"),
                RejectKind::RepeatedHeader => {
                    ("repeated_header", "rows repeat the header or what stands above it, kept as rejects")
                }
                RejectKind::Footer => ("footers", "notes around the table, kept as rejects"),
            };
            tell(name, tally.words(what));
        }
        for (position, text) in self.styles.words() {
            tell(&format!("style of {}", names.get(position).map_or("", String::as_str)), Some(text));
        }
        words
    }
}

#[cfg(test)]
mod tests;
