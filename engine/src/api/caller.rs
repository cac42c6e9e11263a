//! Who asks: the session cookie or the bearer token, turned into a caller by the desk, anew for each request.
//! Promise: one of both, never both; a request of a session that changes something brings the session's own word along.
//! Never: a cookie of ours that other hosts, scripts or plain connections could see or set.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header, request::Parts};
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use bonded_connectors::oidc::Verified;

use super::{
    Front,
    layers::Arrival,
    problem::{Answer, Problem},
};
use crate::{
    desk::{Caller, CallerKind, Denied, Origin, Owes, Secret, Vouched},
    error::{Error, ErrorKind},
};

/// `__Host-`: browsers take it only with Secure, for `/`, without a domain.
const SESSION: &str = "__Host-bonded";
/// The same on a loopback address without TLS, where browsers would not keep the other.
const PLAIN_SESSION: &str = "bonded-plain";
const PENDING: &str = "__Host-bonded-sign-in";
const PLAIN_PENDING: &str = "bonded-plain-sign-in";
const CSRF: HeaderName = HeaderName::from_static("x-csrf-token");
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const BEARER: &str = "bearer ";
/// How a token of our own begins; any other is the identity provider's.
const OWN_TOKEN: &str = "bonded_";
/// Longer ones are none of ours.
const TOKEN_BYTES_MAX: usize = 16 << 10;
const AGENT_CHARS_MAX: usize = 200;

/// The caller of this request, looked up once.
pub async fn identified(parts: &mut Parts, front: &Front) -> Answer<Arc<Caller>> {
    if let Some(caller) = parts.extensions.get::<Arc<Caller>>() {
        return Ok(caller.clone());
    }
    let origin = origin(parts)?;
    let caller = match (bearer(&parts.headers)?, session(&parts.headers, front)) {
        (Some(_), Some(_)) => return Err(Problem::malformed("send a token or a session cookie, not both")),
        (Some(token), None) if token.starts_with(OWN_TOKEN) => front.desk.authenticate(token, &origin).await?,
        (Some(token), None) => foreign(token, front, &origin).await?,
        (None, Some(session)) => {
            let caller = front.desk.whoami(session.reveal(), &origin).await?;
            if let Some(caller) = &caller {
                own_word(parts, caller)?;
            }
            caller
        }
        (None, None) => None,
    };
    let caller = Arc::new(caller.ok_or_else(Problem::sign_in)?);
    parts.extensions.insert(caller.clone());
    Ok(caller)
}

/// The member whom the identity provider's access token is of. What is wrong with one is for the log, not for who sent it.
async fn foreign(token: &str, front: &Front, origin: &Origin) -> Answer<Option<Caller>> {
    let Some(provider) = &front.provider else { return Ok(None) };
    let verified = match provider.access(token).await.map_err(Error::from) {
        Ok(verified) => verified,
        Err(error) if error.kind() == ErrorKind::Refused => {
            tracing::info!(target: "api.token", %error, "a foreign token was refused");
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    match vouched(verified) {
        Some(vouched) => Ok(front.desk.vouched(&vouched, origin).await?),
        None => Ok(None),
    }
}

/// A person of a verified address; machines have tokens of our own.
pub fn vouched(verified: Verified) -> Option<Vouched> {
    let machine = verified.is_machine();
    let Verified { email, tenant, second_factor, .. } = verified;
    email.filter(|_| !machine).map(|email| Vouched { email, tenant, second_factor })
}

/// Where the request came from, as the desk wants to know it.
pub fn origin(parts: &Parts) -> Answer<Origin> {
    let arrival = parts.extensions.get::<Arrival>().ok_or_else(Problem::internal)?;
    let agent = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    let agent = agent.map(|text| text.chars().take(AGENT_CHARS_MAX).collect());
    Ok(Origin { ip: Some(arrival.ip), request_id: Some(arrival.request_id.clone()), agent })
}

fn bearer(headers: &HeaderMap) -> Answer<Option<&str>> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(first), rest) = (given.next(), given.next()) else { return Ok(None) };
    let text = first.to_str().ok().filter(|text| rest.is_none() && text.len() <= TOKEN_BYTES_MAX).ok_or_else(Problem::sign_in)?;
    match text.get(..BEARER.len()) {
        Some(scheme) if scheme.eq_ignore_ascii_case(BEARER) => Ok(Some(text[BEARER.len()..].trim())),
        _ => Err(Problem::sign_in()),
    }
}

/// The session's token, as the cookie brings it.
pub fn session(headers: &HeaderMap, front: &Front) -> Option<Secret> {
    let jar = CookieJar::from_headers(headers);
    let value = jar.get(name(front))?.value();
    (value.len() <= TOKEN_BYTES_MAX).then(|| Secret::from_text(value))
}

