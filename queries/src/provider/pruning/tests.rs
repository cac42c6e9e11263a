use std::collections::HashMap;

use datafusion::{
    arrow::datatypes::Field,
    logical_expr::try_cast,
    prelude::{SessionContext, col, lit},
};
use iceberg::spec::{ByteBuf, FieldSummary, ManifestContentType, NestedField};

use super::*;

fn field(name: &str, data_type: DataType, id: i32) -> Field {
    Field::new(name, data_type, true).with_metadata(HashMap::from([("PARQUET:field_id".to_owned(), id.to_string())]))
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        field("entry", DataType::Utf8, 1),
        field("amount", DataType::Decimal128(18, 2), 2),
        field("entry_date", DataType::Date32, 3),
    ]))
}

fn dollars(cents: i128) -> ScalarValue {
    ScalarValue::Decimal128(Some(cents), 18, 2)
}

fn container(rows: usize, nulls: usize, entry: Option<(&str, &str)>, amount: Option<(i128, i128)>) -> Arc<Statistics> {
    let mut statistics = Statistics::new_unknown(&schema());
    statistics.num_rows = Precision::Exact(rows);
    if let Some((low, high)) = entry {
        statistics.column_statistics[0].min_value = Precision::Inexact(ScalarValue::from(low));
        statistics.column_statistics[0].max_value = Precision::Inexact(ScalarValue::from(high));
    }
    if let Some((low, high)) = amount {
        statistics.column_statistics[1].min_value = Precision::Exact(dollars(low));
        statistics.column_statistics[1].max_value = Precision::Exact(dollars(high));
    }
    statistics.column_statistics[1].null_count = Precision::Exact(nulls);
    Arc::new(statistics)
}

fn keep(filters: &[Expr]) -> Vec<bool> {
    let containers = [
        container(10, 0, Some(("AAA", "MMM")), Some((0, 1000))),
        container(10, 0, Some(("NNN", "ZZZ")), Some((1001, 9999))),
        container(10, 10, None, None),
        Arc::new(Statistics::new_unknown(&schema())),
    ];
    let state = SessionContext::new().state();
    Pruning::new(&state, schema(), filters).unwrap().keep(&containers)
}

#[test]
fn what_cannot_match_is_left_out_and_what_is_unknown_is_kept() {
    let amount = || col("amount");
    assert_eq!(keep(&[amount().eq(lit(dollars(500)))]), [true, false, false, true]);
    assert_eq!(keep(&[amount().gt(lit(dollars(1000)))]), [false, true, false, true]);
    assert_eq!(keep(&[amount().is_null()]), [false, false, true, true]);
    assert_eq!(keep(&[col("entry").eq(lit("PPP"))]), [false, true, true, true]);
    assert_eq!(keep(&[amount().in_list(vec![lit(dollars(1)), lit(dollars(2))], false)]), [true, false, false, true]);
    assert_eq!(keep(&[amount().between(lit(dollars(900)), lit(dollars(1001)))]), [true, true, false, true]);
    assert_eq!(keep(&[col("entry").eq(lit("BBB")).or(amount().eq(lit(dollars(5000))))]), [true, true, true, true]);
    assert_eq!(keep(&[col("entry").eq(lit("BBB")), amount().eq(lit(dollars(5000)))]), [false, false, false, true]);
}

#[test]
fn a_filter_that_cannot_be_judged_prunes_nothing() {
    assert_eq!(keep(&[]), [true; 4]);
    assert_eq!(keep(&[col("entry").like(lit("%7"))]), [true; 4]);
    assert_eq!(keep(&[try_cast(col("entry"), DataType::Int32).eq(lit(5))]), [true; 4]);
    assert_eq!(keep(&[col("no_such_column").eq(lit(5))]), [true; 4]);
    assert_eq!(keep(&[col("amount").eq(lit(dollars(500))).is_not_true()])[..2], [true; 2]);
}

fn manifest(spec: &PartitionSpec, months: Option<(i32, i32)>, contains_null: bool) -> ManifestFile {
    let bytes = |value: i32| ByteBuf::from(value.to_le_bytes().to_vec());
    ManifestFile {
        manifest_path: "memory://lake/m.avro".to_owned(),
        manifest_length: 1,
        partition_spec_id: spec.spec_id(),
        content: ManifestContentType::Data,
        sequence_number: 1,
        min_sequence_number: 1,
        added_snapshot_id: 1,
        added_files_count: Some(1),
        existing_files_count: Some(0),
        deleted_files_count: Some(0),
        added_rows_count: Some(1),
        existing_rows_count: Some(0),
        deleted_rows_count: Some(0),
        partitions: Some(vec![FieldSummary {
            contains_null,
            contains_nan: None,
            lower_bound: months.map(|(low, _)| bytes(low)),
            upper_bound: months.map(|(_, high)| bytes(high)),
        }]),
        key_metadata: None,
        first_row_id: None,
    }
}

/// Manifests of January 2026, February to March 2026, undated rows only, and one that says nothing.
#[test]
fn a_manifest_of_other_months_is_not_read() {
    let iceberg = IcebergSchema::builder()
        .with_fields(vec![Arc::new(NestedField::optional(3, "entry_date", Type::Primitive(PrimitiveType::Date)))])
        .build()
        .unwrap();
    let spec = PartitionSpec::builder(iceberg.clone())
        .add_partition_field("entry_date", "entry_date_month", Transform::Month)
        .unwrap()
        .build()
        .unwrap();
    let january = 56 * 12;
    let mut silent = manifest(&spec, None, true);
    silent.partitions = None;
    let known: Vec<Arc<Statistics>> = [
        manifest(&spec, Some((january, january)), false),
        manifest(&spec, Some((january + 1, january + 2)), true),
        manifest(&spec, None, true),
        silent,
    ]
    .iter()
    .map(|manifest| Arc::new(of_manifest(&schema(), &iceberg, &spec, manifest)))
    .collect();
    let state = SessionContext::new().state();
    let judged = |filter: Expr| Pruning::new(&state, schema(), &[filter]).unwrap().keep(&known);
    let day = |text: &str| {
        let days = (text.parse::<NaiveDate>().unwrap() - NaiveDate::default()).num_days();
        lit(ScalarValue::Date32(i32::try_from(days).ok()))
    };
    assert_eq!(judged(col("entry_date").eq(day("2026-01-31"))), [true, false, true, true]);
    assert_eq!(judged(col("entry_date").eq(day("2026-02-01"))), [false, true, true, true]);
    assert_eq!(judged(col("entry_date").eq(day("2026-03-31"))), [false, true, true, true]);
    assert_eq!(judged(col("entry_date").eq(day("2026-04-01"))), [false, false, true, true]);
    assert_eq!(judged(col("entry_date").eq(day("2025-12-31"))), [false, false, true, true]);
    assert_eq!(judged(col("entry_date").is_null()), [false, true, true, true]);
}

#[test]
fn months_before_1970_have_their_edges_too() {
    let low = edge(&Transform::Month, &Datum::int(-1), &DataType::Date32, Edge::Low);
    let high = edge(&Transform::Month, &Datum::int(-1), &DataType::Date32, Edge::High);
    assert_eq!((low, high), (Some(ScalarValue::Date32(Some(-31))), Some(ScalarValue::Date32(Some(-1)))));
}
