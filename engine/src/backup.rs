//! Backup and restore: the control store as it was at one moment, the lake by reference or copied, the keys apart.
//! Promise: each tenant's catalog pointer and all that it reaches are of one moment, though ingests run; every digest is checked
//! before a restored lake can be opened; nothing is restored over what is there.
//! Never: a key, or a version of one, lies in a lake's backup, so that what is destroyed with its key stays destroyed in all
//! backups. Keys go to a folder of their own, under a passphrase of their own, each in a file that a destruction replaces.

use std::{
    io::{BufRead, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
};

use bonded_connectors::{
    keys::{KeyId, KeyState},
    lake::{
        copy::{Stored, carry, measure, sha256},
        folder_url, open_store,
    },
};
use bonded_schemas::{TenantId, TenantScope};
use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, ErrorKind, Result},
    lakehouse::Lakehouse,
};

mod halves;
mod into_bucket;
mod restore;
mod tenants;

pub(crate) use restore::passphrase;
pub use restore::{Asked, Restored, read, restore};

const FORMAT: u32 = 1;
pub const MANIFEST: &str = "backup.json";
const OBJECTS: &str = "objects.jsonl";
const CONTROL: &str = "control";
const SHARED: &str = "shared.jsonl";
const LAKE: &str = "lake";
const RULES: &str = "rules.toml";
/// Taken again so often when files that it needs went while they were copied.
const ATTEMPTS_MAX: u32 = 8;

/// What a backup holds; written last, so that one without it is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    format: u32,
    pub taken_at: String,
    pub program: String,
    /// The URL that object paths are relative to.
    pub root: String,
    /// Where the objects are, when the lake was itself restored and so goes by another root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// Whether the objects are here, or stay where they are.
    pub copied: bool,
    pub tenants: Vec<TenantId>,
    pub files: Vec<Stored>,
    pub objects: u64,
    pub object_bytes: u64,
    /// Keys that were destroyed by then: no restore brings them back.
    pub destroyed_keys: Vec<KeyId>,
    /// Of all the rest.
    sha256: String,
}

impl Manifest {
    /// Where the objects were when it was taken.
    fn place(&self) -> &str {
        self.place.as_deref().unwrap_or(&self.root)
    }

    fn digest(&self) -> Result<String> {
        Ok(sha256(&serde_json::to_vec(&Self { sha256: String::new(), ..self.clone() })?))
    }
}

/// Takes a backup into a new or empty folder.
///
/// # Errors
/// `Refused` when the folder holds something; `Retry` when files went again and again while they were copied.
pub async fn backup(house: &Lakehouse, scopes: &[TenantScope], to: &Path, copy: bool) -> Result<Manifest> {
    let cannot = |error| Error::setup(format!("cannot write the backup to {}", to.display())).with_source(error);
    std::fs::create_dir_all(to.join(CONTROL)).map_err(cannot)?;
    if std::fs::read_dir(to).map_err(cannot)?.count() > 1 || std::fs::read_dir(to.join(CONTROL)).map_err(cannot)?.count() > 0 {
        return Err(Error::new(ErrorKind::Refused, format!("{} holds something already; name a new folder", to.display())));
    }
    let mut files = Vec::new();
    let mut out = file(&to.join(CONTROL).join(SHARED))?;
    house.control().save(&mut out).await?;
    files.push(written(to, &format!("{CONTROL}/{SHARED}"), out)?);
    let mut objects = file(&to.join(OBJECTS))?;
    let (mut count, mut bytes) = (0, 0);
    let mut keep = |stored: &Stored| -> Result<()> {
        count += 1;
        bytes += stored.size_bytes;
        writeln!(objects, "{}", serde_json::to_string(stored)?).map_err(cannot)
    };
    let into = copy.then(|| to.join(LAKE));
    // The lake's own rules lie beside the control store; of a lake in a bucket that is another place.
    let beside = match (house.lake.bucket(), house.settings.store_folder()) {
        (None, _) => Some(house.lake.store()),
        (Some(_), Ok(folder)) => Some(open_store(&folder.display().to_string())?.0),
        (Some(_), Err(_)) => None,
    };
    // What lies there has no other copy, so it is taken along also where objects stay where they are.
    let copied = if house.lake.bucket().is_some() { Some(to.join(LAKE)) } else { into.clone() };
    if let Some(beside) = beside
        && let Some(rules) = carry(beside.as_ref(), RULES, copied.as_deref()).await?
    {
        keep(&rules)?;
    }
    for scope in scopes {
        for stored in tenant(house, scope, to, into.as_deref(), &mut files).await? {
            keep(&stored)?;
        }
    }
    files.push(written(to, OBJECTS, objects)?);
    let place = match house.lake.bucket() {
        Some(bucket) => bucket.root(),
        None => folder_url(&house.settings.lake)?,
    };
    let mut manifest = Manifest {
        format: FORMAT,
        taken_at: house.clock.now().to_rfc3339(),
        program: env!("CARGO_PKG_VERSION").to_owned(),
        root: house.lake.root().to_owned(),
        place: Some(place).filter(|place| place != house.lake.root()),
        copied: copy,
        tenants: scopes.iter().map(|scope| scope.tenant().clone()).collect(),
        files,
        objects: count,
        object_bytes: bytes,
        destroyed_keys: destroyed(house).await?,
        sha256: String::new(),
    };
    manifest.sha256 = manifest.digest()?;
    let mut out = file(&to.join(MANIFEST))?;
    out.write_all(&serde_json::to_vec_pretty(&manifest)?).map_err(cannot)?;
    written(to, MANIFEST, out)?;
    for scope in scopes {
        // A tenant whose key opens nothing has no trail to write to either.
        if let Ok(tenant) = house.tenant(scope).await {
            tenant.audit(house.clock.as_ref(), "backup", &manifest.sha256, "done").await?;
        }
    }
    Ok(manifest)
}

