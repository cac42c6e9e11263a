//! The audit trail: who did what to which object, from where, how it ended and what changed by it.
//! Promise: every event is sealed for its trail, chained, and bound by a salted digest so that an export of it can be proven;
//! secrets and numbers in Social Security form do not get into one, whoever writes it.
//! Never: an event is changed or taken away; nothing here has a way to.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bonded_connectors::{
    audit::{AuditRow, chain},
    clock::Clock,
    seal::DocumentKey,
};
use bonded_schemas::{Actor, Role};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    error::{Error, ErrorKind, Result},
    lakehouse::Tenant,
};

mod change;
pub(crate) mod csv;
pub mod export;
pub mod heads;
pub mod keep;
pub mod meta;
pub mod proof;
#[cfg(test)]
mod tests;
pub mod trail;

pub use change::Change;

/// Whoever runs the console holds the keys.
pub const CONSOLE: &str = "console:";
/// Longest object and result of an event, in characters: what was asked can be long.
const TEXT_CHARS_MAX: usize = 1000;
const WHAT: &str = "audit";
const NAME: &str = "event";

/// One line of the audit trail; when and in which order lies beside it in the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEvent {
    #[serde(flatten)]
    pub actor: Actor,
    pub action: String,
    pub object: String,
    /// `done`, `refused: <why>`, or what else came of it.
    pub result: String,
    /// Of a change: what stood there before and what stands there now, as far as they differ; secrets and Social Security
    /// numbers are masked when the event is sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// The text that is sealed, and committed to.
#[derive(Serialize)]
struct Salted<'a> {
    salt: String,
    #[serde(flatten)]
    event: &'a AuditEvent,
}

impl AuditEvent {
    pub fn new(actor: Actor, action: &str, object: &str, result: &str) -> Self {
        let [action, object, result] = [action, object, result].map(str::to_owned);
        Self { actor, action, object, result, before: None, after: None }
    }

    /// The same with what it changed.
    pub fn changing(mut self, change: Change) -> Self {
        (self.before, self.after) = change.into_parts();
        self
    }

    fn fit_to_keep(mut self) -> Self {
        for text in [&mut self.object, &mut self.result] {
            *text = change::masked(text).chars().take(TEXT_CHARS_MAX).collect();
        }
        for value in [&mut self.before, &mut self.after].into_iter().flatten() {
            change::mask(value);
        }
        self
    }

    /// The stored text of the event in the trail of `owner`: sealed, with its commitment.
    pub(crate) fn sealed(self, owner: &str, documents: &DocumentKey) -> Result<String> {
        let plain = serde_json::to_string(&Salted { salt: chain::salt(), event: &self.fit_to_keep() })?;
        let sealed = STANDARD.encode(documents.seal(&[owner, WHAT, NAME], plain.as_bytes()));
        Ok(chain::bound(&chain::commitment(&plain), &sealed))
    }
}

/// An event of a trail, with its place in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub event: AuditEvent,
    /// The text that is sealed.
    pub plain: String,
    pub row: AuditRow,
}

impl Entry {
    /// # Errors
    /// `Damaged` when it does not open, or is not what the chain was bound to.
    pub(crate) fn opened(row: AuditRow, owner: &str, documents: &DocumentKey) -> Result<Self> {
        let damaged = |what: &str| Error::new(ErrorKind::Damaged, format!("event {} of the audit trail {what}", row.seq));
        let sealed = STANDARD.decode(&row.sealed).map_err(|error| damaged("is not base64").with_source(error))?;
        let plain = documents.open(&[owner, WHAT, NAME], &sealed)?;
        let plain = std::str::from_utf8(&plain).map_err(|error| damaged("is no text").with_source(error))?.to_owned();
        if row.commitment.as_ref().is_some_and(|bound| *bound != chain::commitment(&plain)) {
            return Err(damaged("is not the one that the chain was bound to"));
        }
        Ok(Self { event: serde_json::from_str(&plain)?, plain, row })
    }
}

/// Who may read a trail: owner and admin, and whoever runs the console. Tokens and machines may not.
pub fn may_read(actor: &Actor) -> bool {
    match actor.role {
        Some(role) => matches!(role, Role::Owner | Role::Admin),
        None => actor.name.starts_with(CONSOLE),
    }
}

impl Tenant {
    /// Appends to the audit tail: who did what to which object, and how it ended.
    pub async fn audit(&self, clock: &dyn Clock, action: &str, object: &str, result: &str) -> Result<()> {
        let sealed = self.sealed_event(action, object, result)?;
        self.ledger.append_audit(clock.now(), &sealed).await?;
        Ok(())
    }

    /// The same with what it changed, where that lies in no control store whose transaction it could join.
    pub async fn audit_change(&self, clock: &dyn Clock, action: &str, object: &str, result: &str, change: Change) -> Result<()> {
        let sealed = self.sealed_change(action, object, result, change)?;
        self.ledger.append_audit(clock.now(), &sealed).await?;
        Ok(())
    }

    /// An event for the audit tail, for a step that appends it with what else it records.
    pub(crate) fn sealed_event(&self, action: &str, object: &str, result: &str) -> Result<String> {
        self.sealed_change(action, object, result, Change::default())
    }

    pub(crate) fn sealed_change(&self, action: &str, object: &str, result: &str, change: Change) -> Result<String> {
        let event = AuditEvent::new(self.scope.actor().clone(), action, object, result).changing(change);
        event.sealed(self.scope.tenant().as_str(), self.documents())
    }
}
