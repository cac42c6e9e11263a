//! The files behind one table: manifests read once a session, files narrowed by a scan's filters.
//! Promise: a file is taken with its key and its statistics, or the scan fails.
//! Never: delete files are not skipped over; a table that has some is refused rather than misread.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use bonded_schemas::table::DELIVERY_ID;
use datafusion::{arrow::datatypes::Schema as ArrowSchema, common::Statistics};
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use iceberg::{
    arrow::schema_to_arrow_schema,
    spec::{DataContentType, DataFile, DataFileFormat, Datum, ManifestContentType, ManifestFile, PrimitiveLiteral, SnapshotRef},
    table::Table,
};
use object_store::path::Path;

use super::{pruning, pruning::Pruning, statistics};
use crate::{
    error::{Error, Result},
    lake::LakeRoot,
};

/// Manifests fetched and decrypted side by side.
const MANIFESTS_AT_ONCE: usize = 8;

/// One data file of a snapshot, as far as a scan needs it.
pub(super) struct StoredFile {
    pub(super) path: Path,
    pub(super) size_bytes: u64,
    pub(super) statistics: Arc<Statistics>,
    pub(super) data_file: Arc<DataFile>,
}

/// Which columns deliveries had, by the manifests.
#[derive(Default)]
pub(super) struct Held {
    pub(super) by_delivery: BTreeMap<String, BTreeSet<String>>,
    /// Columns -> files that hold these columns of several deliveries.
    pub(super) shared: BTreeMap<BTreeSet<String>, Vec<Arc<DataFile>>>,
}

/// One table as it was when the session opened, and the manifests read since.
pub(crate) struct History {
    pub(super) table: Table,
    root: LakeRoot,
    /// Columns of which no bound is told: not to a plan, and so not to whoever has a plan explained.
    without_bounds: BTreeSet<String>,
    /// Snapshot id -> its manifest list.
    lists: Mutex<HashMap<i64, Arc<Vec<ManifestFile>>>>,
    /// Manifest path -> its live data files. Manifests never change.
    manifests: Mutex<HashMap<String, Arc<Vec<Arc<DataFile>>>>>,
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "History({})", self.table.identifier())
    }
}

impl History {
    pub(crate) fn new(table: Table, root: LakeRoot, without_bounds: impl Fn(&ArrowSchema) -> BTreeSet<String>) -> Result<Self> {
        let mut hidden = BTreeSet::new();
        // A column that was renamed or dropped since may be asked for in the past.
        for schema in table.metadata().schemas_iter() {
            hidden.extend(without_bounds(&schema_to_arrow_schema(schema)?));
        }
        Ok(Self { table, root, without_bounds: hidden, lists: Mutex::default(), manifests: Mutex::default() })
    }

    /// The snapshot's files that may hold a row of interest, in the order of their paths.
    pub(super) async fn files(&self, snapshot: &SnapshotRef, schema: &ArrowSchema, pruning: &Pruning) -> Result<Vec<StoredFile>> {
        let list = self.list(snapshot).await?;
        let manifests = self.narrow(&list, schema, pruning)?;
        // Collected first: a stream that borrows each item in its own lifetime is not `Send`.
        let loads: Vec<_> = manifests.into_iter().map(|manifest| self.manifest(manifest).boxed()).collect();
        let data_files: Vec<Arc<Vec<Arc<DataFile>>>> = stream::iter(loads).buffered(MANIFESTS_AT_ONCE).try_collect().await?;
        let mut files = Vec::new();
        for data_file in data_files.iter().flat_map(|files| files.iter()) {
            files.push(StoredFile {
                path: self.root.object_path(data_file.file_path())?,
                size_bytes: data_file.file_size_in_bytes(),
                statistics: Arc::new(statistics::of_file(schema, data_file, &self.without_bounds)),
                data_file: data_file.clone(),
            });
        }
        let known: Vec<Arc<Statistics>> = files.iter().map(|file| file.statistics.clone()).collect();
        let mut keep = pruning.keep(&known).into_iter();
        files.retain(|_| keep.next().unwrap_or(true));
        files.sort_by(|left, right| left.path.cmp(&right.path));
        Ok(files)
    }

    /// All files of the snapshot.
    pub(super) async fn data_files(&self, snapshot: &SnapshotRef) -> Result<Vec<Arc<DataFile>>> {
        let list = self.list(snapshot).await?;
        let loads: Vec<_> = list.iter().map(|manifest| self.manifest(manifest).boxed()).collect();
        let manifests: Vec<Arc<Vec<Arc<DataFile>>>> = stream::iter(loads).buffered(MANIFESTS_AT_ONCE).try_collect().await?;
        Ok(manifests.iter().flat_map(|files| files.iter().cloned()).collect())
    }

