//! Attest: each committed delivery counted again from the raw zone's bytes by the second engine, and held against the tables.
//! Promise: any difference is an alert and told with both numbers; a delivery that cannot be read independently says why.
//! Never: the straight line's parser is not used here, and no cell of a receipt is believed but its sums, which are compared.
//!
//! One delivery's bytes lie in memory at a time (`attest.file_bytes_max`), and the counted columns as text beside them.

use std::collections::{BTreeMap, HashSet};

use bonded_connectors::store::ledger::LedgerRow;
use bonded_queries::attest::{Asked, Difference, Tally, against_receipt, against_tables, recount};
use bonded_schemas::{Column, ColumnType, DeliveryState, Mapping, Receipt, Registry, Report, Severity};
use serde::{Deserialize, Serialize};

use crate::{
    answers::unmasked_session,
    error::{Error, ErrorKind, Result},
    lakehouse::{Lakehouse, Tenant},
};

/// What became of one delivery; sealed as the body of its alert where it differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attested {
    pub delivery_id: String,
    pub file_name: Option<String>,
    pub report: Option<Report>,
    /// Rows that the second engine counts.
    pub rows: Option<u64>,
    #[serde(flatten)]
    pub verdict: Verdict,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// Rows, entries, every money sum and every month are the same. `unread`: cells of money columns that neither side
    /// can read as an amount.
    Agrees {
        unread: u64,
    },
    Differs {
        differences: Vec<Difference>,
    },
    NotAttested {
        why: String,
    },
}

/// The report's columns as this tenant has them.
struct Words {
    columns: Vec<Column>,
    mapping: Mapping,
}

/// Attests every committed delivery of the tenant; raises an alert for each that differs.
pub async fn attest(house: &Lakehouse, tenant: &Tenant) -> Result<Vec<Attested>> {
    // The ledger before the tables: a delivery committed in between is then rows too many of nobody, so it is asked again.
    let session = unmasked_session(house, tenant).await?;
    let ledger = tenant.ledger.deliveries().await?;
    let mut tables: BTreeMap<String, (Report, Tally)> = BTreeMap::new();
    let mut words = BTreeMap::new();
    for report in Report::ALL {
        let mapping = tenant.mapping(report).await?;
        let columns: Vec<Column> =
            Registry::builtin().edition(report).columns.iter().chain(&mapping.additions).cloned().collect();
        let tallies = session.tallies(report, &columns).await?;
        tables.extend(tallies.into_iter().map(|(delivery, tally)| (delivery, (report, tally))));
        words.insert(report, Words { columns, mapping });
    }
    let mut done = Vec::new();
    for row in ledger.iter().filter(|row| row.state == DeliveryState::Committed) {
        let held = tables.remove(&row.delivery_id.to_string()).map(|(_, tally)| tally).unwrap_or_default();
        let attested = one(house, tenant, row, &words, &held).await?;
        if let Verdict::Differs { .. } = &attested.verdict {
            alert(house, tenant, &row.keyed_digest, &attested).await?;
        }
        done.push(attested);
    }
    for attested in strangers(&ledger, tables) {
        alert(house, tenant, &tenant.names.keyed_digest("attest", attested.delivery_id.as_bytes()), &attested).await?;
        done.push(attested);
    }
    let result = match done.iter().filter(|attested| matches!(attested.verdict, Verdict::Differs { .. })).count() {
        0 => "no difference".to_owned(),
        count => format!("{count} deliveries differ"),
    };
    tenant.audit(house.clock.as_ref(), "attest", tenant.scope.tenant().as_str(), &result).await?;
    Ok(done)
}

/// Rows in the tables of deliveries that the ledger does not hold as committed.
fn strangers(ledger: &[LedgerRow], tables: BTreeMap<String, (Report, Tally)>) -> Vec<Attested> {
    let known: HashSet<String> = ledger.iter().map(|row| row.delivery_id.to_string()).collect();
    tables
        .into_iter()
        .map(|(delivery_id, (report, tally))| {
            let raw_zone = if known.contains(&delivery_id) { "a delivery that is not committed" } else { "no such delivery" };
            let there = tally.rows.to_string();
            let rows = Difference { what: "rows".into(), raw_zone: raw_zone.into(), against: "tables".into(), there };
            let verdict = Verdict::Differs { differences: vec![rows] };
            Attested { delivery_id, file_name: None, report: Some(report), rows: None, verdict }
        })
        .collect()
}

