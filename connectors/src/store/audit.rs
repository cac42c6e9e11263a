//! The audit trails as they lie in the control store, one a tenant and one of the lake: appended, never changed.
//! Promise: one chain without a fork, however many processes append; an event that was answered for is durable. An event of a
//! change is a part of its transaction; events of reads that come at once share one (`tail`).
//! Never: a row is changed or taken away, and none is written that does not follow the last one.

use chrono::{DateTime, Utc};
use sqlx::{Row, any::AnyRow};

use super::{
    ControlStore, Pool, TenantStore, Transaction,
    tables::{May, Table},
};
pub use crate::audit::AuditRow;
use crate::{
    audit::{
        Checkpoint, Signed,
        chain::{Head, stored_link},
    },
    error::{Error, ErrorKind, Result},
};

mod tail;

pub(super) use tail::Tail;

/// How often a lost race for the next number is tried again.
const ATTEMPTS_MAX: u32 = 64;
const LAST: &str = "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1";
const INSERT: &str = "INSERT INTO audit VALUES ($1, $2, $3, $4) ON CONFLICT (seq) DO NOTHING";
/// Writes nothing, and takes the lock that writing takes: a transaction that begins by reading is turned away by SQLite when
/// another one writes between its look at the last event and its own.
const LOCK: &str = "INSERT INTO audit SELECT seq, at, sealed, hash FROM audit WHERE seq < 0";

/// Of either half: its chain, and what that has come to and who signed for it.
pub(super) const TABLES: &[Table] = &[
    Table::new(
        "audit",
        May::Append,
        &["CREATE TABLE IF NOT EXISTS audit (
        seq BIGINT PRIMARY KEY, at TEXT NOT NULL, sealed TEXT NOT NULL, hash TEXT NOT NULL)"],
    ),
    Table::new(
        "checkpoints",
        May::Append,
        &["CREATE TABLE IF NOT EXISTS checkpoints (
        events BIGINT PRIMARY KEY, text TEXT NOT NULL, public_key TEXT NOT NULL, signature TEXT NOT NULL)"],
    ),
];

/// An event to be appended: when, and its stored text.
#[derive(Clone, Copy, Debug)]
pub struct NewEvent<'a> {
    pub at: DateTime<Utc>,
    pub sealed: &'a str,
}

impl TenantStore {
    pub async fn append_audit(&self, at: DateTime<Utc>, sealed: &str) -> Result<i64> {
        tail::append(&self.pool, &self.tail, at, sealed).await
    }

    /// The same as a part of what else the transaction does, which has written something before.
    pub(super) async fn append_audit_in(transaction: &mut Transaction, at: DateTime<Utc>, sealed: &str) -> Result<()> {
        append_in(transaction, NewEvent { at, sealed }).await
    }

    /// All events in order, the chain checked.
    pub async fn audit(&self) -> Result<Vec<AuditRow>> {
        read(&self.pool, &Head::default()).await
    }

    /// The events that follow this head.
    pub async fn audit_after(&self, head: &Head) -> Result<Vec<AuditRow>> {
        read(&self.pool, head).await
    }

    /// So many of them at most.
    pub async fn audit_range(&self, head: &Head, events_max: i64) -> Result<Vec<AuditRow>> {
        range(&self.pool, head, events_max).await
    }

    pub async fn audit_head(&self) -> Result<Head> {
        head(&self.pool).await
    }

    /// When this event was written, as it stands in the chain; none when there is no such event.
    pub async fn audit_time(&self, seq: i64) -> Result<Option<String>> {
        let row = sqlx::query("SELECT at FROM audit WHERE seq = $1").bind(seq).fetch_optional(&self.pool).await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }

    pub async fn put_checkpoint(&self, events: i64, signed: &Signed) -> Result<bool> {
        put_checkpoint(&self.pool, events, signed).await
    }

    /// Oldest first.
    pub async fn checkpoints(&self) -> Result<Vec<Signed>> {
        checkpoints(&self.pool).await
    }

    pub async fn last_checkpoint(&self) -> Result<Option<Signed>> {
        last_checkpoint(&self.pool).await
    }

    /// Takes up events that were kept elsewhere and follow what is here; answers how many. `None` when others came first.
    pub async fn take_up_audit(&self, rows: &[AuditRow], checkpoints: &[(i64, Signed)]) -> Result<Option<usize>> {
        let mut transaction = self.pool.begin().await?;
        sqlx::query(LOCK).execute(&mut *transaction).await?;
        let last = sqlx::query(LAST).fetch_optional(&mut *transaction).await?;
        let here = head_of(last.as_ref())?;
        let missing: Vec<&AuditRow> = rows.iter().filter(|row| row.seq > here.events).collect();
        let known = rows.iter().find(|row| row.seq == here.events);
        if here.events > 0 && known.is_none_or(|row| row.hash != here.hash) {
            return Ok(None);
        }
        here.followed_by(&missing.iter().map(|row| (*row).clone()).collect::<Vec<_>>())?;
        for row in &missing {
            let insert = sqlx::query(INSERT).bind(row.seq).bind(&row.at).bind(row.stored()).bind(&row.hash);
            if insert.execute(&mut *transaction).await?.rows_affected() != 1 {
                return Ok(None);
            }
        }
        for (events, signed) in checkpoints {
            checkpoint_insert(*events, signed).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(Some(missing.len()))
    }
}

/// The lake's own trail: refusals that no tenant's key could seal, and what outlives a tenant.
impl ControlStore {
    pub async fn append_audit(&self, at: DateTime<Utc>, sealed: &str) -> Result<i64> {
        tail::append(&self.pool, &self.tail, at, sealed).await
    }

