//! When to try again: exponential backoff with full jitter.
//! Full jitter, so that what failed together (a full disk, a lost database) does not come back together.

use std::time::Duration;

/// The ceiling doubles with each attempt, from `first` up to `most`; the wait is anything below the ceiling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    pub first: Duration,
    pub most: Duration,
}

impl Backoff {
    /// The wait after the `attempts`-th attempt. `random` comes from outside and is used as a fraction of `u64::MAX`.
    pub fn wait(&self, attempts: u32, random: u64) -> Duration {
        let doubled = self.first.saturating_mul(1_u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX));
        let ceiling_ms = u64::try_from(doubled.min(self.most).as_millis()).unwrap_or(u64::MAX);
        let wait_ms = (u128::from(ceiling_ms) * u128::from(random)) >> 64;
        Duration::from_millis(u64::try_from(wait_ms).unwrap_or(u64::MAX))
    }
}
