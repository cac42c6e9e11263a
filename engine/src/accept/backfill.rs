//! Moving kept cells out of `_rescued` into the column they now have.
//! A cell that does not read as the column's type stays where it is; one that was mended on the way is noted in `_repairs`.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, ListBuilder, MapBuilder, MapFieldNames, RecordBatch, StringBuilder},
    compute::kernels::zip::zip,
    datatypes::{DataType, Field},
};
use bonded_connectors::{Error, ErrorKind, Result};
use bonded_schemas::{Column, table};

use crate::ingest::parse::{date_order_of_row, typed_column};

fn failed(error: arrow::error::ArrowError) -> Error {
    Error::new(ErrorKind::Internal, "a batch could not be filled from its kept cells").with_source(error)
}

/// `None` when the batch holds no such cell.
pub(super) fn backfill(batch: &RecordBatch, moves: &[(String, Column)]) -> Result<Option<RecordBatch>> {
    let schema = batch.schema();
    let (rescued_index, _) = schema
        .column_with_name(table::RESCUED)
        .ok_or_else(|| Error::new(ErrorKind::Damaged, format!("a table without {}", table::RESCUED)))?;
    let kept = Kept::read(batch.column(rescued_index))?;
    let (repairs_index, _) = schema
        .column_with_name(table::REPAIRS)
        .ok_or_else(|| Error::new(ErrorKind::Damaged, format!("a table without {}", table::REPAIRS)))?;
    let mut repairs = notes(batch.column(repairs_index))?;
    let orders: Vec<_> = repairs.iter().map(|row| date_order_of_row(row.iter().map(String::as_str))).collect();
    let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
    let mut taken: Vec<(usize, &str)> = Vec::new();
    for (name, column) in moves {
        let texts: Vec<Option<&str>> =
            kept.rows.iter().map(|row| row.iter().find(|(key, _)| *key == name.as_str()).map(|(_, v)| *v)).collect();
        if texts.iter().all(Option::is_none) {
            continue;
        }
        let (index, field) = schema
            .column_with_name(&column.field())
            .ok_or_else(|| Error::new(ErrorKind::Internal, format!("column {} was not added", column.field())))?;
        let (typed, mends) = typed_column(column, &texts, &orders);
        let typed = arrow::compute::cast(&typed, field.data_type()).map_err(failed)?;
        // A cell moves only where it reads as the type and nothing stands in its place yet.
        let moved: BooleanArray =
            (0..batch.num_rows()).map(|row| Some(typed.is_valid(row) && columns[index].is_null(row))).collect();
        taken.extend((0..batch.num_rows()).filter(|row| moved.value(*row)).map(|row| (row, name.as_str())));
        for (row, mends) in mends.iter().enumerate().filter(|(row, _)| moved.value(*row)) {
            repairs[row].extend(mends.iter().map(|mend| format!("{mend}: {name}")));
        }
        columns[index] = zip(&moved, &typed, &columns[index]).map_err(failed)?;
    }
    if taken.is_empty() {
        return Ok(None);
    }
    taken.sort_unstable();
    columns[rescued_index] = kept.without(&taken);
    columns[repairs_index] = list(&repairs);
    // The rebuilt map has plain field names; the writer puts the table's own ids back.
    let fields: Vec<_> = schema
        .fields()
        .iter()
        .zip(&columns)
        .map(|(field, column)| field.as_ref().clone().with_data_type(column.data_type().clone()))
        .collect();
    RecordBatch::try_new(Arc::new(arrow::datatypes::Schema::new(fields)), columns).map(Some).map_err(failed)
}

/// What `_repairs` says of each row.
fn notes(column: &ArrayRef) -> Result<Vec<Vec<String>>> {
    let damaged = || Error::new(ErrorKind::Damaged, format!("{} is not a list of text", table::REPAIRS));
    let rows = column.as_list_opt::<i32>().ok_or_else(damaged)?;
    let of = |row: usize| match rows.is_null(row) {
        true => Ok(Vec::new()),
        false => Ok(rows.value(row).as_string_opt::<i32>().ok_or_else(damaged)?.iter().flatten().map(str::to_owned).collect()),
    };
    (0..rows.len()).map(of).collect()
}

fn list(repairs: &[Vec<String>]) -> ArrayRef {
    let mut builder = ListBuilder::new(StringBuilder::new()).with_field(Field::new("element", DataType::Utf8, false));
    for row in repairs {
        row.iter().for_each(|note| builder.values().append_value(note));
        builder.append(!row.is_empty());
    }
    Arc::new(builder.finish())
}

/// The kept cells of each row, in their order.
struct Kept<'a> {
    rows: Vec<Vec<(&'a str, &'a str)>>,
}

impl<'a> Kept<'a> {
    fn read(column: &'a ArrayRef) -> Result<Self> {
        let map =
            column.as_map_opt().ok_or_else(|| Error::new(ErrorKind::Damaged, format!("{} is not a map", table::RESCUED)))?;
        let (keys, values) = match (map.keys().as_string_opt::<i32>(), map.values().as_string_opt::<i32>()) {
            (Some(keys), Some(values)) => (keys, values),
            _ => return Err(Error::new(ErrorKind::Damaged, format!("{} is not text by text", table::RESCUED))),
        };
        let offsets = map.value_offsets();
        let rows = (0..map.len())
            .map(|row| match map.is_null(row) {
                true => Vec::new(),
                false => (offsets[row] as usize..offsets[row + 1] as usize).map(|i| (keys.value(i), values.value(i))).collect(),
            })
            .collect();
        Ok(Self { rows })
    }

    fn without(&self, taken: &[(usize, &str)]) -> ArrayRef {
        let names = MapFieldNames { entry: "key_value".into(), key: "key".into(), value: "value".into() };
        let mut builder = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new());
        for (index, row) in self.rows.iter().enumerate() {
            let mut any = false;
            for (key, value) in row.iter().filter(|(key, _)| taken.binary_search(&(index, *key)).is_err()) {
                builder.keys().append_value(key);
                builder.values().append_value(value);
                any = true;
            }
            // Both builders grow together, so closing the row cannot fail.
            builder.append(any).expect("keys and values of the same length");
        }
        Arc::new(builder.finish())
    }
}
