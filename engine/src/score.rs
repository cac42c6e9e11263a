//! Scores: how clean each delivery was, from 0 to 100, and each month.
//! Promise: whole-number arithmetic in tenths of a point; the same ledger, tables and findings give the same score.
//! Never: a delivery that became no rows does not count as clean.
//!
//! The formula, and why each part weighs what it does:
//!
//! - **Completeness, 40 points**: of the columns that some use cannot do without (`required = "use"` in the edition), the share
//!   of cells with a value over the committed rows. It weighs most, since what is missing cannot be checked at all; a cell that
//!   failed its type is empty here too.
//! - **Rejects, 25 points**: all lost when one row in ten is unreadable. Lines of totals, repeated headers and page notes are
//!   no damage and do not count.
//! - **Drift, 15 points**: an error of the header costs 15, a warning 5, a remark nothing: CBP may reorder and rename as it likes.
//! - **Findings, 20 points**: all lost when one entry in ten has an error; a warning counts a quarter, a remark nothing.
//!   Explained and resolved findings do not count. A finding counts against each delivery that it rests on: which of
//!   them is wrong cannot be known.
//!
//! A quarantined delivery scores 0. A month is the mean of its deliveries (by as-of time), large or small: a delivery is what
//! somebody sends, and one that fails is one thing to mend.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use arrow::{
    array::{ArrayRef, AsArray, Decimal128Array, RecordBatch, StringArray, UInt64Array},
    compute::cast,
    datatypes::{DataType, Int64Type},
    error::ArrowError,
};
use bonded_connectors::store::{findings::ScoreRow, ledger::LedgerRow};
use bonded_queries::Session;
use bonded_schemas::{
    DeliveryState, Drift, Receipt, Registry, Report, Required, Severity,
    delivery::{RejectKind, RejectScope},
};
use serde::{Deserialize, Serialize};

use crate::{
    answers::session,
    error::{Error, ErrorKind, Result},
    findings,
    lakehouse::{Lakehouse, Tenant},
};

/// Tenths of a point.
const COMPLETENESS: u64 = 400;
const REJECTS: u64 = 250;
const DRIFT: u64 = 150;
const FINDINGS: u64 = 200;
/// One in so many costs all points of rejects or findings.
const ONE_IN: u64 = 10;

/// One delivery's score; sealed in the store. All in tenths of a point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Score {
    pub delivery_id: String,
    pub file_name: String,
    pub report: Option<Report>,
    /// Of the as-of time, `2026-04`.
    pub month: String,
    pub score_tenths: u64,
    pub completeness_tenths: u64,
    pub rejects_tenths: u64,
    pub drift_tenths: u64,
    pub findings_tenths: u64,
    pub scored_at: String,
}

/// The mean over a month's deliveries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MonthScore {
    pub month: String,
    pub deliveries: u64,
    pub score_tenths: u64,
}

/// What the tables hold of one delivery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Held {
    /// Cells of needed columns, and those with a value.
    cells: u64,
    filled: u64,
    entries: u64,
}

/// Scores every delivery that came to its end, and keeps the scores.
pub async fn score(house: &Lakehouse, tenant: &Tenant) -> Result<Vec<Score>> {
    let now = house.clock.now().to_rfc3339();
    let session = session(house, tenant).await?;
    let pending = findings::pending_by_delivery(&findings::kept(tenant).await?);
    let mut held = HashMap::new();
    for report in Report::ALL {
        held.extend(holdings(&session, report).await?);
    }
    let mut scores = Vec::new();
    for row in tenant.ledger.deliveries().await? {
        let Some(receipt) = receipt(tenant, &row)? else { continue };
        let id = row.delivery_id.to_string();
        let found = pending.get(&id).cloned().unwrap_or_default();
        let parts = match row.state {
            DeliveryState::Quarantined => Some([0; 4]),
            DeliveryState::Committed => Some(parts(&receipt, held.get(&id).copied().unwrap_or_default(), &found)),
            _ => None,
        };
        let Some([completeness_tenths, rejects_tenths, drift_tenths, findings_tenths]) = parts else { continue };
        scores.push(Score {
            delivery_id: id,
            file_name: receipt.delivery.file_name.clone(),
            report: row.report,
            month: row.as_of.format("%Y-%m").to_string(),
            score_tenths: completeness_tenths + rejects_tenths + drift_tenths + findings_tenths,
            completeness_tenths,
            rejects_tenths,
            drift_tenths,
            findings_tenths,
            scored_at: now.clone(),
        });
    }
    let sealed = scores
        .iter()
        .map(|score| {
            let sealed = tenant.seal("score", &score.delivery_id, score)?;
            Ok(ScoreRow { delivery_id: score.delivery_id.clone(), scored_at: now.clone(), sealed })
        })
        .collect::<Result<Vec<_>>>()?;
    tenant.ledger.put_scores(&sealed).await?;
    Ok(scores)
}

fn receipt(tenant: &Tenant, row: &LedgerRow) -> Result<Option<Receipt>> {
    row.sealed_receipt.as_ref().map(|sealed| tenant.unseal("receipt", &row.keyed_digest, sealed)).transpose()
}

