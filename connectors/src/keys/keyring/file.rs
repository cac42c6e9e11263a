//! `keyring.json` as it is written: states and wraps of the tenants' keys, readable by other programs.
//! Promise: what is read is whole and consistent, or refused; format 1 never changes its meaning.
//! Never: no key in the clear, no I/O here.

use bonded_schemas::TenantId;
use chrono::{DateTime, Utc};
use ring::hmac;
use serde::{Deserialize, Serialize};

use super::root::Root;
use crate::{
    error::{Error, ErrorKind, Result},
    keys::{KeyId, KeyInfo, KeyState},
    seal::cipher::{self, Key, OVERHEAD_BYTES},
};

const FORMAT: u32 = 1;
const CHECK_AAD: &str = "bonded-keyring-check-v1";
const SEAL_OF: &str = "bonded-keyring-seal-v1";
const ROOT_AAD: &str = "bonded-keyring-root-v1";

/// Unknown fields are refused: writing the file back would drop what a newer program put there.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyringFile {
    format: u32,
    pub(super) root: Root,
    /// 32 zero bytes under the root key: tells a wrong passphrase at open.
    check: Base64,
    pub(super) keys: Vec<KeyEntry>,
    /// Of all the rest, under the root key: states and dates lie in the clear and are bound to nothing else.
    /// Absent in a file that was last written before there were seals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seal: Option<Base64>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyEntry {
    pub(super) key_id: KeyId,
    pub(super) tenant: TenantId,
    created_at: DateTime<Utc>,
    pub(super) state: KeyState,
    pub(super) deletion_at: Option<DateTime<Utc>>,
    /// Oldest first, numbered from 1.
    versions: Vec<KeyVersion>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyVersion {
    version: u32,
    created_at: DateTime<Utc>,
    /// The version's key under the root key; empty once the key is deleted.
    wrapped: Base64,
}

/// Bytes as base64 text (standard alphabet, padded).
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Base64(pub(super) Vec<u8>);

impl TryFrom<String> for Base64 {
    type Error = base64::DecodeError;

    fn try_from(text: String) -> std::result::Result<Self, Self::Error> {
        use base64::{Engine, engine::general_purpose::STANDARD};
        STANDARD.decode(text).map(Self)
    }
}

impl From<Base64> for String {
    fn from(bytes: Base64) -> String {
        use base64::{Engine, engine::general_purpose::STANDARD};
        STANDARD.encode(bytes.0)
    }
}

impl KeyringFile {
    pub(super) fn new(root: Root, root_key: &Key) -> Self {
        let check = cipher::seal(root_key, &check_aad(), &[0; cipher::KEY_BYTES]);
        Self { format: FORMAT, root, check: Base64(check), keys: Vec::new(), seal: None }
    }

    pub(super) fn parse(text: &[u8]) -> Result<Self> {
        let file: Self = serde_json::from_slice(text)
            .map_err(|error| Error::new(ErrorKind::Damaged, "keyring.json is not a keyring: restore it").with_source(error))?;
        file.validate().map_err(|what| Error::new(ErrorKind::Damaged, format!("keyring.json {what}: restore it")))?;
        Ok(file)
    }

    pub(super) fn to_json(&self, root_key: &Key) -> Vec<u8> {
        let sealed = Self { seal: Some(Base64(self.seal(root_key))), ..self.clone() };
        let mut text = serde_json::to_vec_pretty(&sealed).expect("the types hold nothing that JSON cannot");
        text.push(b'\n');
        text
    }

    fn validate(&self) -> std::result::Result<(), String> {
        if self.format != FORMAT {
            return Err(format!("has format {}, this program reads {FORMAT}", self.format));
        }
        let mut seen = std::collections::BTreeSet::new();
        for entry in &self.keys {
            let id = &entry.key_id;
            if !seen.insert(id) {
                return Err(format!("names key `{id}` twice"));
            }
            if entry.versions.is_empty() || entry.versions.iter().zip(1..).any(|(held, number)| held.version != number) {
                return Err(format!("has gaps in the versions of key `{id}`"));
            }
            if entry.deletion_at.is_none() && matches!(entry.state, KeyState::PendingDeletion | KeyState::Deleted) {
                return Err(format!("has no deletion date for key `{id}`"));
            }
        }
        Ok(())
    }

    /// Whether this root key is the one that the file was written under.
    pub(super) fn is_opened_by(&self, root_key: &Key) -> bool {
        cipher::open(root_key, &check_aad(), &self.check.0).is_some_and(|plain| plain.as_slice() == [0; cipher::KEY_BYTES])
    }

    /// HMAC-SHA-256 over everything but itself.
    fn seal(&self, root_key: &Key) -> Vec<u8> {
        let bare = Self { seal: None, ..self.clone() };
        let text = serde_json::to_vec(&bare).expect("the types hold nothing that JSON cannot");
        let key = hmac::Key::new(hmac::HMAC_SHA256, root_key.as_ref());
        hmac::sign(&key, &cipher::fields(&[SEAL_OF.as_bytes(), &text])).as_ref().to_vec()
    }

