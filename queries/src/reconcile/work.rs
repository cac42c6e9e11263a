//! Tables that several checks share, `work.*`: each is made once for a session, when the first check needs it.
//! Promise: the views are read once for all checks of a kind. What agrees is not kept: a table with a column `kept` leaves
//! out the other rows and counts them. What is kept counts against the session's memory.
//! Never: nothing here outlives its session, and nothing goes to disk.

use std::{collections::BTreeSet, sync::Arc};

use datafusion::{
    arrow::{
        array::{AsArray, BooleanArray, RecordBatch},
        compute::filter_record_batch,
        datatypes::{Schema, SchemaRef},
    },
    dataframe::DataFrame,
    datasource::{MemTable, TableProvider},
    execution::memory_pool::{MemoryConsumer, MemoryReservation},
    physical_plan::execute_stream,
};
use tokio::{sync::OnceCell, time::Instant};

use super::{
    entries::of_entries,
    spans::spans,
    tally::{SumsTable, Tally, lines_that_differ},
};
use crate::{
    answer::Answer,
    error::{Error, Result},
    library::{SUMS, View, Work},
    limits::Limits,
    session::Session,
};

/// The schema in which they lie.
pub(crate) const WORK: &str = "work";
const KEPT: &str = "kept";
/// What `work.entries` is made of, there while it is made.
const SUMS_NAME: &str = "sums";

/// What a session has made so far.
#[derive(Debug, Default)]
pub(crate) struct Works {
    made: [OnceCell<Made>; Work::ALL.len()],
}

#[derive(Debug)]
struct Made {
    /// Rows that were left out, since everything in them agrees.
    agreeing: u64,
    /// Held for as long as the table is.
    _memory: MemoryReservation,
}

/// The column of `work.entries` that counts a report's rows.
pub(super) fn rows_of(view: View) -> &'static str {
    match view {
        View::EntrySummaries => "rows_1",
        View::EntryLines => "rows_2",
        View::TariffLines => "rows_3",
    }
}

impl Session {
    /// Makes the table unless it is there; answers how many rows agreed and were left out.
    pub(super) async fn prepare(&self, work: Work) -> Result<u64> {
        let made = match work {
            Work::Entries => self.compared().await?,
            Work::Lines => {
                self.compared().await?;
                self.of(work).get_or_try_init(|| self.make_lines()).await?
            }
            Work::Stacks => self.of(work).get_or_try_init(|| self.make_in_spans(work, View::TariffLines)).await?,
            Work::Fees => self.of(work).get_or_try_init(|| self.make_in_spans(work, View::EntryLines)).await?,
            Work::Rates | Work::Numbers => self.of(work).get_or_try_init(|| self.make(work)).await?,
        };
        Ok(made.agreeing)
    }

    fn of(&self, work: Work) -> &OnceCell<Made> {
        &self.works().made[work as usize]
    }

    async fn compared(&self) -> Result<&Made> {
        self.of(Work::Entries).get_or_try_init(|| self.make_entries()).await
    }

    /// Adds the views up in one reading, which gives the lines of the entries that differ as well.
    async fn make_entries(&self) -> Result<Made> {
        let tally = Tally::of(self).await?.map(Arc::new);
        let sums: Arc<dyn TableProvider> = match &tally {
            Some(tally) => Arc::new(SumsTable::new(tally.clone())),
            None => self.context().sql(SUMS).await?.into_view(),
        };
        self.schema(WORK)?.register_table(SUMS_NAME.to_owned(), sums)?;
        let made = self.make(Work::Entries).await;
        self.schema(WORK)?.deregister_table(SUMS_NAME)?;
        let made = made?;
        if let Some(tally) = tally {
            let lines = lines_that_differ(&tally)?;
            let lines = self.keep(Work::Lines, lines.schema(), vec![lines], 0)?;
            // Nobody else makes the lines before the entries are there.
            let _ = self.of(Work::Lines).set(lines);
        }
        Ok(made)
    }

