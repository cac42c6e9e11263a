//! What the claims of a token whose signature held must say, and what is taken from them.
//! Promise: issuer, audience, kind and time are checked of every token, by our clock; a claim of a wrong type is refused or void.
//! Never: a role, a group or a scope is read.

use std::fmt;

use bonded_schemas::TenantId;
use chrono::{DateTime, TimeDelta, Utc};
use ring::digest::{SHA256, digest};
use serde_json::{Map, Value};

use super::{
    jwt::Kind,
    strict,
    trust::{AccessTokens, Trust},
};
use crate::{Error, ErrorKind};

type Claims = Map<String, Value>;

const NAME_BYTES_MAX: usize = 255;
const EMAIL_BYTES_MAX: usize = 254;
/// The last second that a date of four digits for the year can tell.
const SECONDS_MAX: i64 = 253_402_300_799;

/// Who bears a token. What they may do is no part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Unique at the issuer, and for ever that of one person or machine.
    pub subject: String,
    /// Only where the provider says that it verified it.
    pub email: Option<String>,
    /// Always there of an access token; of a sign-in where the provider tells it.
    pub tenant: Option<TenantId>,
    /// The client that the token was given to; a machine's own token names it as its subject.
    pub client: Option<String>,
    pub amr: Vec<String>,
    /// A person who showed a second factor, by `amr` or by the provider's rule for all.
    pub second_factor: bool,
    pub expires_at: DateTime<Utc>,
    pub token_id: Option<String>,
}

impl Verified {
    /// Nobody signed in: a client got this token for itself (client_credentials).
    pub fn is_machine(&self) -> bool {
        self.client.as_deref() == Some(self.subject.as_str())
    }
}

/// Why a token is not taken. For the log and the person who sets it up; nothing of the token's content is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    TooLong,
    Form,
    Algorithm,
    Header(&'static str),
    KeyName,
    UnknownKey,
    Signature,
    Kind,
    Issuer,
    Audience,
    Claim(&'static str),
    Expired,
    NotYet,
    Nonce,
    Tenant,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "it is longer than 16 KiB",
            Self::Form => "it is no signed token in compact form",
            Self::Algorithm => "its algorithm is not RS256",
            Self::Header(name) => return write!(f, "its header has `{name}`"),
            Self::KeyName => "its header names no key",
            Self::UnknownKey => "the issuer shows no key of the name it gives",
            Self::Signature => "its signature does not hold",
            Self::Kind => "it is of another kind",
            Self::Issuer => "it is of another issuer",
            Self::Audience => "it is for another audience",
            Self::Claim(name) => return write!(f, "its claim `{name}` is missing or of a wrong form"),
            Self::Expired => "it has expired",
            Self::NotYet => "it is not valid yet",
            Self::Nonce => "it belongs to another sign-in",
            Self::Tenant => "the claim that names the tenant is missing or no tenant's name",
        })
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Error::new(ErrorKind::Refused, format!("the token is refused: {refusal}"))
    }
}

/// What ties an ID token to the sign-in that it ends.
#[derive(Clone, Copy)]
pub(super) struct Identity<'a> {
    pub nonce: &'a str,
    pub access_token: Option<&'a str>,
}

#[derive(Debug)]
pub(super) struct Rules {
    issuer: String,
    access: Option<AccessTokens>,
    client: Option<String>,
    tenant_claim: String,
    second_factors: Vec<String>,
    mfa_by_pool: bool,
    skew: TimeDelta,
}

impl Rules {
    pub fn of(trust: &Trust) -> Self {
        Self {
            issuer: trust.issuer.clone(),
            access: trust.access.clone(),
            client: trust.client.as_ref().map(|client| client.id.clone()),
            tenant_claim: trust.tenant_claim.clone(),
            second_factors: trust.second_factors.clone(),
            mfa_by_pool: trust.mfa_by_pool,
            // At most five minutes, as was checked.
            skew: TimeDelta::from_std(trust.skew).unwrap_or_default(),
        }
    }

    pub fn access(&self, kind: Kind, claims: &Claims, now: DateTime<Utc>) -> Result<Verified, Refusal> {
        self.common(claims, now)?;
        match self.access.as_ref().ok_or(Refusal::Kind)? {
            AccessTokens::Audience(audience) => {
                // What only ID tokens have; a token that calls itself an access token may have it as well.
                let identity = ["nonce", "at_hash", "c_hash"].into_iter().any(|name| claims.contains_key(name));
                let other = claims.get("token_use").is_some_and(|kind| kind != "access") || claims.contains_key("events");
                if other || identity && kind != Kind::Access {
                    return Err(Refusal::Kind);
                }
                if !audiences(claims)?.contains(&audience.as_str()) {
                    return Err(Refusal::Audience);
                }
            }
            AccessTokens::Cognito { clients } => {
                if claims.get("token_use").and_then(Value::as_str) != Some("access") || claims.contains_key("events") {
                    return Err(Refusal::Kind);
                }
                let client = claims.get("client_id").and_then(Value::as_str).ok_or(Refusal::Audience)?;
                // A pool with resource servers gives an `aud`; then the token is for that resource.
                if claims.contains_key("aud") || !clients.iter().any(|known| known == client) {
                    return Err(Refusal::Audience);
                }
            }
        }
        let verified = self.verified(claims)?;
        // No session chooses a tenant for it.
        if verified.tenant.is_some() { Ok(verified) } else { Err(Refusal::Tenant) }
    }

