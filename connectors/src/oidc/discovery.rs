//! The provider's metadata (`/.well-known/openid-configuration`): where its keys and its two sign-in addresses are.
//! Promise: metadata of another issuer is refused; every address in it is HTTPS, or of this machine where the issuer is.

use std::sync::Arc;

use futures::FutureExt;
use serde_json::{Map, Value};
use url::Url;

use super::{
    cache::{Cached, Fetch},
    fetch::{Http, address, is_loopback},
    strict,
    trust::{Places, SignIn, Trust},
};
use crate::{Error, ErrorKind, Result, clock::Clock};

const METADATA_BYTES_MAX: usize = 256 << 10;

#[derive(Clone, Debug)]
pub(super) struct Metadata {
    pub keys: Url,
    pub sign_in: SignIn,
}

impl Metadata {
    pub fn read(bytes: &[u8], issuer: &str, loopback: bool) -> Result<Self> {
        let said = strict::object(bytes).ok_or_else(|| unusable("is no JSON object that names nothing twice"))?;
        if said.get("issuer").and_then(Value::as_str) != Some(issuer) {
            return Err(unusable("is of another issuer; set oidc.issuer to what it says, to the letter"));
        }
        let place = |name: &str| {
            let text = said.get(name).and_then(Value::as_str).ok_or_else(|| unusable(&format!("has no {name}")))?;
            match address(name, text)? {
                place if place.scheme() == "http" && !loopback => Err(unusable(&format!("has a plain HTTP {name}"))),
                place if is_loopback(&place) && !loopback => Err(unusable(&format!("has a {name} on this machine"))),
                place => Ok(place),
            }
        };
        if lists(&said, "code_challenge_methods_supported").is_some_and(|methods| !methods.contains(&"S256")) {
            return Err(unusable("offers no PKCE by S256"));
        }
        if lists(&said, "id_token_signing_alg_values_supported").is_some_and(|algorithms| !algorithms.contains(&"RS256")) {
            return Err(unusable("offers no RS256"));
        }
        let ways = lists(&said, "token_endpoint_auth_methods_supported");
        let in_form = |ways: Vec<&str>| !ways.contains(&"client_secret_basic") && ways.contains(&"client_secret_post");
        let sign_in = SignIn {
            authorization: place("authorization_endpoint")?,
            token: place("token_endpoint")?,
            secret_in_form: ways.is_some_and(in_form),
            names_itself: said.get("authorization_response_iss_parameter_supported") == Some(&Value::Bool(true)),
        };
        Ok(Self { keys: place("jwks_uri")?, sign_in })
    }
}

fn lists<'a>(said: &'a Map<String, Value>, name: &str) -> Option<Vec<&'a str>> {
    Some(said.get(name)?.as_array()?.iter().filter_map(Value::as_str).collect())
}

fn unusable(why: &str) -> Error {
    Error::new(ErrorKind::Setup, format!("the identity provider's metadata {why}"))
}

/// RFC 8414 puts the well-known part before the issuer's path; OpenID Connect Discovery, which is asked here, behind it.
fn well_known(issuer: &Url) -> Url {
    let mut place = issuer.clone();
    place.set_path(&format!("{}/.well-known/openid-configuration", issuer.path().trim_end_matches('/')));
    place
}

pub(super) fn cached(trust: &Trust, places: &Places, http: &Http, clock: Arc<dyn Clock>) -> Cached<Metadata> {
    let (issuer, loopback, http) = (trust.issuer.clone(), is_loopback(&places.issuer), http.clone());
    let place = well_known(&places.issuer);
    let fetch: Fetch<Metadata> = Box::new(move || {
        let (issuer, http, place) = (issuer.clone(), http.clone(), place.clone());
        async move { Metadata::read(&http.get(&place, METADATA_BYTES_MAX).await?, &issuer, loopback) }.boxed()
    });
    Cached::new(format!("metadata of {}", trust.issuer), trust.times, clock, fetch)
}
