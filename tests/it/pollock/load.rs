//! Loads bytes as the straight line does, in process: head, binding, rows; nothing is written anywhere.

use std::collections::BTreeMap;

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::Int64Type,
    util::display::{ArrayFormatter, FormatOptions},
};
use bonded::ingest::parse::{DateOrders, HEAD_BYTES_MAX, Head, HeadOutcome, Limits, RowReader, Stamp, find_head};
use bonded_schemas::{
    ControlTotal, DeliveryId, DriftFinding, Mapping, Quarantine, QuarantineReason, Registry, Reject, drift, table,
};

/// Small, so that most records are cut by a chunk's end.
const CHUNK_BYTES: usize = 1_000;

pub enum Loaded {
    Rows(Table),
    Quarantined(Quarantine),
}

pub struct Table {
    pub rows: Vec<Row>,
    pub rejects: Vec<Reject>,
    pub rows_rejected: u64,
    pub control_totals: Vec<ControlTotal>,
    pub findings: Vec<DriftFinding>,
    /// Warnings of the receipt, by name.
    pub told: Vec<&'static str>,
    date_orders_contradicted: Option<DateOrders>,
}

/// One committed row.
#[derive(Debug)]
pub struct Row {
    pub line: u64,
    pub byte: u64,
    /// By the column's name in tables; empty cells left out.
    pub cells: BTreeMap<String, String>,
    pub rescued: BTreeMap<String, String>,
}

pub fn load(bytes: &[u8]) -> Loaded {
    match try_load(bytes) {
        Ok(table) => Loaded::Rows(table),
        Err(quarantine) => Loaded::Quarantined(quarantine),
    }
}

fn try_load(bytes: &[u8]) -> Result<Table, Quarantine> {
    let none = |_| Mapping::default();
    let mut looked_at = 0;
    let head = loop {
        looked_at = (looked_at + CHUNK_BYTES).min(bytes.len());
        let first = &bytes[..looked_at.min(HEAD_BYTES_MAX)];
        match find_head(first, first.len() == bytes.len(), Registry::builtin(), &none) {
            HeadOutcome::Found(head) => break head,
            HeadOutcome::Quarantine(quarantine) => return Err(quarantine),
            HeadOutcome::NeedMore => assert!(looked_at < bytes.len(), "undecided with all bytes in hand"),
        }
    };
    // As the straight line: a file whose dates prove to be in the other order is read again.
    let first = read(bytes, &head, DateOrders::default())?;
    match first.date_orders_contradicted.clone() {
        Some(orders) => read(bytes, &head, orders),
        None => Ok(first),
    }
}

fn read(bytes: &[u8], head: &Head, orders: DateOrders) -> Result<Table, Quarantine> {
    let none = |_| Mapping::default();
    let (binding, drift) = drift::bind(&head.header, Registry::builtin().edition(head.report), &none(head.report));
    if let Some(column) = binding.ambiguous_grain() {
        let message = format!("two columns claim to be `{column}`");
        return Err(Quarantine { reason: QuarantineReason::Ambiguous, message, nearest: Some(head.report) });
    }
    let mut findings = drift.findings;
    findings.extend(head.findings.iter().cloned());
    let stamp = Stamp { delivery_id: DeliveryId(uuid::Uuid::nil()), as_of: chrono::DateTime::UNIX_EPOCH };
    let limits = Limits { batch_rows: 64, rejects_kept_max: 100_000, ..Limits::default() };
    let mut reader = RowReader::new(head, binding, &stamp, limits).with_date_orders(orders);
    let mut batches = Vec::new();
    let body = usize::try_from(head.body_offset).expect("within the bytes");
    for chunk in bytes[body..].chunks(CHUNK_BYTES) {
        reader.push(chunk, &mut batches)?;
    }
    let summary = reader.finish(&mut batches)?;
    findings.extend(summary.findings.iter().cloned());
    let told = summary.warnings.iter().map(|warning| warning.rule.as_str()).collect();
    let rows: Vec<Row> = batches.iter().flat_map(rows).collect();
    assert_eq!(rows.len() as u64, summary.rows_committed);
    assert_eq!(summary.rows_read, summary.rows_committed + summary.rows_rejected);
    Ok(Table {
        rows,
        rejects: summary.rejects,
        rows_rejected: summary.rows_rejected,
        control_totals: summary.control_totals,
        findings,
        told,
        date_orders_contradicted: summary.date_orders_contradicted,
    })
}

fn rows(batch: &RecordBatch) -> Vec<Row> {
    let whole = |name: &str| batch.column_by_name(name).expect("a column of ours").as_primitive::<Int64Type>().clone();
    let (lines, bytes) = (whole(table::LINE), whole(table::BYTE));
    let rescued = batch.column_by_name(table::RESCUED).expect("a column of ours").as_map().clone();
    let options = FormatOptions::default();
    let schema = batch.schema();
    let fields = schema.fields().iter().zip(batch.columns()).filter(|(field, _)| !field.name().starts_with('_'));
    let columns: Vec<_> = fields
        .filter(|(_, array)| array.null_count() < array.len())
        .map(|(field, array)| (field.name(), array, ArrayFormatter::try_new(array, &options).expect("printable")))
        .collect();
    (0..batch.num_rows())
        .map(|row| {
            let cells = columns.iter().filter(|(_, array, _)| array.is_valid(row));
            let kept = rescued.value(row);
            let (keys, values) = (kept.column(0).as_string::<i32>(), kept.column(1).as_string::<i32>());
            Row {
                line: lines.value(row) as u64,
                byte: bytes.value(row) as u64,
                cells: cells.map(|(name, _, shown)| ((*name).clone(), shown.value(row).to_string())).collect(),
                rescued: keys.iter().zip(values).filter_map(|(key, value)| Some((key?.into(), value?.into()))).collect(),
            }
        })
        .collect()
}
