//! One entry through time: what each delivery said of it, and what the next one said otherwise.
//! Promise: deliveries come in the order of their `_as_of`; a cell that differs is told with both texts, money to the cent.
//! Never: no entry is looked for by anything but its number.

use std::collections::BTreeMap;

use bonded_schemas::{Report, entry_facts::dollars, entry_number};
use chrono::{DateTime, NaiveDate, Utc};
use datafusion::arrow::{
    array::RecordBatch,
    util::display::{ArrayFormatter, FormatOptions},
};
use serde::Serialize;

use crate::{
    cells::Cells,
    error::{Error, Result},
    session::Session,
};

/// What one report said of the entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReportHistory {
    pub report: &'static str,
    pub statements: Vec<Statement>,
    /// A later delivery spans its entry date and does not hold it.
    pub vanished: Option<Vanished>,
}

/// One delivery's word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Statement {
    pub as_of: DateTime<Utc>,
    pub delivery_id: String,
    pub rows: usize,
    /// Sums over the rows; none where the column is blank throughout.
    pub goods_value: Option<String>,
    pub duty: Option<String>,
    /// Against the delivery before; empty for the first, and where nothing differs.
    pub changes: Vec<Change>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    pub entry_summary_line_number: Option<i64>,
    pub tariff_ordinal_number: Option<i64>,
    /// `added`, `removed`, `changed`.
    pub change: &'static str,
    /// None for a row that came or went.
    pub column_name: Option<String>,
    pub before: Option<String>,
    pub after: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Vanished {
    pub missing_as_of: Option<DateTime<Utc>>,
    pub missing_from_delivery_id: Option<String>,
    pub deliveries_without_it: i64,
    pub entry_date: Option<NaiveDate>,
    pub caveat: Option<String>,
}

/// Line, ordinal, and which of several rows of that grain.
type Grain = (Option<i64>, Option<i64>, usize);
type Rows = BTreeMap<Grain, BTreeMap<String, String>>;

/// A delivery's rows of the entry.
struct Pull {
    as_of: DateTime<Utc>,
    delivery_id: String,
    rows: Rows,
    value_cents: Option<i128>,
    duty_cents: Option<i128>,
}

impl Session {
    /// The history of one entry; reports that never held it are left out.
    ///
    /// # Errors
    /// `Input` when the text is no entry number; else as [`Session::query`].
    pub async fn entry_history(&self, entry_summary_number: &str) -> Result<Vec<ReportHistory>> {
        let number: String = entry_summary_number.chars().filter(|c| *c != '-').map(|c| c.to_ascii_uppercase()).collect();
        if number.len() != entry_number::LENGTH || !number.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(Error::input(format!("`{entry_summary_number}` is not an entry number of 11 letters and digits")));
        }
        let mut histories = Vec::new();
        for report in Report::ENTRY_SUMMARIES {
            let sql = format!(
                "SELECT * FROM {} WHERE entry_summary_number = '{number}' ORDER BY _as_of, _delivery_id, _line",
                report.table()
            );
            let pulls = pulls(report, &self.rows(&sql).await?)?;
            if pulls.is_empty() {
                continue;
            }
            let vanished = self.vanished(report, &number).await?;
            histories.push(ReportHistory { report: report.code(), statements: statements(pulls), vanished });
        }
        Ok(histories)
    }

    async fn vanished(&self, report: Report, number: &str) -> Result<Option<Vanished>> {
        let code = report.code();
        let sql = format!("SELECT * FROM vanished WHERE report = '{code}' AND entry_summary_number = '{number}'");
        let batches = self.rows(&sql).await?;
        let Some(batch) = batches.iter().find(|batch| batch.num_rows() > 0) else { return Ok(None) };
        let cells = Cells(batch);
        Ok(Some(Vanished {
            missing_as_of: cells.instant("missing_as_of", 0)?,
            missing_from_delivery_id: cells.text("missing_from_delivery_id", 0)?,
            deliveries_without_it: cells.integer("deliveries_without_it", 0)?.unwrap_or_default(),
            entry_date: cells.date("entry_date", 0)?,
            caveat: cells.text("caveat", 0)?,
        }))
    }
}

