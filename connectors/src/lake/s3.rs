//! A lake in a bucket of S3: `s3://bucket/prefix`.
//! Promise: what lies under a tenant's folder is written under that tenant's own key at S3 as well, besides our own seals;
//! an object is whole or absent, and put-if-absent is what the store was seen to do, never what it says it does.
//! Never: a tenant's object is written before its key is known here; an answer is believed that a retry may have made.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bonded_schemas::TenantId;
use futures::{TryStreamExt, stream::BoxStream};
use object_store::{
    BackoffConfig, ClientOptions, CopyMode, CopyOptions, CredentialProvider, GetOptions, GetResult, HeaderValue, ListResult,
    MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    RetryConfig,
    aws::{AmazonS3, AmazonS3Builder, AwsCredential, Checksum, S3CopyIfNotExists},
    client::{HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector},
    path::Path,
    prefix::PrefixStore,
};
use tokio::sync::OnceCell;

use crate::{
    aws::{Account, Service},
    error::{Error, ErrorKind, Result},
    keys::KeyId,
};

use super::copy;

mod bucket;
mod honours;
mod retention;
mod setup;
#[cfg(test)]
pub(super) mod tests;
mod whose;

pub use honours::Honours;
pub use setup::{Aspect, Kept};
pub use whose::CatalogRecord;

/// One request, its body included.
const REQUEST_MAX: Duration = Duration::from_secs(60);
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Of one request: tries after the first, and the time in which they must begin.
const RETRIES_MAX: usize = 6;
const RETRY_FOR: Duration = Duration::from_secs(120);
/// Tenants whose open handles are kept; a handle is made again from the tenant's key.
const HANDLES_MAX: usize = 1000;
/// What S3 copies within itself in one request. A landed object is moved so to its place.
pub const OBJECT_BYTES_MAX: u64 = 5 << 30;

type Handle = Arc<PrefixStore<AmazonS3>>;

/// How the bucket is used, as set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Use {
    /// `https://host/bucket` instead of `https://bucket.host`.
    pub path_style: bool,
    /// Objects of a tenant are encrypted at S3 under the tenant's key. Needs keys that S3 knows.
    pub tenant_keys: bool,
    /// How long S3 keeps what is written once in compliance mode. Needs a bucket with Object Lock.
    pub retain: Option<Duration>,
}

/// The lake's part of a bucket, as an object store. Paths are relative to the prefix.
pub struct S3 {
    account: Account,
    place: Place,
    usage: Use,
    http: HttpClient,
    /// Reads, lists and deletes, and writes what is no tenant's.
    base: Handle,
    keys: Mutex<HashMap<TenantId, KeyId>>,
    handles: Mutex<HashMap<TenantId, Handle>>,
    honours: OnceCell<Honours>,
}

/// A bucket and what within it is the lake's.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    bucket: String,
    prefix: Path,
}

impl Place {
    fn parse(lake: &str) -> Result<Self> {
        let wrong = || {
            let message = format!("lake `{}` is not like s3://bucket/prefix", lake.escape_default());
            Error::new(ErrorKind::Setup, message)
        };
        let rest = lake.strip_prefix("s3://").ok_or_else(wrong)?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
        if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(fits) {
            return Err(wrong());
        }
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/');
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        if !prefix.bytes().all(is_plain) || prefix.starts_with('/') {
            return Err(wrong());
        }
        Ok(Self { bucket: bucket.to_owned(), prefix: Path::parse(prefix).map_err(|error| wrong().with_source(error))? })
    }

    fn url(&self) -> String {
        match self.prefix.as_ref() {
            "" => format!("s3://{}", self.bucket),
            prefix => format!("s3://{}/{prefix}", self.bucket),
        }
    }
}

/// Whether a lake lies in a bucket.
pub fn is_s3(lake: &str) -> bool {
    lake.starts_with("s3://")
}

impl S3 {
    /// Asks the bucket for nothing yet.
    ///
    /// # Errors
    /// `Setup` when the URL is none of a bucket.
    pub fn open(lake: &str, account: Account, usage: Use) -> Result<Self> {
        let place = Place::parse(lake)?;
        let options = ClientOptions::new()
            .with_timeout(REQUEST_MAX)
            .with_connect_timeout(CONNECT_MAX)
            .with_allow_http(account.is_plain(Service::S3));
        let http = HttpClient::new(Measured(ReqwestConnector::default().connect(&options)?));
        let base = handle(&account, &place, usage, &http, None)?;
        let (keys, handles, honours) = (Mutex::default(), Mutex::default(), OnceCell::new());
        Ok(Self { account, place, usage, http, base, keys, handles, honours })
    }

