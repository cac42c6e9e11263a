//! First bytes of good, odd and bad files.

use bonded_schemas::{Quarantine, edition::fold};
use proptest::prelude::*;

use super::{super::Encoding, *};

const ES_003: &str = "Entry Summary Number,Entry Summary Line Number,Tariff Ordinal Number,Entry Date,HTS Number - Full,\
                      Line Tariff Goods Value Amount,Line Tariff Duty Amount";
const ROW: &str = "ABC12345676,1,1,04/02/2025,9903012800,100.00,10.00";

fn outcome(bytes: &[u8]) -> HeadOutcome {
    find_head(bytes, true, Registry::builtin(), &|_| Mapping::default())
}

fn found(bytes: &[u8]) -> Head {
    match outcome(bytes) {
        HeadOutcome::Found(head) => head,
        other => panic!("{other:?}"),
    }
}

fn refused(bytes: &[u8]) -> Quarantine {
    match outcome(bytes) {
        HeadOutcome::Quarantine(quarantine) => quarantine,
        other => panic!("{other:?}"),
    }
}

fn kinds(head: &Head) -> Vec<bonded_schemas::DriftKind> {
    head.findings.iter().map(|finding| finding.kind).collect()
}

#[test]
fn a_plain_file_is_recognised_by_its_header() {
    let head = found(format!("{ES_003}\r\n{ROW}\r\n").as_bytes());
    assert_eq!((head.report, head.header_line, head.body_line, head.preamble_rows), (Report::Es003, 1, 2, 0));
    assert_eq!(head.body_offset, ES_003.len() as u64 + 2);
    assert_eq!(head.header.len(), 7);
    assert_eq!(head.dialect, Dialect { delimiter: b',', quote: b'"', escape: None, encoding: Encoding::Utf8 });
    assert!(head.findings.is_empty());
    let told = head.describe();
    assert_eq!(told["delimiter"], "comma (7 of 7 header cells recognised)");
    assert_eq!(told["encoding"], format!("utf-8 (the first {} bytes are all ASCII)", ES_003.len() + ROW.len() + 4));
    assert_eq!(told["quotes"], "double, doubled inside (none seen in 1 rows of the head)");
    assert_eq!((told["header_line"].as_str(), told["preamble_rows"].as_str()), ("1", "0"));
}

#[test]
fn every_edition_is_recognised_by_its_own_default_header() {
    for edition in Registry::builtin().editions() {
        let names: Vec<String> = edition.columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
        for (delimiter, name) in [(",", "comma"), ("\t", "tab"), (";", "semicolon"), ("|", "vertical bar")] {
            let head = found(format!("{}\n", names.join(delimiter)).as_bytes());
            assert_eq!((head.report, head.dialect.delimiter_name()), (edition.report, name));
            assert_eq!(head.header, edition.columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>());
            assert_eq!(kinds(&head).is_empty(), delimiter == ",");
        }
    }
}

#[test]
fn byte_order_mark_quotes_wrappers_spaces_and_a_trailing_delimiter_do_not_hide_the_header() {
    let wrapped: Vec<String> = ES_003.split(',').map(|name| format!("\" {name} \"")).collect();
    let text = format!("\u{feff}{},\r\n{ROW},\r\n", wrapped.join(",").replacen("\" Entry Date \"", "=\"Entry Date\"", 1));
    let head = found(text.as_bytes());
    assert_eq!(head.header, ES_003.split(',').collect::<Vec<_>>());
    assert_eq!(head.dialect.encoding, Encoding::Utf8Bom);
    assert_eq!(&text.as_bytes()[head.body_offset as usize..], format!("{ROW},\r\n").as_bytes());
}

#[test]
fn rows_above_the_header_are_a_preamble() {
    let text = format!("sep=;\n\nTrade Report;\"two\nlines\"\n{}\n", ES_003.replace(',', ";"));
    let head = found(text.as_bytes());
    assert_eq!((head.preamble_rows, head.header_line, head.body_line), (2, 5, 6));
    assert_eq!(head.preamble, ["sep=;", "Trade Report;\"two\nlines\""]);
    assert_eq!(head.describe()["preamble"], "sep=;\nTrade Report;\"two\nlines\"");
    assert_eq!(head.body_offset as usize, text.len());
    assert_eq!(kinds(&head), [bonded_schemas::DriftKind::Preamble, bonded_schemas::DriftKind::Delimiter]);
    let deep = format!("{}{ES_003}\n", "note\n".repeat(HEAD_RECORDS_MAX));
    assert_eq!(refused(deep.as_bytes()).reason, QuarantineReason::NotCsv);
}

