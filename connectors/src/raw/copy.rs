//! The raw zone of a tenant taken over from another store, object by object.
//! Promise: what is there already stays; what is copied appears whole and durable, or not at all.
//! Never: a byte is opened on the way: seals hold in any lake, for they bind paths within it.

use bonded_schemas::TenantScope;
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectStore, ObjectStoreExt, path::Path};

use super::{RawZone, folder, publish, staging_path};
use crate::{audit::Segments, error::Result};

impl RawZone {
    /// Answers how many objects were copied, sealed segments of the audit trail among them.
    pub async fn take_over(&self, scope: &TenantScope, from: &dyn ObjectStore) -> Result<u64> {
        let trail = self.take_over_folder(scope, from, Segments::prefix(scope)).await?;
        Ok(trail + self.take_over_folder(scope, from, folder(scope.tenant())).await?)
    }

    async fn take_over_folder(&self, scope: &TenantScope, from: &dyn ObjectStore, root: String) -> Result<u64> {
        let staging = format!("{}/staging/", folder(scope.tenant()));
        let mut listed = from.list(Some(&Path::from(root)));
        let mut copied = 0;
        while let Some(found) = listed.try_next().await? {
            if found.location.as_ref().starts_with(&staging) || self.stored_size(&found.location).await? == Some(found.size) {
                continue;
            }
            let beside = staging_path(scope.tenant());
            let mut upload = publish::Upload::begin(self.store.as_ref(), &beside).await?;
            let mut bytes = from.get(&found.location).await?.into_stream();
            while let Some(chunk) = bytes.next().await {
                match chunk {
                    Ok(chunk) => upload.put(chunk).await?,
                    Err(error) => return Err(upload.abandon(error.into()).await),
                }
            }
            upload.finish().await?;
            self.publish(&beside, &found.location).await?;
            copied += 1;
        }
        Ok(copied)
    }
}
