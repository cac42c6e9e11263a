//! What a corpus is to hold: how many entries, of whom, when, in which dress, with which discrepancies.
//! Promise: a plan that passed `check` can be written; one that cannot says what to change.

use std::{collections::BTreeMap, fmt, io};

use bonded_schemas::Report;
use chrono::{Duration, NaiveDate};

use super::{Corpus, Discrepancy, Layout, Style, fees};

/// Entry numbers have seven digits between filer code and check digit.
const SERIALS: u32 = 10_000_000;
/// Entries whose written size stands for all others in `for_size_bytes`.
const SAMPLE_ENTRIES: u32 = 4000;

#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    /// Entry summaries; with `serial_first` at most 10,000,000.
    pub entries: u32,
    /// Number of the first entry between filer code and check digit: lets two corpora of one filer not overlap.
    pub serial_first: u32,
    /// 1..=999. Lines are few on most entries, as in real exports, and never more than this.
    pub lines_per_entry_max: u32,
    /// 1..=32, the limit since 2025-06-28 (CSMS 65464464).
    pub tariffs_per_line_max: u32,
    /// A fictional company; shown where a layout adds the optional column Importer Name.
    pub importer: String,
    /// Importer of record number; the default's prefix 00 was never assigned.
    pub importer_number: String,
    /// Three upper-case alphanumerics.
    pub filer_code: String,
    /// Not before 2018-01-01. From 2026-10-01 MPF bounds are not public, so such entries are never planted with a wrong MPF.
    pub first_entry_date: NaiveDate,
    /// Entry dates span this many days, at least 1.
    pub days: u32,
    pub style: Style,
    /// Each on an entry of its own.
    pub planted: Vec<Discrepancy>,
    /// Departures from the default columns; a report without one is laid out as ACE does by default.
    pub layouts: BTreeMap<Report, Layout>,
}

/// The plan cannot be written; the text says why and what to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnfitPlan {
    pub message: String,
}

impl fmt::Display for UnfitPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for UnfitPlan {}

impl Plan {
    /// Entries of one fictional importer over the two fiscal years from 2024-10-01, nothing planted.
    pub fn new(seed: u64, entries: u32) -> Self {
        Self {
            seed,
            entries,
            serial_first: 1_000_000,
            lines_per_entry_max: 18,
            tariffs_per_line_max: 8,
            importer: "Fictional Lantern Imports, Inc.".to_owned(),
            importer_number: "00-1234567AA".to_owned(),
            filer_code: "XZ9".to_owned(),
            first_entry_date: NaiveDate::from_ymd_opt(2024, 10, 1).expect("a calendar date"),
            days: 730,
            style: Style::default(),
            planted: Vec::new(),
            layouts: BTreeMap::new(),
        }
    }

    /// A plan whose ES-003 is about this large (within a few percent), in the default dress.
    pub fn for_size_bytes(seed: u64, size_bytes: u64) -> Result<Self, UnfitPlan> {
        let sample = Corpus::new(Self { serial_first: 0, ..Self::new(seed, SAMPLE_ENTRIES) })?;
        let written = sample.write_es_003(&mut io::sink()).map_err(|error| unfit(format!("sample not written: {error}")))?;
        let entries = u128::from(size_bytes) * u128::from(SAMPLE_ENTRIES) / u128::from(written.size_bytes);
        let entries = u32::try_from(entries).ok().filter(|entries| *entries <= SERIALS);
        let entries = entries.ok_or_else(|| unfit(format!("{size_bytes} bytes need more entry numbers than one filer has")))?;
        Ok(Self { serial_first: 0, ..Self::new(seed, entries.max(1)) })
    }

    /// The same plan with `each` of every kind of discrepancy that the tie-out must find.
    pub fn planting(self, each: usize) -> Self {
        self.planting_of(&Discrepancy::TIE_OUT, each)
    }

    /// The same plan with `each` of these kinds more.
    pub fn planting_of(mut self, kinds: &[Discrepancy], each: usize) -> Self {
        self.planted.extend(kinds.iter().flat_map(|kind| std::iter::repeat_n(*kind, each)));
        self
    }

    /// The day on which the reports claim to have been run: two weeks after the last entry date.
    pub fn report_date(&self) -> NaiveDate {
        self.first_entry_date + Duration::days(i64::from(self.days) + 14)
    }

    /// Entry numbers rise by this, so that they look like a filer's who files for others too.
    pub(super) fn serial_step(&self) -> u32 {
        ((SERIALS - self.serial_first) / self.entries.max(1)).clamp(1, 7)
    }

    pub(super) fn check(&self) -> Result<(), UnfitPlan> {
        let filer_is_code = self.filer_code.len() == 3
            && self.filer_code.bytes().all(|character| character.is_ascii_uppercase() || character.is_ascii_digit());
        let rules = [
            (self.entries >= 1, "a corpus needs at least one entry"),
            (
                u64::from(self.serial_first) + u64::from(self.entries) <= u64::from(SERIALS),
                "one filer has only 10,000,000 entry numbers",
            ),
            ((1..=999).contains(&self.lines_per_entry_max), "lines_per_entry_max must be 1 to 999"),
            ((1..=32).contains(&self.tariffs_per_line_max), "tariffs_per_line_max must be 1 to 32"),
            (filer_is_code, "filer_code must be three upper-case letters or digits"),
            (self.first_entry_date >= fees::first_known_date(), "first_entry_date must not be before 2018-01-01"),
            ((1..=36_525).contains(&self.days), "days must be 1 to 36525"),
        ];
        match rules.into_iter().find(|(holds, _)| !holds) {
            Some((_, message)) => Err(unfit(message)),
            None => self.layouts.iter().try_for_each(|(report, layout)| layout.check(*report)),
        }
    }
}

pub(super) fn unfit(message: impl Into<String>) -> UnfitPlan {
    UnfitPlan { message: message.into() }
}
