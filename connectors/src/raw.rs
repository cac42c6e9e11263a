//! The raw zone: every received byte, sealed, under a name that tells nothing; all else can be rebuilt from it.
//! Promise: bytes are landed once and whole, bound to tenant, place and digest; the same bytes again change nothing.
//! Never: no update, no delete of a landed object; no plaintext, no bare digest and no file name on storage.

use std::{fmt, sync::Arc};

use bonded_schemas::{TenantId, TenantScope};
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, path::Path};
use tokio::io::AsyncRead;
use zeroize::Zeroizing;

use crate::{
    error::{Error, ErrorKind, Result},
    keys::{EncryptionContext, KeyId, Keys},
    lake::S3,
    seal::{DocumentKey, NameKey, cipher},
};

mod copy;
mod footer;
mod papers;
mod pieces;
mod publish;
mod reader;
mod sealing;
mod staging;
#[cfg(test)]
mod tests;

pub use pieces::Pieced;
pub use reader::RawReader;
pub use staging::StagingSwept;

/// Purpose in the encryption context of a raw object's data key.
const PURPOSE: &str = "raw";
/// Separates the names of raw objects from other keyed digests.
const DIGEST_OF: &str = "raw";
const NOTE_SUFFIX: &str = ".note";
const NOTE_CONTEXT: &str = "bonded-raw-note-v1";
/// A note says where a file came from: some lines of JSON.
const NOTE_BYTES_MAX: usize = 1024 * 1024;

/// Received bytes of all tenants, in one object store.
#[derive(Clone)]
pub struct RawZone {
    store: Arc<dyn ObjectStore>,
    keys: Arc<dyn Keys>,
    kind: StoreKind,
    /// What keeps objects whoever asks, where the store is one that can.
    bucket: Option<Arc<S3>>,
}

/// What the zone must know of its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct StoreKind {
    /// A put shows an object whole and durable, or not at all, so that small ones need no staging.
    whole_puts: bool,
    /// Of one object.
    object_bytes_max: u64,
}

impl StoreKind {
    /// Files on a disk: a name may outlive a power cut that its content does not.
    const FILES: Self = Self { whole_puts: false, object_bytes_max: u64::MAX };
    const S3: Self = Self { whole_puts: true, object_bytes_max: crate::lake::OBJECT_BYTES_MAX };
}

/// What landing made of some bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Landed {
    /// Of the received bytes, lower-case hex. Not for places that are stored in the clear.
    pub sha256: String,
    /// `names.keyed_digest("raw", sha256)`: the object's name and the delivery's name in the clear.
    pub keyed_digest: String,
    pub size_bytes: u64,
    /// In the store: `tenants/<tenant>/raw/<keyed digest>`.
    pub path: String,
    /// The same bytes lay there before; nothing was written.
    pub already: bool,
}

/// What a raw object was found to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    pub sha256: String,
    pub keyed_digest: String,
    pub size_bytes: u64,
}

impl RawZone {
    /// Paths are relative to the root of `store`, which is the lake root.
    pub fn new(store: Arc<dyn ObjectStore>, keys: Arc<dyn Keys>) -> Self {
        Self { store, keys, kind: StoreKind::FILES, bucket: None }
    }

    /// The same where the store is a bucket.
    pub fn in_bucket(self, bucket: Option<Arc<S3>>) -> Self {
        let kind = if bucket.is_some() { StoreKind::S3 } else { StoreKind::FILES };
        Self { kind, bucket, ..self }
    }