fn name(front: &Front) -> &'static str {
    if front.plain { PLAIN_SESSION } else { SESSION }
}

/// Another site can make a browser send the cookie along, but neither read the word nor hide where it comes from.
fn own_word(parts: &Parts, caller: &Caller) -> Answer<()> {
    if matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    from_here(parts)?;
    let word = parts.headers.get(CSRF).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match caller.csrf_matches(word) {
        true => Ok(()),
        false => Err(Problem::forbidden("send the session's csrf word along as x-csrf-token; GET /v1/me tells it")),
    }
}

/// Browsers tell where a request comes from, and pages cannot hide it.
pub fn from_here(parts: &Parts) -> Answer<()> {
    let site = parts.headers.get(FETCH_SITE).map(HeaderValue::as_bytes);
    match site.is_none_or(|site| site == b"same-origin" || site == b"none") {
        true => Ok(()),
        false => Err(Problem::forbidden("this request comes from another site")),
    }
}

/// What a person must do before anything else.
pub fn owes_nothing(caller: &Caller) -> Answer<()> {
    match caller.owes {
        None => Ok(()),
        Some(Owes::SecondFactor) => {
            Err(Problem::second_factor("give a code of your authenticator: POST /v1/sign-in/second-factor"))
        }
        Some(Owes::Enrolment) => {
            Err(Problem::second_factor("owners and admins need an authenticator: POST /v1/me/authenticator"))
        }
    }
}

/// Whoever has only a password of an account with an authenticator sees nothing of it.
pub fn owes_no_code(caller: &Caller) -> Answer<()> {
    match caller.owes {
        Some(Owes::SecondFactor) => owes_nothing(caller),
        _ => Ok(()),
    }
}

pub fn is_person(caller: &Caller) -> Answer<()> {
    match caller.kind {
        CallerKind::Person => Ok(()),
        CallerKind::Token(_) | CallerKind::Machine => Err(Problem::not_found()),
    }
}

/// `Set-Cookie` for a session's (new) token.
pub fn set(token: &Secret, front: &Front) -> Answer<HeaderValue> {
    written(cookie(token.reveal().to_owned(), front))
}

/// `Set-Cookie` that takes it away.
pub fn unset(front: &Front) -> Answer<HeaderValue> {
    let mut cookie = cookie(String::new(), front);
    cookie.make_removal();
    written(cookie)
}

/// `Set-Cookie` of a sign-in at the identity provider that waits for its answer; sealed, and good for as long as it says.
pub fn set_pending(sealed: String, front: &Front) -> Answer<HeaderValue> {
    written(named(pending_name(front), sealed, front))
}

pub fn unset_pending(front: &Front) -> Answer<HeaderValue> {
    let mut cookie = named(pending_name(front), String::new(), front);
    cookie.make_removal();
    written(cookie)
}

/// The sealed sign-in that waits.
pub fn pending(headers: &HeaderMap, front: &Front) -> Option<String> {
    let jar = CookieJar::from_headers(headers);
    let value = jar.get(pending_name(front))?.value();
    (value.len() <= TOKEN_BYTES_MAX).then(|| value.to_owned())
}

fn pending_name(front: &Front) -> &'static str {
    if front.plain { PLAIN_PENDING } else { PENDING }
}

fn cookie(value: String, front: &Front) -> Cookie<'static> {
    named(name(front), value, front)
}

fn named(name: &'static str, value: String, front: &Front) -> Cookie<'static> {
    Cookie::build((name, value)).path("/").http_only(true).secure(!front.plain).same_site(SameSite::Lax).build()
}

fn written(cookie: Cookie<'_>) -> Answer<HeaderValue> {
    let mut value = HeaderValue::from_str(&cookie.to_string()).map_err(|_| Problem::internal())?;
    value.set_sensitive(true);
    Ok(value)
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        let told = denied.to_string();
        match denied {
            Denied::Credentials => Self::credentials(told),
            Denied::NoSession => Self::sign_in(),
            Denied::SignInFirst => Self::conflict(told),
            Denied::StepUp => Self::step_up(),
            Denied::Busy => Self::busy(told, 5),
            Denied::Wait { seconds } => Self::busy(told, seconds),
            Denied::Forbidden(_) => Self::forbidden(told),
            Denied::NotFound(_) => Self::not_found(),
            Denied::Input(_) => Self::invalid(told),
            Denied::Conflict(_) => Self::conflict(told),
            Denied::Failed(error) => error.into(),
        }
    }
}
