//! The work queue: deliveries of all tenants that are landed and not done, leased to workers for a time.
//! Promise: one live lease a delivery, under a token that only grows; the limits hold exactly, whoever leases beside;
//! the turn is the tenant's who has least running and was served longest ago. What a dead worker held comes back.
//! Never: no file name, no cell and no error text lies here: tenant, digest, size, times and the kind of the last failure.
//!
//! `due_ms` says when an item may be leased: a waiting one from its (re)try time on, a running one once its lease has run
//! out, a poisoned one never. So a lease that ran out needs no sweeper.

use bonded_schemas::{DeliveryId, TenantId};
use chrono::{DateTime, Duration, Utc};
use sqlx::{Row, any::AnyRow};

use super::{
    ControlStore, Place, Pool,
    tables::{May, Table},
};
use crate::error::{Error, ErrorKind, Result};

mod backoff;
mod item;
#[cfg(test)]
mod tests;

pub use backoff::Backoff;
pub use item::{Item, ItemState, Lease, Limits, Work};

/// The table whose one row is there before anything is in the queue.
pub(super) const GATE: &str = "queue_gate";

pub(super) const TABLES: &[Table] = &[
    Table::new(
        "queue",
        May::Remove,
        &[
            "CREATE TABLE IF NOT EXISTS queue (
        tenant TEXT NOT NULL, keyed_digest TEXT NOT NULL, delivery_id TEXT NOT NULL, size_bytes BIGINT NOT NULL,
        state TEXT NOT NULL, due_ms BIGINT NOT NULL, enqueued_ms BIGINT NOT NULL, attempts BIGINT NOT NULL,
        strikes BIGINT NOT NULL, token BIGINT NOT NULL, leased_ms BIGINT, worker TEXT, last_failure TEXT,
        PRIMARY KEY (tenant, keyed_digest))",
            "CREATE INDEX IF NOT EXISTS queue_due ON queue (due_ms)",
            "CREATE INDEX IF NOT EXISTS queue_of_tenant ON queue (tenant, due_ms, delivery_id)",
            "CREATE INDEX IF NOT EXISTS queue_running ON queue (tenant) WHERE state = 'running'",
        ],
    ),
    // When each tenant was served last, as the token of that lease.
    Table::new(
        "queue_turns",
        May::Change,
        &["CREATE TABLE IF NOT EXISTS queue_turns (tenant TEXT PRIMARY KEY, token BIGINT NOT NULL)"],
    ),
    // One row: the last token given out. Whoever leases holds it until the lease is committed.
    Table::new(GATE, May::Remove, &["CREATE TABLE IF NOT EXISTS queue_gate (id BIGINT PRIMARY KEY, token BIGINT NOT NULL)"]),
];

/// The gate's one row.
const SEED: &str = "INSERT INTO queue_gate VALUES (1, 0) ON CONFLICT (id) DO NOTHING";

/// `due_ms` of what waits for a person.
const NEVER_MS: i64 = i64::MAX;
/// Kind of failure recorded when a worker was not heard of again.
pub const LEASE_RAN_OUT: &str = "lease_ran_out";
/// So many items are listed at most.
pub const LISTED_MAX: usize = 10_000;

const COLUMNS: &str = "tenant, keyed_digest, delivery_id, size_bytes, state, due_ms, enqueued_ms, attempts, strikes, token, \
                       leased_ms, worker, last_failure";