#[test]
fn a_preamble_is_kept_to_twenty_lines_of_256_characters() {
    let long = format!("{}\n", "n".repeat(400)).repeat(30);
    let head = found(format!("{long}{ES_003}\n{ROW}\n").as_bytes());
    assert_eq!((head.preamble_rows, head.preamble.len()), (30, 20));
    assert!(head.preamble.iter().all(|line| line.len() == 256));
}

#[test]
fn windows_1252_is_noticed_and_a_cut_character_is_not_taken_for_it() {
    let head = found(&[ES_003.as_bytes(), b",Empf\xe4nger \x80\n"].concat());
    assert_eq!((head.dialect.encoding, head.header[7].as_str()), (Encoding::Windows1252, "Empfänger €"));
    assert_eq!(kinds(&head), [bonded_schemas::DriftKind::Encoding]);
    let mut cut = format!("{ES_003}\n").into_bytes();
    cut.resize(HEAD_BYTES_MAX - 1, b'x');
    cut.push(0xc3);
    match find_head(&cut, false, Registry::builtin(), &|_| Mapping::default()) {
        HeadOutcome::Found(head) => assert_eq!(head.dialect.encoding, Encoding::Utf8),
        other => panic!("{other:?}"),
    }
}

#[test]
fn high_bytes_without_c1_are_iso_8859_1_and_it_is_told_why() {
    let bytes = [ES_003.as_bytes(), b",Empf\xe4nger\n"].concat();
    let head = found(&bytes);
    assert_eq!((head.dialect.encoding, head.header[7].as_str()), (Encoding::Iso8859_1, "Empfänger"));
    let at = bytes.iter().position(|byte| *byte == 0xe4).unwrap();
    assert_eq!(
        head.describe()["encoding"],
        format!(
            "iso-8859-1 (bytes above 0x7f that are not UTF-8: 1, first at byte {at}; none of 0x80 to 0x9f, so windows-1252 reads the same)"
        )
    );
}

