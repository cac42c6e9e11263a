//! The rows that findings rest on.
//! Promise: each finding gets the delivery and the line of every row that was compared, in one order.
//!
//! Looked up after the checks, for the entries with findings only: collecting places for all lines of a tenant
//! to throw almost all of them away would cost more than the checks themselves.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, RecordBatch, StringArray},
        datatypes::{DataType, Field, Int32Type, Int64Type, Schema},
    },
    common::JoinType,
    physical_plan::execute_stream,
};
use tokio::time::Instant;

use super::{CheckResult, Outcome};
use crate::{
    answer::Answer,
    error::{Error, Result},
    library::{Check, Evidence, Grain, Question, View},
    session::Session,
};

/// Where one row came from.
struct Place {
    entry_line: Option<i32>,
    delivery_id: String,
    line: i64,
}

/// Entry -> its rows in one view.
type Places = HashMap<String, Vec<Place>>;

pub(super) async fn attach(session: &Session, results: &mut [CheckResult], wanted: &[(&Question, &Check)]) -> Result<()> {
    let mut entries: BTreeMap<View, BTreeSet<String>> = BTreeMap::new();
    for (result, (_, check)) in results.iter().zip(wanted) {
        for evidence in &check.evidence {
            let found = result.findings().iter().map(|finding| finding.entry_summary_number.clone());
            entries.entry(evidence.view).or_default().extend(found);
        }
    }
    let mut places: BTreeMap<View, Places> = BTreeMap::new();
    for (view, entries) in entries.into_iter().filter(|(_, entries)| !entries.is_empty()) {
        places.insert(view, look_up(session, view, entries).await?);
    }
    for (result, (_, check)) in results.iter_mut().zip(wanted) {
        let Outcome::Judged(findings) = &mut result.outcome else { continue };
        for finding in findings {
            let mut rows: Vec<(&str, i64)> = check
                .evidence
                .iter()
                .filter_map(|evidence| Some((evidence, places.get(&evidence.view)?.get(&finding.entry_summary_number)?)))
                .flat_map(|(evidence, rows)| rows.iter().filter(|row| supports(evidence, finding.entry_summary_line_number, row)))
                .map(|row| (row.delivery_id.as_str(), row.line))
                .collect();
            rows.sort_unstable();
            finding.delivery_ids = rows.iter().map(|(delivery_id, _)| (*delivery_id).to_owned()).collect();
            finding.lines = rows.iter().map(|(_, line)| *line).collect();
        }
    }
    Ok(())
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
    let wanted: ArrayRef = Arc::new(StringArray::from_iter_values(entries));
    let schema = Arc::new(Schema::new(vec![Field::new("wanted_entry", DataType::Utf8, false)]));
    let wanted = session.context().read_batch(RecordBatch::try_new(schema, vec![wanted])?)?;
    let mut columns = vec!["entry_summary_number", "_delivery_id", "_line"];
    let has_lines = view != View::EntrySummaries;
    if has_lines {
        columns.push("entry_summary_line_number");
    }
    let plan = session
        .context()
        .table(view.name())
        .await?
        .join(wanted, JoinType::LeftSemi, &["entry_summary_number"], &["wanted_entry"], None)?
        .select_columns(&columns)?
        .create_physical_plan()
        .await?;
    let deadline = Instant::now() + session.limits().time_max;
    let stream = execute_stream(plan, session.context().task_ctx())?;
    let mut answer = Answer::new(stream, deadline, session.limits().clone());
    let mut places = Places::new();
    while let Some(batch) = answer.next().await? {
        collect(&batch, has_lines, &mut places)
            .ok_or_else(|| Error::internal(format!("view {} has columns of other types than its report", view.name())))?;
    }
    Ok(places)
}

fn collect(batch: &RecordBatch, has_lines: bool, places: &mut Places) -> Option<()> {
    let entries = batch.column(0).as_string_opt::<i32>()?;
    let delivery_ids = batch.column(1).as_string_opt::<i32>()?;
    let lines = batch.column(2).as_primitive_opt::<Int64Type>()?;
    let entry_lines = match has_lines {
        true => Some(batch.column(3).as_primitive_opt::<Int32Type>()?),
        false => None,
    };
    for row in 0..batch.num_rows() {
        let place = Place {
            entry_line: entry_lines.filter(|lines| lines.is_valid(row)).map(|lines| lines.value(row)),
            delivery_id: delivery_ids.value(row).to_owned(),
            line: lines.value(row),
        };
        places.entry(entries.value(row).to_owned()).or_default().push(place);
    }
    Some(())
}
