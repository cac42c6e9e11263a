//! Entry numbers, `XXXNNNNNNNC`: filer code, seven digits, check digit.
//! Promise: pure arithmetic of CATAIR Table 1; a wrong check digit is a remark, for real filers use other schemes.
//! Never: nothing here rejects or rewrites a number.

/// Characters of an entry number without dashes.
pub const LENGTH: usize = 11;

/// Check digit over the first ten characters (filer code and seven digits) of an entry number, no dashes.
///
/// Letters count A-I = 1-9, J-R = 1-9, S-Z = 2-9; from the rightmost on, every second character counts double
/// (less 9 when above 9); the digit brings the sum to a multiple of ten. Source: CATAIR, entry summary
/// (AE), Table 1. `None` unless the text is three letters or digits followed by seven digits.
pub fn check_digit(first_ten: &str) -> Option<u8> {
    let bytes = first_ten.as_bytes();
    let shaped = bytes.len() == LENGTH - 1 && bytes[3..].iter().all(u8::is_ascii_digit);
    shaped.then_some(())?;
    let mut sum = 0;
    for (place, byte) in bytes.iter().rev().enumerate() {
        let value = value(*byte)?;
        sum += match (place % 2, value * 2) {
            (0, doubled @ 10..) => doubled - 9,
            (0, doubled) => doubled,
            _ => value,
        };
    }
    Some((10 - sum % 10) % 10)
}

/// Whether the last of eleven characters is the check digit of the ten before it; `None` if the shape is another.
///
/// `Some(false)` deserves a warning and no more: on public data all entries of one filer fail.
pub fn check_digit_holds(number: &str) -> Option<bool> {
    let (first_ten, last) = number.split_at_checked(LENGTH - 1)?;
    let [last] = last.as_bytes() else { return None };
    last.is_ascii_digit().then_some(())?;
    Some(check_digit(first_ten)? == last - b'0')
}

/// Whether the text is written as people print it, `XXX-NNNNNNN-C`. ACE exports hold no dashes.
pub fn is_dashed(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == LENGTH + 2
        && bytes.iter().enumerate().all(|(place, byte)| match place {
            0..3 => byte.is_ascii_alphanumeric(),
            3 | 11 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

/// 0 to 9; either case.
fn value(byte: u8) -> Option<u8> {
    match byte.to_ascii_uppercase() {
        digit @ b'0'..=b'9' => Some(digit - b'0'),
        letter @ b'A'..=b'I' => Some(letter - b'A' + 1),
        letter @ b'J'..=b'R' => Some(letter - b'J' + 1),
        letter @ b'S'..=b'Z' => Some(letter - b'S' + 2),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