fn parts(receipt: &Receipt, held: Held, found: &BTreeMap<Severity, u64>) -> [u64; 4] {
    let completeness = match held.cells {
        0 => COMPLETENESS,
        cells => COMPLETENESS * held.filled / cells,
    };
    let furniture =
        receipt.rejects.iter().filter(|reject| reject.scope == RejectScope::Row && reject.kind != RejectKind::Unreadable).count();
    let unreadable = receipt.rows_rejected.saturating_sub(furniture as u64);
    let of = |severity| found.get(&severity).copied().unwrap_or_default();
    let weighted = 4 * of(Severity::Error) + of(Severity::Warning);
    [
        completeness,
        left(REJECTS, unreadable, receipt.rows_committed + unreadable),
        drift(&receipt.drift),
        left(FINDINGS, weighted, 4 * held.entries),
    ]
}

/// The points that stay when `bad` of `all` are bad.
fn left(points: u64, bad: u64, all: u64) -> u64 {
    match all {
        0 if bad == 0 => points,
        0 => 0,
        all => points - (points * ONE_IN * bad / all).min(points),
    }
}

fn drift(drift: &Drift) -> u64 {
    let lost: u64 = drift
        .findings
        .iter()
        .map(|finding| match finding.severity {
            Severity::Error => DRIFT,
            Severity::Warning => 50,
            Severity::Info => 0,
        })
        .sum();
    DRIFT.saturating_sub(lost)
}

/// Needed cells, filled ones and entries of each delivery of a report.
async fn holdings(session: &Session, report: Report) -> Result<Vec<(String, Held)>> {
    let table = report.table();
    let schema = session.query(&format!("SELECT * FROM {table} LIMIT 0")).await?.schema();
    let edition = Registry::builtin().edition(report);
    let needed = edition.columns.iter().filter(|column| column.required == Required::Use).map(|column| column.field());
    let needed: Vec<String> = needed.filter(|field| schema.column_with_name(field).is_some()).collect();
    let counts: String = needed.iter().map(|field| format!(" + count(\"{field}\")")).collect();
    let sql = format!(
        "SELECT _delivery_id, count(*) * {} AS cells, 0{counts} AS filled, count(DISTINCT entry_summary_number) AS entries \
         FROM {table} GROUP BY _delivery_id",
        needed.len()
    );
    let mut held = Vec::new();
    let mut answer = session.query(&sql).await?;
    while let Some(batch) = answer.next().await? {
        let column = |at: usize, kind: DataType| cast(batch.column(at), &kind).map_err(failed);
        let deliveries = column(0, DataType::Utf8)?;
        let counts = (1..4).map(|at| column(at, DataType::Int64)).collect::<Result<Vec<_>>>()?;
        for row in 0..batch.num_rows() {
            let count = |at: usize| u64::try_from(counts[at].as_primitive::<Int64Type>().value(row)).unwrap_or_default();
            let found = Held { cells: count(0), filled: count(1), entries: count(2) };
            held.push((deliveries.as_string::<i32>().value(row).to_owned(), found));
        }
    }
    Ok(held)
}

/// Oldest first.
pub fn months(scores: &[Score]) -> Vec<MonthScore> {
    let mut months: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for score in scores {
        let month = months.entry(&score.month).or_default();
        *month = (month.0 + 1, month.1 + score.score_tenths);
    }
    months
        .into_iter()
        .map(|(month, (deliveries, sum))| MonthScore { month: month.to_owned(), deliveries, score_tenths: sum / deliveries })
        .collect()
}

/// `meta.scores` and `meta.score_months`: the scores as they were last kept.
pub(crate) async fn tables(tenant: &Tenant) -> Result<Vec<(String, RecordBatch)>> {
    let rows = tenant.ledger.scores().await?;
    let scores = rows.iter().map(|row| tenant.unseal("score", &row.delivery_id, &row.sealed)).collect::<Result<Vec<Score>>>()?;
    let text = |pick: fn(&Score) -> Option<&str>| -> ArrayRef { Arc::new(scores.iter().map(pick).collect::<StringArray>()) };
    let by_delivery = batch(vec![
        ("delivery_id", text(|score| Some(&score.delivery_id))),
        ("file_name", text(|score| Some(&score.file_name))),
        ("report", text(|score| score.report.map(Report::code))),
        ("month", text(|score| Some(&score.month))),
        ("score", points(scores.iter().map(|score| score.score_tenths))?),
        ("completeness", points(scores.iter().map(|score| score.completeness_tenths))?),
        ("rejects", points(scores.iter().map(|score| score.rejects_tenths))?),
        ("drift", points(scores.iter().map(|score| score.drift_tenths))?),
        ("findings", points(scores.iter().map(|score| score.findings_tenths))?),
        ("scored_at", text(|score| Some(&score.scored_at))),
    ])?;
    let months = months(&scores);
    let by_month = batch(vec![
        ("month", Arc::new(months.iter().map(|month| Some(month.month.as_str())).collect::<StringArray>())),
        ("deliveries", Arc::new(months.iter().map(|month| month.deliveries).collect::<UInt64Array>())),
        ("score", points(months.iter().map(|month| month.score_tenths))?),
    ])?;
    Ok(vec![("scores".into(), by_delivery), ("score_months".into(), by_month)])
}

fn points(tenths: impl Iterator<Item = u64>) -> Result<ArrayRef> {
    let exact = Decimal128Array::from_iter_values(tenths.map(i128::from)).with_precision_and_scale(4, 1).map_err(failed)?;
    Ok(Arc::new(exact))
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> Result<RecordBatch> {
    let columns = columns.into_iter().map(|(name, column)| (name, column, true));
    RecordBatch::try_from_iter_with_nullable(columns).map_err(failed)
}

fn failed(error: ArrowError) -> Error {
    Error::new(ErrorKind::Internal, "a table of scores").with_source(error)
}

#[cfg(test)]
mod tests;
