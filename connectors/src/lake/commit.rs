//! The encrypted commit: data files in, one snapshot out, whatever other writers do meanwhile.
//! Steps: load, look for the mark, encrypt manifest and manifest list, swing the pointer; a lost race begins again.
//! Promise: one snapshot per keyed digest; an unknown answer is resolved by loading the table and looking.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use bonded_schemas::Report;
use iceberg::{
    TableRequirement, TableUpdate,
    encryption::{EncryptionManager, StandardKeyMetadata},
    spec::{
        DataFile, DataFileBuilder, MAIN_BRANCH, ManifestFile, ManifestListWriter, ManifestWriterBuilder, Operation, Snapshot,
        SnapshotReference, SnapshotRetention, SnapshotSummaryCollector, Summary, TableMetadata,
    },
    table::Table,
};

use super::{
    Tables, Written,
    catalog::{LedgerMark, Swing},
    lengths,
};
use crate::error::{Error, ErrorKind, Result};

/// The one property of ours in a snapshot summary; metadata.json is plain, so it is the keyed digest and nothing else.
pub const DELIVERY_PROPERTY: &str = "bonded.delivery";

const ATTEMPTS_MAX: u32 = 100;
const BACKOFF_MS_MIN: u64 = 5;
const BACKOFF_MS_SPREAD: u64 = 60;

/// Which delivery a commit is for: the idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    pub report: Report,
    pub keyed_digest: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Committed {
        snapshot_id: i64,
        attempts: u32,
    },
    /// The delivery is in the table since an earlier commit; the files passed in are deleted.
    AlreadyCommitted {
        snapshot_id: i64,
    },
}

/// What a snapshot changes.
pub(super) struct Change<'a> {
    pub add: &'a [DataFile],
    /// Live data files to drop, by path.
    pub remove: HashSet<&'a str>,
    pub operation: Operation,
    pub mark: Option<&'a Mark>,
}

pub(super) fn snapshot_with(metadata: &TableMetadata, keyed_digest: &str) -> Option<i64> {
    metadata
        .snapshots()
        .find(|s| s.summary().additional_properties.get(DELIVERY_PROPERTY).is_some_and(|mark| mark == keyed_digest))
        .map(|s| s.snapshot_id())
}

pub(super) async fn append(tables: &Tables, table: &str, written: Written, mark: &Mark) -> Result<Outcome> {
    let change = Change { add: &written.files, remove: HashSet::new(), operation: Operation::Append, mark: Some(mark) };
    match commit(tables, table, &change).await {
        Ok(Outcome::AlreadyCommitted { snapshot_id }) => {
            tables.discard(table, written).await?;
            Ok(Outcome::AlreadyCommitted { snapshot_id })
        }
        done => done,
    }
}

/// Commits the change, again and again while others come first.
pub(super) async fn commit(tables: &Tables, table: &str, change: &Change<'_>) -> Result<Outcome> {
    let ident = tables.ident(table);
    // Snapshots whose COMMIT went unanswered: if one turns up in the table, it landed.
    let mut unanswered: Vec<i64> = Vec::new();
    for attempt in 1..=ATTEMPTS_MAX {
        let loaded = tables.catalog.load(&ident).await?;
        if let Some(snapshot_id) = unanswered.iter().copied().find(|id| loaded.metadata().snapshot_by_id(*id).is_some()) {
            return Ok(Outcome::Committed { snapshot_id, attempts: attempt });
        }
        if let Some(snapshot_id) = change.mark.and_then(|mark| snapshot_with(loaded.metadata(), &mark.keyed_digest)) {
            return Ok(Outcome::AlreadyCommitted { snapshot_id });
        }
        let now_ms = tables.clock.now().timestamp_millis();
        let mut staging = Staging { table: &loaded, manager: encryption_manager(&loaded)?, paths: Vec::new(), now_ms };
        let staged = staging.stage(change).await;
        let swung = match staged {
            Ok((snapshot_id, updates)) => {
                let mark =
                    change.mark.map(|mark| LedgerMark { keyed_digest: &mark.keyed_digest, report: mark.report, snapshot_id });
                let requirements = vec![
                    TableRequirement::UuidMatch { uuid: loaded.metadata().uuid() },
                    TableRequirement::RefSnapshotIdMatch {
                        r#ref: MAIN_BRANCH.into(),
                        snapshot_id: loaded.metadata().current_snapshot_id(),
                    },
                ];
                (Some(snapshot_id), tables.catalog.swing(&loaded, updates, requirements, mark).await)
            }
            Err(error) => (None, Err(error)),
        };
        match swung {
            (Some(snapshot_id), Ok(Swing::Landed)) => return Ok(Outcome::Committed { snapshot_id, attempts: attempt }),
            (_, Ok(_)) => {
                staging.clean().await;
                return already(tables, &ident, change).await;
            }
            (snapshot_id, Err(error)) => match error.kind() {
                ErrorKind::Ambiguous => {
                    tracing::warn!(target: "lake.commit.ambiguous", table, %error);
                    unanswered.extend(snapshot_id);
                }
                ErrorKind::Retry => {
                    tracing::debug!(target: "lake.commit.conflict", table, attempt, %error);
                    staging.clean().await;
                }
                _ => {
                    staging.clean().await;
                    return Err(error);
                }
            },
        }
        tokio::time::sleep(jitter()).await;
    }
    Err(Error::new(ErrorKind::Retry, format!("{ATTEMPTS_MAX} commits to {table} lost their race; try again later")))
}

