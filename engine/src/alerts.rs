//! Alerts as people work them: what is open, who took it up, why it is settled, until when nobody wants to hear of it.
//! Promise: each change is one transaction with its entry in the tenant's trail; of two who do the same at once, one does it and
//! the other is told by whom it was done. What is open is told to those who are to hear of it, at least once.
//! Never: a cell, a column's name or a file's name leaves the house in a letter or a call.

use bonded_connectors::store::{
    alerts::{Alert, LifeRow, pending},
    audit::NewEvent,
};
use bonded_schemas::{Report, Severity};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    audit::Change,
    error::{Error, ErrorKind, Result},
    lakehouse::{Lakehouse, Tenant},
};

pub mod heartbeat;
pub mod notify;
pub mod raise;
pub mod routes;
pub mod send;
#[cfg(test)]
mod tests;
mod words;

pub use notify::Notifier;

const NOTE_CHARS_MAX: usize = 2000;
/// Of one alert; the trail has all.
const NOTES_MAX: usize = 50;
const MUTE_DAYS_MAX: i64 = 90;
/// How often a change is tried again that the notifier, and no person, came before.
const ATTEMPTS_MAX: usize = 8;

/// Where an alert stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Somebody has to look at it.
    Open,
    /// Somebody does.
    Acknowledged,
    /// There is nothing left to do, until it comes again.
    Resolved,
}

impl State {
    pub const ALL: [State; 3] = [State::Open, State::Acknowledged, State::Resolved];

    pub fn as_str(self) -> &'static str {
        match self {
            State::Open => "open",
            State::Acknowledged => "acknowledged",
            State::Resolved => "resolved",
        }
    }
}

impl std::str::FromStr for State {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let known = State::ALL.into_iter().find(|state| state.as_str() == text);
        known.ok_or_else(|| format!("no alert is `{}`; use open, acknowledged or resolved", text.escape_default()))
    }
}

/// What somebody did about an alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    pub at: DateTime<Utc>,
    pub by: String,
    /// `acknowledged`, `resolved`, `muted`, `unmuted`.
    pub did: String,
    pub text: String,
}

/// The sealed part of its life.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Story {
    notes: Vec<Note>,
}

const WHAT: &str = "alert life";

/// An alert as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// Stable: the same after a rebuild.
    pub alert: String,
    pub kind: String,
    /// A report's code; absent where it is about none.
    pub report: Option<String>,
    pub severity: Severity,
    pub state: State,
    /// RFC 3339, as all times here.
    pub since: DateTime<Utc>,
    pub muted_until: Option<DateTime<Utc>>,
    pub raised_at: String,
    pub last_at: String,
    /// How many deliveries brought it.
    pub deliveries: i64,
    /// How often it was opened: more than once when it came back.
    pub opened: i64,
    /// `accepted` or `rejected`, of drift and quarantine that somebody decided on.
    pub decision: Option<String>,
    /// The last of them.
    pub notes: Vec<Note>,
}

/// Which alerts are asked for; all conditions hold.
#[derive(Clone, Debug, Default)]
pub struct Sought {
    /// Open and acknowledged ones when absent.
    pub state: Option<State>,
    /// Resolved ones as well, where no state is asked for.
    pub all: bool,
    pub kind: Option<String>,
    pub report: Option<Report>,
    /// And what is worse.
    pub severity: Option<Severity>,
}

/// What a person is told of what they did.
#[derive(Clone, Debug)]
pub enum Worked {
    Done(Box<Shown>),
    /// It no longer stands as they thought; why.
    Conflict(String),
}

/// The oldest first.
pub async fn list(tenant: &Tenant, sought: &Sought) -> Result<Vec<Shown>> {
    let mut shown = Vec::new();
    for (alert, life) in tenant.ledger.alerts_alive().await? {
        let seen = shown_of(tenant, &alert, &life)?;
        let fits = sought.state.map_or(sought.all || seen.state != State::Resolved, |state| seen.state == state)
            && sought.kind.as_ref().is_none_or(|kind| *kind == seen.kind)
            && sought.report.is_none_or(|report| seen.report.as_deref() == Some(report.code()))
            && sought.severity.is_none_or(|severity| seen.severity >= severity);
        if fits {
            shown.push(seen);
        }
    }
    Ok(shown)
}

