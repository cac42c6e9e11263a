//! Entry summary numbers, `XXXNNNNNNNC`: filer code, seven digits, check digit, as ACE exports them without dashes.
//! Promise: every number made here passes the check digit of CATAIR AE, table 1.

/// C of the first ten characters: letters become digits (A-I 1-9, J-R 1-9, S-Z 2-9), every second digit from the rightmost is
/// doubled and cast out of nines, C fills the sum up to a multiple of ten. None when a character is neither `0-9` nor `A-Z`.
pub fn check_digit(first_ten: &str) -> Option<u8> {
    let mut sum = 0;
    for (from_right, character) in first_ten.bytes().rev().enumerate() {
        let digit = match character {
            b'0'..=b'9' => character - b'0',
            b'A'..=b'I' => character - b'A' + 1,
            b'J'..=b'R' => character - b'J' + 1,
            b'S'..=b'Z' => character - b'S' + 2,
            _ => return None,
        };
        sum += u32::from(match (from_right % 2, digit) {
            (0, 5..) => digit * 2 - 9,
            (0, _) => digit * 2,
            _ => digit,
        });
    }
    Some(((10 - sum % 10) % 10) as u8)
}

/// The entry number of a filer's serial (at most seven digits are used). None when the filer code is not upper-case alphanumeric.
pub fn entry_summary_number(filer_code: &str, serial: u32) -> Option<String> {
    let mut number = format!("{filer_code}{:07}", serial % 10_000_000);
    let check = check_digit(&number)?;
    number.push(char::from(b'0' + check));
    Some(number)
}
