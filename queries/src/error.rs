//! The one error of this room: a question that got no answer.
//! A kind exists only where a caller would act differently.

use std::{error::Error as StdError, fmt};

use datafusion::{arrow::error::ArrowError, error::DataFusionError};

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The question is not well formed: bad SQL, an unknown table or column.
    Input,
    /// The question asks for more than reading one tenant's tables.
    Refused,
    /// Memory, time or rows ran out; a narrower question, or higher limits, may pass.
    Limit,
    /// What is stored is not what was written: a missing key, a file that does not open.
    Damaged,
    /// A bug or a failure nobody can act on.
    Internal,
}

/// `message` names the object and the mend; `context` holds facts for the log, never cell values or keys.
pub struct Error {
    kind: ErrorKind,
    message: String,
    context: Vec<(&'static str, String)>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), context: Vec::new(), source: None }
    }

    pub fn with_context(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        self.context.push((key, value.to_string()));
        self
    }

    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    pub(crate) fn input(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Input, message)
    }

    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Refused, message)
    }

    pub(crate) fn limit(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Limit, message)
    }

    pub(crate) fn damaged(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Damaged, message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// The same error again, with its source as text: DataFusion may share one error between streams.
    fn again(&self) -> Self {
        let mut message = self.message.clone();
        if let Some(source) = &self.source {
            message = format!("{message}: {source}");
        }
        Self { kind: self.kind, message, context: self.context.clone(), source: None }
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

/// Ours travel through DataFusion as `External` and come out as they went in.
impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        DataFusionError::External(Box::new(error))
    }
}

impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        if let Some(own) = find_own(&error) {
            return own;
        }
        match error.find_root() {
            DataFusionError::ResourcesExhausted(_) => {
                Error::limit("the question needs more memory than the session may use; narrow it or raise the memory limit")
                    .with_source(error)
            }
            DataFusionError::SQL(..)
            | DataFusionError::SchemaError(..)
            | DataFusionError::Plan(_)
            | DataFusionError::Diagnostic(..)
            | DataFusionError::NotImplemented(_)
            | DataFusionError::Configuration(_)
            | DataFusionError::Execution(_)
            | DataFusionError::Collection(_) => Error::input(plain(&error)),
            DataFusionError::ArrowError(arrow, _) => match arrow.as_ref() {
                ArrowError::ParquetError(_) => damaged_file(error),
                ArrowError::DivideByZero
                | ArrowError::ArithmeticOverflow(_)
                | ArrowError::CastError(_)
                | ArrowError::ParseError(_)
                | ArrowError::InvalidArgumentError(_)
                | ArrowError::ComputeError(_) => Error::input(plain(&error)),
                _ => Error::internal("query engine").with_source(error),
            },
            DataFusionError::ParquetError(_) => damaged_file(error),
            DataFusionError::ObjectStore(source) => match source.as_ref() {
                object_store::Error::NotFound { .. } => {
                    Error::damaged("a data file that the table names is not in the lake").with_source(error)
                }
                _ => Error::internal("object store").with_source(error),
            },
            _ => Error::internal("query engine").with_source(error),
        }
    }
}

impl From<ArrowError> for Error {
    fn from(error: ArrowError) -> Self {
        Error::from(DataFusionError::from(error))
    }
}

impl From<iceberg::Error> for Error {
    fn from(error: iceberg::Error) -> Self {
        match error.kind() {
            iceberg::ErrorKind::TableNotFound | iceberg::ErrorKind::NamespaceNotFound => {
                Error::input("no such table").with_source(error)
            }
            _ => Error::damaged("iceberg table does not open; check that the tenant's key is enabled").with_source(error),
        }
    }
}

fn damaged_file(error: DataFusionError) -> Error {
    Error::damaged("a data file does not open with its key").with_source(error)
}

/// DataFusion's own words, without its prefixes ("Error during planning: ") and back traces.
fn plain(error: &DataFusionError) -> String {
    // The root says what is wrong; what stands around it only names the optimizer's rules.
    let text = error.find_root().strip_backtrace();
    let text = text.lines().next().unwrap_or_default();
    let prefixes =
        ["Error during planning: ", "SQL error: ", "Schema error: ", "Execution error: ", "This feature is not implemented: "];
    let mut rest = text;
    while let Some(cut) = prefixes.iter().find_map(|prefix| rest.strip_prefix(prefix)) {
        rest = cut;
    }
    match rest.starts_with("table '") && rest.ends_with(" not found") {
        true => format!("{rest}; `SHOW TABLES` lists those there are"),
        false => rest.to_owned(),
    }
}

fn find_own(error: &DataFusionError) -> Option<Error> {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(this) = next {
        if let Some(own) = this.downcast_ref::<Error>() {
            return Some(own.again());
        }
        next = match this.downcast_ref::<DataFusionError>() {
            Some(DataFusionError::External(inner)) => Some(inner.as_ref() as &(dyn StdError + 'static)),
            Some(DataFusionError::Shared(inner)) => Some(inner.as_ref()),
            Some(DataFusionError::Context(_, inner)) => Some(inner.as_ref()),
            _ => this.source(),
        };
    }
    None
}
