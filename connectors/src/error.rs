//! The one error of this room: a door that did not do what was asked.
//! A kind exists only where a caller would act differently.

use std::{error::Error as StdError, fmt, io};

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// Try again: a lost race, a busy store, a throttled service.
    Retry,
    /// It is unknown whether the effect landed: look before trying again.
    Ambiguous,
    /// What the caller named does not exist or is not well formed.
    Input,
    /// The set-up is wrong: a folder, a setting, a key that is not there.
    Setup,
    /// Not allowed: a disabled key, another tenant's object, a wrong context.
    Refused,
    /// What is stored is not what was written: do not go on.
    Damaged,
    /// A bug or a failure nobody can act on.
    Internal,
}

/// Why it is to be tried again, where a service told: who waits, or concludes something, goes by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// Another change came first.
    Overtaken,
    /// It is asked too often.
    Throttled,
}

/// `message` names the object and the mend; `context` holds facts for the log, never cell values or keys.
pub struct Error {
    kind: ErrorKind,
    message: String,
    again: Option<Again>,
    context: Vec<(&'static str, String)>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), again: None, context: Vec::new(), source: None }
    }

    pub fn with_context(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        self.context.push((key, value.to_string()));
        self
    }

    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    pub fn with_again(mut self, again: Option<Again>) -> Self {
        self.again = again;
        self
    }