/// One alert, and what it says in its own words.
pub async fn show(tenant: &Tenant, id: &str) -> Result<(Shown, serde_json::Value)> {
    let (alert, life) = find(tenant, id).await?;
    let details = tenant.unseal(&alert.kind, &alert.fingerprint, &alert.sealed)?;
    Ok((shown_of(tenant, &alert, &life)?, details))
}

/// The alert of this id, or the only one whose id begins so.
async fn find(tenant: &Tenant, id: &str) -> Result<(Alert, LifeRow)> {
    let all = tenant.ledger.alerts_alive().await?;
    let mut found = all.into_iter().filter(|(alert, _)| !id.is_empty() && alert.id().starts_with(id));
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => {
            Err(Error::input(format!("more than one alert begins with `{}`; give more of its id", id.escape_default())))
        }
        (None, _) => Err(Error::missing(format!("no alert `{}`; `bonded alerts list` shows them", id.escape_default()))),
    }
}

/// Somebody looks after it: nobody else is called.
pub async fn acknowledge(house: &Lakehouse, tenant: &Tenant, id: &str, note: &str) -> Result<Worked> {
    change(house, tenant, id, "acknowledged", note, |seen, life| match seen.state {
        State::Open => Ok(LifeRow { state: State::Acknowledged.as_str().into(), escalate_ms: 0, ..life.clone() }),
        state => Err(stands(seen, state)),
    })
    .await
}

/// It is settled, and this is why.
pub async fn resolve(house: &Lakehouse, tenant: &Tenant, id: &str, cause: &str) -> Result<Worked> {
    if cause.trim().is_empty() {
        return Err(Error::input("resolving an alert needs its cause"));
    }
    change(house, tenant, id, "resolved", cause, |seen, life| match seen.state {
        State::Resolved => Err(stands(seen, State::Resolved)),
        State::Open | State::Acknowledged => Ok(LifeRow {
            state: State::Resolved.as_str().into(),
            escalate_ms: 0,
            muted_until_ms: 0,
            pending: life.pending | pending::RESOLVED,
            ..life.clone()
        }),
    })
    .await
}

/// Nobody is told of it until then; without a time, people are told again from now on.
pub async fn mute(house: &Lakehouse, tenant: &Tenant, id: &str, until: Option<DateTime<Utc>>, note: &str) -> Result<Worked> {
    let now = house.clock.now();
    if until.is_some_and(|until| until <= now || until > now + TimeDelta::days(MUTE_DAYS_MAX)) {
        return Err(Error::input(format!("an alert is muted until a time to come, at most {MUTE_DAYS_MAX} days ahead")));
    }
    let did = if until.is_some() { "muted" } else { "unmuted" };
    change(house, tenant, id, did, note, |seen, life| match seen.state {
        State::Resolved => Err(stands(seen, State::Resolved)),
        _ if until.is_none() && life.muted_until_ms == 0 => Err("this alert is not muted".into()),
        State::Open | State::Acknowledged => {
            let mut to = LifeRow { muted_until_ms: until.map_or(0, |until| until.timestamp_millis()), ..life.clone() };
            if until.is_none() {
                // As when the time of the mute is over: what was silent meanwhile is told now.
                to.pending |= pending::UNMUTED;
                to.noticed = life.version + 1;
            }
            Ok(to)
        }
    })
    .await
}

/// Why not: how it stands, and by whose doing.
fn stands(seen: &Shown, state: State) -> String {
    let by = seen.notes.iter().rev().find(|note| note.did == state.as_str());
    match (by, &seen.decision) {
        (Some(note), _) => format!("this alert is {} already: by {} at {}", state.as_str(), note.by, note.at.to_rfc3339()),
        (None, Some(decision)) => format!("this alert is {} already: {decision}", state.as_str()),
        (None, None) => format!("this alert is {} already", state.as_str()),
    }
}

