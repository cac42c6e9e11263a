//! Restore: objects copied or found again by their digests, then the control store; then it is a lake.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    sync::Arc,
};

use bonded_connectors::{
    aws::Account,
    clock::Clock,
    keys::{
        KeyId,
        keyring::{Escrowed, Keyring, RootSource},
    },
    lake::{
        OpenStore,
        copy::{ROOT_FILE, Stored, carry, measure, same},
        is_s3, lake_folder, open_store,
    },
    secrets::Vault,
    store::Place,
};
use bonded_schemas::{TenantId, TenantScope};
use serde::Serialize;

use super::{
    FORMAT, LAKE, MANIFEST, Manifest, OBJECTS, RULES, SHARED,
    halves::{Halves, saved},
    into_bucket,
    tenants::Records,
};
use crate::{
    error::{Error, ErrorKind, Result},
    lakehouse::{bucket, key_service, place, root_source},
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
    /// Tenants whose keys at a service of their own open no more; nothing of them but sealed rows is restored.
    pub without: Vec<TenantId>,
    /// Whoever asks knows that the control store of the lake that is there is lost.
    pub is_store_lost: bool,
}

impl Asked {
    /// Whether the keys are there before anything is restored.
    pub(super) fn has_keys(&self, settings: &Settings) -> bool {
        self.keys_from.is_empty() || settings.keys.provider == KeyProvider::Aws
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Restored {
    pub lake: String,
    /// Where it lay when it was backed up; its tables go on naming their objects by it.
    pub root: String,
    pub taken_at: String,
    pub tenants: Vec<TenantId>,
    pub objects: u64,
    pub bytes: u64,
    pub rows: u64,
    pub keys: usize,
    /// Keys that were destroyed since, or before, and stay so.
    pub destroyed_keys: Vec<String>,
    /// Tenants of whom nothing but sealed rows was restored.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<TenantId>,
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
    settings.check_lake()?;
    let vault = settings.vault(clock.clone());
    let manifest = read(&asked.from)?;
    let mut destroyed = manifest.destroyed_keys.clone();
    for newer in &asked.newer {
        destroyed.extend(read(newer)?.destroyed_keys);
    }
    let tenants = answering(settings, &vault, clock.clone(), asked, &destroyed, scope).await?;
    let source = Source::open(settings, asked, &manifest).await?;
    if is_s3(&settings.lake) {
        let tenants = match tenants {
            Some(tenants) => tenants,
            // The keyring's keys are none of S3's: it encrypts as the bucket does.
            None => manifest.tenants.iter().map(|tenant| (tenant.clone(), KeyId(String::new()))).collect(),
        };
        let given = into_bucket::Given {
            settings,
            vault: &vault,
            clock,
            asked,
            manifest: &manifest,
            source: &source,
            destroyed: &destroyed,
            tenants: &tenants,
            scope,
        };
        let bucket = bucket(settings, &settings.lake, Account::open(settings.aws.reach()).await?).await?;
        let (rows, keys) = into_bucket::restore(&given, &bucket).await?;
        let mut restored = told(settings, &manifest, rows, &keys);
        restored.left_out =
            manifest.tenants.iter().filter(|tenant| !tenants.iter().any(|(own, _)| own == *tenant)).cloned().collect();
        return Ok(restored);
    }
    let folder = lake_folder(&settings.lake)?;
    if is_there(&folder) {
        let message = format!("{} is not empty; restore into a new folder (--to)", folder.display());
        // By reference, the objects may be where they were, with no control store beside them.
        let in_place =
            !manifest.copied && !folder.join("control.sqlite").exists() && open_store(&settings.lake)?.1 == manifest.root;
        if !in_place {
            return Err(Error::new(ErrorKind::Refused, message));
        }
        // It may live on with a control store elsewhere, and the two would sweep each other's files away.
        if !asked.is_store_lost {
            let message = format!("{message}; if the control store of the lake there is lost, say --control-store-lost");
            return Err(Error::new(ErrorKind::Refused, message));
        }
        compare(asked, &manifest, &settings.lake).await?;
        let keys = keys(settings, &vault, clock.clone(), asked, &destroyed).await?;
        let place = place(settings, &vault).await?;
        let rows = Halves::open(settings, &vault, clock, asked, &manifest, place, scope).await?.load().await?;
        return Ok(told(settings, &manifest, rows, &keys));
    }
    let place = place(settings, &vault).await?;
    let asked_first = match &place {
        Place::Postgres { .. } if asked.has_keys(settings) => {
            let halves = Halves::open(settings, &vault, clock.clone(), asked, &manifest, place.clone(), scope).await?;
            halves.ask().await?;
            Some(halves)
        }
        _ => None,
    };
    let beside = sibling(&folder)?;
    let cannot = |error| Error::setup(format!("cannot write {}", beside.display())).with_source(error);
    if beside.exists() {
        // Left by a restore that was cut short; no lake is ever opened there.
        std::fs::remove_dir_all(&beside).map_err(cannot)?;
    }
    std::fs::create_dir_all(&beside).map_err(cannot)?;
    copy(asked, &source, &beside).await?;
    std::fs::write(beside.join(ROOT_FILE), format!("{}\n", manifest.root)).map_err(cannot)?;
    let keys = keys(settings, &vault, clock.clone(), asked, &destroyed).await?;
    let place = match place {
        Place::Sqlite(_) => Place::Sqlite(beside.clone()),
        other => other,
    };
    let halves = match asked_first {
        Some(halves) => halves,
        None => Halves::open(settings, &vault, clock, asked, &manifest, place, scope).await?,
    };
    let rows = halves.load().await?;
    if folder.exists() {
        std::fs::remove_dir(&folder).map_err(cannot)?;
    }
    std::fs::rename(&beside, &folder).map_err(cannot)?;
    Ok(told(settings, &manifest, rows, &keys))
}

pub(super) fn is_there(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some())
}

pub(super) fn sibling(folder: &Path) -> Result<PathBuf> {
    let name = folder.file_name().ok_or_else(|| Error::setup(format!("lake `{}` has no name", folder.display())))?;
    let mut name = name.to_os_string();
    name.push(".restoring");
    Ok(folder.with_file_name(name))
}

fn told(settings: &Settings, manifest: &Manifest, rows: u64, keys: &Escrowed) -> Restored {
    Restored {
        lake: settings.lake.clone(),
        root: manifest.root.clone(),
        taken_at: manifest.taken_at.clone(),
        tenants: manifest.tenants.clone(),
        objects: manifest.objects,
        bytes: manifest.object_bytes,
        rows,
        keys: keys.keys,
        destroyed_keys: keys.destroyed.iter().map(ToString::to_string).collect(),
        left_out: Vec::new(),
    }
}

/// Of keys at a service of their own: the tenants whose keys open. Nothing where the keys lie in a keyring, which comes later.
async fn answering(
    settings: &Settings,
    vault: &Vault,
    clock: Arc<dyn Clock>,
    asked: &Asked,
    destroyed: &[KeyId],
    scope: &(dyn Fn(TenantId) -> TenantScope + Send + Sync),
) -> Result<Option<Vec<(TenantId, KeyId)>>> {
    if settings.keys.provider == KeyProvider::Keyring {
        return match asked.without.is_empty() {
            true => Ok(None),
            false => Err(Error::input("--without is for keys at AWS; a keyring's backup tells itself which keys were destroyed")),
        };
    }
    if !asked.keys_from.is_empty() {
        return Err(Error::input("--keys-from is for a keyring; keys at AWS are in no backup, and must be there"));
    }
    let account = Account::open(settings.aws.reach()).await?;
    let (keys, _) = key_service(settings, vault, Some(&account), clock).await?;
    let records = Records::read(&mut saved(asked, SHARED)?)?;
    Ok(Some(records.answering(settings, keys.as_ref(), &asked.without, destroyed, scope).await?))
}

/// Where a backup's objects are.
pub(super) struct Source {
    objects: OpenStore,
    /// What was copied though the objects stay where they are.
    rules: Option<OpenStore>,
}

impl Source {
    async fn open(settings: &Settings, asked: &Asked, manifest: &Manifest) -> Result<Self> {
        let copied = asked.from.join(LAKE);
        let rules = copied.join(RULES).is_file().then(|| open_store(&copied.display().to_string())).transpose()?;
        let objects = match (manifest.copied, is_s3(manifest.place())) {
            (true, _) => open_store(&copied.display().to_string())?,
            (false, true) => {
                let account = Account::open(settings.aws.reach()).await?;
                Arc::new(bucket(settings, manifest.place(), account).await?).opened().await?
            }
            (false, false) => open_store(manifest.place())?,
        };
        Ok(Self { objects, rules })
    }

