//! The rows of the control store that a catalog has: the standard `iceberg_tables`, and the digests of metadata files.
//! Here they are the catalog itself: pointer, fence, ledger row and digest change in one transaction. Where another catalog
//! holds the pointers (`beside`), the same rows say where it was seen last.

use sqlx::Row;

use super::{CATALOG_NAME, Step, Swing};
use crate::{
    error::{Error, ErrorKind, Result},
    store::{
        Connection, TenantStore,
        fence::{self, Fence},
    },
};

/// One tenant's.
#[derive(Clone)]
pub(super) struct Rows {
    pub store: TenantStore,
    namespace: String,
}

/// A location, and the SHA-256 of what was written there.
pub(super) type Kept = (String, Option<String>);

impl Rows {
    pub fn new(store: TenantStore, namespace: String) -> Self {
        Self { store, namespace }
    }

    pub async fn pointer(&self, table: &str) -> Result<Option<Kept>> {
        let row = sqlx::query(
            "SELECT metadata_location, metadata_sha256 FROM iceberg_tables
             WHERE catalog_name = $1 AND table_namespace = $2 AND table_name = $3",
        )
        .bind(CATALOG_NAME)
        .bind(&self.namespace)
        .bind(table)
        .fetch_optional(&self.store.pool)
        .await?;
        row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).transpose()
    }

    pub async fn names(&self) -> Result<Vec<String>> {
        let rows = sqlx::query(
            "SELECT table_name FROM iceberg_tables WHERE catalog_name = $1 AND table_namespace = $2 ORDER BY table_name",
        )
        .bind(CATALOG_NAME)
        .bind(&self.namespace)
        .fetch_all(&self.store.pool)
        .await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// `false` when the table was there already.
    pub async fn create(&self, table: &str, to: &str, sha256: &str) -> Result<bool> {
        let mut transaction = self.store.pool.begin().await?;
        let is_new = self.insert(&mut transaction, table, to, sha256).await?;
        transaction.commit().await?;
        Ok(is_new)
    }

    pub async fn insert(&self, connection: &mut Connection, table: &str, to: &str, sha256: &str) -> Result<bool> {
        sqlx::query("INSERT INTO iceberg_namespace_properties VALUES ($1, $2, 'exists', 'true') ON CONFLICT DO NOTHING")
            .bind(CATALOG_NAME)
            .bind(&self.namespace)
            .execute(&mut *connection)
            .await?;
        let done = sqlx::query(
            "INSERT INTO iceberg_tables (catalog_name, table_namespace, table_name, metadata_location, iceberg_type, metadata_sha256)
             VALUES ($1, $2, $3, $4, 'TABLE', $5) ON CONFLICT (catalog_name, table_namespace, table_name) DO NOTHING",
        )
        .bind(CATALOG_NAME)
        .bind(&self.namespace)
        .bind(table)
        .bind(to)
        .bind(sha256)
        .execute(&mut *connection)
        .await?;
        if done.rows_affected() == 1 {
            remember(connection, to, sha256).await?;
        }
        Ok(done.rows_affected() == 1)
    }

    /// Whether the pointer stood at `from`; then it is moved, and its row is ours until the transaction ends.
    pub async fn advance(&self, connection: &mut Connection, table: &str, from: &str, to: &str, sha256: &str) -> Result<bool> {
        let swung = sqlx::query(
            "UPDATE iceberg_tables SET metadata_location = $1, previous_metadata_location = $2, metadata_sha256 = $3
             WHERE catalog_name = $4 AND table_namespace = $5 AND table_name = $6 AND metadata_location = $7",
        )
        .bind(to)
        .bind(from)
        .bind(sha256)
        .bind(CATALOG_NAME)
        .bind(&self.namespace)
        .bind(table)
        .bind(from)
        .execute(&mut *connection)
        .await?;
        Ok(swung.rows_affected() == 1)
    }

    /// Whether the pointer stands at `location`; then its row is ours until the transaction ends.
    pub async fn hold(&self, connection: &mut Connection, table: &str, location: &str) -> Result<bool> {
        let held = sqlx::query(
            "UPDATE iceberg_tables SET metadata_location = metadata_location
             WHERE catalog_name = $1 AND table_namespace = $2 AND table_name = $3 AND metadata_location = $4",
        )
        .bind(CATALOG_NAME)
        .bind(&self.namespace)
        .bind(table)
        .bind(location)
        .execute(connection)
        .await?;
        Ok(held.rows_affected() == 1)
    }

    /// The swing of a catalog that is these rows.
    pub async fn swing(&self, step: &Step<'_>, fence: Option<&Fence>) -> Result<Swing> {
        let mut transaction = self.store.pool.begin().await?;
        if !self.advance(&mut transaction, step.table, step.from, step.to, step.sha256).await? {
            transaction.rollback().await?;
            return Err(came_first(step.table));
        }
        // Behind the pointer, so that every commit takes its locks in the same order.
        if let Some(fence) = fence
            && !fence::holds(fence, &mut transaction).await?
        {
            transaction.rollback().await?;
            return Err(fence.passed());
        }
        if let Some(mark) = step.mark
            && !marked(&mut transaction, mark.keyed_digest, mark.report.code(), mark.snapshot_id).await?
        {
            transaction.rollback().await?;
            return Ok(Swing::AlreadyCommitted);
        }
        remember(&mut transaction, step.to, step.sha256).await?;
        transaction
            .commit()
            .await
            .map_err(|error| Error::new(ErrorKind::Ambiguous, "the answer to COMMIT was lost").with_source(error))?;
        Ok(Swing::Landed)
    }
}

pub(super) fn came_first(table: &str) -> Error {
    Error::new(ErrorKind::Retry, format!("another commit to {table} came first"))
}

/// `false` when the ledger has the delivery as committed, or not at all.
pub(super) async fn marked(connection: &mut Connection, keyed_digest: &str, report: &str, snapshot_id: i64) -> Result<bool> {
    // A receipt that is there speaks of a quarantine before; it must not outlive this, should no other be sealed.
    let ledger = sqlx::query(
        "UPDATE deliveries SET state = 'committed', report = $1, snapshot_id = $2, sealed_receipt = NULL
         WHERE keyed_digest = $3 AND state <> 'committed'",
    )
    .bind(report)
    .bind(snapshot_id)
    .bind(keyed_digest)
    .execute(connection)
    .await?;
    Ok(ledger.rows_affected() == 1)
}

/// Keeps the digest of a metadata.json for as long as anyone may want to check it; one that came to nothing does no harm.
pub(super) async fn remember(connection: &mut Connection, location: &str, sha256: &str) -> Result<()> {
    sqlx::query("INSERT INTO metadata_files VALUES ($1, $2) ON CONFLICT (location) DO UPDATE SET sha256 = excluded.sha256")
        .bind(location)
        .bind(sha256)
        .execute(connection)
        .await?;
    Ok(())
}
