//! The words of what is set up and taken in: tenants, keys, files, drift, the demo.

use std::path::PathBuf;

use bonded_schemas::{DeliveryId, TenantId};
use clap::{Args as ClapArgs, Subcommand};

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
pub struct Demo {
    /// Entry summaries for each of the two tenants
    #[arg(long, default_value_t = 2000)]
    pub entries: u32,
    /// The same seed makes the same files and the same discrepancies
    #[arg(long, default_value_t = 20260401)]
    pub seed: u64,
}

/// A bare date means its first instant, UTC.
pub(super) fn parse_time(text: &str) -> Result<chrono::DateTime<chrono::Utc>, String> {
    if let Ok(time) = chrono::DateTime::parse_from_rfc3339(text) {
        return Ok(time.to_utc());
    }
    text.parse::<chrono::NaiveDate>()
        .ok()
        .and_then(|date| date.and_hms_opt(0, 0, 0))
        .map(|time| time.and_utc())
        .ok_or_else(|| format!("`{text}` is not like 2026-01-31 or 2026-01-31T08:00:00Z"))
}
