//! What the manifests already know of each file: rows, nulls, bounds.
//! Promise: a figure is called exact only where it is; text bounds may be cut by a writer and are not.

use std::{collections::BTreeSet, sync::Arc};

use datafusion::{
    arrow::datatypes::{DataType, Field, Schema, TimeUnit},
    common::{ColumnStatistics, ScalarValue, Statistics, stats::Precision},
};
use iceberg::spec::{DataFile, Datum, PrimitiveLiteral};

use super::columns::field_id;

/// One file's statistics in the table's column order.
pub(super) fn of_file(schema: &Schema, file: &DataFile, without_bounds: &BTreeSet<String>) -> Statistics {
    let rows = count(file.record_count());
    Statistics {
        num_rows: Precision::Exact(rows),
        total_byte_size: Precision::Inexact(count(file.file_size_in_bytes())),
        column_statistics: schema
            .fields()
            .iter()
            .map(|field| {
                let mut column = of_column(field, file, rows);
                if without_bounds.contains(field.name()) {
                    (column.min_value, column.max_value) = (Precision::Absent, Precision::Absent);
                }
                column
            })
            .collect(),
    }
}

fn of_column(field: &Field, file: &DataFile, rows: usize) -> ColumnStatistics {
    let mut column = ColumnStatistics::new_unknown();
    let Some(id) = field_id(field) else { return column };
    // Counts of a nested column are counts of its leaves; only a flat column's are its rows'.
    if field.data_type().is_nested() {
        return column;
    }
    if let Some(nulls) = file.null_value_counts().get(&id) {
        column.null_count = Precision::Exact(count(*nulls).min(rows));
    }
    let bound = |datum: Option<&Datum>| match datum.and_then(|datum| scalar(datum, field.data_type())) {
        Some(value) if exact(field.data_type()) => Precision::Exact(value),
        Some(value) => Precision::Inexact(value),
        None => Precision::Absent,
    };
    column.min_value = bound(file.lower_bounds().get(&id));
    column.max_value = bound(file.upper_bounds().get(&id));
    column
}

/// Whether a bound of this type is the extreme value itself. Writers may shorten text and binary bounds.
fn exact(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Int32 | DataType::Int64 | DataType::Date32 | DataType::Timestamp(..) | DataType::Decimal128(..))
}

/// An Iceberg bound as a value of the column's Arrow type; `None` where the two do not fit.
pub(super) fn scalar(datum: &Datum, data_type: &DataType) -> Option<ScalarValue> {
    Some(match (datum.literal(), data_type) {
        (PrimitiveLiteral::Int(value), DataType::Int32) => ScalarValue::Int32(Some(*value)),
        (PrimitiveLiteral::Int(value), DataType::Int64) => ScalarValue::Int64(Some(i64::from(*value))),
        (PrimitiveLiteral::Int(value), DataType::Date32) => ScalarValue::Date32(Some(*value)),
        (PrimitiveLiteral::Long(value), DataType::Int64) => ScalarValue::Int64(Some(*value)),
        (PrimitiveLiteral::Long(value), DataType::Timestamp(TimeUnit::Microsecond, zone)) => {
            ScalarValue::TimestampMicrosecond(Some(*value), zone.clone())
        }
        (PrimitiveLiteral::Int128(value), DataType::Decimal128(precision, scale)) => {
            let same_scale = matches!(datum.data_type(), iceberg::spec::PrimitiveType::Decimal { scale: found, .. }
                if i64::from(*found) == i64::from(*scale));
            if !same_scale {
                return None;
            }
            ScalarValue::Decimal128(Some(*value), *precision, *scale)
        }
        (PrimitiveLiteral::String(value), DataType::Utf8) => ScalarValue::Utf8(Some(value.clone())),
        _ => return None,
    })
}

/// Statistics of several files together.
pub(super) fn sum(schema: &Schema, files: &[Arc<Statistics>]) -> Statistics {
    let rows = files.iter().fold(Precision::Exact(0), |sum, file| sum.add(&file.num_rows));
    let bytes = files.iter().fold(Precision::Inexact(0), |sum, file| sum.add(&file.total_byte_size));
    let columns = (0..schema.fields().len()).map(|position| sum_column(files, position)).collect();
    Statistics { num_rows: rows, total_byte_size: bytes, column_statistics: columns }
}

fn sum_column(files: &[Arc<Statistics>], position: usize) -> ColumnStatistics {
    let mut total = ColumnStatistics::new_unknown();
    let columns = || files.iter().map(|file| (&file.num_rows, &file.column_statistics[position]));
    total.null_count = columns().fold(Precision::Exact(0), |sum, (_, column)| sum.add(&column.null_count));
    // A file whose column is empty throughout has no bounds, and rightly so.
    let holding: Vec<_> = columns().filter(|(rows, column)| column.null_count != **rows).map(|(_, column)| column).collect();
    let mut bounded = holding.into_iter();
    if let Some(first) = bounded.next() {
        (total.min_value, total.max_value) = bounded
            .fold((first.min_value.clone(), first.max_value.clone()), |(low, high), column| {
                (low.min(&column.min_value), high.max(&column.max_value))
            });
    }
    total
}

fn count(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
