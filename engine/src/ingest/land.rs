//! Land: the exact bytes sealed in the raw zone, their provenance beside them, a ledger row. In that order.
//! Promise: after this step nothing is lost; the same bytes land once, under their keyed digest.

use std::{
    collections::BTreeMap,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bonded_connectors::store::{ledger::LedgerRow, windows::RepeatRow};
use bonded_schemas::{Channel, Delivery, DeliveryId, DeliveryState, Envelope, delivery::Container};
use chrono::{DateTime, Utc};
use tokio::io::{AsyncRead, ReadBuf};
use uuid::Uuid;

use super::{
    Landed, is_done,
    unpack::{FIRST_BYTES, Packed},
};
use crate::{
    error::{Error, ErrorKind, Result},
    lakehouse::{Lakehouse, Tenant},
};

/// What is known of a file beside its bytes.
#[derive(Debug)]
pub(super) struct Origin {
    pub file_name: String,
    pub channel: Channel,
    pub as_of: Option<DateTime<Utc>>,
    pub container: Option<Container>,
    pub provenance: BTreeMap<String, String>,
    pub envelope: Option<Box<Envelope>>,
    pub poa: Option<String>,
}

pub(super) async fn land(
    house: &Lakehouse,
    tenant: &Tenant,
    bytes: &mut (dyn AsyncRead + Send + Unpin),
    source: Origin,
) -> Result<Landed> {
    let received_at = house.clock.now();
    let limit = house.settings.ingest.file_bytes_max;
    let mut bytes = Watched { inner: bytes, first: Vec::new() };
    let sealed = house.raw.land(&tenant.scope, &tenant.key, &tenant.names, &mut bytes, limit).await?;
    let packed = Packed::of_delivery(&bytes.first, source.channel, source.container.is_some());
    let new = Delivery {
        id: DeliveryId(Uuid::now_v7()),
        channel: source.channel,
        actor: tenant.scope.actor().to_string(),
        file_name: source.file_name,
        received_at,
        as_of: source.as_of.unwrap_or(received_at),
        container: source.container,
        provenance: source.provenance,
        envelope: source.envelope,
        poa: source.poa,
    };
    let (new_id, container) = (new.id, new.container.clone());
    let delivery = note(house, tenant, &sealed.path, new).await?;
    // A member that its own container brings again, when that is opened once more, did not come again.
    let repeats = delivery.id != new_id && (container.is_none() || delivery.container != container);
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
    if repeats && is_done(&row) {
        // What was expected may have come with old bytes: the watch wants to know.
        let as_of = source.as_of.unwrap_or(received_at);
        tenant.ledger.record_repeat(&RepeatRow { delivery_id: row.delivery_id, received_at, as_of }).await?;
    }
    Ok(Landed { delivery, row, sha256: sealed.sha256, packed })
}

/// What `land` answered for a delivery that is in the raw zone already.
pub(super) async fn recall(house: &Lakehouse, tenant: &Tenant, row: LedgerRow) -> Result<Landed> {
    let delivery = kept_note(house, tenant, &row.raw_path).await?;
    let reader = house.raw.open(&tenant.scope, &tenant.key, &row.raw_path).await?;
    let first = reader.read_range(0, reader.size_bytes().min(FIRST_BYTES as u64)).await?;
    let packed = Packed::of_delivery(&first, delivery.channel, delivery.container.is_some());
    Ok(Landed { delivery, row, sha256: reader.sha256(), packed })
}

/// What can be told of a delivery whose bytes, or the note beside them, no longer open: the ledger's word. No SHA-256.
pub(super) async fn unreadable(house: &Lakehouse, tenant: &Tenant, row: LedgerRow) -> Landed {
    let delivery = kept_note(house, tenant, &row.raw_path).await.unwrap_or_else(|_| Delivery {
        id: row.delivery_id,
        channel: Channel::Console,
        actor: tenant.scope.actor().to_string(),
        file_name: "not known: its note does not open".into(),
        received_at: row.received_at,
        as_of: row.as_of,
        container: None,
        provenance: BTreeMap::new(),
        envelope: None,
        poa: None,
    });
    Landed { delivery, row, sha256: String::new(), packed: None }
}

/// Keeps the first bytes of what flows by.
struct Watched<'a> {
    inner: &'a mut (dyn AsyncRead + Send + Unpin),
    first: Vec<u8>,
}

impl AsyncRead for Watched<'_> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut *self.inner).poll_read(cx, buffer))?;
        let missing = FIRST_BYTES - self.first.len();
        let read = &buffer.filled()[before..];
        self.first.extend_from_slice(&read[..read.len().min(missing)]);
        Poll::Ready(Ok(()))
    }
}

/// Puts the note beside the bytes unless one is there: the first delivery of the same bytes keeps its provenance.
async fn note(house: &Lakehouse, tenant: &Tenant, path: &str, new: Delivery) -> Result<Delivery> {
    let json = serde_json::to_vec(&new)?;
    house.raw.put_note(&tenant.scope, tenant.documents(), path, &json).await?;
    kept_note(house, tenant, path).await
}

pub(super) async fn kept_note(house: &Lakehouse, tenant: &Tenant, path: &str) -> Result<Delivery> {
    let kept = house.raw.note(&tenant.scope, tenant.documents(), path).await?;
    let kept = kept.ok_or_else(|| Error::new(ErrorKind::Damaged, format!("the note beside {path} is gone")))?;
    Ok(serde_json::from_slice(&kept)?)
}
