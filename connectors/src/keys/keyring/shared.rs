//! The keyring in memory: the file as it is on disk now, the keys unwrapped from it, wrapping and unwrapping.
//! Promise: a key's state is asked before its key is used, every time, against the file as it is now.
//! Never: an unwrapped key outlives the version of the file that it came from.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bonded_schemas::TenantId;
use chrono::{DateTime, Utc};
use zeroize::Zeroizing;

use super::{
    file::{KeyEntry, KeyringFile},
    folder::{self, Contents},
};
use crate::{
    clock::Clock,
    error::{Error, ErrorKind, Result},
    keys::{ENCRYPT_BYTES_MAX, EncryptionContext, KeyId, KeyState},
    seal::cipher::{self, Key},
};

const WRAP_AAD: &str = "bonded-keyring-v1";

pub(super) struct Shared {
    pub(super) dir: PathBuf,
    pub(super) root_key: Key,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) loaded: Mutex<Loaded>,
}

/// The file as last read, and the keys unwrapped from it so far.
pub(super) struct Loaded {
    contents: Contents,
    pub(super) file: KeyringFile,
    unwrapped: HashMap<(KeyId, u32), Arc<Key>>,
}

/// One version of a usable key, ready to wrap or unwrap.
struct Wrapper {
    key: KeyId,
    tenant: TenantId,
    version: u32,
    kek: Arc<Key>,
}

impl Shared {
    pub(super) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// The keyring as it is on disk now.
    pub(super) fn current(&self) -> Result<MutexGuard<'_, Loaded>> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if !loaded.contents.is_current(&self.dir)? {
            // What was unwrapped is forgotten too, so that a destroyed key does not live on here.
            *loaded = Loaded::new(folder::read(&self.dir)?, &self.root_key)?;
        }
        Ok(loaded)
    }

    /// Reads, changes and writes under the lock, so that no process undoes another's change.
    /// Destroyed keys are purged on the way, whatever becomes of the change.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut KeyringFile, &Self) -> Result<T>) -> Result<T> {
        let _lock = folder::lock(&self.dir)?;
        let mut file = Loaded::new(folder::read(&self.dir)?, &self.root_key)?.file;
        let purged = file.purge(self.now());
        let before = file.clone();
        let changed = change(&mut file, self);
        if changed.is_ok() {
            folder::replace(&self.dir, folder::KEYRING, &file.to_json(&self.root_key))?;
        } else if purged {
            folder::replace(&self.dir, folder::KEYRING, &before.to_json(&self.root_key))?;
        }
        changed
    }

    /// The newest version of a key, or a given one; refuses a key that may not be used, before anything else.
    fn wrapper(&self, key: &KeyId, version: Option<u32>, context: &EncryptionContext) -> Result<Wrapper> {
        let mut loaded = self.current()?;
        let entry = loaded.file.entry(key)?;
        let state = entry.state_at(self.now());
        if state != KeyState::Enabled {
            return Err(refused_state(entry, state));
        }
        let tenant = entry.tenant.clone();
        if context.0.get("tenant").is_some_and(|named| named != tenant.as_str()) {
            return Err(Error::new(ErrorKind::Refused, format!("key `{key}` belongs to another tenant than the context names")));
        }
        let version = version.unwrap_or(entry.newest());
        let place = (key.clone(), version);
        if let Some(kek) = loaded.unwrapped.get(&place) {
            return Ok(Wrapper { key: key.clone(), tenant, version, kek: kek.clone() });
        }
        let kek = Arc::new(entry.unwrap_version(version, &self.root_key).ok_or_else(|| does_not_open(key))??);
        loaded.unwrapped.insert(place, kek.clone());
        Ok(Wrapper { key: key.clone(), tenant, version, kek })
    }

    /// One `stat` while the file is the one last read.
    pub(super) fn check_usable(&self, key: &KeyId) -> Result<()> {
        let loaded = self.current()?;
        let entry = loaded.file.entry(key)?;
        match entry.state_at(self.now()) {
            KeyState::Enabled => Ok(()),
            state => Err(refused_state(entry, state)),
        }
    }

    pub(super) fn encrypt(&self, key: &KeyId, plaintext: &[u8], context: &EncryptionContext) -> Result<Vec<u8>> {
        let wrapper = self.wrapper(key, None, context)?;
        if plaintext.is_empty() || plaintext.len() > ENCRYPT_BYTES_MAX {
            let length = plaintext.len();
            let message = format!("key `{key}` wraps 1 to {ENCRYPT_BYTES_MAX} bytes, not {length}: wrap a data key instead");
            return Err(Error::new(ErrorKind::Input, message));
        }
        Ok(wrapper.wrap(plaintext, context))
    }

    pub(super) fn decrypt(&self, key: &KeyId, wrapped: &[u8], context: &EncryptionContext) -> Result<Zeroizing<Vec<u8>>> {
        let Some((version, sealed)) = wrapped.split_first_chunk::<4>() else {
            // The state is told first here too: a disabled key refuses even nonsense.
            self.wrapper(key, None, context)?;
            return Err(does_not_open(key));
        };
        let wrapper = self.wrapper(key, Some(u32::from_be_bytes(*version)), context)?;
        cipher::open(&wrapper.kek, &wrapper.aad(context), sealed).ok_or_else(|| does_not_open(key))
    }
}

impl Loaded {
    pub(super) fn new(contents: Contents, root_key: &Key) -> Result<Self> {
        let file = KeyringFile::parse(&contents.text)?;
        if !file.is_opened_by(root_key) {
            let message = "keyring does not open: the passphrase or root key is not the one it was made with";
            return Err(Error::new(ErrorKind::Refused, message));
        }
        if !file.is_whole(&contents.text, root_key) {
            return Err(Error::new(ErrorKind::Damaged, "keyring.json is altered: restore it"));
        }
        Ok(Self { contents, file, unwrapped: HashMap::new() })
    }
}

impl Wrapper {
    fn aad(&self, context: &EncryptionContext) -> Vec<u8> {
        let version = self.version.to_string();
        let mut parts: Vec<&[u8]> =
            vec![WRAP_AAD.as_bytes(), self.tenant.as_str().as_bytes(), self.key.0.as_bytes(), version.as_bytes()];
        for (name, value) in &context.0 {
            parts.extend([name.as_bytes(), value.as_bytes()]);
        }
        cipher::fields(&parts)
    }

    fn wrap(&self, plaintext: &[u8], context: &EncryptionContext) -> Vec<u8> {
        let mut wrapped = self.version.to_be_bytes().to_vec();
        wrapped.extend_from_slice(&cipher::seal(&self.kek, &self.aad(context), plaintext));
        wrapped
    }
}

pub(super) fn refused_state(entry: &KeyEntry, state: KeyState) -> Error {
    let key = &entry.key_id;
    let on = entry.deletion_at.map(|at| at.format("%Y-%m-%d").to_string()).unwrap_or_default();
    let message = match state {
        KeyState::Enabled | KeyState::Disabled => format!("key `{key}` is {state}: enable it first"),
        KeyState::PendingDeletion => format!("key `{key}` is pending deletion on {on}: cancel the deletion first"),
        KeyState::Deleted => format!("key `{key}` is deleted since {on}: what it wrapped cannot be opened again"),
    };
    Error::new(ErrorKind::Refused, message)
}

/// Says no more than that: which part was wrong helps only who should not know.
fn does_not_open(key: &KeyId) -> Error {
    Error::new(ErrorKind::Refused, format!("key `{key}` does not open this: wrapped by another key or context, or altered"))
}