/// The text in UTF-16, with its mark or without.
fn sixteen(text: &str, big_endian: bool, mark: bool) -> Vec<u8> {
    let marked = if mark { format!("\u{feff}{text}") } else { text.to_owned() };
    marked.encode_utf16().flat_map(|unit| if big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
}

#[test]
fn utf_16_of_either_order_with_and_without_mark_is_read() {
    for (big_endian, encoding) in [(false, Encoding::Utf16Le), (true, Encoding::Utf16Be)] {
        for mark in [false, true] {
            let text = format!("Titel 🧾 ä\r\n{},Empfänger\r\n{ROW}\r\n", ES_003);
            let bytes = sixteen(&text, big_endian, mark);
            let head = found(&bytes);
            assert_eq!((head.dialect.encoding, head.header_line, head.body_line), (encoding, 2, 3));
            assert_eq!(head.header[7], "Empfänger");
            assert_eq!(&bytes[head.body_offset as usize..], sixteen(&format!("{ROW}\r\n"), big_endian, false));
            let told = head.describe()["encoding"].clone();
            assert!(told.starts_with(encoding.as_str()) && told.contains("byte order mark"), "{told}");
            assert_eq!(told.contains("is NUL"), !mark, "{told}");
            assert!(kinds(&head).contains(&bonded_schemas::DriftKind::Encoding));
        }
    }
}

#[test]
fn a_single_quoted_header_is_read_without_its_quotes() {
    let names: Vec<String> = ES_003.split(',').map(|name| format!("'{name}'")).collect();
    let head = found(format!("{},'Remark, ours'\n{ROW},'it''s, fine'\n", names.join(",")).as_bytes());
    assert_eq!((head.dialect.quote, head.header.len(), head.header[7].as_str()), (b'\'', 8, "Remark, ours"));
    assert_eq!(head.describe()["quotes"], "single, doubled inside (1 cells quoted in 1 rows of the head; none reads wrong so)");
}

#[test]
fn a_renamed_grain_column_is_recognised_through_the_tenants_mapping() {
    let text = ES_003.replace("Tariff Ordinal Number", "Our Sequence") + "\n";
    let refused = refused(text.as_bytes());
    assert_eq!((refused.reason, refused.nearest), (QuarantineReason::GrainMissing, Some(Report::Es003)));
    assert!(refused.message.contains("`Tariff Ordinal Number`"), "{}", refused.message);
    let mapping = |report: Report| {
        let mut mapping = Mapping::default();
        if report == Report::Es003 {
            mapping.renames.insert(fold("Our Sequence"), "Tariff Ordinal Number".to_owned());
        }
        mapping
    };
    match find_head(text.as_bytes(), true, Registry::builtin(), &mapping) {
        HeadOutcome::Found(head) => assert_eq!((head.report, head.header[2].as_str()), (Report::Es003, "Our Sequence")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_no_csv_is_named_with_its_mend() {
    for (bytes, named) in [
        (b"PK\x03\x04rest of it".to_vec(), "xlsx"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".to_vec(), "xls"),
        (b"%PDF-1.7 ...".to_vec(), "PDF"),
        (b"\x1f\x8b\x08\x00\x00\x00\x00\x00".to_vec(), "gzip"),
        (b"  <!DOCTYPE HTML><html>".to_vec(), "web page"),
        (sixteen("dear sir\nplease find enclosed\n", false, true), "without columns"),
        (b"\xff\xfe\x00\x00E\x00\x00\x00".to_vec(), "UTF-32"),
        ([ES_003.replacen('D', "\0D", 1).as_bytes(), b"\n"].concat(), "NUL"),
        (b"dear sir\nplease find enclosed\n".to_vec(), "without columns"),
        (b"\"never closed\nnever".to_vec(), "never closed"),
    ] {
        let refused = refused(&bytes);
        assert_eq!(refused.reason, QuarantineReason::NotCsv, "{named}");
        assert!(refused.message.contains(named) && refused.message.contains("CSV (UTF-8)"), "{}", refused.message);
    }
}

#[test]
fn empty_files_and_unknown_tables_are_told_apart() {
    for bytes in [&b""[..], b"\xef\xbb\xbf", b"\r\n \n\t\n"] {
        assert_eq!(refused(bytes).reason, QuarantineReason::Empty);
    }
    let unknown = refused(b"Date,Party,Amount\n1,2,3\n");
    assert_eq!(unknown.reason, QuarantineReason::UnknownReport);
    let near = refused(b"Entry Summary Number,Shoe Size\nABC12345676,43\n");
    assert_eq!(near.reason, QuarantineReason::UnknownReport);
    assert!(near.nearest.is_some(), "{near:?}");
}

#[test]
fn an_impostor_is_named_as_such() {
    let names = "Entry Summary Number,Entry Summary Line Number,HTS Number - Full,Entry Date,Country of Origin Code,Base Duty Rate,Section 301 Rate";
    let by_names = refused(format!("{names}\nABC-1234567-6,1,9903012800,04/02/2025,CN,2.5%,25%\n").as_bytes());
    assert_eq!((by_names.reason, by_names.nearest), (QuarantineReason::Impostor, Some(Report::Es003)));
    let plain = names.replace(" Rate", "");
    let by_values = refused(format!("{plain}\nABC-1234567-6,1,9903012800,04/02/2025,CN,2.5%,25%\n").as_bytes());
    assert_eq!(by_values.reason, QuarantineReason::Impostor);
    let honest = refused(format!("{plain}\nABC12345676,1,9903012800,04/02/2025,CN,2.5,25\n").as_bytes());
    assert_eq!(honest.reason, QuarantineReason::GrainMissing);
}

#[test]
fn a_first_line_longer_than_the_head_is_refused_once_the_limit_is_reached() {
    let bytes = vec![b'a'; HEAD_BYTES_MAX];
    let ask = |bytes: &[u8]| find_head(bytes, false, Registry::builtin(), &|_| Mapping::default());
    assert_eq!(ask(&bytes[..1_000]), HeadOutcome::NeedMore);
    match ask(&bytes) {
        HeadOutcome::Quarantine(quarantine) => assert_eq!(quarantine.reason, QuarantineReason::RecordTooLong),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_nul_byte_in_a_row_does_not_condemn_the_file() {
    assert_eq!(found(format!("{ES_003}\nABC\0,1,1,,,,\n").as_bytes()).report, Report::Es003);
}

#[test]
fn a_header_as_wide_as_no_report_is_refused() {
    let wide = format!("{ES_003}{}\n", ",x".repeat(HEAD_COLUMNS_MAX));
    assert_eq!(refused(wide.as_bytes()).reason, QuarantineReason::UnknownReport);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn more_bytes_never_change_what_was_found(length in 0usize..400, line_end in prop::sample::select(vec!["\n", "\r\n", "\r"])) {
        let text = [&format!("a note{line_end}{ES_003}{line_end}")[..], &format!("{ROW}{line_end}").repeat(8)].concat();
        let length = length.min(text.len());
        match find_head(&text.as_bytes()[..length], false, Registry::builtin(), &|_| Mapping::default()) {
            HeadOutcome::Found(head) => prop_assert_eq!(head, found(text.as_bytes())),
            other => prop_assert_eq!(other, HeadOutcome::NeedMore),
        }
    }

    #[test]
    fn no_bytes_make_the_head_finder_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), whole in any::<bool>()) {
        let _ = find_head(&bytes, whole, Registry::builtin(), &|_| Mapping::default());
    }
}
