//! The keyring's backup: a folder with one file for each key, under a passphrase of its own.
//! Promise: without the passphrase the folder opens nothing; a key that is destroyed is destroyed there, too, at the next
//! backup, and its tombstone stays; what one folder tells as destroyed is restored from no other.
//! Never: a key lies in a lake's backup. A copy of this folder that nobody touches keeps what was in it, so keep one folder,
//! on a medium that can be written, and not a row of them.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::Arc,
};

use super::{
    Keyring, RootSource,
    file::{KeyEntry, KeyringFile},
    folder, root,
};
use crate::{
    clock::Clock,
    error::{Error, ErrorKind, Result},
    keys::{KeyId, KeyState},
    seal::cipher::Key,
};

/// One key's file has some kilobytes, also after many rotations.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// What a backup or a restore of keys came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Escrowed {
    pub keys: usize,
    /// Tombstones: these open nothing any more.
    pub destroyed: Vec<KeyId>,
}

impl Keyring {
    /// Writes every key's file in the folder anew, under this passphrase. Blocks while the passphrase is stretched.
    ///
    /// # Errors
    /// `Input` for an empty passphrase; `Setup` when the folder cannot be written.
    pub fn export(&self, dir: &Path, passphrase: &RootSource) -> Result<Escrowed> {
        is_passphrase(passphrase)?;
        folder::make(dir)?;
        let (description, backup_key) = root::establish(dir, passphrase)?;
        let now = self.shared.now();
        let entries = self.shared.current()?.file.keys.clone();
        let mut done = Escrowed::default();
        for entry in entries {
            let kept = match entry.state_at(now) {
                KeyState::Deleted => {
                    done.destroyed.push(entry.key_id.clone());
                    entry.tombstone()
                }
                _ => {
                    done.keys += 1;
                    entry.rewrapped(&self.shared.root_key, &backup_key)?
                }
            };
            let mut file = KeyringFile::new(description.clone(), &backup_key);
            let name = format!("{}.json", kept.key_id);
            file.keys.push(kept);
            folder::replace(dir, &name, &file.to_json(&backup_key))?;
        }
        Ok(done)
    }

    /// Makes a keyring of what these folders hold, the newest version of each key; one that any of them, or `destroyed`,
    /// tells as destroyed comes back as its tombstone.
    ///
    /// # Errors
    /// `Setup` when a keyring is there already; `Refused` when the passphrase is not the folders'; `Damaged` when a file is
    /// not as it was written.
    pub fn restore(
        dirs: &[&Path],
        passphrase: &RootSource,
        destroyed: &[KeyId],
        into: &Path,
        source: RootSource,
        clock: Arc<dyn Clock>,
    ) -> Result<Escrowed> {
        is_passphrase(passphrase)?;
        let mut roots: HashMap<String, Key> = HashMap::new();
        let mut best: BTreeMap<KeyId, (KeyEntry, Key)> = BTreeMap::new();
        for (path, file) in dirs.iter().map(|dir| files(dir)).collect::<Result<Vec<_>>>()?.into_iter().flatten() {
            let parsed = KeyringFile::parse(&file)?;
            let described = serde_json::to_string(&parsed.root).unwrap_or_default();
            let key = match roots.get(&described) {
                Some(key) => key.clone(),
                None => {
                    let key = root::obtain(into, passphrase, &parsed.root)?;
                    roots.insert(described, key.clone());
                    key
                }
            };
            if !parsed.is_opened_by(&key) {
                return Err(Error::new(ErrorKind::Refused, format!("key backup `{path}` does not open with this passphrase")));
            }
            if !parsed.is_sealed() || !parsed.is_whole(&file, &key) {
                return Err(Error::new(ErrorKind::Damaged, format!("key backup `{path}` is altered: take another one")));
            }
            for entry in parsed.keys {
                let older = best.get(&entry.key_id).is_some_and(|(kept, _)| rank(kept) >= rank(&entry));
                if !older {
                    best.insert(entry.key_id.clone(), (entry, key.clone()));
                }
            }
        }
        if best.is_empty() {
            return Err(Error::new(ErrorKind::Setup, "no key backup in the named folders"));
        }
        folder::make(into)?;
        let mut done = Escrowed::default();
        {
            let _lock = folder::lock(into)?;
            if folder::holds_keyring(into) {
                let message = format!("a keyring is already in `{}`: restore into another folder", into.display());
                return Err(Error::new(ErrorKind::Setup, message));
            }
            let (description, root_key) = root::establish(into, &source)?;
            let mut file = KeyringFile::new(description, &root_key);
            for (id, (entry, backup_key)) in best {
                if entry.state == KeyState::Deleted || destroyed.contains(&id) {
                    done.destroyed.push(id);
                    file.keys.push(entry.tombstone());
                } else {
                    done.keys += 1;
                    file.keys.push(entry.rewrapped(&backup_key, &root_key)?);
                }
            }
            folder::replace(into, folder::KEYRING, &file.to_json(&root_key))?;
        }
        Self::open(into, source, clock)?;
        Ok(done)
    }
}

/// A key file beside what it opens would keep nothing apart.
fn is_passphrase(source: &RootSource) -> Result<()> {
    match source {
        RootSource::Passphrase(_) => Ok(()),
        RootSource::KeyFile => Err(Error::new(ErrorKind::Setup, "keys are backed up under a passphrase, not a key file")),
    }
}

/// Destroyed before any other state, then the more restrictive, then the one with more versions.
fn rank(entry: &KeyEntry) -> (u8, u32) {
    let state = match entry.state {
        KeyState::Enabled => 0,
        KeyState::Disabled => 1,
        KeyState::PendingDeletion => 2,
        KeyState::Deleted => 3,
    };
    (state, entry.newest())
}

fn files(dir: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let cannot = |error: std::io::Error| {
        Error::new(ErrorKind::Setup, format!("key backup `{}` cannot be read", dir.display())).with_source(error)
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        if path.extension().is_some_and(|kind| kind == "json") {
            if path.metadata().map_err(cannot)?.len() > FILE_BYTES_MAX {
                return Err(Error::new(ErrorKind::Damaged, format!("`{}` is no key backup", path.display())));
            }
            found.push((path.display().to_string(), std::fs::read(&path).map_err(cannot)?));
        }
    }
    found.sort();
    Ok(found)
}
