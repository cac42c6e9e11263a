//! From what is pending of an alert to what is sent: who is to hear of it, in which way, when; and the levels above them.
//! Promise: what is to be sent lies in the queue before the alert is marked as told, under a name made of the alert and what
//! happened to it: a crash in between puts the same names there once more, which changes nothing.
//! Never: anything is sent from here, and nothing is told of an alert that is muted.

use std::{collections::HashMap, fmt, sync::Arc};

use bonded_connectors::{
    alerts::Hooks,
    mailer::Mailer,
    store::{
        TenantStore,
        alerts::{Alert, LifeRow, SendingRow, pending},
        audit::NewEvent,
    },
};
use bonded_schemas::{Report, Role, Severity, TenantId, TenantScope};
use serde_json::json;
use tokio::sync::Mutex;

use super::{
    State,
    routes::{Channel, Directory, Route},
    send::{Sending, To},
    severity_of,
    words::{Event, Item},
};
use crate::{
    audit::Change,
    error::{Error, ErrorKind, Result},
    lakehouse::{Lakehouse, Tenant},
    settings::millis,
};

/// Ledgers kept open between two looks.
const LEDGERS_MAX: usize = 64;
/// Admins, and then owners.
const LEVELS: i64 = 2;
const DAY_MS: i64 = 24 * 3600 * 1000;

/// What tells people and programs of alerts. One for each process; more do no harm.
pub struct Notifier {
    pub(super) house: Arc<Lakehouse>,
    pub(super) mailer: Arc<dyn Mailer>,
    pub(super) hooks: Arc<dyn Hooks>,
    ledgers: Mutex<HashMap<TenantId, TenantStore>>,
}

impl Notifier {
    pub fn new(house: Arc<Lakehouse>, mailer: Arc<dyn Mailer>, hooks: Arc<dyn Hooks>) -> Self {
        Self { house, mailer, hooks, ledgers: Mutex::default() }
    }

    pub(super) fn now_ms(&self) -> i64 {
        self.house.clock.now().timestamp_millis()
    }

    /// Puts into the queue what is to be told of the scope's alerts; answers how many alerts there were.
    pub async fn plan(&self, scope: &TenantScope) -> Result<usize> {
        let ledger = self.ledger(scope).await?;
        // Only what is due opens the tenant's rooms, which asks its key.
        if ledger.lives_due(self.now_ms()).await?.iter().all(|life| !self.is_to_change(life)) {
            return Ok(0);
        }
        let tenant = self.house.enter(scope).await?;
        plan(&self.house, &tenant).await
    }

    fn is_to_change(&self, life: &LifeRow) -> bool {
        life.pending > 0 || turned(life, self.now_ms()).is_some()
    }

    async fn ledger(&self, scope: &TenantScope) -> Result<TenantStore> {
        let mut ledgers = self.ledgers.lock().await;
        if let Some(ledger) = ledgers.get(scope.tenant()) {
            return Ok(ledger.clone());
        }
        let ledger = self.house.ledger(scope).await?;
        if ledgers.len() >= LEDGERS_MAX {
            ledgers.clear();
        }
        ledgers.insert(scope.tenant().clone(), ledger.clone());
        Ok(ledger)
    }
}

impl fmt::Debug for Notifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notifier").field("mailer", &self.mailer).field("hooks", &self.hooks).finish_non_exhaustive()
    }
}

/// The same with the rooms open: for who is about to close them.
pub async fn plan(house: &Lakehouse, tenant: &Tenant) -> Result<usize> {
    let now_ms = house.clock.now().timestamp_millis();
    // What the time brings comes first, under a version of its own, so that the names of what is told do not change.
    for life in tenant.ledger.lives_due(now_ms).await? {
        if let Some(to) = turned(&life, now_ms) {
            // Somebody was first: it is looked at again the next time.
            tenant.ledger.change_life(&life, &to, None).await?;
        }
    }
    let due: Vec<LifeRow> = tenant.ledger.lives_due(now_ms).await?.into_iter().filter(|life| life.pending > 0).collect();
    if due.is_empty() {
        return Ok(0);
    }
    let directory = Directory::of(house, tenant).await?;
    let head = tenant.ledger.audit_head().await?;
    let planner = Planner { house, tenant, directory, now_ms, head: format!("{} {}", head.events, head.hash) };
    let (mut planned, mut failed) = (0, None);
    for life in due {
        // One that cannot be told keeps no other from it.
        match planner.one(&life).await {
            Ok(told) => planned += usize::from(told),
            Err(error) => {
                tracing::error!(target: "alerts.plan", tenant = %tenant.scope.tenant(), alert = life.id(), %error);
                failed.get_or_insert(error);
            }
        }
    }
    failed.map_or(Ok(planned), Err)
}

