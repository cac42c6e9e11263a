//! Uploads to a local folder that were never finished: `name#number` files, which the object store does not list.
//! A bucket lists its own (`lake/s3/bucket.rs`), and drops them by a lifecycle rule as well.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use crate::error::{Error, ErrorKind, Result};

/// Removes those last written before `oldest`; says how many there were.
pub async fn remove(folder: &Path, oldest: DateTime<Utc>, dry_run: bool) -> Result<usize> {
    let folder = folder.to_owned();
    let removed = tokio::task::spawn_blocking(move || remove_blocking(&folder, oldest, dry_run)).await;
    removed
        .map_err(|error| Error::new(ErrorKind::Internal, "the search for uploads did not end").with_source(error))?
        .map_err(|error| Error::new(ErrorKind::Setup, "lake folder cannot be listed or written").with_source(error))
}

fn remove_blocking(folder: &Path, oldest: DateTime<Utc>, dry_run: bool) -> std::io::Result<usize> {
    let mut open: Vec<PathBuf> = if folder.is_dir() { vec![folder.to_owned()] } else { Vec::new() };
    let mut removed = 0;
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                open.push(entry.path());
            } else if kind.is_file() && is_upload(&entry.file_name().to_string_lossy()) {
                // It may be finished, and so renamed, by now.
                let Ok(written) = entry.metadata().and_then(|meta| meta.modified()) else { continue };
                if DateTime::<Utc>::from(written) <= oldest {
                    if !dry_run {
                        std::fs::remove_file(entry.path())?;
                    }
                    removed += 1;
                }
            }
        }
    }
    Ok(removed)
}

fn is_upload(name: &str) -> bool {
    name.split_once('#').is_some_and(|(_, number)| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}
