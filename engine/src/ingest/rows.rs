//! Parse and write: sealed bytes stream through the parser into encrypted data files, in bounded memory.
//! Reading and parsing run beside encoding and encrypting, so that both cores work; a short queue couples them.

use bonded_connectors::{
    lake::{Layout, Mark, Outcome, TableWriter, Written},
    raw::RawReader,
};
use bonded_schemas::{Binding, Bound, Column, Drift, Quarantine, Registry, Report, drift, table};
use bytes::Bytes;
use tokio::sync::mpsc;

use super::{
    Landed,
    parse::{DateOrders, HEAD_BYTES_MAX, Head, HeadOutcome, Limits, RowReader, Stamp, Summary, date_orders, find_head},
};
use crate::{
    error::{Error, ErrorKind, Result},
    lakehouse::{Lakehouse, Tenant},
};

mod dates;

use dates::Dates;

/// Batches that may wait for the writer.
const QUEUE_BATCHES: usize = 2;

/// What came of the bytes.
pub(super) enum Read {
    Rows { head: Head, binding: Binding, drift: Drift, summary: Box<Summary>, written: Written },
    Quarantined { head: Option<Head>, drift: Drift, quarantine: Quarantine },
}

/// Reads the file; once more in other date orders if its own days prove late that the first were wrong.
pub(super) async fn read(house: &Lakehouse, tenant: &Tenant, landed: &Landed) -> Result<Read> {
    let first = read_in(house, tenant, landed, None).await?;
    let orders = match &first {
        Read::Rows { summary, .. } => summary.date_orders_contradicted.clone(),
        Read::Quarantined { .. } => None,
    };
    match (first, orders) {
        (Read::Rows { head, written, .. }, Some(orders)) => {
            tenant.tables.discard(head.report.table(), written).await?;
            read_in(house, tenant, landed, Some(orders)).await
        }
        (read, _) => Ok(read),
    }
}

async fn read_in(house: &Lakehouse, tenant: &Tenant, landed: &Landed, orders: Option<DateOrders>) -> Result<Read> {
    let mut source = house.raw.open(&tenant.scope, &tenant.key, &landed.row.raw_path).await?;
    let mut mappings = Vec::with_capacity(Report::ALL.len());
    for report in Report::ALL {
        mappings.push((report, tenant.mapping(report).await?));
    }
    let mapping = |report: Report| mappings.iter().find(|(r, _)| *r == report).map(|(_, m)| m.clone()).unwrap_or_default();

    let (head, first) = match head(&mut source, &mapping).await? {
        Ok(found) => found,
        Err(quarantine) => return Ok(Read::Quarantined { head: None, drift: Drift::default(), quarantine }),
    };
    let edition = Registry::builtin().edition(head.report);
    let (binding, mut found) = drift::bind(&head.header, edition, &mapping(head.report));
    found.findings.extend(head.findings.iter().cloned());
    if let Some(column) = binding.ambiguous_grain() {
        let quarantine = Quarantine {
            reason: bonded_schemas::QuarantineReason::Ambiguous,
            message: format!("two columns claim to be `{column}`; remove one and deliver the file again"),
            nearest: Some(head.report),
        };
        return Ok(Read::Quarantined { head: Some(head), drift: found, quarantine });
    }

    ensure_table(tenant, head.report, &binding.columns).await?;
    let writer = tenant.tables.writer_of(head.report.table(), &present(&binding)).await?;
    let settings = &house.settings.ingest;
    let limits = Limits {
        record_bytes_max: settings.record_bytes_max,
        batch_rows: settings.batch_rows,
        rejects_kept_max: settings.rejects_kept_max,
        ..Limits::default()
    };
    let stamp = Stamp { delivery_id: landed.delivery.id, as_of: landed.delivery.as_of };
    let orders = orders.unwrap_or_else(|| date_orders(&head, &binding, &stamp, &first));
    let reader = RowReader::new(&head, binding.clone(), &stamp, limits).with_date_orders(orders);
    let (parsed, written) = stream(source, first, head.body_offset, reader, writer).await?;
    match parsed {
        Ok(summary) if summary.rows_committed == written.rows => {
            Ok(Read::Rows { head, binding, drift: found, summary: Box::new(summary), written })
        }
        Ok(summary) => {
            let rows = written.rows;
            tenant.tables.discard(head.report.table(), written).await?;
            Err(Error::new(ErrorKind::Internal, format!("{} rows were parsed and {rows} written", summary.rows_committed)))
        }
        Err(quarantine) => {
            tenant.tables.discard(head.report.table(), written).await?;
            Ok(Read::Quarantined { head: Some(head), drift: found, quarantine })
        }
    }
}

