use std::collections::HashMap;

use iceberg::spec::{DataContentType, DataFileBuilder, DataFileFormat, PrimitiveType, Struct};

use super::*;

fn field(name: &str, data_type: DataType, id: i32) -> Field {
    Field::new(name, data_type, true).with_metadata(HashMap::from([("PARQUET:field_id".to_owned(), id.to_string())]))
}

fn schema() -> Schema {
    Schema::new(vec![
        field("entry", DataType::Utf8, 1),
        field("amount", DataType::Decimal128(18, 2), 2),
        field("day", DataType::Date32, 3),
        field("later", DataType::Int32, 4),
    ])
}

fn money(cents: i128) -> Datum {
    Datum::try_from_bytes(&cents.to_be_bytes(), PrimitiveType::Decimal { precision: 18, scale: 2 }).unwrap()
}

pub(in crate::provider) fn file(rows: u64, nulls: u64, low: i128, high: i128) -> DataFile {
    let mut builder = DataFileBuilder::default();
    builder
        .content(DataContentType::Data)
        .file_path("memory://lake/x.parquet".to_owned())
        .file_format(DataFileFormat::Parquet)
        .partition(Struct::empty())
        .record_count(rows)
        .file_size_in_bytes(1000)
        .null_value_counts(HashMap::from([(1, 0), (2, nulls), (3, rows)]));
    if nulls < rows {
        builder
            .lower_bounds(HashMap::from([(1, Datum::string("AAA")), (2, money(low))]))
            .upper_bounds(HashMap::from([(1, Datum::string("ZZZ")), (2, money(high))]));
    }
    builder.build().unwrap()
}

#[test]
fn money_bounds_are_exact_and_text_bounds_are_not() {
    let statistics = of_file(&schema(), &file(10, 1, -500, 1234), &BTreeSet::new());
    assert_eq!(statistics.num_rows, Precision::Exact(10));
    let amount = &statistics.column_statistics[1];
    assert_eq!(amount.min_value, Precision::Exact(ScalarValue::Decimal128(Some(-500), 18, 2)));
    assert_eq!(amount.max_value, Precision::Exact(ScalarValue::Decimal128(Some(1234), 18, 2)));
    assert_eq!(amount.null_count, Precision::Exact(1));
    assert_eq!(statistics.column_statistics[0].max_value, Precision::Inexact(ScalarValue::Utf8(Some("ZZZ".into()))));
    assert_eq!(statistics.column_statistics[3], ColumnStatistics::new_unknown());
}

#[test]
fn files_add_up_and_an_empty_column_does_not_hide_the_bounds_of_others() {
    let schema = schema();
    let files = [file(10, 1, -500, 1234), file(5, 5, 0, 0), file(3, 0, 7, 5000)]
        .map(|file| Arc::new(of_file(&schema, &file, &BTreeSet::new())));
    let all = sum(&schema, &files);
    assert_eq!(all.num_rows, Precision::Exact(18));
    assert_eq!(all.column_statistics[1].null_count, Precision::Exact(6));
    assert_eq!(all.column_statistics[1].min_value, Precision::Exact(ScalarValue::Decimal128(Some(-500), 18, 2)));
    assert_eq!(all.column_statistics[1].max_value, Precision::Exact(ScalarValue::Decimal128(Some(5000), 18, 2)));
    assert_eq!(all.column_statistics[2].null_count, Precision::Exact(18));
    assert_eq!(all.column_statistics[3].null_count, Precision::Absent);
    assert_eq!(all.column_statistics[3].max_value, Precision::Absent);
}

#[test]
fn no_files_are_exactly_no_rows() {
    assert_eq!(sum(&schema(), &[]).num_rows, Precision::Exact(0));
}

#[test]
fn a_bound_of_another_scale_is_not_taken() {
    assert_eq!(scalar(&money(1234), &DataType::Decimal128(18, 4)), None);
}
