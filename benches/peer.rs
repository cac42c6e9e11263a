//! The peer: Polars reading the same ES-003 and writing it as typed, zstd-compressed Parquet.
//! Promise: its own idiom and best engine (streaming, all cores), the same types as our table, and nothing that only we do:
//! no hash, no sealed copy, no lineage columns, no encryption, no catalog.

use std::{path::Path, sync::Arc};

use polars::prelude::*;

use crate::{Outcome, contender::cents, work::Totals};

pub const DATES: [&str; 3] = ["Entry Date", "Entry Summary Date", "Initial Entry Summary Create Date"];
pub const INTEGERS: [&str; 2] = ["Entry Summary Line Number", "Tariff Ordinal Number"];
pub const QUANTITIES: [&str; 3] = ["Line Tariff Quantity (1)", "Line Tariff Quantity (2)", "Line Tariff Quantity (3)"];
pub const VALUE: &str = "Line Tariff Goods Value Amount";
pub const DUTY: &str = "Line Tariff Duty Amount";

/// Arguments: the CSV to read, the Parquet file to write.
pub fn run(arguments: &[String]) -> Outcome<()> {
    let [input, output] = arguments else {
        return Err("the Polars contender takes the file to read and the file to write".into());
    };
    let target = SinkDestination::File { target: SinkTarget::Path(PlRefPath::new(output.as_str())) };
    let format = ParquetWriteOptions { compression: ParquetCompression::Zstd(None), ..ParquetWriteOptions::default() };
    typed(scan(input)?)
        .sink(target, FileWriteFormat::Parquet(Arc::new(format)), UnifiedSinkArgs::default())?
        .collect_with_engine(Engine::Streaming)?;
    Ok(())
}

/// What the written file adds up to.
pub fn totals(output: &Path) -> Outcome<Totals> {
    let written = LazyFrame::scan_parquet(PlRefPath::try_from_path(output)?, ScanArgsParquet::default())?;
    let sum = |name: &str, to: &str| col(name).sum().cast(DataType::String).alias(to);
    let answer =
        written.select([len().cast(DataType::UInt64).alias("rows"), sum(VALUE, "value"), sum(DUTY, "duty")]).collect()?;
    let text = |name: &str| -> Outcome<i64> { cents(answer.column(name)?.str()?.get(0).unwrap_or_default()) };
    let rows = answer.column("rows")?.u64()?.get(0).unwrap_or_default();
    Ok(Totals { rows, value_cents: text("value")?, duty_cents: text("duty")? })
}

/// All columns as text: codes keep their zeros, `NA` stays `NA`.
fn scan(input: &str) -> PolarsResult<LazyFrame> {
    LazyCsvReader::new(PlRefPath::new(input)).with_has_header(true).with_infer_schema_length(Some(0)).finish()
}

fn typed(rows: LazyFrame) -> LazyFrame {
    let day = StrptimeOptions { format: Some("%m/%d/%Y".into()), strict: true, exact: true, cache: true };
    let dates = DATES.iter().map(|name| col(*name).str().to_date(day.clone()));
    let integers = INTEGERS.iter().map(|name| col(*name).strict_cast(DataType::Int32));
    let quantities = QUANTITIES.iter().map(|name| col(*name).strict_cast(DataType::Decimal(20, 4)));
    let money = [VALUE, DUTY].into_iter().map(|name| col(name).strict_cast(DataType::Decimal(18, 2)));
    rows.with_columns(dates.chain(integers).chain(quantities).chain(money).collect::<Vec<_>>())
}
