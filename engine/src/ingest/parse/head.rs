//! Head: what the first bytes of a file tell - its kind, encoding, delimiter, header and report.
//! Promise: a report is recognised by its header wherever the header stands in the first records, by any delimiter;
//! the same bytes are looked at however they came in, and each trait keeps the evidence it was known by.
//! Never: the file's name is not asked; what is no report is refused with the mend, not guessed at.

use std::collections::BTreeMap;

use bonded_schemas::{Bound, DriftFinding, Edition, Mapping, QuarantineReason, Registry, Report, drift};

use super::{
    Dialect, Head, HeadOutcome,
    dialect::{DOUBLE, Quoting, SINGLE, quoting},
    encoding::HighBytes,
    evidence::PREAMBLE_LINES_MAX,
    quarantine,
    value::{decode, excerpt},
    width::Width,
};

mod candidate;
mod refusal;
mod source;

use candidate::{Candidate, candidates, known};
use refusal::{empty, other_kind, refusal};
use source::Source;

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

fn refuse(reason: QuarantineReason, nearest: Option<Report>, message: String) -> HeadOutcome {
    HeadOutcome::Quarantine(quarantine(reason, nearest, message))
}

#[cfg(test)]
mod tests;
