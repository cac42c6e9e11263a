//! One dated rule: what a deadline runs from, for how long, for which entries.
//! Promise: the earliest of its terms is the deadline; what is missing is named by its column.

use chrono::{Duration, Months, NaiveDate};
use serde::{Deserialize, Serialize};

use super::{Deadline, deadline};
use crate::{
    entry_facts::{DateColumn, EntryFacts, TextColumn, dollars},
    error::{Error, Result},
    rules::{ClosingRule, Mark},
};

/// One row of `rules/deadlines.toml`; its head says what each field means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeadlineRule {
    pub kind: String,
    pub title: String,
    pub whose: String,
    pub from: Option<NaiveDate>,
    pub until: Option<NaiveDate>,
    pub terms: Vec<Term>,
    pub only_if: Option<Condition>,
    pub done_if: Option<TextColumn>,
    pub stated_in: Option<DateColumn>,
    pub not_judged_if: Option<Condition>,
    pub rolls: bool,
    pub mark: Mark,
    pub source: String,
}

/// A span from a date.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Term {
    pub column: DateColumn,
    pub days: Option<i64>,
    pub months: Option<u32>,
    /// `sometimes`: the deadline stands without it, with a remark.
    pub known: Option<Known>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Known {
    Sometimes,
}

/// Whether a text column begins with one of these, case aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    pub column: TextColumn,
    pub begins: Vec<String>,
    #[serde(default)]
    pub because: String,
}

/// Reads a rule file. Fails (set-up) unless each rule has a term, each term one span, and rules of a kind do not overlap.
pub fn parse_deadlines(text: &str) -> Result<Vec<DeadlineRule>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        rule: Vec<DeadlineRule>,
    }

    let file: File = toml::from_str(text).map_err(|e| Error::setup(format!("deadline rules cannot be read: {}", e.message())))?;
    for (position, rule) in file.rule.iter().enumerate() {
        if !rule.is_whole() {
            return Err(Error::setup(format!("deadline rule `{}` needs terms, each of days or of months", rule.kind)));
        }
        let overlaps = |other: &&DeadlineRule| {
            other.kind == rule.kind
                && other.until.is_none_or(|until| rule.from.is_none_or(|from| from < until))
                && rule.until.is_none_or(|until| other.from.is_none_or(|from| from < until))
        };
        if file.rule[..position].iter().any(|other| overlaps(&other)) {
            return Err(Error::setup(format!("deadline rules `{}` overlap; end one where the next begins", rule.kind)));
        }
    }
    Ok(file.rule)
}

enum Judged {
    Until {
        date: NaiveDate,
        basis: String,
        remarks: Vec<String>,
    },
    /// Why it cannot be told.
    Unknown(String),
    /// Nothing runs.
    Nothing,
}

impl DeadlineRule {
    pub(super) fn judge(&self, facts: &EntryFacts, today: NaiveDate, closings: &[ClosingRule]) -> Option<Deadline> {
        let judged = self.reckon(facts, today);
        let (until, why) = match judged {
            Judged::Nothing => return None,
            Judged::Unknown(why) => (None, Some(why)),
            Judged::Until { date, basis, remarks } => (Some((date, basis, remarks)), None),
        };
        let stake = facts.duty.map(|(cents, from)| (dollars(cents), from));
        Some(deadline(
            facts,
            today,
            (&self.kind, &self.title, &self.whose),
            until,
            why,
            (self.rolls, closings),
            stake,
            (self.mark, &self.source),
        ))
    }

    pub(crate) fn is_whole(&self) -> bool {
        !self.terms.is_empty() && self.terms.iter().all(|term| term.days.is_some() != term.months.is_some())
    }

    /// `180 days after Liquidation Date`; the earliest of several.
    pub fn says(&self) -> String {
        self.terms.iter().map(|term| term.span(term.column.name())).collect::<Vec<_>>().join(" or ")
    }

    fn reckon(&self, facts: &EntryFacts, today: NaiveDate) -> Judged {
        if self.from.is_some() || self.until.is_some() {
            match facts.date(DateColumn::EntryDate) {
                None => {
                    return Judged::Unknown(missing(facts.has_date_column(DateColumn::EntryDate), DateColumn::EntryDate.name()));
                }
                Some(date) if self.from.is_some_and(|from| date < from) || self.until.is_some_and(|until| until <= date) => {
                    return Judged::Nothing;
                }
                Some(_) => {}
            }
        }
        if let Some(condition) = &self.only_if {
            match facts.text(condition.column) {
                Some(text) if condition.holds(text) => {}
                None if !facts.has_text_column(condition.column) => {
                    return Judged::Unknown(missing(false, condition.column.name()));
                }
                _ => return Judged::Nothing,
            }
        }
        if self.done_if.is_some_and(|column| facts.text(column).is_some()) {
            return Judged::Nothing;
        }
        if let Some((column, date)) = self.stated_in.and_then(|column| Some((column, facts.date(column)?))) {
            return Judged::Until { date, basis: format!("{} {date}, as CBP states it", column.name()), remarks: Vec::new() };
        }
        if let Some(condition) = &self.not_judged_if
            && facts.text(condition.column).is_some_and(|text| condition.holds(text))
        {
            return Judged::Unknown(condition.because.clone());
        }
        self.earliest(facts, today)
    }

    fn earliest(&self, facts: &EntryFacts, today: NaiveDate) -> Judged {
        let mut earliest: Option<(NaiveDate, String)> = None;
        let mut remarks = Vec::new();
        for term in &self.terms {
            let name = term.column.name();
            let Some(start) = facts.date(term.column) else {
                match (term.known, facts.has_date_column(term.column)) {
                    (Some(Known::Sometimes), _) => {
                        remarks.push(format!("{name} is not known: the deadline is earlier where {} is", term.span(name)));
                        continue;
                    }
                    // Delivered and blank: what the deadline runs from has not happened.
                    (None, true) if term.column == DateColumn::LiquidationDate => return Judged::Nothing,
                    (None, delivered) => return Judged::Unknown(missing(delivered, name)),
                }
            };
            if term.column == DateColumn::LiquidationDate && start > today {
                remarks.push(format!("liquidation is scheduled for {start} and may move"));
            }
            let Some(end) = term.end(start) else {
                return Judged::Unknown(format!("{name} {start} is too far away to count from"));
            };
            let basis = term.span(&format!("{name} {start}"));
            if earliest.as_ref().is_none_or(|(date, _)| end < *date) {
                earliest = Some((end, basis));
            }
        }
        match earliest {
            Some((date, basis)) => Judged::Until { date, basis, remarks },
            None => Judged::Nothing,
        }
    }
}

impl Term {
    fn end(&self, start: NaiveDate) -> Option<NaiveDate> {
        match (self.days, self.months) {
            (Some(days), _) => start.checked_add_signed(Duration::try_days(days)?),
            (None, Some(months)) => start.checked_add_months(Months::new(months)),
            (None, None) => None,
        }
    }

    /// `15 days before Liquidation Date`.
    fn span(&self, from: &str) -> String {
        match (self.days, self.months) {
            (Some(days), _) if days < 0 => format!("{} days before {from}", -days),
            (Some(days), _) => format!("{days} days after {from}"),
            (None, months) => format!("{} months after {from}", months.unwrap_or_default()),
        }
    }
}

impl Condition {
    fn holds(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        self.begins.iter().any(|begin| text.starts_with(&begin.to_lowercase()))
    }
}

fn missing(delivered: bool, column: &str) -> String {
    match delivered {
        true => format!("the entry has no {column}"),
        false => format!("column {column} was not delivered: add it in the report's query panel"),
    }
}
