use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, Int32Array, RecordBatch, StringArray},
        datatypes::{DataType, Int64Type, Schema},
    },
    physical_expr::expressions::col,
};

use super::*;

fn field(name: &str, data_type: DataType, id: i32) -> Field {
    Field::new(name, data_type, true).with_metadata(HashMap::from([(FIELD_ID.to_owned(), id.to_string())]))
}

fn adapted(table: &Schema, file: &RecordBatch, name: &str) -> Result<ArrayRef> {
    let adapter = ByFieldIdFactory.create(Arc::new(table.clone()), file.schema())?;
    let expression = adapter.rewrite(col(name, table)?)?;
    expression.evaluate(file)?.into_array(file.num_rows())
}

fn file() -> RecordBatch {
    let schema = Schema::new(vec![field("note", DataType::Utf8, 2), field("line", DataType::Int32, 1)]);
    let columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from(vec!["old"])), Arc::new(Int32Array::from(vec![7]))];
    RecordBatch::try_new(Arc::new(schema), columns).unwrap()
}

#[test]
fn a_column_is_found_by_its_id_under_another_name_and_place() {
    let table = Schema::new(vec![field("line_number", DataType::Int32, 1)]);
    assert_eq!(adapted(&table, &file(), "line_number").unwrap().as_ref(), &Int32Array::from(vec![7]));
}

#[test]
fn a_name_added_again_does_not_show_the_dropped_column() {
    let table = Schema::new(vec![field("line", DataType::Int32, 1), field("note", DataType::Utf8, 3)]);
    let note = adapted(&table, &file(), "note").unwrap();
    assert_eq!((note.len(), note.null_count()), (1, 1));
}

#[test]
fn a_widened_type_is_read_wide() {
    let table = Schema::new(vec![field("line", DataType::Int64, 1)]);
    assert_eq!(adapted(&table, &file(), "line").unwrap().as_primitive::<Int64Type>().value(0), 7);
}

#[test]
fn a_required_column_that_a_file_lacks_is_damage() {
    let table = Schema::new(vec![field("_row", DataType::Int64, 9).with_nullable(false)]);
    assert!(adapted(&table, &file(), "_row").is_err());
}

#[test]
fn a_file_without_field_ids_is_not_guessed_at() {
    let plain = RecordBatch::try_from_iter([("line", Arc::new(Int32Array::from(vec![7])) as ArrayRef)]).unwrap();
    let table = Schema::new(vec![field("line", DataType::Int32, 1)]);
    let error = crate::Error::from(adapted(&table, &plain, "line").unwrap_err());
    assert_eq!(error.kind(), crate::ErrorKind::Damaged);
}
