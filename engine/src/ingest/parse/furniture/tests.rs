//! Records that are no rows, and damaged rows that must not be taken for such.

use super::*;

const HEADER: [&str; 6] = ["Entry Summary Number", "Entry Summary Line Number", "Entry Date", "Importer Name", "Value", "Duty"];

fn told(cells: &[&str]) -> Option<RejectKind> {
    let text = ColumnType::Text(None);
    let kinds = vec![text, ColumnType::Integer, ColumnType::Date, text, ColumnType::Money, ColumnType::Money];
    let header = HEADER.map(str::to_owned);
    let furniture = Furniture::new(&header, &["Trade report, our copy".to_owned()], kinds, vec![0, 1]);
    let cells: Vec<String> = cells.iter().map(|cell| (*cell).to_owned()).collect();
    furniture.recognise(&cells, &cells.join(",")).map(|(kind, _)| kind)
}

#[test]
fn lines_of_totals_are_told_with_a_label_and_without() {
    for cells in [
        &["Total", "", "", "", "100.00", "5.00"][..],
        &["", "", "", "Grand Total:", "100.00", "5.00"],
        &["Sub-Total", "", "", "", "1", "2"],
        &["Total records: 25"],
        &["Sum", "", "100"],
        &["", "", "", "", "1,000.00", "5"],
        &["ABC12345676", "Total", "", "", "100.00", "5.00"],
        &["Total for ABC12345676", "", "", "", "100.00", "5.00"],
    ] {
        assert_eq!(told(cells), Some(RejectKind::Total), "{cells:?}");
    }
}

#[test]
fn the_header_and_what_stands_above_it_are_known_again() {
    assert_eq!(told(&HEADER), Some(RejectKind::RepeatedHeader));
    let mut again = HEADER.map(str::to_uppercase).to_vec();
    again.push(String::new());
    let again: Vec<&str> = again.iter().map(String::as_str).collect();
    assert_eq!(told(&again), Some(RejectKind::RepeatedHeader));
    assert_eq!(told(&["Trade report", " our copy"]), Some(RejectKind::RepeatedHeader));
    assert_eq!(told(&["Trade report", "our copy", "of old"]), None);
}

#[test]
fn notes_are_told_from_stumps_of_rows() {
    for cells in [&["Page 2 of 7"][..], &["End of report", "", "", "", "", ""], &["Run Date:", "04/02/2025"], &["report"]] {
        assert_eq!(told(cells), Some(RejectKind::Footer), "{cells:?}");
    }
    for cells in [
        &["ABC12345676"][..],
        &["ABC123"],
        &["a"],
        &["ABC12345676", "1", "04/02/2025"],
        &["", "1", "04/02/2025", "Nordwind Fictional GmbH", "100.00", "5.00"],
        &["", "", "", "Nordwind Fictional GmbH", "100.00", "5.00"],
        &["", "", "04/02/2025", "", "100.00", "5.00"],
        &["", "1", "", "", "100.00", "5.00"],
        &["", ""],
        &[],
    ] {
        assert_eq!(told(cells), None, "{cells:?}");
    }
}

#[test]
fn only_labels_are_asked_about_among_entry_numbers() {
    for text in ["Total", "Total: 25 entries", "Sum 3", "Entry Summary Number", "Page 1"] {
        assert!(is_label(text), "{text}");
    }
    for text in ["ABC12345676", "ABC-1234567-6", "1.01E+10", "12345676", "", "AB 1", "ABCDE123456", "Entry 12"] {
        assert!(!is_label(text), "{text}");
    }
    assert!(["ABC12345676", "12312345676", "ABC-1234567-6"].into_iter().all(is_entry_number));
    assert!(["ABCD2345676", "ABC1234567", "ABC 234567 6", "é9012345676", ""].into_iter().all(|text| !is_entry_number(text)));
}
