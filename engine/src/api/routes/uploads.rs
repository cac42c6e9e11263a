//! Uploads in pieces, for lines that break: announce a file, send it piece by piece, end it; go on from what is kept.
//! Promise: an offset that was answered is durable; of two who send for one offset, one wins; a piece that is not what its
//! `Content-Digest` says is not taken.
//!
//! The words are those of tus 1.0 (PATCH, `Upload-Offset`, 409 on a wrong one, 460 on a wrong checksum, 404 for what is over),
//! with RFC 9530's `Content-Digest` for its checksum, a JSON announcement that names the whole's SHA-256, and an end of its own.

use std::{io, sync::Arc};

use axum::{
    Json,
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::deliveries::{Received, check_file_name, has_room, under};
use crate::{
    api::{
        Front,
        access::may,
        permit::{Call, May},
        problem::{Answer, Problem},
        sent::{Named, Sent, Upload},
    },
    uploads::{self, Added, Announced, Start, Whole},
};

const OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const LENGTH: HeaderName = HeaderName::from_static("upload-length");
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");

/// Of a piece that is refused so much more than a piece may have is read all the same.
const DRAINED_MORE_BYTES: u64 = 64 << 10;

/// Answered at once.
pub fn small() -> OpenApiRouter<Arc<Front>> {
    OpenApiRouter::new().routes(routes!(begin)).routes(routes!(look, cancel))
}

/// Bounded by their own limits and pauses.
pub fn large() -> OpenApiRouter<Arc<Front>> {
    OpenApiRouter::new().routes(routes!(add)).routes(routes!(finish))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Announcing {
    /// As the sender calls the file; it decides nothing.
    #[schema(min_length = 1, max_length = 255)]
    file_name: String,
    size_bytes: u64,
    /// Of the whole file, in hex.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    sha256: String,
    /// When CBP ran the report; the time of arrival when absent.
    as_of: Option<DateTime<Utc>>,
}

/// Where an upload stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct Standing {
    upload_id: String,
    size_bytes: u64,
    /// All up to here is kept; the next piece begins here.
    offset_bytes: u64,
    /// Pieces have at least so many bytes, the last one but for that.
    piece_bytes_min: u64,
    piece_bytes_max: u64,
    /// Not ended until then, it is forgotten.
    expires_at: DateTime<Utc>,
}

/// What became of an announcement: one of both.
#[derive(Debug, Serialize, ToSchema)]
pub struct Begun {
    #[serde(skip_serializing_if = "Option::is_none")]
    upload: Option<Standing>,
    /// These bytes were delivered before: nothing needs to be sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery: Option<Received>,
}

impl From<uploads::Upload> for Standing {
    fn from(upload: uploads::Upload) -> Self {
        let uploads::Upload { id, size_bytes, offset_bytes, piece_bytes_min, piece_bytes_max, expires_at } = upload;
        Self { upload_id: id, size_bytes, offset_bytes, piece_bytes_min, piece_bytes_max, expires_at }
    }
}

impl Standing {
    fn headers(&self) -> [(HeaderName, HeaderValue); 2] {
        [(OFFSET, self.offset_bytes.into()), (LENGTH, self.size_bytes.into())]
    }
}

/// Announce a file that comes in pieces; again, to learn where it stands
#[utoipa::path(
    post, path = "/v1/uploads", tag = "deliveries", request_body = Announcing,
    responses(
        (status = 201, description = "Begun; send the pieces to the address in Location", body = Begun),
        (status = 200, description = "Begun before, or these bytes were delivered before", body = Begun),
    )
)]
pub async fn begin(May { call, .. }: May<may::Deliver>, Sent(sent): Sent<Announcing>) -> Answer<Response> {
    let Announcing { file_name, size_bytes, sha256, as_of } = sent;
    check_file_name(&file_name)?;
    let tenant = call.tenant().await?;
    has_room(&call).await?;
    let poa = call.power_of_attorney(&tenant).await?;
    let announced = Announced { file_name, size_bytes, sha256, as_of };
    let house = call.house();
    let (status, upload) = match uploads::begin(house, &tenant, &call.caller.user, poa.as_deref(), &announced).await? {
        Start::New(upload) => (StatusCode::CREATED, upload),
        Start::There(upload) => (StatusCode::OK, upload),
        Start::TooLarge => return Err(Problem::of_status(StatusCode::PAYLOAD_TOO_LARGE)),
        Start::Full => return Err(Problem::busy("this tenant has as many uploads open as it may; end or delete one", 60)),
        Start::Known(row) => {
            let delivery = Received::queued(&call, &row).await?;
            let change = under(poa.as_deref())?;
            let id = row.delivery_id.to_string();
            tenant.audit_change(house.clock.as_ref(), "deliver", &id, "duplicate", change).await?;
            let at = [(header::LOCATION, delivery.address())];
            return Ok((StatusCode::OK, at, Json(Begun { upload: None, delivery: Some(delivery) })).into_response());
        }
    };
    let standing = Standing::from(upload);
    let at = [(header::LOCATION, format!("/v1/uploads/{}", standing.upload_id))];
    let headers = standing.headers();
    Ok((status, at, headers, Json(Begun { upload: Some(standing), delivery: None })).into_response())
}