    /// Of each delivery the columns that its files hold, blank ones included, as far as manifests tell.
    pub(super) async fn columns_held(&self) -> Result<Held> {
        let metadata = self.table.metadata();
        let Some(snapshot) = metadata.current_snapshot() else { return Ok(Held::default()) };
        let schema = metadata.current_schema();
        let delivery = schema.field_by_name(DELIVERY_ID).map(|field| field.id);
        let mut held = Held::default();
        for file in &self.data_files(snapshot).await? {
            let bound = |bounds: &HashMap<i32, Datum>| match bounds.get(&delivery?)?.literal() {
                PrimitiveLiteral::String(id) => Some(id.clone()),
                _ => None,
            };
            let of = bound(file.lower_bounds()).filter(|low| bound(file.upper_bounds()).as_ref() == Some(low));
            let columns = file.value_counts().keys().filter_map(|id| schema.field_by_id(*id)).map(|field| field.name.clone());
            match of {
                Some(delivery) => held.by_delivery.entry(delivery).or_default().extend(columns),
                None => held.shared.entry(columns.collect()).or_default().push(file.clone()),
            }
        }
        Ok(held)
    }

    /// The files as a scan wants them, without statistics.
    pub(super) fn stored(&self, schema: &ArrowSchema, files: &[Arc<DataFile>]) -> Result<Vec<StoredFile>> {
        let stored = |file: &Arc<DataFile>| {
            Ok(StoredFile {
                path: self.root.object_path(file.file_path())?,
                size_bytes: file.file_size_in_bytes(),
                statistics: Arc::new(Statistics::new_unknown(schema)),
                data_file: file.clone(),
            })
        };
        files.iter().map(stored).collect()
    }

    async fn list(&self, snapshot: &SnapshotRef) -> Result<Arc<Vec<ManifestFile>>> {
        let id = snapshot.snapshot_id();
        let cached = self.lists.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
        if let Some(list) = cached {
            return Ok(list);
        }
        let list = self.table.manifest_list_reader(snapshot).load().await?;
        let list = Arc::new(list.entries().to_vec());
        self.lists.lock().unwrap_or_else(PoisonError::into_inner).insert(id, list.clone());
        Ok(list)
    }

    /// Leaves out manifests whose partitions cannot match.
    fn narrow<'a>(&self, list: &'a [ManifestFile], schema: &ArrowSchema, pruning: &Pruning) -> Result<Vec<&'a ManifestFile>> {
        if list.iter().any(|manifest| manifest.content != ManifestContentType::Data) {
            return Err(Error::internal(format!("table {} has delete files, which are not read here", self.table.identifier())));
        }
        if pruning.is_idle() {
            return Ok(list.iter().collect());
        }
        let metadata = self.table.metadata();
        let known: Vec<Arc<Statistics>> = list
            .iter()
            .map(|manifest| match metadata.partition_spec_by_id(manifest.partition_spec_id) {
                Some(spec) => Arc::new(pruning::of_manifest(schema, metadata.current_schema(), spec, manifest)),
                None => Arc::new(Statistics::new_unknown(schema)),
            })
            .collect();
        Ok(list.iter().zip(pruning.keep(&known)).filter_map(|(manifest, keep)| keep.then_some(manifest)).collect())
    }

    async fn manifest(&self, manifest: &ManifestFile) -> Result<Arc<Vec<Arc<DataFile>>>> {
        let path = &manifest.manifest_path;
        let cached = self.manifests.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned();
        if let Some(files) = cached {
            return Ok(files);
        }
        let loaded = manifest.load_manifest(self.table.file_io()).await?;
        let mut files = Vec::with_capacity(loaded.entries().len());
        for entry in loaded.entries().iter().filter(|entry| entry.is_alive()) {
            let file = entry.data_file();
            if file.content_type() != DataContentType::Data || file.file_format() != DataFileFormat::Parquet {
                return Err(Error::internal(format!("table {} has a file that is not Parquet data", self.table.identifier())));
            }
            files.push(Arc::new(file.clone()));
        }
        let files = Arc::new(files);
        self.manifests.lock().unwrap_or_else(PoisonError::into_inner).insert(path.clone(), files.clone());
        Ok(files)
    }
}
