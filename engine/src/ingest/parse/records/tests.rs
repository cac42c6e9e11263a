//! Records against csv-async, cell for cell, and against themselves under every way to cut the bytes.

use futures::{StreamExt, executor::block_on};
use proptest::prelude::*;

use super::{super::tokenise::line_ends, *};

/// What is compared of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    cells: Vec<Vec<u8>>,
    offset: u64,
    line: u64,
    unterminated: bool,
    has_nul: bool,
    is_text: bool,
}

fn see(tokeniser: Tokeniser, record: &Record<'_>) -> Seen {
    let cell = |cell: &Cell| {
        let raw = &record.bytes[cell.range()];
        if !cell.escaped {
            return raw.to_vec();
        }
        let mut out = Vec::new();
        tokeniser.unescape(raw, &mut out);
        out
    };
    Seen {
        cells: record.cells.iter().map(cell).collect(),
        offset: record.offset,
        line: record.line,
        unterminated: record.unterminated,
        has_nul: record.has_nul,
        is_text: record.text.is_some(),
    }
}

fn beginning() -> Beginning {
    Beginning { offset: 0, line: 1, after_return: false, wide: false, line_ends: LineEnds::default() }
}

fn read(chunks: &[&[u8]], record_bytes_max: usize) -> Result<Vec<Seen>, TooLong> {
    let tokeniser = Tokeniser::new(b',', b'"');
    let mut records = Records::new(tokeniser, record_bytes_max, beginning());
    let mut seen = Vec::new();
    for chunk in chunks {
        records.push(chunk, |record| seen.push(see(tokeniser, &record)))?;
    }
    records.finish(|record| seen.push(see(tokeniser, &record)));
    Ok(seen)
}

fn cells(text: &str) -> Vec<Vec<String>> {
    let seen = read(&[text.as_bytes()], 1 << 20).unwrap();
    seen.into_iter().map(|seen| seen.cells.into_iter().map(|cell| String::from_utf8(cell).unwrap()).collect()).collect()
}

/// The reference.
fn by_csv_async(bytes: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let mut reader = csv_async::AsyncReaderBuilder::new().has_headers(false).flexible(true).create_reader(bytes);
    block_on(async {
        let mut records = reader.byte_records();
        let mut all = Vec::new();
        while let Some(record) = records.next().await {
            all.push(record.unwrap().iter().map(<[u8]>::to_vec).collect());
        }
        all
    })
}

/// Cuts `bytes` at the given places (taken modulo the length).
fn cut<'a>(bytes: &'a [u8], places: &[usize]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = places.iter().map(|place| place % (bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

#[test]
fn quotes_delimiters_and_line_ends_follow_rfc_4180() {
    let check = |text: &str, expected: &[&[&str]]| assert_eq!(cells(text), expected, "{text:?}");
    check("a,b\nc,d\n", &[&["a", "b"], &["c", "d"]]);
    check("a,b\r\nc,d", &[&["a", "b"], &["c", "d"]]);
    check("a,b\rc,d\r", &[&["a", "b"], &["c", "d"]]);
    check("a,,\n", &[&["a", "", ""]]);
    check("\"a,b\",\"c\"\"d\",\"\"\n", &[&["a,b", "c\"d", ""]]);
    check("\"one\ntwo\r\nthree\",x\n", &[&["one\ntwo\r\nthree", "x"]]);
    check("=\"0123\",\"=\"\"0123\"\"\"\n", &[&["=\"0123\"", "=\"0123\""]]);
    check("\"a\"b,c\"d\"\n", &[&["ab", "c\"d\""]]);
    check("\n\r\n\ra\n\n\nb\n\n", &[&["a"], &["b"]]);
    check("abcdefghijklmnopqrstuvwxyz,1\n", &[&["abcdefghijklmnopqrstuvwxyz", "1"]]);
    check("", &[]);
}

#[test]
fn each_record_knows_its_line_and_byte() {
    let seen = read(&[b"a,b\r\n\r\n\"x\ny\",2\rz,3\n"], 1 << 20).unwrap();
    let places: Vec<_> = seen.iter().map(|seen| (seen.line, seen.offset)).collect();
    assert_eq!(places, [(1, 0), (3, 7), (5, 15)]);
}

#[test]
fn a_lost_quote_costs_one_row_and_not_the_rest_of_the_file() {
    let seen = read(&[b"a,1\nb,\"2\nc,3\nd,4\n"], 1 << 20).unwrap();
    let lines: Vec<_> = seen.iter().map(|seen| (seen.line, seen.unterminated, seen.cells[0].clone())).collect();
    let expected = [(1, false, b"a"), (2, true, b"b"), (3, false, b"c"), (4, false, b"d")];
    assert_eq!(lines, expected.map(|(line, lost, cell)| (line, lost, cell.to_vec())));
}

#[test]
fn many_lost_quotes_end_after_a_bounded_amount_of_work() {
    // Each line opens a quote that the next one closes and opens anew; whatever comes of it, it comes to an end.
    let text = "x,\"y\n,\"\"\"\n".repeat(2_000);
    let seen = read(&[text.as_bytes()], 1 << 20).unwrap();
    assert!(!seen.is_empty());
}

#[test]
fn a_record_of_the_limit_passes_and_one_byte_more_does_not() {
    for chunk_bytes in [1, 3, 16, 1_000] {
        for (length, quoted) in [(16, false), (16, true), (17, false), (17, true)] {
            let inner = if quoted { format!("\"{}\"", "a".repeat(length - 2)) } else { "a".repeat(length) };
            let text = format!("x\n{inner}\ny\n");
            let chunks: Vec<&[u8]> = text.as_bytes().chunks(chunk_bytes).collect();
            let outcome = read(&chunks, 16);
            if length == 16 {
                assert_eq!(outcome.unwrap().len(), 3, "{chunk_bytes} {quoted}");
            } else {
                assert_eq!(outcome.unwrap_err(), TooLong { line: 2, offset: 2 }, "{chunk_bytes} {quoted}");
            }
        }
    }
}

#[test]
fn one_line_of_a_hundred_megabytes_is_given_up_in_bounded_memory() {
    for first in ["", "\""] {
        let mut records = Records::new(Tokeniser::new(b',', b'"'), 1 << 20, beginning());
        records.push(first.as_bytes(), |_| ()).unwrap();
        let chunk = vec![b'a'; 1 << 20];
        let mut outcomes = (0..100).map(|_| records.push(&chunk, |_| ()));
        assert!(outcomes.any(|outcome| outcome == Err(TooLong { line: 1, offset: 0 })));
        drop(outcomes);
        assert!(records.carry.capacity() <= 4 << 20);
    }
}

/// Bytes in which everything that matters to a tokeniser is frequent.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        4 => Just(b','), 4 => Just(b'"'), 2 => Just(b'\n'), 2 => Just(b'\r'), 4 => Just(b'a'), 1 => Just(b'='),
        1 => Just(b' '), 1 => Just(0), 1 => Just(0xa0), 1 => Just(0xc3),
    ];
    let word = prop_oneof![
        3 => byte.prop_map(|byte| vec![byte]),
        1 => Just(b"abcdefghijkl".to_vec()), 1 => Just(b"\"a,b\"".to_vec()), 1 => Just(b"\r\n".to_vec()), 1 => Just("é".into()),
    ];
    prop::collection::vec(word, 0..60).prop_map(|words| words.concat())
}

