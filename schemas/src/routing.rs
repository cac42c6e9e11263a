//! Which alerts somebody wants to hear of, and when: a filter and a pace.
//! Promise: a digest is due at one instant a day or a week in its zone, also where the clock is put forward or back.
//! Never: an unknown word is guessed at.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Datelike, Days, MappedLocalTime, NaiveTime, TimeDelta, TimeZone, Utc, Weekday};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::{
    Report, Severity,
    error::{Error, Result},
};

/// Which alerts; an empty list stands for all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Filter {
    pub kinds: Vec<String>,
    pub reports: Vec<Report>,
    /// This one and what is worse.
    pub severity: Severity,
}

impl Default for Filter {
    fn default() -> Self {
        Self { kinds: Vec::new(), reports: Vec::new(), severity: Severity::Info }
    }
}

const KINDS_MAX: usize = 32;
const KIND_CHARS_MAX: usize = 32;

impl Filter {
    /// An alert over no report passes only where no report is named.
    pub fn holds(&self, kind: &str, report: Option<Report>, severity: Severity) -> bool {
        severity >= self.severity
            && (self.kinds.is_empty() || self.kinds.iter().any(|asked| asked == kind))
            && (self.reports.is_empty() || report.is_some_and(|report| self.reports.contains(&report)))
    }

    /// # Errors
    /// `Input` for a word that no kind can be.
    pub fn check(&self) -> Result<()> {
        let is_word = |kind: &str| {
            (1..=KIND_CHARS_MAX).contains(&kind.len()) && kind.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
        };
        if self.kinds.len() > KINDS_MAX || self.reports.len() > Report::ALL.len() {
            return Err(Error::input(format!("a filter names at most {KINDS_MAX} kinds, and each report once")));
        }
        match self.kinds.iter().find(|kind| !is_word(kind)) {
            Some(kind) => Err(Error::input(format!("no alert is of kind `{}`", kind.escape_default()))),
            None => Ok(()),
        }
    }
}

/// When what passes is sent: at once, or collected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Pace {
    #[default]
    AtOnce,
    Daily {
        at: NaiveTime,
        zone: Tz,
    },
    Weekly {
        day: Weekday,
        at: NaiveTime,
        zone: Tz,
    },
}

impl Pace {
    /// The first due instant after this one; none where nothing is collected.
    pub fn next(self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let (day, at, zone) = match self {
            Pace::AtOnce => return None,
            Pace::Daily { at, zone } => (None, at, zone),
            Pace::Weekly { day, at, zone } => (Some(day), at, zone),
        };
        let today = after.with_timezone(&zone).date_naive();
        // A week and a day: today's may be over.
        (0..=8)
            .filter_map(|days| today.checked_add_days(Days::new(days)))
            .filter(|date| day.is_none_or(|day| date.weekday() == day))
            .map(|date| instant(zone, date.and_time(at)))
            .find(|due| *due > after)
    }
}

/// Of a time that the clock skips, the first after the gap; of one that it shows twice, the first.
fn instant(zone: Tz, local: chrono::NaiveDateTime) -> DateTime<Utc> {
    const STEP_MIN: i64 = 15;
    const STEPS_MAX: i32 = 100;
    let shown = |local| match zone.from_local_datetime(&local) {
        MappedLocalTime::Single(at) | MappedLocalTime::Ambiguous(at, _) => Some(at.to_utc()),
        MappedLocalTime::None => None,
    };
    let later = (0..STEPS_MAX).find_map(|step| shown(local + TimeDelta::minutes(STEP_MIN * i64::from(step))));
    // No zone skips more than a day.
    later.unwrap_or_else(|| local.and_utc())
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pace::AtOnce => f.write_str("at once"),
            Pace::Daily { at, zone } => write!(f, "daily {} {zone}", at.format("%H:%M")),
            Pace::Weekly { day, at, zone } => {
                write!(f, "weekly {} {} {zone}", day.to_string().to_lowercase(), at.format("%H:%M"))
            }
        }
    }
}

impl FromStr for Pace {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            let text = text.escape_default();
            Error::input(format!("`{text}` is no pace: `at once`, `daily 08:00 Europe/Berlin` or `weekly mon 08:00 UTC`"))
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        let time = |text: &str| NaiveTime::parse_from_str(text, "%H:%M").map_err(|_| wrong());
        let zone = |text: &str| text.parse::<Tz>().map_err(|_| wrong());
        match words.as_slice() {
            ["at", "once"] => Ok(Pace::AtOnce),
            ["daily", at, in_zone] => Ok(Pace::Daily { at: time(at)?, zone: zone(in_zone)? }),
            ["weekly", day, at, in_zone] => {
                Ok(Pace::Weekly { day: day.parse().map_err(|_| wrong())?, at: time(at)?, zone: zone(in_zone)? })
            }
            _ => Err(wrong()),
        }
    }
}

