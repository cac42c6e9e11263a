//! AES-256-GCM over whole buffers, random bytes, and the field encoding that every authenticated text of ours uses.
//! Promise: sealed form is `nonce(12) || ciphertext || tag(16)`; nonces are random and never come from a caller.
//! Never: no error says why something did not open, since nobody but an attacker could use the difference.

use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    rand::{SecureRandom, SystemRandom},
};
use zeroize::Zeroizing;

pub(crate) const KEY_BYTES: usize = 32;
pub(crate) const NONCE_BYTES: usize = 12;
pub(crate) const TAG_BYTES: usize = 16;
/// What sealing adds to a plaintext.
pub(crate) const OVERHEAD_BYTES: usize = NONCE_BYTES + TAG_BYTES;

/// A 256-bit key. Has no `Debug` of its own use: whatever holds one redacts it.
pub(crate) type Key = Zeroizing<[u8; KEY_BYTES]>;

pub(crate) fn random_key() -> Key {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    fill_random(key.as_mut());
    key
}

pub(crate) fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill_random(&mut bytes);
    bytes
}

pub(crate) fn fill_random(bytes: &mut [u8]) {
    SystemRandom::new().fill(bytes).expect("the kernel's generator answers once it is seeded, which happens at boot");
}

/// Each part as a big-endian u32 length and its bytes, so that no two lists of parts read the same.
pub(crate) fn fields(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.len() + 4).sum());
    for part in parts {
        let length = u32::try_from(part.len()).expect("a field is a name, a digest or a short text, far below 4 GiB");
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

pub(crate) fn aes(key: &[u8; KEY_BYTES]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("the length is fixed by the type"))
}

pub(crate) fn seal(key: &[u8; KEY_BYTES], aad: &[u8], plain: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(plain.len() + OVERHEAD_BYTES);
    sealed.extend_from_slice(&random_bytes::<NONCE_BYTES>());
    sealed.extend_from_slice(plain);
    sealed.extend_from_slice(&[0; TAG_BYTES]);
    seal_in_place(&aes(key), aad, &mut sealed);
    sealed
}

/// `block` holds a nonce, the plaintext, and room for the tag.
pub(crate) fn seal_in_place(key: &LessSafeKey, aad: &[u8], block: &mut [u8]) {
    let (nonce, rest) = block.split_first_chunk_mut::<NONCE_BYTES>().expect("callers leave room for the nonce");
    let (plain, tag_room) = rest.split_at_mut(rest.len() - TAG_BYTES);
    let tag = key
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(*nonce), Aad::from(aad), plain)
        .expect("AES-GCM seals anything under 64 GiB, and callers seal a block or a document");
    tag_room.copy_from_slice(tag.as_ref());
}

/// `None` when it does not open: another key, other authenticated data, or altered bytes.
pub(crate) fn open(key: &[u8; KEY_BYTES], aad: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, rest) = sealed.split_first_chunk::<NONCE_BYTES>()?;
    let mut plain = Zeroizing::new(rest.to_vec());
    let length = aes(key).open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(aad), &mut plain).ok()?.len();
    plain.truncate(length);
    Some(plain)
}

/// Opens a block where it lies and gives its plaintext.
pub(crate) fn open_in_place<'a>(key: &LessSafeKey, aad: &[u8], block: &'a mut [u8]) -> Option<&'a mut [u8]> {
    let (nonce, rest) = block.split_first_chunk_mut::<NONCE_BYTES>()?;
    key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(aad), rest).ok()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|nibble| char::from(DIGITS[usize::from(nibble)])).collect()
}

/// 64 hex characters, either case; `None` for anything else.
pub(crate) fn key_from_hex(text: &str) -> Option<Key> {
    let digits = text.as_bytes();
    if digits.len() != 2 * KEY_BYTES {
        return None;
    }
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = (high * 16 + low) as u8;
    }
    Some(key)
}
