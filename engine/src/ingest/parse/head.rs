//! Head: what the first bytes of a file tell - its kind, encoding, delimiter, header and report.
//! Promise: a report is recognised by its header wherever the header stands in the first records, by any delimiter;
//! the same bytes are looked at however they came in, and each trait keeps the evidence it was known by.
//! Never: the file's name is not asked; what is no report is refused with the mend, not guessed at.

use std::collections::BTreeMap;

use bonded_schemas::{
    Bound, DriftFinding, Edition, Mapping, Quarantine, QuarantineReason, Recognition, Registry, Report, drift, edition::fold,
};

use super::{
    Dialect, Encoding, Head, HeadOutcome,
    dialect::{DOUBLE, Quoting, SINGLE, quoting},
    encoding::{HighBytes, Transcoder, received_bytes, wide},
    evidence::{LineEnds, PREAMBLE_LINES_MAX},
    quarantine,
    tokenise::{Scan, Tokeniser},
    value::{decode, excerpt, meant},
    width::Width,
};

/// `find_head` decides by this many bytes at the latest.
pub const HEAD_BYTES_MAX: usize = 256 << 10;
/// The header is among this many first records, blank lines not counted.
pub const HEAD_RECORDS_MAX: usize = 50;
/// A header of more columns is no report's; the widest known export has about sixty.
pub const HEAD_COLUMNS_MAX: usize = 2_048;

const DELIMITERS: [u8; 4] = [b',', b'\t', b';', b'|'];
const MEND: &str = "export the report from ACE as CSV (UTF-8) and deliver that file";

/// Looks for the header in the first bytes of a file: all of them if `whole`, otherwise ever more of them on `NeedMore`.
///
/// `mapping` gives the tenant's accepted renames, so that a renamed grain column is still recognised. Nothing is
/// decided before the file or the limit is reached, so that the answer does not depend on how the bytes came in.
pub fn find_head(first: &[u8], whole: bool, registry: &Registry, mapping: &dyn Fn(Report) -> Mapping) -> HeadOutcome {
    let settled = whole || first.len() >= HEAD_BYTES_MAX;
    if first.len() < 8 && !settled {
        return HeadOutcome::NeedMore;
    }
    if let Some(message) = other_kind(first) {
        return refuse(QuarantineReason::NotCsv, None, message);
    }
    if !settled {
        return HeadOutcome::NeedMore;
    }
    let mut transcoded = Vec::new();
    let source = Source::of(first, whole, &mut transcoded);
    if source.text.iter().all(u8::is_ascii_whitespace) {
        return refuse(QuarantineReason::Empty, None, empty(first));
    }
    let mappings: Vec<(Report, Mapping)> = Report::ALL.into_iter().map(|report| (report, mapping(report))).collect();
    let readings = [DOUBLE, SINGLE].map(|quote| DELIMITERS.map(|delimiter| candidates(source.text, whole, delimiter, quote)));
    // A record that is whole by the usual quotes is not cut short by others.
    let longer = |candidate: &Candidate| {
        let usual = readings[0].iter().flatten();
        let mut same = usual.filter(|other| other.delimiter == candidate.delimiter && other.start == candidate.start);
        same.any(|other| other.end > candidate.end && !other.in_doubt)
    };
    let known = readings.iter().flatten().flat_map(|records| {
        let candidates = records.iter().enumerate().filter(|(_, candidate)| !longer(candidate));
        candidates.filter_map(|(place, candidate)| Some((candidate, &records[..place], known(candidate, registry, &mappings)?)))
    });
    // The earliest header; without quotes left in its names; by the delimiter that finds more columns in it.
    let best = known.min_by_key(|(candidate, ..)| {
        let quotes_left = candidate.names.iter().any(|name| name.starts_with(char::from(SINGLE)));
        (candidate.start, quotes_left, std::cmp::Reverse(candidate.names.len()))
    });
    match best {
        Some((candidate, _, report)) if source.text[..candidate.next].contains(&0) => {
            let message = format!("the header holds NUL bytes, so the file is not text: {MEND}");
            refuse(QuarantineReason::NotCsv, Some(report), message)
        }
        Some((candidate, above, report)) => {
            let mapping = mappings.iter().find(|(of, _)| *of == report).map(|(_, mapping)| mapping.clone()).unwrap_or_default();
            let (binding, _) = drift::bind(&candidate.names, registry.edition(report), &mapping);
            let recognised = binding.bound.iter().filter(|bound| matches!(bound, Bound::Column(_))).count();
            let edition = registry.edition(report);
            HeadOutcome::Found(head(&source, candidate, above, edition, recognised, whole))
        }
        None => HeadOutcome::Quarantine(refusal(source.text, &readings[0], registry, whole)),
    }
}

/// The bytes looked at, as text in UTF-8 (or in one byte a letter, which the tokeniser reads as well).
struct Source<'a> {
    text: &'a [u8],
    /// Where the text starts in the received file, behind any byte order mark.
    start: usize,
    received: usize,
    encoding: Encoding,
    evidence: String,
}

impl<'a> Source<'a> {
    fn of(first: &'a [u8], whole: bool, transcoded: &'a mut Vec<u8>) -> Self {
        let received = first.len();
        if let Some(wide) = wide(first)
            && let Some(mut transcoder) = Transcoder::new(wide.encoding)
        {
            transcoder.push(&first[wide.mark_bytes..], transcoded);
            if whole {
                transcoder.finish(transcoded);
            }
            let (encoding, start, evidence) = (wide.encoding, wide.mark_bytes, wide.evidence);
            return Self { text: transcoded, start, received, encoding, evidence };
        }
        let (text, start) = match first.strip_prefix(b"\xef\xbb\xbf") {
            Some(rest) => (rest, 3),
            None => (first, 0),
        };
        let (encoding, evidence) = narrow(text, start, whole);
        Self { text, start, received, encoding, evidence }
    }

