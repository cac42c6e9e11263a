//! What all dated rules have in common, and how two lists of them become one.
//! Promise: of one key, at most one rule holds on any day.

use chrono::NaiveDate;

use super::{CapeWindowRule, ClosingRule, DeadlineRule, EntryTypeRule, FamilyRule, HtsPerLineRule, RateRule};
use crate::{
    cape::cape_rules,
    error::{Error, Result},
    rules::{Mark, MpfRule, cents},
};

/// Longest text that names where a rule was read.
const SOURCE_CHARS_MAX: usize = 500;

pub(super) trait Dated: Clone {
    const KIND: &'static str;
    fn key(&self) -> &str;
    fn from(&self) -> Option<NaiveDate>;
    fn until(&self) -> Option<NaiveDate>;
    fn end(&mut self, until: NaiveDate);
    /// What the rule says.
    fn value(&self) -> String;
    fn mark(&self) -> Mark;
    fn source(&self) -> &str;
    /// What is wrong with what it says.
    fn fault(&self) -> Option<&'static str>;
}

pub(super) fn merge<T: Dated>(known: &[T], added: &[T]) -> Result<Vec<T>> {
    let mut all = known.to_vec();
    for rule in added {
        check(rule)?;
        match all.iter_mut().find(|other| other.key() == rule.key() && other.from() == rule.from()) {
            Some(same) if same.value() == rule.value() => {
                // Said again with its last day, which was not known.
                if let (None, Some(until)) = (same.until(), rule.until()) {
                    same.end(until);
                }
            }
            Some(_) => return Err(Error::setup(format!("{} is there already with other figures; drop one", name(rule)))),
            None => all.push(rule.clone()),
        }
    }
    all.sort_by(|a, b| (a.key(), a.from()).cmp(&(b.key(), b.from())));
    for next in 1..all.len() {
        let (before, after) = all.split_at_mut(next);
        let (Some(earlier), Some(later)) = (before.last_mut(), after.first()) else { continue };
        if earlier.key() != later.key() {
            continue;
        }
        match (earlier.until(), later.from()) {
            (Some(until), Some(from)) if until <= from => {}
            (None, Some(from)) => earlier.end(from),
            _ => {
                return Err(Error::setup(format!(
                    "{} and {} overlap; end the first where the second begins",
                    name(earlier),
                    name(later)
                )));
            }
        }
    }
    Ok(all)
}

fn check<T: Dated>(rule: &T) -> Result<()> {
    let fault = |what: &str| Err(Error::setup(format!("{}: {what}", name(rule))));
    if let Some(what) = rule.fault() {
        return fault(what);
    }
    if rule.source().trim().is_empty() || rule.source().chars().count() > SOURCE_CHARS_MAX {
        return fault("name the source, in at most 500 characters");
    }
    match (rule.from(), rule.until()) {
        (Some(from), Some(until)) if until <= from => fault("it ends before it begins"),
        _ => Ok(()),
    }
}

fn name<T: Dated>(rule: &T) -> String {
    let key = if rule.key().is_empty() { String::new() } else { format!(" {}", rule.key()) };
    let from = rule.from().map(|from| format!(" from {from}")).unwrap_or_default();
    format!("{} rule{key}{from}", T::KIND)
}

macro_rules! dates {
    (required) => {
        fn from(&self) -> Option<NaiveDate> {
            Some(self.from)
        }
        dates!(common);
    };
    (optional) => {
        fn from(&self) -> Option<NaiveDate> {
            self.from
        }
        dates!(common);
    };
    (common) => {
        fn until(&self) -> Option<NaiveDate> {
            self.until
        }
        fn end(&mut self, until: NaiveDate) {
            self.until = Some(until);
        }
        fn mark(&self) -> Mark {
            self.mark
        }
        fn source(&self) -> &str {
            &self.source
        }
    };
}

impl Dated for MpfRule {
    const KIND: &'static str = "mpf";
    fn key(&self) -> &str {
        ""
    }
    fn value(&self) -> String {
        format!("{} to {}", self.minimum, self.maximum)
    }
    fn fault(&self) -> Option<&'static str> {
        match (cents(&self.minimum), cents(&self.maximum)) {
            (Some(minimum), Some(maximum)) if minimum <= maximum => None,
            (Some(_), Some(_)) => Some("its minimum is above its maximum"),
            _ => Some("it needs amounts such as `25.67`"),
        }
    }
    dates!(required);
}

