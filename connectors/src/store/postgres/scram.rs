//! A password as PostgreSQL keeps it, made here so that the password itself is in no statement and in no server's log.

use std::num::NonZeroU32;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::{
    digest::{SHA256, SHA256_OUTPUT_LEN, digest},
    hmac, pbkdf2,
};
use zeroize::Zeroizing;

/// As PostgreSQL does by itself.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(4096).expect("not zero");

/// RFC 5803's form, for a password of ASCII (any other is prepared in ways that only the server knows).
pub(super) fn verifier(password: &str, salt: &[u8; 16]) -> String {
    let mut salted = Zeroizing::new([0; SHA256_OUTPUT_LEN]);
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ITERATIONS, salt, password.as_bytes(), salted.as_mut());
    let key = hmac::Key::new(hmac::HMAC_SHA256, salted.as_ref());
    let stored = digest(&SHA256, hmac::sign(&key, b"Client Key").as_ref());
    let server = hmac::sign(&key, b"Server Key");
    let text = |bytes: &[u8]| STANDARD.encode(bytes);
    format!("SCRAM-SHA-256${ITERATIONS}:{}${}:{}", text(salt), text(stored.as_ref()), text(server.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677: the keys must make its client proof and its server signature.
    #[test]
    fn the_keys_are_those_of_the_standard() {
        let salt: [u8; 16] = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").expect("base64").try_into().expect("16 bytes");
        let text = verifier("pencil", &salt);
        let (stored, server) = text.rsplit_once('$').expect("keys").1.split_once(':').expect("two keys");
        let message = "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                       s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let signed = |key: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message.as_bytes());
        let server = STANDARD.decode(server).expect("base64");
        assert_eq!(STANDARD.encode(signed(&server)), "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        let stored = STANDARD.decode(stored).expect("base64");
        let proof = STANDARD.decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=").expect("base64");
        let client: Vec<u8> = proof.iter().zip(signed(&stored).as_ref()).map(|(a, b)| a ^ b).collect();
        assert_eq!(digest(&SHA256, &client).as_ref(), stored);
    }
}
