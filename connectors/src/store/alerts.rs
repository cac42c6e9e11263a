//! Alerts and accepted mappings: what a person should look at, and what they decided.
//! Promise: one alert per (kind, report, header fingerprint), however many deliveries bring it.

use bonded_schemas::{Report, Severity};
use chrono::{DateTime, Utc};
use sqlx::{
    Any, Row,
    any::{AnyArguments, AnyRow},
    query::Query,
};

use super::{TenantStore, audit, audit::NewEvent, tables::Table};
use crate::error::{Error, ErrorKind, Result};

pub mod life;
pub mod routes;
pub mod sendings;
#[cfg(test)]
mod tests;

pub use life::{LifeRow, pending};
pub use routes::RouteRow;
pub use sendings::{SendingRow, Sendings};

/// Of each tenant's half, beside `alerts` itself.
pub(super) const TABLES: &[Table] = &[life::TABLE, routes::TABLE];
/// Of the shared half.
pub(super) const SHARED: &[Table] = sendings::TABLES;

pub(super) const COLUMNS: &str = "kind, report, fingerprint, state, severity, raised_at, last_at, deliveries, sealed";

/// An alert as stored; `sealed` is base64 of the sealed details (they name columns).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// `drift`, `quarantine`, `attest`, ...: a word of the field.
    pub kind: String,
    /// A report's code, or empty where none was recognised.
    pub report: String,
    /// Keyed hash of the header (drift) or of the file (quarantine).
    pub fingerprint: String,
    /// `open`, `accepted` or `rejected`.
    pub state: String,
    pub severity: String,
    pub raised_at: String,
    pub last_at: String,
    /// How many deliveries brought it.
    pub deliveries: i64,
    pub sealed: String,
}

/// An alert about to be raised.
#[derive(Clone, Copy, Debug)]
pub struct NewAlert<'a> {
    pub kind: &'a str,
    pub report: Option<Report>,
    pub fingerprint: &'a str,
    pub severity: Severity,
    pub sealed: &'a str,
}

impl<'a> NewAlert<'a> {
    /// Answers by how many deliveries it was brought, and what was decided; `counts`: this one was not counted before.
    fn raise(self, at: DateTime<Utc>, counts: bool) -> Query<'a, Any, AnyArguments<'a>> {
        sqlx::query(
            "INSERT INTO alerts (kind, report, fingerprint, state, severity, raised_at, last_at, deliveries, sealed)
             VALUES ($1, $2, $3, 'open', $4, $5, $6, 1, $7)
             ON CONFLICT (kind, report, fingerprint) DO UPDATE SET deliveries = alerts.deliveries + $8, last_at = excluded.last_at
             RETURNING deliveries, state",
        )
        .bind(self.kind)
        .bind(self.report.map_or("", Report::code))
        .bind(self.fingerprint)
        .bind(self.severity.as_str())
        .bind(at.to_rfc3339())
        .bind(at.to_rfc3339())
        .bind(self.sealed)
        .bind(i64::from(counts))
    }
}

impl TenantStore {
    /// Raises the alert, or counts one more delivery on the one that stands. `true` when it is new.
    pub async fn raise_alert(
        &self,
        kind: &str,
        report: Option<Report>,
        fingerprint: &str,
        severity: Severity,
        at: DateTime<Utc>,
        sealed: &str,
    ) -> Result<bool> {
        let new = NewAlert { kind, report, fingerprint, severity, sealed };
        let mut transaction = self.pool.begin().await?;
        let deliveries = self.raise_in(&mut transaction, new, at, true).await?;
        transaction.commit().await?;
        Ok(deliveries == 1)
    }

    /// Oldest first.
    pub async fn alerts(&self, kind: &str) -> Result<Vec<Alert>> {
        let sql = format!("SELECT {COLUMNS} FROM alerts WHERE kind = $1 ORDER BY raised_at, fingerprint");
        sqlx::query(&sql).bind(kind).fetch_all(&self.pool).await?.iter().map(alert_row).collect()
    }

    pub async fn accept_alert(&self, kind: &str, fingerprint: &str) -> Result<()> {
        self.settle_alert(kind, fingerprint, "accepted", None).await
    }

    /// The same with its audit event.
    pub async fn accept_alert_with(&self, kind: &str, fingerprint: &str, event: NewEvent<'_>) -> Result<()> {
        self.settle_alert(kind, fingerprint, "accepted", Some(event)).await
    }

    /// It is not asked about again, and nothing is done about it.
    pub async fn reject_alert(&self, kind: &str, fingerprint: &str, event: NewEvent<'_>) -> Result<()> {
        self.settle_alert(kind, fingerprint, "rejected", Some(event)).await
    }

    async fn settle_alert(&self, kind: &str, fingerprint: &str, state: &str, event: Option<NewEvent<'_>>) -> Result<()> {
        let mut transaction = self.pool.begin().await?;
        let done = sqlx::query("UPDATE alerts SET state = $1 WHERE kind = $2 AND fingerprint = $3")
            .bind(state)
            .bind(kind)
            .bind(fingerprint)
            .execute(&mut *transaction)
            .await?;
        if done.rows_affected() == 0 {
            return Err(Error::new(ErrorKind::Input, format!("no {kind} alert {fingerprint}")));
        }
        self.mark_alert(&mut transaction, kind, fingerprint).await?;
        self.settle_lives(&mut transaction, kind, fingerprint, event.map(|event| event.at)).await?;
        if let Some(event) = event {
            audit::append_in(&mut transaction, event).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// The accepted mapping of a report, sealed.
    pub async fn mapping(&self, report: Report) -> Result<Option<String>> {
        let row =
            sqlx::query("SELECT sealed FROM mappings WHERE report = $1").bind(report.code()).fetch_optional(&self.pool).await?;
        row.map(|row| row.try_get(0).map_err(Error::from)).transpose()
    }

    pub async fn put_mapping(&self, report: Report, sealed: &str) -> Result<()> {
        sqlx::query("INSERT INTO mappings VALUES ($1, $2) ON CONFLICT (report) DO UPDATE SET sealed = excluded.sealed")
            .bind(report.code())
            .bind(sealed)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}

pub(super) fn alert_row(row: &AnyRow) -> Result<Alert> {
    Ok(Alert {
        kind: row.try_get(0)?,
        report: row.try_get(1)?,
        fingerprint: row.try_get(2)?,
        state: row.try_get(3)?,
        severity: row.try_get(4)?,
        raised_at: row.try_get(5)?,
        last_at: row.try_get(6)?,
        deliveries: row.try_get(7)?,
        sealed: row.try_get(8)?,
    })
}
