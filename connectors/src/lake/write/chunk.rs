//! One column chunk in the making: arrays of one leaf column go in, a dictionary page and a data page come out.
//! Promise: bounds are exact and whole; what Parquet calls required, optional, list and map is told by the column's levels.
//! Never: a type that our tables do not have is written in some other way: it is refused.

use arrow::{
    array::{Array, ArrayRef, AsArray, StringArray},
    datatypes::{Date32Type, Decimal128Type, Int32Type, Int64Type, TimestampMicrosecondType},
};
use parquet::{
    basic::{Encoding, Type as PhysicalType},
    data_type::{ByteArray, FixedLenByteArray},
    file::statistics::Statistics,
    schema::types::ColumnDescPtr,
};

mod levels;
mod numbers;
mod seed;
mod texts;

use levels::Levels;
use numbers::{Number, Numbers};
use texts::Texts;

use super::hybrid::deltas;
use crate::error::{Error, ErrorKind, Result};

pub struct Chunk {
    pub column: ColumnDescPtr,
    levels: Levels,
    values: Values,
}

enum Values {
    Texts(Texts),
    Narrow(Numbers<i32>),
    Long(Numbers<i64>),
    Wide(Numbers<i128>),
    /// Places only grow: their differences pack to almost nothing.
    Places(Numbers<i64>),
}

/// How the values behind the levels were written.
pub enum Body {
    Plain,
    Deltas,
    /// Indices into the distinct values of `page`.
    Dictionary {
        page: Vec<u8>,
        distinct: usize,
    },
}

impl Body {
    pub fn encoding(&self) -> Encoding {
        match self {
            Body::Plain => Encoding::PLAIN,
            Body::Deltas => Encoding::DELTA_BINARY_PACKED,
            Body::Dictionary { .. } => Encoding::RLE_DICTIONARY,
        }
    }
}

/// A chunk's only data page, and what there is to tell of it.
pub struct Encoded {
    pub body: Body,
    pub cells: usize,
    pub statistics: Statistics,
}

impl Chunk {
    /// `grows`: each value is greater than the one before.
    pub fn new(column: ColumnDescPtr, grows: bool) -> Result<Self> {
        let values = match column.physical_type() {
            PhysicalType::BYTE_ARRAY => Values::Texts(Texts::default()),
            PhysicalType::INT32 => Values::Narrow(Numbers::default()),
            PhysicalType::INT64 if grows => Values::Places(Numbers::default()),
            PhysicalType::INT64 => Values::Long(Numbers::default()),
            PhysicalType::FIXED_LEN_BYTE_ARRAY => Values::Wide(Numbers::default()),
            other => return Err(refused(&format!("of type {other}"))),
        };
        let levels = Levels::new(column.max_def_level(), column.max_rep_level());
        Ok(Self { column, levels, values })
    }

    /// A column that is a list's or map's leaf takes its cells from there.
    pub fn append(&mut self, array: &ArrayRef) -> Result<()> {
        let data_type = array.data_type();
        match &mut self.values {
            Values::Texts(texts) => {
                if let Some(dictionary) = array.as_dictionary_opt::<Int32Type>()
                    && let Some(values) = dictionary.values().as_string_opt::<i32>()
                {
                    texts.append_dictionary(dictionary, values);
                } else if let Some(array) = array.as_string_opt::<i32>() {
                    texts.append(array);
                } else {
                    return Err(refused(&format!("of texts as {data_type}")));
                }
            }
            Values::Narrow(numbers) => {
                if let Some(array) = array.as_primitive_opt::<Int32Type>() {
                    numbers.append(array, |number| number);
                } else if let Some(array) = array.as_primitive_opt::<Date32Type>() {
                    numbers.append(array, |number| number);
                } else if let Some(array) = array.as_primitive_opt::<Decimal128Type>() {
                    numbers.append(array, |number| number as i32);
                } else {
                    return Err(refused(&format!("of 32 bits as {data_type}")));
                }
            }
            Values::Long(numbers) | Values::Places(numbers) => {
                if let Some(array) = array.as_primitive_opt::<Decimal128Type>() {
                    numbers.append(array, |number| number as i64);
                } else if let Some(array) = array.as_primitive_opt::<Int64Type>() {
                    numbers.append(array, |number| number);
                } else if let Some(array) = array.as_primitive_opt::<TimestampMicrosecondType>() {
                    numbers.append(array, |number| number);
                } else {
                    return Err(refused(&format!("of 64 bits as {data_type}")));
                }
            }
            Values::Wide(numbers) => {
                let Some(array) = array.as_primitive_opt::<Decimal128Type>() else {
                    return Err(refused(&format!("of fixed length as {data_type}")));
                };
                numbers.append(array, |number| number);
            }
        }
        self.levels.append(array.as_ref());
        Ok(())
    }

