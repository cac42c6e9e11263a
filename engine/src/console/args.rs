//! The command line's words: what `--help` teaches.

use std::path::PathBuf;

use bonded_schemas::{DeliveryId, TenantId};
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

/// CBP ACE Reports become encrypted, queryable, provable history.
///
/// Bonded takes the ES-001, ES-002 and ES-003 reports as CSV, keeps the exact bytes under the tenant's own key,
/// writes encrypted Iceberg tables, and answers reconciliation and audit questions. It observes, reconciles and
/// surfaces; it never files (19 U.S.C. 1641).
#[derive(Debug, Parser)]
#[command(name = "bonded", version, max_term_width = 110, after_help = EXAMPLES)]
pub struct Args {
    /// Settings file (TOML); `BONDED_SECTION_KEY` variables lie over it
    #[arg(long, global = true, env = "BONDED_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder or file:// URL of the lake [default: ./lake]
    #[arg(long, global = true, env = "BONDED_LAKE", value_name = "URL")]
    pub lake: Option<String>,
    /// Answer as JSON: one object, or one object a line for lists
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  bonded init
  bonded tenant add acme-imports
  bonded ingest --tenant acme-imports reports/
  bonded reconcile --tenant acme-imports
  bonded query --tenant acme-imports \"SELECT country_of_origin_code, sum(line_duty_amount) FROM entry_lines GROUP BY 1\"

Exit codes:
  0 done                      4 refused (unknown tenant, disabled key)
  1 internal failure          5 kept, but quarantined
  2 wrong usage or input      6 damaged data
  3 set-up is wrong           7 busy; run it again";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a lake and its keyring where there is none
    #[command(after_help = "Examples:\n  bonded init\n  bonded --lake /srv/customs init")]
    Init,
    /// Add a tenant, or list them
    Tenant {
        #[command(subcommand)]
        action: TenantAction,
    },
    /// Take in files: seal, parse, check, write, commit; twice is the same as once
    #[command(
        after_help = "Examples:\n  bonded ingest --tenant acme-imports ES-003.csv\n  bonded ingest --tenant acme-imports --as-of 2026-01-31 reports/\n  zcat ES-002.csv.gz | bonded ingest --tenant acme-imports -"
    )]
    Ingest(Ingest),
    /// What was delivered
    Deliveries(Which),
    /// What one delivery became: counts, control totals, drift, rejects
    Receipt(WhichDelivery),
    /// Columns that changed, and what to do about it
    #[command(
        after_help = "Examples:\n  bonded drift\n  bonded drift accept --tenant acme-imports 4f1c... --column \"Special Program Fee=money\"\n  bonded drift accept --tenant acme-imports 4f1c... --rename \"Duty Amt=Line Duty Amount\""
    )]
    Drift(Drift),
    /// Ask SQL over one tenant's tables, views (entry_summaries, entry_lines, tariff_lines) and meta.* tables
    #[command(
        after_help = "Examples:\n  bonded query --tenant acme-imports \"SELECT count(*) FROM tariff_lines\"\n  bonded query --tenant acme-imports --format csv \"SELECT * FROM meta.deliveries\"\n  bonded query --tenant acme-imports --format parquet --output lines.parquet \"SELECT * FROM entry_lines\""
    )]
    Query(Query),
    /// Compare ES-001, ES-002 and ES-003 to the cent, and judge fees, tariff numbers and rates by the rules
    #[command(
        after_help = "Examples:\n  bonded reconcile --tenant acme-imports\n  bonded reconcile --tenant acme-imports --check line_duty --json\n  bonded reconcile --tenant acme-imports --check rate_outlier --param rows_min=5"
    )]
    Reconcile(Reconcile),
    /// The checks that `reconcile` runs: what each asks, by which rule, what it needs
    #[command(
        after_help = "Examples:\n  bonded checks\n  bonded checks line_mpf\n  bonded --json checks\n\nYour own checks are .sql files in the folder that the setting query.checks_dir names."
    )]
    Checks(Checks),
    /// Totals and breakdowns: by month, filer, port, family of chapter 99, product
    #[command(
        after_help = "Examples:\n  bonded report\n  bonded report --tenant acme-imports statement_months\n  bonded report --tenant acme-imports classifications --param digits=8 --format csv"
    )]
    Report(Report),
    /// The dated rules that checks judge by, and what this lake adds to them
    #[command(
        after_help = "Examples:\n  bonded rules list\n  bonded rules list mpf\n  bonded rules add mpf --from 2026-10-01 --minimum 34.00 --maximum 660.00 --mark V --source \"the notice, with its number\"\n\nThe amounts above are made up; take them from the notice."
    )]
    Rules {
        #[command(subcommand)]
        action: RulesAction,
    },
    /// What CBP said of one entry on each date, and what changed
    #[command(after_help = "Example:\n  bonded history --tenant acme-imports XZ910000013")]
    History(History),
    /// What changed between two points in time: entries, lines and tariff rows, column by column
    #[command(
        after_help = "Examples:\n  bonded changes --tenant acme-imports --from 2026-02-01 --to 2026-03-01\n  bonded changes --tenant acme-imports --from 2026-02-01 --json"
    )]
    Changes(Changes),
    /// Entries that a later delivery should hold and does not
    #[command(after_help = "Example:\n  bonded vanished --tenant acme-imports")]
    Vanished(OneTenant),
    /// What expires next: protests, corrections, reconciliations, CAPE; with the duty at stake
    #[command(
        after_help = "Examples:\n  bonded deadlines --tenant acme-imports --within 30d\n  bonded deadlines --tenant acme-imports --within 90d --ics deadlines.ics\n  bonded deadlines --tenant acme-imports --all --json\n\nNot legal advice; confirm with your broker or counsel."
    )]
    Deadlines(Deadlines),
    /// IEEPA duty by entry, who can claim it in which phase of CAPE, and the files to upload
    #[command(
        after_help = "Examples:\n  bonded cape --tenant acme-imports\n  bonded cape --tenant acme-imports --phase 1 --out cape/\n  bonded cape read --tenant acme-imports CapeClaimDetails.csv\n\nBonded files nothing: whoever may file uploads the files."
    )]
    Cape(Cape),
    /// Findings of all runs: open, explained, resolved, recurring; each with the received lines that it rests on
    #[command(
        after_help = "Examples:\n  bonded finding list --tenant acme-imports\n  bonded finding show --tenant acme-imports 4f1c...\n  bonded finding explain --tenant acme-imports 4f1c... --note \"corrected by PSC of 2026-03-02\""
    )]
    Finding {
        #[command(subcommand)]
        action: FindingAction,
    },
    /// A second opinion: count every delivery again from the received bytes with another engine; exit code 6 if it differs
    #[command(
        after_help = "Example:\n  bonded attest --tenant acme-imports\n\nPolars reads the raw zone's bytes with a reader and a typing of its own, and rows, distinct entries, money sums and\nmonths are held against the tables and the receipt. It reads UTF-8 text (comma, tab, semicolon, vertical bar) of at\nmost attest.file_bytes_max; every other delivery is shown as not attested, with the reason."
    )]
    Attest(OneTenant),
    /// How clean each delivery and each month was, from 0 to 100
    #[command(
        after_help = "Examples:\n  bonded score --tenant acme-imports\n  bonded query --tenant acme-imports \"SELECT * FROM meta.score_months\"\n\nOf 100 points, 40 are for completeness (cells with a value in the columns that some use needs), 25 for rows (one\nunreadable row in ten loses all), 15 for the header (an error costs 15, a warning 5), 20 for findings (one entry in\nten with an error loses all; a warning counts a quarter; explained and resolved ones do not count). A quarantined\ndelivery scores 0. A month is the mean of its deliveries by as-of time. Run it after `bonded reconcile`."
    )]
    Score(Score),
    /// The encrypted tables and their sizes
    Tables(Which),
    /// The received bytes
    Raw {
        #[command(subcommand)]
        action: RawAction,
    },
    /// The tenants' keys
    Key {
        #[command(subcommand)]
        action: KeyAction,
    },
    /// Make a lake with two tenants and planted discrepancies, and find them
    Demo(Demo),
    /// Shell completions
    #[command(after_help = "Example:\n  bonded completions bash > /etc/bash_completion.d/bonded")]
    Completions { shell: clap_complete::Shell },
}

