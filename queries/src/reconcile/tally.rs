//! The sums of the tie-out, added up while the three views are read once each: `work.sums` and `work.lines` without a join.
//! Promise: the same rows as `sql/work/sums.sql` and `sql/work/lines.sql`, which a test holds it to. What does not fit its
//! narrow columns, or would take long, is handed back, and then those files are asked.
//! Never: no answer rests on the order of the rows. Rows of an entry that stand together, entries that come in the same order in
//! each report, only make it quick: then nothing is looked up.

use datafusion::{
    arrow::{
        array::{Array, AsArray, PrimitiveArray, RecordBatch, StringArray},
        datatypes::{DataType, Date32Type, Decimal128Type, Int32Type},
    },
    execution::memory_pool::{MemoryConsumer, MemoryReservation},
    physical_plan::execute_stream,
};
use tokio::time::Instant;

use crate::{answer::Answer, error::Result, library::View, limits::Limits, session::Session};

mod amounts;
mod index;
mod table;

use amounts::{Cents, Key};
use index::Index;
pub(super) use table::{SumsTable, lines_that_differ};

/// No row, no line, no date.
const NONE: u32 = u32::MAX;
const NO_NUMBER: i32 = i32::MIN;
/// A line is found where it is looked for first, or by going through its entry's lines: as many steps a row, on the average.
const STEPS_PER_ROW_MAX: u64 = 64;
const STEPS_FREE: u64 = 1 << 20;
/// Entry types are some thirty.
const KINDS_MAX: usize = 1000;

/// Columns of each view, in the order in which they are read.
const COLUMNS: [(View, &[(&str, DataType)]); 3] = [
    (
        View::EntrySummaries,
        &[
            ("entry_summary_number", DataType::Utf8),
            ("entry_type_code", DataType::Utf8),
            ("entry_date", DataType::Date32),
            ("total_goods_value_amount", MONEY),
            ("total_duty_amount", MONEY),
            ("total_paid_mpf_amount", MONEY),
        ],
    ),
    (
        View::EntryLines,
        &[
            ("entry_summary_number", DataType::Utf8),
            ("entry_summary_line_number", DataType::Int32),
            ("line_goods_value_amount", MONEY),
            ("line_duty_amount", MONEY),
            ("line_mpf_amount", MONEY),
        ],
    ),
    (
        View::TariffLines,
        &[
            ("entry_summary_number", DataType::Utf8),
            ("entry_summary_line_number", DataType::Int32),
            ("line_tariff_goods_value_amount", MONEY),
            ("line_tariff_duty_amount", MONEY),
        ],
    ),
];
const MONEY: DataType = DataType::Decimal128(18, 2);

/// What one entry amounts to; what its lines amount to is added up when it is asked for.
#[derive(Debug)]
struct EntrySums {
    key: Key,
    value_1: Cents,
    duty_1: Cents,
    mpf_1: Cents,
    mpf_2: Cents,
    rows_1: u32,
    /// Days since 1970.
    date: i32,
    /// Place among the kinds, from 1; 0 is none.
    kind: u16,
    /// Its lines are a chain; `found` is where the last row went, `number_max` the greatest line number.
    first: u32,
    last: u32,
    found: u32,
    number_max: i32,
}

/// What one line amounts to in ES-002 and in ES-003.
#[derive(Debug)]
struct LineSums {
    number: i32,
    next: u32,
    rows_2: u32,
    rows_3: u32,
    value_2: Cents,
    duty_2: Cents,
    value_3: Cents,
    duty_3: Cents,
}

/// All entries and lines of the current truth.
#[derive(Debug)]
pub(super) struct Tally {
    entries: Vec<EntrySums>,
    lines: Vec<LineSums>,
    by_key: Index,
    kinds: Vec<String>,
    /// The entry of the row before.
    at: usize,
    rows: u64,
    steps: u64,
    memory: MemoryReservation,
}

/// Why rows are not added up here: an amount, a text or a table is larger than its column.
#[derive(Debug)]
struct TooLarge;

impl Tally {
    /// Reads the three views. `None` when they hold something that this does not add up.
    ///
    /// # Errors
    /// `Limit` when there is too little memory or time; `Damaged` when a file does not open.
    pub(super) async fn of(session: &Session) -> Result<Option<Self>> {
        let memory = MemoryConsumer::new("work.sums").register(&session.context().runtime_env().memory_pool);
        let mut tally = Self {
            entries: Vec::new(),
            lines: Vec::new(),
            by_key: Index::new(),
            kinds: Vec::new(),
            at: 0,
            rows: 0,
            steps: 0,
            memory,
        };
        for (view, columns) in COLUMNS {
            if tally.read(session, view, columns).await?.is_err() {
                tracing::debug!(name: "tally.too_large", view = view.name());
                return Ok(None);
            }
        }
        Ok(Some(tally))
    }

