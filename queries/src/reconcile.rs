//! The tie-out: runs the checks of the library over the current truth and traces each finding to its rows.
//! Promise: a check is judged on rows that both sides have, or says why it is not; what could not be judged is counted.
//! Never: a report that was never delivered does not turn into a flood of findings.

use std::collections::{BTreeMap, BTreeSet};

use bonded_schemas::{Finding, Severity};
use datafusion::arrow::{
    array::{Array, AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, Int32Type, Int64Type},
};

use crate::{
    answer::Answer,
    error::{Error, ErrorKind, Result},
    library::{self, Check, Grain, Library, Question, Source, Values, View, Work},
    session::Session,
};

mod entries;
mod evidence;
#[cfg(test)]
mod golden;
mod spans;
mod tally;
mod work;

pub(crate) use work::{WORK, Works};

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

    fn not_judged(question: &Question, check: &Check, reason: String) -> Self {
        let outcome = Outcome::NotJudged(reason);
        CheckResult { check: question.id.clone(), severity: check.severity, outcome, notes: Vec::new() }
    }
}

impl Session {
    /// Runs the named built-in checks, or all of them, as their files say.
    ///
    /// `lines` and `delivery_ids` of a finding run side by side: the n-th line lies in the n-th delivery.
    /// Rows of one delivery that repeat a grain (the same line twice) are added up as they stand.
    ///
    /// # Errors
    /// `Input` for an unknown check; otherwise as [`Session::query`].
    pub async fn reconcile(&self, only: Option<&[String]>) -> Result<Vec<CheckResult>> {
        self.reconcile_with(Library::builtin(), only, &[]).await
    }

    /// The same over a library that may hold a user's own checks, with values for parameters: (`name` or `check.name`, value).
    /// An own check that cannot be asked is not judged, and says why; it does not stand in the way of the others.
    ///
    /// # Errors
    /// `Input` also for an unknown parameter or a value of another type.
    pub async fn reconcile_with(
        &self,
        library: &Library,
        only: Option<&[String]>,
        given: &[(String, String)],
    ) -> Result<Vec<CheckResult>> {
        let wanted = library.chosen(only)?;
        library::refuse_unknown(given, wanted.iter().map(|(question, _)| *question))?;
        let values = wanted.iter().map(|(question, _)| question.values(given)).collect::<Result<Vec<_>>>()?;
        let presence = self.presence(&wanted).await?;
        let mut results = Vec::with_capacity(wanted.len());
        for ((question, check), values) in wanted.iter().zip(&values) {
            results.push(match presence.obstacle(check) {
                Some(reason) => CheckResult::not_judged(question, check, reason),
                None => match self.judge(question, check, values).await {
                    Err(error) if is_own(question) && matches!(error.kind(), ErrorKind::Input | ErrorKind::Refused) => {
                        CheckResult::not_judged(question, check, format!("it cannot be asked: {error}"))
                    }
                    result => result?,
                },
            });
        }
        evidence::attach(self, &mut results, &wanted).await?;
        Ok(results)
    }

    /// Runs one report of the library.
    ///
    /// # Errors
    /// `Input` for an unknown report or parameter; otherwise as [`Session::query`].
    pub async fn report(&self, library: &Library, id: &str, given: &[(String, String)]) -> Result<Answer> {
        let question = library.report(id)?;
        library::refuse_unknown(given, std::iter::once(question))?;
        self.ask(&question.sql, &question.values(given)?).await
    }

    async fn judge(&self, question: &Question, check: &Check, values: &Values) -> Result<CheckResult> {
        let mut agreeing = 0;
        for work in &check.work {
            agreeing += self.prepare(*work).await?;
        }
        let mut told = Told::default();
        let mut answer = self.ask(&question.sql, values).await?;
        while let Some(batch) = answer.next().await? {
            read_rows(&batch, question, check, &mut told)?;
        }
        let notes: Vec<String> =
            told.unjudged.iter().map(|(reason, count)| format!("{count} {} not judged: {reason}", unit(check, *count))).collect();
        let left_out: u64 = told.unjudged.values().sum();
        let judged = !told.findings.is_empty() || told.judged + agreeing > 0;
        let outcome = if !judged && left_out > 0 && left_out >= self.comparable(check).await? {
            Outcome::NotJudged(notes.join("; "))
        } else {
            Outcome::Judged(told.findings)
        };
        Ok(CheckResult { check: question.id.clone(), severity: check.severity, outcome, notes })
    }