#[derive(Debug, Subcommand)]
pub enum TenantAction {
    /// A tenant with a key of its own (2 to 40 of a-z, 0-9, inner dashes)
    Add { tenant: TenantId },
    /// All tenants of the lake
    List,
}

#[derive(Debug, Subcommand)]
pub enum KeyAction {
    /// All keys and their states
    List,
    /// A new version for new data; what is there still opens, and nothing is rewritten
    Rotate {
        tenant: TenantId,
    },
    /// Nothing of the tenant opens until it is enabled again
    Disable {
        tenant: TenantId,
    },
    Enable {
        tenant: TenantId,
    },
}

#[derive(Debug, Subcommand)]
pub enum RawAction {
    /// Write the exact received bytes to standard output or a file
    Get {
        #[command(flatten)]
        which: WhichDelivery,
        /// Write here instead of standard output
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

#[derive(Debug, ClapArgs)]
pub struct Which {
    /// Only this tenant [default: all]
    #[arg(long, env = "BONDED_TENANT")]
    pub tenant: Option<TenantId>,
}

#[derive(Debug, ClapArgs)]
pub struct WhichDelivery {
    /// Delivery id, as `bonded deliveries` shows it
    pub id: DeliveryId,
    /// Look only in this tenant
    #[arg(long, env = "BONDED_TENANT")]
    pub tenant: Option<TenantId>,
}

#[derive(Debug, ClapArgs)]
pub struct Ingest {
    #[arg(long, env = "BONDED_TENANT")]
    pub tenant: TenantId,
    /// When CBP ran the report: 2026-01-31 or 2026-01-31T08:00:00Z [default: now]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub as_of: Option<chrono::DateTime<chrono::Utc>>,
    /// Files, folders (their files, by name), or - for standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

#[derive(Debug, ClapArgs)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Drift {
    #[command(flatten)]
    pub which: Which,
    #[command(subcommand)]
    pub action: Option<DriftAction>,
}

#[derive(Debug, Subcommand)]
pub enum DriftAction {
    /// Accept what a header brought: new columns join the table and are filled from what was kept
    Accept(Accept),
}

#[derive(Debug, ClapArgs)]
pub struct Accept {
    #[arg(long, env = "BONDED_TENANT")]
    pub tenant: TenantId,
    /// Fingerprint of the drift, or enough of its beginning
    pub fingerprint: String,
    /// Accept this new column, as text, money, quantity, integer or date [default: all new columns, as text]
    #[arg(long = "column", value_name = "NAME[=TYPE]")]
    pub columns: Vec<String>,
    /// This header name stands for that CBP column
    #[arg(long = "rename", value_name = "NAME=COLUMN")]
    pub renames: Vec<String>,
}

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
    /// Show this check in full, its SQL included
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
        /// Only this kind: mpf, rate, hts_per_line, family, entry_type
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

#[derive(Debug, ClapArgs)]
pub struct Demo {
    /// Entry summaries for each of the two tenants
    #[arg(long, default_value_t = 2000)]
    pub entries: u32,
    /// The same seed makes the same files and the same discrepancies
    #[arg(long, default_value_t = 20260401)]
    pub seed: u64,
}

fn parse_time(text: &str) -> Result<chrono::DateTime<chrono::Utc>, String> {
    if let Ok(time) = chrono::DateTime::parse_from_rfc3339(text) {
        return Ok(time.to_utc());
    }
    text.parse::<chrono::NaiveDate>()
        .ok()
        .and_then(|date| date.and_hms_opt(0, 0, 0))
        .map(|time| time.and_utc())
        .ok_or_else(|| format!("`{text}` is not like 2026-01-31 or 2026-01-31T08:00:00Z"))
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
