//! Importer of record numbers, and the one form of them that is personal data.
//! Promise: a Social Security number is never shown whole unless someone chose to; every other form is shown as it is.
//! Never: nothing here decides what is stored, only what is shown.

use std::borrow::Cow;

/// Whether a text is in the form of a Social Security number: `NNN-NN-NNNN`, or its nine digits alone.
///
/// Nine bare digits may as well be an employer's number without dash and suffix; what cannot be told apart is kept from view.
pub fn is_ssn_form(text: &str) -> bool {
    let bytes = text.trim().as_bytes();
    let digits = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
    match bytes.len() {
        9 => digits(bytes),
        11 => bytes[3] == b'-' && bytes[6] == b'-' && digits(&bytes[..3]) && digits(&bytes[4..6]) && digits(&bytes[7..]),
        _ => false,
    }
}

/// What may be shown of a cell: in a column that may hold personal data every form of it is masked, elsewhere the dashed one.
pub fn shown_cell<'a>(column_may_be_personal: bool, text: &'a str, show_ssn: bool) -> Cow<'a, str> {
    match column_may_be_personal || text.contains('-') {
        true => shown(text, show_ssn),
        false => Cow::Borrowed(text),
    }
}

/// What may be shown of an importer number: `***-**-1234` of a Social Security number, the whole of any other.
pub fn masked(number: &str) -> Cow<'_, str> {
    let trimmed = number.trim();
    match is_ssn_form(trimmed) {
        true => Cow::Owned(format!("***-**-{}", &trimmed[trimmed.len() - 4..])),
        false => Cow::Borrowed(number),
    }
}

/// A text of any kind with the words replaced of which `replacement` makes another: it is asked of each run of letters, digits,
/// dashes and points.
pub fn masked_words(text: &str, replacement: impl Fn(&str) -> Option<String>) -> Cow<'_, str> {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.');
    let mut out = String::new();
    let (mut copied, mut at) = (0, 0);
    while let Some(start) = text[at..].find(is_part).map(|found| at + found) {
        let end = text[start..].find(|c| !is_part(c)).map_or(text.len(), |found| start + found);
        // A point that ends a sentence is no part of the last word.
        let word = text[start..end].trim_end_matches('.');
        if let Some(other) = replacement(word) {
            out.push_str(&text[copied..start]);
            out.push_str(&other);
            copied = start + word.len();
        }
        at = end;
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

/// The text with every Social Security number in it masked, whichever column it came from.
pub fn masked_text(text: &str) -> Cow<'_, str> {
    masked_words(text, |word| is_ssn_form(word).then(|| masked(word).into_owned()))
}

/// The number as it may be shown, or whole where the setting allows it.
pub fn shown(number: &str, show_ssn: bool) -> Cow<'_, str> {
    if show_ssn { Cow::Borrowed(number) } else { masked(number) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_social_security_number_shows_its_last_four_digits() {
        assert_eq!(masked("000-00-1234"), "***-**-1234");
        assert_eq!(masked(" 000001234 "), "***-**-1234");
        assert_eq!(shown("000-00-1234", false), "***-**-1234");
    }

    #[test]
    fn other_importer_numbers_are_shown_as_they_are() {
        for number in ["00-1234567AA", "00-1234567", "261234-00001", "", "000-00-12345", "00é-00-123"] {
            assert_eq!(masked(number), number);
        }
    }

    #[test]
    fn nine_digits_are_masked_only_where_a_person_may_be_meant() {
        assert_eq!(shown_cell(true, "000001234", false), "***-**-1234");
        assert_eq!(shown_cell(false, "000001234", false), "000001234");
        assert_eq!(shown_cell(false, "000-00-1234", false), "***-**-1234");
    }

    #[test]
    fn a_number_within_a_text_is_masked_and_the_rest_is_kept() {
        assert_eq!(masked_text("IOR 000-00-1234, see 000-00-5678."), "IOR ***-**-1234, see ***-**-5678.");
        assert_eq!(masked_text("a 000001234;é"), "a ***-**-1234;é");
        for text in ["", "00-1234567AA", "2026-01-31", "0000-00-1234", "é"] {
            assert!(matches!(masked_text(text), Cow::Borrowed(kept) if kept == text), "{text}");
        }
    }

    #[test]
    fn a_setting_shows_it_whole() {
        assert_eq!(shown("000-00-1234", true), "000-00-1234");
    }
}
