//! One dropped file: found, opened without following links, read to an end that is sure, removed without harming another.

use std::{
    fs::{self, File, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, ReadBuf};
use uuid::Uuid;

use crate::error::{Error, ErrorKind, Result};

/// Looked at in one folder at once; what is beyond waits for the next look.
const LISTED_MAX: usize = 10_000;
/// What a file is called between being landed and being removed. One that is found was left by a crash.
pub(crate) const TAKEN: &str = ".taken-";
const UUID_LENGTH: usize = 36;

/// Which file it is and how it stands; a write changes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    size_bytes: u64,
    modified_nanos: i128,
}

impl From<&Metadata> for Stamp {
    fn from(meta: &Metadata) -> Self {
        let modified_nanos = i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec());
        Self { device: meta.dev(), inode: meta.ino(), size_bytes: meta.len(), modified_nanos }
    }
}

impl Stamp {
    pub(crate) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }
}

#[derive(Clone, Debug)]
pub(crate) struct DropFile {
    pub path: PathBuf,
    /// As the sender named it.
    pub name: String,
    pub stamp: Stamp,
}

/// The files that are meant to be taken, by name; none when the tenant has no folder.
pub(crate) async fn list(folder: PathBuf) -> Result<Vec<DropFile>> {
    blocking(move || {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(cannot("list", &folder, error)),
        };
        let mut files = Vec::new();
        for entry in entries.take(LISTED_MAX) {
            let path = entry.map_err(|error| cannot("list", &folder, error))?.path();
            let Some(name) = sent_name(&path) else { continue };
            // Gone since it was listed, or a folder, a link, a pipe: not ours.
            let Ok(meta) = fs::symlink_metadata(&path) else { continue };
            if meta.is_file() {
                files.push(DropFile { path, name, stamp: Stamp::from(&meta) });
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    })
    .await
}

/// None for a name that says: not yet.
pub(crate) fn sent_name(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_string_lossy().into_owned();
    if let Some(left) = name.strip_prefix(TAKEN) {
        return left.get(UUID_LENGTH + 1..).map(str::to_owned);
    }
    let unfinished = name.starts_with('.')
        || name.ends_with('~')
        || [".part", ".partial", ".tmp", ".filepart"].iter().any(|end| name.ends_with(end));
    (!unfinished).then_some(name)
}

impl DropFile {
    /// A reader that fails instead of ending when the file is not what it was.
    pub async fn open(&self) -> Result<Steady> {
        let (path, stamp) = (self.path.clone(), self.stamp);
        let (file, watched) = blocking(move || {
            let file = File::open(&path).map_err(|error| cannot("read", &path, error))?;
            let watched = file.try_clone().map_err(|error| cannot("read", &path, error))?;
            match watched.metadata() {
                Ok(meta) if Stamp::from(&meta) == stamp => Ok((file, watched)),
                _ => Err(Error::new(ErrorKind::Retry, format!("{} changed while it was looked at", path.display()))),
            }
        })
        .await?;
        Ok(Steady { file: tokio::fs::File::from_std(file), watched, stamp })
    }

    pub fn stamp_now(&self) -> Option<Stamp> {
        fs::symlink_metadata(&self.path).ok().map(|meta| Stamp::from(&meta))
    }

    /// Removes the file that was read. One that took its place meanwhile comes back under a name of its own.
    pub async fn remove(&self) -> Result<()> {
        let (path, name, stamp) = (self.path.clone(), self.name.clone(), self.stamp);
        blocking(move || {
            let cannot_remove = |error| cannot("remove", &path, error);
            let aside = path.with_file_name(format!("{TAKEN}{}-{name}", Uuid::new_v4()));
            fs::rename(&path, &aside).map_err(cannot_remove)?;
            if fs::symlink_metadata(&aside).is_ok_and(|meta| Stamp::from(&meta) == stamp) {
                return fs::remove_file(&aside).map_err(cannot_remove);
            }
            fs::rename(&aside, path.with_file_name(format!("{}-{name}", Uuid::new_v4()))).map_err(cannot_remove)
        })
        .await
    }
}

/// Bytes of a file that must stand still while it is read.
pub(crate) struct Steady {
    file: tokio::fs::File,
    watched: File,
    stamp: Stamp,
}

impl AsyncRead for Steady {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.file).poll_read(cx, buffer))?;
        let ended = buffer.filled().len() == before && buffer.remaining() > 0;
        if ended && Stamp::from(&self.watched.metadata()?) != self.stamp {
            return Poll::Ready(Err(io::Error::other("the file changed while it was read")));
        }
        Poll::Ready(Ok(()))
    }
}

pub(crate) fn cannot(what: &str, path: &Path, error: io::Error) -> Error {
    let message = format!("cannot {what} {}; mend its permissions or take it away", path.display());
    Error::input(message).with_source(error)
}

pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(Error::new(ErrorKind::Internal, "the drop folder").with_source(error)))
}
