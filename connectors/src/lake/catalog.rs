//! A tenant's catalog: which metadata.json each table is at, moved by compare-and-swap. The pointers are rows of the control
//! store (`rows`, the standard `iceberg_tables` schema), or stand in another catalog beside it (`beside`: AWS Glue).
//! Promise: the pointer swings from the metadata that was read to the metadata that was written, or not at all; the
//! delivery's ledger row changes with it (in the same transaction, or by a swing that was written down before); metadata.json
//! is what was written, by its SHA-256.
//! Never: the answer to COMMIT is not ignored, and a table once encrypted does not become plain.

use std::{str::FromStr, sync::Arc};

use bonded_schemas::{Report, TenantId};
use iceberg::{
    MetadataLocation, NamespaceIdent, Runtime, TableCreation, TableIdent, TableRequirement, TableUpdate,
    encryption::KeyManagementClient,
    io::FileIO,
    spec::{TableMetadata, TableProperties},
    table::Table,
};
use ring::digest::{SHA256, digest};
use sqlx::Row;

use crate::{
    error::{Error, ErrorKind, Result},
    seal::cipher,
    store::{Pool, TenantStore, fence::Fence},
};
use beside::Beside;
use rows::{Kept, Rows};

mod beside;
pub mod glue;
mod pointers;
mod reading;
mod rows;

pub use pointers::Pointers;

/// `iceberg_tables.catalog_name`.
pub const CATALOG_NAME: &str = "bonded";

#[derive(Clone)]
pub struct EncryptedCatalog {
    namespace: NamespaceIdent,
    warehouse: String,
    rows: Rows,
    /// The catalog that holds the pointers, where the control store is none.
    beside: Option<Beside>,
    file_io: FileIO,
    kms: Arc<dyn KeyManagementClient>,
    /// The lease that must still stand when this handle commits. None: whoever is not a worker has no lease, and the
    /// ledger's one row a digest alone decides who commits a delivery.
    fence: Option<Fence>,
}

impl std::fmt::Debug for EncryptedCatalog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EncryptedCatalog({})", self.namespace)
    }
}

/// The delivery whose commit the pointer swing is.
#[derive(Clone, Copy, Debug)]
pub(super) struct LedgerMark<'a> {
    pub keyed_digest: &'a str,
    pub report: Report,
    pub snapshot_id: i64,
}

/// One swing of a table's pointer.
#[derive(Clone, Copy, Debug)]
struct Step<'a> {
    table: &'a str,
    from: &'a str,
    to: &'a str,
    sha256: &'a str,
    metadata: &'a TableMetadata,
    mark: Option<LedgerMark<'a>>,
}

/// How a swing ended.
#[derive(Debug)]
pub(super) enum Swing {
    Landed,
    /// The delivery is in the ledger as committed: someone else did it.
    AlreadyCommitted,
}

impl EncryptedCatalog {
    pub(super) fn new(
        tenant: &TenantId,
        warehouse: String,
        store: TenantStore,
        pointers: Option<Arc<dyn Pointers>>,
        file_io: FileIO,
        kms: Arc<dyn KeyManagementClient>,
    ) -> Self {
        let namespace = NamespaceIdent::new(tenant.to_string());
        let rows = Rows::new(store, namespace.to_url_string());
        let beside = pointers.map(|pointers| Beside::new(pointers, tenant.clone(), rows.clone()));
        Self { namespace, warehouse, rows, beside, file_io, kms, fence: None }
    }

    /// The same catalog for a worker: every commit through it checks the fence.
    pub(super) fn behind(&self, fence: Fence) -> Self {
        Self { fence: Some(fence), ..self.clone() }
    }

    pub fn namespace(&self) -> &NamespaceIdent {
        &self.namespace
    }

    pub(super) fn pool(&self) -> Pool {
        self.rows.store.pool.unwatched()
    }

    pub(super) fn kms(&self) -> &dyn KeyManagementClient {
        self.kms.as_ref()
    }

    pub(super) fn file_io(&self) -> &FileIO {
        &self.file_io
    }

