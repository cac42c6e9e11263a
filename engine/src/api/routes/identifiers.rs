//! The addresses that the tenant's reports are mailed to; for owners alone.
//! Promise: an address is told once, in the answer that made it; a listing has public ids and states.
//! Never: the papers of the engagement are recorded here: whoever runs the house does that.

use std::sync::Arc;

use axum::{
    Extension, Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    api::{
        Front,
        access::may,
        permit::{Call, May},
        problem::{Answer, Problem},
        repeat::ShownOnce,
        sent::{Named, Sent},
    },
    intake::{self, IdentifierInfo, Issued, State},
};

const GRACE_DAYS: u16 = 14;

pub fn routes() -> OpenApiRouter<Arc<Front>> {
    OpenApiRouter::new().routes(routes!(list, issue)).routes(routes!(rotate)).routes(routes!(suspend)).routes(routes!(resume))
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Identifier {
    /// Its public id.
    identifier: String,
    /// `active`, `ending`, `suspended` or `ended`.
    #[schema(value_type = String)]
    state: State,
    issued_at: DateTime<Utc>,
    /// Of one that was rotated away.
    valid_until: Option<DateTime<Utc>>,
}

impl From<IdentifierInfo> for Identifier {
    fn from(info: IdentifierInfo) -> Self {
        let IdentifierInfo { identifier, state, issued_at, valid_until } = info;
        Self { identifier, state, issued_at, valid_until }
    }
}

/// An identifier that was just made.
#[derive(Debug, Serialize, ToSchema)]
pub struct MadeIdentifier {
    #[serde(flatten)]
    info: Identifier,
    /// Where the reports are to be mailed; shown now and never again.
    address: String,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rotating {
    /// How long the address before is still good.
    #[schema(minimum = 0, maximum = 90, default = 14)]
    #[serde(default = "grace_days")]
    grace_days: u16,
}

fn grace_days() -> u16 {
    GRACE_DAYS
}

/// The tenant's identifiers, never their addresses
#[utoipa::path(get, path = "/v1/identifiers", tag = "identifiers", responses((status = 200, body = Vec<Identifier>)))]
pub async fn list(May { call, .. }: May<may::ManageIntegrations>) -> Answer<Json<Vec<Identifier>>> {
    let listed = intake::list(call.house(), &call.tenant().await?).await?;
    Ok(Json(listed.into_iter().map(Identifier::from).collect()))
}

/// The first address; its papers must be recorded
#[utoipa::path(post, path = "/v1/identifiers", tag = "identifiers", responses((status = 201, body = MadeIdentifier), (status = 403, body = Problem)))]
pub async fn issue(May { call, .. }: May<may::ManageIntegrations>) -> Answer<Response> {
    has_mail(&call)?;
    Ok(shown_once(intake::issue(call.house(), &call.tenant().await?).await?))
}

/// Another address in the place of the one that is in use
#[utoipa::path(post, path = "/v1/identifiers/rotate", tag = "identifiers", request_body = Rotating, responses((status = 201, body = MadeIdentifier), (status = 422, body = Problem)))]
pub async fn rotate(May { call, .. }: May<may::ManageIntegrations>, Sent(rotating): Sent<Rotating>) -> Answer<Response> {
    has_mail(&call)?;
    let grace = TimeDelta::days(i64::from(rotating.grace_days));
    Ok(shown_once(intake::rotate(call.house(), &call.tenant().await?, grace).await?))
}

/// Take nothing for it from here on
#[utoipa::path(post, path = "/v1/identifiers/{identifier}/suspend", tag = "identifiers", params(("identifier" = String, Path)), responses((status = 200, body = Identifier), (status = 404, body = Problem)))]
pub async fn suspend(
    May { call, .. }: May<may::ManageIntegrations>,
    Named(identifier): Named<String>,
) -> Answer<Json<Identifier>> {
    Ok(Json(intake::suspend(call.house(), &call.tenant().await?, &identifier).await?.into()))
}

/// Take mail for it again
#[utoipa::path(post, path = "/v1/identifiers/{identifier}/resume", tag = "identifiers", params(("identifier" = String, Path)), responses((status = 200, body = Identifier), (status = 404, body = Problem)))]
pub async fn resume(
    May { call, .. }: May<may::ManageIntegrations>,
    Named(identifier): Named<String>,
) -> Answer<Json<Identifier>> {
    Ok(Json(intake::resume(call.house(), &call.tenant().await?, &identifier).await?.into()))
}

fn has_mail(call: &Call) -> Answer<()> {
    match call.house().settings.mail_in.domain {
        Some(_) => Ok(()),
        None => Err(Problem::conflict("this house takes no mail: it has no domain for it")),
    }
}

fn shown_once(issued: Issued) -> Response {
    let made = MadeIdentifier { address: issued.address.reveal().to_owned(), info: issued.info.into() };
    (StatusCode::CREATED, Extension(ShownOnce), Json(made)).into_response()
}
