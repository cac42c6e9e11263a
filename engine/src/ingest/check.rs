//! Check: what the values say of the header's drift, and the alerts that drift and quarantine raise.
//! Promise: one alert per (tenant, report, header fingerprint), however many deliveries bring that header.

use bonded_schemas::{Binding, Delivery, DeliveryId, Drift, Quarantine, Severity, drift};
use serde::{Deserialize, Serialize};

use super::{
    Landed,
    parse::{Head, Summary},
};
use crate::{
    error::Result,
    lakehouse::{Lakehouse, Tenant},
};

/// The sealed body of a drift alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftAlert {
    pub header: Vec<String>,
    pub drift: Drift,
    /// The delivery that raised it.
    pub delivery_id: DeliveryId,
    pub file_name: String,
}

/// The sealed body of a quarantine alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantineAlert {
    pub delivery: Delivery,
    pub quarantine: Quarantine,
}

pub(super) fn judge(drift: &mut Drift, binding: &Binding, head: &Head, summary: &Summary) {
    drift::judge_values(drift, binding, &head.header, &summary.profiles);
}

/// Nothing drifted: no alert.
pub(super) async fn raise_drift(house: &Lakehouse, tenant: &Tenant, landed: &Landed, head: &Head, drift: &Drift) -> Result<()> {
    let Some(severity) = drift.severity() else { return Ok(()) };
    let text = drift::fingerprint_text(&head.header);
    let fingerprint = tenant.names.keyed_digest("header", text.as_bytes());
    let body = DriftAlert {
        header: head.header.clone(),
        drift: drift.clone(),
        delivery_id: landed.delivery.id,
        file_name: landed.delivery.file_name.clone(),
    };
    let sealed = tenant.seal("drift", &fingerprint, &body)?;
    let new = tenant.ledger.raise_alert("drift", Some(head.report), &fingerprint, severity, house.clock.now(), &sealed).await?;
    tracing::info!(target: "ingest.drift", report = %head.report, %severity, new, findings = drift.findings.len());
    Ok(())
}

pub(super) async fn raise_quarantine(house: &Lakehouse, tenant: &Tenant, landed: &Landed, quarantine: &Quarantine) -> Result<()> {
    let fingerprint = &landed.row.keyed_digest;
    let body = QuarantineAlert { delivery: landed.delivery.clone(), quarantine: quarantine.clone() };
    let sealed = tenant.seal("quarantine", fingerprint, &body)?;
    let now = house.clock.now();
    tenant.ledger.raise_alert("quarantine", quarantine.nearest, fingerprint, Severity::Error, now, &sealed).await?;
    tracing::warn!(target: "ingest.quarantine", delivery = %landed.delivery.id, reason = ?quarantine.reason);
    Ok(())
}
