//! The tie-out: runs the checks of the library over the current truth and traces each finding to its rows.
//! Promise: a check is judged on rows that both sides have, or says why it is not; what could not be judged is counted.
//! Never: a report that was never delivered does not turn into a flood of findings.

use std::collections::{BTreeMap, BTreeSet};

use bonded_schemas::{Finding, Severity};
use datafusion::arrow::{
    array::{Array, AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, Decimal128Type, Int32Type, Int64Type},
};

use crate::{
    error::{Error, Result},
    library::{self, Check, Grain, Question, Source, View},
    session::Session,
};

mod evidence;

/// What one check says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckResult {
    /// Stable id, `line_duty`.
    pub check: String,
    pub severity: Severity,
    pub outcome: Outcome,
    /// What was left unjudged, and why, with counts: "12 entries not judged: no rule for this date".
    pub notes: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Findings in order of entry and line; none means that all that could be compared agrees.
    Judged(Vec<Finding>),
    /// Why nothing could be compared.
    NotJudged(String),
}

impl CheckResult {
    pub fn findings(&self) -> &[Finding] {
        match &self.outcome {
            Outcome::Judged(findings) => findings,
            Outcome::NotJudged(_) => &[],
        }
    }
}

impl Session {
    /// Runs the named checks, or all of them.
    ///
    /// `lines` and `delivery_ids` of a finding run side by side: the n-th line lies in the n-th delivery.
    /// Rows of one delivery that repeat a grain (the same line twice) are added up as they stand.
    ///
    /// # Errors
    /// `Input` for an unknown check; otherwise as [`Session::query`].
    pub async fn reconcile(&self, only: Option<&[String]>) -> Result<Vec<CheckResult>> {
        let wanted = wanted(only)?;
        let presence = self.presence(&wanted).await?;
        let mut results = Vec::with_capacity(wanted.len());
        for (question, check) in &wanted {
            results.push(match presence.obstacle(check) {
                Some(reason) => CheckResult {
                    check: question.id.to_owned(),
                    severity: check.severity,
                    outcome: Outcome::NotJudged(reason),
                    notes: Vec::new(),
                },
                None => self.judge(question, check).await?,
            });
        }
        evidence::attach(self, &mut results, &wanted).await?;
        Ok(results)
    }

    async fn judge(&self, question: &Question, check: &Check) -> Result<CheckResult> {
        let mut findings = Vec::new();
        let mut unjudged: BTreeMap<String, u64> = BTreeMap::new();
        for batch in self.rows(question.sql).await? {
            read_rows(&batch, question, check, &mut findings, &mut unjudged)?;
        }
        let notes: Vec<String> =
            unjudged.iter().map(|(reason, count)| format!("{count} {} not judged: {reason}", unit(check, *count))).collect();
        let left_out: u64 = unjudged.values().sum();
        let outcome = if findings.is_empty() && left_out > 0 && left_out >= self.comparable(check).await? {
            Outcome::NotJudged(notes.join("; "))
        } else {
            Outcome::Judged(findings)
        };
        Ok(CheckResult { check: question.id.to_owned(), severity: check.severity, outcome, notes })
    }

    /// How many entries or lines both sides of a comparison have.
    async fn comparable(&self, check: &Check) -> Result<u64> {
        let keys = match check.evidence.first().map(|evidence| evidence.grain) {
            Some(Grain::Line) => "entry_summary_number, entry_summary_line_number",
            _ => "entry_summary_number",
        };
        let sides: Vec<String> =
            check.evidence.iter().map(|evidence| format!("SELECT DISTINCT {keys} FROM {}", evidence.view.name())).collect();
        let batches = self.rows(&format!("SELECT count(*) FROM ({}) AS both_sides", sides.join(" INTERSECT "))).await?;
        Ok(counts(&batches).first().copied().unwrap_or_default())
    }

    /// Which reports have rows, and which of the needed columns have values.
    async fn presence(&self, wanted: &[(&Question, &Check)]) -> Result<Presence> {
        let mut columns: BTreeMap<View, BTreeSet<&'static str>> = BTreeMap::new();
        for source in wanted.iter().flat_map(|(_, check)| check.needs.iter().chain(&check.against)) {
            columns.entry(source.view).or_default().extend(source.column);
        }
        let mut presence = Presence::default();
        for (view, columns) in columns {
            // The history table rather than the view: counts are in its metadata, so this reads no data.
            let table = view.report().table();
            let schema = self.context().table_provider(table).await?.schema();
            let columns: Vec<&str> = columns.into_iter().filter(|column| schema.column_with_name(column).is_some()).collect();
            let counted: String = columns.iter().map(|column| format!(", count({column})")).collect();
            let counts = counts(&self.rows(&format!("SELECT count(*){counted} FROM {table}")).await?);
            let mut counts = counts.into_iter();
            presence.rows.insert(view, counts.next().unwrap_or_default());
            presence.values.extend(columns.into_iter().zip(counts).map(|(column, count)| ((view, column.to_owned()), count)));
        }
        Ok(presence)
    }
}

