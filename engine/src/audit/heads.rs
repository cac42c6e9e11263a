//! Checkpoints of the trails: signed, and anchored in each other. A tenant's checkpoint names where the lake's chain stood, and
//! the lake's chain has an event for each checkpoint of a tenant.
//! Promise: whoever kept one head, by mail or in another trail, can tell whether all up to it is still there as it was.
//! Never: a checkpoint is signed of a chain that does not follow the one before it, so a trail that was written anew in the
//! database is not vouched for.

use bonded_connectors::{
    audit::{Checkpoint, Signed, chain::Head, checkpoint::chain_name},
    store::TenantStore,
};
use serde::Serialize;
use serde_json::json;

use super::Change;
use crate::{
    error::{Error, ErrorKind, Result},
    lakehouse::{Lakehouse, Tenant},
};

/// Of the lake's own trail, for each checkpoint of a tenant's.
pub const ANCHORED: &str = "audit.checkpoint";
/// Read and checked at once.
const EVENTS_AT_ONCE: i64 = 10_000;

/// Where a trail stands, for people, mails and other lakes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// `lake`, or `tenant <name>`.
    pub chain: String,
    pub head: Head,
    /// The newest checkpoint; it may be of an earlier head.
    pub checkpoint: Option<Signed>,
    /// What the lake signs checkpoints with.
    pub public_key: String,
}

impl Lakehouse {
    /// Signs the tenant's head, unless it is signed already, and anchors it in the lake's trail.
    ///
    /// # Errors
    /// `Damaged` when the chain does not follow the checkpoint before.
    pub async fn checkpoint(&self, tenant: &Tenant) -> Result<Standing> {
        let signer = &self.identity().await?.auditor;
        let name = tenant.scope.tenant().as_str();
        let chain = chain_name(Some(name));
        let last = tenant.ledger.last_checkpoint().await?;
        let signed = signed_head(&chain, last.as_ref())?;
        let head = tenant.ledger.audit_head().await?;
        if head == signed {
            return Ok(Standing { chain, head, checkpoint: last, public_key: signer.public_key() });
        }
        let mut reached = signed;
        loop {
            let rows = tenant.ledger.audit_range(&reached, EVENTS_AT_ONCE).await?;
            if rows.is_empty() {
                break;
            }
            reached = reached.followed_by(&rows)?;
        }
        let anchor = Some(self.control.audit_head().await?).filter(|head| head.events > 0);
        let says = Checkpoint { chain: chain.clone(), head: reached.clone(), at: self.clock.now(), anchor };
        let made = says.signed(signer);
        if reached.events > 0 && tenant.ledger.put_checkpoint(reached.events, &made).await? {
            let change = Change::made(&json!({ "events": reached.events, "head": reached.hash }))?;
            self.audit_change(tenant.scope.actor().clone(), ANCHORED, name, "signed", change).await?;
        }
        let checkpoint = tenant.ledger.last_checkpoint().await?;
        Ok(Standing { chain, head: reached, checkpoint, public_key: signer.public_key() })
    }

    /// Signs the head of the lake's own trail, unless it is signed already.
    pub async fn checkpoint_lake(&self) -> Result<Standing> {
        let signer = &self.identity().await?.auditor;
        let chain = chain_name(None);
        let last = self.control.last_checkpoint().await?;
        let signed = signed_head(&chain, last.as_ref())?;
        let rows = self.control.audit().await?;
        let head = Head::default().followed_by(&rows)?;
        let is_there = signed.events == 0
            || usize::try_from(signed.events - 1).ok().and_then(|at| rows.get(at)).is_some_and(|row| row.hash == signed.hash);
        if !is_there {
            return Err(contradicted(&chain));
        }
        if head != signed {
            let says = Checkpoint { chain: chain.clone(), head: head.clone(), at: self.clock.now(), anchor: None };
            self.control.put_checkpoint(head.events, &says.signed(signer)).await?;
        }
        let checkpoint = self.control.last_checkpoint().await?;
        Ok(Standing { chain, head, checkpoint, public_key: signer.public_key() })
    }

    /// Whether a tenant's trail has grown by so many events, or has any that is unsigned for so long.
    pub async fn is_checkpoint_due(&self, ledger: &TenantStore) -> Result<bool> {
        let settings = &self.settings.audit;
        let last = ledger.last_checkpoint().await?.map(|signed| signed.checked()).transpose()?;
        let head = ledger.audit_head().await?;
        let (events, since) = last.map_or((0, None), |last| (last.head.events, Some(last.at)));
        let late = since.is_none_or(|since| self.clock.now() - since >= settings.checkpoint_every());
        Ok(head.events > events && (late || head.events - events >= settings.checkpoint_events))
    }
}

/// What the newest checkpoint vouches for.
fn signed_head(chain: &str, last: Option<&Signed>) -> Result<Head> {
    let Some(last) = last else { return Ok(Head::default()) };
    let says = last.checked()?;
    if says.chain != chain {
        return Err(contradicted(chain));
    }
    Ok(says.head)
}

fn contradicted(chain: &str) -> Error {
    let message = format!("the audit trail ({chain}) does not follow its last checkpoint: run `bonded verify`");
    Error::new(ErrorKind::Damaged, message)
}