async fn one(
    house: &Lakehouse,
    tenant: &Tenant,
    row: &LedgerRow,
    words: &BTreeMap<Report, Words>,
    held: &Tally,
) -> Result<Attested> {
    let mut attested = Attested {
        delivery_id: row.delivery_id.to_string(),
        file_name: None,
        report: row.report,
        rows: None,
        verdict: Verdict::Agrees { unread: 0 },
    };
    let receipt: Option<Receipt> =
        row.sealed_receipt.as_ref().map(|sealed| tenant.unseal("receipt", &row.keyed_digest, sealed)).transpose()?;
    let (Some(receipt), Some(report)) = (receipt, row.report) else {
        attested.verdict = not("its receipt is not sealed yet; deliver the same file again to go on");
        return Ok(attested);
    };
    attested.file_name = Some(receipt.delivery.file_name.clone());
    let limit = house.settings.attest.file_bytes_max;
    if row.size_bytes > limit {
        attested.verdict = not(format!("it has {} bytes and attest.file_bytes_max is {limit}", row.size_bytes));
        return Ok(attested);
    }
    let Some(quote) = quote(&receipt) else {
        attested.verdict = not("its quotes stand behind backslashes, which Polars' reader does not take");
        return Ok(attested);
    };
    let Some(Words { columns, mapping }) = words.get(&report) else {
        return Err(Error::new(ErrorKind::Internal, "a report without an edition"));
    };
    let bytes = whole(house, tenant, row).await?;
    let (columns_there, renames) = (columns.clone(), mapping.renames.clone());
    let (header_line, as_of) = (header_line(&receipt), row.as_of);
    let counted = tokio::task::spawn_blocking(move || {
        recount(&bytes, &Asked { report, columns: &columns_there, renames: &renames, header_line, quote, as_of })
    });
    let counted = counted.await.map_err(|error| Error::new(ErrorKind::Internal, "the second engine").with_source(error))?;
    attested.verdict = match counted {
        Err(why) => not(why.0),
        Ok(raw) => {
            attested.rows = Some(raw.rows);
            let mut differences = against_tables(&raw, held);
            let totals = totals(&receipt, columns);
            differences.extend(against_receipt(&raw, receipt.rows_committed, receipt.rows_rejected, &totals));
            match differences.is_empty() {
                true => Verdict::Agrees { unread: raw.money.values().map(|sum| sum.unread).sum() },
                false => Verdict::Differs { differences },
            }
        }
    };
    Ok(attested)
}

fn not(why: impl Into<String>) -> Verdict {
    Verdict::NotAttested { why: why.into() }
}

/// The received bytes, checked against their digest by the raw zone.
async fn whole(house: &Lakehouse, tenant: &Tenant, row: &LedgerRow) -> Result<Vec<u8>> {
    let mut reader = house.raw.open(&tenant.scope, &tenant.key, &row.raw_path).await?;
    let mut bytes = Vec::with_capacity(usize::try_from(reader.size_bytes()).unwrap_or_default());
    while let Some(chunk) = reader.next_chunk().await? {
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// How the receipt says that the file is laid out; the first line where it does not say.
fn header_line(receipt: &Receipt) -> u64 {
    let told = receipt.dialect.get("header_line").and_then(|text| text.split_whitespace().next());
    told.and_then(|digits| digits.parse().ok()).unwrap_or(1)
}

/// The file's quote, or none where it is escaped by something else than itself.
fn quote(receipt: &Receipt) -> Option<u8> {
    match receipt.dialect.get("quotes") {
        Some(told) if told.contains("backslash") => None,
        Some(told) if told.starts_with("single") => Some(b'\''),
        _ => Some(b'"'),
    }
}

/// The receipt's control totals under the columns' names in the tables.
fn totals(receipt: &Receipt, columns: &[Column]) -> Vec<(String, String)> {
    let field =
        |name: &str| columns.iter().find(|column| column.name == name && column.kind == ColumnType::Money).map(Column::field);
    receipt.control_totals.iter().filter_map(|total| Some((field(&total.column)?, total.sum.clone()))).collect()
}

async fn alert(house: &Lakehouse, tenant: &Tenant, fingerprint: &str, attested: &Attested) -> Result<()> {
    let sealed = tenant.seal("attest", fingerprint, attested)?;
    let now = house.clock.now();
    let new = tenant.ledger.raise_alert("attest", attested.report, fingerprint, Severity::Error, now, &sealed).await?;
    tracing::error!(target: "attest", delivery = %attested.delivery_id, new, "the second engine counts otherwise");
    Ok(())
}
