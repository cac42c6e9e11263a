//! The received lines that a finding rests on, read from the raw zone as they came.
//! Promise: the bytes are those that were received (each block authenticated), from the record's first to its last.
//! Never: a Social Security number is shown whole unless `display.show_ssn` says so; `bonded raw get` gives the bytes.

use bonded_connectors::raw::RawReader;
use bonded_schemas::importer_number::masked_text;
use serde::Serialize;

use super::Kept;
use crate::{
    error::{Error, ErrorKind, Result},
    lakehouse::{Lakehouse, Tenant},
};

/// First read; most records are shorter.
const FIRST_BYTES: u64 = 4 << 10;
/// Of a finding on a large entry, so many lines are shown.
const LINES_SHOWN_MAX: usize = 40;

/// One received record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OriginalLine {
    pub delivery_id: String,
    pub file_name: String,
    pub line: i64,
    pub byte: i64,
    pub text: String,
}

/// The records that a finding rests on, in order of delivery and line; at most 40 of them.
pub async fn original_lines(house: &Lakehouse, tenant: &Tenant, kept: &Kept) -> Result<Vec<OriginalLine>> {
    let mut lines = Vec::new();
    let mut open: Option<(String, String, RawReader)> = None;
    for place in kept.places.iter().take(LINES_SHOWN_MAX) {
        let Some(byte) = place.byte else { continue };
        if open.as_ref().is_none_or(|(delivery, ..)| *delivery != place.delivery_id) {
            open = Some(reader(house, tenant, &place.delivery_id).await?);
        }
        let Some((_, file_name, reader)) = &open else { continue };
        let offset = u64::try_from(byte).map_err(|_| Error::new(ErrorKind::Damaged, "a row begins before its file"))?;
        let record = record(reader, offset, house.settings.ingest.record_bytes_max as u64).await?;
        lines.push(OriginalLine {
            delivery_id: place.delivery_id.clone(),
            file_name: file_name.clone(),
            line: place.line,
            byte,
            text: shown(&record, house.settings.display.show_ssn),
        });
    }
    Ok(lines)
}

async fn reader(house: &Lakehouse, tenant: &Tenant, delivery_id: &str) -> Result<(String, String, RawReader)> {
    let row = tenant.ledger.delivery(delivery_id.parse()?).await?.ok_or_else(|| {
        Error::new(ErrorKind::Damaged, format!("the ledger has no delivery {delivery_id}, on which a finding rests"))
    })?;
    let receipt = row.sealed_receipt.as_ref().map(|sealed| tenant.unseal("receipt", &row.keyed_digest, sealed)).transpose()?;
    let file_name = receipt.map_or_else(String::new, |receipt: bonded_schemas::Receipt| receipt.delivery.file_name);
    Ok((delivery_id.to_owned(), file_name, house.raw.open(&tenant.scope, &tenant.key, &row.raw_path).await?))
}

/// From the offset to the end of the record, or as much of it as the limit allows.
async fn record(reader: &RawReader, offset: u64, limit: u64) -> Result<Vec<u8>> {
    let left = reader.size_bytes().saturating_sub(offset);
    let mut length = FIRST_BYTES;
    loop {
        let asked = length.min(left).min(limit);
        let bytes = reader.read_range(offset, asked).await?;
        if let Some(end) = end(&bytes) {
            return Ok(bytes[..end].to_vec());
        }
        if asked < length {
            return Ok(bytes.to_vec());
        }
        length *= 8;
    }
}

/// The first line end outside quotes.
fn end(bytes: &[u8]) -> Option<usize> {
    let mut inside = false;
    bytes.iter().position(|byte| {
        inside ^= *byte == b'"';
        !inside && matches!(byte, b'\n' | b'\r')
    })
}

/// As text: NULs of UTF-16 left out, other bytes that are no UTF-8 replaced, Social Security numbers masked unless a
/// setting shows them: which column a text of the line stands in is not asked.
fn shown(record: &[u8], show_ssn: bool) -> String {
    let plain: Vec<u8> = record.iter().copied().filter(|byte| *byte != 0).collect();
    let text = String::from_utf8_lossy(&plain);
    if show_ssn { text.into_owned() } else { masked_text(&text).into_owned() }
}

#[cfg(test)]
mod tests;
