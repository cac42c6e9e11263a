//! From staging to the final place: uploads in parts, and moves that never replace anything.
//! Promise: an object appears at its place whole, or not at all; what the store answered for is durable, by the store's own promise.
//! Never: what lies at a place already is overwritten; nothing but staging is deleted.

use bonded_schemas::TenantId;
use bytes::Bytes;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, WriteMultipart, path::Path};

use super::{RawZone, staging_path};
use crate::error::{Error, Result};

/// The least that S3 takes for a part; 10,000 of them make 48 GiB.
const PART_BYTES: usize = 5 * 1024 * 1024;
/// With the part that is being filled, two parts are in memory at most.
const PARTS_IN_FLIGHT_MAX: usize = 1;

/// An object on its way into staging.
pub(super) struct Upload<'a> {
    store: &'a dyn ObjectStore,
    staging: &'a Path,
    parts: WriteMultipart,
}

impl<'a> Upload<'a> {
    pub(super) async fn begin(store: &'a dyn ObjectStore, staging: &'a Path) -> Result<Self> {
        let upload = store.put_multipart(staging).await?;
        Ok(Self { store, staging, parts: WriteMultipart::new_with_chunk_size(upload, PART_BYTES) })
    }

    pub(super) async fn put(&mut self, bytes: Bytes) -> Result<()> {
        self.parts.wait_for_capacity(PARTS_IN_FLIGHT_MAX).await?;
        self.parts.put(bytes);
        Ok(())
    }

    /// The whole object is in staging when this returns; else nothing is.
    pub(super) async fn finish(self) -> Result<()> {
        match self.parts.finish().await {
            Ok(_) => Ok(()),
            Err(error) => {
                // The answer may have been lost after the effect.
                remove_staging(self.store, self.staging).await;
                Err(error.into())
            }
        }
    }

    pub(super) async fn discard(self) {
        if let Err(error) = self.parts.abort().await {
            tracing::warn!(staging = %self.staging, %error, "raw.staging_not_removed");
        }
    }

    /// Discards, and gives the reason on.
    pub(super) async fn abandon(self, reason: Error) -> Error {
        self.discard().await;
        reason
    }
}

impl RawZone {
    /// Moves a staged object to its place unless one is there; says whether it moved. Staging is empty afterwards.
    pub(super) async fn publish(&self, staging: &Path, path: &Path) -> Result<bool> {
        let moved = match self.store.copy_if_not_exists(staging, path).await {
            Ok(()) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        };
        remove_staging(self.store.as_ref(), staging).await;
        moved
    }

    /// By way of staging too: on a disk a name could outlive a power cut that its content does not.
    pub(crate) async fn put_if_absent(&self, tenant: &TenantId, path: &Path, payload: PutPayload) -> Result<bool> {
        if self.kind.whole_puts {
            let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            return match self.store.put_opts(path, payload, options).await {
                Ok(_) => Ok(true),
                Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
                Err(error) => Err(error.into()),
            };
        }
        let staging = staging_path(tenant);
        self.store.put(&staging, payload).await?;
        self.publish(&staging, path).await
    }

    /// `None` when nothing lies there.
    pub(super) async fn stored_size(&self, path: &Path) -> Result<Option<u64>> {
        match self.store.head(path).await {
            Ok(found) => Ok(Some(found.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Left-overs in staging are harmless, so that a failure to remove one is no reason to fail.
pub(super) async fn remove_staging(store: &dyn ObjectStore, staging: &Path) {
    match store.delete(staging).await {
        Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
        Err(error) => tracing::warn!(%staging, %error, "raw.staging_not_removed"),
    }
}
