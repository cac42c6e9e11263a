//! `[mail_in]`: the domain of the tenants' addresses, where mail is listened for, and within which limits.
//! Promise: without a domain there is no address and nothing listens; a message larger than the raw zone takes is refused at
//! the door, so the door's limit must not be above the zone's.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use bonded_connectors::smtp::Limits;
use serde::{Deserialize, Serialize};

use super::parse_duration;
use crate::error::{Error, Result};

mod proof;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MailInSettings {
    /// Of the addresses; its MX leads here.
    pub domain: Option<String>,
    /// As the server calls itself; the domain when absent.
    pub host: Option<String>,
    /// SMTP with STARTTLS; empty: not.
    pub listen: String,
    /// SMTP over TLS from the first byte; none when absent.
    pub tls_listen: Option<String>,
    /// LMTP for a mail server on this machine: `unix:/path`, or a loopback address; none when absent.
    pub lmtp: Option<String>,
    /// A folder that such a mail server delivers into: `new` is taken in and moved to `cur`. None when absent.
    pub maildir: Option<PathBuf>,
    /// Over SMTP nothing is taken in the clear.
    pub starttls_required: bool,
    pub message_bytes_max: u64,
    pub connections_max: usize,
    /// Of one address (of IPv6: one /64).
    pub peer_connections_max: usize,
    pub recipients_max: usize,
    /// Tenants that one message may be for; the rest come in a message of their own.
    pub tenants_max: usize,
    /// Messages taken in at once, and of one tenant; each holds about 12 MiB while it lands.
    pub landings_max: usize,
    pub tenant_landings_max: usize,
    pub commands_max: u32,
    /// Commands that are none, and recipients that are none, before a connection is cut.
    pub errors_max: u32,
    pub refused_max: u32,
    /// For a TLS handshake.
    pub greeting_time: String,
    /// Between two commands; RFC 5321 asks for 5 minutes.
    pub command_time: String,
    /// Between two pieces of a message; RFC 5321 asks for 3 minutes.
    pub data_time: String,
    /// For sealing a message after its last byte.
    pub keep_time: String,
    /// For a whole connection.
    pub session_time: String,
    /// A message that comes slower than this, beyond the first `data_time`, is cut.
    pub bytes_per_second_min: u64,
    /// `system`: SPF, DKIM, DMARC and ARC are asked of this machine's name servers. `off`: they are not evaluated.
    pub dns: String,
    /// All questions of one mail; what is not answered by then is a temporary error.
    pub dns_time_max: String,
    /// Hops whose Authentication-Results are believed: `mx.example.com@192.0.2.7`, `mx.example.com@192.0.2.0/24`;
    /// `amazonses.com` for what a worker of this house fetched from there.
    pub trusted_hops: Vec<String>,
}

impl Default for MailInSettings {
    fn default() -> Self {
        Self {
            domain: None,
            host: None,
            listen: "127.0.0.1:2525".into(),
            tls_listen: None,
            lmtp: None,
            maildir: None,
            starttls_required: true,
            message_bytes_max: 64 << 20,
            connections_max: 2000,
            peer_connections_max: 32,
            recipients_max: 100,
            tenants_max: 4,
            landings_max: 16,
            tenant_landings_max: 8,
            commands_max: 1000,
            errors_max: 10,
            refused_max: 10,
            greeting_time: "15s".into(),
            command_time: "5m".into(),
            data_time: "3m".into(),
            keep_time: "5m".into(),
            session_time: "1h".into(),
            bytes_per_second_min: 1024,
            dns: "system".into(),
            dns_time_max: "5s".into(),
            trusted_hops: Vec::new(),
        }
    }
}

/// Where LMTP is spoken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lmtp {
    Unix(PathBuf),
    Tcp(SocketAddr),
}

impl MailInSettings {
    /// Every key present, so that the environment can name optional ones.
    pub(super) fn complete() -> Self {
        let text = || Some(String::new());
        Self { domain: text(), host: text(), tls_listen: text(), lmtp: text(), maildir: Some(PathBuf::new()), ..Self::default() }
    }

