//! What sealing keeps, checked against iceberg's own reader and writer of the same stream.

use std::{
    ops::Range,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use iceberg::{
    encryption::{AesGcmCipher, AesGcmFileRead, AesGcmFileWrite, SecureKey},
    io::{FileRead, FileWrite},
};

use super::{
    ags1::{self, Ags1Opener, Ags1Sealer, BLOCK_BYTES, HEADER_BYTES, SEALED_BLOCK_BYTES},
    cipher,
    secret::TenantSecret,
};
use crate::error::ErrorKind;

const PREFIX: &[u8; 16] = b"prefix of stream";
const DATA_KEY: [u8; 32] = [7; 32];
const GOLDEN_DIGEST: &str = "7c8b2177529082d2ddc1bc3617b0e7e248c8f6fc648922b4d5af7614aaa93ddb";
const GOLDEN_DOCUMENT: &str = "01000102030405060708090a0b3f2b56e954da78296aaa5d62e4158d2afa65b54f01";
const SIZES: [usize; 7] = [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 2 * BLOCK_BYTES, 2 * BLOCK_BYTES + 77];

fn sample(bytes: usize) -> Vec<u8> {
    let mut plain = vec![0; bytes];
    cipher::fill_random(&mut plain);
    plain
}

fn seal_all(plain: &[u8], piece: usize) -> Vec<u8> {
    let mut sealer = Ags1Sealer::new(&DATA_KEY, PREFIX);
    let mut sealed = Vec::new();
    for chunk in plain.chunks(piece.max(1)) {
        sealer.push(chunk, |bytes| sealed.extend_from_slice(&bytes)).unwrap();
    }
    if let Some(bytes) = sealer.finish().unwrap() {
        sealed.extend_from_slice(&bytes);
    }
    sealed
}

fn open_all(sealed: &[u8], plain_bytes: u64) -> crate::Result<Vec<u8>> {
    let mut opener = Ags1Opener::new(&DATA_KEY, PREFIX, plain_bytes)?;
    let (header, blocks) = sealed.split_at(HEADER_BYTES.min(sealed.len()));
    Ags1Opener::check_header(header)?;
    let mut plain = Vec::new();
    for block in blocks.chunks(SEALED_BLOCK_BYTES) {
        plain.extend_from_slice(opener.open_next(&mut block.to_vec())?);
    }
    opener.finish()?;
    Ok(plain)
}

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

#[async_trait]
impl FileWrite for Memory {
    async fn write(&mut self, bytes: Bytes) -> iceberg::Result<()> {
        self.0.lock().unwrap().extend_from_slice(&bytes);
        Ok(())
    }

    async fn close(&mut self) -> iceberg::Result<()> {
        Ok(())
    }
}

#[async_trait]
impl FileRead for Memory {
    async fn read(&self, range: Range<u64>) -> iceberg::Result<Bytes> {
        Ok(Bytes::copy_from_slice(&self.0.lock().unwrap()[range.start as usize..range.end as usize]))
    }
}

fn iceberg_cipher() -> Arc<AesGcmCipher> {
    Arc::new(AesGcmCipher::new(SecureKey::new(&DATA_KEY).unwrap()))
}

#[tokio::test]
async fn iceberg_reads_what_the_sealer_writes() {
    for size in SIZES {
        let plain = sample(size);
        let sealed = seal_all(&plain, 300_001);
        assert_eq!(sealed.len() as u64, ags1::sealed_size_bytes(size as u64), "{size}");
        let file = Memory(Arc::new(Mutex::new(sealed.clone())));
        let reader =
            AesGcmFileRead::new(Box::new(file), iceberg_cipher(), PREFIX.as_slice().into(), sealed.len() as u64).unwrap();
        assert_eq!(reader.plaintext_length(), size as u64);
        assert_eq!(reader.read(0..size as u64).await.unwrap(), plain);
    }
}

#[tokio::test]
async fn the_opener_reads_what_iceberg_writes() {
    for size in SIZES {
        let plain = sample(size);
        let file = Memory::default();
        let mut writer = AesGcmFileWrite::new(Box::new(file.clone()), iceberg_cipher(), PREFIX.as_slice());
        writer.write(Bytes::from(plain.clone())).await.unwrap();
        writer.close().await.unwrap();
        let sealed = file.0.lock().unwrap().clone();
        assert_eq!(open_all(&sealed, size as u64).unwrap(), plain, "{size}");
    }
}

#[test]
fn any_size_of_pieces_seals_to_the_same_stream_length_and_opens() {
    let plain = sample(BLOCK_BYTES + 5);
    for piece in [1 << 16, 4097, BLOCK_BYTES, usize::MAX / 2] {
        assert_eq!(open_all(&seal_all(&plain, piece), plain.len() as u64).unwrap(), plain);
    }
}

#[test]
fn a_cut_stream_is_refused_at_every_place() {
    let plain = sample(3000);
    let sealed = seal_all(&plain, 3000);
    for length in 0..sealed.len() {
        assert_eq!(open_all(&sealed[..length], 3000).unwrap_err().kind(), ErrorKind::Damaged, "{length}");
    }
}

#[test]
fn a_stream_cut_between_blocks_is_refused() {
    let sealed = seal_all(&sample(2 * BLOCK_BYTES), BLOCK_BYTES);
    let cut = &sealed[..HEADER_BYTES + SEALED_BLOCK_BYTES];
    assert!(open_all(cut, 2 * BLOCK_BYTES as u64).is_err());
}

#[test]
fn reordered_repeated_or_appended_blocks_are_refused() {
    let size = 2 * BLOCK_BYTES as u64;
    let sealed = seal_all(&sample(2 * BLOCK_BYTES), BLOCK_BYTES);
    let (header, blocks) = sealed.split_at(HEADER_BYTES);
    let (first, second) = blocks.split_at(SEALED_BLOCK_BYTES);
    let whole = |parts: &[&[u8]]| open_all(&parts.concat(), size);
    assert!(whole(&[header, first, second]).is_ok());
    assert!(whole(&[header, second, first]).is_err());
    assert!(whole(&[header, first, first]).is_err());
    assert!(whole(&[header, first, second, second]).is_err());
}

#[test]
fn a_block_of_another_stream_under_the_same_key_is_refused() {
    let sealed = seal_all(&sample(100), 100);
    let mut opener = Ags1Opener::new(&DATA_KEY, b"another  prefix!", 100).unwrap();
    assert!(opener.open_next(&mut sealed[HEADER_BYTES..].to_vec()).is_err());
}

#[test]
fn every_flipped_bit_is_refused() {
    let sealed = seal_all(&sample(64), 64);
    for bit in 0..sealed.len() * 8 {
        let mut altered = sealed.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(open_all(&altered, 64).unwrap_err().kind(), ErrorKind::Damaged, "bit {bit}");
    }
}

#[test]
fn block_buffers_are_used_again() {
    let mut sealer = Ags1Sealer::new(&DATA_KEY, PREFIX);
    let plain = sample(BLOCK_BYTES);
    let mut places = std::collections::BTreeSet::new();
    for _ in 0..20 {
        sealer.push(&plain, |bytes| places.extend([bytes.as_ptr() as usize])).unwrap();
    }
    assert!(places.len() <= 3, "{} buffers for 20 blocks", places.len());
}

#[test]
fn equal_bytes_have_different_digests_for_two_tenants_and_two_purposes() {
    let (one, _) = TenantSecret::from_bytes(&[1; 32]).unwrap().derive();
    let (two, _) = TenantSecret::from_bytes(&[2; 32]).unwrap().derive();
    let digest = one.keyed_digest("raw", b"abc");
    assert_eq!(digest, one.keyed_digest("raw", b"abc"));
    assert_ne!(digest, two.keyed_digest("raw", b"abc"));
    assert_ne!(digest, one.keyed_digest("delivery", b"abc"));
    assert_eq!(digest.len(), 64);
}

#[test]
fn digests_are_fixed_for_ever() {
    // Object names depend on it: computed apart from this code with Python's hmac and the HKDF of `cryptography`.
    let (names, _) = TenantSecret::from_bytes(&[1; 32]).unwrap().derive();
    assert_eq!(names.keyed_digest("raw", b"abc"), GOLDEN_DIGEST);
}

#[test]
fn a_sealed_document_is_opened_apart_from_this_code() {
    let (_, documents) = TenantSecret::from_bytes(&[1; 32]).unwrap().derive();
    let sealed: Vec<u8> =
        (0..GOLDEN_DOCUMENT.len() / 2).map(|at| u8::from_str_radix(&GOLDEN_DOCUMENT[2 * at..2 * at + 2], 16).unwrap()).collect();
    assert_eq!(documents.open(&["note", "a/b"], &sealed).unwrap().as_slice(), b"hello");
}

#[test]
fn a_document_opens_only_in_its_place_and_unaltered() {
    let (_, documents) = TenantSecret::generate().derive();
    let sealed = documents.seal(&["note", "a/b"], b"{\"channel\":\"mail\"}");
    assert_eq!(documents.open(&["note", "a/b"], &sealed).unwrap().as_slice(), b"{\"channel\":\"mail\"}");
    assert!(documents.open(&["note", "a/c"], &sealed).is_err());
    assert!(documents.open(&["notea", "/b"], &sealed).is_err());
    assert!(documents.open(&["note"], &sealed).is_err());
    for bit in 0..sealed.len() * 8 {
        let mut altered = sealed.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(documents.open(&["note", "a/b"], &altered).unwrap_err().kind(), ErrorKind::Damaged);
    }
    let (_, other) = TenantSecret::generate().derive();
    assert!(other.open(&["note", "a/b"], &sealed).is_err());
}

#[test]
fn keys_do_not_print() {
    let secret = TenantSecret::from_bytes(&[0xab; 32]).unwrap();
    let (names, documents) = secret.derive();
    let printed = format!("{secret:?} {names:?} {documents:?} {:?}", Ags1Sealer::new(&[0xab; 32], PREFIX));
    assert!(!printed.contains("171") && !printed.to_lowercase().contains("abab"), "{printed}");
}
