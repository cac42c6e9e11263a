//! Schedules and the windows that they expect: one row for each run, moved on by compare-and-swap.
//! Promise: a window is made once per schedule and due time, whoever makes it and however often; one delivery closes at most
//! one window, which a unique index sees to; a step, its alert and its event in the trail are one transaction.
//! Never: a name of a column, a count of rows or a date of an entry lies here in the clear; such text arrives sealed.

use bonded_schemas::{DeliveryId, Report};
use chrono::{DateTime, Utc};
use sqlx::{Row, any::AnyRow};

use super::{
    Connection, TenantStore,
    alerts::NewAlert,
    audit,
    audit::NewEvent,
    ledger::LedgerRow,
    tables::{May, Table},
};
use crate::error::{Error, ErrorKind, Result};

mod checks;
#[cfg(test)]
mod tests;

pub use checks::CheckRow;

/// Kind of the alerts over windows.
pub const ALERT: &str = "window";

/// One report's schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleRow {
    pub schedule_id: String,
    pub report: Report,
    /// Grows with each change.
    pub version: i64,
    /// Windows are made of every occurrence up to then, and of none after it.
    pub made_ms: i64,
    /// Base64 of the sealed plan.
    pub sealed: String,
}

/// One window. Times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowRow {
    pub schedule_id: String,
    pub due_ms: i64,
    pub report: Report,
    /// `open`, `on_time`, `late`, `missed` or `excused`.
    pub state: String,
    pub grace_ends_ms: i64,
    /// What closed it; unique.
    pub closed_by: Option<String>,
    /// Grows with each step.
    pub version: i64,
    /// Base64 of the sealed window: all of the above once more, and what is known of the delivery.
    pub sealed: String,
}

/// A step of a window, with what goes with it.
#[derive(Clone, Copy, Debug)]
pub struct WindowStep<'a> {
    /// As it becomes; its version is one more than it was read with.
    pub to: &'a WindowRow,
    pub raise: Option<NewAlert<'a>>,
    /// Fingerprint of the alert that is over.
    pub resolve: Option<&'a str>,
    pub check: Option<&'a CheckRow>,
    pub event: NewEvent<'a>,
}

/// Bytes of an earlier delivery that came once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RepeatRow {
    pub delivery_id: DeliveryId,
    pub received_at: DateTime<Utc>,
    pub as_of: DateTime<Utc>,
}

/// What tells whether anything is to be done for a tenant; read without its keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pulse {
    /// Schedules, and the sum of their versions.
    pub schedules: (i64, i64),
    /// Deliveries that came to their end as rows, and bytes that came again.
    pub arrivals: (i64, i64),
    /// Windows that are due and that nothing closed: report and due time, the newest first.
    pub overdue: Vec<(Report, i64)>,
}

pub(super) const TABLES: &[Table] = &[
    Table::new(
        "schedules",
        May::Remove,
        &["CREATE TABLE IF NOT EXISTS schedules (
        schedule_id TEXT PRIMARY KEY, report TEXT NOT NULL UNIQUE, version BIGINT NOT NULL, made_ms BIGINT NOT NULL,
        sealed TEXT NOT NULL)"],
    ),
    Table::new(
        "windows",
        May::Remove,
        &[
            "CREATE TABLE IF NOT EXISTS windows (
        schedule_id TEXT NOT NULL, due_ms BIGINT NOT NULL, report TEXT NOT NULL, state TEXT NOT NULL,
        grace_ends_ms BIGINT NOT NULL, closed_by TEXT UNIQUE, version BIGINT NOT NULL, sealed TEXT NOT NULL,
        PRIMARY KEY (schedule_id, due_ms))",
            "CREATE INDEX IF NOT EXISTS windows_by_due ON windows (due_ms)",
        ],
    ),
    // What a delivery of the same bytes leaves, which is no delivery of its own.
    Table::new(
        "repeats",
        May::Append,
        &["CREATE TABLE IF NOT EXISTS repeats (
        delivery_id TEXT NOT NULL, received_at TEXT NOT NULL, as_of TEXT NOT NULL, PRIMARY KEY (delivery_id, received_at))"],
    ),
    checks::TABLE,
];

/// Overdue windows that a pulse tells of at most.
const OVERDUE_MAX: i64 = 200;
const SCHEDULE: &str = "schedule_id, report, version, made_ms, sealed";
const WINDOW: &str = "schedule_id, due_ms, report, state, grace_ends_ms, closed_by, version, sealed";

impl TenantStore {
    /// By report.
    pub async fn schedules(&self) -> Result<Vec<ScheduleRow>> {
        let sql = format!("SELECT {SCHEDULE} FROM schedules ORDER BY report");
        let rows = sqlx::query(&sql).fetch_all(&self.pool).await?;
        rows.iter().map(schedule).collect()
    }

