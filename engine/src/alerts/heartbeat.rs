//! The sign of life: who watches is watched. While alerts are looked for and work does not pile up, a URL of the operator's is
//! called every few minutes; a service elsewhere raises its voice when the calls stop.
//! Promise: no sign while deliveries wait for a worker too long, or a role that must be heard of is not; each look is noted, so
//! that a console can tell when the last one was, and a gap is an alert of its own at the next start.

use bonded_connectors::{
    alerts::Hooks,
    store::queue::{Item, ItemState},
};
use bonded_schemas::Severity;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;

use super::raise::raise;
use crate::{
    error::{Error, ErrorKind, Result},
    lakehouse::{Lakehouse, Tenant},
    settings::millis,
};

/// Of the role that tells of alerts.
pub const NOTIFY: &str = "notify";
/// Of the last sign that was given.
pub const SIGN: &str = "heartbeat";

/// What a monitor is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pulse {
    /// Alerts were looked for lately, and nothing else is wrong.
    pub alive: bool,
    pub last_look: Option<DateTime<Utc>>,
    pub last_sign: Option<DateTime<Utc>>,
    /// What is wrong, if anything.
    pub wrong: Vec<String>,
}

pub async fn pulse(house: &Lakehouse) -> Result<Pulse> {
    let control = house.control();
    let at = |millis: Option<i64>| millis.and_then(DateTime::from_timestamp_millis);
    let (last_look, last_sign) = (at(control.last_beat(NOTIFY).await?), at(control.last_beat(SIGN).await?));
    let mut wrong = stalled(house).await?;
    let gap_ms = gap_ms(house);
    let now_ms = house.clock.now().timestamp_millis();
    match last_look {
        None => wrong.push("nobody ever looked for alerts: run `bonded serve` with the role notify".into()),
        Some(look) if now_ms - look.timestamp_millis() > gap_ms => {
            wrong.push(format!("nobody looked for alerts since {}", look.to_rfc3339()));
        }
        Some(_) => {}
    }
    Ok(Pulse { alive: wrong.is_empty(), last_look, last_sign, wrong })
}

/// What keeps a sign from being given.
async fn stalled(house: &Lakehouse) -> Result<Vec<String>> {
    let (now_ms, gap_ms) = (house.clock.now().timestamp_millis(), gap_ms(house));
    let mut wrong = Vec::new();
    let waits_since = |item: &Item| match item.state {
        ItemState::Waiting | ItemState::Running => item.due_at.map(|due| due.timestamp_millis()),
        ItemState::Poisoned => None,
    };
    let items = house.queue().await?.items(None).await?;
    let late = items.iter().filter_map(waits_since).filter(|due_ms| now_ms - due_ms > gap_ms).count();
    if late > 0 {
        wrong.push(format!("{late} deliveries wait for a worker longer than alerts.heartbeat_gap_max"));
    }
    for role in &house.settings.alerts.heartbeat_needs {
        let heard = house.control().last_beat(role).await?;
        if heard.is_none_or(|at_ms| now_ms - at_ms > gap_ms) {
            wrong.push(format!("the role `{}` was not heard of", role.escape_default()));
        }
    }
    Ok(wrong)
}

/// Notes a look; gives a sign when one is due and nothing is wrong. Answers whether one was given.
pub async fn beat(house: &Lakehouse, hooks: &dyn Hooks, url: Option<&str>) -> Result<bool> {
    let now_ms = house.clock.now().timestamp_millis();
    house.control().beat(NOTIFY, now_ms).await?;
    let Some(url) = url else { return Ok(false) };
    let every_ms = millis(&house.settings.alerts.heartbeat_every);
    if house.control().last_beat(SIGN).await?.is_some_and(|at_ms| now_ms - at_ms < every_ms) {
        return Ok(false);
    }
    let wrong = stalled(house).await?;
    if !wrong.is_empty() {
        return Err(Error::new(ErrorKind::Retry, format!("no sign of life: {}", wrong.join("; "))));
    }
    hooks.knock(url).await?;
    house.control().beat(SIGN, now_ms).await?;
    Ok(true)
}

/// Since when nobody looked, where that is too long ago; asked before the first look of a process.
pub async fn gap(house: &Lakehouse) -> Result<Option<DateTime<Utc>>> {
    let last = house.control().last_beat(NOTIFY).await?;
    let is_long = |at_ms: &i64| house.clock.now().timestamp_millis() - at_ms > gap_ms(house);
    Ok(last.filter(is_long).and_then(DateTime::from_timestamp_millis))
}

/// Told to each tenant: what came meanwhile is told late.
pub async fn raise_gap(house: &Lakehouse, tenant: &Tenant, since: DateTime<Utc>) -> Result<()> {
    let body = json!({ "since": since, "until": house.clock.now() });
    raise(house, tenant, "heartbeat", None, "gap", Severity::Warning, &body).await
}

fn gap_ms(house: &Lakehouse) -> i64 {
    millis(&house.settings.alerts.heartbeat_gap_max)
}
