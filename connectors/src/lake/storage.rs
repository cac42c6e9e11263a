//! iceberg's file access over the lake's object store, so that tables, raw zone and tests share one door.
//! Promise: writes are whole or absent, and never over an existing object.

use std::{ops::Range, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};
use iceberg::{
    Error, ErrorKind, Result,
    io::{
        FileIO, FileIOBuilder, FileMetadata, FileRead, FileWrite, InputFile, OutputFile, Storage, StorageConfig, StorageFactory,
    },
};
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, path::Path};
use serde::{Deserialize, Serialize};

pub fn file_io(store: Arc<dyn ObjectStore>, root: &str) -> FileIO {
    FileIOBuilder::new(Arc::new(StoreFactory { store: Some(store), root: root.to_owned() })).build()
}

/// iceberg wants storages to be serialisable; an open store is not, so one that was sent elsewhere refuses to work.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct StoreFactory {
    #[serde(skip)]
    store: Option<Arc<dyn ObjectStore>>,
    root: String,
}

#[typetag::serde]
impl StorageFactory for StoreFactory {
    fn build(&self, _: &StorageConfig) -> Result<Arc<dyn Storage>> {
        Ok(Arc::new(StoreStorage { store: self.store.clone(), root: self.root.clone() }))
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct StoreStorage {
    #[serde(skip)]
    store: Option<Arc<dyn ObjectStore>>,
    root: String,
}

fn failed(location: &str, error: object_store::Error) -> Error {
    Error::new(ErrorKind::Unexpected, format!("object {location}")).with_source(error)
}

impl StoreStorage {
    fn store(&self) -> Result<Arc<dyn ObjectStore>> {
        self.store
            .clone()
            .ok_or_else(|| Error::new(ErrorKind::PreconditionFailed, "a storage that was sent elsewhere has no store"))
    }

    /// The object path of a location, which must lie under the root.
    fn path(&self, location: &str) -> Result<Path> {
        location
            .strip_prefix(&self.root)
            .and_then(|rest| rest.strip_prefix('/'))
            .and_then(|rest| Path::parse(rest).ok())
            .ok_or_else(|| Error::new(ErrorKind::DataInvalid, format!("{location} does not lie under {}", self.root)))
    }
}

#[async_trait]
#[typetag::serde]
impl Storage for StoreStorage {
    async fn exists(&self, location: &str) -> Result<bool> {
        match self.store()?.head(&self.path(location)?).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(failed(location, error)),
        }
    }

    async fn metadata(&self, location: &str) -> Result<FileMetadata> {
        let meta = self.store()?.head(&self.path(location)?).await.map_err(|error| failed(location, error))?;
        Ok(FileMetadata { size: meta.size })
    }

    async fn read(&self, location: &str) -> Result<Bytes> {
        let got = self.store()?.get(&self.path(location)?).await.map_err(|error| failed(location, error))?;
        got.bytes().await.map_err(|error| failed(location, error))
    }

    async fn reader(&self, location: &str) -> Result<Box<dyn FileRead>> {
        Ok(Box::new(Reader { store: self.store()?, path: self.path(location)? }))
    }

    async fn write(&self, location: &str, bytes: Bytes) -> Result<()> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let put = self.store()?.put_opts(&self.path(location)?, bytes.into(), options).await;
        put.map(|_| ()).map_err(|error| failed(location, error))
    }

    async fn writer(&self, location: &str) -> Result<Box<dyn FileWrite>> {
        let part_bytes = if super::is_s3(&self.root) { S3_PART_BYTES } else { PART_BYTES };
        let (store, path) = (self.store()?, self.path(location)?);
        Ok(Box::new(Writer { store, path, part_bytes, held: Vec::new(), held_bytes: 0, upload: None }))
    }

    async fn delete(&self, location: &str) -> Result<()> {
        match self.store()?.delete(&self.path(location)?).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed(location, error)),
        }
    }

    async fn delete_prefix(&self, location: &str) -> Result<()> {
        let store = self.store()?;
        let mut listed = store.list(Some(&self.path(location)?));
        while let Some(meta) = listed.next().await {
            let meta = meta.map_err(|error| failed(location, error))?;
            store.delete(&meta.location).await.map_err(|error| failed(location, error))?;
        }
        Ok(())
    }

    async fn delete_stream(&self, mut locations: BoxStream<'static, String>) -> Result<()> {
        while let Some(location) = locations.next().await {
            self.delete(&location).await?;
        }
        Ok(())
    }

    fn new_input(&self, location: &str) -> Result<InputFile> {
        Ok(InputFile::new(Arc::new(self.clone()), location.to_owned()))
    }

    fn new_output(&self, location: &str) -> Result<OutputFile> {
        Ok(OutputFile::new(Arc::new(self.clone()), location.to_owned()))
    }
}

struct Reader {
    store: Arc<dyn ObjectStore>,
    path: Path,
}

#[async_trait]
impl FileRead for Reader {
    async fn read(&self, range: Range<u64>) -> Result<Bytes> {
        self.store.get_range(&self.path, range).await.map_err(|error| failed(self.path.as_ref(), error))
    }
}

/// The local file system takes parts of any size.
const PART_BYTES: usize = 1 << 20;
/// The least that S3 takes.
const S3_PART_BYTES: usize = 5 << 20;

/// One put for a small file, a multipart upload for a large one; nothing shows before `close`.
/// Many files are open at once, so each holds at most one part.
struct Writer {
    store: Arc<dyn ObjectStore>,
    path: Path,
    part_bytes: usize,
    held: Vec<Bytes>,
    held_bytes: usize,
    upload: Option<Box<dyn MultipartUpload>>,
}

impl Writer {
    async fn put_part(&mut self) -> object_store::Result<()> {
        let upload = match &mut self.upload {
            Some(upload) => upload,
            None => self.upload.insert(self.store.put_multipart(&self.path).await?),
        };
        self.held_bytes = 0;
        upload.put_part(PutPayload::from_iter(self.held.drain(..))).await
    }

    async fn finish(&mut self) -> object_store::Result<()> {
        if self.upload.is_some() && self.held_bytes > 0 {
            self.put_part().await?;
        }
        match self.upload.take() {
            Some(mut upload) => upload.complete().await.map(|_| ()),
            None => {
                let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
                let whole = PutPayload::from_iter(self.held.drain(..));
                self.store.put_opts(&self.path, whole, options).await.map(|_| ())
            }
        }
    }
}

#[async_trait]
impl FileWrite for Writer {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.held_bytes += bytes.len();
        self.held.push(bytes);
        if self.held_bytes < self.part_bytes {
            return Ok(());
        }
        self.put_part().await.map_err(|error| failed(self.path.as_ref(), error))
    }

    async fn close(&mut self) -> Result<()> {
        self.finish().await.map_err(|error| failed(self.path.as_ref(), error))
    }
}

impl Drop for Writer {
    /// A writer that was not closed leaves no half-made object behind, where the store can be told.
    fn drop(&mut self) {
        if let (Some(mut upload), Ok(runtime)) = (self.upload.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move {
                if let Err(error) = upload.abort().await {
                    tracing::warn!(target: "lake.upload.litter", %error, "an aborted upload may stay behind");
                }
            });
        }
    }
}