    /// As [`TenantStore::append_audit_in`].
    pub(super) async fn append_audit_in(transaction: &mut Transaction, at: DateTime<Utc>, sealed: &str) -> Result<()> {
        TenantStore::append_audit_in(transaction, at, sealed).await
    }

    pub async fn audit(&self) -> Result<Vec<AuditRow>> {
        read(&self.pool, &Head::default()).await
    }

    pub async fn audit_head(&self) -> Result<Head> {
        head(&self.pool).await
    }

    pub async fn put_checkpoint(&self, events: i64, signed: &Signed) -> Result<bool> {
        put_checkpoint(&self.pool, events, signed).await
    }

    /// Oldest first.
    pub async fn checkpoints(&self) -> Result<Vec<Signed>> {
        checkpoints(&self.pool).await
    }

    pub async fn last_checkpoint(&self) -> Result<Option<Signed>> {
        last_checkpoint(&self.pool).await
    }
}

/// As a part of a transaction that has written something before.
pub(super) async fn append_in(transaction: &mut Transaction, event: NewEvent<'_>) -> Result<()> {
    for _ in 0..ATTEMPTS_MAX {
        let last = sqlx::query(LAST).fetch_optional(&mut **transaction).await?;
        let here = head_of(last.as_ref())?;
        let (seq, at) = (here.events + 1, event.at.to_rfc3339());
        let hash = stored_link(&here.hash, seq, &at, event.sealed)?;
        let insert = sqlx::query(INSERT).bind(seq).bind(&at).bind(event.sealed).bind(&hash);
        if insert.execute(&mut **transaction).await?.rows_affected() == 1 {
            return Ok(());
        }
    }
    Err(busy())
}

async fn read(pool: &Pool, after: &Head) -> Result<Vec<AuditRow>> {
    range(pool, after, i64::MAX).await
}

async fn range(pool: &Pool, after: &Head, events_max: i64) -> Result<Vec<AuditRow>> {
    let rows = sqlx::query("SELECT seq, at, sealed, hash FROM audit WHERE seq > $1 AND seq <= $2 ORDER BY seq")
        .bind(after.events)
        .bind(after.events.saturating_add(events_max))
        .fetch_all(pool)
        .await?;
    let rows = rows.iter().map(row).collect::<Result<Vec<_>>>()?;
    after.followed_by(&rows)?;
    Ok(rows)
}

fn row(row: &AnyRow) -> Result<AuditRow> {
    AuditRow::of(row.try_get(0)?, row.try_get(1)?, &row.try_get::<String, _>(2)?, row.try_get(3)?)
}

async fn head(pool: &Pool) -> Result<Head> {
    head_of(sqlx::query(LAST).fetch_optional(pool).await?.as_ref())
}

fn head_of(last: Option<&AnyRow>) -> Result<Head> {
    match last {
        Some(row) => Ok(Head { events: row.try_get(0)?, hash: row.try_get(1)? }),
        None => Ok(Head::default()),
    }
}

fn checkpoint_insert<'q>(events: i64, signed: &'q Signed) -> sqlx::query::Query<'q, sqlx::Any, sqlx::any::AnyArguments<'q>> {
    sqlx::query("INSERT INTO checkpoints VALUES ($1, $2, $3, $4) ON CONFLICT (events) DO NOTHING")
        .bind(events)
        .bind(&signed.text)
        .bind(&signed.public_key)
        .bind(&signed.signature)
}

/// `false` when there is one of that place in the chain already.
async fn put_checkpoint(pool: &Pool, events: i64, signed: &Signed) -> Result<bool> {
    Ok(checkpoint_insert(events, signed).execute(pool).await?.rows_affected() == 1)
}

async fn checkpoints(pool: &Pool) -> Result<Vec<Signed>> {
    let rows = sqlx::query("SELECT events, text, public_key, signature FROM checkpoints ORDER BY events").fetch_all(pool).await?;
    rows.iter().map(signed).collect()
}

async fn last_checkpoint(pool: &Pool) -> Result<Option<Signed>> {
    let row = sqlx::query("SELECT events, text, public_key, signature FROM checkpoints ORDER BY events DESC LIMIT 1");
    row.fetch_optional(pool).await?.as_ref().map(signed).transpose()
}

fn signed(row: &AnyRow) -> Result<Signed> {
    let signed = Signed { text: row.try_get(1)?, public_key: row.try_get(2)?, signature: row.try_get(3)? };
    let (events, says): (i64, Checkpoint) = (row.try_get(0)?, signed.text.parse()?);
    match says.head.events == events {
        true => Ok(signed),
        false => Err(Error::new(ErrorKind::Damaged, format!("the checkpoint of {events} events is one of {}", says.head.events))),
    }
}

fn busy() -> Error {
    Error::new(ErrorKind::Retry, "the audit trail is busy; run it again")
}

#[cfg(test)]
mod tests;
