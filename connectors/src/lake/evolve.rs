//! Changes of metadata alone: columns added or dropped, snapshots expired, keys pruned.
//! Promise: the change is applied to the metadata as it is now, however often others commit meanwhile.

use std::collections::HashSet;

use arrow::datatypes::Field;
use iceberg::{
    TableRequirement, TableUpdate,
    spec::{NestedFieldRef, Schema},
    table::Table,
};

use super::{Tables, catalog::Swing, create::iceberg_field};
use crate::error::{Error, ErrorKind, Result};

const ATTEMPTS_MAX: u32 = 100;

/// Loads, asks for the updates, swings; begins again after a lost race. No updates: nothing to do.
async fn change(tables: &Tables, table: &str, updates: impl Fn(&Table) -> Result<Vec<TableUpdate>>) -> Result<()> {
    let ident = tables.ident(table);
    for _ in 0..ATTEMPTS_MAX {
        let loaded = tables.catalog.load(&ident).await?;
        let updates = updates(&loaded)?;
        if updates.is_empty() {
            return Ok(());
        }
        let requirements = vec![TableRequirement::UuidMatch { uuid: loaded.metadata().uuid() }];
        match tables.catalog.swing(&loaded, updates, requirements, None).await {
            Ok(Swing::Landed | Swing::AlreadyCommitted) => return Ok(()),
            // The updates are worked out afresh from what is there, so an unknown answer needs no more than another look.
            Err(error) if matches!(error.kind(), ErrorKind::Retry | ErrorKind::Ambiguous) => continue,
            Err(error) => return Err(error),
        }
    }
    Err(Error::new(ErrorKind::Retry, format!("changes to {table} lost their race {ATTEMPTS_MAX} times; try again later")))
}

fn current(schema: Schema) -> Vec<TableUpdate> {
    // -1: the schema that was just added.
    vec![TableUpdate::AddSchema { schema }, TableUpdate::SetCurrentSchema { schema_id: -1 }]
}

pub(super) async fn add_columns(tables: &Tables, table: &str, fields: &[Field]) -> Result<()> {
    change(tables, table, |loaded| {
        let schema = loaded.metadata().current_schema();
        let mut id = loaded.metadata().last_column_id();
        let mut all: Vec<NestedFieldRef> = schema.as_struct().fields().to_vec();
        let before = all.len();
        for field in fields.iter().filter(|field| schema.field_by_name(field.name()).is_none()) {
            id += 1;
            all.push(iceberg_field(field, id)?.into());
        }
        if all.len() == before {
            return Ok(Vec::new());
        }
        Ok(current(Schema::builder().with_fields(all).build()?))
    })
    .await
}

pub(super) async fn drop_column(tables: &Tables, table: &str, name: &str) -> Result<()> {
    change(tables, table, |loaded| {
        let schema = loaded.metadata().current_schema();
        let kept: Vec<NestedFieldRef> = schema.as_struct().fields().iter().filter(|field| field.name != name).cloned().collect();
        if kept.len() == schema.as_struct().fields().len() {
            return Ok(Vec::new());
        }
        Ok(current(Schema::builder().with_fields(kept).build()?))
    })
    .await
}

/// Answers how many snapshots went.
pub(super) async fn expire_snapshots(tables: &Tables, table: &str, keep: usize) -> Result<usize> {
    let expired = std::sync::atomic::AtomicUsize::new(0);
    change(tables, table, |loaded| {
        let metadata = loaded.metadata();
        let mut snapshots: Vec<_> = metadata.snapshots().collect();
        snapshots.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.sequence_number()));
        let gone = snapshots.split_off(keep.max(1).min(snapshots.len()));
        expired.store(gone.len(), std::sync::atomic::Ordering::Relaxed);
        if gone.is_empty() {
            return Ok(Vec::new());
        }
        let mut updates = vec![TableUpdate::RemoveSnapshots { snapshot_ids: gone.iter().map(|s| s.snapshot_id()).collect() }];
        // `encryption-keys` grows by one entry a snapshot for ever (apache/iceberg#16352) unless it is pruned here.
        let lists: HashSet<&str> = snapshots.iter().filter_map(|s| s.encryption_key_id()).collect();
        let keks: HashSet<&str> = metadata
            .encryption_keys_iter()
            .filter(|key| lists.contains(key.key_id()))
            .filter_map(|key| key.encrypted_by_id())
            .collect();
        let dead = metadata.encryption_keys_iter().map(|key| key.key_id()).filter(|id| !lists.contains(id) && !keks.contains(id));
        updates.extend(dead.map(|id| TableUpdate::RemoveEncryptionKey { key_id: id.to_owned() }));
        Ok(updates)
    })
    .await?;
    Ok(expired.into_inner())
}
