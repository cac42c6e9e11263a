//! The root key of a keyring: from a key file that only its owner can read, or from a passphrase.
//! Promise: the passphrase is stretched by Argon2id with parameters that the keyring keeps; working memory is wiped.
//! Never: a root key lies beside others' read permission, is printed, or is stored in the keyring itself.

use std::{fmt, fs, os::unix::fs::PermissionsExt, path::Path};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{file::Base64, folder};
use crate::{
    error::{Error, ErrorKind, Result},
    seal::cipher::{self, Key},
};

const KEY_FILE: &str = "root.key";
const SALT_BYTES: usize = 16;
/// OWASP and RFC 9106 ask for less; a keyring is opened once per process.
const MEMORY_KIB: u32 = 64 * 1024;
const ITERATIONS: u32 = 3;
const PARALLELISM: u32 = 1;
/// A damaged file must not make the program take all memory or all day.
const MEMORY_KIB_MAX: u32 = 1024 * 1024;
const ITERATIONS_MAX: u32 = 64;
const PARALLELISM_MAX: u32 = 64;

/// Where the root key comes from.
#[derive(Clone)]
pub enum RootSource {
    /// `root.key` in the keyring's folder: 64 hex characters, mode 0600. Made by `create` unless it is there.
    KeyFile,
    Passphrase(Zeroizing<String>),
}

impl fmt::Debug for RootSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RootSource::KeyFile => "KeyFile",
            RootSource::Passphrase(_) => "Passphrase(redacted)",
        })
    }
}

/// What the keyring says of its root key.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum Root {
    Keyfile {},
    Argon2id { salt: Base64, memory_kib: u32, iterations: u32, parallelism: u32 },
}

/// For a new keyring: the description to store and the root key.
pub(super) fn establish(dir: &Path, source: &RootSource) -> Result<(Root, Key)> {
    let root = match source {
        RootSource::KeyFile => Root::Keyfile {},
        RootSource::Passphrase(_) => Root::Argon2id {
            salt: Base64(cipher::random_bytes::<SALT_BYTES>().to_vec()),
            memory_kib: MEMORY_KIB,
            iterations: ITERATIONS,
            parallelism: PARALLELISM,
        },
    };
    if matches!(source, RootSource::KeyFile) && !dir.join(KEY_FILE).exists() {
        write_key_file(dir)?;
    }
    let key = obtain(dir, source, &root)?;
    Ok((root, key))
}

/// For an existing keyring: the root key, by the way that the keyring says.
pub(super) fn obtain(dir: &Path, source: &RootSource, root: &Root) -> Result<Key> {
    match (source, root) {
        (RootSource::KeyFile, Root::Keyfile {}) => read_key_file(dir),
        (RootSource::Passphrase(passphrase), Root::Argon2id { salt, memory_kib, iterations, parallelism }) => {
            stretch(passphrase, &salt.0, *memory_kib, *iterations, *parallelism)
        }
        (RootSource::KeyFile, Root::Argon2id { .. }) => {
            Err(setup(format!("keyring in `{}` opens with a passphrase, not with a key file: give it", dir.display())))
        }
        (RootSource::Passphrase(_), Root::Keyfile {}) => {
            Err(setup(format!("keyring in `{}` opens with its key file: give no passphrase", dir.display())))
        }
    }
}

fn write_key_file(dir: &Path) -> Result<()> {
    let mut text = Zeroizing::new(cipher::hex(cipher::random_key().as_ref()));
    text.push('\n');
    folder::replace(dir, KEY_FILE, text.as_bytes())
}

fn read_key_file(dir: &Path) -> Result<Key> {
    let path = dir.join(KEY_FILE);
    let unreadable = |error| setup(format!("root key `{}` cannot be read: restore it", path.display())).with_source(error);
    let mode = fs::metadata(&path).map_err(unreadable)?.permissions().mode();
    if mode & 0o077 != 0 {
        let message = format!("root key `{}` can be reached by others (mode {:03o}): chmod 600 it", path.display(), mode & 0o777);
        return Err(setup(message));
    }
    let text = Zeroizing::new(fs::read_to_string(&path).map_err(unreadable)?);
    cipher::key_from_hex(text.trim_end()).ok_or_else(|| {
        Error::new(ErrorKind::Damaged, format!("root key `{}` is not 64 hex characters: restore it", path.display()))
    })
}

fn stretch(passphrase: &str, salt: &[u8], memory_kib: u32, iterations: u32, parallelism: u32) -> Result<Key> {
    if passphrase.is_empty() {
        return Err(Error::new(ErrorKind::Input, "passphrase of the keyring is empty: give one"));
    }
    let damaged = || Error::new(ErrorKind::Damaged, "keyring.json has Argon2id parameters out of bounds: restore it");
    if memory_kib > MEMORY_KIB_MAX || iterations > ITERATIONS_MAX || parallelism > PARALLELISM_MAX || salt.len() < SALT_BYTES {
        return Err(damaged());
    }
    let parameters = Params::new(memory_kib, iterations, parallelism, Some(cipher::KEY_BYTES)).map_err(|_| damaged())?;
    let mut memory = vec![Block::new(); parameters.block_count()];
    let mut key = Key::default();
    let done = Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters).hash_password_into_with_memory(
        passphrase.as_bytes(),
        salt,
        key.as_mut(),
        &mut memory,
    );
    memory.fill(Block::new());
    std::hint::black_box(&mut memory);
    done.map_err(|error| Error::new(ErrorKind::Internal, format!("passphrase of the keyring cannot be stretched: {error}")))?;
    Ok(key)
}

fn setup(message: String) -> Error {
    Error::new(ErrorKind::Setup, message)
}
