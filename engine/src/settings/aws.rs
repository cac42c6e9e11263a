//! `[aws]`: region and endpoints, the same for every service of AWS that is in use, and how the lake's bucket is used.
//! Credentials are no settings: they come of AWS's standard chain.
//! Promise: a region, an endpoint or an address that lies outside of the allowed regions is refused at start, by its setting.

use std::{ops::RangeInclusive, time::Duration};

use bonded_connectors::{
    aws::Reach,
    lake::{Use, is_s3},
    residency::Residency,
};
use serde::{Deserialize, Serialize};

use super::{CatalogKind, KeyProvider, Settings, parse_duration};
use crate::error::{Error, Result};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const RETAIN: RangeInclusive<Duration> = DAY..=Duration::from_secs(3653 * 24 * 60 * 60);

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AwsSettings {
    pub region: String,
    /// Of all services, in place of AWS's own: an emulator, a private link.
    pub endpoint: Option<String>,
    pub kms_endpoint: Option<String>,
    pub s3_endpoint: Option<String>,
    pub glue_endpoint: Option<String>,
    pub sqs_endpoint: Option<String>,
    /// `https://host/bucket` instead of `https://bucket.host`.
    pub path_style: bool,
    /// The start refuses a bucket that does not keep every object in Object Lock's compliance mode.
    pub lock: bool,
    /// `1826d`: how long S3 keeps received files and sealed segments of the trail in compliance mode, whoever asks.
    pub retain: Option<String>,
    /// Where data may lie: endpoints, buckets, keys, queues and databases of another region are refused.
    pub regions_allowed: Vec<String>,
    /// Hosts outside of AWS, by their exact names, of which one may be `s3_endpoint`. Whoever names one answers for where it is.
    pub hosts_allowed: Vec<String>,
}

impl Default for AwsSettings {
    fn default() -> Self {
        Self {
            region: "us-east-1".into(),
            endpoint: None,
            kms_endpoint: None,
            s3_endpoint: None,
            glue_endpoint: None,
            sqs_endpoint: None,
            path_style: false,
            lock: false,
            retain: None,
            regions_allowed: vec!["us-east-1".into(), "us-west-2".into()],
            hosts_allowed: Vec::new(),
        }
    }
}

impl AwsSettings {
    /// Every key present.
    pub(super) fn complete() -> Self {
        let some = || Some(String::new());
        Self {
            endpoint: some(),
            kms_endpoint: some(),
            s3_endpoint: some(),
            glue_endpoint: some(),
            sqs_endpoint: some(),
            retain: some(),
            ..Self::default()
        }
    }

    pub fn reach(&self) -> Reach {
        Reach {
            region: self.region.clone(),
            endpoint: self.endpoint.clone(),
            kms_endpoint: self.kms_endpoint.clone(),
            s3_endpoint: self.s3_endpoint.clone(),
            glue_endpoint: self.glue_endpoint.clone(),
            sqs_endpoint: self.sqs_endpoint.clone(),
        }
    }

    /// # Errors
    /// `Setup` below a day, and above ten years: nobody can take a retention in compliance mode back.
    pub fn retained_for(&self) -> Result<Option<Duration>> {
        let Some(text) = &self.retain else { return Ok(None) };
        match parse_duration(text) {
            Some(retain) if RETAIN.contains(&retain) => Ok(Some(retain)),
            _ => {
                Err(Error::setup(format!("settings: aws.retain `{}` is not like 1826d, from 1d to 3653d", text.escape_default())))
            }
        }
    }

    pub fn residency(&self) -> Result<Residency> {
        Ok(Residency::new(&self.regions_allowed, self.endpoint.as_deref())?.with_hosts(&self.hosts_allowed)?)
    }
}

impl Settings {
    pub(super) fn check_aws(&self) -> Result<()> {
        self.aws.retained_for()?;
        Ok(self.aws.reach().check()?)
    }

    /// What holds of the lake that was named last, on the command line perhaps.
    pub(crate) fn check_lake(&self) -> Result<()> {
        for (setting, is_set) in [("aws.lock", self.aws.lock), ("aws.retain", self.aws.retain.is_some())] {
            if is_set && !is_s3(&self.lake) {
                return Err(Error::setup(format!("settings: {setting} is for a lake on s3://, and `{}` is none", self.lake)));
            }
        }
        self.check_catalog()
    }

    /// Whether any service of AWS is in use.
    pub fn uses_aws(&self) -> bool {
        self.keys.provider == KeyProvider::Aws || is_s3(&self.lake) || self.catalog.kind == CatalogKind::Glue
    }

    /// S3 asks the KMS for a tenant's key itself, so it must lie there.
    pub fn bucket_use(&self) -> Result<Use> {
        let (path_style, tenant_keys) = (self.aws.path_style, self.keys.provider == KeyProvider::Aws);
        Ok(Use { path_style, tenant_keys, retain: self.aws.retained_for()? })
    }

    /// What the settings alone tell of places; what lies in secrets is looked at when they are read.
    pub(super) fn check_residency(&self) -> Result<()> {
        let residency = self.aws.residency()?;
        residency.region("aws.region", &self.aws.region)?;
        for (what, endpoint) in [
            ("aws.endpoint", &self.aws.endpoint),
            ("aws.kms_endpoint", &self.aws.kms_endpoint),
            ("aws.glue_endpoint", &self.aws.glue_endpoint),
            ("aws.sqs_endpoint", &self.aws.sqs_endpoint),
            ("ses.queue_url", &self.ses.queue_url),
            ("ses.dead_letter_url", &self.ses.dead_letter_url),
        ] {
            if let Some(endpoint) = endpoint {
                residency.endpoint(what, endpoint)?;
            }
        }
        if let Some(endpoint) = &self.aws.s3_endpoint {
            residency.store("aws.s3_endpoint", endpoint)?;
        }
        for (what, address) in [
            ("oidc.issuer", &self.oidc.issuer),
            ("oidc.jwks_uri", &self.oidc.jwks_uri),
            ("oidc.authorization_endpoint", &self.oidc.authorization_endpoint),
            ("oidc.token_endpoint", &self.oidc.token_endpoint),
            ("desk.url", &self.desk.url),
        ] {
            if let Some(address) = address {
                residency.address(what, address)?;
            }
        }
        if let Some(topic) = &self.ses.topic_arn {
            residency.arn("ses.topic_arn", topic)?;
        }
        for (setting, reference) in self.named_secrets() {
            if let Some(name) = reference.strip_prefix("secret://aws/") {
                residency.named(setting, name.split('#').next().unwrap_or(name))?;
            }
        }
        Ok(())
    }
}
