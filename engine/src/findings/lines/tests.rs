//! Where a record ends and what of it is shown.

use super::*;

#[test]
fn a_record_ends_at_the_first_line_end_outside_quotes() {
    assert_eq!(end(b"a,b\nc"), Some(3));
    assert_eq!(end(b"a,b\r\nc"), Some(3));
    assert_eq!(end(b"a,\"b\nb\"\nc"), Some(7));
    assert_eq!(end(b"a,\"b\"\"\n\"\nc"), Some(8));
    assert_eq!(end(b"a,b"), None);
}

#[test]
fn numbers_that_may_be_a_persons_are_masked_and_no_others() {
    assert_eq!(masked_text("XZ910000011,000-12-3456,1.00"), "XZ910000011,***-**-3456,1.00");
    assert_eq!(masked_text("\"000-12-3456\" 000123456"), "\"***-**-3456\" ***-**-3456");
    for other in ["00-1234567AA", "000000-12345", "1000-12-3456", "000-12-34567", "000123456.00", "0001234567", "é,ñ", ""] {
        assert_eq!(masked_text(other), other);
    }
}

#[test]
fn bytes_of_any_encoding_are_shown_as_text() {
    assert_eq!(shown(b"a\0,\0b\0", false), "a,b");
    assert_eq!(shown(b"caf\xe9,000-12-3456", false), "caf\u{fffd},***-**-3456");
    assert_eq!(shown(b"000-12-3456", true), "000-12-3456");
}
