//! A request that names itself by `Idempotency-Key` is carried out once: sent again within a day, it is answered again.
//! Promise: the same caller, key and request get the first answer, or, where that was too large to keep, are told that it was
//! carried out and where; another request under a used key is refused.
//! What failed or was refused is not kept: it may be tried again.

use std::sync::Arc;

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bonded_connectors::{lake::copy::sha256, store::answered::Standing};
use serde::{Deserialize, Serialize};

use super::{
    Front, caller,
    problem::{Answer, Problem},
};
use crate::{error::Error, lakehouse::Tenant};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPEATED: HeaderName = HeaderName::from_static("idempotency-replayed");
const KEY_CHARS_MAX: usize = 100;
const KEPT_MS: i64 = 24 * 3600 * 1000;
/// Of a larger answer it is kept that it was given.
const ANSWER_BYTES_MAX: usize = 256 << 10;

/// Marks an answer that shows a secret: it is shown once, and kept nowhere.
#[derive(Clone, Copy, Debug)]
pub struct ShownOnce;

/// The first answer.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// It showed a secret; then there is no body.
    #[serde(default)]
    shown_once: bool,
    /// It was larger than is kept; then there is no body either.
    #[serde(default)]
    too_large: bool,
    status: u16,
    kind: Option<String>,
    location: Option<String>,
    /// Base64.
    body: String,
}

pub async fn once(State(front): State<Arc<Front>>, request: Request, next: Next) -> Response {
    let writes = matches!(*request.method(), Method::POST | Method::PATCH | Method::PUT | Method::DELETE);
    let named = request.headers().get(KEY).cloned().filter(|_| writes);
    match named {
        None => next.run(request).await,
        Some(key) => carried_out(&front, key, request, next).await.unwrap_or_else(IntoResponse::into_response),
    }
}

async fn carried_out(front: &Front, key: HeaderValue, request: Request, next: Next) -> Answer<Response> {
    let key = key.to_str().ok().filter(|key| (1..=KEY_CHARS_MAX).contains(&key.len()));
    let key = key.ok_or_else(|| Problem::malformed(format!("idempotency-key has 1 to {KEY_CHARS_MAX} visible characters")))?;
    let (mut parts, body) = request.into_parts();
    let Ok(caller) = caller::identified(&mut parts, front).await else {
        // Nobody in particular: the handler says what it says to such.
        return Ok(next.run(Request::from_parts(parts, body)).await);
    };
    let Some(scope) = caller.tenant.clone() else { return Ok(next.run(Request::from_parts(parts, body)).await) };
    let limit = front.house.settings.api.body_bytes_max;
    let body = axum::body::to_bytes(body, limit).await.map_err(|_| Problem::of_status(StatusCode::PAYLOAD_TOO_LARGE))?;
    let about = format!("{}\n{}\n{}", parts.method, parts.uri, sha256(&body));
    let digest = sha256(about.as_bytes());
    let tenant = front.house.enter(&scope).await?;
    let now_ms = front.house.clock.now().timestamp_millis();
    let ledger = &tenant.ledger;
    ledger.forget_requests(now_ms - KEPT_MS).await.map_err(Error::from)?;
    match ledger.begin_request(&caller.user, key, &digest, now_ms).await.map_err(Error::from)? {
        Standing::New => {}
        Standing::AtWork => return Err(Problem::conflict("a request under this idempotency-key is at work; ask again later")),
        Standing::Other => return Err(Problem::invalid("this idempotency-key was that of another request")),
        Standing::Answered(sealed) => {
            tenant.audit(front.house.clock.as_ref(), "request.repeat", &parts.uri.to_string(), "answered again").await?;
            return again(&tenant, key, &sealed, parts.uri.path());
        }
    }
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    let (kept, response) = keep(&tenant, key, response).await?;
    ledger.end_request(&caller.user, key, kept.as_deref()).await.map_err(Error::from)?;
    Ok(response)
}

/// The answer sealed, if it is one to keep.
async fn keep(tenant: &Tenant, key: &str, response: Response) -> Answer<(Option<String>, Response)> {
    if !response.status().is_success() {
        return Ok((None, response));
    }
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.map_err(|_| Problem::internal())?;
    let text = |name| parts.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).map(str::to_owned);
    let shown_once = parts.extensions.get::<ShownOnce>().is_some();
    let too_large = bytes.len() > ANSWER_BYTES_MAX;
    let kept = Kept {
        shown_once,
        too_large,
        status: parts.status.as_u16(),
        kind: text(header::CONTENT_TYPE),
        location: text(header::LOCATION),
        body: if shown_once || too_large { String::new() } else { STANDARD.encode(&bytes) },
    };
    let sealed = Some(tenant.seal("answered", key, &kept)?);
    Ok((sealed, Response::from_parts(parts, Body::from(bytes))))
}

/// `path`: where the request went, and so what it was about, unless its answer named another place.
fn again(tenant: &Tenant, key: &str, sealed: &str, path: &str) -> Answer<Response> {
    let kept: Kept = tenant.unseal("answered", key, sealed)?;
    if kept.shown_once {
        return Err(Problem::conflict("this was carried out; the secret in its answer was shown once, and is kept nowhere"));
    }
    if kept.too_large {
        let at = kept.location.as_deref().unwrap_or(path);
        return Err(Problem::conflict(format!("this was carried out; its answer was too large to be kept: look at {at}")));
    }
    let body = Bytes::from(STANDARD.decode(&kept.body).map_err(|_| Problem::internal())?);
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(kept.status).map_err(|_| Problem::internal())?;
    let headers = response.headers_mut();
    for (name, value) in [(header::CONTENT_TYPE, kept.kind), (header::LOCATION, kept.location)] {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
            headers.insert(name, value);
        }
    }
    headers.insert(REPEATED, HeaderValue::from_static("true"));
    Ok(response)
}

#[cfg(test)]
mod tests;
