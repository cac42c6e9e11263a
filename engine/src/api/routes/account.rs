//! A person's own account: signing up, in and out, the second factor, sessions, the team they work in.
//! Promise: answers about an address say the same whether it has an account or not; a session's new token travels in its
//! cookie and nowhere else.

use std::{fmt, sync::Arc};

use axum::{
    Json,
    extract::{FromRequestParts, State},
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use bonded_schemas::{Role, TenantId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    api::{
        Front, caller,
        problem::{Answer, Problem},
        sent::{Named, Sent},
    },
    desk::{Caller, Mfa, Origin, Owes, Password, Proof, Secret, SessionInfo, SignedIn},
};

pub fn routes() -> OpenApiRouter<Arc<Front>> {
    OpenApiRouter::new()
        .routes(routes!(sign_up))
        .routes(routes!(verify))
        .routes(routes!(sign_in))
        .routes(routes!(second_factor))
        .routes(routes!(step_up))
        .routes(routes!(sign_out))
        .routes(routes!(forgot))
        .routes(routes!(reset))
        .routes(routes!(change_password))
        .routes(routes!(me))
        .routes(routes!(choose_team))
        .routes(routes!(enrol))
        .routes(routes!(confirm))
        .routes(routes!(recovery_codes))
        .routes(routes!(sessions))
        .routes(routes!(end_session))
}

/// What was typed and must not be printed.
#[derive(Clone, Deserialize)]
pub struct Typed(String);

impl Typed {
    pub fn secret(&self) -> Secret {
        Secret::from_text(&self.0)
    }

    pub fn password(self) -> Password {
        Password::new(self.0)
    }
}

impl fmt::Debug for Typed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Typed(redacted)")
    }
}

/// Where a request of nobody in particular came from; another site's is refused.
pub struct Visitor(pub Origin);

impl FromRequestParts<Arc<Front>> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Front>) -> Result<Self, Problem> {
        caller::from_here(parts)?;
        Ok(Self(caller::origin(parts)?))
    }
}

/// A person with a session, whatever they still owe.
pub struct Signed {
    pub caller: Arc<Caller>,
    pub token: Secret,
    pub origin: Origin,
}