impl Dated for RateRule {
    const KIND: &'static str = "rate";
    fn key(&self) -> &str {
        &self.fee
    }
    fn value(&self) -> String {
        self.rate.clone()
    }
    fn fault(&self) -> Option<&'static str> {
        if !matches!(self.fee.as_str(), "MPF" | "HMF") {
            return Some("its fee must be MPF or HMF");
        }
        self.rate_millionths().is_none().then_some("it needs a rate such as `0.003464`, below 1 and of at most six places")
    }
    dates!(required);
}

impl RateRule {
    /// The rate times a million, exactly.
    pub fn rate_millionths(&self) -> Option<i64> {
        let places = self.rate.strip_prefix("0.")?;
        let digits = (1..=6).contains(&places.len()) && places.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| format!("{places:0<6}").parse().ok()).flatten()
    }
}

impl Dated for HtsPerLineRule {
    const KIND: &'static str = "hts_per_line";
    fn key(&self) -> &str {
        ""
    }
    fn value(&self) -> String {
        self.maximum.to_string()
    }
    fn fault(&self) -> Option<&'static str> {
        (self.maximum == 0).then_some("a line holds at least one tariff number")
    }
    dates!(required);
}

impl Dated for FamilyRule {
    const KIND: &'static str = "family";
    fn key(&self) -> &str {
        &self.prefix
    }
    fn value(&self) -> String {
        self.family.clone()
    }
    fn fault(&self) -> Option<&'static str> {
        let six = self.prefix.len() == 6 && self.prefix.bytes().all(|b| b.is_ascii_digit());
        if !six || !self.prefix.starts_with("99") {
            return Some("its prefix must be six digits of chapter 99, such as `990301`");
        }
        self.family.trim().is_empty().then_some("the family needs a name")
    }
    dates!(optional);
}

impl Dated for EntryTypeRule {
    const KIND: &'static str = "entry_type";
    fn key(&self) -> &str {
        &self.code
    }
    fn value(&self) -> String {
        self.code.clone()
    }
    fn fault(&self) -> Option<&'static str> {
        let two = self.code.len() == 2 && self.code.bytes().all(|b| b.is_ascii_digit());
        (!two).then_some("its code must be two digits, such as `01`")
    }
    dates!(optional);
}

impl Dated for DeadlineRule {
    const KIND: &'static str = "deadline";
    fn key(&self) -> &str {
        &self.kind
    }
    fn value(&self) -> String {
        self.says()
    }
    fn fault(&self) -> Option<&'static str> {
        let word =
            |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if !word(&self.kind) || self.kind.starts_with("cape_phase_") {
            return Some("its kind must be of small letters, digits and `_`, and not one of CAPE's");
        }
        (!self.is_whole()).then_some("it needs terms, each of days or of months")
    }
    dates!(optional);
}

impl Dated for ClosingRule {
    const KIND: &'static str = "closing";
    fn key(&self) -> &str {
        &self.name
    }
    fn from(&self) -> Option<NaiveDate> {
        Some(self.from)
    }
    fn until(&self) -> Option<NaiveDate> {
        self.from.succ_opt()
    }
    fn end(&mut self, _: NaiveDate) {}
    fn value(&self) -> String {
        self.name.clone()
    }
    fn mark(&self) -> Mark {
        self.mark
    }
    fn source(&self) -> &str {
        &self.source
    }
    fn fault(&self) -> Option<&'static str> {
        self.name.trim().is_empty().then_some("the day needs a name")
    }
}

impl Dated for CapeWindowRule {
    const KIND: &'static str = "cape_window";
    fn key(&self) -> &str {
        &self.phase
    }
    fn value(&self) -> String {
        format!("phase {} takes declarations", self.phase)
    }
    fn fault(&self) -> Option<&'static str> {
        let is_known = cape_rules().phases.iter().any(|phase| phase.number.to_string() == self.phase);
        (!is_known).then_some("CAPE has no such phase in this build")
    }
    dates!(required);
}
