//! Requests that were answered, kept for a day, so that the same request sent again is not carried out again.
//! Promise: of two that come at the same moment one is carried out; the answer is kept sealed, and only by whoever asked.

use sqlx::Row;

use super::{
    TenantStore,
    tables::{May, Table},
};
use crate::error::Result;

/// How a request stands that named itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is to be carried out.
    New,
    /// Another one of the same name is at work.
    AtWork,
    /// The name was that of another request.
    Other,
    /// It was carried out; the sealed answer.
    Answered(String),
}

pub(super) const TABLES: &[Table] = &[Table::new(
    "answered",
    May::Remove,
    // By whom, under which name, of what, when, and the sealed answer once there is one.
    &["CREATE TABLE IF NOT EXISTS answered (
        caller TEXT NOT NULL, name TEXT NOT NULL, digest TEXT NOT NULL, at_ms BIGINT NOT NULL, sealed TEXT NOT NULL,
        PRIMARY KEY (caller, name))"],
)];

/// A request at work for so long died with its process.
const AT_WORK_MS_MAX: i64 = 10 * 60 * 1000;

impl TenantStore {
    /// `caller` and `key` name the request, `digest` is of what it asks for.
    pub async fn begin_request(&self, caller: &str, key: &str, digest: &str, now_ms: i64) -> Result<Standing> {
        let taken = sqlx::query(
            "INSERT INTO answered VALUES ($1, $2, $3, $4, '') ON CONFLICT (caller, name) DO UPDATE SET at_ms = excluded.at_ms
             WHERE answered.sealed = '' AND answered.digest = excluded.digest AND answered.at_ms < $5",
        )
        .bind(caller)
        .bind(key)
        .bind(digest)
        .bind(now_ms)
        .bind(now_ms - AT_WORK_MS_MAX)
        .execute(&self.pool)
        .await?;
        if taken.rows_affected() == 1 {
            return Ok(Standing::New);
        }
        let row = sqlx::query("SELECT digest, sealed FROM answered WHERE caller = $1 AND name = $2")
            .bind(caller)
            .bind(key)
            .fetch_optional(&self.pool)
            .await?;
        let Some(row) = row else { return Ok(Standing::AtWork) };
        let (of, sealed): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        Ok(match () {
            () if of != digest => Standing::Other,
            () if sealed.is_empty() => Standing::AtWork,
            () => Standing::Answered(sealed),
        })
    }

    /// Keeps the answer; `None` lets the request be tried again.
    pub async fn end_request(&self, caller: &str, key: &str, answer: Option<&str>) -> Result<()> {
        let done = match answer {
            Some(sealed) => {
                sqlx::query("UPDATE answered SET sealed = $3 WHERE caller = $1 AND name = $2").bind(caller).bind(key).bind(sealed)
            }
            None => sqlx::query("DELETE FROM answered WHERE caller = $1 AND name = $2").bind(caller).bind(key),
        };
        done.execute(&self.pool).await?;
        Ok(())
    }

    /// Forgets answers given before then.
    pub async fn forget_requests(&self, before_ms: i64) -> Result<()> {
        sqlx::query("DELETE FROM answered WHERE at_ms < $1").bind(before_ms).execute(&self.pool).await?;
        Ok(())
    }
}
