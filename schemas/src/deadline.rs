//! Deadlines that run from what a report states, by dated rules: protest, correction, reconciliation, reliquidation, CAPE.
//! Promise: the raw date is the law's arithmetic and nothing else; what a weekend or holiday moves is told apart from it.
//! Never: no date is guessed. Where a column is missing the deadline is not judged, and the reason names the column.

use std::sync::LazyLock;

use chrono::{Duration, NaiveDate};
use serde::Serialize;

use crate::{
    calendar,
    cape::Phase,
    entry_facts::{DateColumn, EntryFacts, dollars},
    rules::{ClosingRule, Mark, RuleBook},
};

mod rule;

pub use rule::{Condition, DeadlineRule, Known, Term, parse_deadlines};

/// Said wherever deadlines are shown.
pub const NOT_ADVICE: &str = "not legal advice; confirm with your broker or counsel";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Open,
    /// The raw date is past; open only if the last day moves over a weekend or holiday.
    OpenIfRolled,
    Expired,
    NotJudged,
}

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            State::Open => "open",
            State::OpenIfRolled => "open if rolled",
            State::Expired => "expired",
            State::NotJudged => "not judged",
        }
    }

    pub fn is_open(self) -> bool {
        matches!(self, State::Open | State::OpenIfRolled)
    }
}

/// One deadline of one entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Deadline {
    pub entry_summary_number: String,
    pub kind: String,
    pub title: String,
    pub whose: String,
    pub state: State,
    /// The last day by the rule's arithmetic.
    pub raw_date: Option<NaiveDate>,
    /// The last day where weekends and federal holidays move it; the raw date where nothing does.
    pub rolled_date: Option<NaiveDate>,
    /// What it moves over.
    pub rolled_over: Vec<String>,
    /// To the raw date; negative when past.
    pub days_left: Option<i64>,
    /// Which columns it runs from, with their dates.
    pub basis: Option<String>,
    /// US dollars, two places.
    pub duty_at_stake: Option<String>,
    pub duty_from: Option<&'static str>,
    /// Why it is not judged.
    pub why: Option<String>,
    pub remarks: Vec<String>,
    pub mark: Mark,
    pub source: String,
}

/// All known rules but those of CAPE, which follow from its phases.
pub fn deadline_rules() -> &'static [DeadlineRule] {
    static RULES: LazyLock<Vec<DeadlineRule>> = LazyLock::new(|| {
        parse_deadlines(include_str!("../rules/deadlines.toml")).expect("compiled in, and a test proves that it parses")
    });
    &RULES
}

/// Every deadline of an entry, by the rules of a book: open, expired, or not judged and why. What does not run is not told:
/// a protest of what is not liquidated, a reconciliation of what is not flagged.
pub fn deadlines(book: &RuleBook, facts: &EntryFacts, today: NaiveDate) -> Vec<Deadline> {
    let mut found: Vec<Deadline> = Vec::new();
    for rule in &book.deadlines {
        // A missing entry date makes each rule of a kind not judged; once is enough.
        if let Some(deadline) = rule.judge(facts, today, &book.closings)
            && !found.iter().any(|known| known.kind == deadline.kind)
        {
            found.push(deadline);
        }
    }
    found.extend(book.phases().iter().filter_map(|phase| window(phase, facts, today, &book.closings)));
    found
}

/// What expires next comes first; then what expired, the latest first; last what is not judged.
pub fn sort(deadlines: &mut [Deadline]) {
    deadlines.sort_by_cached_key(|d| {
        let (group, days) = match (d.state, d.days_left) {
            (State::Open | State::OpenIfRolled, Some(days)) => (0, days),
            (State::Expired, Some(days)) => (1, -days),
            _ => (2, 0),
        };
        (group, days, d.entry_summary_number.clone(), d.kind.clone())
    });
}

/// How long CAPE takes an entry that paid: so many days from its liquidation, and no longer than the phase is open.
fn window(phase: &Phase, facts: &EntryFacts, today: NaiveDate, closings: &[ClosingRule]) -> Option<Deadline> {
    let (opens, days) = (phase.opens?, phase.window_days()?);
    let unknown = phase.concerns(facts, today)?;
    let liquidated = facts.date(DateColumn::LiquidationDate);
    let by_liquidation = liquidated.and_then(|date| date.checked_add_signed(Duration::try_days(days)?));
    let date = by_liquidation.into_iter().chain(phase.closes).min()?;
    (date >= opens).then_some(())?;
    let basis = match (liquidated, by_liquidation == Some(date)) {
        (Some(liquidated), true) => format!("{days} days after Liquidation Date {liquidated}"),
        _ => format!("close of phase {}", phase.number),
    };
    let remarks = liquidated
        .filter(|date| *date > today)
        .map(|date| format!("liquidation is scheduled for {date} and may move"))
        .into_iter()
        .chain((opens > today).then(|| format!("phase {} opens on {opens}", phase.number)))
        .chain(unknown)
        .collect();
    let (kind, title) = (format!("cape_phase_{}", phase.number), format!("CAPE declaration, phase {}", phase.number));
    let stake = Some((dollars(facts.ieepa.paid_cents), "IEEPA duty in ES-003"));
    Some(deadline(
        facts,
        today,
        (&kind, &title, "importer"),
        Some((date, basis, remarks)),
        None,
        (false, closings),
        stake,
        (phase.mark, &phase.source),
    ))
}

#[expect(clippy::too_many_arguments, reason = "the one place that puts a deadline together")]
fn deadline(
    facts: &EntryFacts,
    today: NaiveDate,
    (kind, title, whose): (&str, &str, &str),
    until: Option<(NaiveDate, String, Vec<String>)>,
    why: Option<String>,
    (rolls, closings): (bool, &[ClosingRule]),
    stake: Option<(String, &'static str)>,
    (mark, source): (Mark, &str),
) -> Deadline {
    let raw = until.as_ref().map(|(date, ..)| *date);
    let moved = raw.map(|date| calendar::roll(date, closings));
    // Where no source says that the last day moves, it stays, and that is said where it would matter.
    let stays = moved.as_ref().filter(|_| !rolls).and_then(|moved| moved.over.first());
    let stays = stays.map(|closed| format!("its last day falls on {closed}; not rolled: no source read says that it moves"));
    let rolled = moved.map(|moved| match (rolls, raw) {
        (false, Some(date)) => calendar::Rolled { date, over: Vec::new() },
        _ => moved,
    });
    let state = match (raw, &rolled) {
        (Some(raw), _) if today <= raw => State::Open,
        (_, Some(rolled)) if today <= rolled.date => State::OpenIfRolled,
        (Some(_), _) => State::Expired,
        (None, _) => State::NotJudged,
    };
    let (basis, mut remarks) = until.map_or((None, Vec::new()), |(_, basis, remarks)| (Some(basis), remarks));
    remarks.extend(stays);
    let (duty_at_stake, duty_from) = stake.unzip();
    Deadline {
        entry_summary_number: facts.entry_summary_number.clone(),
        kind: kind.to_owned(),
        title: title.to_owned(),
        whose: whose.to_owned(),
        state,
        raw_date: raw,
        rolled_date: rolled.as_ref().map(|rolled| rolled.date),
        rolled_over: rolled.map(|rolled| rolled.over).unwrap_or_default(),
        days_left: raw.map(|date| (date - today).num_days()),
        basis,
        duty_at_stake,
        duty_from,
        why,
        remarks,
        mark,
        source: source.to_owned(),
    }
}

#[cfg(test)]
mod tests;
