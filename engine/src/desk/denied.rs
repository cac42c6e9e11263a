//! Why the desk says no: what a caller can do about it, and nothing that tells whether an account exists.

use std::fmt;

use crate::error::{Error, ErrorKind};

pub type Answer<T> = std::result::Result<T, Denied>;

#[derive(Debug)]
pub enum Denied {
    /// E-mail, password, code or link do not fit; which of them is not told.
    Credentials,
    /// There is no such session, or it ended.
    NoSession,
    /// The address has an account: sign in, then do it again.
    SignInFirst,
    /// A fresh proof is needed: see [`super::Desk::step_up`].
    StepUp,
    /// Too many at once.
    Busy,
    /// Too many tries; again after so many seconds.
    Wait {
        seconds: u64,
    },
    /// The role does not allow it.
    Forbidden(String),
    NotFound(String),
    /// What was sent is not well formed.
    Input(String),
    /// Things are no longer, or not, as it would need.
    Conflict(String),
    Failed(Error),
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Denied::Credentials => f.write_str("e-mail, password or code is wrong, or the code has expired"),
            Denied::NoSession => f.write_str("no such session, or it ended: sign in"),
            Denied::SignInFirst => f.write_str("this address has an account: sign in first"),
            Denied::StepUp => f.write_str("prove once more that it is you, then try again"),
            Denied::Busy => f.write_str("too many at once; try again in a few seconds"),
            Denied::Wait { seconds } => write!(f, "too many tries; again in {seconds} seconds"),
            Denied::Forbidden(message) | Denied::NotFound(message) | Denied::Input(message) | Denied::Conflict(message) => {
                f.write_str(message)
            }
            Denied::Failed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Denied {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Denied::Failed(error) => Some(error),
            _ => None,
        }
    }
}

impl From<Error> for Denied {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::Retry => Denied::Busy,
            ErrorKind::Input => Denied::Input(error.to_string()),
            _ => Denied::Failed(error),
        }
    }
}

impl From<bonded_connectors::Error> for Denied {
    fn from(error: bonded_connectors::Error) -> Self {
        Error::from(error).into()
    }
}

/// For the console.
impl From<Denied> for Error {
    fn from(denied: Denied) -> Self {
        let kind = match denied {
            Denied::Failed(error) => return error,
            Denied::Busy | Denied::Wait { .. } => ErrorKind::Retry,
            Denied::NotFound(_) | Denied::Input(_) => ErrorKind::Input,
            _ => ErrorKind::Refused,
        };
        Error::new(kind, denied.to_string())
    }
}
