//! Columns: typed cells gather into the builders of one batch, which become a record batch of the table's schema.
//! Promise: the batch has exactly `table::schema` of the binding's columns; each row appends to every builder once.
//! Never: a cell that fails its type leaves null here, not a guess.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, Date32Builder, Decimal128Builder, Int32Builder, Int64Array, ListBuilder, MapBuilder, MapFieldNames,
        PrimitiveBuilder, RecordBatch, StringBuilder, TimestampMicrosecondArray, new_null_array,
    },
    compute::cast,
    datatypes::{ArrowPrimitiveType, DataType, Field, Schema, SchemaRef},
};
use bonded_schemas::{Column, ColumnType, WarningRule, table};

use super::{
    Stamp,
    date::{BEFORE_1990, DateOrder, DateOrders, Shown, TWO_DATES, date, order_shown},
    repair::{Form, Mends, plain},
    texts::{self, EMPTY_WORD, NO_WORD, Texts},
    validate::FUTURE_DAYS_MAX,
    value::{Parsed, integer, lost_invisible, meant, money, quantity},
};

/// What became of one cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    AsIs,
    Noted(Note),
}

/// What there is to tell of a cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Note {
    /// For `_repairs`.
    pub mends: Mends,
    /// Read, and still worth a look.
    pub doubt: Option<WarningRule>,
    /// Not of its type: null here, with the reason.
    pub failed: Option<&'static str>,
}

impl Kept {
    #[inline]
    fn noted(mends: Mends, doubt: Option<WarningRule>) -> Self {
        if mends == Mends::NONE && doubt.is_none() { Kept::AsIs } else { Kept::Noted(Note { mends, doubt, failed: None }) }
    }

    fn with(self, mend: Mends) -> Self {
        let note = match self {
            Kept::AsIs => Note::default(),
            Kept::Noted(note) => note,
        };
        // What was done to a text that was of no use is not told: the text is kept as it came.
        let mends = if note.failed.is_some() { note.mends } else { note.mends | mend };
        Kept::Noted(Note { mends, ..note })
    }
}

/// The builder of one column.
enum Cells {
    Text {
        builder: Texts,
        form: Form,
    },
    Integer(Int32Builder),
    Money {
        builder: Decimal128Builder,
        sum: i128,
    },
    Quantity(Decimal128Builder),
    Date {
        builder: Date32Builder,
        days_max: i32,
        read_as: DateOrder,
        shown: Shown,
        /// What the last date shows.
        last_shows: Option<DateOrder>,
    },
    /// The file has no such column.
    Absent(DataType),
}

impl Cells {
    fn new(column: &Column, present: bool, rows: usize) -> Self {
        if !present {
            return Cells::Absent(column.kind.arrow());
        }
        let decimal = || Decimal128Builder::with_capacity(rows).with_data_type(column.kind.arrow());
        match column.kind {
            ColumnType::Text(_) => Cells::Text { builder: Texts::with_capacity(rows), form: Form::of(column) },
            ColumnType::Integer => Cells::Integer(Int32Builder::with_capacity(rows)),
            ColumnType::Money => Cells::Money { builder: decimal(), sum: 0 },
            ColumnType::Quantity => Cells::Quantity(decimal()),
            ColumnType::Date => {
                let builder = Date32Builder::with_capacity(rows);
                let shown = Shown::default();
                Cells::Date { builder, days_max: i32::MAX, read_as: DateOrder::default(), shown, last_shows: None }
            }
        }
    }

    /// `text` as the file has it, without quotes.
    #[inline]
    fn append(&mut self, text: &str) -> Kept {
        self.append_as(text, meant(text))
    }

    #[inline]
    fn append_as(&mut self, text: &str, meant: &str) -> Kept {
        if meant.len() == text.len() { self.append_meant(meant) } else { self.append_trimmed(text, meant) }
    }

    /// Out of line, so that a cell without blanks around it pays nothing for the look at them.
    #[inline(never)]
    fn append_trimmed(&mut self, text: &str, meant: &str) -> Kept {
        let kept = self.append_meant(meant);
        if lost_invisible(text, meant) { kept.with(Mends::INVISIBLE) } else { kept }
    }

