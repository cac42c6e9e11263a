use std::sync::LazyLock;

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeySize,
    signature::{KeyPair, RSA_PKCS1_SHA256, RsaEncoding, RsaKeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{
    AccessTokens, Client, Refusal, Times, Trust, Verified,
    jwt::Compact,
    keys::KeySet,
    rules::{Identity, Rules},
};

mod cache;
mod claims;
mod confusion;
mod http;

pub const ISSUER: &str = "https://idp.lantern.example/realm";
pub const AUDIENCE: &str = "https://bonded.example/api";
pub const CLIENT: &str = "bonded-desk";

pub struct Signer(pub RsaKeyPair);

/// The provider's key, and one that somebody else made.
pub static KEY: LazyLock<Signer> = LazyLock::new(Signer::new);
pub static FOREIGN: LazyLock<Signer> = LazyLock::new(Signer::new);

impl Signer {
    fn new() -> Self {
        Self(RsaKeyPair::generate(KeySize::Rsa2048).expect("a key"))
    }

    pub fn modulus(&self) -> Vec<u8> {
        self.0.public_key().modulus().big_endian_without_leading_zero().to_vec()
    }

    pub fn jwk(&self, name: &str) -> Value {
        json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": name, "n": b64(&self.modulus()), "e": "AQAB"})
    }

    pub fn signature(&self, how: &'static dyn RsaEncoding, message: &str) -> Vec<u8> {
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0.sign(how, &SystemRandom::new(), message.as_bytes(), &mut signature).expect("signed");
        signature
    }

    /// Header and payload as they are, so that a test may write what no library would.
    pub fn sign(&self, header: &str, payload: &str) -> String {
        let message = format!("{}.{}", b64(header.as_bytes()), b64(payload.as_bytes()));
        let signature = self.signature(&RSA_PKCS1_SHA256, &message);
        format!("{message}.{}", b64(&signature))
    }
}

pub fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub fn set(keys: &[Value]) -> KeySet {
    KeySet::read(json!({ "keys": keys }).to_string().as_bytes()).expect("a set")
}

pub fn now() -> DateTime<Utc> {
    "2026-03-02T12:00:00Z".parse().unwrap()
}

pub const HEADER: &str = r#"{"alg":"RS256","kid":"k1","typ":"JWT"}"#;

/// Of an access token that is good.
pub fn claims() -> Value {
    let now = now().timestamp();
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "248289761001", "client_id": CLIENT, "tenant": "fictional-lantern",
        "iat": now - 10, "nbf": now - 10, "exp": now + 300, "jti": "t-1",
    })
}

/// The good claims with these in their place; null takes one out.
pub fn with(changes: Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().expect("an object") {
        match value {
            Value::Null => claims.as_object_mut().expect("an object").remove(name),
            value => claims.as_object_mut().expect("an object").insert(name.clone(), value.clone()),
        };
    }
    claims
}

pub fn trust() -> Trust {
    Trust {
        issuer: ISSUER.into(),
        jwks_uri: None,
        authorization_endpoint: None,
        token_endpoint: None,
        access: Some(AccessTokens::Audience(AUDIENCE.into())),
        client: Some(Client { id: CLIENT.into(), secret: None }),
        scopes: vec!["openid".into(), "email".into()],
        tenant_claim: "tenant".into(),
        second_factors: vec!["mfa".into(), "otp".into()],
        mfa_by_pool: false,
        skew: std::time::Duration::from_secs(60),
        times: Times {
            fresh: std::time::Duration::from_secs(600),
            retry: std::time::Duration::from_secs(15),
            stale_max: std::time::Duration::from_secs(43_200),
        },
        time_max: std::time::Duration::from_secs(2),
        authorities: None,
    }
}

/// What becomes of an access token where the provider shows [`KEY`] as `k1`.
pub fn take(token: &str) -> Result<Verified, Refusal> {
    take_by(&set(&[KEY.jwk("k1")]), token)
}

pub fn take_by(keys: &KeySet, token: &str) -> Result<Verified, Refusal> {
    let compact = Compact::read(token)?;
    let claims = compact.open(keys)?;
    Rules::of(&trust()).access(compact.kind(), &claims, now())
}

pub fn signed(claims: &Value) -> String {
    KEY.sign(HEADER, &claims.to_string())
}

/// The claims judged as an access token of a provider like this, its signature aside.
pub fn judge(trust: &Trust, claims: &Value) -> Result<Verified, Refusal> {
    Rules::of(trust).access(super::jwt::Kind::Jwt, claims.as_object().expect("an object"), now())
}

pub fn judge_identity(trust: &Trust, claims: &Value, proof: Identity<'_>) -> Result<Verified, Refusal> {
    Rules::of(trust).identity(super::jwt::Kind::Jwt, claims.as_object().expect("an object"), proof, now())
}

#[test]
fn a_good_access_token_is_taken_and_tells_who_bears_it() {
    let verified = take(&signed(&claims())).expect("good");
    let expected = Verified {
        subject: "248289761001".into(),
        email: None,
        tenant: Some("fictional-lantern".parse().unwrap()),
        client: Some(CLIENT.into()),
        amr: Vec::new(),
        second_factor: false,
        expires_at: now() + TimeDelta::seconds(300),
        token_id: Some("t-1".into()),
    };
    assert_eq!(verified, expected);
    assert!(!verified.is_machine());
}
