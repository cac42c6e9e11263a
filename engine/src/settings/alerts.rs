//! `[alerts]`: when an alert is raised and who hears of it where nobody said so, how calls leave, and the sign of life.
//! Promise: a limit of nothing, or a time that does not read, is refused at start.

use std::{path::PathBuf, sync::Arc, time::Duration};

use bonded_connectors::secrets::{Held, Vault};
use serde::{Deserialize, Serialize};

use super::{parse_duration, secrets::held};
use crate::error::{Error, Result};

const WEBHOOK_TIME_MAX: Duration = Duration::from_secs(120);

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlertSettings {
    /// How often the role notify looks for what is to be told.
    pub every: String,
    /// A tenant without a route of its own tells its owners and admins of errors.
    pub default_route: bool,
    /// A delivery of which more rows than this (in a hundred) cannot be read raises `rejects`.
    pub rejects_percent: u8,
    /// How long a letter or a call is worth sending.
    pub life: String,
    /// And how often it is tried meanwhile.
    pub tries_max: u32,
    /// The wait after the first failure is up to this; the bound doubles with each, up to `retry_max`.
    pub retry_first: String,
    pub retry_max: String,
    /// How long one call of a webhook may take in all.
    pub webhook_time_max: String,
    /// Webhooks may call this machine and private networks. Metadata services are never called.
    pub webhook_private: bool,
    /// Certificates (PEM) that receivers may be signed by, beside the public authorities.
    pub webhook_authorities: Option<PathBuf>,
    /// Where the URL of the sign of life is read from (`env:NAME` or `file:PATH`); none is given when absent.
    pub heartbeat: Option<String>,
    pub heartbeat_every: String,
    /// Nobody watching for longer than this is an alert itself; so long may work wait for a worker before there is no sign.
    pub heartbeat_gap_max: String,
    /// Roles that must have been heard of meanwhile for a sign to be given.
    pub heartbeat_needs: Vec<String>,
}

impl Default for AlertSettings {
    fn default() -> Self {
        Self {
            every: "15s".into(),
            default_route: true,
            rejects_percent: 5,
            life: "72h".into(),
            tries_max: 16,
            retry_first: "30s".into(),
            retry_max: "6h".into(),
            webhook_time_max: "10s".into(),
            webhook_private: false,
            webhook_authorities: None,
            heartbeat: None,
            heartbeat_every: "5m".into(),
            heartbeat_gap_max: "30m".into(),
            heartbeat_needs: Vec::new(),
        }
    }
}

impl AlertSettings {
    pub(super) fn complete() -> Self {
        Self { webhook_authorities: Some(PathBuf::new()), heartbeat: Some(String::new()), ..Self::default() }
    }

    pub(super) fn check(&self) -> Result<()> {
        for (name, text) in [
            ("every", &self.every),
            ("life", &self.life),
            ("retry_first", &self.retry_first),
            ("retry_max", &self.retry_max),
            ("webhook_time_max", &self.webhook_time_max),
            ("heartbeat_every", &self.heartbeat_every),
            ("heartbeat_gap_max", &self.heartbeat_gap_max),
        ] {
            if parse_duration(text).is_none() {
                return Err(Error::setup(format!("settings: alerts.{name} `{text}` is not like 30s, 5m or 1h")));
            }
        }
        // What is being sent is taken for three minutes: a call must end before somebody else makes it once more.
        if self.webhook_time_max() > WEBHOOK_TIME_MAX {
            return Err(Error::setup("settings: alerts.webhook_time_max must be at most 2m"));
        }
        if self.tries_max == 0 || self.rejects_percent > 100 {
            return Err(Error::setup("settings: alerts.tries_max must be at least 1, rejects_percent at most 100"));
        }
        Ok(())
    }

    pub fn every(&self) -> Duration {
        parse_duration(&self.every).unwrap_or(Duration::from_secs(15))
    }

    pub fn webhook_time_max(&self) -> Duration {
        parse_duration(&self.webhook_time_max).unwrap_or(Duration::from_secs(10))
    }

    /// The URL itself; it may be a secret.
    pub fn heartbeat(&self, vault: &Arc<Vault>) -> Result<Option<Held>> {
        self.heartbeat.as_deref().map(|named| held(vault, "alerts.heartbeat", named)).transpose()
    }
}
