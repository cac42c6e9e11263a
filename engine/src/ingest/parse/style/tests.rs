//! Cells that were read, by the way they are written.

use super::*;

fn style_of(kind: ColumnType, text: &str) -> String {
    let mut styles = Styles::new([Some(kind)]);
    styles.note(0, text, 1);
    let told = styles.words().next().unwrap().1;
    told.strip_suffix(" in 1 of 1 cells").unwrap().to_owned()
}

#[test]
fn amounts_are_told_by_sign_group_and_dollar() {
    for (text, style) in [
        ("0", "1234.56"),
        ("1234.5", "1234.56"),
        ("-1234.56", "1234.56"),
        (".5", "1234.56"),
        ("1,234.56", "1,234.56"),
        ("-12,345", "1,234.56"),
        ("123,456,789.00", "1,234.56"),
        ("$5", "with a dollar sign"),
        ("-$1,234.00", "with a dollar sign"),
        ("($5.00)", "with a dollar sign"),
        ("(123.45)", "negatives in parentheses"),
        ("123.45-", "minus behind the number"),
    ] {
        assert_eq!(style_of(ColumnType::Money, text), style, "{text}");
        assert_eq!(style_of(ColumnType::Quantity, text), style, "{text}");
    }
}

#[test]
fn dates_are_told_by_their_separators() {
    for (text, style) in [
        ("04/02/2025", "nn/nn/yyyy"),
        ("4/2/2025", "nn/nn/yyyy"),
        ("4/2/25", "nn/nn/yy"),
        ("2025-04-02", "yyyy-mm-dd"),
        ("2025-04-02T00:00:00", "with a time of day"),
        ("4/2/2025 13:30", "with a time of day"),
        ("45749", "day numbers of a spreadsheet"),
        ("x", "another way"),
        ("1/", "another way"),
    ] {
        assert_eq!(style_of(ColumnType::Date, text), style, "{text}");
    }
}

#[test]
fn another_style_further_down_is_remarked_once_with_its_count_and_first_line() {
    let mut styles = Styles::new([Some(ColumnType::Money), Some(ColumnType::Text(None)), None, Some(ColumnType::Date)]);
    for line in 2..1_000 {
        styles.note(0, if line % 400 == 0 { "$1.00" } else { "1.00" }, line);
        styles.note(1, "$1.00", line);
        styles.note(2, "$1.00", line);
    }
    let told: Vec<_> = styles.words().collect();
    assert_eq!(told, [(0, "1234.56 in 996 of 998 cells; with a dollar sign in 2, first at line 400".to_owned())]);
}

#[test]
fn empty_cells_and_positions_behind_the_header_are_nothing() {
    let mut styles = Styles::new([Some(ColumnType::Money)]);
    styles.note(0, "", 1);
    styles.note(7, "1", 1);
    assert_eq!(styles.words().count(), 0);
}
