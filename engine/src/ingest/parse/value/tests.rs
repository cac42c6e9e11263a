//! Every way to write an amount that is read, and every one that fails its cell.

use proptest::prelude::*;

use super::*;

#[test]
fn amounts_are_read_in_every_usual_form() {
    for (text, cents) in [
        ("0", 0),
        ("1", 100),
        ("1234.5", 123_450),
        ("1234.56", 123_456),
        ("1234.", 123_400),
        (".5", 50),
        ("-.05", -5),
        ("0001.10", 110),
        ("1.5000", 150),
        ("1,234.56", 123_456),
        ("12,345,678.90", 1_234_567_890),
        ("$1,234.56", 123_456),
        ("$ 1,234.56", 123_456),
        ("(123.45)", -12_345),
        ("($1,000.00)", -100_000),
        ("$(1,000.00)", -100_000),
        ("( 5.00 )", -500),
        ("-123.45", -12_345),
        ("123.45-", -12_345),
        ("$123.45-", -12_345),
        ("-$1.00", -100),
        ("$-1.00", -100),
        ("+1.00", 100),
        ("-0.00", 0),
        ("9999999999999999.99", 999_999_999_999_999_999),
        ("-9,999,999,999,999,999.99", -999_999_999_999_999_999),
        ("00000000000000000000001.00", 100),
    ] {
        assert_eq!(money(text.as_bytes()), Ok(cents), "{text}");
    }
}

#[test]
fn amounts_that_say_more_than_cents_fail_and_are_never_rounded() {
    for text in ["1.234", "0.001", "1,234.567", "$0.005", "(1.999)", "-0.0000001", "99999999999999.001"] {
        assert_eq!(money(text.as_bytes()), Err("more than two decimals"), "{text}");
    }
    for text in ["10000000000000000.00", "99999999999999999999999999999999999999999999999999", "-10,000,000,000,000,000"] {
        assert_eq!(money(text.as_bytes()), Err("too large for decimal(18,2)"), "{text}");
    }
}

#[test]
fn what_is_no_amount_fails() {
    for text in [
        "-", "$", "()", ".", "$-", "abc", "1e5", "1.01E+10", "--1", "-1-", "(-1)", "(1", "1)", "-(1)", "$$1", "1.2.3", "1 234",
        "FREE", "5%", "1.2,3", "N/A", "USD 1.00", "1.00 USD", "٣", "1_000", "0x10", "(1)-",
    ] {
        assert_eq!(money(text.as_bytes()), Err(NOT_AN_AMOUNT), "{text}");
    }
    for text in ["1,23.45", "12,34", "1234,567", ",123", "1,,234", "1,234,56", "1,2345", "1,"] {
        assert_eq!(money(text.as_bytes()), Err("commas do not group by thousands"), "{text}");
    }
}

#[test]
fn quantities_have_four_decimals() {
    for (text, units) in [("1", 10_000), ("0.0001", 1), ("1,000.25", 10_002_500), ("-3.5", -35_000), ("1.00000", 10_000)] {
        assert_eq!(quantity(text.as_bytes()), Ok(units), "{text}");
    }
    assert_eq!(quantity(b"9999999999999999.9999"), Ok(99_999_999_999_999_999_999));
    assert_eq!(quantity(b"10000000000000000"), Err("too large for decimal(20,4)"));
    assert_eq!(quantity(b"0.00001"), Err("more than four decimals"));
}

#[test]
fn whole_numbers_are_digits_only() {
    assert_eq!(integer(b"1"), Ok(1));
    assert_eq!(integer(b"007"), Ok(7));
    assert_eq!(integer(b"2147483647"), Ok(i32::MAX));
    assert_eq!(integer(b"2147483648"), Err("too large for a whole number of 32 bits"));
    for text in ["", "1.0", "1,000", "-1", "+1", " 1", "1e3"] {
        assert_eq!(integer(text.as_bytes()), Err("not a whole number"), "{text}");
    }
}

