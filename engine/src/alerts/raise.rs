//! Alerts that are about a tenant as a whole: one of a kind, whatever brings it.
//! Promise: raised while it stands it is only counted; cleared, it opens again when it comes back.

use bonded_connectors::store::audit::NewEvent;
use bonded_schemas::{Report, Severity};
use serde::Serialize;

use crate::{
    error::Result,
    lakehouse::{Lakehouse, Tenant},
};

/// `about` keeps alerts of one kind apart; it is kept as a keyed digest.
pub async fn raise<T: Serialize>(
    house: &Lakehouse,
    tenant: &Tenant,
    kind: &str,
    report: Option<Report>,
    about: &str,
    severity: Severity,
    body: &T,
) -> Result<()> {
    let fingerprint = fingerprint(tenant, kind, about);
    let sealed = tenant.seal(kind, &fingerprint, body)?;
    let new = tenant.ledger.raise_alert(kind, report, &fingerprint, severity, house.clock.now(), &sealed).await?;
    tracing::warn!(target: "alerts.raise", tenant = %tenant.scope.tenant(), kind, new);
    Ok(())
}

/// Its cause is gone; `false` when it was not raised.
pub async fn clear(house: &Lakehouse, tenant: &Tenant, kind: &str, report: Option<Report>, about: &str) -> Result<bool> {
    let fingerprint = fingerprint(tenant, kind, about);
    let event = tenant.sealed_event("alert.clear", kind, "resolved: its cause is gone")?;
    let event = NewEvent { at: house.clock.now(), sealed: &event };
    Ok(tenant.ledger.clear_alert(kind, report, &fingerprint, event).await?)
}

pub(crate) fn fingerprint(tenant: &Tenant, kind: &str, about: &str) -> String {
    tenant.names.keyed_digest("alert", format!("{kind}\n{about}").as_bytes())
}
