//! Secrets in variables of this process.
//! Promise: one that is not set is told by its name. It cannot change while the process runs.

use async_trait::async_trait;
use zeroize::Zeroizing;

use super::{BYTES_MAX, Backend, Reference, too_long};
use crate::error::{Error, ErrorKind, Result};

#[derive(Debug)]
pub(super) struct Variables;

#[async_trait]
impl Backend for Variables {
    async fn read(&self, reference: &Reference) -> Result<Zeroizing<String>> {
        let Reference::Variable(name) = reference else { return Err(Error::new(ErrorKind::Internal, "no variable is named")) };
        let text = std::env::var(name).map(Zeroizing::new);
        // `VarError` repeats a value that is not UTF-8.
        let unset =
            |_| Error::new(ErrorKind::Setup, format!("the variable {name} named by `{reference}` is not set, or no text"));
        let text = text.map_err(unset)?;
        if text.len() > BYTES_MAX { Err(too_long(reference)) } else { Ok(text) }
    }
}
