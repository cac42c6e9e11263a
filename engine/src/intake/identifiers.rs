//! A tenant's ingest identifiers: `in-<128 random bits>@<domain>`, and their public ids.
//! Promise: the address is shown by the call that made it and never again; at most one has no end, and a rotated one is
//! good until its grace is over.
//! Never: a listing has an address in it, or enough to make one.

use bonded_connectors::{
    identity::token::{self, Secret},
    store::{
        audit::NewEvent,
        identifiers::{IdentifierRow, IdentifierStep},
    },
};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::gates;
use crate::{
    audit::{AuditEvent, Change},
    error::{Error, ErrorKind, Result},
    lakehouse::{Identity, Lakehouse, Tenant},
};

const ACTIVE: &str = "active";
const SUSPENDED: &str = "suspended";
/// Longest grace of a rotated address.
pub const GRACE_DAYS_MAX: i64 = 90;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Active,
    /// Rotated away, and good until its end.
    Ending,
    Suspended,
    /// Its grace is over.
    Ended,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IdentifierInfo {
    /// Its public id.
    pub identifier: String,
    pub state: State,
    pub issued_at: DateTime<Utc>,
    /// Of a rotated one.
    pub valid_until: Option<DateTime<Utc>>,
}

/// An identifier that was just made: its address is shown now and never again.
#[derive(Clone, Debug)]
pub struct Issued {
    pub info: IdentifierInfo,
    pub address: Secret,
}

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            State::Active => "active",
            State::Ending => "ending",
            State::Suspended => "suspended",
            State::Ended => "ended",
        }
    }

    pub(super) fn of(row: &IdentifierRow, now: DateTime<Utc>) -> Self {
        let is_over = row.valid_until_ms != 0 && row.valid_until_ms <= now.timestamp_millis();
        match row.state.as_str() {
            _ if is_over => State::Ended,
            ACTIVE if row.valid_until_ms == 0 => State::Active,
            ACTIVE => State::Ending,
            _ => State::Suspended,
        }
    }
}

/// The tenant's first address, or another after its last one ended.
///
/// # Errors
/// `Refused`, naming the gates that are missing; `Input` when there is one that has no end; `Setup` without a domain.
pub async fn issue(house: &Lakehouse, tenant: &Tenant) -> Result<Issued> {
    let domain = domain(house)?;
    if let Some(missing) = gates::missing(tenant).await? {
        return refuse(house, tenant, "identifier.issue", &format!("not recorded: {missing}; `bonded tenant engage` records it"))
            .await;
    }
    if let Some(current) = current(house, tenant).await? {
        let id = current.identifier;
        return Err(Error::input(format!(
            "{} has identifier {id}; `bonded identifier rotate` makes another",
            tenant.scope.tenant()
        )));
    }
    let (row, address) = made(house, tenant, domain).await?;
    change(house, tenant, "identifier.issue", &row.identifier, &[IdentifierStep::Issue(&row)], json!(null), told(&row)).await?;
    Ok(Issued { info: info(&row, house.clock.now()), address })
}

/// A new address in the place of the one without an end, which is good for `grace` longer.
///
/// # Errors
/// As [`issue`]; `Input` when there is none to rotate.
pub async fn rotate(house: &Lakehouse, tenant: &Tenant, grace: TimeDelta) -> Result<Issued> {
    let domain = domain(house)?;
    if grace < TimeDelta::zero() || grace > TimeDelta::days(GRACE_DAYS_MAX) {
        return Err(Error::input(format!("a grace has 0 to {GRACE_DAYS_MAX} days")));
    }
    if let Some(missing) = gates::missing(tenant).await? {
        return refuse(
            house,
            tenant,
            "identifier.rotate",
            &format!("not recorded: {missing}; `bonded tenant engage` records it"),
        )
        .await;
    }
    let from = current(house, tenant).await?.ok_or_else(|| {
        Error::input(format!("{} has no identifier to rotate; `bonded identifier issue` makes one", tenant.scope.tenant()))
    })?;
    let now = house.clock.now();
    let to = IdentifierRow { valid_until_ms: (now + grace).timestamp_millis(), ..from.clone() };
    let to = marked(house.identity().await?, to)?;
    let (row, address) = made(house, tenant, domain).await?;
    let steps = [IdentifierStep::Change { from: &from, to: &to }, IdentifierStep::Issue(&row)];
    let (before, after) =
        (json!({ &from.identifier: told(&from) }), json!({ &to.identifier: told(&to), &row.identifier: told(&row) }));
    change(house, tenant, "identifier.rotate", &row.identifier, &steps, before, after).await?;
    Ok(Issued { info: info(&row, now), address })
}

/// Nothing is taken for it from here on.
pub async fn suspend(house: &Lakehouse, tenant: &Tenant, identifier: &str) -> Result<IdentifierInfo> {
    set(house, tenant, "identifier.suspend", identifier, SUSPENDED).await
}

pub async fn resume(house: &Lakehouse, tenant: &Tenant, identifier: &str) -> Result<IdentifierInfo> {
    set(house, tenant, "identifier.resume", identifier, ACTIVE).await
}

