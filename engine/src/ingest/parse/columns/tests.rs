//! A batch against the table's schema, column kind by column kind.

use arrow::array::{AsArray, Date32Array};
use arrow::datatypes::{Date32Type, Decimal128Type, Int32Type, Int64Type, TimestampMicrosecondType};
use bonded_schemas::{DeliveryId, Evidence, Required};
use chrono::{TimeZone, Utc};

use super::*;

fn column(name: &str, kind: ColumnType) -> Column {
    Column {
        name: name.to_owned(),
        aliases: Vec::new(),
        kind,
        format: String::new(),
        required: Required::Optional,
        uses: Vec::new(),
        ordinal: None,
        evidence: Evidence::Inferred,
        source: String::new(),
        personal: false,
    }
}

fn all_kinds() -> Vec<Column> {
    vec![
        column("Entry Summary Number", ColumnType::Text(Some(11))),
        column("Line Number", ColumnType::Integer),
        column("Line Duty Amount", ColumnType::Money),
        column("Line Quantity", ColumnType::Quantity),
        column("Entry Date", ColumnType::Date),
        column("Port Code", ColumnType::Text(Some(4))),
    ]
}

fn stamp() -> Stamp {
    let as_of = Utc.timestamp_micros(1_700_000_000_123_456).unwrap();
    Stamp { delivery_id: "0190a5a8-0000-7000-8000-000000000001".parse::<DeliveryId>().unwrap(), as_of }
}

#[test]
fn a_batch_has_the_tables_schema_and_each_cell_its_value() {
    let columns = all_kinds();
    let mut batch = Columns::new(&columns, &[true, true, true, true, true, false], &stamp(), 4);
    for (row, cells) in
        [["ABC12345676", "1", "10.50", "2.5", "04/02/2025"], ["ABC-1234567-6", "x", "1.234", "", ""]].iter().enumerate()
    {
        let outcomes: Vec<Kept> = cells.iter().enumerate().map(|(index, text)| batch.append(index, text)).collect();
        if row == 0 {
            assert_eq!(outcomes, [Kept::AsIs; 5]);
        } else {
            let reasons = [Kept::Failed("not a whole number"), Kept::Failed("more than two decimals")];
            assert_eq!(outcomes, [Kept::Mended("dashes removed"), reasons[0], reasons[1], Kept::AsIs, Kept::AsIs]);
            batch.rescue("Line Number", "x");
            batch.rescue("Line Duty Amount", "1.234");
            batch.repair("dashes removed: Entry Summary Number");
        }
        batch.end_row(Place { row: row as u64 + 1, line: 2, byte: 3 }, row == 1, row == 1);
    }
    assert_eq!(batch.sums().collect::<Vec<_>>(), [(2, 1050)]);
    let batch = batch.finish();
    assert_eq!(batch.schema().as_ref(), &table::schema(&columns));
    assert_eq!(batch.num_rows(), 2);
    let text = |name: &str| batch.column_by_name(name).unwrap().as_string::<i32>().clone();
    assert_eq!(text("entry_summary_number").iter().flatten().collect::<Vec<_>>(), ["ABC12345676", "ABC12345676"]);
    assert_eq!(text(table::DELIVERY_ID).value(1), stamp().delivery_id.to_string());
    assert_eq!(batch.column_by_name("port_code").unwrap().null_count(), 2);
    let lines = batch.column_by_name("line_number").unwrap().as_primitive::<Int32Type>();
    assert_eq!(lines.iter().collect::<Vec<_>>(), [Some(1), None]);
    let duty = batch.column_by_name("line_duty_amount").unwrap().as_primitive::<Decimal128Type>();
    assert_eq!(duty.iter().collect::<Vec<_>>(), [Some(1050), None]);
    let quantity = batch.column_by_name("line_quantity").unwrap().as_primitive::<Decimal128Type>();
    assert_eq!(quantity.iter().collect::<Vec<_>>(), [Some(25_000), None]);
    let dates: &Date32Array = batch.column_by_name("entry_date").unwrap().as_primitive::<Date32Type>();
    assert_eq!(dates.iter().collect::<Vec<_>>(), [Some(20_180), None]);
    let rows = batch.column_by_name(table::ROW).unwrap().as_primitive::<Int64Type>();
    assert_eq!(rows.values().to_vec(), [1, 2]);
    let as_of = batch.column_by_name(table::AS_OF).unwrap().as_primitive::<TimestampMicrosecondType>();
    assert_eq!(as_of.values().to_vec(), [1_700_000_000_123_456; 2]);
    let rescued = batch.column_by_name(table::RESCUED).unwrap().as_map();
    assert!(rescued.is_null(0) && rescued.is_valid(1));
    assert_eq!(rescued.value(1).column(1).as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["x", "1.234"]);
    let repairs = batch.column_by_name(table::REPAIRS).unwrap().as_list::<i32>();
    assert!(repairs.is_null(0));
    assert_eq!(repairs.value(1).as_string::<i32>().value(0), "dashes removed: Entry Summary Number");
}

#[test]
fn a_finished_batch_leaves_room_for_the_next_and_sums_go_on() {
    let columns = all_kinds();
    let mut batch = Columns::new(&columns, &[false, false, true, false, false, false], &stamp(), 2);
    for round in 1..=3 {
        assert_eq!(batch.append(2, "0.01"), Kept::AsIs);
        batch.end_row(Place { row: round, line: round, byte: 0 }, false, false);
        let finished = batch.finish();
        assert_eq!((finished.num_rows(), batch.len()), (1, 0));
        assert_eq!(finished.column_by_name(table::ROW).unwrap().as_primitive::<Int64Type>().value(0), round as i64);
    }
    assert_eq!(batch.sums().collect::<Vec<_>>(), [(2, 3)]);
}
