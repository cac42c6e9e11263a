//! When a report is expected: a cadence in words (`weekly Mon,Thu 06:00`) or in cron's five fields, on the clocks of one zone.
//! Promise: the same schedule gives the same instants whoever asks and from wherever they begin, over changes of the clocks,
//! leap days and ends of years; its text reads back as itself.
//! Never: an occurrence is skipped or doubled by a change of the clocks. A local time that does not exist stands for the first
//! instant after the gap; one that comes twice is its first coming.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveTime, Utc, Weekday};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

mod cron;
mod local;
#[cfg(test)]
mod tests;

pub use cron::Cron;

/// More than one occurrence every quarter of an hour is no schedule of a report.
pub const OCCURRENCES_A_DAY_MAX: usize = 96;
/// Two leap days are at most eight years apart (1896 and 1904, 2096 and 2104).
const DAYS_LOOKED_MAX: u32 = 9 * 366;

/// A cadence on the clocks of a zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Schedule {
    cadence: Cadence,
    zone: Tz,
}

/// How it lies in a file and in an answer.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    cadence: String,
    zone: String,
}

/// How often, and at which local time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cadence {
    /// `daily 06:00`
    Daily(NaiveTime),
    /// `weekly Mon,Thu 06:00`; at least one day, in the order of the week.
    Weekly(Vec<Weekday>, NaiveTime),
    /// `monthly 1,15,last 06:00`. A month without such a day has no occurrence on it: `last` is the day that every month has.
    Monthly(MonthDays, NaiveTime),
    /// `0 6 * * mon-fri`
    Cron(Cron),
}

/// Days of a month, at least one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MonthDays {
    /// 1 to 31, in order.
    days: Vec<u32>,
    last: bool,
}

impl Schedule {
    pub fn new(cadence: Cadence, zone: Tz) -> Self {
        Self { cadence, zone }
    }

    /// Of the words of a cadence and an IANA name. Fails (input) by naming what it does not understand.
    pub fn parse(cadence: &str, zone: &str) -> Result<Self> {
        let named =
            |_| Error::input(format!("no time zone `{}`; use an IANA name such as America/New_York", zone.escape_default()));
        Ok(Self { cadence: cadence.parse()?, zone: zone.parse().map_err(named)? })
    }

    pub fn cadence(&self) -> &Cadence {
        &self.cadence
    }

    pub fn zone(&self) -> Tz {
        self.zone
    }

    /// The first occurrence after this instant; none in nine years, or at the end of the calendar.
    pub fn next_after(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        // A local time may stand for an instant of the next local day, never of an earlier one.
        let mut day = self.local_day(after).pred_opt()?;
        for _ in 0..DAYS_LOOKED_MAX {
            if let Some(found) = self.on(day).into_iter().find(|at| *at > after) {
                return Some(found);
            }
            day = day.succ_opt()?;
        }
        None
    }

    /// The last occurrence before this instant.
    pub fn last_before(&self, before: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let mut day = self.local_day(before).succ_opt()?;
        for _ in 0..DAYS_LOOKED_MAX {
            if let Some(found) = self.on(day).into_iter().rev().find(|at| *at < before) {
                return Some(found);
            }
            day = day.pred_opt()?;
        }
        None
    }

    /// Those after `after` up to and including `until`, at most so many, in order.
    pub fn between(&self, after: DateTime<Utc>, until: DateTime<Utc>, count_max: usize) -> Vec<DateTime<Utc>> {
        let mut found = Vec::new();
        let Some(mut day) = self.local_day(after).pred_opt() else { return found };
        let Some(end) = self.local_day(until).succ_opt() else { return found };
        while day <= end && found.len() < count_max {
            for at in self.on(day) {
                // Two local times in one gap are one instant, and so may be the last of a day that was left out and the next.
                if at > after && at <= until && found.last().is_none_or(|last| at > *last) && found.len() < count_max {
                    found.push(at);
                }
            }
            match day.succ_opt() {
                Some(next) => day = next,
                None => break,
            }
        }
        found
    }

    /// The day on the zone's own calendar.
    pub fn local_day(&self, at: DateTime<Utc>) -> NaiveDate {
        at.with_timezone(&self.zone).date_naive()
    }

    /// The same time of day on another day of the zone's calendar.
    pub fn same_time_on(&self, at: DateTime<Utc>, day: NaiveDate) -> DateTime<Utc> {
        local::instant(self.zone, day.and_time(at.with_timezone(&self.zone).time()))
    }