/// Feeds the head finder until it decides; answers the bytes read so far, too.
async fn head(
    source: &mut RawReader,
    mapping: &(dyn Fn(Report) -> bonded_schemas::Mapping + Sync),
) -> Result<std::result::Result<(Head, Vec<u8>), Quarantine>> {
    let mut first: Vec<u8> = Vec::new();
    loop {
        let chunk = source.next_chunk().await?;
        let whole = chunk.is_none();
        if let Some(chunk) = chunk {
            first.extend_from_slice(&chunk);
        }
        let looked_at = &first[..first.len().min(HEAD_BYTES_MAX)];
        match find_head(looked_at, whole && looked_at.len() == first.len(), Registry::builtin(), mapping) {
            HeadOutcome::Found(head) => return Ok(Ok((head, first))),
            HeadOutcome::Quarantine(quarantine) => return Ok(Err(quarantine)),
            HeadOutcome::NeedMore if whole || first.len() >= HEAD_BYTES_MAX => {
                let message =
                    format!("no header within the first {HEAD_BYTES_MAX} bytes; is this an ACE report exported as CSV?");
                return Ok(Err(Quarantine { reason: bonded_schemas::QuarantineReason::NotCsv, message, nearest: None }));
            }
            HeadOutcome::NeedMore => {}
        }
    }
}

/// The table columns that this file has values for, ours included.
fn present(binding: &Binding) -> Vec<String> {
    let reported = binding.bound.iter().filter_map(|bound| match bound {
        Bound::Column(at) => Some(binding.columns[*at].field()),
        Bound::Unknown(_) => None,
    });
    reported.chain(table::system_fields().iter().map(|field| field.name().clone())).collect()
}

/// Makes the report's table where there is none, and adds the columns that it lacks.
pub(crate) async fn ensure_table(tenant: &Tenant, report: Report, columns: &[Column]) -> Result<()> {
    let schema = table::schema(columns);
    tenant.tables.ensure(report.table(), &layout(report, &schema)).await?;
    // A mapping accepted before the table existed, or a newer edition, brings columns that the table may lack.
    Ok(tenant.tables.add_columns(report.table(), &plain_fields(&schema)).await?)
}

fn plain_fields(schema: &arrow::datatypes::Schema) -> Vec<arrow::datatypes::Field> {
    schema.fields().iter().filter(|field| !field.name().starts_with('_')).map(|field| field.as_ref().clone()).collect()
}

/// Month of Entry Date; the default layout of ES-002 and the claim details have none, so month of the as-of time there.
fn layout(report: Report, schema: &arrow::datatypes::Schema) -> Layout<'_> {
    let partition_by_month_of = if report.is_dated_by_pull() { table::AS_OF } else { "entry_date" };
    let sorted_by: &[&str] = match report {
        Report::Es001 => &["entry_summary_number"],
        Report::Es002 => &["entry_summary_number", "entry_summary_line_number"],
        Report::Es003 => &["entry_summary_number", "entry_summary_line_number", "tariff_ordinal_number"],
        Report::CapeClaims => &["entry_summary_number", "claim_number"],
    };
    Layout { schema, partition_by_month_of, sorted_by }
}

type Parsed = std::result::Result<Summary, Quarantine>;

/// Parser on one task, writer on this one. A quarantine ends both; what was written until then is for the caller to discard.
async fn stream(
    mut source: RawReader,
    first: Vec<u8>,
    body_offset: u64,
    mut reader: RowReader,
    mut writer: TableWriter,
) -> Result<(Parsed, Written)> {
    let (sender, mut batches) = mpsc::channel(QUEUE_BATCHES);
    let parsing = tokio::spawn(async move {
        let mut out = Vec::new();
        let body = usize::try_from(body_offset).unwrap_or(usize::MAX).min(first.len());
        let mut next = Some(Bytes::from(first).slice(body..));
        while let Some(chunk) = next {
            if let Err(quarantine) = reader.push(&chunk, &mut out) {
                return Ok::<Parsed, Error>(Err(quarantine));
            }
            for batch in out.drain(..) {
                if sender.send(batch).await.is_err() {
                    return Err(Error::new(ErrorKind::Internal, "the writer stopped early"));
                }
            }
            next = source.next_chunk().await?;
        }
        let parsed = reader.finish(&mut out);
        if parsed.is_ok() {
            for batch in out.drain(..) {
                if sender.send(batch).await.is_err() {
                    return Err(Error::new(ErrorKind::Internal, "the writer stopped early"));
                }
            }
        }
        Ok(parsed)
    });
    let mut failed = None;
    let mut dates = Dates::default();
    while let Some(batch) = batches.recv().await {
        dates.see(&batch);
        if let Err(error) = writer.write(&batch).await {
            failed = Some(error);
            batches.close();
        }
    }
    let parsed = parsing.await.map_err(|error| Error::new(ErrorKind::Internal, "the parser").with_source(error))?;
    let written = writer.finish().await;
    let parsed = parsed.map(|parsed| parsed.map(|summary| Summary { entry_dates: dates.span(), ..summary }));
    match failed {
        Some(error) => Err(error.into()),
        None => Ok((parsed?, written?)),
    }
}

pub(super) async fn commit(tenant: &Tenant, landed: &Landed, report: Report, written: Written) -> Result<Outcome> {
    let mark = Mark { report, keyed_digest: landed.row.keyed_digest.clone() };
    Ok(tenant.tables.append(report.table(), written, &mark).await?)
}
