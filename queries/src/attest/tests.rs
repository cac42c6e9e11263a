//! What Polars makes of small files, and what is told of tables that were altered behind its back.

use std::{collections::BTreeMap, sync::Arc};

use bonded_schemas::{Column, Registry, Report};
use chrono::{DateTime, TimeZone, Utc};
use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, Decimal128Array, RecordBatch},
        datatypes::Decimal128Type,
    },
    datasource::MemTable,
};

use super::*;
use crate::{
    Session,
    testing::{Reports, session, small, store},
};

static NONE: BTreeMap<String, String> = BTreeMap::new();

fn columns(report: Report) -> &'static [Column] {
    &Registry::builtin().edition(report).columns
}

fn as_of() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 4, 15, 6, 0, 0).unwrap()
}

fn asked(report: Report) -> Asked<'static> {
    Asked { report, columns: columns(report), renames: &NONE, header_line: 1, quote: b'"', as_of: as_of() }
}

fn es_003(text: &str) -> Tally {
    recount(text.as_bytes(), &asked(Report::Es003)).unwrap()
}

const HEAD: &str = "Entry Summary Number,Entry Date,Entry Summary Line Number,Tariff Ordinal Number,Line Tariff Duty Amount\n";

fn duty(amounts: &[&str]) -> Sum {
    let rows: String =
        amounts.iter().map(|amount| format!("XZ910000011,01/31/2026,1,1,\"{}\"\n", amount.replace('"', "\"\""))).collect();
    let tally = es_003(&format!("{HEAD}{rows}"));
    assert_eq!(tally.rows, amounts.len() as u64);
    tally.money["line_tariff_duty_amount"]
}

#[test]
fn amounts_are_read_in_every_way_that_cbp_writes_them_and_to_the_cent() {
    let written = [
        ("1234.56", 123_456),
        ("1234.5", 123_450),
        ("1234", 123_400),
        (".5", 50),
        ("12.", 1200),
        ("0012.340", 1234),
        ("1,234.56", 123_456),
        ("$1,234,567.89", 123_456_789),
        ("$ 12.00", 1200),
        ("-12.34", -1234),
        ("+12.34", 1234),
        ("-$1,234.56", -123_456),
        ("$-12.34", -1234),
        ("(1,234.56)", -123_456),
        ("($12.34)", -1234),
        ("$(12.34)", -1234),
        ("12.34-", -1234),
        ("=\"12.34\"", 1234),
        (" 12.34\u{a0}", 1234),
        ("9999999999999999.99", 999_999_999_999_999_999),
    ];
    // Each in a month of its own, so that one reading tells them apart.
    let rows: String = written
        .iter()
        .enumerate()
        .map(|(at, (text, _))| {
            let (year, month) = (2000 + at / 12, at % 12 + 1);
            format!("XZ910000011,{year}-{month:02}-15,1,1,\"{}\"\n", text.replace('"', "\"\""))
        })
        .collect();
    let tally = es_003(&format!("{HEAD}{rows}"));
    assert_eq!(tally.money["line_tariff_duty_amount"].values, written.len() as u64);
    for (month, (text, cents)) in tally.months.values().zip(written) {
        assert_eq!(month.money["line_tariff_duty_amount"], cents, "{text}");
    }
}

#[test]
fn what_is_no_amount_is_counted_and_adds_nothing() {
    let bad = ["n/a", "1,23.45", "12.345", "(12.34", "12.34)", "--1", "$$1", "1.2.3", "12e3", "$", ".", "10000000000000000.00"];
    assert_eq!(duty(&bad), Sum { cents: 0, values: 0, unread: bad.len() as u64 });
    assert_eq!(duty(&["", "  ", "0"]), Sum { cents: 0, values: 1, unread: 0 });
}

#[test]
fn sums_beyond_what_a_float_can_tell_apart_are_exact() {
    assert_eq!(duty(&["9007199254740993.01", "0.01", "0.01"]).cents, 900_719_925_474_099_303);
}

fn months(dates: &[&str]) -> Vec<(String, u64)> {
    let rows: String = dates.iter().map(|date| format!("XZ910000011,{date},1,1,1.00\n")).collect();
    es_003(&format!("{HEAD}{rows}")).months.iter().map(|(month, tally)| (month.to_string(), tally.rows)).collect()
}

