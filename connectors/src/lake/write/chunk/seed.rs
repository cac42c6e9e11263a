//! Hashes with a secret of the process: a sender cannot choose values that fall on one place of a table.

use std::hash::{BuildHasher, RandomState};

#[derive(Clone, Copy)]
pub struct Seed {
    first: u64,
    second: u64,
}

impl Default for Seed {
    fn default() -> Self {
        let state = RandomState::new();
        Self { first: state.hash_one(0), second: state.hash_one(1) | 1 }
    }
}

impl Seed {
    #[inline]
    pub fn of_word(self, word: u64) -> u64 {
        mix(word ^ self.first, self.second)
    }

    #[inline]
    pub fn of_bytes(self, bytes: &[u8]) -> u64 {
        let (words, rest) = bytes.as_chunks::<8>();
        let mut hash = self.first ^ bytes.len() as u64;
        for word in words {
            hash = mix(hash ^ u64::from_le_bytes(*word), self.second);
        }
        let last = rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
        mix(hash ^ last, self.second)
    }
}

#[inline]
fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    let folded = product as u64 ^ (product >> 64) as u64;
    folded ^ folded >> 32
}
