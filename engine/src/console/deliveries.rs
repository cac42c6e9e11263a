//! `deliveries`, `receipt` and `raw`: what came in, what became of it, and the bytes themselves.

use bonded_connectors::store::ledger::LedgerRow;
use bonded_schemas::{DeliveryState, Receipt};
use serde::Serialize;
use tokio::io::AsyncWriteExt;

use super::{
    args::{RawAction, Which, WhichDelivery},
    open,
    output::{Output, table, written},
    which,
};
use crate::{
    error::{Error, ErrorKind, Result},
    ingest::quarantine_text,
    lakehouse::{Lakehouse, Tenant},
    receipts::{self, unsealed},
};

#[derive(Serialize)]
struct Line {
    tenant: String,
    delivery_id: String,
    file_name: Option<String>,
    /// The delivery that it came in.
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<String>,
    report: Option<String>,
    state: &'static str,
    rows: Option<u64>,
    rejects: Option<u64>,
    received_at: String,
    as_of: String,
    size_bytes: u64,
    snapshot_id: Option<i64>,
    /// Under which a broker's machine delivered it.
    #[serde(skip_serializing_if = "Option::is_none")]
    power_of_attorney: Option<String>,
}

pub async fn deliveries(house: &Lakehouse, args: &Which, output: &Output) -> Result<u8> {
    let mut lines = Vec::new();
    for tenant in which(house, args.tenant.as_ref()).await? {
        let tenant = open(house, &tenant).await?;
        for row in tenant.ledger.deliveries().await? {
            let receipt = unsealed(&tenant, &row)?;
            lines.push(Line {
                tenant: tenant.scope.tenant().to_string(),
                delivery_id: row.delivery_id.to_string(),
                file_name: receipt.as_ref().map(|r| r.delivery.file_name.clone()),
                container: receipt.as_ref().and_then(|r| r.delivery.container.as_ref()).map(|c| c.delivery_id.to_string()),
                report: row.report.map(|report| report.to_string()),
                state: row.state.as_str(),
                rows: receipt.as_ref().map(|r| r.rows_committed),
                rejects: receipt.as_ref().map(|r| r.rows_rejected),
                received_at: row.received_at.to_rfc3339(),
                as_of: row.as_of.to_rfc3339(),
                size_bytes: row.size_bytes,
                snapshot_id: row.snapshot_id,
                power_of_attorney: receipt.and_then(|r| r.delivery.poa),
            });
        }
    }
    output.list(&lines, || {
        table(
            ["tenant", "delivery", "report", "file", "state", "rows", "rejects", "as of"],
            lines.iter().map(|l| {
                let number = |n: Option<u64>| n.map_or("-".into(), |n| n.to_string());
                [
                    l.tenant.clone(),
                    l.delivery_id.clone(),
                    l.report.clone().unwrap_or("-".into()),
                    shown_file(l, &lines),
                    l.state.into(),
                    number(l.rows),
                    number(l.rejects),
                    l.as_of.chars().take(16).collect(),
                ]
            }),
        )
    })?;
    Ok(0)
}

/// A member's name, and that of what it came in; of a broker's delivery, what it came under.
fn shown_file(line: &Line, lines: &[Line]) -> String {
    let mut name = line.file_name.clone().unwrap_or("-".into());
    if let Some(poa) = &line.power_of_attorney {
        name.push_str(&format!(" (under {poa})"));
    }
    let Some(container) = &line.container else { return name };
    let outer = lines.iter().find(|outer| outer.delivery_id == *container).and_then(|outer| outer.file_name.as_ref());
    format!("{name} (in {})", outer.unwrap_or(container))
}

/// The tenant that holds the delivery.
pub(super) async fn find(house: &Lakehouse, args: &WhichDelivery) -> Result<(Tenant, LedgerRow)> {
    for tenant in which(house, args.tenant.as_ref()).await? {
        let tenant = open(house, &tenant).await?;
        if let Some(row) = tenant.ledger.delivery(args.id).await? {
            return Ok((tenant, row));
        }
    }
    Err(Error::missing(format!("no delivery {}; `bonded deliveries` lists them", args.id)))
}

pub async fn receipt(house: &Lakehouse, args: &WhichDelivery, output: &Output) -> Result<u8> {
    let (tenant, row) = find(house, args).await?;
    let receipt = receipts::shown(house, unsealed(&tenant, &row)?.ok_or_else(|| {
        Error::new(
            ErrorKind::Retry,
            format!("delivery {} has landed but is not done; `bonded serve` takes it further, and so does ingesting the same file again", args.id),
        )
    })?);
    tenant.audit(house.clock.as_ref(), "receipt", &args.id.to_string(), "done").await?;
    output.object(&receipt, || text(&receipt))?;
    Ok(0)
}

