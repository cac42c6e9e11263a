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
    /// Compare ES-001, ES-002 and ES-003 to the cent
    #[command(
        after_help = "Examples:\n  bonded reconcile --tenant acme-imports\n  bonded reconcile --tenant acme-imports --check line_duty --json"
    )]
    Reconcile(Reconcile),
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
