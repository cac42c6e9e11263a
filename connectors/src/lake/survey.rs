//! A table looked through for damage: metadata, keys, manifest lists, manifests; then data files, one by one.
//! Promise: each object that a retained snapshot can reach is opened whole, so that not one of its bits can have changed;
//! what is damaged is named, and the rest is looked at all the same.
//! Never: nothing is changed, and no file is in memory but those that are being looked at.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use bytes::Bytes;
use iceberg::{
    encryption::StandardKeyMetadata,
    spec::{ManifestFile, ManifestStatus, SnapshotRef},
    table::Table,
};
use sqlx::Row;

use super::{Tables, catalog::hex_sha256, commit::DELIVERY_PROPERTY};
use crate::{
    error::{Error, ErrorKind, Result},
    flaw::Flaw,
    seal::{
        Ags1Opener,
        ags1::{HEADER_BYTES, SEALED_BLOCK_BYTES},
        cipher::{KEY_BYTES, OVERHEAD_BYTES},
    },
};

mod pages;

/// What was found of one table before its data files.
#[derive(Debug, Default)]
pub struct Survey {
    pub found: Vec<Found>,
    /// Paths in the lake of all that the table needs.
    pub reached: BTreeSet<String>,
    /// Data files of all retained snapshots, each once.
    pub files: Vec<StoredFile>,
    /// Whether all of the table's data files are in `files`.
    pub whole: bool,
    /// Stored bytes that were opened.
    pub bytes: u64,
    /// The pointer that was followed, and the one before it as the metadata tells.
    pub location: Option<String>,
    pub previous: Option<String>,
}

/// A flaw, and what it spoils.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub flaw: Flaw,
    /// Only what the table was before is spoilt, not what it is now.
    pub history: bool,
    /// Keyed digest of the delivery that brought it, where one did alone.
    pub mark: Option<String>,
}

/// A data file as the manifest tells of it.
#[derive(Clone, Debug)]
pub struct StoredFile {
    pub table: String,
    pub path: String,
    pub size_bytes: u64,
    pub rows: u64,
    /// In the current snapshot.
    pub live: bool,
    pub mark: Option<String>,
    location: String,
    key_metadata: Option<Vec<u8>>,
}

/// What a data file, or several, hold of one delivery: rows, and sums by column in units of the column's scale.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub rows: u64,
    pub sums: BTreeMap<String, i128>,
}

impl Tally {
    pub fn add(&mut self, other: &Tally) {
        self.rows += other.rows;
        for (column, sum) in &other.sums {
            *self.sums.entry(column.clone()).or_default() += sum;
        }
    }
}

impl Tables {
    /// Looks through one table; data files are for [`Tables::check_file`].
    ///
    /// # Errors
    /// Only when the control store or the object store cannot be asked; damage is in the answer.
    pub async fn survey(&self, table: &str) -> Result<Survey> {
        match self.catalog.pointer(&self.ident(table)).await {
            Ok(Some((location, sha256))) => self.survey_at(table, &location, sha256.as_deref()).await,
            Ok(None) => Ok(Survey::default()),
            Err(error) if error.kind() == ErrorKind::Damaged => {
                let mut survey = Survey::default();
                survey.tell(Flaw::new("catalog", error.to_string()).at(table), false, None);
                Ok(survey)
            }
            Err(error) => Err(error),
        }
    }

    /// The same from a pointer as it stood at another time.
    ///
    /// # Errors
    /// As [`Tables::survey`].
    pub async fn survey_at(&self, table: &str, location: &str, sha256: Option<&str>) -> Result<Survey> {
        let mut survey = Survey::default();
        let ident = self.ident(table);
        let path = self.object_path(location);
        survey.reached.insert(path.clone());
        survey.location = Some(location.to_owned());
        let loaded = match self.catalog.load_at(&ident, location, sha256).await {
            Ok(loaded) => loaded,
            Err(error) => {
                let flaw = self.witnessed(table, location, path, error).await?;
                survey.tell(flaw, false, None);
                return Ok(survey);
            }
        };
        self.keys(&loaded, &path, &mut survey).await;
        let logged: Vec<&str> = loaded.metadata().metadata_log().iter().map(|log| log.metadata_file.as_str()).collect();
        survey.previous = logged.last().map(|last| (*last).to_owned());
        self.older_metadata(table, &logged, location, &mut survey).await?;
        survey.whole = true;
        self.snapshots(table, &loaded, &mut survey).await;
        Ok(survey)
    }

