//! What follows the sealed stream of a raw object, found from its end.
//! Promise: binding, wrapped key and stream belong together and to one tenant and path, or the object does not open.
//! Never: length or digest of the plaintext lie in the clear.
//!
//! ```text
//! AGS1 stream || binding block (84) || wrapped data key || u32 LE 84 || u32 LE length of wrapped data key || "BRZ1"
//! binding block = nonce(12) || AES-256-GCM(data key, sha256(32) || plaintext length u64 BE || AGS1 AAD prefix(16)) || tag(16)
//!                 authenticated with fields("bonded-raw-v1", tenant, path)
//! ```

use std::ops::Range;

use bonded_schemas::TenantId;
use bytes::{Bytes, BytesMut};
use object_store::{GetOptions, ObjectStore, ObjectStoreExt, path::Path};

use crate::{
    error::{Error, ErrorKind, Result},
    seal::{
        Ags1Opener, ags1,
        cipher::{self, KEY_BYTES, Key, OVERHEAD_BYTES},
    },
};

const MAGIC: &[u8; 4] = b"BRZ1";
const BINDING_AAD: &str = "bonded-raw-v1";
pub(super) const AAD_PREFIX_BYTES: usize = 16;
const DIGEST_BYTES: usize = 32;
const BINDING_BYTES: usize = DIGEST_BYTES + 8 + AAD_PREFIX_BYTES + OVERHEAD_BYTES;
/// Two lengths and the magic.
const TRAILER_BYTES: usize = 12;
/// KMS wraps 32 bytes in less than 200; the tail is read in one request.
pub(super) const WRAPPED_BYTES_MAX: usize = 2048;

/// Ties a stream to its plaintext.
pub(super) struct Binding {
    pub(super) sha256: [u8; DIGEST_BYTES],
    pub(super) size_bytes: u64,
    pub(super) aad_prefix: [u8; AAD_PREFIX_BYTES],
}

/// The footer as stored, not yet opened.
pub(super) struct Tail {
    object_size_bytes: u64,
    /// Of the object, where the store keeps versions: what is read later is of the same.
    pub(super) version: Option<String>,
    binding: Bytes,
    pub(super) wrapped_data_key: Bytes,
}

/// An object whose binding was checked.
pub(super) struct Opened {
    pub(super) binding: Binding,
    data_key: Key,
}

impl Opened {
    pub(super) fn opener(&self) -> Result<Ags1Opener> {
        Ags1Opener::new(&self.data_key, &self.binding.aad_prefix, self.binding.size_bytes)
    }
}

/// Length of a whole object.
pub(super) fn object_size_bytes(plain_bytes: u64, wrapped_bytes: usize) -> u64 {
    ags1::sealed_size_bytes(plain_bytes) + (BINDING_BYTES + wrapped_bytes + TRAILER_BYTES) as u64
}

pub(super) fn write(data_key: &Key, wrapped: &[u8], tenant: &TenantId, path: &str, binding: &Binding) -> Bytes {
    let mut plain = Vec::with_capacity(BINDING_BYTES);
    plain.extend_from_slice(&binding.sha256);
    plain.extend_from_slice(&binding.size_bytes.to_be_bytes());
    plain.extend_from_slice(&binding.aad_prefix);
    let sealed = cipher::seal(data_key, &binding_aad(tenant, path), &plain);

    let mut footer = BytesMut::with_capacity(BINDING_BYTES + wrapped.len() + TRAILER_BYTES);
    footer.extend_from_slice(&sealed);
    footer.extend_from_slice(wrapped);
    for length in [sealed.len(), wrapped.len()] {
        let length = u32::try_from(length).expect("both lengths are limited far below 4 GiB");
        footer.extend_from_slice(&length.to_le_bytes());
    }
    footer.extend_from_slice(MAGIC);
    footer.freeze()
}

/// Reads the end of an object: its length, then one range.
pub(super) async fn read(store: &dyn ObjectStore, location: &Path) -> Result<Tail> {
    let (object_size_bytes, version) = match store.head(location).await {
        Ok(found) => (found.size, found.version),
        Err(error @ object_store::Error::NotFound { .. }) => {
            let message = format!("raw object `{location}` is not in the lake");
            return Err(Error::new(ErrorKind::Input, message).with_source(error));
        }
        Err(error) => return Err(error.into()),
    };
    let tail_max = (BINDING_BYTES + WRAPPED_BYTES_MAX + TRAILER_BYTES) as u64;
    if object_size_bytes < object_size_bytes_min() {
        return Err(damaged(location, "too short"));
    }
    let start = object_size_bytes.saturating_sub(tail_max);
    let tail = get_range(store, location, version.as_deref(), start..object_size_bytes).await?;
    let tail = split(object_size_bytes, &tail).map(|tail| Tail { version, ..tail });
    tail.ok_or_else(|| damaged(location, "without its footer"))
}

