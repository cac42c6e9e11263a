//! Crypto-shredding: a tenant's keys are destroyed, and with them everything they sealed, wherever copies of it lie.
//! Promise: dual control - whoever asks is not enough, an owner must sign the very order; everything of the tenant is
//! refused from that moment, the keys are destroyed after the waiting period, and a proof signed by the lake stays.
//! Never: no object is deleted and no other tenant's key is touched; a destroyed key does not come back.

use bonded_connectors::{
    keys::{DELETION_DAYS, KeyId, KeyState},
    seal::signing,
    store::{audit::NewEvent, shreds::ShredRow},
};
use bonded_schemas::TenantId;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    audit::Change,
    error::{Error, ErrorKind, Result},
    lakehouse::Lakehouse,
};

mod owners;
mod proof;
#[cfg(test)]
mod tests;

pub use owners::{OwnerRow, add_owner, owner_text, owners};
pub use proof::{Proof, ProofBody, verify};

/// Longest reason, in characters. It lies in the clear, beside the order, for whoever checks the proof.
pub const REASON_CHARS_MAX: usize = 200;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Waits for an owner's signature.
    Requested,
    /// The keys refuse; they are destroyed at `destroy_at`.
    Scheduled,
    Destroyed,
    Cancelled,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            State::Requested => "requested",
            State::Scheduled => "scheduled",
            State::Destroyed => "destroyed",
            State::Cancelled => "cancelled",
        }
    }

    fn parse(text: &str) -> Result<Self> {
        [State::Requested, State::Scheduled, State::Destroyed, State::Cancelled]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| Error::new(ErrorKind::Damaged, format!("`{text}` is no state of an order")))
    }
}

/// An order to destroy a tenant's keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Order {
    pub id: String,
    pub tenant: TenantId,
    pub state: State,
    /// What an owner signs, to the byte.
    pub text: String,
    pub approvals: Vec<Approval>,
    pub destroy_at: Option<DateTime<Utc>>,
    pub proof: Option<Proof>,
}

/// An owner's signature over the order's text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    pub owner: String,
    pub public_key: String,
    pub signature: String,
    pub at: DateTime<Utc>,
}

/// The first of the two controls. `days` is how long the keys wait, refusing, before they are destroyed.
pub async fn request(house: &Lakehouse, actor: &str, tenant: &TenantId, reason: &str, days: u32) -> Result<Order> {
    house.record(tenant).await?;
    if !DELETION_DAYS.contains(&days) {
        let (first, last) = (DELETION_DAYS.start(), DELETION_DAYS.end());
        return Err(Error::input(format!("keys can be destroyed after {first} to {last} days, not {days}")));
    }
    if reason.trim().is_empty() || reason.chars().count() > REASON_CHARS_MAX || reason.contains(char::is_control) {
        return Err(Error::input(format!("give a reason of one line and at most {REASON_CHARS_MAX} characters")));
    }
    if house.control.owners(tenant).await?.is_empty() {
        let message =
            format!("{tenant} has no owner who could sign; register one with `bonded tenant owner add --tenant {tenant}`");
        return Err(Error::new(ErrorKind::Refused, message));
    }
    let open = |order: &Order| order.tenant == *tenant && matches!(order.state, State::Requested | State::Scheduled);
    if let Some(other) = list(house).await?.into_iter().find(open) {
        let message = format!("order {} for {tenant} is {} already; approve or cancel that one", other.id, other.state.as_str());
        return Err(Error::new(ErrorKind::Refused, message));
    }
    let id = uuid::Uuid::now_v7().to_string();
    let keys: Vec<String> = keys_of(house, tenant).await?.into_iter().map(|(key, _)| key).collect();
    let at = house.clock.now().to_rfc3339();
    let text = format!(
        "bonded shred order 1\norder: {id}\ntenant: {tenant}\nkeys: {}\nrequested by: {actor}\nrequested at: {at}\n\
         destroy after days: {days}\nreason: {}\n",
        keys.join(" "),
        reason.trim()
    );
    let order =
        Order { id, tenant: tenant.clone(), state: State::Requested, text, approvals: Vec::new(), destroy_at: None, proof: None };
    let change = Change::made(&json!({ "order": order.id, "state": order.state, "days": days, "reason": reason.trim() }))?;
    let event = house.sealed_event(actor, "shred.request", tenant.as_str(), &format!("order {}", order.id), change).await?;
    house.control.put_shred(&row(&order)?, NewEvent { at: house.clock.now(), sealed: &event }).await?;
    Ok(order)
}

/// The second control: an owner's signature over the order. The keys refuse from here on.
pub async fn approve(house: &Lakehouse, actor: &str, id: &str, signature: &str) -> Result<Order> {
    let mut order = find(house, id).await?;
    // A crash may have come between the keys and the order's own state; the same call then goes on.
    if order.state != State::Requested {
        return Err(Error::new(
            ErrorKind::Refused,
            format!("order {id} is {}; only a requested one is approved", order.state.as_str()),
        ));
    }
    let owner = match signer(house, &order, signature).await? {
        Some(owner) => owner,
        None => {
            house.audit(actor, "shred.approve", order.tenant.as_str(), "refused: no owner's signature").await?;
            let message = format!("this is no signature of an owner of {} over order {id}", order.tenant);
            return Err(Error::new(ErrorKind::Refused, message));
        }
    };
    order.approvals.push(Approval {
        owner: owner.name,
        public_key: owner.public_key,
        signature: signature.trim().to_owned(),
        at: house.clock.now(),
    });
    let days = ordered_days(&order)?;
    let mut destroy_at = None;
    for (key, state) in keys_of(house, &order.tenant).await? {
        let key = KeyId(key);
        let at = match state {
            KeyState::Enabled | KeyState::Disabled => Some(house.keys.schedule_deletion(&key, days).await?),
            KeyState::PendingDeletion | KeyState::Deleted => house.keys.describe(&key).await?.deletion_at,
        };
        destroy_at = destroy_at.max(at);
    }
    order.destroy_at = destroy_at;
    move_on(house, &mut order, State::Scheduled, (actor, "shred.approve")).await?;
    Ok(order)
}

