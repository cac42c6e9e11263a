//! The words of what keeps a lake whole: verify, rebuild, backup, restore.

use std::path::PathBuf;

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

#[derive(Debug, ClapArgs)]
pub struct Backup {
    /// A new or empty folder
    #[arg(long, value_name = "FOLDER")]
    pub to: PathBuf,
    /// Copy the lake's objects, too, instead of only telling their digests
    #[arg(long)]
    pub copy: bool,
    /// Back up the keys into this folder, under backup.keys_passphrase; always the same folder
    #[arg(long, value_name = "FOLDER")]
    pub keys_to: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub struct Restore {
    /// Folder of the backup
    #[arg(long, value_name = "FOLDER")]
    pub from: PathBuf,
    /// Folder or s3://bucket/prefix of the new lake, empty [default: the one that --lake names]
    #[arg(long, value_name = "LAKE")]
    pub to: Option<String>,
    /// Make the keyring of this key backup; more than one may be named
    #[arg(long, value_name = "FOLDER")]
    pub keys_from: Vec<PathBuf>,
    /// A later backup: keys that it tells as destroyed are not restored
    #[arg(long, value_name = "FOLDER")]
    pub newer: Vec<PathBuf>,
    /// A tenant whose key at AWS opens no more: its objects are left out
    #[arg(long, value_name = "TENANT")]
    pub without: Vec<TenantId>,
    /// The lake that is there has lost its control store: put it back. Two of them would remove each other's files
    #[arg(long)]
    pub control_store_lost: bool,
}

#[derive(Debug, ClapArgs)]
pub struct Doctor {
    /// Also what is well
    #[arg(long)]
    pub all: bool,
    /// Take the settings as they are now for seen: they are told again once they change
    #[arg(long)]
    pub accept: bool,
}
