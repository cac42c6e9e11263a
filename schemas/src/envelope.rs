//! What a mail's carrier said of it, apart from what the mail says of itself.
//! Promise: kept with the delivery as it was told; nothing in it is proof of anything.

use core::net::IpAddr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// One message on its way to one recipient of ours.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// Which ingest identifier it was sent to: its public id, not the address, which is a secret.
    pub identifier: String,
    /// Of the host that handed it over; none where it was found in a folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<IpAddr>,
    /// What that host called itself (EHLO, LHLO).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helo: Option<String>,
    /// MAIL FROM; empty for bounces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail_from: Option<String>,
    /// TLS version and cipher suite of the last hop; none where it came in the clear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<String>,
    /// What the service found that took it in before us, told apart from the mail; none where it came to our own door.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Box<ServiceFindings>>,
}

/// Of a mail that Amazon SES took in: its own words on it, as they came beside the mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceFindings {
    /// As the service calls the message, and its object.
    pub message_id: String,
    pub received_at: DateTime<Utc>,
    /// Absent where the service did not look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spam: Option<ServiceVerdict>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virus: Option<ServiceVerdict>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spf: Option<ServiceVerdict>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dkim: Option<ServiceVerdict>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dmarc: Option<ServiceVerdict>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ServiceVerdict {
    Pass,
    Fail,
    /// There is nothing to judge by, or it is not certain.
    Gray,
    ProcessingFailed,
}
