//! Head: what the first bytes of a file tell - its kind, encoding, delimiter, header and report.
//! Promise: a report is recognised by its header wherever the header stands in the first records, by any delimiter.
//! Never: the file's name is not asked; what is no report is refused with the mend, not guessed at.

use bonded_schemas::{DriftFinding, Mapping, Quarantine, QuarantineReason, Recognition, Registry, Report, edition::fold};

use super::{
    Dialect, Encoding, Head, HeadOutcome, quarantine,
    tokenise::{Scan, Tokeniser},
    value::{decode, meant},
};

/// `find_head` decides by this many bytes at the latest.
pub const HEAD_BYTES_MAX: usize = 256 << 10;
/// The header is among this many first records, blank lines not counted.
pub const HEAD_RECORDS_MAX: usize = 50;
/// A header of more columns is no report's; the widest known export has about sixty.
pub const HEAD_COLUMNS_MAX: usize = 2_048;

const QUOTE: u8 = b'"';
const DELIMITERS: [u8; 4] = [b',', b'\t', b';', b'|'];
const MEND: &str = "export the report from ACE as CSV (UTF-8) and deliver that file";

/// Looks for the header in the first bytes of a file: all of them if `whole`, otherwise ever more of them on `NeedMore`.
///
/// `mapping` gives the tenant's accepted renames, so that a renamed grain column is still recognised.
pub fn find_head(first: &[u8], whole: bool, registry: &Registry, mapping: &dyn Fn(Report) -> Mapping) -> HeadOutcome {
    // More bytes can change the answer only until the limit is reached.
    let settled = whole || first.len() >= HEAD_BYTES_MAX;
    if first.len() < 8 && !settled {
        return HeadOutcome::NeedMore;
    }
    if let Some(message) = other_kind(first) {
        return refuse(QuarantineReason::NotCsv, None, message);
    }
    let (text, start, mark) = match first.strip_prefix(b"\xef\xbb\xbf") {
        Some(rest) => (rest, 3, Encoding::Utf8Bom),
        None => (first, 0, Encoding::Utf8),
    };
    if text.iter().all(u8::is_ascii_whitespace) {
        return if settled { refuse(QuarantineReason::Empty, None, empty(first)) } else { HeadOutcome::NeedMore };
    }
    let mappings: Vec<(Report, Mapping)> = Report::ALL.into_iter().map(|report| (report, mapping(report))).collect();
    let attempts = DELIMITERS.map(|delimiter| candidates(text, whole, delimiter));
    let known = attempts.iter().flatten().filter_map(|candidate| {
        let report = known(candidate, registry, &mappings)?;
        Some((candidate, report))
    });
    // The earliest header; by the delimiter that finds more columns in it.
    let best = known.min_by_key(|(candidate, _)| (candidate.start, std::cmp::Reverse(candidate.names.len())));
    match best {
        Some((candidate, _)) if candidate.line_end_open && !settled => HeadOutcome::NeedMore,
        Some((candidate, report)) if text[..candidate.next].contains(&0) => {
            let message = format!("the header holds NUL bytes, so the file is not text or is UTF-16: {MEND}");
            refuse(QuarantineReason::NotCsv, Some(report), message)
        }
        Some((candidate, report)) => HeadOutcome::Found(head(candidate, report, start, encoding(mark, text, whole))),
        None if settled => HeadOutcome::Quarantine(refusal(text, &attempts, registry, whole)),
        None => HeadOutcome::NeedMore,
    }
}

/// The name of a delimiter, for people.
pub(super) fn delimiter_name(delimiter: u8) -> &'static str {
    match delimiter {
        b',' => "comma",
        b'\t' => "tab",
        b';' => "semicolon",
        b'|' => "vertical bar",
        _ => "other",
    }
}

/// One record of the head, read with one delimiter.
struct Candidate {
    delimiter: u8,
    names: Vec<String>,
    /// Records above it.
    above: u64,
    /// Byte where it starts, behind any byte order mark, and where the next record may start.
    start: usize,
    next: usize,
    line: u64,
    next_line: u64,
    /// It ends in a carriage return behind which more bytes may come, so a line feed may belong to it.
    line_end_open: bool,
}

