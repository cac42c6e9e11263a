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
