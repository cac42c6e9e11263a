//! Objects carried out of a lake and back, as they are stored: sealed, with their digests.
//! Promise: a copy is as long and has the digest that it was written with, or it is an error; files are synced.
//! Never: anything is written over.

use std::{
    io::{Read, Write},
    path::{Path, PathBuf},
};

use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, WriteMultipart};
use ring::digest::{Context, SHA256};

use crate::{
    error::{Error, ErrorKind, Result},
    seal::cipher,
};

/// The root URL that a lake had before it was restored elsewhere: table metadata names objects by it.
pub const ROOT_FILE: &str = "root.url";
/// In a bucket, where nothing is moved into its place at once: a restore that has this beside the root was finished.
pub(super) const RESTORED_FILE: &str = "restored";
const ROOT_BYTES_MAX: u64 = 4096;
/// What is larger is written in parts of so many bytes, of which some are on their way at once.
const PART_BYTES: usize = 8 << 20;
const PARTS_AT_ONCE: usize = 2;
const READ_BYTES: usize = 1 << 20;

/// One object as it was found.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Stored {
    pub path: String,
    pub size_bytes: u64,
    /// Of the stored bytes.
    pub sha256: String,
}

/// Reads an object to its end, and writes it under `to` when that is given. `None` when it is not there.
///
/// # Errors
/// `Refused` when a file is there already; `Setup` when it cannot be written.
pub async fn carry(from: &dyn ObjectStore, path: &str, to: Option<&Path>) -> Result<Option<Stored>> {
    let mut bytes = match from.get(&object_store::path::Path::from(path)).await {
        Ok(found) => found.into_stream(),
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let target = to.map(|to| to.join(path));
    let mut file = match &target {
        Some(target) => Some(create(target)?),
        None => None,
    };
    let (mut digest, mut size_bytes) = (Context::new(&SHA256), 0_u64);
    while let Some(chunk) = bytes.try_next().await? {
        digest.update(&chunk);
        size_bytes += chunk.len() as u64;
        if let (Some(file), Some(target)) = (&mut file, &target) {
            file.write_all(&chunk).map_err(|error| unwritable(target, error))?;
        }
    }
    if let (Some(file), Some(target)) = (file, &target) {
        file.sync_all().map_err(|error| unwritable(target, error))?;
    }
    Ok(Some(Stored { path: path.to_owned(), size_bytes, sha256: cipher::hex(digest.finish().as_ref()) }))
}

/// Writes an object of a backup into a store. One that lies there already must be the very same.
///
/// # Errors
/// `Damaged` when the object is missing, or anywhere not what was backed up; then it is not there.
pub async fn bring(from: &dyn ObjectStore, stored: &Stored, to: &dyn ObjectStore) -> Result<()> {
    let path = object_store::path::Path::from(stored.path.as_str());
    match to.head(&path).await {
        Ok(_) => return same(stored, carry(to, &stored.path, None).await?),
        Err(object_store::Error::NotFound { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    if stored.size_bytes <= PART_BYTES as u64 {
        let mut bytes = Vec::new();
        read(from, stored, async |chunk| {
            bytes.extend_from_slice(chunk);
            Ok(())
        })
        .await?;
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        to.put_opts(&path, PutPayload::from(bytes), options).await?;
        return Ok(());
    }
    let mut upload = WriteMultipart::new_with_chunk_size(to.put_multipart(&path).await?, PART_BYTES);
    let whole = read(from, stored, async |chunk| {
        upload.wait_for_capacity(PARTS_AT_ONCE).await?;
        upload.write(chunk);
        Ok(())
    })
    .await;
    match whole {
        Ok(()) => upload.finish().await.map(drop)?,
        Err(error) => {
            // What cannot be ended here is ended by the bucket's rule for unfinished uploads.
            let _ = upload.abort().await;
            return Err(error);
        }
    }
    Ok(())
}

/// Hands on an object piece by piece, and says at the end whether it was what was backed up.
async fn read(from: &dyn ObjectStore, stored: &Stored, mut each: impl AsyncFnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut bytes = match from.get(&object_store::path::Path::from(stored.path.as_str())).await {
        Ok(found) => found.into_stream(),
        Err(object_store::Error::NotFound { .. }) => return same(stored, None),
        Err(error) => return Err(error.into()),
    };
    let mut found = Stored { path: stored.path.clone(), size_bytes: 0, sha256: String::new() };
    let mut digest = Context::new(&SHA256);
    while let Some(chunk) = bytes.try_next().await? {
        digest.update(&chunk);
        found.size_bytes += chunk.len() as u64;
        if found.size_bytes > stored.size_bytes {
            break;
        }
        each(&chunk).await?;
    }
    found.sha256 = cipher::hex(digest.finish().as_ref());
    same(stored, Some(found))
}

/// That an object was found as it was backed up.
pub fn same(expected: &Stored, found: Option<Stored>) -> Result<()> {
    let what = match found {
        None => "is missing",
        Some(found) if found == *expected => return Ok(()),
        Some(_) => "is not what was backed up",
    };
    Err(Error::new(ErrorKind::Damaged, format!("{} {what}; nothing was restored", expected.path)))
}

/// Length and SHA-256 of a local file.
pub fn measure(path: &Path) -> Result<(u64, String)> {
    let cannot =
        |error: std::io::Error| Error::new(ErrorKind::Damaged, format!("`{}` cannot be read", path.display())).with_source(error);
    let mut file = std::fs::File::open(path).map_err(cannot)?;
    let (mut digest, mut size_bytes, mut buffer) = (Context::new(&SHA256), 0_u64, vec![0; READ_BYTES]);
    loop {
        match file.read(&mut buffer).map_err(cannot)? {
            0 => return Ok((size_bytes, cipher::hex(digest.finish().as_ref()))),
            read => {
                digest.update(&buffer[..read]);
                size_bytes += read as u64;
            }
        }
    }
}

/// Lower-case hex.
pub fn sha256(bytes: &[u8]) -> String {
    super::catalog::hex_sha256(bytes)
}

fn create(path: &Path) -> Result<std::fs::File> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| unwritable(path, error))?;
    }
    std::fs::File::create_new(path).map_err(|error| unwritable(path, error))
}

fn unwritable(path: &Path, error: std::io::Error) -> Error {
    let kind = if error.kind() == std::io::ErrorKind::AlreadyExists { ErrorKind::Refused } else { ErrorKind::Setup };
    Error::new(kind, format!("`{}` cannot be written", path.display())).with_source(error)
}

/// The root that the lake in this folder goes by, if it is not its place.
pub(super) fn recorded_root(folder: &Path) -> Result<Option<String>> {
    let path: PathBuf = folder.join(ROOT_FILE);
    let cannot = |error: std::io::Error| Error::new(ErrorKind::Setup, format!("`{}`", path.display())).with_source(error);
    match std::fs::File::open(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(cannot(error)),
        Ok(file) => {
            let mut text = String::new();
            file.take(ROOT_BYTES_MAX).read_to_string(&mut text).map_err(cannot)?;
            root_of(&text, &path.display().to_string()).map(Some)
        }
    }
}

fn root_of(text: &str, place: &str) -> Result<String> {
    match text.strip_suffix('\n').filter(|url| url::Url::parse(url).is_ok_and(|parsed| parsed.as_str() == *url)) {
        Some(url) => Ok(url.to_owned()),
        None => Err(Error::new(ErrorKind::Damaged, format!("`{place}` is no root URL: restore it"))),
    }
}

/// As [`recorded_root`], of a lake in a bucket.
pub(super) async fn recorded_root_in(store: &dyn ObjectStore, place: &str) -> Result<Option<String>> {
    recorded(store, ROOT_FILE).await?.map(|text| root_of(&text, place)).transpose()
}

/// What [`record`] wrote, with the end of its line; nothing of what is too long for it.
pub(super) async fn recorded(store: &dyn ObjectStore, file: &str) -> Result<Option<String>> {
    match store.get(&object_store::path::Path::from(file)).await {
        Ok(found) if found.meta.size <= ROOT_BYTES_MAX => Ok(Some(String::from_utf8_lossy(&found.bytes().await?).into_owned())),
        Ok(_) => Ok(Some(String::new())),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Writes down a line that a restored lake in a bucket is known by.
pub(super) async fn record(store: &dyn ObjectStore, file: &str, line: &str) -> Result<()> {
    let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    store.put_opts(&object_store::path::Path::from(file), PutPayload::from(format!("{line}\n")), options).await?;
    Ok(())
}

#[cfg(test)]
mod tests;
