//! Repair: what a spreadsheet or a web page did to a cell is undone where a rule says how, and told for `_repairs`.
//! Promise: a text that fits its column passes after one look; a mend that is not sure (a check digit that fails, a heading
//! that does not exist) is not made; every mend has a name.
//! Never: no mend without a note, and nothing is guessed of a number that was rounded.

use std::borrow::Cow;

use bonded_schemas::{Code, CodeRule, Column, ColumnType, WarningRule, code_rule, entry_number};

use super::value::{Parsed, ROUNDED, is_rounded, meant};

/// Which mends a cell took; a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mends(u16);

impl Mends {
    pub const NONE: Mends = Mends(0);
    pub const INVISIBLE: Mends = Mends(1);
    pub const LOOK_ALIKE_DASHES: Mends = Mends(1 << 1);
    pub const FULL_WIDTH: Mends = Mends(1 << 2);
    pub const DASHES: Mends = Mends(1 << 3);
    pub const DOTS: Mends = Mends(1 << 4);
    pub const ZEROS: Mends = Mends(1 << 5);
    pub const TIME: Mends = Mends(1 << 6);
    pub const CENTURY: Mends = Mends(1 << 7);
    pub const DAY_FIRST: Mends = Mends(1 << 8);

    /// In the order in which they are done. The texts stand in `_repairs` for ever: change none.
    const NOTES: [(Mends, &str); 9] = [
        (Mends::INVISIBLE, "no-break or invisible characters removed"),
        (Mends::LOOK_ALIKE_DASHES, "look-alike dashes read as dashes"),
        (Mends::FULL_WIDTH, "full-width characters read as plain"),
        (Mends::DASHES, "dashes removed"),
        (Mends::DOTS, "dots removed"),
        (Mends::ZEROS, "leading zeros restored"),
        (Mends::TIME, "time dropped"),
        (Mends::CENTURY, "century added"),
        (Mends::DAY_FIRST, "day read before month"),
    ];

    pub fn holds(self, other: Mends) -> bool {
        self.0 & other.0 == other.0
    }

    pub fn notes(self) -> impl Iterator<Item = &'static str> {
        Self::NOTES.into_iter().filter(move |(mend, _)| self.holds(*mend)).map(|(_, note)| note)
    }
}

impl std::ops::BitOr for Mends {
    type Output = Mends;

    fn bitor(self, other: Mends) -> Mends {
        Mends(self.0 | other.0)
    }
}

/// What the texts of one column look like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    rule: Option<&'static CodeRule>,
    code: Option<Code>,
    /// The last entry number whose check digit held: its lines and tariff rows follow one another.
    sound: [u8; entry_number::LENGTH],
    /// The lengths that a code may have, a bit each: one look instead of a list.
    lengths: u32,
    length_max: usize,
}

/// A text that was looked at closely.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mended<'a> {
    pub text: Cow<'a, str>,
    pub mends: Mends,
    pub doubt: Option<WarningRule>,
}

impl Form {
    pub fn of(column: &Column) -> Self {
        let length_max = match column.kind {
            ColumnType::Text(Some(length)) => usize::from(length),
            _ => usize::MAX,
        };
        let rule = column.code.map(code_rule);
        let lengths = rule.map_or(0, |rule| rule.lengths.iter().fold(0, |lengths, length| lengths | 1 << length));
        Self { rule, code: column.code, sound: [0; entry_number::LENGTH], lengths, length_max }
    }

    /// Whether the text is as the column's texts are: nothing to mend, nothing to remark on. Runs on every cell.
    #[inline]
    pub fn fits(&mut self, text: &str) -> bool {
        if self.code != Some(Code::EntryNumber) {
            return self.is_sound(text);
        }
        let Ok(number) = text.as_bytes().try_into() else { return false };
        if self.sound == number {
            return true;
        }
        let holds = entry_number::check_digit_holds(text) == Some(true);
        if holds {
            self.sound = number;
        }
        holds
    }

