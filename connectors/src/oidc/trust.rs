//! What is believed of whom: the provider's settings as values, checked before anything is asked.

use std::{fmt, time::Duration};

use url::Url;

use super::{cache::Times, fetch::address};
use crate::{Error, ErrorKind, Result, secrets::Held};

/// More would keep expired tokens alive.
const SKEW_MAX: Duration = Duration::from_secs(300);

#[derive(Clone, Debug)]
pub struct Trust {
    /// As tokens name it, to the letter: `https://idp.example/realm` and `https://idp.example/realm/` are two.
    pub issuer: String,
    /// Where the keys are, if not where the issuer's metadata says: some issuers name a place that is not theirs to serve.
    pub jwks_uri: Option<String>,
    /// Set both or neither; without them the metadata is asked.
    pub authorization_endpoint: Option<String>,
    pub token_endpoint: Option<String>,
    /// How an access token shows that it is for us; none is taken when absent.
    pub access: Option<AccessTokens>,
    /// Who we are when people sign in; nobody can when absent.
    pub client: Option<Client>,
    pub scopes: Vec<String>,
    /// The claim that names the tenant.
    pub tenant_claim: String,
    /// Values of `amr` that show a second factor.
    pub second_factors: Vec<String>,
    /// The provider lets nobody in without a second factor and says so in no token (Cognito with MFA required).
    pub mfa_by_pool: bool,
    /// How far the provider's clock may be from ours.
    pub skew: Duration,
    pub times: Times,
    /// For one answer of the provider.
    pub time_max: Duration,
    /// Certificates (PEM) that are trusted beside Mozilla's, where the provider's is of a house's own authority.
    pub authorities: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessTokens {
    /// `aud` names us (RFC 9068, and what most providers do).
    Audience(String),
    /// Cognito's have no `aud`: `token_use` is `access` and `client_id` one of these.
    Cognito { clients: Vec<String> },
}

#[derive(Clone)]
pub struct Client {
    pub id: String,
    /// None for a public client, which PKCE alone protects.
    pub secret: Option<Held>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("id", &self.id).field("secret", &self.secret.as_ref().map(|_| "redacted")).finish()
    }
}

/// The addresses that were set by hand.
#[derive(Clone, Debug)]
pub(super) struct Places {
    pub issuer: Url,
    pub keys: Option<Url>,
    pub sign_in: Option<SignIn>,
}

/// Where people sign in and where their code is exchanged.
#[derive(Clone, Debug)]
pub(super) struct SignIn {
    pub authorization: Url,
    pub token: Url,
    /// The token endpoint takes the client's secret in the form only.
    pub secret_in_form: bool,
    /// The provider promises `iss` in its answers (RFC 9207).
    pub names_itself: bool,
}

impl Trust {
    /// Every value that cannot work or would open a hole, by its name in the settings.
    pub fn check(&self) -> Result<()> {
        self.places().map(drop)
    }

    pub(super) fn places(&self) -> Result<Places> {
        let issuer = address("issuer", &self.issuer)?;
        if issuer.query().is_some() {
            return Err(setup("oidc.issuer must have no query"));
        }
        let keys = self.jwks_uri.as_deref().map(|text| address("jwks_uri", text)).transpose()?;
        let sign_in = match (self.authorization_endpoint.as_deref(), self.token_endpoint.as_deref()) {
            (Some(authorization), Some(token)) => Some(SignIn {
                authorization: address("authorization_endpoint", authorization)?,
                token: address("token_endpoint", token)?,
                secret_in_form: false,
                names_itself: false,
            }),
            (None, None) => None,
            _ => return Err(setup("oidc.authorization_endpoint and oidc.token_endpoint must be set together")),
        };
        self.check_audiences()?;
        if self.tenant_claim.is_empty() || RESERVED_CLAIMS.contains(&self.tenant_claim.as_str()) {
            let message = format!("oidc.tenant_claim `{}` cannot name the tenant: it means something else", self.tenant_claim);
            return Err(setup(message));
        }
        if self.skew > SKEW_MAX {
            return Err(setup("oidc.skew must be at most 5m"));
        }
        if self.times.stale_max < self.times.fresh {
            return Err(setup("oidc.keys_stale_max must be at least oidc.keys_fresh"));
        }
        Ok(Places { issuer, keys, sign_in })
    }

    fn check_audiences(&self) -> Result<()> {
        if self.access.is_none() && self.client.is_none() {
            return Err(setup(
                "oidc.audience or oidc.cognito (for access tokens) or oidc.client_id (for people) must be set beside oidc.issuer",
            ));
        }
        match &self.access {
            Some(AccessTokens::Audience(audience)) if audience.is_empty() => Err(setup("oidc.audience must not be empty")),
            // An ID token would then pass for an access token.
            Some(AccessTokens::Audience(audience)) if self.client.as_ref().is_some_and(|client| client.id == *audience) => {
                Err(setup("oidc.audience must not be oidc.client_id; register the API apart from its sign-in"))
            }
            Some(AccessTokens::Cognito { clients }) if clients.is_empty() || clients.iter().any(String::is_empty) => {
                Err(setup("oidc.cognito needs oidc.client_id or oidc.clients"))
            }
            _ => match &self.client {
                Some(client) if client.id.is_empty() => Err(setup("oidc.client_id must not be empty")),
                Some(_) if !self.scopes.iter().any(|scope| scope == "openid") => Err(setup("oidc.scopes must have `openid`")),
                _ => Ok(()),
            },
        }
    }
}

/// Registered claims, and such that a person can often set at the provider.
const RESERVED_CLAIMS: [&str; 15] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "nonce",
    "azp",
    "amr",
    "acr",
    "name",
    "nickname",
    "preferred_username",
    "email",
];

fn setup(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Setup, message)
}
