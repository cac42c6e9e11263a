//! Joint checks: what tenant and operator look at together when a run was missed. One for each window.
//! Promise: a check moves on by compare-and-swap, each move with its event in the trail.

use sqlx::{Row, any::AnyRow};

use super::{Connection, May, NewEvent, Table, TenantStore, audit};
use crate::error::Result;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckRow {
    pub check_id: String,
    pub schedule_id: String,
    pub due_ms: i64,
    /// `open` or `closed`.
    pub state: String,
    pub opened_ms: i64,
    /// Grows with each move.
    pub version: i64,
    /// Base64 of causes, steps, and who ticked them off.
    pub sealed: String,
}

pub(super) const TABLE: Table = Table::new(
    "checks_joint",
    May::Change,
    &["CREATE TABLE IF NOT EXISTS checks_joint (
        check_id TEXT PRIMARY KEY, schedule_id TEXT NOT NULL, due_ms BIGINT NOT NULL, state TEXT NOT NULL,
        opened_ms BIGINT NOT NULL, version BIGINT NOT NULL, sealed TEXT NOT NULL, UNIQUE (schedule_id, due_ms))"],
);

const COLUMNS: &str = "check_id, schedule_id, due_ms, state, opened_ms, version, sealed";

/// A window has one check; a second is not made.
pub(super) async fn put(transaction: &mut Connection, row: &CheckRow) -> Result<()> {
    let sql = format!("INSERT INTO checks_joint ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING");
    sqlx::query(&sql)
        .bind(&row.check_id)
        .bind(&row.schedule_id)
        .bind(row.due_ms)
        .bind(&row.state)
        .bind(row.opened_ms)
        .bind(row.version)
        .bind(&row.sealed)
        .execute(transaction)
        .await?;
    Ok(())
}

impl TenantStore {
    /// The newest first; at most so many.
    pub async fn joint_checks(&self, count_max: usize) -> Result<Vec<CheckRow>> {
        let sql = format!("SELECT {COLUMNS} FROM checks_joint ORDER BY opened_ms DESC, check_id DESC LIMIT $1");
        let rows = sqlx::query(&sql).bind(i64::try_from(count_max).unwrap_or(i64::MAX)).fetch_all(&self.pool).await?;
        rows.iter().map(check).collect()
    }

    pub async fn joint_check(&self, check_id: &str) -> Result<Option<CheckRow>> {
        let sql = format!("SELECT {COLUMNS} FROM checks_joint WHERE check_id = $1");
        let row = sqlx::query(&sql).bind(check_id).fetch_optional(&self.pool).await?;
        row.as_ref().map(check).transpose()
    }

    /// Moves a check on; `false` when another did first.
    pub async fn move_joint_check(&self, to: &CheckRow, event: NewEvent<'_>) -> Result<bool> {
        let mut transaction = self.pool.begin().await?;
        let done =
            sqlx::query("UPDATE checks_joint SET state = $1, version = $2, sealed = $3 WHERE check_id = $4 AND version = $5")
                .bind(&to.state)
                .bind(to.version)
                .bind(&to.sealed)
                .bind(&to.check_id)
                .bind(to.version - 1)
                .execute(&mut *transaction)
                .await?;
        if done.rows_affected() == 0 {
            transaction.rollback().await?;
            return Ok(false);
        }
        audit::append_in(&mut transaction, event).await?;
        transaction.commit().await?;
        Ok(true)
    }
}

fn check(row: &AnyRow) -> Result<CheckRow> {
    Ok(CheckRow {
        check_id: row.try_get(0)?,
        schedule_id: row.try_get(1)?,
        due_ms: row.try_get(2)?,
        state: row.try_get(3)?,
        opened_ms: row.try_get(4)?,
        version: row.try_get(5)?,
        sealed: row.try_get(6)?,
    })
}
