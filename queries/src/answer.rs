//! An answer as it streams out, and the forms it can be written in.
//! Promise: all rows or an error that says why not; never a silent cut.
//! Never: a row over the limit is not handed out, and no time is spent after the deadline.

use std::fmt;

use datafusion::{
    arrow::{array::RecordBatch, datatypes::SchemaRef},
    common::Result as DataFusionResult,
    execution::SendableRecordBatchStream,
};
use futures::StreamExt;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, timeout_at},
};

use crate::{
    error::{Error, Result},
    limits::Limits,
};

mod stream;
mod write;

/// Batches made before the reader asks for them.
const BATCHES_AHEAD: usize = 2;

pub use stream::Wire;
pub use write::Format;

/// The rows of one question. Dropping it stops the work.
pub struct Answer {
    schema: SchemaRef,
    batches: mpsc::Receiver<DataFusionResult<RecordBatch>>,
    /// Stops the work when the answer is dropped.
    work: JoinSet<()>,
    deadline: Instant,
    limits: Limits,
    rows: usize,
    finished: bool,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("columns", &self.schema.fields().len()).field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl Answer {
    pub(crate) fn new(stream: SendableRecordBatchStream, deadline: Instant, limits: Limits) -> Self {
        let schema = stream.schema();
        let (sender, batches) = mpsc::channel(BATCHES_AHEAD);
        let mut work = JoinSet::new();
        // In a task of its own, so that a long step of the work does not hold up the deadline.
        work.spawn(async move {
            let mut stream = stream;
            while let Some(batch) = stream.next().await {
                if sender.send(batch).await.is_err() {
                    break;
                }
            }
        });
        Self { schema, batches, work, deadline, limits, rows: 0, finished: false }
    }

    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// Rows handed out so far.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The next rows, or `None` after the last.
    ///
    /// # Errors
    /// `Limit` when the answer has more rows, takes longer or needs more memory than the session allows:
    /// what was handed out before is then not the whole answer. `Damaged` when a file does not open.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>> {
        if self.finished {
            return Ok(None);
        }
        let outcome = match timeout_at(self.deadline, self.batches.recv()).await {
            Err(_) => Err(out_of_time(&self.limits)),
            Ok(None) => self.ended().await,
            Ok(Some(Err(error))) => Err(error.into()),
            Ok(Some(Ok(batch))) if self.rows.saturating_add(batch.num_rows()) > self.limits.rows_max => Err(Error::limit(
                format!("the answer has more than {} rows; add a LIMIT or raise the row limit", self.limits.rows_max),
            )),
            Ok(Some(Ok(batch))) => Ok(Some(batch)),
        };
        match &outcome {
            Ok(Some(batch)) => self.rows += batch.num_rows(),
            _ => self.finished = true,
        }
        outcome
    }
}

impl Answer {
    /// The channel is closed: the work is done, unless it stopped short, and then the answer is not whole.
    async fn ended(&mut self) -> Result<Option<RecordBatch>> {
        match self.work.join_next().await {
            Some(Err(error)) => Err(Error::internal("the question's work stopped short").with_source(error)),
            _ => Ok(None),
        }
    }
}

pub(crate) fn out_of_time(limits: &Limits) -> Error {
    Error::limit(format!("the question took longer than {:?}; narrow it or raise the time limit", limits.time_max))
}
