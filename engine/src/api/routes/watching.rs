//! What is expected and what came of it: schedules, windows, freshness, and the joint checks over missing runs.

use std::sync::Arc;

use axum::Json;
use bonded_schemas::{
    Report,
    schedule::Schedule,
    window::{Excuse, Expectation, Plan, State},
};
use chrono::{DateTime, TimeDelta, Utc};
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
        sent::{Asked, Named, Sent},
    },
    console::parse_month,
    watch::{self, Expected, Kept, MonthOf, check::JointCheck, freshness::Freshness},
};

pub fn routes() -> OpenApiRouter<Arc<Front>> {
    OpenApiRouter::new()
        .routes(routes!(schedules))
        .routes(routes!(set, remove))
        .routes(routes!(windows))
        .routes(routes!(fresh))
        .routes(routes!(months))
        .routes(routes!(joint_checks))
        .routes(routes!(joint_check))
        .routes(routes!(tick))
        .routes(routes!(close))
}

/// When a report is expected, and what of it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Scheduling {
    /// `daily 06:00`, `weekly Mon,Thu 06:00`, `monthly 1,15,last 06:00`, or five fields of cron.
    #[schema(max_length = 200)]
    cadence: String,
    /// IANA name of its time zone.
    #[schema(max_length = 64)]
    zone: String,
    /// So long after it is due it is on time; at most 31 days.
    #[schema(maximum = 44_640)]
    grace_minutes: u32,
    /// So long before it is due it may come; an hour when absent.
    #[schema(maximum = 44_640)]
    early_minutes: Option<u32>,
    /// `skip`, `shift` or `expect`; `expect` when absent.
    holidays: Option<String>,
    /// `1000..50000`
    rows: Option<String>,
    /// `30..2`: entry dates from 30 to 2 days before it is due.
    covers: Option<String>,
    /// Columns that must be there, by CBP's names.
    #[serde(default)]
    columns: Vec<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct WindowsSought {
    /// `ES-003`
    report: Option<String>,
    /// `open`, `on_time`, `late`, `missed` or `excused`.
    state: Option<String>,
    /// Due then or later; 31 days ago when absent.
    from: Option<DateTime<Utc>>,
    /// Due then or sooner; in 8 days when absent.
    until: Option<DateTime<Utc>>,
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    #[param(max_length = 512)]
    cursor: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct MonthSought {
    /// `2026-10`; every month when absent.
    month: Option<String>,
}

/// One expected run.
#[derive(Debug, Serialize, ToSchema)]
pub struct WindowShown {
    #[serde(flatten)]
    #[schema(value_type = Object)]
    window: Expected,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Ticking {
    /// Number of the step.
    step: u32,
    #[schema(max_length = 2000)]
    note: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Closing {
    /// `schedule_expired`, `password_expired`, ...; `other` with a note.
    cause: String,
    #[schema(max_length = 2000)]
    note: Option<String>,
}

fn invalid(error: impl std::fmt::Display) -> Problem {
    Problem::invalid(error.to_string())
}

/// When each report is expected
#[utoipa::path(get, path = "/v1/schedules", tag = "watch", responses((status = 200, body = Vec<Object>)))]
pub async fn schedules(May { call, .. }: May<may::Read>) -> Answer<Json<Vec<Kept>>> {
    Ok(Json(watch::kept(&call.tenant().await?).await?))
}

/// Expect a report from now on, in place of what was expected of it
#[utoipa::path(
    put, path = "/v1/schedules/{report}", tag = "watch", params(("report" = String, Path)), request_body = Scheduling,
    responses((status = 200, body = Object))
)]
pub async fn set(
    May { call, .. }: May<may::ManageSchedules>,
    Named(report): Named<String>,
    Sent(asked): Sent<Scheduling>,
) -> Answer<Json<Kept>> {
    let report: Report = report.parse().map_err(|_| Problem::not_found())?;
    let plan = Plan {
        schedule: Schedule::parse(&asked.cadence, &asked.zone).map_err(invalid)?,
        early_minutes: asked.early_minutes.unwrap_or(60),
        grace_minutes: asked.grace_minutes,
        excuse: asked.holidays.map_or(Ok(Excuse::default()), |text| text.parse()).map_err(invalid)?,
        expects: Expectation {
            rows: asked.rows.map(|text| text.parse()).transpose().map_err(invalid)?,
            covers: asked.covers.map(|text| text.parse()).transpose().map_err(invalid)?,
            columns: asked.columns,
        },
    };
    let tenant = call.tenant().await?;
    Ok(Json(watch::plan::set(call.house(), &tenant, report, plan).await?))
}

/// Expect nothing of a report from now on
#[utoipa::path(
    delete, path = "/v1/schedules/{report}", tag = "watch", params(("report" = String, Path)), responses((status = 204))
)]
pub async fn remove(May { call, .. }: May<may::ManageSchedules>, Named(report): Named<String>) -> Answer<axum::http::StatusCode> {
    let report: Report = report.parse().map_err(|_| Problem::not_found())?;
    watch::plan::remove(call.house(), &call.tenant().await?, report).await?;
    Ok(axum::http::StatusCode::NO_CONTENT)
}