    /// The texts of a list's or map's leaf. `parents`: the lists, of which `offsets` tells where each one's texts lie.
    pub fn append_nested(&mut self, parents: &dyn Array, offsets: &[i32], leaf: &StringArray) -> Result<()> {
        let Values::Texts(texts) = &mut self.values else { return Err(refused("in a list, and of no texts")) };
        if parents.null_count() == parents.len() {
            self.levels.push(0, 0, parents.len());
            return Ok(());
        }
        let present = u32::from(self.column.max_def_level().unsigned_abs());
        // A null list, an empty list, a null in a list: each is one level less than what would be there.
        let empty = present - 1 - u32::from(self.column.self_type().is_optional());
        for row in 0..parents.len() {
            let (from, to) = (offsets[row] as usize, offsets[row + 1] as usize);
            if parents.is_null(row) {
                self.levels.push(0, 0, 1);
            } else if from == to {
                self.levels.push(empty, 0, 1);
            }
            for at in from..if parents.is_null(row) { from } else { to } {
                let repetition = u32::from(at > from);
                if leaf.is_null(at) {
                    self.levels.push(present - 1, repetition, 1);
                } else {
                    self.levels.push(present, repetition, 1);
                    texts.push(leaf.value(at));
                }
            }
        }
        Ok(())
    }

    pub fn memory_bytes(&self) -> usize {
        let values = match &self.values {
            Values::Texts(texts) => texts.memory_bytes(),
            Values::Narrow(numbers) => numbers.memory_bytes(),
            Values::Long(numbers) | Values::Places(numbers) => numbers.memory_bytes(),
            Values::Wide(numbers) => numbers.memory_bytes(),
        };
        values + self.levels.memory_bytes()
    }

    /// Appends the data page's bytes to `out`; the chunk is empty then.
    pub fn encode(&mut self, out: &mut Vec<u8>) -> Encoded {
        let cells = self.levels.len();
        let values = match &self.values {
            Values::Texts(texts) => texts.cells(),
            Values::Narrow(numbers) => numbers.numbers.len(),
            Values::Long(numbers) | Values::Places(numbers) => numbers.numbers.len(),
            Values::Wide(numbers) => numbers.numbers.len(),
        };
        let nulls = Some((cells - values) as u64);
        self.levels.encode(out);
        let width = usize::try_from(self.column.type_length()).unwrap_or(0);
        let (body, statistics) = match &mut self.values {
            Values::Texts(texts) => {
                let (least, greatest) = texts.bounds().unzip();
                let statistics =
                    Statistics::byte_array(least.map(ByteArray::from), greatest.map(ByteArray::from), None, nulls, false);
                let body = texts.encode(out);
                texts.clear();
                (body, statistics)
            }
            Values::Narrow(numbers) => {
                let (least, greatest) = numbers.bounds().unzip();
                (take(numbers, out, size_of::<i32>()), Statistics::int32(least, greatest, None, nulls, false))
            }
            Values::Long(numbers) => {
                let (least, greatest) = numbers.bounds().unzip();
                (take(numbers, out, size_of::<i64>()), Statistics::int64(least, greatest, None, nulls, false))
            }
            Values::Places(numbers) => {
                let (least, greatest) = numbers.bounds().unzip();
                deltas(out, &numbers.numbers);
                numbers.numbers = Vec::new();
                (Body::Deltas, Statistics::int64(least, greatest, None, nulls, false))
            }
            Values::Wide(numbers) => {
                let bytes = |number: i128| {
                    let mut bytes = Vec::with_capacity(width);
                    number.put(&mut bytes, width);
                    FixedLenByteArray::from(bytes)
                };
                let (least, greatest) = numbers.bounds().unzip();
                let statistics = Statistics::fixed_len_byte_array(least.map(bytes), greatest.map(bytes), None, nulls, false);
                (take(numbers, out, width), statistics)
            }
        };
        Encoded { body, cells, statistics }
    }
}

fn take<T: Number>(numbers: &mut Numbers<T>, out: &mut Vec<u8>, width: usize) -> Body {
    let body = numbers.encode(out, width);
    numbers.numbers = Vec::new();
    body
}

fn refused(what: &str) -> Error {
    Error::new(ErrorKind::Internal, format!("a data file has no column {what}"))
}