/// The tenant whose turn it is and the head of its line, with what runs at all. Tenants that are at their own limit have
/// no turn. A head that does not fit the tenant's bytes is waited for, not passed by, else a large file would starve.
const PICK: &str = "
    WITH running AS (
        SELECT tenant, COUNT(*) AS leases, CAST(SUM(size_bytes) AS BIGINT) AS bytes
        FROM queue WHERE state = 'running' AND due_ms > $1 GROUP BY tenant)
    SELECT q.tenant, q.keyed_digest, q.delivery_id, q.size_bytes, q.attempts, q.strikes,
        (SELECT CAST(COALESCE(SUM(leases), 0) AS BIGINT) FROM running) AS leases_running,
        (SELECT CAST(COALESCE(SUM(bytes), 0) AS BIGINT) FROM running) AS bytes_running
    FROM queue q
    WHERE q.due_ms <= $1 AND q.tenant = (
        SELECT c.tenant
        FROM (
            SELECT t.tenant, t.token, COALESCE(r.leases, 0) AS leases, COALESCE(r.bytes, 0) AS bytes,
                (SELECT h.size_bytes FROM queue h WHERE h.tenant = t.tenant AND h.due_ms <= $1
                 ORDER BY h.due_ms, h.delivery_id LIMIT 1) AS head_bytes
            FROM queue_turns t LEFT JOIN running r ON r.tenant = t.tenant) c
        WHERE c.head_bytes IS NOT NULL AND c.leases < $2 AND (c.leases = 0 OR c.bytes + c.head_bytes <= $3)
        ORDER BY c.leases, c.token, c.tenant LIMIT 1)
    ORDER BY q.due_ms, q.delivery_id LIMIT 1";

/// The queue's half of the shared store.
#[derive(Clone, Debug)]
pub struct Queue {
    pool: Pool,
    /// What PostgreSQL needs behind [`PICK`]: a row that is being heartbeaten or completed is not waited for.
    /// SQLite has one writer at a time.
    lock: &'static str,
}

impl ControlStore {
    pub async fn queue(&self) -> Result<Queue> {
        sqlx::query(SEED).execute(&self.pool.unwatched()).await?;
        let lock = match *self.place {
            Place::Sqlite(_) => "",
            Place::Postgres { .. } => " FOR UPDATE OF q SKIP LOCKED",
        };
        Ok(Queue { pool: self.pool.clone(), lock })
    }
}

