//! Discrepancies: the wrong figures and missing rows that a tie-out must find.
//! Promise: each makes exactly one check fire, once; every coarser report is made to agree with the altered one.

use std::{cmp::Ordering, collections::BTreeMap};

use bonded_schemas::Report;
use serde::Serialize;

use super::{
    Corpus, UnfitPlan,
    entry::Entry,
    fees,
    plan::unfit,
    random::{PLACES, Random},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Discrepancy {
    /// A line's value in ES-002 is not the sum of its ES-003 rows; ES-001 follows ES-002.
    LineValue,
    /// A line's duty in ES-002 is off by cents; ES-001 follows ES-002.
    LineDuty,
    /// ES-001 shows another total value than ES-002 adds up to.
    EntryValue,
    /// ES-001 shows another total duty than ES-002 adds up to.
    EntryDuty,
    /// ES-001 shows an MPF that is not the bounded sum of ES-002: not bounded at all where that differs, or off by cents.
    EntryMpfClamp,
    /// The entry is in ES-002 and ES-003 only.
    MissingInEs001,
    /// The entry is in ES-001 and ES-003 only.
    MissingInEs002,
    /// The entry is in ES-001 and ES-002 only.
    MissingInEs003,
    /// One line of an entry has no row in ES-003.
    LineMissingInEs003,
}

/// One finding that a tie-out must report. Amounts as decimal text with two places; null where a report has no row.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Expected {
    pub check: String,
    pub entry_summary_number: String,
    pub entry_summary_line_number: Option<i32>,
    /// What the finer report adds up to, or the rule gives; of what is missing, the goods value that another report states.
    pub expected: Option<String>,
    /// What the coarser report shows.
    pub actual: Option<String>,
}

/// Places every planned discrepancy on an entry of its own, searching on from a random one to the next that can carry it.
pub fn place(corpus: &Corpus) -> Result<BTreeMap<u32, Discrepancy>, UnfitPlan> {
    let entries = corpus.plan.entries;
    let mut random = Random::stream(corpus.plan.seed, PLACES, 0);
    let mut places = BTreeMap::new();
    for discrepancy in &corpus.plan.planted {
        let start = random.below(entries);
        let place = (0..entries)
            .map(|step| ((u64::from(start) + u64::from(step)) % u64::from(entries)) as u32)
            .find(|index| !places.contains_key(index) && discrepancy.fits(&corpus.clean_entry(*index)))
            .ok_or_else(|| {
                unfit(format!("no entry left that can carry {discrepancy:?}; plan more entries or fewer discrepancies"))
            })?;
        places.insert(place, *discrepancy);
    }
    Ok(places)
}

impl Discrepancy {
    pub const ALL: [Discrepancy; 9] = [
        Discrepancy::LineValue,
        Discrepancy::LineDuty,
        Discrepancy::EntryValue,
        Discrepancy::EntryDuty,
        Discrepancy::EntryMpfClamp,
        Discrepancy::MissingInEs001,
        Discrepancy::MissingInEs002,
        Discrepancy::MissingInEs003,
        Discrepancy::LineMissingInEs003,
    ];

