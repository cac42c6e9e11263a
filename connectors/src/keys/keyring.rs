//! The embedded key service: tenants' keys in one folder, under one root key.
//! Promise: every change is durable and seen by the other processes at their next use; old versions still open.
//! Never: whoever can write the folder is not defended against (they hold the root key); a backup made before a
//! deletion keeps what was deleted, so keep the root key and the backups of the keyring apart.
//!
//! A wrap is `version u32 big-endian || nonce(12) || ciphertext || tag(16)`, AES-256-GCM under that version's key,
//! authenticated with `fields("bonded-keyring-v1", tenant, key id, version, then each context key and value)`, where
//! `fields` is each text as a big-endian u32 length and its UTF-8 bytes, and the version is in decimal.

use std::{
    fmt,
    path::Path,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bonded_schemas::TenantId;
use chrono::{DateTime, TimeDelta, Utc};
use iceberg::encryption::{GeneratedKey, KeyManagementClient, SensitiveBytes};
use zeroize::Zeroizing;

use self::{
    file::{KeyEntry, KeyringFile},
    shared::{Loaded, Shared, refused_state},
};
use super::{DELETION_DAYS, DataKey, EncryptionContext, KeyId, KeyInfo, KeyState, Keys, for_iceberg};
use crate::{
    clock::Clock,
    error::{Error, ErrorKind, Result},
    seal::cipher,
};

mod escrow;
mod file;
mod folder;
mod root;
mod shared;
#[cfg(test)]
mod tests;

pub use escrow::Escrowed;
pub use root::RootSource;

/// Keys in a folder. Cheap to clone; clones share one cache.
#[derive(Clone)]
pub struct Keyring {
    shared: Arc<Shared>,
}

impl Keyring {
    /// Makes the folder (0700), the root key and an empty keyring. A `root.key` that is already there is used.
    ///
    /// # Errors
    /// `Setup` when the folder holds a keyring already, or cannot be written, or `root.key` is open to others.
    pub fn create(dir: &Path, root: RootSource, clock: Arc<dyn Clock>) -> Result<Self> {
        folder::make(dir)?;
        {
            let _lock = folder::lock(dir)?;
            if folder::holds_keyring(dir) {
                let message = format!("a keyring is already in `{}`: open it, or choose another folder", dir.display());
                return Err(Error::new(ErrorKind::Setup, message));
            }
            let (description, root_key) = root::establish(dir, &root)?;
            folder::replace(dir, folder::KEYRING, &KeyringFile::new(description, &root_key).to_json(&root_key))?;
        }
        Self::open(dir, root, clock)
    }

    /// Opens a keyring and destroys the keys whose deletion date has passed. With a passphrase it takes 64 MiB and
    /// a good part of a second.
    ///
    /// # Errors
    /// `Setup` when there is none, or it opens in another way; `Refused` when the root key or passphrase is not the
    /// right one; `Damaged` when the file is not whole.
    pub fn open(dir: &Path, root: RootSource, clock: Arc<dyn Clock>) -> Result<Self> {
        let contents = folder::read(dir)?;
        let root_key = root::obtain(dir, &root, &KeyringFile::parse(&contents.text)?.root)?;
        let loaded = Loaded::new(contents, &root_key)?;
        let due = loaded.file.clone().purge(clock.now());
        let shared = Shared { dir: dir.to_owned(), root_key, clock, loaded: Mutex::new(loaded) };
        if due {
            shared.change(|_, _| Ok(()))?;
        }
        Ok(Self { shared: Arc::new(shared) })
    }

    /// File locks and syncs block, so changes run where blocking is allowed.
    async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut KeyringFile, &Shared) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let shared = self.shared.clone();
        tokio::task::spawn_blocking(move || shared.change(change))
            .await
            .map_err(|error| Error::new(ErrorKind::Internal, "keyring change did not end").with_source(error))?
    }

    /// Changes one key, given its state now.
    async fn change_key<T: Send + 'static>(
        &self,
        key: &KeyId,
        change: impl FnOnce(&mut KeyEntry, KeyState, &Shared) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let key = key.clone();
        self.change(move |file, shared| {
            let entry = file.entry_mut(&key)?;
            let state = entry.state_at(shared.clock.now());
            change(entry, state, shared)
        })
        .await
    }
}

#[async_trait]
impl Keys for Keyring {
    async fn create_key(&self, tenant: &TenantId) -> Result<KeyId> {
        let tenant = tenant.clone();
        self.change(move |file, shared| {
            let key = KeyId(format!("bonded-{}", uuid::Uuid::new_v4()));
            file.keys.push(KeyEntry::new(key.clone(), tenant, shared.now(), &shared.root_key));
            Ok(key)
        })
        .await
    }

    async fn generate_data_key(&self, key: &KeyId, context: &EncryptionContext) -> Result<DataKey> {
        let plaintext = Zeroizing::new(cipher::random_key().to_vec());
        let wrapped = self.shared.encrypt(key, &plaintext, context)?;
        Ok(DataKey { plaintext, wrapped })
    }

    async fn encrypt(&self, key: &KeyId, plaintext: &[u8], context: &EncryptionContext) -> Result<Vec<u8>> {
        self.shared.encrypt(key, plaintext, context)
    }