    pub(super) fn check(&self) -> Result<()> {
        for (name, text) in self.times() {
            if parse_duration(text).is_none() {
                return Err(Error::setup(format!("settings: mail_in.{name} `{text}` is not like 30s, 5m or 1h")));
            }
        }
        for (name, text) in [("domain", &self.domain), ("host", &self.host)] {
            let is_name = |text: &str| {
                let label = |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
                text.len() <= 253 && text.split('.').all(label)
            };
            if text.as_deref().is_some_and(|text| !is_name(text)) {
                return Err(Error::setup(format!("settings: mail_in.{name} is not like reports.example.com")));
            }
        }
        let counts =
            [self.connections_max, self.peer_connections_max, self.recipients_max, self.landings_max, self.tenant_landings_max];
        if counts.contains(&0) || [self.commands_max, self.errors_max, self.refused_max].contains(&0) {
            return Err(Error::setup("settings: the limits in mail_in that end in _max must be at least 1"));
        }
        if self.tenants_max == 0 || self.tenants_max > self.landings_max {
            return Err(Error::setup("settings: mail_in.tenants_max must be at least 1 and at most landings_max"));
        }
        if self.message_bytes_max == 0 {
            return Err(Error::setup("settings: mail_in.message_bytes_max must be at least 1"));
        }
        self.check_proof()?;
        self.smtp_address()?;
        self.tls_address()?;
        self.lmtp_place().map(drop)
    }

    pub fn smtp_address(&self) -> Result<Option<SocketAddr>> {
        if self.listen.is_empty() {
            return Ok(None);
        }
        address("listen", &self.listen).map(Some)
    }

    pub fn tls_address(&self) -> Result<Option<SocketAddr>> {
        self.tls_listen.as_deref().map(|text| address("tls_listen", text)).transpose()
    }

    /// LMTP believes whoever connects, so it does not leave the machine.
    pub fn lmtp_place(&self) -> Result<Option<Lmtp>> {
        let Some(text) = self.lmtp.as_deref() else { return Ok(None) };
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(Some(Lmtp::Unix(path.into())));
        }
        let address = address("lmtp", text)?;
        match address.ip().is_loopback() {
            true => Ok(Some(Lmtp::Tcp(address))),
            false => Err(Error::setup(format!("settings: mail_in.lmtp is for this machine only, and names {address}"))),
        }
    }

    pub fn limits(&self) -> Limits {
        let time = |text: &str| parse_duration(text).unwrap_or(Duration::from_secs(60));
        Limits {
            message_bytes_max: self.message_bytes_max,
            connections_max: self.connections_max,
            peer_connections_max: self.peer_connections_max,
            recipients_max: self.recipients_max,
            groups_max: self.tenants_max,
            landings_max: self.landings_max,
            group_landings_max: self.tenant_landings_max,
            line_bytes_max: LINE_BYTES_MAX,
            commands_max: self.commands_max,
            errors_max: self.errors_max,
            refused_max: self.refused_max,
            greeting_time: time(&self.greeting_time),
            command_time: time(&self.command_time),
            data_time: time(&self.data_time),
            keep_time: time(&self.keep_time),
            session_time: time(&self.session_time),
            bytes_per_second_min: self.bytes_per_second_min,
        }
    }

    fn times(&self) -> [(&'static str, &str); 5] {
        [
            ("greeting_time", &self.greeting_time),
            ("command_time", &self.command_time),
            ("data_time", &self.data_time),
            ("keep_time", &self.keep_time),
            ("session_time", &self.session_time),
        ]
    }
}

/// RFC 5321 has 512, and more where extensions bring parameters and UTF-8.
const LINE_BYTES_MAX: usize = 2048;

fn address(name: &str, text: &str) -> Result<SocketAddr> {
    let not = |error| Error::setup(format!("settings: mail_in.{name} `{text}` is not like 127.0.0.1:2525")).with_source(error);
    text.parse().map_err(|error: std::net::AddrParseError| not(error))
}
