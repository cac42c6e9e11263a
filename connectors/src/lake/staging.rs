//! One attempt at a commit: encrypted manifests and manifest list, written before the pointer swings.
//! Promise: keys of files lie only in encrypted manifests; lengths are recorded as Java needs them; what a lost attempt
//! wrote can be cleaned away by its own list of paths.

use std::collections::{HashMap, HashSet};

use iceberg::{
    TableUpdate,
    encryption::{EncryptionManager, StandardKeyMetadata},
    spec::{
        DataFile, DataFileBuilder, MAIN_BRANCH, Manifest, ManifestEntry, ManifestFile, ManifestListWriter, ManifestWriterBuilder,
        Snapshot, SnapshotReference, SnapshotRetention, SnapshotSummaryCollector, Summary, TableMetadata,
    },
    table::Table,
};

use super::{
    commit::{Change, DELIVERY_PROPERTY, Mark},
    lengths, manifests,
};
use crate::error::{Error, ErrorKind, Result};

/// One attempt's files: written before the swing, deleted when the race is lost.
pub(super) struct Staging<'a> {
    table: &'a Table,
    manager: &'a EncryptionManager,
    paths: Vec<String>,
    now_ms: i64,
}

impl<'a> Staging<'a> {
    pub fn new(table: &'a Table, now_ms: i64) -> Result<Self> {
        let manager = table
            .encryption_manager()
            .ok_or_else(|| Error::new(ErrorKind::Refused, format!("table {} is not encrypted", table.identifier().name())))?;
        Ok(Self { table, manager, paths: Vec::new(), now_ms })
    }

    pub async fn clean(&self) {
        for path in &self.paths {
            if let Err(error) = self.table.file_io().delete(path).await {
                tracing::warn!(target: "lake.commit.litter", %error, "an unreferenced manifest stays behind");
            }
        }
    }

    fn manifest_path(&mut self) -> String {
        let path = format!("{}/metadata/{}-m.avro", self.table.metadata().location(), uuid::Uuid::now_v7());
        self.paths.push(path.clone());
        path
    }

    /// Writes manifests and manifest list; answers the updates that make them the current snapshot.
    pub async fn stage(&mut self, change: &Change<'_>) -> Result<(i64, Vec<TableUpdate>)> {
        let metadata = self.table.metadata();
        let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
        let snapshot_id = ((high ^ low) & (i64::MAX as u64)) as i64;
        // Partition summaries stay off: they would put partition values into the plain metadata.json.
        let mut summary = SnapshotSummaryCollector::default();
        let mut manifests = self.kept_manifests(snapshot_id, change, &mut summary).await?;
        if !change.add.is_empty() {
            manifests.push(self.added_manifest(snapshot_id, change.add, &mut summary).await?);
        }

        let list_path = format!("{}/metadata/snap-{snapshot_id}-{}.avro", metadata.location(), uuid::Uuid::now_v7());
        self.paths.push(list_path.clone());
        let first_row_id = metadata.next_row_id();
        let encrypted = self.manager.encrypt(self.table.file_io().new_output(&list_path)?);
        let mut list = ManifestListWriter::v3(
            encrypted.writer().await?,
            snapshot_id,
            metadata.current_snapshot_id(),
            metadata.next_sequence_number(),
            Some(first_row_id),
        );
        list.add_manifests(manifests.into_iter())?;
        let added_rows = list.next_row_id().unwrap_or(first_row_id) - first_row_id;
        list.close().await?;
        let stored_bytes = self.table.file_io().new_input(&list_path)?.metadata().await?.size;
        let list_key: StandardKeyMetadata = encrypted.key_metadata().clone().with_file_length(stored_bytes);
        let key_id = self.manager.encrypt_manifest_list_key_metadata(&list_key).await?;

        let snapshot = Snapshot::builder()
            .with_snapshot_id(snapshot_id)
            .with_parent_snapshot_id(metadata.current_snapshot_id())
            .with_sequence_number(metadata.next_sequence_number())
            .with_timestamp_ms(self.now_ms.max(metadata.last_updated_ms() + 1))
            .with_manifest_list(list_path)
            .with_summary(Summary {
                operation: change.operation.clone(),
                additional_properties: totals(metadata, summary.build(), change.mark),
            })
            .with_schema_id(metadata.current_schema_id())
            .with_encryption_key_id(Some(key_id))
            .with_row_range(first_row_id, added_rows)
            .build();
        // Keys this attempt made: the list's, and a KEK where none was young enough.
        let mut updates: Vec<TableUpdate> = self.manager.with_encryption_keys(|keys| {
            keys.values()
                .filter(|key| metadata.encryption_key(key.key_id()).is_none())
                .map(|key| TableUpdate::AddEncryptionKey { encryption_key: key.clone() })
                .collect()
        });
        updates.push(TableUpdate::AddSnapshot { snapshot });
        updates.push(TableUpdate::SetSnapshotRef {
            ref_name: MAIN_BRANCH.into(),
            reference: SnapshotReference::new(snapshot_id, SnapshotRetention::branch(None, None, None)),
        });
        Ok((snapshot_id, updates))
    }