/// Expected runs and what came of them, in order of their due times
#[utoipa::path(get, path = "/v1/windows", tag = "watch", params(WindowsSought), responses((status = 200, body = Page<WindowShown>)))]
pub async fn windows(May { call, .. }: May<may::Read>, Asked(sought): Asked<WindowsSought>) -> Answer<Json<Page<WindowShown>>> {
    let WindowsSought { report, state, from, until, limit, cursor } = sought;
    let report: Option<Report> = report.map(|text| text.parse()).transpose().map_err(invalid)?;
    let state: Option<State> = state.map(|text| text.parse()).transpose().map_err(invalid)?;
    let now = call.house().clock.now();
    let tenant = call.tenant().await?;
    watch::make(call.house(), &tenant).await?;
    let (from, until) = (from.unwrap_or(now - TimeDelta::days(31)), until.unwrap_or(now + TimeDelta::days(8)));
    let found = watch::windows(&tenant, from, until).await?.into_iter();
    let found = found.filter(|window| report.is_none_or(|report| window.report == report));
    let mut found: Vec<Expected> = found.filter(|window| state.is_none_or(|state| window.window.state == state)).collect();
    let key = |window: &Expected| format!("{:020} {}", window.window.due_at.timestamp_millis(), window.report);
    found.sort_by_key(key);
    Ok(Json(Paging { limit, cursor }.of(found, key)?.try_map(|window| Ok(WindowShown { window }))?))
}

/// How fresh each report is: what came last, what is due next
#[utoipa::path(get, path = "/v1/freshness", tag = "watch", responses((status = 200, body = Vec<Object>)))]
pub async fn fresh(May { call, .. }: May<may::Read>) -> Answer<Json<Vec<Freshness>>> {
    Ok(Json(watch::freshness::freshness(call.house(), &call.tenant().await?).await?))
}

/// Months in numbers: runs on time, late and missed; how long until rows could be asked for
#[utoipa::path(get, path = "/v1/freshness/months", tag = "watch", params(MonthSought), responses((status = 200, body = Vec<Object>)))]
pub async fn months(May { call, .. }: May<may::Read>, Asked(sought): Asked<MonthSought>) -> Answer<Json<Vec<MonthOf>>> {
    let month = sought.month.map(|text| parse_month(&text)).transpose().map_err(invalid)?;
    Ok(Json(watch::month(&call.tenant().await?, month.as_deref()).await?))
}

/// Joint checks over missing runs, by id
#[utoipa::path(get, path = "/v1/joint-checks", tag = "watch", params(Paging), responses((status = 200, body = Page<Object>)))]
pub async fn joint_checks(May { call, .. }: May<may::Read>, Asked(paging): Asked<Paging>) -> Answer<Json<Page<JointCheck>>> {
    let mut checks = watch::check::list(&call.tenant().await?).await?;
    checks.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(Json(paging.of(checks, |check| check.id.clone())?))
}

/// Likely causes with what was seen, and the steps of both sides
#[utoipa::path(
    get, path = "/v1/joint-checks/{check_id}", tag = "watch", params(("check_id" = String, Path)),
    responses((status = 200, body = Object))
)]
pub async fn joint_check(May { call, .. }: May<may::Read>, Named(id): Named<String>) -> Answer<Json<JointCheck>> {
    Ok(Json(watch::check::show(&call.tenant().await?, &id).await?))
}

/// A step is done
#[utoipa::path(
    post, path = "/v1/joint-checks/{check_id}/tick", tag = "watch", params(("check_id" = String, Path)), request_body = Ticking,
    responses((status = 200, body = Object))
)]
pub async fn tick(
    May { call, .. }: May<may::WorkFindings>,
    Named(id): Named<String>,
    Sent(ticking): Sent<Ticking>,
) -> Answer<Json<JointCheck>> {
    let tenant = call.tenant().await?;
    Ok(Json(watch::check::tick(call.house(), &tenant, &id, ticking.step, ticking.note.as_deref()).await?))
}

/// The cause is known: the check ends
#[utoipa::path(
    post, path = "/v1/joint-checks/{check_id}/close", tag = "watch", params(("check_id" = String, Path)),
    request_body = Closing, responses((status = 200, body = Object))
)]
pub async fn close(
    May { call, .. }: May<may::WorkFindings>,
    Named(id): Named<String>,
    Sent(closing): Sent<Closing>,
) -> Answer<Json<JointCheck>> {
    let cause = closing.cause.parse().map_err(|error: String| Problem::invalid(error))?;
    let tenant = call.tenant().await?;
    Ok(Json(watch::check::close(call.house(), &tenant, &id, cause, closing.note.as_deref()).await?))
}
