//! Discrepancies: the wrong figures and missing rows that a tie-out must find.
//! Promise: each makes its own check fire, once, and no other unless its wrong figures must; every coarser report is made to agree
//! with the altered one.

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

mod crowds;
mod review;

pub use crowds::Crowds;

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
    /// The entry stands twice in ES-001.
    DuplicateInEs001,
    /// A line stands twice in ES-002.
    DuplicateInEs002,
    /// A tariff row stands twice in ES-003.
    DuplicateInEs003,
    /// A line's MPF is off the rate by cents; ES-001 follows.
    LineMpf,
    /// A line's HMF is off the rate by cents; ES-001 follows.
    LineHmf,
    /// The ordinals of a line leave one out.
    TariffOrdinals,
    /// A line holds one tariff number more than its date allows.
    TariffCount,
    /// The value stands on a chapter 99 row instead of the goods'.
    Chapter99Value,
    /// A chapter 99 row stands behind the goods.
    Chapter99Order,
    /// An additional duty was paid on a date on which it was not charged.
    Chapter99Dates,
    /// A line paid a tenth of its value more than others of its product.
    RateOutlier,
    /// A special program is claimed and duty paid.
    SpiWithDuty,
    /// No duty, no special program, though the product pays.
    DutyFreeWithoutSpi,
    /// A manufacturer's product under another number than usual.
    ClassificationChanged,
    /// The last digit of the entry number is wrong in all three reports.
    EntryCheckDigit,
    /// The entry type is one that does not exist, in all three reports.
    EntryTypeUnknown,
}

/// One finding that the checks must report. Amounts as decimal text with two places; null where a report has no row, and where only
/// all rows of a product together tell them.
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

impl Expected {
    fn new(check: &str, entry: &Entry, line: Option<i32>, expected: Option<String>, actual: Option<String>) -> Self {
        let (check, entry_summary_number) = (check.to_owned(), entry.number.clone());
        Self { check, entry_summary_number, entry_summary_line_number: line, expected, actual }
    }

    /// What a check found, in the form in which it was planted.
    pub fn found(check: &str, entry: &str, line: Option<i32>, expected: Option<String>, actual: Option<String>) -> Self {
        let together = [Discrepancy::RateOutlier, Discrepancy::DutyFreeWithoutSpi].iter().any(|kind| kind.check() == check);
        let (expected, actual) = if together { (None, None) } else { (expected, actual) };
        let (check, entry_summary_number) = (check.to_owned(), entry.to_owned());
        Self { check, entry_summary_number, entry_summary_line_number: line, expected, actual }
    }
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
            .find(|index| !places.contains_key(index) && discrepancy.fits(&corpus.clean_entry(*index), &corpus.crowds))
            .ok_or_else(|| {
                unfit(format!("no entry left that can carry {discrepancy:?}; plan more entries or fewer discrepancies"))
            })?;
        places.insert(place, *discrepancy);
    }
    Ok(places)
}

impl Discrepancy {
    /// What the tie-out must find.
    pub const TIE_OUT: [Discrepancy; 9] = [
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

    /// What the other checks must find, each by the entry's own rows.
    pub const REVIEW: [Discrepancy; 13] = [
        Discrepancy::DuplicateInEs001,
        Discrepancy::DuplicateInEs002,
        Discrepancy::DuplicateInEs003,
        Discrepancy::LineMpf,
        Discrepancy::LineHmf,
        Discrepancy::TariffOrdinals,
        Discrepancy::TariffCount,
        Discrepancy::Chapter99Value,
        Discrepancy::Chapter99Order,
        Discrepancy::Chapter99Dates,
        Discrepancy::SpiWithDuty,
        Discrepancy::EntryCheckDigit,
        Discrepancy::EntryTypeUnknown,
    ];

    /// What they must find beside rows of the same product, of which a small corpus has too few.
    pub const OF_CROWDS: [Discrepancy; 3] =
        [Discrepancy::RateOutlier, Discrepancy::DutyFreeWithoutSpi, Discrepancy::ClassificationChanged];

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
            Discrepancy::DuplicateInEs001 => "duplicate_in_es_001",
            Discrepancy::DuplicateInEs002 => "duplicate_in_es_002",
            Discrepancy::DuplicateInEs003 => "duplicate_in_es_003",
            Discrepancy::LineMpf => "line_mpf",
            Discrepancy::LineHmf => "line_hmf",
            Discrepancy::TariffOrdinals => "tariff_ordinals",
            Discrepancy::TariffCount => "tariff_count",
            Discrepancy::Chapter99Value => "chapter_99_value",
            Discrepancy::Chapter99Order => "chapter_99_order",
            Discrepancy::Chapter99Dates => "chapter_99_dates",
            Discrepancy::RateOutlier => "rate_outlier",
            Discrepancy::SpiWithDuty => "spi_with_duty",
            Discrepancy::DutyFreeWithoutSpi => "duty_free_without_spi",
            Discrepancy::ClassificationChanged => "classification_changed",
            Discrepancy::EntryCheckDigit => "entry_check_digit",
            Discrepancy::EntryTypeUnknown => "entry_type_unknown",
        }
    }

    fn fits(self, entry: &Entry, crowds: &Crowds) -> bool {
        match self {
            Discrepancy::EntryMpfClamp => {
                fees::mpf_is_bounded(entry.entry_type) && fees::mpf_bounds_cents(entry.entry_date).is_some()
            }
            // A line can be missing only where another one is not; else the whole entry is.
            Discrepancy::LineMissingInEs003 => entry.lines.len() > 1,
            _ => !self.carriers(entry, crowds).is_empty(),
        }
    }

    pub(super) fn apply(self, entry: &mut Entry, crowds: &Crowds, random: &mut Random) {
        if !Self::TIE_OUT.contains(&self) {
            return self.apply_in_review(entry, crowds, random);
        }
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
            _ => {}
        }
    }

    /// The findings on an entry to which this was applied.
    pub(super) fn expected(self, entry: &Entry) -> Vec<Expected> {
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
            _ => return self.expected_in_review(entry),
        };
        let number = line.map(|line| line.number as i32);
        vec![Expected::new(self.check(), entry, number, amounts.0.map(decimal), amounts.1.map(decimal))]
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
