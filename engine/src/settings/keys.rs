//! `[keys]`: who keeps the tenants' keys, what the lake is named by there, and how a new key is made.
//! Promise: what only one keeper knows is refused with the other; a policy for keys is looked at when the lake is opened.

use std::path::PathBuf;

use bonded_connectors::{
    keys::aws::{Making, Named, PolicyTemplate, ROTATION_DAYS, ROTATION_DAYS_DEFAULT},
    lake::copy::sha256,
};
use serde::{Deserialize, Serialize};

use super::Settings;
use crate::error::{Error, Result};

/// Who keeps the tenants' keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyProvider {
    /// The embedded keyring, in a folder.
    #[default]
    Keyring,
    /// AWS's KMS.
    Aws,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeySettings {
    pub provider: KeyProvider,
    /// What the lake is named by in the aliases of its keys at AWS; from its URL when absent.
    pub lake: Option<String>,
    /// Folder of the keyring; beside the lake (`<lake>.keys`) when absent, so that a copied lake carries no key.
    pub dir: Option<PathBuf>,
    /// Where a passphrase is read from; a key file is used when absent.
    pub passphrase: Option<String>,
    /// The policy that a new key at AWS is made with, a JSON file with placeholders; AWS's own when absent.
    pub policy: Option<PathBuf>,
    /// What the policy's placeholders stand for: the account (`${AWS::AccountId}`), and the ARNs of the application's role
    /// (`${AppRoleArn}`), the keeper's (`${KeeperRoleArn}`) and other engines' (`${TenantRoleArn}`).
    pub account_id: Option<String>,
    pub app_role: Option<String>,
    pub keeper_role: Option<String>,
    pub reader_role: Option<String>,
    /// How often AWS rotates a new key by itself.
    pub rotation_days: u32,
}

impl Default for KeySettings {
    fn default() -> Self {
        Self {
            provider: KeyProvider::default(),
            lake: None,
            dir: None,
            passphrase: None,
            policy: None,
            account_id: None,
            app_role: None,
            keeper_role: None,
            reader_role: None,
            rotation_days: ROTATION_DAYS_DEFAULT,
        }
    }
}

impl KeySettings {
    /// Every key present.
    pub(super) fn complete() -> Self {
        let some = || Some(String::new());
        Self {
            lake: some(),
            dir: Some(PathBuf::new()),
            passphrase: some(),
            policy: Some(PathBuf::new()),
            account_id: some(),
            app_role: some(),
            keeper_role: some(),
            reader_role: some(),
            ..Self::default()
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        if !ROTATION_DAYS.contains(&self.rotation_days) {
            let (first, last) = (ROTATION_DAYS.start(), ROTATION_DAYS.end());
            let message = format!("settings: keys.rotation_days is {}, and AWS takes {first} to {last}", self.rotation_days);
            return Err(Error::setup(message));
        }
        if self.policy.is_some() && self.provider != KeyProvider::Aws {
            return Err(Error::setup("settings: keys.policy is for keys at AWS: set keys.provider to aws, or leave it out"));
        }
        Ok(())
    }
}

impl Settings {
    /// What the lake is named by in the aliases of its keys: as set, or from its URL.
    pub fn keys_lake(&self) -> String {
        match &self.keys.lake {
            Some(name) => name.clone(),
            None => Self::keys_lake_of(&self.lake),
        }
    }

    /// What a lake at this URL is named by where nothing is set.
    pub fn keys_lake_of(lake: &str) -> String {
        sha256(lake.trim_end_matches('/').as_bytes()).chars().take(16).collect()
    }

    /// How a new key at AWS is made, with the policy read from its file.
    pub fn key_making(&self) -> Result<Making> {
        let policy = match &self.keys.policy {
            Some(path) => {
                let text = std::fs::read(path).map_err(|error| {
                    Error::setup(format!("keys.policy: {} cannot be read", path.display())).with_source(error)
                })?;
                let named = Named {
                    region: self.aws.region.clone(),
                    account: self.keys.account_id.clone(),
                    app_role: self.keys.app_role.clone(),
                    keeper_role: self.keys.keeper_role.clone(),
                    reader_role: self.keys.reader_role.clone(),
                };
                Some(PolicyTemplate::read(&text, &self.keys_lake(), &named)?)
            }
            None => None,
        };
        Ok(Making { policy, rotation_days: self.keys.rotation_days })
    }
}
