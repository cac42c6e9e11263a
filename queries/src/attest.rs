//! The second opinion: a delivery counted again from its received bytes, by another engine, and held against the tables.
//! Promise: Polars reads and types the bytes by itself (`recount`), DataFusion sums the committed rows (`lake`); money is
//! decimal on both sides; a delivery that Polars cannot read says why, and is never counted as agreeing.
//! Never: no parser, no typing and no reader of the main path is used here (`tests/it/tidy.rs` checks the names); what is
//! shared are the reports' words: CBP's column names, their aliases and types.

use std::{collections::BTreeMap, fmt};

use bonded_schemas::{Column, Report};
use chrono::{DateTime, Datelike, Utc};

mod lake;
mod placing;
mod recount;
mod scan;
#[cfg(test)]
mod tests;
mod typing;

pub use recount::recount;

/// What Polars is told of a delivery. Of the receipt it hears how the file is laid out, and no cell.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub report: Report,
    /// The edition's columns, then what the tenant accepted beside them.
    pub columns: &'a [Column],
    /// Folded header name to CBP name: renames that the tenant accepted.
    pub renames: &'a BTreeMap<String, String>,
    /// 1-based physical line of the header.
    pub header_line: u64,
    pub quote: u8,
    pub as_of: DateTime<Utc>,
}

/// Why a delivery cannot be read independently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotRead(pub String);

impl fmt::Display for NotRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What one side counted of one delivery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub rows: u64,
    /// Distinct entry summary numbers.
    pub entries: u64,
    /// By column name in the tables; a column that the file does not have is not there, or counts no value.
    pub money: BTreeMap<String, Sum>,
    pub months: BTreeMap<Month, MonthTally>,
    /// Records below the header that became no row; the tables cannot know them.
    pub rejected: Option<u64>,
}

/// One money column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    pub cents: i128,
    /// Cells that are amounts.
    pub values: u64,
    /// Cells with something in them that is no amount.
    pub unread: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MonthTally {
    pub rows: u64,
    /// Cents by column.
    pub money: BTreeMap<String, i128>,
}

/// A month of Entry Date (of the as-of time in ES-002), or that of rows without a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Month(Option<i32>);

impl Month {
    /// Months since the year 0.
    fn of_number(number: Option<i32>) -> Self {
        Self(number)
    }

    fn of_time(at: DateTime<Utc>) -> Self {
        Self(Some(at.year() * 12 + at.month0() as i32))
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(number) => write!(f, "{:04}-{:02}", number.div_euclid(12), number.rem_euclid(12) + 1),
            None => f.write_str("no date"),
        }
    }
}

/// Where two sides disagree. Holds sums of cells, so it is sealed wherever it is kept.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Difference {
    /// `rows`, `distinct entries`, `sum of line_duty_amount in 2026-01`.
    pub what: String,
    /// As Polars counts the received bytes.
    pub raw_zone: String,
    /// `tables` or `receipt`.
    pub against: String,
    pub there: String,
}

const TABLES: &str = "tables";
const RECEIPT: &str = "receipt";

/// Every number in which the tables differ from the received bytes.
pub fn against_tables(raw: &Tally, lake: &Tally) -> Vec<Difference> {
    let mut found = Differences { against: TABLES, list: Vec::new() };
    found.compare("rows", raw.rows, lake.rows);
    found.compare("distinct entries", raw.entries, lake.entries);
    for column in names(raw.money.keys().chain(lake.money.keys())) {
        let of = |tally: &Tally| tally.money.get(column).copied().unwrap_or_default();
        let (raw, lake) = (of(raw), of(lake));
        found.compare(&format!("amounts in {column}"), raw.values, lake.values);
        found.compare(&format!("sum of {column}"), dollars(raw.cents), dollars(lake.cents));
    }
    let empty = MonthTally::default();
    for month in names(raw.months.keys().chain(lake.months.keys())) {
        let of = |tally: &Tally| tally.months.get(month).unwrap_or(&empty).clone();
        let (raw, lake) = (of(raw), of(lake));
        found.compare(&format!("rows of {month}"), raw.rows, lake.rows);
        for column in names(raw.money.keys().chain(lake.money.keys())) {
            let of = |month: &MonthTally| month.money.get(column).copied().unwrap_or_default();
            found.compare(&format!("sum of {column} in {month}"), dollars(of(&raw)), dollars(of(&lake)));
        }
    }
    found.list
}

/// The counts and sums of a receipt; `totals` by column name in the tables, decimal text.
pub fn against_receipt(raw: &Tally, committed: u64, rejected: u64, totals: &[(String, String)]) -> Vec<Difference> {
    let mut found = Differences { against: RECEIPT, list: Vec::new() };
    found.compare("rows", raw.rows, committed);
    found.compare("rejected rows", raw.rejected.unwrap_or_default(), rejected);
    for (column, total) in totals {
        let cents = raw.money.get(column).map_or(0, |sum| sum.cents);
        found.compare(&format!("sum of {column}"), dollars(cents), total.clone());
    }
    found.list
}

struct Differences {
    against: &'static str,
    list: Vec<Difference>,
}

impl Differences {
    fn compare<T: PartialEq + ToString>(&mut self, what: &str, raw: T, there: T) {
        if raw != there {
            self.list.push(Difference {
                what: what.to_owned(),
                raw_zone: raw.to_string(),
                against: self.against.to_owned(),
                there: there.to_string(),
            });
        }
    }
}

/// Each once, in order.
fn names<'a, T: Ord + 'a>(all: impl Iterator<Item = &'a T>) -> std::collections::BTreeSet<&'a T> {
    all.collect()
}

/// Cents as a decimal text with two places.
fn dollars(cents: i128) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    let size = cents.unsigned_abs();
    format!("{sign}{}.{:02}", size / 100, size % 100)
}
