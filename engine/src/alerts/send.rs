//! What lies in the queue leaves: one letter or call for each batch, tried again with growing waits, and given up with an event.
//! Promise: at least once, and under the same name each time; two processes do not send the same batch at the same moment.
//! Never: one receiver that fails holds up another; an address, a URL or a secret stands in a log or in an event.

use std::{sync::Arc, time::Duration};

use bonded_connectors::{
    ErrorKind as DoorKind,
    alerts::{Hook, Hooks, Reach, Webhook},
    identity::token::Secret,
    mailer::Mail,
    store::{alerts::SendingRow, queue::Backoff},
};
use bonded_schemas::{Severity, TenantId, TenantScope};
use futures::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    Notifier, State,
    routes::{self, Channel, Directory, Form},
    words::{self, Event, Item},
};
use crate::{
    error::{Error, Result},
    lakehouse::{Lakehouse, Tenant},
    settings::{AlertSettings, parse_duration},
};

/// Batches of one look, and of those sent side by side.
const BATCHES_MAX: u32 = 200;
const AT_ONCE: usize = 8;
/// Alerts in one digest; the rest follow in another.
const ITEMS_MAX: u32 = 200;
/// A sender that is not heard of for so long lost its batch to another; longer than any door takes.
const TAKEN_MS: i64 = 180_000;

/// Where one goes.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "to", rename_all = "lowercase")]
pub(super) enum To {
    Mail { address: String },
    Hook { route: String, url: String, form: Form, secret: Option<String> },
}

impl To {
    /// Under which a second one to the same place is known.
    pub fn name(&self) -> String {
        match self {
            To::Mail { address } => format!("mail {address}"),
            To::Hook { route, .. } => format!("hook {route}"),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            To::Mail { .. } => "letter",
            To::Hook { .. } => "call",
        }
    }
}

/// The sealed body of a row of the queue.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Sending {
    pub to: To,
    pub item: Item,
}

const WHAT: &str = "sending";

impl Sending {
    pub async fn sealed(&self, house: &Lakehouse, sending_id: &str) -> Result<String> {
        house.identity().await?.seal(WHAT, sending_id, self)
    }
}

/// How the trail of a tenant is opened where something is given up.
pub type ScopeOf<'a> = &'a (dyn Fn(TenantId) -> TenantScope + Send + Sync);

/// What one look did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    pub sent: u64,
    pub given_up: u64,
    pub kept: u64,
}

/// The webhook door as the settings say.
pub fn hooks(settings: &AlertSettings) -> Result<Arc<dyn Hooks>> {
    let cannot = |path: &std::path::Path| Error::setup(format!("cannot read alerts.webhook_authorities {}", path.display()));
    let authorities = match &settings.webhook_authorities {
        Some(path) => Some(std::fs::read_to_string(path).map_err(|error| cannot(path).with_source(error))?),
        None => None,
    };
    let reach = Reach { private: settings.webhook_private };
    Ok(Arc::new(Webhook::new(reach, settings.webhook_time_max(), authorities.as_deref())?))
}

impl Notifier {
    /// Sends what is due now, in turns until nothing is left.
    pub async fn send_due(&self, scope_of: ScopeOf<'_>) -> Result<Sent> {
        let mut total = Sent::default();
        // A bound for a queue that fills as fast as it empties; the rest is taken the next time.
        for _ in 0..20 {
            let due = self.house.control().sendings().due(self.now_ms(), BATCHES_MAX).await?;
            if due.is_empty() {
                break;
            }
            let outcomes = stream::iter(due).map(|(batch, tries)| async move {
                match self.batch(&batch, tries, scope_of).await {
                    Ok(outcome) => outcome,
                    Err(error) => {
                        tracing::warn!(target: "alerts.send", batch, %error, "a batch waits");
                        Sent { kept: 1, ..Sent::default() }
                    }
                }
            });
            for outcome in outcomes.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await {
                total.sent += outcome.sent;
                total.given_up += outcome.given_up;
                total.kept += outcome.kept;
            }
        }
        self.house.control().sendings().sweep(self.now_ms()).await?;
        Ok(total)
    }

    async fn batch(&self, batch: &str, tries: i64, scope_of: ScopeOf<'_>) -> Result<Sent> {
        let (settings, now_ms) = (&self.house.settings.alerts, self.now_ms());
        let attempts = u32::try_from(tries + 1).unwrap_or(u32::MAX);
        let sendings = self.house.control().sendings();
        let rows = sendings.take(batch, now_ms, now_ms + TAKEN_MS, ITEMS_MAX).await?;
        let Some(first) = rows.first() else { return Ok(Sent::default()) };
        let is_last = i64::from(attempts) >= i64::from(settings.tries_max) || first.expires_ms <= now_ms;
        let outcome = match self.open(&rows).await {
            Ok((to, items)) => match self.leave(&id_of(batch, first), &to, &items).await {
                Ok(()) => {
                    sendings.end(&rows).await?;
                    return Ok(Sent { sent: 1, ..Sent::default() });
                }
                Err(error) => Err((to.kind(), error.kind() == DoorKind::Input, Error::from(error))),
            },
            Err(error) => Err(("sending", false, error)),
        };
        match outcome {
            Err((kind, is_hopeless, error)) if is_last || is_hopeless => {
                self.give_up(first, kind, &error, scope_of).await?;
                sendings.end(&rows).await?;
                Ok(Sent { given_up: 1, ..Sent::default() })
            }
            Err((kind, _, error)) => {
                sendings.postpone(&rows, now_ms.saturating_add(wait_ms(settings, attempts))).await?;
                tracing::warn!(target: "alerts.send", sending = first.sending_id, tries = attempts, kind, %error, "it waits");
                Ok(Sent { kept: 1, ..Sent::default() })
            }
            Ok(()) => Ok(Sent::default()),
        }
    }

