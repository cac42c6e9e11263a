//! What a crash left in staging: half-made uploads and objects that never got their name.
//! Promise: only staging is looked at, and only what is older than any landing takes.
//! Never: a landed object or its note is touched; the raw zone has no delete.

use bonded_schemas::TenantScope;
use chrono::TimeDelta;
use futures::TryStreamExt;
use object_store::path::Path;
use serde::Serialize;

use super::{RawZone, folder, publish::remove_staging};
use crate::{
    error::{Error, ErrorKind, Result},
    lake::maintain::{GRACE_MIN, remove_uploads, store_now},
};

/// What a sweep of staging found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StagingSwept {
    pub young: usize,
    pub removed: usize,
    pub removed_bytes: u64,
    pub uploads_removed: usize,
}

impl RawZone {
    /// Removes what lies in the tenant's staging for longer than `grace`, by the store's clock. `local_root` is the lake's
    /// folder, where there is one: unfinished uploads lie there unlisted.
    ///
    /// # Errors
    /// `Input` when the grace is less than a day.
    pub async fn sweep_staging(
        &self,
        scope: &TenantScope,
        local_root: Option<std::path::PathBuf>,
        grace: TimeDelta,
        dry_run: bool,
    ) -> Result<StagingSwept> {
        if grace < GRACE_MIN {
            return Err(Error::new(ErrorKind::Input, "a grace of less than a day could remove a file that is being landed"));
        }
        let staging = Path::from(format!("{}/staging", folder(scope.tenant())));
        let oldest = store_now(&self.store, &staging).await? - grace;
        let mut swept = StagingSwept::default();
        let mut listed = self.store.list(Some(&staging));
        while let Some(found) = listed.try_next().await? {
            if found.last_modified > oldest {
                swept.young += 1;
                continue;
            }
            if !dry_run {
                remove_staging(self.store.as_ref(), &found.location).await;
            }
            swept.removed += 1;
            swept.removed_bytes += found.size;
        }
        if let Some(root) = local_root {
            swept.uploads_removed = remove_uploads(&root.join(staging.as_ref()), oldest, dry_run).await?;
        }
        Ok(swept)
    }
}
