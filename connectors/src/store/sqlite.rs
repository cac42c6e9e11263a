//! The control store on SQLite: one file a half, each opened by itself.
//! Promise: a commit that was answered survives a power cut; why a file does not open is told at once.

use std::path::Path;

use sqlx::{AnyConnection, AnyPool, Executor};
use tokio::sync::mpsc;

use super::options;
use crate::error::{Error, ErrorKind, Result};

pub(super) const FILE: &str = "control.sqlite";
/// FULL: a commit that was answered survives a power cut, in WAL mode too.
const PRAGMAS: &str = "PRAGMA busy_timeout = 30000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;";

/// `create`: a folder and a file that are missing are made.
pub(super) async fn open(folder: &Path, create: bool) -> Result<AnyPool> {
    sqlx::any::install_default_drivers();
    if create {
        std::fs::create_dir_all(folder).map_err(|error| not_writable(folder, error))?;
    }
    let file = folder.join(FILE);
    let url = format!("sqlite://{}?mode={}", percent_encode(&file.to_string_lossy()), if create { "rwc" } else { "rw" });
    // The pool would try again for a minute and then tell of the time only.
    let (failed, mut failure) = mpsc::unbounded_channel();
    let opening = options().after_connect(move |connection, _| Box::pin(sqlite_set_up(connection, failed.clone())));
    tokio::select! {
        biased;
        opened = opening.connect(&url) => opened.map_err(|error| not_opened(&file, error)),
        Some(error) = failure.recv() => Err(not_opened(&file, error)),
    }
}

/// A failure goes to whoever opens the pool, if somebody still does.
async fn sqlite_set_up(connection: &mut AnyConnection, failed: mpsc::UnboundedSender<sqlx::Error>) -> sqlx::Result<()> {
    let Err(error) = connection.execute(PRAGMAS).await else { return Ok(()) };
    let told = sqlx::Error::Protocol(error.to_string());
    // Nobody may listen any more: then the pool's own story is the one that is told.
    drop(failed.send(error));
    Err(told)
}

fn not_opened(file: &Path, error: sqlx::Error) -> Error {
    let error = Error::from(error);
    let (kind, mend) = match error.kind() {
        ErrorKind::Damaged => (ErrorKind::Damaged, "restore it from a backup"),
        _ => (ErrorKind::Setup, "is the folder writable?"),
    };
    Error::new(kind, format!("cannot open the control store {}; {mend}", file.display())).with_source(error)
}

pub(super) fn not_writable(folder: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Setup, format!("cannot write to {}; choose another folder or mend its permissions", folder.display()))
        .with_source(error)
}

fn percent_encode(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'.' | b'_' | b'-' => out.push(byte as char),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}
