//! Cells of answers as plain values, by column name.
//! Promise: a column that is not there, or is of another type, is an error that names it; null is `None`.

use chrono::{DateTime, NaiveDate, Utc};
use datafusion::arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    datatypes::{DataType, Date32Type, Decimal128Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType},
};

use crate::error::{Error, Result};

/// One batch of an answer.
pub(crate) struct Cells<'a>(pub(crate) &'a RecordBatch);

impl Cells<'_> {
    fn column(&self, name: &str) -> Result<&ArrayRef> {
        self.0.column_by_name(name).ok_or_else(|| Error::internal(format!("an answer has no column `{name}`")))
    }

    fn of_type(&self, name: &str, fits: impl Fn(&DataType) -> bool) -> Result<&ArrayRef> {
        let column = self.column(name)?;
        match fits(column.data_type()) {
            true => Ok(column),
            false => Err(Error::internal(format!("column `{name}` of an answer is {}", column.data_type()))),
        }
    }

    pub(crate) fn text(&self, name: &str, row: usize) -> Result<Option<String>> {
        let column = self.of_type(name, |kind| *kind == DataType::Utf8)?;
        Ok(column.is_valid(row).then(|| column.as_string::<i32>().value(row).to_owned()))
    }

    pub(crate) fn date(&self, name: &str, row: usize) -> Result<Option<NaiveDate>> {
        let column = self.of_type(name, |kind| *kind == DataType::Date32)?;
        Ok(column.is_valid(row).then(|| column.as_primitive::<Date32Type>().value_as_date(row)).flatten())
    }

    /// Hundredths of an amount of two places.
    pub(crate) fn cents(&self, name: &str, row: usize) -> Result<Option<i128>> {
        let column = self.of_type(name, |kind| matches!(kind, DataType::Decimal128(_, 2)))?;
        Ok(column.is_valid(row).then(|| column.as_primitive::<Decimal128Type>().value(row)))
    }

    pub(crate) fn integer(&self, name: &str, row: usize) -> Result<Option<i64>> {
        let column = self.of_type(name, |kind| matches!(kind, DataType::Int32 | DataType::Int64))?;
        if column.is_null(row) {
            return Ok(None);
        }
        Ok(Some(match column.data_type() {
            DataType::Int32 => i64::from(column.as_primitive::<Int32Type>().value(row)),
            _ => column.as_primitive::<Int64Type>().value(row),
        }))
    }

    pub(crate) fn instant(&self, name: &str, row: usize) -> Result<Option<DateTime<Utc>>> {
        let column = self.of_type(name, |kind| matches!(kind, DataType::Timestamp(TimeUnit::Microsecond, _)))?;
        let value = column.is_valid(row).then(|| column.as_primitive::<TimestampMicrosecondType>().value(row));
        Ok(value.and_then(DateTime::from_timestamp_micros))
    }
}