    #[inline]
    fn is_sound(&self, text: &str) -> bool {
        let bytes = text.as_bytes();
        let (Some(code), Some(rule)) = (self.code, self.rule) else { return bytes.len() <= self.length_max };
        match code {
            Code::EntryNumber => entry_number::check_digit_holds(text) == Some(true),
            Code::EntryType | Code::Country => rule.knows(text),
            Code::Port | Code::Hts | Code::Surety => self.has_length(bytes.len()) && all_digits(bytes),
            Code::Team | Code::Filer => self.has_length(bytes.len()) && bytes.iter().all(u8::is_ascii_alphanumeric),
            Code::Identifier => bytes.len() <= self.length_max && is_ascii(bytes) && !ends_in_exponent(bytes),
        }
    }

    #[inline]
    fn has_length(&self, length: usize) -> bool {
        length < 32 && self.lengths >> length & 1 == 1
    }

    /// A closer look at a text that does not fit: mended as far as the rule is sure, and what is left to remark on.
    ///
    /// # Errors
    /// The text is a number that a spreadsheet rounded: no digit behind the first few can be known.
    #[cold]
    pub fn mend<'a>(&self, text: &'a str) -> Parsed<Mended<'a>> {
        let as_is = || Mended { text: Cow::Borrowed(text), mends: Mends::NONE, doubt: self.doubt(text) };
        let Some(rule) = self.rule else { return Ok(as_is()) };
        if is_rounded(text) {
            return Err(ROUNDED);
        }
        let plain = plain(text);
        let (base, cleaned) = plain.as_ref().map_or((text, Mends::NONE), |(plain, mends)| (plain.as_str(), *mends));
        let (mended, mends) = match rebuilt(rule, base) {
            Some((rebuilt, mend)) => (rebuilt, cleaned | mend),
            // Look-alikes are read as what they look like only where that makes a code of the text.
            None if cleaned != Mends::NONE && self.is_shaped(base) => (base.to_owned(), cleaned),
            None => return Ok(as_is()),
        };
        let doubt = self.doubt(&mended);
        Ok(Mended { text: Cow::Owned(mended), mends, doubt })
    }

    fn is_shaped(&self, text: &str) -> bool {
        match self.code {
            Some(Code::EntryNumber) => entry_number::check_digit_holds(text).is_some(),
            _ => self.is_sound(text),
        }
    }

    fn doubt(&self, text: &str) -> Option<WarningRule> {
        let too_long = || (text.chars().count() > self.length_max).then_some(WarningRule::TextTooLong);
        let unless_fits = |doubt| (!self.is_sound(text)).then_some(doubt);
        match self.code {
            Some(Code::EntryNumber) => match entry_number::check_digit_holds(text) {
                Some(true) => None,
                Some(false) => Some(WarningRule::EntryNumberCheckDigit),
                None => Some(WarningRule::EntryNumberShape),
            },
            Some(Code::EntryType) => unless_fits(WarningRule::EntryTypeUnknown),
            Some(Code::Country) => unless_fits(WarningRule::CountryUnknown),
            Some(Code::Port) => unless_fits(WarningRule::PortShape),
            Some(Code::Hts) => unless_fits(WarningRule::HtsLength),
            Some(Code::Team | Code::Filer | Code::Surety | Code::Identifier) | None => too_long(),
        }
    }
}

/// Eight bytes at a time, as codes stand on every row: 8 to 16 bytes as two words that may overlap, 4 to 7 likewise.
#[inline]
fn all_words(bytes: &[u8], holds: impl Fn(u64) -> bool, each: impl Fn(&u8) -> bool) -> bool {
    // What fills a half word up holds for digits and for ASCII alike.
    const FILL: u64 = 0x3030_3030 << 32;
    let half = |half: [u8; 4]| holds(u64::from(u32::from_le_bytes(half)) | FILL);
    match bytes.len() {
        8..=16 => match (bytes.first_chunk(), bytes.last_chunk()) {
            (Some(first), Some(last)) => holds(u64::from_le_bytes(*first)) && holds(u64::from_le_bytes(*last)),
            _ => false,
        },
        4..=7 => match (bytes.first_chunk(), bytes.last_chunk()) {
            (Some(first), Some(last)) => half(*first) && half(*last),
            _ => false,
        },
        _ => bytes.iter().all(each),
    }
}

