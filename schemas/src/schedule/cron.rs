//! Cron's five fields: minute, hour, day of month, month, day of week.
//! Promise: lists, ranges, steps and names as Vixie cron reads them, and its rule of days: a day holds when both day fields
//! hold, if one of them begins with `*`; when either holds, if both are restricted.
//! Never: fields that hold on no day of the calendar, or more often a day than a report runs.

use std::{fmt, str::FromStr};

use chrono::{Datelike, NaiveDate, NaiveTime};

use super::OCCURRENCES_A_DAY_MAX;
use crate::error::{Error, Result};

/// Longest text that is read.
const CHARS_MAX: usize = 200;
const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// Five fields as they were written, in lower case, and what they mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    text: String,
    /// A bit for each value.
    minutes: u64,
    hours: u64,
    month_days: u64,
    months: u64,
    /// Sunday is bit 0.
    week_days: u64,
    /// One of the two day fields begins with `*`.
    both_days: bool,
}

/// What a field may hold.
struct Field {
    name: &'static str,
    least: u32,
    most: u32,
    names: &'static [&'static str],
}

const MINUTE: Field = Field { name: "minute", least: 0, most: 59, names: &[] };
const HOUR: Field = Field { name: "hour", least: 0, most: 23, names: &[] };
const MONTH_DAY: Field = Field { name: "day of month", least: 1, most: 31, names: &[] };
const MONTH: Field = Field { name: "month", least: 1, most: 12, names: &MONTHS };
/// 0 and 7 are Sunday.
const WEEK_DAY: Field = Field { name: "day of week", least: 0, most: 7, names: &DAYS };

impl FromStr for Cron {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.len() > CHARS_MAX {
            return Err(Error::input(format!("cron fields longer than {CHARS_MAX} characters")));
        }
        let text = text.to_ascii_lowercase();
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let [minute, hour, month_day, month, week_day] = fields[..] else {
            return Err(Error::input("cron has five fields: minute, hour, day of month, month, day of week"));
        };
        let sevens = WEEK_DAY.read(week_day)?;
        let cron = Self {
            minutes: MINUTE.read(minute)?,
            hours: HOUR.read(hour)?,
            month_days: MONTH_DAY.read(month_day)?,
            months: MONTH.read(month)?,
            week_days: (sevens | sevens >> 7) & 0x7f,
            both_days: month_day.starts_with('*') || week_day.starts_with('*'),
            text: fields.join(" "),
        };
        if cron.minutes.count_ones() * cron.hours.count_ones() > OCCURRENCES_A_DAY_MAX as u32 {
            return Err(Error::input(format!("`{}` runs more than {OCCURRENCES_A_DAY_MAX} times a day", cron.text)));
        }
        // Of a leap year, so that 29 February is among them.
        let year = NaiveDate::from_ymd_opt(2024, 1, 1).into_iter().flat_map(|first| first.iter_days().take(366));
        if cron.both_days && !year.into_iter().any(|day| cron.holds_without_week(day)) {
            return Err(Error::input(format!("`{}` never comes: no month named has such a day", cron.text)));
        }
        Ok(cron)
    }
}

impl Field {
    fn read(&self, text: &str) -> Result<u64> {
        text.split(',').try_fold(0, |bits, part| Ok(bits | self.part(part)?))
    }

    /// `*`, `5`, `1-5`, each of the first and last with a step: `*/15`, `8-18/2`.
    fn part(&self, text: &str) -> Result<u64> {
        let wrong = || {
            let Self { name, least, most, .. } = self;
            let text = text.escape_default();
            Error::input(format!("cron's {name} cannot be `{text}`; use {least} to {most}, *, lists, ranges and steps of those"))
        };
        let (span, step) = match text.split_once('/') {
            Some((span, step)) => {
                (span, Some(step.parse::<u32>().ok().filter(|step| (1..=self.most).contains(step)).ok_or_else(wrong)?))
            }
            None => (text, None),
        };
        let (first, last) = match (span, span.split_once('-')) {
            ("*", _) => (self.least, self.most),
            (_, Some((first, last))) => (self.value(first).ok_or_else(wrong)?, self.value(last).ok_or_else(wrong)?),
            // Vixie's cron takes a step of a range only.
            _ if step.is_some() => return Err(wrong()),
            _ => self.value(span).map(|value| (value, value)).ok_or_else(wrong)?,
        };
        if first > last {
            return Err(wrong());
        }
        Ok((first..=last).step_by(step.unwrap_or(1) as usize).fold(0, |bits, value| bits | 1 << value))
    }

    fn value(&self, text: &str) -> Option<u32> {
        if let Some(at) = self.names.iter().position(|name| *name == text) {
            return u32::try_from(at).ok()?.checked_add(if self.least == 1 { 1 } else { 0 });
        }
        let is_number = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse().ok())?.filter(|value| (self.least..=self.most).contains(value))
    }
}

impl Cron {
    pub(super) fn holds(&self, day: NaiveDate) -> bool {
        let in_month = has(self.month_days, day.day());
        let in_week = has(self.week_days, day.weekday().num_days_from_sunday());
        has(self.months, day.month()) && if self.both_days { in_month && in_week } else { in_month || in_week }
    }

    fn holds_without_week(&self, day: NaiveDate) -> bool {
        has(self.months, day.month()) && has(self.month_days, day.day())
    }

    pub(super) fn times(&self) -> Vec<NaiveTime> {
        let hours = (0..24).filter(|hour| has(self.hours, *hour));
        let minutes = |hour| {
            (0..60).filter(|minute| has(self.minutes, *minute)).filter_map(move |minute| NaiveTime::from_hms_opt(hour, minute, 0))
        };
        hours.flat_map(minutes).collect()
    }
}

fn has(bits: u64, value: u32) -> bool {
    bits >> value & 1 == 1
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}
