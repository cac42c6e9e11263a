//! SQL over the caller's tenant, and nothing else: answered at once as a stream, or kept for later and cancelled at will.
//! Promise: so many questions at once and no more; an answer that breaks off is broken off on the wire as well.

use axum::{
    Json,
    body::Body,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use bonded_queries::Wire;
use futures::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    answers,
    api::{
        access::may,
        jobs::{self, Seen},
        permit::{Call, May},
        problem::{Answer, Problem},
        sent::{Named, Sent},
    },
    error::Error,
};

pub const ARROW: &str = "application/vnd.apache.arrow.stream";
pub const JSON_LINES: &str = "application/x-ndjson";
pub const CSV: &str = "text/csv; charset=utf-8";
const SQL_BYTES_MAX: usize = 256 << 10;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Asking {
    /// One SELECT.
    #[schema(min_length = 1)]
    pub sql: String,
}

/// A question under way or answered, kept for some minutes.
#[derive(Debug, Serialize, ToSchema)]
pub struct Job {
    job_id: Uuid,
    /// `running`, `done` or `failed`.
    state: &'static str,
    bytes: Option<u64>,
    /// Why it failed.
    error: Option<String>,
}

impl Job {
    fn of(job_id: Uuid, seen: Seen) -> Self {
        match seen {
            Seen::Running => Self { job_id, state: "running", bytes: None, error: None },
            Seen::Done { bytes } => Self { job_id, state: "done", bytes: Some(bytes), error: None },
            Seen::Failed(error) => Self { job_id, state: "failed", bytes: None, error: Some(error) },
        }
    }
}

/// Ask, and get the answer as it comes: Arrow, JSON lines or CSV, as `Accept` says
#[utoipa::path(
    post, path = "/v1/sql", tag = "sql", request_body = Asking,
    responses(
        (status = 200, content((Vec<u8> = "application/vnd.apache.arrow.stream"), (String = "application/x-ndjson"), (String = "text/csv"))),
        (status = 422, description = "Bad SQL, or an unknown name", body = Problem),
        (status = 429, description = "Too many questions at once", body = Problem),
    )
)]
pub async fn ask(May { call, .. }: May<may::Query>, headers: HeaderMap, Sent(asking): Sent<Asking>) -> Answer<Response> {
    let (wire, kind) = form(&headers)?;
    let seat = call.front.queries.seat(call.scope.tenant())?;
    let answer = answer(&call, &asking.sql).await?;
    let mut pieces = Box::pin(answer.stream(wire).map_err(Error::from)?);
    // The first piece decides: what fails at once is a problem document, not a broken answer.
    let first = pieces.try_next().await.map_err(Error::from)?;
    let rest = pieces.map_err(|error| {
        tracing::info!(target: "api.sql", %error, "an answer broke off");
        error
    });
    let held = futures::stream::iter(first.map(Ok)).chain(rest).map(move |piece| {
        let _seat = &seat;
        piece
    });
    Ok(([(header::CONTENT_TYPE, kind)], Body::from_stream(held)).into_response())
}

fn fits(sql: &str) -> Answer<()> {
    match sql.len() <= SQL_BYTES_MAX {
        true => Ok(()),
        false => Err(Problem::invalid(format!("a question has at most {SQL_BYTES_MAX} bytes"))),
    }
}

pub async fn answer(call: &Call, sql: &str) -> Answer<bonded_queries::Answer> {
    fits(sql)?;
    let tenant = call.tenant().await?;
    // Before it is answered, so that no answer leaves that is not written down.
    tenant.audit(call.house().clock.as_ref(), "query", sql, "asked").await?;
    let session = answers::session(call.house(), &tenant).await?;
    Ok(session.query(sql).await.map_err(Error::from)?)
}

/// Ask, and fetch the answer later
#[utoipa::path(
    post, path = "/v1/sql/jobs", tag = "sql", request_body = Asking,
    responses((status = 202, description = "Begun", body = Job), (status = 429, body = Problem))
)]
pub async fn begin(May { call, .. }: May<may::Query>, headers: HeaderMap, Sent(asking): Sent<Asking>) -> Answer<Response> {
    let (wire, kind) = form(&headers)?;
    fits(&asking.sql)?;
    let id = jobs::begin(&call, asking.sql, wire, kind)?;
    let at = format!("/v1/sql/jobs/{id}");
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, at)], Json(Job::of(id, Seen::Running))).into_response())
}

/// How far a question is
#[utoipa::path(
    get, path = "/v1/sql/jobs/{job_id}", tag = "sql", params(("job_id" = Uuid, Path)), responses((status = 200, body = Job))
)]
pub async fn job(May { call, .. }: May<may::Query>, Named(id): Named<Uuid>) -> Answer<Json<Job>> {
    let seen = call.front.jobs.look(call.scope.tenant(), id).ok_or_else(Problem::not_found)?;
    Ok(Json(Job::of(id, seen)))
}

/// The answer of a question that is done
#[utoipa::path(
    get, path = "/v1/sql/jobs/{job_id}/answer", tag = "sql", params(("job_id" = Uuid, Path)),
    responses((status = 200, body = Vec<u8>, content_type = "application/vnd.apache.arrow.stream"), (status = 409, body = Problem))
)]
pub async fn fetch(May { call, .. }: May<may::Query>, Named(id): Named<Uuid>) -> Answer<Response> {
    match call.front.jobs.look(call.scope.tenant(), id).ok_or_else(Problem::not_found)? {
        Seen::Running => Err(Problem::conflict("the question is still at work; ask again later")),
        Seen::Failed(error) => Err(Problem::invalid(error)),
        Seen::Done { .. } => {
            let (kind, pieces) = call.front.jobs.pieces(call.scope.tenant(), id).ok_or_else(Problem::not_found)?;
            let pieces = futures::stream::iter(pieces.into_iter().map(Ok::<_, std::convert::Infallible>));
            Ok(([(header::CONTENT_TYPE, kind)], Body::from_stream(pieces)).into_response())
        }
    }
}

/// Stop a question, or let go of its answer
#[utoipa::path(
    delete, path = "/v1/sql/jobs/{job_id}", tag = "sql", params(("job_id" = Uuid, Path)), responses((status = 204))
)]
pub async fn cancel(May { call, .. }: May<may::Query>, Named(id): Named<Uuid>) -> Answer<StatusCode> {
    match call.front.jobs.cancel(call.scope.tenant(), id) {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_found()),
    }
}

/// The first known form that `Accept` names; JSON lines for whoever takes anything.
fn form(headers: &HeaderMap) -> Answer<(Wire, &'static str)> {
    let accepted =
        headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let mut any = true;
    for one in accepted {
        match one.split(';').next().unwrap_or_default().trim() {
            ARROW => return Ok((Wire::Arrow, ARROW)),
            "text/csv" => return Ok((Wire::Csv, CSV)),
            JSON_LINES | "application/jsonl" | "*/*" | "application/*" => return Ok((Wire::JsonLines, JSON_LINES)),
            _ => any = false,
        }
    }
    match any {
        true => Ok((Wire::JsonLines, JSON_LINES)),
        false => Err(Problem::of_status(StatusCode::NOT_ACCEPTABLE)),
    }
}