    /// How many entries or lines both sides of a comparison have.
    async fn comparable(&self, check: &Check) -> Result<u64> {
        if check.evidence.is_empty() {
            return Ok(0);
        }
        let by_line = check.evidence.iter().all(|evidence| evidence.grain == Grain::Line);
        let sql = if check.work.contains(&Work::Entries) && by_line {
            "SELECT coalesce(sum(lines_both), 0) FROM work.entries".to_owned()
        } else if check.work.contains(&Work::Entries) {
            let held: Vec<&str> = check.evidence.iter().map(|evidence| work::rows_of(evidence.view)).collect();
            format!("SELECT count(*) FROM work.entries WHERE {} > 0", held.join(" > 0 AND "))
        } else {
            let keys = if by_line { "entry_summary_number, entry_summary_line_number" } else { "entry_summary_number" };
            let side = |evidence: &library::Evidence| format!("SELECT DISTINCT {keys} FROM {}", evidence.view.name());
            let sides: Vec<String> = check.evidence.iter().map(side).collect();
            format!("SELECT count(*) FROM ({}) AS both_sides", sides.join(" INTERSECT "))
        };
        Ok(counts(&self.rows(&sql).await?).first().copied().unwrap_or_default())
    }

    /// Which reports have rows, and which of the needed columns have values.
    async fn presence(&self, wanted: &[(&Question, &Check)]) -> Result<Presence> {
        let mut columns: BTreeMap<View, BTreeSet<String>> = BTreeMap::new();
        for source in wanted.iter().flat_map(|(_, check)| check.needs.iter().chain(&check.any).chain(&check.against)) {
            columns.entry(source.view).or_default().extend(source.column.clone());
        }
        let mut presence = Presence::default();
        for view in View::ALL {
            let schema = self.context().table_provider(view.report().table()).await?.schema();
            presence.columns.extend(schema.fields().iter().map(|field| (view, field.name().clone())));
        }
        for (view, columns) in columns {
            // The history table rather than the view: counts are in its metadata, so this reads no data.
            let table = view.report().table();
            let columns: Vec<String> =
                columns.into_iter().filter(|column| presence.columns.contains(&(view, column.clone()))).collect();
            let counted: String = columns.iter().map(|column| format!(", count(\"{column}\")")).collect();
            let counts = counts(&self.rows(&format!("SELECT count(*){counted} FROM {table}")).await?);
            let mut counts = counts.into_iter();
            presence.rows.insert(view, counts.next().unwrap_or_default());
            presence.values.extend(columns.into_iter().zip(counts).map(|(column, count)| ((view, column), count)));
        }
        Ok(presence)
    }
}

fn is_own(question: &Question) -> bool {
    question.id.starts_with("user.")
}

/// What there is to compare.
#[derive(Default)]
struct Presence {
    rows: BTreeMap<View, u64>,
    values: BTreeMap<(View, String), u64>,
    columns: BTreeSet<(View, String)>,
}

