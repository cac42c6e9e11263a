//! Check: what the values say of the header's drift, and the alerts that drift and quarantine raise.
//! Promise: one alert per (tenant, report, header fingerprint), however many deliveries bring that header.

use bonded_connectors::store::alerts::NewAlert;
use bonded_schemas::{Binding, Delivery, DeliveryId, Drift, Quarantine, Report, Severity, drift};
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

/// An alert that is raised with the receipt, its body sealed.
pub(super) struct Alert {
    kind: &'static str,
    report: Option<Report>,
    fingerprint: String,
    severity: Severity,
    sealed: String,
}

impl Alert {
    pub fn to_raise(&self) -> NewAlert<'_> {
        NewAlert {
            kind: self.kind,
            report: self.report,
            fingerprint: &self.fingerprint,
            severity: self.severity,
            sealed: &self.sealed,
        }
    }
}

impl Alert {
    /// By itself, where there is no receipt to seal.
    pub async fn raise(&self, house: &Lakehouse, tenant: &Tenant) -> Result<()> {
        let now = house.clock.now();
        tenant.ledger.raise_alert(self.kind, self.report, &self.fingerprint, self.severity, now, &self.sealed).await?;
        Ok(())
    }
}

/// Nothing drifted: no alert.
pub(super) fn drift_alert(tenant: &Tenant, landed: &Landed, head: &Head, drift: &Drift) -> Result<Option<Alert>> {
    let Some(severity) = drift.severity() else { return Ok(None) };
    let text = drift::fingerprint_text(&head.header);
    let fingerprint = tenant.names.keyed_digest("header", text.as_bytes());
    let body = DriftAlert {
        header: head.header.clone(),
        drift: drift.clone(),
        delivery_id: landed.delivery.id,
        file_name: landed.delivery.file_name.clone(),
    };
    let sealed = tenant.seal("drift", &fingerprint, &body)?;
    tracing::info!(target: "ingest.drift", report = %head.report, %severity, findings = drift.findings.len());
    Ok(Some(Alert { kind: "drift", report: Some(head.report), fingerprint, severity, sealed }))
}

pub(super) fn quarantine_alert(tenant: &Tenant, landed: &Landed, quarantine: &Quarantine) -> Result<Alert> {
    let fingerprint = landed.row.keyed_digest.clone();
    let body = QuarantineAlert { delivery: landed.delivery.clone(), quarantine: quarantine.clone() };
    let sealed = tenant.seal("quarantine", &fingerprint, &body)?;
    tracing::warn!(target: "ingest.quarantine", delivery = %landed.delivery.id, reason = ?quarantine.reason);
    Ok(Alert { kind: "quarantine", report: quarantine.nearest, fingerprint, severity: Severity::Error, sealed })
}
