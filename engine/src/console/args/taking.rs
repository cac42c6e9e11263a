//! The words of what is set up and taken in: tenants, keys, files, drift, the demo.

use std::path::PathBuf;

use bonded_schemas::{DeliveryId, TenantId};
use clap::{Args as ClapArgs, Subcommand};

use crate::intake::gates::Paper;

#[derive(Debug, Subcommand)]
pub enum TenantAction {
    /// A tenant with a key of its own (2 to 40 of a-z, 0-9, inner dashes)
    Add { tenant: TenantId },
    /// All tenants of the lake
    List,
    /// Record the papers of an engagement; an address for its mail is issued only when all three are there
    #[command(
        after_help = "Example:\n  bonded tenant engage --tenant acme-imports --nda NDA-2026-014@2026-01-05 --dpa DPA-7@2026-01-05 --letter EL-3@2026-01-09 --by \"counsel@example.com\"\n\nA paper may be recorded by itself, or anew; what stood there before stays in the audit trail."
    )]
    Engage(Engage),
    /// Who may sign an order to destroy a tenant's keys
    Owner {
        #[command(subcommand)]
        action: OwnerAction,
    },
    /// Destroy a tenant's keys, and so everything they sealed; an owner must sign the order
    #[command(
        after_help = "Example, by the console and then an owner on a machine of their own:\n  bonded tenant shred request --tenant acme-imports --reason \"contract ended\" --out order.txt\n  bonded tenant owner sign --key owner.key order.txt\n  bonded tenant shred approve ORDER --signature SIGNATURE\n  bonded tenant shred finish\n  bonded tenant shred proof ORDER > proof.json\n\nFrom the approval on everything of the tenant is refused; the keys are destroyed after the waiting period."
    )]
    Shred {
        #[command(subcommand)]
        action: ShredAction,
    },
}

#[derive(Debug, ClapArgs)]
pub struct Engage {
    #[arg(long, env = "BONDED_TENANT")]
    pub tenant: TenantId,
    /// Non-disclosure agreement and the day it was signed
    #[arg(long, value_name = "REF@DATE", value_parser = parse_paper)]
    pub nda: Option<Paper>,
    /// Data processing agreement
    #[arg(long, value_name = "REF@DATE", value_parser = parse_paper)]
    pub dpa: Option<Paper>,
    /// Engagement letter
    #[arg(long, value_name = "REF@DATE", value_parser = parse_paper)]
    pub letter: Option<Paper>,
    /// Who answers for it
    #[arg(long, value_name = "WHO")]
    pub by: String,
}

fn parse_paper(text: &str) -> Result<Paper, String> {
    let paper = text
        .rsplit_once('@')
        .and_then(|(reference, date)| Some(Paper { reference: reference.to_owned(), date: date.parse().ok()? }));
    paper.ok_or_else(|| format!("`{text}` is not like NDA-2026-014@2026-01-05"))
}

#[derive(Debug, Subcommand)]
pub enum IdentifierAction {
    /// Make the tenant's address; it is shown now and never again
    Issue {
        #[arg(long, env = "BONDED_TENANT")]
        tenant: TenantId,
    },
    /// Make another address; the one before is good for the grace
    Rotate {
        #[arg(long, env = "BONDED_TENANT")]
        tenant: TenantId,
        /// How long the old address is still good: 14d, 36h, 0d; 90 days at most
        #[arg(long, default_value = "14d", value_parser = parse_grace)]
        grace: chrono::TimeDelta,
    },
    /// Take nothing for it from here on; it can be resumed
    Suspend {
        #[arg(long, env = "BONDED_TENANT")]
        tenant: TenantId,
        /// As `bonded identifier list` shows it
        identifier: String,
    },
    /// Take mail for it again
    Resume {
        #[arg(long, env = "BONDED_TENANT")]
        tenant: TenantId,
        identifier: String,
    },
    /// Public ids and states; never an address
    List {
        #[arg(long, env = "BONDED_TENANT")]
        tenant: TenantId,
    },
}

fn parse_grace(text: &str) -> Result<chrono::TimeDelta, String> {
    let grace = match text.split_at_checked(text.len().saturating_sub(1)) {
        Some((count, "d")) => count.parse::<u16>().ok().map(|days| chrono::TimeDelta::days(i64::from(days))),
        Some((count, "h")) => count.parse::<u16>().ok().map(|hours| chrono::TimeDelta::hours(i64::from(hours))),
        _ => None,
    };
    grace.ok_or_else(|| format!("`{text}` is not like 14d or 36h"))
}

impl TenantAction {
    /// An owner signs, and anybody checks a proof, on machines that never see the lake.
    pub fn needs_no_lake(&self) -> bool {
        matches!(
            self,
            TenantAction::Owner { action: OwnerAction::New { .. } | OwnerAction::Sign { .. } }
                | TenantAction::Shred { action: ShredAction::Verify { .. } }
        )
    }
}

#[derive(Debug, Subcommand)]
pub enum OwnerAction {
    /// A new signing key in a file of the owner's own; its public half is shown
    New {
        /// Must not exist yet; made readable by its owner only
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Sign the bytes of a file
    Sign {
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// What to sign, or - for standard input
        file: PathBuf,
    },
    /// Register an owner's public key; a further owner needs a registered one's signature
    Add {
        #[arg(long, env = "BONDED_TENANT")]
        tenant: TenantId,
        #[arg(long)]
        name: String,
        #[arg(long, value_name = "BASE64")]
        public_key: String,
        /// A registered owner's signature over what --text shows
        #[arg(long, value_name = "BASE64")]
        approval: Option<String>,
        /// Only show the text that a registered owner must sign
        #[arg(long)]
        text: bool,
    },
    /// The registered owners of a tenant
    List {
        #[arg(long, env = "BONDED_TENANT")]
        tenant: TenantId,
    },
}

#[derive(Debug, Subcommand)]
pub enum ShredAction {
    /// Write an order for an owner to sign; nothing is refused yet
    Request {
        #[arg(long, env = "BONDED_TENANT")]
        tenant: TenantId,
        /// One line; it lies in the clear beside the order
        #[arg(long)]
        reason: String,
        /// How long the keys wait, refusing, before they are destroyed: 7 to 30
        #[arg(long, default_value_t = 7)]
        days: u32,
        /// Write the text to be signed here
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Put an owner's signature to an order: the tenant's keys refuse from here on
    Approve {
        order: String,
        #[arg(long, value_name = "BASE64")]
        signature: String,
    },
    /// Take an order back while the keys exist
    Cancel { order: String },
    /// Destroy what is due and sign for it
    Finish,
    /// All orders and how far they are
    List,
    /// The signed proof of a finished order
    Proof { order: String },
    /// Check a proof, here or anywhere: needs no lake
    Verify {
        file: PathBuf,
        /// The lake's public key, if it is known from elsewhere
        #[arg(long, value_name = "BASE64")]
        public_key: Option<String>,
    },
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
    /// Seal the bytes and answer at once; `bonded serve` does the rest
    #[arg(long)]
    pub enqueue: bool,
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

#[derive(Debug, ClapArgs)]
pub struct Maintain {
    /// Only this tenant [default: all]
    #[arg(long, env = "BONDED_TENANT")]
    pub tenant: Option<TenantId>,
    /// Tell what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Only this step; may be given again
    #[arg(long, value_enum, value_name = "STEP")]
    pub only: Vec<crate::maintain::Step>,
}