/// Of the version that was opened: where a store does not hold to put-if-absent, another may lie there by now.
pub(super) async fn get_range(
    store: &dyn ObjectStore,
    location: &Path,
    version: Option<&str>,
    range: Range<u64>,
) -> object_store::Result<Bytes> {
    let Some(version) = version else { return store.get_range(location, range).await };
    let options = GetOptions { range: Some(range.into()), version: Some(version.to_owned()), ..GetOptions::default() };
    store.get_opts(location, options).await?.bytes().await
}

/// How much plaintext fits into an object of this length, wrapped by whichever service.
pub(super) fn plain_bytes_max(object_bytes_max: u64) -> u64 {
    let footer = (BINDING_BYTES + WRAPPED_BYTES_MAX + TRAILER_BYTES) as u64;
    ags1::plain_bytes_within(object_bytes_max.saturating_sub(footer))
}

fn object_size_bytes_min() -> u64 {
    object_size_bytes(0, 1)
}

fn split(object_size_bytes: u64, tail: &Bytes) -> Option<Tail> {
    let trailer_start = tail.len().checked_sub(TRAILER_BYTES)?;
    let trailer = &tail[trailer_start..];
    let length = |at: usize| Some(u32::from_le_bytes(*trailer[at..].first_chunk::<4>()?) as usize);
    let (binding_bytes, wrapped_bytes) = (length(0)?, length(4)?);
    if &trailer[8..] != MAGIC || binding_bytes != BINDING_BYTES || !(1..=WRAPPED_BYTES_MAX).contains(&wrapped_bytes) {
        return None;
    }
    let wrapped_start = trailer_start.checked_sub(wrapped_bytes)?;
    let binding_start = wrapped_start.checked_sub(binding_bytes)?;
    Some(Tail {
        object_size_bytes,
        version: None,
        binding: tail.slice(binding_start..wrapped_start),
        wrapped_data_key: tail.slice(wrapped_start..trailer_start),
    })
}

impl Tail {
    /// Checks that the footer was written for this tenant and path, and that the object has the length it says.
    pub(super) fn open(&self, data_key: &[u8], tenant: &TenantId, path: &str) -> Result<Opened> {
        let location = Path::from(path);
        let mut key = Key::default();
        if data_key.len() != KEY_BYTES {
            return Err(damaged(&location, "with a data key of another kind"));
        }
        key.copy_from_slice(data_key);
        let plain = cipher::open(&key, &binding_aad(tenant, path), &self.binding)
            .ok_or_else(|| damaged(&location, "altered, or belongs to another place"))?;
        let binding = Binding::parse(&plain).ok_or_else(|| damaged(&location, "bound in an unknown form"))?;
        if self.object_size_bytes != object_size_bytes_of(&binding, self.wrapped_data_key.len()) {
            return Err(damaged(&location, "cut or padded"));
        }
        Ok(Opened { binding, data_key: key })
    }
}

/// `u64::MAX` for a length that no stream has, which then equals no object's.
fn object_size_bytes_of(binding: &Binding, wrapped_bytes: usize) -> u64 {
    if binding.size_bytes > ags1::PLAIN_BYTES_MAX { u64::MAX } else { object_size_bytes(binding.size_bytes, wrapped_bytes) }
}

impl Binding {
    fn parse(plain: &[u8]) -> Option<Self> {
        let (sha256, rest) = plain.split_first_chunk::<DIGEST_BYTES>()?;
        let (size, rest) = rest.split_first_chunk::<8>()?;
        let aad_prefix = <[u8; AAD_PREFIX_BYTES]>::try_from(rest).ok()?;
        Some(Self { sha256: *sha256, size_bytes: u64::from_be_bytes(*size), aad_prefix })
    }
}

fn binding_aad(tenant: &TenantId, path: &str) -> Vec<u8> {
    cipher::fields(&[BINDING_AAD.as_bytes(), tenant.as_str().as_bytes(), path.as_bytes()])
}

pub(super) fn damaged(location: &Path, what: &str) -> Error {
    Error::new(ErrorKind::Damaged, format!("raw object `{location}` is {what}: restore it from a backup"))
}