/// How an alert stands that the time alone changed; none where it did not.
fn turned(life: &LifeRow, now_ms: i64) -> Option<LifeRow> {
    let mut to = life.clone();
    if (1..=now_ms).contains(&life.muted_until_ms) {
        to.muted_until_ms = 0;
        if life.state != State::Resolved.as_str() {
            to.pending |= pending::UNMUTED;
        }
    }
    let is_due = life.state == State::Open.as_str() && (1..=now_ms).contains(&life.escalate_ms);
    if is_due && to.muted_until_ms == 0 && life.level < LEVELS {
        to.level += 1;
        to.pending |= pending::ESCALATED;
        // Set anew when it is told.
        to.escalate_ms = 0;
    }
    to.noticed = life.version + 1;
    (to.pending != life.pending || to.muted_until_ms != life.muted_until_ms || to.level != life.level).then_some(to)
}

struct Planner<'a> {
    house: &'a Lakehouse,
    tenant: &'a Tenant,
    directory: Directory,
    now_ms: i64,
    head: String,
}

impl Planner<'_> {
    /// `false` when somebody changed it meanwhile: it is planned the next time.
    async fn one(&self, life: &LifeRow) -> Result<bool> {
        let Some(alert) = self.tenant.ledger.alert_of(life).await? else {
            return Err(Error::new(ErrorKind::Damaged, format!("alert {} has a life and no body", life.id())));
        };
        let mut to = LifeRow { pending: 0, ..life.clone() };
        // When the mute ends, that is told, and how it stands then.
        let is_muted = life.muted_until_ms > self.now_ms;
        let mut rows = Vec::new();
        if !is_muted {
            for event in events(life.pending).filter(|event| is_so(*event, life)) {
                rows.extend(self.rows(&alert, life, event).await?);
            }
            if let Some(after_ms) = self.escalates(&alert)
                && life.state == State::Open.as_str()
                && life.level < LEVELS
                && life.pending & (pending::RAISED | pending::RECURRED | pending::UNMUTED | pending::ESCALATED) > 0
            {
                to.escalate_ms = self.now_ms + after_ms;
            }
        }
        self.house.control().sendings().put(&rows).await?;
        let told: Vec<&str> = events(life.pending).map(Event::as_str).collect();
        let told = json!({ "events": told, "sendings": rows.len(), "muted": is_muted });
        let event = self.tenant.sealed_change("alert.notify", &life.id(), "planned", Change::made(&told)?)?;
        Ok(self.tenant.ledger.change_life(life, &to, Some(NewEvent { at: self.house.clock.now(), sealed: &event })).await?)
    }

    fn matching(&self, alert: &Alert) -> Result<Vec<&(String, Route)>> {
        let (report, severity) = facts(alert)?;
        Ok(self.directory.matching(&alert.kind, report, severity).collect())
    }

    /// The shortest time that a route of this alert waits for somebody.
    fn escalates(&self, alert: &Alert) -> Option<i64> {
        let routes = self.matching(alert).ok()?;
        routes.iter().map(|(_, route)| route.escalate_after_ms).filter(|after| *after > 0).min()
    }

    async fn rows(&self, alert: &Alert, life: &LifeRow, event: Event) -> Result<Vec<SendingRow>> {
        let item = Item {
            tenant: self.tenant.scope.tenant().clone(),
            alert: alert.id(),
            event,
            kind: alert.kind.clone(),
            report: Some(alert.report.clone()).filter(|report| !report.is_empty()),
            severity: severity_of(&alert.severity)?,
            state: life.state.parse().map_err(|error: String| Error::new(ErrorKind::Damaged, error))?,
            deliveries: alert.deliveries,
            opened: life.opened,
            raised_at: alert.raised_at.clone(),
            at: self.house.clock.now(),
            head: self.head.clone(),
        };
        // What is told once of each opening, of each level, of each end of a mute.
        let turn = match event {
            Event::Raised => "1".into(),
            Event::Escalated => format!("{}.{}", life.opened, life.level),
            Event::Unmuted => format!("{}.v{}", life.opened, life.noticed),
            _ => life.opened.to_string(),
        };
        let about = format!("{}\n{}\n{}\n{turn}", item.tenant, item.alert, event.as_str());
        let mut rows = Vec::new();
        if event == Event::Escalated {
            // Where a team has no admin, its owners are the first level.
            let role = if life.level == 1 && self.directory.has(Role::Admin) { Role::Admin } else { Role::Owner };
            for address in self.directory.addresses(self.tenant, &[], &[role])? {
                rows.push(self.row(&about, None, To::Mail { address }, item.clone()).await?);
            }
            return Ok(rows);
        }
        for (id, route) in self.matching(alert)? {
            let due = route.pace.next(self.house.clock.now()).map(|due| (id.as_str(), due.timestamp_millis()));
            match &route.channel {
                // Who wants to know that something is settled looks it up, or lets a program be told.
                Channel::Mail { .. } if event == Event::Resolved => {}
                Channel::Mail { members, roles } => {
                    for address in self.directory.addresses(self.tenant, members, roles)? {
                        rows.push(self.row(&about, due, To::Mail { address }, item.clone()).await?);
                    }
                }
                Channel::Webhook { url, form } => {
                    let to = To::Hook { route: id.clone(), url: url.clone(), form: *form, secret: route.secret.clone() };
                    rows.push(self.row(&about, due, to, item.clone()).await?);
                }
            }
        }
        Ok(rows)
    }

    /// `digest`: the route that collects, and until when.
    async fn row(&self, about: &str, digest: Option<(&str, i64)>, to: To, item: Item) -> Result<SendingRow> {
        // Somebody who is on several routes gets one letter at once; each digest is its route's.
        let (whose, due_ms) = match digest {
            Some((route, due_ms)) => (format!("{route}\n{due_ms}\n{}", to.name()), due_ms),
            None => (to.name(), self.now_ms),
        };
        let names = &self.house.identity().await?.people;
        let id = |what: &str, text: &str| names.keyed_digest(what, text.as_bytes()).chars().take(32).collect::<String>();
        let sending_id = id("sending", &format!("{about}\n{whose}"));
        let batch = match digest {
            Some(_) => id("digest", &format!("{}\n{whose}", item.tenant)),
            None => sending_id.clone(),
        };
        let life_ms = millis(&self.house.settings.alerts.life);
        Ok(SendingRow {
            tenant: item.tenant.to_string(),
            sealed: Sending { to, item }.sealed(self.house, &sending_id).await?,
            sending_id,
            batch,
            due_ms,
            expires_ms: due_ms.saturating_add(life_ms.clamp(1, 30 * DAY_MS)),
            tries: 0,
        })
    }
}

/// Whether it is still so: what somebody settled meanwhile calls nobody.
fn is_so(event: Event, life: &LifeRow) -> bool {
    match event {
        Event::Unmuted => life.state != State::Resolved.as_str(),
        Event::Escalated => life.state == State::Open.as_str(),
        _ => true,
    }
}

fn facts(alert: &Alert) -> Result<(Option<Report>, Severity)> {
    Ok((alert.report.parse().ok(), severity_of(&alert.severity)?))
}

/// What is pending, as events in the order in which they can have happened.
fn events(bits: i64) -> impl Iterator<Item = Event> {
    let all = [
        (pending::RAISED, Event::Raised),
        (pending::RECURRED, Event::Recurred),
        (pending::UNMUTED, Event::Unmuted),
        (pending::ESCALATED, Event::Escalated),
        (pending::RESOLVED, Event::Resolved),
    ];
    all.into_iter().filter(move |(bit, _)| bits & bit > 0).map(|(_, event)| event)
}
