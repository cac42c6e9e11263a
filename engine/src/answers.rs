//! One tenant's questions: a query session over its tables, with its ledger laid beside them as `meta.*`.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt64Array},
    error::ArrowError,
};
use bonded_queries::{ImporterNumbers, Ledger, Limits, Session, SessionParts};
use bonded_schemas::Receipt;

use crate::{
    audit,
    error::{Error, ErrorKind, Result},
    findings,
    ingest::{DriftAlert, quarantine_text},
    lakehouse::{Lakehouse, Tenant},
    rules, score, watch,
};

/// So few that some four hundred numbers of the same last digits share them.
const TELL_APART_LETTERS: usize = 2;

/// What people ask in: importer numbers in Social Security form are masked unless `display.show_ssn` says otherwise.
pub async fn session(house: &Lakehouse, tenant: &Tenant) -> Result<Session> {
    if house.settings.display.show_ssn {
        return unmasked_session(house, tenant).await;
    }
    let names = tenant.names.clone();
    let tell_apart = move |number: &str| {
        let digest = names.keyed_digest("importer-number", number.as_bytes());
        digest.chars().take(TELL_APART_LETTERS).collect()
    };
    open(house, tenant, ImporterNumbers::Masked(Arc::new(tell_apart))).await
}

/// The same with every number whole, for steps that compare or group by it and mask what they show themselves.
pub async fn unmasked_session(house: &Lakehouse, tenant: &Tenant) -> Result<Session> {
    open(house, tenant, ImporterNumbers::Whole).await
}

async fn open(house: &Lakehouse, tenant: &Tenant, importer_numbers: ImporterNumbers) -> Result<Session> {
    let query = &house.settings.query;
    let threads = match query.threads {
        0 => std::thread::available_parallelism().map_or(1, |n| n.get()),
        threads => threads,
    };
    let parts = SessionParts {
        catalog: tenant.tables.catalog(),
        namespace: tenant.tables.namespace(),
        store: house.lake.store(),
        root_url: house.lake.root().to_owned(),
        meta: later(tenant.clone()),
        trail: audit::may_read(tenant.scope.actor()).then(|| trail(tenant.clone())),
        rules: rules::book(&house.settings)?,
        importer_numbers,
        limits: Limits {
            memory_bytes_max: query.memory_bytes_max,
            time_max: query.time_max()?,
            rows_max: query.rows_max,
            target_partitions: threads,
        },
    };
    Ok(Session::open(parts).await?)
}

pub(crate) fn batch(columns: Vec<(&str, ArrayRef)>) -> Result<RecordBatch> {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
        .map_err(|error: ArrowError| Error::new(ErrorKind::Internal, "a meta table").with_source(error))
}

pub(crate) fn text<T: Into<String>>(values: impl IntoIterator<Item = Option<T>>) -> ArrayRef {
    Arc::new(StringArray::from_iter(values.into_iter().map(|value| value.map(Into::into))))
}

pub(crate) fn times(values: impl IntoIterator<Item = chrono::DateTime<chrono::Utc>>) -> ArrayRef {
    Arc::new(
        TimestampMicrosecondArray::from_iter_values(values.into_iter().map(|at| at.timestamp_micros())).with_timezone("+00:00"),
    )
}

pub(crate) fn maybe_times(values: impl IntoIterator<Item = Option<chrono::DateTime<chrono::Utc>>>) -> ArrayRef {
    let micros = values.into_iter().map(|at| at.map(|at| at.timestamp_micros()));
    Arc::new(TimestampMicrosecondArray::from_iter(micros).with_timezone("+00:00"))
}

fn later(tenant: Tenant) -> Ledger {
    Box::pin(async move { Ok(meta(&tenant).await?) })
}

fn trail(tenant: Tenant) -> Ledger {
    Box::pin(async move { Ok(vec![(audit::meta::TABLE.to_owned(), audit::meta::table(&tenant).await?)]) })
}