    /// Sets a report's schedule; `false` when someone else did since it was read (version `before`, 0 for none). Windows that
    /// are due later than its `made_ms` and that nothing closed are taken back: they are made again by the new one.
    pub async fn put_schedule(&self, before: i64, row: &ScheduleRow, event: NewEvent<'_>) -> Result<bool> {
        let mut transaction = self.pool.begin().await?;
        let done = sqlx::query(
            "INSERT INTO schedules (schedule_id, report, version, made_ms, sealed) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (report) DO UPDATE SET version = excluded.version, made_ms = excluded.made_ms, sealed = excluded.sealed
             WHERE schedules.version = $6 AND schedules.schedule_id = excluded.schedule_id",
        )
        .bind(&row.schedule_id)
        .bind(row.report.code())
        .bind(row.version)
        .bind(row.made_ms)
        .bind(&row.sealed)
        .bind(before)
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 0 {
            transaction.rollback().await?;
            return Ok(false);
        }
        take_back(&mut transaction, &row.schedule_id, row.made_ms).await?;
        audit::append_in(&mut transaction, event).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Ends a schedule: nothing is expected any more. What was closed or missed stays. `false` when it is not as it was read.
    pub async fn remove_schedule(&self, row: &ScheduleRow, now_ms: i64, event: NewEvent<'_>) -> Result<bool> {
        let mut transaction = self.pool.begin().await?;
        let done = sqlx::query("DELETE FROM schedules WHERE schedule_id = $1 AND version = $2")
            .bind(&row.schedule_id)
            .bind(row.version)
            .execute(&mut *transaction)
            .await?;
        if done.rows_affected() == 0 {
            transaction.rollback().await?;
            return Ok(false);
        }
        take_back(&mut transaction, &row.schedule_id, now_ms).await?;
        sqlx::query("DELETE FROM windows WHERE schedule_id = $1 AND state = 'open' AND closed_by IS NULL")
            .bind(&row.schedule_id)
            .execute(&mut *transaction)
            .await?;
        audit::append_in(&mut transaction, event).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Makes windows of a schedule, which says how far they reach; those that are there stay as they are. `false` when the
    /// schedule was changed since, or windows reach further already.
    pub async fn make_windows(&self, schedule: &ScheduleRow, rows: &[WindowRow]) -> Result<bool> {
        let mut transaction = self.pool.begin().await?;
        // First, because it takes the lock under which all else is done.
        let sql = "UPDATE schedules SET made_ms = $1, sealed = $2 WHERE schedule_id = $3 AND version = $4 AND made_ms <= $1";
        let done = sqlx::query(sql)
            .bind(schedule.made_ms)
            .bind(&schedule.sealed)
            .bind(&schedule.schedule_id)
            .bind(schedule.version)
            .execute(&mut *transaction)
            .await?;
        if done.rows_affected() == 0 {
            transaction.rollback().await?;
            return Ok(false);
        }
        for row in rows {
            let sql = format!("INSERT INTO windows ({WINDOW}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING");
            sqlx::query(&sql)
                .bind(&row.schedule_id)
                .bind(row.due_ms)
                .bind(row.report.code())
                .bind(&row.state)
                .bind(row.grace_ends_ms)
                .bind(&row.closed_by)
                .bind(row.version)
                .bind(&row.sealed)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// Those due in a span, both ends included, in order.
    pub async fn windows(&self, from_ms: i64, until_ms: i64) -> Result<Vec<WindowRow>> {
        let sql = format!("SELECT {WINDOW} FROM windows WHERE due_ms >= $1 AND due_ms <= $2 ORDER BY due_ms, schedule_id");
        let rows = sqlx::query(&sql).bind(from_ms).bind(until_ms).fetch_all(&self.pool).await?;
        rows.iter().map(window).collect()
    }

    pub async fn window(&self, schedule_id: &str, due_ms: i64) -> Result<Option<WindowRow>> {
        let sql = format!("SELECT {WINDOW} FROM windows WHERE schedule_id = $1 AND due_ms = $2");
        let row = sqlx::query(&sql).bind(schedule_id).bind(due_ms).fetch_optional(&self.pool).await?;
        row.as_ref().map(window).transpose()
    }

    /// Moves a window on; `false`, and nothing is done, when another did first or the delivery closed another window.
    pub async fn move_window(&self, step: &WindowStep<'_>) -> Result<bool> {
        let to = step.to;
        let mut transaction = self.pool.begin().await?;
        let done = sqlx::query(
            "UPDATE windows SET state = $1, closed_by = $2, version = $3, sealed = $4
             WHERE schedule_id = $5 AND due_ms = $6 AND version = $7
             AND NOT EXISTS (SELECT 1 FROM windows AS other WHERE other.closed_by = $2
                             AND NOT (other.schedule_id = $5 AND other.due_ms = $6))",
        )
        .bind(&to.state)
        .bind(&to.closed_by)
        .bind(to.version)
        .bind(&to.sealed)
        .bind(&to.schedule_id)
        .bind(to.due_ms)
        .bind(to.version - 1)
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 0 {
            transaction.rollback().await?;
            return Ok(false);
        }
        if let Some(alert) = step.raise {
            self.raise_in(&mut transaction, alert, step.event.at, true).await?;
        }
        if let Some(fingerprint) = step.resolve {
            let sql = "UPDATE alerts SET state = 'resolved' WHERE kind = $1 AND fingerprint = $2";
            sqlx::query(sql).bind(ALERT).bind(fingerprint).execute(&mut *transaction).await?;
            self.mark_alert(&mut transaction, ALERT, fingerprint).await?;
            self.settle_lives(&mut transaction, ALERT, fingerprint, Some(step.event.at)).await?;
        }
        if let Some(check) = step.check {
            checks::put(&mut transaction, check).await?;
        }
        audit::append_in(&mut transaction, step.event).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Notes that bytes of an earlier delivery came once more; the same instant counts once.
    pub async fn record_repeat(&self, repeat: &RepeatRow) -> Result<()> {
        let mut transaction = self.pool.begin().await?;
        let sql = "INSERT INTO repeats (delivery_id, received_at, as_of) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
        let done = sqlx::query(sql)
            .bind(repeat.delivery_id.to_string())
            .bind(repeat.received_at.to_rfc3339())
            .bind(repeat.as_of.to_rfc3339())
            .execute(&mut *transaction)
            .await?;
        if done.rows_affected() == 1 {
            self.mark_repeat(&mut transaction, repeat).await?;
        }
        Ok(transaction.commit().await?)
    }

    pub async fn repeats(&self) -> Result<Vec<RepeatRow>> {
        let rows = sqlx::query("SELECT delivery_id, received_at, as_of FROM repeats ORDER BY received_at, delivery_id")
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(repeat).collect()
    }

    /// Deliveries that are rows, with their receipts: of one report, or of all.
    pub async fn committed(&self, report: Option<Report>) -> Result<Vec<LedgerRow>> {
        let rows = self.deliveries().await?;
        let is_done = |row: &LedgerRow| row.state == bonded_schemas::DeliveryState::Committed && row.sealed_receipt.is_some();
        Ok(rows.into_iter().filter(|row| is_done(row) && report.is_none_or(|report| row.report == Some(report))).collect())
    }

    pub async fn pulse(&self, now_ms: i64) -> Result<Pulse> {
        let row = sqlx::query(
            "SELECT (SELECT count(*) FROM schedules), (SELECT CAST(coalesce(sum(version), 0) AS BIGINT) FROM schedules),
             (SELECT count(*) FROM deliveries WHERE state = 'committed' AND sealed_receipt IS NOT NULL),
             (SELECT count(*) FROM repeats)",
        )
        .fetch_one(&self.pool)
        .await?;
        let mut pulse = Pulse {
            schedules: (row.try_get(0)?, row.try_get(1)?),
            arrivals: (row.try_get(2)?, row.try_get(3)?),
            overdue: Vec::new(),
        };
        if pulse.schedules.0 > 0 {
            let rows = sqlx::query(
                "SELECT report, due_ms FROM windows WHERE closed_by IS NULL AND state <> 'excused' AND due_ms <= $1
                 ORDER BY due_ms DESC LIMIT $2",
            )
            .bind(now_ms)
            .bind(OVERDUE_MAX)
            .fetch_all(&self.pool)
            .await?;
            for row in &rows {
                pulse.overdue.push((report(row, 0)?, row.try_get(1)?));
            }
        }
        Ok(pulse)
    }
}

async fn take_back(transaction: &mut Connection, schedule_id: &str, after_ms: i64) -> Result<()> {
    sqlx::query("DELETE FROM windows WHERE schedule_id = $1 AND due_ms > $2 AND closed_by IS NULL")
        .bind(schedule_id)
        .bind(after_ms)
        .execute(transaction)
        .await?;
    Ok(())
}

fn damaged(what: &str) -> Error {
    Error::new(ErrorKind::Damaged, format!("the control store's {what} is not readable"))
}

fn report(row: &AnyRow, at: usize) -> Result<Report> {
    row.try_get::<String, _>(at)?.parse().map_err(|_| damaged("report of a window"))
}

fn schedule(row: &AnyRow) -> Result<ScheduleRow> {
    Ok(ScheduleRow {
        schedule_id: row.try_get(0)?,
        report: report(row, 1)?,
        version: row.try_get(2)?,
        made_ms: row.try_get(3)?,
        sealed: row.try_get(4)?,
    })
}

fn window(row: &AnyRow) -> Result<WindowRow> {
    Ok(WindowRow {
        schedule_id: row.try_get(0)?,
        due_ms: row.try_get(1)?,
        report: report(row, 2)?,
        state: row.try_get(3)?,
        grace_ends_ms: row.try_get(4)?,
        closed_by: row.try_get(5)?,
        version: row.try_get(6)?,
        sealed: row.try_get(7)?,
    })
}

fn repeat(row: &AnyRow) -> Result<RepeatRow> {
    let time = |at: usize| -> Result<DateTime<Utc>> {
        let text = row.try_get::<String, _>(at)?;
        text.parse().map_err(|_| damaged("time of a repeat"))
    };
    let delivery_id = row.try_get::<String, _>(0)?.parse().map_err(|_| damaged("delivery of a repeat"))?;
    Ok(RepeatRow { delivery_id, received_at: time(1)?, as_of: time(2)? })
}
