//! Records whose quotes leave a doubt, and such as do not.

use super::{super::tokenise::Scan, *};

fn is_sound(record: &str, quote: u8) -> bool {
    let tokeniser = Tokeniser::new(b',', quote);
    let mut cells = Vec::new();
    let scan = tokeniser.record(record.as_bytes(), true, &mut cells);
    assert!(matches!(scan, Scan::Whole { unterminated: false, .. }), "{record}");
    fault(tokeniser, record.as_bytes(), &cells, &mut Vec::new()).is_none()
}

#[test]
fn quotes_around_whole_cells_doubled_or_alone_in_a_plain_cell_are_sound() {
    for record in [
        "a,b",
        "\"a\",b",
        "\"a,b\",\"c\"\"d\"",
        "=\"0401\",=\"01\"",
        "5\" pipe,b",
        "\"a\" ,b",
        "a, \"b\"",
        "\"\",\"\"",
        "a,\"=\"\"01\"\"\"",
    ] {
        assert!(is_sound(record, b'"'), "{record}");
    }
    assert!(is_sound("it's,Int'l,'a, b'", b'\''));
}

#[test]
fn text_behind_a_closing_quote_and_quotes_open_across_cells_are_not() {
    for record in
        ["\"a\"b,c", "\"\"a\",b", "\"a\",\"b\" c", "1.00\"Fictional Lantern, Inc.\",b", "5\" pipe,3\" bolt", "a, \"b", "a, \""]
    {
        assert!(!is_sound(record, b'"'), "{record}");
    }
}
