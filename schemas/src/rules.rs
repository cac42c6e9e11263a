//! Dated rules of customs law, kept as data: what held on which day, from where we know, and how surely.
//! Promise: rules are in order, never overlap, and say nothing of a day that no row covers.
//! Never: no rule is guessed from its neighbours; a day without a rule is not judged.

use std::sync::LazyLock;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

mod book;
mod codes;

pub use book::{CapeWindowRule, ClosingRule, EntryTypeRule, FamilyRule, HtsPerLineRule, RateRule, RuleBook, RuleLine};
pub use codes::{Code, CodeRule, KnownCodes, code_rule, parse_codes};

/// Bounds of an entry's merchandise processing fee (class 499, 19 CFR 24.23) over a span of entry dates.
///
/// Line fees are not bounded; their sum over the entry is, at or between these two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MpfRule {
    /// First entry date.
    pub from: NaiveDate,
    /// First entry date that is no longer covered; absent while the rule is open-ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<NaiveDate>,
    /// US dollars, decimal string with two places.
    pub minimum: String,
    /// US dollars, decimal string with two places.
    pub maximum: String,
    pub mark: Mark,
    /// Where the amounts were read.
    pub source: String,
}

/// How surely a rule is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mark {
    /// Read in the primary source named.
    #[serde(rename = "V")]
    Verified,
    /// Read in a vendor page, a broker's bulletin or a copy; not confirmed by the text of the notice.
    #[serde(rename = "S")]
    Secondary,
    /// General knowledge, not looked up.
    #[serde(rename = "G")]
    General,
}

impl Mark {
    pub fn letter(self) -> &'static str {
        match self {
            Mark::Verified => "V",
            Mark::Secondary => "S",
            Mark::General => "G",
        }
    }
}

impl MpfRule {
    pub fn covers(&self, entry_date: NaiveDate) -> bool {
        self.from <= entry_date && self.until.is_none_or(|until| entry_date < until)
    }

    pub fn minimum_cents(&self) -> i64 {
        cents(&self.minimum).expect("checked when the rules were parsed")
    }

    pub fn maximum_cents(&self) -> i64 {
        cents(&self.maximum).expect("checked when the rules were parsed")
    }

    /// What CBP collects for an entry whose line fees add up to `sum_cents`.
    pub fn clamp_cents(&self, sum_cents: i64) -> i64 {
        sum_cents.clamp(self.minimum_cents(), self.maximum_cents())
    }
}

/// All known bounds, oldest first. `schemas/rules/mpf.toml` names the source of each.
pub fn mpf_rules() -> &'static [MpfRule] {
    static RULES: LazyLock<Vec<MpfRule>> =
        LazyLock::new(|| parse_mpf(include_str!("../rules/mpf.toml")).expect("compiled in, and a test proves that it parses"));
    &RULES
}

/// The bounds for an entry date; `None` where none is known, and then no entry of that date is judged.
pub fn mpf_rule(entry_date: NaiveDate) -> Option<&'static MpfRule> {
    mpf_rules().iter().find(|rule| rule.covers(entry_date))
}

/// Reads a rule file. Fails (set-up) unless the rules are ordered, do not overlap, and bound from below and above.
pub fn parse_mpf(text: &str) -> Result<Vec<MpfRule>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        rule: Vec<MpfRule>,
    }

    let file: File = toml::from_str(text).map_err(|e| Error::setup(format!("fee rules cannot be read: {}", e.message())))?;
    for rule in &file.rule {
        let (Some(minimum), Some(maximum)) = (cents(&rule.minimum), cents(&rule.maximum)) else {
            return Err(Error::setup(format!("fee rule from {} needs amounts such as `25.67`", rule.from)));
        };
        if minimum > maximum || rule.until.is_some_and(|until| until <= rule.from) {
            return Err(Error::setup(format!(
                "fee rule from {} ends before it begins, or its minimum is above its maximum",
                rule.from
            )));
        }
    }
    if let Some(pair) = file.rule.windows(2).find(|pair| pair[0].until.is_none_or(|until| until > pair[1].from)) {
        return Err(Error::setup(format!(
            "fee rules from {} and {} overlap; end the first where the second begins",
            pair[0].from, pair[1].from
        )));
    }
    Ok(file.rule)
}

/// `25.67` as 2567; nothing but digits, a point and two digits.
fn cents(text: &str) -> Option<i64> {
    let (dollars, rest) = text.split_once('.')?;
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    (digits(dollars) && digits(rest) && rest.len() == 2).then_some(())?;
    dollars.parse::<i64>().ok()?.checked_mul(100)?.checked_add(rest.parse().ok()?)
}

#[cfg(test)]
mod tests;
