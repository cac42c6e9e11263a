//! A batch against the table's schema, column kind by column kind.

use arrow::array::{AsArray, Date32Array};
use arrow::datatypes::{Date32Type, Decimal128Type, Int32Type, Int64Type, TimestampMicrosecondType};
use bonded_schemas::{Code, DeliveryId, Evidence, Required};
use chrono::{TimeZone, Utc};

use super::*;

fn column(name: &str, kind: ColumnType) -> Column {
    Column {
        name: name.to_owned(),
        aliases: Vec::new(),
        kind,
        code: (name == "Entry Summary Number").then_some(Code::EntryNumber),
        format: String::new(),
        required: Required::Optional,
        uses: Vec::new(),
        ordinal: None,
        evidence: Evidence::Inferred,
        source: String::new(),
        table_name: None,
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

/// Appends without a look at the cell above.
fn put(batch: &mut Columns, column: usize, text: &str) -> Kept {
    batch.filled[column] = batch.len();
    batch.append(column, text, None).0
}

/// The table's own types: texts are a dictionary only on their way to the writer.
fn plain(batch: &RecordBatch) -> RecordBatch {
    let plain = |array: &ArrayRef| match array.data_type() {
        DataType::Dictionary(_, value) => cast(array, value).unwrap(),
        _ => array.clone(),
    };
    let schema = batch.schema();
    let fields = schema.fields().iter().map(|field| match field.data_type() {
        DataType::Dictionary(_, value) => field.as_ref().clone().with_data_type(value.as_ref().clone()),
        _ => field.as_ref().clone(),
    });
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    RecordBatch::try_new(schema, batch.columns().iter().map(plain).collect()).unwrap()
}

#[test]
fn a_batch_has_the_tables_schema_and_each_cell_its_value() {
    let columns = all_kinds();
    let mut batch = Columns::new(&columns, &[true, true, true, true, true, false], &stamp(), 4);
    for (row, cells) in
        [["ABC12345676", "1", "10.50", "2.5", "04/02/2025"], ["ABC-1234567-6", "x", "1.234", "", ""]].iter().enumerate()
    {
        let outcomes: Vec<Kept> = cells.iter().enumerate().map(|(index, text)| put(&mut batch, index, text)).collect();
        if row == 0 {
            assert_eq!(outcomes, [Kept::AsIs; 5]);
        } else {
            let failed = |reason| Kept::Noted(Note { failed: Some(reason), ..Note::default() });
            let dashes = Kept::Noted(Note { mends: Mends::DASHES, ..Note::default() });
            let failures = [failed("not a whole number"), failed("more than two decimals")];
            assert_eq!(outcomes, [dashes, failures[0], failures[1], Kept::AsIs, Kept::AsIs]);
            batch.rescue("Line Number", "x");
            batch.rescue("Line Duty Amount", "1.234");
            batch.repair("dashes removed: Entry Summary Number");
        }
        batch.end_row(Place { row: row as u64 + 1, line: 2, byte: 3 }, row == 1, row == 1);
    }
    assert_eq!(batch.sums().collect::<Vec<_>>(), [(2, 1050)]);
    let batch = plain(&batch.finish());
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
        assert_eq!(put(&mut batch, 2, "0.01"), Kept::AsIs);
        batch.end_row(Place { row: round, line: round, byte: 0 }, false, false);
        let finished = batch.finish();
        assert_eq!((finished.num_rows(), batch.len()), (1, 0));
        assert_eq!(finished.column_by_name(table::ROW).unwrap().as_primitive::<Int64Type>().value(0), round as i64);
    }
    assert_eq!(batch.sums().collect::<Vec<_>>(), [(2, 3)]);
}

#[test]
fn text_that_looks_like_a_number_is_read_and_the_look_is_told() {
    let columns = all_kinds();
    let mut batch = Columns::new(&columns, &[true; 6], &stamp(), 4);
    let mended = |mends| Kept::Noted(Note { mends, ..Note::default() });
    assert_eq!(put(&mut batch, 1, "１２"), mended(Mends::FULL_WIDTH));
    assert_eq!(put(&mut batch, 2, "$\u{a0}1,234.56\u{a0}"), mended(Mends::INVISIBLE));
    assert_eq!(put(&mut batch, 3, "\u{200b}2.5"), mended(Mends::INVISIBLE));
    assert_eq!(put(&mut batch, 4, "2025\u{2010}04\u{2011}02"), mended(Mends::LOOK_ALIKE_DASHES));
    let negative = Note { mends: Mends::LOOK_ALIKE_DASHES, doubt: Some(WarningRule::MoneyNegative), failed: None };
    assert_eq!(put(&mut batch, 2, "\u{2212}5.00"), Kept::Noted(negative));
    // Not even in ASCII an amount: kept as it came, and nothing is said to have been mended.
    let failed = Note { failed: Some("not an amount"), ..Note::default() };
    assert_eq!(put(&mut batch, 2, "\u{a0}1\u{a0}234\u{a0}"), Kept::Noted(failed));
    assert_eq!(batch.sums().collect::<Vec<_>>(), [(2, 122_956)]);
}

#[test]
fn a_date_that_exists_the_other_way_round_only_is_evidence_whichever_way_is_read() {
    for order in [DateOrder::MonthFirst, DateOrder::DayFirst, DateOrder::Undecided] {
        let mut batch = Columns::new(&all_kinds(), &[true; 6], &stamp(), 4);
        batch.read_dates(&DateOrders::from_iter([(4, order)]));
        for text in
            ["01/02/2025", "13/01/2025", "1/31/25", "2/31/2025", "31/12/2024 10:00", "13/01/1980", "2025-01-31", "45749", "x"]
        {
            put(&mut batch, 4, text);
        }
        assert_eq!(batch.dates_shown(), [(4, Shown { month_first: 1, day_first: 2 })], "{order:?}");
    }
}

#[test]
fn texts_that_are_typed_later_are_mended_and_noted_as_in_their_file() {
    let date = column("Entry Date", ColumnType::Date);
    let orders = [DateOrder::MonthFirst, DateOrder::DayFirst, DateOrder::DayFirst, DateOrder::MonthFirst];
    let (array, notes) = typed_column(&date, &[Some("02/04/2025"), Some("02/04/25"), None, Some("13/01/2025")], &orders);
    let dates: Vec<_> = array.as_primitive::<Date32Type>().iter().collect();
    assert_eq!(dates, [Some(20_123), Some(20_180), None, None]);
    assert_eq!(notes, [vec![], vec!["century added", "day read before month"], vec![], vec![]]);
}

#[test]
fn a_cell_that_stands_below_its_like_is_filled_in_with_all_that_it_counts() {
    let columns = all_kinds();
    let mut batch = Columns::new(&columns, &[false, true, true, false, true, false], &stamp(), 8);
    let rows = [["12", "1.50", "13/01/2025"], ["12", "1.50", "13/01/2025"], ["", "", ""], ["", "", ""], ["7", "2.00", "x"]];
    batch.read_dates(&DateOrders::from_iter([(4, DateOrder::DayFirst)]));
    for (row, cells) in rows.iter().enumerate() {
        // Line number, duty, date.
        for (column, text) in [1, 2, 4].into_iter().zip(cells) {
            let word = texts::word(text.as_bytes(), 0, text.len()).unwrap();
            if !batch.repeats(column, word) {
                batch.append(column, text, Some(word));
            }
        }
        batch.end_row(Place { row: row as u64 + 1, line: 1, byte: 0 }, false, false);
    }
    let finished = batch.finish();
    let lines = finished.column_by_name("line_number").unwrap().as_primitive::<Int32Type>();
    assert_eq!(lines.iter().collect::<Vec<_>>(), [Some(12), Some(12), None, None, Some(7)]);
    assert_eq!(finished.column_by_name("entry_date").unwrap().null_count(), 3);
    assert_eq!(batch.sums().collect::<Vec<_>>(), [(2, 500)]);
    assert_eq!(batch.dates_shown(), [(4, Shown { month_first: 0, day_first: 2 })]);
    // The next batch knows nothing of the rows above.
    assert!(!batch.repeats(1, u128::from(b'7')));
}

#[test]
fn a_row_that_was_read_day_first_says_so() {
    assert_eq!(date_order_of_row(["time dropped: A", "day read before month: Entry Date"]), DateOrder::DayFirst);
    for repairs in [vec![], vec!["time dropped: day read before month"], vec!["day read before month"]] {
        assert_eq!(date_order_of_row(repairs), DateOrder::MonthFirst);
    }
}
