//! Attempts that are counted, and waits that grow with them: they lie in the store, so a restart forgives nobody.
//! Promise: an attempt is counted before it is made; of attempts at the same moment each counts; who waits is not counted,
//! so that no wait is made longer by asking; every wait ends.

use sqlx::Row;

use super::People;
use crate::error::{Error, ErrorKind, Result};

/// How often a lost race for the next count is tried again.
const ATTEMPTS_MAX: u32 = 64;

/// After `free` attempts each one is followed by a wait, doubling from `first_ms` to `max_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waits {
    pub free: u32,
    pub first_ms: i64,
    pub max_ms: i64,
    /// So long after the last attempt all are forgotten.
    pub forget_ms: i64,
}

impl Waits {
    fn after(&self, counted: i64) -> i64 {
        let beyond = counted - i64::from(self.free);
        match beyond {
            ..0 => 0,
            // The shift stays below 2^32 of a wait of hours in milliseconds, far from the end of an i64.
            _ => self.first_ms.saturating_mul(1_i64 << beyond.min(31)).min(self.max_ms),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// It may be made; it is the so-many-th.
    May { counted: i64 },
    /// Not before then.
    Wait { until_ms: i64 },
}

impl People {
    pub async fn attempt(&self, kind: &str, subject: &str, now_ms: i64, waits: &Waits) -> Result<Attempt> {
        for _ in 0..ATTEMPTS_MAX {
            let row = sqlx::query("SELECT counted, last_ms, until_ms FROM attempts WHERE kind = $1 AND subject = $2")
                .bind(kind)
                .bind(subject)
                .fetch_optional(&self.pool)
                .await?;
            let before: Option<(i64, i64, i64)> =
                row.map(|row| Ok::<_, Error>((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))).transpose()?;
            let counted = match before {
                Some((_, _, until_ms)) if until_ms > now_ms => return Ok(Attempt::Wait { until_ms }),
                Some((counted, last_ms, _)) if now_ms - last_ms < waits.forget_ms => counted + 1,
                _ => 1,
            };
            let until_ms = match waits.after(counted) {
                0 => 0,
                wait => now_ms.saturating_add(wait),
            };
            let taken = match before {
                None => sqlx::query("INSERT INTO attempts VALUES ($1, $2, $3, $4, $5) ON CONFLICT (kind, subject) DO NOTHING")
                    .bind(kind)
                    .bind(subject)
                    .bind(counted)
                    .bind(now_ms)
                    .bind(until_ms),
                Some((was, last_ms, _)) => sqlx::query(
                    "UPDATE attempts SET counted = $1, last_ms = $2, until_ms = $3
                     WHERE kind = $4 AND subject = $5 AND counted = $6 AND last_ms = $7",
                )
                .bind(counted)
                .bind(now_ms)
                .bind(until_ms)
                .bind(kind)
                .bind(subject)
                .bind(was)
                .bind(last_ms),
            };
            if taken.execute(&self.pool).await?.rows_affected() == 1 {
                return Ok(Attempt::May { counted });
            }
        }
        Err(Error::new(ErrorKind::Retry, "too many attempts at once; try again in a few seconds"))
    }

    /// Was it noted since then?
    pub async fn is_known(&self, kind: &str, subject: &str, since_ms: i64) -> Result<bool> {
        let sql = "SELECT 1 FROM attempts WHERE kind = $1 AND subject = $2 AND last_ms >= $3";
        Ok(sqlx::query(sql).bind(kind).bind(subject).bind(since_ms).fetch_optional(&self.pool).await?.is_some())
    }
}