    /// Byte offset in the received file of a place in the text.
    fn offset(&self, place: usize) -> u64 {
        let within = if self.encoding.is_wide() { received_bytes(&self.text[..place]) } else { place as u64 };
        // A last byte without its pair counts as one unit in the text.
        (self.start as u64 + within).min(self.received as u64)
    }
}

/// UTF-8 unless the bytes looked at say otherwise; a character cut off at their end says nothing.
fn narrow(text: &[u8], start: usize, whole: bool) -> (Encoding, String) {
    let cut = if whole { 0 } else { text.iter().rev().take(3).take_while(|byte| **byte >= 0x80).count() };
    let mut high = HighBytes::default();
    high.add(&text[..text.len() - cut], start as u64);
    match high.encoding() {
        Some(encoding) => (encoding, high.evidence()),
        None if start > 0 => (Encoding::Utf8Bom, "ef bb bf".to_owned()),
        None if text.is_ascii() => (Encoding::Utf8, format!("the first {} bytes are all ASCII", text.len())),
        None => (Encoding::Utf8, format!("all bytes above 0x7f of the first {} form UTF-8; no byte order mark", text.len())),
    }
}

/// One record of the head, read with one delimiter and quote.
struct Candidate {
    delimiter: u8,
    quote: u8,
    names: Vec<String>,
    /// It ends in a delimiter, behind which stands no name.
    delimited: bool,
    /// It goes over lines, and text stands behind a closing quote: a lost quote swallowed what lies below it.
    in_doubt: bool,
    /// Where it starts in the text, where its line end is, and where the next record may start.
    start: usize,
    end: usize,
    next: usize,
    line: u64,
    next_line: u64,
    /// It ends in a carriage return behind which more bytes may come, so a line feed may belong to it.
    line_end_open: bool,
    /// Line ends up to `next`.
    line_ends: LineEnds,
}

/// The first records, as one delimiter splits them; only those that are there to their end.
fn candidates(text: &[u8], whole: bool, delimiter: u8, quote: u8) -> Vec<Candidate> {
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
        let mut name = |cell: &super::tokenise::Cell| {
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
fn known(candidate: &Candidate, registry: &Registry, mappings: &[(Report, Mapping)]) -> Option<Report> {
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

fn head(source: &Source<'_>, found: &Candidate, above: &[Candidate], edition: &Edition, recognised: usize, whole: bool) -> Head {
    let sample = &source.text[found.next..];
    let Quoting { quote, escape, evidence: quotes } = quoting(sample, whole, found.delimiter, found.quote, found.names.len());
    let dialect = Dialect { delimiter: found.delimiter, quote, escape, encoding: source.encoding };
    let width = Width::of(sample, whole, dialect.tokeniser(), &found.names, found.delimited, edition);
    let mut header = found.names.clone();
    header.extend(width.nameless.then(String::new));
    let mut findings = Vec::new();
    if !above.is_empty() {
        findings.push(DriftFinding::preamble(found.line - 1));
    }
    if found.delimiter != b',' {
        findings.push(DriftFinding::delimiter(char::from(found.delimiter)));
    }
    if source.encoding.is_single_byte() || source.encoding.is_wide() {
        findings.push(DriftFinding::encoding(source.encoding.as_str(), 0));
    }
    let line = |record: &Candidate| excerpt(&decode(&source.text[record.start..record.end]).0);
    let preamble: Vec<String> = above.iter().take(PREAMBLE_LINES_MAX).map(line).collect();
    let mut high = HighBytes::default();
    if source.encoding.is_single_byte() {
        high.add(&source.text[..found.next], source.start as u64);
    }
    let names = header.len();
    let mut evidence = BTreeMap::from([
        ("delimiter".to_owned(), format!("{} ({recognised} of {names} header cells recognised)", dialect.delimiter_name())),
        ("encoding".to_owned(), format!("{} ({})", source.encoding.as_str(), source.evidence)),
        ("header_line".to_owned(), found.line.to_string()),
        ("preamble_rows".to_owned(), above.len().to_string()),
        ("quotes".to_owned(), quotes),
    ]);
    if !preamble.is_empty() {
        evidence.insert("preamble".to_owned(), preamble.join("\n"));
    }
    Head {
        dialect,
        header,
        header_line: found.line,
        body_offset: source.offset(found.next),
        body_line: found.next_line,
        report: edition.report,
        preamble_rows: above.len() as u64,
        preamble,
        findings,
        evidence,
        high,
        line_ends: found.line_ends,
        trailing: width.trailing,
        line_feed_pending: found.line_end_open,
    }
}

/// The best account of why no record is the header of a report.
fn refusal(text: &[u8], attempts: &[Vec<Candidate>; 4], registry: &Registry, whole: bool) -> Quarantine {
    if text.contains(&0) {
        let message = format!("the file holds NUL bytes and is not UTF-16, so it is not text: {MEND}");
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
    // The mark of UTF-32 begins with that of UTF-16.
    const KINDS: [(&[u8], &str); 13] = [
        (b"\xff\xfe\x00\x00", "UTF-32 text"),
        (b"\x00\x00\xfe\xff", "UTF-32 text"),
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
