//! The words of what is asked: queries, checks, rules, findings, history, deadlines, refunds.

use std::path::PathBuf;

use bonded_schemas::TenantId;
use clap::{Args as ClapArgs, Subcommand, ValueEnum};

use super::taking::parse_time;

#[derive(Debug, ClapArgs)]
pub struct Query {
    #[arg(long, env = "BONDED_TENANT")]
    pub tenant: TenantId,
    #[arg(long, short, value_enum)]
    pub format: Option<Format>,
    /// Write here instead of standard output
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    pub sql: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Table,
    Csv,
    Jsonl,
    Parquet,
}

#[derive(Debug, ClapArgs)]
pub struct Reconcile {
    #[arg(long, env = "BONDED_TENANT")]
    pub tenant: TenantId,
    /// Only this check; may be given again
    #[arg(long = "check", value_name = "ID")]
    pub checks: Vec<String>,
    /// A parameter of the checks, `NAME=VALUE` or `CHECK.NAME=VALUE`; may be given again
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parse_param)]
    pub params: Vec<(String, String)>,
}

#[derive(Debug, Subcommand)]
pub enum FindingAction {
    /// Open and recurring ones, or those asked for
    List(FindingList),
    /// One finding with the lines of the received files
    Show {
        #[arg(long, env = "BONDED_TENANT")]
        tenant: TenantId,
        /// Id of the finding, or enough of its beginning
        id: String,
    },
    /// Say why a finding is right as it is; it opens again when its amounts change
    Explain {
        #[arg(long, env = "BONDED_TENANT")]
        tenant: TenantId,
        /// Id of the finding, or enough of its beginning
        id: String,
        #[arg(long, value_name = "TEXT")]
        note: String,
    },
}

#[derive(Debug, ClapArgs)]
pub struct FindingList {
    #[arg(long, env = "BONDED_TENANT")]
    pub tenant: TenantId,
    /// Only this state: open, explained, resolved, recurring
    #[arg(long, conflicts_with = "all")]
    pub state: Option<crate::findings::State>,
    /// Also explained and resolved ones
    #[arg(long)]
    pub all: bool,
    /// Only this check; may be given again
    #[arg(long = "check", value_name = "ID")]
    pub checks: Vec<String>,
}

#[derive(Debug, ClapArgs)]
pub struct Score {
    #[arg(long, env = "BONDED_TENANT")]
    pub tenant: TenantId,
    /// Months only
    #[arg(long)]
    pub months: bool,
}

#[derive(Debug, ClapArgs)]
pub struct Checks {
    /// Show this question in full, its SQL included
    pub id: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub struct Report {
    /// Required to run a report
    #[arg(long, env = "BONDED_TENANT")]
    pub tenant: Option<TenantId>,
    /// Which report [default: list them]
    pub name: Option<String>,
    /// A parameter of the report; may be given again
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parse_param)]
    pub params: Vec<(String, String)>,
    #[arg(long, short, value_enum)]
    pub format: Option<Format>,
    /// Write here instead of standard output
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum RulesAction {
    /// All rules with their dates, marks and sources (V verified, S secondary, G general knowledge)
    List {
        /// Only this kind: mpf, rate, hts_per_line, family, entry_type, deadline, closing, cape_window
        kind: Option<String>,
    },
    /// Add a rule to this lake
    Add {
        #[command(subcommand)]
        rule: NewRule,
    },
}

#[derive(Debug, Subcommand)]
pub enum NewRule {
    /// Minimum and maximum of an entry's merchandise processing fee
    Mpf {
        #[command(flatten)]
        dates: Dates,
        #[arg(long, value_name = "DOLLARS")]
        minimum: String,
        #[arg(long, value_name = "DOLLARS")]
        maximum: String,
    },
    /// Rate of a line fee
    Rate {
        #[command(flatten)]
        dates: Dates,
        /// MPF or HMF
        #[arg(long)]
        fee: String,
        /// Share of the value, 0.003464 say
        #[arg(long)]
        rate: String,
    },
    /// How many tariff numbers a line may hold
    HtsPerLine {
        #[command(flatten)]
        dates: Dates,
        #[arg(long)]
        maximum: u16,
    },
    /// A family of additional duties in chapter 99
    Family {
        #[command(flatten)]
        dates: Dates,
        #[arg(long)]
        name: String,
        /// First six digits of the tariff number
        #[arg(long)]
        prefix: String,
    },
    /// An entry type
    EntryType {
        #[command(flatten)]
        dates: Dates,
        #[arg(long)]
        code: String,
    },
    /// How long a deadline runs, for entries made on or after a day. What is not said stays as the rule before has it;
    /// conditions of a new kind are written into the lake's rules.toml by hand
    Deadline {
        #[command(flatten)]
        dates: Dates,
        /// protest, psc, reconciliation_other, reconciliation_fta, voluntary_reliquidation, or a kind of your own
        #[arg(long)]
        kind: String,
        /// Column it runs from: entry_date, entry_summary_date, importation_date, liquidation_date
        #[arg(long, value_name = "COLUMN")]
        after: String,
        #[arg(long, required_unless_present = "months", conflicts_with = "months", allow_negative_numbers = true)]
        days: Option<i64>,
        #[arg(long)]
        months: Option<u32>,
        #[arg(long)]
        title: Option<String>,
        /// Who must act
        #[arg(long)]
        whose: Option<String>,
        /// Whether a weekend or holiday moves the last day
        #[arg(long)]
        rolls: Option<bool>,
    },
    /// A day on which federal offices are closed that is no holiday by rule (--from is the day)
    Closing {
        #[command(flatten)]
        dates: Dates,
        #[arg(long)]
        name: String,
    },
    /// When a phase of CAPE opens (--from) and closes (--until)
    CapeWindow {
        #[command(flatten)]
        dates: Dates,
        #[arg(long)]
        phase: u8,
    },
}

