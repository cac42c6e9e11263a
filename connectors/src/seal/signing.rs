//! Ed25519 signatures and their key files: what somebody outside must be able to check without any key of ours.
//! Promise: a signature holds for exactly one text and one public key; keys and signatures travel as standard base64.
//! Never: a private key is printed, and none is stored but wrapped or in a file of its owner's own.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use zeroize::Zeroizing;

use super::cipher::{self, Key};
use crate::error::{Error, ErrorKind, Result};

/// Bytes of an Ed25519 public key (RFC 8032).
const PUBLIC_KEY_BYTES: usize = 32;
/// 64 hex characters and white space around them.
const FILE_BYTES_MAX: u64 = 128;

pub struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    pub(super) fn from_seed(seed: &Key) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(seed.as_ref()).expect("any 32 bytes are a seed, by RFC 8032"))
    }

    /// A new key in a new file (0600, 64 hex characters).
    ///
    /// # Errors
    /// `Setup` when the file is there already or cannot be made.
    pub fn create(path: &Path) -> Result<Self> {
        let seed = cipher::random_key();
        let text = Zeroizing::new(format!("{}\n", cipher::hex(seed.as_ref())));
        let write = || {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        write().map_err(|error| {
            Error::new(ErrorKind::Setup, format!("cannot make {}; it must not exist yet", path.display())).with_source(error)
        })?;
        Ok(Self::from_seed(&seed))
    }

    /// # Errors
    /// `Setup` when the file cannot be read or is open to others; `Input` when it holds no key.
    pub fn open(path: &Path) -> Result<Self> {
        let failed =
            |error| Error::new(ErrorKind::Setup, format!("cannot read the signing key {}", path.display())).with_source(error);
        let file = File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.permissions().mode() & 0o077 != 0 {
            let message = format!("{} is open to others: run `chmod 600` on it, and consider the key known", path.display());
            return Err(Error::new(ErrorKind::Setup, message));
        }
        let mut text = Zeroizing::new(String::with_capacity(2 * FILE_BYTES_MAX as usize));
        file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
        let message = format!("{} is no signing key: `bonded tenant owner new` makes one", path.display());
        let seed = cipher::key_from_hex(text.trim()).ok_or_else(|| Error::new(ErrorKind::Input, message))?;
        Ok(Self::from_seed(&seed))
    }

    pub fn public_key(&self) -> String {
        STANDARD.encode(self.0.public_key().as_ref())
    }

    pub fn sign(&self, text: &[u8]) -> String {
        STANDARD.encode(self.0.sign(text).as_ref())
    }
}

/// # Errors
/// `Input` when the public key is none; `Refused` when the signature is not this key's over this text.
pub fn verify(public_key: &str, text: &[u8], signature: &str) -> Result<()> {
    let key = public_key_bytes(public_key)?;
    let refused = || Error::new(ErrorKind::Refused, "the signature is not of this key over this text");
    let signature = STANDARD.decode(signature.trim()).map_err(|_| refused())?;
    UnparsedPublicKey::new(&ED25519, key).verify(text, &signature).map_err(|_| refused())
}

/// # Errors
/// `Input` when it is not 32 bytes in base64.
pub fn public_key_bytes(public_key: &str) -> Result<Vec<u8>> {
    let bytes = STANDARD.decode(public_key.trim()).ok().filter(|bytes| bytes.len() == PUBLIC_KEY_BYTES);
    bytes.ok_or_else(|| Error::new(ErrorKind::Input, "this is no Ed25519 public key: it must be 32 bytes in base64"))
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey(public {})", self.public_key())
    }
}
