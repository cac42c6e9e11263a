//! From staging to the final place: uploads in parts, and moves that never replace anything.
//! Promise: an object appears at its place whole and, on a local file system, durable, or not at all.
//! Never: what lies at a place already is overwritten; nothing but staging is deleted.

use std::{fs::File, io, path::PathBuf};

use bonded_schemas::TenantId;
use bytes::Bytes;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, WriteMultipart, path::Path};

use super::{RawZone, staging_path};
use crate::error::{Error, ErrorKind, Result};

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
        let upload = store.put_multipart(staging).await.map_err(unwritable)?;
        Ok(Self { store, staging, parts: WriteMultipart::new_with_chunk_size(upload, PART_BYTES) })
    }

    pub(super) async fn put(&mut self, bytes: Bytes) -> Result<()> {
        self.parts.wait_for_capacity(PARTS_IN_FLIGHT_MAX).await.map_err(unwritable)?;
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
                Err(unwritable(error))
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
        let moved = self.move_if_absent(staging, path).await;
        remove_staging(self.store.as_ref(), staging).await;
        let moved = moved?;
        self.settle(path).await?;
        Ok(moved)
    }

    async fn move_if_absent(&self, staging: &Path, path: &Path) -> Result<bool> {
        // Before it gets its name, so that after a power cut no name stands for half an object.
        self.sync_local(vec![staging.to_string()]).await?;
        match self.store.copy_if_not_exists(staging, path).await {
            Ok(()) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(unwritable(error)),
        }
    }

    pub(super) async fn put_if_absent(&self, tenant: &TenantId, path: &Path, payload: PutPayload) -> Result<bool> {
        if self.local_root.is_some() {
            let staging = staging_path(tenant);
            self.store.put(&staging, payload).await.map_err(unwritable)?;
            return self.publish(&staging, path).await;
        }
        match self.store.put_opts(path, payload, PutOptions::from(PutMode::Create)).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(unwritable(error)),
        }
    }

    /// `None` when nothing lies there.
    pub(super) async fn stored_size(&self, path: &Path) -> Result<Option<u64>> {
        match self.store.head(path).await {
            Ok(found) => Ok(Some(found.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes the name of an object durable, and those of the folders above it, which may be new.
    pub(super) async fn settle(&self, path: &Path) -> Result<()> {
        let parts: Vec<_> = path.parts().map(|part| part.as_ref().to_owned()).collect();
        let folders = (0..parts.len()).rev().map(|depth| parts[..depth].join("/")).collect();
        self.sync_local(folders).await
    }

    /// Does nothing unless the store is a local file system.
    async fn sync_local(&self, paths: Vec<String>) -> Result<()> {
        let Some(root) = self.local_root.clone() else { return Ok(()) };
        let synced = tokio::task::spawn_blocking(move || {
            paths.into_iter().try_for_each(|path| sync(if path.is_empty() { root.clone() } else { root.join(path) }))
        });
        let synced = synced.await.map_err(|error| Error::new(ErrorKind::Internal, "sync did not end").with_source(error))?;
        synced.map_err(|error| Error::new(ErrorKind::Setup, "lake folder cannot be synced: check the disk").with_source(error))
    }
}

fn sync(path: PathBuf) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Left-overs in staging are harmless, so that a failure to remove one is no reason to fail.
async fn remove_staging(store: &dyn ObjectStore, staging: &Path) {
    match store.delete(staging).await {
        Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
        Err(error) => tracing::warn!(%staging, %error, "raw.staging_not_removed"),
    }
}

/// A lake that cannot be written is a matter of set-up, unless the store says otherwise.
fn unwritable(error: object_store::Error) -> Error {
    let denied = std::iter::successors(Some(&error as &(dyn std::error::Error + 'static)), |error| error.source())
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .any(|error| {
            matches!(
                error.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::StorageFull
            )
        });
    if denied {
        return Error::new(ErrorKind::Setup, "lake cannot be written: check its permissions and space").with_source(error);
    }
    Error::from(error)
}
