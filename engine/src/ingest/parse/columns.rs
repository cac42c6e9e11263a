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
use bonded_schemas::{Column, ColumnType, entry_number, table};

use super::{
    Stamp,
    date::date,
    value::{integer, meant, money, quantity},
};

/// What became of one cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    AsIs,
    /// Typed after a mend, named for `_repairs`.
    Mended(&'static str),
    /// Not of its type: null here, with the reason.
    Failed(&'static str),
}

/// The builder of one column.
enum Cells {
    Text {
        builder: StringBuilder,

        entry_number: bool,
    },
    Integer(Int32Builder),
    Money {
        builder: Decimal128Builder,
        sum: i128,
    },
    Quantity(Decimal128Builder),
    Date(Date32Builder),
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
            ColumnType::Text(_) => {
                Cells::Text { builder: StringBuilder::with_capacity(rows, rows * 8), entry_number: is_entry_number(column) }
            }
            ColumnType::Integer => Cells::Integer(Int32Builder::with_capacity(rows)),
            ColumnType::Money => Cells::Money { builder: decimal(), sum: 0 },
            ColumnType::Quantity => Cells::Quantity(decimal()),
            ColumnType::Date => Cells::Date(Date32Builder::with_capacity(rows)),
        }
    }

    /// `text` is what the cell means: trimmed and unwrapped.
    #[inline]
    fn append(&mut self, text: &str) -> Kept {
        if text.is_empty() {
            self.append_null();
            return Kept::AsIs;
        }
        let bytes = text.as_bytes();
        let failure = match self {
            Cells::Text { builder, entry_number } => {
                // Brokers print `XXX-NNNNNNN-C`; ACE exports no dashes (ace_columns.json), and the reports must join.
                if *entry_number && entry_number::is_dashed(text) {
                    builder.append_value(text.replace('-', ""));
                    return Kept::Mended("dashes removed");
                }
                builder.append_value(text);
                return Kept::AsIs;
            }
            Cells::Integer(builder) => match integer(bytes) {
                Ok(value) => {
                    builder.append_value(value);
                    return Kept::AsIs;
                }
                Err(reason) => reason,
            },
            Cells::Money { builder, sum } => match money(bytes) {
                Ok(cents) => {
                    builder.append_value(cents);
                    *sum += cents;
                    return Kept::AsIs;
                }
                Err(reason) => reason,
            },
            Cells::Quantity(builder) => match quantity(bytes) {
                Ok(value) => {
                    builder.append_value(value);
                    return Kept::AsIs;
                }
                Err(reason) => reason,
            },
            Cells::Date(builder) => match date(bytes) {
                Ok(date) => {
                    builder.append_value(date.days);
                    return match (date.time_dropped, date.century_added) {
                        (false, false) => Kept::AsIs,
                        (true, false) => Kept::Mended("time dropped"),
                        (false, true) => Kept::Mended("century added"),
                        (true, true) => Kept::Mended("time dropped, century added"),
                    };
                }
                Err(reason) => reason,
            },
            Cells::Absent(_) => "no such column in this file",
        };
        self.append_null();
        Kept::Failed(failure)
    }

    fn append_null(&mut self) {
        match self {
            Cells::Text { builder, .. } => builder.append_null(),
            Cells::Integer(builder) => builder.append_null(),
            Cells::Money { builder, .. } | Cells::Quantity(builder) => builder.append_null(),
            Cells::Date(builder) => builder.append_null(),
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
            Cells::Date(builder) => Arc::new(std::mem::replace(builder, Date32Builder::with_capacity(rows)).finish()),
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
        let cells = columns.iter().zip(present).map(|(column, present)| Cells::new(column, *present, capacity)).collect();
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

#[cfg(test)]
mod tests;

/// Texts kept in `_rescued`, typed as a file's cells are; null where one does not read as the column's type.
pub fn typed_column(column: &Column, texts: &[Option<&str>]) -> ArrayRef {
    let mut cells = Cells::new(column, true, texts.len());
    for text in texts {
        match text {
            Some(text) => drop(cells.append(meant(text))),
            None => cells.append_null(),
        }
    }
    cells.finish(texts.len())
}
