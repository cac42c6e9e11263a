//! Passwords by bcrypt, away from the async threads, and no more at once than the machine bears.
//! Promise: every check costs one run of bcrypt, whether there is an account or not; a crowd is told to come again.
//! Never: a password is cut. bcrypt reads 72 bytes, so a longer one is refused, openly.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, Result};

/// What a new hash costs at least: 2^12 rounds.
pub const COST_MIN: u32 = 12;
/// What bcrypt reads.
pub const BYTES_MAX: usize = 72;
pub const CHARS_MIN: usize = 12;
/// Fewer different characters are no password, however often they are repeated.
const DISTINCT_MIN: usize = 5;

/// As somebody typed it.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// May it be a new password of the account `name`?
    ///
    /// # Errors
    /// `Input`, saying what is wrong with it and never what it was.
    pub fn check_new(&self, name: &str) -> Result<()> {
        let refused = |message: String| Err(Error::new(ErrorKind::Input, message));
        if self.0.len() > BYTES_MAX {
            return refused(format!(
                "the password has more than {BYTES_MAX} bytes, which is all that bcrypt reads; take a shorter one"
            ));
        }
        if self.0.contains('\0') {
            return refused("the password holds a zero byte; leave it out".into());
        }
        let text = self.0.to_lowercase();
        if text.chars().count() < CHARS_MIN {
            return refused(format!("the password is shorter than {CHARS_MIN} characters; take a longer one"));
        }
        let mut distinct: Vec<char> = text.chars().collect();
        distinct.sort_unstable();
        distinct.dedup();
        if distinct.len() < DISTINCT_MIN {
            return refused(format!("the password has fewer than {DISTINCT_MIN} different characters; take another one"));
        }
        let own = name.split('@').next().unwrap_or_default().to_lowercase();
        if own.len() >= 4 && text.contains(&own) {
            return refused("the password holds the account's own name; take another one".into());
        }
        if COMMON.iter().any(|common| text.contains(common) && text.chars().count() < common.chars().count() + 4) {
            return refused("the password is among those that are tried first; take another one".into());
        }
        Ok(())
    }

    /// bcrypt repeats its input with a zero byte between, so that `a` and `a\0a` would be the same to it.
    fn fits(&self) -> bool {
        self.0.len() <= BYTES_MAX && !self.0.contains('\0')
    }
}

/// The beginnings of every list of stolen passwords, as far as they are long enough to be refused for nothing else.
const COMMON: &[&str] = &[
    "password1234",
    "passwordpassword",
    "123456789012",
    "1234567890ab",
    "qwertyuiop12",
    "qwerty123456",
    "iloveyou1234",
    "abcdefghijkl",
    "administrator",
    "letmein12345",
    "welcome12345",
];

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(redacted)")
    }
}

/// Where bcrypt runs.
#[derive(Debug)]
pub struct Hasher {
    cost: u32,
    /// Verified in place of an account's own where there is none; nothing hashes to it.
    nobody: String,
    at_once: Arc<Semaphore>,
    /// Those at work and those that wait.
    admitted: Arc<Semaphore>,
    runs: AtomicU64,
}

impl Hasher {
    /// `at_once` runs side by side, `waiting_max` more wait; whoever comes then is told to come again.
    pub fn new(cost: u32, at_once: usize, waiting_max: usize) -> Self {
        Self {
            cost,
            // Salt and digest of zero bits, in bcrypt's own alphabet.
            nobody: format!("$2b${cost:02}${}", ".".repeat(53)),
            at_once: Arc::new(Semaphore::new(at_once.max(1))),
            admitted: Arc::new(Semaphore::new(at_once.max(1) + waiting_max)),
            runs: AtomicU64::new(0),
        }
    }

    /// How often bcrypt was run.
    pub fn runs(&self) -> u64 {
        self.runs.load(Ordering::Relaxed)
    }

    /// A hash with a salt of its own.
    ///
    /// # Errors
    /// `Retry` when too many wait; `Input` when bcrypt would not read all of it.
    pub async fn hash(&self, password: &Password) -> Result<String> {
        if !password.fits() {
            let message = format!("a password of more than {BYTES_MAX} bytes, or with a zero byte in it, is not taken");
            return Err(Error::new(ErrorKind::Input, message));
        }
        let (password, cost) = (password.clone(), self.cost);
        self.run(move || bcrypt::hash(password.0.as_bytes(), cost)).await?.map_err(broken)
    }

    /// Is it the password behind the hash? Without a hash the work is the same and the answer is no.
    ///
    /// # Errors
    /// `Retry` when too many wait.
    pub async fn verify(&self, password: &Password, hash: Option<&str>) -> Result<bool> {
        let may = hash.is_some() && password.fits();
        let hash = if may { hash.unwrap_or(&self.nobody) } else { &self.nobody }.to_owned();
        let password = password.clone();
        let same = self.run(move || bcrypt::verify(password.0.as_bytes(), &hash)).await?.map_err(broken)?;
        Ok(may && same)
    }

    /// The permits go to the thread with the work: a caller that goes away makes no room before its run has ended.
    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let busy = || Error::new(ErrorKind::Retry, "too many sign-ins at once; try again in a few seconds");
        let admitted = self.admitted.clone().try_acquire_owned().map_err(|_| busy())?;
        let working = self.at_once.clone().acquire_owned().await.map_err(|_| busy())?;
        self.runs.fetch_add(1, Ordering::Relaxed);
        let run = tokio::task::spawn_blocking(move || {
            let done = work();
            drop((working, admitted));
            done
        });
        run.await.map_err(|error| Error::new(ErrorKind::Internal, "bcrypt did not end").with_source(error))
    }
}

fn broken(error: bcrypt::BcryptError) -> Error {
    Error::new(ErrorKind::Damaged, "the account's password hash does not read").with_source(error)
}
