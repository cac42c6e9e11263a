//! The words of who may come in: members, tokens, machines.

use bonded_schemas::{Role, TenantId};
use chrono::NaiveDate;
use clap::Subcommand;

use crate::desk::Grant;

#[derive(Debug, Subcommand)]
pub enum MemberAction {
    /// Everybody in the team, and who is invited
    List {
        #[arg(long, env = "BONDED_TENANT")]
        tenant: TenantId,
    },
    /// Mail somebody a code to join by; again: another code, and this role
    Invite {
        #[arg(long, env = "BONDED_TENANT")]
        tenant: TenantId,
        email: String,
        /// owner, admin, operator or viewer
        #[arg(long)]
        role: Role,
    },
    /// Give a member another role
    Role {
        #[arg(long, env = "BONDED_TENANT")]
        tenant: TenantId,
        email: String,
        /// owner, admin, operator or viewer
        role: Role,
    },
    /// Shut a member out, at once; sessions and tokens stop
    Suspend {
        #[arg(long, env = "BONDED_TENANT")]
        tenant: TenantId,
        email: String,
    },
    /// Let a suspended member in again
    Resume {
        #[arg(long, env = "BONDED_TENANT")]
        tenant: TenantId,
        email: String,
    },
    /// Take a member or an open invite out of the team; their tokens are revoked
    Remove {
        #[arg(long, env = "BONDED_TENANT")]
        tenant: TenantId,
        email: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum TokenAction {
    /// Make a token; it is shown now and never again
    Create {
        #[arg(long, env = "BONDED_TENANT")]
        tenant: TenantId,
        /// What it is for
        name: String,
        /// read, query, deliver
        #[arg(long, value_delimiter = ',', required = true, value_parser = grant)]
        grant: Vec<Grant>,
        #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=366))]
        days: u32,
    },
    /// Tokens and machines, also those that ended
    List {
        #[arg(long, env = "BONDED_TENANT")]
        tenant: TenantId,
    },
    /// End a token or a machine's, at once
    Revoke {
        #[arg(long, env = "BONDED_TENANT")]
        tenant: TenantId,
        /// Its id, as `bonded token list` shows it
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum MachineAction {
    /// An identity for a broker's machine; its token is shown now and never again
    ///
    /// A token is of one tenant. For a power of attorney over several tenants name each: every one gets a token of its own,
    /// under the same reference and until the same day, and can be revoked by itself.
    Add {
        #[arg(long, env = "BONDED_TENANT", value_delimiter = ',', required = true)]
        tenant: Vec<TenantId>,
        name: String,
        /// Reference of the power of attorney that it delivers under
        #[arg(long)]
        poa: String,
        /// Last day (UTC) of that power of attorney
        #[arg(long, value_name = "DATE")]
        until: NaiveDate,
    },
}

fn grant(text: &str) -> Result<Grant, String> {
    Grant::parse(text).ok_or_else(|| "name read, query or deliver".into())
}
