//! `[oidc]`: the identity provider whose tokens are taken and at which people sign in. Off without an issuer.
//! Promise: plain HTTP to anything but this machine, an audience that ID tokens have too, or a setting that would be without
//! effect is refused at start.

use std::{path::PathBuf, sync::Arc, time::Duration};

use bonded_connectors::{
    clock::Clock,
    oidc::{AccessTokens, Client, Provider, Times, Trust},
    secrets::{Held, Vault},
};
use serde::{Deserialize, Serialize};

use super::{parse_duration, secrets::held};
use crate::error::{Error, Result};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OidcSettings {
    /// As tokens name it, to the letter. No foreign token is taken when absent.
    pub issuer: Option<String>,
    /// Where the issuer's keys are, if not where its metadata says.
    pub jwks_uri: Option<String>,
    /// Set both or neither; without them the issuer's metadata is asked.
    pub authorization_endpoint: Option<String>,
    pub token_endpoint: Option<String>,
    /// What access tokens for this lake name in `aud`.
    pub audience: Option<String>,
    /// Access tokens are of Cognito's shape instead: without `aud`, with `token_use` and `client_id`.
    pub cognito: bool,
    /// Whose Cognito access tokens are taken, beside `client_id`: those of machines, say.
    pub clients: Vec<String>,
    /// Under which people sign in there; nobody does when absent.
    pub client_id: Option<String>,
    /// Where its secret is read from; absent for a public client.
    pub client_secret: Option<String>,
    pub scopes: Vec<String>,
    /// The claim that names the tenant.
    pub tenant_claim: String,
    /// Values of `amr` that show a second factor.
    pub mfa_amr: Vec<String>,
    /// The provider lets no person in without a second factor, and does not say so in its tokens.
    pub mfa_by_pool: bool,
    /// How far its clock may be from ours.
    pub skew: String,
    /// How long its keys and metadata are used before they are asked for again.
    pub keys_fresh: String,
    /// At least so long between two fetches, whatever key a token names.
    pub keys_retry: String,
    /// How long the last keys are used while it cannot be reached.
    pub keys_stale_max: String,
    /// For one answer of it.
    pub time_max: String,
    /// PEM file of authorities that are trusted for it beside Mozilla's: a house's own.
    pub authorities: Option<PathBuf>,
}

impl Default for OidcSettings {
    fn default() -> Self {
        Self {
            issuer: None,
            jwks_uri: None,
            authorization_endpoint: None,
            token_endpoint: None,
            audience: None,
            cognito: false,
            clients: Vec::new(),
            client_id: None,
            client_secret: None,
            scopes: vec!["openid".into(), "email".into()],
            tenant_claim: "tenant".into(),
            mfa_amr: vec!["mfa".into(), "otp".into()],
            mfa_by_pool: false,
            skew: "60s".into(),
            keys_fresh: "10m".into(),
            keys_retry: "15s".into(),
            keys_stale_max: "12h".into(),
            time_max: "5s".into(),
            authorities: None,
        }
    }
}

impl OidcSettings {
    /// Every key present, so that the environment can name optional ones.
    pub(super) fn complete() -> Self {
        let some = || Some(String::new());
        Self {
            issuer: some(),
            jwks_uri: some(),
            authorization_endpoint: some(),
            token_endpoint: some(),
            audience: some(),
            client_id: some(),
            client_secret: some(),
            authorities: Some(PathBuf::new()),
            ..Self::default()
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        if self.issuer.is_none() && *self != Self::default() {
            return Err(Error::setup("settings: [oidc] does nothing without oidc.issuer; set it, or leave the section out"));
        }
        if self.client_secret.is_some() && self.client_id.is_none() {
            return Err(Error::setup("settings: oidc.client_secret needs oidc.client_id"));
        }
        if !self.clients.is_empty() && !self.cognito {
            return Err(Error::setup("settings: oidc.clients is for oidc.cognito; other access tokens go by oidc.audience"));
        }
        match self.trust(None)? {
            Some(trust) => trust.check().map_err(|error| Error::setup("settings").with_source(error)),
            None => Ok(()),
        }
    }

    /// The provider as set; `None` where there is none. Its client's secret is read, so that a wrong reference is told at once.
    pub async fn provider(&self, clock: Arc<dyn Clock>, vault: &Arc<Vault>) -> Result<Option<Provider>> {
        let given = self.client_secret.as_deref().map(|named| held(vault, "oidc.client_secret", named)).transpose()?;
        if let Some(given) = &given {
            given.now().await?;
        }
        match self.trust(given)? {
            Some(trust) => Ok(Some(Provider::new(Trust { authorities: self.read_authorities()?, ..trust }, clock)?)),
            None => Ok(None),
        }
    }

    fn read_authorities(&self) -> Result<Option<String>> {
        let Some(path) = &self.authorities else { return Ok(None) };
        let cannot = |error| Error::setup(format!("cannot read oidc.authorities {}", path.display())).with_source(error);
        std::fs::read_to_string(path).map(Some).map_err(cannot)
    }

    fn trust(&self, secret: Option<Held>) -> Result<Option<Trust>> {
        let Some(issuer) = self.issuer.clone() else { return Ok(None) };
        let access = match (self.cognito, self.audience.clone()) {
            (true, None) => {
                let clients = self.client_id.iter().chain(&self.clients).cloned().collect();
                Some(AccessTokens::Cognito { clients })
            }
            (true, Some(_)) => return Err(Error::setup("settings: oidc.audience and oidc.cognito exclude each other")),
            (false, audience) => audience.map(AccessTokens::Audience),
        };
        Ok(Some(Trust {
            issuer,
            jwks_uri: self.jwks_uri.clone(),
            authorization_endpoint: self.authorization_endpoint.clone(),
            token_endpoint: self.token_endpoint.clone(),
            access,
            client: self.client_id.clone().map(|id| Client { id, secret }),
            scopes: self.scopes.clone(),
            tenant_claim: self.tenant_claim.clone(),
            second_factors: self.mfa_amr.clone(),
            mfa_by_pool: self.mfa_by_pool,
            skew: duration("skew", &self.skew)?,
            times: Times {
                fresh: duration("keys_fresh", &self.keys_fresh)?,
                retry: duration("keys_retry", &self.keys_retry)?,
                stale_max: duration("keys_stale_max", &self.keys_stale_max)?,
            },
            time_max: duration("time_max", &self.time_max)?,
            authorities: None,
        }))
    }
}

fn duration(name: &str, text: &str) -> Result<Duration> {
    parse_duration(text).ok_or_else(|| Error::setup(format!("settings: oidc.{name} `{text}` is not like 30s, 5m or 1h")))
}
