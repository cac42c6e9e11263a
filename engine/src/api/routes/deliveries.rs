//! Deliveries: sending one, what came in, what became of it, the bytes themselves, once more through the line.
//! Promise: an upload is answered when its bytes are sealed in the raw zone and queued; the same bytes again add nothing.

use std::io;

use axum::{
    Json,
    body::Body,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use bonded_connectors::store::ledger::LedgerRow;
use bonded_schemas::{Channel, DeliveryId, DeliveryState, Receipt};
use chrono::{DateTime, Utc};
use futures::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use crate::{
    api::{
        access::may,
        page::{Page, Paging},
        permit::{Call, May},
        problem::{Answer, Problem},
        sent::{Asked, Named, Upload},
    },
    audit::Change,
    error::{Error, ErrorKind},
    ingest::{self, Source},
    lakehouse::Tenant,
    receipts,
};

const FILE_NAME_CHARS_MAX: usize = 255;

#[derive(Debug, Serialize, ToSchema)]
pub struct Delivery {
    #[schema(value_type = uuid::Uuid)]
    pub delivery_id: DeliveryId,
    /// `landed`, `committed`, `unpacked` (a container) or `quarantined`.
    #[schema(value_type = String)]
    pub state: DeliveryState,
    /// `ES-001`, `ES-002`, `ES-003`; absent where none was recognised.
    pub report: Option<String>,
    /// Absent until the delivery has come to its end, as the two after it.
    pub file_name: Option<String>,
    pub rows: Option<u64>,
    pub rejects: Option<u64>,
    pub received_at: DateTime<Utc>,
    pub as_of: DateTime<Utc>,
    pub size_bytes: u64,
    /// Under which a broker's machine delivered it; absent of all else, and until the delivery has come to its end.
    pub power_of_attorney: Option<String>,
}

impl Delivery {
    fn of(tenant: &Tenant, row: LedgerRow) -> Answer<Self> {
        let receipt = receipts::unsealed(tenant, &row)?;
        let receipt = receipt.as_ref();
        Ok(Self {
            delivery_id: row.delivery_id,
            state: row.state,
            report: row.report.map(|report| report.to_string()),
            file_name: receipt.map(|receipt| receipt.delivery.file_name.clone()),
            rows: receipt.map(|receipt| receipt.rows_committed),
            rejects: receipt.map(|receipt| receipt.rows_rejected),
            received_at: row.received_at,
            as_of: row.as_of,
            size_bytes: row.size_bytes,
            power_of_attorney: receipt.and_then(|receipt| receipt.delivery.poa.clone()),
        })
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Sending {
    /// As the sender calls the file; it decides nothing.
    #[param(max_length = 255)]
    file_name: String,
    /// When CBP ran the report; the time of arrival when absent.
    as_of: Option<DateTime<Utc>>,
}

/// What an upload became so far.
#[derive(Debug, Serialize, ToSchema)]
pub struct Received {
    #[schema(value_type = uuid::Uuid)]
    delivery_id: DeliveryId,
    #[schema(value_type = String)]
    state: DeliveryState,
    /// It waits for a worker; look at the delivery for what becomes of it.
    queued: bool,
}

/// Send a file: its bytes as they are, CSV, zip, gzip, xlsx or xls
#[utoipa::path(
    post, path = "/v1/deliveries", tag = "deliveries", params(Sending),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 202, description = "Sealed in the raw zone; a worker takes it further", body = Received),
        (status = 200, description = "The same bytes were delivered before", body = Received),
        (status = 413, description = "Larger than ingest.file_bytes_max", body = Problem),
    )
)]
pub async fn send(
    May { call, .. }: May<may::Deliver>,
    Asked(sending): Asked<Sending>,
    headers: HeaderMap,
    body: Body,
) -> Answer<Response> {
    check_file_name(&sending.file_name)?;
    let house = call.house();
    let limit = house.settings.ingest.file_bytes_max;
    let told = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if told.is_some_and(|bytes| bytes > limit) {
        return Err(Problem::of_status(StatusCode::PAYLOAD_TOO_LARGE));
    }
    let tenant = call.tenant().await?;
    has_room(&call).await?;
    let poa = call.power_of_attorney(&tenant).await?;
    let mut bytes = Upload::new(body, house.settings.api.upload_pause_max());
    let source = Source {
        file_name: sending.file_name,
        bytes: &mut bytes,
        channel: Channel::Api,
        as_of: sending.as_of,
        envelope: None,
        poa: poa.clone(),
    };
    let row = ingest::land_only(house, &tenant, source).await.map_err(broken_off)?;
    let received = Received::queued(&call, &row).await?;
    let told = (received.result(), under(poa.as_deref())?);
    tenant.audit_change(house.clock.as_ref(), "deliver", &row.delivery_id.to_string(), told.0, told.1).await?;
    Ok(received.into_response())
}