    /// `text` is what the cell means: trimmed and unwrapped.
    #[inline]
    fn append_meant(&mut self, text: &str) -> Kept {
        if text.is_empty() {
            self.append_null();
            return Kept::AsIs;
        }
        // Nearly all text, and most cells are text.
        if let Cells::Text { builder, form } = self
            && form.fits(text)
        {
            builder.append(text, true);
            return Kept::AsIs;
        }
        match self.typed(text) {
            Ok(kept) => kept,
            Err(reason) => self.append_unusual(text, reason),
        }
    }

    /// Appends one value, or nothing and the reason.
    #[inline]
    fn typed(&mut self, text: &str) -> Parsed<Kept> {
        let bytes = text.as_bytes();
        match self {
            Cells::Text { builder, form } => {
                let mended = form.mend(text)?;
                builder.append(&mended.text, false);
                Ok(Kept::noted(mended.mends, mended.doubt))
            }
            Cells::Integer(builder) => {
                builder.append_value(integer(bytes)?);
                Ok(Kept::AsIs)
            }
            Cells::Money { builder, sum } => {
                let cents = money(bytes)?;
                builder.append_value(cents);
                *sum += cents;
                Ok(Kept::noted(Mends::NONE, (cents < 0).then_some(WarningRule::MoneyNegative)))
            }
            Cells::Quantity(builder) => {
                builder.append_value(quantity(bytes)?);
                Ok(Kept::AsIs)
            }
            Cells::Date { builder, days_max, read_as, shown, last_shows } => {
                let date = date(bytes, *read_as)?;
                builder.append_value(date.days);
                shown.count(date.shows);
                *last_shows = date.shows;
                Ok(Kept::noted(date.mends, (date.days > *days_max).then_some(WarningRule::DateFarFuture)))
            }
            Cells::Absent(_) => Err("no such column in this file"),
        }
    }

    /// A cell that fails its type as it stands: once more in ASCII, if it only looks like it; null otherwise.
    #[cold]
    fn append_unusual(&mut self, text: &str, reason: &'static str) -> Kept {
        if !matches!(self, Cells::Text { .. })
            && let Some((plain, mends)) = plain(text)
            && let Ok(kept) = self.typed(&plain)
        {
            return kept.with(mends);
        }
        self.append_null();
        let doubt = match self {
            Cells::Date { .. } if reason == BEFORE_1990 => Some(WarningRule::DateBefore1990),
            Cells::Date { .. } if reason == TWO_DATES => Some(WarningRule::DateOrderMixed),
            Cells::Date { shown, .. } => {
                let order = order_shown(text.as_bytes());
                shown.count(order);
                order.map(|_| WarningRule::DateOrderMixed)
            }
            _ => None,
        };
        Kept::Noted(Note { mends: Mends::NONE, doubt, failed: Some(reason) })
    }

    fn append_null(&mut self) {
        self.append_nulls(1);
    }

    fn append_nulls(&mut self, count: usize) {
        match self {
            Cells::Text { builder, .. } => builder.append_nulls(count),
            Cells::Integer(builder) => builder.append_nulls(count),
            Cells::Money { builder, .. } | Cells::Quantity(builder) => builder.append_nulls(count),
            Cells::Date { builder, .. } => builder.append_nulls(count),
            Cells::Absent(_) => {}
        }
    }

    /// The last value, which was as it is, so many times more; with all that its cell did to what is counted here.
    fn repeat(&mut self, count: usize) {
        match self {
            Cells::Text { builder, .. } => builder.repeat(count),
            Cells::Integer(builder) => _ = repeat(builder, count),
            Cells::Money { builder, sum } => *sum += repeat(builder, count).unwrap_or(0) * count as i128,
            Cells::Quantity(builder) => _ = repeat(builder, count),
            Cells::Date { builder, shown, last_shows, .. } => {
                repeat(builder, count);
                *shown = with_repeats(*shown, *last_shows, count);
            }
            Cells::Absent(_) => {}
        }
    }

