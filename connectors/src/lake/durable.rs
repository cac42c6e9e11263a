//! A local file system that has said so only when it is so: what it answers for survives a power cut.
//! Promise: a put or a finished upload is on the disk, content and name; a copy's name is; what it says is there, its
//! name included, will be there. `object_store` syncs nothing by itself, and the ledger believes what it is told.
//! Never: a failed sync is not passed over; the disk may have dropped what it could not write.

use std::{
    collections::HashSet,
    fmt,
    fs::File,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions,
    PutPayload, PutResult, Result, UploadPart, local::LocalFileSystem, path::Path,
};

pub struct Durable {
    inner: LocalFileSystem,
    disk: Disk,
}

impl Durable {
    /// `root` is the folder that the store's paths are relative to.
    pub fn new(inner: LocalFileSystem, root: PathBuf) -> Self {
        Self { inner, disk: Disk { root, settled: Arc::default() } }
    }
}

/// What must be told to sync.
#[derive(Clone)]
struct Disk {
    root: PathBuf,
    /// Folders whose own names were synced by this process, up to the root: they are not made twice.
    settled: Arc<Mutex<HashSet<String>>>,
}

impl Disk {
    /// An object's content, then its name.
    async fn sync(&self, location: &Path) -> Result<()> {
        let file = self.root.join(location.as_ref());
        self.blocking(location, move |disk, location| {
            File::open(file)?.sync_all()?;
            disk.settle(location)
        })
        .await
    }

    /// An object's name, and those of the folders above it, which may be new.
    async fn sync_name(&self, location: &Path) -> Result<()> {
        self.blocking(location, Disk::settle).await
    }

    fn settle(&self, location: &Path) -> io::Result<()> {
        let parts: Vec<_> = location.parts().map(|part| part.as_ref().to_owned()).collect();
        for depth in (0..parts.len()).rev() {
            let folder = parts[..depth].join("/");
            File::open(self.root.join(&folder))?.sync_all()?;
            // A poisoned set is as good as a clean one: an entry is made after its sync.
            if !self.settled.lock().unwrap_or_else(PoisonError::into_inner).insert(folder) {
                break;
            }
        }
        Ok(())
    }

    async fn blocking(&self, location: &Path, work: impl FnOnce(&Self, &Path) -> io::Result<()> + Send + 'static) -> Result<()> {
        let (disk, path) = (self.clone(), location.clone());
        let done = tokio::task::spawn_blocking(move || work(&disk, &path)).await.map_err(io::Error::other).flatten();
        done.map_err(|source| {
            let unsynced = Unsynced { location: location.clone(), source };
            object_store::Error::Generic { store: "disk", source: Box::new(unsynced) }
        })
    }
}

#[derive(Debug)]
struct Unsynced {
    location: Path,
    source: io::Error,
}

impl fmt::Display for Unsynced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot be synced: {}", self.location, self.source)
    }
}

impl std::error::Error for Unsynced {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

#[async_trait]
impl ObjectStore for Durable {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let put = self.inner.put_opts(location, payload, options).await?;
        self.disk.sync(location).await?;
        Ok(put)
    }

    async fn put_multipart_opts(&self, location: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let inner = self.inner.put_multipart_opts(location, options).await?;
        Ok(Box::new(Upload { inner, disk: self.disk.clone(), location: location.clone(), has_its_name: false }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let asks_whether_it_is_there = options.head;
        let found = self.inner.get_opts(location, options).await?;
        if asks_whether_it_is_there {
            // Whoever made it may have died before its name was synced.
            self.disk.sync_name(location).await?;
        }
        Ok(found)
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    /// The source's content was synced when it was put.
    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let copied = self.inner.copy_opts(from, to, options).await;
        if matches!(copied, Ok(()) | Err(object_store::Error::AlreadyExists { .. })) {
            self.disk.sync_name(to).await?;
        }
        copied
    }
}

struct Upload {
    inner: Box<dyn MultipartUpload>,
    disk: Disk,
    location: Path,
    /// It was completed, but perhaps not synced.
    has_its_name: bool,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.inner.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let put = self.inner.complete().await?;
        self.has_its_name = true;
        self.disk.sync(&self.location).await?;
        Ok(put)
    }

    /// Also of an upload whose sync failed, as `WriteMultipart` asks: it is taken away again.
    async fn abort(&mut self) -> Result<()> {
        if !self.has_its_name {
            return self.inner.abort().await;
        }
        let removed =
            self.disk.blocking(&self.location, |disk, location| std::fs::remove_file(disk.root.join(location.as_ref())));
        removed.await
    }
}

impl fmt::Debug for Durable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Durable({})", self.inner)
    }
}

impl fmt::Display for Durable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Durable({})", self.inner)
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Upload({})", self.location)
    }
}
