//! A look at a file of claim details, before anybody delivers it: one row an entry.
//! Promise: columns bind by name and alias of their dated edition; a value wrapped as `="..."` is unwrapped; every row is told.
//! Never: nothing is kept. `bonded ingest` takes the same file into the raw zone and its table.

use std::path::Path;

use bonded_schemas::{Edition, Registry, Report, edition::fold};
use futures::StreamExt;
use serde::Serialize;

use crate::error::{Error, Result};

/// A declaration has at most 9,999 entries, about a megabyte of details.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Claim {
    /// Without dashes, in capitals.
    pub entry_number: String,
    pub claim_number: String,
    pub status: String,
    pub error_description: String,
    /// 1-based line where the row starts.
    pub line: u64,
}

/// Reads a file.
///
/// # Errors
/// `Input` when it cannot be read, lacks a column, or has more than `rows_max` rows.
pub async fn read(path: &Path, rows_max: usize) -> Result<Vec<Claim>> {
    let cannot = |error: std::io::Error| Error::input(format!("cannot read {}", path.display())).with_source(error);
    let size_bytes = tokio::fs::metadata(path).await.map_err(cannot)?.len();
    if size_bytes > FILE_BYTES_MAX {
        return Err(Error::input(format!("{} has {size_bytes} bytes, more than {FILE_BYTES_MAX}", path.display())));
    }
    let bytes = tokio::fs::read(path).await.map_err(cannot)?;
    parse(&bytes, &path.display().to_string(), rows_max).await
}

async fn parse(bytes: &[u8], name: &str, rows_max: usize) -> Result<Vec<Claim>> {
    let mut lines = Lines { bytes, at: 0, line: 1 };
    let mut reader = csv_async::AsyncReaderBuilder::new().has_headers(false).flexible(true).create_reader(bytes);
    let mut records = reader.byte_records();
    let mut places: Option<[Option<usize>; 4]> = None;
    let mut claims = Vec::new();
    while let Some(record) = records.next().await {
        let record = record.map_err(|error| Error::input(format!("{name} is not CSV")).with_source(error))?;
        let Some(places) = &places else {
            places = Some(bind(Registry::builtin().edition(Report::CapeClaims), &record, name)?);
            continue;
        };
        if record.iter().all(|cell| text(cell).is_empty()) {
            continue;
        }
        if claims.len() == rows_max {
            return Err(Error::input(format!("{name} has more than {rows_max} rows; raise query.rows_max")));
        }
        let cell = |place: Option<usize>| place.and_then(|at| record.get(at)).map(text).unwrap_or_default();
        claims.push(Claim {
            entry_number: cell(places[0]).chars().filter(|c| *c != '-').map(|c| c.to_ascii_uppercase()).collect(),
            claim_number: cell(places[1]),
            status: cell(places[2]),
            error_description: cell(places[3]),
            line: record.position().map_or(0, |position| lines.of(position.byte())),
        });
    }
    match places {
        Some(_) => Ok(claims),
        None => Err(Error::input(format!("{name} is empty"))),
    }
}

/// Line numbers of ascending places. The reader's own count lags behind where lines end in CRLF.
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
    line: u64,
}

impl Lines<'_> {
    /// The line of the first byte from here on that ends none.
    fn of(&mut self, byte: u64) -> u64 {
        let start = usize::try_from(byte).unwrap_or(usize::MAX).min(self.bytes.len());
        let blank = self.bytes[start..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let ended = self.bytes[self.at..start + blank].iter().filter(|byte| **byte == b'\n').count();
        (self.at, self.line) = (start + blank, self.line + ended as u64);
        self.line
    }
}

/// Where the edition's four columns stand; the last may be missing.
fn bind(edition: &Edition, header: &csv_async::ByteRecord, name: &str) -> Result<[Option<usize>; 4]> {
    let names: Vec<String> = header.iter().map(|cell| fold(&text(cell))).collect();
    let mut places = [None; 4];
    for (place, column) in places.iter_mut().zip(&edition.columns) {
        let known: Vec<String> = std::iter::once(&column.name).chain(&column.aliases).map(|name| fold(name)).collect();
        *place = names.iter().position(|name| known.contains(name));
        if place.is_none() && column.required != bonded_schemas::Required::Optional {
            return Err(Error::input(format!("{name} has no column {}: is it the claim details file of CAPE?", column.name)));
        }
    }
    Ok(places)
}

/// The cell without byte order mark, wrapping and blanks. Bytes that are not UTF-8 show as such.
fn text(cell: &[u8]) -> String {
    let text = String::from_utf8_lossy(cell);
    let text = text.trim_start_matches('\u{feff}').trim();
    let inner = text.strip_prefix("=\"").and_then(|rest| rest.strip_suffix('"'));
    inner.unwrap_or(text).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn of(csv: &str) -> Result<Vec<Claim>> {
        parse(csv.as_bytes(), "claims.csv", 3).await
    }

    #[tokio::test]
    async fn wrapped_and_plain_values_read_the_same() {
        let wrapped = "\u{feff}ENTRY_NUMBER,CLAIM_NUMBER,STATUS,ERROR_DESCRIPTION\r\n=\"60500000100\",=\"C1\",\"Entry Summary Updated\",\r\n";
        let quoted = "ENTRY_NUMBER,CLAIM_NUMBER,STATUS,ERROR_DESCRIPTION\n\"=\"\"60500000100\"\"\",C1,Entry Summary Updated,\n\n";
        let plain = "Status,Claim Number,Entry Number\nEntry Summary Updated,C1,605-0000010-0\n";
        for csv in [wrapped, quoted, plain] {
            let claims = of(csv).await.unwrap();
            let [claim] = claims.as_slice() else { panic!("{claims:?}") };
            assert_eq!((claim.entry_number.as_str(), claim.claim_number.as_str(), claim.line), ("60500000100", "C1", 2));
            assert_eq!((claim.status.as_str(), claim.error_description.as_str()), ("Entry Summary Updated", ""));
        }
    }

    #[tokio::test]
    async fn a_row_knows_its_line_whatever_ends_the_lines_before_it() {
        for end in ["\n", "\r\n"] {
            let rows = [
                "ENTRY_NUMBER,CLAIM_NUMBER,STATUS,ERROR_DESCRIPTION",
                "1,C,Failed,\"two\nlines\"",
                "",
                "2,C,Failed,",
                "3,C,Failed,",
            ];
            let claims = of(&rows.map(|row| format!("{row}{end}")).concat()).await.unwrap();
            assert_eq!(claims.iter().map(|claim| claim.line).collect::<Vec<_>>(), [2, 5, 6], "{end:?}");
        }
    }

    #[tokio::test]
    async fn another_file_is_refused_and_the_missing_column_named() {
        let error = of("Entry Summary Number,Line\nXZ910000013,1\n").await.unwrap_err();
        assert!(error.to_string().contains("CLAIM_NUMBER"), "{error}");
        assert!(of("").await.unwrap_err().to_string().contains("empty"));
        let many = format!("ENTRY_NUMBER,CLAIM_NUMBER,STATUS\n{}", "60500000100,C,Failed\n".repeat(4));
        assert!(of(&many).await.unwrap_err().to_string().contains("more than 3 rows"));
    }
}
