//! Orphan removal: objects under a tenant's tables that nothing refers to, and has not for long.
//! An object goes when three things hold: the store says it is old; an earlier sweep saw it unreferenced, as long ago; and no
//! pointer that moved meanwhile brought it back. Both ages are by the store's own clock, so that ours may be wrong.
//! Never: a file of a commit that is running or whose answer was lost (it is younger than the grace), nothing outside the
//! tables' folder.

use std::sync::Arc;

use bonded_schemas::TenantScope;
use chrono::{DateTime, TimeDelta, Utc};
use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, path::Path};

use super::{
    super::{Lake, Tables},
    GRACE_MIN, Swept,
    references::References,
    uploads,
};
use crate::error::{Error, ErrorKind, Result};

/// Deleted between two looks at the pointers.
const REMOVED_AT_ONCE: usize = 200;

struct Orphan {
    location: Path,
    size_bytes: u64,
}

pub async fn sweep(lake: &Lake, scope: &TenantScope, tables: &Tables, grace: TimeDelta, dry_run: bool) -> Result<Swept> {
    if grace < GRACE_MIN {
        let hours = GRACE_MIN.num_hours();
        return Err(Error::new(ErrorKind::Input, format!("a grace of less than {hours} hours could delete a running delivery")));
    }
    let folder = Path::from(format!("tenants/{}/warehouse", scope.tenant()));
    let mut swept = Swept::default();
    let mut references = References::default();
    references.look(tables).await?;
    let now = store_now(&lake.store, &folder).await?;
    let oldest = now - grace;
    let mut candidates = Vec::new();
    let mut listed = lake.store.list(Some(&folder));
    while let Some(found) = listed.try_next().await? {
        swept.listed += 1;
        match references.holds(&lake.location(&found.location)) {
            true => swept.referenced += 1,
            false => candidates.push(found),
        }
    }
    // A commit that landed while the folder was listed refers to files that the first look did not see.
    if references.look(tables).await? {
        let before = candidates.len();
        candidates.retain(|found| !references.holds(&lake.location(&found.location)));
        swept.referenced += before - candidates.len();
    }
    let ledger = tables.catalog.store();
    let paths: Vec<String> = candidates.iter().map(|found| found.location.to_string()).collect();
    let seen = match dry_run {
        true => ledger.litter().await?,
        false => ledger.note_litter(&paths, now).await?,
    };
    let mut orphans = Vec::new();
    for found in candidates {
        let seen_for_long = seen.get(found.location.as_ref()).is_some_and(|first| *first <= oldest);
        match (found.last_modified <= oldest, seen_for_long) {
            (false, _) => swept.young += 1,
            (true, false) => swept.waiting += 1,
            (true, true) => orphans.push(Orphan { location: found.location, size_bytes: found.size }),
        }
    }
    for some in orphans.chunks(REMOVED_AT_ONCE) {
        references.look(tables).await?;
        remove(lake, tables, &references, some, dry_run, &mut swept).await?;
    }
    if let Some(root) = lake.local_root() {
        swept.uploads_removed = uploads::remove(&root.join(folder.as_ref()), oldest, dry_run).await?;
    }
    if let Some(bucket) = lake.bucket() {
        // The tenant's whole folder: those of the raw zone lie in no other list either.
        let whole = Path::from(format!("tenants/{}", scope.tenant()));
        swept.uploads_removed += bucket.end_uploads(&whole, oldest, dry_run).await?;
        // A crash between an object and its retention.
        swept.retained += bucket.retain_young(&whole, oldest, dry_run).await?;
    }
    Ok(swept)
}

async fn remove(
    lake: &Lake,
    tables: &Tables,
    references: &References,
    orphans: &[Orphan],
    dry_run: bool,
    swept: &mut Swept,
) -> Result<()> {
    let mut gone = Vec::new();
    for orphan in orphans {
        if references.holds(&lake.location(&orphan.location)) {
            swept.referenced += 1;
            continue;
        }
        if !dry_run {
            match lake.store.delete(&orphan.location).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            tracing::info!(target: "lake.maintain.removed", path = %orphan.location);
        }
        swept.removed += 1;
        swept.removed_bytes += orphan.size_bytes;
        gone.push(orphan.location.to_string());
    }
    if dry_run { Ok(()) } else { tables.catalog.store().forget_litter(&gone).await }
}

/// What the store takes for now: the time it gives to an object that is put just then.
pub(crate) async fn store_now(store: &Arc<dyn ObjectStore>, folder: &Path) -> Result<DateTime<Utc>> {
    let probe = folder.clone().join(format!("clock-{}", uuid::Uuid::new_v4()));
    store.put(&probe, PutPayload::from_static(b"what time is it")).await?;
    let found = store.head(&probe).await;
    store.delete(&probe).await?;
    Ok(found?.last_modified)
}