impl Queue {
    /// `false` when the delivery is in the queue already, in whatever state.
    pub async fn enqueue(&self, work: &Work, now: DateTime<Utc>) -> Result<bool> {
        // The turn first: an item without one would never be leased, a turn without an item does no harm.
        sqlx::query("INSERT INTO queue_turns VALUES ($1, 0) ON CONFLICT (tenant) DO NOTHING")
            .bind(work.tenant.as_str())
            .execute(&self.pool)
            .await?;
        let done = sqlx::query(
            "INSERT INTO queue (tenant, keyed_digest, delivery_id, size_bytes, state, due_ms, enqueued_ms, attempts, strikes, token)
             VALUES ($1, $2, $3, $4, 'waiting', $5, $5, 0, 0, 0) ON CONFLICT (tenant, keyed_digest) DO NOTHING",
        )
        .bind(work.tenant.as_str())
        .bind(&work.keyed_digest)
        .bind(work.delivery_id.to_string())
        .bind(i64::try_from(work.size_bytes).unwrap_or(i64::MAX))
        .bind(now.timestamp_millis())
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// The next delivery within the limits, if there is one that is due. Asking an idle queue writes nothing.
    pub async fn lease(&self, worker: &str, now: DateTime<Utc>, limits: &Limits) -> Result<Option<Lease>> {
        let now_ms = now.timestamp_millis();
        let due = sqlx::query("SELECT 1 FROM queue WHERE due_ms <= $1 LIMIT 1").bind(now_ms).fetch_optional(&self.pool).await?;
        if due.is_none() {
            return Ok(None);
        }
        let mut transaction = self.pool.begin().await?;
        // The gate: leases are given out one after the other, so that sums and turns are what they are. Never behind the
        // clock, so that a store restored from a backup goes on above every token that was given out after it was made.
        let row = sqlx::query(
            "UPDATE queue_gate SET token = CASE WHEN token >= $1 THEN token + 1 ELSE $1 END WHERE id = 1 RETURNING token",
        )
        .bind(now_ms)
        .fetch_one(&mut *transaction)
        .await?;
        let token: i64 = row.try_get(0)?;
        let picked = sqlx::query(&format!("{PICK}{}", self.lock))
            .bind(now_ms)
            .bind(i64::from(limits.tenant_leases_max))
            .bind(i64::try_from(limits.tenant_bytes_max).unwrap_or(i64::MAX))
            .fetch_optional(&mut *transaction)
            .await?;
        let Some(picked) = picked.map(|row| Picked::from_row(&row)).transpose()?.filter(|picked| picked.fits(limits)) else {
            transaction.rollback().await?;
            return Ok(None);
        };
        let expires_at = now + limits.lease;
        let work = picked.work;
        sqlx::query(
            "UPDATE queue SET last_failure = CASE WHEN state = 'running' THEN $1 ELSE last_failure END,
                state = 'running', token = $2, worker = $3, leased_ms = $4, due_ms = $5, attempts = attempts + 1,
                strikes = strikes + 1
             WHERE tenant = $6 AND keyed_digest = $7",
        )
        .bind(LEASE_RAN_OUT)
        .bind(token)
        .bind(worker)
        .bind(now_ms)
        .bind(expires_at.timestamp_millis())
        .bind(work.tenant.as_str())
        .bind(&work.keyed_digest)
        .execute(&mut *transaction)
        .await?;
        sqlx::query("UPDATE queue_turns SET token = $1 WHERE tenant = $2")
            .bind(token)
            .bind(work.tenant.as_str())
            .execute(&mut *transaction)
            .await?;
        // An unanswered COMMIT leaves at worst a lease that nobody works on; it runs out.
        transaction.commit().await?;
        let exhausted = picked.strikes >= i64::from(limits.strikes_max);
        Ok(Some(Lease { work, token, attempts: picked.attempts + 1, exhausted, expires_at }))
    }

    /// Puts the end of the lease off. `false` when the delivery is someone else's by now, or done.
    pub async fn heartbeat(&self, lease: &Lease, now: DateTime<Utc>, length: Duration) -> Result<bool> {
        let done = sqlx::query(
            "UPDATE queue SET due_ms = $1 WHERE tenant = $2 AND keyed_digest = $3 AND token = $4 AND state = 'running'",
        )
        .bind((now + length).timestamp_millis())
        .bind(lease.work.tenant.as_str())
        .bind(&lease.work.keyed_digest)
        .bind(lease.token)
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// The delivery is done, one way or the other. `false` when the lease was lost.
    pub async fn complete(&self, lease: &Lease) -> Result<bool> {
        let done = sqlx::query("DELETE FROM queue WHERE tenant = $1 AND keyed_digest = $2 AND token = $3 AND state = 'running'")
            .bind(lease.work.tenant.as_str())
            .bind(&lease.work.keyed_digest)
            .bind(lease.token)
            .execute(&self.pool)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// It failed, and the file may be to blame: a strike stays. `kind` is an error's kind, never its text.
    pub async fn fail(&self, lease: &Lease, kind: &str, retry_at: DateTime<Utc>) -> Result<bool> {
        self.end(lease, "waiting", retry_at.timestamp_millis(), Some(kind), 0).await
    }

    /// It failed for a reason outside the file (the disk is full, the key is disabled): no strike.
    pub async fn postpone(&self, lease: &Lease, kind: &str, retry_at: DateTime<Utc>) -> Result<bool> {
        self.end(lease, "waiting", retry_at.timestamp_millis(), Some(kind), 1).await
    }

    /// The worker stops before it is done: the next one may begin at once.
    pub async fn give_back(&self, lease: &Lease, now: DateTime<Utc>) -> Result<bool> {
        self.end(lease, "waiting", now.timestamp_millis(), None, 1).await
    }

    /// Nobody tries again until a person says so.
    pub async fn poison(&self, lease: &Lease) -> Result<bool> {
        self.end(lease, "poisoned", NEVER_MS, None, 0).await
    }

    async fn end(&self, lease: &Lease, state: &str, due_ms: i64, kind: Option<&str>, forgiven: i64) -> Result<bool> {
        let done = sqlx::query(
            "UPDATE queue SET state = $1, due_ms = $2, strikes = strikes - $3, last_failure = COALESCE($4, last_failure)
             WHERE tenant = $5 AND keyed_digest = $6 AND token = $7 AND state = 'running'",
        )
        .bind(state)
        .bind(due_ms)
        .bind(forgiven)
        .bind(kind.map(str::to_owned))
        .bind(lease.work.tenant.as_str())
        .bind(&lease.work.keyed_digest)
        .bind(lease.token)
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// What waits, runs and is poisoned, a tenant's or everyone's, in the order in which it came; at most 10,000.
    pub async fn items(&self, tenant: Option<&TenantId>) -> Result<Vec<Item>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM queue WHERE $1 = '' OR tenant = $1 ORDER BY enqueued_ms, delivery_id LIMIT {LISTED_MAX}"
        );
        let rows = sqlx::query(&sql).bind(tenant.map_or("", TenantId::as_str)).fetch_all(&self.pool).await?;
        rows.iter().map(Item::from_row).collect()
    }

    /// How many of a tenant's deliveries are in the queue, whatever their state.
    pub async fn depth(&self, tenant: &TenantId) -> Result<u64> {
        let row = sqlx::query("SELECT COUNT(*) FROM queue WHERE tenant = $1").bind(tenant.as_str()).fetch_one(&self.pool).await?;
        Ok(row.try_get::<i64, _>(0)?.unsigned_abs())
    }

    pub async fn item(&self, delivery_id: DeliveryId) -> Result<Option<Item>> {
        let sql = format!("SELECT {COLUMNS} FROM queue WHERE delivery_id = $1");
        let row = sqlx::query(&sql).bind(delivery_id.to_string()).fetch_optional(&self.pool).await?;
        row.as_ref().map(Item::from_row).transpose()
    }

    /// A poisoned or waiting delivery is due now, its strikes forgotten. `false` when it runs or is not there.
    pub async fn retry(&self, item: &Item, now: DateTime<Utc>) -> Result<bool> {
        let done = sqlx::query(
            "UPDATE queue SET state = 'waiting', due_ms = $1, strikes = 0
             WHERE tenant = $2 AND keyed_digest = $3 AND state <> 'running'",
        )
        .bind(now.timestamp_millis())
        .bind(item.work.tenant.as_str())
        .bind(&item.work.keyed_digest)
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Takes a poisoned delivery out; its quarantine stands. `false` when it is not poisoned.
    pub async fn drop_poisoned(&self, item: &Item) -> Result<bool> {
        let done = sqlx::query("DELETE FROM queue WHERE tenant = $1 AND keyed_digest = $2 AND state = 'poisoned'")
            .bind(item.work.tenant.as_str())
            .bind(&item.work.keyed_digest)
            .execute(&self.pool)
            .await?;
        Ok(done.rows_affected() == 1)
    }
}

struct Picked {
    work: Work,
    attempts: u32,
    strikes: i64,
    leases_running: i64,
    bytes_running: u64,
}

impl Picked {
    fn from_row(row: &AnyRow) -> Result<Self> {
        Ok(Self {
            work: Work {
                tenant: item::parsed(row, 0)?,
                keyed_digest: row.try_get(1)?,
                delivery_id: item::parsed(row, 2)?,
                size_bytes: row.try_get::<i64, _>(3)?.unsigned_abs(),
            },
            attempts: u32::try_from(row.try_get::<i64, _>(4)?).unwrap_or(u32::MAX),
            strikes: row.try_get(5)?,
            leases_running: row.try_get(6)?,
            bytes_running: row.try_get::<i64, _>(7)?.unsigned_abs(),
        })
    }

    /// What is larger than the limit runs alone.
    fn fits(&self, limits: &Limits) -> bool {
        let bytes = self.bytes_running.saturating_add(self.work.size_bytes);
        self.leases_running < i64::from(limits.leases_max) && (self.leases_running == 0 || bytes <= limits.bytes_max)
    }
}

fn damaged(what: &str) -> Error {
    Error::new(ErrorKind::Damaged, format!("the queue's {what} is not readable"))
}
