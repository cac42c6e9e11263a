//! Why a file is no report: what its first bytes say it is, or how near its records come to a known header.
//! Promise: the nearest report and the mend are named.

use bonded_schemas::{Quarantine, QuarantineReason, Recognition, Registry};

use super::{super::quarantine, Candidate, HEAD_BYTES_MAX, HEAD_COLUMNS_MAX, HEAD_RECORDS_MAX, MEND};

/// The best account of why no record is the header of a report.
pub(super) fn refusal(text: &[u8], attempts: &[Vec<Candidate>; 4], registry: &Registry, whole: bool) -> Quarantine {
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
pub(super) fn other_kind(first: &[u8]) -> Option<String> {
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

pub(super) fn empty(first: &[u8]) -> String {
    let what = if first.is_empty() { "has no bytes" } else { "holds nothing but blank lines" };
    format!("the file {what}: {MEND}")
}
