//! The agent on a broker's machine: delivers files to a front desk elsewhere, in pieces, through lines that break.
//! Promise: a file counts as delivered when the server says that it is sealed there; killed at any moment, the next run goes on
//! from what the server keeps, and nothing is delivered twice.
//! Never: a file is deleted; the token is in an argument, a log or an error; HTTP is known here.

use std::{fs::File, os::unix::fs::FileExt, sync::Arc, time::Duration};

use bonded_connectors::{
    push::{Announcement, Begun, Desk, Failure, Standing, Sum, Taken},
    secrets::Held,
    store::queue::Backoff,
};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};
use zeroize::Zeroizing;

use crate::{
    error::{Error, ErrorKind, Result},
    serve::drop_file::{DropFile, Stamp, blocking, cannot},
};

pub mod folder;

/// The first piece, on a line that nobody knows yet. It is halved with each that does not get through, and doubles when some in
/// a row did.
const PIECE_BYTES_FIRST: u64 = 4 << 20;
const PIECES_IN_A_ROW: u32 = 4;
const PIECE_BYTES_LEAST: u64 = 64 << 10;
const PIECE_BYTES_MOST: u64 = 64 << 20;
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(500), most: Duration::from_secs(60) };
/// Read at once when a file's digest is taken.
const READ_BYTES: u64 = 1 << 20;

/// What became of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Taken(Taken),
    /// The server does not take it, and why.
    Refused(String),
}

/// What is told of a file that was taken or refused, and kept beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    pub file_name: String,
    pub size_bytes: u64,
    pub sha256: String,
    pub to: String,
    pub at: DateTime<Utc>,
    #[serde(flatten)]
    pub became: Became,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Became {
    Taken {
        delivery_id: String,
        state: String,
        /// A worker takes it further; else these bytes had been delivered before.
        queued: bool,
    },
    Refused {
        refused: String,
    },
}

impl From<Outcome> for Became {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Taken(Taken { delivery_id, state, queued }) => Became::Taken { delivery_id, state, queued },
            Outcome::Refused(refused) => Became::Refused { refused },
        }
    }
}

/// Whom to deliver to, as whom, and how long to try.
#[derive(Debug)]
pub struct Sender {
    desk: Desk,
    /// Read anew for each attempt, so that it can be replaced under a running agent.
    token: Held,
    as_of: Option<DateTime<Utc>>,
    /// Without any progress for so long, a file is given up; none: never.
    patience: Option<Duration>,
    piece_bytes: u64,
    /// Pieces of this length that got through without a break.
    in_a_row: u32,
}

/// How one attempt ended that did not fail.
enum Attempt {
    Taken(Taken),
    /// The file is no longer what it was.
    Changed,
}

impl Sender {
    /// # Errors
    /// `Setup` when the token is named wrongly or not there.
    pub async fn new(desk: Desk, token: Held, as_of: Option<DateTime<Utc>>, patience: Option<Duration>) -> Result<Self> {
        let sender = Self { desk, token, as_of, patience, piece_bytes: PIECE_BYTES_FIRST, in_a_row: 0 };
        sender.token().await?;
        Ok(sender)
    }

    pub fn address(&self) -> &str {
        self.desk.address()
    }

    async fn token(&self) -> Result<Zeroizing<String>> {
        Ok(Zeroizing::new(self.token.now().await?.reveal().to_owned()))
    }

    /// Delivers a file; answers its SHA-256 and what became of it, or `None` when it changed meanwhile.
    ///
    /// # Errors
    /// `Refused` when the server is not the pinned one or the token is not good; `Setup` when it cannot work like this;
    /// `Input` when the file cannot be read; `Retry` when patience is over.
    pub async fn deliver(&mut self, file: &DropFile) -> Result<Option<(String, Outcome)>> {
        let Some(steady) = Steady::open(file).await? else { return Ok(None) };
        let Some(sha256) = steady.sum().await? else { return Ok(None) };
        let what = Announcement {
            file_name: file.name.clone(),
            size_bytes: file.stamp.size_bytes(),
            sha256: sha256.clone(),
            as_of: self.as_of,
        };
        let mut failures = 0;
        let mut progress_at = Instant::now();
        loop {
            let token = self.token().await?;
            let mut moved = false;
            let (why, after) = match self.attempt(&token, &what, &steady, &mut moved).await {
                Ok(Attempt::Taken(taken)) => return Ok(Some((sha256, Outcome::Taken(taken)))),
                Ok(Attempt::Changed) => return Ok(None),
                Err(Failure::Unfit(why)) => return Ok(Some((sha256, Outcome::Refused(why)))),
                Err(Failure::Setup(error)) => return Err(error.into()),
                // It may have been replaced a moment ago.
                Err(Failure::Token(_)) if *self.token().await? != *token => continue,
                Err(Failure::Token(why)) => {
                    let message = format!("{} does not take this token ({why}); the file stays where it is", self.address());
                    return Err(Error::new(ErrorKind::Refused, message));
                }
                Err(Failure::PieceTooLarge) if self.piece_bytes > PIECE_BYTES_LEAST => {
                    self.shrink();
                    continue;
                }
                Err(Failure::PieceTooLarge) => {
                    let message = format!("something before {} takes no pieces of {} bytes", self.address(), self.piece_bytes);
                    return Err(Error::setup(message));
                }
                Err(Failure::Elsewhere) => ("the upload stands elsewhere than it was said to".to_owned(), None),
                Err(Failure::Later { why, after }) => (why, after),
            };
            if moved {
                (failures, progress_at) = (0, Instant::now());
            }
            failures += 1;
            if self.patience.is_some_and(|patience| progress_at.elapsed() >= patience) {
                let message = format!("given up after {failures} attempts without progress ({why}); run it again, it goes on");
                return Err(Error::new(ErrorKind::Retry, message));
            }
            // Told to wait, all agents would come back at once.
            let wait = after.unwrap_or_default() + BACKOFF.wait(failures, rand::random());
            tracing::info!(target: "push", file = file.name, why, wait_ms = wait.as_millis() as u64, "to be tried again");
            sleep(wait).await;
        }
    }

