//! The other peer: arrow-csv reading the same ES-003 into typed batches, and parquet's ArrowWriter with zstd.
//! Promise: the same types as our table; one thread, as both libraries are used by themselves.

use std::{fs::File, io::BufReader, path::Path, sync::Arc};

use arrow::{
    array::{ArrayRef, AsArray, Date32Array, RecordBatch},
    csv::ReaderBuilder,
    datatypes::{DataType, Date32Type, Decimal128Type, Field, Schema},
};
use parquet::{
    arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder},
    basic::{Compression, ZstdLevel},
    file::properties::WriterProperties,
};

use crate::{
    Outcome,
    peer::{DATES, DUTY, INTEGERS, QUANTITIES, VALUE},
    work::Totals,
};

const BATCH_ROWS: usize = 16 << 10;

/// Arguments: the CSV to read, the Parquet file to write.
pub fn run(arguments: &[String]) -> Outcome<()> {
    let [input, output] = arguments else {
        return Err("the arrow contender takes the file to read and the file to write".into());
    };
    let header = csv_header(input)?;
    let texts_for_dates = Arc::new(Schema::new(header.iter().map(|name| field(name, true)).collect::<Vec<_>>()));
    let typed = Arc::new(Schema::new(header.iter().map(|name| field(name, false)).collect::<Vec<_>>()));
    let reader = ReaderBuilder::new(texts_for_dates).with_header(true).with_batch_size(BATCH_ROWS);
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
    let mut writer = ArrowWriter::try_new(File::create(output)?, typed.clone(), Some(properties))?;
    for batch in reader.build(File::open(input)?)? {
        let batch = batch?;
        let columns = batch.columns().iter().zip(typed.fields()).map(|(column, field)| match field.data_type() {
            DataType::Date32 => dates(column),
            _ => Ok(column.clone()),
        });
        writer.write(&RecordBatch::try_new(typed.clone(), columns.collect::<Outcome<Vec<_>>>()?)?)?;
    }
    writer.close()?;
    Ok(())
}

/// What the written file adds up to.
pub fn totals(output: &Path) -> Outcome<Totals> {
    let mut totals = Totals::default();
    for batch in ParquetRecordBatchReaderBuilder::try_new(File::open(output)?)?.build()? {
        let batch = batch?;
        let sum = |name: &str| -> Outcome<i64> {
            let column = batch.column_by_name(name).ok_or("a money column is not there")?.as_primitive::<Decimal128Type>();
            Ok(i64::try_from(column.iter().flatten().sum::<i128>())?)
        };
        totals.rows += batch.num_rows() as u64;
        totals.value_cents += sum(VALUE)?;
        totals.duty_cents += sum(DUTY)?;
    }
    Ok(totals)
}

fn csv_header(input: &str) -> Outcome<Vec<String>> {
    use std::io::BufRead;
    let mut line = String::new();
    BufReader::new(File::open(input)?).read_line(&mut line)?;
    Ok(line.trim_end().split(',').map(str::to_owned).collect())
}

/// arrow-csv reads no dates with the month first, so they come as text.
fn field(name: &str, dates_as_text: bool) -> Field {
    let kind = match name {
        name if DATES.contains(&name) && !dates_as_text => DataType::Date32,
        name if INTEGERS.contains(&name) => DataType::Int32,
        name if QUANTITIES.contains(&name) => DataType::Decimal128(20, 4),
        VALUE | DUTY => DataType::Decimal128(18, 2),
        _ => DataType::Utf8,
    };
    Field::new(name, kind, true)
}

fn dates(column: &ArrayRef) -> Outcome<ArrayRef> {
    let texts = column.as_string::<i32>();
    let days = texts.iter().map(|text| text.map(|text| chrono::NaiveDate::parse_from_str(text, "%m/%d/%Y")).transpose());
    let days = days.map(|day| day.map(|day| day.map(Date32Type::from_naive_date))).collect::<Result<Date32Array, _>>()?;
    Ok(Arc::new(days))
}
