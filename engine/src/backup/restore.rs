//! Restore: objects copied or found again by their digests, then the control store; then it is a lake.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    sync::Arc,
};

use bonded_connectors::{
    clock::Clock,
    keys::keyring::{Escrowed, Keyring, RootSource},
    lake::{
        copy::{ROOT_FILE, Stored, carry, measure},
        lake_folder, open_store,
    },
    secrets::Vault,
    store::{ControlStore, Place, identity::LakeRecord},
};
use bonded_schemas::{TenantId, TenantScope};
use serde::Serialize;

use super::{CONTROL, FORMAT, LAKE, MANIFEST, Manifest, OBJECTS, SHARED};
use crate::{
    error::{Error, ErrorKind, Result},
    lakehouse::{generated, place, root_source, unwrapped},
    settings::{KeyProvider, Settings, secret},
};

/// What is to be restored; where to is in the settings.
#[derive(Clone, Debug)]
pub struct Asked {
    pub from: PathBuf,
    /// Folders of key backups; none when the keyring is there.
    pub keys_from: Vec<PathBuf>,
    /// Other backups: what they tell of destroyed keys counts, too.
    pub newer: Vec<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Restored {
    pub lake: String,
    pub taken_at: String,
    pub tenants: Vec<TenantId>,
    pub objects: u64,
    pub bytes: u64,
    pub rows: u64,
    pub keys: usize,
    /// Keys that were destroyed since, or before, and stay so.
    pub destroyed_keys: Vec<String>,
}

/// A backup's manifest, as it was written.
pub fn read(from: &Path) -> Result<Manifest> {
    let path = from.join(MANIFEST);
    let text = std::fs::read(&path).map_err(|error| {
        Error::input(format!("no backup in {}: it has no {MANIFEST}, which is written last", from.display())).with_source(error)
    })?;
    let damaged = |what: &str| Error::new(ErrorKind::Damaged, format!("{} {what}", path.display()));
    let manifest: Manifest = serde_json::from_slice(&text).map_err(|error| damaged("is not a backup's").with_source(error))?;
    if manifest.format != FORMAT {
        return Err(damaged("is of a form that this program does not read"));
    }
    if manifest.digest()? != manifest.sha256 {
        return Err(damaged("is altered: take another backup"));
    }
    for part in &manifest.files {
        if measure(&from.join(&part.path))? != (part.size_bytes, part.sha256.clone()) {
            return Err(Error::new(ErrorKind::Damaged, format!("{} of the backup is altered: take another one", part.path)));
        }
    }
    Ok(manifest)
}

/// Makes the lake that the settings name out of a backup.
///
/// # Errors
/// `Refused` when a lake is there; `Damaged` when anything is not as it was backed up, and then there is no lake.
pub async fn restore(
    settings: &Settings,
    clock: Arc<dyn Clock>,
    asked: &Asked,
    scope: &(dyn Fn(TenantId) -> TenantScope + Send + Sync),
) -> Result<Restored> {
    let folder = lake_folder(&settings.lake)?;
    if settings.keys.provider == KeyProvider::Aws {
        return Err(Error::setup("restore takes the keys from a keyring or its backup: set keys.provider to keyring"));
    }
    let vault = settings.vault(clock.clone());
    let manifest = read(&asked.from)?;
    let mut destroyed = manifest.destroyed_keys.clone();
    for newer in &asked.newer {
        destroyed.extend(read(newer)?.destroyed_keys);
    }
    if is_there(&folder) {
        let message = format!("{} is not empty; restore into a new folder (--to)", folder.display());
        // By reference, the objects may be where they were, with no control store beside them.
        let in_place =
            !manifest.copied && !folder.join("control.sqlite").exists() && open_store(&settings.lake)?.1 == manifest.root;
        if !in_place {
            return Err(Error::new(ErrorKind::Refused, message));
        }
        compare(asked, &manifest, &settings.lake).await?;
        let keys = keys(settings, &vault, clock.clone(), asked, &destroyed).await?;
        let place = place(settings, &vault).await?;
        let rows = rows(settings, &vault, clock, asked, &manifest, place, scope).await?;
        return Ok(told(settings, &manifest, rows, &keys));
    }
    let beside = sibling(&folder)?;
    let cannot = |error| Error::setup(format!("cannot write {}", beside.display())).with_source(error);
    if beside.exists() {
        // Left by a restore that was cut short; no lake is ever opened there.
        std::fs::remove_dir_all(&beside).map_err(cannot)?;
    }
    std::fs::create_dir_all(&beside).map_err(cannot)?;
    copy(asked, &manifest, &beside).await?;
    std::fs::write(beside.join(ROOT_FILE), format!("{}\n", manifest.root)).map_err(cannot)?;
    let keys = keys(settings, &vault, clock.clone(), asked, &destroyed).await?;
    let place = match place(settings, &vault).await? {
        Place::Sqlite(_) => Place::Sqlite(beside.clone()),
        other => other,
    };
    let rows = rows(settings, &vault, clock, asked, &manifest, place, scope).await?;
    if folder.exists() {
        std::fs::remove_dir(&folder).map_err(cannot)?;
    }
    std::fs::rename(&beside, &folder).map_err(cannot)?;
    Ok(told(settings, &manifest, rows, &keys))
}

fn is_there(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some())
}