    async fn added_manifest(
        &mut self,
        snapshot_id: i64,
        files: &[DataFile],
        summary: &mut SnapshotSummaryCollector,
    ) -> Result<ManifestFile> {
        let metadata = self.table.metadata();
        let path = self.manifest_path();
        let mut writer = ManifestWriterBuilder::new_from_encrypted(
            self.manager.encrypt(self.table.file_io().new_output(path)?),
            Some(snapshot_id),
            metadata.current_schema().clone(),
            metadata.default_partition_spec().as_ref().clone(),
        )?
        .build_v3_data();
        for file in files {
            summary.add_file(file, metadata.current_schema().clone(), metadata.default_partition_spec().clone());
            // -1: the sequence number is inherited at commit.
            writer.add_file(file.clone(), -1)?;
        }
        let mut manifest = writer.write_manifest_file().await?;
        lengths::mend(&mut manifest)?;
        Ok(manifest)
    }

    /// The manifests of the current snapshot; those that hold a removed file are written anew without it, and small ones
    /// together with them where there are many.
    async fn kept_manifests(
        &mut self,
        snapshot_id: i64,
        change: &Change<'_>,
        summary: &mut SnapshotSummaryCollector,
    ) -> Result<Vec<ManifestFile>> {
        let Some(current) = self.table.metadata().current_snapshot() else {
            return match change.remove.is_empty() {
                true => Ok(Vec::new()),
                false => Err(gone(change.remove.len())),
            };
        };
        let list = self.table.manifest_list_reader(current).load().await?;
        // The entries' iterator is not Send, so it is drained before the next await.
        let list: Vec<ManifestFile> = list.consume_entries().into_iter().collect();
        let affected = self.affected(&list, change).await?;
        let mut missing = change.remove.clone();
        let mut anew = vec![false; list.len()];
        let mut written = Vec::new();
        for group in manifests::groups(&list, change.merge, &affected) {
            if let [alone] = group[..]
                && !affected[alone]
            {
                continue;
            }
            let members: Vec<&ManifestFile> = group.iter().map(|at| &list[*at]).collect();
            written.push(self.write_anew(snapshot_id, &members, &mut missing, summary).await?);
            group.iter().for_each(|at| anew[*at] = true);
        }
        match missing.len() {
            0 => {
                let kept = list.into_iter().zip(anew).filter_map(|(manifest, anew)| (!anew).then_some(manifest));
                Ok(kept.chain(written).collect())
            }
            count => Err(gone(count)),
        }
    }

    /// Which of the list hold a file that the change removes.
    async fn affected(&self, list: &[ManifestFile], change: &Change<'_>) -> Result<Vec<bool>> {
        let mut affected = vec![false; list.len()];
        for (manifest, affected) in list.iter().zip(&mut affected) {
            if !change.remove.is_empty() && !change.unaffected.contains(&manifest.manifest_path) {
                let loaded = manifest.load_manifest(self.table.file_io()).await?;
                *affected = loaded.entries().iter().any(|e| e.is_alive() && change.remove.contains(e.file_path()));
            }
        }
        Ok(affected)
    }

