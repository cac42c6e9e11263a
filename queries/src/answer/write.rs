//! Answers on paper: a table for people, CSV, JSON lines and Parquet for programs.
//! Promise: money is written as the decimal it is; maps and lists can be read in every form.

use std::{fmt, io::Write, str::FromStr, sync::Arc};

use datafusion::arrow::{
    array::{ArrayRef, RecordBatch, StringArray},
    csv,
    datatypes::{DataType, Field, Schema, SchemaRef},
    json::{self, writer::LineDelimited},
    util::{
        display::{ArrayFormatter, FormatOptions},
        pretty::pretty_format_batches_with_options,
    },
};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::properties::WriterProperties,
};

use super::Answer;
use crate::error::{Error, Result};

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Drawn with lines, for people. The whole answer is held in memory.
    Table,
    /// RFC 4180 with a header; nulls are empty; maps and lists as text.
    Csv,
    /// One JSON object a line; nulls are written out; money as plain decimal numbers with all their digits.
    JsonLines,
    /// One Parquet file, zstd, not encrypted: it leaves the lake.
    Parquet,
}

impl Format {
    pub const ALL: [Format; 4] = [Format::Table, Format::Csv, Format::JsonLines, Format::Parquet];

    pub fn as_str(self) -> &'static str {
        match self {
            Format::Table => "table",
            Format::Csv => "csv",
            Format::JsonLines => "jsonl",
            Format::Parquet => "parquet",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Format::ALL
            .into_iter()
            .find(|format| format.as_str() == text)
            .ok_or_else(|| Error::input(format!("no output format `{text}`; known: table, csv, jsonl, parquet")))
    }
}

impl Answer {
    /// Writes all rows; returns how many.
    ///
    /// # Errors
    /// As [`Answer::next`], and `Internal` when the output does not take what is written. What was written before an
    /// error is not the whole answer.
    pub async fn write(self, format: Format, out: &mut (dyn Write + Send)) -> Result<usize> {
        match format {
            Format::Table => self.write_table(out).await,
            Format::Csv => self.write_csv(out).await,
            Format::JsonLines => self.write_json_lines(out).await,
            Format::Parquet => self.write_parquet(out).await,
        }
    }

    async fn write_table(mut self, out: &mut (dyn Write + Send)) -> Result<usize> {
        let mut batches = vec![RecordBatch::new_empty(self.schema())];
        while let Some(batch) = self.next().await? {
            batches.push(batch);
        }
        let table = pretty_format_batches_with_options(&batches, &as_text())?;
        writeln!(out, "{table}").map_err(not_written)?;
        Ok(self.rows())
    }

    async fn write_csv(mut self, out: &mut (dyn Write + Send)) -> Result<usize> {
        let mut writer = csv::WriterBuilder::new().with_header(true).build(out);
        writer.write(&flat(&RecordBatch::new_empty(self.schema()))?).map_err(not_written)?;
        while let Some(batch) = self.next().await? {
            writer.write(&flat(&batch)?).map_err(not_written)?;
        }
        Ok(self.rows())
    }

    async fn write_json_lines(mut self, out: &mut (dyn Write + Send)) -> Result<usize> {
        let mut writer = json::WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(out);
        while let Some(batch) = self.next().await? {
            writer.write(&batch).map_err(not_written)?;
        }
        writer.finish().map_err(not_written)?;
        Ok(self.rows())
    }

    async fn write_parquet(mut self, out: &mut (dyn Write + Send)) -> Result<usize> {
        let schema = without_metadata(&self.schema());
        let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
        let mut writer = ArrowWriter::try_new(out, schema.clone(), Some(properties)).map_err(not_written)?;
        while let Some(batch) = self.next().await? {
            let batch = RecordBatch::try_new(schema.clone(), batch.columns().to_vec())?;
            writer.write(&batch).map_err(not_written)?;
        }
        writer.close().map_err(not_written)?;
        Ok(self.rows())
    }
}

fn as_text() -> FormatOptions<'static> {
    FormatOptions::new().with_timestamp_tz_format(Some("%Y-%m-%dT%H:%M:%S%.fZ"))
}

/// Maps, lists and structs as text: CSV knows no nesting.
pub(super) fn flat(batch: &RecordBatch) -> Result<RecordBatch> {
    let mut fields = Vec::with_capacity(batch.num_columns());
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(batch.num_columns());
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        if field.data_type().is_nested() {
            let options = as_text();
            let formatter = ArrayFormatter::try_new(column.as_ref(), &options)?;
            let text: StringArray =
                (0..column.len()).map(|row| (!column.is_null(row)).then(|| formatter.value(row).to_string())).collect();
            fields.push(Field::new(field.name(), DataType::Utf8, true));
            columns.push(Arc::new(text));
        } else {
            fields.push(field.as_ref().clone());
            columns.push(column.clone());
        }
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

/// The tables' field ids mean nothing outside of them, and a join can bring the same id twice.
pub(super) fn without_metadata(schema: &SchemaRef) -> SchemaRef {
    let fields: Vec<Field> =
        schema.fields().iter().map(|field| field.as_ref().clone().with_metadata(Default::default())).collect();
    Arc::new(Schema::new(fields))
}

pub(super) fn not_written(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::internal("the answer could not be written out").with_source(error)
}

#[cfg(test)]
mod tests;
