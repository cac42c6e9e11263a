//! A signed token in its compact form: three parts, a header that is read with suspicion, and a signature.
//! Promise: the algorithm is RS256 before anything else of the token counts, and no claim is read before the signature holds.
//! Never: a key comes out of the token, or from an address in it.

use jsonwebtoken::{Algorithm, crypto};
use serde_json::{Map, Value};

use super::{keys::KeySet, rules::Refusal, strict};

/// Longer ones are refused unread. Tokens of real providers have one to four KiB.
pub const TOKEN_BYTES_MAX: usize = 16 << 10;
const KEY_NAME_BYTES_MAX: usize = 256;

/// What would bring a key along or name a place to fetch one, wrap another token, or change how this one is read.
const HEADERS_REFUSED: [&str; 10] = ["jku", "jwk", "x5u", "x5c", "crit", "b64", "enc", "zip", "cty", "epk"];

/// What a token says that it is: `typ`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Unsaid,
    Jwt,
    Access,
}

/// Well-formed, and nothing of it believed but its header's shape.
#[derive(Debug)]
pub(super) struct Compact<'a> {
    signed: &'a str,
    payload: &'a str,
    signature: &'a str,
    key_name: String,
    kind: Kind,
}

impl<'a> Compact<'a> {
    pub fn read(token: &'a str) -> Result<Self, Refusal> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Refusal::TooLong);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Refusal::Form)?;
        let (header, payload) = signed.split_once('.').ok_or(Refusal::Form)?;
        if header.is_empty() || payload.is_empty() || payload.contains('.') {
            return Err(Refusal::Form);
        }
        let header = strict::base64url(header).and_then(|bytes| strict::object(&bytes)).ok_or(Refusal::Form)?;
        if header.get("alg").and_then(Value::as_str) != Some("RS256") {
            return Err(Refusal::Algorithm);
        }
        if let Some(name) = HEADERS_REFUSED.into_iter().find(|name| header.contains_key(*name)) {
            return Err(Refusal::Header(name));
        }
        if signature.is_empty() {
            return Err(Refusal::Signature);
        }
        let key_name = match header.get("kid") {
            Some(Value::String(name)) if !name.is_empty() && name.len() <= KEY_NAME_BYTES_MAX => name.clone(),
            _ => return Err(Refusal::KeyName),
        };
        Ok(Self { signed, payload, signature, key_name, kind: kind(&header)? })
    }

    pub fn key_name(&self) -> &str {
        &self.key_name
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The claims, once the signature held.
    pub fn open(&self, keys: &KeySet) -> Result<Map<String, Value>, Refusal> {
        let key = keys.key(&self.key_name).ok_or(Refusal::UnknownKey)?;
        // jsonwebtoken decodes this part too; here it is held to the one spelling.
        strict::base64url(self.signature).ok_or(Refusal::Form)?;
        if !crypto::verify(self.signature, self.signed.as_bytes(), key, Algorithm::RS256).unwrap_or(false) {
            return Err(Refusal::Signature);
        }
        strict::base64url(self.payload).and_then(|bytes| strict::object(&bytes)).ok_or(Refusal::Form)
    }
}

fn kind(header: &Map<String, Value>) -> Result<Kind, Refusal> {
    match header.get("typ") {
        None => Ok(Kind::Unsaid),
        Some(Value::String(kind)) => match kind.to_ascii_lowercase().as_str() {
            "jwt" => Ok(Kind::Jwt),
            "at+jwt" | "application/at+jwt" => Ok(Kind::Access),
            _ => Err(Refusal::Kind),
        },
        Some(_) => Err(Refusal::Kind),
    }
}
