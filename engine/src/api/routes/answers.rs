//! Answers that are asked for by name: deadlines, the refund pack and its files, scores, tables.

use axum::{
    Json,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use bonded_connectors::lake::TableInfo;
use bonded_schemas::deadline::{Deadline, NOT_ADVICE};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    answers,
    api::{
        access::may,
        page::Page,
        permit::{Call, May},
        problem::{Answer, Problem},
        sent::{Asked, Named},
    },
    error::Error,
    icalendar, refund, score,
};

const CALENDAR: &str = "text/calendar";
const SHOWN_MAX: usize = 1000;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Within {
    /// Those that expire within so many days.
    within: Option<i64>,
    /// As of this day; today when absent.
    today: Option<NaiveDate>,
    /// `protest`, `psc`, ...; all when absent.
    kind: Option<String>,
    /// At most so many, the next to expire first; 100 when absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// Deadlines that run, the next to expire first.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeadlinesFound {
    #[schema(value_type = Vec<Object>)]
    deadlines: Vec<Deadline>,
    /// How many there are that were asked for.
    of: usize,
    /// Of all, by kind and state; with the reason where they are not judged.
    #[schema(value_type = Vec<Object>)]
    counts: Vec<bonded_queries::deadlines::Count>,
    not_advice: &'static str,
}

/// What expires next, with the duty at stake; as a calendar where `Accept` asks for `text/calendar`
#[utoipa::path(
    get, path = "/v1/deadlines", tag = "answers", params(Within),
    responses((status = 200, content((DeadlinesFound = "application/json"), (String = "text/calendar"))))
)]
pub async fn deadlines(May { call, .. }: May<may::Read>, Asked(within): Asked<Within>, headers: HeaderMap) -> Answer<Response> {
    let limit = within.limit.unwrap_or(100);
    if !(1..=SHOWN_MAX).contains(&limit) {
        return Err(Problem::invalid(format!("limit must be 1 to {SHOWN_MAX}")));
    }
    let _seat = call.front.queries.seat(call.scope.tenant())?;
    let tenant = call.tenant().await?;
    let now = call.house().clock.now();
    let session = answers::session(call.house(), &tenant).await?;
    let wanted = |deadline: &Deadline| {
        let in_time = within.within.is_none_or(|days| deadline.days_left.is_some_and(|left| left <= days));
        in_time && deadline.state.is_open() && within.kind.as_ref().is_none_or(|kind| *kind == deadline.kind)
    };
    let found = session.deadlines(within.today.unwrap_or(now.date_naive()), wanted).await.map_err(Error::from)?;
    let of = found.deadlines.len();
    let mut deadlines = found.deadlines;
    deadlines.truncate(limit);
    let calendar =
        headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).is_some_and(|accept| accept.contains(CALENDAR));
    if calendar {
        let text = icalendar::calendar(tenant.scope.tenant(), &deadlines, now);
        let text = text.ok_or_else(|| Problem::invalid("no deadline is open: a calendar needs an event"))?;
        return Ok(([(header::CONTENT_TYPE, "text/calendar; charset=utf-8")], text).into_response());
    }
    Ok(Json(DeadlinesFound { deadlines, of, counts: found.counts, not_advice: NOT_ADVICE }).into_response())
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Day {
    /// As of this day; today when absent.
    today: Option<NaiveDate>,
}

/// IEEPA duty by entry, and what a phase of CAPE makes of each
#[utoipa::path(
    get, path = "/v1/cape/{phase}", tag = "answers", params(("phase" = u8, Path), Day),
    responses((status = 200, description = "The pack", body = Object))
)]
pub async fn cape(
    May { call, .. }: May<may::Read>,
    Named(phase): Named<u8>,
    Asked(day): Asked<Day>,
) -> Answer<Json<refund::Pack>> {
    let mut pack = pack(&call, phase, &day).await?;
    pack.mask(call.house().settings.display.show_ssn);
    Ok(Json(pack))
}

/// One upload file: a single column, one importer's entries.
#[derive(Debug, Serialize, ToSchema)]
pub struct UploadFile {
    name: String,
    entries: usize,
    /// CSV, as CAPE's template has it.
    text: String,
}

/// The upload files of a phase
#[utoipa::path(
    get, path = "/v1/cape/{phase}/files", tag = "answers", params(("phase" = u8, Path), Day),
    responses((status = 200, body = Page<UploadFile>), (status = 422, description = "The phase takes no declaration", body = Problem))
)]
pub async fn cape_files(
    May { call, .. }: May<may::Export>,
    Named(phase): Named<u8>,
    Asked(day): Asked<Day>,
) -> Answer<Json<Page<UploadFile>>> {
    let pack = pack(&call, phase, &day).await?;
    let house = call.house();
    let files = pack.files(false, house.settings.display.show_ssn)?;
    let tenant = call.tenant().await?;
    tenant.audit(house.clock.as_ref(), "cape.files", &format!("phase {phase}"), "done").await?;
    let items = files.into_iter().map(|file| UploadFile { name: file.name, entries: file.entries, text: file.text }).collect();
    Ok(Json(Page { items, next: None }))
}

async fn pack(call: &Call, phase: u8, day: &Day) -> Answer<refund::Pack> {
    let _seat = call.front.queries.seat(call.scope.tenant())?;
    let tenant = call.tenant().await?;
    let today = day.today.unwrap_or(call.house().clock.now().date_naive());
    Ok(refund::pack(call.house(), &tenant, phase, today).await?)
}

/// How clean each delivery and each month was
#[utoipa::path(get, path = "/v1/scores", tag = "answers", responses((status = 200, description = "Deliveries and months", body = Object)))]
pub async fn scores(May { call, .. }: May<may::Read>) -> Answer<Json<serde_json::Value>> {
    let _seat = call.front.queries.seat(call.scope.tenant())?;
    let tenant = call.tenant().await?;
    let scores = score::score(call.house(), &tenant).await?;
    Ok(Json(serde_json::json!({ "months": score::months(&scores), "deliveries": scores })))
}

/// One table, as of its newest snapshot.
#[derive(Debug, Serialize, ToSchema)]
pub struct TableListed {
    table: String,
    rows: u64,
    columns: usize,
    data_files: u64,
    size_bytes: u64,
    snapshots: usize,
    snapshot_id: Option<i64>,
}

/// What there is to ask SQL of
#[utoipa::path(get, path = "/v1/tables", tag = "sql", responses((status = 200, body = Vec<TableListed>)))]
pub async fn tables(May { call, .. }: May<may::Read>) -> Answer<Json<Vec<TableListed>>> {
    let tenant = call.tenant().await?;
    let mut tables = Vec::new();
    for name in tenant.tables.names().await.map_err(Error::from)? {
        // Where its objects lie is the house's own affair.
        let TableInfo { table, rows, data_files, size_bytes, snapshots, snapshot_id, columns, .. } =
            tenant.tables.info(&name).await.map_err(Error::from)?;
        tables.push(TableListed { table, rows, columns, data_files, size_bytes, snapshots, snapshot_id });
    }
    Ok(Json(tables))
}
