//! The lake door: one tenant's Iceberg v3 tables, encrypted by the spec and by nothing of our own.
//! This is the module that shrinks when iceberg-rust releases encrypted writes (0.11): then `write`, `commit` and
//! `lengths` give way to its `Transaction`, and `Tables` stays as the narrow interface everyone else sees.
//! Promise: a commit is one compare-and-swap; what it did not land stays invisible; each data file has a key of its own.
//! Never: no partition value in an object path, no bloom filter, no property but the keyed digest, no plaintext file.

use std::sync::Arc;

use arrow::{array::RecordBatch, datatypes::Schema as ArrowSchema};
use bonded_schemas::TenantScope;
use futures::TryStreamExt;
use iceberg::{Catalog, NamespaceIdent, TableIdent, encryption::KeyManagementClient};
use object_store::ObjectStore;
use url::Url;

use crate::{
    clock::Clock,
    error::{Error, ErrorKind, Result},
    keys::{KeyId, Keys},
    store::{TenantStore, fence::Fence},
};

pub mod catalog;
mod commit;
pub mod copy;
mod create;
mod durable;
mod evolve;
mod kek_cache;
mod lengths;
pub mod maintain;
mod manifests;
mod read;
mod rewrite;
mod s3;
mod staging;
mod storage;
mod survey;
mod write;

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use s3::tests::{at_ceph as s3_at_ceph, of_tests as s3_of_tests};

pub use catalog::{EncryptedCatalog, Pointers, glue::Glue};
pub use commit::{Mark, Outcome};
pub use create::Layout;
pub use durable::Durable;
pub use kek_cache::KekCache;
use maintain::{Compacted, Compaction, Expired, Retention, Rewrapped, Swept};
pub use s3::{Aspect, CatalogRecord, Honours, Kept, OBJECT_BYTES_MAX, S3, Use, is_s3};
pub use survey::{Found, StoredFile, Survey, Tally};
use write::Shape;
pub use write::{FileWriter, TableWriter, Written};

/// Where tables lie, shared by all tenants of the process: the object store, its root URL, the KEK cache.
#[derive(Clone, Debug)]
pub struct Lake {
    store: Arc<dyn ObjectStore>,
    root: String,
    kms: Arc<KekCache>,
    clock: Arc<dyn Clock>,
    shape: Shape,
    bucket: Option<Arc<S3>>,
    pointers: Option<Arc<dyn Pointers>>,
}

impl Lake {
    /// `root` is the URL that object paths are relative to, without a slash at its end.
    pub fn new(store: Arc<dyn ObjectStore>, root: &str, keys: Arc<dyn Keys>, clock: Arc<dyn Clock>) -> Self {
        let kms = Arc::new(KekCache::new(keys));
        Self {
            store,
            root: root.trim_end_matches('/').to_owned(),
            kms,
            clock,
            shape: Shape::default(),
            bucket: None,
            pointers: None,
        }
    }

    /// How many threads write the data files of one delivery; one makes the order of the store's calls that of the rows.
    pub fn with_encoders(mut self, encoders_max: usize) -> Self {
        self.shape.encoders_max = encoders_max;
        self
    }

    /// The bucket that the store is, for what only a bucket has.
    pub fn in_bucket(mut self, bucket: Option<Arc<S3>>) -> Self {
        self.bucket = bucket;
        self
    }

    /// The catalog that holds the tables' pointers in place of the control store.
    pub fn with_pointers(mut self, pointers: Option<Arc<dyn Pointers>>) -> Self {
        self.pointers = pointers;
        self
    }

    pub fn pointers(&self) -> Option<&dyn Pointers> {
        self.pointers.as_deref()
    }

    pub fn bucket(&self) -> Option<&S3> {
        self.bucket.as_deref()
    }

    /// Whether it lies elsewhere than where its tables' names lead: as a restored copy in a bucket does.
    pub fn is_moved(&self) -> bool {
        self.bucket().is_some_and(|bucket| bucket.root() != self.root)
    }

    pub fn root(&self) -> &str {
        &self.root
    }

    pub fn store(&self) -> Arc<dyn ObjectStore> {
        self.store.clone()
    }

    /// Every object of the tenant with its size, in the order of their paths.
    pub async fn objects(&self, scope: &TenantScope) -> Result<Vec<(String, u64)>> {
        let folder = object_store::path::Path::from(format!("tenants/{}", scope.tenant()));
        let mut found: Vec<(String, u64)> =
            self.store.list(Some(&folder)).map_ok(|meta| (meta.location.to_string(), meta.size)).try_collect().await?;
        found.sort();
        Ok(found)
    }

    /// Names of all tenants' folders.
    pub async fn tenant_folders(&self) -> Result<Vec<String>> {
        let listed = self.store.list_with_delimiter(Some(&object_store::path::Path::from("tenants"))).await?;
        Ok(listed.common_prefixes.iter().filter_map(|prefix| Some(prefix.filename()?.to_owned())).collect())
    }

    /// How often the KMS was asked to unwrap a table key since the process began.
    pub fn kms_unwraps(&self) -> u64 {
        self.kms.misses()
    }

