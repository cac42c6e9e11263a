//! One pass over received bytes: digest, seal, hand to the upload.
//! Promise: a byte is copied once, from the source into the block that is sealed where it lies.
//! Never: more is read than the limit allows, by more than one block.

use bonded_schemas::TenantId;
use ring::digest;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::{
    DIGEST_OF, Landed, folder,
    footer::{self, AAD_PREFIX_BYTES, Binding, WRAPPED_BYTES_MAX},
    publish::Upload,
};
use crate::{
    error::{Error, ErrorKind, Result},
    seal::{
        Ags1Sealer, NameKey,
        cipher::{self, Key},
    },
};

/// A data key made here, and what the key service made of it.
pub(super) struct WrappedKey {
    plain: Key,
    pub(super) wrapped: Vec<u8>,
}

impl WrappedKey {
    pub(super) fn new(plain: Key, wrapped: Vec<u8>) -> Result<Self> {
        if (1..=WRAPPED_BYTES_MAX).contains(&wrapped.len()) {
            return Ok(Self { plain, wrapped });
        }
        let message = format!("key service wraps a data key in {} bytes, at most {WRAPPED_BYTES_MAX} are kept", wrapped.len());
        Err(Error::new(ErrorKind::Setup, message))
    }
}

/// Seals the source and its footer into the upload. The object is not yet at its place.
pub(super) async fn seal_into(
    upload: &mut Upload<'_>,
    key: &WrappedKey,
    names: &NameKey,
    tenant: &TenantId,
    source: &mut (dyn AsyncRead + Send + Unpin),
    size_bytes_max: u64,
) -> Result<Landed> {
    let aad_prefix = cipher::random_bytes::<AAD_PREFIX_BYTES>();
    let mut sealer = Ags1Sealer::new(&key.plain, &aad_prefix);
    let mut digest = digest::Context::new(&digest::SHA256);
    let mut size_bytes = 0_u64;
    loop {
        let read = source.read(sealer.space()).await.map_err(|error| {
            Error::new(ErrorKind::Input, format!("source cannot be read past byte {size_bytes}: send it again"))
                .with_source(error)
        })?;
        if read == 0 {
            break;
        }
        size_bytes += read as u64;
        if size_bytes > size_bytes_max {
            let message = format!("source has more than {size_bytes_max} bytes: raise the limit in settings, or split it");
            return Err(Error::new(ErrorKind::Input, message));
        }
        digest.update(&sealer.space()[..read]);
        if let Some(sealed) = sealer.advance(read)? {
            upload.put(sealed).await?;
        }
    }
    if let Some(sealed) = sealer.finish()? {
        upload.put(sealed).await?;
    }
    let sha256: [u8; 32] = digest.finish().as_ref().try_into().expect("SHA-256 has 32 bytes");
    let keyed_digest = names.keyed_digest(DIGEST_OF, &sha256);
    let path = format!("{}/{keyed_digest}", folder(tenant));
    let binding = Binding { sha256, size_bytes, aad_prefix };
    upload.put(footer::write(&key.plain, &key.wrapped, tenant, &path, &binding)).await?;
    Ok(Landed { sha256: cipher::hex(&sha256), keyed_digest, size_bytes, path, already: false })
}
