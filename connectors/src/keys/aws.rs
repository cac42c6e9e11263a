//! The KMS of AWS: one customer-managed key per tenant, found by its alias `alias/bonded/<lake>/<tenant>`.
//! Promise: wraps are bound to their context by the service itself; no key leaves it; each call is counted.
//! A key's state is what the service said at most half a minute ago ([`KNOWN_FOR`]); a wrap is opened by the service, which
//! looks at the state itself, each time.
//! Never: a data key or a secret is kept here, logged or retried beyond its bounds.

use std::{collections::BTreeMap, fmt, sync::Arc};

use async_trait::async_trait;
use aws_sdk_kms::{
    Client,
    primitives::{Blob, DateTime as AwsDateTime},
    types::{DataKeySpec, KeyMetadata, KeyState as AwsKeyState, Tag},
};
use bonded_schemas::TenantId;
use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use iceberg::encryption::{GeneratedKey, KeyManagementClient, SensitiveBytes};
use zeroize::Zeroizing;

use super::{DELETION_DAYS, DataKey, ENCRYPT_BYTES_MAX, EncryptionContext, KeyId, KeyInfo, KeyState, Keys, for_iceberg};
use crate::{
    aws::{Account, Service},
    clock::Clock,
    error::{Error, ErrorKind, Result},
};
use known::Known;
use told::{does_not_open, incomplete, told};

mod known;
#[cfg(test)]
mod tests;
mod told;

pub use known::KNOWN_FOR;

/// Keys described at once when all are listed.
const DESCRIBED_AT_ONCE: usize = 8;

/// The key service of one account and region, for one lake. Clones share what is known.
#[derive(Clone)]
pub struct AwsKeys {
    client: Client,
    /// Names the lake in aliases.
    lake: String,
    known: Arc<Known>,
}

