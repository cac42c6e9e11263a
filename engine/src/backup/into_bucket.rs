//! Restore into a bucket, where nothing is moved into its place at once.
//! Promise: only into a prefix that holds nothing, or that an earlier restore of the same lake did not finish, or where the lake lay
//! itself; each object is written once, under its tenant's key, and compared where it is there already.
//! The control store comes last: before it, nothing there is a lake.
//! Never: an object is written over or removed.

use std::{path::Path, sync::Arc};

use bonded_connectors::{
    clock::Clock,
    keys::{KeyId, keyring::Escrowed},
    lake::{
        S3,
        copy::{Stored, bring, carry, same},
    },
    secrets::Vault,
    store::Place,
};
use bonded_schemas::{TenantId, TenantScope};
use futures::{StreamExt, TryStreamExt, stream};

use super::{
    Manifest, RULES,
    restore::{Asked, Source, is_there, keys, listed, rows, sibling},
};
use crate::{
    error::{Error, ErrorKind, Result},
    lakehouse::{catalog::check_restored, place},
    settings::Settings,
};

/// Objects on their way at once; each holds a few parts in memory.
const BROUGHT_AT_ONCE: usize = 4;

/// What is restored, and from where.
pub(super) struct Given<'a> {
    pub settings: &'a Settings,
    pub vault: &'a Vault,
    pub clock: Arc<dyn Clock>,
    pub asked: &'a Asked,
    pub manifest: &'a Manifest,
    pub source: &'a Source,
    pub destroyed: &'a [KeyId],
    /// Whose objects are written, each under this key.
    pub tenants: &'a [(TenantId, KeyId)],
    pub scope: &'a (dyn Fn(TenantId) -> TenantScope + Send + Sync),
}

/// Answers the rows of the control store, and what was done about keys.
pub(super) async fn restore(given: &Given<'_>, bucket: &S3) -> Result<(u64, Escrowed)> {
    let Given { settings, vault, clock, asked, manifest, .. } = given;
    if settings.aws.lock || settings.aws.retain.is_some() {
        bucket.check_lock().await?;
    }
    let place = place(settings, vault).await?;
    if let Place::Sqlite(folder) = &place
        && is_there(folder)
    {
        let message = format!("{} is not empty; name a new folder for the control store (store.folder)", folder.display());
        return Err(Error::new(ErrorKind::Refused, message));
    }
    check_restored(settings, bucket).await?;
    begin(bucket, manifest).await?;
    for (tenant, key) in given.tenants {
        bucket.assign(tenant, key);
    }
    let beside = beside(&place, settings)?;
    stream::iter(listed(&asked.from)?)
        .map(|stored| async { one(given, bucket, beside.as_deref(), &stored?).await })
        .buffer_unordered(BROUGHT_AT_ONCE)
        .try_collect::<()>()
        .await?;
    let escrowed = keys(settings, vault, clock.clone(), asked, given.destroyed).await?;
    let (place, folder) = match place {
        Place::Sqlite(folder) => (Place::Sqlite(sibling(&folder)?), Some(folder)),
        place => (place, None),
    };
    let rows = rows(settings, vault, clock.clone(), asked, manifest, place, given.scope).await?;
    if let Some(folder) = folder {
        let cannot = |error| Error::setup(format!("cannot write {}", folder.display())).with_source(error);
        if folder.exists() {
            std::fs::remove_dir(&folder).map_err(cannot)?;
        }
        std::fs::rename(sibling(&folder)?, &folder).map_err(cannot)?;
    }
    bucket.record_restored(&manifest.sha256).await?;
    Ok((rows, escrowed))
}

/// Whether something may be written here, by what lies here.
async fn begin(bucket: &S3, manifest: &Manifest) -> Result<()> {
    let (recorded, is_restored) = (bucket.recorded_root().await?, bucket.is_restored().await?);
    let is_begun = recorded.as_ref() == Some(&manifest.root);
    let was_here = is_begun || (recorded.is_none() && bucket.root() == manifest.root);
    // By reference, the objects may be where they were, and what is lost is the control store.
    if (is_begun && !is_restored) || (was_here && !manifest.copied) {
        return Ok(());
    }
    if !bucket.is_empty().await? {
        let message = format!("{} holds something already; restore into a prefix that holds nothing (--to)", bucket.root());
        return Err(Error::new(ErrorKind::Refused, message));
    }
    Ok(bucket.record_root(&manifest.root).await?)
}

/// A new folder for what lies beside the objects; it takes its place when all is there.
fn beside(place: &Place, settings: &Settings) -> Result<Option<std::path::PathBuf>> {
    match place {
        Place::Sqlite(folder) => {
            let beside = sibling(folder)?;
            let cannot = |error| Error::setup(format!("cannot write {}", beside.display())).with_source(error);
            if beside.exists() {
                // Left by a restore that was cut short; no lake is ever opened there.
                std::fs::remove_dir_all(&beside).map_err(cannot)?;
            }
            std::fs::create_dir_all(&beside).map_err(cannot)?;
            Ok(Some(beside))
        }
        Place::Postgres { .. } => Ok(settings.store_folder().ok()),
    }
}

async fn one(given: &Given<'_>, bucket: &S3, beside: Option<&Path>, stored: &Stored) -> Result<()> {
    let source = given.source.of(&stored.path).0.as_ref();
    if stored.path == RULES {
        let message = "the backup holds the lake's own rules, which lie beside a control store: set store.folder";
        let beside = beside.ok_or_else(|| Error::setup(message))?;
        return Ok(same(stored, carry(source, RULES, Some(beside)).await?)?);
    }
    let mut parts = stored.path.split('/');
    let tenant = (parts.next() == Some("tenants")).then(|| parts.next()).flatten();
    let tenant = tenant.and_then(|name| given.manifest.tenants.iter().find(|tenant| tenant.as_str() == name));
    let Some(tenant) = tenant.filter(|_| !stored.path.split('/').any(|part| matches!(part, "" | "." | ".."))) else {
        return Err(Error::new(ErrorKind::Damaged, format!("`{}` is no path of a lake", stored.path.escape_default())));
    };
    match given.tenants.iter().any(|(known, _)| known == tenant) {
        true => {
            bring(source, stored, bucket).await?;
            Ok(bucket.retain_once(&stored.path).await?)
        }
        // Left out, by name or because its key was destroyed.
        false => Ok(()),
    }
}
