//! Random tokens and codes, and what is kept of them.
//! Promise: a token has 256 random bits and only its SHA-256 is kept; a code of six digits is kept under a key.

use std::fmt;

use bonded_schemas::TenantId;
use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::seal::cipher;

/// Text that opens something; shown once.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// 64 hex digits of 256 random bits.
    pub fn random() -> Self {
        Self(Zeroizing::new(cipher::hex(cipher::random_key().as_ref())))
    }

    /// Six random digits, each code as likely as any other.
    pub fn code() -> Self {
        // The largest multiple of a million below 2^32: what lies above it would favour the lower codes.
        const FAIR: u32 = u32::MAX - u32::MAX % 1_000_000;
        loop {
            let drawn = u32::from_be_bytes(cipher::random_bytes());
            if drawn < FAIR {
                return Self(Zeroizing::new(format!("{:06}", drawn % 1_000_000)));
            }
        }
    }

    /// 80 random bits in four groups, without letters that look alike.
    pub fn recovery_code() -> Self {
        const ALPHABET: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";
        let mut text = Zeroizing::new(String::with_capacity(19));
        for (index, byte) in cipher::random_bytes::<16>().into_iter().enumerate() {
            if index > 0 && index % 4 == 0 {
                text.push('-');
            }
            text.push(char::from(ALPHABET[usize::from(byte & 31)]));
        }
        Self(text)
    }

    /// The local part of an ingest address: `in-` and 128 random bits in the base32 of RFC 4648, in lower case.
    pub fn mailbox() -> Self {
        const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let bits = Zeroizing::new(u128::from_be_bytes(cipher::random_bytes()));
        let mut text = Zeroizing::new(String::with_capacity(29));
        text.push_str("in-");
        for index in 0..26_u32 {
            // The last digit has three bits of its own and two zeros.
            let five = match index {
                25 => *bits << 2,
                _ => *bits >> (123 - 5 * index),
            };
            text.push(char::from(ALPHABET[(five & 31) as usize]));
        }
        Self(text)
    }

    pub fn from_text(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }

    /// To be shown once to whom it was made for, and nowhere else.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Lower-case hex of SHA-256: what is kept.
    pub fn digest(&self) -> String {
        cipher::hex(digest(&SHA256, self.0.as_bytes()).as_ref())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

/// Compares in a time that tells nothing but the lengths.
pub fn same(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

/// An API token as its holder has it: `bonded_<tenant>_<id>_<secret>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnToken {
    pub tenant: TenantId,
    /// 32 hex digits; it may be told.
    pub id: String,
    pub secret: Secret,
}

const PREFIX: &str = "bonded";
const ID_DIGITS: usize = 32;
const SECRET_DIGITS: usize = 64;

impl OwnToken {
    pub fn new(tenant: &TenantId) -> Self {
        Self { tenant: tenant.clone(), id: cipher::hex(&cipher::random_bytes::<16>()), secret: Secret::random() }
    }

    /// `None` for whatever cannot be one, before anything is looked up.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > PREFIX.len() + TenantId::LENGTH_MAX + ID_DIGITS + SECRET_DIGITS + 3 {
            return None;
        }
        let mut parts = text.split('_');
        let (prefix, tenant, id, secret) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let hex =
            |text: &str, digits| text.len() == digits && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if prefix != PREFIX || parts.next().is_some() || !hex(id, ID_DIGITS) || !hex(secret, SECRET_DIGITS) {
            return None;
        }
        Some(Self { tenant: tenant.parse().ok()?, id: id.to_owned(), secret: Secret::from_text(secret) })
    }

    /// As its holder gets it, once.
    pub fn text(&self) -> Secret {
        Secret(Zeroizing::new(format!("{PREFIX}_{}_{}_{}", self.tenant, self.id, self.secret.reveal())))
    }
}
