//! What the names of one header amount to: which report they speak of, at which level, and what is amiss.
//! Promise: the same names give the same answer in any order, however they are spelled.
//! Never: no value is read here.

use std::collections::HashSet;

use super::Registry;
use crate::{
    edition::{Edition, Required, fold},
    report::Report,
};

#[derive(Clone, Debug)]
pub(super) struct Match {
    pub(super) report: Report,
    pub(super) column: String,
    pub(super) level: Level,
    /// Through the CBP name itself, not an alias.
    pub(super) named: bool,
}

/// What one value of a column belongs to, whatever report carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Entry,
    Line,
    Tariff,
}

pub(super) const ENTRY_NUMBER: &str = "Entry Summary Number";
pub(super) const LINE_NUMBER: &str = "Entry Summary Line Number";
pub(super) const TARIFF_ORDINAL: &str = "Tariff Ordinal Number";
pub(super) const HTS_NUMBER: &str = "HTS Number - Full";

/// What the names of one header amount to.
pub(super) struct Reading<'a> {
    /// One per distinct header name that some edition knows.
    cells: Vec<&'a [Match]>,
    /// Distinct header names, blank ones aside.
    pub(super) distinct: usize,
}

impl<'a> Reading<'a> {
    pub(super) fn new(registry: &'a Registry, header: &[String]) -> Self {
        let distinct: HashSet<String> = header.iter().map(|name| fold(name)).filter(|name| !name.is_empty()).collect();
        let cells = distinct.iter().filter_map(|name| registry.names.get(name)).map(Vec::as_slice).collect();
        Self { cells, distinct: distinct.len() }
    }

    pub(super) fn has(&self, column: &str) -> bool {
        self.cells.iter().any(|cell| cell.iter().any(|found| found.column == column))
    }

    /// How many header names the report knows, and how many of them are spelled as CBP does.
    pub(super) fn score(&self, report: Report) -> (usize, usize) {
        let known = self.cells.iter().filter_map(|cell| cell.iter().find(|found| found.report == report));
        known.fold((0, 0), |(matched, named), found| (matched + 1, named + usize::from(found.named)))
    }

    /// The report of the finest level among the columns.
    pub(super) fn finest(&self) -> Report {
        // Everyday words (`Quantity`, `Origin`) vote only where the header is not in CBP's words: a broker's own
        // extra column must not turn a good ES-002 away. An HTS number in any spelling is a tariff column.
        let in_words_of_cbp = self.cells.iter().filter(|cell| cell.iter().any(|found| found.named)).count() >= 3;
        let speaks = |level: Level| {
            self.cells.iter().any(|cell| {
                let named = cell.iter().any(|found| found.named);
                let agreed = cell.iter().filter(|found| found.named == named).all(|found| found.level == level);
                agreed && (named || !in_words_of_cbp)
            })
        };
        if self.has(TARIFF_ORDINAL) || self.has(HTS_NUMBER) || speaks(Level::Tariff) {
            Report::Es003
        } else if self.has(LINE_NUMBER) || speaks(Level::Line) {
            Report::Es002
        } else {
            Report::Es001
        }
    }

    /// The report most of whose columns are there; of equals the coarser.
    pub(super) fn nearest(&self) -> Option<Report> {
        let scored = Report::ENTRY_SUMMARIES.into_iter().map(|report| (self.score(report), report));
        scored.rev().max_by_key(|(score, _)| *score).filter(|((matched, _), _)| *matched > 0).map(|(_, report)| report)
    }

    pub(super) fn missing_grain(&self, edition: &Edition) -> Vec<String> {
        let grain = edition.columns.iter().filter(|column| column.required == Required::Grain);
        grain.filter(|column| !self.has(&column.name)).map(|column| column.name.clone()).collect()
    }

    /// A 55-column "ES-003" circulates that ACE does not export: one row per line, and rates in percent. ACE's own
    /// ES-003 has no rate in its default layout and a single one to add, `Column 1 Current Primary Duty Rate`.
    pub(super) fn impostor(&self, header: &[String]) -> Option<String> {
        let rates = header.iter().filter(|name| is_rate_name(name) && !self.known(name)).count();
        let at_line_grain = self.has(LINE_NUMBER) && self.has(HTS_NUMBER) && !self.has(TARIFF_ORDINAL);
        (at_line_grain && rates >= 2).then(|| {
            let seen = format!("{} columns, {rates} rates among them, one row per line and no `{TARIFF_ORDINAL}`", header.len());
            impostor_reason(&seen)
        })
    }

    fn known(&self, header_name: &str) -> bool {
        let folded = fold(header_name);
        self.cells.iter().any(|cell| cell.iter().any(|found| found.named && fold(&found.column) == folded))
    }
}

pub(super) fn impostor_reason(seen: &str) -> String {
    format!("not an export of ACE: {seen}; run ES-003 in ACE Reports and send what it exports, unedited")
}

fn is_rate_name(name: &str) -> bool {
    let lower = name.to_lowercase();
    let mut words = lower.split(|c: char| !c.is_alphanumeric());
    lower.contains('%') || words.any(|word| matches!(word, "rate" | "rates" | "percent" | "percentage" | "pct"))
}

/// CBP's names say their level, but for the parties and visas that are the line's.
pub(super) fn level(column: &str) -> Level {
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| column.starts_with(prefix));
    if starts(&["Line Tariff ", "Tariff ", "HTS ", "Column 1 "]) {
        Level::Tariff
    } else if starts(&["Line ", "Entry Summary Line ", "Manufacturer ", "Foreign Exporter ", "Standard Visa ", "Textile "]) {
        Level::Line
    } else {
        Level::Entry
    }
}