/// The first records, as one delimiter splits them; only those that are there to their end.
fn candidates(text: &[u8], whole: bool, delimiter: u8) -> Vec<Candidate> {
    let tokeniser = Tokeniser::new(delimiter, QUOTE);
    let (mut found, mut cells, mut scratch) = (Vec::new(), Vec::new(), Vec::new());
    let (mut at, mut line) = (0, 1);
    while found.len() < HEAD_RECORDS_MAX && at < text.len() {
        if let Some(length) = line_end(&text[at..]) {
            at += length;
            line += 1;
            continue;
        }
        let Scan::Whole { end, lines, unterminated: false } = tokeniser.record(&text[at..], whole, &mut cells) else { break };
        let record = &text[at..at + end];
        let mut name = |cell: &super::tokenise::Cell| {
            let raw = &record[cell.range()];
            if !cell.escaped {
                return meant(&decode(raw).0).to_owned();
            }
            tokeniser.unescape(raw, &mut scratch);
            meant(&decode(&scratch).0).to_owned()
        };
        // Wider records are no header; their names would only cost memory.
        let mut names: Vec<String> = cells.iter().take(HEAD_COLUMNS_MAX + 1).map(&mut name).collect();
        if names.len() > 1 && names.last().is_some_and(String::is_empty) {
            // A delimiter behind the last name opens a cell that names nothing.
            names.pop();
        }
        let length = line_end(&text[at + end..]).unwrap_or(0);
        let next = at + end + length;
        let line_end_open = !whole && next == text.len() && text[next - 1] == b'\r';
        let next_line = line + lines + u64::from(length > 0);
        found.push(Candidate { delimiter, names, above: found.len() as u64, start: at, next, line, next_line, line_end_open });
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
fn known(candidate: &Candidate, registry: &Registry, mappings: &[(Report, Mapping)]) -> Option<Report> {
    if candidate.names.len() > HEAD_COLUMNS_MAX {
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

fn head(candidate: &Candidate, report: Report, start: usize, encoding: Encoding) -> Head {
    let mut findings = Vec::new();
    if candidate.above > 0 {
        findings.push(DriftFinding::preamble(candidate.line - 1));
    }
    if candidate.delimiter != b',' {
        findings.push(DriftFinding::delimiter(char::from(candidate.delimiter)));
    }
    if encoding == Encoding::Windows1252 {
        findings.push(DriftFinding::encoding(encoding.as_str(), 0));
    }
    Head {
        dialect: Dialect { delimiter: candidate.delimiter, quote: QUOTE, encoding },
        header: candidate.names.clone(),
        header_line: candidate.line,
        body_offset: (start + candidate.next) as u64,
        body_line: candidate.next_line,
        report,
        preamble_rows: candidate.above,
        findings,
        line_feed_pending: candidate.line_end_open,
    }
}

/// UTF-8 unless the bytes looked at say otherwise; a character cut off at their end says nothing.
fn encoding(mark: Encoding, text: &[u8], whole: bool) -> Encoding {
    match std::str::from_utf8(text) {
        Err(error) if whole || error.error_len().is_some() => Encoding::Windows1252,
        _ => mark,
    }
}

/// The best account of why no record is the header of a report.
fn refusal(text: &[u8], attempts: &[Vec<Candidate>; 4], registry: &Registry, whole: bool) -> Quarantine {
    if text.contains(&0) {
        let message = format!("the file holds NUL bytes, so it is not text or is UTF-16: {MEND}");
        return quarantine(QuarantineReason::NotCsv, None, message);
    }
    if attempts.iter().all(Vec::is_empty) {
        return if whole {
            let message = format!("a quote is opened in the first record and never closed: {MEND}");
            quarantine(QuarantineReason::NotCsv, None, message)
        } else {
            let message = format!("the first record is longer than {HEAD_BYTES_MAX} bytes, so it is no header: {MEND}");
            quarantine(QuarantineReason::RecordTooLong, None, message)
        };
    }
    let ranked = attempts.iter().flat_map(|records| {
        let headers = records.iter().enumerate().filter(|(_, candidate)| candidate.names.len() <= HEAD_COLUMNS_MAX);
        headers.map(|(place, candidate)| (candidate, recognise(registry, candidate, &records[place + 1..])))
    });
    let best = ranked.min_by_key(|(candidate, recognition)| {
        let rank = match recognition {
            Recognition::Impostor(..) => 0,
            Recognition::GrainMissing(..) => 1,
            Recognition::Known(_) | Recognition::Unknown(Some(_)) => 2,
            Recognition::Unknown(None) => 3,
        };
        (rank, candidate.start, std::cmp::Reverse(candidate.names.len()))
    });
    let table = attempts.iter().flatten().any(|candidate| candidate.names.len() > 1);
    match best {
        Some((_, Recognition::Impostor(report, why))) => {
            let message = format!("this looks like {report} and is {why}");
            quarantine(QuarantineReason::Impostor, Some(report), message)
        }
        Some((candidate, Recognition::GrainMissing(report, columns))) => {
            let columns: Vec<String> = columns.iter().map(|column| format!("`{column}`")).collect();
            let message = format!(
                "the header on line {} is {report} without {}, so its rows cannot be told apart: add the column in ACE, or accept a mapping \
                 if it has another name, and deliver or replay the file",
                candidate.line,
                columns.join(" and ")
            );
            quarantine(QuarantineReason::GrainMissing, Some(report), message)
        }
        Some((candidate, Recognition::Known(report) | Recognition::Unknown(Some(report)))) => {
            let message = format!(
                "no record of the first {HEAD_RECORDS_MAX} is the header of a known report; line {} is nearest to {report}: deliver an \
                 ES-001, ES-002 or ES-003 export with its column names as CBP spells them",
                candidate.line
            );
            quarantine(QuarantineReason::UnknownReport, Some(report), message)
        }
        _ if table => {
            let message = format!(
                "no record of the first {HEAD_RECORDS_MAX} is the header of a known report, nor near to one: deliver an ES-001, ES-002 \
                 or ES-003 export"
            );
            quarantine(QuarantineReason::UnknownReport, None, message)
        }
        _ => quarantine(QuarantineReason::NotCsv, None, format!("the file is text without columns: {MEND}")),
    }
}

/// What the names say, and the values below them where the names leave a doubt.
fn recognise(registry: &Registry, candidate: &Candidate, below: &[Candidate]) -> Recognition {
    match registry.recognise(&candidate.names) {
        Recognition::GrainMissing(report, columns) => {
            let rows: Vec<Vec<String>> = below.iter().map(|row| row.names.clone()).collect();
            let witness = registry.recognise_values(report, &candidate.names, &rows);
            witness.unwrap_or(Recognition::GrainMissing(report, columns))
        }
        other => other,
    }
}

/// What the bytes are, when their beginning says that they are no CSV.
fn other_kind(first: &[u8]) -> Option<String> {
    // UTF-32 before UTF-16, whose mark its own begins with.
    const KINDS: [(&[u8], &str); 15] = [
        (b"\xff\xfe\x00\x00", "UTF-32 text"),
        (b"\x00\x00\xfe\xff", "UTF-32 text"),
        (b"\xff\xfe", "UTF-16 text"),
        (b"\xfe\xff", "UTF-16 text"),
        (b"PK\x03\x04", "an Excel workbook (xlsx) or a zip archive"),
        (b"PK\x05\x06", "an empty zip archive"),
        (b"\xd0\xcf\x11\xe0", "an old Excel workbook (xls)"),
        (b"%PDF", "a PDF document"),
        (b"\x1f\x8b", "a gzip archive"),
        (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
        (b"Rar!", "a RAR archive"),
        (b"BZh", "a bzip2 archive"),
        (b"\xfd7zXZ", "an xz archive"),
        (b"\x28\xb5\x2f\xfd", "a zstd archive"),
        (b"PAR1", "a Parquet file"),
    ];
    let named = KINDS.iter().find(|(magic, _)| first.starts_with(magic)).map(|(_, kind)| *kind);
    named.or_else(|| markup(first)).map(|kind| format!("this is {kind}, not CSV: {MEND}"))
}

/// A log-in page saved in place of the report, most often.
fn markup(first: &[u8]) -> Option<&'static str> {
    let text = first.strip_prefix(b"\xef\xbb\xbf").unwrap_or(first).trim_ascii_start();
    let starts = |tag: &[u8]| text.get(..tag.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(tag));
    if starts(b"<!doctype html") || starts(b"<html") {
        Some("a web page")
    } else if starts(b"<?xml") {
        Some("an XML document")
    } else {
        None
    }
}

fn empty(first: &[u8]) -> String {
    let what = if first.is_empty() { "has no bytes" } else { "holds nothing but blank lines" };
    format!("the file {what}: {MEND}")
}

fn refuse(reason: QuarantineReason, nearest: Option<Report>, message: String) -> HeadOutcome {
    HeadOutcome::Quarantine(quarantine(reason, nearest, message))
}

#[cfg(test)]
mod tests;
