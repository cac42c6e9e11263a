//! One encrypted Parquet file read whole: its frame byte by byte, then every page decrypted and decoded.
//! Promise: each byte belongs to a module that opens under the file's key, to a length that fits its module, or to a fixed
//! text; so a changed bit anywhere is told.
//!
//! A Parquet reader alone would miss some: it skips the length before a page, pages and indexes that it needs for no row, the
//! magic at the start, and flags of the plain crypto metadata.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use arrow::{
    array::{Array, AsArray, RecordBatch},
    compute::sum,
    datatypes::{DataType, Decimal128Type},
};
use bonded_schemas::table;
use bytes::Bytes;
use iceberg::encryption::StandardKeyMetadata;
use parquet::{
    arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder},
    encryption::decrypt::FileDecryptionProperties,
    file::metadata::{PageIndexPolicy, ParquetMetaData},
};

use super::Tally;
use crate::seal::cipher::{self, KEY_BYTES};

const MAGIC: &[u8; 4] = b"PARE";
const LENGTH_BYTES: usize = 4;
/// Nonce and tag.
const MODULE_BYTES_MIN: usize = 28;
/// Thrift of `FileCryptoMetaData { AES_GCM_V1 { aad_file_unique, supply_aad_prefix: true } }` around the eight unique bytes,
/// as this program's files have it.
const CRYPTO_BEFORE: &[u8] = &[0x1c, 0x1c, 0x28, 0x08];
const CRYPTO_AFTER: &[u8] = &[0x11, 0x00, 0x00, 0x00];
const UNIQUE_BYTES: usize = 8;

type Told<T> = Result<T, String>;

/// What the file holds of each delivery; or what is wrong with it.
pub(super) fn read(bytes: Bytes, key: &StandardKeyMetadata, rows: u64) -> Told<BTreeMap<String, Tally>> {
    let footer = footer(&bytes)?;
    let unreadable = |_| "cannot be decrypted".to_owned();
    let mut properties = FileDecryptionProperties::builder(key.encryption_key().as_bytes().to_vec());
    if let Some(prefix) = key.aad_prefix() {
        properties = properties.with_aad_prefix(prefix.to_vec());
    }
    let options = ArrowReaderOptions::new()
        .with_file_decryption_properties(properties.build().map_err(unreadable)?)
        .with_page_index_policy(PageIndexPolicy::Skip);
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes.clone(), options)
        .map_err(|_| "footer cannot be decrypted".to_owned())?;
    modules(&bytes, key, builder.metadata(), &footer)?;
    let counted = u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or_default();
    if counted != rows {
        return Err(format!("has {counted} rows, its manifest tells of {rows}"));
    }
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    let mut read = 0;
    for batch in builder.build().map_err(unreadable)? {
        let batch = batch.map_err(|_| format!("a page cannot be decrypted or decoded, at row {} or later", read + 1))?;
        read += batch.num_rows() as u64;
        tally(&batch, &mut tallies)?;
    }
    match read == rows {
        true => Ok(tallies),
        false => Err(format!("gives {read} rows, its manifest tells of {rows}")),
    }
}

/// The plain frame around everything that is encrypted. Answers where crypto metadata and encrypted footer lie.
fn footer(bytes: &Bytes) -> Told<Range<usize>> {
    let frame = || "has no whole frame of an encrypted Parquet file".to_owned();
    let end = bytes.len().checked_sub(MAGIC.len() + LENGTH_BYTES).ok_or_else(frame)?;
    if !bytes.starts_with(MAGIC) || &bytes[end + LENGTH_BYTES..] != MAGIC {
        return Err(frame());
    }
    let start = end.checked_sub(length(bytes, end)).filter(|start| *start >= MAGIC.len()).ok_or_else(frame)?;
    let crypto = &bytes[start..end];
    let rest = crypto.strip_prefix(CRYPTO_BEFORE).and_then(|rest| rest.get(UNIQUE_BYTES..)).ok_or_else(frame)?;
    let module = rest.strip_prefix(CRYPTO_AFTER).ok_or_else(frame)?;
    let whole = module.len() >= LENGTH_BYTES + MODULE_BYTES_MIN && length(module, 0) == module.len() - LENGTH_BYTES;
    if whole { Ok(start..end) } else { Err(frame()) }
}

fn length(bytes: &[u8], at: usize) -> usize {
    bytes
        .get(at..at + LENGTH_BYTES)
        .and_then(|four| four.try_into().ok())
        .map_or(usize::MAX, |four| u32::from_le_bytes(four) as usize)
}

/// What lies in a range of the file: a column's pages, or one page index.
struct Part {
    range: Range<usize>,
    row_group: usize,
    column: usize,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Pages { dictionary: bool },
    ColumnIndex,
    OffsetIndex,
}

/// Module types of the Parquet encryption specification.
const DATA_PAGE: u8 = 2;
const DICTIONARY_PAGE: u8 = 3;
const DATA_PAGE_HEADER: u8 = 4;
const DICTIONARY_PAGE_HEADER: u8 = 5;
const COLUMN_INDEX: u8 = 6;
const OFFSET_INDEX: u8 = 7;

