//! What one session may use, so that no question can take the machine.
//! Promise: a limit that is hit ends in an error that says which; an answer is never cut silently.

use std::time::Duration;

/// Limits of one session; they come from settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Memory that all operators of the session may hold together. Nothing spills to disk.
    pub memory_bytes_max: usize,
    /// From the start of a question to its last row, planning included.
    pub time_max: Duration,
    /// Rows of one answer.
    pub rows_max: usize,
    /// How many parts of a scan run side by side.
    pub target_partitions: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory_bytes_max: 1 << 30, time_max: Duration::from_secs(300), rows_max: 10_000_000, target_partitions: 4 }
    }
}