/// Where an upload stands; HEAD tells the same in Upload-Offset and Upload-Length
#[utoipa::path(
    get, path = "/v1/uploads/{upload_id}", tag = "deliveries", params(("upload_id" = uuid::Uuid, Path)),
    responses((status = 200, body = Standing))
)]
pub async fn look(May { call, .. }: May<may::Deliver>, Named(id): Named<Uuid>) -> Answer<Response> {
    let tenant = call.tenant().await?;
    let upload = uploads::look(call.house(), &tenant, &call.caller.user, id).await?.ok_or_else(Problem::not_found)?;
    let standing = Standing::from(upload);
    Ok((standing.headers(), Json(standing)).into_response())
}

/// Send the piece that begins at Upload-Offset
#[utoipa::path(
    patch, path = "/v1/uploads/{upload_id}", tag = "deliveries",
    params(
        ("upload_id" = uuid::Uuid, Path),
        ("upload-offset" = u64, Header, description = "Where the piece begins: what is kept so far"),
        ("content-digest" = String, Header, description = "RFC 9530, of the piece: sha-256=:BASE64:"),
    ),
    request_body(content = Vec<u8>, content_type = "application/offset+octet-stream"),
    responses(
        (status = 204, description = "Kept; Upload-Offset is where the next one begins"),
        (status = 409, description = "The upload stands elsewhere; Upload-Offset tells where", body = Problem),
        (status = 460, description = "The piece is not what Content-Digest says; nothing was kept", body = Problem),
    )
)]
pub async fn add(
    May { call, .. }: May<may::Deliver>,
    Named(id): Named<Uuid>,
    headers: HeaderMap,
    body: Body,
) -> Answer<Response> {
    let mut body = Upload::new(body, call.house().settings.api.upload_pause_max());
    let answer = added(&call, id, &headers, &mut body).await;
    if !matches!(&answer, Ok(response) if response.status().is_success()) {
        // Whoever still sends would not hear why it is refused.
        let rest = call.house().settings.uploads.piece_bytes_max + DRAINED_MORE_BYTES;
        tokio::io::copy(&mut body.take(rest), &mut tokio::io::sink()).await.ok();
    }
    answer
}

async fn added(call: &Call, id: Uuid, headers: &HeaderMap, body: &mut Upload) -> Answer<Response> {
    let offset: u64 = told(headers, OFFSET).ok_or_else(|| Problem::malformed("upload-offset tells where the piece begins"))?;
    let digest = piece_digest(headers)?;
    let tenant = call.tenant().await?;
    let (house, caller) = (call.house(), call.caller.user.as_str());
    let upload = uploads::look(house, &tenant, caller, id).await?.ok_or_else(Problem::not_found)?;
    if upload.offset_bytes != offset {
        return Ok(elsewhere(upload.offset_bytes));
    }
    let limit = upload.piece_bytes_max;
    if told(headers, header::CONTENT_LENGTH).is_some_and(|bytes: u64| bytes > limit) {
        return Err(Problem::of_status(StatusCode::PAYLOAD_TOO_LARGE));
    }
    let busy = |_| Problem::busy("as many pieces as may be are on their way", 1);
    let _seat = call.front.pieces.seat(call.scope.tenant()).map_err(busy)?;
    let piece = received(body, limit).await?;
    if bonded_connectors::lake::copy::sha256(&piece) != digest {
        return Err(Problem::checksum("the piece is not what its content-digest says; send it again"));
    }
    match uploads::add(house, &tenant, caller, id, offset, &piece).await? {
        Added::Kept(offset) => Ok((StatusCode::NO_CONTENT, [(OFFSET, HeaderValue::from(offset))]).into_response()),
        Added::Elsewhere(offset) => Ok(elsewhere(offset)),
        Added::Missing => Err(Problem::not_found()),
        Added::Unfit => {
            let least = upload.piece_bytes_min;
            Err(Problem::invalid(format!(
                "a piece has at least {least} bytes, and at most what is missing; only the last has less"
            )))
        }
    }
}

