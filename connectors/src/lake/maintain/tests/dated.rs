//! A store whose clock the test sets, and that lets something happen between a listing and what follows it.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream, stream::BoxStream};
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions,
    PutPayload, PutResult, Result, path::Path,
};

#[derive(Clone)]
pub struct Dated {
    inner: Arc<dyn ObjectStore>,
    state: Arc<Mutex<State>>,
}

struct State {
    now: DateTime<Utc>,
    dates: HashMap<Path, DateTime<Utc>>,
    after_listing: Option<BoxFuture<'static, ()>>,
}

impl Dated {
    pub fn new(inner: Arc<dyn ObjectStore>, now: DateTime<Utc>) -> Self {
        Self { inner, state: Arc::new(Mutex::new(State { now, dates: HashMap::new(), after_listing: None })) }
    }

    pub fn pass(&self, hours: i64) {
        self.lock().now += TimeDelta::hours(hours);
    }

    /// Runs once, when the next listing has given its last object.
    pub fn after_listing(&self, then: impl Future<Output = ()> + Send + 'static) {
        self.lock().after_listing = Some(then.boxed());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while holding it")
    }

    fn date(&self, path: &Path) {
        let mut state = self.lock();
        let now = state.now;
        state.dates.insert(path.clone(), now);
    }

    fn dated(&self, mut meta: ObjectMeta) -> ObjectMeta {
        if let Some(date) = self.lock().dates.get(&meta.location) {
            meta.last_modified = *date;
        }
        meta
    }
}

impl fmt::Debug for Dated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dated")
    }
}

impl fmt::Display for Dated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("dated store")
    }
}

#[async_trait]
impl ObjectStore for Dated {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let put = self.inner.put_opts(location, payload, options).await?;
        self.date(location);
        Ok(put)
    }

    async fn put_multipart_opts(&self, location: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.date(location);
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let mut got = self.inner.get_opts(location, options).await?;
        got.meta = self.dated(got.meta);
        Ok(got)
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (dates, then) = (self.clone(), self.clone());
        let listed = self.inner.list(prefix).map(move |found| found.map(|meta| dates.dated(meta)));
        let afterwards = stream::once(async move {
            let hook = then.lock().after_listing.take();
            if let Some(hook) = hook {
                hook.await;
            }
        });
        listed.chain(afterwards.filter_map(|()| async { None })).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await?;
        self.date(to);
        Ok(())
    }
}
