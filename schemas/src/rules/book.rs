//! The rule book: every dated rule that checks judge by, the built-in ones and what a lake adds to them.
//! Promise: rules of one key never overlap; what is added later ends what was open, and contradicts nothing.
//! Never: no addition changes the figures of a built-in rule, and a day without a rule stays without one.

use std::sync::LazyLock;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::{Code, Mark, MpfRule, code_rule, mpf_rules};
use crate::{
    cape::{Phase, cape_rules},
    deadline::{DeadlineRule, deadline_rules},
    error::{Error, Result},
};

mod dated;

use dated::{Dated, merge};

/// All rules of one lake. As TOML: `[[mpf]]`, `[[rate]]`, `[[hts_per_line]]`, `[[family]]`, `[[entry_type]]`, `[[deadline]]`,
/// `[[closing]]`, `[[cape_window]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RuleBook {
    /// Bounds of an entry's merchandise processing fee.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mpf: Vec<MpfRule>,
    #[serde(rename = "rate", skip_serializing_if = "Vec::is_empty")]
    pub rates: Vec<RateRule>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hts_per_line: Vec<HtsPerLineRule>,
    #[serde(rename = "family", skip_serializing_if = "Vec::is_empty")]
    pub families: Vec<FamilyRule>,
    #[serde(rename = "entry_type", skip_serializing_if = "Vec::is_empty")]
    pub entry_types: Vec<EntryTypeRule>,
    #[serde(rename = "deadline", skip_serializing_if = "Vec::is_empty")]
    pub deadlines: Vec<DeadlineRule>,
    /// Beside the federal holidays, which are computed.
    #[serde(rename = "closing", skip_serializing_if = "Vec::is_empty")]
    pub closings: Vec<ClosingRule>,
    #[serde(rename = "cape_window", skip_serializing_if = "Vec::is_empty")]
    pub cape_windows: Vec<CapeWindowRule>,
}

/// A day on which federal offices are closed and that no rule computes: by executive order, say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClosingRule {
    pub name: String,
    /// The day.
    pub from: NaiveDate,
    pub mark: Mark,
    pub source: String,
}

/// When a phase of CAPE takes declarations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CapeWindowRule {
    /// Number of the phase, as text.
    pub phase: String,
    pub from: NaiveDate,
    /// First day on which it is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<NaiveDate>,
    pub mark: Mark,
    pub source: String,
}

/// Rate of a line fee.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateRule {
    /// `MPF` or `HMF`.
    pub fee: String,
    pub from: NaiveDate,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<NaiveDate>,
    /// Share of the line's value, decimal string below 1 of at most six places.
    pub rate: String,
    pub mark: Mark,
    pub source: String,
}

/// How many tariff numbers one line may hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HtsPerLineRule {
    pub from: NaiveDate,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<NaiveDate>,
    pub maximum: u16,
    pub mark: Mark,
    pub source: String,
}

/// A family of additional duties and when it is charged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FamilyRule {
    pub family: String,
    /// First six digits of the tariff number.
    pub prefix: String,
    /// Absent where the first day is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<NaiveDate>,
    /// Absent where no end is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<NaiveDate>,
    pub mark: Mark,
    pub source: String,
}

/// An entry type that exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntryTypeRule {
    pub code: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<NaiveDate>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<NaiveDate>,
    pub mark: Mark,
    pub source: String,
}

/// One rule as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleLine {
    /// `mpf`, `rate`, `hts_per_line`, `family`, `entry_type`, `deadline`, `closing` or `cape_window`.
    pub kind: &'static str,
    /// What the rule is of: a fee, a prefix, a code; empty where the kind has one rule at a time.
    pub key: String,
    pub from: Option<NaiveDate>,
    pub until: Option<NaiveDate>,
    pub value: String,
    pub mark: Mark,
    pub source: String,
    /// Added in this lake.
    pub own: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File<T> {
    rule: Vec<T>,
}