fn told<T: std::str::FromStr>(headers: &HeaderMap, name: HeaderName) -> Option<T> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

/// SHA-256 in hex of `sha-256=:BASE64:`; other digests beside it are left alone.
fn piece_digest(headers: &HeaderMap) -> Answer<String> {
    let given = headers.get_all(CONTENT_DIGEST).iter().filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(','));
    let ours = given.filter_map(|one| one.trim().strip_prefix("sha-256=:")?.strip_suffix(':')).next();
    let bytes = ours.and_then(|text| STANDARD.decode(text).ok()).filter(|bytes| bytes.len() == 32);
    let bytes = bytes.ok_or_else(|| Problem::malformed("content-digest tells the piece's digest: sha-256=:BASE64:"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn elsewhere(offset: u64) -> Response {
    let problem = Problem::conflict(format!("the upload stands at {offset}; go on from there"));
    let mut response = problem.into_response();
    response.headers_mut().insert(OFFSET, offset.into());
    response
}

async fn received(body: &mut Upload, limit: u64) -> Answer<Vec<u8>> {
    let mut piece = Vec::new();
    let read = body.take(limit + 1).read_to_end(&mut piece).await;
    read.map_err(|error| match error.kind() {
        io::ErrorKind::TimedOut => Problem::of_status(StatusCode::REQUEST_TIMEOUT),
        _ => Problem::malformed("the piece broke off; nothing of it was kept, send it again"),
    })?;
    match piece.len() as u64 > limit {
        true => Err(Problem::of_status(StatusCode::PAYLOAD_TOO_LARGE)),
        false => Ok(piece),
    }
}

/// All pieces are there: land the file as if it had come in one
#[utoipa::path(
    post, path = "/v1/uploads/{upload_id}/finish", tag = "deliveries", params(("upload_id" = uuid::Uuid, Path)),
    responses(
        (status = 202, description = "Sealed in the raw zone; a worker takes it further", body = Received),
        (status = 200, description = "The same bytes were delivered before", body = Received),
        (status = 409, description = "Pieces are missing; Upload-Offset tells from where on", body = Problem),
        (status = 460, description = "The whole is not what was announced; begin anew", body = Problem),
    )
)]
pub async fn finish(May { call, .. }: May<may::Deliver>, Named(id): Named<Uuid>) -> Answer<Response> {
    let tenant = call.tenant().await?;
    has_room(&call).await?;
    let poa = call.power_of_attorney(&tenant).await?;
    let house = call.house();
    let row = match uploads::land(house, &tenant, &call.caller.user, poa.clone(), id).await? {
        Whole::Landed(row) => row,
        Whole::Incomplete(offset) => return Ok(elsewhere(offset)),
        Whole::Missing => return Err(Problem::not_found()),
        Whole::Broken => return Err(Problem::checksum("the pieces are not what was announced, and gone; begin anew")),
    };
    let received = Received::queued(&call, &row).await?;
    uploads::end(house, &tenant, id, &row, received.result(), under(poa.as_deref())?).await?;
    Ok(received.into_response())
}

/// Give an upload up
#[utoipa::path(
    delete, path = "/v1/uploads/{upload_id}", tag = "deliveries", params(("upload_id" = uuid::Uuid, Path)),
    responses((status = 204, description = "Nothing of it is kept"))
)]
pub async fn cancel(May { call, .. }: May<may::Deliver>, Named(id): Named<Uuid>) -> Answer<StatusCode> {
    let tenant = call.tenant().await?;
    match uploads::cancel(call.house(), &tenant, &call.caller.user, id).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_found()),
    }
}
