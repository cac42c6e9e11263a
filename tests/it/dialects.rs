//! Files of every dialect that spreadsheets and portals make of a report become the same rows, and the receipt says how
//! each was known.

use bonded::demo::corpus::Corpus;
use bonded_schemas::Report;
use serde_json::Value;

use crate::world::{TENANT, World, csv, random_plan};

const SUMS: &str = "SELECT count(*) AS n, count(DISTINCT entry_summary_number) AS entries, \
                    CAST(sum(line_tariff_duty_amount) AS VARCHAR) AS duty FROM es_003";

/// Delivers the bytes to a lake of their own; answers the receipt and what the table then holds.
fn delivered(name: &str, bytes: &[u8]) -> (World, Value, Value) {
    let world = World::new();
    let file = world.file(name, bytes);
    let receipt = world.ingest(TENANT, &[file]).remove(0);
    assert_eq!(receipt["state"], "committed", "{name}: {receipt}");
    let count = |field: &str| receipt[field].as_u64().unwrap();
    assert_eq!(count("rows_read"), count("rows_committed") + count("rows_rejected"), "{name}");
    let sums = world.ask(TENANT, SUMS);
    (world, receipt, sums)
}

fn sixteen(text: &str, big_endian: bool, mark: bool) -> Vec<u8> {
    let marked = if mark { format!("\u{feff}{text}") } else { text.to_owned() };
    marked.encode_utf16().flat_map(|unit| if big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
}

fn es_003() -> String {
    let corpus = Corpus::new(random_plan(12)).expect("fit");
    String::from_utf8(csv(&corpus, Report::Es003)).unwrap().replace("\r\n", "\n")
}

/// Each cell in single quotes. The corpus quotes no cell that holds a quote or a line end.
fn single_quoted(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let mut quoted = false;
        out.push('\'');
        for letter in line.chars() {
            match letter {
                '"' => quoted = !quoted,
                ',' if !quoted => out.push_str("','"),
                '\'' => out.push_str("''"),
                other => out.push(other),
            }
        }
        out.push_str("'\n");
    }
    out
}

#[test]
fn utf_16_of_either_order_with_and_without_mark_becomes_the_same_rows() {
    let text = es_003();
    let (_, _, plain) = delivered("plain.csv", text.as_bytes());
    for (name, big_endian, mark) in [("le-mark.csv", false, true), ("be-mark.csv", true, true), ("le.csv", false, false)] {
        let bytes = sixteen(&text, big_endian, mark);
        let (world, receipt, sums) = delivered(name, &bytes);
        assert_eq!(sums, plain, "{name}");
        let encoding = receipt["dialect"]["encoding"].as_str().unwrap();
        assert!(encoding.starts_with(if big_endian { "utf-16 big-endian" } else { "utf-16 little-endian" }), "{encoding}");
        let last =
            world.ask(TENANT, "SELECT _byte, _line, entry_summary_number AS entry FROM es_003 ORDER BY _byte DESC LIMIT 1");
        let place = last["_byte"].as_u64().unwrap() as usize;
        let entry = sixteen(last["entry"].as_str().unwrap(), big_endian, false);
        assert!(bytes[place..].starts_with(&entry), "{name}: the last row is not at its byte");
        assert_eq!(last["_line"].as_u64().unwrap(), text.lines().count() as u64, "{name}");
    }
}

