//! A tenant's secret and the two keys derived from it: one makes names, one seals small documents.
//! Promise: what lies in the clear is a keyed digest, so that nobody can confirm a guessed file or match two tenants.
//! Never: the secret is stored unwrapped, printed, or used itself for anything but derivation.

use std::fmt;

use bonded_schemas::{TenantId, TenantScope};
use ring::{hkdf, hmac};
use zeroize::Zeroizing;

use super::cipher::{self, KEY_BYTES, Key};
use crate::{
    error::{Error, ErrorKind, Result},
    keys::{EncryptionContext, KeyId, Keys},
};

/// Purpose in the encryption context under which the secret is wrapped by the tenant's key.
const PURPOSE: &str = "secret";
const SALT: &[u8] = b"bonded-tenant-secret-v1";
const NAME_INFO: &[u8] = b"bonded-name-key-v1";
const DOCUMENT_INFO: &[u8] = b"bonded-document-key-v1";
/// First byte of a sealed document: the format.
const DOCUMENT_FORMAT: u8 = 1;

/// 32 random bytes per tenant. Rotating the tenant's key re-wraps it and changes no name and no document.
pub struct TenantSecret(Key);

impl TenantSecret {
    pub fn generate() -> Self {
        Self(cipher::random_key())
    }

    /// # Errors
    /// `Damaged` when there are not exactly 32 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        if bytes.len() != KEY_BYTES {
            let message = format!("tenant secret has {} bytes, not {KEY_BYTES}: restore the tenant's record", bytes.len());
            return Err(Error::new(ErrorKind::Damaged, message));
        }
        key.copy_from_slice(bytes);
        Ok(Self(key))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// What the wrap is bound to.
    pub fn context(tenant: &TenantId) -> EncryptionContext {
        EncryptionContext::new(tenant, PURPOSE)
    }

    /// The secret under the tenant's key, context `{tenant, purpose: secret}`: the form that is stored.
    pub async fn wrap(&self, scope: &TenantScope, keys: &dyn Keys, key: &KeyId) -> Result<Vec<u8>> {
        keys.encrypt(key, self.as_bytes(), &Self::context(scope.tenant())).await
    }

    /// The reverse of [`TenantSecret::wrap`]: one call to the key service, once per tenant and process.
    pub async fn unwrap(scope: &TenantScope, keys: &dyn Keys, key: &KeyId, wrapped: &[u8]) -> Result<Self> {
        let plain = keys.decrypt(key, wrapped, &Self::context(scope.tenant())).await?;
        Self::from_bytes(&plain)
    }

    /// The stored form under the newest version of the key, checked to open; `None` when it is that already.
    pub async fn rewrap(scope: &TenantScope, keys: &dyn Keys, key: &KeyId, wrapped: &[u8]) -> Result<Option<Vec<u8>>> {
        if keys.version_of(wrapped) == Some(keys.describe(key).await?.version) {
            return Ok(None);
        }
        let fresh = keys.re_encrypt(key, wrapped, &EncryptionContext::new(scope.tenant(), PURPOSE)).await?;
        Self::unwrap(scope, keys, key, &fresh).await?;
        Ok(Some(fresh))
    }

    /// HKDF-SHA-256 with one info per key, so that neither key tells anything of the other.
    pub fn derive(&self) -> (NameKey, DocumentKey) {
        let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, SALT).extract(self.as_bytes());
        (NameKey(expand(&extracted, NAME_INFO)), DocumentKey(expand(&extracted, DOCUMENT_INFO)))
    }
}

pub(super) fn expand(extracted: &hkdf::Prk, info: &[u8]) -> Key {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    extracted
        .expand(&[info], hkdf::HKDF_SHA256)
        .and_then(|output| output.fill(key.as_mut()))
        .expect("32 bytes is the output length of HKDF_SHA256");
    key
}

/// Makes the names that lie in the clear: object names, snapshot properties.
#[derive(Clone)]
pub struct NameKey(Key);

impl NameKey {
    pub(super) fn new(key: Key) -> Self {
        Self(key)
    }

    /// Lower-case hex of HMAC-SHA-256 over `fields(what, bytes)`. `what` keeps digests of different things apart.
    pub fn keyed_digest(&self, what: &str, bytes: &[u8]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.as_ref());
        cipher::hex(hmac::sign(&key, &cipher::fields(&[what.as_bytes(), bytes])).as_ref())
    }
}

/// Seals small things that lie beside others: provenance notes, receipts, findings of drift.
#[derive(Clone)]
pub struct DocumentKey(Key);

impl DocumentKey {
    pub(super) fn new(key: Key) -> Self {
        Self(key)
    }

    /// `1 || nonce(12) || ciphertext || tag(16)`, authenticated with `fields(context)`.
    ///
    /// `context` says what the document is and where it lies; opening needs the very same.
    pub fn seal(&self, context: &[&str], plain: &[u8]) -> Vec<u8> {
        let mut sealed = vec![DOCUMENT_FORMAT];
        sealed.extend_from_slice(&cipher::seal(&self.0, &context_bytes(context), plain));
        sealed
    }

    /// # Errors
    /// `Damaged` when it was sealed for another place, by another tenant, in another format, or was altered.
    pub fn open(&self, context: &[&str], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let plain = match sealed.split_first() {
            Some((&DOCUMENT_FORMAT, rest)) => cipher::open(&self.0, &context_bytes(context), rest),
            _ => None,
        };
        plain.ok_or_else(|| {
            let what = context.join(" ");
            let message = format!("sealed document `{what}` does not open: it is altered, or belongs to another place or tenant");
            Error::new(ErrorKind::Damaged, message)
        })
    }
}

fn context_bytes(context: &[&str]) -> Vec<u8> {
    let parts: Vec<&[u8]> = context.iter().map(|part| part.as_bytes()).collect();
    cipher::fields(&parts)
}

impl fmt::Debug for TenantSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TenantSecret(redacted)")
    }
}

impl fmt::Debug for NameKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NameKey(redacted)")
    }
}

impl fmt::Debug for DocumentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DocumentKey(redacted)")
    }
}