/// A table, written by the rules, and its cells.
fn well_formed() -> impl Strategy<Value = (Vec<u8>, Vec<Vec<Vec<u8>>>)> {
    let cell = prop_oneof![
        3 => "[A-Za-z0-9 .]{0,12}", 1 => "[a-c,\"\r\n=$]{0,10}", 1 => Just("Grüße, Ltd".to_owned()), 1 => Just("=\"0401\"".to_owned()),
    ];
    let rows = prop::collection::vec(prop::collection::vec((cell, any::<bool>()), 2..6), 0..12);
    (rows, prop::sample::select(vec!["\n", "\r\n", "\r"])).prop_map(|(rows, line_end)| {
        let mut text = String::new();
        for row in &rows {
            for (place, (cell, quoted)) in row.iter().enumerate() {
                text.push_str(if place > 0 { "," } else { "" });
                if *quoted || cell.contains([',', '\r', '\n']) || cell.starts_with('"') {
                    text.push_str(&format!("\"{}\"", cell.replace('"', "\"\"")));
                } else {
                    text.push_str(cell);
                }
            }
            text.push_str(line_end);
        }
        let cells = rows.into_iter().map(|row| row.into_iter().map(|(cell, _)| cell.into_bytes()).collect()).collect();
        (text.into_bytes(), cells)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn well_formed_tables_read_as_they_were_written((bytes, cells) in well_formed(), places in prop::collection::vec(any::<usize>(), 0..6)) {
        let seen = read(&cut(&bytes, &places), 1 << 20).unwrap();
        prop_assert!(seen.iter().all(|seen| !seen.unterminated && !seen.has_nul && seen.is_text));
        let found: Vec<_> = seen.into_iter().map(|seen| seen.cells).collect();
        prop_assert_eq!(&found, &by_csv_async(&bytes));
        prop_assert_eq!(found, cells);
    }

    #[test]
    fn hostile_bytes_read_as_csv_async_reads_them(bytes in hostile()) {
        let seen = read(&[&bytes], 1 << 20).unwrap();
        // Behind a lost quote we part company on purpose: csv-async makes one record of all the rest.
        let sound = seen.iter().position(|seen| seen.unterminated);
        let reference = by_csv_async(&bytes);
        if sound.is_none() {
            prop_assert_eq!(seen.len(), reference.len());
        }
        for (seen, reference) in seen[..sound.unwrap_or(seen.len())].iter().zip(&reference) {
            prop_assert_eq!(&seen.cells, reference);
        }
    }

    #[test]
    fn no_way_to_cut_the_bytes_changes_the_records(bytes in hostile(), places in prop::collection::vec(any::<usize>(), 0..12)) {
        let whole = read(&[&bytes], 1 << 20).unwrap();
        prop_assert_eq!(&whole, &read(&cut(&bytes, &places), 1 << 20).unwrap());
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        prop_assert_eq!(&whole, &read(&single, 1 << 20).unwrap());
    }

    #[test]
    fn no_way_to_cut_the_bytes_changes_what_is_too_long(bytes in hostile(), places in prop::collection::vec(any::<usize>(), 0..12)) {
        prop_assert_eq!(read(&[&bytes], 12), read(&cut(&bytes, &places), 12));
    }

    #[test]
    fn bytes_from_a_records_offset_on_give_the_same_record(bytes in hostile()) {
        for seen in read(&[&bytes], 1 << 20).unwrap().into_iter().filter(|seen| !seen.unterminated) {
            let offset = seen.offset as usize;
            let again = read(&[&bytes[offset..]], 1 << 20).unwrap();
            prop_assert_eq!(&again[0].cells, &seen.cells);
            prop_assert_eq!(seen.line, 1 + line_ends(&bytes[..offset]));
        }
    }
}