    /// Id of the check that must find it.
    pub fn check(self) -> &'static str {
        match self {
            Discrepancy::LineValue => "line_value",
            Discrepancy::LineDuty => "line_duty",
            Discrepancy::EntryValue => "entry_value",
            Discrepancy::EntryDuty => "entry_duty",
            Discrepancy::EntryMpfClamp => "entry_mpf_clamp",
            Discrepancy::MissingInEs001 => "missing_in_es_001",
            Discrepancy::MissingInEs002 => "missing_in_es_002",
            Discrepancy::MissingInEs003 | Discrepancy::LineMissingInEs003 => "missing_in_es_003",
        }
    }

    fn fits(self, entry: &Entry) -> bool {
        match self {
            Discrepancy::EntryMpfClamp => {
                fees::mpf_is_bounded(entry.entry_type) && fees::mpf_bounds_cents(entry.entry_date).is_some()
            }
            // A line can be missing only where another one is not; else the whole entry is.
            Discrepancy::LineMissingInEs003 => entry.lines.len() > 1,
            _ => true,
        }
    }

    pub(super) fn apply(self, entry: &mut Entry, random: &mut Random) {
        let at = random.below(entry.lines.len() as u32) as usize;
        match self {
            Discrepancy::LineValue => {
                let line = &mut entry.lines[at];
                line.set_value(off_by(line.value_cents / 100, 500, random));
                entry.planted_line = Some(at);
                entry.add_up();
            }
            Discrepancy::LineDuty => {
                let line = &mut entry.lines[at];
                line.duty_cents = off_by(line.duty_cents, 999, random);
                entry.planted_line = Some(at);
                entry.add_up();
            }
            Discrepancy::EntryValue => entry.totals.value = off_by(entry.totals.value / 100, 500, random) * 100,
            Discrepancy::EntryDuty => entry.totals.duty = off_by(entry.totals.duty, 999, random),
            Discrepancy::EntryMpfClamp => {
                let unbounded = entry.sum_mpf_cents();
                let bounded = entry.totals.paid_mpf;
                let differs = unbounded.cmp(&bounded) != Ordering::Equal;
                entry.totals.paid_mpf = if differs && random.chance(70) { unbounded } else { off_by(bounded, 500, random) };
            }
            Discrepancy::MissingInEs001 => entry.missing_in = Some(Report::Es001),
            Discrepancy::MissingInEs002 => entry.missing_in = Some(Report::Es002),
            Discrepancy::MissingInEs003 => entry.missing_in = Some(Report::Es003),
            Discrepancy::LineMissingInEs003 => {
                entry.lines[at].missing_in_es_003 = true;
                entry.planted_line = Some(at);
            }
        }
    }

    /// The finding on an entry to which this was applied.
    pub(super) fn expected(self, entry: &Entry) -> Expected {
        let line = entry.planted_line.map(|at| &entry.lines[at]);
        let sum = |amount: fn(&super::entry::Line) -> i64| entry.lines.iter().map(amount).sum::<i64>();
        let line_tariffs =
            |amount: fn(&super::goods::Tariff) -> i64| line.map(|line| line.tariffs.iter().map(amount).sum::<i64>());
        let amounts = match self {
            Discrepancy::LineValue => (line_tariffs(|tariff| tariff.value_cents), line.map(|line| line.value_cents)),
            Discrepancy::LineDuty => (line_tariffs(|tariff| tariff.duty_cents), line.map(|line| line.duty_cents)),
            Discrepancy::EntryValue => (Some(sum(|line| line.value_cents)), Some(entry.totals.value)),
            Discrepancy::EntryDuty => (Some(sum(|line| line.duty_cents)), Some(entry.totals.duty)),
            Discrepancy::EntryMpfClamp => {
                let rule = fees::entry_mpf_cents(entry.entry_type, entry.entry_date, entry.sum_mpf_cents());
                (Some(rule), Some(entry.totals.paid_mpf))
            }
            // The goods value that another report states; such an entry carries no other plant, so all state the same.
            Discrepancy::MissingInEs001 | Discrepancy::MissingInEs002 | Discrepancy::MissingInEs003 => {
                (Some(sum(|line| line.value_cents)), None)
            }
            Discrepancy::LineMissingInEs003 => (line.map(|line| line.value_cents), None),
        };
        Expected {
            check: self.check().to_owned(),
            entry_summary_number: entry.number.clone(),
            entry_summary_line_number: line.map(|line| line.number as i32),
            expected: amounts.0.map(decimal),
            actual: amounts.1.map(decimal),
        }
    }
}

/// Another amount, at most `most` away, never negative and never the same.
fn off_by(amount: i64, most: u32, random: &mut Random) -> i64 {
    let difference = 1 + i64::from(random.below(most));
    if random.chance(50) && difference < amount { amount - difference } else { amount + difference }
}

fn decimal(cents: i64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}
