//! What people decided, kept in the raw zone before it takes effect: a rebuild makes the same of it at the same point in time.
//! Promise: an accepted column, a rename and an explanation survive the loss of the control store.
//! Never: a decision is changed or taken back here; a later one lies beside it.

use bonded_connectors::store::alerts::Alert;
use bonded_schemas::MailPolicy;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    accept::Decision,
    error::Result,
    findings::Note,
    lakehouse::{Lakehouse, Tenant},
};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Decided {
    /// `drift accept`; the fingerprint is a keyed hash of header or file, and so the same after a rebuild.
    Accept { fingerprint: String, decision: Decision },
    /// `finding explain`; the id is a keyed hash, too.
    Explain { finding: String, note: Note },
    /// `mail policy set`: which mails were taken, and which not, is made again by it.
    MailPolicy { policy: MailPolicy },
}

impl Decided {
    pub fn accept(alert: &Alert, decision: &Decision) -> Self {
        Self::Accept { fingerprint: alert.fingerprint.clone(), decision: decision.clone() }
    }
}

/// A decision with its time and who made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    pub at: DateTime<Utc>,
    pub by: String,
    pub decided: Decided,
}

pub(crate) async fn keep(house: &Lakehouse, tenant: &Tenant, decided: Decided) -> Result<()> {
    let kept = Kept { at: house.clock.now(), by: tenant.scope.actor().to_string(), decided };
    house.raw.put_decision(&tenant.scope, tenant.documents(), &serde_json::to_vec(&kept)?).await?;
    Ok(())
}

/// All of them, oldest first.
pub(crate) async fn all(house: &Lakehouse, tenant: &Tenant) -> Result<Vec<Kept>> {
    let mut all = Vec::new();
    for path in house.raw.decisions(&tenant.scope).await? {
        let json = house.raw.decision(&tenant.scope, tenant.documents(), &path).await?;
        all.push(serde_json::from_slice::<Kept>(&json)?);
    }
    all.sort_by_key(|kept| kept.at);
    Ok(all)
}