    /// Opens a data file whole: as long as it was, every byte of it a page that opens, as many rows as the manifest says.
    /// Answers what it holds of each delivery.
    ///
    /// # Errors
    /// `Damaged` with what is wrong.
    pub async fn check_file(&self, file: &StoredFile) -> Result<BTreeMap<String, Tally>> {
        let damaged = |what: String| Error::new(ErrorKind::Damaged, what);
        let key = file.key_metadata.as_deref().ok_or_else(|| damaged("has no key in its manifest".into()))?;
        let key = StandardKeyMetadata::decode(key)?;
        let bytes = self.catalog.file_io().new_input(&file.location)?.read().await?;
        if bytes.len() as u64 != file.size_bytes {
            return Err(damaged(format!("has {} bytes, {} were committed", bytes.len(), file.size_bytes)));
        }
        let rows = file.rows;
        // A panic in a reader over altered lengths is as good as an error.
        let read = tokio::task::spawn_blocking(move || pages::read(bytes, &key, rows)).await;
        read.unwrap_or_else(|_| Err("cannot be decrypted".to_owned())).map_err(damaged)
    }

    /// Where the pointer of a table stands now; none where it stands as it may not.
    pub async fn metadata_location(&self, table: &str) -> Result<Option<String>> {
        match self.catalog.location(&self.ident(table)).await {
            Err(error) if error.kind() == ErrorKind::Damaged => Ok(None),
            location => location,
        }
    }

    fn object_path(&self, location: &str) -> String {
        self.catalog.object_path(location).unwrap_or_else(|| location.to_owned())
    }

    /// Every key in the metadata opens: those wrapped by the key service, and those wrapped by these.
    async fn keys(&self, loaded: &Table, path: &str, survey: &mut Survey) {
        let Some(manager) = loaded.encryption_manager() else {
            survey.tell(Flaw::new(path, "the table is not encrypted"), false, None);
            return;
        };
        for key in loaded.metadata().encryption_keys_iter() {
            let by_service = key.encrypted_by_id() == Some(self.key.0.as_str());
            let opened = match by_service {
                true => self.catalog.kms().unwrap_key(key.encrypted_key_metadata(), &self.key.0).await.map(|_| ()),
                false => manager.decrypt_manifest_list_key_metadata(key.key_id()).await.map(|_| ()),
            };
            if let Err(error) = opened {
                let flaw = Flaw::new(path, format!("does not open: {error}")).at(format!("encryption key {}", key.key_id()));
                survey.tell(flaw, false, None);
            }
        }
    }

    /// File and pointer differ: the second witness in the control store tells which of them changed.
    async fn witnessed(&self, table: &str, location: &str, path: String, error: Error) -> Result<Flaw> {
        let row = sqlx::query(
            "SELECT sha256 FROM metadata_files WHERE location = $1
             UNION SELECT sha256 FROM swings WHERE to_location = $1",
        )
        .bind(location);
        let witness: Option<String> = match row.fetch_optional(&self.catalog.pool()).await? {
            Some(row) => Some(row.try_get(0)?),
            None => None,
        };
        let bytes = match self.catalog.file_io().new_input(location) {
            Ok(input) => input.read().await.ok(),
            Err(_) => None,
        };
        let of_pointer = |what: &str| Flaw::new("control store: iceberg_tables", what).at(table);
        Ok(match (witness, bytes) {
            (None, _) => of_pointer("metadata_location is none that was ever committed"),
            (Some(witness), Some(bytes)) if witness == hex_sha256(&bytes) => {
                of_pointer("metadata_sha256 is not that of the metadata")
            }
            _ => Flaw::new(path, error.to_string()),
        })
    }

