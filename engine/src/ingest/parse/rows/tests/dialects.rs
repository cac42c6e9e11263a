//! Files of every dialect, from bytes to rows, rejects and the traits told of them.

use super::*;

const ROWS: &str = "ABC12345676,1,1,04/02/2025,CN,5,1000.00,10.50\n\
                    ABC12345676,2,1,04/03/2025,\"NA\",6,2000.00,20.50\n";

fn rejects(summary: &Summary) -> Vec<(u64, RejectKind)> {
    summary.rejects.iter().map(|reject| (reject.line, reject.kind)).collect()
}

/// The cells that must not depend on the dialect.
fn cells(batch: &RecordBatch) -> Vec<Vec<String>> {
    let columns = ["entry_summary_number", "entry_summary_line_number", "entry_date", "country_of_origin_code"];
    let amounts = ["line_tariff_goods_value_amount", "line_tariff_duty_amount", table::RESCUED, table::LINE];
    columns.iter().chain(&amounts).map(|column| shown(batch, column)).collect()
}

fn sixteen(text: &str, big_endian: bool, mark: bool) -> Vec<u8> {
    let marked = if mark { format!("\u{feff}{text}") } else { text.to_owned() };
    marked.encode_utf16().flat_map(|unit| if big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
}

#[test]
fn every_delimiter_gives_the_same_rows() {
    let (plain, _) = read(&file(ROWS));
    for delimiter in ["\t", ";", "|"] {
        let text = format!("{HEADER}\n{ROWS}").replace(',', delimiter);
        assert_eq!(cells(&read(text.as_bytes()).0), cells(&plain), "{delimiter:?}");
    }
}

#[test]
fn a_file_in_utf_16_gives_the_same_rows_with_the_bytes_of_the_received_file() {
    let rows = "ABC12345676,1,1,04/02/2025,CN,5,1000.00,10.50,Empfänger 🧾\r\n\r\nABC12345676,2,1,04/03/2025,NA,6,2.00,1.00,\"a\r\nb\"\r\n\
                ABC12345676,3,1,04/03/2025,NA,6,2.00,1.00,€\r\n";
    let text = format!("{HEADER},Importer Name\r\n{rows}");
    let (plain, told) = read(text.as_bytes());
    for (big_endian, mark) in [(false, true), (true, true), (false, false), (true, false)] {
        let bytes = sixteen(&text, big_endian, mark);
        let (batch, summary) = read(&bytes);
        assert_eq!(cells(&batch), cells(&plain));
        assert_eq!(shown(&batch, "importer_name"), ["Empfänger 🧾", "a\r\nb", "€"]);
        assert_eq!(summary.traits["line_ends"], told.traits["line_ends"]);
        for (row, place) in shown(&batch, table::BYTE).iter().enumerate() {
            let place: usize = place.parse().unwrap();
            let begins = sixteen(&format!("ABC12345676,{}", row + 1), big_endian, false);
            assert!(bytes[place..].starts_with(&begins), "{big_endian} {mark} {row} {place}");
        }
    }
}

#[test]
fn what_is_no_character_in_utf_16_is_replaced_counted_and_told() {
    let mut bytes = sixteen(&format!("{HEADER}\n{}", ROWS.replace("CN", "C\u{0}")), false, true);
    let at = bytes.chunks(2).position(|pair| pair == [0, 0]).unwrap() * 2;
    bytes[at..at + 2].copy_from_slice(&0xd800u16.to_le_bytes());
    bytes.push(b'x');
    let (batch, summary) = read(&bytes);
    assert_eq!(shown(&batch, "country_of_origin_code"), ["C\u{fffd}", "NA"]);
    assert_eq!(summary.traits["encoding"], "utf-16 little-endian (2 of its units are no character and were read as U+FFFD)");
    assert_eq!(summary.findings.len(), 1);
    assert_eq!((rejects(&summary), summary.rows_read), (vec![(4, RejectKind::Unreadable)], 3));
}

#[test]
fn the_whole_file_decides_between_iso_8859_1_and_windows_1252() {
    let with = |first: &[u8], last: &[u8]| {
        let row = |line: &str, name: &[u8]| [format!("ABC12345676,{line},1,,CN,5,1.00,1.00,").as_bytes(), name, b"\n"].concat();
        let header = format!("{HEADER},Importer Name\n");
        read(&[header.as_bytes(), &row("1", first), &row("2", last)].concat())
    };
    let (batch, summary) = with(b"Caf\xe9", b"plain");
    assert_eq!(shown(&batch, "importer_name"), ["Café", "plain"]);
    assert!(summary.traits["encoding"].starts_with("iso-8859-1 (bytes above 0x7f that are not UTF-8: 1, first at byte "));
    let (batch, summary) = with(b"Caf\xe9", b"5 \x80");
    assert_eq!(shown(&batch, "importer_name"), ["Café", "5 €"]);
    assert!(summary.traits["encoding"].starts_with("windows-1252 (bytes above 0x7f that are not UTF-8: 2, first at byte "));
    assert!(summary.traits["encoding"].contains("1 of 0x80 to 0x9f"));
    let (_, summary) = with("Café".as_bytes(), b"plain");
    assert_eq!(summary.traits.get("encoding"), None);
}

#[test]
fn quotes_escaped_by_backslash_and_single_quotes_are_read() {
    let header = format!("{HEADER},Importer Name\n");
    let row = |line: u64, name: &str| format!("ABC12345676,{line},1,,CN,5,1.00,1.00,{name}\n");
    let names = |names: [&str; 2]| {
        let (batch, summary) = read(format!("{header}{}{}", row(1, names[0]), row(2, names[1])).as_bytes());
        assert_eq!(summary.rows_committed, 2);
        shown(&batch, "importer_name")
    };
    assert_eq!(names([r#""12\" pipe, steel""#, r#""a\\""#]), [r#"12" pipe, steel"#, r"a\"]);
    assert_eq!(names(["'it''s, fine'", "'b'"]), ["it's, fine", "b"]);
    assert_eq!(names(["\"say \"\"so\"\"\"", "'b"]), ["say \"so\"", "'b"]);
}

#[test]
fn text_behind_a_closing_quote_costs_its_row_and_is_told() {
    let rows = "ABC12345676,1,1,,\"C\"N,5,1.00,1.00\nABC12345676,2,1,,\"CN\" ,5,1.00,1.00\n";
    let (batch, summary) = read(&file(rows));
    assert_eq!(shown(&batch, "country_of_origin_code"), ["CN"]);
    assert_eq!(rejects(&summary), [(2, RejectKind::Unreadable)]);
    assert_eq!(
        summary.traits["quotes_in_doubt"],
        "1 rows have quotes where cells may not have them, first at line 2; each is a reject"
    );
}

#[test]
fn line_ends_of_each_kind_give_the_same_rows_and_mixed_ones_are_told() {
    let (plain, told) = read(&file(ROWS));
    assert_eq!(told.traits["line_ends"], "lf 3");
    for (line_end, words) in [("\r\n", "crlf 3"), ("\r", "cr 3")] {
        let (batch, summary) = read(format!("{HEADER}\n{ROWS}").replace('\n', line_end).as_bytes());
        assert_eq!((cells(&batch), summary.traits["line_ends"].as_str()), (cells(&plain), words));
    }
    let (batch, summary) = read(format!("{HEADER}\r\n{ROWS}").trim_end().as_bytes());
    assert_eq!((cells(&batch), summary.traits["line_ends"].as_str()), (cells(&plain), "mixed: crlf 1, lf 1"));
}

#[test]
fn delimiters_behind_the_last_cell_are_passed_over_and_told() {
    let (plain, _) = read(&file(ROWS));
    let (batch, summary) = read(format!("{HEADER},\n{}", ROWS.replace('\n', ",,,\n")).as_bytes());
    assert_eq!(cells(&batch), cells(&plain));
    assert_eq!(summary.traits["trailing_delimiters"], "2 rows end in delimiters behind their last cell, first at line 2");
}

#[test]
fn blank_rows_of_any_kind_are_counted_and_are_no_rejects() {
    let (plain, _) = read(&file(ROWS));
    let (batch, summary) = read(&file(&format!("{}\n  \n,,,,,,,\n , ,,,,,,\n,,\n", ROWS.trim_end())));
    assert_eq!(cells(&batch), cells(&plain));
    assert_eq!((summary.rows_read, summary.rows_rejected), (2, 0));
    assert_eq!(summary.traits["blank_rows"], "4 of white space or delimiters, first at line 4");
    let (_, summary) = read(&file(&format!("\n\n{ROWS}")));
    assert_eq!(summary.traits["blank_rows"], "2 without a character");
}

#[test]
fn ragged_rows_are_rejects_and_told_by_kind() {
    let (_, summary) = read(&file(&format!("{ROWS}ABC12345676,3,1\n{}", "ABC12345676,1,1,,CN,5,1,1,1\n".repeat(2))));
    assert_eq!(rejects(&summary), [4, 5, 6].map(|line| (line, RejectKind::Unreadable)));
    let expected = "1 rows with fewer cells, first at line 4; 2 rows with more cells, first at line 5; each is a reject";
    assert_eq!(summary.traits["ragged_rows"], expected);
}

#[test]
fn totals_repeated_headers_and_footers_are_rejects_of_their_kind_and_in_no_sum() {
    let title = "Entry summary report";
    let rows = format!(
        "{ROWS}Page 1 of 2\n{title}\n{HEADER}\n{ROWS}Subtotal ABC12345676,,,,,,3000.00,31.00\n,,,,,,6000.00,62.00\nGrand Total,,,,,22,\
         6000.00,62.00\nEnd of report\nRun date:,04/02/2025\n"
    );
    let (batch, summary) = read(format!("{title}\n{HEADER}\n{rows}").as_bytes());
    use RejectKind::{Footer, RepeatedHeader, Total};
    let expected = [
        (5, Footer),
        (6, RepeatedHeader),
        (7, RepeatedHeader),
        (10, Total),
        (11, Total),
        (12, Total),
        (13, Footer),
        (14, Footer),
    ];
    assert_eq!(rejects(&summary), expected);
    assert!(summary.rejects.iter().all(|reject| reject.scope == RejectScope::Row));
    assert_eq!(summary.rejects[5].text, "Grand Total,,,,,22,6000.00,62.00");
    assert_eq!((batch.num_rows(), summary.rows_read, summary.rows_rejected), (4, 12, 8));
    assert_eq!(summary.control_totals[0].sum, "6000.00");
    assert_eq!(summary.traits["totals"], "3 rows of totals, kept as rejects, first at line 10");
    assert_eq!(
        summary.traits["repeated_header"],
        "2 rows repeat the header or what stands above it, kept as rejects, first at line 6"
    );
    assert_eq!(summary.traits["footers"], "3 notes around the table, kept as rejects, first at line 5");
    // Furniture is no row: it counts in no profile.
    assert_eq!(summary.profiles[0].cells, 4);
}

#[test]
fn a_total_whose_label_holds_digits_is_no_entry() {
    let header = Registry::builtin().edition(Report::Es001).columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>();
    let row = |first: &str| format!("{first}{}\n", ",".repeat(header.len() - 1));
    let text = format!("{}\n{}{}", header.join(","), row("ABC12345676"), row("Total: 25 entries"));
    let (batch, summary) = read(text.as_bytes());
    assert_eq!((batch.num_rows(), rejects(&summary)), (1, vec![(3, RejectKind::Total)]));
}

#[test]
fn a_file_of_totals_and_notes_alone_has_no_rows() {
    let refused = read_cut(&file("Total,,,,,,0.00,0.00\nEnd of report\n"), Limits::default(), &[]).unwrap_err();
    assert_eq!(refused.reason, QuarantineReason::NoRows);
    assert!(refused.message.contains("but 2 of totals and notes"), "{}", refused.message);
}

#[test]
fn the_style_of_each_typed_column_is_told_and_every_row_is_checked() {
    let mut rows = String::new();
    for line in 1..6_000 {
        let (date, amount) = if line == 5_500 { ("2025-04-02", "\"$1,000.00\"") } else { ("04/02/2025", "1000.00") };
        rows.push_str(&format!("ABC12345676,{line},1,{date},CN,5,{amount},(1.00)\n"));
    }
    let (_, summary) = read(&file(&rows));
    let style = |column: &str| summary.traits[&format!("style of {column}")].clone();
    assert_eq!(style("Entry Date"), "nn/nn/yyyy in 5998 of 5999 cells; yyyy-mm-dd in 1, first at line 5501");
    assert_eq!(
        style("Line Tariff Goods Value Amount"),
        "1234.56 in 5998 of 5999 cells; with a dollar sign in 1, first at line 5501"
    );
    assert_eq!(style("Line Tariff Duty Amount"), "negatives in parentheses in 5999 of 5999 cells");
    assert_eq!(summary.traits.get("style of Country of Origin Code"), None);
}

/// Text in which everything that a dialect is made of is frequent.
fn odd_text() -> impl Strategy<Value = String> {
    prop::collection::vec("ABC12345676,1,1,(04/02/2025)?,CN,5,1.00,|Total|,|\n|\r\n|\r|[\"'\\\\€🧾é]|Page 1|   ", 0..30)
        .prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_way_to_cut_a_file_in_utf_16_changes_its_rows(
        rows in odd_text(), big_endian in any::<bool>(), mark in any::<bool>(), odd in any::<bool>(),
        places in prop::collection::vec(any::<usize>(), 0..10),
    ) {
        let text = format!("{HEADER}\r\n{ROWS}{rows}");
        let mut bytes = sixteen(&text, big_endian, mark);
        let plain = told(read_cut(text.as_bytes(), Limits::default(), &[]));
        let wide = told(read_cut(&bytes, Limits::default(), &[]));
        if let (Ok((Some(plain), _, before)), Ok((Some(wide), _, after))) = (&plain, &wide) {
            prop_assert_eq!(cells(plain), cells(wide));
            prop_assert_eq!((before.rows_read, before.rows_rejected), (after.rows_read, after.rows_rejected));
            for place in shown(wide, table::BYTE) {
                let place = place.parse::<usize>().unwrap();
                prop_assert!(place.is_multiple_of(2) && place < bytes.len());
            }
        }
        prop_assert_eq!(plain.is_ok(), wide.is_ok());
        if odd {
            bytes.push(b'A');
        }
        let whole = told(read_cut(&bytes, Limits::default(), &[]));
        prop_assert_eq!(whole, told(read_cut(&bytes, Limits::default(), &places)));
    }

    #[test]
    fn no_bytes_behind_a_header_make_the_reader_panic(tail in prop::collection::vec(any::<u8>(), 0..300), wide in any::<bool>()) {
        let header = if wide { sixteen(&format!("{HEADER}\n"), false, true) } else { format!("{HEADER}\n").into_bytes() };
        let _ = read_cut(&[header, tail].concat(), Limits::default(), &[]);
    }
}
