//! Each kind of damage on whole files: what comes back, what does not, and that each mend is told.

use std::collections::BTreeMap;

use bonded_schemas::{Registry, Report, delivery::RejectScope};
use proptest::prelude::*;

use super::{
    super::validate::tests::{read, rescued, row, shown},
    *,
};

/// What a cell of a column became, and the notes of its row.
fn became(column: &str, text: &str) -> (String, String) {
    let (batch, summary) = read(&[row(&[(column, text)])]);
    assert_eq!(summary.cells_rescued, 0, "{text}");
    (shown(&batch, &bonded_schemas::edition::field_name(column)).remove(0), shown(&batch, "_repairs").remove(0))
}

fn mended(column: &str, text: &str, into: &str, notes: &[&str]) {
    let notes: Vec<String> = notes.iter().map(|note| format!("{note}: {column}")).collect();
    assert_eq!(became(column, text), (into.to_owned(), format!("[{}]", notes.join(", "))), "{text:?}");
}

fn untouched(column: &str, text: &str) {
    assert_eq!(became(column, text), (text.to_owned(), "-".to_owned()), "{text:?}");
}

#[test]
fn an_entry_number_gets_its_zeros_back_only_when_the_check_digit_then_passes() {
    let ten = ["0123456789", "0012345678"];
    for first_ten in ten {
        let number = format!("{first_ten}{}", entry_number::check_digit(first_ten).unwrap());
        let damaged = number.trim_start_matches('0');
        mended("Entry Summary Number", damaged, &number, &["leading zeros restored"]);
        let last = (damaged.as_bytes()[damaged.len() - 1] - b'0' + 1) % 10;
        untouched("Entry Summary Number", &format!("{}{last}", &damaged[..damaged.len() - 1]));
    }
    // Three zeros are no filer code, letters lose none, and a number of eleven has lost none.
    for text in ["12345678", "BC12345676", "99999999990"] {
        untouched("Entry Summary Number", text);
    }
}

#[test]
fn ports_entry_types_teams_and_tariff_numbers_get_their_zeros_back() {
    mended("Port of Entry Code", "401", "0401", &["leading zeros restored"]);
    mended("Entry Type Code", "1", "01", &["leading zeros restored"]);
    mended("Review Team Number", "57", "057", &["leading zeros restored"]);
    mended("Review Team Number", "7", "007", &["leading zeros restored"]);
    mended("HTS Number - Full", "4061000", "04061000", &["leading zeros restored"]);
    mended("HTS Number - Full", "406103400", "0406103400", &["leading zeros restored"]);
}

#[test]
fn zeros_go_back_only_where_a_rule_is_sure() {
    // 27 is a district, 9903012 and 392390008 have lost another digit, 0 is no entry type.
    for (column, text) in [
        ("Port of Entry Code", "27"),
        ("HTS Number - Full", "9903012"),
        ("HTS Number - Full", "392390008"),
        ("HTS Number - Full", "107000000"),
        ("HTS Number - Full", "40610"),
        ("Entry Type Code", "0"),
        ("Review Team Number", "GB"),
        ("Country of Origin Code", "1"),
        ("Protest Number", "12345"),
    ] {
        untouched(column, text);
    }
}

#[test]
fn a_rounded_code_costs_its_cell_and_the_row_stays() {
    for (column, text) in [
        ("HTS Number - Full", "3.92E+09"),
        ("Protest Number", "2.70423E+11"),
        ("Importer Number", "1.01E+10"),
        ("Port of Entry Code", "4E+02"),
    ] {
        let (batch, summary) = read(&[row(&[(column, text)])]);
        assert_eq!((summary.rows_committed, summary.rows_rejected, summary.cells_rescued), (1, 0, 1), "{column}");
        assert_eq!(shown(&batch, &bonded_schemas::edition::field_name(column)), ["-"]);
        assert_eq!(rescued(&batch, 0), BTreeMap::from([(column.to_owned(), text.to_owned())]));
        let reject = &summary.rejects[0];
        assert_eq!((reject.scope, reject.column.as_deref(), reject.text.as_str()), (RejectScope::Cell, Some(column), text));
        assert_eq!(reject.reason, format!("`{column}`: {ROUNDED}"));
    }
}

