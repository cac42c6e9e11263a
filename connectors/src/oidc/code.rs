//! Sign-in of people: the browser goes to the provider and comes back with a code, which is exchanged for an ID token.
//! Promise: PKCE by S256, a state and a nonce of 256 random bits each, every one of them used once and for ten minutes.
//! Never: a pending sign-in is kept here. It is a value for the caller to seal into the browser's cookie, so that no
//! flood of begun sign-ins fills a store, and a stolen answer is of no use in another browser.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::{Url, form_urlencoded};
use zeroize::{ZeroizeOnDrop, Zeroizing};

use super::{
    Provider,
    fetch::address,
    rules::{Identity, Verified},
    strict,
    trust::{Client, SignIn},
};
use crate::{Error, ErrorKind, Result, identity::token::same, seal::cipher, secrets::Secret};

const LIFE_MINUTES: i64 = 10;
const ANSWER_BYTES_MAX: usize = 64 << 10;
const CODE_BYTES_MAX: usize = 4096;

/// A sign-in that waits for its answer. Sealed by the caller in a cookie (HttpOnly, SameSite=Lax), and deleted with its use.
#[derive(Serialize, Deserialize, ZeroizeOnDrop)]
pub struct Pending {
    state: String,
    nonce: String,
    verifier: String,
    redirect_uri: String,
    #[zeroize(skip)]
    expires_at: DateTime<Utc>,
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

impl Pending {
    pub fn expires_at(&self) -> DateTime<Utc> {
        self.expires_at
    }
}

/// The query that the browser brings back to the redirect address.
#[derive(Default, Deserialize)]
pub struct Answer {
    pub state: Option<String>,
    pub code: Option<String>,
    pub iss: Option<String>,
    pub error: Option<String>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("error", &self.error).finish_non_exhaustive()
    }
}

impl Provider {
    /// Where to send the browser, and what must be there when it comes back to `redirect_uri`.
    pub async fn begin(&self, redirect_uri: &str) -> Result<(Url, Pending)> {
        let client = self.client()?;
        address("redirect_uri", redirect_uri)?;
        let mut place = self.sign_in_places().await?.authorization;
        let pending = Pending {
            state: random_text(),
            nonce: random_text(),
            verifier: random_text(),
            redirect_uri: redirect_uri.to_owned(),
            expires_at: self.clock.now() + TimeDelta::minutes(LIFE_MINUTES),
        };
        let challenge = strict::text_of(digest(&SHA256, pending.verifier.as_bytes()).as_ref());
        place
            .query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &client.id)
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("scope", &self.trust.scopes.join(" "))
            .append_pair("state", &pending.state)
            .append_pair("nonce", &pending.nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        Ok((place, pending))
    }

    /// Who signed in. `Refused` where the answer is not one to this sign-in, or the provider says no.
    pub async fn finish(&self, pending: Pending, answer: &Answer) -> Result<Verified> {
        let client = self.client()?;
        if self.clock.now() >= pending.expires_at {
            return Err(refused("the sign-in took longer than ten minutes; begin again"));
        }
        if !answer.state.as_deref().is_some_and(|state| same(state, &pending.state)) {
            return Err(refused("the answer belongs to no sign-in that was begun in this browser"));
        }
        let places = self.sign_in_places().await?;
        match answer.iss.as_deref() {
            Some(issuer) if issuer != self.trust.issuer => return Err(refused("another identity provider answered")),
            None if places.names_itself => return Err(refused("the answer does not say which identity provider it is of")),
            _ => {}
        }
        if let Some(error) = &answer.error {
            return Err(refused(format!("the identity provider says no: {}", error_code(error))));
        }
        let code = answer.code.as_deref().filter(|code| !code.is_empty() && code.len() <= CODE_BYTES_MAX);
        let code = code.ok_or_else(|| refused("the answer has no code"))?;
        let tokens = self.exchange(client, &places, &pending, code).await?;
        let access_token = tokens.access.as_ref().map(|token| token.as_str());
        self.identity(&tokens.identity, Identity { nonce: &pending.nonce, access_token }).await
    }

