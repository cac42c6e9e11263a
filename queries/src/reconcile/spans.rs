//! Entries in spans, so that what is grouped by entry and line is grouped some at a time.
//! Promise: the spans lie side by side and hold every entry; a table of few rows is one span. Where rows lie in the order of
//! their entries, each span reads its own; where they do not, each reads all, and the memory is still bounded.

use datafusion::{
    arrow::array::{Array, AsArray},
    physical_plan::execute_stream,
};
use tokio::time::Instant;

use crate::{
    answer::Answer,
    error::{Error, Result},
    library::View,
    limits::Limits,
    session::Session,
};

/// Rows of one span, about.
const ROWS: usize = 1_000_000;
/// Each so-manieth row stands for those around it.
const SAMPLE_EVERY: usize = 1000;
const ENTRY: &str = "entry_summary_number";

/// Entries from the first, before the second; an end that is open is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Span(Option<String>, Option<String>);

/// A line of SQL that ends so is followed by the condition that this column lies in the span.
const MARK: &str = "-- span: ";

impl Span {
    /// The question over the entries of the span. Borders are of letters and digits only, so none of them is SQL.
    pub(super) fn within(&self, sql: &str) -> String {
        let mut told = String::with_capacity(sql.len());
        for line in sql.lines() {
            told.push_str(line);
            if let Some((_, column)) = line.split_once(MARK) {
                for (sign, border) in [(">=", &self.0), ("<", &self.1)] {
                    if let Some(border) = border {
                        told.push_str(&format!("\nAND {column} {sign} '{border}'"));
                    }
                }
            }
            told.push('\n');
        }
        told
    }
}

/// Spans of about as many rows each.
pub(super) async fn spans(session: &Session, view: View) -> Result<Vec<Span>> {
    // The history table: where its rows lie is asked, not which hold.
    let plan = session.context().table(view.report().table()).await?.select_columns(&[ENTRY])?.create_physical_plan().await?;
    let rows = plan.partition_statistics(None)?.num_rows;
    if rows.get_value().is_some_and(|rows| *rows <= ROWS) {
        return Ok(vec![Span::default()]);
    }
    let limits = Limits { rows_max: usize::MAX, ..session.limits().clone() };
    let deadline = Instant::now() + limits.time_max;
    let mut answer = Answer::new(execute_stream(plan, session.context().task_ctx())?, deadline, limits);
    let (mut sample, mut seen) = (Vec::new(), 0_usize);
    while let Some(batch) = answer.next().await? {
        let entries = batch.column(0).as_string_opt::<i32>().ok_or_else(|| Error::internal("entry numbers are not text"))?;
        let first = seen.next_multiple_of(SAMPLE_EVERY) - seen;
        let chosen = (first..entries.len()).step_by(SAMPLE_EVERY).filter(|row| entries.is_valid(*row));
        let numbers =
            chosen.map(|row| entries.value(row)).filter(|number| number.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        sample.extend(numbers.map(str::to_owned));
        seen += entries.len();
    }
    Ok(between(borders(sample, seen.div_ceil(ROWS))))
}

/// Entries that cut the sample into so many parts.
fn borders(mut sample: Vec<String>, parts: usize) -> Vec<String> {
    sample.sort_unstable();
    let mut borders: Vec<String> = (1..parts).filter_map(|part| sample.get(part * sample.len() / parts).cloned()).collect();
    borders.dedup();
    borders
}

fn between(borders: Vec<String>) -> Vec<Span> {
    let before = |at: usize| at.checked_sub(1).and_then(|before| borders.get(before)).cloned();
    (0..=borders.len()).map(|at| Span(before(at), borders.get(at).cloned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_lie_side_by_side_and_leave_nothing_out() {
        let sample: Vec<String> = (0..100).rev().map(|at| format!("{at:02}")).collect();
        let told = |sample: Vec<String>, parts| -> Vec<String> {
            let sql = |span: &Span| {
                span.within("WHERE TRUE -- span: entry").replace("WHERE TRUE -- span: entry", "").replace('\n', " ")
            };
            between(borders(sample, parts)).iter().map(|span| sql(span).trim().to_owned()).collect()
        };
        assert_eq!(told(sample, 3), ["AND entry < '33'", "AND entry >= '33' AND entry < '66'", "AND entry >= '66'"]);
        // One entry that is most of the rows is not cut.
        assert_eq!(told(vec!["A".to_owned(); 50], 3), ["AND entry < 'A'", "AND entry >= 'A'"]);
        assert_eq!(told(Vec::new(), 3), [""]);
    }

    #[test]
    fn work_that_is_made_in_spans_says_where_they_apply() {
        for work in [crate::library::Work::Stacks, crate::library::Work::Fees] {
            let cut = Span(Some("A".to_owned()), None).within(work.sql());
            assert!(cut.lines().count() > work.sql().lines().count(), "{}", work.name());
        }
    }
}
