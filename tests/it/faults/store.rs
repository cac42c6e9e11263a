//! The object store's failing double, over a real one.

use std::{fmt, io, sync::Arc};

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart, path::Path,
};

use super::{Fault, Kind, Life};

#[derive(Debug)]
pub struct FaultyStore {
    pub inner: Arc<dyn ObjectStore>,
    pub life: Arc<Life>,
}

fn failed(error: io::Error) -> object_store::Error {
    object_store::Error::Generic { store: "faulty", source: Box::new(error) }
}

/// `put .parquet`, `get raw`: which door of the straight line this is.
fn name(what: &str, location: &Path) -> String {
    let path = location.as_ref();
    let of = ["staging", ".note", ".parquet", ".metadata.json", "-m.avro", "snap-", "/raw/"];
    format!("{what} {}", of.into_iter().find(|part| path.contains(part)).unwrap_or("?"))
}

/// What several tasks of one worker may ask for at once cannot wait for the worker's turn.
fn in_line(location: &Path) -> bool {
    !location.as_ref().ends_with(".parquet")
}

impl FaultyStore {
    async fn at<T>(&self, door: &str, in_line: bool, effect: impl Future<Output = Result<T>>) -> Result<T> {
        let fault = self.life.enter(door, Kind::Other, in_line).await.map_err(failed)?;
        let done = effect.await;
        self.life.leave(door, fault).await.map_err(failed)?;
        done
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let door = name("put", location);
        let fault = self.life.enter(&door, Kind::Put, in_line(location)).await.map_err(failed)?;
        if fault == Some(Fault::Partial) {
            let whole: Vec<u8> = payload.iter().flat_map(|part| part.to_vec()).collect();
            self.inner.put_opts(location, whole[..whole.len() / 2].to_vec().into(), options).await?;
            return Err(failed(io::Error::other("half of it was written, as the test asked")));
        }
        let done = self.inner.put_opts(location, payload, options).await;
        self.life.leave(&door, fault).await.map_err(failed)?;
        done
    }

    async fn put_multipart_opts(&self, location: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let begun =
            self.at(&name("upload", location), in_line(location), self.inner.put_multipart_opts(location, options)).await?;
        Ok(Box::new(FaultyUpload { inner: begun, life: self.life.clone(), location: location.clone() }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let head = options.head;
        let door = name(if head { "head" } else { "get" }, location);
        // The raw reader fetches ahead beside the parser.
        let in_line = head || !location.as_ref().contains("/raw/");
        let fault = self.life.enter(&door, Kind::Get, in_line && self::in_line(location)).await.map_err(failed)?;
        if fault == Some(Fault::Stale) {
            let source = io::Error::from(io::ErrorKind::NotFound).into();
            return Err(object_store::Error::NotFound { path: location.to_string(), source });
        }
        let done = self.inner.get_opts(location, options).await;
        self.life.leave(&door, fault).await.map_err(failed)?;
        let mut done = done?;
        if fault == Some(Fault::Partial) && !head {
            let GetResult { meta, range, attributes, .. } = done;
            let half = self.inner.get_range(location, range.start..range.start + (range.end - range.start) / 2).await?;
            let broken = failed(io::Error::other("half of it was read, as the test asked"));
            let stream = stream::iter([Ok(half), Err(broken)]).boxed();
            done = GetResult { payload: GetResultPayload::Stream(stream), meta, range, attributes };
        }
        Ok(done)
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let (inner, life) = (self.inner.clone(), self.life.clone());
        let deleted = locations.then(move |location| {
            let (inner, life) = (inner.clone(), life.clone());
            async move {
                let location = location?;
                let door = name("delete", &location);
                let fault = life.enter(&door, Kind::Other, in_line(&location)).await.map_err(failed)?;
                let done = inner.delete_stream(stream::iter([Ok(location)]).boxed()).try_collect::<Vec<_>>().await;
                life.leave(&door, fault).await.map_err(failed)?;
                Ok::<_, object_store::Error>(stream::iter(done?.into_iter().map(Ok)))
            }
        });
        deleted.try_flatten().boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (inner, life, prefix) = (self.inner.clone(), self.life.clone(), prefix.cloned());
        let listed = async move {
            let fault = life.enter("list", Kind::Other, true).await.map_err(failed)?;
            life.leave("list", fault).await.map_err(failed)?;
            Ok::<_, object_store::Error>(inner.list(prefix.as_ref()))
        };
        stream::once(listed).try_flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.at("list", true, self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.at(&name("copy", to), true, self.inner.copy_opts(from, to, options)).await
    }
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultyStore({})", self.inner)
    }
}

#[derive(Debug)]
struct FaultyUpload {
    inner: Box<dyn MultipartUpload>,
    life: Arc<Life>,
    location: Path,
}

#[async_trait]
impl MultipartUpload for FaultyUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (life, door) = (self.life.clone(), name("part", &self.location));
        let part = self.inner.put_part(data);
        Box::pin(async move {
            let fault = life.enter(&door, Kind::Other, false).await.map_err(failed)?;
            let done = part.await;
            life.leave(&door, fault).await.map_err(failed)?;
            done
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let door = name("complete", &self.location);
        let fault = self.life.enter(&door, Kind::Other, in_line(&self.location)).await.map_err(failed)?;
        let done = self.inner.complete().await;
        self.life.leave(&door, fault).await.map_err(failed)?;
        done
    }

    async fn abort(&mut self) -> Result<()> {
        let door = name("abort", &self.location);
        let fault = self.life.enter(&door, Kind::Other, in_line(&self.location)).await.map_err(failed)?;
        let done = self.inner.abort().await;
        self.life.leave(&door, fault).await.map_err(failed)?;
        done
    }
}
