//! Seeded ES-001, ES-002 and ES-003 deliveries that look like ACE's, of any size, for the demo, the tests and the benches.
//! Promise: one plan gives the same bytes for ever and on every machine, the three reports agree with each other to the cent,
//! and where they do not, it is planted: `expected_findings` names every planted discrepancy and nothing else.
//! Never: no real party, no clock, no whole report in memory (each entry is made from the seed and its index, then dropped).
//!
//! Shape and rules come from public knowledge of the reports: default layouts, entry number check digit (CATAIR AE, table 1),
//! order of tariff numbers on a line (CSMS 18-000624), fees (`fees`). Tariff rates are illustrative, not the tariff schedule.

mod cell;
mod entry;
pub mod fees;
mod goods;
mod layout;
mod number;
mod party;
mod plan;
mod plant;
mod random;
mod sheet;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    io::{self, Write},
    ops::Range,
};

use bonded_schemas::Report;

pub use self::{
    cell::{DateStyle, MoneyStyle, Style},
    layout::{ExtraColumn, Layout, default_columns, optional_columns},
    number::{check_digit, entry_summary_number},
    plan::{Plan, UnfitPlan},
    plant::{Discrepancy, Expected},
};
use self::{entry::Entry, party::Party, plant::Crowds, sheet::Sheet};

/// A plan that was checked, with its discrepancies placed on entries. Cheap to keep: it holds no rows.
#[derive(Clone, Debug)]
pub struct Corpus {
    plan: Plan,
    parties: Vec<Party>,
    /// At most one discrepancy per entry, by entry index.
    plants: BTreeMap<u32, Discrepancy>,
    /// Empty unless a discrepancy needs rows to be unlike.
    crowds: Crowds,
}

/// What went into a written report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Data rows, the header not counted.
    pub rows: u64,
    pub size_bytes: u64,
}

impl Corpus {
    /// Checks the plan and places its discrepancies, each on an entry of its own that can carry it.
    pub fn new(plan: Plan) -> Result<Self, UnfitPlan> {
        plan.check()?;
        let parties = party::parties(plan.seed);
        let mut corpus = Self { parties, plan, plants: BTreeMap::new(), crowds: Crowds::default() };
        if corpus.plan.planted.iter().any(|kind| Discrepancy::OF_CROWDS.contains(kind)) {
            corpus.crowds = Crowds::of(&corpus);
        }
        corpus.plants = plant::place(&corpus)?;
        Ok(corpus)
    }

    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The name under which ACE offers the report for download; the browser's own additions left out.
    pub fn file_name(report: Report) -> &'static str {
        match report {
            Report::Es001 => "ES-001_Entry_Summary_Header.csv",
            Report::Es002 => "ES-002_Entry_Summary_Line_Details.csv",
            Report::Es003 => "ES-003_Entry_Summary_Line_Tariff_Details.csv",
            Report::CapeClaims => "CAPE_Claim_Details.csv",
        }
    }

    pub fn write_es_001(&self, out: &mut dyn Write) -> io::Result<Written> {
        self.write(Report::Es001, out)
    }

    pub fn write_es_002(&self, out: &mut dyn Write) -> io::Result<Written> {
        self.write(Report::Es002, out)
    }

    pub fn write_es_003(&self, out: &mut dyn Write) -> io::Result<Written> {
        self.write(Report::Es003, out)
    }

    /// The whole report, header first, rows by entry number as ACE sorts them. Buffers about 64 KiB itself.
    pub fn write(&self, report: Report, out: &mut dyn Write) -> io::Result<Written> {
        self.write_entries(report, 0..self.plan.entries, out)
    }

    /// The report over a part of the entries only (0-based, in order of entry number), as a delivery of its own with its own
    /// header: a day's pull, or a later pull from which entries have vanished.
    pub fn write_entries(&self, report: Report, entries: Range<u32>, out: &mut dyn Write) -> io::Result<Written> {
        let mut sheet = Sheet::open(report, &self.plan, out)?;
        for index in entries.start..entries.end.min(self.plan.entries) {
            let entry = self.entry(index);
            if entry.missing_in != Some(report) {
                self.write_entry(report, &entry, &mut sheet)?;
            }
        }
        sheet.close()
    }

    /// What a tie-out of the three whole reports must find: every planted discrepancy, sorted, and nothing else.
    pub fn expected_findings(&self) -> Vec<Expected> {
        let mut expected: Vec<Expected> =
            self.plants.iter().flat_map(|(index, discrepancy)| discrepancy.expected(&self.entry(*index))).collect();
        expected.sort();
        expected
    }

    /// Sums of (goods value, duty) over all rows of ES-003, in cents: what a reader of the whole report must arrive at.
    pub fn es_003_totals_cents(&self) -> (i64, i64) {
        let entries =
            (0..self.plan.entries).map(|index| self.entry(index)).filter(|entry| entry.missing_in != Some(Report::Es003));
        entries.fold((0, 0), |sums, entry| {
            let lines = entry.lines.iter().filter(|line| !line.missing_in_es_003);
            lines
                .flat_map(|line| &line.tariffs)
                .fold(sums, |(value, duty), tariff| (value + tariff.value_cents, duty + tariff.duty_cents))
        })
    }

    /// The entry as the reports show it, its discrepancy included.
    fn entry(&self, index: u32) -> Entry {
        let mut entry = self.clean_entry(index);
        if let Some(discrepancy) = self.plants.get(&index) {
            let mut random = random::Random::stream(self.plan.seed, random::PLANTED, index);
            discrepancy.apply(&mut entry, &self.crowds, &mut random);
        }
        entry
    }

    fn clean_entry(&self, index: u32) -> Entry {
        entry::make(&self.plan, &self.parties, index)
    }

    fn write_entry(&self, report: Report, entry: &Entry, sheet: &mut Sheet<'_>) -> io::Result<()> {
        match report {
            // Nobody claimed anything yet.
            Report::CapeClaims => Ok(()),
            Report::Es001 => {
                let row = layout::header_row(&self.plan, entry);
                (0..1 + u32::from(entry.stands_twice)).try_for_each(|_| sheet.row(&row))
            }
            Report::Es002 => {
                let rows = entry.lines.iter().flat_map(|line| std::iter::repeat_n(line, 1 + usize::from(line.stands_twice)));
                rows.into_iter().try_for_each(|line| sheet.row(&layout::line_row(&self.plan, &self.parties, entry, line)))
            }
            Report::Es003 => {
                let lines = entry.lines.iter().filter(|line| !line.missing_in_es_003);
                let mut tariffs = lines.flat_map(|line| line.tariffs.iter().map(move |tariff| (line, tariff)));
                tariffs
                    .try_for_each(|(line, tariff)| sheet.row(&layout::tariff_row(&self.plan, &self.parties, entry, line, tariff)))
            }
        }
    }
}