#[test]
fn dates_are_read_in_every_way_that_cbp_and_spreadsheets_write_them() {
    let written = [
        "01/31/2026",
        "1/31/2026",
        "1/31/26",
        "2026-01-31",
        "2026-1-31",
        "01/31/2026 12:00:00 AM",
        "2026-01-31T00:00:00Z",
        "46053",
        "=\"01/31/2026\"",
    ];
    assert_eq!(months(&written), [("2026-01".to_owned(), written.len() as u64)]);
    let none = ["", "02/30/2026", "01/31/1989", "99999", "31-01-2026", "soon"];
    assert_eq!(months(&none), [("no date".to_owned(), none.len() as u64)]);
    assert_eq!(months(&["12/31/2025", "01/01/2026", "01/02/2026"]), [("2025-12".to_owned(), 1), ("2026-01".to_owned(), 2)]);
}

#[test]
fn days_come_first_where_some_day_cannot_be_a_month_and_none_contradicts() {
    let head = HEAD.replace("Entry Date", "Entry Date,Entry Summary Date");
    let other = es_003(&format!("{head}XZ910000011,02/03/2026,13/03/2026,1,1,1.00\n"));
    assert_eq!(other.months.keys().map(Month::to_string).collect::<Vec<_>>(), ["2026-03"], "the file's other dates count");
    assert_eq!(months(&["31/01/2026", "02/03/2026", "12/31/2025"]).len(), 3, "a contradiction leaves CBP's order");
    assert_eq!(months(&["31/01/2026", "02/03/2026"]), [("2026-01".to_owned(), 1), ("2026-03".to_owned(), 1)]);
}

#[test]
fn records_that_are_no_rows_are_counted_apart_from_blank_ones() {
    let tally = es_003(&format!(
        "{HEAD}XZ910000011,01/31/2026,1,1,1.00\n\
         \n\
         ,,,,\n\
         XZ910000011,01/31/2026,1\n\
         XZ910000011,01/31/2026,1,1,1.00,more\n\
         XZ910000011,01/31/2026,2,1,2.00,\n\
         XZ910000011,01/31/2026,x,1,1.00\n\
         1.01E+10,01/31/2026,1,1,1.00\n\
         XZ910000011,01/31/2026,1,1,\0\n\
         {HEAD}\
         Total,,,,3.00\n"
    ));
    assert_eq!((tally.rows, tally.rejected, tally.entries), (2, Some(7), 1));
    assert_eq!(tally.money["line_tariff_duty_amount"].cents, 300);
}

#[test]
fn a_preamble_a_mark_other_line_ends_quotes_and_delimiters_change_no_number() {
    let plain = format!("{HEAD}XZ910000011,01/31/2026,1,1,1.25\nXZ9-1000002-9,01/31/2026,1,1,\n");
    let expected = es_003(&plain);
    assert_eq!((expected.rows, expected.entries), (2, 2));
    assert_eq!(es_003(&format!("\u{feff}{plain}")), expected);
    assert_eq!(es_003(&plain.replace('\n', "\r\n")), expected);
    for delimiter in [";", "|", "\t"] {
        assert_eq!(es_003(&plain.replace(',', delimiter)), expected, "{delimiter:?}");
    }
    let quoted: String = plain.lines().map(|line| format!("\"{}\"\n", line.replace(',', "\",\""))).collect();
    assert_eq!(es_003(&quoted), expected);
    let below = format!("Entry Summary Line Tariff Details\nRun \"today\", or so\n{plain}");
    assert_eq!(recount(below.as_bytes(), &Asked { header_line: 3, ..asked(Report::Es003) }).unwrap(), expected);
    let single = quoted.replace('"', "'");
    assert_eq!(recount(single.as_bytes(), &Asked { quote: b'\'', ..asked(Report::Es003) }).unwrap(), expected);
    let broken_in_quotes = plain.replace("XZ9-1000002-9", "\"XZ9-1000002-9\n\"");
    assert_eq!(es_003(&broken_in_quotes), expected);
}