impl Received {
    /// Of a delivery that is in the raw zone: a worker takes it further, unless it is done.
    pub(super) async fn queued(call: &Call, row: &LedgerRow) -> Answer<Self> {
        let queued = !ingest::is_done(row);
        if queued {
            call.front.shop.enqueue(&ingest::work(call.scope.tenant(), row)).await?;
        }
        Ok(Self { delivery_id: row.delivery_id, state: row.state, queued })
    }

    /// For the trail.
    pub(super) fn result(&self) -> &'static str {
        if self.queued { "landed" } else { "duplicate" }
    }

    pub(super) fn address(&self) -> String {
        format!("/v1/deliveries/{}", self.delivery_id)
    }
}

impl IntoResponse for Received {
    fn into_response(self) -> Response {
        let status = if self.queued { StatusCode::ACCEPTED } else { StatusCode::OK };
        (status, [(header::LOCATION, self.address())], Json(self)).into_response()
    }
}

pub(super) fn check_file_name(name: &str) -> Answer<()> {
    match name.trim().is_empty() || name.chars().count() > FILE_NAME_CHARS_MAX {
        true => Err(Problem::invalid(format!("file_name must have 1 to {FILE_NAME_CHARS_MAX} characters"))),
        false => Ok(()),
    }
}

/// Whether the tenant's queue takes one more.
pub(super) async fn has_room(call: &Call) -> Answer<()> {
    let depth = call.front.shop.queue.depth(call.scope.tenant()).await.map_err(Error::from)?;
    match depth >= call.house().settings.serve.queued_max {
        true => Err(Problem::busy("the queue of this tenant is full", 60)),
        false => Ok(()),
    }
}

/// What the event of a delivery says of the power of attorney that it came under.
pub(super) fn under(poa: Option<&str>) -> Answer<Change> {
    match poa {
        Some(poa) => Ok(Change::made(&json!({ "power_of_attorney": poa }))?),
        None => Ok(Change::default()),
    }
}

/// A body that ended early or went silent is the sender's failure, not ours.
fn broken_off(error: Error) -> Problem {
    let mut source = std::error::Error::source(&error);
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<io::Error>() {
            return match io.kind() {
                io::ErrorKind::TimedOut => Problem::of_status(StatusCode::REQUEST_TIMEOUT),
                io::ErrorKind::Other => Problem::malformed("the upload broke off; nothing was taken in, send it again"),
                _ => error.into(),
            };
        }
        source = inner.source();
    }
    match error.kind() {
        // Of bytes that can be read, landing refuses only too many.
        ErrorKind::Input => Problem::of_status(StatusCode::PAYLOAD_TOO_LARGE),
        _ => error.into(),
    }
}

