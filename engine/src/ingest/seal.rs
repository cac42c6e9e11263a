//! Seal: the receipt, sealed into the ledger, and the audit event. A delivery is not done until this is.

use bonded_schemas::{DeliveryState, Drift, Quarantine, Receipt, Registry};

use super::{
    Landed,
    parse::{Head, Summary},
};
use crate::{
    error::Result,
    lakehouse::{Lakehouse, Tenant},
};

pub(super) struct Outcome {
    pub head: Option<Head>,
    pub drift: Drift,
    pub end: End,
}

pub(super) enum End {
    Committed { summary: Summary, snapshot_id: i64 },
    Quarantined(Quarantine),
}

pub(super) async fn seal(house: &Lakehouse, tenant: &Tenant, landed: &Landed, outcome: Outcome) -> Result<Receipt> {
    let report = outcome.head.as_ref().map(|head| head.report);
    let (state, summary, snapshot_id, quarantine) = match outcome.end {
        End::Committed { summary, snapshot_id } => (DeliveryState::Committed, summary, Some(snapshot_id), None),
        End::Quarantined(quarantine) => (DeliveryState::Quarantined, Summary::default(), None, Some(quarantine)),
    };
    let receipt = Receipt {
        delivery: landed.delivery.clone(),
        state,
        report,
        sha256: landed.sha256.clone(),
        keyed_digest: landed.row.keyed_digest.clone(),
        size_bytes: landed.row.size_bytes,
        raw_path: landed.row.raw_path.clone(),
        dialect: outcome.head.as_ref().map(Head::describe).unwrap_or_default(),
        edition: report.map(|report| Registry::builtin().edition(report).effective.to_string()),
        rows_read: summary.rows_read,
        rows_committed: summary.rows_committed,
        rows_rejected: summary.rows_rejected,
        cells_rescued: summary.cells_rescued,
        control_totals: summary.control_totals,
        drift: outcome.drift,
        rejects: summary.rejects,
        snapshot_id,
        quarantine,
        sealed_at: house.clock.now(),
    };
    let sealed = tenant.seal("receipt", &receipt.keyed_digest, &receipt)?;
    let result = match state {
        DeliveryState::Quarantined => {
            tenant.ledger.record_quarantined(&receipt.keyed_digest, report, &sealed).await?;
            "quarantined"
        }
        _ => {
            tenant.ledger.record_receipt(&receipt.keyed_digest, &sealed).await?;
            "committed"
        }
    };
    tenant.audit(house.clock.as_ref(), "ingest", &landed.delivery.id.to_string(), result).await?;
    Ok(receipt)
}
