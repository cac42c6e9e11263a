//! What waits to be sent about alerts, of all tenants: letters and calls of webhooks, each sealed by the lake.
//! Promise: what is put here under a name is there once, also when it left already; it is taken by one process, tried again, and
//! ended only when it was sent or given up. What belongs to one digest is taken together.

use sqlx::{Row, any::AnyRow};

use crate::{
    error::Result,
    store::{
        ControlStore, Pool,
        tables::{May, Table},
    },
};

/// Of the shared half: so that one look finds what is due, and a tenant's disabled key holds up no letter about itself.
pub(in crate::store) const TABLES: &[Table] = &[
    Table::new(
        "sendings",
        May::Remove,
        &["CREATE TABLE IF NOT EXISTS sendings (
        sending_id TEXT PRIMARY KEY, tenant TEXT NOT NULL, batch TEXT NOT NULL, due_ms BIGINT NOT NULL,
        expires_ms BIGINT NOT NULL, tries BIGINT NOT NULL, sealed TEXT NOT NULL)"],
    ),
    // When each role of a process that stays was last heard of.
    Table::new("beats", May::Change, &["CREATE TABLE IF NOT EXISTS beats (name TEXT PRIMARY KEY, at_ms BIGINT NOT NULL)"]),
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendingRow {
    /// Names the letter or the call to whoever gets it, however often it is tried.
    pub sending_id: String,
    pub tenant: String,
    /// Its own name, or that of the digest that it is a part of.
    pub batch: String,
    pub due_ms: i64,
    pub expires_ms: i64,
    pub tries: i64,
    pub sealed: String,
}

/// The sendings of a lake.
#[derive(Clone, Debug)]
pub struct Sendings {
    pool: Pool,
}

impl ControlStore {
    pub fn sendings(&self) -> Sendings {
        Sendings { pool: self.pool.clone() }
    }

    /// The role was alive at this time.
    pub async fn beat(&self, name: &str, at_ms: i64) -> Result<()> {
        sqlx::query("INSERT INTO beats VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET at_ms = excluded.at_ms")
            .bind(name)
            .bind(at_ms)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// When it was last heard of.
    pub async fn last_beat(&self, name: &str) -> Result<Option<i64>> {
        let row = sqlx::query("SELECT at_ms FROM beats WHERE name = $1").bind(name).fetch_optional(&self.pool).await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }
}

impl Sendings {
    /// All of them or none; what is there under its name stays as it is.
    pub async fn put(&self, rows: &[SendingRow]) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut transaction = self.pool.begin().await?;
        for row in rows {
            sqlx::query("INSERT INTO sendings VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (sending_id) DO NOTHING")
                .bind(&row.sending_id)
                .bind(&row.tenant)
                .bind(&row.batch)
                .bind(row.due_ms)
                .bind(row.expires_ms)
                .bind(row.tries)
                .bind(&row.sealed)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Batches that are due, the longest first, at most so many: name and how often it was tried.
    pub async fn due(&self, now_ms: i64, batches_max: u32) -> Result<Vec<(String, i64)>> {
        let sql = "SELECT batch, max(tries) FROM sendings WHERE sealed <> '' AND due_ms <= $1 GROUP BY batch ORDER BY min(due_ms), batch LIMIT $2";
        let rows = sqlx::query(sql).bind(now_ms).bind(i64::from(batches_max)).fetch_all(&self.pool).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    /// Takes what is due of a batch, until then; empty when another took it.
    pub async fn take(&self, batch: &str, now_ms: i64, until_ms: i64, rows_max: u32) -> Result<Vec<SendingRow>> {
        let mut transaction = self.pool.begin().await?;
        let sql = "UPDATE sendings SET due_ms = $1, tries = tries + 1 WHERE batch = $2 AND due_ms <= $3 AND sealed <> ''
             AND sending_id IN (SELECT sending_id FROM sendings WHERE batch = $2 AND due_ms <= $3 ORDER BY sending_id LIMIT $4)
             RETURNING sending_id, tenant, batch, due_ms, expires_ms, tries, sealed";
        let rows = sqlx::query(sql)
            .bind(until_ms)
            .bind(batch)
            .bind(now_ms)
            .bind(i64::from(rows_max))
            .fetch_all(&mut *transaction)
            .await?;
        let mut rows = rows.iter().map(sending_row).collect::<Result<Vec<_>>>()?;
        transaction.commit().await?;
        rows.sort_by(|a, b| a.sending_id.cmp(&b.sending_id));
        Ok(rows)
    }

    /// They did not leave: not before then.
    pub async fn postpone(&self, rows: &[SendingRow], due_ms: i64) -> Result<()> {
        let mut transaction = self.pool.begin().await?;
        for row in rows {
            let sql = "UPDATE sendings SET due_ms = $1 WHERE sending_id = $2 AND tries = $3";
            sqlx::query(sql).bind(due_ms).bind(&row.sending_id).bind(row.tries).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// They were sent, or given up. The names stay until they expire, so that nobody puts them here again who read before.
    pub async fn end(&self, rows: &[SendingRow]) -> Result<()> {
        let mut transaction = self.pool.begin().await?;
        for row in rows {
            let sql = "UPDATE sendings SET sealed = '', batch = '', due_ms = 0 WHERE sending_id = $1";
            sqlx::query(sql).bind(&row.sending_id).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Names that ended and expired.
    pub async fn sweep(&self, now_ms: i64) -> Result<()> {
        sqlx::query("DELETE FROM sendings WHERE sealed = '' AND expires_ms <= $1").bind(now_ms).execute(&self.pool).await?;
        Ok(())
    }

    pub async fn waiting(&self) -> Result<i64> {
        Ok(sqlx::query("SELECT count(*) FROM sendings WHERE sealed <> ''").fetch_one(&self.pool).await?.try_get(0)?)
    }
}

fn sending_row(row: &AnyRow) -> Result<SendingRow> {
    Ok(SendingRow {
        sending_id: row.try_get(0)?,
        tenant: row.try_get(1)?,
        batch: row.try_get(2)?,
        due_ms: row.try_get(3)?,
        expires_ms: row.try_get(4)?,
        tries: row.try_get(5)?,
        sealed: row.try_get(6)?,
    })
}
