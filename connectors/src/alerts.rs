//! The webhook door: where alerts go that no person reads first.
//! Promise: each call is signed, has a name that stays the same when it is tried again, and ends within a time.
//! Never: a URL, a secret or an answer's text stands in a log or in an error.

use std::fmt;

use async_trait::async_trait;

use crate::{error::Result, identity::token::Secret};

pub mod guard;
pub mod signature;
#[cfg(test)]
mod tests;
pub mod webhook;

pub use guard::Reach;
pub use webhook::Webhook;

/// One call.
#[derive(Clone)]
pub struct Hook {
    /// The same however often it is tried, so that a receiver can tell a second copy.
    pub id: String,
    pub url: String,
    /// Signs the body; none for receivers that check no signature.
    pub secret: Option<Secret>,
    /// JSON.
    pub body: String,
    /// Unix time of this try: a part of what is signed.
    pub at_s: i64,
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hook({}, redacted)", self.id)
    }
}

#[async_trait]
pub trait Hooks: Send + Sync + fmt::Debug {
    /// # Errors
    /// `Input` when this call will never be taken; any other kind may pass.
    async fn post(&self, hook: &Hook) -> Result<()>;

    /// A sign of life to a URL of the operator's own.
    async fn knock(&self, url: &str) -> Result<()>;

    /// Whether the URL may be called at all, before anything is kept of it.
    fn check(&self, url: &str) -> Result<()>;
}