async fn change(
    house: &Lakehouse,
    tenant: &Tenant,
    id: &str,
    did: &str,
    text: &str,
    next: impl Fn(&Shown, &LifeRow) -> std::result::Result<LifeRow, String>,
) -> Result<Worked> {
    let text = text.trim();
    if text.chars().count() > NOTE_CHARS_MAX {
        return Err(Error::input(format!("a note has at most {NOTE_CHARS_MAX} characters")));
    }
    for _ in 0..ATTEMPTS_MAX {
        let (alert, life) = find(tenant, id).await?;
        let seen = shown_of(tenant, &alert, &life)?;
        let mut to = match next(&seen, &life) {
            Ok(to) => to,
            Err(why) => return Ok(Worked::Conflict(why)),
        };
        let now = house.clock.now();
        if to.state != life.state {
            to.since_ms = now.timestamp_millis();
        }
        let mut story = story(tenant, &life)?;
        story.notes.push(Note { at: now, by: tenant.scope.actor().to_string(), did: did.to_owned(), text: text.to_owned() });
        let first = story.notes.len().saturating_sub(NOTES_MAX);
        story.notes.drain(..first);
        to.sealed = tenant.seal(WHAT, &alert.id(), &story)?;
        let told = |life: &LifeRow| json!({ "state": life.state, "muted_until": instant(life.muted_until_ms) });
        let mut after = told(&to);
        after["note"] = text.into();
        let action = match did {
            "acknowledged" => "alert.acknowledge",
            "resolved" => "alert.resolve",
            "muted" => "alert.mute",
            _ => "alert.unmute",
        };
        let event = tenant.sealed_change(action, &alert.id(), "done", Change::between(&told(&life), &after)?)?;
        if tenant.ledger.change_life(&life, &to, Some(NewEvent { at: now, sealed: &event })).await? {
            return Ok(Worked::Done(Box::new(shown_of(tenant, &alert, &to)?)));
        }
    }
    Err(Error::new(ErrorKind::Retry, "this alert changes too often at this moment; try again"))
}

fn story(tenant: &Tenant, life: &LifeRow) -> Result<Story> {
    match life.sealed.is_empty() {
        true => Ok(Story::default()),
        false => tenant.unseal(WHAT, &life.id(), &life.sealed),
    }
}

fn shown_of(tenant: &Tenant, alert: &Alert, life: &LifeRow) -> Result<Shown> {
    let damaged = |error: String| Error::new(ErrorKind::Damaged, error);
    Ok(Shown {
        alert: alert.id(),
        kind: alert.kind.clone(),
        report: Some(alert.report.clone()).filter(|report| !report.is_empty()),
        severity: severity_of(&alert.severity)?,
        state: life.state.parse().map_err(damaged)?,
        since: instant(life.since_ms).unwrap_or_default(),
        muted_until: instant(life.muted_until_ms),
        raised_at: alert.raised_at.clone(),
        last_at: alert.last_at.clone(),
        deliveries: alert.deliveries,
        opened: life.opened,
        decision: Some(alert.state.clone()).filter(|state| state != "open"),
        notes: story(tenant, life)?.notes,
    })
}

/// As it is written in tables, settings and requests.
pub fn severity_of(text: &str) -> Result<Severity> {
    let all = [Severity::Info, Severity::Warning, Severity::Error];
    let wrong = || Error::input(format!("no severity `{}`; use info, warning or error", text.escape_default()));
    all.into_iter().find(|severity| severity.as_str() == text).ok_or_else(wrong)
}

fn instant(millis: i64) -> Option<DateTime<Utc>> {
    (millis > 0).then(|| DateTime::from_timestamp_millis(millis)).flatten()
}