/// `deliveries`, `rejects`, `warnings`, `control_totals` and `drift`, unsealed for this session.
async fn meta(tenant: &Tenant) -> Result<Vec<(String, RecordBatch)>> {
    let rows = tenant.ledger.deliveries().await?;
    let receipts = rows
        .iter()
        .map(|row| row.sealed_receipt.as_ref().map(|sealed| tenant.unseal("receipt", &row.keyed_digest, sealed)).transpose())
        .collect::<Result<Vec<Option<Receipt>>>>()?;
    let of = |pick: fn(&Receipt) -> String| text(receipts.iter().map(move |r| r.as_ref().map(pick)));
    let counts = |pick: fn(&Receipt) -> u64| -> ArrayRef {
        Arc::new(UInt64Array::from_iter(receipts.iter().map(|r| r.as_ref().map(pick))))
    };
    let deliveries = batch(vec![
        ("delivery_id", text(rows.iter().map(|r| Some(r.delivery_id.to_string())))),
        ("report", text(rows.iter().map(|r| r.report.map(|report| report.code())))),
        ("state", text(rows.iter().map(|r| Some(r.state.as_str())))),
        ("file_name", of(|r| r.delivery.file_name.clone())),
        ("actor", of(|r| r.delivery.actor.clone())),
        ("received_at", times(rows.iter().map(|r| r.received_at))),
        ("as_of", times(rows.iter().map(|r| r.as_of))),
        ("size_bytes", Arc::new(UInt64Array::from_iter_values(rows.iter().map(|r| r.size_bytes)))),
        ("sha256", of(|r| r.sha256.clone())),
        ("edition", text(receipts.iter().map(|r| r.as_ref().and_then(|r| r.edition.clone())))),
        ("rows_read", counts(|r| r.rows_read)),
        ("rows_committed", counts(|r| r.rows_committed)),
        ("rows_rejected", counts(|r| r.rows_rejected)),
        ("cells_rescued", counts(|r| r.cells_rescued)),
        ("snapshot_id", Arc::new(Int64Array::from_iter(rows.iter().map(|r| r.snapshot_id)))),
        ("quarantine", text(receipts.iter().map(|r| r.as_ref().and_then(|r| r.quarantine.as_ref().map(quarantine_text))))),
    ])?;

    let known: Vec<&Receipt> = receipts.iter().flatten().collect();
    let rejects: Vec<_> = known.iter().flat_map(|r| r.rejects.iter().map(|reject| (r.delivery.id.to_string(), reject))).collect();
    let place = |pick: fn(&bonded_schemas::Reject) -> u64| -> ArrayRef {
        Arc::new(UInt64Array::from_iter_values(rejects.iter().map(|(_, r)| pick(r))))
    };
    let rejects_batch = batch(vec![
        ("delivery_id", text(rejects.iter().map(|(id, _)| Some(id.clone())))),
        ("row", place(|r| r.row)),
        ("line", place(|r| r.line)),
        ("byte", place(|r| r.byte)),
        ("column", text(rejects.iter().map(|(_, r)| r.column.clone()))),
        ("text", text(rejects.iter().map(|(_, r)| Some(r.text.clone())))),
        ("reason", text(rejects.iter().map(|(_, r)| Some(r.reason.clone())))),
        ("scope", text(rejects.iter().map(|(_, r)| Some(format!("{:?}", r.scope).to_lowercase())))),
        ("kind", text(rejects.iter().map(|(_, r)| Some(r.kind.as_str())))),
    ])?;

    let warnings: Vec<_> =
        known.iter().flat_map(|r| r.warnings.iter().map(|warning| (r.delivery.id.to_string(), warning))).collect();
    let first = |pick: fn(&bonded_schemas::WarningExample) -> u64| -> ArrayRef {
        Arc::new(UInt64Array::from_iter(warnings.iter().map(|(_, w)| w.examples.first().map(pick))))
    };
    let warnings_batch = batch(vec![
        ("delivery_id", text(warnings.iter().map(|(id, _)| Some(id.clone())))),
        ("rule", text(warnings.iter().map(|(_, w)| Some(w.rule.as_str())))),
        ("column", text(warnings.iter().map(|(_, w)| w.column.clone()))),
        ("count", Arc::new(UInt64Array::from_iter_values(warnings.iter().map(|(_, w)| w.count)))),
        ("first_line", first(|example| example.line)),
        ("first_byte", first(|example| example.byte)),
        ("first_text", text(warnings.iter().map(|(_, w)| w.examples.first().map(|example| example.text.clone())))),
        ("message", text(warnings.iter().map(|(_, w)| Some(w.rule.says())))),
    ])?;

    let totals: Vec<_> =
        known.iter().flat_map(|r| r.control_totals.iter().map(|total| (r.delivery.id.to_string(), total))).collect();
    let totals_batch = batch(vec![
        ("delivery_id", text(totals.iter().map(|(id, _)| Some(id.clone())))),
        ("column", text(totals.iter().map(|(_, t)| Some(t.column.clone())))),
        ("sum", text(totals.iter().map(|(_, t)| Some(t.sum.clone())))),
    ])?;

    let mut drift = Vec::new();
    for alert in tenant.ledger.alerts("drift").await? {
        let body: DriftAlert = tenant.unseal("drift", &alert.fingerprint, &alert.sealed)?;
        drift.extend(body.drift.findings.into_iter().map(|finding| (alert.clone(), finding)));
    }
    let drift_batch = batch(vec![
        ("fingerprint", text(drift.iter().map(|(a, _)| Some(a.fingerprint.clone())))),
        ("report", text(drift.iter().map(|(a, _)| Some(a.report.clone())))),
        ("state", text(drift.iter().map(|(a, _)| Some(a.state.clone())))),
        ("deliveries", Arc::new(Int64Array::from_iter_values(drift.iter().map(|(a, _)| a.deliveries)))),
        ("kind", text(drift.iter().map(|(_, f)| Some(format!("{:?}", f.kind).to_lowercase())))),
        ("severity", text(drift.iter().map(|(_, f)| Some(f.severity.as_str())))),
        ("column", text(drift.iter().map(|(_, f)| Some(f.column.clone())))),
        ("message", text(drift.iter().map(|(_, f)| Some(f.message.clone())))),
    ])?;
    let mut tables = vec![
        ("deliveries".into(), deliveries),
        ("rejects".into(), rejects_batch),
        ("warnings".into(), warnings_batch),
        ("control_totals".into(), totals_batch),
        ("drift".into(), drift_batch),
    ];
    tables.extend(findings::meta::tables(tenant).await?);
    tables.extend(score::tables(tenant).await?);
    tables.extend(watch::meta::tables(tenant).await?);
    Ok(tables)
}
