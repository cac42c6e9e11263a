//! Tests of the check digit: the documented examples, and what the arithmetic can and cannot catch.

use proptest::prelude::*;

use super::*;

#[test]
fn documented_examples_hold() {
    assert_eq!(check_digit("ABC1234567"), Some(6));
    assert_eq!(check_digit("9999999999"), Some(0));
    assert_eq!(check_digit_holds("ABC12345676"), Some(true));
    assert_eq!(check_digit_holds("ABC12345677"), Some(false));
}

#[test]
fn other_shapes_have_no_check_digit() {
    for text in ["", "ABC123456", "ABC12345678", "ABCD234567", "AB-1234567", "ABC123456É", "ÀB1234567"] {
        assert_eq!(check_digit(text), None, "{text}");
    }
    for text in ["", "ABC1234567", "ABC-1234567-6", "ABC1234567X", "ABC123456 É"] {
        assert_eq!(check_digit_holds(text), None, "{text}");
    }
}

#[test]
fn letters_of_equal_value_cannot_be_told_apart() {
    assert_eq!(check_digit("ABC1234567"), check_digit("JKL1234567"));
    assert_eq!(check_digit("ABC1234567"), check_digit("1231234567"));
}

#[test]
fn printed_form_is_recognised() {
    assert!(is_dashed("ABC-1234567-6"));
    for text in ["ABC12345676", "ABC-1234567-X", "ABC_1234567-6", "AB--1234567-6", ""] {
        assert!(!is_dashed(text), "{text}");
    }
}

proptest! {
    #[test]
    fn one_wrong_digit_never_passes(number in "[A-Z0-9]{3}[0-9]{7}", place in 0usize..10, other in 0u8..10) {
        let right = check_digit(&number).unwrap();
        let mut bytes = number.clone().into_bytes();
        prop_assume!(LETTER_OR_DIGIT[usize::from(bytes[place])] != u16::from(other));
        bytes[place] = b'0' + other;
        prop_assert_ne!(check_digit(std::str::from_utf8(&bytes).unwrap()), Some(right));
    }

    #[test]
    fn swapped_neighbours_pass_only_when_equal_or_nought_and_nine(number in "[0-9]{10}", place in 0usize..9) {
        let mut bytes = number.clone().into_bytes();
        bytes.swap(place, place + 1);
        let same = check_digit(&number) == check_digit(std::str::from_utf8(&bytes).unwrap());
        let blind = bytes[place] == bytes[place + 1] || matches!((bytes[place], bytes[place + 1]), (b'0', b'9') | (b'9', b'0'));
        prop_assert_eq!(same, blind);
    }

    #[test]
    fn case_makes_no_difference(number in "[a-z0-9]{3}[0-9]{7}") {
        prop_assert_eq!(check_digit(&number), check_digit(&number.to_uppercase()));
    }

    #[test]
    fn any_text_is_answered_without_panic(text in "\\PC*") {
        let _ = (check_digit(&text), check_digit_holds(&text), is_dashed(&text));
    }
}
