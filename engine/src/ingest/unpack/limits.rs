//! How far a container is opened, and how it is told that it is not.
//! Promise: a limit is held while bytes come out, never by what the container says of itself.

use std::{
    error::Error as StdError,
    fmt,
    io::{self, Read},
};

use bonded_schemas::{Quarantine, QuarantineReason};

use crate::{
    error::{Error, ErrorKind},
    settings::UnpackSettings,
};

/// A small file may pack as well as it likes.
const RATIO_FREE_BYTES: u64 = 1 << 20;

/// Why opening a container ended early.
#[derive(Debug)]
pub(in crate::ingest) enum Stop {
    /// It is the container's fault: quarantine.
    Refused(Quarantine),
    /// It is not: the raw zone could not be read, or the program is at fault.
    Failed(Error),
}

pub(in crate::ingest) type Opens<T> = Result<T, Stop>;

impl Stop {
    pub fn refused(reason: QuarantineReason, message: impl Into<String>) -> Self {
        Stop::Refused(Quarantine { reason, message: message.into(), nearest: None })
    }

    pub fn broken(what: impl fmt::Display) -> Self {
        Self::refused(QuarantineReason::BrokenContainer, format!("{what}; have the file packed again and deliver it once more"))
    }

    pub fn bomb(what: impl fmt::Display) -> Self {
        let mend = "deliver the files by themselves, or raise the limit in [ingest.unpack] if you know the sender";
        Self::refused(QuarantineReason::Bomb, format!("{what}; {mend}"))
    }

    pub fn encrypted(what: &str) -> Self {
        Self::refused(
            QuarantineReason::Encrypted,
            format!("{what} is behind a password; have it sent without one, or deliver the files by themselves"),
        )
    }

    /// Letters, mails, presentations, and workbooks in forms that are not read.
    pub fn not_a_workbook() -> Self {
        let message = "an office file that is no xlsx or xls workbook; save the report as xlsx or CSV and deliver that";
        Self::refused(QuarantineReason::NotCsv, message)
    }

    pub fn internal(what: &str) -> Self {
        Stop::Failed(Error::new(ErrorKind::Internal, what))
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stop::Refused(quarantine) => f.write_str(&quarantine.message),
            Stop::Failed(error) => error.fmt(f),
        }
    }
}

impl StdError for Stop {}

/// A stop travels through readers of other crates as an I/O error and comes out as it was; any other I/O error is
/// the container's: our own readers fail with a stop.
impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        let text = error.to_string();
        match error.into_inner().map(|inner| inner.downcast::<Stop>()) {
            Some(Ok(stop)) => *stop,
            Some(Err(_)) | None => Stop::broken(format!("the container does not unpack ({text})")),
        }
    }
}

impl From<Stop> for io::Error {
    fn from(stop: Stop) -> Self {
        io::Error::other(stop)
    }
}

/// What may still come out of a container and all that lies in it.
#[derive(Clone, Copy, Debug)]
pub(in crate::ingest) struct Allowance {
    pub bytes: u64,
    pub member_bytes: u64,
    pub members: usize,
    pub memory_bytes: usize,
    ratio_max: u64,
}

impl Allowance {
    pub fn new(settings: &UnpackSettings, file_bytes_max: u64) -> Self {
        Self {
            bytes: settings.total_bytes_max,
            member_bytes: settings.member_bytes_max.min(file_bytes_max),
            members: settings.members_max,
            memory_bytes: settings.memory_bytes_max,
            ratio_max: settings.ratio_max,
        }
    }

    /// The same for a container of so many bytes.
    pub fn within(mut self, packed_bytes: u64) -> Self {
        self.bytes = self.bytes.min(packed_bytes.saturating_mul(self.ratio_max).max(RATIO_FREE_BYTES));
        self.member_bytes = self.member_bytes.min(self.bytes);
        self
    }

    pub fn spend(&mut self, bytes: u64, members: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
        self.members = self.members.saturating_sub(members);
    }

    pub fn too_many(&self, members: impl fmt::Display) -> Stop {
        Stop::bomb(format!("it holds {members} files, and {} are still allowed", self.members))
    }
}

/// Lets so many bytes through and then stops.
pub(super) struct Meter<R> {
    inner: R,
    left: u64,
    limit: u64,
}

impl<R> Meter<R> {
    pub fn new(inner: R, limit: u64) -> Self {
        Self { inner, left: limit, limit }
    }

    pub fn seen(&self) -> u64 {
        self.limit - self.left
    }
}

impl<R: Read> Read for Meter<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        match self.left.checked_sub(read as u64) {
            Some(left) => self.left = left,
            None => {
                let what = format!("it unpacks to more than {} bytes, the limit for its size", self.limit);
                return Err(Stop::bomb(what).into());
            }
        }
        Ok(read)
    }
}