impl FromRequestParts<Arc<Front>> for Signed {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, front: &Arc<Front>) -> Result<Self, Problem> {
        let caller = caller::identified(parts, front).await?;
        // Tokens and machines have no account.
        caller::is_person(&caller)?;
        let token = caller::session(&parts.headers, front).ok_or_else(Problem::sign_in)?;
        Ok(Self { caller, token, origin: caller::origin(parts)? })
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Address {
    #[schema(format = "email", max_length = 254)]
    email: String,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Verifying {
    #[schema(format = "email", max_length = 254)]
    email: String,
    /// Six digits from the mail.
    #[schema(value_type = String)]
    code: Typed,
    /// 12 characters at least, 72 bytes at most.
    #[schema(value_type = String, format = Password)]
    password: Typed,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    #[schema(format = "email", max_length = 254)]
    email: String,
    #[schema(value_type = String, format = Password)]
    password: Typed,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Code {
    /// Of the authenticator, or a recovery code.
    #[schema(value_type = String)]
    code: Typed,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Proving {
    /// Of the authenticator, or a recovery code.
    #[schema(value_type = String)]
    Code(Typed),
    /// Only of somebody who has no authenticator.
    #[schema(value_type = String, format = Password)]
    Password(Typed),
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Resetting {
    /// From the link in the mail.
    #[schema(value_type = String)]
    token: Typed,
    #[schema(value_type = String, format = Password)]
    password: Typed,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangingPassword {
    #[schema(value_type = String, format = Password)]
    current: Typed,
    #[schema(value_type = String, format = Password)]
    new: Typed,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Team {
    /// One of your own, as `GET /v1/me` lists them.
    #[schema(max_length = 40)]
    team: String,
}

/// A session that goes on under a new token, in the answer's cookie.
#[derive(Debug, Serialize, ToSchema)]
pub struct Session {
    /// To be sent as `x-csrf-token` with every request that changes something.
    csrf: String,
    /// `needed`: give a code of the authenticator; `must_enrol`: set one up; `done`: nothing is owed.
    #[schema(value_type = String)]
    mfa: Mfa,
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

/// Ask for an account: a code is mailed
#[utoipa::path(post, path = "/v1/sign-up", tag = "account", request_body = Address, responses((status = 202, description = "The same answer for every address"), (status = 429, body = Problem)))]
pub async fn sign_up(
    State(front): State<Arc<Front>>,
    Visitor(origin): Visitor,
    Sent(address): Sent<Address>,
) -> Answer<StatusCode> {
    front.desk.sign_up(&address.email, &origin).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Prove the address by the mailed code, and set a password
#[utoipa::path(post, path = "/v1/sign-up/verify", tag = "account", request_body = Verifying, responses((status = 204), (status = 401, body = Problem), (status = 429, body = Problem)))]
pub async fn verify(
    State(front): State<Arc<Front>>,
    Visitor(origin): Visitor,
    Sent(verifying): Sent<Verifying>,
) -> Answer<StatusCode> {
    front.desk.verify(&verifying.email, &verifying.code.secret(), &verifying.password.password(), &origin).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sign in: the session's token comes in a cookie
#[utoipa::path(post, path = "/v1/sign-in", tag = "account", request_body = Credentials, responses((status = 200, body = Session), (status = 401, body = Problem), (status = 429, body = Problem)))]
pub async fn sign_in(
    State(front): State<Arc<Front>>,
    Visitor(origin): Visitor,
    Sent(credentials): Sent<Credentials>,
) -> Answer<Response> {
    let signed_in = front.desk.sign_in(&credentials.email, &credentials.password.password(), &origin).await?;
    session(&front, signed_in)
}

/// Complete a sign-in by a code of the authenticator
#[utoipa::path(post, path = "/v1/sign-in/second-factor", tag = "account", request_body = Code, responses((status = 200, body = Session), (status = 401, body = Problem), (status = 429, body = Problem)))]
pub async fn second_factor(State(front): State<Arc<Front>>, signed: Signed, Sent(code): Sent<Code>) -> Answer<Response> {
    let signed_in = front.desk.second_factor(signed.token.reveal(), &code.code.secret(), &signed.origin).await?;
    session(&front, signed_in)
}

/// Prove once more that it is you: for keys, roles, exports
#[utoipa::path(post, path = "/v1/step-up", tag = "account", request_body = Proving, responses((status = 200, body = Session), (status = 401, body = Problem), (status = 429, body = Problem)))]
pub async fn step_up(State(front): State<Arc<Front>>, signed: Signed, Sent(proving): Sent<Proving>) -> Answer<Response> {
    let proof = match proving {
        Proving::Code(code) => Proof::Code(code.secret()),
        Proving::Password(password) => Proof::Password(password.password()),
    };
    let signed_in = front.desk.step_up(signed.token.reveal(), &proof, &signed.origin).await?;
    session(&front, signed_in)
}

/// Sign out: the session ends
#[utoipa::path(post, path = "/v1/sign-out", tag = "account", responses((status = 204)))]
pub async fn sign_out(State(front): State<Arc<Front>>, signed: Signed) -> Answer<Response> {
    front.desk.sign_out(signed.token.reveal(), &signed.origin).await?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, caller::unset(&front)?)]).into_response())
}

/// Ask for a link to a new password
#[utoipa::path(post, path = "/v1/password/forgot", tag = "account", request_body = Address, responses((status = 202, description = "The same answer for every address"), (status = 429, body = Problem)))]
pub async fn forgot(
    State(front): State<Arc<Front>>,
    Visitor(origin): Visitor,
    Sent(address): Sent<Address>,
) -> Answer<StatusCode> {
    front.desk.request_reset(&address.email, &origin).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Set a new password by the mailed link; every session ends
#[utoipa::path(post, path = "/v1/password/reset", tag = "account", request_body = Resetting, responses((status = 204), (status = 401, body = Problem), (status = 429, body = Problem)))]
pub async fn reset(
    State(front): State<Arc<Front>>,
    Visitor(origin): Visitor,
    Sent(resetting): Sent<Resetting>,
) -> Answer<StatusCode> {
    front.desk.reset(resetting.token.secret().reveal(), &resetting.password.password(), &origin).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Change your password; your other sessions end
#[utoipa::path(post, path = "/v1/password/change", tag = "account", request_body = ChangingPassword, responses((status = 200, body = Session), (status = 401, body = Problem), (status = 429, body = Problem)))]
pub async fn change_password(
    State(front): State<Arc<Front>>,
    signed: Signed,
    Sent(changing): Sent<ChangingPassword>,
) -> Answer<Response> {
    let (current, new) = (changing.current.password(), changing.new.password());
    let signed_in = front.desk.change_password(signed.token.reveal(), &current, &new, &signed.origin).await?;
    session(&front, signed_in)
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

/// The session's (new) token goes into its cookie.
pub fn session(front: &Front, signed_in: SignedIn) -> Answer<Response> {
    let cookie: HeaderValue = caller::set(&signed_in.session_token, front)?;
    Ok(([(header::SET_COOKIE, cookie)], Json(Session { csrf: signed_in.csrf, mfa: signed_in.mfa })).into_response())
}
