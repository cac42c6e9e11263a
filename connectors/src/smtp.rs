//! The mail door: a listener for SMTP and LMTP that takes messages for the recipients of a [`Postbox`] and no others.
//! Promise: a message is answered for only when the postbox says that it is kept; one that breaks off is an error to
//! whoever reads it, never a shorter message; every line, command, message, wait and connection has its limit.
//! Never: nothing is relayed, looked up for a stranger (VRFY, EXPN) or given out; no message is held in memory whole.

use std::{fmt, net::IpAddr, time::Duration};

use async_trait::async_trait;
use bonded_schemas::Envelope;

mod body;
mod certificate;
mod end_of_data;
mod landings;
mod peers;
mod reply;
mod server;
mod session;
#[cfg(test)]
mod tests;
mod transaction;
mod wire;

pub use body::{Incoming, Outgoing, pipe};
pub use certificate::Certificate;
pub use peers::network;
pub use server::{Door, Kind, Server};

/// What is taken in for whom.
#[async_trait]
pub trait Postbox: Send + Sync + fmt::Debug {
    /// Whether this is a recipient. The answer to one that is not must not tell why, nor take longer for one reason than
    /// for another.
    async fn recipient(&self, peer: Option<IpAddr>, address: &str) -> Admission;

    /// Takes a message in; one outcome for each recipient, in their order. `message` fails where the client broke off.
    async fn deliver(&self, envelope: Envelope, recipients: Vec<Mailbox>, message: Incoming) -> Vec<Outcome>;
}

/// The postbox's answer to one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    Accept(Mailbox),
    Refuse,
    /// It cannot be told now.
    Later,
}

/// A recipient as the postbox knows it; it means nothing here.
#[derive(Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// By which the postbox finds it again.
    pub key: String,
    /// Mailboxes of one group are one owner's: limits hold for it.
    pub group: String,
}

/// What became of a message for one recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Safe on disk, whatever happens next.
    Kept,
    /// Nothing is kept; the client should come again.
    Later,
    /// Larger than is taken.
    TooLarge,
}

/// How much, how many, how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    pub message_bytes_max: u64,
    pub connections_max: usize,
    /// Of one network; LMTP over a socket of this machine has none.
    pub peer_connections_max: usize,
    /// Of one message.
    pub recipients_max: usize,
    /// Groups that one message may be for: each is a landing of its own.
    pub groups_max: usize,
    /// Messages that are being taken in at once: each holds some blocks of memory.
    pub landings_max: usize,
    /// And of one group.
    pub group_landings_max: usize,
    pub line_bytes_max: usize,
    pub commands_max: u32,
    /// Commands that were refused as such, before the connection is cut.
    pub errors_max: u32,
    /// Recipients that are none, before the connection is cut.
    pub refused_max: u32,
    /// For a TLS handshake.
    pub greeting_time: Duration,
    /// Between two commands, and for a client that does not read.
    pub command_time: Duration,
    /// Between two pieces of a message.
    pub data_time: Duration,
    /// For what the postbox does after the last byte.
    pub keep_time: Duration,
    /// For all of it.
    pub session_time: Duration,
    /// A message that comes slower than this, beyond the first `data_time`, is cut.
    pub bytes_per_second_min: u64,
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mailbox({})", self.group)
    }
}