    pub(super) fn is_sealed(&self) -> bool {
        self.seal.is_some()
    }

    /// Whether this text is the file as it was written, to the last byte; one without a seal passes.
    pub(super) fn is_whole(&self, text: &[u8], root_key: &Key) -> bool {
        self.seal.is_none() || self.to_json(root_key) == text
    }

    pub(super) fn entry(&self, key: &KeyId) -> Result<&KeyEntry> {
        self.keys.iter().find(|entry| entry.key_id == *key).ok_or_else(|| unknown(key))
    }

    pub(super) fn entry_mut(&mut self, key: &KeyId) -> Result<&mut KeyEntry> {
        self.keys.iter_mut().find(|entry| entry.key_id == *key).ok_or_else(|| unknown(key))
    }

    /// Removes the wraps of keys whose deletion date has passed; says whether there were any.
    pub(super) fn purge(&mut self, now: DateTime<Utc>) -> bool {
        let mut purged = false;
        for entry in &mut self.keys {
            if entry.state_at(now) == KeyState::Deleted && entry.holds_wraps() {
                entry.state = KeyState::Deleted;
                entry.versions.iter_mut().for_each(|version| version.wrapped.0.clear());
                purged = true;
            }
        }
        purged
    }
}

impl KeyEntry {
    pub(super) fn new(key_id: KeyId, tenant: TenantId, now: DateTime<Utc>, root_key: &Key) -> Self {
        let state = KeyState::Enabled;
        let mut entry = Self { key_id, tenant, created_at: now, state, deletion_at: None, versions: Vec::new() };
        entry.add_version(now, root_key);
        entry
    }

    /// A new version of random bytes; returns its number.
    pub(super) fn add_version(&mut self, now: DateTime<Utc>, root_key: &Key) -> u32 {
        let version = self.newest() + 1;
        let wrapped = cipher::seal(root_key, &self.root_aad(version), cipher::random_key().as_ref());
        self.versions.push(KeyVersion { version, created_at: now, wrapped: Base64(wrapped) });
        version
    }

    /// The same key under another root key.
    pub(super) fn rewrapped(&self, from: &Key, to: &Key) -> Result<Self> {
        let mut moved = self.clone();
        for held in &mut moved.versions {
            let plain = self.unwrap_version(held.version, from).ok_or_else(|| unknown(&self.key_id))??;
            held.wrapped = Base64(cipher::seal(to, &self.root_aad(held.version), plain.as_ref()));
        }
        Ok(moved)
    }

    /// What is left of a destroyed key: its name and when, and nothing that opens.
    pub(super) fn tombstone(&self) -> Self {
        let mut left = self.clone();
        left.state = KeyState::Deleted;
        left.deletion_at = left.deletion_at.or(Some(left.created_at));
        left.versions.iter_mut().for_each(|version| version.wrapped.0.clear());
        left
    }

    pub(super) fn newest(&self) -> u32 {
        self.versions.last().map_or(0, |version| version.version)
    }

    /// A key past its deletion date is deleted even before its wraps are purged.
    pub(super) fn state_at(&self, now: DateTime<Utc>) -> KeyState {
        match (self.state, self.deletion_at) {
            (KeyState::PendingDeletion, Some(at)) if now >= at => KeyState::Deleted,
            (state, _) => state,
        }
    }

    pub(super) fn holds_wraps(&self) -> bool {
        self.versions.iter().any(|version| !version.wrapped.0.is_empty())
    }

    /// `None` when there is no such version.
    pub(super) fn unwrap_version(&self, version: u32, root_key: &Key) -> Option<Result<Key>> {
        let held = self.versions.iter().find(|held| held.version == version)?;
        let kek = cipher::open(root_key, &self.root_aad(version), &held.wrapped.0)
            .filter(|kek| held.wrapped.0.len() == cipher::KEY_BYTES + OVERHEAD_BYTES && kek.len() == cipher::KEY_BYTES)
            .map(|bytes| {
                let mut kek = Key::default();
                kek.copy_from_slice(&bytes);
                kek
            });
        Some(kek.ok_or_else(|| {
            let message =
                format!("version {version} of key `{}` does not open under the root key: restore keyring.json", self.key_id);
            Error::new(ErrorKind::Damaged, message)
        }))
    }

    pub(super) fn info(&self, now: DateTime<Utc>) -> KeyInfo {
        KeyInfo {
            key_id: self.key_id.clone(),
            tenant: self.tenant.clone(),
            state: self.state_at(now),
            created_at: self.created_at,
            deletion_at: self.deletion_at,
            version: self.newest(),
        }
    }

    fn root_aad(&self, version: u32) -> Vec<u8> {
        let number = version.to_string();
        cipher::fields(&[ROOT_AAD.as_bytes(), self.tenant.as_str().as_bytes(), self.key_id.0.as_bytes(), number.as_bytes()])
    }
}

fn check_aad() -> Vec<u8> {
    cipher::fields(&[CHECK_AAD.as_bytes()])
}

fn unknown(key: &KeyId) -> Error {
    Error::new(ErrorKind::Setup, format!("key `{key}` is not in this keyring: check the key folder, or restore it"))
}
