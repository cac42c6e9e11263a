//! The other side: what the tables hold of each delivery, summed by SQL.
//! Promise: every delivery that has rows is counted, also one that nobody asked about.

use std::collections::BTreeMap;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, Decimal128Type, Int32Type, Int64Type},
};
use bonded_schemas::{Column, ColumnType, Report};

use super::{Month, MonthTally, Tally};
use crate::{
    error::{Error, Result},
    session::Session,
};

impl Session {
    /// What each delivery's rows of a report come to, by delivery id. Money columns that the table lacks are left out.
    pub async fn tallies(&self, report: Report, columns: &[Column]) -> Result<BTreeMap<String, Tally>> {
        let table = report.table();
        let schema = self.query(&format!("SELECT * FROM {table} LIMIT 0")).await?.schema();
        let fields: Vec<String> = columns
            .iter()
            .filter(|column| column.kind == ColumnType::Money)
            .map(Column::field)
            .filter(|field| schema.column_with_name(field).is_some())
            .collect();
        let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
        for batch in self.rows(&by_month(report, &fields)).await? {
            add_months(&batch, &fields, &mut tallies)?;
        }
        let entries =
            format!("SELECT _delivery_id, count(DISTINCT entry_summary_number) AS entries FROM {table} GROUP BY _delivery_id");
        for batch in self.rows(&entries).await? {
            let (deliveries, counts) =
                (column(&batch, "_delivery_id", DataType::Utf8)?, column(&batch, "entries", DataType::Int64)?);
            let (deliveries, counts) = (deliveries.as_string::<i32>(), counts.as_primitive::<Int64Type>());
            for row in 0..batch.num_rows() {
                tallies.entry(deliveries.value(row).to_owned()).or_default().entries = counted(counts.value(row));
            }
        }
        Ok(tallies)
    }
}

fn by_month(report: Report, fields: &[String]) -> String {
    let date = if report.is_dated_by_pull() { "_as_of" } else { "entry_date" };
    let sums: String = fields
        .iter()
        .map(|field| format!(", sum(\"{field}\") AS \"sum {field}\", count(\"{field}\") AS \"count {field}\""))
        .collect();
    format!(
        "SELECT _delivery_id, \
         CAST(date_part('year', {date}) * 12 + date_part('month', {date}) - 1 AS INT) AS month, \
         count(*) AS rows{sums} FROM {} GROUP BY 1, 2",
        report.table()
    )
}

fn add_months(batch: &RecordBatch, fields: &[String], tallies: &mut BTreeMap<String, Tally>) -> Result<()> {
    let deliveries = column(batch, "_delivery_id", DataType::Utf8)?;
    let (months, rows) = (column(batch, "month", DataType::Int32)?, column(batch, "rows", DataType::Int64)?);
    let (deliveries, months) = (deliveries.as_string::<i32>(), months.as_primitive::<Int32Type>());
    let rows = rows.as_primitive::<Int64Type>();
    let mut money = Vec::with_capacity(fields.len());
    for field in fields {
        // Widening only: sums of decimal(18,2) are decimal(28,2).
        let sums = column(batch, &format!("sum {field}"), DataType::Decimal128(38, 2))?;
        money.push((field, sums, column(batch, &format!("count {field}"), DataType::Int64)?));
    }
    for row in 0..batch.num_rows() {
        let tally = tallies.entry(deliveries.value(row).to_owned()).or_default();
        let mut month = MonthTally { rows: counted(rows.value(row)), ..MonthTally::default() };
        tally.rows += month.rows;
        for (field, sums, counts) in &money {
            let sums = sums.as_primitive::<Decimal128Type>();
            let cents = if sums.is_valid(row) { sums.value(row) } else { 0 };
            let total = tally.money.entry((*field).clone()).or_default();
            total.cents += cents;
            total.values += counted(counts.as_primitive::<Int64Type>().value(row));
            month.money.insert((*field).clone(), cents);
        }
        tally.months.insert(Month::of_number(months.is_valid(row).then(|| months.value(row))), month);
    }
    Ok(())
}

fn column(batch: &RecordBatch, name: &str, kind: DataType) -> Result<ArrayRef> {
    let found = batch.column_by_name(name).ok_or_else(|| Error::internal(format!("the tally has no column `{name}`")))?;
    Ok(cast(found, &kind)?)
}

fn counted(count: i64) -> u64 {
    u64::try_from(count).unwrap_or_default()
}
