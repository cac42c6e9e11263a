//! What a catalog beside the control store has to be: one pointer a table, moved only from where it was seen.
//! Promise of whoever implements it: of two moves from one sighting at most one is done; what is told of a move is true, or
//! says that it is not known.
//! Never: a move is tried a second time here. The first may have been done, and then the second tells of a race lost.

use std::{collections::HashMap, fmt};

use async_trait::async_trait;
use bonded_schemas::TenantId;
use iceberg::spec::TableMetadata;

use crate::error::Result;

/// Where the pointer of a table was seen, and under which version of the catalog's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub location: String,
    /// Of the metadata, as the catalog tells.
    pub sha256: Option<String>,
    pub(super) version: String,
    /// What stands beside the pointer, ours or not.
    pub(super) parameters: HashMap<String, String>,
}

/// What the pointer is to lead to.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    pub location: &'a str,
    pub previous: Option<&'a str>,
    pub sha256: &'a str,
    pub metadata: &'a TableMetadata,
}

#[async_trait]
pub trait Pointers: fmt::Debug + Send + Sync {
    /// Whether it looks at versions; a catalog that does not would lose commits. Seen once a process, not believed.
    ///
    /// # Errors
    /// `Setup` when it does not.
    async fn check(&self) -> Result<()>;

    /// The tenant's Iceberg tables.
    async fn names(&self, tenant: &TenantId) -> Result<Vec<String>>;

    async fn see(&self, tenant: &TenantId, table: &str) -> Result<Option<Seen>>;

    /// `false` when the name is taken.
    ///
    /// # Errors
    /// `Ambiguous` when it is not known whether the table was made; after any other it was not.
    async fn create(&self, tenant: &TenantId, table: &str, to: &Entry<'_>) -> Result<bool>;

    /// Moves the pointer if nothing of the table changed since it was seen.
    ///
    /// # Errors
    /// `Retry` when something did. `Ambiguous` when it is not known whether it moved, or will; after any other it did not.
    async fn swap(&self, tenant: &TenantId, table: &str, seen: &Seen, to: &Entry<'_>) -> Result<()>;

    /// Gives the pointer a new version where it stands, so that every move from an earlier sighting fails from now on.
    ///
    /// # Errors
    /// `Retry` when the table changed since it was seen.
    async fn renew(&self, tenant: &TenantId, table: &str, seen: &Seen) -> Result<Seen>;

    /// Removes the pointer; what it led to stays.
    async fn remove(&self, tenant: &TenantId, table: &str) -> Result<()>;
}
