//! A folder in place of a mail server: each letter a file that mail programs open.
//! Promise: a file is there whole, readable by its owner only, before the letter counts as sent.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{ErrorKind as IoKind, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use lettre::message::Mailbox;

use super::{Mail, Mailer, message, sender};
use crate::error::{Error, ErrorKind, Result};

#[derive(Clone, Debug)]
pub struct Outbox {
    folder: PathBuf,
    from: Mailbox,
}

impl Outbox {
    /// Makes the folder (0700) where there is none.
    pub fn open(folder: &Path, from: &str) -> Result<Self> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| failed(folder, error))?;
        Ok(Self { folder: folder.to_owned(), from: sender(from)? })
    }
}

#[async_trait]
impl Mailer for Outbox {
    async fn send(&self, mail: &Mail) -> Result<()> {
        if mail.id.is_empty() || !mail.id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err(Error::new(ErrorKind::Input, "a letter's id is letters, digits and dashes"));
        }
        let bytes = message(&self.from, mail)?.formatted();
        let (folder, path) = (self.folder.clone(), self.folder.join(format!("{}.eml", mail.id)));
        let written = tokio::task::spawn_blocking(move || write(&folder, &path, &bytes)).await;
        written.map_err(|error| Error::new(ErrorKind::Internal, "a letter was not written").with_source(error))?
    }
}

/// Under another name first, so that no half letter is ever read. A letter that lies there already stays.
fn write(folder: &Path, path: &Path, bytes: &[u8]) -> Result<()> {
    let part = path.with_extension("part");
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        match std::fs::hard_link(&part, path) {
            Err(error) if error.kind() != IoKind::AlreadyExists => return Err(error),
            _ => std::fs::remove_file(&part)?,
        }
        File::open(folder)?.sync_all()
    };
    write().map_err(|error| failed(folder, error))
}

fn failed(folder: &Path, error: std::io::Error) -> Error {
    let message = format!("cannot write letters to {}; choose another mail.outbox or mend its permissions", folder.display());
    Error::new(ErrorKind::Setup, message).with_source(error)
}
