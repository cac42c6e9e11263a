//! A watched folder: what is put there is delivered, and lies in `sent/` or `refused/` then, with a note beside it that says
//! what became of it.
//! Promise: a file is taken when it looks the same twice, `settle` apart; it is moved only after the server answered for it, and
//! only if it is still the file that was sent. Two agents on one folder do no harm.
//! Never: a file is deleted or written over; no link is followed.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use bonded_connectors::{clock::Clock, store::queue::Backoff};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{Became, Sender, Told};
use crate::{
    error::{Error, ErrorKind, Result},
    serve::drop_file::{self, DropFile, Stamp, TAKEN, blocking, cannot},
};

const SENT: &str = "sent";
const REFUSED: &str = "refused";
/// Names end in more than this beside a note, and a file system takes 255 bytes.
const NAME_BYTES_MAX: usize = 180;
/// Other files of the same name that lie there already.
const NAMESAKES_MAX: u32 = 10_000;
const NOTE_BYTES_MAX: u64 = 64 << 10;
/// After a file could not be read or moved.
const AGAIN: Backoff = Backoff { first: Duration::from_secs(2), most: Duration::from_secs(300) };

/// How a watch ended that was asked to end when nothing is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    pub sent: u64,
    pub refused: u64,
    /// They could not be read or moved.
    pub left: u64,
}

struct Sight {
    stamp: Stamp,
    failures: u32,
    again_at: Instant,
}

/// Delivers what is in the folder, and, unless `once`, what comes there. Whoever calls may drop it at any moment.
///
/// # Errors
/// As [`Sender::deliver`], but for files that cannot be read: they stay where they are, and are tried again.
pub async fn watch(
    sender: &mut Sender,
    folder: &Path,
    settle: Duration,
    once: bool,
    clock: &dyn Clock,
    mut tell: impl FnMut(&Told) -> Result<()>,
) -> Result<Ended> {
    for name in [SENT, REFUSED] {
        let inner = folder.join(name);
        fs::create_dir_all(&inner).map_err(|error| cannot("make", &inner, error))?;
    }
    let mut sights: HashMap<PathBuf, Sight> = HashMap::new();
    let mut ended = Ended::default();
    loop {
        let now = Instant::now();
        let mut still_there = HashMap::new();
        let mut complete = Vec::new();
        for file in drop_file::list(folder.to_owned()).await? {
            let before = sights.remove(&file.path).filter(|sight| sight.stamp == file.stamp);
            let sight = before.unwrap_or(Sight { stamp: file.stamp, failures: 0, again_at: now + settle });
            if sight.again_at <= now {
                complete.push(file.clone());
            }
            still_there.insert(file.path, sight);
        }
        sights = still_there;
        for file in complete {
            match one(sender, folder, &file, clock).await {
                Ok(Some(told)) => {
                    sights.remove(&file.path);
                    match told.became {
                        Became::Taken { .. } => ended.sent += 1,
                        Became::Refused { .. } => ended.refused += 1,
                    }
                    tell(&told)?;
                }
                // Written to meanwhile, or moved by another agent: it is looked at afresh.
                Ok(None) => {
                    sights.remove(&file.path);
                }
                Err(error) if error.kind() == ErrorKind::Input => {
                    tracing::warn!(target: "push", file = file.name, %error, "a file stays in the folder");
                    if let Some(sight) = sights.get_mut(&file.path) {
                        sight.failures += 1;
                        sight.again_at = Instant::now() + AGAIN.wait(sight.failures, rand::random()).max(settle);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        if once
            && sights.values().all(|sight| sight.failures > 0)
            && drop_file::list(folder.to_owned()).await?.len() == sights.len()
        {
            ended.left = sights.len() as u64;
            return Ok(ended);
        }
        sleep(settle).await;
    }
}

/// Delivered, and moved with its note; `None` when it changed meanwhile or is gone.
async fn one(sender: &mut Sender, folder: &Path, file: &DropFile, clock: &dyn Clock) -> Result<Option<Told>> {
    let Some((sha256, outcome)) = sender.deliver(file).await? else { return Ok(None) };
    let told = sender.told(file, clock.now(), sha256, outcome);
    let (folder, file, note) = (folder.to_owned(), file.clone(), told.clone());
    let moved = blocking(move || put_away(&folder, &file, &note)).await?;
    Ok(moved.then_some(told))
}

/// `false` when the file is no longer the one that was sent, or another agent has put it away.
fn put_away(folder: &Path, file: &DropFile, told: &Told) -> Result<bool> {
    let (inner, ending) = match told.became {
        Became::Taken { .. } => (folder.join(SENT), "receipt.json"),
        Became::Refused { .. } => (folder.join(REFUSED), "refused.json"),
    };
    let name = fitting(&file.name);
    // Aside first: what somebody puts in its place from now on is another file.
    let aside = folder.join(format!("{TAKEN}{}-{name}", Uuid::new_v4()));
    if !renamed(&file.path, &aside)? {
        return Ok(false);
    }
    if fs::symlink_metadata(&aside).map(|meta| Stamp::from(&meta)).ok() != Some(file.stamp) {
        renamed(&aside, &folder.join(format!("{}-{name}", Uuid::new_v4())))?;
        return Ok(false);
    }
    for n in 1..=NAMESAKES_MAX {
        let name = if n == 1 { name.clone() } else { format!("{n}-{name}") };
        let (place, note) = (inner.join(&name), inner.join(format!("{name}.{ending}")));
        if fs::symlink_metadata(&place).is_ok() || !noted(&note, told)? {
            continue;
        }
        let moved = renamed(&aside, &place)?;
        synced(&inner)?;
        synced(folder)?;
        return Ok(moved);
    }
    Err(Error::input(format!("{} holds too many files named {name}; take some away", inner.display())))
}

/// Writes the note, which makes the name ours; `false` when it is the note of another file. One of the same bytes without its
/// file was left by a crash between the two.
fn noted(note: &Path, told: &Told) -> Result<bool> {
    use std::io::{Read, Write};
    let mut file = match fs::OpenOptions::new().write(true).create_new(true).open(note) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let mut text = Vec::new();
            let read = fs::File::open(note).and_then(|file| file.take(NOTE_BYTES_MAX).read_to_end(&mut text));
            let there: Option<Told> = read.ok().and_then(|_| serde_json::from_slice(&text).ok());
            return Ok(there.is_some_and(|there| there.sha256 == told.sha256));
        }
        Err(error) => return Err(cannot("write", note, error)),
    };
    let text = serde_json::to_string_pretty(told)? + "\n";
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|error| cannot("write", note, error))?;
    Ok(true)
}

/// `false` when it is gone.
fn renamed(from: &Path, to: &Path) -> Result<bool> {
    match fs::rename(from, to) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(cannot("move", from, error)),
    }
}

fn synced(folder: &Path) -> Result<()> {
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| cannot("sync", folder, error))
}

/// The name, or the beginning of a long one.
fn fitting(name: &str) -> String {
    let mut end = name.len().min(NAME_BYTES_MAX);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name[..end].to_owned()
}

#[cfg(test)]
mod tests;