#[inline]
fn all_digits(bytes: &[u8]) -> bool {
    const HIGH: u64 = 0xf0f0_f0f0_f0f0_f0f0;
    const THREES: u64 = 0x3030_3030_3030_3030;
    // `0` to `9` are 0x30 to 0x39: with six more they stay below 0x40, and what lies above `9` does not.
    let digits = |word: u64| word & HIGH == THREES && word.wrapping_add(0x0606_0606_0606_0606) & HIGH == THREES;
    all_words(bytes, digits, u8::is_ascii_digit)
}

#[inline]
fn is_ascii(bytes: &[u8]) -> bool {
    all_words(bytes, |word| word & 0x8080_8080_8080_8080 == 0, u8::is_ascii)
}

/// A rounded number ends in an exponent of two digits, `E+11`.
#[inline]
fn ends_in_exponent(bytes: &[u8]) -> bool {
    matches!(bytes, [.., b'+', _, _])
}

/// The code as ACE writes it, if a rule says how it comes out of this text.
fn rebuilt(rule: &CodeRule, text: &str) -> Option<(String, Mends)> {
    match rule.code {
        // Brokers print `XXX-NNNNNNN-C`; ACE exports no dashes (ace_columns.json), and the reports must join.
        Code::EntryNumber if entry_number::is_dashed(text) => Some((text.replace('-', ""), Mends::DASHES)),
        Code::Hts if is_dotted(text) => Some((text.replace('.', ""), Mends::DOTS)),
        _ => with_zeros(rule, text).map(|restored| (restored, Mends::ZEROS)),
    }
}

/// The leading zeros that a spreadsheet took off: up to the shortest length that the code may have.
fn with_zeros(rule: &CodeRule, text: &str) -> Option<String> {
    if rule.zeros_lost_max == 0 || text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) || text.starts_with('0') {
        return None;
    }
    let length = rule.lengths.iter().map(|length| usize::from(*length)).find(|length| *length >= text.len())?;
    let lost = length - text.len();
    if !(1..=usize::from(rule.zeros_lost_max)).contains(&lost) {
        return None;
    }
    let restored = format!("{text:0>length$}");
    let sure = match rule.code {
        Code::EntryNumber => entry_number::check_digit_holds(&restored) == Some(true),
        Code::Hts => rule.has_heading(&restored),
        Code::EntryType => rule.knows(&restored),
        _ => true,
    };
    sure.then_some(restored)
}

/// A tariff number in the printed form: `3923.90.00`, `3923.90.0080`, `3923.90.00.80`.
fn is_dotted(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('.').map(str::len).collect();
    matches!(lengths.as_slice(), [4, 2, 2] | [4, 2, 4] | [4, 2, 2, 2])
        && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// The same text in ASCII, if all that keeps it from that are characters that stand for an ASCII one or for none.
#[cold]
pub(super) fn plain(text: &str) -> Option<(String, Mends)> {
    if text.is_ascii() {
        return None;
    }
    let mut out = String::with_capacity(text.len());
    let mut mends = Mends::NONE;
    for c in text.chars() {
        let (plain, mend) = match c {
            c if c.is_ascii() => (Some(c), Mends::NONE),
            c if is_invisible(c) => (None, Mends::INVISIBLE),
            c if c.is_whitespace() => (Some(' '), Mends::INVISIBLE),
            c if is_look_alike_dash(c) => (Some('-'), Mends::LOOK_ALIKE_DASHES),
            // The full-width forms stand in the order of ASCII.
            '\u{ff01}'..='\u{ff5e}' => (char::from_u32(u32::from(c) - 0xfee0), Mends::FULL_WIDTH),
            _ => return None,
        };
        out.extend(plain);
        mends = mends | mend;
    }
    Some((meant(&out).to_owned(), mends))
}

/// Takes no room when shown: zero-width characters, joiners, marks of direction, soft hyphen, byte order mark.
pub(super) fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Looks like a hyphen: U+2010 to U+2015, minus, small and full-width hyphens.
fn is_look_alike_dash(c: char) -> bool {
    matches!(c, '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}')
}

#[cfg(test)]
mod tests;