    /// The gathered cells, and a fresh builder as large as the batch just made.
    fn finish(&mut self, rows: usize) -> ArrayRef {
        match self {
            Cells::Text { builder, .. } => builder.finish(),
            Cells::Integer(builder) => Arc::new(std::mem::replace(builder, Int32Builder::with_capacity(rows)).finish()),
            Cells::Money { builder, .. } | Cells::Quantity(builder) => {
                let array = builder.finish();
                *builder = Decimal128Builder::with_capacity(rows).with_data_type(array.data_type().clone());
                Arc::new(array)
            }
            Cells::Date { builder, .. } => Arc::new(std::mem::replace(builder, Date32Builder::with_capacity(rows)).finish()),
            Cells::Absent(kind) => new_null_array(&stored(kind), rows),
        }
    }
}

/// Appends the last value again; answers it.
fn repeat<T: ArrowPrimitiveType>(builder: &mut PrimitiveBuilder<T>, count: usize) -> Option<T::Native> {
    let last = *builder.values_slice().last()?;
    builder.append_value_n(last, count);
    Some(last)
}

fn with_repeats(shown: Shown, shows: Option<DateOrder>, count: usize) -> Shown {
    let more = |order| if shows == Some(order) { count as u64 } else { 0 };
    Shown { month_first: shown.month_first + more(DateOrder::MonthFirst), day_first: shown.day_first + more(DateOrder::DayFirst) }
}

/// How a column of this type lies in a batch: texts come again and again, so they are a dictionary.
fn stored(kind: &DataType) -> DataType {
    if *kind == DataType::Utf8 { texts::data_type() } else { kind.clone() }
}

/// Whether this is the column that names the entry summary.
pub(super) fn is_entry_number(column: &Column) -> bool {
    column.field() == "entry_summary_number"
}

/// Where one row came from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub row: u64,
    pub line: u64,
    pub byte: u64,
}

/// One batch in the making.
///
/// A cell that is the same as the one above it is not appended at once: its column lags behind, and is filled up when
/// another value comes, or when the batch ends.
pub(super) struct Columns {
    schema: SchemaRef,
    cells: Vec<Cells>,
    /// Of each column the word of its last cell, and how many rows it has; one more for what is no column.
    last: Vec<u128>,
    filled: Vec<usize>,
    rows: Vec<i64>,
    lines: Vec<i64>,
    bytes: Vec<i64>,
    rescued: MapBuilder<StringBuilder, StringBuilder>,
    repairs: ListBuilder<StringBuilder>,
    /// Rows that the two have.
    rescued_filled: usize,
    repairs_filled: usize,
    delivery_id: String,
    as_of_micros: i64,
    capacity: usize,
}