fn wanted(only: Option<&[String]>) -> Result<Vec<(&'static Question, &'static Check)>> {
    let all: Vec<_> = library::checks().collect();
    let Some(only) = only else { return Ok(all) };
    if let Some(unknown) = only.iter().find(|id| !all.iter().any(|(question, _)| question.id == id.as_str())) {
        let known: Vec<&str> = all.iter().map(|(question, _)| question.id).collect();
        return Err(Error::input(format!("no check `{unknown}`; known: {}", known.join(", "))));
    }
    Ok(all.into_iter().filter(|(question, _)| only.iter().any(|id| id == question.id)).collect())
}

/// What there is to compare.
#[derive(Default)]
struct Presence {
    rows: BTreeMap<View, u64>,
    values: BTreeMap<(View, String), u64>,
}

impl Presence {
    /// Why a check cannot be judged at all.
    fn obstacle(&self, check: &Check) -> Option<String> {
        let delivered = |source: &Source| self.rows.get(&source.view).is_some_and(|count| *count > 0);
        if let Some(missing) = check.needs.iter().find(|source| !delivered(source)) {
            return Some(format!("{} was never delivered", missing.view.report()));
        }
        if !check.against.is_empty() && !check.against.iter().any(delivered) {
            return Some("no other report was delivered to compare with".to_owned());
        }
        let empty = |source: &&Source| {
            source.column.is_some_and(|column| self.values.get(&(source.view, column.to_owned())).is_none_or(|count| *count == 0))
        };
        check
            .needs
            .iter()
            .find(empty)
            .and_then(|source| Some(format!("{} has no values in column {}", source.view.report(), source.column?)))
    }
}

fn unit(check: &Check, count: u64) -> &'static str {
    match (check.evidence.first().map(|evidence| evidence.grain), count) {
        (Some(Grain::Line), 1) => "line",
        (Some(Grain::Line), _) => "lines",
        (_, 1) => "entry",
        _ => "entries",
    }
}

fn counts(batches: &[RecordBatch]) -> Vec<u64> {
    let Some(batch) = batches.iter().find(|batch| batch.num_rows() > 0) else { return Vec::new() };
    batch
        .columns()
        .iter()
        .map(|column| {
            column.as_primitive_opt::<Int64Type>().map_or(0, |counts| u64::try_from(counts.value(0)).unwrap_or_default())
        })
        .collect()
}

/// Turns a check's rows into findings; rows with a reason are counted instead.
fn read_rows(
    batch: &RecordBatch,
    question: &Question,
    check: &Check,
    findings: &mut Vec<Finding>,
    unjudged: &mut BTreeMap<String, u64>,
) -> Result<()> {
    let column = |name: &str, data_type: DataType| {
        let column = batch
            .column_by_name(name)
            .ok_or_else(|| Error::internal(format!("check {} returns no column `{name}`", question.id)))?;
        Ok::<_, Error>(cast(column, &data_type)?)
    };
    // Widening only: sums of decimal(18,2) are decimal(28,2).
    let money = DataType::Decimal128(38, 2);
    let (entries, lines) =
        (column("entry_summary_number", DataType::Utf8)?, column("entry_summary_line_number", DataType::Int32)?);
    let (expected, actual) = (column("expected", money.clone())?, column("actual", money)?);
    let reasons = column("not_judged", DataType::Utf8)?;
    let (entries, lines) = (entries.as_string::<i32>(), lines.as_primitive::<Int32Type>());
    let (expected, actual) = (expected.as_primitive::<Decimal128Type>(), actual.as_primitive::<Decimal128Type>());
    let reasons = reasons.as_string::<i32>();
    for row in 0..batch.num_rows() {
        if reasons.is_valid(row) {
            *unjudged.entry(reasons.value(row).to_owned()).or_default() += 1;
            continue;
        }
        findings.push(Finding {
            check: question.id.to_owned(),
            severity: check.severity,
            entry_summary_number: entries.value(row).to_owned(),
            entry_summary_line_number: lines.is_valid(row).then(|| lines.value(row)),
            expected: expected.is_valid(row).then(|| expected.value_as_string(row)),
            actual: actual.is_valid(row).then(|| actual.value_as_string(row)),
            delivery_ids: Vec::new(),
            lines: Vec::new(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