#[derive(Debug, ClapArgs)]
pub struct Dates {
    /// First day
    #[arg(long, value_name = "DATE")]
    pub from: chrono::NaiveDate,
    /// First day that is no longer covered [default: none; for mpf the next 1 October]
    #[arg(long, value_name = "DATE")]
    pub until: Option<chrono::NaiveDate>,
    /// Where it was read
    #[arg(long)]
    pub source: String,
    /// V: read in the primary source, S: in a copy or bulletin, G: general knowledge
    #[arg(long, value_enum, ignore_case = true, default_value = "s")]
    pub mark: Mark,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mark {
    V,
    S,
    G,
}

#[derive(Debug, ClapArgs)]
pub struct OneTenant {
    #[arg(long, env = "BONDED_TENANT")]
    pub tenant: TenantId,
}

#[derive(Debug, ClapArgs)]
pub struct History {
    #[arg(long, env = "BONDED_TENANT")]
    pub tenant: TenantId,
    /// Entry summary number, with or without dashes
    pub entry: String,
}

#[derive(Debug, ClapArgs)]
pub struct Changes {
    #[arg(long, env = "BONDED_TENANT")]
    pub tenant: TenantId,
    /// What had been delivered by then: 2026-01-31 (that whole day, UTC) or 2026-01-31T08:00:00Z
    #[arg(long, value_name = "TIME", value_parser = parse_end)]
    pub from: chrono::DateTime<chrono::Utc>,
    /// Against what had been delivered by then [default: now]
    #[arg(long, value_name = "TIME", value_parser = parse_end)]
    pub to: Option<chrono::DateTime<chrono::Utc>>,
}

#[derive(Debug, ClapArgs)]
pub struct Deadlines {
    #[arg(long, env = "BONDED_TENANT")]
    pub tenant: TenantId,
    /// Only those that end within so many days or weeks: 30d, 8w
    #[arg(long, value_name = "SPAN", value_parser = parse_days)]
    pub within: Option<i64>,
    /// Only this kind (protest, psc, reconciliation_other, ...); may be given again
    #[arg(long = "kind", value_name = "KIND")]
    pub kinds: Vec<String>,
    /// What expired and what is not judged, too
    #[arg(long)]
    pub all: bool,
    /// The day to count from [default: today, UTC]
    #[arg(long, value_name = "DATE")]
    pub today: Option<chrono::NaiveDate>,
    /// Write the open ones as a calendar (iCalendar)
    #[arg(long, value_name = "FILE")]
    pub ics: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Cape {
    /// Required unless a subcommand follows
    #[arg(long, env = "BONDED_TENANT")]
    pub tenant: Option<TenantId>,
    #[arg(long, default_value_t = 1)]
    pub phase: u8,
    /// The day of the declaration [default: today, UTC]
    #[arg(long, value_name = "DATE")]
    pub today: Option<chrono::NaiveDate>,
    /// Write the upload files into this folder; nothing there is overwritten
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Put entries into the files of which something cannot be told, too
    #[arg(long, requires = "out")]
    pub unsure: bool,
    #[command(subcommand)]
    pub action: Option<CapeAction>,
}

#[derive(Debug, Subcommand)]
pub enum CapeAction {
    /// Read the claim details that ACE gives back: status by entry
    Read {
        #[arg(long, env = "BONDED_TENANT")]
        tenant: TenantId,
        /// The claim details as CSV
        file: PathBuf,
    },
}

fn parse_param(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is not like rows_min=10"))?;
    Ok((name.trim().to_owned(), value.to_owned()))
}

/// A bare date means all of that day.
fn parse_end(text: &str) -> Result<chrono::DateTime<chrono::Utc>, String> {
    match text.parse::<chrono::NaiveDate>().ok().and_then(|date| date.and_hms_micro_opt(23, 59, 59, 999_999)) {
        Some(end) => Ok(end.and_utc()),
        None => parse_time(text),
    }
}

/// `30d` or `8w` as days.
fn parse_days(text: &str) -> Result<i64, String> {
    let wrong = || format!("`{text}` is not like 30d or 8w");
    let (count, days) = match text.strip_suffix('w') {
        Some(weeks) => (weeks, 7),
        None => (text.strip_suffix('d').ok_or_else(wrong)?, 1),
    };
    count.parse::<u16>().map(|count| i64::from(count) * days).map_err(|_| wrong())
}