    async fn open(&self, rows: &[SendingRow]) -> Result<(To, Vec<Item>)> {
        let identity = self.house.identity().await?;
        let opened = rows.iter().map(|row| identity.unseal::<Sending>(WHAT, &row.sending_id, &row.sealed));
        let mut opened = opened.collect::<Result<Vec<_>>>()?;
        opened.sort_by_key(|sending| (sending.item.severity != Severity::Error, sending.item.at));
        let to = opened.first().map(|sending| sending.to.clone()).ok_or_else(|| Error::input("nothing is to be sent"))?;
        Ok((to, opened.into_iter().map(|sending| sending.item).collect()))
    }

    async fn leave(&self, id: &str, to: &To, items: &[Item]) -> bonded_connectors::Result<()> {
        let desk = self.house.settings.desk.url.as_deref();
        match to {
            To::Mail { address } => {
                let (subject, text, html) = words::letter(items, desk);
                self.mailer.send(&Mail { id: id.to_owned(), to: address.clone(), subject, text, html: Some(html) }).await
            }
            To::Hook { url, form, secret, .. } => {
                let body = match form {
                    Form::Bonded => words::call(id, items, desk),
                    Form::Slack => words::slack(items, desk),
                };
                let hook = Hook {
                    id: id.to_owned(),
                    url: url.clone(),
                    secret: secret.as_deref().map(Secret::from_text),
                    body: body.to_string(),
                    at_s: self.house.clock.now().timestamp(),
                };
                self.hooks.post(&hook).await
            }
        }
    }

    /// Into the tenant's trail, or the lake's where its key seals nothing.
    async fn give_up(&self, row: &SendingRow, kind: &str, why: &Error, scope_of: ScopeOf<'_>) -> Result<()> {
        let scope = scope_of(row.tenant.parse()?);
        let result = format!("a {kind} was given up: {why}");
        tracing::error!(target: "alerts.send", sending = row.sending_id, %why, "given up");
        match self.house.enter(&scope).await {
            Ok(tenant) => tenant.audit(self.house.clock.as_ref(), "alert.send", &row.sending_id, &result).await,
            Err(_) => {
                self.house
                    .audit(scope.actor().clone(), "alert.send", &format!("{}/{}", row.tenant, row.sending_id), &result)
                    .await
            }
        }
    }

    /// Sends a message that stands for nothing over a route, now; answers to how many it went.
    pub async fn try_route(&self, tenant: &Tenant, owner: &str, id: &str) -> Result<usize> {
        let (row, route) = routes::find(tenant, owner, id).await?;
        let to = match &route.channel {
            Channel::Mail { members, roles } => {
                let addresses = Directory::of(&self.house, tenant).await?.addresses(tenant, members, roles)?;
                addresses.into_iter().map(|address| To::Mail { address }).collect()
            }
            Channel::Webhook { url, form } => {
                vec![To::Hook { route: row.route_id.clone(), url: url.clone(), form: *form, secret: route.secret.clone() }]
            }
        };
        let head = tenant.ledger.audit_head().await?;
        let now = self.house.clock.now();
        let item = Item {
            tenant: tenant.scope.tenant().clone(),
            alert: "test".into(),
            event: Event::Test,
            kind: "test".into(),
            report: None,
            severity: Severity::Info,
            state: State::Resolved,
            deliveries: 1,
            opened: 1,
            raised_at: now.to_rfc3339(),
            at: now,
            head: format!("{} {}", head.events, head.hash),
        };
        for to in &to {
            let id = Uuid::now_v7().simple().to_string();
            let left = self.leave(&id, to, std::slice::from_ref(&item)).await;
            let result = match &left {
                Ok(()) => format!("a {} left", to.kind()),
                Err(error) => format!("a {} did not leave: {error}", to.kind()),
            };
            tenant.audit(self.house.clock.as_ref(), "alert.route.test", &row.route_id, &result).await?;
            left?;
        }
        Ok(to.len())
    }
}

/// Between half the bound and all of it: jitter, and still not at once.
fn wait_ms(settings: &AlertSettings, attempts: u32) -> i64 {
    let time = |text: &str| parse_duration(text).unwrap_or(Duration::from_secs(30));
    let backoff = Backoff { first: time(&settings.retry_first), most: time(&settings.retry_max) };
    let half = |random: u64| i64::try_from(backoff.wait(attempts, random).as_millis() / 2).unwrap_or(i64::MAX / 2);
    half(u64::MAX) + half(rand::random())
}

/// Of a batch and the first of it: two digests of one due time, made by a crash, are two letters.
fn id_of(batch: &str, first: &SendingRow) -> String {
    match batch == first.sending_id {
        true => batch.to_owned(),
        false => format!("{batch}-{}", first.sending_id.get(..8).unwrap_or_default()),
    }
}
