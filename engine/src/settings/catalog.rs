//! `[catalog]`: what holds the pointers of the lake's tables.

use bonded_connectors::lake::is_s3;
use serde::{Deserialize, Serialize};

use super::Settings;
use crate::error::{Error, Result};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CatalogSettings {
    pub kind: CatalogKind,
    /// At Glue: what the names of the databases begin with, `<database>_<tenant>`; the one of this very name has a table for
    /// the probe.
    pub database: String,
}

/// Who holds the pointers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CatalogKind {
    /// The control store.
    #[default]
    Sql,
    /// AWS's Glue, in `aws.region`; the control store has the ledger.
    Glue,
}

impl Default for CatalogSettings {
    fn default() -> Self {
        Self { kind: CatalogKind::default(), database: "bonded".into() }
    }
}

impl Settings {
    /// What holds of the lake that was named last, on the command line perhaps.
    pub(super) fn check_catalog(&self) -> Result<()> {
        if self.catalog.kind == CatalogKind::Glue && !is_s3(&self.lake) {
            return Err(Error::setup(format!(
                "settings: catalog.kind \"glue\" is for a lake on s3://, where others find its files, and `{}` is none",
                self.lake
            )));
        }
        Ok(())
    }
}
