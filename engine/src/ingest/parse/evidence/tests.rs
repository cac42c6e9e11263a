//! Counts in words.

use super::*;

#[test]
fn line_ends_are_told_by_kind_and_mixed_ones_as_such() {
    assert_eq!(LineEnds::default().words(), "none: the file is one line");
    let mut ends = LineEnds::default();
    ends.record(b'\n');
    assert_eq!(ends.words(), "lf 1");
    ends.record(b'\r');
    assert_eq!(ends.words(), "mixed: lf 1, cr 1");
    ends.pair();
    assert_eq!(ends.words(), "mixed: crlf 1, lf 1");
    ends.blank(b'\r');
    assert_eq!((ends.words().as_str(), ends.blank), ("mixed: crlf 1, lf 1, cr 1", 1));
}

#[test]
fn each_trait_that_was_seen_is_told_once_with_its_first_line() {
    let mut evidence = Evidence::default();
    let names = ["a".to_owned()];
    let plain = evidence.words(&names, LineEnds::default(), 0, Encoding::Utf8);
    assert_eq!(plain.keys().collect::<Vec<_>>(), ["line_ends"]);
    for line in [7, 9] {
        evidence.trailing_delimiter(line);
        evidence.blank_row(line);
        evidence.ragged(line, 1, 2);
        evidence.ragged(line + 1, 3, 2);
        evidence.quotes_in_doubt(line);
        evidence.apart(RejectKind::Total, line);
        evidence.apart(RejectKind::RepeatedHeader, line);
        evidence.apart(RejectKind::Footer, line);
        evidence.apart(RejectKind::Unreadable, line);
    }
    assert_eq!(evidence.apart_total(), 6);
    let mut ends = LineEnds::default();
    ends.blank(b'\n');
    let told = evidence.words(&names, ends, 3, Encoding::Utf16Le);
    let expected = [
        ("blank_rows", "1 without a character; 2 of white space or delimiters, first at line 7"),
        ("encoding", "utf-16 little-endian (3 of its units are no character and were read as U+FFFD)"),
        ("footers", "2 notes around the table, kept as rejects, first at line 7"),
        ("line_ends", "lf 1"),
        ("quotes_in_doubt", "2 rows have quotes where cells may not have them, first at line 7; each is a reject"),
        ("ragged_rows", "2 rows with fewer cells, first at line 7; 2 rows with more cells, first at line 8; each is a reject"),
        ("repeated_header", "2 rows repeat the header or what stands above it, kept as rejects, first at line 7"),
        ("totals", "2 rows of totals, kept as rejects, first at line 7"),
        ("trailing_delimiters", "2 rows end in delimiters behind their last cell, first at line 7"),
    ];
    assert_eq!(told, expected.map(|(key, text)| (key.to_owned(), text.to_owned())).into());
}