    async fn decrypt(&self, key: &KeyId, wrapped: &[u8], context: &EncryptionContext) -> Result<Zeroizing<Vec<u8>>> {
        self.shared.decrypt(key, wrapped, context)
    }

    async fn re_encrypt(&self, key: &KeyId, wrapped: &[u8], context: &EncryptionContext) -> Result<Vec<u8>> {
        let plaintext = self.shared.decrypt(key, wrapped, context)?;
        self.shared.encrypt(key, &plaintext, context)
    }

    fn version_of(&self, wrapped: &[u8]) -> Option<u32> {
        wrapped.first_chunk::<4>().map(|version| u32::from_be_bytes(*version))
    }

    async fn rotate(&self, key: &KeyId) -> Result<u32> {
        self.change_key(key, |entry, state, shared| match state {
            KeyState::Enabled => Ok(entry.add_version(shared.now(), &shared.root_key)),
            _ => Err(refused_state(entry, state)),
        })
        .await
    }

    async fn disable(&self, key: &KeyId) -> Result<()> {
        self.change_key(key, |entry, state, _| set_state(entry, state, KeyState::Disabled)).await
    }

    async fn enable(&self, key: &KeyId) -> Result<()> {
        self.change_key(key, |entry, state, _| set_state(entry, state, KeyState::Enabled)).await
    }

    async fn schedule_deletion(&self, key: &KeyId, days: u32) -> Result<DateTime<Utc>> {
        if !DELETION_DAYS.contains(&days) {
            let (first, last) = (DELETION_DAYS.start(), DELETION_DAYS.end());
            let message = format!("key `{key}` can be deleted after {first} to {last} days, not {days}");
            return Err(Error::new(ErrorKind::Input, message));
        }
        self.change_key(key, move |entry, state, shared| {
            set_state(entry, state, KeyState::PendingDeletion)?;
            let at = shared.now() + TimeDelta::days(i64::from(days));
            entry.deletion_at = Some(at);
            Ok(at)
        })
        .await
    }

    async fn cancel_deletion(&self, key: &KeyId) -> Result<()> {
        self.change_key(key, |entry, state, _| match state {
            KeyState::PendingDeletion => {
                entry.state = KeyState::Disabled;
                entry.deletion_at = None;
                Ok(())
            }
            KeyState::Deleted => Err(refused_state(entry, state)),
            KeyState::Enabled | KeyState::Disabled => {
                let message = format!("key `{}` is {state}: there is no deletion to cancel", entry.key_id);
                Err(Error::new(ErrorKind::Refused, message))
            }
        })
        .await
    }

    async fn describe(&self, key: &KeyId) -> Result<KeyInfo> {
        Ok(self.shared.current()?.file.entry(key)?.info(self.shared.now()))
    }

    async fn check_usable(&self, key: &KeyId) -> Result<()> {
        self.shared.check_usable(key)
    }

    async fn destroy_due(&self) -> Result<()> {
        if self.shared.current()?.file.clone().purge(self.shared.now()) {
            self.change(|_, _| Ok(())).await?;
        }
        Ok(())
    }

    async fn list(&self) -> Result<Vec<KeyInfo>> {
        let now = self.shared.now();
        Ok(self.shared.current()?.file.keys.iter().map(|entry| entry.info(now)).collect())
    }

    fn as_iceberg(self: Arc<Self>) -> Arc<dyn KeyManagementClient> {
        self
    }
}

/// Iceberg's half: table keys carry no context, as in Java, so that the tables open there.
#[async_trait]
impl KeyManagementClient for Keyring {
    async fn wrap_key(&self, key: &[u8], wrapping_key_id: &str) -> iceberg::Result<Vec<u8>> {
        let id = KeyId(wrapping_key_id.to_owned());
        self.shared.encrypt(&id, key, &EncryptionContext::none()).map_err(for_iceberg)
    }

    async fn unwrap_key(&self, wrapped_key: &[u8], wrapping_key_id: &str) -> iceberg::Result<SensitiveBytes> {
        let id = KeyId(wrapping_key_id.to_owned());
        let plain = self.shared.decrypt(&id, wrapped_key, &EncryptionContext::none()).map_err(for_iceberg)?;
        Ok(SensitiveBytes::new(plain.as_slice()))
    }

    fn supports_key_generation(&self) -> bool {
        false
    }

    async fn generate_key(&self, _wrapping_key_id: &str) -> iceberg::Result<GeneratedKey> {
        let message = "the keyring wraps keys that iceberg makes, and makes none itself";
        Err(iceberg::Error::new(iceberg::ErrorKind::FeatureUnsupported, message))
    }
}

/// Enabling, disabling and scheduling are for keys that are not on the way out.
fn set_state(entry: &mut KeyEntry, state: KeyState, wanted: KeyState) -> Result<()> {
    match state {
        KeyState::Enabled | KeyState::Disabled => {
            entry.state = wanted;
            Ok(())
        }
        KeyState::PendingDeletion | KeyState::Deleted => Err(refused_state(entry, state)),
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("dir", &self.shared.dir).finish_non_exhaustive()
    }
}
