//! The queue's nouns: a piece of work, a lease on it, the limits, and an item as people see it.

use std::str::FromStr;

use bonded_schemas::{DeliveryId, TenantId};
use chrono::{DateTime, Duration, Utc};
use sqlx::{Row, any::AnyRow};

use super::damaged;
use crate::error::Result;

/// A landed delivery that is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    pub tenant: TenantId,
    pub keyed_digest: String,
    pub delivery_id: DeliveryId,
    pub size_bytes: u64,
}

/// The right to work on a delivery until it runs out or someone has a later one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    pub work: Work,
    /// Grows with every lease that is given out, whatever the tenant.
    pub token: i64,
    /// Leases of this delivery so far, this one included.
    pub attempts: u32,
    /// It failed as often as it may: to be quarantined, not tried again.
    pub exhausted: bool,
    pub expires_at: DateTime<Utc>,
}

/// What may run at once, over all workers on this store. Whoever leases must ask with the same limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub lease: Duration,
    pub leases_max: u32,
    pub tenant_leases_max: u32,
    /// Received bytes of all that runs. A delivery larger than this runs alone.
    pub bytes_max: u64,
    /// The same of one tenant.
    pub tenant_bytes_max: u64,
    /// So many failures that may be the file's own; the next lease is to quarantine it.
    pub strikes_max: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ItemState {
    Waiting,
    /// Leased. If `due_at` is past, the worker was not heard of again and the next one may begin.
    Running,
    /// Quarantined after too many failures; waits for a person.
    Poisoned,
}

/// What `bonded queue list` shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub work: Work,
    pub state: ItemState,
    pub enqueued_at: DateTime<Utc>,
    /// When it may be leased (next); none when only a person can say.
    pub due_at: Option<DateTime<Utc>>,
    pub attempts: u32,
    pub strikes: u32,
    pub token: i64,
    pub leased_at: Option<DateTime<Utc>>,
    pub worker: Option<String>,
    pub last_failure: Option<String>,
}

impl ItemState {
    pub fn as_str(self) -> &'static str {
        match self {
            ItemState::Waiting => "waiting",
            ItemState::Running => "running",
            ItemState::Poisoned => "poisoned",
        }
    }
}

impl Item {
    /// In the order of the queue's `COLUMNS`.
    pub(super) fn from_row(row: &AnyRow) -> Result<Self> {
        let state: String = row.try_get(4)?;
        let state = [ItemState::Waiting, ItemState::Running, ItemState::Poisoned].into_iter().find(|s| s.as_str() == state);
        let instant = |ms: i64, what: &str| DateTime::from_timestamp_millis(ms).ok_or_else(|| damaged(what));
        let count = |index: usize| -> Result<u32> { Ok(u32::try_from(row.try_get::<i64, _>(index)?).unwrap_or(u32::MAX)) };
        let leased_ms: Option<i64> = row.try_get(10)?;
        Ok(Self {
            work: Work {
                tenant: parsed(row, 0)?,
                keyed_digest: row.try_get(1)?,
                delivery_id: parsed(row, 2)?,
                size_bytes: row.try_get::<i64, _>(3)?.unsigned_abs(),
            },
            state: state.ok_or_else(|| damaged("state"))?,
            due_at: DateTime::from_timestamp_millis(row.try_get(5)?),
            enqueued_at: instant(row.try_get(6)?, "enqueued_ms")?,
            attempts: count(7)?,
            strikes: count(8)?,
            token: row.try_get(9)?,
            leased_at: leased_ms.map(|ms| instant(ms, "leased_ms")).transpose()?,
            worker: row.try_get(11)?,
            last_failure: row.try_get(12)?,
        })
    }
}

pub(super) fn parsed<T: FromStr>(row: &AnyRow, index: usize) -> Result<T> {
    row.try_get::<String, _>(index)?.parse().map_err(|_| damaged("row"))
}
