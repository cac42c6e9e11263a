//! Fences: under which lease a delivery may be committed, beside the pointers that a commit swings.
//! Promise: a fence only rises; the commit checks it in its own transaction, so that a worker whose lease ran out and
//! was given to another commits nothing, however late it wakes.
//! Never: no fence row is removed, like no ledger row: a worker that slept for a week is still refused.

use super::{Connection, TenantStore};
use crate::error::{Error, ErrorKind, Result};

/// One lease's claim on a delivery. A container's covers its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    pub keyed_digest: String,
    pub token: i64,
}

impl Fence {
    pub(crate) fn passed(&self) -> Error {
        Error::new(ErrorKind::Refused, "the lease ran out and another worker has the delivery; nothing was committed")
            .with_context("token", self.token)
    }
}

impl TenantStore {
    /// Shuts out every earlier lease of the delivery, before the first step under this one.
    ///
    /// # Errors
    /// `Refused` when this or a later lease did so before.
    pub async fn raise_fence(&self, fence: &Fence) -> Result<()> {
        let done = sqlx::query(
            "INSERT INTO fences VALUES ($1, $2)
             ON CONFLICT (keyed_digest) DO UPDATE SET token = excluded.token WHERE fences.token < excluded.token",
        )
        .bind(&fence.keyed_digest)
        .bind(fence.token)
        .execute(&self.pool)
        .await?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(fence.passed()) }
    }
}

/// Whether the fence still stands as it was raised. The row is written, not read: until the transaction ends nobody can
/// raise it, so what is decided here is still true when the commit is.
pub(crate) async fn holds(fence: &Fence, transaction: &mut Connection) -> Result<bool> {
    let done = sqlx::query("UPDATE fences SET token = token WHERE keyed_digest = $1 AND token = $2")
        .bind(&fence.keyed_digest)
        .bind(fence.token)
        .execute(transaction)
        .await?;
    Ok(done.rows_affected() == 1)
}
