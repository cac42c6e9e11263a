//! The KMS of AWS: one customer-managed key per tenant, found by its alias `alias/bonded/<lake>/<tenant>`.
//! Promise: wraps are bound to their context by the service itself; no key leaves it; each call is counted.
//! A key's state is what the service said at most half a minute ago ([`KNOWN_FOR`]); a wrap is opened by the service, which
//! looks at the state itself, each time.
//! A new key has its policy from its first moment on ([`PolicyTemplate`]), and rotates by itself.
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

use super::{
    DELETION_DAYS, DataKey, ENCRYPT_BYTES_MAX, EncryptionContext, KeyId, KeyInfo, KeyState, Keys, Rotation, for_iceberg,
};
use crate::{
    aws::{Account, Service},
    clock::Clock,
    error::{Error, ErrorKind, Result},
};
use known::Known;
use told::{does_not_open, incomplete, told};

mod known;
mod making;
#[cfg(test)]
mod tests;
mod told;

pub use known::KNOWN_FOR;
pub use making::{Making, Named, PolicyTemplate, ROTATION_DAYS, ROTATION_DAYS_DEFAULT};

/// Keys described at once when all are listed.
const DESCRIBED_AT_ONCE: usize = 8;

/// The key service of one account and region, for one lake. Clones share what is known.
#[derive(Clone)]
pub struct AwsKeys {
    client: Client,
    /// Names the lake in aliases.
    lake: String,
    making: Making,
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
        Ok(Self { client, lake: lake.to_owned(), making: Making::default(), known: Arc::new(Known::new(clock)) })
    }

    /// How keys are made from here on.
    pub fn making(mut self, making: Making) -> Self {
        self.making = making;
        self
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

    /// All aliases of this lake's keys: their names, and the ids of the keys.
    async fn aliases(&self) -> Result<Vec<(String, KeyId)>> {
        let (folder, all) = (self.alias_folder(), KeyId("of this lake".into()));
        let mut pages = self.client.list_aliases().into_paginator().send();
        let mut found = Vec::new();
        loop {
            self.known.count("ListAliases");
            let Some(page) = pages.next().await else { break };
            let page = page.map_err(|error| told(&all, "ListAliases", error))?;
            let named = page.aliases().iter().filter_map(|alias| Some((alias.alias_name()?, alias.target_key_id()?)));
            let own = named.filter(|(name, _)| name.starts_with(&folder));
            found.extend(own.map(|(name, key)| (name.to_owned(), KeyId(key.to_owned()))));
        }
        Ok(found)
    }

    async fn tags(&self, key: &KeyId) -> Result<BTreeMap<String, String>> {
        let mut pages = self.client.list_resource_tags().key_id(&key.0).into_paginator().send();
        let mut found = BTreeMap::new();
        loop {
            self.known.count("ListResourceTags");
            let Some(page) = pages.next().await else { break };
            let page = page.map_err(|error| told(key, "ListResourceTags", error))?;
            found.extend(page.tags().iter().map(|tag| (tag.tag_key().to_owned(), tag.tag_value().to_owned())));
        }
        Ok(found)
    }

    async fn rotates(&self, key: &KeyId) -> Result<Option<u32>> {
        self.known.count("GetKeyRotationStatus");
        let status = self.client.get_key_rotation_status().key_id(&key.0).send().await;
        let status = status.map_err(|error| told(key, "GetKeyRotationStatus", error))?;
        let days = status.rotation_period_in_days().and_then(|days| u32::try_from(days).ok());
        Ok(status.key_rotation_enabled().then_some(days.unwrap_or(ROTATION_DAYS_DEFAULT)))
    }

    async fn let_rotate(&self, key: &KeyId) -> Result<()> {
        self.known.count("EnableKeyRotation");
        let days = i32::try_from(self.making.rotation_days).unwrap_or(i32::MAX);
        let asked = self.client.enable_key_rotation().key_id(&key.0).rotation_period_in_days(days);
        asked.send().await.map_err(|error| told(key, "EnableKeyRotation", error))?;
        Ok(())
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
        let tags = [tag(LAKE_TAG, &self.lake), tag(TENANT_TAG, tenant.as_str())];
        let tags: std::result::Result<Vec<Tag>, _> = tags.into_iter().collect();
        let tags = tags.map_err(|error| Error::new(ErrorKind::Internal, "a tag of a key").with_source(error))?;
        self.known.count("CreateKey");
        let mut asked = self.client.create_key().description(description(tenant, 1)).set_tags(Some(tags));
        if let Some(template) = &self.making.policy {
            // The service would look whether we may change the policy, and we shall not. That somebody may, we looked at.
            asked = asked.policy(template.filled(tenant)?).bypass_policy_lockout_safety_check(true);
        }
        let made = asked.send().await.map_err(|error| told(&unnamed, "CreateKey", error))?;
        let arn = made.key_metadata.and_then(|metadata| metadata.arn).ok_or_else(|| incomplete(&unnamed, "CreateKey"))?;
        let key = KeyId(arn);
        // Named first: what goes wrong from here on leaves a key that the next attempt takes over.
        self.name(&key, tenant).await?;
        self.let_rotate(&key).await?;
        Ok(key)
    }

    /// What bears the tenant's alias is believed to be the tenant's by its tags alone, which only who may tag keys can write.
    async fn left_key(&self, tenant: &TenantId) -> Result<Option<KeyId>> {
        let alias = format!("{}{tenant}", self.alias_folder());
        let Some((_, left)) = self.aliases().await?.into_iter().find(|(name, _)| *name == alias) else { return Ok(None) };
        let tags = self.tags(&left).await?;
        for (tag, ours) in [(LAKE_TAG, self.lake.as_str()), (TENANT_TAG, tenant.as_str())] {
            let found = tags.get(tag).map_or("nothing", String::as_str);
            if found != ours {
                let message = format!(
                    "`{alias}` names key `{left}`, whose tag {tag} says {}, not {ours}: give the alias to the right key, or take it away",
                    found.escape_default()
                );
                return Err(Error::new(ErrorKind::Refused, message));
            }
        }
        let info = self.info(&left).await?;
        if info.tenant != *tenant {
            let message =
                format!("`{alias}` names key `{left}`, which is described as that of {}: mend one of them", info.tenant);
            return Err(Error::new(ErrorKind::Refused, message));
        }
        if info.state != KeyState::Enabled {
            let message = format!("`{alias}` names key `{left}`, which is {}: enable it, or take the alias away", info.state);
            return Err(Error::new(ErrorKind::Refused, message));
        }
        if self.rotates(&info.key_id).await?.is_none() {
            self.let_rotate(&info.key_id).await?;
        }
        Ok(Some(info.key_id))
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
        let found = self.aliases().await?.into_iter().map(|(_, key)| key);
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

    fn policy_of_new(&self, tenant: &TenantId) -> Result<Option<String>> {
        self.making.policy.as_ref().map(|template| template.filled(tenant)).transpose()
    }

    async fn rotation(&self, key: &KeyId) -> Result<Rotation> {
        Ok(self.rotates(key).await?.map_or(Rotation::Never, Rotation::EveryDays))
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

/// By these tags IAM policies tell keys apart, and we whose a key is.
const LAKE_TAG: &str = "bonded:lake";
const TENANT_TAG: &str = "bonded:tenant";
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
