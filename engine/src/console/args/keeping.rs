//! The words of what keeps a lake whole: verify, rebuild, backup, restore.

use bonded_schemas::TenantId;
use clap::Args as ClapArgs;

#[derive(Debug, ClapArgs)]
pub struct Verify {
    /// Only this tenant [default: all]
    #[arg(long, env = "BONDED_TENANT")]
    pub tenant: Option<TenantId>,
    /// Only that everything is there, as long as it was and with its keys: files are not read
    #[arg(long)]
    pub quick: bool,
}

#[derive(Debug, ClapArgs)]
pub struct Rebuild {
    /// Only this tenant [default: all that have a raw zone]
    #[arg(long, env = "BONDED_TENANT")]
    pub tenant: Option<TenantId>,
    /// Make a new lake in this folder, with its own copy of the raw zone [default: in place]
    #[arg(long, value_name = "FOLDER")]
    pub to: Option<String>,
    /// In place: move the ledger and the tables that are there aside first; nothing is deleted
    #[arg(long, conflicts_with = "to")]
    pub replace: bool,
}