impl RuleBook {
    /// The rules of this build. The files in `schemas/rules` name the source of each.
    pub fn builtin() -> &'static RuleBook {
        static BOOK: LazyLock<RuleBook> = LazyLock::new(|| read_builtin().expect("compiled in, and a test proves that it reads"));
        &BOOK
    }

    /// Reads the rules that a lake adds. Fails (set-up) unless each is well formed and they agree with each other.
    pub fn parse(text: &str) -> Result<RuleBook> {
        let book: RuleBook = toml::from_str(text).map_err(|e| Error::setup(format!("rules cannot be read: {}", e.message())))?;
        RuleBook::default().with(&book)
    }

    /// These rules and those. A later rule ends an open one of the same key; one that repeats another is dropped.
    ///
    /// # Errors
    /// Set-up when a rule is not well formed, or overlaps another of its key.
    pub fn with(&self, own: &RuleBook) -> Result<RuleBook> {
        Ok(RuleBook {
            mpf: merge(&self.mpf, &own.mpf)?,
            rates: merge(&self.rates, &own.rates)?,
            hts_per_line: merge(&self.hts_per_line, &own.hts_per_line)?,
            families: merge(&self.families, &own.families)?,
            entry_types: merge(&self.entry_types, &own.entry_types)?,
            deadlines: merge(&self.deadlines, &own.deadlines)?,
            closings: merge(&self.closings, &own.closings)?,
            cape_windows: merge(&self.cape_windows, &own.cape_windows)?,
        })
    }

    /// The phases of CAPE as these windows have them: what a phase takes is in the build, when it does may be added. Of two
    /// windows of a phase the later counts.
    pub fn phases(&self) -> Vec<Phase> {
        let mut phases = cape_rules().phases.clone();
        for phase in &mut phases {
            let number = phase.number.to_string();
            if let Some(window) = self.cape_windows.iter().rfind(|window| window.phase == number) {
                (phase.opens, phase.closes) = (Some(window.from), window.until);
                if phase.source != window.source {
                    phase.source = format!("{}; window: {}", phase.source, window.source);
                }
            }
        }
        phases
    }

    /// Every rule, by kind, key and date.
    pub fn lines(&self) -> Vec<RuleLine> {
        let builtin = RuleBook::builtin();
        let mut lines = lines(&self.mpf, &builtin.mpf);
        lines.extend(self::lines(&self.rates, &builtin.rates));
        lines.extend(self::lines(&self.hts_per_line, &builtin.hts_per_line));
        lines.extend(self::lines(&self.families, &builtin.families));
        lines.extend(self::lines(&self.entry_types, &builtin.entry_types));
        lines.extend(self::lines(&self.deadlines, &builtin.deadlines));
        lines.extend(self::lines(&self.closings, &builtin.closings));
        lines.extend(self::lines(&self.cape_windows, &builtin.cape_windows));
        lines
    }
}

fn lines<T: Dated>(rules: &[T], builtin: &[T]) -> Vec<RuleLine> {
    let is_builtin = |rule: &T| builtin.iter().any(|known| known.key() == rule.key() && known.from() == rule.from());
    let line = |rule: &T| RuleLine {
        kind: T::KIND,
        key: rule.key().to_owned(),
        from: rule.from(),
        until: rule.until(),
        value: rule.value(),
        mark: rule.mark(),
        source: rule.source().to_owned(),
        own: !is_builtin(rule),
    };
    rules.iter().map(line).collect()
}

fn window(phase: &Phase) -> Option<CapeWindowRule> {
    Some(CapeWindowRule {
        phase: phase.number.to_string(),
        from: phase.opens?,
        until: phase.closes,
        mark: phase.mark,
        source: phase.source.clone(),
    })
}

fn read_builtin() -> Result<RuleBook> {
    let fault = |e: toml::de::Error| Error::setup(format!("rules cannot be read: {}", e.message()));
    let types = &code_rule(Code::EntryType).known;
    let entry_types = types.iter().flat_map(|list| {
        let rule = |code: &String| EntryTypeRule {
            code: code.clone(),
            from: None,
            until: None,
            mark: list.mark,
            source: list.source.clone(),
        };
        list.codes.iter().map(rule)
    });
    let book = RuleBook {
        mpf: mpf_rules().to_vec(),
        rates: toml::from_str::<File<_>>(include_str!("../../rules/rates.toml")).map_err(fault)?.rule,
        hts_per_line: toml::from_str::<File<_>>(include_str!("../../rules/hts_per_line.toml")).map_err(fault)?.rule,
        families: toml::from_str::<File<_>>(include_str!("../../rules/families.toml")).map_err(fault)?.rule,
        entry_types: entry_types.collect(),
        deadlines: deadline_rules().to_vec(),
        closings: Vec::new(),
        cape_windows: cape_rules().phases.iter().filter_map(window).collect(),
    };
    RuleBook::default().with(&book)
}

#[cfg(test)]
mod tests;
