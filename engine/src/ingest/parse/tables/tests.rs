//! Headers of other tables, and what is none.

use super::*;

fn begins(record: &str, width: usize) -> Option<bool> {
    let cells: Vec<String> = record.split(',').map(str::to_owned).collect();
    OtherTable::begins(&cells, width, 9).map(|other| other.is_report)
}

#[test]
fn headers_of_reports_and_of_unknown_tables_as_wide_begin_another_table() {
    assert_eq!(begins("Entry Summary Number,Entry Summary Line Number,Line Goods Value Amount,Line Duty Amount", 8), Some(true));
    assert_eq!(
        begins("Entry Summary Number,Entry Summary Line Number,Tariff Ordinal Number,HTS Number - Full,,,", 8),
        Some(true)
    );
    assert_eq!(begins("Name,Colour,Size (1)", 3), Some(false));
}

#[test]
fn rows_notes_and_narrow_unknown_headers_begin_none() {
    for record in [
        "Name,Colour,Size",
        "XZ910000017,lamp,red,a",
        "Total,,,12.50",
        "a,b,c,01/02/2026",
        "Prepared by A,for B,,all rights reserved",
        "a,b",
    ] {
        assert_eq!(begins(record, 4), None, "{record}");
    }
}

#[test]
fn only_an_unknown_table_lets_rows_with_entry_numbers_through() {
    let other = |is_report| OtherTable { line: 1, is_report };
    assert!(other(true).holds("XZ910000017") && other(false).holds("100") && !other(false).holds("XZ910000017"));
}
