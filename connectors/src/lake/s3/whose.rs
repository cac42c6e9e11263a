//! Which catalog has the pointers of a lake in a bucket: told by an object beside its tenants, for whoever opens it next.
//! Promise: it lies where the lake lies, so that a copy of the lake has none; it is written where none is.
//! Never: a word of what is in the tables.

use object_store::{ObjectStoreExt, path::Path};
use serde::{Deserialize, Serialize};

use super::{S3, copy};
use crate::error::{Error, ErrorKind, Result};

const CATALOG_FILE: &str = "catalog";
const BYTES_MAX: u64 = 4096;

/// A catalog beside the control store. None is recorded for a lake whose control store is the catalog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogRecord {
    pub kind: String,
    /// What the names of its databases begin with.
    pub database: String,
}

impl S3 {
    pub async fn recorded_catalog(&self) -> Result<Option<CatalogRecord>> {
        let damaged = || {
            let message = format!("`{}/{CATALOG_FILE}` does not tell of a catalog: restore it", self.root());
            Error::new(ErrorKind::Damaged, message)
        };
        let found = match self.get(&Path::from(CATALOG_FILE)).await {
            Ok(found) if found.meta.size <= BYTES_MAX => found.bytes().await?,
            Ok(_) => return Err(damaged()),
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        serde_json::from_slice(&found).map(Some).map_err(|error| damaged().with_source(error))
    }

    /// # Errors
    /// `Refused` when the lake has another.
    pub async fn record_catalog(&self, record: &CatalogRecord) -> Result<()> {
        let text = serde_json::to_string(record)
            .map_err(|error| Error::new(ErrorKind::Internal, "a catalog's record cannot be written").with_source(error))?;
        match copy::record(self, CATALOG_FILE, &text).await {
            Ok(()) => Ok(()),
            Err(error) => match self.recorded_catalog().await? {
                Some(found) if found == *record => Ok(()),
                Some(found) => {
                    let message = format!("the lake has another catalog already, database `{}`", found.database);
                    Err(Error::new(ErrorKind::Refused, message))
                }
                None => Err(error),
            },
        }
    }

    /// For a lake whose pointers are made anew elsewhere.
    pub async fn forget_catalog(&self) -> Result<()> {
        match self.delete(&Path::from(CATALOG_FILE)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
