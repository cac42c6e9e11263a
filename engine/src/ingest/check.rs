//! Check: what the values say of the header's drift, and the alerts that drift, quarantine and unreadable rows raise.
//! Promise: one alert per (tenant, report, header fingerprint), however many deliveries bring that header.

use bonded_connectors::store::alerts::NewAlert;
use bonded_schemas::{
    Binding, Delivery, DeliveryId, DeliveryState, Drift, Quarantine, Receipt, Reject, RejectKind, Report, Severity,
    delivery::RejectScope, drift,
};
use serde::{Deserialize, Serialize};

use super::{
    Landed,
    parse::{Head, Summary},
};
use crate::{
    alerts::raise::fingerprint,
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

/// The sealed body of an alert over rows that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectsAlert {
    /// The delivery that raised it first.
    pub delivery_id: DeliveryId,
    pub rows_read: u64,
    pub rows_unreadable: u64,
}

/// One a report, over deliveries of which more rows than usual cannot be read. Totals and page breaks are no rows.
pub(super) fn rejects_alert(house: &Lakehouse, tenant: &Tenant, receipt: &Receipt) -> Result<Option<Alert>> {
    let Some(report) = receipt.report.filter(|_| receipt.state == DeliveryState::Committed) else { return Ok(None) };
    let is_furniture = |reject: &&Reject| reject.scope == RejectScope::Row && reject.kind != RejectKind::Unreadable;
    let furniture = receipt.rejects.iter().filter(is_furniture).count() as u64;
    let rows_read = receipt.rows_read.saturating_sub(furniture);
    let rows_unreadable = receipt.rows_rejected.saturating_sub(furniture);
    let most = u64::from(house.settings.alerts.rejects_percent);
    if rows_unreadable.saturating_mul(100) <= rows_read.saturating_mul(most) {
        return Ok(None);
    }
    let fingerprint = fingerprint(tenant, "rejects", report.code());
    let body = RejectsAlert { delivery_id: receipt.delivery.id, rows_read, rows_unreadable };
    let sealed = tenant.seal("rejects", &fingerprint, &body)?;
    tracing::warn!(target: "ingest.rejects", delivery = %receipt.delivery.id, rows_read, rows_unreadable);
    Ok(Some(Alert { kind: "rejects", report: Some(report), fingerprint, severity: Severity::Warning, sealed }))
}

pub(super) fn quarantine_alert(tenant: &Tenant, landed: &Landed, quarantine: &Quarantine) -> Result<Alert> {
    alert_of("quarantine", tenant, landed, quarantine)
}

/// Of a mail that the tenant's policy does not take; its body is that of a quarantine.
pub(super) fn mail_alert(tenant: &Tenant, landed: &Landed, quarantine: &Quarantine) -> Result<Alert> {
    alert_of("mail", tenant, landed, quarantine)
}

fn alert_of(kind: &'static str, tenant: &Tenant, landed: &Landed, quarantine: &Quarantine) -> Result<Alert> {
    let fingerprint = landed.row.keyed_digest.clone();
    let body = QuarantineAlert { delivery: landed.delivery.clone(), quarantine: quarantine.clone() };
    let sealed = tenant.seal(kind, &fingerprint, &body)?;
    tracing::warn!(target: "ingest.quarantine", delivery = %landed.delivery.id, reason = ?quarantine.reason);
    Ok(Alert { kind, report: quarantine.nearest, fingerprint, severity: Severity::Error, sealed })
}
