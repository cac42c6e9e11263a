//! Codes: how each kind of code is written, which are known, and what a spreadsheet may have taken off.
//! Promise: data of `rules/codes.toml`, each list with its source and mark; a look-up costs two table reads.
//! Never: nothing here rejects or rewrites a code; a code that is not known is not called wrong.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::Mark;
use crate::error::{Error, Result};

/// What kind of code stands in a column; an edition names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    EntryNumber,
    EntryType,
    Port,
    Hts,
    Country,
    Team,
    Filer,
    Surety,
    /// A number of no known form that a spreadsheet may have rounded.
    Identifier,
}

impl Code {
    pub const ALL: [Code; 9] = [
        Code::EntryNumber,
        Code::EntryType,
        Code::Port,
        Code::Hts,
        Code::Country,
        Code::Team,
        Code::Filer,
        Code::Surety,
        Code::Identifier,
    ];
}

/// How codes of one kind are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodeRule {
    pub code: Code,
    /// Characters that a code has, rising; empty: any number.
    #[serde(default)]
    pub lengths: Vec<u8>,
    #[serde(default)]
    pub digits: bool,
    /// Leading zeros that a spreadsheet may have taken off and that may be put back.
    #[serde(default)]
    pub zeros_lost_max: u8,
    /// Highest heading of chapters 1 to 9, tariff numbers only.
    #[serde(default)]
    pub headings_max: Vec<u8>,
    pub mark: Mark,
    pub source: String,
    #[serde(default)]
    pub known: Vec<KnownCodes>,
    #[serde(skip)]
    set: CodeSet,
}

/// Codes that one source names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownCodes {
    pub codes: Vec<String>,
    pub mark: Mark,
    pub source: String,
}

impl CodeRule {
    fn has_length(&self, length: usize) -> bool {
        self.lengths.is_empty() || self.lengths.iter().any(|known| usize::from(*known) == length)
    }

    /// Whether some source names the code; upper case counts, as in ACE exports. True where no list is kept.
    #[inline]
    pub fn knows(&self, text: &str) -> bool {
        self.known.is_empty() || self.set.holds(text.as_bytes()) || self.names(text)
    }

    /// The few codes that are not two characters long.
    #[cold]
    fn names(&self, text: &str) -> bool {
        text.len() != 2 && self.known.iter().any(|list| list.codes.iter().any(|code| code == text))
    }

    /// Whether a tariff number of digits lies in a heading of chapters 1 to 9 that exists.
    pub fn has_heading(&self, digits: &str) -> bool {
        let number = |part: Option<&str>| part.and_then(|part| part.parse::<usize>().ok());
        let (Some(chapter), Some(heading)) = (number(digits.get(..2)), number(digits.get(2..4))) else { return false };
        let highest = chapter.checked_sub(1).and_then(|place| self.headings_max.get(place));
        highest.is_some_and(|highest| (1..=usize::from(*highest)).contains(&heading))
    }
}

/// The rule of a kind of code.
pub fn code_rule(code: Code) -> &'static CodeRule {
    static RULES: LazyLock<Vec<CodeRule>> = LazyLock::new(|| {
        parse_codes(include_str!("../../rules/codes.toml")).expect("compiled in, and a test proves that it parses")
    });
    RULES.iter().find(|rule| rule.code == code).expect("parse_codes refuses a file that lacks a kind")
}

/// Reads a rule file. Fails (set-up) unless each kind of code has one rule that does not contradict itself.
pub fn parse_codes(text: &str) -> Result<Vec<CodeRule>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        rule: Vec<CodeRule>,
    }

    let mut file: File = toml::from_str(text).map_err(|e| Error::setup(format!("code rules cannot be read: {}", e.message())))?;
    for code in Code::ALL {
        if file.rule.iter().filter(|rule| rule.code == code).count() != 1 {
            return Err(Error::setup(format!("code rules need one rule of {code:?}")));
        }
    }
    for rule in &mut file.rule {
        if !rule.lengths.is_sorted() || rule.lengths.iter().any(|length| !(1..=31).contains(length)) {
            return Err(Error::setup(format!("code rule of {:?} needs lengths of 1 to 31, rising", rule.code)));
        }
        for code in rule.known.iter().flat_map(|list| &list.codes) {
            // A word such as MULTI may stand where codes of another length do.
            if rule.has_length(code.len()) && !rule.set.add(code.as_bytes()) {
                return Err(Error::setup(format!("code rule of {:?} names `{code}` twice, or it is no code of two", rule.code)));
            }
        }
    }
    Ok(file.rule)
}

/// Codes of two digits or upper-case letters, one bit each.
#[derive(Clone, Debug, PartialEq, Eq)]
struct CodeSet([u64; CodeSet::WORDS]);

impl CodeSet {
    const WORDS: usize = (36 * 36usize).div_ceil(64);

    #[inline]
    fn place(text: &[u8]) -> Option<usize> {
        let &[first, second] = text else { return None };
        let (first, second) = (SYMBOL[usize::from(first)], SYMBOL[usize::from(second)]);
        (first < 36 && second < 36).then(|| usize::from(first) * 36 + usize::from(second))
    }

    #[inline]
    fn holds(&self, text: &[u8]) -> bool {
        Self::place(text).is_some_and(|place| self.0[place / 64] >> (place % 64) & 1 == 1)
    }

    /// Whether the code was new.
    fn add(&mut self, text: &[u8]) -> bool {
        let Some(place) = Self::place(text) else { return false };
        let new = !self.holds(text);
        self.0[place / 64] |= 1 << (place % 64);
        new
    }
}

impl Default for CodeSet {
    fn default() -> Self {
        Self([0; Self::WORDS])
    }
}

/// 0 to 35 for digits and upper-case letters, 255 for all else.
const SYMBOL: [u8; 256] = {
    let mut table = [u8::MAX; 256];
    let mut symbol = 0;
    while symbol < 36 {
        let byte = if symbol < 10 { b'0' + symbol } else { b'A' + symbol - 10 };
        table[byte as usize] = symbol;
        symbol += 1;
    }
    table
};

#[cfg(test)]
mod tests;
