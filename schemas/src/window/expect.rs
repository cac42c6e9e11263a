//! What is expected of a delivery beside that it comes: rows, dates, columns.
//! Promise: what is not known of a delivery is not judged.

use std::{collections::BTreeSet, fmt, str::FromStr};

use chrono::{DateTime, Days, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use super::Mark;
use crate::error::{Error, Result};

/// Empty: whatever comes is as expected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expectation {
    pub rows: Option<RowBand>,
    pub covers: Option<Covers>,
    /// Names of columns, as CBP has them.
    pub columns: Vec<String>,
}

/// `1000..50000`, both included; either end may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RowBand {
    pub least: u64,
    pub most: u64,
}

/// `30..2`: its dates reach from 30 days before the due day, or earlier, to 2 days before it, or later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Covers {
    pub from_days: u32,
    pub until_days: u32,
}

/// What is known of what came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    pub rows: Option<u64>,
    /// First and last entry date.
    pub dates: Option<(NaiveDate, NaiveDate)>,
    /// Keyed digest of what it holds.
    pub content: Option<String>,
    /// When its rows could be asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queryable_at: Option<DateTime<Utc>>,
    /// Of the needed columns, those that are not there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns_missing: Vec<String>,
}

impl Expectation {
    pub(super) fn marks(&self, due_day: NaiveDate, facts: &Facts) -> BTreeSet<Mark> {
        let mut marks = BTreeSet::new();
        if let (Some(band), Some(rows)) = (self.rows, facts.rows) {
            marks.extend((rows < band.least).then_some(Mark::Thin));
            marks.extend((rows > band.most).then_some(Mark::Fat));
        }
        if let (Some(covers), Some((first, last))) = (self.covers, facts.dates) {
            let day = |back: u32| due_day.checked_sub_days(Days::new(back.into())).unwrap_or(NaiveDate::MIN);
            marks.extend((first > day(covers.from_days) || last < day(covers.until_days)).then_some(Mark::Narrow));
        }
        if !facts.columns_missing.is_empty() {
            marks.insert(Mark::ColumnsMissing);
        }
        marks
    }
}

impl FromStr for RowBand {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::input(format!("no band of rows `{}`; use 1000..50000, 1000.. or ..50000", text.escape_default()));
        let (least, most) = text.split_once("..").ok_or_else(wrong)?;
        let end = |part: &str, open: u64| if part.is_empty() { Ok(open) } else { part.parse().map_err(|_| wrong()) };
        let band = Self { least: end(least, 0)?, most: end(most, u64::MAX)? };
        if band.least <= band.most { Ok(band) } else { Err(wrong()) }
    }
}

impl fmt::Display for RowBand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.least, self.most) {
            (least, u64::MAX) => write!(f, "{least}.."),
            (least, most) => write!(f, "{least}..{most}"),
        }
    }
}

/// A report looks back about six years; ten are enough for any.
const COVERS_DAYS_MAX: u32 = 3_660;

impl FromStr for Covers {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            let text = text.escape_default();
            Error::input(format!("no span of dates `{text}`; use 30..2 for: from 30 days to 2 days before it is due"))
        };
        let (from, until) = text.split_once("..").ok_or_else(wrong)?;
        let days = |part: &str| part.parse::<u32>().ok().filter(|days| *days <= COVERS_DAYS_MAX).ok_or_else(wrong);
        let covers = Self { from_days: days(from)?, until_days: days(until)? };
        if covers.from_days >= covers.until_days { Ok(covers) } else { Err(wrong()) }
    }
}

impl fmt::Display for Covers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.from_days, self.until_days)
    }
}

macro_rules! written {
    ($($kind:ident),*) => {
        $(
            impl TryFrom<String> for $kind {
                type Error = Error;

                fn try_from(text: String) -> Result<Self> {
                    text.parse()
                }
            }

            impl From<$kind> for String {
                fn from(value: $kind) -> String {
                    value.to_string()
                }
            }
        )*
    };
}

written!(RowBand, Covers);
