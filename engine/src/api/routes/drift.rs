//! Drift and quarantine: which headers changed, what could not be taken in, and what a person decides about it.

use axum::Json;
use bonded_schemas::ColumnType;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    accept::{self, Decision},
    api::{
        access::may,
        page::{Page, Paging},
        permit::May,
        problem::{Answer, Problem},
        sent::{Asked, Named, Sent},
    },
    error::Error,
    lakehouse::Tenant,
};

const COLUMNS_MAX: usize = 500;
/// Hexadecimal digits of a keyed digest.
const FINGERPRINT_CHARS: usize = 64;

/// One changed header, or one file that could not be taken in.
#[derive(Debug, Serialize, ToSchema)]
pub struct DriftAlert {
    /// `drift` or `quarantine`.
    kind: String,
    fingerprint: String,
    report: String,
    /// `open`, `accepted` or `rejected`.
    state: String,
    severity: String,
    /// How many deliveries brought it.
    deliveries: i64,
    raised_at: String,
    /// What differs, or why the file was not taken in.
    #[schema(value_type = Object)]
    details: serde_json::Value,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Accepting {
    /// New columns by their header names, with a type each: `text`, `money`, `date`, ... All of the alert's, as text, when
    /// this and `renames` are absent.
    #[serde(default)]
    columns: Vec<NewColumn>,
    /// Header names that stand for columns of CBP's.
    #[serde(default)]
    renames: Vec<Rename>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewColumn {
    name: String,
    #[serde(default)]
    kind: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rename {
    from: String,
    to: String,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rejecting {
    /// Why; kept in the audit trail.
    #[schema(min_length = 1, max_length = 2000)]
    note: String,
}

/// Changed headers and quarantined files, the oldest first
#[utoipa::path(get, path = "/v1/drift", tag = "drift", params(Paging), responses((status = 200, body = Page<DriftAlert>)))]
pub async fn list(May { call, .. }: May<may::Read>, Asked(paging): Asked<Paging>) -> Answer<Json<Page<DriftAlert>>> {
    let tenant = call.tenant().await?;
    let mut alerts = Vec::new();
    for kind in ["drift", "quarantine", "mail"] {
        alerts.extend(tenant.ledger.alerts(kind).await.map_err(Error::from)?);
    }
    let key = |alert: &bonded_connectors::store::alerts::Alert| format!("{} {}", alert.raised_at, alert.fingerprint);
    alerts.sort_by_key(key);
    let page = paging.of(alerts, key)?;
    Ok(Json(page.try_map(|alert| shown(&tenant, alert))?))
}

fn shown(tenant: &Tenant, alert: bonded_connectors::store::alerts::Alert) -> Answer<DriftAlert> {
    Ok(DriftAlert {
        details: tenant.unseal(&alert.kind, &alert.fingerprint, &alert.sealed)?,
        kind: alert.kind,
        fingerprint: alert.fingerprint,
        report: alert.report,
        state: alert.state,
        severity: alert.severity,
        deliveries: alert.deliveries,
        raised_at: alert.raised_at,
    })
}

/// The console takes the beginning of one; a program that decides names it whole, or it might decide on another.
fn named(fingerprint: String) -> Answer<String> {
    match fingerprint.len() {
        FINGERPRINT_CHARS => Ok(fingerprint),
        _ => Err(Problem::not_found()),
    }
}

/// Accept a changed header: later files bind by it, earlier rows are filled from what was kept
#[utoipa::path(
    post, path = "/v1/drift/{fingerprint}/accept", tag = "drift", params(("fingerprint" = String, Path)),
    request_body = Accepting, responses((status = 200, description = "What was added and renamed", body = Object))
)]
pub async fn accept(
    May { call, .. }: May<may::DecideDrift>,
    Named(fingerprint): Named<String>,
    Sent(accepting): Sent<Accepting>,
) -> Answer<Json<accept::Accepted>> {
    if accepting.columns.len() + accepting.renames.len() > COLUMNS_MAX {
        return Err(Problem::invalid(format!("at most {COLUMNS_MAX} columns at once")));
    }
    let fingerprint = named(fingerprint)?;
    let column = |column: NewColumn| match column.kind {
        Some(kind) => {
            // To an edition's author a wrong type is a fault of the set-up; here it is the sender's.
            let kind = ColumnType::try_from(kind).map_err(|error| Problem::invalid(error.message))?;
            Ok((column.name, kind))
        }
        None => Ok((column.name, ColumnType::Text(None))),
    };
    let columns = accepting.columns.into_iter().map(column).collect::<Answer<Vec<_>>>()?;
    let renames = accepting.renames.into_iter().map(|rename| (rename.from, rename.to)).collect();
    let tenant = call.tenant().await?;
    Ok(Json(accept::accept(call.house(), &tenant, &fingerprint, Decision { columns, renames }).await?))
}

/// Reject a changed header: it stays as it is, and is no longer asked about
#[utoipa::path(
    post, path = "/v1/drift/{fingerprint}/reject", tag = "drift", params(("fingerprint" = String, Path)),
    request_body = Rejecting, responses((status = 204))
)]
pub async fn reject(
    May { call, .. }: May<may::DecideDrift>,
    Named(fingerprint): Named<String>,
    Sent(rejecting): Sent<Rejecting>,
) -> Answer<axum::http::StatusCode> {
    let tenant = call.tenant().await?;
    accept::reject(call.house(), &tenant, &named(fingerprint)?, &rejecting.note).await?;
    Ok(axum::http::StatusCode::NO_CONTENT)
}
