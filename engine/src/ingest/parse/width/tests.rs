//! Habits and faults at the end of rows.

use bonded_schemas::{Registry, Report};

use super::*;

fn width(header: &[&str], delimited: bool, rows: &str) -> Width {
    let header: Vec<String> = header.iter().map(|name| (*name).to_owned()).collect();
    let edition = Registry::builtin().edition(Report::Es003);
    Width::of(rows.as_bytes(), true, Tokeniser::new(b',', b'"'), &header, delimited, edition)
}

const NAMES: [&str; 3] = ["Entry Summary Number", "Entry Date", "Remark"];

#[test]
fn delimiters_behind_every_row_are_a_habit_and_behind_some_a_fault() {
    let trailing = |rows: &str| width(&NAMES, false, rows).trailing;
    assert_eq!(trailing("a,b,c\nd,e,f\n"), 0);
    assert_eq!(trailing("a,b,c,\n\nd,e,,\n,,,\n"), 1);
    assert_eq!(trailing("a,b,c,,,\r\nd,e,f,,,\r\n"), 3);
    assert_eq!(trailing("a,b,c\nd,,e,\ng,h,i\n"), 0);
    assert_eq!(trailing(""), 0);
}

#[test]
fn a_header_that_lost_a_delimiter_gives_no_habit() {
    let merged = ["Entry Summary Number", "Entry DateRemark"];
    assert_eq!(width(&merged, false, "a,b,\nc,d,\n").trailing, 0);
    assert_eq!(width(&["Entry Summary Number", "Remark"], false, "a,b,\nc,d,\n").trailing, 1);
}

#[test]
fn a_last_name_that_is_empty_is_a_column_if_rows_have_something_there() {
    assert_eq!(width(&NAMES, true, "a,b,c,\nd,e,f,\n"), Width { trailing: 1, nameless: false });
    assert_eq!(width(&NAMES, true, "a,b,c,\nd,e,f,g\n"), Width { trailing: 0, nameless: true });
    assert_eq!(width(&NAMES, true, "a,b,c\nd,e,f\n"), Width { trailing: 0, nameless: false });
}