    /// Metadata files that the pointer named before: those in the log must be there, and all that are there be as written.
    async fn older_metadata(&self, table: &str, logged: &[&str], current: &str, survey: &mut Survey) -> Result<()> {
        let rows = sqlx::query("SELECT location, sha256 FROM metadata_files UNION SELECT to_location, sha256 FROM swings")
            .fetch_all(&self.catalog.pool())
            .await?;
        let mut digests: HashMap<String, String> = HashMap::new();
        for row in &rows {
            digests.insert(row.try_get(0)?, row.try_get(1)?);
        }
        let folder = format!("/{table}/metadata/");
        let known = digests.keys().map(String::as_str).filter(|location| location.contains(&folder));
        let all: BTreeSet<&str> = logged.iter().copied().chain(known).chain([current]).collect();
        for location in all {
            let path = self.object_path(location);
            let is_logged = logged.contains(&location) || location == current;
            if is_logged {
                survey.reached.insert(path.clone());
            }
            let input = self.catalog.file_io().new_input(location);
            let there = match &input {
                Ok(input) => input.exists().await.unwrap_or(false),
                Err(_) => false,
            };
            let what = match (there, digests.get(location)) {
                (false, _) if !is_logged && input.is_ok() => continue,
                (false, _) => "is missing".to_owned(),
                (true, None) => "has no digest in the control store".to_owned(),
                (true, Some(expected)) => {
                    let bytes = input?.read().await?;
                    survey.bytes += bytes.len() as u64;
                    survey.reached.insert(path.clone());
                    match hex_sha256(&bytes) == *expected {
                        true => continue,
                        false => "is not the metadata that was committed".to_owned(),
                    }
                }
            };
            let flaw = match location == current {
                // The pointer has its digest, too, and agreed with it.
                true => Flaw::new("control store: metadata_files", format!("{path} {what}")),
                false => Flaw::new(path, what).at("or its row in the control store's metadata_files"),
            };
            survey.tell(flaw, location != current, None);
        }
        Ok(())
    }

    async fn snapshots(&self, table: &str, loaded: &Table, survey: &mut Survey) {
        let current = loaded.metadata().current_snapshot_id();
        let mut snapshots: Vec<&SnapshotRef> = loaded.metadata().snapshots().collect();
        // The current one first, so that what it holds counts as live.
        snapshots.sort_by_key(|snapshot| (Some(snapshot.snapshot_id()) != current, -snapshot.sequence_number()));
        let marks: HashMap<i64, &String> = snapshots
            .iter()
            .filter_map(|snapshot| {
                Some((snapshot.snapshot_id(), snapshot.summary().additional_properties.get(DELIVERY_PROPERTY)?))
            })
            .collect();
        let (mut manifests, mut files) = (HashSet::new(), HashSet::new());
        for snapshot in snapshots {
            let live = Some(snapshot.snapshot_id()) == current;
            let list = self.object_path(snapshot.manifest_list());
            survey.reached.insert(list.clone());
            let entries = match self.list(loaded, snapshot, survey).await {
                Ok(entries) => entries,
                Err(error) => {
                    survey.whole &= !live;
                    let place = format!("snapshot {}", snapshot.snapshot_id());
                    let mark = marks.get(&snapshot.snapshot_id()).map(|mark| (*mark).clone());
                    survey.tell(Flaw::new(list, error.to_string()).at(place), !live, if live { None } else { mark });
                    continue;
                }
            };
            let mut rows = 0;
            for entry in entries {
                if !manifests.insert(entry.manifest_path.clone()) && !live {
                    continue;
                }
                let path = self.object_path(&entry.manifest_path);
                survey.reached.insert(path.clone());
                let mark = marks.get(&entry.added_snapshot_id).map(|mark| (*mark).clone());
                match self.manifest(table, loaded, &entry, &marks, live, &mut files, survey).await {
                    Ok(held) => rows += held,
                    Err(error) => {
                        survey.whole &= !live;
                        survey.tell(Flaw::new(path, error.to_string()), !live, mark);
                    }
                }
            }
            let told = snapshot.summary().additional_properties.get("total-records").and_then(|total| total.parse::<u64>().ok());
            if live && survey.whole && told != Some(rows) {
                let what = format!("the manifests hold {rows} rows, the snapshot tells of {}", told.unwrap_or_default());
                survey.tell(Flaw::new(list, what), false, None);
            }
        }
    }