#[test]
fn columns_are_found_by_name_alias_or_accepted_rename_and_the_plain_name_wins() {
    let head = "Entry Summary Number,entry date,Line Number,Tariff Ordinal,Duty Amount,LINE TARIFF DUTY AMOUNT,Worth\n";
    let text = format!("{head}XZ910000011,01/31/2026,1,1,7.00,1.00,5.00\n");
    let renames = BTreeMap::from([("worth".to_owned(), "Line Tariff Goods Value Amount".to_owned())]);
    let tally = recount(text.as_bytes(), &Asked { renames: &renames, ..asked(Report::Es003) }).unwrap();
    assert_eq!(tally.money["line_tariff_duty_amount"].cents, 100);
    assert_eq!(tally.money["line_tariff_goods_value_amount"].cents, 500);
}

#[test]
fn what_cannot_be_read_independently_says_why() {
    let refusal = |bytes: &[u8]| recount(bytes, &asked(Report::Es003)).unwrap_err().0;
    assert!(refusal(b"Entry Summary Number\xff\n").contains("UTF-8"));
    assert!(refusal(b"PK\x03\x04\x00\xff").contains("UTF-8"));
    assert!(refusal(format!("{HEAD}XZ910000011,\"open\n").as_bytes()).contains("quote"));
    assert!(refusal(format!("{HEAD}XZ910000011,1\rXZ910000012,1\n").as_bytes()).contains("carriage return"));
    assert!(refusal(HEAD.replace('\n', "\rXZ910000011,1\r").as_bytes()).contains("carriage return"));
    assert!(refusal(b"Entry Summary Number,Entry Date\nXZ910000011,\n").contains("no column `Entry Summary Line Number`"));
    let far = Asked { header_line: 9, ..asked(Report::Es003) };
    assert!(recount(HEAD.as_bytes(), &far).unwrap_err().0.contains("no line 9"));
}

#[test]
fn a_refusal_quotes_no_cell() {
    for text in ["XZ910000011,\"open\n", "XZ910000011,1\rXZ910000012,1\n", "XZ910000011,\"a\"b,1,1,1\n"] {
        if let Err(refusal) = recount(format!("{HEAD}{text}").as_bytes(), &asked(Report::Es003)) {
            assert!(!refusal.0.contains("XZ91"), "{refusal}");
        }
    }
}

/// The rows that `ES_003_CSV` should have become.
const ES_003_ROWS: &str = "('XZ910000011', '2026-01-31', 1, 1, '0.00', '12.34', 'd1', '2026-04-15T06:00:00Z', 2), \
     ('XZ910000011', '2026-01-31', 1, 2, '100.00', '5.00', 'd1', '2026-04-15T06:00:00Z', 3), \
     ('XZ910000029', '2026-02-01', 1, 1, '50.00', NULL, 'd1', '2026-04-15T06:00:00Z', 4)";
const ES_003_CSV: &str = "Entry Summary Number,Entry Date,Entry Summary Line Number,Tariff Ordinal Number,\
     Line Tariff Goods Value Amount,Line Tariff Duty Amount\n\
     XZ910000011,01/31/2026,1,1,$0.00,$12.34\n\
     XZ910000011,01/31/2026,1,2,$100.00,$5.00\n\
     XZ910000029,02/01/2026,1,1,$50.00,\n";

async fn tally_of(session: &Session, report: Report) -> Tally {
    session.tallies(report, columns(report)).await.unwrap().remove("d1").unwrap_or_default()
}

#[tokio::test]
async fn tables_that_hold_what_was_received_agree() {
    let session = session(Reports { es_003: ES_003_ROWS, ..Reports::default() }).await;
    let (raw, lake) = (es_003(ES_003_CSV), tally_of(&session, Report::Es003).await);
    assert_eq!(against_tables(&raw, &lake), []);
    let totals = [("line_tariff_duty_amount".to_owned(), "17.34".to_owned())];
    assert_eq!(against_receipt(&raw, 3, 0, &totals), []);
}

#[tokio::test]
async fn the_lines_of_es_002_are_counted_under_the_month_of_their_pull() {
    let rows = "('XZ910000011', 1, '100.00', '17.34', '0.35', 'd1', '2026-04-15T06:00:00Z', 2)";
    let session = session(Reports { es_002: rows, ..Reports::default() }).await;
    let csv = "Entry Summary Number,Entry Summary Line Number,Line Goods Value Amount,Line Duty Amount,Line MPF Amount\n\
               XZ910000011,1,100.00,17.34,0.35\n";
    let raw = recount(csv.as_bytes(), &asked(Report::Es002)).unwrap();
    assert_eq!(raw.months.keys().map(Month::to_string).collect::<Vec<_>>(), ["2026-04"]);
    assert_eq!(against_tables(&raw, &tally_of(&session, Report::Es002).await), []);
}

