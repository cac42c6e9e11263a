//! A batch made to fit its table: columns by name, in the table's order, with the table's field ids.
//! Never: a value is not cast; types that differ in more than nested names and metadata are refused.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, ListArray, MapArray, RecordBatch, RecordBatchOptions, StructArray, new_null_array},
    datatypes::{DataType, SchemaRef},
};

use crate::error::{Error, ErrorKind, Result};

/// The batch in the table's own schema, field ids included.
pub fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), columns(batch, schema)?, &options).map_err(arrow_failed)
}

/// The batch's columns in the order of the table's schema; texts may stay a dictionary.
pub fn columns(batch: &RecordBatch, schema: &SchemaRef) -> Result<Vec<ArrayRef>> {
    schema
        .fields()
        .iter()
        .map(|field| match batch.column_by_name(field.name()) {
            Some(column) if !field.is_nullable() && column.null_count() > 0 => {
                Err(Error::new(ErrorKind::Internal, format!("`{}` may not be null", field.name())))
            }
            Some(column) => relabel(column, field.data_type()),
            None if !field.is_nullable() => {
                Err(Error::new(ErrorKind::Internal, format!("`{}` is missing and may not be null", field.name())))
            }
            None => Ok(new_null_array(field.data_type(), batch.num_rows())),
        })
        .collect()
}

fn arrow_failed(error: arrow::error::ArrowError) -> Error {
    Error::new(ErrorKind::Internal, "a batch does not fit its table").with_source(error)
}

/// The same values under a type that differs only in nested field names and metadata.
fn relabel(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    Ok(match to {
        same if same == array.data_type() => array.clone(),
        DataType::Utf8 if is_dictionary_of_texts(array.data_type()) => array.clone(),
        DataType::List(field) => {
            let list = array.as_any().downcast_ref::<ListArray>().ok_or_else(|| mismatch(array, to))?;
            let values = relabel(list.values(), field.data_type())?;
            Arc::new(
                ListArray::try_new(field.clone(), list.offsets().clone(), values, list.nulls().cloned()).map_err(arrow_failed)?,
            )
        }
        DataType::Map(field, ordered) => {
            let map = array.as_any().downcast_ref::<MapArray>().ok_or_else(|| mismatch(array, to))?;
            let DataType::Struct(fields) = field.data_type() else { return Err(mismatch(array, to)) };
            let entries = map
                .entries()
                .columns()
                .iter()
                .zip(fields)
                .map(|(column, field)| relabel(column, field.data_type()))
                .collect::<Result<Vec<_>>>()?;
            let entries = StructArray::try_new(fields.clone(), entries, None).map_err(arrow_failed)?;
            let map = MapArray::try_new(field.clone(), map.offsets().clone(), entries, map.nulls().cloned(), *ordered);
            Arc::new(map.map_err(arrow_failed)?)
        }
        _ => return Err(mismatch(array, to)),
    })
}

fn is_dictionary_of_texts(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Dictionary(key, value) if **key == DataType::Int32 && **value == DataType::Utf8)
}

fn mismatch(array: &ArrayRef, to: &DataType) -> Error {
    Error::new(ErrorKind::Internal, format!("a batch column of type {} cannot go into {to}", array.data_type()))
}
