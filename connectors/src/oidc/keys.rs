//! The provider's published keys (JWKS): which of them can sign for us.
//! Promise: RSA of 2048 to 8192 bits with a sound exponent, meant for signatures by RS256; two keys of one name are none.

use std::{collections::HashMap, sync::Arc};

use futures::FutureExt;
use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value};
use url::Url;

use super::{
    cache::{Cached, Fetch},
    discovery::Metadata,
    fetch::Http,
    strict,
    trust::Trust,
};
use crate::{Error, ErrorKind, Result, clock::Clock};

const SET_BYTES_MAX: usize = 256 << 10;
const KEYS_MAX: usize = 100;
const MODULUS_BITS_MIN: usize = 2048;
const MODULUS_BITS_MAX: usize = 8192;
/// FIPS 186-5 wants more than 2^16; below 2^33 is what RSA code commonly takes.
const EXPONENTS: std::ops::Range<u64> = 65_537..1 << 33;

pub(super) struct KeySet(HashMap<String, Option<DecodingKey>>);

impl KeySet {
    /// Keys that are of no use here are left out, not an error: providers publish them for others.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let set = strict::object(bytes).ok_or_else(|| unreadable("are no JSON object that names nothing twice"))?;
        let Some(Value::Array(listed)) = set.get("keys") else { return Err(unreadable("have no list `keys`")) };
        if listed.len() > KEYS_MAX {
            return Err(unreadable("are more than 100"));
        }
        let mut keys = HashMap::new();
        for (name, key) in listed.iter().filter_map(usable) {
            keys.entry(name).and_modify(|taken| *taken = None).or_insert(Some(key));
        }
        Ok(Self(keys))
    }

    pub fn names(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub fn key(&self, name: &str) -> Option<&DecodingKey> {
        self.0.get(name)?.as_ref()
    }
}

impl std::fmt::Debug for KeySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

fn unreadable(why: &str) -> Error {
    Error::new(ErrorKind::Retry, format!("the identity provider's keys {why}"))
}

fn usable(listed: &Value) -> Option<(String, DecodingKey)> {
    let key = listed.as_object()?;
    let text = |name: &str| key.get(name).and_then(Value::as_str);
    let says = |name: &str, wanted: &str| key.get(name).is_none_or(|value| value.as_str() == Some(wanted));
    if text("kty") != Some("RSA") || !says("use", "sig") || !says("alg", "RS256") || !verifies(key) {
        return None;
    }
    let name = text("kid").filter(|name| !name.is_empty())?;
    let modulus = strict::base64url(text("n")?)?;
    let exponent = strict::base64url(text("e")?)?;
    let modulus = without_leading_zeros(&modulus);
    let exponent = without_leading_zeros(&exponent);
    let bits = modulus.len() * 8 - modulus.first()?.leading_zeros() as usize;
    let odd = modulus.last()? & exponent.last()? & 1 == 1;
    let sound = odd && (MODULUS_BITS_MIN..=MODULUS_BITS_MAX).contains(&bits) && EXPONENTS.contains(&number(exponent)?);
    sound.then(|| (name.to_owned(), DecodingKey::from_rsa_raw_components(modulus, exponent)))
}

fn verifies(key: &Map<String, Value>) -> bool {
    key.get("key_ops").is_none_or(|uses| uses.as_array().is_some_and(|uses| uses.iter().any(|one| one == "verify")))
}

fn without_leading_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    &bytes[zeros..]
}

fn number(bytes: &[u8]) -> Option<u64> {
    (bytes.len() <= 8).then(|| bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// The keys as they are published at `place`, or where the provider's metadata says.
pub(super) fn cached(
    trust: &Trust,
    place: Option<Url>,
    http: &Http,
    metadata: &Cached<Metadata>,
    clock: Arc<dyn Clock>,
) -> Cached<KeySet> {
    let (http, metadata) = (http.clone(), metadata.clone());
    let fetch: Fetch<KeySet> = Box::new(move || {
        let (place, http, metadata) = (place.clone(), http.clone(), metadata.clone());
        async move {
            let place = match place {
                Some(place) => place,
                None => metadata.get(|_| true).await?.keys.clone(),
            };
            KeySet::read(&http.get(&place, SET_BYTES_MAX).await?)
        }
        .boxed()
    });
    Cached::new(format!("keys of {}", trust.issuer), trust.times, clock, fetch)
}