    async fn read(
        &mut self,
        session: &Session,
        view: View,
        columns: &[(&str, DataType)],
    ) -> Result<std::result::Result<(), TooLarge>> {
        let context = session.context();
        let table = context.table(view.name()).await?;
        let fits = |(name, kind): &(&str, DataType)| {
            table.schema().field_with_unqualified_name(name).is_ok_and(|field| field.data_type() == kind)
        };
        if !columns.iter().all(fits) {
            return Ok(Err(TooLarge));
        }
        let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        let plan = table.select_columns(&names)?.create_physical_plan().await?;
        let expected = plan.partition_statistics(None)?.num_rows.get_value().copied().unwrap_or(0);
        match view {
            View::EntrySummaries => {
                self.entries.reserve_exact(expected);
                self.by_key.reserve(expected, |at| self.entries[at as usize].key);
            }
            View::EntryLines => self.lines.reserve_exact(expected),
            View::TariffLines => {}
        }
        let limits = Limits { rows_max: usize::MAX, ..session.limits().clone() };
        let mut answer = Answer::new(execute_stream(plan, context.task_ctx())?, Instant::now() + limits.time_max, limits);
        while let Some(batch) = answer.next().await? {
            self.memory.try_resize(self.bytes())?;
            let added = match view {
                View::EntrySummaries => self.add_entries(&batch),
                View::EntryLines => self.add_lines(&batch, Side::Lines),
                View::TariffLines => self.add_lines(&batch, Side::Tariffs),
            };
            if added.is_err() {
                return Ok(Err(TooLarge));
            }
        }
        self.memory.try_resize(self.bytes())?;
        Ok(Ok(()))
    }

    fn bytes(&self) -> usize {
        self.entries.capacity() * size_of::<EntrySums>() + self.lines.capacity() * size_of::<LineSums>() + self.by_key.bytes()
    }

    fn add_entries(&mut self, batch: &RecordBatch) -> std::result::Result<(), TooLarge> {
        let (numbers, kinds) = (texts(batch, 0)?, texts(batch, 1)?);
        let dates = batch.column(2).as_primitive_opt::<Date32Type>().ok_or(TooLarge)?;
        let [values, duties, fees] = [money(batch, 3)?, money(batch, 4)?, money(batch, 5)?];
        for row in (0..batch.num_rows()).filter(|row| numbers.is_valid(*row)) {
            let at = self.entry(numbers.value(row))?;
            let kind = match kinds.is_valid(row) {
                true => self.kind(kinds.value(row))?,
                false => 0,
            };
            let known = self.entries[at].kind;
            let greater = kind > 0 && (known == 0 || self.kinds[usize::from(kind) - 1] > self.kinds[usize::from(known) - 1]);
            let entry = &mut self.entries[at];
            entry.rows_1 += 1;
            if greater {
                entry.kind = kind;
            }
            if dates.is_valid(row) {
                entry.date = entry.date.max(dates.value(row));
            }
            entry.value_1.add(values, row)?;
            entry.duty_1.add(duties, row)?;
            entry.mpf_1.add(fees, row)?;
        }
        Ok(())
    }

    fn add_lines(&mut self, batch: &RecordBatch, side: Side) -> std::result::Result<(), TooLarge> {
        let numbers = texts(batch, 0)?;
        let line_numbers = batch.column(1).as_primitive_opt::<Int32Type>().ok_or(TooLarge)?;
        let (values, duties) = (money(batch, 2)?, money(batch, 3)?);
        let fees = match side {
            Side::Lines => Some(money(batch, 4)?),
            Side::Tariffs => None,
        };
        self.rows += batch.num_rows() as u64;
        let mut last: Option<(&str, usize)> = None;
        for row in (0..batch.num_rows()).filter(|row| numbers.is_valid(*row)) {
            let number = numbers.value(row);
            let at = match last {
                Some((same, at)) if same == number => at,
                _ => self.entry(number)?,
            };
            last = Some((number, at));
            let line = match line_numbers.is_valid(row) {
                true => line_numbers.value(row),
                false => NO_NUMBER,
            };
            if line == NO_NUMBER && line_numbers.is_valid(row) {
                return Err(TooLarge);
            }
            let line = self.line(at, line)?;
            let sums = &mut self.lines[line];
            match side {
                Side::Lines => {
                    sums.rows_2 += 1;
                    sums.value_2.add(values, row)?;
                    sums.duty_2.add(duties, row)?;
                }
                Side::Tariffs => {
                    sums.rows_3 += 1;
                    sums.value_3.add(values, row)?;
                    sums.duty_3.add(duties, row)?;
                }
            }
            if let Some(fees) = fees {
                self.entries[at].mpf_2.add(fees, row)?;
            }
        }
        match self.steps > STEPS_FREE + self.rows * STEPS_PER_ROW_MAX {
            true => Err(TooLarge),
            false => Ok(()),
        }
    }