/// A receipt as people read it.
pub fn text(receipt: &Receipt) -> String {
    let delivery = &receipt.delivery;
    let nameless = if receipt.state == DeliveryState::Unpacked { "none: a container" } else { "not recognised" };
    let mut facts: Vec<[String; 2]> = vec![
        ["file".into(), delivery.file_name.clone()],
        ["delivery".into(), delivery.id.to_string()],
        ["report".into(), receipt.report.map_or(nameless.into(), |r| r.to_string())],
        ["state".into(), receipt.state.as_str().into()],
        [
            "received, as of".into(),
            format!("{}, {}", delivery.received_at.format("%Y-%m-%d %H:%M:%S"), delivery.as_of.format("%Y-%m-%d %H:%M:%S")),
        ],
        ["by".into(), delivery.actor.clone()],
        ["bytes, SHA-256".into(), format!("{}, {}", receipt.size_bytes, receipt.sha256)],
    ];
    if let Some(poa) = &delivery.poa {
        facts.push(["power of attorney".into(), poa.clone()]);
    }
    if let Some(container) = &delivery.container {
        facts.push(["came in".into(), format!("delivery {}, as {}", container.delivery_id, container.member)]);
    }
    if let Some(quarantine) = &receipt.quarantine {
        facts.push(["quarantined".into(), quarantine_text(quarantine)]);
    } else if receipt.state == DeliveryState::Unpacked {
        facts.push(["members".into(), format!("{}, each a delivery of its own", receipt.members.len())]);
    } else {
        facts.push(["edition".into(), receipt.edition.clone().unwrap_or_default()]);
        facts.push([
            "rows".into(),
            format!("{} read = {} committed + {} rejected", receipt.rows_read, receipt.rows_committed, receipt.rows_rejected),
        ]);
        facts.push(["cells kept as text".into(), receipt.cells_rescued.to_string()]);
        facts.push(["snapshot".into(), receipt.snapshot_id.map_or("-".into(), |id| id.to_string())]);
    }
    facts.extend(receipt.dialect.iter().map(|(key, value)| [key.replace('_', " "), value.clone()]));
    facts.extend(receipt.control_totals.iter().map(|total| [format!("sum of {}", total.column), total.sum.clone()]));
    facts.extend(delivery.provenance.iter().map(|(prompt, answer)| [format!("sender says: {prompt}"), answer.clone()]));
    let mut out = table(["receipt", ""], facts);
    if !receipt.members.is_empty() {
        let rows = receipt.members.iter().map(|member| {
            let state = if member.duplicate { "delivered before" } else { member.state.as_str() };
            [member.name.clone(), state.into(), member.delivery_id.to_string()]
        });
        out.push_str("\n\n");
        out.push_str(&table(["member", "became", "delivery"], rows));
    }
    if !receipt.drift.findings.is_empty() {
        let rows = receipt
            .drift
            .findings
            .iter()
            .map(|f| [f.severity.to_string(), format!("{:?}", f.kind).to_lowercase(), f.message.clone()]);
        out.push_str("\n\n");
        out.push_str(&table(["drift", "kind", "what"], rows));
    }
    if !receipt.warnings.is_empty() {
        let rows = receipt.warnings.iter().map(|w| {
            let first = w.examples.first();
            [
                w.count.to_string(),
                w.column.clone().unwrap_or_default(),
                first.map(|example| example.line.to_string()).unwrap_or_default(),
                first.map(|example| example.text.clone()).unwrap_or_default(),
                w.rule.says().to_owned(),
            ]
        });
        out.push_str("\n\n");
        out.push_str(&table(["warnings", "column", "first line", "text", "what"], rows));
    }
    if !receipt.rejects.is_empty() {
        let rows = receipt.rejects.iter().take(20).map(|r| {
            [r.line.to_string(), r.byte.to_string(), r.column.clone().unwrap_or_default(), r.text.clone(), r.reason.clone()]
        });
        out.push_str("\n\n");
        out.push_str(&table(["line", "byte", "column", "text", "why"], rows));
        if receipt.rejects.len() > 20 {
            out.push_str(&format!("\n({} more with --json)", receipt.rejects.len() - 20));
        }
    }
    out
}

pub async fn raw(house: &Lakehouse, action: &RawAction) -> Result<u8> {
    let RawAction::Get { which, output } = action;
    let (tenant, row) = find(house, which).await?;
    let mut reader = house.raw.open(&tenant.scope, &tenant.key, &row.raw_path).await?;
    // Before the first byte is out: there may be no after.
    tenant.audit(house.clock.as_ref(), "raw.get", &row.delivery_id.to_string(), "done").await?;
    let mut sink: Box<dyn tokio::io::AsyncWrite + Unpin> = match output {
        Some(path) => {
            let made = tokio::fs::File::create_new(path).await;
            Box::new(made.map_err(|error| Error::input(format!("cannot write {}", path.display())).with_source(error))?)
        }
        None => Box::new(tokio::io::stdout()),
    };
    while let Some(chunk) = reader.next_chunk().await? {
        sink.write_all(&chunk).await.map_err(written)?;
    }
    sink.flush().await.map_err(written)?;
    Ok(0)
}
