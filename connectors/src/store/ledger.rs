//! The delivery ledger: one row per distinct file, found by its keyed digest.
//! Promise: landed -> committed | quarantined | unpacked, each step once; the commit itself is in `lake::catalog`.

use bonded_schemas::{DeliveryId, DeliveryState, Report};
use chrono::{DateTime, Utc};
use sqlx::{
    Any, Row,
    any::{AnyArguments, AnyRow},
    query::Query,
};

use super::TenantStore;
use crate::error::{Error, ErrorKind, Result};

/// What the ledger holds of a delivery in the clear, and its receipt sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerRow {
    pub delivery_id: DeliveryId,
    pub keyed_digest: String,
    pub state: DeliveryState,
    pub report: Option<Report>,
    pub received_at: DateTime<Utc>,
    pub as_of: DateTime<Utc>,
    pub raw_path: String,
    pub size_bytes: u64,
    pub snapshot_id: Option<i64>,
    /// Base64 of the sealed receipt; absent until the last step is done.
    pub sealed_receipt: Option<String>,
}

type Update<'q> = Query<'q, Any, AnyArguments<'q>>;

const COLUMNS: &str =
    "delivery_id, keyed_digest, state, report, received_at, as_of, raw_path, size_bytes, snapshot_id, sealed_receipt";

impl TenantStore {
    /// Records a landed file. Answers the row that holds the digest: this one, or the one that came first.
    pub async fn record_landed(&self, row: &LedgerRow) -> Result<LedgerRow> {
        sqlx::query(
            "INSERT INTO deliveries (delivery_id, keyed_digest, state, received_at, as_of, raw_path, size_bytes)
             VALUES ($1, $2, 'landed', $3, $4, $5, $6) ON CONFLICT (keyed_digest) DO NOTHING",
        )
        .bind(row.delivery_id.to_string())
        .bind(&row.keyed_digest)
        .bind(row.received_at.to_rfc3339())
        .bind(row.as_of.to_rfc3339())
        .bind(&row.raw_path)
        .bind(i64::try_from(row.size_bytes).unwrap_or(i64::MAX))
        .execute(&self.pool)
        .await?;
        self.delivery_by_digest(&row.keyed_digest)
            .await?
            .ok_or_else(|| Error::new(ErrorKind::Damaged, "a ledger row vanished after it was written"))
    }

    pub async fn delivery_by_digest(&self, keyed_digest: &str) -> Result<Option<LedgerRow>> {
        let sql = format!("SELECT {COLUMNS} FROM deliveries WHERE keyed_digest = $1");
        let row = sqlx::query(&sql).bind(keyed_digest).fetch_optional(&self.pool).await?;
        row.as_ref().map(ledger_row).transpose()
    }

    /// Whose bytes speak of exactly this moment.
    pub async fn deliveries_as_of(&self, as_of: DateTime<Utc>) -> Result<Vec<LedgerRow>> {
        let sql = format!("SELECT {COLUMNS} FROM deliveries WHERE as_of = $1");
        let rows = sqlx::query(&sql).bind(as_of.to_rfc3339()).fetch_all(&self.pool).await?;
        rows.iter().map(ledger_row).collect()
    }

    pub async fn delivery(&self, id: DeliveryId) -> Result<Option<LedgerRow>> {
        let sql = format!("SELECT {COLUMNS} FROM deliveries WHERE delivery_id = $1");
        let row = sqlx::query(&sql).bind(id.to_string()).fetch_optional(&self.pool).await?;
        row.as_ref().map(ledger_row).transpose()
    }

    /// In order of arrival.
    pub async fn deliveries(&self) -> Result<Vec<LedgerRow>> {
        let sql = format!("SELECT {COLUMNS} FROM deliveries ORDER BY delivery_id");
        let rows = sqlx::query(&sql).fetch_all(&self.pool).await?;
        rows.iter().map(ledger_row).collect()
    }

    /// Those that arrived before this one, or the latest, the newest first.
    pub async fn deliveries_before(&self, before: Option<DeliveryId>, limit: usize) -> Result<Vec<LedgerRow>> {
        let sql = format!("SELECT {COLUMNS} FROM deliveries WHERE delivery_id < $1 ORDER BY delivery_id DESC LIMIT $2");
        // Ids are hexadecimal in lower case: `g` stands after them all.
        let before = before.map_or_else(|| "g".to_owned(), |id| id.to_string());
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = sqlx::query(&sql).bind(before).bind(limit).fetch_all(&self.pool).await?;
        rows.iter().map(ledger_row).collect()
    }