    /// The URL that paths are relative to, without a slash at its end.
    pub fn root(&self) -> String {
        self.place.url()
    }

    /// As what every other lake is to those who read and write: with the root that its tables name objects by, which is
    /// another one where the lake was restored.
    pub async fn opened(self: Arc<Self>) -> Result<super::OpenStore> {
        let root = self.recorded_root().await?.unwrap_or_else(|| self.root());
        Ok((self, root))
    }

    /// The root that a restored lake had before.
    pub async fn recorded_root(&self) -> Result<Option<String>> {
        copy::recorded_root_in(self.base.as_ref(), &format!("{}/{}", self.root(), copy::ROOT_FILE)).await
    }

    /// Begins a restored lake, which had this root elsewhere.
    pub async fn record_root(&self, root: &str) -> Result<()> {
        copy::record(self, copy::ROOT_FILE, root).await
    }

    /// Which restore was finished here, if one was.
    pub async fn restored(&self) -> Result<Option<String>> {
        let found = copy::recorded(self.base.as_ref(), copy::RESTORED_FILE).await?;
        Ok(found.map(|line| line.trim_end_matches('\n').to_owned()))
    }

    /// That this one is finished.
    ///
    /// # Errors
    /// `Refused` when another one was finished here meanwhile.
    pub async fn record_restored(&self, restore: &str) -> Result<()> {
        let Err(error) = copy::record(self, copy::RESTORED_FILE, restore).await else { return Ok(()) };
        match self.restored().await? {
            // Written by a request whose answer was lost.
            Some(found) if found == restore => Ok(()),
            Some(_) => {
                let message = format!("another restore was finished in {} meanwhile; restore into another prefix", self.root());
                Err(Error::new(ErrorKind::Refused, message).with_source(error))
            }
            None => Err(error),
        }
    }

    /// Whether nothing lies under the prefix.
    pub async fn is_empty(&self) -> Result<bool> {
        Ok(self.base.list(None).try_next().await?.is_none())
    }

    /// From here on, what is written under the tenant's folder is encrypted under this key.
    pub fn assign(&self, tenant: &TenantId, key: &KeyId) {
        let before = lock(&self.keys).insert(tenant.clone(), key.clone());
        if before.is_some_and(|before| before != *key) {
            lock(&self.handles).remove(tenant);
        }
    }

    /// What of put-if-absent the store does. Seen once a process, before the first write.
    pub async fn honours(&self) -> Result<Honours> {
        self.honours.get_or_try_init(|| honours::probe(self.base.as_ref())).await.copied()
    }

    /// Who writes there.
    fn writer(&self, location: &Path) -> object_store::Result<Handle> {
        let Some(tenant) = self.usage.tenant_keys.then(|| tenant_of(location)).flatten() else { return Ok(self.base.clone()) };
        if let Some(handle) = lock(&self.handles).get(&tenant) {
            return Ok(handle.clone());
        }
        let key = lock(&self.keys).get(&tenant).cloned().ok_or_else(|| object_store::Error::Generic {
            store: "S3",
            source: format!("{location} cannot be written before the key of tenant {tenant} is known").into(),
        })?;
        let made = handle(&self.account, &self.place, self.usage, &self.http, Some(&key))?;
        let mut handles = lock(&self.handles);
        if handles.len() >= HANDLES_MAX {
            handles.clear();
        }
        handles.insert(tenant, made.clone());
        Ok(made)
    }

    /// An answer of "there already" also comes of two writers at once, of whom the other may have failed.
    async fn or_lost<T>(&self, location: &Path, done: object_store::Result<T>) -> object_store::Result<T> {
        match done {
            Err(error @ object_store::Error::AlreadyExists { .. }) => match self.base.head(location).await {
                Ok(_) => Err(error),
                Err(_) => Err(object_store::Error::Generic { store: "S3", source: Box::new(error) }),
            },
            done => done,
        }
    }

    /// What is there already may be there without its retention: whoever wrote it may have died before it.
    async fn or_kept<T>(&self, location: &Path, done: object_store::Result<T>) -> object_store::Result<T> {
        if let Err(object_store::Error::AlreadyExists { .. }) = &done {
            self.keep(location).await.map_err(generic)?;
        }
        done
    }

