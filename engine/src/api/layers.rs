//! What every request passes on its way in and out: an id, an origin, limits, the headers of a careful server.
//! Promise: every answer has the request's id; every refusal is a problem document, whoever decided on it; a panic is
//! a 500 for one request and nothing more.

use std::{
    any::Any,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    body::{Body, HttpBody},
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use uuid::Uuid;

use super::{Front, problem::Problem};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROBLEM: &str = "application/problem+json";
/// Larger answers are streams; nobody asks for the same one twice.
const TAGGED_BYTES_MAX: usize = 1 << 20;

/// Two years, as browsers' preload lists ask for: <https://hstspreload.org/>.
const HSTS: &str = "max-age=63072000; includeSubDomains; preload";

const ALWAYS: [(HeaderName, &str); 8] = [
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "accelerometer=(), camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
    (HeaderName::from_static("x-permitted-cross-domain-policies"), "none"),
];

/// Where a request came from, and how its answer names it.
#[derive(Clone, Debug)]
pub struct Arrival {
    pub ip: IpAddr,
    pub request_id: String,
}

/// Outermost: gives the request its id, and its answer what every answer has.
pub async fn frame(State(front): State<Arc<Front>>, mut request: Request, next: Next) -> Response {
    let arrival = Arrival { ip: address(&front, &request), request_id: Uuid::now_v7().to_string() };
    let id = HeaderValue::from_str(&arrival.request_id).unwrap_or(HeaderValue::from_static("unknown"));
    let method = request.method().clone();
    let span = tracing::info_span!(target: "api.request", "request", id = arrival.request_id);
    request.extensions_mut().insert(arrival);
    let answer = tracing::Instrument::instrument(next.run(request), span).await;
    let mut response = reframed(answer, &method);
    let headers = response.headers_mut();
    for (name, value) in ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if !front.plain {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(HSTS));
    }
    headers.insert(REQUEST_ID, id);
    response
}

/// The peer's own, or, where it is a proxy of ours, the last address that is none.
fn address(front: &Front, request: &Request) -> IpAddr {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.0.ip());
    let proxies = &front.house.settings.api.proxies;
    if !proxies.contains(&peer) {
        return peer;
    }
    let forwarded = request.headers().get_all(FORWARDED_FOR);
    let forwarded = forwarded.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let addresses: Vec<Option<IpAddr>> = forwarded.map(|text| text.trim().parse().ok()).collect();
    let beyond = addresses.into_iter().rev().find(|address| address.is_none_or(|address| !proxies.contains(&address)));
    // What is not an address was written by someone beyond the proxies: then the proxy itself is all that is known.
    beyond.flatten().unwrap_or(peer)
}

/// A refusal in other words than ours, by axum or a layer, becomes a problem document.
fn reframed(response: Response, method: &Method) -> Response {
    let status = response.status();
    let is_refusal = status.is_client_error() || status.is_server_error();
    let is_ours = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes() == PROBLEM.as_bytes());
    if !is_refusal || is_ours {
        return response;
    }
    let allow = response.headers().get(header::ALLOW).cloned();
    let mut ours = Problem::of_status(status).into_response();
    if let Some(allow) = allow {
        ours.headers_mut().insert(header::ALLOW, allow);
    }
    if method == Method::HEAD {
        *ours.body_mut() = Body::empty();
    }
    ours
}

/// A handler that fell over.
pub fn fell_over(_: Box<dyn Any + Send + 'static>) -> Response {
    // The panic's own text went to standard error by the hook; it may hold a value and is not repeated.
    tracing::error!(target: "api.panic", "a request fell over");
    Problem::internal().into_response()
}

/// Small answers to GET carry a tag, and are not sent again to whoever has them.
pub async fn tag(request: Request, next: Next) -> Response {
    let asked = (request.method() == Method::GET).then(|| request.headers().clone());
    let response = next.run(request).await;
    let Some(asked) = asked else { return response };
    if response.status() != StatusCode::OK || response.headers().contains_key(header::ETAG) || !is_small(&response) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(bytes) = axum::body::to_bytes(body, TAGGED_BYTES_MAX).await else {
        return Problem::internal().into_response();
    };
    let tag = format!("\"{}\"", &bonded_connectors::lake::copy::sha256(&bytes)[..32]);
    let Ok(tag) = HeaderValue::from_str(&tag) else { return Response::from_parts(parts, Body::from(bytes)) };
    let known = has(&asked, &tag);
    parts.headers.insert(header::ETAG, tag);
    if known {
        parts.status = StatusCode::NOT_MODIFIED;
        parts.headers.remove(header::CONTENT_LENGTH);
        parts.headers.remove(header::CONTENT_TYPE);
        return Response::from_parts(parts, Body::empty());
    }
    Response::from_parts(parts, Body::from(bytes))
}

fn is_small(response: &Response) -> bool {
    let length = response.body().size_hint().exact();
    length.is_some_and(|length| length <= TAGGED_BYTES_MAX as u64)
}

fn has(asked: &HeaderMap, tag: &HeaderValue) -> bool {
    let given = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    given
        .flat_map(|value| value.split(','))
        .map(|one| one.trim().trim_start_matches("W/"))
        .any(|one| one == "*" || one.as_bytes() == tag.as_bytes())
}
