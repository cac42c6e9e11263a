//! One record at a time; `records/tests.rs` holds the tokeniser against csv-async.

use super::*;

#[test]
fn delimiters_are_found_at_every_place_of_a_word() {
    let tokeniser = Tokeniser::new(b';', b'"');
    for length in 0..40 {
        for ending in [b';', b'\n', b'\r'] {
            // Neighbours of the needles in value, and bytes above 127, must not be taken for them.
            for filler in [b'a', b':', b'<', 0x0b, 0x0c, 0x0e, 0x8a, 0x8d, 0xbb, 0xff, 0] {
                let mut bytes = vec![filler; length];
                bytes.push(ending);
                bytes.extend_from_slice(b"tail;tail");
                assert_eq!(tokeniser.plain_end(&bytes, 0), length, "{filler} {ending}");
            }
        }
    }
}

#[test]
fn a_record_is_partial_until_its_end_is_certain() {
    let tokeniser = Tokeniser::new(b',', b'"');
    let mut cells = Vec::new();
    for bytes in [&b"a,b"[..], b"a,", b"\"a", b"\"a\"", b"\"a\"\"", b"\"a\"b"] {
        assert_eq!(tokeniser.record(bytes, false, &mut cells), Scan::Partial);
        let unterminated = matches!(bytes, b"\"a" | b"\"a\"\"");
        let whole = Scan::Whole { end: bytes.len(), lines: 0, unterminated };
        assert_eq!(tokeniser.record(bytes, true, &mut cells), whole);
    }
}

#[test]
fn line_ends_of_all_kinds_are_counted_once() {
    for (bytes, count) in [(&b""[..], 0), (b"a\n", 1), (b"\r\n", 1), (b"\r\r\n\n", 3), (b"a\rb\r\nc\nd", 3)] {
        assert_eq!(line_ends(bytes), count);
    }
}

#[test]
fn a_backslash_takes_quotes_and_backslashes_along_and_nothing_else() {
    let tokeniser = Tokeniser::new(b',', b'"').with_escape(Some(b'\\'));
    let read = |text: &str| {
        let (mut cells, mut out) = (Vec::new(), Vec::new());
        let scan = tokeniser.record(text.as_bytes(), true, &mut cells);
        let cells = cells.iter().map(|cell| {
            let raw = &text.as_bytes()[cell.range()];
            if cell.escaped {
                tokeniser.unescape(raw, &mut out);
            } else {
                out = raw.to_vec();
            }
            String::from_utf8(out.clone()).unwrap()
        });
        (cells.collect::<Vec<_>>(), scan)
    };
    let check = |text: &str, expected: &[&str]| {
        let (cells, scan) = read(text);
        assert_eq!(cells, expected, "{text}");
        assert!(matches!(scan, Scan::Whole { unterminated: false, .. }), "{text} {scan:?}");
    };
    check(r#""12\" pipe, steel",b"#, &[r#"12" pipe, steel"#, "b"]);
    check(r#""a\\",b"#, &[r"a\", "b"]);
    check(r#""C:\temp","é\é""#, &[r"C:\temp", r"é\é"]);
    check(r#""doubled "" too",\b"#, &[r#"doubled " too"#, r"\b"]);
    for lost in [r#""a\""#, r#""a\"#, r#""\"#] {
        assert!(matches!(read(lost).1, Scan::Whole { unterminated: true, .. }), "{lost}");
    }
}

#[test]
fn text_behind_a_closing_quote_is_told() {
    let tokeniser = Tokeniser::new(b',', b'"');
    let mut out = Vec::new();
    for (raw, behind) in [("\"a\"b", true), ("\"a\"\"b\"", false), ("\"a", false), ("\"\"\"\"", false), ("\"a\" ", false)] {
        assert_eq!(tokeniser.unescape(raw.as_bytes(), &mut out), behind, "{raw}");
    }
}
