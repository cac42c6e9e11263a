//! The keys of one scan: which data key opens which file.
//! Promise: fails closed. A file that is not in the ring is an error, never a plaintext read.
//! Never: keys do not print, do not leave the scan, and cannot be used to write.

use std::{collections::HashMap, fmt, sync::Arc};

use async_trait::async_trait;
use datafusion::{
    arrow::datatypes::SchemaRef, common::Result, config::EncryptionFactoryOptions,
    execution::parquet_encryption::EncryptionFactory,
};
use iceberg::encryption::StandardKeyMetadata;
use object_store::path::Path;
use parquet::encryption::{decrypt::FileDecryptionProperties, encrypt::FileEncryptionProperties};

use crate::error::Error;

/// Data keys by object path.
#[derive(Default)]
pub(super) struct KeyRing(HashMap<Path, Arc<FileDecryptionProperties>>);

impl KeyRing {
    /// Adds the key that the file's manifest entry holds.
    ///
    /// `key_metadata` is Iceberg's standard key metadata: data key and AAD prefix.
    pub(super) fn add(&mut self, path: &Path, key_metadata: Option<&[u8]>) -> crate::error::Result<()> {
        let key_metadata =
            key_metadata.ok_or_else(|| Error::damaged("a data file has no key metadata").with_context("path", path))?;
        let key = StandardKeyMetadata::decode(key_metadata)?;
        let mut properties = FileDecryptionProperties::builder(key.encryption_key().as_bytes().to_vec());
        if let Some(prefix) = key.aad_prefix() {
            properties = properties.with_aad_prefix(prefix.to_vec());
        }
        let properties = properties
            .build()
            .map_err(|error| Error::damaged("a data file's key is not usable").with_context("path", path).with_source(error))?;
        self.0.insert(path.clone(), properties);
        Ok(())
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRing({} files)", self.0.len())
    }
}

#[async_trait]
impl EncryptionFactory for KeyRing {
    async fn get_file_encryption_properties(
        &self,
        _: &EncryptionFactoryOptions,
        _: &SchemaRef,
        path: &Path,
    ) -> Result<Option<Arc<FileEncryptionProperties>>> {
        Err(Error::refused("a session does not write").with_context("path", path).into())
    }

    async fn get_file_decryption_properties(
        &self,
        _: &EncryptionFactoryOptions,
        path: &Path,
    ) -> Result<Option<Arc<FileDecryptionProperties>>> {
        match self.0.get(path) {
            Some(properties) => Ok(Some(properties.clone())),
            None => Err(Error::damaged("no key for a data file of this scan").with_context("path", path).into()),
        }
    }
}

#[cfg(test)]
mod tests;
