//! A compare-and-swap catalog over the standard `iceberg_tables` SQL schema, one per tenant.
//! Promise: the pointer swings from the metadata that was read to the metadata that was written, or not at all; the
//! delivery's ledger row changes in the same transaction; metadata.json is what was written, by its SHA-256.
//! Never: the answer to COMMIT is not ignored, and a table once encrypted does not become plain.

use std::{collections::HashMap, str::FromStr, sync::Arc};

use async_trait::async_trait;
use bonded_schemas::{Report, TenantId};
use iceberg::{
    Catalog, MetadataLocation, Namespace, NamespaceIdent, Runtime, TableCommit, TableCreation, TableIdent, TableRequirement,
    TableUpdate,
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
    store::{
        Connection, Pool, TenantStore,
        fence::{self, Fence},
    },
};

/// `iceberg_tables.catalog_name`.
pub const CATALOG_NAME: &str = "bonded";

#[derive(Clone)]
pub struct EncryptedCatalog {
    namespace: NamespaceIdent,
    warehouse: String,
    store: TenantStore,
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
        file_io: FileIO,
        kms: Arc<dyn KeyManagementClient>,
    ) -> Self {
        Self { namespace: NamespaceIdent::new(tenant.to_string()), warehouse, store, file_io, kms, fence: None }
    }

    /// The same catalog for a worker: every commit through it checks the fence.
    pub(super) fn behind(&self, fence: Fence) -> Self {
        Self { fence: Some(fence), ..self.clone() }
    }

    pub fn namespace(&self) -> &NamespaceIdent {
        &self.namespace
    }

    pub(super) fn pool(&self) -> Pool {
        self.store.pool.unwatched()
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

    pub(super) async fn pointer(&self, ident: &TableIdent) -> Result<Option<(String, Option<String>)>> {
        if ident.namespace() != &self.namespace {
            return Ok(None);
        }
        let row = sqlx::query(
            "SELECT metadata_location, metadata_sha256 FROM iceberg_tables
             WHERE catalog_name = $1 AND table_namespace = $2 AND table_name = $3",
        )
        .bind(CATALOG_NAME)
        .bind(self.namespace.to_url_string())
        .bind(ident.name())
        .fetch_optional(&self.store.pool)
        .await?;
        row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).transpose()
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
            .fetch_optional(&self.store.pool)
            .await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?.flatten())
    }

    /// Where the pointer stands, without loading what it points at.
    pub(super) async fn location(&self, ident: &TableIdent) -> Result<Option<String>> {
        Ok(self.pointer(ident).await?.map(|(location, _)| location))
    }

    pub(super) fn store(&self) -> &TenantStore {
        &self.store
    }

    pub async fn table_names(&self) -> Result<Vec<String>> {
        let rows = sqlx::query(
            "SELECT table_name FROM iceberg_tables WHERE catalog_name = $1 AND table_namespace = $2 ORDER BY table_name",
        )
        .bind(CATALOG_NAME)
        .bind(self.namespace.to_url_string())
        .fetch_all(&self.store.pool)
        .await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// `false` when the table was there already.
    pub(super) async fn create(&self, mut creation: TableCreation) -> Result<bool> {
        let name = creation.name.clone();
        let location = format!("{}/{name}", self.warehouse);
        creation.location = Some(location.clone());
        let metadata = iceberg::spec::TableMetadataBuilder::from_table_creation(creation)?.build()?.metadata;
        let metadata_location = MetadataLocation::new_with_metadata(&location, &metadata).to_string();
        let sha256 = self.write_metadata(&metadata, &metadata_location).await?;
        let mut transaction = self.store.pool.begin().await?;
        sqlx::query("INSERT INTO iceberg_namespace_properties VALUES ($1, $2, 'exists', 'true') ON CONFLICT DO NOTHING")
            .bind(CATALOG_NAME)
            .bind(self.namespace.to_url_string())
            .execute(&mut *transaction)
            .await?;
        let done = sqlx::query(
            "INSERT INTO iceberg_tables (catalog_name, table_namespace, table_name, metadata_location, iceberg_type, metadata_sha256)
             VALUES ($1, $2, $3, $4, 'TABLE', $5) ON CONFLICT (catalog_name, table_namespace, table_name) DO NOTHING",
        )
        .bind(CATALOG_NAME)
        .bind(self.namespace.to_url_string())
        .bind(&name)
        .bind(&metadata_location)
        .bind(&sha256)
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 1 {
            remember(&mut transaction, &metadata_location, &sha256).await?;
        }
        transaction.commit().await?;
        if done.rows_affected() == 0 {
            self.file_io.delete(&metadata_location).await?;
        }
        Ok(done.rows_affected() == 1)
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
        let swung = self.transact(base.identifier(), &from, &to, &sha256, mark).await;
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

    async fn transact(
        &self,
        ident: &TableIdent,
        from: &str,
        to: &str,
        sha256: &str,
        mark: Option<LedgerMark<'_>>,
    ) -> Result<Swing> {
        let mut transaction = self.store.pool.begin().await?;
        let swung = sqlx::query(
            "UPDATE iceberg_tables SET metadata_location = $1, previous_metadata_location = $2, metadata_sha256 = $3
             WHERE catalog_name = $4 AND table_namespace = $5 AND table_name = $6 AND metadata_location = $7",
        )
        .bind(to)
        .bind(from)
        .bind(sha256)
        .bind(CATALOG_NAME)
        .bind(self.namespace.to_url_string())
        .bind(ident.name())
        .bind(from)
        .execute(&mut *transaction)
        .await?;
        if swung.rows_affected() == 0 {
            transaction.rollback().await?;
            return Err(Error::new(ErrorKind::Retry, format!("another commit to {} came first", ident.name())));
        }
        // Behind the pointer, so that every commit takes its locks in the same order.
        if let Some(fence) = &self.fence
            && !fence::holds(fence, &mut transaction).await?
        {
            transaction.rollback().await?;
            return Err(fence.passed());
        }
        if let Some(mark) = mark {
            // A receipt that is there speaks of a quarantine before; it must not outlive this, should no other be sealed.
            let ledger = sqlx::query(
                "UPDATE deliveries SET state = 'committed', report = $1, snapshot_id = $2, sealed_receipt = NULL
                 WHERE keyed_digest = $3 AND state <> 'committed'",
            )
            .bind(mark.report.code())
            .bind(mark.snapshot_id)
            .bind(mark.keyed_digest)
            .execute(&mut *transaction)
            .await?;
            if ledger.rows_affected() == 0 {
                transaction.rollback().await?;
                return Ok(Swing::AlreadyCommitted);
            }
        }
        remember(&mut transaction, to, sha256).await?;
        transaction
            .commit()
            .await
            .map_err(|error| Error::new(ErrorKind::Ambiguous, "the answer to COMMIT was lost").with_source(error))?;
        Ok(Swing::Landed)
    }
}

/// Keeps the digest of a metadata.json for as long as anyone may want to check it; one that came to nothing does no harm.
async fn remember(connection: &mut Connection, location: &str, sha256: &str) -> Result<()> {
    sqlx::query("INSERT INTO metadata_files VALUES ($1, $2) ON CONFLICT (location) DO UPDATE SET sha256 = excluded.sha256")
        .bind(location)
        .bind(sha256)
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) fn hex_sha256(bytes: &[u8]) -> String {
    cipher::hex(digest(&SHA256, bytes).as_ref())
}

fn unsupported<T>(what: &str) -> iceberg::Result<T> {
    Err(iceberg::Error::new(
        iceberg::ErrorKind::FeatureUnsupported,
        format!("{what} goes through `Tables`, not through the reading catalog"),
    ))
}

fn as_iceberg(error: Error) -> iceberg::Error {
    let kind = match error.kind() {
        ErrorKind::Input => iceberg::ErrorKind::TableNotFound,
        ErrorKind::Damaged => iceberg::ErrorKind::DataInvalid,
        _ => iceberg::ErrorKind::Unexpected,
    };
    iceberg::Error::new(kind, error.to_string()).with_source(error)
}

/// What readers get: loading and listing within the tenant's one namespace.
#[async_trait]
impl Catalog for EncryptedCatalog {
    async fn list_namespaces(&self, _: Option<&NamespaceIdent>) -> iceberg::Result<Vec<NamespaceIdent>> {
        Ok(vec![self.namespace.clone()])
    }

    async fn get_namespace(&self, namespace: &NamespaceIdent) -> iceberg::Result<Namespace> {
        match self.namespace_exists(namespace).await? {
            true => Ok(Namespace::new(namespace.clone())),
            false => Err(iceberg::Error::new(iceberg::ErrorKind::NamespaceNotFound, format!("no namespace {namespace}"))),
        }
    }

    async fn namespace_exists(&self, namespace: &NamespaceIdent) -> iceberg::Result<bool> {
        Ok(namespace == &self.namespace)
    }

    async fn list_tables(&self, namespace: &NamespaceIdent) -> iceberg::Result<Vec<TableIdent>> {
        if namespace != &self.namespace {
            return Ok(Vec::new());
        }
        let names = self.table_names().await.map_err(as_iceberg)?;
        Ok(names.into_iter().map(|name| TableIdent::new(self.namespace.clone(), name)).collect())
    }

    async fn load_table(&self, table: &TableIdent) -> iceberg::Result<Table> {
        self.load(table).await.map_err(as_iceberg)
    }

    async fn table_exists(&self, table: &TableIdent) -> iceberg::Result<bool> {
        Ok(self.pointer(table).await.map_err(as_iceberg)?.is_some())
    }

    async fn create_namespace(&self, _: &NamespaceIdent, _: HashMap<String, String>) -> iceberg::Result<Namespace> {
        unsupported("creating a namespace")
    }

    async fn update_namespace(&self, _: &NamespaceIdent, _: HashMap<String, String>) -> iceberg::Result<()> {
        unsupported("changing a namespace")
    }

    async fn drop_namespace(&self, _: &NamespaceIdent) -> iceberg::Result<()> {
        unsupported("dropping a namespace")
    }

    async fn create_table(&self, _: &NamespaceIdent, _: TableCreation) -> iceberg::Result<Table> {
        unsupported("creating a table")
    }

    async fn drop_table(&self, _: &TableIdent) -> iceberg::Result<()> {
        unsupported("dropping a table")
    }

    async fn purge_table(&self, _: &TableIdent) -> iceberg::Result<()> {
        unsupported("purging a table")
    }

    async fn rename_table(&self, _: &TableIdent, _: &TableIdent) -> iceberg::Result<()> {
        unsupported("renaming a table")
    }

    async fn register_table(&self, _: &TableIdent, _: String) -> iceberg::Result<Table> {
        unsupported("registering a table")
    }

    async fn update_table(&self, _: TableCommit) -> iceberg::Result<Table> {
        unsupported("changing a table")
    }
}