impl TryFrom<String> for Pace {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Pace> for String {
    fn from(pace: Pace) -> Self {
        pace.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("an instant")
    }

    fn next(pace: &str, after: &str) -> String {
        let pace: Pace = pace.parse().expect("a pace");
        pace.next(at(after)).expect("collected").to_rfc3339()
    }

    #[test]
    fn a_digest_is_due_once_a_day_or_week_in_its_zone() {
        assert_eq!(next("daily 08:00 UTC", "2026-04-01T07:59:59Z"), "2026-04-01T08:00:00+00:00");
        assert_eq!(next("daily 08:00 UTC", "2026-04-01T08:00:00Z"), "2026-04-02T08:00:00+00:00");
        assert_eq!(next("daily 08:00 America/New_York", "2026-01-15T12:00:00Z"), "2026-01-15T13:00:00+00:00");
        assert_eq!(next("daily 23:30 Pacific/Auckland", "2026-07-01T12:00:00Z"), "2026-07-02T11:30:00+00:00");
        // A Wednesday.
        assert_eq!(next("weekly mon 08:00 UTC", "2026-04-01T00:00:00Z"), "2026-04-06T08:00:00+00:00");
        assert_eq!(next("weekly wed 08:00 UTC", "2026-04-01T08:00:00Z"), "2026-04-08T08:00:00+00:00");
        assert_eq!(Pace::AtOnce.next(at("2026-04-01T00:00:00Z")), None);
    }

    #[test]
    fn a_skipped_hour_is_made_up_for_and_a_repeated_one_is_used_once() {
        // Berlin skips 02:00 to 03:00 on 29 March 2026 and has it twice on 25 October.
        assert_eq!(next("daily 02:30 Europe/Berlin", "2026-03-29T00:00:00Z"), "2026-03-29T01:00:00+00:00");
        assert_eq!(next("daily 02:30 Europe/Berlin", "2026-03-29T01:00:00Z"), "2026-03-30T00:30:00+00:00");
        assert_eq!(next("daily 02:30 Europe/Berlin", "2026-10-24T22:00:00Z"), "2026-10-25T00:30:00+00:00");
        assert_eq!(next("daily 02:30 Europe/Berlin", "2026-10-25T00:30:00Z"), "2026-10-26T01:30:00+00:00");
        // Over a whole year each day has one.
        for zone in ["America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia", "UTC"] {
            let pace: Pace = format!("daily 02:15 {zone}").parse().expect("a pace");
            let (mut due, mut days) = (at("2025-12-31T23:59:00Z"), 0);
            while due < at("2027-01-01T00:00:00Z") {
                let following = pace.next(due).expect("always one");
                assert!(following > due && following - due <= TimeDelta::hours(26), "{zone}: {due} {following}");
                (due, days) = (following, days + 1);
            }
            assert!((365..=367).contains(&days), "{zone}: {days}");
        }
    }

    #[test]
    fn a_pace_reads_as_it_is_written_and_nothing_else_is_one() {
        for text in ["at once", "daily 08:00 Europe/Berlin", "weekly sun 23:59 America/Los_Angeles"] {
            assert_eq!(text.parse::<Pace>().expect("a pace").to_string(), text);
        }
        for wrong in ["", "daily", "daily 8 UTC", "daily 25:00 UTC", "daily 08:00 Atlantis/Capital", "weekly 08:00 UTC", "hourly"]
        {
            wrong.parse::<Pace>().expect_err(wrong);
        }
    }

    #[test]
    fn a_filter_lets_through_what_it_names_and_is_bad_enough() {
        let filter = Filter { kinds: vec!["drift".into()], reports: vec![Report::Es003], severity: Severity::Warning };
        assert!(filter.holds("drift", Some(Report::Es003), Severity::Error));
        assert!(!filter.holds("drift", Some(Report::Es003), Severity::Info));
        assert!(!filter.holds("quarantine", Some(Report::Es003), Severity::Error));
        assert!(!filter.holds("drift", Some(Report::Es001), Severity::Error));
        assert!(!filter.holds("drift", None, Severity::Error));
        assert!(Filter::default().holds("verify", None, Severity::Info));
        filter.check().expect("well formed");
        for kind in ["", "Drift", "a b", &"a".repeat(33)] {
            Filter { kinds: vec![kind.into()], ..Filter::default() }.check().expect_err(kind);
        }
    }
}
