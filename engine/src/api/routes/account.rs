//! Coming in and going out: signing up, signing in, the second factor, passwords. What somebody then has is `me`'s.
//! Promise: answers about an address say the same whether it has an account or not; a session's new token travels in its
//! cookie and nowhere else.

use std::{fmt, sync::Arc};

use axum::{
    Json,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    api::{
        Front, caller,
        problem::{Answer, Problem},
        sent::Sent,
        signed::{Signed, Visitor},
    },
    desk::{Mfa, Password, Proof, Secret, SignedIn},
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
    pub code: Typed,
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

/// A session that goes on under a new token, in the answer's cookie.
#[derive(Debug, Serialize, ToSchema)]
pub struct Session {
    /// To be sent as `x-csrf-token` with every request that changes something.
    csrf: String,
    /// `needed`: give a code of the authenticator; `must_enrol`: set one up; `done`: nothing is owed.
    #[schema(value_type = String)]
    mfa: Mfa,
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

/// The session's (new) token goes into its cookie.
pub fn session(front: &Front, signed_in: SignedIn) -> Answer<Response> {
    let cookie: HeaderValue = caller::set(&signed_in.session_token, front)?;
    Ok(([(header::SET_COOKIE, cookie)], Json(Session { csrf: signed_in.csrf, mfa: signed_in.mfa })).into_response())
}