/// Oldest first.
pub async fn list(house: &Lakehouse, tenant: &Tenant) -> Result<Vec<IdentifierInfo>> {
    let now = house.clock.now();
    let rows = house.control().identifiers(tenant.scope.tenant()).await?;
    Ok(rows.iter().map(|row| info(row, now)).collect())
}

async fn set(house: &Lakehouse, tenant: &Tenant, action: &str, identifier: &str, state: &str) -> Result<IdentifierInfo> {
    let rows = house.control().identifiers(tenant.scope.tenant()).await?;
    let from = rows.into_iter().find(|row| row.identifier == identifier).ok_or_else(|| {
        let name = identifier.escape_default();
        Error::missing(format!("no identifier `{name}` of {}; `bonded identifier list` shows them", tenant.scope.tenant()))
    })?;
    let to = marked(house.identity().await?, IdentifierRow { state: state.into(), ..from.clone() })?;
    if to != from {
        let step = IdentifierStep::Change { from: &from, to: &to };
        change(house, tenant, action, identifier, &[step], told(&from), told(&to)).await?;
    }
    Ok(info(&to, house.clock.now()))
}

/// In one transaction with its event in the lake's trail, since the shared half is where it is found; the tenant's own half
/// is another database on SQLite, so its event follows.
async fn change(
    house: &Lakehouse,
    tenant: &Tenant,
    action: &str,
    identifier: &str,
    steps: &[IdentifierStep<'_>],
    before: serde_json::Value,
    after: serde_json::Value,
) -> Result<()> {
    let object = format!("{}/{identifier}", tenant.scope.tenant());
    let event = AuditEvent::new(tenant.scope.actor().clone(), action, &object, "done");
    let sealed = house.sealed(event.changing(Change::between(&before, &after)?)).await?;
    let event = NewEvent { at: house.clock.now(), sealed: &sealed };
    if !house.control().change_identifiers(steps, event).await? {
        return Err(Error::new(ErrorKind::Retry, "the identifiers changed at the same moment: look at them, and try again"));
    }
    tenant.audit_change(house.clock.as_ref(), action, identifier, "done", Change::between(&before, &after)?).await
}

async fn refuse<T>(house: &Lakehouse, tenant: &Tenant, action: &str, why: &str) -> Result<T> {
    tenant.audit(house.clock.as_ref(), action, tenant.scope.tenant().as_str(), &format!("refused: {why}")).await?;
    Err(Error::new(ErrorKind::Refused, format!("no address for {}: {why}", tenant.scope.tenant())))
}

/// The one that has no end.
async fn current(house: &Lakehouse, tenant: &Tenant) -> Result<Option<IdentifierRow>> {
    let rows = house.control().identifiers(tenant.scope.tenant()).await?;
    Ok(rows.into_iter().find(|row| row.valid_until_ms == 0))
}

fn domain(house: &Lakehouse) -> Result<&str> {
    let domain = house.settings.mail_in.domain.as_deref();
    domain.ok_or_else(|| Error::setup("addresses have no domain; set mail_in.domain"))
}

async fn made(house: &Lakehouse, tenant: &Tenant, domain: &str) -> Result<(IdentifierRow, Secret)> {
    let local = Secret::mailbox();
    let row = IdentifierRow {
        digest: local.digest(),
        tenant: tenant.scope.tenant().clone(),
        identifier: Uuid::now_v7().to_string(),
        state: ACTIVE.into(),
        issued_ms: house.clock.now().timestamp_millis(),
        valid_until_ms: 0,
        mark: String::new(),
    };
    let address = Secret::from_text(&format!("{}@{domain}", local.reveal()));
    Ok((marked(house.identity().await?, row)?, address))
}

/// The row with the mark of what it says, under a key of the lake's.
fn marked(identity: &Identity, row: IdentifierRow) -> Result<IdentifierRow> {
    Ok(IdentifierRow { mark: mark(identity, &row)?, ..row })
}

fn mark(identity: &Identity, row: &IdentifierRow) -> Result<String> {
    let said = (&row.digest, &row.tenant, &row.identifier, &row.state, row.issued_ms, row.valid_until_ms);
    Ok(identity.people.keyed_digest("identifier", &serde_json::to_vec(&said)?))
}

/// Whether the row says what was written by somebody who holds the lake's key.
pub(super) fn is_ours(identity: &Identity, row: &IdentifierRow) -> Result<bool> {
    Ok(token::same(&mark(identity, row)?, &row.mark))
}

/// For the trail: what it is, without what opens it.
fn told(row: &IdentifierRow) -> serde_json::Value {
    let until = DateTime::from_timestamp_millis(row.valid_until_ms).filter(|_| row.valid_until_ms != 0);
    json!({ "state": row.state, "valid_until": until })
}

fn info(row: &IdentifierRow, now: DateTime<Utc>) -> IdentifierInfo {
    let instant = |ms| DateTime::from_timestamp_millis(ms).unwrap_or_default();
    IdentifierInfo {
        identifier: row.identifier.clone(),
        state: State::of(row, now),
        issued_at: instant(row.issued_ms),
        valid_until: (row.valid_until_ms != 0).then(|| instant(row.valid_until_ms)),
    }
}
