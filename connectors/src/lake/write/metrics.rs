//! What the manifest tells of a data file: counts, sizes and bounds by field id, from the Parquet footer.
//! Never: no bound for a column inside a list or map (Java Iceberg has none either), and none that was shortened.

use std::collections::HashMap;

use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, Datum, Literal, PrimitiveType, Schema, Struct, Type,
};
use parquet::{
    basic::Type as PhysicalType,
    file::{
        metadata::{ColumnChunkMetaData, ParquetMetaData},
        statistics::Statistics,
    },
};

use super::Partition;
use crate::error::{Error, ErrorKind, Result};

/// Where and how a file was written.
pub struct Stored {
    pub location: String,
    pub size_bytes: u64,
    pub key_metadata: Vec<u8>,
    pub partition: Partition,
    pub spec_id: i32,
}

pub fn data_file(schema: &Schema, footer: &ParquetMetaData, stored: Stored) -> Result<DataFile> {
    let mut sizes: HashMap<i32, u64> = HashMap::new();
    let mut values: HashMap<i32, u64> = HashMap::new();
    let mut nulls: HashMap<i32, u64> = HashMap::new();
    let mut bounds: HashMap<i32, Option<(Datum, Datum)>> = HashMap::new();
    for chunk in footer.row_groups().iter().flat_map(|group| group.columns()) {
        let info = chunk.column_descr().self_type().get_basic_info();
        if !info.has_id() {
            continue;
        }
        let id = info.id();
        // Reserved columns (row ids) are no columns of the table.
        if schema.field_by_id(id).is_none() {
            continue;
        }
        *sizes.entry(id).or_default() += u64::try_from(chunk.compressed_size()).unwrap_or(0);
        if chunk.column_descr().max_rep_level() > 0 {
            continue;
        }
        *values.entry(id).or_default() += u64::try_from(chunk.num_values()).unwrap_or(0);
        let chunk_nulls = chunk.statistics().and_then(Statistics::null_count_opt);
        if let Some(count) = chunk_nulls {
            *nulls.entry(id).or_default() += count;
        }
        if chunk_nulls == Some(u64::try_from(chunk.num_values()).unwrap_or(0)) {
            continue; // nothing but nulls: this chunk bounds nothing
        }
        let chunk_bounds = chunk_bounds(schema, id, chunk)?;
        bounds.entry(id).and_modify(|all| *all = widen(all.take(), chunk_bounds.clone())).or_insert(chunk_bounds);
    }
    let (lower, upper): (HashMap<i32, Datum>, HashMap<i32, Datum>) =
        bounds.into_iter().filter_map(|(id, both)| both.map(|(lower, upper)| ((id, lower), (id, upper)))).unzip();
    let mut builder = DataFileBuilder::default();
    builder
        .content(DataContentType::Data)
        .file_path(stored.location)
        .file_format(DataFileFormat::Parquet)
        .partition(Struct::from_iter([stored.partition.map(Literal::int)]))
        .partition_spec_id(stored.spec_id)
        .record_count(u64::try_from(footer.file_metadata().num_rows()).unwrap_or(0))
        .file_size_in_bytes(stored.size_bytes)
        .column_sizes(sizes)
        .value_counts(values)
        .null_value_counts(nulls)
        .lower_bounds(lower)
        .upper_bounds(upper)
        .key_metadata(Some(stored.key_metadata))
        .split_offsets(Some(footer.row_groups().iter().filter_map(|group| group.file_offset()).collect()));
    builder.build().map_err(|error| Error::new(ErrorKind::Internal, "a data file entry is not whole").with_source(error))
}

/// Bounds of two chunks together; without one of them there is none for the file.
fn widen(all: Option<(Datum, Datum)>, chunk: Option<(Datum, Datum)>) -> Option<(Datum, Datum)> {
    let ((lower, upper), (low, high)) = (all?, chunk?);
    Some((if low < lower { low } else { lower }, if high > upper { high } else { upper }))
}

fn chunk_bounds(schema: &Schema, id: i32, chunk: &ColumnChunkMetaData) -> Result<Option<(Datum, Datum)>> {
    let Some(Type::Primitive(kind)) = schema.field_by_id(id).map(|field| field.field_type.as_ref()) else { return Ok(None) };
    let Some(statistics) = chunk.statistics() else { return Ok(None) };
    if !statistics.min_is_exact() || !statistics.max_is_exact() {
        return Ok(None);
    }
    match (statistics.min_bytes_opt(), statistics.max_bytes_opt()) {
        (Some(low), Some(high)) => Ok(datum(kind, chunk.column_type(), low)?.zip(datum(kind, chunk.column_type(), high)?)),
        _ => Ok(None),
    }
}

/// One statistic as Iceberg has it. Parquet keeps numbers little-endian, and long decimals big-endian.
fn datum(kind: &PrimitiveType, physical: PhysicalType, bytes: &[u8]) -> Result<Option<Datum>> {
    let damaged = || Error::new(ErrorKind::Internal, "a statistic has not the width of its column");
    let int = || bytes.try_into().map(i32::from_le_bytes).map_err(|_| damaged());
    let long = || bytes.try_into().map(i64::from_le_bytes).map_err(|_| damaged());
    Ok(Some(match (kind, physical) {
        (PrimitiveType::Int, PhysicalType::INT32) => Datum::int(int()?),
        (PrimitiveType::Date, PhysicalType::INT32) => Datum::date(int()?),
        (PrimitiveType::Long, PhysicalType::INT64) => Datum::long(long()?),
        (PrimitiveType::Timestamptz, PhysicalType::INT64) => Datum::timestamptz_micros(long()?),
        (PrimitiveType::String, PhysicalType::BYTE_ARRAY) => match std::str::from_utf8(bytes) {
            Ok(text) => Datum::string(text),
            Err(_) => return Ok(None),
        },
        (PrimitiveType::Decimal { .. }, PhysicalType::INT32) => decimal(kind, &i128::from(int()?).to_be_bytes())?,
        (PrimitiveType::Decimal { .. }, PhysicalType::INT64) => decimal(kind, &i128::from(long()?).to_be_bytes())?,
        (PrimitiveType::Decimal { .. }, PhysicalType::FIXED_LEN_BYTE_ARRAY) => decimal(kind, bytes)?,
        _ => return Ok(None),
    }))
}

fn decimal(kind: &PrimitiveType, big_endian: &[u8]) -> Result<Datum> {
    Ok(Datum::try_from_bytes(big_endian, kind.clone())?)
}
