//! What a person has of their own: who they are, the team they work in, their authenticator, where they are signed in.
//! Never: somebody who gave only a password of an account with an authenticator sees any of it.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use bonded_schemas::{Role, TenantId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::account::{Code, Session, session};
use crate::{
    api::{
        Front, caller,
        problem::{Answer, Problem},
        sent::{Named, Sent},
        signed::Signed,
    },
    desk::{Owes, Secret, SessionInfo},
};

pub fn routes() -> OpenApiRouter<Arc<Front>> {
    OpenApiRouter::new()
        .routes(routes!(me))
        .routes(routes!(choose_team))
        .routes(routes!(enrol))
        .routes(routes!(confirm))
        .routes(routes!(recovery_codes))
        .routes(routes!(sessions))
        .routes(routes!(end_session))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Team {
    /// One of your own, as `GET /v1/me` lists them.
    #[schema(max_length = 40)]
    team: String,
}

/// Who you are, and where you may work.
#[derive(Debug, Serialize, ToSchema)]
pub struct Me {
    email: String,
    csrf: String,
    /// The team that you work in, when you chose one and owe nothing.
    team: Option<String>,
    #[schema(value_type = Option<String>)]
    role: Option<Role>,
    teams: Vec<Seat>,
    /// `second_factor` or `enrolment`: what must come before anything else.
    owes: Option<&'static str>,
    /// Until then keys, roles, exports and shredding are open.
    stepped_up_until: Option<DateTime<Utc>>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Seat {
    team: String,
    #[schema(value_type = String)]
    role: Role,
}

/// An authenticator that is being set up.
#[derive(Debug, Serialize, ToSchema)]
pub struct Enrolment {
    /// Base32, for typing.
    secret: String,
    /// `otpauth://...`, for a QR code.
    url: String,
}

/// Shown once.
#[derive(Debug, Serialize, ToSchema)]
pub struct RecoveryCodes {
    recovery_codes: Vec<String>,
}

/// One place where you are signed in.
#[derive(Debug, Serialize, ToSchema)]
pub struct Place {
    session: String,
    current: bool,
    made_at: DateTime<Utc>,
    seen_at: DateTime<Utc>,
    team: Option<String>,
    ip: Option<String>,
    agent: Option<String>,
}

/// Who you are, and where you may work
#[utoipa::path(get, path = "/v1/me", tag = "account", responses((status = 200, body = Me)))]
pub async fn me(State(front): State<Arc<Front>>, signed: Signed) -> Answer<Json<Me>> {
    let teams = match signed.caller.owes {
        Some(Owes::SecondFactor) => Vec::new(),
        _ => front.desk.seats(signed.token.reveal()).await?,
    };
    let caller = &signed.caller;
    Ok(Json(Me {
        email: caller.email.clone(),
        csrf: caller.csrf().to_owned(),
        team: caller.tenant.as_ref().map(|scope| scope.tenant().to_string()),
        role: caller.role,
        teams: teams.into_iter().map(|(team, role)| Seat { team: team.to_string(), role }).collect(),
        owes: caller.owes.map(|owes| match owes {
            Owes::SecondFactor => "second_factor",
            Owes::Enrolment => "enrolment",
        }),
        stepped_up_until: caller.stepped_up_until,
    }))
}

/// Work in one of your teams
#[utoipa::path(post, path = "/v1/me/team", tag = "account", request_body = Team, responses((status = 200, body = Session), (status = 404, body = Problem)))]
pub async fn choose_team(State(front): State<Arc<Front>>, signed: Signed, Sent(team): Sent<Team>) -> Answer<Response> {
    // A name that is none is a team that is not yours.
    let team: TenantId = team.team.parse().map_err(|_| Problem::not_found())?;
    let signed_in = front.desk.choose_tenant(signed.token.reveal(), &team, &signed.origin).await?;
    session(&front, signed_in)
}

/// Set up an authenticator, or another in its place
#[utoipa::path(post, path = "/v1/me/authenticator", tag = "account", responses((status = 200, body = Enrolment), (status = 403, body = Problem)))]
pub async fn enrol(State(front): State<Arc<Front>>, signed: Signed) -> Answer<Json<Enrolment>> {
    let enrolment = front.desk.enrol_totp(signed.token.reveal(), &signed.origin).await?;
    Ok(Json(Enrolment { secret: enrolment.secret.reveal().to_owned(), url: enrolment.url.reveal().to_owned() }))
}

/// The first code of the new authenticator; answered with ten recovery codes
#[utoipa::path(post, path = "/v1/me/authenticator/confirm", tag = "account", request_body = Code, responses((status = 200, body = RecoveryCodes), (status = 401, body = Problem), (status = 409, body = Problem)))]
pub async fn confirm(State(front): State<Arc<Front>>, signed: Signed, Sent(code): Sent<Code>) -> Answer<Response> {
    let confirmed = front.desk.confirm_totp(signed.token.reveal(), &code.code.secret(), &signed.origin).await?;
    let cookie = caller::set(&confirmed.signed_in.session_token, &front)?;
    Ok(([(header::SET_COOKIE, cookie)], Json(codes(&confirmed.recovery_codes))).into_response())
}

/// Ten new recovery codes; those before are worth nothing any more
#[utoipa::path(post, path = "/v1/me/recovery-codes", tag = "account", responses((status = 200, body = RecoveryCodes), (status = 403, body = Problem), (status = 409, body = Problem)))]
pub async fn recovery_codes(State(front): State<Arc<Front>>, signed: Signed) -> Answer<Json<RecoveryCodes>> {
    Ok(Json(codes(&front.desk.new_recovery_codes(signed.token.reveal(), &signed.origin).await?)))
}

fn codes(codes: &[Secret]) -> RecoveryCodes {
    RecoveryCodes { recovery_codes: codes.iter().map(|code| code.reveal().to_owned()).collect() }
}

/// Where you are signed in
#[utoipa::path(get, path = "/v1/me/sessions", tag = "account", responses((status = 200, body = Vec<Place>)))]
pub async fn sessions(State(front): State<Arc<Front>>, signed: Signed) -> Answer<Json<Vec<Place>>> {
    caller::owes_no_code(&signed.caller)?;
    let sessions = front.desk.sessions(signed.token.reveal()).await?;
    let place = |info: SessionInfo| Place {
        session: info.session,
        current: info.current,
        made_at: info.made_at,
        seen_at: info.seen_at,
        team: info.tenant,
        ip: info.ip.map(|ip| ip.to_string()),
        agent: info.agent,
    };
    Ok(Json(sessions.into_iter().map(place).collect()))
}

/// Sign out elsewhere
#[utoipa::path(delete, path = "/v1/me/sessions/{session}", tag = "account", params(("session" = String, Path)), responses((status = 204), (status = 404, body = Problem)))]
pub async fn end_session(State(front): State<Arc<Front>>, signed: Signed, Named(session): Named<String>) -> Answer<StatusCode> {
    caller::owes_no_code(&signed.caller)?;
    front.desk.revoke_session(signed.token.reveal(), &session, &signed.origin).await?;
    Ok(StatusCode::NO_CONTENT)
}