    /// Removes what lies under the scope's tables and nothing has referred to for `grace`. See [`maintain`].
    pub async fn sweep(&self, scope: &TenantScope, tables: &Tables, grace: chrono::TimeDelta, dry_run: bool) -> Result<Swept> {
        for table in tables.names().await? {
            maintain::settle(tables, &table, dry_run).await?;
        }
        maintain::sweep(self, scope, tables, grace, dry_run).await
    }

    /// How tables name an object.
    pub(crate) fn location(&self, path: &object_store::path::Path) -> String {
        format!("{}/{path}", self.root)
    }

    /// The folder of a lake on a local file system.
    pub fn local_root(&self) -> Option<std::path::PathBuf> {
        self.root.starts_with("file:").then(|| Url::parse(&self.root).ok()?.to_file_path().ok()).flatten()
    }

    /// The scope's tables and no one else's: the catalog is the tenant's own, and so is the key.
    pub fn tables(&self, scope: &TenantScope, tenant_store: &TenantStore, key: &KeyId) -> Tables {
        let warehouse = format!("{}/tenants/{}/warehouse", self.root, scope.tenant());
        let file_io = storage::file_io(self.store.clone(), &self.root);
        let kms: Arc<dyn KeyManagementClient> = self.kms.clone();
        let catalog = EncryptedCatalog::new(scope.tenant(), warehouse, tenant_store.clone(), self.pointers.clone(), file_io, kms);
        Tables { catalog: Arc::new(catalog), key: key.clone(), clock: self.clock.clone(), shape: self.shape }
    }
}

/// A store, and the URL that paths in it are relative to.
pub type OpenStore = (Arc<dyn ObjectStore>, String);

/// The object store behind a lake URL, and the URL that paths in it are relative to.
///
/// A plain path or `file://` is the local file system (the folder is made), `memory://` lives as long as the process.
pub fn open_store(lake: &str) -> Result<OpenStore> {
    if lake.starts_with("memory:") {
        return Ok((Arc::new(object_store::memory::InMemory::new()), "memory://lake".to_owned()));
    }
    let folder = lake_folder(lake)?;
    std::fs::create_dir_all(&folder).map_err(|error| {
        Error::new(
            ErrorKind::Setup,
            format!("cannot make the lake folder {}; choose another or mend its permissions", folder.display()),
        )
        .with_source(error)
    })?;
    let store = Durable::new(object_store::local::LocalFileSystem::new_with_prefix(&folder)?, folder.clone());
    let place = folder_url(lake)?;
    let root = copy::recorded_root(&folder)?.unwrap_or(place);
    Ok((Arc::new(store), root.trim_end_matches('/').to_owned()))
}

/// The URL of a lake's folder, which is where its objects are; a restored lake goes by another one.
pub fn folder_url(lake: &str) -> Result<String> {
    let folder = lake_folder(lake)?;
    let absolute =
        folder.canonicalize().map_err(|error| Error::new(ErrorKind::Setup, format!("lake {lake}")).with_source(error))?;
    let url = Url::from_file_path(&absolute)
        .map_err(|()| Error::new(ErrorKind::Setup, format!("lake {} has no absolute path", absolute.display())))?;
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// The local folder of a lake given as a path or `file://` URL; other schemes are refused with their name.
pub fn lake_folder(lake: &str) -> Result<std::path::PathBuf> {
    match lake.split_once("://") {
        None => Ok(lake.into()),
        Some(("file", _)) => Url::parse(lake).ok().and_then(|url| url.to_file_path().ok()).ok_or_else(|| {
            Error::new(ErrorKind::Setup, format!("`{lake}` is not a usable file URL; write file:///absolute/path"))
        }),
        Some((scheme, _)) => Err(Error::new(
            ErrorKind::Setup,
            format!("this needs a lake in a folder of this machine, and the one on {scheme}:// is none"),
        )),
    }
}

/// One tenant's encrypted tables.
#[derive(Clone, Debug)]
pub struct Tables {
    pub(crate) catalog: Arc<EncryptedCatalog>,
    pub(crate) key: KeyId,
    pub(crate) clock: Arc<dyn Clock>,
    shape: Shape,
}

/// What `bonded tables` tells of one table.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct TableInfo {
    pub table: String,
    pub rows: u64,
    pub data_files: u64,
    pub size_bytes: u64,
    pub snapshots: usize,
    pub snapshot_id: Option<i64>,
    pub columns: usize,
    pub location: String,
}

impl Tables {
    /// The same tables for a worker with a lease: once another lease has raised the fence, nothing commits through these.
    pub fn behind(&self, fence: Fence) -> Tables {
        Tables { catalog: Arc::new(self.catalog.behind(fence)), ..self.clone() }
    }

    /// For readers: loads tables with their keys.
    pub fn catalog(&self) -> Arc<dyn Catalog> {
        self.catalog.clone()
    }

    pub fn namespace(&self) -> NamespaceIdent {
        self.catalog.namespace().clone()
    }

    pub(crate) fn ident(&self, table: &str) -> TableIdent {
        TableIdent::new(self.namespace(), table.to_owned())
    }

