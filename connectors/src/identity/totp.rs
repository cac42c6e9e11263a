//! Time-based one-time codes (RFC 6238: SHA-1, six digits, 30 seconds, one step of drift either way).
//! Promise: a code is taken once: what was accepted, and all before it, is refused from then on.

use std::fmt;

use chrono::{DateTime, Utc};
use totp_rs::{Builder, Secret, Totp};
use zeroize::Zeroizing;

use crate::{
    error::{Error, ErrorKind, Result},
    seal::cipher,
};

/// As long as the output of SHA-1, by RFC 4226.
const SECRET_BYTES: usize = 20;
const ISSUER: &str = "Bonded";

/// What an authenticator app and we share.
#[derive(Clone)]
pub struct TotpSecret(Zeroizing<[u8; SECRET_BYTES]>);

impl TotpSecret {
    pub fn generate() -> Self {
        Self(Zeroizing::new(cipher::random_bytes()))
    }

    /// # Errors
    /// `Damaged` when it is not 20 bytes of base32.
    pub fn from_base32(text: &str) -> Result<Self> {
        let damaged = || Error::new(ErrorKind::Damaged, "the secret of an authenticator does not read");
        let secret = Secret::try_from_base32(text).map_err(|_| damaged())?;
        let bytes = <[u8; SECRET_BYTES]>::try_from(secret.as_bytes()).map_err(|_| damaged())?;
        Ok(Self(Zeroizing::new(bytes)))
    }

    /// For typing it into an app.
    pub fn to_base32(&self) -> Zeroizing<String> {
        Zeroizing::new(Secret::new(Box::new(*self.0)).to_base32())
    }

    /// For a QR code: `otpauth://totp/...`, which holds the secret.
    pub fn url(&self, account: &str) -> Result<Zeroizing<String>> {
        let failed = |error| Error::new(ErrorKind::Input, format!("no authenticator can be named for `{account}`: {error}"));
        Ok(Zeroizing::new(self.totp(account)?.to_url().map_err(failed)?))
    }

    /// The step that the code is of, when it is later than the last one that was accepted.
    pub fn step_of(&self, code: &str, at: DateTime<Utc>, accepted: u64) -> Option<u64> {
        let seconds = u64::try_from(at.timestamp()).ok()?;
        let digits: String = code.chars().filter(|c| !c.is_whitespace()).collect();
        if digits.len() != 6 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        self.totp("").ok()?.check(&digits, seconds).filter(|step| *step > accepted)
    }

    /// The code of an instant, as an app shows it.
    pub fn code_at(&self, at: DateTime<Utc>) -> Result<String> {
        let seconds = u64::try_from(at.timestamp()).unwrap_or_default();
        Ok(self.totp("")?.generate(seconds).to_string())
    }

    fn totp(&self, account: &str) -> Result<Totp> {
        Builder::new()
            .with_secret(Secret::new(Box::new(*self.0)))
            .with_issuer(Some(ISSUER))
            .with_account_name(account)
            .with_skew(1)
            .with_step_duration(30)
            .build()
            .map_err(|error| Error::new(ErrorKind::Input, format!("no authenticator can be named for `{account}`: {error}")))
    }
}

impl fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TotpSecret(redacted)")
    }
}
