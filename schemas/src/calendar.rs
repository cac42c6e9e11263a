//! Business days of the United States government: weekends and federal holidays, computed by rule.
//! Promise: a holiday on a Saturday is kept on the Friday before, one on a Sunday on the Monday after, across year ends too.
//! Never: no list of dates that runs out, and no closing that follows no rule.

use std::sync::LazyLock;

use chrono::{Datelike, Duration, NaiveDate, Weekday};
use serde::Deserialize;

use crate::{
    error::{Error, Result},
    rules::{ClosingRule, Mark},
};

/// One federal holiday.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holiday {
    pub name: String,
    pub month: u32,
    /// A fixed day of the month; else `weekday` and `nth`.
    pub day: Option<u32>,
    pub weekday: Option<Weekday>,
    /// 1 is the first such weekday of the month, -1 the last.
    pub nth: Option<i8>,
    /// First calendar year in which the rule holds.
    pub from_year: i32,
    /// First calendar year in which it no longer does.
    pub until_year: Option<i32>,
    pub mark: Mark,
    pub source: String,
}

/// Where a date goes when it falls on no business day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rolled {
    pub date: NaiveDate,
    /// What it was moved by: `Saturday`, `Sunday`, names of holidays; empty where it stays.
    pub over: Vec<String>,
}

/// The federal holidays as compiled in.
pub fn holidays() -> &'static [Holiday] {
    static HOLIDAYS: LazyLock<Vec<Holiday>> = LazyLock::new(|| {
        parse_holidays(include_str!("../rules/holidays.toml")).expect("compiled in, and a test proves that it parses")
    });
    &HOLIDAYS
}

/// Reads a holiday file. Fails (set-up) unless each holiday falls on one day of each of its years.
pub fn parse_holidays(text: &str) -> Result<Vec<Holiday>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        holiday: Vec<Holiday>,
    }

    let file: File = toml::from_str(text).map_err(|e| Error::setup(format!("holidays cannot be read: {}", e.message())))?;
    match file.holiday.iter().find(|holiday| holiday.falls_on(holiday.from_year).is_none()) {
        Some(holiday) => Err(Error::setup(format!(
            "holiday `{}` falls on no day; give month and day, or month, weekday and nth",
            holiday.name
        ))),
        None => Ok(file.holiday),
    }
}

impl Holiday {
    /// The day itself; `None` in years in which the rule does not hold.
    pub fn falls_on(&self, year: i32) -> Option<NaiveDate> {
        (self.from_year <= year && self.until_year.is_none_or(|until| year < until)).then_some(())?;
        match (self.day, self.weekday, self.nth) {
            (Some(day), None, None) => NaiveDate::from_ymd_opt(year, self.month, day),
            (None, Some(weekday), Some(nth @ 1..)) => {
                NaiveDate::from_weekday_of_month_opt(year, self.month, weekday, nth.unsigned_abs())
            }
            (None, Some(weekday), Some(-1)) => {
                (1..=5).rev().find_map(|nth| NaiveDate::from_weekday_of_month_opt(year, self.month, weekday, nth))
            }
            _ => None,
        }
    }

    /// The day on which offices are closed for it.
    pub fn observed(&self, year: i32) -> Option<NaiveDate> {
        let day = self.falls_on(year)?;
        Some(match day.weekday() {
            Weekday::Sat => day - Duration::days(1),
            Weekday::Sun => day + Duration::days(1),
            _ => day,
        })
    }
}

/// The federal holiday for which offices are closed on this day.
pub fn holiday(day: NaiveDate) -> Option<&'static str> {
    // A New Year's Day on a Saturday is kept in the year before.
    holidays()
        .iter()
        .find(|holiday| [day.year(), day.year() + 1].iter().any(|year| holiday.observed(*year) == Some(day)))
        .map(|holiday| holiday.name.as_str())
}

fn closing(day: NaiveDate, closings: &[ClosingRule]) -> Option<&str> {
    closings.iter().find(|closing| closing.from == day).map(|closing| closing.name.as_str())
}

/// The same day, or the next that is neither weekend nor federal holiday nor one of these closings.
pub fn roll(day: NaiveDate, closings: &[ClosingRule]) -> Rolled {
    let mut rolled = Rolled { date: day, over: Vec::new() };
    loop {
        let closed = match rolled.date.weekday() {
            Weekday::Sat => Some("Saturday"),
            Weekday::Sun => Some("Sunday"),
            _ => holiday(rolled.date).or_else(|| closing(rolled.date, closings)),
        };
        match (closed, rolled.date.succ_opt()) {
            (Some(name), Some(next)) => {
                rolled.over.push(name.to_owned());
                rolled.date = next;
            }
            _ => return rolled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    /// OPM's published list of 2026.
    #[test]
    fn the_holidays_of_a_year_are_those_that_the_government_lists() {
        let observed: Vec<String> = holidays().iter().map(|h| h.observed(2026).unwrap().to_string()).collect();
        let listed = [
            "2026-01-01",
            "2026-01-19",
            "2026-02-16",
            "2026-05-25",
            "2026-06-19",
            "2026-07-03",
            "2026-09-07",
            "2026-10-12",
            "2026-11-11",
            "2026-11-26",
            "2026-12-25",
        ];
        assert_eq!(observed, listed);
    }

    #[test]
    fn a_holiday_on_a_weekend_is_kept_on_the_nearest_weekday() {
        assert_eq!(holiday(day("2021-12-31")), Some("New Year's Day"), "2022-01-01 is a Saturday");
        assert_eq!(holiday(day("2022-01-01")), None);
        assert_eq!(holiday(day("2023-01-02")), Some("New Year's Day"), "2023-01-01 is a Sunday");
        assert_eq!(holiday(day("2020-06-19")), None, "no holiday before 2021");
        assert_eq!(holiday(day("2021-06-18")), Some("Juneteenth National Independence Day"));
    }

    #[test]
    fn a_date_rolls_over_weekend_and_holiday_to_the_next_business_day() {
        let rolled = roll(day("2026-01-17"), &[]);
        assert_eq!(rolled.date, day("2026-01-20"));
        assert_eq!(rolled.over, ["Saturday", "Sunday", "Birthday of Martin Luther King, Jr."]);
        assert_eq!(roll(day("2026-07-03"), &[]).date, day("2026-07-06"));
        assert_eq!(roll(day("2021-12-31"), &[]).date, day("2022-01-03"));
        assert_eq!(roll(day("2026-01-20"), &[]), Rolled { date: day("2026-01-20"), over: vec![] });
    }

    /// Five hundred years: never more than four days on (a long weekend), never back, always a business day.
    #[test]
    fn no_roll_is_longer_than_a_long_weekend() {
        for number in 719_163..(719_163 + 182_620) {
            let day = NaiveDate::from_num_days_from_ce_opt(number).unwrap();
            let rolled = roll(day, &[]);
            assert!((rolled.date - day).num_days() as usize == rolled.over.len() && rolled.over.len() <= 3, "{day} {rolled:?}");
            assert!(rolled.date.weekday().number_from_monday() <= 5 && holiday(rolled.date).is_none(), "{day}");
        }
    }

    #[test]
    fn a_holiday_without_a_day_is_refused_by_name() {
        let text =
            "[[holiday]]\nname = \"Nowhere Day\"\nmonth = 2\nday = 30\nfrom_year = 2000\nmark = \"G\"\nsource = \"none\"\n";
        assert!(parse_holidays(text).unwrap_err().message.contains("Nowhere Day"));
    }
}
