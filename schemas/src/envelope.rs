//! What a mail's carrier said of it, apart from what the mail says of itself.
//! Promise: kept with the delivery as it was told; nothing in it is proof of anything.

use core::net::IpAddr;

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
}