/// Column chunks and page indexes lie side by side from the first magic to the footer, each a row of whole modules, and each
/// module opens in its place.
fn modules(bytes: &[u8], key: &StandardKeyMetadata, metadata: &Arc<ParquetMetaData>, footer: &Range<usize>) -> Told<()> {
    let key_bytes =
        <[u8; KEY_BYTES]>::try_from(key.encryption_key().as_bytes()).map_err(|_| "has a key of another kind".to_owned())?;
    let unique = &bytes[footer.start + CRYPTO_BEFORE.len()..footer.start + CRYPTO_BEFORE.len() + UNIQUE_BYTES];
    let file_aad = [key.aad_prefix().unwrap_or_default(), unique].concat();
    let opener = cipher::aes(&key_bytes);
    let mut end = MAGIC.len();
    for part in parts(metadata) {
        if part.range.start != end || part.range.end > footer.start {
            return Err(format!("has bytes at {end} that belong to no page"));
        }
        let (mut at, mut nth) = (part.range.start, 0);
        while at < part.range.end {
            let module = length(bytes, at);
            if module < MODULE_BYTES_MIN || module > part.range.end - at {
                return Err(format!("has a page of impossible length at byte {at}"));
            }
            let start = at + LENGTH_BYTES;
            let aad = [file_aad.as_slice(), &place(&part, nth)].concat();
            let mut sealed = bytes[start..start + module].to_vec();
            if cipher::open_in_place(&opener, &aad, &mut sealed).is_none() {
                return Err(format!("has a page at byte {at} that cannot be decrypted"));
            }
            at = start + module;
            nth += 1;
        }
        end = part.range.end;
    }
    if end == footer.start { Ok(()) } else { Err(format!("has bytes at {end} that belong to no page")) }
}

/// In the order in which they lie.
fn parts(metadata: &Arc<ParquetMetaData>) -> Vec<Part> {
    let range = |offset: Option<i64>, length: Option<i32>| {
        let (start, length) = (usize::try_from(offset?).ok()?, usize::try_from(length?).ok()?);
        Some(start..start.checked_add(length)?)
    };
    let mut parts = Vec::new();
    for (row_group, group) in metadata.row_groups().iter().enumerate() {
        for (column, chunk) in group.columns().iter().enumerate() {
            let (start, length) = chunk.byte_range();
            let pages = start as usize..start.saturating_add(length) as usize;
            let dictionary = chunk.dictionary_page_offset().is_some();
            parts.push(Part { range: pages, row_group, column, kind: Kind::Pages { dictionary } });
            let indexes = [
                (range(chunk.column_index_offset(), chunk.column_index_length()), Kind::ColumnIndex),
                (range(chunk.offset_index_offset(), chunk.offset_index_length()), Kind::OffsetIndex),
            ];
            parts.extend(indexes.into_iter().filter_map(|(range, kind)| Some(Part { range: range?, row_group, column, kind })));
        }
    }
    parts.sort_by_key(|part| part.range.start);
    parts
}

/// What a module's authenticated data ends with: its type, row group, column and, for data pages, its number.
fn place(part: &Part, nth: usize) -> Vec<u8> {
    let (kind, page) = match part.kind {
        Kind::ColumnIndex => (COLUMN_INDEX, None),
        Kind::OffsetIndex => (OFFSET_INDEX, None),
        Kind::Pages { dictionary: true } if nth == 0 => (DICTIONARY_PAGE_HEADER, None),
        Kind::Pages { dictionary: true } if nth == 1 => (DICTIONARY_PAGE, None),
        Kind::Pages { dictionary } => {
            let nth = if dictionary { nth - 2 } else { nth };
            (if nth.is_multiple_of(2) { DATA_PAGE_HEADER } else { DATA_PAGE }, Some(nth / 2))
        }
    };
    // Ordinals are 16 bits in the specification; a file with more does not come about.
    let ordinals = [Some(part.row_group), Some(part.column), page];
    std::iter::once(kind).chain(ordinals.into_iter().flatten().flat_map(|ordinal| (ordinal as u16).to_le_bytes())).collect()
}

/// Rows lie delivery by delivery, so runs of the same id are added up at once.
fn tally(batch: &RecordBatch, tallies: &mut BTreeMap<String, Tally>) -> Told<()> {
    let ids = batch
        .column_by_name(table::DELIVERY_ID)
        .and_then(|column| column.as_string_opt::<i32>())
        .ok_or_else(|| format!("has no column {}", table::DELIVERY_ID))?;
    let mut start = 0;
    while start < batch.num_rows() {
        let id = ids.value(start);
        let run = (start..batch.num_rows()).take_while(|row| ids.value(*row) == id).count();
        let tally = tallies.entry(id.to_owned()).or_default();
        tally.rows += run as u64;
        for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
            if matches!(field.data_type(), DataType::Decimal128(_, _)) {
                let part = column.slice(start, run);
                let amount = sum(part.as_primitive::<Decimal128Type>()).unwrap_or_default();
                *tally.sums.entry(field.name().clone()).or_default() += amount;
            }
        }
        start += run;
    }
    Ok(())
}