fn sibling(folder: &Path) -> Result<PathBuf> {
    let name = folder.file_name().ok_or_else(|| Error::setup(format!("lake `{}` has no name", folder.display())))?;
    let mut name = name.to_os_string();
    name.push(".restoring");
    Ok(folder.with_file_name(name))
}

fn told(settings: &Settings, manifest: &Manifest, rows: u64, keys: &Escrowed) -> Restored {
    Restored {
        lake: settings.lake.clone(),
        taken_at: manifest.taken_at.clone(),
        tenants: manifest.tenants.clone(),
        objects: manifest.objects,
        bytes: manifest.object_bytes,
        rows,
        keys: keys.keys,
        destroyed_keys: keys.destroyed.iter().map(ToString::to_string).collect(),
    }
}

fn listed(from: &Path) -> Result<impl Iterator<Item = Result<Stored>>> {
    let path = from.join(OBJECTS);
    let cannot =
        move |error| Error::new(ErrorKind::Damaged, format!("{OBJECTS} of the backup cannot be read")).with_source(error);
    let file = std::fs::File::open(path).map_err(cannot)?;
    Ok(BufReader::new(file).lines().map(move |line| Ok(serde_json::from_str(&line.map_err(cannot)?)?)))
}

async fn copy(asked: &Asked, manifest: &Manifest, to: &Path) -> Result<()> {
    let source = if manifest.copied { asked.from.join(LAKE).display().to_string() } else { manifest.root.clone() };
    let (store, _) = open_store(&source)?;
    for stored in listed(&asked.from)? {
        let stored = stored?;
        // No path of a backup leads out of the new lake.
        if stored.path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(Error::new(ErrorKind::Damaged, format!("`{}` is no path of a lake", stored.path.escape_default())));
        }
        same(&stored, carry(store.as_ref(), &stored.path, Some(to)).await?)?;
    }
    Ok(())
}

async fn compare(asked: &Asked, manifest: &Manifest, lake: &str) -> Result<()> {
    debug_assert!(!manifest.copied);
    let (store, _) = open_store(lake)?;
    for stored in listed(&asked.from)? {
        let stored = stored?;
        same(&stored, carry(store.as_ref(), &stored.path, None).await?)?;
    }
    Ok(())
}

fn same(expected: &Stored, found: Option<Stored>) -> Result<()> {
    let what = match found {
        None => "is missing",
        Some(found) if found == *expected => return Ok(()),
        Some(_) => "is not what was backed up",
    };
    Err(Error::new(ErrorKind::Damaged, format!("{} {what}; nothing was restored", expected.path)))
}

