//! The rows that findings rest on.
//! Promise: each finding gets the delivery and the line of every row that was compared, in one order, and says whether
//! those rows were pulled on different days.
//!
//! Looked up after the checks, for the entries with findings only: collecting places for all lines of a tenant
//! to throw almost all of them away would cost more than the checks themselves.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use datafusion::{
    arrow::{
        array::{Array, AsArray, RecordBatch},
        datatypes::{Int32Type, Int64Type, TimestampMicrosecondType},
    },
    physical_plan::execute_stream,
};
use tokio::time::Instant;

use super::{CheckResult, Outcome, entries::of_entries};
use crate::{
    answer::Answer,
    error::{Error, Result},
    library::{Check, Evidence, Grain, Question, View},
    limits::Limits,
    session::Session,
};

const DAY_MICROSECONDS: i64 = 86_400_000_000;

/// Where one row came from.
struct Place {
    entry_line: Option<i32>,
    delivery_id: String,
    line: i64,
    /// The day of the pull, counted from 1970.
    as_of_day: i64,
}

/// Entry -> its rows in one view.
type Places = HashMap<String, Vec<Place>>;

pub(super) async fn attach(session: &Session, results: &mut [CheckResult], wanted: &[(&Question, &Check)]) -> Result<()> {
    let mut entries: BTreeMap<View, BTreeSet<String>> = BTreeMap::new();
    for (result, (_, check)) in results.iter().zip(wanted) {
        for view in views(check) {
            let found = result.findings().iter().map(|finding| finding.entry_summary_number.clone());
            entries.entry(view).or_default().extend(found);
        }
    }
    let (mut places, mut last_days) = (BTreeMap::new(), BTreeMap::new());
    for (view, entries) in entries.into_iter().filter(|(_, entries)| !entries.is_empty()) {
        let found = look_up(session, view, entries.clone()).await?;
        if entries.iter().any(|entry| !found.contains_key(entry)) {
            last_days.extend(last_day(session, view).await?.map(|day| (view, day)));
        }
        places.insert(view, found);
    }
    for (result, (_, check)) in results.iter_mut().zip(wanted) {
        let Outcome::Judged(findings) = &mut result.outcome else { continue };
        for finding in findings {
            let entry = &finding.entry_summary_number;
            let of_view = |view: &View| places.get(view).and_then(|places: &Places| places.get(entry));
            let mut rows: Vec<&Place> = check
                .evidence
                .iter()
                .filter_map(|evidence| Some((evidence, of_view(&evidence.view)?)))
                .flat_map(|(evidence, rows)| rows.iter().filter(|row| supports(evidence, finding.entry_summary_line_number, row)))
                .collect();
            rows.sort_unstable_by(|a, b| (&a.delivery_id, a.line).cmp(&(&b.delivery_id, b.line)));
            // An entry's rows in a view come from one delivery; where a report lacks the entry, its last pull is what counts.
            let days: BTreeSet<i64> = views(check)
                .into_iter()
                .filter_map(|view| match of_view(&view).and_then(|rows| rows.first()) {
                    Some(row) => Some(row.as_of_day),
                    None => last_days.get(&view).copied(),
                })
                .collect();
            finding.as_of_differs = days.len() > 1;
            finding.delivery_ids = rows.iter().map(|row| row.delivery_id.clone()).collect();
            finding.lines = rows.iter().map(|row| row.line).collect();
        }
    }
    Ok(())
}

/// The views that a check compares.
fn views(check: &Check) -> BTreeSet<View> {
    check.evidence.iter().map(|evidence| evidence.view).chain(check.needs.iter().map(|source| source.view)).collect()
}

/// A finding on a line rests on that line's rows; a finding on an entry on all of them.
fn supports(evidence: &Evidence, finding_line: Option<i32>, row: &Place) -> bool {
    match (finding_line, evidence.grain) {
        (Some(line), Grain::Line) => row.entry_line == Some(line),
        (Some(_), Grain::Entry) => false,
        (None, _) => true,
    }
}

async fn look_up(session: &Session, view: View, entries: BTreeSet<String>) -> Result<Places> {
    let mut columns = vec!["entry_summary_number", "_delivery_id", "_line", "_as_of"];
    let has_lines = view != View::EntrySummaries;
    if has_lines {
        columns.push("entry_summary_line_number");
    }
    let frame = of_entries(session, session.context().table(view.name()).await?, entries)?;
    let plan = frame.select_columns(&columns)?.create_physical_plan().await?;
    let limits = Limits { rows_max: usize::MAX, ..session.limits().clone() };
    let deadline = Instant::now() + limits.time_max;
    let stream = execute_stream(plan, session.context().task_ctx())?;
    let mut answer = Answer::new(stream, deadline, limits);
    let mut places = Places::new();
    while let Some(batch) = answer.next().await? {
        collect(&batch, has_lines, &mut places)
            .ok_or_else(|| Error::internal(format!("view {} has columns of other types than its report", view.name())))?;
    }
    Ok(places)
}

/// The day of a report's latest pull.
async fn last_day(session: &Session, view: View) -> Result<Option<i64>> {
    let batches = session.rows(&format!("SELECT max(_as_of) FROM {}", view.report().table())).await?;
    let latest = batches.iter().find(|batch| batch.num_rows() > 0).and_then(|batch| {
        let times = batch.column(0).as_primitive_opt::<TimestampMicrosecondType>()?;
        times.is_valid(0).then(|| times.value(0))
    });
    Ok(latest.map(|time| time.div_euclid(DAY_MICROSECONDS)))
}

fn collect(batch: &RecordBatch, has_lines: bool, places: &mut Places) -> Option<()> {
    let entries = batch.column(0).as_string_opt::<i32>()?;
    let delivery_ids = batch.column(1).as_string_opt::<i32>()?;
    let lines = batch.column(2).as_primitive_opt::<Int64Type>()?;
    let times = batch.column(3).as_primitive_opt::<TimestampMicrosecondType>()?;
    let entry_lines = match has_lines {
        true => Some(batch.column(4).as_primitive_opt::<Int32Type>()?),
        false => None,
    };
    for row in 0..batch.num_rows() {
        let place = Place {
            entry_line: entry_lines.filter(|lines| lines.is_valid(row)).map(|lines| lines.value(row)),
            delivery_id: delivery_ids.value(row).to_owned(),
            line: lines.value(row),
            as_of_day: times.value(row).div_euclid(DAY_MICROSECONDS),
        };
        places.entry(entries.value(row).to_owned()).or_default().push(place);
    }
    Some(())
}