#[test]
fn a_rounded_entry_number_costs_its_row_for_nothing_else_tells_the_row_apart() {
    for text in ["3.1E+16", "1.01E+10"] {
        let (_, summary) = read(&[row(&[]), row(&[("Entry Summary Number", text)])]);
        assert_eq!((summary.rows_committed, summary.rows_rejected), (1, 1));
        let reject = &summary.rejects[0];
        assert_eq!((reject.scope, reject.line), (RejectScope::Row, 3));
        assert!(reject.text.starts_with(text) && reject.reason.ends_with(ROUNDED), "{reject:?}");
    }
}

#[test]
fn an_entry_number_with_the_letter_e_is_no_rounded_number() {
    let first_ten = "31E0000001";
    let number = format!("{first_ten}{}", entry_number::check_digit(first_ten).unwrap());
    untouched("Entry Summary Number", &number);
}

#[test]
fn formula_wrapping_and_plain_blanks_are_style_and_not_noted() {
    for (column, text, meant) in [
        ("Entry Summary Number", "=\"ABC12345676\"", "ABC12345676"),
        ("Port of Entry Code", " =\"0401\" ", "0401"),
        ("HTS Number - Full", "\t3923900080 ", "3923900080"),
        ("Port of Entry Code", "=\"=\"0401\"\"", "0401"),
    ] {
        assert_eq!(became(column, text), (meant.to_owned(), "-".to_owned()), "{text:?}");
    }
    // Wrapped too late: the zero was gone already.
    mended("Port of Entry Code", "=\"401\"", "0401", &["leading zeros restored"]);
}

#[test]
fn no_break_spaces_and_invisible_characters_go_and_are_noted() {
    let note = ["no-break or invisible characters removed"];
    mended("Entry Summary Number", "\u{a0}ABC12345676\u{a0}", "ABC12345676", &note);
    mended("Entry Summary Number", "ABC\u{200b}1234567\u{2060}6", "ABC12345676", &note);
    mended("Port of Entry Code", "\u{feff}0401\u{200e}", "0401", &note);
    mended("Country of Origin Code", "C\u{ad}N", "CN", &note);
    mended("Importer Number", "00\u{200b}-1234567AA", "00-1234567AA", &note);
    mended("Importer Name", "\u{202f}Fictional Café\u{a0}", "Fictional Café", &note);
    mended("Line Tariff Duty Amount", "\u{a0}2.50", "2.50", &note);
    mended("Entry Date", "04/02/2025\u{a0}", "2025-04-02", &note);
    mended("Protest Number", "\u{a0}", "-", &note);
    mended("Port of Entry Code", "\u{a0}401", "0401", &["no-break or invisible characters removed", "leading zeros restored"]);
}

#[test]
fn look_alike_dashes_in_an_entry_number_are_dashes() {
    for dash in ['\u{2010}', '\u{2011}', '\u{2012}', '\u{2013}', '\u{2014}', '\u{2015}', '\u{2212}', '\u{fe58}', '\u{ff0d}'] {
        let text = format!("ABC{dash}1234567{dash}6");
        mended("Entry Summary Number", &text, "ABC12345676", &["look-alike dashes read as dashes", "dashes removed"]);
    }
    mended("Entry Summary Number", "ABC-1234567-6", "ABC12345676", &["dashes removed"]);
}

#[test]
fn full_width_characters_in_a_code_are_plain_ones() {
    mended("Entry Summary Number", "ＡＢＣ１２３４５６７６", "ABC12345676", &["full-width characters read as plain"]);
    mended("Port of Entry Code", "０４０１", "0401", &["full-width characters read as plain"]);
    mended("Tariff Ordinal Number", "２", "2", &["full-width characters read as plain"]);
    mended("Port of Entry Code", "＝\"０４０１\"", "0401", &["full-width characters read as plain"]);
}

#[test]
fn look_alikes_stay_where_they_do_not_make_a_code() {
    for (column, text) in [
        ("Importer Name", "Nordwind \u{2013} Fictional"),
        ("Entry Summary Number", "ABC\u{2013}1234567"),
        ("Port of Entry Code", "04\u{a0}1"),
        ("Country of Origin Code", "Ü\u{ad}N"),
    ] {
        untouched(column, text);
    }
}

#[test]
fn a_tariff_number_with_dots_is_one_without() {
    for (text, into) in [("3923.90.0080", "3923900080"), ("3923.90.00.80", "3923900080"), ("9903.01.28", "99030128")] {
        mended("HTS Number - Full", text, into, &["dots removed"]);
    }
    for text in ["3923.90", "39.23.900080", "3923.90.008", "3923.90.0080.", "392.390.0080"] {
        untouched("HTS Number - Full", text);
    }
}

