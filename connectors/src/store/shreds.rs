//! Orders to destroy a tenant's keys, and how far each has come. They outlive the tenant, so they lie in the shared half.
//! Promise: an order moves forward one state at a time, by compare-and-swap, each with its event in the lake's trail; its text
//! never changes.

use bonded_schemas::TenantId;
use sqlx::{Row, any::AnyRow};

use super::{
    ControlStore, audit,
    audit::NewEvent,
    tables::{May, Table},
};
use crate::error::Result;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShredRow {
    pub order_id: String,
    pub tenant: TenantId,
    /// `requested`, `scheduled`, `destroyed` or `cancelled`.
    pub state: String,
    /// What the owners sign, to the byte.
    pub order_text: String,
    /// JSON.
    pub approvals: String,
    /// RFC 3339; from `scheduled` on.
    pub destroy_at: Option<String>,
    /// JSON, signed by the lake; from `scheduled` on.
    pub proof: Option<String>,
}

pub(super) const TABLES: &[Table] = &[Table::new(
    "shreds",
    May::Change,
    &["CREATE TABLE IF NOT EXISTS shreds (
        order_id TEXT PRIMARY KEY, tenant TEXT NOT NULL, state TEXT NOT NULL, order_text TEXT NOT NULL, approvals TEXT NOT NULL,
        destroy_at TEXT, proof TEXT)"],
)];

impl ControlStore {
    pub async fn put_shred(&self, row: &ShredRow, event: NewEvent<'_>) -> Result<()> {
        let mut transaction = self.pool.begin().await?;
        sqlx::query("INSERT INTO shreds VALUES ($1, $2, $3, $4, $5, $6, $7)")
            .bind(&row.order_id)
            .bind(row.tenant.as_str())
            .bind(&row.state)
            .bind(&row.order_text)
            .bind(&row.approvals)
            .bind(&row.destroy_at)
            .bind(&row.proof)
            .execute(&mut *transaction)
            .await?;
        audit::append_in(&mut transaction, event).await?;
        Ok(transaction.commit().await?)
    }

    /// Moves the order on from the state it was read in; `false` when it is no longer there.
    pub async fn move_shred(&self, from: &str, to: &ShredRow, event: NewEvent<'_>) -> Result<bool> {
        let mut transaction = self.pool.begin().await?;
        let done = sqlx::query(
            "UPDATE shreds SET state = $1, approvals = $2, destroy_at = $3, proof = $4 WHERE order_id = $5 AND state = $6",
        )
        .bind(&to.state)
        .bind(&to.approvals)
        .bind(&to.destroy_at)
        .bind(&to.proof)
        .bind(&to.order_id)
        .bind(from)
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        audit::append_in(&mut transaction, event).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// In the order of their ids, which is that of their times.
    pub async fn shreds(&self) -> Result<Vec<ShredRow>> {
        let rows =
            sqlx::query("SELECT order_id, tenant, state, order_text, approvals, destroy_at, proof FROM shreds ORDER BY order_id")
                .fetch_all(&self.pool)
                .await?;
        rows.iter().map(shred).collect()
    }

    pub async fn shred(&self, order_id: &str) -> Result<Option<ShredRow>> {
        let row = sqlx::query(
            "SELECT order_id, tenant, state, order_text, approvals, destroy_at, proof FROM shreds WHERE order_id = $1",
        )
        .bind(order_id)
        .fetch_optional(&self.pool)
        .await?;
        row.as_ref().map(shred).transpose()
    }
}

fn shred(row: &AnyRow) -> Result<ShredRow> {
    Ok(ShredRow {
        order_id: row.try_get(0)?,
        tenant: super::tenant_id(&row.try_get::<String, _>(1)?)?,
        state: row.try_get(2)?,
        order_text: row.try_get(3)?,
        approvals: row.try_get(4)?,
        destroy_at: row.try_get(5)?,
        proof: row.try_get(6)?,
    })
}
