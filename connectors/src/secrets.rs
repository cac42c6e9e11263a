//! The secrets' door: a setting names a secret, and here it is read, from a file, a variable or AWS Secrets Manager.
//! Promise: a secret that was put in another's place is used without a restart: it is read again once it has been kept for
//! a while, and at once when a login with it was refused. While its place does not answer, the last one is used.
//! Never: a secret in a setting itself, in a log, in an error or in a `Debug`; a reference holds none and may be shown.

use std::{
    collections::HashMap,
    fmt,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use zeroize::Zeroizing;

use crate::{
    clock::Clock,
    error::{Error, ErrorKind, Result},
};

mod aws;
mod env;
mod file;
#[cfg(test)]
pub(crate) mod tests;

pub use aws::Manager;

/// As much as AWS Secrets Manager keeps in one secret.
const BYTES_MAX: usize = 64 << 10;
/// Between two readings, however often a login is refused.
const AGAIN_AFTER: TimeDelta = TimeDelta::seconds(1);
const AWS: &str = "secret://aws/";
/// As AWS has them: an ARN, and a name within it.
const NAME_BYTES_MAX: usize = 2048;
const FIELD_BYTES_MAX: usize = 256;

/// Where a secret lies, as settings name it: `file:PATH`, `env:NAME`, `secret://aws/NAME` or `secret://aws/NAME#field`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reference {
    File(String),
    Variable(String),
    Aws {
        /// A name, which may hold slashes, or an ARN.
        name: String,
        /// Of the JSON object that the secret is; the whole text without one.
        field: Option<String>,
    },
}

impl FromStr for Reference {
    type Err = Error;

    /// What is no reference may be the secret itself, so no part of it is repeated.
    fn from_str(text: &str) -> Result<Self> {
        if let Some(rest) = text.strip_prefix(AWS) {
            let (name, field) = rest.split_once('#').map_or((rest, None), |(name, field)| (name, Some(field)));
            let named = |b: u8| b.is_ascii_alphanumeric() || b"/_+=.@-:".contains(&b);
            if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(named) {
                return Err(unnamed("has no name that AWS Secrets Manager takes behind secret://aws/"));
            }
            if field.is_some_and(|field| field.is_empty() || field.len() > FIELD_BYTES_MAX) {
                return Err(unnamed("has an empty or an endless field behind its #"));
            }
            return Ok(Reference::Aws { name: name.to_owned(), field: field.map(str::to_owned) });
        }
        match text.split_once(':') {
            Some(("env", name)) if !name.is_empty() => Ok(Reference::Variable(name.to_owned())),
            Some(("file", path)) if !path.is_empty() => Ok(Reference::File(path.to_owned())),
            _ => Err(unnamed("is not named")),
        }
    }
}

fn unnamed(what: &str) -> Error {
    let mend = "name it as file:PATH, env:NAME or secret://aws/NAME#field, and never write it into the settings";
    Error::new(ErrorKind::Setup, format!("a secret {what}; {mend}"))
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reference::File(path) => write!(f, "file:{path}"),
            Reference::Variable(name) => write!(f, "env:{name}"),
            Reference::Aws { name, field: None } => write!(f, "{AWS}{name}"),
            Reference::Aws { name, field: Some(field) } => write!(f, "{AWS}{name}#{field}"),
        }
    }
}