/// The ledger says that the delivery is committed though no retained snapshot carries it: it expired, which is no loss.
async fn already(tables: &Tables, ident: &iceberg::TableIdent, change: &Change<'_>) -> Result<Outcome> {
    let loaded = tables.catalog.load(ident).await?;
    let snapshot_id = change.mark.and_then(|mark| snapshot_with(loaded.metadata(), &mark.keyed_digest));
    match snapshot_id.or(loaded.metadata().current_snapshot_id()) {
        Some(snapshot_id) => Ok(Outcome::AlreadyCommitted { snapshot_id }),
        None => Err(Error::new(ErrorKind::Damaged, "the ledger tells of a commit that the table does not have")),
    }
}

fn encryption_manager(table: &Table) -> Result<&EncryptionManager> {
    table
        .encryption_manager()
        .ok_or_else(|| Error::new(ErrorKind::Refused, format!("table {} is not encrypted", table.identifier().name())))
}

fn jitter() -> Duration {
    let random = u64::from(uuid::Uuid::new_v4().as_bytes()[0]);
    Duration::from_millis(BACKOFF_MS_MIN + random % BACKOFF_MS_SPREAD)
}

/// One attempt's files: written before the swing, deleted when the race is lost.
struct Staging<'a> {
    table: &'a Table,
    manager: &'a EncryptionManager,
    paths: Vec<String>,
    now_ms: i64,
}

impl Staging<'_> {
    async fn clean(&self) {
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
    async fn stage(&mut self, change: &Change<'_>) -> Result<(i64, Vec<TableUpdate>)> {
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

    /// The manifests of the current snapshot; those that hold a removed file are written anew without it.
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
        let entries: Vec<ManifestFile> = list.consume_entries().into_iter().collect();
        if change.remove.is_empty() {
            return Ok(entries);
        }
        let mut missing = change.remove.clone();
        let mut kept = Vec::with_capacity(entries.len());
        for entry in entries {
            let manifest = entry.load_manifest(self.table.file_io()).await?;
            if manifest.entries().iter().any(|e| e.is_alive() && change.remove.contains(e.file_path())) {
                kept.push(self.rewrite_manifest(snapshot_id, &entry, &manifest, &mut missing, summary).await?);
            } else {
                kept.push(entry);
            }
        }
        match missing.len() {
            0 => Ok(kept),
            count => Err(gone(count)),
        }
    }

    async fn rewrite_manifest(
        &mut self,
        snapshot_id: i64,
        entry: &ManifestFile,
        manifest: &iceberg::spec::Manifest,
        missing: &mut HashSet<&str>,
        summary: &mut SnapshotSummaryCollector,
    ) -> Result<ManifestFile> {
        let spec =
            self.table.metadata().partition_spec_by_id(entry.partition_spec_id).ok_or_else(|| {
                Error::new(ErrorKind::Damaged, "a manifest names a partition spec that the table does not have")
            })?;
        let schema = manifest.metadata().schema().clone();
        let path = self.manifest_path();
        let output = self.manager.encrypt(self.table.file_io().new_output(path)?);
        let mut writer =
            ManifestWriterBuilder::new_from_encrypted(output, Some(snapshot_id), schema.clone(), spec.as_ref().clone())?
                .build_v3_data();
        let mut next_row_id = entry.first_row_id.map(|id| id as i64);
        for live in manifest.entries().iter().filter(|e| e.is_alive()) {
            let file = live.data_file();
            let first_row_id = file.first_row_id().or(next_row_id);
            if file.first_row_id().is_none() {
                next_row_id = next_row_id.map(|id| id + file.record_count() as i64);
            }
            let pinned = with_first_row_id(file, first_row_id, entry.partition_spec_id)?;
            let sequence = live.sequence_number().unwrap_or(entry.sequence_number);
            let file_sequence = live.file_sequence_number.or(Some(entry.sequence_number));
            if missing.remove(live.file_path()) {
                summary.remove_file(&pinned, schema.clone(), spec.clone());
                writer.add_delete_file(pinned, sequence, file_sequence)?;
            } else {
                writer.add_existing_file(pinned, live.snapshot_id.unwrap_or(entry.added_snapshot_id), sequence, file_sequence)?;
            }
        }
        let mut rewritten = writer.write_manifest_file().await?;
        lengths::mend(&mut rewritten)?;
        // Row ids are pinned file by file; the list writer must not hand out fresh ones to existing rows.
        rewritten.first_row_id = entry.first_row_id;
        Ok(rewritten)
    }
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
