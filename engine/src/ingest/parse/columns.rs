//! Columns: typed cells gather into the builders of one batch, which become a record batch of the table's schema.
//! Promise: the batch has exactly `table::schema` of the binding's columns; each row appends to every builder once.
//! Never: a cell that fails its type leaves null here, not a guess.

use std::{iter::repeat_n, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, Date32Builder, Decimal128Builder, Int32Builder, Int64Array, ListBuilder, MapBuilder, MapFieldNames,
        RecordBatch, StringArray, StringBuilder, TimestampMicrosecondArray, new_null_array,
    },
    datatypes::{DataType, Field, SchemaRef},
};
use bonded_schemas::{Column, ColumnType, WarningRule, table};

use super::{
    Stamp,
    date::{BEFORE_1990, DateOrder, DateOrders, Shown, TWO_DATES, date, order_shown},
    repair::{Form, Mends, plain},
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
        builder: StringBuilder,
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
            ColumnType::Text(_) => Cells::Text { builder: StringBuilder::with_capacity(rows, rows * 8), form: Form::of(column) },
            ColumnType::Integer => Cells::Integer(Int32Builder::with_capacity(rows)),
            ColumnType::Money => Cells::Money { builder: decimal(), sum: 0 },
            ColumnType::Quantity => Cells::Quantity(decimal()),
            ColumnType::Date => {
                let builder = Date32Builder::with_capacity(rows);
                Cells::Date { builder, days_max: i32::MAX, read_as: DateOrder::default(), shown: Shown::default() }
            }
        }
    }

    /// `text` as the file has it, without quotes.
    #[inline]
    fn append(&mut self, text: &str) -> Kept {
        let meant = meant(text);
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
            builder.append_value(text);
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
                builder.append_value(&mended.text);
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
            Cells::Date { builder, days_max, read_as, shown } => {
                let date = date(bytes, *read_as)?;
                builder.append_value(date.days);
                shown.count(date.shows);
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
        match self {
            Cells::Text { builder, .. } => builder.append_null(),
            Cells::Integer(builder) => builder.append_null(),
            Cells::Money { builder, .. } | Cells::Quantity(builder) => builder.append_null(),
            Cells::Date { builder, .. } => builder.append_null(),
            Cells::Absent(_) => {}
        }
    }

    /// The gathered cells, and a fresh builder as large as the batch just made.
    fn finish(&mut self, rows: usize) -> ArrayRef {
        match self {
            Cells::Text { builder, .. } => {
                let array = builder.finish();
                *builder = StringBuilder::with_capacity(rows, array.value_data().len());
                Arc::new(array)
            }
            Cells::Integer(builder) => Arc::new(std::mem::replace(builder, Int32Builder::with_capacity(rows)).finish()),
            Cells::Money { builder, .. } | Cells::Quantity(builder) => {
                let array = builder.finish();
                *builder = Decimal128Builder::with_capacity(rows).with_data_type(array.data_type().clone());
                Arc::new(array)
            }
            Cells::Date { builder, .. } => Arc::new(std::mem::replace(builder, Date32Builder::with_capacity(rows)).finish()),
            Cells::Absent(kind) => new_null_array(kind, rows),
        }
    }
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
pub(super) struct Columns {
    schema: SchemaRef,
    cells: Vec<Cells>,
    rows: Vec<i64>,
    lines: Vec<i64>,
    bytes: Vec<i64>,
    rescued: MapBuilder<StringBuilder, StringBuilder>,
    repairs: ListBuilder<StringBuilder>,
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
        Self {
            schema: Arc::new(table::schema(columns)),
            cells,
            rows: Vec::with_capacity(capacity),
            lines: Vec::with_capacity(capacity),
            bytes: Vec::with_capacity(capacity),
            rescued: MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new()),
            repairs: ListBuilder::new(StringBuilder::new()).with_field(Field::new("element", DataType::Utf8, false)),
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
            Cells::Date { shown, .. } => Some((at, *shown)),
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

    #[inline]
    pub fn append(&mut self, column: usize, text: &str) -> Kept {
        self.cells[column].append(text)
    }

    /// Puts a text beside its name into `_rescued` of the row in the making.
    pub fn rescue(&mut self, name: &str, text: &str) {
        self.rescued.keys().append_value(name);
        self.rescued.values().append_value(text);
    }

    /// Notes a mend in `_repairs` of the row in the making.
    pub fn repair(&mut self, note: &str) {
        self.repairs.values().append_value(note);
    }

    /// Ends the row in the making, all of whose present columns have been appended to.
    #[inline]
    pub fn end_row(&mut self, place: Place, any_rescued: bool, any_repaired: bool) {
        self.rows.push(place.row as i64);
        self.lines.push(place.line as i64);
        self.bytes.push(place.byte as i64);
        self.rescued.append(any_rescued).expect("a name goes in with each text");
        self.repairs.append(any_repaired);
    }

    /// The rows gathered so far as a batch; starts an empty one.
    pub fn finish(&mut self) -> RecordBatch {
        let rows = self.len();
        let mut arrays: Vec<ArrayRef> = self.cells.iter_mut().map(|cells| cells.finish(rows)).collect();
        let taken = |places: &mut Vec<i64>| {
            let fresh = Vec::with_capacity(self.capacity);
            Arc::new(Int64Array::from(std::mem::replace(places, fresh))) as ArrayRef
        };
        arrays.push(Arc::new(StringArray::from_iter_values(repeat_n(&self.delivery_id, rows))));
        arrays.push(taken(&mut self.rows));
        arrays.push(taken(&mut self.lines));
        arrays.push(taken(&mut self.bytes));
        let as_of = TimestampMicrosecondArray::from(vec![self.as_of_micros; rows]);
        arrays.push(Arc::new(as_of.with_timezone("+00:00")));
        arrays.push(Arc::new(self.rescued.finish()));
        arrays.push(Arc::new(self.repairs.finish()));
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
    (cells.finish(texts.len()), notes)
}

/// How the file of a row writes dates, by the row's own `_repairs`; CBP's way where they do not say.
pub fn date_order_of_row<'a>(repairs: impl IntoIterator<Item = &'a str>) -> DateOrder {
    let day_first =
        |note: &str| Mends::DAY_FIRST.notes().any(|mend| note.strip_prefix(mend).is_some_and(|rest| rest.starts_with(':')));
    if repairs.into_iter().any(day_first) { DateOrder::DayFirst } else { DateOrder::MonthFirst }
}

#[cfg(test)]
mod tests;
