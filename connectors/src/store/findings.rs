//! Findings and scores as they are kept: what the checks found and what became of it, how clean each delivery was.
//! Promise: one row per finding for ever, under its keyed identity; a whole run's changes are one transaction.
//! Never: no entry number, amount, note or check name lies here in the clear; such text arrives sealed.

use sqlx::{Row, any::AnyRow};

use super::{TenantStore, audit, audit::NewEvent};
use crate::error::Result;

/// A finding as stored; `sealed` is base64 of the sealed finding, its places and its notes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FindingRow {
    /// Keyed hash of what the finding is about; the same in every run.
    pub id: String,
    /// `open`, `explained`, `resolved` or `recurring`.
    pub state: String,
    pub severity: String,
    /// RFC 3339, as all times here.
    pub first_seen: String,
    /// The last run that found it.
    pub last_seen: String,
    /// In how many runs it was found.
    pub runs: i64,
    pub sealed: String,
}

/// A delivery's score as stored; `sealed` is base64 of its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScoreRow {
    pub delivery_id: String,
    pub scored_at: String,
    pub sealed: String,
}

impl TenantStore {
    /// Oldest first.
    pub async fn findings(&self) -> Result<Vec<FindingRow>> {
        let rows =
            sqlx::query("SELECT id, state, severity, first_seen, last_seen, runs, sealed FROM findings ORDER BY first_seen, id")
                .fetch_all(&self.pool)
                .await?;
        rows.iter().map(finding_row).collect()
    }

    /// Writes new and changed rows, all or none of them. First sight stays as it was.
    pub async fn put_findings(&self, rows: &[FindingRow]) -> Result<()> {
        match rows.is_empty() {
            true => Ok(()),
            false => self.put(rows, None).await,
        }
    }

    /// The same with its audit event, which is written when there is no row, too.
    pub async fn put_findings_with(&self, rows: &[FindingRow], event: NewEvent<'_>) -> Result<()> {
        if rows.is_empty() {
            return self.append_audit(event.at, event.sealed).await.map(|_| ());
        }
        self.put(rows, Some(event)).await
    }

    async fn put(&self, rows: &[FindingRow], event: Option<NewEvent<'_>>) -> Result<()> {
        let mut transaction = self.pool.begin().await?;
        for row in rows {
            let kept = sqlx::query(
                "INSERT INTO findings (id, state, severity, first_seen, last_seen, runs, sealed)
                 VALUES ($1, $2, $3, $4, $5, $6, $7)
                 ON CONFLICT (id) DO UPDATE SET state = excluded.state, severity = excluded.severity,
                 last_seen = excluded.last_seen, runs = excluded.runs, sealed = excluded.sealed
                 RETURNING id, state, severity, first_seen, last_seen, runs, sealed",
            )
            .bind(&row.id)
            .bind(&row.state)
            .bind(&row.severity)
            .bind(&row.first_seen)
            .bind(&row.last_seen)
            .bind(row.runs)
            .bind(&row.sealed)
            .fetch_one(&mut *transaction)
            .await?;
            self.mark_finding(&mut transaction, &finding_row(&kept)?).await?;
        }
        if let Some(event) = event {
            audit::append_in(&mut transaction, event).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// By delivery.
    pub async fn scores(&self) -> Result<Vec<ScoreRow>> {
        let rows =
            sqlx::query("SELECT delivery_id, scored_at, sealed FROM scores ORDER BY delivery_id").fetch_all(&self.pool).await?;
        rows.iter()
            .map(|row| Ok(ScoreRow { delivery_id: row.try_get(0)?, scored_at: row.try_get(1)?, sealed: row.try_get(2)? }))
            .collect()
    }

    /// Writes the latest score of each of these deliveries, all or none of them.
    pub async fn put_scores(&self, rows: &[ScoreRow]) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut transaction = self.pool.begin().await?;
        for row in rows {
            sqlx::query(
                "INSERT INTO scores (delivery_id, scored_at, sealed) VALUES ($1, $2, $3)
                 ON CONFLICT (delivery_id) DO UPDATE SET scored_at = excluded.scored_at, sealed = excluded.sealed",
            )
            .bind(&row.delivery_id)
            .bind(&row.scored_at)
            .bind(&row.sealed)
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}

fn finding_row(row: &AnyRow) -> Result<FindingRow> {
    Ok(FindingRow {
        id: row.try_get(0)?,
        state: row.try_get(1)?,
        severity: row.try_get(2)?,
        first_seen: row.try_get(3)?,
        last_seen: row.try_get(4)?,
        runs: row.try_get(5)?,
        sealed: row.try_get(6)?,
    })
}