#[test]
fn delimiters_quotes_and_line_ends_do_not_change_the_rows_and_are_told_with_their_evidence() {
    let text = es_003();
    let columns = text.lines().next().unwrap().split(',').count();
    let (_, receipt, plain) = delivered("plain.csv", text.as_bytes());
    let dialect = &receipt["dialect"];
    assert_eq!(dialect["delimiter"], format!("comma ({columns} of {columns} header cells recognised)"));
    assert_eq!(dialect["line_ends"], format!("lf {}", text.lines().count()));
    assert!(dialect["quotes"].as_str().unwrap().starts_with("double, doubled inside"), "{dialect}");
    assert!(dialect["style of Entry Date"].as_str().unwrap().contains(" cells"), "{dialect}");
    let mixed = text.replacen('\n', "\r\n", 3);
    for (name, bytes, key, told) in [
        ("single.csv", single_quoted(&text), "quotes", "single, doubled inside"),
        ("tabs.txt", single_quoted(&text).replace("','", "'\t'"), "delimiter", "tab ("),
        ("crlf.csv", text.replace('\n', "\r\n"), "line_ends", "crlf "),
        ("cr.csv", text.replace('\n', "\r"), "line_ends", "cr "),
        ("mixed.csv", mixed, "line_ends", "mixed: crlf 3, lf "),
        ("trailing.csv", text.replace('\n', ",\n"), "trailing_delimiters", "rows end in delimiters"),
        ("blank.csv", text.replacen('\n', "\n\n  \n", 4), "blank_rows", "without a character"),
        ("mark.csv", format!("\u{feff}{text}"), "encoding", "utf-8 with byte order mark"),
    ] {
        let (_, receipt, sums) = delivered(name, bytes.as_bytes());
        assert_eq!(sums, plain, "{name}");
        let trait_told = receipt["dialect"][key].as_str().unwrap_or_default();
        assert!(trait_told.contains(told), "{name}: {}", receipt["dialect"]);
    }
}

#[test]
fn letters_in_one_byte_are_read_and_the_encoding_is_told_with_its_reason() {
    let text = es_003();
    for (letter, byte, encoding, read) in [("é", 0xe9, "iso-8859-1 (", "Café"), ("€", 0x80, "windows-1252 (", "Caf€")] {
        let mut lines: Vec<Vec<u8>> = text.lines().map(|line| line.as_bytes().to_vec()).collect();
        lines[0].extend_from_slice(b",Our Remark");
        lines[1].extend_from_slice(b",Caf");
        lines[1].push(byte);
        lines[2..].iter_mut().for_each(|line| line.push(b','));
        let (world, receipt, _) = delivered("letters.csv", &lines.join(&b'\n'));
        let told = receipt["dialect"]["encoding"].as_str().unwrap();
        assert!(told.starts_with(encoding) && told.contains("first at byte"), "{letter}: {told}");
        let kept = world.ask(TENANT, "SELECT _rescued['Our Remark'] AS kept FROM es_003 WHERE _row = 1");
        assert!(kept["kept"] == read || kept["kept"][0] == read, "{kept}");
    }
}

#[test]
fn a_printed_report_becomes_its_rows_and_its_furniture_becomes_rejects_of_their_kind() {
    let text = es_003();
    let (_, _, plain) = delivered("plain.csv", text.as_bytes());
    let lines: Vec<&str> = text.lines().collect();
    let blank_cells = ",".repeat(lines[0].split(',').count() - 2);
    let mut printed = vec!["Entry Summary Line Tariff Details", "Run Date: 04/02/2025", ""];
    let (half, total) = (lines.len() / 2, format!("Grand Total{blank_cells},123.45"));
    printed.extend(&lines[..half]);
    printed.extend(["Page 1 of 2", printed[0], lines[0]]);
    printed.extend(&lines[half..]);
    printed.extend([total.as_str(), "End of report"]);
    let (world, receipt, sums) = delivered("printed.csv", printed.join("\n").as_bytes());
    assert_eq!(sums, plain);
    assert_eq!(receipt["rows_rejected"], 5, "{receipt}");
    assert_eq!(receipt["dialect"]["preamble"], "Entry Summary Line Tariff Details\nRun Date: 04/02/2025");
    assert_eq!(receipt["dialect"]["preamble_rows"], "2");
    let kinds: Vec<&str> = receipt["rejects"].as_array().unwrap().iter().map(|reject| reject["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["footer", "repeated_header", "repeated_header", "total", "footer"]);
    let counted =
        world.json(&["query", "--tenant", TENANT, "SELECT kind, count(*) AS n FROM meta.rejects GROUP BY kind ORDER BY kind"]);
    let counted: Vec<_> = counted.iter().map(|row| (row["kind"].as_str().unwrap(), row["n"].as_u64().unwrap())).collect();
    assert_eq!(counted, [("footer", 2), ("repeated_header", 2), ("total", 1)]);
    let shown = world.ok(&["receipt", receipt["delivery"]["id"].as_str().unwrap()]);
    assert!(shown.contains("Grand Total") && shown.contains("a line of totals"), "{shown}");
}