impl AwsKeys {
    /// `lake` is what aliases name it by: letters, digits, `-`, `_`, `/`.
    ///
    /// # Errors
    /// `Setup` when `lake` cannot stand in an alias.
    pub fn open(account: &Account, lake: &str, clock: Arc<dyn Clock>) -> Result<Self> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if lake.is_empty() || lake.len() > 100 || !lake.bytes().all(fits) {
            let message = format!("keys.lake `{}` is not 1 to 100 letters, digits, - and _", lake.escape_default());
            return Err(Error::new(ErrorKind::Setup, message));
        }
        let client = Client::new(&account.config(Service::Kms));
        Ok(Self { client, lake: lake.to_owned(), known: Arc::new(Known::new(clock)) })
    }

    /// How often the service was asked for what since the process began.
    pub fn calls(&self) -> BTreeMap<&'static str, u64> {
        self.known.calls()
    }

    fn alias_folder(&self) -> String {
        format!("alias/bonded/{}/", self.lake)
    }

    /// The first key of a tenant bears the tenant's alias; one made later (an earlier `tenant add` died) one below it.
    async fn name(&self, key: &KeyId, tenant: &TenantId) -> Result<()> {
        let first = format!("{}{tenant}", self.alias_folder());
        let later = format!("{first}/{}", key.0.rsplit('/').next().unwrap_or(&key.0));
        for alias in [first, later] {
            self.known.count("CreateAlias");
            match self.client.create_alias().alias_name(alias).target_key_id(&key.0).send().await {
                Ok(_) => return Ok(()),
                Err(error) if error.as_service_error().is_some_and(|error| error.is_already_exists_exception()) => {}
                Err(error) => return Err(told(key, "CreateAlias", error)),
            }
        }
        Err(Error::new(ErrorKind::Retry, format!("key `{key}` could not be given an alias: try again")))
    }

    async fn metadata(&self, key: &KeyId) -> Result<KeyMetadata> {
        self.known.count("DescribeKey");
        let described =
            self.client.describe_key().key_id(&key.0).send().await.map_err(|error| told(key, "DescribeKey", error))?;
        described.key_metadata.ok_or_else(|| incomplete(key, "DescribeKey"))
    }

    async fn info(&self, key: &KeyId) -> Result<KeyInfo> {
        let metadata = self.metadata(key).await?;
        let (tenant, version) = metadata.description().and_then(described).ok_or_else(|| {
            Error::new(ErrorKind::Setup, format!("key `{key}` was not made by bonded: its description does not name a tenant"))
        })?;
        let state = match metadata.key_state() {
            Some(AwsKeyState::Enabled) => KeyState::Enabled,
            Some(AwsKeyState::PendingDeletion | AwsKeyState::PendingReplicaDeletion) => KeyState::PendingDeletion,
            // Creating, unavailable, waiting for material: not to be used now, and to be looked at.
            _ => KeyState::Disabled,
        };
        let key_id = KeyId(metadata.arn().unwrap_or(metadata.key_id()).to_owned());
        self.known.note(&key_id, state);
        let created_at = metadata.creation_date().and_then(instant).ok_or_else(|| incomplete(key, "DescribeKey"))?;
        let deletion_at = metadata.deletion_date().and_then(instant).filter(|_| state == KeyState::PendingDeletion);
        Ok(KeyInfo { key_id, tenant, state, created_at, deletion_at, version })
    }

    /// A use of the key that worked tells its state; one that failed leaves nothing known.
    fn seen<T>(&self, key: &KeyId, done: &Result<T>) {
        match done {
            Ok(_) => self.known.note(key, KeyState::Enabled),
            Err(_) => self.known.forget(key),
        }
    }

    async fn wrap(&self, key: &KeyId, plaintext: &[u8], context: &EncryptionContext) -> Result<Vec<u8>> {
        if plaintext.is_empty() || plaintext.len() > ENCRYPT_BYTES_MAX {
            let length = plaintext.len();
            let message = format!("key `{key}` wraps 1 to {ENCRYPT_BYTES_MAX} bytes, not {length}: wrap a data key instead");
            return Err(Error::new(ErrorKind::Input, message));
        }
        self.known.count("Encrypt");
        let asked = self.client.encrypt().key_id(&key.0).plaintext(Blob::new(plaintext)).set_encryption_context(sent(context));
        let done = asked.send().await.map_err(|error| told(key, "Encrypt", error));
        self.seen(key, &done);
        done?.ciphertext_blob.map(Blob::into_inner).ok_or_else(|| incomplete(key, "Encrypt"))
    }

    /// The key is named, so that the service refuses a wrap of any other.
    async fn unwrap(&self, key: &KeyId, wrapped: &[u8], context: &EncryptionContext) -> Result<Zeroizing<Vec<u8>>> {
        self.known.count("Decrypt");
        let asked =
            self.client.decrypt().key_id(&key.0).ciphertext_blob(Blob::new(wrapped)).set_encryption_context(sent(context));
        let done = asked.send().await.map_err(|error| told(key, "Decrypt", error));
        self.seen(key, &done);
        match done {
            Ok(opened) => {
                opened.plaintext.map(|plain| Zeroizing::new(plain.into_inner())).ok_or_else(|| incomplete(key, "Decrypt"))
            }
            // The wrap itself names a key too: garbage may name one that does not exist.
            Err(error) if error.kind() == ErrorKind::Setup && self.metadata(key).await.is_ok() => {
                Err(Error::new(ErrorKind::Refused, does_not_open(key)).with_source(error))
            }
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl Keys for AwsKeys {
    async fn create_key(&self, tenant: &TenantId) -> Result<KeyId> {
        let unnamed = KeyId(format!("of {tenant}"));
        let tag = |name: &str, value: &str| Tag::builder().tag_key(name).tag_value(value).build();
        let tags = [tag("bonded:lake", &self.lake), tag("bonded:tenant", tenant.as_str())];
        let tags: std::result::Result<Vec<Tag>, _> = tags.into_iter().collect();
        let tags = tags.map_err(|error| Error::new(ErrorKind::Internal, "a tag of a key").with_source(error))?;
        self.known.count("CreateKey");
        let asked = self.client.create_key().description(description(tenant, 1)).set_tags(Some(tags));
        let made = asked.send().await.map_err(|error| told(&unnamed, "CreateKey", error))?;
        let arn = made.key_metadata.and_then(|metadata| metadata.arn).ok_or_else(|| incomplete(&unnamed, "CreateKey"))?;
        let key = KeyId(arn);
        self.name(&key, tenant).await?;
        Ok(key)
    }

    async fn generate_data_key(&self, key: &KeyId, context: &EncryptionContext) -> Result<DataKey> {
        self.known.count("GenerateDataKey");
        let asked =
            self.client.generate_data_key().key_id(&key.0).key_spec(DataKeySpec::Aes256).set_encryption_context(sent(context));
        let done = asked.send().await.map_err(|error| told(key, "GenerateDataKey", error));
        self.seen(key, &done);
        match done? {
            made if made.plaintext.is_some() && made.ciphertext_blob.is_some() => Ok(DataKey {
                plaintext: Zeroizing::new(made.plaintext.map(Blob::into_inner).unwrap_or_default()),
                wrapped: made.ciphertext_blob.map(Blob::into_inner).unwrap_or_default(),
            }),
            _ => Err(incomplete(key, "GenerateDataKey")),
        }
    }

    async fn encrypt(&self, key: &KeyId, plaintext: &[u8], context: &EncryptionContext) -> Result<Vec<u8>> {
        self.wrap(key, plaintext, context).await
    }

    async fn decrypt(&self, key: &KeyId, wrapped: &[u8], context: &EncryptionContext) -> Result<Zeroizing<Vec<u8>>> {
        self.unwrap(key, wrapped, context).await
    }

    /// Within the service: the plaintext does not come here.
    async fn re_encrypt(&self, key: &KeyId, wrapped: &[u8], context: &EncryptionContext) -> Result<Vec<u8>> {
        self.known.count("ReEncrypt");
        let asked = self
            .client
            .re_encrypt()
            .ciphertext_blob(Blob::new(wrapped))
            .source_key_id(&key.0)
            .set_source_encryption_context(sent(context))
            .destination_key_id(&key.0)
            .set_destination_encryption_context(sent(context));
        let done = asked.send().await.map_err(|error| told(key, "ReEncrypt", error));
        self.seen(key, &done);
        done?.ciphertext_blob.map(Blob::into_inner).ok_or_else(|| incomplete(key, "ReEncrypt"))
    }

    /// The service keeps old material and tells no version of a wrap; how often we asked for a rotation stands in the
    /// key's description. A rotation takes the service a while, and it does so many on demand only; both it says itself.
    async fn rotate(&self, key: &KeyId) -> Result<u32> {
        let info = self.info(key).await?;
        self.known.count("RotateKeyOnDemand");
        self.client.rotate_key_on_demand().key_id(&key.0).send().await.map_err(|error| told(key, "RotateKeyOnDemand", error))?;
        let version = info.version + 1;
        self.known.count("UpdateKeyDescription");
        let noted = self.client.update_key_description().key_id(&key.0).description(description(&info.tenant, version));
        noted.send().await.map_err(|error| told(key, "UpdateKeyDescription", error))?;
        Ok(version)
    }

    async fn disable(&self, key: &KeyId) -> Result<()> {
        self.known.count("DisableKey");
        let done = self.client.disable_key().key_id(&key.0).send().await;
        self.known.forget(key);
        done.map(|_| ()).map_err(|error| told(key, "DisableKey", error))
    }

    async fn enable(&self, key: &KeyId) -> Result<()> {
        self.known.count("EnableKey");
        let done = self.client.enable_key().key_id(&key.0).send().await;
        self.known.forget(key);
        done.map(|_| ()).map_err(|error| told(key, "EnableKey", error))
    }

    async fn schedule_deletion(&self, key: &KeyId, days: u32) -> Result<DateTime<Utc>> {
        let pending = i32::try_from(days).ok().filter(|_| DELETION_DAYS.contains(&days)).ok_or_else(|| {
            let (first, last) = (DELETION_DAYS.start(), DELETION_DAYS.end());
            Error::new(ErrorKind::Input, format!("key `{key}` can be deleted after {first} to {last} days, not {days}"))
        })?;
        self.known.count("ScheduleKeyDeletion");
        let done = self.client.schedule_key_deletion().key_id(&key.0).pending_window_in_days(pending).send().await;
        self.known.forget(key);
        let done = done.map_err(|error| told(key, "ScheduleKeyDeletion", error))?;
        done.deletion_date().and_then(instant).ok_or_else(|| incomplete(key, "ScheduleKeyDeletion"))
    }

    async fn cancel_deletion(&self, key: &KeyId) -> Result<()> {
        self.known.count("CancelKeyDeletion");
        let done = self.client.cancel_key_deletion().key_id(&key.0).send().await;
        self.known.forget(key);
        done.map(|_| ()).map_err(|error| told(key, "CancelKeyDeletion", error))
    }

    async fn describe(&self, key: &KeyId) -> Result<KeyInfo> {
        self.info(key).await
    }

    async fn check_usable(&self, key: &KeyId) -> Result<()> {
        let state = match self.known.state(key) {
            Some(state) => state,
            None => self.info(key).await?.state,
        };
        match state {
            KeyState::Enabled => Ok(()),
            KeyState::PendingDeletion => {
                Err(Error::new(ErrorKind::Refused, format!("key `{key}` is pending deletion: cancel the deletion first")))
            }
            state => Err(Error::new(ErrorKind::Refused, format!("key `{key}` is {state}: enable it first"))),
        }
    }

    /// The service destroys them itself, at the date it named.
    async fn destroy_due(&self) -> Result<()> {
        Ok(())
    }

    async fn list(&self) -> Result<Vec<KeyInfo>> {
        let (folder, all) = (self.alias_folder(), KeyId("of this lake".into()));
        let mut pages = self.client.list_aliases().into_paginator().send();
        let mut found = Vec::new();
        loop {
            self.known.count("ListAliases");
            let Some(page) = pages.next().await else { break };
            let page = page.map_err(|error| told(&all, "ListAliases", error))?;
            let own = page.aliases().iter().filter(|alias| alias.alias_name().is_some_and(|name| name.starts_with(&folder)));
            found.extend(own.filter_map(|alias| Some(KeyId(alias.target_key_id()?.to_owned()))));
        }
        let described = stream::iter(found).map(|key| {
            let own = self.clone();
            async move { own.info(&key).await }
        });
        described.buffered(DESCRIBED_AT_ONCE).try_collect().await
    }

    async fn policy(&self, key: &KeyId) -> Result<Option<String>> {
        self.known.count("GetKeyPolicy");
        match self.client.get_key_policy().key_id(&key.0).policy_name("default").send().await {
            Ok(answer) => Ok(answer.policy),
            // Of a key that was just described: it has none. AWS gives each one; an emulator may not.
            Err(error) if error.as_service_error().is_some_and(|error| error.is_not_found_exception()) => Ok(None),
            Err(error) => Err(told(key, "GetKeyPolicy", error)),
        }
    }

    fn as_iceberg(self: Arc<Self>) -> Arc<dyn KeyManagementClient> {
        self
    }
}

/// Iceberg's half: table keys carry no context, as in Java, so that the tables open there.
#[async_trait]
impl KeyManagementClient for AwsKeys {
    async fn wrap_key(&self, key: &[u8], wrapping_key_id: &str) -> iceberg::Result<Vec<u8>> {
        self.wrap(&KeyId(wrapping_key_id.to_owned()), key, &EncryptionContext::none()).await.map_err(for_iceberg)
    }

    async fn unwrap_key(&self, wrapped_key: &[u8], wrapping_key_id: &str) -> iceberg::Result<SensitiveBytes> {
        let id = KeyId(wrapping_key_id.to_owned());
        let plain = self.unwrap(&id, wrapped_key, &EncryptionContext::none()).await.map_err(for_iceberg)?;
        Ok(SensitiveBytes::new(plain.as_slice()))
    }

    fn supports_key_generation(&self) -> bool {
        false
    }

    async fn generate_key(&self, _wrapping_key_id: &str) -> iceberg::Result<GeneratedKey> {
        let message = "the key service wraps keys that iceberg makes, and makes none itself";
        Err(iceberg::Error::new(iceberg::ErrorKind::FeatureUnsupported, message))
    }
}

fn sent(context: &EncryptionContext) -> Option<std::collections::HashMap<String, String>> {
    let pairs = || context.0.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    (!context.0.is_empty()).then(pairs)
}

fn instant(at: &AwsDateTime) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(at.secs(), at.subsec_nanos())
}

const DESCRIPTION: &str = "bonded key of tenant ";

/// What a person sees in AWS's console, and what tells tenant and version here.
fn description(tenant: &TenantId, version: u32) -> String {
    format!("{DESCRIPTION}{tenant} version {version}")
}

fn described(text: &str) -> Option<(TenantId, u32)> {
    let (tenant, version) = text.strip_prefix(DESCRIPTION)?.split_once(" version ")?;
    Some((tenant.parse().ok()?, version.parse().ok()?))
}

impl fmt::Debug for AwsKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsKeys").field("lake", &self.lake).finish_non_exhaustive()
    }
}