fn pulls(report: Report, batches: &[RecordBatch]) -> Result<Vec<Pull>> {
    let (value, duty) = match report {
        Report::Es001 => ("total_goods_value_amount", "total_duty_amount"),
        Report::Es002 => ("line_goods_value_amount", "line_duty_amount"),
        Report::Es003 => ("line_tariff_goods_value_amount", "line_tariff_duty_amount"),
        Report::CapeClaims => return Err(Error::internal("claims have no amounts")),
    };
    let mut pulls: Vec<Pull> = Vec::new();
    for batch in batches {
        let cells = Cells(batch);
        let options = FormatOptions::default();
        let schema = batch.schema();
        let formatters = schema
            .fields()
            .iter()
            .zip(batch.columns())
            .filter(|(field, _)| !field.name().starts_with('_'))
            .map(|(field, column)| Ok((field.name(), column, ArrayFormatter::try_new(column.as_ref(), &options)?)))
            .collect::<Result<Vec<_>>>()?;
        for row in 0..batch.num_rows() {
            let delivery_id = cells.text("_delivery_id", row)?.unwrap_or_default();
            if pulls.last().is_none_or(|pull| pull.delivery_id != delivery_id) {
                let as_of = cells.instant("_as_of", row)?.unwrap_or_default();
                pulls.push(Pull { as_of, delivery_id, rows: Rows::new(), value_cents: None, duty_cents: None });
            }
            let Some(pull) = pulls.last_mut() else { continue };
            let key = |name: &str| match batch.column_by_name(name) {
                Some(_) => cells.integer(name, row),
                None => Ok(None),
            };
            let (line, ordinal) = (key("entry_summary_line_number")?, key("tariff_ordinal_number")?);
            let nth = pull.rows.range((line, ordinal, 0)..=(line, ordinal, usize::MAX)).count();
            let texts = formatters
                .iter()
                .filter(|(_, column, _)| column.is_valid(row))
                .map(|(name, _, formatter)| ((*name).clone(), formatter.value(row).to_string()));
            pull.rows.insert((line, ordinal, nth), texts.collect());
            for (sum, column) in [(&mut pull.value_cents, value), (&mut pull.duty_cents, duty)] {
                if let Some(cents) = cells.cents(column, row)? {
                    *sum = Some(sum.unwrap_or_default() + cents);
                }
            }
        }
    }
    Ok(pulls)
}

fn statements(pulls: Vec<Pull>) -> Vec<Statement> {
    let mut statements = Vec::with_capacity(pulls.len());
    let mut before: Option<Rows> = None;
    for pull in pulls {
        statements.push(Statement {
            as_of: pull.as_of,
            delivery_id: pull.delivery_id,
            rows: pull.rows.len(),
            goods_value: pull.value_cents.map(dollars),
            duty: pull.duty_cents.map(dollars),
            changes: before.as_ref().map(|before| differences(before, &pull.rows)).unwrap_or_default(),
        });
        before = Some(pull.rows);
    }
    statements
}

fn differences(before: &Rows, after: &Rows) -> Vec<Change> {
    let mut grains: Vec<&Grain> = before.keys().chain(after.keys()).collect();
    grains.sort();
    grains.dedup();
    let mut changes = Vec::new();
    for grain in grains {
        let (line, ordinal, _) = *grain;
        let change = |change, column_name, before, after| Change {
            entry_summary_line_number: line,
            tariff_ordinal_number: ordinal,
            change,
            column_name,
            before,
            after,
        };
        match (before.get(grain), after.get(grain)) {
            (None, _) => changes.push(change("added", None, None, None)),
            (_, None) => changes.push(change("removed", None, None, None)),
            (Some(old), Some(new)) => {
                let mut columns: Vec<&String> = old.keys().chain(new.keys()).collect();
                columns.sort();
                columns.dedup();
                let differing = columns.into_iter().filter(|column| old.get(*column) != new.get(*column));
                changes.extend(differing.map(|c| change("changed", Some(c.clone()), old.get(c).cloned(), new.get(c).cloned())));
            }
        }
    }
    changes
}
