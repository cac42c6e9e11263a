//! Tokens for programs: the team's own, and the machines of brokers that deliver under a power of attorney.
//! Promise: a token's text is told once, in the answer that made it.

use std::sync::Arc;

use axum::{
    Extension, Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    api::{
        Front,
        access::may,
        permit::May,
        problem::{Answer, Problem},
        repeat::ShownOnce,
        sent::{Named, Sent},
    },
    desk::{Grant, MadeToken, TokenInfo, TokenKind},
};

pub fn routes() -> OpenApiRouter<Arc<Front>> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(revoke)).routes(routes!(add_machine))
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Token {
    token: String,
    /// `token` or `machine`.
    #[schema(value_type = String)]
    kind: TokenKind,
    name: String,
    /// `read`, `query`, `deliver`.
    #[schema(value_type = Vec<String>)]
    grants: Vec<Grant>,
    /// Of a machine: the power of attorney that it works under.
    power_of_attorney: Option<String>,
    revoked: bool,
    expires_at: DateTime<Utc>,
    used_at: Option<DateTime<Utc>>,
}

impl From<TokenInfo> for Token {
    fn from(info: TokenInfo) -> Self {
        let TokenInfo { token, kind, name, grants, poa, revoked, expires_at, used_at } = info;
        Self { token, kind, name, grants, power_of_attorney: poa, revoked, expires_at, used_at }
    }
}

/// A token that was just made.
#[derive(Debug, Serialize, ToSchema)]
pub struct Made {
    #[serde(flatten)]
    info: Token,
    /// To be sent as `Authorization: Bearer ...`; shown now and never again.
    secret: String,
}

impl From<MadeToken> for Made {
    fn from(made: MadeToken) -> Self {
        Self { secret: made.secret.reveal().to_owned(), info: made.info.into() }
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Creating {
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// `read`, `query`, `deliver`: one at least.
    #[schema(value_type = Vec<String>, min_items = 1)]
    grants: Vec<Grant>,
    /// A year ahead at most.
    expires_at: DateTime<Utc>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddingMachine {
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// The reference of the power of attorney.
    #[schema(min_length = 1, max_length = 100)]
    power_of_attorney: String,
    /// When it ends, and the machine with it.
    until: DateTime<Utc>,
}

/// The team's tokens and machines, also revoked and expired ones
#[utoipa::path(get, path = "/v1/tokens", tag = "tokens", responses((status = 200, body = Vec<Token>)))]
pub async fn list(May { call, .. }: May<may::ReadSettings>) -> Answer<Json<Vec<Token>>> {
    let tokens = call.front.desk.tokens(&call.scope).await?;
    Ok(Json(tokens.into_iter().map(Token::from).collect()))
}

/// A token for the team's programs
#[utoipa::path(post, path = "/v1/tokens", tag = "tokens", request_body = Creating, responses((status = 201, body = Made), (status = 422, body = Problem)))]
pub async fn create(May { call, .. }: May<may::ManageTokens>, Sent(creating): Sent<Creating>) -> Answer<Response> {
    let Creating { name, mut grants, expires_at } = creating;
    grants.sort_by_key(|grant| grant.as_str());
    grants.dedup();
    let maker = Some(call.caller.user.as_str());
    let made = call.front.desk.create_token(&call.scope, maker, &name, &grants, expires_at).await?;
    Ok(shown_once(made))
}

/// A broker's machine: it delivers, reads nothing, and ends with the power of attorney
#[utoipa::path(post, path = "/v1/machines", tag = "tokens", request_body = AddingMachine, responses((status = 201, body = Made), (status = 422, body = Problem)))]
pub async fn add_machine(May { call, .. }: May<may::ManageIntegrations>, Sent(adding): Sent<AddingMachine>) -> Answer<Response> {
    let made = call.front.desk.add_machine(&call.scope, &adding.name, &adding.power_of_attorney, adding.until).await?;
    Ok(shown_once(made))
}

fn shown_once(made: MadeToken) -> Response {
    (StatusCode::CREATED, Extension(ShownOnce), Json(Made::from(made))).into_response()
}

/// End a token at once
#[utoipa::path(delete, path = "/v1/tokens/{token}", tag = "tokens", params(("token" = String, Path)), responses((status = 204), (status = 404, body = Problem)))]
pub async fn revoke(May { call, .. }: May<may::ManageTokens>, Named(token): Named<String>) -> Answer<StatusCode> {
    call.front.desk.revoke_token(&call.scope, Some(&call.caller.user), &token).await?;
    Ok(StatusCode::NO_CONTENT)
}