    pub(super) fn of(&self, path: &str) -> &OpenStore {
        self.rules.as_ref().filter(|_| path == RULES).unwrap_or(&self.objects)
    }
}

pub(super) fn listed(from: &Path) -> Result<impl Iterator<Item = Result<Stored>>> {
    let path = from.join(OBJECTS);
    let cannot =
        move |error| Error::new(ErrorKind::Damaged, format!("{OBJECTS} of the backup cannot be read")).with_source(error);
    let file = std::fs::File::open(path).map_err(cannot)?;
    Ok(BufReader::new(file).lines().map(move |line| Ok(serde_json::from_str(&line.map_err(cannot)?)?)))
}

async fn copy(asked: &Asked, source: &Source, to: &Path) -> Result<()> {
    for stored in listed(&asked.from)? {
        let stored = stored?;
        // No path of a backup leads out of the new lake.
        if stored.path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(Error::new(ErrorKind::Damaged, format!("`{}` is no path of a lake", stored.path.escape_default())));
        }
        same(&stored, carry(source.of(&stored.path).0.as_ref(), &stored.path, Some(to)).await?)?;
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

pub(super) async fn keys(
    settings: &Settings,
    vault: &Vault,
    clock: Arc<dyn Clock>,
    asked: &Asked,
    destroyed: &[KeyId],
) -> Result<Escrowed> {
    if asked.has_keys(settings) {
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