#[test]
fn a_mended_number_whose_check_digit_fails_is_still_remarked_on() {
    let (batch, summary) = read(&[row(&[("Entry Summary Number", "ABC\u{2013}1234567\u{2013}7")])]);
    assert_eq!(shown(&batch, "entry_summary_number"), ["ABC12345677"]);
    assert_eq!(summary.warnings[0].rule, WarningRule::EntryNumberCheckDigit);
}

#[test]
fn notes_are_the_words_that_stand_in_tables_already() {
    let all = Mends(u16::MAX).notes().collect::<Vec<_>>();
    assert_eq!(all.len(), Mends::NOTES.len());
    assert_eq!((Mends::DASHES | Mends::TIME).notes().collect::<Vec<_>>(), ["dashes removed", "time dropped"]);
    assert_eq!(Mends::NONE.notes().count(), 0);
}

#[test]
fn digits_and_ascii_are_found_eight_at_a_time_as_one_by_one() {
    for length in 0..20 {
        for byte in 0..=255u8 {
            for place in 0..length {
                let mut bytes = vec![b'0' + (place % 10) as u8; length];
                bytes[place] = byte;
                assert_eq!(all_digits(&bytes), byte.is_ascii_digit(), "{byte} at {place} of {length}");
                assert_eq!(is_ascii(&bytes), byte.is_ascii(), "{byte} at {place} of {length}");
            }
        }
    }
    assert!(!all_digits(&[0xff; 8]) && !all_digits(b"\x2f:;<=>?@AB"));
}

/// A text as it may come, damaged or not.
fn damaged() -> impl Strategy<Value = String> {
    prop_oneof![
        "[0-9]{1,12}",
        "[A-Z0-9]{3}[-\u{2013}\u{2212}]?[0-9]{7}[-\u{2013}\u{ff0d}]?[0-9]",
        "[\u{a0}\u{200b}]?[0-9]{2,10}[\u{a0}\u{feff}]?",
        "[０-９]{3,10}",
        "[0-9]{4}[.][0-9]{2}[.][0-9]{2,4}",
        "[0-9][.][0-9]{1,3}E[+][0-9]{2}",
        "\\PC{0,12}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// The one rule of this file: what goes into the table is what came, or its row says what was done.
    #[test]
    fn a_changed_cell_is_always_recorded(text in damaged(), place in 0usize..20) {
        let columns: Vec<_> = Registry::builtin().edition(Report::Es003).columns.iter().filter(|column| column.code.is_some()).collect();
        let column = columns[place % columns.len()];
        let mut form = Form::of(column);
        prop_assert!(!form.fits(&text) || form.mend(&text).is_ok_and(|mended| mended.mends == Mends::NONE && mended.doubt.is_none()));
        if let Ok(mended) = form.mend(&text) {
            prop_assert_eq!(mended.text == text, mended.mends == Mends::NONE, "{:?}", mended);
            prop_assert_eq!(mended.mends == Mends::NONE, mended.mends.notes().count() == 0);
            // A mended text is mended: nothing more is found in it.
            if mended.mends != Mends::NONE && mended.doubt.is_none() {
                prop_assert!(form.fits(&mended.text), "{:?}", mended);
            }
        }
    }

    #[test]
    fn rows_say_what_was_done_to_their_cells(text in damaged(), place in 0usize..4) {
        let column = ["Port of Entry Code", "HTS Number - Full", "Review Team Number", "Entry Type Code"][place];
        let text = text.replace(['\r', '\n', '\0'], "");
        let (batch, summary) = read(&[row(&[(column, &text)])]);
        let kept = shown(&batch, &bonded_schemas::edition::field_name(column)).remove(0);
        let repairs = shown(&batch, "_repairs").remove(0);
        let plain = text.trim_matches([' ', '\t']);
        let plain = plain.strip_prefix("=\"").and_then(|rest| rest.strip_suffix('"')).unwrap_or(plain).trim_matches([' ', '\t']);
        let empty = plain.is_empty() && kept == "-";
        let told = repairs.contains(column) || summary.cells_rescued == 1;
        prop_assert!(kept == plain || empty || told, "{:?} became {:?}, {}", text, kept, repairs);
        prop_assert!(!(kept == plain && repairs.contains(column)), "{:?} stayed, {}", text, repairs);
    }
}
