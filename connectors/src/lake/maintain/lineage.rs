//! Row lineage (Iceberg v3) through a compaction: a moved row keeps its id and the sequence number of its last change.
//! By the spec both are then columns of the file, under reserved field ids, and no columns of the table.

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{AsArray, Int64Array, RecordBatch},
    datatypes::{DataType, Field, Int64Type, Schema as ArrowSchema, SchemaRef as ArrowSchemaRef},
};
use iceberg::metadata_columns::{RESERVED_FIELD_ID_LAST_UPDATED_SEQUENCE_NUMBER, RESERVED_FIELD_ID_ROW_ID};
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;

use crate::error::{Error, ErrorKind, Result};

/// Names by the spec (Iceberg v3, row lineage).
const ROW_ID: &str = "_row_id";
const LAST_UPDATED: &str = "_last_updated_sequence_number";

/// The columns of a table and the two of lineage after them.
pub fn with_lineage(columns: &ArrowSchema) -> ArrowSchemaRef {
    let reserved = |name: &str, id: i32| {
        let id = HashMap::from([(PARQUET_FIELD_ID_META_KEY.to_owned(), id.to_string())]);
        Arc::new(Field::new(name, DataType::Int64, true).with_metadata(id))
    };
    let lineage =
        [reserved(ROW_ID, RESERVED_FIELD_ID_ROW_ID), reserved(LAST_UPDATED, RESERVED_FIELD_ID_LAST_UPDATED_SEQUENCE_NUMBER)];
    Arc::new(ArrowSchema::new(columns.fields().iter().cloned().chain(lineage).collect::<Vec<_>>()))
}

/// Puts in what the file leaves to be inherited: ids from its first row on, the sequence number of its snapshot.
pub fn fill(batch: &RecordBatch, first_row_id: i64, sequence: i64) -> Result<RecordBatch> {
    let inherited = |name: &str, of_row: &dyn Fn(i64) -> i64| -> Result<Int64Array> {
        let stored = batch.column_by_name(name).and_then(|column| column.as_primitive_opt::<Int64Type>());
        let stored = stored.ok_or_else(|| Error::new(ErrorKind::Internal, format!("no column {name} to keep lineage in")))?;
        let rows = 0..i64::try_from(batch.num_rows()).unwrap_or(i64::MAX);
        Ok(stored.iter().zip(rows).map(|(value, row)| value.unwrap_or_else(|| of_row(row))).collect())
    };
    let row_ids = inherited(ROW_ID, &|row| first_row_id + row)?;
    let updated = inherited(LAST_UPDATED, &|_| sequence)?;
    let kept = batch.num_columns().saturating_sub(2);
    let mut columns = batch.columns()[..kept].to_vec();
    columns.push(Arc::new(row_ids));
    columns.push(Arc::new(updated));
    RecordBatch::try_new(batch.schema(), columns)
        .map_err(|error| Error::new(ErrorKind::Internal, "lineage does not fit its batch").with_source(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_inherited_where_the_file_has_none_and_kept_where_it_has() {
        let schema = with_lineage(&ArrowSchema::new(vec![Field::new("_row", DataType::Int64, false)]));
        let columns: [Int64Array; 3] = [vec![Some(7), Some(8)].into(), vec![None, Some(40)].into(), vec![Some(3), None].into()];
        let batch = RecordBatch::try_new(schema, columns.map(|column| Arc::new(column) as _).to_vec()).expect("a batch");
        let filled = fill(&batch, 100, 9).expect("filled");
        let of = |at: usize| filled.column(at).as_primitive::<Int64Type>().values().to_vec();
        assert_eq!((of(0), of(1), of(2)), (vec![7, 8], vec![100, 40], vec![3, 9]));
    }
}
