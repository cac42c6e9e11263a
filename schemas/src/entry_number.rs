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
    let sum = sum(first_ten.as_bytes().try_into().ok()?)?;
    Some(((10 - sum % 10) % 10) as u8)
}

/// Whether the last of eleven characters is the check digit of the ten before it; `None` if the shape is another.
///
/// `Some(false)` deserves a warning and no more: on public data all entries of one filer fail.
#[inline]
pub fn check_digit_holds(number: &str) -> Option<bool> {
    let bytes: &[u8; LENGTH] = number.as_bytes().try_into().ok()?;
    let (first_ten, last) = bytes.split_first_chunk()?;
    let last = last[0].wrapping_sub(b'0');
    if last > 9 {
        return None;
    }
    Some((sum(first_ten)? + u16::from(last)).is_multiple_of(10))
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

/// What the characters count together; `None` if one does not belong where it stands. This runs on every row of a file.
#[inline]
fn sum(first_ten: &[u8; LENGTH - 1]) -> Option<u16> {
    let at = |table: &[u16; 256], place: usize| table[usize::from(first_ten[place])];
    let filer = at(&LETTER_OR_DIGIT, 0) + at(&LETTER_OR_DIGIT_DOUBLED, 1) + at(&LETTER_OR_DIGIT, 2);
    let doubled = at(&DIGIT_DOUBLED, 3) + at(&DIGIT_DOUBLED, 5) + at(&DIGIT_DOUBLED, 7) + at(&DIGIT_DOUBLED, 9);
    let single = at(&DIGIT, 4) + at(&DIGIT, 6) + at(&DIGIT, 8);
    let sum = filer + doubled + single;
    (sum < OUT_OF_PLACE).then_some(sum)
}

/// More than ten characters can count, and ten times it still fits.
const OUT_OF_PLACE: u16 = 1_000;

const LETTER_OR_DIGIT: [u16; 256] = table(true, false);
const LETTER_OR_DIGIT_DOUBLED: [u16; 256] = table(true, true);
const DIGIT: [u16; 256] = table(false, false);
const DIGIT_DOUBLED: [u16; 256] = table(false, true);

/// What each byte counts; either case.
const fn table(letters: bool, doubled: bool) -> [u16; 256] {
    let mut table = [OUT_OF_PLACE; 256];
    let mut byte = 0;
    while byte < 256 {
        let value = match (byte as u8).to_ascii_uppercase() {
            digit @ b'0'..=b'9' => Some(digit - b'0'),
            letter @ b'A'..=b'I' if letters => Some(letter - b'A' + 1),
            letter @ b'J'..=b'R' if letters => Some(letter - b'J' + 1),
            letter @ b'S'..=b'Z' if letters => Some(letter - b'S' + 2),
            _ => None,
        };
        if let Some(value) = value {
            table[byte] = match (doubled, value * 2) {
                (true, twice @ 10..) => twice as u16 - 9,
                (true, twice) => twice as u16,
                (false, _) => value as u16,
            };
        }
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests;
