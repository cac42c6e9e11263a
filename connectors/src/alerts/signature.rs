//! What proves to a receiver that a call is ours, whole and fresh: `Bonded-Signature: t=<unix>,v1=<hex>`, where the hex is
//! HMAC-SHA-256 of `<t>.<body>` under the route's secret.
//! Promise: a changed body, time or secret does not verify, nor does a call older than the receiver allows. Whoever also
//! remembers the `Bonded-Delivery` of that span takes nothing twice.

use ring::hmac;

use crate::{identity::token::Secret, seal::cipher};

pub const HEADER: &str = "bonded-signature";
pub const DELIVERY_HEADER: &str = "bonded-delivery";
/// What receivers are advised to allow between our clock and theirs.
pub const TOLERANCE_S: i64 = 300;
/// A header that is longer is none of ours.
const HEADER_BYTES_MAX: usize = 256;

/// The header's text.
pub fn sign(secret: &Secret, at_s: i64, body: &str) -> String {
    let tag = hmac::sign(&key(secret), signed(at_s, body).as_bytes());
    format!("t={at_s},v1={}", cipher::hex(tag.as_ref()))
}

/// What a receiver does. Written out for those who receive in another language: take `t` and `v1` from the header, refuse a
/// `t` further than the tolerance from now, compute the HMAC over the raw body as it came, compare in constant time.
pub fn verifies(secret: &Secret, header: &str, body: &str, now_s: i64, tolerance_s: i64) -> bool {
    if header.len() > HEADER_BYTES_MAX {
        return false;
    }
    let part = |name: &str| header.split(',').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
    let (Some(at_s), Some(tag)) = (part("t").and_then(|at| at.parse::<i64>().ok()), part("v1").and_then(bytes)) else {
        return false;
    };
    at_s.abs_diff(now_s) <= tolerance_s.unsigned_abs() && hmac::verify(&key(secret), signed(at_s, body).as_bytes(), &tag).is_ok()
}

fn key(secret: &Secret) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, secret.reveal().as_bytes())
}

fn signed(at_s: i64, body: &str) -> String {
    format!("{at_s}.{body}")
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.as_bytes();
    if !digits.len().is_multiple_of(2) || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}
