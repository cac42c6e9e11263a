//! Each rule on whole files: what is remarked on is in the table all the same, and a clean file is not remarked on.

use std::collections::BTreeMap;

use arrow::{
    array::{Array, AsArray, RecordBatch},
    compute::concat_batches,
    util::display::{ArrayFormatter, FormatOptions},
};
use bonded_schemas::{DeliveryId, Mapping, Registry, Report, drift, table};
use chrono::{Duration, TimeZone, Utc};
use proptest::prelude::*;

use super::{
    super::{HeadOutcome, Limits, RowReader, Stamp, Summary, date_orders, find_head},
    *,
};
use crate::demo::corpus::{Corpus, DateStyle, MoneyStyle, Plan, Style};

const HEADER: &str = "Entry Summary Number,Entry Summary Line Number,Tariff Ordinal Number,Entry Type Code,Importer Number,\
                      Port of Entry Code,Entry Date,Liquidation Date,Country of Origin Code,HTS Number - Full,\
                      Line Tariff Goods Value Amount,Line Tariff Duty Amount,Protest Number,Review Team Number,Importer Name";

/// A sound row; `changes` puts other cells in.
pub(in super::super) fn row(changes: &[(&str, &str)]) -> String {
    let sound = [
        "ABC12345676",
        "1",
        "1",
        "01",
        "00-1234567AA",
        "0401",
        "04/02/2025",
        "",
        "NA",
        "3923900080",
        "100.00",
        "2.50",
        "",
        "GBV",
        "Fictional Lantern Imports",
    ];
    let cell = |(name, cell): (&str, &'static str)| {
        let text = changes.iter().find(|(changed, _)| *changed == name).map_or(cell.to_owned(), |(_, text)| (*text).to_owned());
        if text.contains([',', '"']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
    };
    HEADER.split(',').zip(sound).map(cell).collect::<Vec<_>>().join(",")
}

fn stamp() -> Stamp {
    let as_of = Utc.with_ymd_and_hms(2025, 6, 1, 0, 0, 0).unwrap();
    Stamp { delivery_id: "0190a5a8-0000-7000-8000-000000000001".parse::<DeliveryId>().unwrap(), as_of }
}

/// As the engine reads: the order of the dates from a sample, and once more if the rows contradict it.
fn read_bytes(bytes: &[u8], sample: usize, stamp: &Stamp) -> (RecordBatch, Summary, u32) {
    let head = match find_head(bytes, true, Registry::builtin(), &|_| Mapping::default()) {
        HeadOutcome::Found(head) => head,
        other => panic!("no header: {other:?}"),
    };
    let (binding, _) = drift::bind(&head.header, Registry::builtin().edition(head.report), &Mapping::default());
    let mut orders = date_orders(&head, &binding, stamp, &bytes[..bytes.len().min(sample)]);
    for reading in 1.. {
        let mut reader = RowReader::new(&head, binding.clone(), stamp, Limits::default()).with_date_orders(orders);
        let mut out = Vec::new();
        reader.push(&bytes[head.body_offset as usize..], &mut out).unwrap();
        let summary = reader.finish(&mut out).unwrap();
        match summary.date_orders_contradicted {
            Some(ref other) => orders = other.clone(),
            None => return (concat_batches(&out[0].schema(), &out).unwrap(), summary, reading),
        }
    }
    unreachable!("the second reading is the last")
}

pub(in super::super) fn read(rows: &[String]) -> (RecordBatch, Summary) {
    let (batch, summary, _) = read_bytes(format!("{HEADER}\n{}\n", rows.join("\n")).as_bytes(), usize::MAX, &stamp());
    (batch, summary)
}

/// One column as text; null is `-`.
pub(in super::super) fn shown(batch: &RecordBatch, column: &str) -> Vec<String> {
    let options = FormatOptions::default().with_null("-");
    let formatter = ArrayFormatter::try_new(batch.column_by_name(column).unwrap(), &options).unwrap();
    (0..batch.num_rows()).map(|row| formatter.value(row).to_string()).collect()
}

fn told(summary: &Summary) -> Vec<(&'static str, Option<&str>, u64)> {
    summary.warnings.iter().map(|warning| (warning.rule.as_str(), warning.column.as_deref(), warning.count)).collect()
}

/// A file of two rows, the second one changed: its warnings, after the row was found whole in the table.
fn remarks(column: &str, text: &str) -> Vec<(WarningRule, u64)> {
    let (batch, summary) = read(&[row(&[]), row(&[(column, text)])]);
    assert_eq!((summary.rows_committed, summary.rows_rejected), (2, 0), "{text}");
    for warning in &summary.warnings {
        assert_eq!(warning.column.as_deref(), Some(column));
        assert_eq!(warning.examples.len(), 1);
        let example = &warning.examples[0];
        assert_eq!((example.line, example.byte), (3, (HEADER.len() + row(&[]).len() + 2) as u64), "{text}");
        let personal = column == "Importer Number";
        assert_eq!(example.text, if personal { "" } else { text }, "{text}");
    }
    if summary.cells_rescued == 0 {
        assert_eq!(shown(&batch, "_rescued")[1], "-");
    }
    summary.warnings.iter().map(|warning| (warning.rule, warning.count)).collect()
}

#[test]
fn a_sound_row_is_not_remarked_on() {
    let (batch, summary) = read(&[row(&[])]);
    assert_eq!(told(&summary), []);
    assert_eq!(shown(&batch, "_repairs"), ["-"]);
}

#[test]
fn a_check_digit_that_fails_is_remarked_on_and_the_number_kept() {
    assert_eq!(remarks("Entry Summary Number", "ABC12345677"), [(WarningRule::EntryNumberCheckDigit, 1)]);
    let (batch, _) = read(&[row(&[("Entry Summary Number", "ABC12345677")])]);
    assert_eq!(shown(&batch, "entry_summary_number"), ["ABC12345677"]);
}

#[test]
fn an_entry_number_of_another_shape_is_remarked_on() {
    for text in ["ABC1234567", "12345", "ABC-12345676", "ABC123456789"] {
        assert_eq!(remarks("Entry Summary Number", text), [(WarningRule::EntryNumberShape, 1)], "{text}");
    }
}

#[test]
fn an_entry_type_that_is_not_known_is_remarked_on() {
    for text in ["99", "X1", "011"] {
        assert_eq!(remarks("Entry Type Code", text), [(WarningRule::EntryTypeUnknown, 1)], "{text}");
    }
    assert_eq!(remarks("Entry Type Code", "06"), []);
}

#[test]
fn a_country_that_is_not_known_is_remarked_on_and_namibia_is_known() {
    for text in ["ZZ", "cn", "CHN", "C"] {
        assert_eq!(remarks("Country of Origin Code", text), [(WarningRule::CountryUnknown, 1)], "{text}");
    }
    for text in ["NA", "NC", "XO", "MULTI"] {
        assert_eq!(remarks("Country of Origin Code", text), [], "{text}");
    }
}

#[test]
fn a_port_that_is_not_four_digits_is_remarked_on() {
    for text in ["27", "27040", "27A4"] {
        assert_eq!(remarks("Port of Entry Code", text), [(WarningRule::PortShape, 1)], "{text}");
    }
}

#[test]
fn a_tariff_number_of_other_than_eight_or_ten_digits_is_remarked_on() {
    for text in ["392390", "392390008", "99030128001", "3923.90", "3923 90 0080"] {
        assert_eq!(remarks("HTS Number - Full", text), [(WarningRule::HtsLength, 1)], "{text}");
    }
    for text in ["99030128", "0406103400"] {
        assert_eq!(remarks("HTS Number - Full", text), [], "{text}");
    }
}

#[test]
fn a_date_before_1990_is_remarked_on_and_kept_as_text() {
    assert_eq!(remarks("Liquidation Date", "03/20/1900"), [(WarningRule::DateBefore1990, 1)]);
    let (batch, summary) = read(&[row(&[("Liquidation Date", "03/20/1900")])]);
    assert_eq!(shown(&batch, "liquidation_date"), ["-"]);
    assert_eq!(shown(&batch, "_rescued"), ["{Liquidation Date: 03/20/1900}"]);
    assert_eq!(summary.cells_rescued, 1);
}

#[test]
fn a_date_more_than_two_years_after_the_report_is_remarked_on_and_kept() {
    assert_eq!(remarks("Liquidation Date", "06/02/2027"), []);
    assert_eq!(remarks("Liquidation Date", "06/03/2027"), [(WarningRule::DateFarFuture, 1)]);
    let (batch, _) = read(&[row(&[("Liquidation Date", "12/31/9999")])]);
    assert_eq!(shown(&batch, "liquidation_date"), ["9999-12-31"]);
}

#[test]
fn a_negative_amount_is_remarked_on_and_summed() {
    for text in ["-5.00", "(5.00)", "5.00-", "-$5.00"] {
        assert_eq!(remarks("Line Tariff Duty Amount", text), [(WarningRule::MoneyNegative, 1)], "{text}");
    }
    let (_, summary) = read(&[row(&[]), row(&[("Line Tariff Duty Amount", "(5.00)")])]);
    assert_eq!(summary.control_totals[1].sum, "-2.50");
    assert_eq!(remarks("Line Tariff Duty Amount", "-0.00"), []);
}

#[test]
fn a_text_longer_than_its_column_is_remarked_on_and_kept_whole() {
    assert_eq!(remarks("Review Team Number", "GBVX"), [(WarningRule::TextTooLong, 1)]);
    // A column that may hold a Social Security number is not quoted.
    assert_eq!(remarks("Importer Number", "00-1234567AA-99"), [(WarningRule::TextTooLong, 1)]);
    let (batch, _) = read(&[row(&[("Importer Number", "00-1234567AA-99")])]);
    assert_eq!(shown(&batch, "importer_number"), ["00-1234567AA-99"]);
}

#[test]
fn as_many_rows_as_a_sheet_holds_look_cut_off() {
    let rule = |rows, above| sheet_limit(rows, above).map(|warning| (warning.rule, warning.column, warning.count));
    for (rows, above) in [(1_048_575, 1), (65_535, 1), (65_535, 4), (65_532, 4), (1_048_570, 6)] {
        assert_eq!(rule(rows, above), Some((WarningRule::SheetLimit, None, rows)), "{rows} below {above}");
    }
    for (rows, above) in [(65_534, 1), (65_536, 1), (1_048_576, 1), (1, 1), (0, 0)] {
        assert_eq!(rule(rows, above), None, "{rows} below {above}");
    }
    let mut bytes = b"Entry Summary Number,Entry Summary Line Number,Tariff Ordinal Number,HTS Number - Full\n".to_vec();
    bytes.extend(b"ABC12345676,1,1,99030128\n".repeat(65_535));
    let (_, summary, _) = read_bytes(&bytes, usize::MAX, &stamp());
    assert_eq!(told(&summary), [("sheet_limit", None, 65_535)]);
}

#[test]
fn counts_are_complete_and_examples_few() {
    let rows: Vec<String> = (0..10).map(|_| row(&[("Entry Type Code", "99"), ("Country of Origin Code", "ZZ")])).collect();
    let (_, summary) = read(&rows);
    let expected = [("entry_type_unknown", Some("Entry Type Code"), 10), ("country_unknown", Some("Country of Origin Code"), 10)];
    assert_eq!(told(&summary), expected);
    for warning in &summary.warnings {
        assert_eq!(warning.examples.iter().map(|example| example.line).collect::<Vec<_>>(), [2, 3, 4]);
    }
}

#[test]
fn examples_are_cut_to_64_characters() {
    let long = "9".repeat(300);
    let (batch, summary) = read(&[row(&[("Port of Entry Code", &long)])]);
    assert_eq!(summary.warnings[0].examples[0].text.len(), 64);
    assert_eq!(shown(&batch, "port_of_entry_code"), [long]);
}

fn dated(dates: &[&str]) -> Vec<String> {
    dates.iter().map(|date| row(&[("Entry Date", date)])).collect()
}

#[test]
fn a_file_with_days_in_the_place_of_months_is_read_day_first_from_its_first_row() {
    let (batch, summary) = read(&dated(&["02/04/2025", "25/04/2025", "2025-04-02"]));
    assert_eq!(shown(&batch, "entry_date"), ["2025-04-02", "2025-04-25", "2025-04-02"]);
    assert_eq!(shown(&batch, "_repairs"), ["[day read before month: Entry Date]", "[day read before month: Entry Date]", "-"]);
    assert_eq!(told(&summary), [("date_day_first", Some("Entry Date"), 2)]);
    assert_eq!(summary.traits["date_order"], "day before month, as 1 dates show");
}

#[test]
fn a_file_without_proof_is_read_as_cbp_writes() {
    let (batch, summary) = read(&dated(&["02/04/2025", "03/04/2025"]));
    assert_eq!(shown(&batch, "entry_date"), ["2025-02-04", "2025-03-04"]);
    assert_eq!(
        (told(&summary), summary.traits["date_order"].as_str()),
        (vec![], "month before day, as CBP writes; no date shows it")
    );
}

#[test]
fn a_file_that_shows_both_orders_is_read_as_cbp_writes_and_the_rest_is_kept_as_text() {
    let (batch, summary) = read(&dated(&["13/04/2025", "04/13/2025", "02/04/2025"]));
    assert_eq!(shown(&batch, "entry_date"), ["-", "2025-04-13", "2025-02-04"]);
    assert_eq!(shown(&batch, "_rescued"), ["{Entry Date: 13/04/2025}", "-", "-"]);
    assert_eq!(told(&summary), [("date_order_mixed", Some("Entry Date"), 1)]);
    assert_eq!(summary.traits["date_order"], "month before day, as 1 dates show; 1 show the contrary");
}

#[test]
fn a_column_that_proves_both_orders_keeps_what_could_be_either_as_text() {
    let (batch, summary) = read(&dated(&["13/04/2025", "04/13/2025", "02/04/2025", "14/04/2025", "04/14/2025", "05/05/2025"]));
    assert_eq!(shown(&batch, "entry_date"), ["2025-04-13", "2025-04-13", "-", "2025-04-14", "2025-04-14", "2025-05-05"]);
    assert_eq!(shown(&batch, "_rescued")[2], "{Entry Date: 02/04/2025}");
    assert_eq!(told(&summary), [("date_order_mixed", Some("Entry Date"), 1), ("date_day_first", Some("Entry Date"), 2)]);
}

#[test]
fn columns_that_differ_are_each_read_in_their_own_order() {
    let both = |entry: &str, filed: &str| row(&[("Entry Date", entry), ("Liquidation Date", filed)]);
    let (batch, summary) =
        read(&[both("25/04/2025", "04/25/2025"), both("26/04/2025", "04/26/2025"), both("02/04/2025", "04/02/2025")]);
    assert_eq!(shown(&batch, "entry_date"), ["2025-04-25", "2025-04-26", "2025-04-02"]);
    assert_eq!(shown(&batch, "liquidation_date"), shown(&batch, "entry_date"));
    assert_eq!(told(&summary), [("date_day_first", Some("Entry Date"), 3)]);
}

#[test]
fn proof_behind_the_sample_has_the_file_read_once_more_and_never_half_one_way() {
    let mut rows = dated(&["02/04/2025"; 5]);
    let bytes = |rows: &[String]| format!("{HEADER}\n{}\n", rows.join("\n")).into_bytes();
    rows.extend(dated(&["25/04/2025"]));
    let sample = HEADER.len() + 200;
    let (batch, summary, readings) = read_bytes(&bytes(&rows), sample, &stamp());
    assert_eq!((readings, shown(&batch, "entry_date")[0].as_str()), (2, "2025-04-02"));
    assert_eq!(told(&summary), [("date_day_first", Some("Entry Date"), 6)]);
    // Proof in the sample saves the second reading.
    rows.rotate_right(1);
    assert_eq!(read_bytes(&bytes(&rows), usize::MAX, &stamp()).2, 1);
    // The sample shows day first, the rest the contrary: back to CBP's order, and no third reading.
    rows.extend(dated(&["04/25/2025"]));
    let (batch, summary, readings) = read_bytes(&bytes(&rows), sample, &stamp());
    assert_eq!((readings, shown(&batch, "entry_date")[1].as_str()), (2, "2025-02-04"));
    assert_eq!(told(&summary), [("date_order_mixed", Some("Entry Date"), 1)]);
}

#[test]
fn a_report_without_dates_says_nothing_of_their_order() {
    let bytes =
        b"Entry Summary Number,Entry Summary Line Number,Tariff Ordinal Number,HTS Number - Full\nABC12345676,1,1,99030128\n";
    let (_, summary, _) = read_bytes(bytes, usize::MAX, &stamp());
    assert!(!summary.traits.contains_key("date_order") && summary.date_orders_contradicted.is_none());
}

#[test]
fn every_rule_has_a_name_that_its_receipt_has_too() {
    for rule in WarningRule::ALL {
        assert_eq!(serde_json::to_value(rule).unwrap(), rule.as_str());
        assert!(!rule.says().is_empty());
    }
}

fn styles() -> impl Strategy<Value = Style> {
    let money = prop::sample::select(vec![MoneyStyle::Raw, MoneyStyle::Shortest, MoneyStyle::Dollars]);
    let date = prop::sample::select(vec![DateStyle::MonthDayYear, DateStyle::Iso, DateStyle::Midnight, DateStyle::ExcelSerial]);
    (money, date, any::<[bool; 4]>()).prop_map(|(money, date, [byte_order_mark, carriage_return, quote_all, formula_codes])| {
        Style { money, date, byte_order_mark, carriage_return, quote_all, formula_codes }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_clean_file_has_no_repair_and_no_warning_whatever_its_dress(seed in any::<u64>(), style in styles()) {
        let plan = Plan { style, ..Plan::new(seed, 60) };
        let as_of = plan.report_date().and_hms_opt(0, 0, 0).unwrap().and_utc();
        let stamp = Stamp { as_of, ..stamp() };
        let corpus = Corpus::new(plan).unwrap();
        for report in Report::ENTRY_SUMMARIES {
            let mut bytes = Vec::new();
            corpus.write(report, &mut bytes).unwrap();
            let (batch, summary, readings) = read_bytes(&bytes, usize::MAX, &stamp);
            prop_assert_eq!((&summary.warnings, readings), (&vec![], 1), "{}", report);
            prop_assert_eq!((summary.rows_rejected, summary.cells_rescued), (0, 0), "{}", report);
            prop_assert_eq!(batch.column_by_name(table::REPAIRS).unwrap().null_count(), batch.num_rows(), "{}", report);
        }
    }

    #[test]
    fn dates_are_the_same_however_they_are_ordered_if_one_shows_it(days in prop::collection::vec(0i64..1_000, 1..40), day_first in any::<bool>(), sample in 0usize..4_000) {
        let first = chrono::NaiveDate::from_ymd_opt(2022, 1, 1).unwrap();
        let mut dates: Vec<_> = days.iter().map(|day| first + Duration::days(*day)).collect();
        dates.push(chrono::NaiveDate::from_ymd_opt(2023, 5, 31).unwrap());
        let written = |date: &chrono::NaiveDate| date.format(if day_first { "%d/%m/%Y" } else { "%m/%d/%Y" }).to_string();
        let rows: Vec<String> = dates.iter().map(|date| row(&[("Entry Date", &written(date))])).collect();
        let (batch, summary, _) = read_bytes(format!("{HEADER}\n{}\n", rows.join("\n")).as_bytes(), sample, &stamp());
        prop_assert_eq!(shown(&batch, "entry_date"), dates.iter().map(ToString::to_string).collect::<Vec<_>>());
        prop_assert_eq!(summary.warnings.len(), usize::from(day_first));
        let begins = if day_first { "day before month" } else { "month before day" };
        prop_assert!(summary.traits["date_order"].starts_with(begins));
    }
}

/// What stands in `_rescued` of one row.
pub(in super::super) fn rescued(batch: &RecordBatch, row: usize) -> BTreeMap<String, String> {
    let map = batch.column_by_name(table::RESCUED).unwrap().as_map();
    if map.is_null(row) {
        return BTreeMap::new();
    }
    let entries = map.value(row);
    let (names, texts) = (entries.column(0).as_string::<i32>(), entries.column(1).as_string::<i32>());
    names.iter().zip(texts).map(|(name, text)| (name.unwrap().to_owned(), text.unwrap().to_owned())).collect()
}
