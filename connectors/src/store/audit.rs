//! The audit tails, one a tenant and one of the lake: every action appended, sealed, and chained by SHA-256 to the one before.
//! Promise: a changed, removed or reordered event breaks the chain (a cut-off tail is caught by S5's checkpoints).

use chrono::{DateTime, Utc};
use ring::digest::{SHA256, digest};
use sqlx::{
    Any, Row,
    any::{AnyArguments, AnyRow},
    query::Query,
};

use super::{ControlStore, Pool, TenantStore, Transaction};
use crate::{
    error::{Error, ErrorKind, Result},
    seal::cipher,
};

/// How often a lost race for the next number is tried again.
const ATTEMPTS_MAX: u32 = 64;
const LAST: &str = "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    pub seq: i64,
    pub at: String,
    pub sealed: String,
    pub hash: String,
}

impl TenantStore {
    pub async fn append_audit(&self, at: DateTime<Utc>, sealed: &str) -> Result<i64> {
        append(&self.pool, at, sealed).await
    }

    /// The same as a part of what else the transaction does.
    pub(super) async fn append_audit_in(transaction: &mut Transaction, at: DateTime<Utc>, sealed: &str) -> Result<()> {
        for _ in 0..ATTEMPTS_MAX {
            let last = sqlx::query(LAST).fetch_optional(&mut **transaction).await?;
            let (insert, _) = following(last.as_ref(), at, sealed)?;
            if insert.execute(&mut **transaction).await?.rows_affected() == 1 {
                return Ok(());
            }
        }
        Err(busy())
    }

    /// All events in order, the chain checked.
    pub async fn audit(&self) -> Result<Vec<AuditRow>> {
        read(&self.pool).await
    }
}

/// The lake's own tail: refusals that no tenant's key could seal, and what outlives a tenant.
impl ControlStore {
    pub async fn append_audit(&self, at: DateTime<Utc>, sealed: &str) -> Result<i64> {
        append(&self.pool, at, sealed).await
    }

    /// As [`TenantStore::append_audit_in`].
    pub(super) async fn append_audit_in(transaction: &mut Transaction, at: DateTime<Utc>, sealed: &str) -> Result<()> {
        TenantStore::append_audit_in(transaction, at, sealed).await
    }

    pub async fn audit(&self) -> Result<Vec<AuditRow>> {
        read(&self.pool).await
    }
}

async fn append(pool: &Pool, at: DateTime<Utc>, sealed: &str) -> Result<i64> {
    for _ in 0..ATTEMPTS_MAX {
        let last = sqlx::query(LAST).fetch_optional(pool).await?;
        let (insert, seq) = following(last.as_ref(), at, sealed)?;
        if insert.execute(pool).await?.rows_affected() == 1 {
            return Ok(seq);
        }
    }
    Err(busy())
}

async fn read(pool: &Pool) -> Result<Vec<AuditRow>> {
    let rows = sqlx::query("SELECT seq, at, sealed, hash FROM audit ORDER BY seq").fetch_all(pool).await?;
    let mut before = String::new();
    let mut events = Vec::with_capacity(rows.len());
    for (index, row) in rows.iter().enumerate() {
        let event = AuditRow { seq: row.try_get(0)?, at: row.try_get(1)?, sealed: row.try_get(2)?, hash: row.try_get(3)? };
        let expected = link(&before, event.seq, &event.at, &event.sealed);
        if event.seq != index as i64 + 1 || event.hash != expected {
            return Err(Error::new(ErrorKind::Damaged, format!("the audit trail is broken at event {}", index + 1)));
        }
        before = event.hash.clone();
        events.push(event);
    }
    Ok(events)
}

/// The insert that follows the last event, and its number. Another may take the number first: then nothing is inserted.
fn following<'q>(last: Option<&AnyRow>, at: DateTime<Utc>, sealed: &'q str) -> Result<(Query<'q, Any, AnyArguments<'q>>, i64)> {
    let (seq, before) = match last {
        Some(row) => (row.try_get::<i64, _>(0)? + 1, row.try_get::<String, _>(1)?),
        None => (1, String::new()),
    };
    let at = at.to_rfc3339();
    let hash = link(&before, seq, &at, sealed);
    let insert = sqlx::query("INSERT INTO audit VALUES ($1, $2, $3, $4) ON CONFLICT (seq) DO NOTHING");
    Ok((insert.bind(seq).bind(at).bind(sealed).bind(hash), seq))
}

fn busy() -> Error {
    Error::new(ErrorKind::Retry, "the audit trail is busy; run it again")
}

/// What chains an event to the one before it.
pub fn link(before: &str, seq: i64, at: &str, sealed: &str) -> String {
    let text = format!("{before}\n{seq}\n{at}\n{sealed}");
    cipher::hex(digest(&SHA256, text.as_bytes()).as_ref())
}
