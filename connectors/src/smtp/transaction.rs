//! One message of a session: handed to the postbox piece by piece while it comes in, and answered for at its end.
//! Promise: what breaks off, is too slow or too large reaches the postbox as an error; memory is that of some pieces.

use std::{sync::Arc, time::Duration};

use bonded_schemas::Envelope;
use bytes::Bytes;
use tokio::task::JoinHandle;

use super::{
    Mailbox, Outcome,
    body::{self, Outgoing},
    landings::Places,
    server::Server,
};

pub(super) struct Message {
    /// None once nobody reads, or the message is too large: the rest is thrown away as it comes.
    outgoing: Option<Outgoing>,
    delivering: JoinHandle<Vec<Outcome>>,
    recipients: usize,
    size_bytes: u64,
    size_bytes_max: u64,
    /// Of the time that the client took, not of ours.
    waited: Duration,
    _places: Places,
}

impl Message {
    /// Waits for its places; `None` when there were none in time.
    pub async fn begin(server: &Arc<Server>, envelope: Envelope, recipients: Vec<Mailbox>) -> Option<Self> {
        let mut groups: Vec<String> = recipients.iter().map(|mailbox| mailbox.group.clone()).collect();
        groups.sort_unstable();
        groups.dedup();
        let places = server.landings.take(&groups, server.limits.data_time).await?;
        let (outgoing, incoming) = body::pipe();
        let count = recipients.len();
        let postbox = server.postbox.clone();
        // Apart from the session, which a client that goes away ends: what was told to be whole is taken to its end.
        let delivering = tokio::spawn(async move { postbox.deliver(envelope, recipients, incoming).await });
        Some(Self {
            outgoing: Some(outgoing),
            delivering,
            recipients: count,
            size_bytes: 0,
            size_bytes_max: server.limits.message_bytes_max,
            waited: Duration::ZERO,
            _places: places,
        })
    }

    pub async fn add(&mut self, bytes: Bytes) {
        self.size_bytes += bytes.len() as u64;
        if self.is_too_large() {
            self.outgoing = None;
        }
        if let Some(outgoing) = &self.outgoing
            && !outgoing.send(bytes).await
        {
            self.outgoing = None;
        }
    }

    pub fn is_too_large(&self) -> bool {
        self.size_bytes > self.size_bytes_max
    }

    /// Twice what is taken: there is no use in waiting for its end.
    pub fn is_endless(&self) -> bool {
        self.size_bytes > self.size_bytes_max.saturating_mul(2)
    }

    /// Adds to the time that the client took; whether it is slower than it may be.
    pub fn is_too_slow(&mut self, took: Duration, server: &Server) -> bool {
        self.waited += took;
        let least = self.waited.as_secs_f64() * server.limits.bytes_per_second_min as f64;
        self.waited > server.limits.data_time && (self.size_bytes as f64) < least
    }

    /// All of it is there; what became of it for each recipient.
    pub async fn finish(mut self, within: Duration) -> Vec<Outcome> {
        if self.is_too_large() {
            return vec![Outcome::TooLarge; self.recipients];
        }
        if let Some(outgoing) = self.outgoing.take() {
            // Nobody reads any more where this fails, and the outcomes say so.
            outgoing.finish().await;
        }
        let told = match tokio::time::timeout(within, self.delivering).await {
            Ok(Ok(outcomes)) => outcomes,
            Ok(Err(error)) => {
                tracing::error!(target: "smtp.deliver", %error, "a delivery fell over");
                Vec::new()
            }
            Err(_) => {
                tracing::error!(target: "smtp.deliver", "a delivery took too long; the client was told to come again");
                Vec::new()
            }
        };
        match told.len() == self.recipients {
            true => told,
            false => vec![Outcome::Later; self.recipients],
        }
    }
}
