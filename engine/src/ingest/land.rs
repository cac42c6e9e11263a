//! Land: the exact bytes sealed in the raw zone, their provenance beside them, a ledger row. In that order.
//! Promise: after this step nothing is lost; the same bytes land once, under their keyed digest.

use bonded_connectors::store::ledger::LedgerRow;
use bonded_schemas::{Delivery, DeliveryId, DeliveryState};
use uuid::Uuid;

use super::{Landed, Source};
use crate::{
    error::{Error, ErrorKind, Result},
    lakehouse::{Lakehouse, Tenant},
};

pub(super) async fn land(house: &Lakehouse, tenant: &Tenant, source: Source<'_>) -> Result<Landed> {
    let received_at = house.clock.now();
    let limit = house.settings.ingest.file_bytes_max;
    let sealed = house.raw.land(&tenant.scope, &tenant.key, &tenant.names, source.bytes, limit).await?;
    let new = Delivery {
        id: DeliveryId(Uuid::now_v7()),
        channel: source.channel,
        actor: tenant.scope.actor().to_owned(),
        file_name: source.file_name,
        received_at,
        as_of: source.as_of.unwrap_or(received_at),
    };
    let delivery = note(house, tenant, &sealed.path, new).await?;
    let row = LedgerRow {
        delivery_id: delivery.id,
        keyed_digest: sealed.keyed_digest,
        state: DeliveryState::Landed,
        report: None,
        received_at: delivery.received_at,
        as_of: delivery.as_of,
        raw_path: sealed.path,
        size_bytes: sealed.size_bytes,
        snapshot_id: None,
        sealed_receipt: None,
    };
    let row = tenant.ledger.record_landed(&row).await?;
    Ok(Landed { delivery, row, sha256: sealed.sha256 })
}

/// What `land` answered for a delivery that is in the raw zone already.
pub(super) async fn recall(house: &Lakehouse, tenant: &Tenant, row: LedgerRow) -> Result<Landed> {
    let delivery = kept_note(house, tenant, &row.raw_path).await?;
    let sha256 = house.raw.open(&tenant.scope, &tenant.key, &row.raw_path).await?.sha256();
    Ok(Landed { delivery, row, sha256 })
}

/// Puts the note beside the bytes unless one is there: the first delivery of the same bytes keeps its provenance.
async fn note(house: &Lakehouse, tenant: &Tenant, path: &str, new: Delivery) -> Result<Delivery> {
    let json = serde_json::to_vec(&new)?;
    house.raw.put_note(&tenant.scope, tenant.documents(), path, &json).await?;
    kept_note(house, tenant, path).await
}

async fn kept_note(house: &Lakehouse, tenant: &Tenant, path: &str) -> Result<Delivery> {
    let kept = house.raw.note(&tenant.scope, tenant.documents(), path).await?;
    let kept = kept.ok_or_else(|| Error::new(ErrorKind::Damaged, format!("the note beside {path} is gone")))?;
    Ok(serde_json::from_slice(&kept)?)
}
