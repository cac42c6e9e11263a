//! What the doctor asks of the control store: its clock, its version, what waits in the post; and how the set-up was last seen.
//! Promise: one row a machine of how the set-up was last seen, sealed, and written with the event that tells of it.
//! Never: a setting, or a machine's name, in the clear.

use chrono::{DateTime, Utc};
use sqlx::Row;

use super::{
    ControlStore, Place, audit,
    audit::NewEvent,
    tables::{May, Table},
};
use crate::error::Result;

pub(super) const TABLES: &[Table] = &[Table::new(
    "setups",
    May::Change,
    &["CREATE TABLE IF NOT EXISTS setups (machine TEXT PRIMARY KEY, seen_at TEXT NOT NULL, sealed TEXT NOT NULL)"],
)];

/// How the set-up was last seen on a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetupRow {
    /// Keyed digest of its name.
    pub machine: String,
    /// RFC 3339.
    pub seen_at: String,
    pub sealed: String,
}

/// Letters that wait to be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Post {
    pub letters: u64,
    /// Of the one that was tried most often.
    pub tries_max: u64,
}

impl ControlStore {
    pub async fn setup(&self, machine: &str) -> Result<Option<SetupRow>> {
        let sql = "SELECT machine, seen_at, sealed FROM setups WHERE machine = $1";
        let row = sqlx::query(sql).bind(machine).fetch_optional(&self.pool).await?;
        row.map(|row| Ok(SetupRow { machine: row.try_get(0)?, seen_at: row.try_get(1)?, sealed: row.try_get(2)? })).transpose()
    }

    /// In the place of what was seen there before.
    pub async fn put_setup(&self, row: &SetupRow, event: NewEvent<'_>) -> Result<()> {
        let mut transaction = self.pool.begin().await?;
        sqlx::query(
            "INSERT INTO setups VALUES ($1, $2, $3)
             ON CONFLICT (machine) DO UPDATE SET seen_at = excluded.seen_at, sealed = excluded.sealed",
        )
        .bind(&row.machine)
        .bind(&row.seen_at)
        .bind(&row.sealed)
        .execute(&mut *transaction)
        .await?;
        audit::append_in(&mut transaction, event).await?;
        Ok(transaction.commit().await?)
    }

    /// What time it is at the database; none where it is a library in this process.
    pub async fn clock(&self) -> Result<Option<DateTime<Utc>>> {
        if matches!(*self.place, Place::Sqlite(_)) {
            return Ok(None);
        }
        let sql = "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)";
        let millis: i64 = sqlx::query(sql).fetch_one(&self.pool).await?.try_get(0)?;
        Ok(DateTime::from_timestamp_millis(millis))
    }

    /// Of the database, as it tells it.
    pub async fn version(&self) -> Result<String> {
        let sql = match *self.place {
            Place::Sqlite(_) => "SELECT 'SQLite ' || sqlite_version()",
            Place::Postgres { .. } => "SELECT 'PostgreSQL ' || current_setting('server_version')",
        };
        Ok(sqlx::query(sql).fetch_one(&self.pool).await?.try_get(0)?)
    }

    pub async fn post(&self) -> Result<Post> {
        let sql = "SELECT COUNT(*), CAST(COALESCE(MAX(tries), 0) AS BIGINT) FROM post";
        let row = sqlx::query(sql).fetch_one(&self.pool).await?;
        Ok(Post { letters: row.try_get::<i64, _>(0)?.unsigned_abs(), tries_max: row.try_get::<i64, _>(1)?.unsigned_abs() })
    }
}