impl Columns {
    /// `present` tells which of the columns the file has.
    pub fn new(columns: &[Column], present: &[bool], stamp: &Stamp, capacity: usize) -> Self {
        let mut cells: Vec<_> =
            columns.iter().zip(present).map(|(column, present)| Cells::new(column, *present, capacity)).collect();
        let run_on = i32::try_from(stamp.as_of.timestamp().div_euclid(86_400)).unwrap_or(i32::MAX);
        for cells in &mut cells {
            if let Cells::Date { days_max, .. } = cells {
                *days_max = run_on.saturating_add(FUTURE_DAYS_MAX);
            }
        }
        let names = MapFieldNames { entry: "key_value".to_owned(), key: "key".to_owned(), value: "value".to_owned() };
        let schema = table::schema(columns);
        let fields = schema.fields().iter().map(|field| field.as_ref().clone().with_data_type(stored(field.data_type())));
        Self {
            schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())),
            last: nothing_above(cells.len()),
            filled: vec![0; cells.len()],
            cells,
            rows: Vec::with_capacity(capacity),
            lines: Vec::with_capacity(capacity),
            bytes: Vec::with_capacity(capacity),
            rescued: MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new()),
            repairs: ListBuilder::new(StringBuilder::new()).with_field(Field::new("element", DataType::Utf8, false)),
            rescued_filled: 0,
            repairs_filled: 0,
            delivery_id: stamp.delivery_id.to_string(),
            as_of_micros: stamp.as_of.timestamp_micros(),
            capacity,
        }
    }

    /// Before the first row.
    pub fn read_dates(&mut self, orders: &DateOrders) {
        for (at, cells) in self.cells.iter_mut().enumerate() {
            if let Cells::Date { read_as, .. } = cells {
                *read_as = orders.of(at);
            }
        }
    }

    /// What the date columns of the file show, by their place in the table; `read_as` is for the caller to tell.
    pub fn dates_shown(&self) -> Vec<(usize, Shown)> {
        let shown = self.cells.iter().enumerate().filter_map(|(at, cells)| match cells {
            Cells::Date { shown, last_shows, .. } => {
                // Cells that wait to be filled up are counted as if they were there.
                let waiting = if self.last[at] == EMPTY_WORD { 0 } else { self.waiting(at) };
                Some((at, with_repeats(*shown, *last_shows, waiting)))
            }
            _ => None,
        });
        shown.collect()
    }

    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The place of cells that are bound to no column: an empty one is always the same as the one above.
    pub fn no_column(&self) -> usize {
        self.cells.len()
    }

    /// Whether a cell of this word is the same as the one above it, whose value stood as it was.
    #[inline]
    pub fn repeats(&self, column: usize, word: u128) -> bool {
        self.last[column] == word
    }

    /// How many cells of the column wait to be filled up.
    #[inline]
    pub fn waiting(&self, column: usize) -> usize {
        // A column that has its cell of the row in hand is ahead of the rows.
        self.len().saturating_sub(self.filled[column])
    }

    /// Appends a short text that was found sound in this batch before; says whether it was.
    #[inline]
    pub fn append_known(&mut self, column: usize, word: u128) -> bool {
        let row = self.len();
        let Some(Cells::Text { builder, .. }) = self.cells.get_mut(column) else { return false };
        let is_known = builder.append_known(row, word);
        if is_known {
            self.filled[column] = row + 1;
            self.last[column] = word;
        }
        is_known
    }

    /// Appends to the row in the making. `word`: of the text, if it is short. Says, too, whether every cell of this text
    /// may be passed over while it stands below this one.
    #[inline]
    pub fn append(&mut self, column: usize, text: &str, word: Option<u128>) -> (Kept, bool) {
        self.fill_up(column);
        self.filled[column] += 1;
        let meant = meant(text);
        let kept = self.cells[column].append_as(text, meant);
        // What was trimmed to nothing is null, and would be repeated as a value.
        let is_plain = kept == Kept::AsIs && meant.len() == text.len();
        // A cell of a record that is not UTF-8 has no word; empty it is null all the same.
        let word = if text.is_empty() { Some(EMPTY_WORD) } else { word };
        self.last[column] = word.filter(|_| is_plain).unwrap_or(NO_WORD);
        (kept, is_plain)
    }

    fn fill_up(&mut self, column: usize) {
        let waiting = self.waiting(column);
        if waiting > 0 {
            let cells = &mut self.cells[column];
            if self.last[column] == EMPTY_WORD {
                cells.append_nulls(waiting)
            } else {
                cells.repeat(waiting)
            }
            self.filled[column] += waiting;
        }
    }

    /// Puts a text beside its name into `_rescued` of the row in the making.
    pub fn rescue(&mut self, name: &str, text: &str) {
        // Rows above without one end before this row's texts begin.
        self.rescued_until(self.rows.len());
        self.rescued.keys().append_value(name);
        self.rescued.values().append_value(text);
    }

    /// Notes a mend in `_repairs` of the row in the making.
    pub fn repair(&mut self, note: &str) {
        self.repairs_until(self.rows.len());
        self.repairs.values().append_value(note);
    }

    /// Ends the row in the making, all of whose present columns have been appended to or wait.
    #[inline]
    pub fn end_row(&mut self, place: Place, any_rescued: bool, any_repaired: bool) {
        if any_rescued {
            self.rescued.append(true).expect("a name goes in with each text");
            self.rescued_filled += 1;
        }
        if any_repaired {
            self.repairs.append(true);
            self.repairs_filled += 1;
        }
        self.rows.push(place.row as i64);
        self.lines.push(place.line as i64);
        self.bytes.push(place.byte as i64);
    }

    fn rescued_until(&mut self, row: usize) {
        for _ in self.rescued_filled..row {
            self.rescued.append(false).expect("no name, no text");
        }
        self.rescued_filled = row;
    }

    fn repairs_until(&mut self, row: usize) {
        for _ in self.repairs_filled..row {
            self.repairs.append(false);
        }
        self.repairs_filled = row;
    }

    /// The rows gathered so far as a batch; starts an empty one.
    pub fn finish(&mut self) -> RecordBatch {
        let rows = self.len();
        (0..self.cells.len()).for_each(|column| self.fill_up(column));
        self.rescued_until(rows);
        self.repairs_until(rows);
        let mut arrays: Vec<ArrayRef> = self.cells.iter_mut().map(|cells| cells.finish(rows)).collect();
        let taken = |places: &mut Vec<i64>| {
            let fresh = Vec::with_capacity(self.capacity);
            Arc::new(Int64Array::from(std::mem::replace(places, fresh))) as ArrayRef
        };
        let mut delivery_id = Texts::with_capacity(rows);
        delivery_id.append(&self.delivery_id, true);
        delivery_id.repeat(rows.saturating_sub(1));
        arrays.push(delivery_id.finish());
        arrays.push(taken(&mut self.rows));
        arrays.push(taken(&mut self.lines));
        arrays.push(taken(&mut self.bytes));
        let as_of = TimestampMicrosecondArray::from(vec![self.as_of_micros; rows]);
        arrays.push(Arc::new(as_of.with_timezone("+00:00")));
        arrays.push(Arc::new(self.rescued.finish()));
        arrays.push(Arc::new(self.repairs.finish()));
        self.last = nothing_above(self.cells.len());
        self.filled.fill(0);
        (self.rescued_filled, self.repairs_filled) = (0, 0);
        RecordBatch::try_new(self.schema.clone(), arrays).expect("the builders were made from this schema")
    }

    /// Index and exact sum in cents of each money column that the file has.
    pub fn sums(&self) -> impl Iterator<Item = (usize, i128)> {
        self.cells.iter().enumerate().filter_map(|(index, cells)| match cells {
            Cells::Money { sum, .. } => Some((index, *sum)),
            _ => None,
        })
    }
}

