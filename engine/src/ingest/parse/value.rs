//! Values: the text of one cell becomes an amount, a quantity or a whole number, or a reason why not.
//! Promise: exact; a cell that says more than its type can hold fails, it is never rounded or wrapped around.
//! Never: no locale, no allocation on the path that plain cells take.

use std::borrow::Cow;

use super::repair::is_invisible;

/// A value, or the reason why the cell fails its type. Reasons quote no cell.
pub(super) type Parsed<T> = Result<T, &'static str>;

const NOT_AN_AMOUNT: &str = "not an amount";

/// US dollars and cents as `decimal(18,2)`: `1234.5`, `1,234.56`, `$1,234.56`, `(123.45)`, `-123.45`, `123.45-`.
#[inline]
pub(super) fn money(text: &[u8]) -> Parsed<i128> {
    match plain_decimal(text, 2) {
        Some(cents) => Ok(i128::from(cents)),
        None => decimal(text, 2, 999_999_999_999_999_999)
            .map_err(|fault| fault.reason(["more than two decimals", "too large for decimal(18,2)"])),
    }
}

/// `decimal(20,4)`, written as money is.
#[inline]
pub(super) fn quantity(text: &[u8]) -> Parsed<i128> {
    match plain_decimal(text, 4) {
        Some(units) => Ok(i128::from(units)),
        None => decimal(text, 4, 99_999_999_999_999_999_999)
            .map_err(|fault| fault.reason(["more than four decimals", "too large for decimal(20,4)"])),
    }
}

/// Digits only: line numbers and ordinals are counted from one, without sign, point or grouping.
#[inline]
pub(super) fn integer(text: &[u8]) -> Parsed<i32> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return Err("not a whole number");
    }
    text.iter()
        .try_fold(0i32, |value, byte| value.checked_mul(10)?.checked_add(i32::from(byte - b'0')))
        .ok_or("too large for a whole number of 32 bits")
}

/// At most 14 bytes of digits with an optional minus in front and at most `scale` decimals; `None` sends to `decimal`.
#[inline]
fn plain_decimal(text: &[u8], scale: usize) -> Option<i64> {
    const POWERS: [i64; 5] = [1, 10, 100, 1_000, 10_000];
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    // 14 digits and 4 decimals stay below 10^18, which fits 64 bits and both types.
    if digits.len() > 14 {
        return None;
    }
    let mut value = 0i64;
    let mut places = 0;
    let mut any = false;
    let mut rest = digits.iter();
    for &byte in rest.by_ref() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            if byte != b'.' {
                return None;
            }
            break;
        }
        value = value * 10 + i64::from(digit);
        any = true;
    }
    for &byte in rest {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 || places == scale {
            return None;
        }
        value = value * 10 + i64::from(digit);
        places += 1;
    }
    if !any && places == 0 {
        return None;
    }
    let value = value * POWERS[scale - places];
    Some(if negative { -value } else { value })
}

enum Fault {
    Form,
    Grouping,
    Decimals,
    Size,
}

