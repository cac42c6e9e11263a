//! Seal: the receipt, sealed into the ledger, and the audit event. A delivery is not done until this is.

use std::collections::BTreeMap;

use bonded_schemas::{DeliveryState, Drift, Quarantine, Receipt, Registry, delivery::Member};

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
    Committed {
        summary: Summary,
        snapshot_id: i64,
    },
    Quarantined(Quarantine),
    /// The dialect says what it was packed as.
    Unpacked {
        members: Vec<Member>,
        dialect: BTreeMap<String, String>,
    },
}

impl Outcome {
    pub fn quarantined(quarantine: Quarantine) -> Self {
        Self { head: None, drift: Drift::default(), end: End::Quarantined(quarantine) }
    }

    pub fn unpacked(members: Vec<Member>, dialect: BTreeMap<String, String>) -> Self {
        Self { head: None, drift: Drift::default(), end: End::Unpacked { members, dialect } }
    }
}

pub(super) async fn seal(house: &Lakehouse, tenant: &Tenant, landed: &Landed, outcome: Outcome) -> Result<Receipt> {
    let report = outcome.head.as_ref().map(|head| head.report);
    let (mut members, mut unpacked) = (Vec::new(), BTreeMap::new());
    let (state, summary, snapshot_id, quarantine) = match outcome.end {
        End::Committed { summary, snapshot_id } => (DeliveryState::Committed, summary, Some(snapshot_id), None),
        End::Quarantined(quarantine) => (DeliveryState::Quarantined, Summary::default(), None, Some(quarantine)),
        End::Unpacked { members: listed, dialect } => {
            (members, unpacked) = (listed, dialect);
            (DeliveryState::Unpacked, Summary::default(), None, None)
        }
    };
    let receipt = Receipt {
        delivery: landed.delivery.clone(),
        state,
        report,
        sha256: landed.sha256.clone(),
        keyed_digest: landed.row.keyed_digest.clone(),
        size_bytes: landed.row.size_bytes,
        raw_path: landed.row.raw_path.clone(),
        dialect: outcome
            .head
            .as_ref()
            .map(Head::describe)
            .unwrap_or_default()
            .into_iter()
            .chain(summary.traits)
            .chain(unpacked)
            .collect(),
        edition: report.map(|report| Registry::builtin().edition(report).effective.to_string()),
        rows_read: summary.rows_read,
        rows_committed: summary.rows_committed,
        rows_rejected: summary.rows_rejected,
        cells_rescued: summary.cells_rescued,
        control_totals: summary.control_totals,
        drift: outcome.drift,
        rejects: summary.rejects,
        warnings: summary.warnings,
        snapshot_id,
        quarantine,
        members,
        sealed_at: house.clock.now(),
    };
    let sealed = tenant.seal("receipt", &receipt.keyed_digest, &receipt)?;
    let result = match state {
        DeliveryState::Quarantined => {
            tenant.ledger.record_quarantined(&receipt.keyed_digest, report, &sealed).await?;
            "quarantined"
        }
        DeliveryState::Unpacked => {
            tenant.ledger.record_unpacked(&receipt.keyed_digest, &sealed).await?;
            "unpacked"
        }
        DeliveryState::Landed | DeliveryState::Committed => {
            tenant.ledger.record_receipt(&receipt.keyed_digest, &sealed).await?;
            "committed"
        }
    };
    tenant.audit(house.clock.as_ref(), "ingest", &landed.delivery.id.to_string(), result).await?;
    Ok(receipt)
}