/// Takes an order back while its keys still exist; they are enabled again.
pub async fn cancel(house: &Lakehouse, actor: &str, id: &str) -> Result<Order> {
    let mut order = find(house, id).await?;
    if !matches!(order.state, State::Requested | State::Scheduled) {
        return Err(Error::new(
            ErrorKind::Refused,
            format!("order {id} is {}; there is nothing to cancel", order.state.as_str()),
        ));
    }
    let keys = keys_of(house, &order.tenant).await?;
    if keys.iter().any(|(_, state)| *state == KeyState::Deleted) {
        return Err(Error::new(
            ErrorKind::Refused,
            format!("it is too late for order {id}: keys of {} are destroyed", order.tenant),
        ));
    }
    for (key, state) in keys {
        let key = KeyId(key);
        if state == KeyState::PendingDeletion {
            house.keys.cancel_deletion(&key).await?;
            house.keys.enable(&key).await?;
        }
    }
    move_on(house, &mut order, State::Cancelled, (actor, "shred.cancel")).await?;
    Ok(order)
}

/// Destroys what is due, makes sure that it is gone, and signs for it. What is not due stays as it is.
pub async fn finish(house: &Lakehouse, actor: &str) -> Result<Vec<Order>> {
    house.keys.destroy_due().await?;
    let mut done = Vec::new();
    for mut order in list(house).await?.into_iter().filter(|order| order.state == State::Scheduled) {
        if keys_of(house, &order.tenant).await?.iter().any(|(_, state)| *state != KeyState::Deleted) {
            continue;
        }
        order.proof = Some(proof::make(house, &order).await?);
        move_on(house, &mut order, State::Destroyed, (actor, "shred.destroy")).await?;
        done.push(order);
    }
    Ok(done)
}

pub async fn list(house: &Lakehouse) -> Result<Vec<Order>> {
    house.control.shreds().await?.into_iter().map(order).collect()
}

pub async fn find(house: &Lakehouse, id: &str) -> Result<Order> {
    let row = house.control.shred(id).await?;
    order(row.ok_or_else(|| Error::input(format!("no order {id}; `bonded tenant shred list` shows those there are")))?)
}

/// Every key that the tenant ever had, and its state now.
async fn keys_of(house: &Lakehouse, tenant: &TenantId) -> Result<Vec<(String, KeyState)>> {
    let keys = house.keys.list().await?;
    Ok(keys.into_iter().filter(|key| key.tenant == *tenant).map(|key| (key.key_id.to_string(), key.state)).collect())
}

async fn signer(house: &Lakehouse, order: &Order, signature: &str) -> Result<Option<OwnerRow>> {
    let signed = |owner: &OwnerRow| signing::verify(&owner.public_key, order.text.as_bytes(), signature).is_ok();
    Ok(house.control.owners(&order.tenant).await?.into_iter().find(signed))
}

/// From the text that was signed, not from anything beside it.
fn ordered_days(order: &Order) -> Result<u32> {
    let days = order.text.lines().find_map(|line| line.strip_prefix("destroy after days: ")?.parse().ok());
    days.ok_or_else(|| Error::new(ErrorKind::Damaged, format!("order {} does not say when", order.id)))
}

async fn move_on(house: &Lakehouse, order: &mut Order, to: State, (actor, action): (&str, &str)) -> Result<()> {
    let from = std::mem::replace(&mut order.state, to);
    let signers: Vec<&str> = order.approvals.iter().map(|approval| approval.owner.as_str()).collect();
    let change = Change::between(
        &json!({ "state": from }),
        &json!({ "state": to, "destroy_at": order.destroy_at, "signed_by": signers }),
    )?;
    let told = format!("order {} {}", order.id, to.as_str());
    let event = house.sealed_event(actor, action, order.tenant.as_str(), &told, change).await?;
    match house.control.move_shred(from.as_str(), &row(order)?, NewEvent { at: house.clock.now(), sealed: &event }).await? {
        true => Ok(()),
        false => Err(Error::new(ErrorKind::Retry, format!("order {} was changed by somebody else; look at it again", order.id))),
    }
}

fn row(order: &Order) -> Result<ShredRow> {
    Ok(ShredRow {
        order_id: order.id.clone(),
        tenant: order.tenant.clone(),
        state: order.state.as_str().to_owned(),
        order_text: order.text.clone(),
        approvals: serde_json::to_string(&order.approvals)?,
        destroy_at: order.destroy_at.map(|at| at.to_rfc3339()),
        proof: order.proof.as_ref().map(serde_json::to_string).transpose()?,
    })
}

fn order(row: ShredRow) -> Result<Order> {
    let at = |text: String| {
        DateTime::parse_from_rfc3339(&text)
            .map(|at| at.to_utc())
            .map_err(|error| Error::new(ErrorKind::Damaged, format!("order {}", row.order_id)).with_source(error))
    };
    Ok(Order {
        state: State::parse(&row.state)?,
        approvals: serde_json::from_str(&row.approvals)?,
        destroy_at: row.destroy_at.clone().map(at).transpose()?,
        proof: row.proof.as_deref().map(serde_json::from_str).transpose()?,
        id: row.order_id,
        tenant: row.tenant,
        text: row.order_text,
    })
}
