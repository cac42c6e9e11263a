//! `[aws]`: region and endpoints, the same for every service of AWS that is in use, and how the lake's bucket is used.
//! Credentials are no settings: they come of AWS's standard chain.

use bonded_connectors::{
    aws::Reach,
    lake::{Use, is_s3},
};
use serde::{Deserialize, Serialize};

use super::Settings;
use crate::error::{Error, Result};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AwsSettings {
    pub region: String,
    /// Of all services, in place of AWS's own: an emulator, a private link.
    pub endpoint: Option<String>,
    pub kms_endpoint: Option<String>,
    pub s3_endpoint: Option<String>,
    /// `https://host/bucket` instead of `https://bucket.host`.
    pub path_style: bool,
    /// The start refuses a bucket that does not keep every object in Object Lock's compliance mode.
    pub lock: bool,
}

impl Default for AwsSettings {
    fn default() -> Self {
        Self { region: "us-east-1".into(), endpoint: None, kms_endpoint: None, s3_endpoint: None, path_style: false, lock: false }
    }
}

impl AwsSettings {
    /// Every key present.
    pub(super) fn complete() -> Self {
        let some = || Some(String::new());
        Self { endpoint: some(), kms_endpoint: some(), s3_endpoint: some(), ..Self::default() }
    }

    pub fn reach(&self) -> Reach {
        Reach {
            region: self.region.clone(),
            endpoint: self.endpoint.clone(),
            kms_endpoint: self.kms_endpoint.clone(),
            s3_endpoint: self.s3_endpoint.clone(),
        }
    }
}

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

impl Settings {
    pub(super) fn check_aws(&self) -> Result<()> {
        Ok(self.aws.reach().check()?)
    }

    /// What holds of the lake that was named last, on the command line perhaps.
    pub(crate) fn check_lake(&self) -> Result<()> {
        if self.aws.lock && !is_s3(&self.lake) {
            return Err(Error::setup(format!("settings: aws.lock is for a lake on s3://, and `{}` is none", self.lake)));
        }
        Ok(())
    }

    /// Whether any service of AWS is in use.
    pub fn uses_aws(&self) -> bool {
        self.keys.provider == KeyProvider::Aws || is_s3(&self.lake)
    }

    /// S3 asks the KMS for a tenant's key itself, so it must lie there.
    pub fn bucket_use(&self) -> Use {
        Use { path_style: self.aws.path_style, tenant_keys: self.keys.provider == KeyProvider::Aws }
    }

    /// What the lake is named by in the aliases of its keys: as set, or from its URL.
    pub fn keys_lake(&self) -> String {
        match &self.keys.lake {
            Some(name) => name.clone(),
            None => bonded_connectors::lake::copy::sha256(self.lake.trim_end_matches('/').as_bytes()).chars().take(16).collect(),
        }
    }
}
