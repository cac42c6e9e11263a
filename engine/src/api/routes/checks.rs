//! Checks and what they found: the library, a run of it, findings with the received lines behind them.

use axum::Json;
use bonded_queries::{
    library::Check,
    reconcile::{CheckResult, Outcome},
};
use bonded_schemas::Finding;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    answers,
    api::{
        access::may,
        page::{Page, Paging},
        permit::May,
        problem::{Answer, Problem},
        sent::{Asked, Named, Sent},
    },
    checks::library,
    error::Error,
    findings::{self, State},
};

const CHECKS_MAX: usize = 200;
const NOTE_CHARS_MAX: usize = 2000;

/// One check of the library.
#[derive(Debug, Serialize, ToSchema)]
pub struct CheckListed {
    id: String,
    question: String,
    who_asks: String,
    severity: String,
    /// What it judges by, with its mark.
    rule: String,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChecksToRun {
    /// Ids of checks; all when empty or absent.
    #[serde(default)]
    checks: Vec<String>,
}

/// What one check said.
#[derive(Debug, Serialize, ToSchema)]
pub struct Judged {
    check: String,
    /// Why it could not be judged; then there are no findings.
    not_judged: Option<String>,
    notes: Vec<String>,
    #[schema(value_type = Vec<Object>)]
    findings: Vec<Finding>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Sought {
    /// `open`, `explained`, `resolved` or `recurring`; open and recurring ones when absent.
    state: Option<String>,
    /// Of this check alone.
    check: Option<String>,
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    #[param(max_length = 512)]
    cursor: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Explaining {
    /// Why it is right as it is.
    #[schema(min_length = 1, max_length = 2000)]
    note: String,
}

/// What can be checked
#[utoipa::path(get, path = "/v1/checks", tag = "checks", responses((status = 200, body = Vec<CheckListed>)))]
pub async fn list(May { call, .. }: May<may::Read>) -> Answer<Json<Vec<CheckListed>>> {
    let library = library(&call.house().settings)?;
    let listed = |(question, check): (&bonded_queries::Question, &Check)| CheckListed {
        id: question.id.clone(),
        question: question.question.clone(),
        who_asks: question.who_asks.clone(),
        severity: check.severity.to_string(),
        rule: check.rule.clone(),
    };
    Ok(Json(library.checks().map(listed).collect()))
}

/// Run checks now and keep what they find
#[utoipa::path(
    post, path = "/v1/reconcile", tag = "checks", request_body = ChecksToRun, responses((status = 200, body = Vec<Judged>))
)]
pub async fn reconcile(May { call, .. }: May<may::WorkFindings>, Sent(running): Sent<ChecksToRun>) -> Answer<Json<Vec<Judged>>> {
    if running.checks.len() > CHECKS_MAX {
        return Err(Problem::invalid(format!("at most {CHECKS_MAX} checks by name")));
    }
    let _seat = call.front.queries.seat(call.scope.tenant())?;
    let house = call.house();
    let library = library(&house.settings)?;
    let tenant = call.tenant().await?;
    let session = answers::session(house, &tenant).await?;
    let chosen = (!running.checks.is_empty()).then_some(running.checks.as_slice());
    let results = session.reconcile_with(&library, chosen, &[]).await.map_err(Error::from)?;
    findings::record(house, &tenant, &results).await?;
    tenant.audit(house.clock.as_ref(), "reconcile", tenant.scope.tenant().as_str(), "done").await?;
    Ok(Json(results.into_iter().map(judged).collect()))
}

fn judged(result: CheckResult) -> Judged {
    let (not_judged, findings) = match result.outcome {
        Outcome::NotJudged(reason) => (Some(reason.to_string()), Vec::new()),
        Outcome::Judged(findings) => (None, findings),
    };
    Judged { check: result.check, not_judged, notes: result.notes, findings }
}

/// What was found over all runs
#[utoipa::path(get, path = "/v1/findings", tag = "checks", params(Sought), responses((status = 200, description = "A page of findings", body = Page<Object>)))]
pub async fn findings(May { call, .. }: May<may::Read>, Asked(sought): Asked<Sought>) -> Answer<Json<Page<findings::Kept>>> {
    let state: Option<State> = sought.state.as_deref().map(str::parse).transpose().map_err(Problem::invalid)?;
    let tenant = call.tenant().await?;
    let mut kept = findings::kept(&tenant).await?;
    kept.retain(|kept| state.map_or(kept.state.is_pending(), |state| kept.state == state));
    kept.retain(|kept| sought.check.as_ref().is_none_or(|check| *check == kept.finding.check));
    let key = |kept: &findings::Kept| format!("{} {}", kept.first_seen, kept.id);
    kept.sort_by_key(key);
    Ok(Json(Paging { limit: sought.limit, cursor: sought.cursor }.of(kept, key)?))
}

/// One finding, and the received lines that it rests on
#[utoipa::path(
    get, path = "/v1/findings/{finding_id}", tag = "checks", params(("finding_id" = String, Path)),
    responses((status = 200, description = "The finding and its lines", body = Object))
)]
pub async fn finding(May { call, .. }: May<may::Read>, Named(id): Named<String>) -> Answer<Json<serde_json::Value>> {
    let tenant = call.tenant().await?;
    let found = findings::find(&tenant, &id).await?;
    let lines = findings::original_lines(call.house(), &tenant, &found).await?;
    Ok(Json(serde_json::json!({ "finding": found, "lines": lines })))
}

/// Say why a finding is right as it is
#[utoipa::path(
    post, path = "/v1/findings/{finding_id}/explain", tag = "checks", params(("finding_id" = String, Path)),
    request_body = Explaining, responses((status = 200, description = "The finding", body = Object))
)]
pub async fn explain(
    May { call, .. }: May<may::WorkFindings>,
    Named(id): Named<String>,
    Sent(explaining): Sent<Explaining>,
) -> Answer<Json<findings::Kept>> {
    if explaining.note.chars().count() > NOTE_CHARS_MAX {
        return Err(Problem::invalid(format!("a note has at most {NOTE_CHARS_MAX} characters")));
    }
    let tenant = call.tenant().await?;
    Ok(Json(findings::explain(call.house(), &tenant, &id, &explaining.note).await?))
}