async fn keys(
    settings: &Settings,
    vault: &Vault,
    clock: Arc<dyn Clock>,
    asked: &Asked,
    destroyed: &[bonded_connectors::keys::KeyId],
) -> Result<Escrowed> {
    if asked.keys_from.is_empty() {
        return Ok(Escrowed::default());
    }
    let passphrase = passphrase(settings, vault).await?;
    let dirs: Vec<&Path> = asked.keys_from.iter().map(PathBuf::as_path).collect();
    Ok(Keyring::restore(&dirs, &passphrase, destroyed, &settings.keys_dir()?, root_source(settings, vault).await?, clock)?)
}

/// What keys are backed up under; named in the settings, like every secret.
pub(crate) async fn passphrase(settings: &Settings, vault: &Vault) -> Result<RootSource> {
    match &settings.backup.keys_passphrase {
        Some(named) => {
            let passphrase = secret(vault, "backup.keys_passphrase", named).await?;
            Ok(RootSource::Passphrase(passphrase.reveal().to_owned().into()))
        }
        None => Err(Error::setup(
            "keys are backed up under a passphrase of their own: set backup.keys_passphrase to file:PATH, env:NAME or secret://aws/NAME#field",
        )),
    }
}

async fn rows(
    settings: &Settings,
    vault: &Vault,
    clock: Arc<dyn Clock>,
    asked: &Asked,
    manifest: &Manifest,
    place: Place,
    scope: &(dyn Fn(TenantId) -> TenantScope + Send + Sync),
) -> Result<u64> {
    let open = |name: &str| -> Result<BufReader<std::fs::File>> {
        let path = asked.from.join(CONTROL).join(name);
        let file = std::fs::File::open(&path);
        Ok(BufReader::new(file.map_err(|error| Error::input(format!("cannot read {}", path.display())).with_source(error))?))
    };
    let mut control = ControlStore::create(place).await?;
    let mut founded = None;
    if control.asks_for_proof() {
        let keys = Keyring::open(&settings.keys_dir()?, root_source(settings, vault).await?, clock.clone())?;
        let secret = match lake_record(&mut open(SHARED)?)? {
            Some(record) => unwrapped(&keys, &record).await?,
            // Backed up before the lake needed a key of its own.
            None => {
                let (secret, record) = generated(&keys, clock.as_ref()).await?;
                founded = Some((record, secret.proofs()));
                secret
            }
        };
        control = control.prove(&secret.proofs()).await?;
    }
    let mut rows = 0;
    for tenant in &manifest.tenants {
        let store = control.make_tenant(&scope(tenant.clone())).await?;
        rows += store.load(&mut open(&format!("{tenant}.jsonl"))?).await?;
        store.close().await;
    }
    // Last: who is not in this list has no lake.
    rows += control.load(&mut open(SHARED)?).await?;
    if let Some((record, proofs)) = founded {
        control.put_lake_record(&record, &proofs).await?;
    }
    control.close().await;
    Ok(rows)
}

/// The lake's own record among the rows of the shared half.
fn lake_record(lines: &mut dyn BufRead) -> Result<Option<LakeRecord>> {
    for line in lines.lines() {
        let line = line.map_err(|error| Error::input(format!("cannot read {SHARED} of the backup")).with_source(error))?;
        let line: serde_json::Value = serde_json::from_str(&line)?;
        if line["table"] == "lake_identity" {
            let cell = |name: &str| line["row"][name].as_str().unwrap_or_default().to_owned();
            return Ok(Some(LakeRecord {
                key_id: cell("key_id"),
                wrapped_secret: cell("wrapped_secret"),
                public_key: cell("public_key"),
                created_at: cell("created_at"),
            }));
        }
    }
    Ok(None)
}
