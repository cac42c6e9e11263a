//! The audit trail of the tenant, for owners and admins: by the page, and as an export that proves itself.

use std::sync::Arc;

use axum::{
    Json,
    http::header,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    api::{
        Front,
        access::may,
        page::{Page, Paging},
        permit::May,
        problem::{Answer, Problem},
        sent::Asked,
    },
    audit::{
        AuditEvent,
        export::{self, Form},
        trail::Filter,
    },
};

pub fn routes() -> OpenApiRouter<Arc<Front>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(exported))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct TrailSought {
    /// An e-mail, `console:<user>`, a machine.
    who: Option<String>,
    /// `drift.accept`, or `drift` for all that begins so; `GET /v1/deliveries`.
    action: Option<String>,
    /// Whole, or its beginning with a star at the end.
    object: Option<String>,
    since: Option<DateTime<Utc>>,
    /// Not this instant any more.
    until: Option<DateTime<Utc>>,
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    #[param(max_length = 512)]
    cursor: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct TrailExporting {
    /// `csv` or `jsonl`.
    format: Option<String>,
    since: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
}

/// One thing that was done, or refused.
#[derive(Debug, Serialize, ToSchema)]
pub struct TrailEvent {
    /// Its place in the chain.
    number: i64,
    /// RFC 3339, UTC.
    at: String,
    /// Who, as which role, from where, what, on which object, with which result; before and after of a change.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    event: AuditEvent,
}

/// What was done in this team, and refused, the oldest first
#[utoipa::path(get, path = "/v1/audit", tag = "audit", params(TrailSought), responses((status = 200, body = Page<TrailEvent>)))]
pub async fn list(May { call, .. }: May<may::ReadAudit>, Asked(sought): Asked<TrailSought>) -> Answer<Json<Page<TrailEvent>>> {
    let TrailSought { who, action, object, since, until, limit, cursor } = sought;
    let filter = Filter { who, action, object, since, until };
    let entries = call.tenant().await?.entries().await?.into_iter().filter(|entry| filter.holds(entry));
    let events = entries.map(|entry| TrailEvent { number: entry.row.seq, at: entry.row.at, event: entry.event });
    Ok(Json(Paging { limit, cursor }.of(events, |event| format!("{:020}", event.number))?))
}

/// The trail with its proof; `bonded audit verify` finds every change to it without a lake
#[utoipa::path(
    get, path = "/v1/audit/export", tag = "audit", params(TrailExporting),
    responses((status = 200, content((String = "text/csv"), (String = "application/x-ndjson"))))
)]
pub async fn exported(May { call, .. }: May<may::ExportAudit>, Asked(exporting): Asked<TrailExporting>) -> Answer<Response> {
    let (form, kind) = match exporting.format.as_deref() {
        None | Some("jsonl") => (Form::Jsonl, "application/x-ndjson"),
        Some("csv") => (Form::Csv, "text/csv; charset=utf-8"),
        Some(_) => return Err(Problem::invalid("format is csv or jsonl")),
    };
    let filter = Filter { since: exporting.since, until: exporting.until, ..Filter::default() };
    let tenant = call.tenant().await?;
    let mut out = Vec::new();
    let done = export::export(call.house(), Some(&tenant), &filter, form, &mut out).await?;
    let result = format!("{} of {} events", done.selected, done.head.events);
    tenant.audit(call.house().clock.as_ref(), "audit.export", tenant.scope.tenant().as_str(), &result).await?;
    Ok(([(header::CONTENT_TYPE, kind)], out).into_response())
}
