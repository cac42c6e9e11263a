//! Objects that a sweep found unreferenced, and when it first did: one must be seen so for long before it is removed.
//! Paths tell nothing, so they lie in the clear. Losing this table only makes the next sweep wait again.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use sqlx::Row;

use super::TenantStore;
use crate::error::{Error, ErrorKind, Result};

/// Rows of one transaction: short enough that no commit of a delivery waits for it.
const ROWS_AT_ONCE: usize = 500;

impl TenantStore {
    /// Path -> when it was first seen unreferenced.
    pub async fn litter(&self) -> Result<HashMap<String, DateTime<Utc>>> {
        let rows = sqlx::query("SELECT path, seen_at FROM litter").fetch_all(&self.pool).await?;
        let parsed = |text: String| DateTime::parse_from_rfc3339(&text).map(|at| at.to_utc());
        rows.iter()
            .map(|row| {
                let seen =
                    parsed(row.try_get(1)?).map_err(|_| Error::new(ErrorKind::Damaged, "a time in litter is not readable"))?;
                Ok((row.try_get(0)?, seen))
            })
            .collect()
    }

    /// Makes the list be these paths: new ones are seen now, those that are no litter any more are forgotten.
    pub async fn note_litter(&self, paths: &[String], now: DateTime<Utc>) -> Result<HashMap<String, DateTime<Utc>>> {
        let known = self.litter().await?;
        let still: HashSet<&String> = paths.iter().collect();
        let gone: Vec<String> = known.keys().filter(|path| !still.contains(path)).cloned().collect();
        self.forget_litter(&gone).await?;
        let new: Vec<&String> = paths.iter().filter(|path| !known.contains_key(*path)).collect();
        for some in new.chunks(ROWS_AT_ONCE) {
            let mut transaction = self.pool.begin().await?;
            for path in some {
                sqlx::query("INSERT INTO litter (path, seen_at) VALUES ($1, $2) ON CONFLICT (path) DO NOTHING")
                    .bind(path.as_str())
                    .bind(now.to_rfc3339())
                    .execute(&mut *transaction)
                    .await?;
            }
            transaction.commit().await?;
        }
        self.litter().await
    }

    pub async fn forget_litter(&self, paths: &[String]) -> Result<()> {
        for some in paths.chunks(ROWS_AT_ONCE) {
            let mut transaction = self.pool.begin().await?;
            for path in some {
                sqlx::query("DELETE FROM litter WHERE path = $1").bind(path).execute(&mut *transaction).await?;
            }
            transaction.commit().await?;
        }
        Ok(())
    }
}