    /// The place of this entry: where it was, after it, or wherever it is.
    fn entry(&mut self, number: &str) -> std::result::Result<usize, TooLarge> {
        let key = Key::of(number).ok_or(TooLarge)?;
        for at in [self.at + 1, self.at] {
            if self.entries.get(at).is_some_and(|entry| entry.key == key) {
                self.at = at;
                return Ok(at);
            }
        }
        let next = place(self.entries.len())?;
        let at = self.by_key.find_or_put(&key, next, |at| self.entries[at as usize].key);
        if at == next {
            self.entries.push(EntrySums {
                key,
                value_1: Cents::NONE,
                duty_1: Cents::NONE,
                mpf_1: Cents::NONE,
                mpf_2: Cents::NONE,
                rows_1: 0,
                date: NO_NUMBER,
                kind: 0,
                first: NONE,
                last: NONE,
                found: NONE,
                number_max: NO_NUMBER,
            });
        }
        self.at = at as usize;
        Ok(self.at)
    }

    /// The place of this line of the entry: where the row before went, after it, new behind all, or wherever it is.
    fn line(&mut self, entry: usize, number: i32) -> std::result::Result<usize, TooLarge> {
        let EntrySums { first, last, found, number_max, .. } = self.entries[entry];
        let at = if first == NONE || number > number_max {
            self.append(entry, last, number)?
        } else {
            let after = if found == NONE { first } else { self.lines[found as usize].next };
            let quick =
                [found, after].into_iter().find(|at| self.lines.get(*at as usize).is_some_and(|line| line.number == number));
            match quick.or_else(|| self.walk(first, number)) {
                Some(at) => at,
                None => self.append(entry, last, number)?,
            }
        };
        self.entries[entry].found = at;
        Ok(at as usize)
    }

    fn walk(&mut self, first: u32, number: i32) -> Option<u32> {
        let mut at = first;
        while at != NONE {
            self.steps += 1;
            let line = &self.lines[at as usize];
            if line.number == number {
                return Some(at);
            }
            at = line.next;
        }
        None
    }

    fn append(&mut self, entry: usize, last: u32, number: i32) -> std::result::Result<u32, TooLarge> {
        let at = place(self.lines.len())?;
        let (value_2, duty_2, value_3, duty_3) = (Cents::NONE, Cents::NONE, Cents::NONE, Cents::NONE);
        self.lines.push(LineSums { number, next: NONE, rows_2: 0, rows_3: 0, value_2, duty_2, value_3, duty_3 });
        match self.lines.get_mut(last as usize) {
            Some(line) if last != NONE => line.next = at,
            _ => self.entries[entry].first = at,
        }
        let entry = &mut self.entries[entry];
        entry.last = at;
        entry.number_max = entry.number_max.max(number);
        Ok(at)
    }

    /// The place of an entry type among the known ones, from 1.
    fn kind(&mut self, kind: &str) -> std::result::Result<u16, TooLarge> {
        let at = match self.kinds.iter().position(|known| known == kind) {
            Some(at) => at,
            None if self.kinds.len() == KINDS_MAX => return Err(TooLarge),
            None => {
                self.kinds.push(kind.to_owned());
                self.kinds.len() - 1
            }
        };
        u16::try_from(at + 1).map_err(|_| TooLarge)
    }
}

/// Which report a line's row is of.
#[derive(Clone, Copy)]
enum Side {
    Lines,
    Tariffs,
}

fn place(at: usize) -> std::result::Result<u32, TooLarge> {
    u32::try_from(at).ok().filter(|at| *at != NONE).ok_or(TooLarge)
}

fn texts(batch: &RecordBatch, column: usize) -> std::result::Result<&StringArray, TooLarge> {
    batch.column(column).as_string_opt::<i32>().ok_or(TooLarge)
}

fn money(batch: &RecordBatch, column: usize) -> std::result::Result<&PrimitiveArray<Decimal128Type>, TooLarge> {
    batch.column(column).as_primitive_opt::<Decimal128Type>().ok_or(TooLarge)
}

#[cfg(test)]
mod tests;
