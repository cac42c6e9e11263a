//! The records that may be the header: the first ones, as a delimiter and a quote split them.
//! Promise: only records that are there to their end; their places, lines and line ends are counted as the rows' are.
//! Never: a record wider than any header costs memory for its names.

use bonded_schemas::{Mapping, Recognition, Registry, Report, edition::fold};

use super::{
    super::{
        evidence::LineEnds,
        tokenise::{Cell, Scan, Tokeniser},
        value::{decode, meant},
    },
    HEAD_COLUMNS_MAX, HEAD_RECORDS_MAX,
};

/// One record of the head, read with one delimiter and quote.
pub(super) struct Candidate {
    pub delimiter: u8,
    pub quote: u8,
    pub names: Vec<String>,
    /// It ends in a delimiter, behind which stands no name.
    pub delimited: bool,
    /// It goes over lines, and text stands behind a closing quote: a lost quote swallowed what lies below it.
    pub in_doubt: bool,
    /// Where it starts in the text, where its line end is, and where the next record may start.
    pub start: usize,
    pub end: usize,
    pub next: usize,
    pub line: u64,
    pub next_line: u64,
    /// It ends in a carriage return behind which more bytes may come, so a line feed may belong to it.
    pub line_end_open: bool,
    /// Line ends up to `next`.
    pub line_ends: LineEnds,
}

/// The first records, as one delimiter splits them; only those that are there to their end.
pub(super) fn candidates(text: &[u8], whole: bool, delimiter: u8, quote: u8) -> Vec<Candidate> {
    let tokeniser = Tokeniser::new(delimiter, quote);
    let mut line_ends = LineEnds::default();
    let (mut found, mut cells, mut scratch) = (Vec::new(), Vec::new(), Vec::new());
    let (mut at, mut line) = (0, 1);
    while found.len() < HEAD_RECORDS_MAX && at < text.len() {
        if let Some(length) = line_end(&text[at..]) {
            line_ends.blank(text[at]);
            if length == 2 {
                line_ends.pair();
            }
            at += length;
            line += 1;
            continue;
        }
        let Scan::Whole { end, lines, unterminated: false } = tokeniser.record(&text[at..], whole, &mut cells) else { break };
        let record = &text[at..at + end];
        let mut in_doubt = false;
        let mut name = |cell: &Cell| {
            let raw = &record[cell.range()];
            if !cell.escaped {
                return meant(&decode(raw).0).to_owned();
            }
            in_doubt |= tokeniser.unescape(raw, &mut scratch) && lines > 0;
            meant(&decode(&scratch).0).to_owned()
        };
        // Wider records are no header; their names would only cost memory.
        let mut names: Vec<String> = cells.iter().take(HEAD_COLUMNS_MAX + 1).map(&mut name).collect();
        let delimited = names.len() > 1 && names.last().is_some_and(String::is_empty);
        if delimited {
            // A delimiter behind the last name opens a cell that names nothing.
            names.pop();
        }
        let length = line_end(&text[at + end..]).unwrap_or(0);
        let next = at + end + length;
        match length {
            0 => {}
            1 => line_ends.record(text[at + end]),
            _ => {
                line_ends.record(text[at + end]);
                line_ends.pair();
            }
        }
        let line_end_open = !whole && next == text.len() && text[next - 1] == b'\r';
        let next_line = line + lines + u64::from(length > 0);
        let (start, end) = (at, at + end);
        found.push(Candidate {
            delimiter,
            quote,
            names,
            delimited,
            in_doubt,
            start,
            end,
            next,
            line,
            next_line,
            line_end_open,
            line_ends,
        });
        (at, line) = (next, next_line);
    }
    found
}

/// Length of the line end that `bytes` begin with.
fn line_end(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [b'\r', b'\n', ..] => Some(2),
        [b'\r' | b'\n', ..] => Some(1),
        _ => None,
    }
}

/// The report whose header this is, as delivered or through the tenant's renames.
pub(super) fn known(candidate: &Candidate, registry: &Registry, mappings: &[(Report, Mapping)]) -> Option<Report> {
    if candidate.names.len() > HEAD_COLUMNS_MAX || candidate.in_doubt {
        return None;
    }
    if let Recognition::Known(report) = registry.recognise(&candidate.names) {
        return Some(report);
    }
    let renamed = mappings.iter().filter(|(_, mapping)| !mapping.renames.is_empty());
    renamed.map(|(report, mapping)| (*report, through(&candidate.names, mapping))).find_map(|(report, names)| {
        let recognition = registry.recognise(&names);
        (recognition == Recognition::Known(report)).then_some(report)
    })
}

/// The names with the tenant's renames applied.
fn through(names: &[String], mapping: &Mapping) -> Vec<String> {
    names.iter().map(|name| mapping.renames.get(&fold(name)).unwrap_or(name).clone()).collect()
}