#[test]
fn the_meant_value_is_trimmed_and_unwrapped_and_otherwise_kept() {
    for (text, expected) in [
        ("0401", "0401"),
        ("NA", "NA"),
        (" 0401 ", "0401"),
        ("\u{a0}1.00\u{a0}", "1.00"),
        ("\t01\t", "01"),
        ("\u{200b}\u{feff}0401\u{ad}\u{2060}", "0401"),
        ("=\"0401\"", "0401"),
        (" =\"60500000100\" ", "60500000100"),
        ("=\" 01 \"", "01"),
        ("=\"\"", ""),
        ("=", "="),
        ("=\"", "=\""),
        ("=1+1", "=1+1"),
        ("   ", ""),
        ("", ""),
        ("Müller GmbH", "Müller GmbH"),
        ("é", "é"),
    ] {
        assert_eq!(meant(text), expected, "{text:?}");
    }
}

#[test]
fn only_what_is_more_than_style_counts_as_lost() {
    for text in ["0401", " 0401 ", "=\"0401\"", " =\" 0401\" ", "é", " Müller GmbH ", ""] {
        assert!(!lost_invisible(text, meant(text)), "{text:?}");
    }
    for text in ["\u{a0}0401", "0401\u{200b}", "=\"0401\u{a0}\"", "\u{a0}", "\u{feff}Müller"] {
        assert!(lost_invisible(text, meant(text)), "{text:?}");
    }
}

#[test]
fn windows_1252_reads_all_bytes() {
    assert_eq!(windows_1252(b"Caf\xe9 \x80 \x93x\x94 \x9f\xa0\xff"), "Café € “x” Ÿ\u{a0}ÿ");
    let all: Vec<u8> = (0..=255).collect();
    assert_eq!(windows_1252(&all).chars().count(), 256);
    assert_eq!(decode("é".as_bytes()), (Cow::Borrowed("é"), false));
    assert!(decode(b"\xe9").1);
}

#[test]
fn excerpts_end_at_a_character() {
    assert_eq!(excerpt(&"é".repeat(300)), "é".repeat(256));
    assert_eq!(excerpt("short"), "short");
}

#[test]
fn entry_numbers_that_cannot_tell_entries_apart_are_found() {
    for text in ["ABC12345676", "31E00000015", "1234567890", "E2E12345670", "9E00000001", "ＡＢＣ１２３４５６７６"] {
        assert_eq!(entry_number_fault(text), None, "{text}");
    }
    for text in ["", "Total", "Grand Total", "1.01E+10", "3.1E+16", "3E+16", "1.5e16"] {
        assert!(entry_number_fault(text).is_some(), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_amount_reads_back_in_every_form(cents in -999_999_999_999_999_999i128..=999_999_999_999_999_999) {
        let (magnitude, negative) = (cents.unsigned_abs(), cents < 0);
        let plain = format!("{}.{:02}", magnitude / 100, magnitude % 100);
        let mut grouped = String::new();
        let whole = (magnitude / 100).to_string();
        for (place, digit) in whole.chars().enumerate() {
            if place > 0 && (whole.len() - place) % 3 == 0 {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        let grouped = format!("{grouped}.{:02}", magnitude % 100);
        let forms = if negative {
            vec![format!("-{plain}"), format!("{plain}-"), format!("({plain})"), format!("-${grouped}"), format!("(${grouped})")]
        } else {
            vec![plain.clone(), format!("${plain}"), grouped.clone(), format!("${grouped}"), format!("+{plain}")]
        };
        for form in forms {
            prop_assert_eq!(money(form.as_bytes()), Ok(cents), "{}", form);
        }
    }

    #[test]
    fn the_plain_path_and_the_general_one_agree(text in "-?[0-9]{0,9}(\\.[0-9]{0,5})?") {
        if let Some(value) = plain_decimal(text.as_bytes(), 2) {
            prop_assert_eq!(decimal(text.as_bytes(), 2, i128::MAX / 100).ok(), Some(i128::from(value)));
        } else {
            prop_assert!(text.len() > 14 || money(text.as_bytes()).is_err() || text.ends_with('0'), "{}", text);
        }
    }

    #[test]
    fn no_bytes_make_a_value_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..24)) {
        let _ = (money(&bytes), quantity(&bytes), integer(&bytes), super::super::date::date(&bytes, Default::default()));
        let text = windows_1252(&bytes);
        let _ = (meant(&text), entry_number_fault(&text));
    }
}