    async fn attempt(
        &mut self,
        token: &str,
        what: &Announcement,
        file: &Steady,
        moved: &mut bool,
    ) -> std::result::Result<Attempt, Failure> {
        let unreadable =
            |error: Error| Failure::Setup(bonded_connectors::Error::new(bonded_connectors::ErrorKind::Input, error.to_string()));
        let standing = match self.desk.begin(token, what).await? {
            Begun::Taken(taken) => return Ok(Attempt::Taken(taken)),
            Begun::Going(standing) => standing,
        };
        let mut at = standing.offset_bytes;
        while at < what.size_bytes {
            let length = self.piece_length(&standing, what.size_bytes - at);
            let Some(piece) = file.piece(at, length).await.map_err(unreadable)? else { return Ok(Attempt::Changed) };
            match self.desk.send(token, &standing.upload_id, at, piece).await {
                Ok(next) => at = next,
                Err(failure) => {
                    if matches!(failure, Failure::Later { after: None, .. }) {
                        self.shrink();
                    }
                    return Err(failure);
                }
            }
            *moved = true;
            self.in_a_row += 1;
            if self.in_a_row == PIECES_IN_A_ROW {
                (self.piece_bytes, self.in_a_row) = ((self.piece_bytes * 2).min(PIECE_BYTES_MOST), 0);
            }
        }
        Ok(Attempt::Taken(self.desk.finish(token, &standing.upload_id).await?))
    }

    /// On a line that breaks often, small pieces get through.
    fn shrink(&mut self) {
        (self.piece_bytes, self.in_a_row) = ((self.piece_bytes / 2).max(PIECE_BYTES_LEAST), 0);
    }

    fn piece_length(&self, standing: &Standing, missing: u64) -> u64 {
        self.piece_bytes.min(standing.piece_bytes_max).max(standing.piece_bytes_min).min(missing)
    }

    /// What is to be told of a file.
    pub fn told(&self, file: &DropFile, at: DateTime<Utc>, sha256: String, outcome: Outcome) -> Told {
        Told {
            file_name: file.name.clone(),
            size_bytes: file.stamp.size_bytes(),
            sha256,
            to: self.address().to_owned(),
            at,
            became: outcome.into(),
        }
    }
}

/// An open file that must stand still while it is read.
struct Steady {
    file: Arc<File>,
    stamp: Stamp,
}

impl Steady {
    /// `None` when it is no longer the file that was looked at.
    async fn open(of: &DropFile) -> Result<Option<Self>> {
        let (path, stamp) = (of.path.clone(), of.stamp);
        blocking(move || {
            let file = match File::open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(cannot("read", &path, error)),
            };
            let meta = file.metadata().map_err(|error| cannot("read", &path, error))?;
            Ok((Stamp::from(&meta) == stamp).then(|| Self { file: Arc::new(file), stamp }))
        })
        .await
    }

    /// `None` when it changed.
    async fn piece(&self, at: u64, length: u64) -> Result<Option<Bytes>> {
        let (file, stamp) = (self.file.clone(), self.stamp);
        blocking(move || {
            let unreadable = |error| Error::input("the file cannot be read any more").with_source(error);
            let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
            match file.read_exact_at(&mut bytes, at) {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
                Err(error) => return Err(unreadable(error)),
            }
            let meta = file.metadata().map_err(unreadable)?;
            Ok((Stamp::from(&meta) == stamp).then(|| Bytes::from(bytes)))
        })
        .await
    }

    /// SHA-256 of all of it.
    async fn sum(&self) -> Result<Option<String>> {
        let (size, mut sum, mut at) = (self.stamp.size_bytes(), Sum::default(), 0);
        while at < size {
            let Some(bytes) = self.piece(at, READ_BYTES.min(size - at)).await? else { return Ok(None) };
            sum.add(&bytes);
            at += bytes.len() as u64;
        }
        Ok(Some(sum.finish()))
    }
}
