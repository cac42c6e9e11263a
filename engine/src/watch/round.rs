//! One round over all tenants: who has something to look at, and then a look at each of them.
//! Promise: a tenant in which nothing arrived and no time passed is not opened; one that cannot be opened keeps no other
//! from it, is tried again in the next round and hears of it.
//! Here, and only here, tenants are counted together: how many others miss a run at the same time. Nobody learns who.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use bonded_connectors::store::windows::Pulse;
use bonded_schemas::{Severity, TenantId, TenantScope};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::{gauges::Gauges, look};
use crate::{
    alerts::raise,
    error::{Error, ErrorKind, Result},
    lakehouse::Lakehouse,
};

/// Runs that are due within so long of each other are missing at the same time.
const SAME_TIME: TimeDelta = TimeDelta::hours(24);

/// Kind of the alert over a tenant that cannot be looked at.
const ALERT: &str = "watch";
const ABOUT: &str = "rounds";
const ROUNDS_TOLD_AFTER: u32 = 2;

/// How many other tenants miss a run at the same time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Elsewhere {
    /// Of each other tenant with schedules, the due times of what it misses.
    overdue_ms: Vec<Vec<i64>>,
}

impl Elsewhere {
    /// Of so many others with schedules, so many miss a run that was due within a day of this one.
    pub fn missing(&self, due_at: DateTime<Utc>) -> (usize, usize) {
        let near = |ms: &i64| (ms - due_at.timestamp_millis()).abs() <= SAME_TIME.num_milliseconds();
        (self.overdue_ms.iter().filter(|tenant| tenant.iter().any(near)).count(), self.overdue_ms.len())
    }

    #[cfg(test)]
    pub fn of(overdue_ms: Vec<Vec<i64>>) -> Self {
        Self { overdue_ms }
    }
}

/// What the watch remembers between rounds. All of it may be lost: then every tenant is looked at.
#[derive(Debug, Default)]
pub struct Watch {
    /// In how many rounds one after another a tenant could not be looked at.
    failing: HashMap<TenantId, u32>,
    seen: HashMap<TenantId, Seen>,
    gauges: Arc<Mutex<Gauges>>,
}

#[derive(Debug)]
struct Seen {
    schedules: (i64, i64),
    arrivals: (i64, i64),
    looked_at: DateTime<Utc>,
    next_at: Option<DateTime<Utc>>,
}

impl Seen {
    /// Whether a look would find nothing else than the last one did.
    fn stands(&self, pulse: &Pulse, now: DateTime<Utc>) -> bool {
        let same = self.schedules == pulse.schedules && self.arrivals == pulse.arrivals;
        same && now >= self.looked_at && self.next_at.is_none_or(|next| now < next)
    }
}

/// What a round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    pub tenants_looked_at: usize,
    pub told: u64,
    /// When the next window moves on by itself.
    pub next_at: Option<DateTime<Utc>>,
}

impl Watch {
    /// The same numbers for whoever shows them.
    pub fn with_gauges(gauges: Arc<Mutex<Gauges>>) -> Self {
        Self { gauges, ..Self::default() }
    }