    /// The path in the lake of a location under this tenant's warehouse.
    pub(super) fn object_path(&self, location: &str) -> Option<String> {
        let (warehouse, tenant) = (&self.warehouse, self.namespace.to_url_string());
        location.strip_prefix(warehouse.as_str()).map(|rest| format!("tenants/{tenant}/warehouse{rest}"))
    }

    fn table(&self, ident: &TableIdent, metadata: TableMetadata, location: &str) -> Result<Table> {
        Ok(Table::builder()
            .file_io(self.file_io.clone())
            .metadata_location(location)
            .metadata(metadata)
            .identifier(ident.clone())
            .runtime(Runtime::try_current()?)
            .kms_client(self.kms.clone())
            .build()?)
    }

    /// Where the table's pointer stands, and the digest of what it leads to.
    pub(super) async fn pointer(&self, ident: &TableIdent) -> Result<Option<Kept>> {
        if ident.namespace() != &self.namespace {
            return Ok(None);
        }
        match &self.beside {
            Some(beside) => beside.pointer(ident.name()).await,
            None => self.rows.pointer(ident.name()).await,
        }
    }

    /// The table as the pointer has it now, keys at hand.
    pub async fn load(&self, ident: &TableIdent) -> Result<Table> {
        let (location, sha256) =
            self.pointer(ident).await?.ok_or_else(|| Error::new(ErrorKind::Input, format!("no table {}", ident.name())))?;
        self.load_at(ident, &location, sha256.as_deref()).await
    }

    pub(super) async fn load_at(&self, ident: &TableIdent, location: &str, sha256: Option<&str>) -> Result<Table> {
        let bytes = self.file_io.new_input(location)?.read().await?;
        if sha256 != Some(hex_sha256(&bytes).as_str()) {
            return Err(Error::new(ErrorKind::Damaged, format!("{location} is not the metadata that was committed")));
        }
        let metadata: TableMetadata = serde_json::from_slice(&bytes)
            .map_err(|error| Error::new(ErrorKind::Damaged, format!("{location} is not table metadata")).with_source(error))?;
        self.table(ident, metadata, location)
    }

