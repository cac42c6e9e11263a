//! Seal: the receipt, sealed into the ledger, with the alert it raises and the audit event. A delivery is not done until
//! this is, and this is done whole or not at all.

use std::collections::BTreeMap;

use bonded_connectors::store::sealing::{SealedAs, Sealing};
use bonded_schemas::{DeliveryState, Drift, MailReport, Quarantine, Receipt, Registry, delivery::Member};

use super::{
    Landed,
    check::{Alert, rejects_alert},
    parse::{Head, Summary},
};
use crate::{
    error::{Error, ErrorKind, Result},
    lakehouse::{Lakehouse, Tenant},
};

pub(super) struct Outcome {
    pub head: Option<Head>,
    pub drift: Drift,
    pub alert: Option<Alert>,
    pub end: End,
    /// Of a mail.
    pub mail: Option<Box<MailReport>>,
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
    pub fn quarantined(quarantine: Quarantine, alert: Alert) -> Self {
        Self { head: None, drift: Drift::default(), alert: Some(alert), end: End::Quarantined(quarantine), mail: None }
    }

    pub fn unpacked(members: Vec<Member>, dialect: BTreeMap<String, String>) -> Self {
        Self { head: None, drift: Drift::default(), alert: None, end: End::Unpacked { members, dialect }, mail: None }
    }

    /// The same of a mail.
    pub fn of_mail(self, report: Box<MailReport>) -> Self {
        Self { mail: Some(report), ..self }
    }
}

/// Answers the receipt and whether this run made it: another may have finished the same delivery meanwhile.
pub(super) async fn seal(house: &Lakehouse, tenant: &Tenant, landed: &Landed, outcome: Outcome) -> Result<(Receipt, bool)> {
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
        entry_dates: summary.entry_dates,
        snapshot_id,
        quarantine,
        members,
        mail: outcome.mail,
        sealed_at: house.clock.now(),
    };
    let sealed = tenant.seal("receipt", &receipt.keyed_digest, &receipt)?;
    let (sealed_as, result) = match state {
        DeliveryState::Quarantined => (SealedAs::Quarantined(report), "quarantined"),
        DeliveryState::Unpacked => (SealedAs::Unpacked, "unpacked"),
        DeliveryState::Landed | DeliveryState::Committed => (SealedAs::Committed, "committed"),
    };
    let alerts: Vec<Alert> = outcome.alert.into_iter().chain(rejects_alert(house, tenant, &receipt)?).collect();
    let sealing = Sealing {
        keyed_digest: &receipt.keyed_digest,
        sealed_as,
        receipt: &sealed,
        alerts: &alerts.iter().map(Alert::to_raise).collect::<Vec<_>>(),
        event: &tenant.sealed_event("ingest", &landed.delivery.id.to_string(), result)?,
        at: receipt.sealed_at,
    };
    if tenant.ledger.record_sealed(&sealing).await? {
        return Ok((receipt, true));
    }
    Ok((kept(tenant, &receipt.keyed_digest).await?, false))
}

/// The receipt that the ledger has.
async fn kept(tenant: &Tenant, keyed_digest: &str) -> Result<Receipt> {
    let row = tenant.ledger.delivery_by_digest(keyed_digest).await?;
    let sealed = row.and_then(|row| row.sealed_receipt);
    let sealed = sealed.ok_or_else(|| Error::new(ErrorKind::Damaged, "the ledger lost a delivery while it was sealed"))?;
    tenant.unseal("receipt", keyed_digest, &sealed)
}