    /// One manifest in the place of several: live files as they were, removed ones as deleted, sequence numbers, keys and
    /// row ids pinned file by file.
    async fn write_anew(
        &mut self,
        snapshot_id: i64,
        members: &[&ManifestFile],
        missing: &mut HashSet<&str>,
        summary: &mut SnapshotSummaryCollector,
    ) -> Result<ManifestFile> {
        let metadata = self.table.metadata();
        let spec_id = members.first().map_or(metadata.default_partition_spec_id(), |manifest| manifest.partition_spec_id);
        let spec = metadata
            .partition_spec_by_id(spec_id)
            .ok_or_else(|| Error::new(ErrorKind::Damaged, "a manifest names a partition spec that the table does not have"))?;
        let schema = metadata.current_schema();
        let path = self.manifest_path();
        let output = self.manager.encrypt(self.table.file_io().new_output(path)?);
        let mut writer =
            ManifestWriterBuilder::new_from_encrypted(output, Some(snapshot_id), schema.clone(), spec.as_ref().clone())?
                .build_v3_data();
        for member in members {
            let manifest = member.load_manifest(self.table.file_io()).await?;
            for (live, first_row_id) in with_row_ids(member, &manifest) {
                let pinned = with_first_row_id(live.data_file(), first_row_id, spec_id)?;
                let sequence = live.sequence_number().unwrap_or(member.sequence_number);
                let file_sequence = live.file_sequence_number.or(Some(member.sequence_number));
                if missing.remove(live.file_path()) {
                    summary.remove_file(&pinned, schema.clone(), spec.clone());
                    writer.add_delete_file(pinned, sequence, file_sequence)?;
                } else {
                    let added_by = live.snapshot_id.unwrap_or(member.added_snapshot_id);
                    writer.add_existing_file(pinned, added_by, sequence, file_sequence)?;
                }
            }
        }
        let mut written = writer.write_manifest_file().await?;
        lengths::mend(&mut written)?;
        // Row ids are pinned file by file; the list writer must not hand out fresh ones to existing rows.
        written.first_row_id = members.iter().filter_map(|manifest| manifest.first_row_id).min();
        Ok(written)
    }
}

/// The live entries of a manifest, each with the id of its first row: its own, or inherited in the order of the entries.
pub(super) fn with_row_ids<'m>(
    list_entry: &ManifestFile,
    manifest: &'m Manifest,
) -> impl Iterator<Item = (&'m ManifestEntry, Option<i64>)> + use<'m> {
    let mut next_row_id = list_entry.first_row_id.map(|id| id as i64);
    manifest.entries().iter().filter(|entry| entry.is_alive()).map(move |entry| {
        let file = entry.data_file();
        let first_row_id = file.first_row_id().or(next_row_id);
        if file.first_row_id().is_none() {
            next_row_id = next_row_id.map(|id| id + file.record_count() as i64);
        }
        (entry.as_ref(), first_row_id)
    })
}

fn gone(count: usize) -> Error {
    Error::new(ErrorKind::Refused, format!("{count} data files to replace are gone; someone else replaced them"))
}

/// A parsed `DataFile` has no setter for `first_row_id`, so it is built again.
fn with_first_row_id(file: &DataFile, first_row_id: Option<i64>, spec_id: i32) -> Result<DataFile> {
    let mut builder = DataFileBuilder::default();
    builder
        .content(file.content_type())
        .file_path(file.file_path().to_string())
        .file_format(file.file_format())
        .partition(file.partition().clone())
        .record_count(file.record_count())
        .file_size_in_bytes(file.file_size_in_bytes())
        .column_sizes(file.column_sizes().clone())
        .value_counts(file.value_counts().clone())
        .null_value_counts(file.null_value_counts().clone())
        .nan_value_counts(file.nan_value_counts().clone())
        .lower_bounds(file.lower_bounds().clone())
        .upper_bounds(file.upper_bounds().clone())
        .key_metadata(file.key_metadata().map(<[u8]>::to_vec))
        .split_offsets(file.split_offsets().map(<[i64]>::to_vec))
        .equality_ids(file.equality_ids())
        .first_row_id(first_row_id)
        .referenced_data_file(file.referenced_data_file())
        .partition_spec_id(spec_id);
    if let Some(order) = file.sort_order_id() {
        builder.sort_order_id(order);
    }
    builder.build().map_err(|error| Error::new(ErrorKind::Internal, "a data file entry cannot be rebuilt").with_source(error))
}

/// The summary's running totals, and the mark.
fn totals(metadata: &TableMetadata, mut summary: HashMap<String, String>, mark: Option<&Mark>) -> HashMap<String, String> {
    let before = metadata.current_snapshot().map(|s| s.summary().additional_properties.clone()).unwrap_or_default();
    let number = |map: &HashMap<String, String>, key: &str| map.get(key).and_then(|v| v.parse::<i64>().ok()).unwrap_or(0);
    for (total, added, removed) in [
        ("total-records", "added-records", "deleted-records"),
        ("total-data-files", "added-data-files", "deleted-data-files"),
        ("total-files-size", "added-files-size", "removed-files-size"),
    ] {
        let value = number(&before, total) + number(&summary, added) - number(&summary, removed);
        summary.insert(total.into(), value.to_string());
    }
    for none in ["total-delete-files", "total-position-deletes", "total-equality-deletes"] {
        summary.insert(none.into(), "0".into());
    }
    if let Some(mark) = mark {
        summary.insert(DELIVERY_PROPERTY.into(), mark.keyed_digest.clone());
    }
    summary
}