    pub fn identity(&self, kind: Kind, claims: &Claims, proof: Identity<'_>, now: DateTime<Utc>) -> Result<Verified, Refusal> {
        self.common(claims, now)?;
        let client = self.client.as_deref().ok_or(Refusal::Kind)?;
        if kind == Kind::Access || claims.get("token_use").is_some_and(|kind| kind != "id") || claims.contains_key("events") {
            return Err(Refusal::Kind);
        }
        // Beside us nobody is trusted with it; `azp`, where it is, is whom it was given to.
        if audiences(claims)? != [client] || claims.get("azp").is_some_and(|azp| azp != client) {
            return Err(Refusal::Audience);
        }
        if claims.get("nonce").and_then(Value::as_str) != Some(proof.nonce) {
            return Err(Refusal::Nonce);
        }
        match (claims.get("at_hash"), proof.access_token) {
            (None, _) => {}
            (Some(Value::String(said)), Some(token)) if *said == half_digest(token) => {}
            _ => return Err(Refusal::Claim("at_hash")),
        }
        self.verified(claims)
    }

    /// Issuer and time.
    fn common(&self, claims: &Claims, now: DateTime<Utc>) -> Result<(), Refusal> {
        if claims.get("iss").and_then(Value::as_str) != Some(self.issuer.as_str()) {
            return Err(Refusal::Issuer);
        }
        let expires = instant(claims, "exp")?.ok_or(Refusal::Claim("exp"))?;
        let issued = instant(claims, "iat")?.ok_or(Refusal::Claim("iat"))?;
        let from = instant(claims, "nbf")?.unwrap_or(issued);
        if now >= expires + self.skew {
            return Err(Refusal::Expired);
        }
        if now + self.skew < issued.max(from) {
            return Err(Refusal::NotYet);
        }
        Ok(())
    }

    fn verified(&self, claims: &Claims) -> Result<Verified, Refusal> {
        let subject = name(claims, "sub")?.ok_or(Refusal::Claim("sub"))?;
        let client = match name(claims, "client_id")? {
            Some(client) => Some(client),
            None => name(claims, "azp")?,
        };
        let tenant = match claims.get(&self.tenant_claim) {
            None => None,
            Some(Value::String(tenant)) => match tenant.parse() {
                Ok(tenant) if tenant != TenantId::lake() => Some(tenant),
                _ => return Err(Refusal::Tenant),
            },
            Some(_) => return Err(Refusal::Tenant),
        };
        let amr = list(claims.get("amr"));
        let machine = client.as_deref() == Some(subject.as_str());
        let shown = amr.iter().any(|method| self.second_factors.contains(method));
        Ok(Verified {
            email: email(claims),
            tenant,
            second_factor: !machine && (shown || self.mfa_by_pool),
            amr,
            expires_at: instant(claims, "exp")?.ok_or(Refusal::Claim("exp"))?,
            token_id: name(claims, "jti")?,
            client,
            subject,
        })
    }
}

/// Whole seconds since 1970; RFC 7519 would allow fractions, which no provider sends.
fn instant(claims: &Claims, name: &'static str) -> Result<Option<DateTime<Utc>>, Refusal> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let seconds = value.as_i64().filter(|seconds| (0..=SECONDS_MAX).contains(seconds)).ok_or(Refusal::Claim(name))?;
    Ok(Some(DateTime::from_timestamp(seconds, 0).ok_or(Refusal::Claim(name))?))
}

/// A text or a list of texts; anything else in it makes the whole void.
fn audiences(claims: &Claims) -> Result<Vec<&str>, Refusal> {
    match claims.get("aud") {
        Some(Value::String(one)) => Ok(vec![one]),
        Some(Value::Array(many)) => many.iter().map(|one| one.as_str().ok_or(Refusal::Audience)).collect(),
        _ => Err(Refusal::Audience),
    }
}

/// A text that can stand in a log and in a column.
fn name(claims: &Claims, name: &'static str) -> Result<Option<String>, Refusal> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) if !text.is_empty() && text.len() <= NAME_BYTES_MAX && !text.contains(char::is_control) => {
            Ok(Some(text.clone()))
        }
        Some(_) => Err(Refusal::Claim(name)),
    }
}

/// Void rather than refused: who needs a second factor shows it in a form that can be read.
fn list(value: Option<&Value>) -> Vec<String> {
    let Some(Value::Array(items)) = value else { return Vec::new() };
    items.iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<_>>().unwrap_or_default()
}

/// OpenID Connect wants a boolean; some providers write it as text.
fn email(claims: &Claims) -> Option<String> {
    let verified = matches!(claims.get("email_verified"), Some(Value::Bool(true))) || claims.get("email_verified")? == "true";
    let email = claims.get("email")?.as_str()?;
    let plain = |c: char| !c.is_control() && !c.is_whitespace();
    let shaped = email.len() <= EMAIL_BYTES_MAX && email.chars().all(plain);
    let (local, domain) = email.split_once('@')?;
    (verified && shaped && !local.is_empty() && !domain.is_empty() && !domain.contains('@')).then(|| email.to_owned())
}

/// `at_hash`: the left half of the token's SHA-256, as OpenID Connect Core 3.1.3.6 has it for RS256.
fn half_digest(token: &str) -> String {
    strict::text_of(&digest(&SHA256, token.as_bytes()).as_ref()[..16])
}