    /// As told last: by this error, or by what it came of.
    pub fn again(&self) -> Option<Again> {
        let source = self.source.as_deref().and_then(|source| source.downcast_ref::<Error>());
        self.again.or_else(|| source.and_then(Error::again))
    }

    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for (key, value) in &self.context {
            write!(f, ", {key} {value}")?;
        }
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
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

impl From<object_store::Error> for Error {
    fn from(error: object_store::Error) -> Self {
        if let Some(mend) = disk(&error) {
            return mend.with_source(error);
        }
        if let Some((kind, message)) = remote(&error) {
            return Error::new(kind, message).with_source(error);
        }
        let kind = match &error {
            object_store::Error::NotFound { .. } => ErrorKind::Input,
            object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => ErrorKind::Setup,
            _ => ErrorKind::Internal,
        };
        Error::new(kind, "object store").with_source(error)
    }
}

impl From<iceberg::Error> for Error {
    fn from(error: iceberg::Error) -> Self {
        if let Some(mend) = disk(&error) {
            return mend.with_source(error);
        }
        let kind = match error.kind() {
            iceberg::ErrorKind::CatalogCommitConflicts => ErrorKind::Retry,
            iceberg::ErrorKind::TableNotFound | iceberg::ErrorKind::NamespaceNotFound => ErrorKind::Input,
            iceberg::ErrorKind::DataInvalid => ErrorKind::Damaged,
            _ => ErrorKind::Internal,
        };
        let kind = own_kind(&error).unwrap_or(kind);
        Error::new(kind, "iceberg table").with_source(error)
    }
}

/// What to do about a disk, or a share of one, that does not take what is written.
fn disk(error: &(dyn StdError + 'static)) -> Option<Error> {
    if let Some(own) = error.downcast_ref::<io::Error>()
        && let Some(mend) = disk_mend(own)
    {
        return Some(mend);
    }
    disk(error.source()?)
}

/// EIO, which has no kind of its own.
const INPUT_OUTPUT: i32 = 5;

fn disk_mend(error: &io::Error) -> Option<Error> {
    let message = match error.kind() {
        _ if error.raw_os_error() == Some(INPUT_OUTPUT) => "the disk fails: check it and run it again, or restore from a backup",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => DISK_FULL,
        io::ErrorKind::ReadOnlyFilesystem => "the lake lies on a read-only file system: mount it writable and run it again",
        io::ErrorKind::PermissionDenied => "the lake may not be written: mend its permissions and run it again",
        _ => return None,
    };
    Some(Error::new(ErrorKind::Setup, message))
}

/// What a store over a network has that a disk has not: keys of its own, and a way there that may be cut.
fn remote(error: &(dyn StdError + 'static)) -> Option<(ErrorKind, &'static str)> {
    let told = error.to_string();
    if told.contains("KMS.DisabledException") || told.contains("KMS.KMSInvalidStateException") {
        return Some((
            ErrorKind::Refused,
            "the key that the object store asks for is disabled or being deleted: enable it first",
        ));
    }
    if told.contains("KMS.NotFoundException") {
        return Some((
            ErrorKind::Setup,
            "the key that the object store asks for is not there: it must lie in the bucket's region",
        ));
    }
    let mut at: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = at {
        if let Some(own) = error.downcast_ref::<Error>() {
            return Some((own.kind, "object store"));
        }
        if error.is::<object_store::client::HttpError>() {
            return Some((ErrorKind::Retry, "the object store cannot be reached: try again"));
        }
        at = error.source();
    }
    None
}

const DISK_FULL: &str = "the disk is full: free space and run it again; what was taken in until now is kept";

/// SQLite tells its own story of the disk; its driver hands on the words.
fn sqlite_disk(told: &str) -> Option<Error> {
    if told.contains("database or disk is full") {
        return Some(Error::new(ErrorKind::Setup, DISK_FULL));
    }
    let broken = told.contains("disk I/O error");
    broken.then(|| Error::new(ErrorKind::Setup, "the control store's disk fails or is full: check it and run it again"))
}

/// The kind of one of our errors on its way back through iceberg: a refused key stays a refusal.
fn own_kind(error: &(dyn StdError + 'static)) -> Option<ErrorKind> {
    match error.downcast_ref::<Error>() {
        Some(own) => Some(own.kind),
        None => own_kind(error.source()?),
    }
}

/// By SQLite's result code or PostgreSQL's SQLSTATE: what passes by itself, and what is the machine's.
fn database_kind(code: &str) -> ErrorKind {
    // SQLite's codes are short; the last eight bits say what it is, those above how it came.
    let sqlite = code.parse::<u32>().ok().filter(|_| code.len() < 5).map(|code| code & 0xff);
    match code {
        // Busy, locked.
        _ if matches!(sqlite, Some(5 | 6)) => ErrorKind::Retry,
        // I/O error, full.
        _ if matches!(sqlite, Some(10 | 13)) => ErrorKind::Setup,
        // SQLITE_CORRUPT, SQLITE_NOTADB.
        _ if matches!(sqlite, Some(11 | 26)) => ErrorKind::Damaged,
        // PostgreSQL: connection lost, rolled back by the server, shutting down.
        code if code.len() == 5 && ["08", "40", "57"].iter().any(|class| code.starts_with(class)) => ErrorKind::Retry,
        // PostgreSQL: out of disk, memory or connections.
        code if code.len() == 5 && code.starts_with("53") => ErrorKind::Setup,
        _ => ErrorKind::Internal,
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        if let sqlx::Error::Database(told) = &error
            && let Some(mend) = sqlite_disk(told.message())
        {
            return mend.with_source(error);
        }
        let kind = match &error {
            sqlx::Error::PoolTimedOut => ErrorKind::Retry,
            sqlx::Error::Io(_) => ErrorKind::Setup,
            sqlx::Error::Database(error) => database_kind(error.code().as_deref().unwrap_or_default()),
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => ErrorKind::Damaged,
            _ => ErrorKind::Internal,
        };
        Error::new(kind, "control store").with_source(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn database_errors_that_pass_are_told_from_those_that_do_not() {
        for (code, kind) in [
            ("5", ErrorKind::Retry),
            ("517", ErrorKind::Retry),
            ("13", ErrorKind::Setup),
            ("778", ErrorKind::Setup),
            ("2067", ErrorKind::Internal),
            ("267", ErrorKind::Damaged),
            ("26", ErrorKind::Damaged),
            ("40001", ErrorKind::Retry),
            ("57P01", ErrorKind::Retry),
            ("53100", ErrorKind::Setup),
            ("23505", ErrorKind::Internal),
            ("", ErrorKind::Internal),
        ] {
            assert_eq!(database_kind(code), kind, "{code}");
        }
    }
}
