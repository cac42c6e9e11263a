//! Recipients that were refused: written down apart from the answer, so that no answer tells by its time why.
//! Promise: every refusal is counted; the first of an hour is written down, and each time they have doubled, so that nobody
//! fills a trail from outside; one to an address that a tenant once had is in that tenant's trail and raises its alert.
//! Never: an address is written down; the first digits of its digest are.

use std::{collections::HashMap, net::IpAddr, sync::Arc, time::Duration};

use bonded_connectors::smtp::network;
use bonded_schemas::{Actor, Severity};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::route::{Found, Route};
use crate::{
    error::Result,
    intake::State,
    lakehouse::{Lakehouse, Tenant},
};

/// Kind of the alert.
pub(crate) const ALERT: &str = "mail";
/// Refusals that wait to be written down; a recipient beyond is told to come again.
const WAITING_MAX: usize = 1024;
/// Counts are kept of so many; beyond, the oldest are forgotten.
const COUNTED_MAX: usize = 10_000;
const FORGET_AFTER: TimeDelta = TimeDelta::hours(1);
/// Refusals of a network in an hour before its answers are held back.
const FREE: u32 = 10;
const HELD_FIRST: Duration = Duration::from_millis(250);
const HELD_MAX: Duration = Duration::from_secs(8);

/// The sealed body of the alert: somebody sends to an address that was suspended or rotated away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailAlert {
    pub what: String,
    /// The public id.
    pub identifier: String,
    pub state: String,
    pub peer: Option<IpAddr>,
}

#[derive(Debug)]
struct Refusal {
    found: Found,
    peer: Option<IpAddr>,
    /// What the service that took the mail in calls it.
    mail: Option<String>,
}

/// How often, since when.
#[derive(Clone, Copy, Debug)]
struct Count {
    since: DateTime<Utc>,
    refused: u32,
}

/// Where refusals are told.
#[derive(Debug)]
pub(crate) struct Refusals {
    house: Arc<Lakehouse>,
    waiting: mpsc::Sender<Refusal>,
    networks: std::sync::Mutex<HashMap<IpAddr, Count>>,
}

/// Writes down what was told.
#[derive(Debug)]
pub(crate) struct Recorder {
    house: Arc<Lakehouse>,
    told: mpsc::Receiver<Refusal>,
    counts: HashMap<String, Count>,
}

pub(crate) fn refusals(house: Arc<Lakehouse>) -> (Refusals, Recorder) {
    let (waiting, told) = mpsc::channel(WAITING_MAX);
    let refusals = Refusals { house: house.clone(), waiting, networks: std::sync::Mutex::default() };
    (refusals, Recorder { house, told, counts: HashMap::new() })
}

impl Refusals {
    /// `false` when so many wait to be written down that this one would be lost.
    pub(super) fn tell(&self, found: Found, peer: Option<IpAddr>, mail: Option<&str>) -> bool {
        self.waiting.try_send(Refusal { found, peer, mail: mail.map(str::to_owned) }).is_ok()
    }

    /// How long the answer is held back: nothing for the first ones of a network, then twice as long each time. It is the
    /// same whatever the reason, and a recipient that is one never waits, for a relay may carry both.
    pub(super) fn hold(&self, peer: Option<IpAddr>) -> Duration {
        let Some(network) = peer.map(network) else { return Duration::ZERO };
        let now = self.house.clock.now();
        let mut networks = self.networks.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let refused = counted(&mut networks, network, now);
        match refused.checked_sub(FREE + 1) {
            None => Duration::ZERO,
            Some(beyond) => HELD_FIRST.saturating_mul(1_u32 << beyond.min(16)).min(HELD_MAX),
        }
    }
}

impl Recorder {
    /// Until nobody is left who could tell.
    pub async fn run(mut self) {
        while let Some(refusal) = self.told.recv().await {
            if let Err(error) = self.record(refusal).await {
                tracing::error!(target: "audit.lost", %error, "a refused recipient could not be written down");
            }
        }
    }

    async fn record(&mut self, refusal: Refusal) -> Result<()> {
        let now = self.house.clock.now();
        // By this its bytes are found as long as the service keeps them.
        let of_mail = refusal.mail.map(|id| format!("; mail {id} of SES")).unwrap_or_default();
        match refusal.found {
            Found::Good(_) => Ok(()),
            Found::Past { route, state } => self.past(&route, state, refusal.peer, &of_mail, now).await,
            Found::Nothing { digest_start } => {
                let from = refusal.peer.map_or_else(|| "this machine".to_owned(), |peer| network(peer).to_string());
                let count = counted(&mut self.counts, from, now);
                if !count.is_power_of_two() {
                    return Ok(());
                }
                let actor = Actor { name: "mail".into(), ip: refusal.peer, ..Actor::default() };
                let result = format!("refused: no such recipient, {count} in an hour from this network{of_mail}");
                self.house.audit(actor, "mail.recipient", &format!("sha256:{digest_start}"), &result).await
            }
        }
    }

    async fn past(&mut self, route: &Route, state: State, peer: Option<IpAddr>, of_mail: &str, now: DateTime<Utc>) -> Result<()> {
        let count = counted(&mut self.counts, route.identifier.clone(), now);
        let result = format!("refused: {}, {count} in an hour{of_mail}", state.as_str());
        let tenant = match self.house.enter(&route.scope).await {
            Ok(tenant) => tenant,
            // Its key seals nothing now: the lake's trail has it.
            Err(error) => {
                tracing::warn!(target: "serve.mail", tenant = %route.scope.tenant(), %error);
                if !count.is_power_of_two() {
                    return Ok(());
                }
                let object = format!("{}/{}", route.scope.tenant(), route.identifier);
                return self.house.audit(route.scope.actor().clone(), "mail.recipient", &object, &result).await;
            }
        };
        if count.is_power_of_two() {
            tenant.audit(self.house.clock.as_ref(), "mail.recipient", &route.identifier, &result).await?;
        }
        raise(&tenant, &route.identifier, state, peer, now).await
    }
}

async fn raise(tenant: &Tenant, identifier: &str, state: State, peer: Option<IpAddr>, now: DateTime<Utc>) -> Result<()> {
    let fingerprint = tenant.names.keyed_digest(ALERT, format!("past identifier\n{identifier}").as_bytes());
    let what = match state {
        State::Suspended => "somebody sends to an address that is suspended; nothing of it was taken",
        _ => "somebody sends to an address that was rotated away; nothing of it was taken: the schedule needs the new one",
    };
    let body = MailAlert { what: what.into(), identifier: identifier.into(), state: state.as_str().into(), peer };
    let sealed = tenant.seal(ALERT, &fingerprint, &body)?;
    tenant.ledger.raise_alert(ALERT, None, &fingerprint, Severity::Warning, now, &sealed).await?;
    Ok(())
}

/// One more; how many it are within the hour.
fn counted<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, Count>, key: K, now: DateTime<Utc>) -> u32 {
    if counts.len() >= COUNTED_MAX && !counts.contains_key(&key) {
        counts.retain(|_, count| now - count.since < FORGET_AFTER);
        if counts.len() >= COUNTED_MAX {
            counts.clear();
        }
    }
    let count = counts.entry(key).or_insert(Count { since: now, refused: 0 });
    if now - count.since >= FORGET_AFTER {
        *count = Count { since: now, refused: 0 };
    }
    count.refused = count.refused.saturating_add(1);
    count.refused
}
