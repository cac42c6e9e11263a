//! `[api]`: where the front desk listens, what it shows for a certificate, how much it takes.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::parse_duration;
use crate::error::{Error, Result};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApiSettings {
    /// Address and port. Port 0: any that is free, told when it is ready.
    pub listen: String,
    /// PEM chain and its private key; a development certificate when both are absent.
    pub certificate: Option<PathBuf>,
    pub private_key: Option<PathBuf>,
    /// HTTP without TLS, on a loopback address only: behind a proxy on this machine, or for tests.
    pub plain: bool,
    /// Whose `X-Forwarded-For` is believed.
    pub proxies: Vec<IpAddr>,
    /// Where weaknesses are told of, for `/.well-known/security.txt`: `mailto:...` or `https://...`.
    pub security_contact: Option<String>,
    pub connections_max: usize,
    /// Of any body but an upload's.
    pub body_bytes_max: usize,
    /// For anything but uploads and answers that stream.
    pub time_max: String,
    /// An upload that brings nothing for so long is given up.
    pub upload_pause_max: String,
    /// Questions at work at once, and of one tenant.
    pub queries_max: usize,
    pub tenant_queries_max: usize,
    /// What one answer kept for later may hold.
    pub job_bytes_max: usize,
}

impl Default for ApiSettings {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8443".into(),
            certificate: None,
            private_key: None,
            plain: false,
            proxies: Vec::new(),
            security_contact: None,
            connections_max: 2048,
            body_bytes_max: 1 << 20,
            time_max: "30s".into(),
            upload_pause_max: "30s".into(),
            queries_max: 8,
            tenant_queries_max: 4,
            job_bytes_max: 64 << 20,
        }
    }
}

impl ApiSettings {
    pub(super) fn check(&self) -> Result<()> {
        self.address()?;
        for (name, text) in [("time_max", &self.time_max), ("upload_pause_max", &self.upload_pause_max)] {
            if parse_duration(text).is_none() {
                return Err(Error::setup(format!("settings: api.{name} `{text}` is not like 30s, 5m or 1h")));
            }
        }
        if [self.connections_max, self.queries_max, self.tenant_queries_max, self.body_bytes_max].contains(&0) {
            let message = "settings: api.connections_max, body_bytes_max, queries_max and tenant_queries_max must be at least 1";
            return Err(Error::setup(message));
        }
        Ok(())
    }

    pub fn address(&self) -> Result<SocketAddr> {
        let not =
            |error| Error::setup(format!("settings: api.listen `{}` is not like 127.0.0.1:8443", self.listen)).with_source(error);
        self.listen.parse().map_err(|error: std::net::AddrParseError| not(error))
    }

    pub fn time_max(&self) -> Duration {
        parse_duration(&self.time_max).unwrap_or(Duration::from_secs(30))
    }

    pub fn upload_pause_max(&self) -> Duration {
        parse_duration(&self.upload_pause_max).unwrap_or(Duration::from_secs(30))
    }
}
