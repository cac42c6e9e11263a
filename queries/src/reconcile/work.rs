//! Tables that several checks share, `work.*`: each is made once for a session, when the first check needs it.
//! Promise: the views are read once for all checks of a kind. What agrees is not kept: a table with a column `kept` leaves
//! out the other rows and counts them. What is kept counts against the session's memory.
//! Never: nothing here outlives its session, and nothing goes to disk.

use std::{collections::BTreeSet, sync::Arc};

use datafusion::{
    arrow::{
        array::{AsArray, BooleanArray, RecordBatch},
        compute::filter_record_batch,
        datatypes::Schema,
    },
    datasource::MemTable,
    execution::memory_pool::{MemoryConsumer, MemoryReservation},
    physical_plan::execute_stream,
};
use tokio::{sync::OnceCell, time::Instant};

use super::entries::of_entries;
use crate::{
    answer::Answer,
    error::{Error, Result},
    library::{View, Work},
    limits::Limits,
    session::Session,
};

/// The schema in which they lie.
pub(crate) const WORK: &str = "work";
const KEPT: &str = "kept";

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
        let cell = &self.works().made[work as usize];
        let made = match work {
            Work::Lines => {
                Box::pin(self.prepare_other(Work::Entries)).await?;
                cell.get_or_try_init(|| self.make_lines()).await?
            }
            work => cell.get_or_try_init(|| self.make(work, None)).await?,
        };
        Ok(made.agreeing)
    }

    async fn prepare_other(&self, work: Work) -> Result<()> {
        self.works().made[work as usize].get_or_try_init(|| self.make(work, None)).await.map(|_| ())
    }

    /// Only the lines of entries in which lines differ: most entries agree, and their lines need not be added up again.
    async fn make_lines(&self) -> Result<Made> {
        let sql = "SELECT entry_summary_number FROM work.entries WHERE lines_repeated > 0 OR (rows_2 > 0 AND rows_3 > 0 AND lines_apart > 0)";
        let mut entries = BTreeSet::new();
        for batch in self.rows(sql).await? {
            let numbers = batch.column(0).as_string_opt::<i32>().ok_or_else(|| Error::internal("entry numbers are not text"))?;
            entries.extend(numbers.iter().flatten().map(str::to_owned));
        }
        self.make(Work::Lines, Some(entries)).await
    }

    async fn make(&self, work: Work, only: Option<BTreeSet<String>>) -> Result<Made> {
        let context = self.context();
        let mut frame = context.sql(work.sql()).await?;
        if let Some(entries) = only {
            frame = of_entries(self, frame, entries)?;
        }
        let plan = frame.create_physical_plan().await?;
        let stream = execute_stream(plan, context.task_ctx())?;
        let limits = Limits { rows_max: usize::MAX, ..self.limits().clone() };
        let mut answer = Answer::new(stream, Instant::now() + limits.time_max, limits);
        let memory = MemoryConsumer::new(format!("{WORK}.{}", work.name())).register(&context.runtime_env().memory_pool);
        let (mut batches, mut agreeing) = (Vec::new(), 0);
        while let Some(batch) = answer.next().await? {
            let (batch, left_out) = kept(batch)?;
            agreeing += left_out;
            memory.try_grow(batch.get_array_memory_size())?;
            batches.push(batch);
        }
        let schema = batches.first().map_or_else(|| without_kept(&answer.schema()), |batch| Ok(batch.schema()))?;
        let table = MemTable::try_new(schema, vec![batches])?;
        let schema = context.catalog(crate::session::CATALOG).and_then(|catalog| catalog.schema(WORK));
        let schema = schema.ok_or_else(|| Error::internal("the session has no schema for work tables"))?;
        schema.register_table(work.name().to_owned(), Arc::new(table))?;
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
