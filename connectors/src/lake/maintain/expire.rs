//! Expiry: snapshots that nobody needs leave the metadata, and with them the keys that open nothing any more.
//! Promise: the current snapshot stays, and what a reader opened stays for a time after another took its place; rows, history
//! by `_as_of` and the delivery ledger are untouched.
//! Never: a file is deleted here; the sweep does that, later.

use std::{collections::HashSet, sync::Mutex};

use chrono::{DateTime, Utc};
use iceberg::{
    TableUpdate,
    spec::{SnapshotRef, TableMetadata, TableProperties},
};

use super::{
    super::{Tables, evolve},
    Expired, Retention,
};
use crate::error::Result;

pub async fn expire(tables: &Tables, table: &str, retention: &Retention, dry_run: bool) -> Result<Expired> {
    let told = Mutex::new(Expired::default());
    let now = tables.clock.now();
    evolve::change(tables, table, |loaded| {
        let metadata = loaded.metadata();
        let (updates, expired) = plan(metadata, retention, now);
        *told.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = expired;
        Ok(if dry_run { Vec::new() } else { updates })
    })
    .await?;
    Ok(told.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
}

fn plan(metadata: &TableMetadata, retention: &Retention, now: DateTime<Utc>) -> (Vec<TableUpdate>, Expired) {
    let mut expired = Expired { snapshots_before: metadata.snapshots().len(), ..Expired::default() };
    let mut updates = Vec::new();
    let versions = TableProperties::PROPERTY_METADATA_PREVIOUS_VERSIONS_MAX;
    let wanted = retention.metadata_versions_max.max(1).to_string();
    if metadata.properties().get(versions) != Some(&wanted) {
        updates.push(TableUpdate::SetProperties { updates: [(versions.to_owned(), wanted)].into() });
    }
    let (kept, gone) = parted(metadata, retention, now);
    if !gone.is_empty() {
        expired.snapshots_expired = gone.len();
        updates.push(TableUpdate::RemoveSnapshots { snapshot_ids: gone.iter().map(|s| s.snapshot_id()).collect() });
        // `encryption-keys` grows by one entry a snapshot for ever (apache/iceberg#16352) unless it is pruned here.
        let lists: HashSet<&str> = kept.iter().filter_map(|snapshot| snapshot.encryption_key_id()).collect();
        let keks: HashSet<&str> = metadata
            .encryption_keys_iter()
            .filter(|key| lists.contains(key.key_id()))
            .filter_map(|key| key.encrypted_by_id())
            .collect();
        let dead = metadata.encryption_keys_iter().map(|key| key.key_id()).filter(|id| !lists.contains(id) && !keks.contains(id));
        let dead: Vec<TableUpdate> = dead.map(|id| TableUpdate::RemoveEncryptionKey { key_id: id.to_owned() }).collect();
        expired.keys_pruned = dead.len();
        updates.extend(dead);
    }
    (updates, expired)
}

/// Newest first: what stays and what goes. A snapshot's age counts from when the next one took its place, because a reader
/// may have opened it until then.
fn parted(metadata: &TableMetadata, retention: &Retention, now: DateTime<Utc>) -> (Vec<SnapshotRef>, Vec<SnapshotRef>) {
    let oldest_ms = (now - retention.age_max).timestamp_millis();
    let mut snapshots: Vec<SnapshotRef> = metadata.snapshots().cloned().collect();
    snapshots.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.sequence_number()));
    let mut superseded_ms = i64::MAX;
    let (mut kept, mut gone) = (Vec::new(), Vec::new());
    for (at, snapshot) in snapshots.into_iter().enumerate() {
        let young = superseded_ms > oldest_ms && at < retention.snapshots_max;
        superseded_ms = snapshot.timestamp_ms();
        let current = metadata.current_snapshot_id() == Some(snapshot.snapshot_id());
        match current || at < retention.snapshots_min.max(1) || young {
            true => kept.push(snapshot),
            false => gone.push(snapshot),
        }
    }
    (kept, gone)
}
