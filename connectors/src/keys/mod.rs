//! The KMS door: one customer-managed key per tenant wraps every data key of that tenant.
//! Promise: what one tenant's key wrapped, no other key opens; a disabled or deleted key opens nothing.
//! Never: key material is not printed, not logged, not returned but in buffers that zero themselves.

use std::{collections::BTreeMap, fmt, sync::Arc};

use async_trait::async_trait;
use bonded_schemas::TenantId;
use chrono::{DateTime, Utc};
use iceberg::encryption::KeyManagementClient;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, Result};

pub mod aws;
pub mod keyring;

/// Opaque name of a tenant's key, safe in plain metadata: an ARN on AWS, `bonded-<uuid>` in the keyring.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(pub String);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Facts bound to a wrap: unwrapping needs the very same ones (KMS calls this the encryption context).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncryptionContext(pub BTreeMap<String, String>);

impl EncryptionContext {
    /// `{tenant, purpose}`, what raw objects and documents are wrapped under.
    pub fn new(tenant: &TenantId, purpose: &str) -> Self {
        Self(BTreeMap::from([("tenant".into(), tenant.to_string()), ("purpose".into(), purpose.into())]))
    }

    /// Table keys carry none: Java Iceberg's AWS client sends none, and the tables must open there.
    pub fn none() -> Self {
        Self::default()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    Enabled,
    Disabled,
    /// Unusable now, gone for good at `deletion_at`.
    PendingDeletion,
    /// Gone: nothing it wrapped can be opened again. Its name stays, so that the refusal can say why.
    Deleted,
}

impl fmt::Display for KeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            KeyState::Enabled => "enabled",
            KeyState::Disabled => "disabled",
            KeyState::PendingDeletion => "pending deletion",
            KeyState::Deleted => "deleted",
        })
    }
}

/// What [`Keys::encrypt`] takes at most, in bytes (KMS Encrypt's limit). At least one byte, as there.
pub const ENCRYPT_BYTES_MAX: usize = 4096;
/// Days between asking for a deletion and losing the key, as KMS has it.
pub const DELETION_DAYS: std::ops::RangeInclusive<u32> = 7..=30;

/// What may be told of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyInfo {
    pub key_id: KeyId,
    pub tenant: TenantId,
    pub state: KeyState,
    pub created_at: DateTime<Utc>,
    pub deletion_at: Option<DateTime<Utc>>,
    /// Newest version; wraps are made under it, older wraps still open.
    pub version: u32,
}

/// How often a key gets a new version by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// As often as somebody says so: the service does not do it by itself.
    ByHand,
    /// The service could, and does not.
    Never,
    EveryDays(u32),
}

/// A data key in the clear, zeroed on drop, with its wrap.
pub struct DataKey {
    pub plaintext: Zeroizing<Vec<u8>>,
    pub wrapped: Vec<u8>,
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DataKey({} bytes wrapped)", self.wrapped.len())
    }
}

/// Our error travels as the source, so that its kind survives the way through iceberg.
pub(crate) fn for_iceberg(error: Error) -> iceberg::Error {
    let kind = match error.kind() {
        ErrorKind::Damaged | ErrorKind::Input => iceberg::ErrorKind::DataInvalid,
        ErrorKind::Refused | ErrorKind::Setup => iceberg::ErrorKind::PreconditionFailed,
        ErrorKind::Retry | ErrorKind::Ambiguous | ErrorKind::Internal => iceberg::ErrorKind::Unexpected,
    };
    iceberg::Error::new(kind, "key service refused or failed").with_source(error)
}

/// The KMS door. Its iceberg half (`wrap_key`, `unwrap_key`) carries no encryption context.
#[async_trait]
pub trait Keys: KeyManagementClient {
    /// A new key for the tenant. A tenant may have had others; the caller records which is current.
    async fn create_key(&self, tenant: &TenantId) -> Result<KeyId>;
    /// A key that was made for the tenant and that no record names yet: whoever added the tenant died, or made the key by other
    /// means. Where a service does not tell, there is none.
    ///
    /// # Errors
    /// `Refused` when what bears the tenant's name is not the tenant's, or cannot be used.
    async fn left_key(&self, _tenant: &TenantId) -> Result<Option<KeyId>> {
        Ok(None)
    }
    /// A fresh 256-bit data key and its wrap.
    async fn generate_data_key(&self, key: &KeyId, context: &EncryptionContext) -> Result<DataKey>;
    /// Wraps at most 4096 bytes (KMS Encrypt's limit).
    async fn encrypt(&self, key: &KeyId, plaintext: &[u8], context: &EncryptionContext) -> Result<Vec<u8>>;
    async fn decrypt(&self, key: &KeyId, wrapped: &[u8], context: &EncryptionContext) -> Result<Zeroizing<Vec<u8>>>;
    /// The same plaintext under the newest version, without showing it to the caller.
    async fn re_encrypt(&self, key: &KeyId, wrapped: &[u8], context: &EncryptionContext) -> Result<Vec<u8>>;
    /// The version of the key that made this wrap, where the service tells; without it, maintenance wraps again each time.
    fn version_of(&self, _wrapped: &[u8]) -> Option<u32> {
        None
    }
    /// Adds a version; returns its number.
    async fn rotate(&self, key: &KeyId) -> Result<u32>;
    async fn disable(&self, key: &KeyId) -> Result<()>;
    async fn enable(&self, key: &KeyId) -> Result<()>;
    /// Unusable at once, destroyed after so many days (7 to 30, as KMS has it).
    async fn schedule_deletion(&self, key: &KeyId, days: u32) -> Result<DateTime<Utc>>;
    /// Back to disabled.
    async fn cancel_deletion(&self, key: &KeyId) -> Result<()>;
    async fn describe(&self, key: &KeyId) -> Result<KeyInfo>;
    /// `Refused`, with the state and the mend, unless the key may be used now. Asked before every use of what was unwrapped
    /// earlier, so it must cost little: a backend over a network answers from what it knew a short, documented time ago.
    async fn check_usable(&self, key: &KeyId) -> Result<()>;
    /// Destroys the keys whose deletion date has passed, where that is not done by the service itself.
    async fn destroy_due(&self) -> Result<()>;
    async fn list(&self) -> Result<Vec<KeyInfo>>;
    /// Who may use the key, as its service keeps it (JSON); none where the service is this process.
    async fn policy(&self, _key: &KeyId) -> Result<Option<String>> {
        Ok(None)
    }
    /// What a key that is made for the tenant now would have as its policy; none where nothing says so.
    fn policy_of_new(&self, _tenant: &TenantId) -> Result<Option<String>> {
        Ok(None)
    }
    async fn rotation(&self, _key: &KeyId) -> Result<Rotation> {
        Ok(Rotation::ByHand)
    }
    /// The same door as iceberg's client type.
    fn as_iceberg(self: Arc<Self>) -> Arc<dyn KeyManagementClient>;
}
