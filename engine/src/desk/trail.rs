//! The desk's entries in the trails: the lake's for accounts and sessions, a tenant's for its team.

use bonded_connectors::store::people::{Told, UserRow, accounts::Step};
use bonded_schemas::Actor;
use serde_json::Value;

use super::Desk;
use crate::{
    error::Result,
    lakehouse::{AuditEvent, Tenant},
};

/// What stood there before and what stands there now.
pub(super) type Diff = Option<(Value, Value)>;

pub(super) fn event(actor: &Actor, action: &str, object: &str, result: &str, diff: Diff) -> AuditEvent {
    let (before, after) = diff.unzip();
    AuditEvent {
        actor: actor.clone(),
        action: action.to_owned(),
        object: object.to_owned(),
        result: result.to_owned(),
        before,
        after,
    }
}

impl Desk {
    /// Sealed for the lake's trail.
    pub(super) async fn lake_event(&self, event: &AuditEvent) -> Result<String> {
        self.house.sealed(event.clone()).await
    }

    /// A change of accounts with its entry; `false` when it lost a race, and then nothing is changed or told.
    pub(super) async fn change(&self, steps: &[Step<'_>], told: &AuditEvent) -> Result<bool> {
        let sealed = self.lake_event(told).await?;
        Ok(self.people.change(steps, Told { at: self.now(), event: &sealed }).await?)
    }

    /// An entry of something that changed nothing: a refusal.
    pub(super) async fn tell(&self, told: &AuditEvent) -> Result<()> {
        let sealed = self.lake_event(told).await?;
        self.house.control.append_audit(self.now(), &sealed).await?;
        Ok(())
    }
}

/// Sealed for the tenant's trail, under its scope's actor.
pub(super) fn tenant_event(tenant: &Tenant, action: &str, object: &str, result: &str, diff: Diff) -> Result<String> {
    event(tenant.scope.actor(), action, object, result, diff).sealed(tenant.scope.tenant().as_str(), tenant.documents())
}

/// A person's document put in the place of the one that was read.
pub(super) fn replace<'a>(row: &'a UserRow, sealed: &'a str) -> Step<'a> {
    Step::ChangeUser { user_id: &row.user_id, version: row.version, sealed }
}