/// No cell is the same as the one above in the first row of a batch, but the empty one without a column.
fn nothing_above(columns: usize) -> Vec<u128> {
    let mut last = vec![NO_WORD; columns];
    last.push(EMPTY_WORD);
    last
}

/// Texts kept in `_rescued`, typed as a file's cells (null where one does not read as the column's type), and the notes that
/// each then needs in `_repairs`. `orders` tells for each how its file writes dates.
pub fn typed_column(column: &Column, texts: &[Option<&str>], orders: &[DateOrder]) -> (ArrayRef, Vec<Vec<&'static str>>) {
    let mut cells = Cells::new(column, true, texts.len());
    let notes = texts.iter().zip(orders).map(|(text, order)| {
        if let Cells::Date { read_as, .. } = &mut cells {
            *read_as = *order;
        }
        match text.map(|text| cells.append(text)) {
            None => cells.append_null(),
            Some(Kept::Noted(note)) => return note.mends.notes().collect(),
            Some(Kept::AsIs) => {}
        }
        Vec::new()
    });
    let notes = notes.collect();
    let array = cells.finish(texts.len());
    // A value of the table goes into the column, not a dictionary of them.
    (cast(&array, &column.kind.arrow()).expect("a dictionary of texts casts to texts"), notes)
}

/// How the file of a row writes dates, by the row's own `_repairs`; CBP's way where they do not say.
pub fn date_order_of_row<'a>(repairs: impl IntoIterator<Item = &'a str>) -> DateOrder {
    let day_first =
        |note: &str| Mends::DAY_FIRST.notes().any(|mend| note.strip_prefix(mend).is_some_and(|rest| rest.starts_with(':')));
    if repairs.into_iter().any(day_first) { DateOrder::DayFirst } else { DateOrder::MonthFirst }
}

#[cfg(test)]
mod tests;