    /// For what is kept beside it by the same means.
    pub(crate) fn objects(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// Reads `source` once to its end: digest, seal, store. One call to the key service, before the first byte, so
    /// that a key that may not be used is told at once. Memory is bounded, whatever the size.
    ///
    /// # Errors
    /// `Input` when there are more than `size_bytes_max` bytes or the source fails; `Refused` when the key may not be
    /// used; `Damaged` when the object that lies there already is cut. Whatever fails, nothing new stays behind.
    pub async fn land(
        &self,
        scope: &TenantScope,
        key: &KeyId,
        names: &NameKey,
        source: &mut (dyn AsyncRead + Send + Unpin),
        size_bytes_max: u64,
    ) -> Result<Landed> {
        let data_key = self.wrapped_data_key(scope, key).await?;
        let staging = staging_path(scope.tenant());
        let mut upload = publish::Upload::begin(self.store.as_ref(), &staging).await?;
        let plain_bytes_max = size_bytes_max.min(footer::plain_bytes_max(self.kind.object_bytes_max));
        let sealed = sealing::seal_into(&mut upload, &data_key, names, scope.tenant(), source, plain_bytes_max).await;
        let mut landed = match sealed {
            Ok(landed) => landed,
            Err(error) => return Err(upload.abandon(error).await),
        };
        let path = Path::from(landed.path.as_str());
        match self.stored_size(&path).await {
            Ok(None) => {
                upload.finish().await?;
                landed.already = !self.publish(&staging, &path).await?;
            }
            Ok(Some(stored)) => {
                upload.discard().await;
                // Another length is a cut object, or one whose data key was wrapped by another service: look closer.
                if stored != footer::object_size_bytes(landed.size_bytes, data_key.wrapped.len()) {
                    self.confirm(scope, key, &landed).await?;
                }
                // Whoever landed it may have died before its retention.
                if let Some(bucket) = &self.bucket {
                    bucket.keep(&path).await?;
                }
                landed.already = true;
            }
            Err(error) => return Err(upload.abandon(error).await),
        }
        Ok(landed)
    }

    /// Opens a landed object: one call to the key service; its binding to tenant and path is checked before any byte
    /// is given out, its length and digest after the last one.
    ///
    /// # Errors
    /// `Refused` when the path is not the scope's tenant's or the key may not be used; `Input` when nothing lies
    /// there; `Damaged` when what lies there is not what was landed there.
    pub async fn open(&self, scope: &TenantScope, key: &KeyId, path: &str) -> Result<RawReader> {
        let location = object_path(scope.tenant(), path)?;
        let tail = footer::read(self.store.as_ref(), &location).await?;
        let context = EncryptionContext::new(scope.tenant(), PURPOSE);
        let data_key = self
            .keys
            .decrypt(key, &tail.wrapped_data_key, &context)
            .await
            .map_err(|error| Error::new(error.kind(), format!("raw object `{path}` does not open")).with_source(error))?;
        let opened = tail.open(&data_key, scope.tenant(), path)?;
        Ok(RawReader::new(self.store.clone(), location, tail.version, opened))
    }

    /// Seals a provenance note beside the object. The first note stays; says whether this one was written.
    ///
    /// # Errors
    /// `Refused` for another tenant's path; `Input` when the note is larger than 1 MiB.
    pub async fn put_note(&self, scope: &TenantScope, documents: &DocumentKey, path: &str, json: &[u8]) -> Result<bool> {
        let note = note_path(scope.tenant(), path)?;
        if json.len() > NOTE_BYTES_MAX {
            let message = format!("note of raw object `{path}` has {} bytes, at most {NOTE_BYTES_MAX} are kept", json.len());
            return Err(Error::new(ErrorKind::Input, message));
        }
        let sealed = documents.seal(&note_context(scope.tenant(), path), json);
        self.put_if_absent(scope.tenant(), &note, PutPayload::from(sealed)).await
    }

    /// The note beside an object, or none.
    ///
    /// # Errors
    /// `Refused` for another tenant's path; `Damaged` when the note is not what was written for this object.
    pub async fn note(&self, scope: &TenantScope, documents: &DocumentKey, path: &str) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let note = note_path(scope.tenant(), path)?;
        let sealed = match self.store.get(&note).await {
            Ok(found) => found.bytes().await?,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        documents.open(&note_context(scope.tenant(), path), &sealed).map(Some)
    }

    /// Whether an object was landed at this path.
    ///
    /// # Errors
    /// `Refused` for another tenant's path.
    pub async fn exists(&self, scope: &TenantScope, path: &str) -> Result<bool> {
        Ok(self.stored_size(&object_path(scope.tenant(), path)?).await?.is_some())
    }

    /// Paths of the tenant's landed objects, in no order; notes and staging left out.
    pub fn list(&self, scope: &TenantScope) -> BoxStream<'static, Result<String>> {
        let tenant = scope.tenant().clone();
        let folder = Path::from(folder(&tenant));
        let listed = self.store.list(Some(&folder)).map_err(Error::from);
        let objects = listed.try_filter_map(move |found| {
            let path = found.location.to_string();
            let object = object_path(&tenant, &path).is_ok().then_some(path);
            async move { Ok(object) }
        });
        objects.boxed()
    }

