//! The lake's own secret: seals what concerns no single tenant, and signs what must be provable to outsiders.
//! Promise: it opens nothing of any tenant, so that destroying a tenant's key leaves the proof readable and the data not.
//! Never: stored unwrapped, printed, or used for anything but derivation.

use std::fmt;

use bonded_schemas::TenantId;
use ring::{hkdf, hmac};
use zeroize::Zeroizing;

use super::{
    cipher::{self, KEY_BYTES, Key},
    secret::{DocumentKey, NameKey, expand},
    signing::SigningKey,
};
use crate::{
    error::{Error, ErrorKind, Result},
    keys::{EncryptionContext, KeyId, Keys},
};

const PURPOSE: &str = "lake secret";
const SALT: &[u8] = b"bonded-lake-secret-v1";
const DOCUMENT_INFO: &[u8] = b"bonded-lake-document-key-v1";
const SIGNING_INFO: &[u8] = b"bonded-lake-signing-key-v1";
const PROOF_INFO: &[u8] = b"bonded-lake-proof-key-v1";
const PEOPLE_INFO: &[u8] = b"bonded-lake-people-key-v1";
const AUDIT_INFO: &[u8] = b"bonded-lake-audit-key-v1";

pub struct LakeSecret(Key);

impl LakeSecret {
    pub fn generate() -> Self {
        Self(cipher::random_key())
    }

    /// Under the lake's key, context `{tenant: bonded-lake, purpose: lake secret}`: the form that is stored.
    pub async fn wrap(&self, keys: &dyn Keys, key: &KeyId) -> Result<Vec<u8>> {
        keys.encrypt(key, self.0.as_ref(), &context()).await
    }

    pub async fn unwrap(keys: &dyn Keys, key: &KeyId, wrapped: &[u8]) -> Result<Self> {
        let plain = keys.decrypt(key, wrapped, &context()).await?;
        let mut secret = Zeroizing::new([0; KEY_BYTES]);
        if plain.len() != KEY_BYTES {
            return Err(Error::new(ErrorKind::Damaged, "the lake's secret has another length: restore the control store"));
        }
        secret.copy_from_slice(&plain);
        Ok(Self(secret))
    }

    /// Signs the checkpoints of audit trails and what is exported of them, and nothing else.
    pub fn audit_key(&self) -> SigningKey {
        SigningKey::from_seed(&expand(&self.extracted(), AUDIT_INFO))
    }

    fn extracted(&self) -> hkdf::Prk {
        hkdf::Salt::new(hkdf::HKDF_SHA256, SALT).extract(self.0.as_ref())
    }

    pub fn derive(&self) -> (DocumentKey, SigningKey) {
        let extracted = self.extracted();
        (DocumentKey::new(expand(&extracted, DOCUMENT_INFO)), SigningKey::from_seed(&expand(&extracted, SIGNING_INFO)))
    }

    /// Makes the names under which people are found, and what stands for their codes.
    pub fn people(&self) -> NameKey {
        NameKey::new(expand(&self.extracted(), PEOPLE_INFO))
    }

    /// What PostgreSQL is shown before it gives out rows.
    pub fn proofs(&self) -> ProofKey {
        ProofKey(expand(&self.extracted(), PROOF_INFO))
    }
}

/// Makes a proof for each half of the control store: one tells nothing of another.
#[derive(Clone)]
pub struct ProofKey(Key);

impl ProofKey {
    /// Lower-case hex of HMAC-SHA-256 over the tenant's name.
    pub(crate) fn proof(&self, tenant: &TenantId) -> Zeroizing<String> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.as_ref());
        Zeroizing::new(cipher::hex(hmac::sign(&key, &cipher::fields(&[b"proof", tenant.as_str().as_bytes()])).as_ref()))
    }
}

#[cfg(test)]
impl ProofKey {
    /// The same in every test.
    pub(crate) fn of_tests() -> Self {
        Self(Zeroizing::new([7; KEY_BYTES]))
    }
}

impl fmt::Debug for ProofKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProofKey(redacted)")
    }
}

fn context() -> EncryptionContext {
    EncryptionContext::new(&TenantId::lake(), PURPOSE)
}

impl fmt::Debug for LakeSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LakeSecret(redacted)")
    }
}
