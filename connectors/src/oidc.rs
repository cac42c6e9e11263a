//! The door to a foreign identity provider: RS256 tokens of an OpenID provider, and sign-in of people there by code and PKCE.
//! Promise: what comes out as [`Verified`] was signed by a key that the configured provider shows, for us, and for now.
//! Never: a key, an address or an algorithm is taken from a token; no role is: roles are memberships, looked up elsewhere.

mod cache;
mod code;
mod discovery;
mod fetch;
mod jwt;
mod keys;
mod rules;
pub(crate) mod strict;
#[cfg(test)]
mod tests;
mod trust;

use std::{fmt, sync::Arc};

pub use cache::Times;
pub use code::{Answer, Pending};
pub use jwt::TOKEN_BYTES_MAX;
pub use rules::{Refusal, Verified};
pub use trust::{AccessTokens, Client, Trust};

use crate::{Result, clock::Clock};
use cache::Cached;
use discovery::Metadata;
use fetch::Http;
use jwt::Compact;
use keys::KeySet;
use rules::{Identity, Rules};
use trust::SignIn;

/// One provider that is believed. Made once and shared, for it keeps the provider's keys.
pub struct Provider {
    trust: Trust,
    rules: Rules,
    clock: Arc<dyn Clock>,
    http: Http,
    sign_in: Option<SignIn>,
    metadata: Cached<Metadata>,
    keys: Cached<KeySet>,
}

impl Provider {
    /// Asks nobody anything yet: a provider that is down does not keep the process from starting.
    pub fn new(trust: Trust, clock: Arc<dyn Clock>) -> Result<Self> {
        let places = trust.places()?;
        let http = Http::new(trust.time_max, trust.authorities.as_deref())?;
        let metadata = discovery::cached(&trust, &places, &http, clock.clone());
        let keys = keys::cached(&trust, places.keys, &http, &metadata, clock.clone());
        Ok(Self { rules: Rules::of(&trust), trust, clock, http, sign_in: places.sign_in, metadata, keys })
    }

    /// Who bears this access token. `Refused` for a token that is not good, `Retry` where no key of the provider can be had.
    pub async fn access(&self, token: &str) -> Result<Verified> {
        let compact = Compact::read(token)?;
        let claims = compact.open(self.keys_for(&compact).await?.as_ref())?;
        Ok(self.rules.access(compact.kind(), &claims, self.clock.now())?)
    }

    async fn identity(&self, token: &str, proof: Identity<'_>) -> Result<Verified> {
        let compact = Compact::read(token)?;
        let claims = compact.open(self.keys_for(&compact).await?.as_ref())?;
        Ok(self.rules.identity(compact.kind(), &claims, proof, self.clock.now())?)
    }

    async fn keys_for(&self, compact: &Compact<'_>) -> Result<Arc<KeySet>> {
        self.keys.get(|keys| keys.names(compact.key_name())).await
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").field("trust", &self.trust).finish_non_exhaustive()
    }
}
