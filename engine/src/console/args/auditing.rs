//! The words of the audit trail: reading it, its heads, what proves it.

use std::path::PathBuf;

use bonded_connectors::audit::chain::Head;
use bonded_schemas::TenantId;
use chrono::{DateTime, Utc};
use clap::{Args as ClapArgs, Subcommand};

use super::{Which, taking::parse_time};
use crate::audit::{export::Form, trail::Filter};

#[derive(Debug, ClapArgs)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Audit {
    /// A tenant's trail [default: the lake's own]
    #[arg(long, env = "BONDED_TENANT")]
    pub tenant: Option<TenantId>,
    #[command(flatten)]
    pub events: Events,
    /// The newest so many
    #[arg(long, value_name = "COUNT")]
    pub limit: Option<usize>,
    /// As CSV
    #[arg(long)]
    pub csv: bool,
    #[command(subcommand)]
    pub action: Option<AuditAction>,
}

/// Which events; all conditions hold.
#[derive(Debug, Default, ClapArgs)]
pub struct Events {
    /// Only of this actor: an e-mail, console:<user>, a machine
    #[arg(long)]
    pub who: Option<String>,
    /// Only of this object; `abc*` is all that begin so
    #[arg(long)]
    pub object: Option<String>,
    /// Only this action, or group of them: `key` is `key.rotate`, too
    #[arg(long)]
    pub action: Option<String>,
    /// From this time on: 2026-01-31 or 2026-01-31T08:00:00Z
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub since: Option<DateTime<Utc>>,
    /// Before this time
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub until: Option<DateTime<Utc>>,
}

impl Events {
    pub fn filter(&self) -> Filter {
        let Self { who, object, action, since, until } = self;
        Filter { who: who.clone(), object: object.clone(), action: action.clone(), since: *since, until: *until }
    }
}

#[derive(Debug, Subcommand)]
pub enum AuditAction {
    /// Sign the heads of the trails and show them; keep them somewhere else
    Head(Which),
    /// Seal the newest events into segments in the object store, under the tenant's key
    Seal(Which),
    /// Write a trail with its proof into a file; events that are not asked for are in it as digests
    Export {
        /// A tenant's trail [default: the lake's own]
        #[arg(long, env = "BONDED_TENANT")]
        tenant: Option<TenantId>,
        /// Must not exist yet
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
        #[arg(long, value_enum, default_value_t = Form::Jsonl)]
        format: Form,
        #[command(flatten)]
        events: Events,
    },
    /// Check an export, here or anywhere: needs no lake and no key
    Verify {
        #[arg(long, value_name = "FILE")]
        export: PathBuf,
        /// A head that was kept elsewhere, as `bonded audit head` printed it; may be given again
        #[arg(long = "head", value_name = "EVENTS HASH", value_parser = parse_head)]
        heads: Vec<Head>,
        /// The lake's public key, if it is known from elsewhere; may be given again
        #[arg(long = "public-key", value_name = "BASE64")]
        public_keys: Vec<String>,
        /// An export of the lake's own trail, which has the heads of the tenants' in it
        #[arg(long, value_name = "FILE")]
        lake_export: Option<PathBuf>,
    },
}

fn parse_head(text: &str) -> Result<Head, String> {
    text.parse().map_err(|error: bonded_connectors::Error| error.to_string())
}
