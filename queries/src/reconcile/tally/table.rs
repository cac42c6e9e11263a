//! The sums as tables: `work.sums`, an entry a row, made while it is read, and the rows of `work.lines`.
//! Promise: columns and their meaning are those of `sql/work/sums.sql` and `sql/work/lines.sql`.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use datafusion::{
    arrow::{
        array::{ArrayRef, Date32Array, Decimal128Array, Int32Array, Int64Array, RecordBatch, StringArray},
        datatypes::{DataType, Field, Schema, SchemaRef},
        error::ArrowError,
    },
    catalog::Session,
    common::Result as DataFusionResult,
    datasource::{TableProvider, TableType},
    execution::{SendableRecordBatchStream, TaskContext},
    logical_expr::Expr,
    physical_plan::{
        ExecutionPlan,
        stream::RecordBatchStreamAdapter,
        streaming::{PartitionStream, StreamingTableExec},
    },
};
use futures::stream;

use super::{EntrySums, LineSums, NO_NUMBER, NONE, Tally};
use crate::error::Result;

/// Widest there is: sums are of no type that a sum can leave.
const SUM: DataType = DataType::Decimal128(38, 2);
const ROWS_AT_ONCE: usize = 8192;

/// What an entry's lines amount to together.
#[derive(Default)]
struct OfLines {
    rows_2: i64,
    rows_3: i64,
    value_2: Option<i128>,
    duty_2: Option<i128>,
    value_3: Option<i128>,
    both: i64,
    repeated: i64,
    apart: i64,
}

impl LineSums {
    fn is_in_both(&self) -> bool {
        self.rows_2 > 0 && self.rows_3 > 0 && self.number != NO_NUMBER
    }

    fn is_apart(&self) -> bool {
        !(self.is_in_both() && self.value_2 == self.value_3 && self.duty_2 == self.duty_3)
    }
}

impl Tally {
    fn lines_of(&self, entry: &EntrySums) -> impl Iterator<Item = &LineSums> {
        let first = self.lines.get(entry.first as usize).filter(|_| entry.first != NONE);
        std::iter::successors(first, |line| self.lines.get(line.next as usize).filter(|_| line.next != NONE))
    }

    fn of_lines(&self, entry: &EntrySums) -> OfLines {
        let add = |sum: &mut Option<i128>, more: Option<i128>| match (*sum, more) {
            (_, None) => {}
            (known, Some(more)) => *sum = Some(known.unwrap_or(0) + more),
        };
        let mut sums = OfLines::default();
        for line in self.lines_of(entry) {
            sums.rows_2 += i64::from(line.rows_2);
            sums.rows_3 += i64::from(line.rows_3);
            add(&mut sums.value_2, line.value_2.value());
            add(&mut sums.duty_2, line.duty_2.value());
            add(&mut sums.value_3, line.value_3.value());
            sums.both += i64::from(line.is_in_both());
            sums.repeated += i64::from(line.rows_2 > 1 && line.number != NO_NUMBER);
            sums.apart += i64::from(line.is_apart());
        }
        sums
    }

    /// These columns of these entries.
    fn batch(&self, schema: &SchemaRef, from: usize) -> std::result::Result<RecordBatch, ArrowError> {
        let entries = &self.entries[from..(from + ROWS_AT_ONCE).min(self.entries.len())];
        let sums: Vec<OfLines> = entries.iter().map(|entry| self.of_lines(entry)).collect();
        let counts = |of: fn(&OfLines) -> i64| Arc::new(sums.iter().map(of).collect::<Int64Array>()) as ArrayRef;
        let money = |amounts: Decimal128Array| Arc::new(amounts.with_data_type(SUM)) as ArrayRef;
        let of_entries = |of: fn(&EntrySums) -> Option<i128>| money(entries.iter().map(of).collect());
        let of_lines = |of: fn(&OfLines) -> Option<i128>| money(sums.iter().map(of).collect());
        let columns = schema.fields().iter().map(|field| {
            Ok(match field.name().as_str() {
                "entry_summary_number" => {
                    Arc::new(entries.iter().map(|entry| Some(entry.key.text())).collect::<StringArray>()) as ArrayRef
                }
                "entry_type_code" => {
                    let kind = |entry: &EntrySums| usize::from(entry.kind).checked_sub(1).map(|at| self.kinds[at].as_str());
                    Arc::new(entries.iter().map(kind).collect::<StringArray>())
                }
                "entry_date" => {
                    let date = |entry: &EntrySums| (entry.date != NO_NUMBER).then_some(entry.date);
                    Arc::new(entries.iter().map(date).collect::<Date32Array>())
                }
                "rows_1" => Arc::new(entries.iter().map(|entry| i64::from(entry.rows_1)).collect::<Int64Array>()),
                "rows_2" => counts(|sums| sums.rows_2),
                "rows_3" => counts(|sums| sums.rows_3),
                "value_1" => of_entries(|entry| entry.value_1.value()),
                "duty_1" => of_entries(|entry| entry.duty_1.value()),
                "mpf_1" => of_entries(|entry| entry.mpf_1.value()),
                "value_2" => of_lines(|sums| sums.value_2),
                "duty_2" => of_lines(|sums| sums.duty_2),
                "mpf_2" => of_entries(|entry| entry.mpf_2.value()),
                "value_3" => of_lines(|sums| sums.value_3),
                "lines_both" => counts(|sums| sums.both),
                "lines_repeated" => counts(|sums| sums.repeated),
                "lines_apart" => counts(|sums| sums.apart),
                other => return Err(ArrowError::SchemaError(format!("work.sums has no column {other}"))),
            })
        });
        RecordBatch::try_new(schema.clone(), columns.collect::<std::result::Result<_, ArrowError>>()?)
    }
}

