//! A Maildir that a mail server of this machine delivers into: what lies in `new` is taken in and moved to `cur`.
//! Promise: a message leaves `new` only when it is kept; one for nobody stays where it is. Whom it is for is what the mail
//! server wrote above everything that the sender wrote: the first `Delivered-To` or `X-Original-To`.
//! Never: no link is followed, nothing outside of `new` is read, nothing is removed.

use std::{
    collections::HashMap,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use bonded_connectors::smtp::{Admission, Postbox, pipe};
use bonded_schemas::Envelope;
use bytes::Bytes;
use tokio::{io::AsyncReadExt, time::Instant};

use super::postbox::{Intake, not_kept};
use crate::error::{Error, ErrorKind, Result};

/// Looked at in one go.
const LISTED_MAX: usize = 1000;
/// Of the header, in which the recipient stands at the top.
const HEAD_BYTES_MAX: usize = 64 << 10;
const PIECE_BYTES: usize = 64 << 10;
/// Before a message that was not taken is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Maildir {
    folder: PathBuf,
    message_bytes_max: u64,
    /// Not before then.
    left: HashMap<PathBuf, Instant>,
}

impl Maildir {
    /// # Errors
    /// `Setup` when it is none.
    pub fn open(folder: &Path, message_bytes_max: u64) -> Result<Self> {
        for part in ["new", "cur"] {
            if !folder.join(part).is_dir() {
                return Err(Error::setup(format!("{} is no Maildir: it has no folder `{part}`", folder.display())));
            }
        }
        Ok(Self { folder: folder.to_owned(), message_bytes_max, left: HashMap::new() })
    }

    /// Takes in what is there; answers how many.
    pub async fn look(&mut self, intake: &Intake) -> Result<usize> {
        let (folder, left) = (self.folder.join("new"), self.left.clone());
        let (files, left) = blocking(move || list(&folder, left, Instant::now(), LISTED_MAX)).await?;
        self.left = left;
        let mut taken = 0;
        for path in files {
            match self.take(intake, &path).await {
                Ok(()) => taken += 1,
                Err(error) => {
                    tracing::warn!(target: "serve.mail", %error, "a message stays in the Maildir");
                    self.left.insert(path, Instant::now() + AGAIN_AFTER);
                }
            }
        }
        Ok(taken)
    }

    /// Kept, and only then moved. A crash in between brings the same bytes again, which changes nothing.
    async fn take(&self, intake: &Intake, path: &Path) -> Result<()> {
        let opening = path.to_owned();
        let (file, head) = blocking(move || open(&opening)).await?;
        let mut file = tokio::fs::File::from_std(file);
        let size = file.metadata().await.map_err(|error| cannot("read", path, error))?.len();
        if size > self.message_bytes_max {
            return Err(Error::input(format!("{} is larger than mail_in.message_bytes_max", path.display())));
        }
        let recipient = head.recipient.ok_or_else(|| Error::input(format!("{} says nobody it is for", path.display())))?;
        let mailbox = match intake.recipient_of(&recipient, None).await {
            Admission::Accept(mailbox) => mailbox,
            Admission::Refuse => return Err(Error::input(format!("{} is for nobody here", path.display()))),
            Admission::Later => return Err(Error::new(ErrorKind::Retry, "it cannot be told now whom a message is for")),
        };
        let envelope = Envelope { mail_from: head.return_path, ..Envelope::default() };
        let (way, message) = pipe();
        let feeding = async {
            let mut piece = vec![0; PIECE_BYTES];
            loop {
                match file.read(&mut piece).await {
                    Ok(0) => return way.finish().await,
                    Ok(read) if way.send(Bytes::copy_from_slice(&piece[..read])).await => {}
                    // Whoever reads the other end has its reason, or sees that this end broke off.
                    Ok(_) | Err(_) => return false,
                }
            }
        };
        let (_, outcomes) = tokio::join!(feeding, intake.deliver(envelope, vec![mailbox], message));
        outcomes.into_iter().try_for_each(not_kept)?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let seen = self.folder.join("cur").join(format!("{}:2,S", name.split(":2,").next().unwrap_or(&name)));
        let from = path.to_owned();
        blocking(move || fs::rename(&from, &seen).map_err(|error| cannot("move", &from, error))).await
    }
}

/// What the mail server of this machine wrote at the top.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub recipient: Option<String>,
    pub return_path: Option<String>,
}

/// What is to be taken up, and what of `left` is still there. Files that nobody looked at come first, each sort by name; those
/// that wait are not counted: however many are for nobody, they hold up no other.
pub(super) fn list(
    folder: &Path,
    mut left: HashMap<PathBuf, Instant>,
    now: Instant,
    listed_max: usize,
) -> Result<(Vec<PathBuf>, HashMap<PathBuf, Instant>)> {
    let entries = fs::read_dir(folder).map_err(|error| cannot("list", folder, error))?;
    let (mut files, mut again, mut still) = (Vec::new(), Vec::new(), HashMap::new());
    for entry in entries {
        let path = entry.map_err(|error| cannot("list", folder, error))?.path();
        if let Some((path, again_at)) = left.remove_entry(&path) {
            if again_at <= now && again.len() < listed_max {
                again.push(path.clone());
            }
            still.insert(path, again_at);
        // Gone since it was listed, or a folder, a link, a pipe: no message.
        } else if files.len() < listed_max && fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_file()) {
            files.push(path);
        }
    }
    files.sort();
    again.sort();
    files.extend(again);
    files.truncate(listed_max);
    Ok((files, still))
}

fn open(path: &Path) -> Result<(fs::File, Head)> {
    let failed = |error| cannot("read", path, error);
    let listed = fs::symlink_metadata(path).map_err(failed)?;
    let mut file = fs::File::open(path).map_err(failed)?;
    let opened = file.metadata().map_err(failed)?;
    if !listed.is_file() || (listed.dev(), listed.ino()) != (opened.dev(), opened.ino()) {
        return Err(Error::new(ErrorKind::Retry, format!("{} changed while it was looked at", path.display())));
    }
    let mut start = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(&mut file, HEAD_BYTES_MAX as u64), &mut start).map_err(failed)?;
    io::Seek::rewind(&mut file).map_err(failed)?;
    Ok((file, head(&start)))
}

/// Reads the header up to the first empty line. Only the first of each name counts: what a sender wrote stands below it.
pub(super) fn head(start: &[u8]) -> Head {
    let mut head = Head::default();
    for line in start.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            break;
        }
        let Some((name, value)) = std::str::from_utf8(line).ok().and_then(|line| line.split_once(':')) else { continue };
        let value = value.trim().trim_start_matches('<').trim_end_matches('>');
        let place = match name.to_ascii_lowercase().as_str() {
            "delivered-to" | "x-original-to" => &mut head.recipient,
            "return-path" => &mut head.return_path,
            _ => continue,
        };
        place.get_or_insert_with(|| value.to_owned());
    }
    head
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::new(ErrorKind::Internal, "a look at the Maildir fell over").with_source(error))?
}

fn cannot(verb: &str, path: &Path, error: io::Error) -> Error {
    Error::setup(format!("cannot {verb} {}", path.display())).with_source(error)
}
