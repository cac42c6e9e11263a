//! The words of what is expected: schedules, windows, joint checks, freshness.

use bonded_schemas::{
    Report, TenantId,
    window::{Covers, Excuse, RowBand, State},
};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use clap::{Args as ClapArgs, Subcommand};

use super::taking::parse_time;
use crate::watch::causes::Cause;

#[derive(Debug, Subcommand)]
pub enum WindowsAction {
    /// Each expected run with its state: open, on_time, late, missed, excused
    List(WindowsList),
    /// When each report is expected
    #[command(
        after_help = "Examples:\n  bonded windows schedule set --tenant acme-imports --report ES-003 --cadence \"weekly Mon 06:00\" --zone America/New_York --grace 6h --rows 1000..50000\n  bonded windows schedule set --tenant acme-imports --report ES-001 --cadence \"0 6 * * mon-fri\" --zone America/New_York --grace 12h --holidays skip\n  bonded windows schedule list"
    )]
    Schedule {
        #[command(subcommand)]
        action: ScheduleAction,
    },
    /// Learn from what arrived when each report could be expected, and what speaks for it; sets nothing
    Suggest {
        #[arg(long, env = "BONDED_TENANT")]
        tenant: TenantId,
        /// Look in this time zone only [default: the one that fits best]
        #[arg(long, value_parser = parse_zone)]
        zone: Option<Tz>,
    },
    /// What tenant and operator go through together when a run is missing
    Check {
        #[command(subcommand)]
        action: CheckAction,
    },
}

#[derive(Debug, ClapArgs)]
pub struct WindowsList {
    /// Only this tenant [default: all]
    #[arg(long, env = "BONDED_TENANT")]
    pub tenant: Option<TenantId>,
    #[arg(long)]
    pub report: Option<Report>,
    /// Only this state
    #[arg(long)]
    pub state: Option<State>,
    /// Due then or later [default: 31 days ago]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub from: Option<DateTime<Utc>>,
    /// Due then or sooner [default: in 8 days]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub until: Option<DateTime<Utc>>,
}

#[derive(Debug, Subcommand)]
pub enum ScheduleAction {
    /// Expect a report from now on, in place of what was expected of it
    Set(Box<SetSchedule>),
    /// What is expected
    List {
        /// Only this tenant [default: all]
        #[arg(long, env = "BONDED_TENANT")]
        tenant: Option<TenantId>,
    },
    /// Expect nothing of a report from now on
    Remove {
        #[arg(long, env = "BONDED_TENANT")]
        tenant: TenantId,
        #[arg(long)]
        report: Report,
    },
}

#[derive(Debug, ClapArgs)]
pub struct SetSchedule {
    #[arg(long, env = "BONDED_TENANT")]
    pub tenant: TenantId,
    #[arg(long)]
    pub report: Report,
    /// `daily 06:00`, `weekly Mon,Thu 06:00`, `monthly 1,15,last 06:00`, or five fields of cron
    #[arg(long)]
    pub cadence: String,
    /// IANA name: America/New_York
    #[arg(long)]
    pub zone: String,
    /// So long after it is due it is on time
    #[arg(long, value_parser = parse_minutes, value_name = "DURATION")]
    pub grace: u32,
    /// So long before it is due it may come
    #[arg(long, value_parser = parse_minutes, value_name = "DURATION", default_value = "1h")]
    pub early: u32,
    /// On federal holidays and in known outages: skip, shift to the next business day, expect
    #[arg(long, default_value_t = Excuse::Expect)]
    pub holidays: Excuse,
    /// As many rows as usual: 1000..50000
    #[arg(long, value_name = "BAND")]
    pub rows: Option<RowBand>,
    /// Entry dates from so many to so many days before it is due: 30..2
    #[arg(long, value_name = "SPAN")]
    pub covers: Option<Covers>,
    /// A column that must be there, by CBP's name; may be given again
    #[arg(long = "column", value_name = "NAME")]
    pub columns: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub enum CheckAction {
    /// The newest first
    List {
        /// Only this tenant [default: all]
        #[arg(long, env = "BONDED_TENANT")]
        tenant: Option<TenantId>,
        /// Also closed ones
        #[arg(long)]
        all: bool,
    },
    /// Causes with what was seen, and the steps
    Show {
        #[arg(long, env = "BONDED_TENANT")]
        tenant: TenantId,
        /// Id of the check, or enough of its end
        id: String,
    },
    /// A step is done
    Tick {
        #[arg(long, env = "BONDED_TENANT")]
        tenant: TenantId,
        /// Id of the check, or enough of its end
        id: String,
        /// Number of the step
        step: u32,
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
    },
    /// The cause is known
    Close {
        #[arg(long, env = "BONDED_TENANT")]
        tenant: TenantId,
        /// Id of the check, or enough of its end
        id: String,
        /// What it was; `other` with a note
        #[arg(long)]
        cause: Cause,
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
    },
}

#[derive(Debug, ClapArgs)]
pub struct Freshness {
    /// Only this tenant [default: all]
    #[arg(long, env = "BONDED_TENANT")]
    pub tenant: Option<TenantId>,
    /// This month in numbers instead: 2026-10
    #[arg(long, value_name = "MONTH", value_parser = parse_month, conflicts_with = "months")]
    pub month: Option<String>,
    /// Every month in numbers instead
    #[arg(long)]
    pub months: bool,
}

fn parse_zone(text: &str) -> Result<Tz, String> {
    text.parse().map_err(|_| format!("no time zone `{}`; use an IANA name such as America/New_York", text.escape_default()))
}

/// Whole minutes: `90m`, `6h`; `0m` for none.
fn parse_minutes(text: &str) -> Result<u32, String> {
    let wrong = || format!("`{}` is not like 90m or 6h", text.escape_default());
    let (count, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let count: u32 = count.parse().map_err(|_| wrong())?;
    match unit {
        "m" => Ok(count),
        "h" => count.checked_mul(60).ok_or_else(wrong),
        _ => Err(wrong()),
    }
}

pub(crate) fn parse_month(text: &str) -> Result<String, String> {
    let wrong = || format!("`{}` is not like 2026-10", text.escape_default());
    let day = format!("{text}-01").parse::<chrono::NaiveDate>().map_err(|_| wrong())?;
    if day.format("%Y-%m").to_string() == text { Ok(text.to_owned()) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_months_are_read_or_refused() {
        assert_eq!((parse_minutes("6h"), parse_minutes("90m"), parse_minutes("0m")), (Ok(360), Ok(90), Ok(0)));
        for text in ["", "h", "6", "6d", "-1h", "99999999h", "6ß"] {
            assert!(parse_minutes(text).is_err(), "{text}");
        }
        assert_eq!(parse_month("2026-10"), Ok("2026-10".to_owned()));
        for text in ["2026-13", "2026-1", "October", "2026-10-01"] {
            assert!(parse_month(text).is_err(), "{text}");
        }
    }
}