async fn destroyed(house: &Lakehouse) -> Result<Vec<KeyId>> {
    let keys = house.keys.list().await?;
    Ok(keys.into_iter().filter(|key| key.state == KeyState::Deleted).map(|key| key.key_id).collect())
}

/// One tenant: its rows first, then its objects. What lies in the lake is never changed, so objects found after the rows were
/// read are those that the rows tell of, and more. What goes meanwhile is mostly what a lost race threw away; if the rows
/// needed it, all is taken again.
async fn tenant(
    house: &Lakehouse,
    scope: &TenantScope,
    to: &Path,
    into: Option<&Path>,
    files: &mut Vec<Stored>,
) -> Result<Vec<Stored>> {
    let name = format!("{CONTROL}/{}.jsonl", scope.tenant());
    let store = house.lake.store();
    for _ in 0..ATTEMPTS_MAX {
        let ledger = house.control().make_tenant(scope).await?;
        let mut out = file(&to.join(&name))?;
        ledger.save(&mut out).await?;
        ledger.close().await;
        let rows = written(to, &name, out)?;
        let (mut found, mut any_gone) = (Vec::new(), false);
        for (path, _) in house.lake.objects(scope).await? {
            if is_of_store(&path) || path.contains("/raw/staging/") {
                continue;
            }
            match carry(store.as_ref(), &path, into).await? {
                Some(stored) => found.push(stored),
                None => any_gone = true,
            }
        }
        if whole(house, scope, &to.join(&name), &found, any_gone).await? {
            files.push(rows);
            return Ok(found);
        }
        start_over(&to.join(&name), into.map(|into| into.join("tenants").join(scope.tenant().as_str())))?;
    }
    let message =
        format!("files of {} went while they were copied, {ATTEMPTS_MAX} times; pause maintenance, or try again", scope.tenant());
    Err(Error::new(ErrorKind::Retry, message))
}

fn is_of_store(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|name| name.starts_with("control.sqlite"))
}

/// Whether all that the saved pointers reach was found. A tenant whose key opens nothing cannot be followed; then nothing of
/// it may have gone.
async fn whole(house: &Lakehouse, scope: &TenantScope, rows: &Path, found: &[Stored], any_gone: bool) -> Result<bool> {
    let Ok(tenant) = house.tenant(scope).await else { return Ok(!any_gone) };
    for (table, location, digest) in pointers(rows)? {
        let survey = tenant.tables.survey_at(&table, &location, Some(&digest)).await?;
        let is_found = |path: &String| found.binary_search_by(|stored| stored.path.as_str().cmp(path.as_str())).is_ok();
        if !survey.reached.iter().all(is_found) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Table, metadata location and digest, from the saved rows.
fn pointers(rows: &Path) -> Result<Vec<(String, String, String)>> {
    let cannot = |error| Error::setup(format!("cannot read {}", rows.display())).with_source(error);
    let mut found = Vec::new();
    for line in BufReader::new(std::fs::File::open(rows).map_err(cannot)?).lines() {
        let line: serde_json::Value = serde_json::from_str(&line.map_err(cannot)?)?;
        if line["table"] == "iceberg_tables" {
            let cell = |name: &str| line["row"][name].as_str().unwrap_or_default().to_owned();
            found.push((cell("table_name"), cell("metadata_location"), cell("metadata_sha256")));
        }
    }
    Ok(found)
}

fn start_over(rows: &Path, copied: Option<PathBuf>) -> Result<()> {
    let cannot = |error| Error::setup(format!("cannot begin {} again", rows.display())).with_source(error);
    std::fs::remove_file(rows).map_err(cannot)?;
    match copied {
        Some(folder) if folder.exists() => std::fs::remove_dir_all(&folder).map_err(cannot),
        _ => Ok(()),
    }
}

fn file(path: &Path) -> Result<BufWriter<std::fs::File>> {
    let made = std::fs::File::create_new(path);
    let made = made.map_err(|error| Error::setup(format!("cannot write {}", path.display())).with_source(error))?;
    Ok(BufWriter::new(made))
}

/// Makes a file of the backup durable and measures it.
fn written(to: &Path, name: &str, out: BufWriter<std::fs::File>) -> Result<Stored> {
    let cannot = |error| Error::setup(format!("cannot write {name}")).with_source(error);
    let file = out.into_inner().map_err(|error| cannot(error.into_error()))?;
    file.sync_all().map_err(cannot)?;
    let (size_bytes, sha256) = measure(&to.join(name))?;
    Ok(Stored { path: name.to_owned(), size_bytes, sha256 })
}
