//! The entries of a tenant, one after the other, with what deadlines and refunds are judged by.
//! Promise: current truth over the three reports; each entry knows which columns its own deliveries had.
//! Never: not all entries in memory at once.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use bonded_schemas::{
    Report,
    cape::cape_rules,
    entry_facts::{DateColumn, EntryFacts, Ieepa, TextColumn},
};

use crate::{cells::Cells, error::Result, session::Session};

const ENTRY_FACTS: &str = include_str!("../sql/deadlines/entry_facts.sql");
const IEEPA_PAID: &str = include_str!("../sql/cape/ieepa_paid.sql");

/// Delivery of each report, to the columns that these deliveries had.
type Deliveries = [Option<String>; Report::ENTRY_SUMMARIES.len()];

/// Which columns each delivery had.
struct Delivered {
    by_delivery: HashMap<String, BTreeSet<String>>,
    together: HashMap<Deliveries, Arc<BTreeSet<String>>>,
}

impl Session {
    /// Hands every entry to `each`, in no order.
    pub(crate) async fn each_entry(&self, mut each: impl FnMut(EntryFacts)) -> Result<()> {
        let mut delivered = Delivered::read(self).await?;
        let mut answer = self.query(&question()).await?;
        while let Some(batch) = answer.next().await? {
            let cells = Cells(&batch);
            for row in 0..batch.num_rows() {
                each(entry(&cells, row, &mut delivered)?);
            }
        }
        Ok(())
    }
}

fn question() -> String {
    let duties: Vec<String> = cape_rules()
        .duties
        .iter()
        .map(|duty| format!("('{}', DATE '{}', DATE '{}')", duty.prefix, duty.from, duty.until))
        .collect();
    ENTRY_FACTS.replace("{ieepa_paid}", IEEPA_PAID).replace("{duties}", &duties.join(", "))
}

fn entry(cells: &Cells<'_>, row: usize, delivered: &mut Delivered) -> Result<EntryFacts> {
    let mut facts = EntryFacts::new(cells.text("entry_summary_number", row)?.unwrap_or_default());
    let deliveries =
        [cells.text("es_001_delivery_id", row)?, cells.text("es_002_delivery_id", row)?, cells.text("es_003_delivery_id", row)?];
    facts.delivered = delivered.of(deliveries);
    for column in DateColumn::ALL {
        facts.set_date(column, cells.date(&column.field(), row)?);
    }
    for column in TextColumn::ALL {
        facts.set_text(column, cells.text(&column.field(), row)?);
    }
    for (column, from) in [
        ("es_001_duty", "ES-001 Total Duty Amount"),
        ("es_002_duty", "ES-002 Line Duty Amount, added up"),
        ("es_003_duty", "ES-003 Line Tariff Duty Amount, added up"),
    ] {
        if facts.duty.is_none() {
            facts.duty = cells.cents(column, row)?.map(|cents| (cents, from));
        }
    }
    facts.antidumping_cents = cells.cents("antidumping", row)?;
    let cents = |name| Ok::<_, crate::Error>(cells.cents(name, row)?.unwrap_or_default());
    facts.ieepa = Ieepa {
        paid_cents: cents("paid")?,
        outside_cents: cents("outside")?,
        undated_cents: cents("undated")?,
        rows: cells.integer("ieepa_rows", row)?.unwrap_or_default(),
        rows_without_amount: cells.integer("ieepa_rows_without_amount", row)?.unwrap_or_default(),
    };
    Ok(facts)
}

impl Delivered {
    async fn read(session: &Session) -> Result<Self> {
        let mut by_delivery: HashMap<String, BTreeSet<String>> = HashMap::new();
        for report in Report::ENTRY_SUMMARIES {
            let sql = format!("SELECT _delivery_id, column_name FROM columns_delivered('{}')", report.table());
            for batch in session.rows(&sql).await? {
                let cells = Cells(&batch);
                for row in 0..batch.num_rows() {
                    let delivery = cells.text("_delivery_id", row)?.unwrap_or_default();
                    by_delivery.entry(delivery).or_default().extend(cells.text("column_name", row)?);
                }
            }
        }
        Ok(Self { by_delivery, together: HashMap::new() })
    }

    fn of(&mut self, deliveries: Deliveries) -> Arc<BTreeSet<String>> {
        if let Some(known) = self.together.get(&deliveries) {
            return known.clone();
        }
        let ids = deliveries.iter().flatten().map(String::as_str);
        let columns: BTreeSet<String> = ids.filter_map(|id| self.by_delivery.get(id)).flatten().cloned().collect();
        let columns = Arc::new(columns);
        self.together.insert(deliveries, columns.clone());
        columns
    }
}