/// A table whose bytes were altered after the commit: one byte of one decoded cell. Encrypted files refuse altered bytes,
/// so the double stands where they have been opened.
async fn with_one_byte_altered(row: usize, byte: usize) -> Session {
    let honest = session(Reports { es_003: ES_003_ROWS, ..Reports::default() }).await;
    let batches = honest.rows("SELECT * FROM es_003 ORDER BY _line").await.unwrap();
    let schema = batches[0].schema();
    let whole = datafusion::arrow::compute::concat_batches(&schema, &batches).unwrap();
    let at = schema.index_of("line_tariff_duty_amount").unwrap();
    let duty = whole.column(at).as_primitive::<Decimal128Type>();
    let altered: Decimal128Array = duty
        .iter()
        .enumerate()
        .map(|(place, cents)| {
            cents.map(|cents| {
                let mut bytes = cents.to_le_bytes();
                bytes[byte] ^= u8::from(place == row);
                i128::from_le_bytes(bytes)
            })
        })
        .collect();
    let mut arrays: Vec<ArrayRef> = whole.columns().to_vec();
    arrays[at] = Arc::new(altered.with_data_type(duty.data_type().clone()));
    let doctored = RecordBatch::try_new(schema.clone(), arrays).unwrap();
    let mut tables = Vec::new();
    for report in Report::ENTRY_SUMMARIES {
        let table: Arc<dyn datafusion::datasource::TableProvider> = match report {
            Report::Es003 => Arc::new(MemTable::try_new(schema.clone(), vec![vec![doctored.clone()]]).unwrap()),
            other => honest.context().table_provider(other.table()).await.unwrap(),
        };
        tables.push((report.table().to_owned(), table));
    }
    Session::over(tables, Vec::new(), store(), small()).await.unwrap()
}

#[tokio::test]
async fn one_altered_byte_of_one_cell_is_told() {
    let raw = es_003(ES_003_CSV);
    for byte in [0, 1, 3] {
        let session = with_one_byte_altered(1, byte).await;
        let told = against_tables(&raw, &tally_of(&session, Report::Es003).await);
        let what: Vec<&str> = told.iter().map(|difference| difference.what.as_str()).collect();
        assert_eq!(what, ["sum of line_tariff_duty_amount", "sum of line_tariff_duty_amount in 2026-01"], "byte {byte}");
        assert_eq!((told[0].raw_zone.as_str(), told[0].against.as_str()), ("17.34", "tables"));
    }
}

#[tokio::test]
async fn a_row_lost_doubled_or_moved_to_another_month_is_told() {
    let raw = es_003(ES_003_CSV);
    let rows: Vec<&str> = ES_003_ROWS.split("), ").collect();
    let lost = format!("{}), {}", rows[0], rows[2]);
    let doubled = format!("{ES_003_ROWS}, {}", rows[2]);
    let moved = ES_003_ROWS.replace("2026-02-01", "2026-03-01");
    for (rows, first) in [(lost, "rows"), (doubled, "rows"), (moved, "rows of 2026-02")] {
        let session = session(Reports { es_003: &rows, ..Reports::default() }).await;
        let told = against_tables(&raw, &tally_of(&session, Report::Es003).await);
        assert_eq!(told.first().map(|difference| difference.what.as_str()), Some(first), "{told:?}");
    }
}

#[test]
fn a_receipt_that_tells_other_numbers_is_told() {
    let raw = es_003(ES_003_CSV);
    let totals = [("line_tariff_duty_amount".to_owned(), "17.35".to_owned())];
    let told: Vec<String> =
        against_receipt(&raw, 2, 1, &totals).into_iter().map(|d| format!("{}: {} {}", d.what, d.raw_zone, d.there)).collect();
    assert_eq!(told, ["rows: 3 2", "rejected rows: 0 1", "sum of line_tariff_duty_amount: 17.34 17.35"]);
}