    /// Occurrences of one local day, in order, each once.
    fn on(&self, day: NaiveDate) -> Vec<DateTime<Utc>> {
        let mut found: Vec<DateTime<Utc>> = match self.cadence.holds(day) {
            true => self.cadence.times().into_iter().map(|time| local::instant(self.zone, day.and_time(time))).collect(),
            false => Vec::new(),
        };
        found.dedup();
        found
    }
}

impl Cadence {
    fn holds(&self, day: NaiveDate) -> bool {
        match self {
            Cadence::Daily(_) => true,
            Cadence::Weekly(days, _) => days.contains(&day.weekday()),
            Cadence::Monthly(days, _) => days.days.contains(&day.day()) || (days.last && is_last_of_month(day)),
            Cadence::Cron(cron) => cron.holds(day),
        }
    }

    /// Local times of a day that holds, in order.
    fn times(&self) -> Vec<NaiveTime> {
        match self {
            Cadence::Daily(at) | Cadence::Weekly(_, at) | Cadence::Monthly(_, at) => vec![*at],
            Cadence::Cron(cron) => cron.times(),
        }
    }
}

fn is_last_of_month(day: NaiveDate) -> bool {
    day.checked_add_days(Days::new(1)).is_none_or(|next| next.day() == 1)
}

impl FromStr for Cadence {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let shown = || text.chars().take(80).collect::<String>().escape_default().to_string();
        match words.as_slice() {
            ["daily", at] => Ok(Cadence::Daily(time(at)?)),
            ["weekly", days, at] => {
                let mut days = days.split(',').map(weekday).collect::<Result<Vec<_>>>()?;
                days.sort_by_key(Weekday::num_days_from_monday);
                days.dedup();
                Ok(Cadence::Weekly(days, time(at)?))
            }
            ["monthly", days, at] => Ok(Cadence::Monthly(days.parse()?, time(at)?)),
            [_, _, _, _, _] => Ok(Cadence::Cron(text.parse()?)),
            _ => Err(Error::input(format!(
                "no cadence `{}`; use `daily 06:00`, `weekly Mon,Thu 06:00`, `monthly 1,last 06:00` or five fields of cron",
                shown()
            ))),
        }
    }
}

impl FromStr for MonthDays {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut days = Self::default();
        for word in text.split([',', '|']) {
            match (word, word.parse::<u32>()) {
                ("last", _) => days.last = true,
                (_, Ok(day @ 1..=31)) => days.days.push(day),
                _ => {
                    return Err(Error::input(format!("no day of a month `{}`; use 1 to 31, or last", word.escape_default())));
                }
            }
        }
        days.days.sort_unstable();
        days.days.dedup();
        Ok(days)
    }
}

/// `06:00`, and nothing finer than a minute.
fn time(text: &str) -> Result<NaiveTime> {
    let two =
        |part: &str| (part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit())).then(|| part.parse::<u32>().ok())?;
    let parts = text.split_once(':').and_then(|(hour, minute)| Some((two(hour)?, two(minute)?)));
    parts
        .and_then(|(hour, minute)| NaiveTime::from_hms_opt(hour, minute, 0))
        .ok_or_else(|| Error::input(format!("no time of day `{}`; use 00:00 to 23:59", text.escape_default())))
}

fn weekday(text: &str) -> Result<Weekday> {
    text.parse().map_err(|_| Error::input(format!("no day of the week `{}`; use Mon, Tue, ...", text.escape_default())))
}

impl fmt::Display for Cadence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clock = |at: &NaiveTime| at.format("%H:%M").to_string();
        let text = match self {
            Cadence::Daily(at) => format!("daily {}", clock(at)),
            Cadence::Weekly(days, at) => {
                let days: Vec<String> = days.iter().map(Weekday::to_string).collect();
                format!("weekly {} {}", days.join(","), clock(at))
            }
            Cadence::Monthly(days, at) => {
                let last = days.last.then(|| "last".to_owned());
                let days: Vec<String> = days.days.iter().map(u32::to_string).chain(last).collect();
                format!("monthly {} {}", days.join(","), clock(at))
            }
            Cadence::Cron(cron) => cron.to_string(),
        };
        f.pad(&text)
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{} {}", self.cadence, self.zone.name()))
    }
}

impl From<Schedule> for Written {
    fn from(schedule: Schedule) -> Self {
        Self { cadence: schedule.cadence.to_string(), zone: schedule.zone.name().to_owned() }
    }
}

impl TryFrom<Written> for Schedule {
    type Error = Error;

    fn try_from(written: Written) -> Result<Self> {
        Self::parse(&written.cadence, &written.zone)
    }
}