    /// Deliveries that never came to their end and were received before then, in order of arrival; at most 1,000.
    pub async fn unfinished(&self, before: DateTime<Utc>) -> Result<Vec<LedgerRow>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM deliveries WHERE state = 'landed' OR (state = 'committed' AND sealed_receipt IS NULL)
             ORDER BY delivery_id LIMIT 1000"
        );
        let rows = sqlx::query(&sql).fetch_all(&self.pool).await?;
        let rows: Vec<LedgerRow> = rows.iter().map(ledger_row).collect::<Result<_>>()?;
        Ok(rows.into_iter().filter(|row| row.received_at < before).collect())
    }

    /// Where the raw objects of all deliveries lie.
    pub async fn raw_paths(&self) -> Result<std::collections::HashSet<String>> {
        let rows = sqlx::query("SELECT raw_path FROM deliveries").fetch_all(&self.pool).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// Puts a landed file in quarantine, or keeps it there; a committed or unpacked one is never touched.
    pub async fn record_quarantined(&self, keyed_digest: &str, report: Option<Report>, sealed_receipt: &str) -> Result<()> {
        let done = quarantined(keyed_digest, report, sealed_receipt).execute(&self.pool).await?;
        one_row(done.rows_affected(), keyed_digest)
    }

    /// The last step of a container whose members are deliveries of their own; also when a member got on since.
    pub async fn record_unpacked(&self, keyed_digest: &str, sealed_receipt: &str) -> Result<()> {
        let done = unpacked(keyed_digest, sealed_receipt).execute(&self.pool).await?;
        one_row(done.rows_affected(), keyed_digest)
    }

    /// The last step of a committed delivery.
    pub async fn record_receipt(&self, keyed_digest: &str, sealed_receipt: &str) -> Result<()> {
        let done = sqlx::query("UPDATE deliveries SET sealed_receipt = $1 WHERE keyed_digest = $2 AND state = 'committed'")
            .bind(sealed_receipt)
            .bind(keyed_digest)
            .execute(&self.pool)
            .await?;
        one_row(done.rows_affected(), keyed_digest)
    }
}

pub(super) fn quarantined<'q>(keyed_digest: &'q str, report: Option<Report>, sealed_receipt: &'q str) -> Update<'q> {
    let sql = "UPDATE deliveries SET state = 'quarantined', report = $1, sealed_receipt = $2
         WHERE keyed_digest = $3 AND state NOT IN ('committed', 'unpacked')";
    sqlx::query(sql).bind(report.map(Report::code)).bind(sealed_receipt).bind(keyed_digest)
}

/// The same for a delivery that was in no quarantine before.
pub(super) fn first_quarantined<'q>(keyed_digest: &'q str, report: Option<Report>, sealed_receipt: &'q str) -> Update<'q> {
    let sql = "UPDATE deliveries SET state = 'quarantined', report = $1, sealed_receipt = $2
         WHERE keyed_digest = $3 AND state = 'landed'";
    sqlx::query(sql).bind(report.map(Report::code)).bind(sealed_receipt).bind(keyed_digest)
}

pub(super) fn unpacked<'q>(keyed_digest: &'q str, sealed_receipt: &'q str) -> Update<'q> {
    sqlx::query("UPDATE deliveries SET state = 'unpacked', sealed_receipt = $1 WHERE keyed_digest = $2 AND state <> 'committed'")
        .bind(sealed_receipt)
        .bind(keyed_digest)
}

/// Of a committed delivery that has no receipt yet.
pub(super) fn first_receipt<'q>(keyed_digest: &'q str, sealed_receipt: &'q str) -> Update<'q> {
    sqlx::query(
        "UPDATE deliveries SET sealed_receipt = $1
         WHERE keyed_digest = $2 AND state = 'committed' AND sealed_receipt IS NULL",
    )
    .bind(sealed_receipt)
    .bind(keyed_digest)
}

pub(super) fn one_row(affected: u64, keyed_digest: &str) -> Result<()> {
    match affected {
        1 => Ok(()),
        _ => Err(Error::new(ErrorKind::Damaged, "the ledger has no such delivery in the right state")
            .with_context("keyed_digest", keyed_digest)),
    }
}

fn ledger_row(row: &AnyRow) -> Result<LedgerRow> {
    let damaged = |what: &str| Error::new(ErrorKind::Damaged, format!("the ledger's {what} is not readable"));
    let text = |index: usize| row.try_get::<String, _>(index);
    let time = |index: usize, what: &str| -> Result<DateTime<Utc>> {
        // Also a year of five digits, which is written and which RFC 3339 does not know.
        text(index)?.parse().map_err(|_| damaged(what))
    };
    let report: Option<String> = row.try_get(3)?;
    Ok(LedgerRow {
        delivery_id: text(0)?.parse().map_err(|_| damaged("delivery_id"))?,
        keyed_digest: text(1)?,
        state: text(2)?.parse().map_err(|_| damaged("state"))?,
        report: report.map(|code| code.parse()).transpose().map_err(|_| damaged("report"))?,
        received_at: time(4, "received_at")?,
        as_of: time(5, "as_of")?,
        raw_path: text(6)?,
        size_bytes: u64::try_from(row.try_get::<i64, _>(7)?).map_err(|_| damaged("size_bytes"))?,
        snapshot_id: row.try_get(8)?,
        sealed_receipt: row.try_get(9)?,
    })
}