impl Fault {
    fn reason(self, [decimals, size]: [&'static str; 2]) -> &'static str {
        match self {
            Fault::Form => NOT_AN_AMOUNT,
            Fault::Grouping => "commas do not group by thousands",
            Fault::Decimals => decimals,
            Fault::Size => size,
        }
    }
}

/// Every accepted way to write an amount. `limit` is the largest magnitude, in units of the last place.
#[cold]
fn decimal(text: &[u8], scale: usize, limit: i128) -> Result<i128, Fault> {
    let (negative, digits) = sign(text)?;
    let (whole, fraction) = match digits.iter().position(|byte| *byte == b'.') {
        Some(point) => (&digits[..point], &digits[point + 1..]),
        None => (digits, &[][..]),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err(Fault::Form);
    }
    if !whole.iter().all(|byte| byte.is_ascii_digit() || *byte == b',') || !fraction.iter().all(u8::is_ascii_digit) {
        return Err(Fault::Form);
    }
    if whole.contains(&b',') {
        let mut groups = whole.split(|byte| *byte == b',');
        let leading = groups.next().map_or(0, <[u8]>::len);
        if !(1..=3).contains(&leading) || groups.any(|group| group.len() != 3) {
            return Err(Fault::Grouping);
        }
    }
    if fraction.iter().skip(scale).any(|byte| *byte != b'0') {
        return Err(Fault::Decimals);
    }
    let decimals = fraction.iter().chain(std::iter::repeat(&b'0')).take(scale);
    let mut value = 0i128;
    for byte in whole.iter().filter(|byte| **byte != b',').chain(decimals) {
        value = value * 10 + i128::from(byte - b'0');
        if value > limit {
            return Err(Fault::Size);
        }
    }
    Ok(if negative { -value } else { value })
}

/// Takes off one sign (minus in front or behind, plus, or parentheses) and one dollar mark, in any usual order.
fn sign(text: &[u8]) -> Result<(bool, &[u8]), Fault> {
    let (mut signs, mut negative, mut opened, mut dollars) = (0, false, false, 0);
    let mut rest = text;
    loop {
        match rest {
            [b' ', tail @ ..] => rest = tail,
            [b'$', tail @ ..] => {
                dollars += 1;
                rest = tail;
            }
            [mark @ (b'-' | b'+' | b'('), tail @ ..] => {
                signs += 1;
                negative |= *mark != b'+';
                opened |= *mark == b'(';
                rest = tail;
            }
            _ => break,
        }
    }
    let mut closed = false;
    loop {
        match rest {
            [head @ .., b' '] => rest = head,
            [head @ .., b')'] if opened && !closed => {
                closed = true;
                rest = head;
            }
            [head @ .., b'-'] => {
                signs += 1;
                negative = true;
                rest = head;
            }
            _ => break,
        }
    }
    if signs > 1 || dollars > 1 || opened != closed { Err(Fault::Form) } else { Ok((negative, rest)) }
}

/// Without surrounding white space; no-break spaces and invisible characters, which web pages paste, count as such.
#[inline]
pub(super) fn trim(text: &str) -> &str {
    let solid = |byte: &u8| (0x21..0x7f).contains(byte);
    let bytes = text.as_bytes();
    if bytes.first().is_none_or(solid) && bytes.last().is_none_or(solid) {
        return text;
    }
    text.trim_matches(|c: char| c.is_whitespace() || is_invisible(c))
}

/// The value meant: trimmed, and out of the `="..."` that spreadsheets need to leave a code alone.
#[inline]
pub(super) fn meant(text: &str) -> &str {
    let mut trimmed = trim(text);
    // A wrapping in a wrapping: what a first reading leaves, no second one may find.
    while trimmed.starts_with('=') {
        match trimmed.strip_prefix("=\"").and_then(|rest| rest.strip_suffix('"')) {
            Some(inner) => trimmed = trim(inner),
            None => break,
        }
    }
    trimmed
}

/// Whether more went from `text` than the blanks and the wrapping that are mere style. `meant` is what stayed of it.
#[inline]
pub(super) fn lost_invisible(text: &str, meant: &str) -> bool {
    // Both are UTF-8, and what went was at the ends: any byte above 127 among it is such a character.
    text.len() != meant.len()
        && text.bytes().filter(|byte| !byte.is_ascii()).count() > meant.bytes().filter(|byte| !byte.is_ascii()).count()
}

/// Windows-1252, the encoding of spreadsheets in the west; bytes it does not assign stay control characters.
pub(super) fn windows_1252(bytes: &[u8]) -> String {
    // 0x80 to 0x9f; all else is Latin-1.
    const HIGH: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', //
        '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
    ];
    let letter = |byte: &u8| HIGH.get(usize::from(byte.wrapping_sub(0x80))).copied().unwrap_or(char::from(*byte));
    bytes.iter().map(letter).collect()
}

/// UTF-8 if it is, Windows-1252 otherwise; the flag tells which.
pub(super) fn decode(bytes: &[u8]) -> (Cow<'_, str>, bool) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Cow::Borrowed(text), false),
        Err(_) => (Cow::Owned(windows_1252(bytes)), true),
    }
}

/// The beginning of a text, at most 256 characters, for a reject.
pub(super) fn excerpt(text: &str) -> String {
    text.chars().take(256).collect()
}

/// Why an empty grain cell costs its row.
pub(super) const EMPTY_GRAIN: &str = "empty, so the row cannot be told apart";

/// Why a text cannot tell an entry apart from others; `None` if it can.
pub(super) fn entry_number_fault(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return Some(EMPTY_GRAIN);
    }
    if !text.chars().any(|c| c.is_ascii_digit() || matches!(c, '０'..='９')) {
        return Some("no digit in it, so this is a total or a note and no entry");
    }
    is_rounded(text).then_some(ROUNDED)
}

/// Why a number that a spreadsheet rounded is no code any more.
pub(super) const ROUNDED: &str = "turned into a rounded number by a spreadsheet; export it again and do not save it there";

/// `1.01E+10` is what a spreadsheet leaves of a code of digits; several codes end as the same text. `31E00000015` is none.
pub(super) fn is_rounded(text: &str) -> bool {
    let Some((mantissa, power)) = text.split_once(['E', 'e']) else { return false };
    let Some(power) = power.strip_prefix('+').or_else(|| mantissa.contains('.').then_some(power)) else { return false };
    let numeric = |part: &str, extra: char| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit() || c == extra);
    numeric(mantissa, '.') && numeric(power, '0')
}

#[cfg(test)]
mod tests;