    /// One round. `stop` is asked between two tenants.
    pub async fn round(
        &mut self,
        house: &Lakehouse,
        scope_of: &(dyn Fn(TenantId) -> TenantScope + Send + Sync),
        stop: &(dyn Fn() -> bool + Send + Sync),
    ) -> Result<Done> {
        let mut tenants: Vec<(TenantScope, Pulse)> = Vec::new();
        for record in house.tenants().await? {
            if stop() {
                return Ok(Done::default());
            }
            let scope = scope_of(record.tenant.clone());
            match pulse(house, &scope).await {
                Ok(pulse) => tenants.push((scope, pulse)),
                Err(error) => self.failed(house, &scope, &error).await,
            }
        }
        let mut done = Done::default();
        for (at, (scope, pulse)) in tenants.iter().enumerate() {
            if stop() {
                break;
            }
            let now = house.clock.now();
            if pulse.schedules.0 == 0 {
                self.forget(scope.tenant());
                continue;
            }
            if let Some(seen) = self.seen.get(scope.tenant()).filter(|seen| seen.stands(pulse, now)) {
                done.next_at = [done.next_at, seen.next_at].into_iter().flatten().min();
                continue;
            }
            let others = tenants.iter().enumerate().filter(|(other, (_, pulse))| *other != at && pulse.schedules.0 > 0);
            let overdue_ms = others.map(|(_, (_, pulse))| pulse.overdue.iter().map(|(_, due_ms)| *due_ms).collect());
            match self.look(house, scope, pulse, &Elsewhere { overdue_ms: overdue_ms.collect() }).await {
                Ok((told, next_at)) => {
                    done.tenants_looked_at += 1;
                    done.told += told;
                    done.next_at = [done.next_at, next_at].into_iter().flatten().min();
                }
                // A disabled or destroyed key: nothing of the tenant can be told, and that is as it should be.
                Err(error) if error.kind() == ErrorKind::Refused => {
                    tracing::debug!(target: "serve.watch", tenant = %scope.tenant(), %error);
                    self.forget(scope.tenant());
                }
                Err(error) => {
                    self.seen.remove(scope.tenant());
                    self.failed(house, scope, &error).await;
                }
            }
        }
        self.gauges.lock().unwrap_or_else(PoisonError::into_inner).looked(house.clock.now());
        Ok(done)
    }

    async fn look(
        &mut self,
        house: &Lakehouse,
        scope: &TenantScope,
        pulse: &Pulse,
        elsewhere: &Elsewhere,
    ) -> Result<(u64, Option<DateTime<Utc>>)> {
        let looked_at = house.clock.now();
        let tenant = house.tenant(scope).await?;
        let looked = look(house, &tenant, elsewhere).await;
        // What another process raised is over, too.
        let cleared = match looked.is_ok() && !self.seen.contains_key(scope.tenant()) {
            true => raise::clear(house, &tenant, ALERT, None, ABOUT).await.map(drop),
            false => Ok(()),
        };
        tenant.ledger.close().await;
        let looked = looked?;
        cleared?;
        self.failing.remove(scope.tenant());
        self.gauges.lock().unwrap_or_else(PoisonError::into_inner).tenant(scope.tenant(), &looked, looked_at);
        let (schedules, arrivals) = (pulse.schedules, pulse.arrivals);
        self.seen.insert(scope.tenant().clone(), Seen { schedules, arrivals, looked_at, next_at: looked.next_at });
        Ok((looked.told, looked.next_at))
    }

    /// A tenant that is not watched does not hear of what is missing, so it hears of that; a slip of one round calls nobody.
    async fn failed(&mut self, house: &Lakehouse, scope: &TenantScope, error: &Error) {
        tracing::warn!(target: "serve.watch", tenant = %scope.tenant(), %error, "was not looked at");
        let rounds = self.failing.entry(scope.tenant().clone()).or_default();
        *rounds += 1;
        if *rounds != ROUNDS_TOLD_AFTER {
            return;
        }
        if let Err(error) = tell(house, scope, error.kind()).await {
            // Told in the next round, if it still is so.
            *rounds -= 1;
            tracing::error!(target: "serve.watch", tenant = %scope.tenant(), %error, "nobody can be told that it is not watched");
        }
    }

    fn forget(&mut self, tenant: &TenantId) {
        self.seen.remove(tenant);
        self.gauges.lock().unwrap_or_else(PoisonError::into_inner).forget(tenant);
    }
}

async fn tell(house: &Lakehouse, scope: &TenantScope, kind: ErrorKind) -> Result<()> {
    let tenant = house.tenant(scope).await?;
    let body = json!({ "message": "what is expected and what is missing cannot be looked at", "error": format!("{kind:?}") });
    let raised = raise::raise(house, &tenant, ALERT, None, ABOUT, Severity::Error, &body).await;
    tenant.ledger.close().await;
    raised
}

async fn pulse(house: &Lakehouse, scope: &TenantScope) -> Result<Pulse> {
    let ledger = house.ledger(scope).await?;
    let pulse = ledger.pulse(house.clock.now().timestamp_millis()).await;
    ledger.close().await;
    Ok(pulse?)
}