    /// With a client's secret that was changed at the provider meanwhile, once more: a code is not spent by a wrong one.
    async fn exchange(&self, client: &Client, places: &SignIn, pending: &Pending, code: &str) -> Result<Tokens> {
        let Some(held) = &client.secret else { return self.exchange_by(client, None, places, pending, code).await?.taken() };
        let secret = held.now().await?;
        let answer = self.exchange_by(client, Some(&secret), places, pending, code).await?;
        if matches!(answer, Exchanged::ClientRefused)
            && let Some(other) = held.renewed(&secret).await?
        {
            return self.exchange_by(client, Some(&other), places, pending, code).await?.taken();
        }
        answer.taken()
    }

    async fn exchange_by(
        &self,
        client: &Client,
        secret: Option<&Secret>,
        places: &SignIn,
        pending: &Pending,
        code: &str,
    ) -> Result<Exchanged> {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", pending.redirect_uri.as_str()),
            ("code_verifier", pending.verifier.as_str()),
        ];
        let (id, word);
        let basic = match secret {
            Some(given) if !places.secret_in_form => {
                (id, word) = (encoded(&client.id), Zeroizing::new(encoded(given.reveal())));
                Some((id.as_str(), word.as_str()))
            }
            given => {
                form.push(("client_id", &client.id));
                form.extend(given.map(|secret| ("client_secret", secret.reveal())));
                None
            }
        };
        let (status, body) = self.http.post(&places.token, &form, basic, ANSWER_BYTES_MAX).await?;
        let body = Zeroizing::new(body);
        let mut said = strict::object(&body).unwrap_or_default();
        let error = said.get("error").and_then(Value::as_str).unwrap_or_default();
        match status.as_u16() {
            200 => Ok(Exchanged::Tokens(Tokens {
                identity: token(&mut said, "id_token").ok_or_else(|| refused("the identity provider gave no ID token"))?,
                access: token(&mut said, "access_token"),
            })),
            401 => Ok(Exchanged::ClientRefused),
            // As RFC 6749 (5.2) lets a provider say the same.
            400 if error == "invalid_client" => Ok(Exchanged::ClientRefused),
            400..=499 => Err(refused(format!("the identity provider does not take the code: {}", error_code(error)))),
            _ => Err(Error::new(ErrorKind::Retry, format!("{} answered {status}", places.token))),
        }
    }

    /// As set by hand, or as the metadata says.
    async fn sign_in_places(&self) -> Result<SignIn> {
        match &self.sign_in {
            Some(places) => Ok(places.clone()),
            None => Ok(self.metadata.get(|_| true).await?.sign_in.clone()),
        }
    }

    fn client(&self) -> Result<&Client> {
        self.trust.client.as_ref().ok_or_else(|| Error::new(ErrorKind::Setup, "nobody can sign in: set oidc.client_id"))
    }
}

enum Exchanged {
    Tokens(Tokens),
    /// The provider does not take our id with that secret, and so did not look at the code.
    ClientRefused,
}

impl Exchanged {
    fn taken(self) -> Result<Tokens> {
        match self {
            Exchanged::Tokens(tokens) => Ok(tokens),
            // A wrong secret is for the operator to mend, not for the person.
            Exchanged::ClientRefused => {
                Err(Error::new(ErrorKind::Setup, "the identity provider does not take oidc.client_id with its secret"))
            }
        }
    }
}

struct Tokens {
    identity: Zeroizing<String>,
    access: Option<Zeroizing<String>>,
}

fn token(said: &mut serde_json::Map<String, Value>, name: &str) -> Option<Zeroizing<String>> {
    match said.remove(name)? {
        Value::String(token) if !token.is_empty() => Some(Zeroizing::new(token)),
        _ => None,
    }
}

/// 256 random bits in 43 characters, which is also what RFC 7636 asks of a verifier.
fn random_text() -> String {
    strict::text_of(cipher::random_key().as_ref())
}

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// RFC 6749's codes are short words; whatever else was sent is not repeated.
fn error_code(text: &str) -> &str {
    let word = !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    if word { text } else { "an error without a code" }
}

fn refused(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Refused, message)
}