impl Presence {
    /// Why a check cannot be judged at all.
    fn obstacle(&self, check: &Check) -> Option<String> {
        let delivered = |source: &Source| self.rows.get(&source.view).is_some_and(|count| *count > 0);
        if let Some(missing) = check.needs.iter().find(|source| !delivered(source)) {
            return Some(format!("{} was never delivered", missing.view.report()));
        }
        if !check.against.is_empty() && !check.against.iter().any(delivered) {
            let other =
                if check.needs.is_empty() { "no report was delivered" } else { "no other report was delivered to compare with" };
            return Some(other.to_owned());
        }
        let shared = check.work.iter().flat_map(|work| library::reads(work.sql())).collect::<Vec<_>>();
        let named = check.needs.iter().chain(&check.any).chain(&check.reads).chain(&shared);
        let absent = |source: &&Source| {
            source.column.as_ref().is_some_and(|column| !self.columns.contains(&(source.view, column.clone())))
        };
        let empty = |source: &&Source| {
            source
                .column
                .as_ref()
                .is_some_and(|column| self.values.get(&(source.view, column.clone())).is_none_or(|count| *count == 0))
        };
        if let Some(source) = check.needs.iter().find(empty) {
            return Some(format!("{} has no values in column {}", source.view.report(), column_of(source)));
        }
        if !check.any.is_empty() && check.any.iter().all(|source| empty(&source)) {
            let names: Vec<String> =
                check.any.iter().map(|source| format!("{} of {}", column_of(source), source.view.report())).collect();
            return Some(format!("there are no values in column {}", names.join(" or ")));
        }
        named.into_iter().find(absent).map(|source| format!("{} has no column {}", source.view.report(), column_of(source)))
    }
}

fn column_of(source: &Source) -> &str {
    source.column.as_deref().unwrap_or_default()
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

/// What a check's rows said.
#[derive(Default)]
struct Told {
    findings: Vec<Finding>,
    /// Reason -> entries or lines.
    unjudged: BTreeMap<String, u64>,
    /// Counted as judged and found right.
    judged: u64,
}

/// Reads a check's rows: `entry_summary_number`, `entry_summary_line_number`, `expected`, `actual`, `not_judged`, and
/// `unit_count` if it counts. A row with a reason is counted under it; one without an entry is counted as right.
fn read_rows(batch: &RecordBatch, question: &Question, check: &Check, told: &mut Told) -> Result<()> {
    let wrong = |what: String| {
        let text = format!("check {} {what}", question.id);
        if is_own(question) { Error::input(text) } else { Error::internal(text) }
    };
    let column = |name: &str| batch.column_by_name(name).ok_or_else(|| wrong(format!("returns no column `{name}`")));
    let compared = |name: &str| {
        let values = column(name)?;
        match values.data_type() {
            DataType::Float16 | DataType::Float32 | DataType::Float64 => {
                Err(wrong(format!("returns floats as `{name}`; money is decimal")))
            }
            _ => Ok(cast(values, &DataType::Utf8)?),
        }
    };
    let (entries, lines) =
        (cast(column("entry_summary_number")?, &DataType::Utf8)?, cast(column("entry_summary_line_number")?, &DataType::Int32)?);
    let (expected, actual, reasons) = (compared("expected")?, compared("actual")?, cast(column("not_judged")?, &DataType::Utf8)?);
    let units = batch.column_by_name("unit_count").map(|counted| cast(counted, &DataType::Int64)).transpose()?;
    let (entries, lines) = (entries.as_string::<i32>(), lines.as_primitive::<Int32Type>());
    let (expected, actual, reasons) = (expected.as_string::<i32>(), actual.as_string::<i32>(), reasons.as_string::<i32>());
    let units = units.as_ref().map(|units| units.as_primitive::<Int64Type>());
    let text =
        |values: &datafusion::arrow::array::StringArray, row: usize| values.is_valid(row).then(|| values.value(row).to_owned());
    for row in 0..batch.num_rows() {
        let count = units.map_or(1, |units| u64::try_from(units.value(row)).unwrap_or_default());
        if reasons.is_valid(row) {
            *told.unjudged.entry(reasons.value(row).to_owned()).or_default() += count;
        } else if entries.is_valid(row) {
            told.findings.push(Finding {
                check: question.id.clone(),
                severity: check.severity,
                entry_summary_number: entries.value(row).to_owned(),
                entry_summary_line_number: lines.is_valid(row).then(|| lines.value(row)),
                expected: text(expected, row),
                actual: text(actual, row),
                delivery_ids: Vec::new(),
                lines: Vec::new(),
                as_of_differs: false,
            });
        } else {
            told.judged += count;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
