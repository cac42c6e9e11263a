//! The one error of the machine, and the exit code each kind ends with.
//! A kind exists only where the caller would act differently.

use std::{error::Error as StdError, fmt};

use bonded_connectors::ErrorKind as DoorKind;
use bonded_queries::ErrorKind as QueryKind;

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// A bug, or a failure nobody can act on.
    Internal,
    /// What the caller asked for is not well formed or not there.
    Input,
    /// What is asked for by its name or id is not there.
    Missing,
    /// A folder, a setting, a key file: fix the set-up.
    Setup,
    /// Not allowed.
    Refused,
    /// Stored bytes are not what was written.
    Damaged,
    /// Busy or lost a race: run it again.
    Retry,
}

impl ErrorKind {
    /// Exit codes are stable; README lists them. 5 is a delivery that was kept but quarantined.
    pub fn exit_code(self) -> u8 {
        match self {
            ErrorKind::Internal => 1,
            ErrorKind::Input | ErrorKind::Missing => 2,
            ErrorKind::Setup => 3,
            ErrorKind::Refused => 4,
            ErrorKind::Damaged => 6,
            ErrorKind::Retry => 7,
        }
    }
}

/// The exit code of a run that kept everything but had to quarantine a delivery.
pub const EXIT_QUARANTINED: u8 = 5;

pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    pub fn input(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Input, message)
    }

    pub fn missing(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Missing, message)
    }

    pub fn setup(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Setup, message)
    }

    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) if self.message.is_empty() => write!(f, "{source}"),
            Some(source) => write!(f, "{}: {source}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.kind)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl From<bonded_connectors::Error> for Error {
    fn from(error: bonded_connectors::Error) -> Self {
        let kind = match error.kind() {
            DoorKind::Retry | DoorKind::Ambiguous => ErrorKind::Retry,
            DoorKind::Input => ErrorKind::Input,
            DoorKind::Setup => ErrorKind::Setup,
            DoorKind::Refused => ErrorKind::Refused,
            DoorKind::Damaged => ErrorKind::Damaged,
            DoorKind::Internal => ErrorKind::Internal,
        };
        Error::new(kind, "").with_source(error)
    }
}

impl From<bonded_queries::Error> for Error {
    fn from(error: bonded_queries::Error) -> Self {
        let kind = match error.kind() {
            QueryKind::Input => ErrorKind::Input,
            QueryKind::Refused | QueryKind::Limit => ErrorKind::Refused,
            QueryKind::Damaged => ErrorKind::Damaged,
            QueryKind::Internal => ErrorKind::Internal,
        };
        Error::new(kind, "").with_source(error)
    }
}

impl From<bonded_schemas::Error> for Error {
    fn from(error: bonded_schemas::Error) -> Self {
        let kind = match error.kind {
            bonded_schemas::ErrorKind::Input => ErrorKind::Input,
            bonded_schemas::ErrorKind::Setup => ErrorKind::Setup,
        };
        Error::new(kind, error.message)
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Error::new(ErrorKind::Damaged, "a sealed document does not read as JSON").with_source(error)
    }
}
