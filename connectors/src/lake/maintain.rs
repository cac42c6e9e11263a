//! Keeping a table small and its folder clean while others write to it: compaction, expiry, orphan removal, re-wrapping.
//! Promise: rows stay as they are, cell by cell; every step is optimistic, may be run again, and a crash leaves garbage only.
//! Never: no file goes that a retained snapshot or the metadata log refers to, none that was not unreferenced for long, and
//! nothing of the raw zone but its staging.

use chrono::TimeDelta;
use serde::Serialize;

use super::Tables;
use crate::error::Result;

mod bins;
mod compact;
mod expire;
mod lineage;
mod references;
mod rewrap;
mod sweep;
mod uploads;

#[cfg(test)]
mod tests;

pub(super) use compact::{compact, merge_manifests};
pub(super) use expire::expire;
pub(super) use rewrap::rewrap;
pub(super) use sweep::sweep;
pub(crate) use {sweep::store_now, uploads::remove as remove_uploads};

/// Before anything is done to a table: a swing whose worker died before the control store was told of it is ended, so that the
/// ledger has its delivery whatever becomes of the snapshot that shows it. A dry run leaves that too.
pub(super) async fn settle(tables: &Tables, table: &str, dry_run: bool) -> Result<()> {
    if dry_run { Ok(()) } else { tables.catalog.settle_first(table).await }
}

/// The least grace for files that nothing refers to: longer than any delivery takes from its first file to its commit.
pub const GRACE_MIN: TimeDelta = TimeDelta::hours(24);

/// When data files and manifests are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compaction {
    /// A joined file is closed at about this size; a file of half of it is left alone.
    pub file_target_bytes: u64,
    /// As many small files of one month and one class of size are joined; as many small manifests, too.
    pub files_min: usize,
}

/// Which snapshots stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// The newest so many stay in any case.
    pub snapshots_min: usize,
    /// No more than this stay, however young.
    pub snapshots_max: usize,
    /// One stays so long after another took its place.
    pub age_max: TimeDelta,
    /// How many older metadata.json files the table's log names.
    pub metadata_versions_max: usize,
}

/// What compaction did, or with a dry run would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Compacted {
    pub files_before: usize,
    pub files_joined: usize,
    /// What they were joined into; unknown before it is done.
    pub files_made: usize,
    pub rows_moved: u64,
    pub manifests_before: usize,
    /// 0 when none were written anew, and before it is known.
    pub manifests_after: usize,
    /// Files that someone else replaced first; they wait for the next run.
    pub files_lost_to_others: usize,
}

/// What expiry did, or with a dry run would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Expired {
    pub snapshots_before: usize,
    pub snapshots_expired: usize,
    pub keys_pruned: usize,
}

/// What a sweep found and did. Counts are of objects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Swept {
    pub listed: usize,
    pub referenced: usize,
    /// Nothing refers to them, but they are young: a running commit may own them.
    pub young: usize,
    /// Old, but not known as unreferenced for long enough.
    pub waiting: usize,
    pub removed: usize,
    pub removed_bytes: u64,
    /// Uploads that were never finished, which no list of objects shows; in a bucket those of the raw zone, too.
    pub uploads_removed: usize,
    /// Objects written once whose retention a crash had come before.
    pub retained: usize,
}

/// What re-wrapping did, or with a dry run would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rewrapped {
    /// Key-encryption keys of the table.
    pub wraps: usize,
    pub rewrapped: usize,
}