/// What came in, the newest first
#[utoipa::path(
    get, path = "/v1/deliveries", tag = "deliveries", params(Paging),
    responses((status = 200, body = Page<Delivery>))
)]
pub async fn list(May { call, .. }: May<may::Read>, Asked(paging): Asked<Paging>) -> Answer<Json<Page<Delivery>>> {
    let tenant = call.tenant().await?;
    let page = paging
        .from(
            async |after: Option<DeliveryId>, limit| Ok(tenant.ledger.deliveries_before(after, limit).await?),
            |row| row.delivery_id.to_string(),
        )
        .await?;
    Ok(Json(page.try_map(|row| Delivery::of(&tenant, row))?))
}

/// One delivery's receipt, once it has come to its end
#[utoipa::path(
    get, path = "/v1/deliveries/{delivery_id}", tag = "deliveries", params(("delivery_id" = uuid::Uuid, Path)),
    responses(
        (status = 200, description = "The receipt: rows, rejects, drift, control totals, digests, snapshot", body = Object),
        (status = 202, description = "Landed and not done yet", body = Delivery),
    )
)]
pub async fn receipt(May { call, .. }: May<may::Read>, Named(id): Named<DeliveryId>) -> Answer<Response> {
    let tenant = call.tenant().await?;
    let row = found(&tenant, id).await?;
    match receipts::unsealed(&tenant, &row)? {
        Some(receipt) => Ok(Json(receipts::shown(call.house(), receipt)).into_response()),
        None => Ok((StatusCode::ACCEPTED, Json(Delivery::of(&tenant, row)?)).into_response()),
    }
}

/// The bytes as they were received
#[utoipa::path(
    get, path = "/v1/deliveries/{delivery_id}/raw", tag = "deliveries", params(("delivery_id" = uuid::Uuid, Path)),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"))
)]
pub async fn raw(May { call, .. }: May<may::Export>, Named(id): Named<DeliveryId>) -> Answer<Response> {
    let tenant = call.tenant().await?;
    let house = call.house();
    let row = found(&tenant, id).await?;
    let reader = house.raw.open(&tenant.scope, &tenant.key, &row.raw_path).await.map_err(Error::from)?;
    tenant.audit(house.clock.as_ref(), "raw.get", &row.delivery_id.to_string(), "done").await?;
    let size = reader.size_bytes();
    let pieces = stream::unfold(Some(reader), |reader| async {
        let mut reader = reader?;
        match reader.next_chunk().await {
            Ok(Some(piece)) => Some((Ok(piece), Some(reader))),
            Ok(None) => None,
            Err(error) => {
                tracing::error!(target: "api.raw", %error, "a raw object broke off while it was sent");
                Some((Err(io::Error::other("the object does not read to its end")), None))
            }
        }
    });
    let name = format!("attachment; filename=\"{id}\"");
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, size.to_string()),
        (header::CONTENT_DISPOSITION, name),
    ];
    Ok((headers, Body::from_stream(pieces.boxed())).into_response())
}

/// Run a delivery through the line once more, under today's mappings
#[utoipa::path(
    post, path = "/v1/deliveries/{delivery_id}/replay", tag = "deliveries", params(("delivery_id" = uuid::Uuid, Path)),
    responses((status = 200, description = "The receipt", body = Object))
)]
pub async fn replay(May { call, .. }: May<may::Replay>, Named(id): Named<DeliveryId>) -> Answer<Json<Value>> {
    let tenant = call.tenant().await?;
    let row = found(&tenant, id).await?;
    let receipt: Receipt = ingest::replay(call.house(), &tenant, row).await?;
    tenant.audit(call.house().clock.as_ref(), "replay", &id.to_string(), receipt.state.as_str()).await?;
    let receipt = receipts::shown(call.house(), receipt);
    Ok(Json(serde_json::to_value(receipt).map_err(Error::from)?))
}

async fn found(tenant: &Tenant, id: DeliveryId) -> Answer<LedgerRow> {
    tenant.ledger.delivery(id).await.map_err(Error::from)?.ok_or_else(Problem::not_found)
}
