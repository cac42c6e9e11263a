//! The folder of a keyring: one writer at a time, whole files only, changes seen at once by every process.
//! Promise: a write is durable when it returns, and a reader finds the old file or the new one, never half of one.
//! Never: a file is changed where it lies.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::Path,
    thread::sleep,
    time::{Duration, Instant, SystemTime},
};

use crate::error::{Error, ErrorKind, Result};

pub(super) const KEYRING: &str = "keyring.json";
const LOCK: &str = "keyring.lock";
/// A writer holds the lock for milliseconds; one that hangs must not hang the others.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(20);
const LOCK_POLL: Duration = Duration::from_millis(2);
/// Thousands of tenants fit in one MiB; a file beyond this is not a keyring.
const KEYRING_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// The keyring file as it was read. The handle stays open, so that its inode number cannot be given to
/// a later file: equal stamps mean the very same file, however coarse the clock of the file system is.
pub(super) struct Contents {
    pub(super) text: Vec<u8>,
    _handle: File,
    stamp: Stamp,
}

#[derive(PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size_bytes: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    fn of(metadata: &fs::Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino(), size_bytes: metadata.len(), modified: metadata.modified().ok() }
    }
}

impl Contents {
    /// Whether the folder still has this file. One `stat`.
    pub(super) fn is_current(&self, dir: &Path) -> Result<bool> {
        let path = dir.join(KEYRING);
        let metadata = fs::metadata(&path).map_err(|error| trouble(&path, "cannot be read: restore it", error))?;
        Ok(Stamp::of(&metadata) == self.stamp)
    }
}

pub(super) fn make(dir: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|error| trouble(dir, "cannot be made: check the path and its permissions", error))
}

pub(super) fn holds_keyring(dir: &Path) -> bool {
    dir.join(KEYRING).exists()
}

pub(super) fn read(dir: &Path) -> Result<Contents> {
    let path = dir.join(KEYRING);
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => {
            let message = format!("no keyring in `{}`: create one, or check the key folder", dir.display());
            Error::new(ErrorKind::Setup, message)
        }
        _ => trouble(&path, "cannot be read: check its permissions", error),
    };
    let mut handle = File::open(&path).map_err(failed)?;
    let stamp = Stamp::of(&handle.metadata().map_err(failed)?);
    let mut text = Vec::new();
    Read::by_ref(&mut handle).take(KEYRING_BYTES_MAX).read_to_end(&mut text).map_err(failed)?;
    Ok(Contents { text, _handle: handle, stamp })
}

/// Held by the one process and thread that writes; released on drop.
pub(super) struct WriteLock {
    _file: File,
}

pub(super) fn lock(dir: &Path) -> Result<WriteLock> {
    let path = dir.join(LOCK);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|error| trouble(&path, "cannot be opened: the key folder must be writable", error))?;
    let started = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(WriteLock { _file: file }),
            Err(TryLockError::WouldBlock) if started.elapsed() < LOCK_WAIT_MAX => sleep(LOCK_POLL),
            Err(TryLockError::WouldBlock) => {
                let message = format!("keyring in `{}` is held by another process: try again", dir.display());
                return Err(Error::new(ErrorKind::Retry, message));
            }
            Err(TryLockError::Error(error)) => return Err(trouble(&path, "cannot be locked", error)),
        }
    }
}

/// Writes a file beside, makes it durable, and moves it over the old one. The caller holds the lock.
pub(super) fn replace(dir: &Path, name: &str, text: &[u8]) -> Result<()> {
    let path = dir.join(name);
    let beside = dir.join(format!("{name}.new"));
    let write = || -> io::Result<()> {
        // Left by a writer that died; under the lock it is nobody's.
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&beside, &path)?;
        File::open(dir)?.sync_all()
    };
    write().map_err(|error| trouble(&path, "cannot be written: the key folder must be writable", error))
}

fn trouble(path: &Path, what: &str, error: io::Error) -> Error {
    Error::new(ErrorKind::Setup, format!("`{}` {what}", path.display())).with_source(error)
}