    /// Makes the table if it is not there; an existing one is left as it is.
    pub async fn ensure(&self, table: &str, layout: &Layout<'_>) -> Result<()> {
        create::ensure(self, table, layout).await
    }

    pub async fn names(&self) -> Result<Vec<String>> {
        self.catalog.table_names().await
    }

    /// Has a catalog beside the control store point at the tables of a restored lake; answers how many were not there.
    ///
    /// # Errors
    /// `Refused` when it points elsewhere; and anywhere, where what is there may be of the lake that this one is a copy of.
    pub async fn put_back(&self, may_be_anothers: bool) -> Result<usize> {
        self.catalog.put_back(may_be_anothers).await
    }

    /// Takes pointers that a lost control store had set out of the catalog beside it, so that tables are made anew. Those of a
    /// lake that was moved here may be of the one that stayed.
    pub async fn let_go(&self, is_moved: bool) -> Result<()> {
        self.catalog.let_go(is_moved).await
    }

    /// The table's current Arrow schema, field ids in the metadata.
    pub async fn schema(&self, table: &str) -> Result<ArrowSchema> {
        let loaded = self.catalog.load(&self.ident(table)).await?;
        Ok(iceberg::arrow::schema_to_arrow_schema(loaded.metadata().current_schema())?)
    }

    /// A writer of new data files; nothing is visible before [`Tables::append`].
    pub async fn writer(&self, table: &str) -> Result<TableWriter> {
        TableWriter::open(&self.catalog.load(&self.ident(table)).await?, None, self.shape)
    }

    /// The same for rows that have values in these columns only; the files then lack the others, which reads as null.
    pub async fn writer_of(&self, table: &str, columns: &[String]) -> Result<TableWriter> {
        TableWriter::open(&self.catalog.load(&self.ident(table)).await?, Some(columns), self.shape)
    }

    /// Commits the files as one snapshot, once per mark. See [`Outcome`].
    pub async fn append(&self, table: &str, written: Written, mark: &Mark) -> Result<Outcome> {
        commit::append(self, table, written, mark).await
    }

    /// Deletes files that no snapshot refers to, after a delivery turned out to be done already or to fail.
    pub async fn discard(&self, table: &str, written: Written) -> Result<()> {
        let loaded = self.catalog.load(&self.ident(table)).await?;
        for file in &written.files {
            loaded.file_io().delete(file.file_path()).await?;
        }
        Ok(())
    }

    /// Adds nullable columns at once; old files show null. Names that exist already are left alone.
    pub async fn add_columns(&self, table: &str, fields: &[arrow::datatypes::Field]) -> Result<()> {
        evolve::add_columns(self, table, fields).await
    }

    /// Drops a column from the schema; its id is never used again.
    pub async fn drop_column(&self, table: &str, name: &str) -> Result<()> {
        evolve::drop_column(self, table, name).await
    }

    /// Copy-on-write: every live data file is read, changed and replaced in one snapshot. `None` from `change` keeps the file.
    pub async fn rewrite(
        &self,
        table: &str,
        change: &(dyn Fn(&RecordBatch) -> Result<Option<RecordBatch>> + Send + Sync),
    ) -> Result<Option<i64>> {
        rewrite::rewrite(self, table, change).await
    }

    /// Joins small data files, then merges small manifests where that is still worth it.
    pub async fn compact(&self, table: &str, compaction: &Compaction, dry_run: bool) -> Result<Compacted> {
        maintain::settle(self, table, dry_run).await?;
        let mut done = maintain::compact(self, table, compaction, dry_run).await?;
        if done.files_made == 0 {
            (_, done.manifests_after) = maintain::merge_manifests(self, table, compaction.files_min, dry_run).await?;
        }
        Ok(done)
    }

    /// Drops snapshots from the metadata, and keys that wrap nothing any more. Deletes no file.
    pub async fn expire(&self, table: &str, retention: &Retention, dry_run: bool) -> Result<Expired> {
        maintain::settle(self, table, dry_run).await?;
        maintain::expire(self, table, retention, dry_run).await
    }

    /// The table's key-encryption keys under the newest version of the tenant's key.
    pub async fn rewrap(&self, table: &str, keys: &dyn Keys, dry_run: bool) -> Result<Rewrapped> {
        maintain::settle(self, table, dry_run).await?;
        maintain::rewrap(self, table, keys, dry_run).await
    }

    pub async fn info(&self, table: &str) -> Result<TableInfo> {
        let loaded = self.catalog.load(&self.ident(table)).await?;
        let metadata = loaded.metadata();
        let summary = metadata.current_snapshot().map(|snapshot| &snapshot.summary().additional_properties);
        let total = |key: &str| summary.and_then(|s| s.get(key)).and_then(|v| v.parse().ok()).unwrap_or(0);
        Ok(TableInfo {
            table: table.to_owned(),
            rows: total("total-records"),
            data_files: total("total-data-files"),
            size_bytes: total("total-files-size"),
            snapshots: metadata.snapshots().len(),
            snapshot_id: metadata.current_snapshot_id(),
            columns: metadata.current_schema().as_struct().fields().len(),
            location: metadata.location().to_owned(),
        })
    }
}