    /// Of a delivery that the ledger has as committed.
    pub(super) async fn committed_as(&self, keyed_digest: &str) -> Result<Option<i64>> {
        let row = sqlx::query("SELECT snapshot_id FROM deliveries WHERE keyed_digest = $1 AND state = 'committed'")
            .bind(keyed_digest)
            .fetch_optional(&self.rows.store.pool)
            .await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?.flatten())
    }

    /// Where the pointer stands, without loading what it points at.
    pub(super) async fn location(&self, ident: &TableIdent) -> Result<Option<String>> {
        Ok(self.pointer(ident).await?.map(|(location, _)| location))
    }

    pub(super) fn store(&self) -> &TenantStore {
        &self.rows.store
    }

    pub async fn table_names(&self) -> Result<Vec<String>> {
        match &self.beside {
            Some(beside) => beside.names().await,
            None => self.rows.names().await,
        }
    }

    /// `false` when the table was there already.
    pub(super) async fn create(&self, mut creation: TableCreation) -> Result<bool> {
        let name = creation.name.clone();
        let location = format!("{}/{name}", self.warehouse);
        creation.location = Some(location.clone());
        let metadata = iceberg::spec::TableMetadataBuilder::from_table_creation(creation)?.build()?.metadata;
        let metadata_location = MetadataLocation::new_with_metadata(&location, &metadata).to_string();
        let sha256 = self.write_metadata(&metadata, &metadata_location).await?;
        let is_new = match &self.beside {
            Some(beside) => beside.create(&name, &metadata_location, &sha256, &metadata).await?,
            None => self.rows.create(&name, &metadata_location, &sha256).await?,
        };
        if !is_new {
            self.file_io.delete(&metadata_location).await?;
        }
        Ok(is_new)
    }

    /// Ends the swing that led to where the table was loaded, should whoever began it have died before the store was told.
    pub(super) async fn settle(&self, loaded: &Table) -> Result<()> {
        match &self.beside {
            Some(beside) => beside.end(loaded.identifier().name(), loaded.metadata_location_result()?).await,
            None => Ok(()),
        }
    }

    /// The same for a table that is not loaded yet.
    pub(super) async fn settle_first(&self, table: &str) -> Result<()> {
        let Some(beside) = &self.beside else { return Ok(()) };
        match beside.pointer(table).await? {
            Some((location, _)) => beside.end(table, &location).await,
            None => Ok(()),
        }
    }

    /// Has the catalog beside the control store point at what that records, where it points at nothing. Answers how many it had
    /// not.
    pub(super) async fn put_back(&self, may_be_anothers: bool) -> Result<usize> {
        let Some(beside) = &self.beside else { return Ok(0) };
        if may_be_anothers {
            beside.has_none().await?;
        }
        let mut made = 0;
        for table in self.rows.names().await? {
            let Some((location, Some(sha256))) = self.rows.pointer(&table).await? else { continue };
            let ident = TableIdent::new(self.namespace.clone(), table.clone());
            let loaded = self.load_at(&ident, &location, Some(&sha256)).await?;
            made += usize::from(beside.put_back(&table, loaded.metadata(), &location, &sha256).await?);
        }
        Ok(made)
    }

    /// Takes what a lost control store had pointed at out of the catalog beside it.
    pub(super) async fn let_go(&self, is_moved: bool) -> Result<()> {
        match &self.beside {
            Some(beside) if is_moved => beside.has_none().await,
            Some(beside) => beside.let_go(&self.warehouse).await,
            None => Ok(()),
        }
    }

    async fn write_metadata(&self, metadata: &TableMetadata, location: &str) -> Result<String> {
        let bytes = serde_json::to_vec(metadata)
            .map_err(|error| Error::new(ErrorKind::Internal, "table metadata cannot be written").with_source(error))?;
        let sha256 = hex_sha256(&bytes);
        self.file_io.new_output(location)?.write(bytes.into()).await?;
        Ok(sha256)
    }

    /// The one commit point: requirements, updates, new metadata.json, compare-and-swap (and the ledger row with it).
    ///
    /// `Retry`: nothing landed. `Refused`: nothing landed, nor will it: a later lease has the delivery.
    /// `Ambiguous`: the answer to COMMIT was lost; load the table and look.
    pub(super) async fn swing(
        &self,
        base: &Table,
        updates: Vec<TableUpdate>,
        requirements: Vec<TableRequirement>,
        mark: Option<LedgerMark<'_>>,
    ) -> Result<Swing> {
        for requirement in &requirements {
            requirement.check(Some(base.metadata()))?;
        }
        let from = base.metadata_location_result()?.to_owned();
        let mut builder = base.metadata().clone().into_builder(Some(from.clone()));
        for update in updates {
            builder = update.apply(builder)?;
        }
        let metadata = builder.build()?.metadata;
        let key_id = TableProperties::PROPERTY_ENCRYPTION_KEY_ID;
        if base.metadata().properties().get(key_id) != metadata.properties().get(key_id) {
            return Err(Error::new(ErrorKind::Refused, "a table's encryption key id cannot be changed or removed"));
        }
        let to = MetadataLocation::from_str(&from)?.with_next_version().with_new_metadata(&metadata).to_string();
        let sha256 = self.write_metadata(&metadata, &to).await?;
        let step = Step { table: base.identifier().name(), from: &from, to: &to, sha256: &sha256, metadata: &metadata, mark };
        let swung = match &self.beside {
            Some(beside) => beside.swing(&step, self.fence.as_ref()).await,
            None => self.rows.swing(&step, self.fence.as_ref()).await,
        };
        // Only when it is sure that the new metadata did not land may it be deleted.
        let lost = match &swung {
            Ok(Swing::Landed) => false,
            Ok(Swing::AlreadyCommitted) => true,
            Err(error) => error.kind() != ErrorKind::Ambiguous,
        };
        if lost && let Err(error) = self.file_io.delete(&to).await {
            tracing::warn!(target: "lake.commit.litter", %error, "unreferenced metadata stays behind");
        }
        swung
    }
}

pub(super) fn hex_sha256(bytes: &[u8]) -> String {
    cipher::hex(digest(&SHA256, bytes).as_ref())
}
