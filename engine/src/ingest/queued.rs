//! What workers need of the straight line: landing and no further, going on from there, and giving up.
//! Promise: a delivery that was landed goes on from wherever it stopped; one that is given up is quarantined and told of.

use bonded_connectors::store::{ledger::LedgerRow, queue::Work};
use bonded_schemas::{DeliveryState, Quarantine, QuarantineReason, ServiceFindings, TenantId};

use super::{Ingested, Source, check, land, run, seal, unpack::Nesting};
use crate::{
    error::Result,
    lakehouse::{Lakehouse, Tenant},
};

/// The bytes sealed in the raw zone and the ledger; the row is [`is_done`] when they were delivered before.
pub async fn land_only(house: &Lakehouse, tenant: &Tenant, source: Source<'_>) -> Result<LedgerRow> {
    Ok(super::land(house, tenant, source).await?.row)
}

/// Whether nothing is left to do for it. A quarantined one may become rows another time.
pub fn is_done(row: &LedgerRow) -> bool {
    matches!(row.state, DeliveryState::Committed | DeliveryState::Unpacked) && row.sealed_receipt.is_some()
}

/// What landed of the mail that a service took in under this id: the ledger's rows of that moment, told apart by their notes.
/// None also where the same bytes came another way before.
pub async fn landed_of(house: &Lakehouse, tenant: &Tenant, findings: &ServiceFindings) -> Result<Option<LedgerRow>> {
    for row in tenant.ledger.deliveries_as_of(findings.received_at).await? {
        let note = land::kept_note(house, tenant, &row.raw_path).await?;
        let service = note.envelope.as_ref().and_then(|envelope| envelope.service.as_ref());
        if service.is_some_and(|service| service.message_id == findings.message_id) {
            return Ok(Some(row));
        }
    }
    Ok(None)
}

/// What the queue is told of it.
pub fn work(tenant: &TenantId, row: &LedgerRow) -> Work {
    Work {
        tenant: tenant.clone(),
        keyed_digest: row.keyed_digest.clone(),
        delivery_id: row.delivery_id,
        size_bytes: row.size_bytes,
    }
}

/// Takes a landed delivery to its end.
pub async fn resume(house: &Lakehouse, tenant: &Tenant, row: LedgerRow) -> Result<Ingested> {
    let landed = land::recall(house, tenant, row).await?;
    run(house, tenant, landed, &mut Nesting::default()).await
}

/// Quarantines what failed `failures` times; `kind` is that of the last error. Raises the alert also for one whose rows
/// are in the tables already and that only lacks its receipt.
pub async fn give_up(house: &Lakehouse, tenant: &Tenant, row: LedgerRow, failures: u32, kind: &str) -> Result<()> {
    let mend = format!("mend the cause, then `bonded queue retry {}`", row.delivery_id);
    let quarantine = Quarantine {
        reason: QuarantineReason::GaveUp,
        message: format!("taking it in failed {failures} times, the last time with `{kind}`; the bytes are kept: {mend}"),
        nearest: row.report,
    };
    let state = row.state;
    let landed = match land::recall(house, tenant, row.clone()).await {
        Ok(landed) => landed,
        // That it cannot be read may be the very reason.
        Err(error) => {
            tracing::warn!(target: "ingest.unreadable", delivery = %row.delivery_id, %error);
            land::unreadable(house, tenant, row).await
        }
    };
    let alert = check::quarantine_alert(tenant, &landed, &quarantine)?;
    if matches!(state, DeliveryState::Landed | DeliveryState::Quarantined) {
        seal::seal(house, tenant, &landed, seal::Outcome::quarantined(quarantine, alert)).await?;
    } else {
        alert.raise(house, tenant).await?;
    }
    Ok(())
}