    /// Reads an object to its end, and holds it against the names it goes by: digest of the bytes, name in the zone.
    /// `whole: false` opens its footer alone.
    ///
    /// # Errors
    /// As [`RawZone::open`] and [`RawReader::next_chunk`]; `Damaged` when it holds other bytes than its name says.
    pub async fn check(&self, scope: &TenantScope, key: &KeyId, names: &NameKey, path: &str, whole: bool) -> Result<Checked> {
        let mut reader = self.open(scope, key, path).await?;
        let sha256 = reader.sha256_bytes();
        let keyed_digest = names.keyed_digest(DIGEST_OF, &sha256);
        let other = || Error::new(ErrorKind::Damaged, format!("raw object `{path}` does not hold the bytes that it is named by"));
        if path.rsplit('/').next() != Some(keyed_digest.as_str()) {
            return Err(other());
        }
        if whole {
            let mut digest = ring::digest::Context::new(&ring::digest::SHA256);
            while let Some(chunk) = reader.next_chunk().await? {
                digest.update(&chunk);
            }
            if digest.finish().as_ref() != sha256 {
                return Err(other());
            }
        }
        Ok(Checked { sha256: reader.sha256(), keyed_digest, size_bytes: reader.size_bytes() })
    }

    async fn wrapped_data_key(&self, scope: &TenantScope, key: &KeyId) -> Result<sealing::WrappedKey> {
        let plain = cipher::random_key();
        let context = EncryptionContext::new(scope.tenant(), PURPOSE);
        let wrapped = self.keys.encrypt(key, plain.as_ref(), &context).await?;
        sealing::WrappedKey::new(plain, wrapped)
    }

    /// That an object of unexpected length holds the very bytes that were about to be landed.
    async fn confirm(&self, scope: &TenantScope, key: &KeyId, landed: &Landed) -> Result<()> {
        let stored = self.open(scope, key, &landed.path).await?;
        if stored.size_bytes() == landed.size_bytes && stored.sha256() == landed.sha256 {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Damaged, format!("raw object `{}` does not hold the bytes that it is named by", landed.path)))
    }
}

fn folder(tenant: &TenantId) -> String {
    format!("tenants/{tenant}/raw")
}

fn staging_path(tenant: &TenantId) -> Path {
    Path::from(format!("{}/staging/{}", folder(tenant), uuid::Uuid::new_v4()))
}

/// The one form of a landed object's path; anything else is refused before the store is asked.
fn object_path(tenant: &TenantId, path: &str) -> Result<Path> {
    let Some(name) = path.strip_prefix(&folder(tenant)).and_then(|rest| rest.strip_prefix('/')) else {
        let message = format!("raw object `{}` is not tenant `{tenant}`'s", path.escape_default());
        return Err(Error::new(ErrorKind::Refused, message));
    };
    let is_digest = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if is_digest {
        Ok(Path::from(path))
    } else {
        let message = format!("`{}` is not the path of a raw object", path.escape_default());
        Err(Error::new(ErrorKind::Input, message))
    }
}

fn note_path(tenant: &TenantId, path: &str) -> Result<Path> {
    object_path(tenant, path).map(|path| Path::from(format!("{path}{NOTE_SUFFIX}")))
}

fn note_context<'a>(tenant: &'a TenantId, path: &'a str) -> [&'a str; 3] {
    [NOTE_CONTEXT, tenant.as_str(), path]
}

impl fmt::Debug for RawZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawZone").field("store", &self.store.to_string()).finish_non_exhaustive()
    }
}