    /// Only the lines of entries in which lines differ: most entries agree, and their lines need not be added up again.
    async fn make_lines(&self) -> Result<Made> {
        let sql = "SELECT entry_summary_number FROM work.entries WHERE lines_repeated > 0 OR (rows_2 > 0 AND rows_3 > 0 AND lines_apart > 0)";
        let mut entries = BTreeSet::new();
        for batch in self.rows(sql).await? {
            let numbers = batch.column(0).as_string_opt::<i32>().ok_or_else(|| Error::internal("entry numbers are not text"))?;
            entries.extend(numbers.iter().flatten().map(str::to_owned));
        }
        let frame = of_entries(self, self.context().sql(Work::Lines.sql()).await?, entries)?;
        self.make_of(Work::Lines, vec![frame]).await
    }

    /// Some entries at a time, since the groups of all lines may be more than the session's memory.
    async fn make_in_spans(&self, work: Work, view: View) -> Result<Made> {
        let mut frames = Vec::new();
        for span in spans(self, view).await? {
            frames.push(self.context().sql(&span.within(work.sql())).await?);
        }
        self.make_of(work, frames).await
    }

    async fn make(&self, work: Work) -> Result<Made> {
        let frame = self.context().sql(work.sql()).await?;
        self.make_of(work, vec![frame]).await
    }

    /// The rows of these questions, one after the other.
    async fn make_of(&self, work: Work, frames: Vec<DataFrame>) -> Result<Made> {
        let context = self.context();
        let limits = Limits { rows_max: usize::MAX, ..self.limits().clone() };
        let deadline = Instant::now() + limits.time_max;
        let (mut schema, mut batches, mut agreeing) = (None, Vec::new(), 0);
        let memory = self.memory(work);
        for frame in frames {
            let plan = frame.create_physical_plan().await?;
            let mut answer = Answer::new(execute_stream(plan, context.task_ctx())?, deadline, limits.clone());
            schema.get_or_insert(without_kept(&answer.schema())?);
            while let Some(batch) = answer.next().await? {
                let (batch, left_out) = kept(batch)?;
                agreeing += left_out;
                if batch.num_rows() > 0 {
                    memory.try_grow(batch.get_array_memory_size())?;
                    batches.push(batch);
                }
            }
        }
        // What is kept is counted anew, by one reservation.
        drop(memory);
        let schema = schema.ok_or_else(|| Error::internal("a work table is made of no question"))?;
        self.keep(work, schema, batches, agreeing)
    }

    fn memory(&self, work: Work) -> MemoryReservation {
        MemoryConsumer::new(format!("{WORK}.{}", work.name())).register(&self.context().runtime_env().memory_pool)
    }

    /// Shows the rows as this table.
    fn keep(&self, work: Work, schema: SchemaRef, batches: Vec<RecordBatch>, agreeing: u64) -> Result<Made> {
        let memory = self.memory(work);
        memory.try_grow(batches.iter().map(RecordBatch::get_array_memory_size).sum())?;
        let table = MemTable::try_new(schema, vec![batches])?;
        self.schema(WORK)?.register_table(work.name().to_owned(), Arc::new(table))?;
        Ok(Made { agreeing, _memory: memory })
    }
}

/// The rows to keep, without the column that says so, and how many were left out.
fn kept(batch: RecordBatch) -> Result<(RecordBatch, u64)> {
    let Some(at) = batch.schema().fields().iter().position(|field| field.name() == KEPT) else { return Ok((batch, 0)) };
    let mask = batch.column(at).as_boolean_opt().ok_or_else(|| Error::internal("`kept` is no truth value"))?;
    let mask: BooleanArray = mask.iter().map(|kept| Some(kept.unwrap_or(true))).collect();
    let filtered = filter_record_batch(&batch, &mask)?;
    let left_out = batch.num_rows() - filtered.num_rows();
    let others: Vec<usize> = (0..filtered.num_columns()).filter(|column| *column != at).collect();
    Ok((filtered.project(&others)?, left_out as u64))
}

fn without_kept(schema: &Schema) -> Result<Arc<Schema>> {
    let others: Vec<usize> = (0..schema.fields().len()).filter(|at| schema.field(*at).name() != KEPT).collect();
    Ok(Arc::new(schema.project(&others)?))
}