    async fn list(&self, loaded: &Table, snapshot: &SnapshotRef, survey: &mut Survey) -> Result<Vec<ManifestFile>> {
        let (manager, key_id) = loaded.encryption_manager().zip(snapshot.encryption_key_id()).ok_or_else(no_key)?;
        let key = manager.decrypt_manifest_list_key_metadata(key_id).await?;
        survey.bytes += self.opens(snapshot.manifest_list(), &key).await?;
        let list = loaded.manifest_list_reader(snapshot).load().await?;
        Ok(list.consume_entries().into_iter().collect())
    }

    /// Answers the rows of its live files.
    #[expect(clippy::too_many_arguments, reason = "what is known of the table so far")]
    async fn manifest(
        &self,
        table: &str,
        loaded: &Table,
        entry: &ManifestFile,
        marks: &HashMap<i64, &String>,
        live: bool,
        files: &mut HashSet<String>,
        survey: &mut Survey,
    ) -> Result<u64> {
        let key = StandardKeyMetadata::decode(entry.key_metadata.as_deref().ok_or_else(no_key)?)?;
        let stored = self.opens(&entry.manifest_path, &key).await?;
        survey.bytes += stored;
        if i64::try_from(stored).ok() != Some(entry.manifest_length) {
            let what = format!("has {stored} bytes, its manifest list tells of {}", entry.manifest_length);
            return Err(Error::new(ErrorKind::Damaged, what));
        }
        let manifest = entry.load_manifest(loaded.file_io()).await?;
        let mut rows = 0;
        for held in manifest.entries().iter().filter(|held| held.status() != ManifestStatus::Deleted) {
            let file = held.data_file();
            rows += file.record_count();
            if !files.insert(file.file_path().to_owned()) {
                continue;
            }
            let path = self.object_path(file.file_path());
            survey.reached.insert(path.clone());
            let brought_by = held.snapshot_id().or(Some(entry.added_snapshot_id));
            survey.files.push(StoredFile {
                table: table.to_owned(),
                path,
                size_bytes: file.file_size_in_bytes(),
                rows: file.record_count(),
                live,
                mark: brought_by.and_then(|id| marks.get(&id)).map(|mark| (*mark).clone()),
                location: file.file_path().to_owned(),
                key_metadata: file.key_metadata().map(<[u8]>::to_vec),
            });
        }
        Ok(rows)
    }

    /// A whole AGS1 file: every block of it opens, and it is as long as its key metadata says.
    async fn opens(&self, location: &str, key: &StandardKeyMetadata) -> Result<u64> {
        let bytes = self.catalog.file_io().new_input(location)?.read().await?;
        let stored = bytes.len() as u64;
        if key.file_length() != Some(stored) {
            let what = format!("has {stored} bytes, {} were written", key.file_length().unwrap_or_default());
            return Err(Error::new(ErrorKind::Damaged, what));
        }
        open_whole(bytes, key)?;
        Ok(stored)
    }
}

impl Survey {
    fn tell(&mut self, flaw: Flaw, history: bool, mark: Option<String>) {
        self.found.push(Found { flaw, history, mark });
    }
}

fn no_key() -> Error {
    Error::new(ErrorKind::Damaged, "has no key")
}

fn open_whole(bytes: Bytes, key: &StandardKeyMetadata) -> Result<()> {
    let short = || Error::new(ErrorKind::Damaged, "is too short");
    let body = bytes.len().checked_sub(HEADER_BYTES).ok_or_else(short)?;
    let blocks = body.div_ceil(SEALED_BLOCK_BYTES).max(1);
    let plain = body.checked_sub(blocks * OVERHEAD_BYTES).ok_or_else(short)?;
    let key_bytes = <[u8; KEY_BYTES]>::try_from(key.encryption_key().as_bytes()).map_err(|_| no_key())?;
    let mut opener = Ags1Opener::new(&key_bytes, key.aad_prefix().unwrap_or_default(), plain as u64)?;
    let mut bytes = bytes.to_vec();
    let (header, blocks) = bytes.split_at_mut(HEADER_BYTES);
    Ags1Opener::check_header(header)?;
    for block in blocks.chunks_mut(SEALED_BLOCK_BYTES) {
        opener.open_next(block)?;
    }
    opener.finish()
}
