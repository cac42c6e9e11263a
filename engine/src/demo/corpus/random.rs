//! SplitMix64: the corpus' own random numbers, so that a seed means the same bytes whatever a crate's next version does.
//! Promise: a stream depends on (seed, purpose, index) alone, so any entry can be made without making those before it.
//! Never used for keys: it is predictable by design.

/// Purposes, so that placing a discrepancy does not change the goods of the entries around it.
pub const ENTRY: u64 = 1;
pub const PARTIES: u64 = 2;
pub const PLACES: u64 = 3;
pub const PLANTED: u64 = 4;

const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// Steele, Lea, Flood: "Fast splittable pseudorandom number generators" (2014), the 64-bit variant.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    pub fn stream(seed: u64, purpose: u64, index: u32) -> Self {
        let state = mix(mix(seed.wrapping_add(GOLDEN_GAMMA)) ^ mix((purpose << 32) | u64::from(index)));
        Self { state }
    }

    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN_GAMMA);
        mix(self.state)
    }

    /// Uniform in `0..limit` but for a bias of at most `limit / 2^32`; 0 when `limit` is 0.
    pub fn below(&mut self, limit: u32) -> u32 {
        (((self.next() >> 32) * u64::from(limit)) >> 32) as u32
    }

    /// True in `percent` of 100 draws.
    pub fn chance(&mut self, percent: u32) -> bool {
        self.below(100) < percent
    }

    /// One of a table's rows, which must not be empty.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u32) as usize]
    }
}

fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
