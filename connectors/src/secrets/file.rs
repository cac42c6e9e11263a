//! Secrets in files of their own, as systemd, Docker and Kubernetes hand them over.
//! Promise: a file that was replaced is read as it is now; a last line break is not part of the secret.

use std::io::Read;

use async_trait::async_trait;
use zeroize::{Zeroize, Zeroizing};

use super::{BYTES_MAX, Backend, Reference, too_long};
use crate::error::{Error, ErrorKind, Result};

#[derive(Debug)]
pub(super) struct Files;

#[async_trait]
impl Backend for Files {
    async fn read(&self, reference: &Reference) -> Result<Zeroizing<String>> {
        let Reference::File(path) = reference else { return Err(Error::new(ErrorKind::Internal, "no file is named")) };
        let cannot = |error: std::io::Error| {
            Error::new(ErrorKind::Setup, format!("cannot read the secret `{reference}`")).with_source(error)
        };
        // Never grown, so that no copy of a part stays behind in memory.
        let mut bytes = Zeroizing::new(Vec::with_capacity(BYTES_MAX + 1));
        let file = std::fs::File::open(path).map_err(cannot)?;
        file.take(BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(cannot)?;
        if bytes.len() > BYTES_MAX {
            return Err(too_long(reference));
        }
        let text = std::str::from_utf8(&bytes);
        let text = text.map_err(|_| Error::new(ErrorKind::Setup, format!("the secret `{reference}` is no UTF-8 text")))?;
        let secret = Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned());
        bytes.zeroize();
        Ok(secret)
    }
}
