//! Parquet's modular encryption of one file: every page, header and the footer sealed on its own, each bound to its place.
//! Promise: uniform encryption under one key, footer and all, AES-GCM; the AAD prefix is not stored, as Java Iceberg has it.
//! Never: a module fits another file, column, row group or page than its own.

use ring::aead::{AES_128_GCM, AES_256_GCM, LessSafeKey, UnboundKey};

use crate::{
    error::{Error, ErrorKind, Result},
    seal::cipher::{self, NONCE_BYTES, OVERHEAD_BYTES, TAG_BYTES},
};

const UNIQUE_BYTES: usize = 8;

/// What a module is, by the numbers of the format.
#[derive(Clone, Copy)]
pub enum Module {
    Footer = 0,
    DataPage = 2,
    DictionaryPage = 3,
    DataPageHeader = 4,
    DictionaryPageHeader = 5,
}

pub struct Modules {
    key: LessSafeKey,
    /// The prefix that the reader is told by the manifest, and a part of our own that the file tells.
    file_aad: Vec<u8>,
    unique: [u8; UNIQUE_BYTES],
}

impl Modules {
    pub fn new(key: &[u8], aad_prefix: &[u8]) -> Result<Self> {
        let algorithm = if key.len() == 16 { &AES_128_GCM } else { &AES_256_GCM };
        let key = UnboundKey::new(algorithm, key)
            .map_err(|_| Error::new(ErrorKind::Internal, format!("a data key of {} bytes is none of AES", key.len())))?;
        let unique = cipher::random_bytes::<UNIQUE_BYTES>();
        Ok(Self { key: LessSafeKey::new(key), file_aad: [aad_prefix, &unique].concat(), unique })
    }

    /// The module as it lies in the file: its length, a nonce, the ciphertext, a tag.
    pub fn seal(&self, module: Module, row_group: usize, column: usize, plain: &[u8]) -> Vec<u8> {
        let mut aad = self.file_aad.clone();
        aad.push(module as u8);
        if !matches!(module, Module::Footer) {
            aad.extend_from_slice(&(row_group as i16).to_le_bytes());
            aad.extend_from_slice(&(column as i16).to_le_bytes());
        }
        if matches!(module, Module::DataPage | Module::DataPageHeader) {
            // A chunk has one data page.
            aad.extend_from_slice(&0i16.to_le_bytes());
        }
        let length = (plain.len() + OVERHEAD_BYTES) as u32;
        let mut sealed = Vec::with_capacity(4 + length as usize);
        sealed.extend_from_slice(&length.to_le_bytes());
        sealed.extend_from_slice(&cipher::random_bytes::<NONCE_BYTES>());
        sealed.extend_from_slice(plain);
        sealed.extend_from_slice(&[0; TAG_BYTES]);
        cipher::seal_in_place(&self.key, &aad, &mut sealed[4..]);
        sealed
    }

    /// `FileCryptoMetaData` in Thrift's compact form: AES_GCM_V1 with our unique part, and that the reader must have the prefix.
    pub fn crypto_metadata(&self) -> Vec<u8> {
        // Field 1, the algorithm, is a union whose field 1 is a struct; in it field 2 is the unique part, field 3 true.
        let mut bytes = vec![0x1c, 0x1c, 0x28, UNIQUE_BYTES as u8];
        bytes.extend_from_slice(&self.unique);
        bytes.extend_from_slice(&[0x11, 0, 0, 0]);
        bytes
    }
}