/// A secret that was read. Clones share it; it is overwritten when the last one goes.
#[derive(Clone)]
pub struct Secret(Arc<Zeroizing<String>>);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(Arc::new(Zeroizing::new(text.into())))
    }

    pub fn reveal(&self) -> &str {
        &self.0
    }

    fn is(&self, other: &Secret) -> bool {
        crate::identity::token::same(self.reveal(), other.reveal())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

/// One kind of place that secrets lie in.
#[async_trait]
pub(crate) trait Backend: Send + Sync + fmt::Debug {
    /// # Errors
    /// `Setup` when the place, or the secret in it, is not there or may not be read; `Retry` when the place does not answer.
    async fn read(&self, reference: &Reference) -> Result<Zeroizing<String>>;
}

/// Reads secrets and keeps each for a while. One a process.
pub struct Vault {
    clock: Arc<dyn Clock>,
    fresh: TimeDelta,
    aws: Arc<dyn Backend>,
    kept: Mutex<HashMap<Reference, Kept>>,
}

struct Kept {
    secret: Secret,
    /// When it was last asked for at its place, whatever came of it.
    asked_at: DateTime<Utc>,
}

impl Vault {
    /// A secret is read again when it was kept for `fresh`.
    pub fn new(clock: Arc<dyn Clock>, fresh: TimeDelta, aws: Manager) -> Self {
        Self { clock, fresh, aws: Arc::new(aws), kept: Mutex::default() }
    }

    #[cfg(test)]
    fn with(clock: Arc<dyn Clock>, fresh: TimeDelta, aws: Arc<dyn Backend>) -> Self {
        Self { clock, fresh, aws, kept: Mutex::default() }
    }

    /// # Errors
    /// Names the reference, and what mends it.
    pub async fn read(&self, reference: &Reference) -> Result<Secret> {
        let now = self.clock.now();
        let Some((kept, asked_at)) = self.kept(reference) else { return self.read_anew(reference, now).await };
        if now - asked_at < self.fresh {
            return Ok(kept);
        }
        match self.read_anew(reference, now).await {
            Ok(secret) => Ok(secret),
            Err(error) => {
                tracing::warn!(target: "secrets.stale", %reference, %error, "a secret cannot be read again; the last one is used");
                self.touch(reference, now);
                Ok(kept)
            }
        }
    }

    /// After a login with `refused` was refused: the secret that lies there now, if it is another one.
    pub async fn renewed(&self, reference: &Reference, refused: &Secret) -> Result<Option<Secret>> {
        let now = self.clock.now();
        if let Some((kept, asked_at)) = self.kept(reference) {
            if !kept.is(refused) {
                return Ok(Some(kept));
            }
            if now - asked_at < AGAIN_AFTER {
                return Ok(None);
            }
            // Whoever else is refused meanwhile does not ask, too.
            self.touch(reference, now);
        }
        let secret = self.read_anew(reference, now).await?;
        Ok(Some(secret).filter(|secret| !secret.is(refused)))
    }

    async fn read_anew(&self, reference: &Reference, now: DateTime<Utc>) -> Result<Secret> {
        let text = match reference {
            Reference::File(_) => file::Files.read(reference).await?,
            Reference::Variable(_) => env::Variables.read(reference).await?,
            Reference::Aws { .. } => self.aws.read(reference).await?,
        };
        let secret = Secret(Arc::new(text));
        let mut all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(reference.clone(), Kept { secret: secret.clone(), asked_at: now });
        Ok(secret)
    }

    fn kept(&self, reference: &Reference) -> Option<(Secret, DateTime<Utc>)> {
        let all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(reference).map(|kept| (kept.secret.clone(), kept.asked_at))
    }

    fn touch(&self, reference: &Reference, now: DateTime<Utc>) {
        let mut all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = all.get_mut(reference) {
            kept.asked_at = now;
        }
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("fresh", &self.fresh).finish_non_exhaustive()
    }
}

/// One secret, for a door that logs in with it again and again.
#[derive(Clone)]
pub struct Held(Source);

#[derive(Clone)]
enum Source {
    Fixed(Secret),
    Vault(Arc<Vault>, Reference),
}

impl Held {
    pub fn new(vault: Arc<Vault>, reference: Reference) -> Self {
        Self(Source::Vault(vault, reference))
    }

    /// One that nothing puts another in the place of.
    pub fn fixed(secret: impl Into<String>) -> Self {
        Self(Source::Fixed(Secret::new(secret)))
    }

    /// As it is to be used now.
    pub async fn now(&self) -> Result<Secret> {
        match &self.0 {
            Source::Fixed(secret) => Ok(secret.clone()),
            Source::Vault(vault, reference) => vault.read(reference).await,
        }
    }

    /// After a login with this one was refused: another, if there is one by now.
    pub async fn renewed(&self, refused: &Secret) -> Result<Option<Secret>> {
        match &self.0 {
            Source::Fixed(_) => Ok(None),
            Source::Vault(vault, reference) => vault.renewed(reference, refused).await,
        }
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Fixed(_) => f.write_str("Held(redacted)"),
            Source::Vault(_, reference) => write!(f, "Held({reference})"),
        }
    }
}

fn too_long(reference: &Reference) -> Error {
    Error::new(ErrorKind::Setup, format!("the secret {reference} is longer than {BYTES_MAX} bytes"))
}
