//! Restore into a bucket, where nothing is moved into its place at once.
//! Promise: only into a prefix that holds nothing, or that an earlier restore of the same lake did not finish; or where this lake
//! is, when whoever asks says that its control store is lost. Each object is written once, under its tenant's key, and compared
//! where it is there already. The control store comes last: before it, nothing there is a lake.
//! Never: an object is written over or removed.

use std::{io::Write as _, path::Path, sync::Arc};

use bonded_connectors::{
    clock::Clock,
    keys::{KeyId, keyring::Escrowed},
    lake::{
        OpenStore, S3,
        copy::{Stored, bring, carry, measure, same},
    },
    secrets::Vault,
    store::Place,
};
use bonded_schemas::{TenantId, TenantScope};
use futures::{StreamExt, TryStreamExt, stream};

use super::{
    Manifest, RULES,
    halves::{Halves, counted},
    restore::{Asked, Source, is_there, keys, listed, sibling},
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
    let found = look(bucket, manifest).await?;
    if let (Found::Lake(Some(restored)), Place::Sqlite(folder)) = (&found, &place)
        && signed(folder)?.as_ref() == Some(restored)
    {
        // It died when all was done but this.
        put_in_place(folder)?;
        return Ok((counted(asked, manifest)?, Escrowed::default()));
    }
    let is_living = matches!(found, Found::Lake(_));
    match found {
        Found::Nothing | Found::Unfinished => {}
        Found::Lake(_) if asked.is_store_lost => {}
        Found::Lake(_) => return Err(refused(bucket, "holds a lake, which may be a living one", LOST)),
        Found::Other => return Err(refused(bucket, "holds something already", "")),
    }
    let mut halves = None;
    if matches!(place, Place::Postgres { .. }) && asked.has_keys(settings) {
        let open = Halves::open(settings, vault, clock.clone(), asked, manifest, place.clone(), given.scope).await?;
        open.ask().await?;
        halves = Some(open);
    }
    if matches!(found, Found::Nothing) {
        bucket.record_root(&manifest.root).await?;
    }
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
    let halves = match halves {
        Some(halves) => halves,
        None => Halves::open(settings, vault, clock.clone(), asked, manifest, place, given.scope).await?,
    };
    let rows = halves.load().await?;
    let sign = format!("{} {}", manifest.sha256, uuid::Uuid::new_v4().simple());
    if let Some(folder) = &folder {
        sign_with(folder, &sign)?;
    }
    // Before the control store is in its place: from here on nobody else makes a lake of these objects.
    if !is_living {
        bucket.record_restored(&sign).await?;
    }
    if let Some(folder) = &folder {
        put_in_place(folder)?;
    }
    Ok((rows, escrowed))
}

const LOST: &str = ", or, if its control store is lost, say --control-store-lost";

fn refused(bucket: &S3, what: &str, or: &str) -> Error {
    let message = format!("{} {what}; restore into a prefix that holds nothing (--to){or}", bucket.root());
    Error::new(ErrorKind::Refused, message)
}

/// What lies under the prefix.
enum Found {
    Nothing,
    /// What a restore of this lake left.
    Unfinished,
    /// This lake, at home or restored; then by which restore.
    Lake(Option<String>),
    Other,
}

async fn look(bucket: &S3, manifest: &Manifest) -> Result<Found> {
    Ok(match (bucket.recorded_root().await?, bucket.restored().await?) {
        (Some(root), _) if root != manifest.root => Found::Other,
        (Some(_), None) => Found::Unfinished,
        (Some(_), restored) => Found::Lake(restored),
        (None, _) if bucket.is_empty().await? => Found::Nothing,
        (None, restored) if bucket.root() == manifest.root => Found::Lake(restored),
        (None, _) => Found::Other,
    })
}

/// In the folder that waits for its place: which restore made it whole.
const SIGN: &str = "restored";

fn sign_with(folder: &Path, sign: &str) -> Result<()> {
    let waiting = sibling(folder)?;
    let cannot = |error| Error::setup(format!("cannot write {}", waiting.display())).with_source(error);
    let mut file = std::fs::File::create(waiting.join(SIGN)).map_err(cannot)?;
    file.write_all(sign.as_bytes()).map_err(cannot)?;
    file.sync_all().map_err(cannot)?;
    std::fs::File::open(&waiting).and_then(|folder| folder.sync_all()).map_err(cannot)
}

fn signed(folder: &Path) -> Result<Option<String>> {
    let path = sibling(folder)?.join(SIGN);
    match std::fs::read_to_string(&path) {
        Ok(sign) => Ok(Some(sign)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::setup(format!("cannot read {}", path.display())).with_source(error)),
    }
}

fn put_in_place(folder: &Path) -> Result<()> {
    let cannot = |error| Error::setup(format!("cannot write {}", folder.display())).with_source(error);
    if folder.exists() {
        std::fs::remove_dir(folder).map_err(cannot)?;
    }
    std::fs::rename(sibling(folder)?, folder).map_err(cannot)?;
    std::fs::remove_file(folder.join(SIGN)).map_err(cannot)
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

/// The lake's own rules, put beside the control store whole or not at all; the same ones may be there already.
async fn rules(source: &OpenStore, stored: &Stored, folder: &Path) -> Result<()> {
    let (target, waiting) = (folder.join(RULES), folder.join(format!("{RULES}.restoring")));
    let cannot = |error| Error::setup(format!("cannot write {}", target.display())).with_source(error);
    if target.exists() {
        return match measure(&target)? == (stored.size_bytes, stored.sha256.clone()) {
            true => Ok(()),
            false => {
                let message =
                    format!("{} is not what was backed up; move it away, or name another store.folder", target.display());
                Err(Error::new(ErrorKind::Refused, message))
            }
        };
    }
    if waiting.exists() {
        std::fs::remove_dir_all(&waiting).map_err(cannot)?;
    }
    same(stored, carry(source.0.as_ref(), RULES, Some(&waiting)).await?)?;
    std::fs::rename(waiting.join(RULES), &target).map_err(cannot)?;
    std::fs::remove_dir(&waiting).map_err(cannot)
}

async fn one(given: &Given<'_>, bucket: &S3, beside: Option<&Path>, stored: &Stored) -> Result<()> {
    let source = given.source.of(&stored.path);
    if stored.path == RULES {
        let message = "the backup holds the lake's own rules, which lie beside a control store: set store.folder";
        let beside = beside.ok_or_else(|| Error::setup(message))?;
        return rules(source, stored, beside).await;
    }
    let mut parts = stored.path.split('/');
    let tenant = (parts.next() == Some("tenants")).then(|| parts.next()).flatten();
    let tenant = tenant.and_then(|name| given.manifest.tenants.iter().find(|tenant| tenant.as_str() == name));
    let Some(tenant) = tenant.filter(|_| !stored.path.split('/').any(|part| matches!(part, "" | "." | ".."))) else {
        return Err(Error::new(ErrorKind::Damaged, format!("`{}` is no path of a lake", stored.path.escape_default())));
    };
    match given.tenants.iter().any(|(known, _)| known == tenant) {
        true => {
            bring(source.0.as_ref(), stored, bucket).await?;
            Ok(bucket.retain_once(&stored.path).await?)
        }
        // Left out, by name or because its key was destroyed.
        false => Ok(()),
    }
}
