//! What arrived of a report, and what is known of it: from the ledger, its receipts, and bytes that came again.

use std::collections::HashMap;

use bonded_connectors::store::ledger::LedgerRow;
use bonded_schemas::{
    DeliveryId, DriftKind, Receipt, Report,
    window::{Arrival, ArrivalId, Facts},
};

use crate::{error::Result, lakehouse::Tenant, receipts};

/// Deliveries that are rows, and each time that their bytes came once more.
pub(super) struct Arrivals {
    rows: HashMap<DeliveryId, LedgerRow>,
    repeats: Vec<Arrival>,
}

impl Arrivals {
    pub async fn read(tenant: &Tenant) -> Result<Self> {
        let rows: HashMap<DeliveryId, LedgerRow> =
            tenant.ledger.committed(None).await?.into_iter().map(|row| (row.delivery_id, row)).collect();
        let repeats = tenant.ledger.repeats().await?.into_iter().map(|repeat| Arrival {
            id: ArrivalId { delivery_id: repeat.delivery_id, repeated_at: Some(repeat.received_at) },
            as_of: repeat.as_of,
            received_at: repeat.received_at,
        });
        Ok(Self { rows, repeats: repeats.collect() })
    }

    /// Of one report.
    pub fn of(&self, report: Report) -> Vec<Arrival> {
        let is_of = |id: &DeliveryId| self.rows.get(id).is_some_and(|row| row.report == Some(report));
        let firsts = self.rows.values().map(|row| Arrival {
            id: ArrivalId { delivery_id: row.delivery_id, repeated_at: None },
            as_of: row.as_of,
            received_at: row.received_at,
        });
        firsts.chain(self.repeats.iter().copied()).filter(|arrival| is_of(&arrival.id.delivery_id)).collect()
    }

    pub fn receipt(&self, tenant: &Tenant, id: DeliveryId) -> Result<Option<Receipt>> {
        self.rows.get(&id).map(|row| receipts::unsealed(tenant, row)).transpose().map(Option::flatten)
    }

    /// What is known of one, held against the columns that are needed.
    pub fn facts(&self, tenant: &Tenant, arrival: &Arrival, needed: &[String]) -> Result<Facts> {
        let facts = self.receipt(tenant, arrival.id.delivery_id)?.map(|receipt| facts(tenant, &receipt, needed));
        let mut facts = facts.unwrap_or_default();
        if arrival.id.repeated_at.is_some() {
            // Its rows had been there before.
            facts.queryable_at = None;
        }
        Ok(facts)
    }
}

fn facts(tenant: &Tenant, receipt: &Receipt, needed: &[String]) -> Facts {
    let is_missing = |name: &String| {
        receipt.drift.findings.iter().any(|finding| finding.kind == DriftKind::Missing && finding.column == *name)
    };
    Facts {
        rows: Some(receipt.rows_committed),
        dates: receipt.entry_dates,
        content: Some(tenant.names.keyed_digest("content of a delivery", content(receipt).as_bytes())),
        queryable_at: Some(receipt.sealed_at),
        columns_missing: needed.iter().filter(|name| is_missing(name)).cloned().collect(),
    }
}

/// What two deliveries of the same content share whatever stands around their rows: counts, the exact sum of every money
/// column, first and last date. Two that differ in a text cell alone share it too.
fn content(receipt: &Receipt) -> String {
    let sums = receipt.control_totals.iter().map(|total| format!("{}={}", total.column, total.sum));
    let counts = format!("{} {} {}", receipt.rows_read, receipt.rows_committed, receipt.cells_rescued);
    let [report, dates] = [format!("{:?}", receipt.report), format!("{:?}", receipt.entry_dates)];
    [report, counts, dates].into_iter().chain(sums).collect::<Vec<_>>().join("\n")
}
