//! The words of alerts: working them, and saying who is to hear of them.

use bonded_schemas::{Report, Role, TenantId, routing::Pace};
use chrono::{DateTime, Utc};
use clap::{Args as ClapArgs, Subcommand};

use crate::alerts::{State, routes::Form};

#[derive(Debug, Subcommand)]
pub enum AlertsAction {
    /// Open and acknowledged alerts, the oldest first
    List(AlertList),
    /// One alert: what it says, and what was done about it
    Show(OneAlert),
    /// You look after it: nobody else is called
    Ack {
        #[command(flatten)]
        alert: OneAlert,
        /// What you do about it
        #[arg(long, default_value = "")]
        note: String,
    },
    /// It is settled
    Resolve {
        #[command(flatten)]
        alert: OneAlert,
        /// Why it came, and why it is settled
        #[arg(long)]
        cause: String,
    },
    /// Tell nobody of it until then; it stays open
    Mute {
        #[command(flatten)]
        alert: OneAlert,
        /// RFC 3339, as 2026-04-01T08:00:00Z; at most 90 days ahead
        #[arg(long, required_unless_present = "end", conflicts_with = "end")]
        until: Option<DateTime<Utc>>,
        /// End the mute now
        #[arg(long)]
        end: bool,
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Who is told of a tenant's alerts, and how
    Routes {
        #[command(subcommand)]
        action: RoutesAction,
    },
    /// When alerts were last looked for, and what is wrong; exit code 3 if anything is
    Heartbeat,
}

#[derive(Debug, ClapArgs)]
pub struct AlertList {
    #[arg(long, env = "BONDED_TENANT")]
    pub tenant: Option<TenantId>,
    /// open, acknowledged or resolved
    #[arg(long)]
    pub state: Option<State>,
    /// Resolved ones as well
    #[arg(long, conflicts_with = "state")]
    pub all: bool,
    #[arg(long)]
    pub kind: Option<String>,
    #[arg(long)]
    pub report: Option<Report>,
    /// info, warning or error: this and what is worse
    #[arg(long)]
    pub severity: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub struct OneAlert {
    #[arg(long, env = "BONDED_TENANT")]
    pub tenant: TenantId,
    /// Its id as `bonded alerts list` shows it, or the beginning of it
    pub alert: String,
}

#[derive(Debug, Subcommand)]
pub enum RoutesAction {
    /// Send a tenant's alerts to members, or to a webhook; its secret is shown now and never again
    Add(AddRoute),
    /// The tenant's routes
    List {
        #[arg(long, env = "BONDED_TENANT")]
        tenant: TenantId,
    },
    Remove {
        #[arg(long, env = "BONDED_TENANT")]
        tenant: TenantId,
        /// Its id as `bonded alerts routes list` shows it, or the beginning of it
        route: String,
    },
    /// Send a message that stands for nothing, now
    Test {
        #[arg(long, env = "BONDED_TENANT")]
        tenant: TenantId,
        route: String,
    },
}

#[derive(Debug, ClapArgs)]
pub struct AddRoute {
    #[arg(long, env = "BONDED_TENANT")]
    pub tenant: TenantId,
    /// What people know it by
    pub name: String,
    /// Addresses of members
    #[arg(long, value_delimiter = ',', value_name = "ADDRESSES")]
    pub to: Vec<String>,
    /// Every active member of these roles
    #[arg(long, value_delimiter = ',', value_name = "ROLES")]
    pub role: Vec<Role>,
    /// Where the webhook's URL is read from: env:NAME or file:PATH, since a URL may be a secret
    #[arg(long, value_name = "REFERENCE", conflicts_with_all = ["to", "role"])]
    pub webhook: Option<String>,
    /// What the webhook is sent
    #[arg(long, value_enum, default_value = "bonded")]
    pub form: Form,
    /// Of these kinds alone: drift, quarantine, rejects, attest, verify, ...
    #[arg(long, value_delimiter = ',')]
    pub kind: Vec<String>,
    /// About these reports alone
    #[arg(long, value_delimiter = ',')]
    pub report: Vec<Report>,
    /// info, warning or error: this and what is worse
    #[arg(long, default_value = "info")]
    pub severity: String,
    /// `at once`, `daily 08:00 Europe/Berlin`, `weekly mon 08:00 UTC`
    #[arg(long, default_value = "at once")]
    pub pace: Pace,
    /// When nobody acknowledged for so long (as 4h), tell the admins, and after as long again the owners
    #[arg(long, value_name = "TIME")]
    pub escalate_after: Option<String>,
}
