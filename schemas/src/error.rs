//! The one error of this room: a word that is not well formed.
//! A kind exists only where a caller would act differently.

use std::fmt;

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// What the caller passed is not a valid word (tenant name, report code, delivery id).
    Input,
    /// An edition or mapping file is wrong: fix the set-up.
    Setup,
}

#[derive(Clone, Debug)]
pub struct Error {
    pub kind: ErrorKind,
    pub message: String,
}

impl Error {
    pub fn input(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Input, message: message.into() }
    }

    pub fn setup(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Setup, message: message.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