    /// For a store that does not look itself. Between the look and the write another may come; see [`Honours`].
    async fn is_absent(&self, location: &Path) -> object_store::Result<()> {
        match self.base.head(location).await {
            Ok(_) => Err(object_store::Error::AlreadyExists {
                path: location.to_string(),
                source: "seen before it was written".into(),
            }),
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn seen(&self) -> object_store::Result<Honours> {
        self.honours().await.map_err(generic)
    }
}

fn generic(error: Error) -> object_store::Error {
    object_store::Error::Generic { store: "S3", source: Box::new(error) }
}

/// `tenants/<tenant>/...`
fn tenant_of(location: &Path) -> Option<TenantId> {
    location.as_ref().strip_prefix("tenants/")?.split('/').next()?.parse().ok()
}

/// An open bucket, with the tenant's key where one is given. All share one pool of connections and one set of credentials.
fn handle(account: &Account, place: &Place, usage: Use, http: &HttpClient, key: Option<&KeyId>) -> object_store::Result<Handle> {
    let mut builder = AmazonS3Builder::new()
        .with_region(account.reach().region.as_str())
        .with_bucket_name(place.bucket.as_str())
        .with_virtual_hosted_style_request(!usage.path_style)
        .with_allow_http(account.is_plain(Service::S3))
        .with_credentials(Arc::new(Chain(account.clone())))
        .with_checksum_algorithm(Checksum::SHA256)
        .with_copy_if_not_exists(S3CopyIfNotExists::Multipart)
        .with_retry(RetryConfig { backoff: BackoffConfig::default(), max_retries: RETRIES_MAX, retry_timeout: RETRY_FOR })
        .with_http_connector(Shared(http.clone()));
    if account.reach().endpoint(Service::S3).is_some() {
        let endpoint = bucket::endpoint(account, &place.bucket, usage.path_style)?;
        builder = builder.with_endpoint(endpoint);
    }
    if let Some(key) = key {
        // Whether S3 keeps a data key of its own for a while (a bucket key) is the bucket's to say: then S3 names the bucket to
        // the key service and not the object, and the key's policy must know of it.
        builder = builder.with_sse_kms_encryption(key.0.as_str());
    }
    Ok(Arc::new(PrefixStore::new(builder.build()?, place.prefix.clone())))
}

/// The chain's credentials in object_store's form.
struct Chain(Account);

#[async_trait]
impl CredentialProvider for Chain {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let found = self.0.credentials().await;
        let found =
            found.map_err(|error| object_store::Error::Unauthenticated { path: String::new(), source: Box::new(error) })?;
        Ok(Arc::new(AwsCredential {
            key_id: found.access_key_id().to_owned(),
            secret_key: found.secret_access_key().to_owned(),
            token: found.session_token().map(ToOwned::to_owned),
        }))
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Chain")
    }
}

/// Says of a copy that it sends nothing: S3 takes that for granted, Ceph answers 411.
struct Measured(HttpClient);

#[async_trait]
impl HttpService for Measured {
    async fn call(&self, mut request: HttpRequest) -> std::result::Result<HttpResponse, HttpError> {
        if request.headers().contains_key("x-amz-copy-source") {
            request.headers_mut().insert("content-length", HeaderValue::from_static("0"));
        }
        self.0.execute(request).await
    }
}

impl fmt::Debug for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Measured")
    }
}

/// One pool of connections for all handles.
struct Shared(HttpClient);

impl HttpConnector for Shared {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(self.0.clone())
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}

#[async_trait]
impl ObjectStore for S3 {
    async fn put_opts(&self, location: &Path, payload: PutPayload, mut options: PutOptions) -> object_store::Result<PutResult> {
        let writer = self.writer(location)?;
        if options.mode != PutMode::Create {
            return writer.put_opts(location, payload, options).await;
        }
        let put = async {
            if !self.seen().await?.put {
                self.is_absent(location).await?;
                options.mode = PutMode::Overwrite;
            }
            let done = writer.put_opts(location, payload, options).await;
            self.or_lost(location, done).await
        };
        let put = self.or_kept(location, put.await).await?;
        self.retain(location, put.version.as_deref()).await.map_err(generic)?;
        Ok(put)
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.writer(location)?.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        self.base.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.base.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.base.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.base.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, mut options: CopyOptions) -> object_store::Result<()> {
        let writer = self.writer(to)?;
        if options.mode != CopyMode::Create {
            return writer.copy_opts(from, to, options).await;
        }
        let copied = async {
            if !self.seen().await?.copy {
                self.is_absent(to).await?;
                options.mode = CopyMode::Overwrite;
            }
            let done = writer.copy_opts(from, to, options).await;
            self.or_lost(to, done).await
        };
        self.or_kept(to, copied.await).await?;
        self.retain(to, None).await.map_err(generic)
    }
}

/// Each is changed by one statement, so a poisoned lock is as good as a clean one.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S3({})", self.place.url())
    }
}

impl fmt::Display for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S3({})", self.place.url())
    }
}