/// `work.lines`: the lines of entries in which a line differs, or stands twice.
pub(in crate::reconcile) fn lines_that_differ(tally: &Tally) -> Result<RecordBatch> {
    let mut lines: Vec<(&EntrySums, &LineSums)> = Vec::new();
    for entry in &tally.entries {
        let sums = tally.of_lines(entry);
        if sums.repeated > 0 || (sums.rows_2 > 0 && sums.rows_3 > 0 && sums.apart > 0) {
            lines.extend(tally.lines_of(entry).map(|line| (entry, line)));
        }
    }
    let counts = |of: fn(&LineSums) -> u32| {
        Arc::new(lines.iter().map(|(_, line)| i64::from(of(line))).collect::<Int64Array>()) as ArrayRef
    };
    let money = |of: fn(&LineSums) -> Option<i128>| {
        let amounts: Decimal128Array = lines.iter().map(|(_, line)| of(line)).collect();
        Arc::new(amounts.with_data_type(SUM)) as ArrayRef
    };
    let number = |line: &LineSums| (line.number != NO_NUMBER).then_some(line.number);
    let columns = [
        (
            "entry_summary_number",
            Arc::new(lines.iter().map(|(entry, _)| Some(entry.key.text())).collect::<StringArray>()) as ArrayRef,
        ),
        ("entry_summary_line_number", Arc::new(lines.iter().map(|(_, line)| number(line)).collect::<Int32Array>())),
        ("rows_2", counts(|line| line.rows_2)),
        ("rows_3", counts(|line| line.rows_3)),
        ("value_2", money(|line| line.value_2.value())),
        ("duty_2", money(|line| line.duty_2.value())),
        ("value_3", money(|line| line.value_3.value())),
        ("duty_3", money(|line| line.duty_3.value())),
    ];
    Ok(RecordBatch::try_from_iter_with_nullable(columns.map(|(name, cells)| (name, cells, true)))?)
}

/// `work.sums`.
#[derive(Debug)]
pub(in crate::reconcile) struct SumsTable {
    tally: Arc<Tally>,
    schema: SchemaRef,
}

impl SumsTable {
    pub(in crate::reconcile) fn new(tally: Arc<Tally>) -> Self {
        let amounts = ["value_1", "duty_1", "mpf_1", "value_2", "duty_2", "mpf_2", "value_3"].map(|name| (name, SUM));
        let counts = ["rows_1", "rows_2", "rows_3"].map(|name| (name, DataType::Int64));
        let lines = ["lines_both", "lines_repeated", "lines_apart"].map(|name| (name, DataType::Int64));
        let keys =
            [("entry_summary_number", DataType::Utf8), ("entry_type_code", DataType::Utf8), ("entry_date", DataType::Date32)];
        let all = keys.into_iter().chain(counts).chain(amounts).chain(lines);
        let schema = Schema::new(all.map(|(name, kind)| Field::new(name, kind, true)).collect::<Vec<_>>());
        Self { tally, schema: Arc::new(schema) }
    }
}

#[async_trait]
impl TableProvider for SumsTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => self.schema.clone(),
        };
        let count = state.config().target_partitions().max(1);
        let parts = (0..count).map(|part| {
            let schema = schema.clone();
            Arc::new(Part { tally: self.tally.clone(), schema, part, count }) as Arc<dyn PartitionStream>
        });
        Ok(Arc::new(StreamingTableExec::try_new(schema.clone(), parts.collect(), None, [], false, limit)?))
    }
}

/// Every n-th batch.
struct Part {
    tally: Arc<Tally>,
    schema: SchemaRef,
    part: usize,
    count: usize,
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sums, part {} of {}", self.part, self.count)
    }
}

impl PartitionStream for Part {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (tally, schema) = (self.tally.clone(), self.schema.clone());
        let starts = (self.part * ROWS_AT_ONCE..tally.entries.len()).step_by(self.count * ROWS_AT_ONCE);
        let batches = starts.map(move |from| Ok(tally.batch(&schema, from)?));
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), stream::iter(batches)))
    }
}
