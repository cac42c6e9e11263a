//! Polars over the received bytes: read, type, count, sum.
//! Promise: every record is a counted row, a reject or blank; two readings of the record ends must agree, else nothing is said.
//! Never: no more than the columns that are counted is read into the frame; the bytes themselves stay in memory.

use std::{collections::BTreeMap, io::Cursor, sync::Arc};

use bonded_schemas::{ColumnType, edition::Required};
use polars::prelude::*;

use super::{Asked, Month, MonthTally, NotRead, Sum, Tally, placing::place, scan, typing};

/// The delimiters that this reading knows; the one that parts the header into most cells is the file's.
const DELIMITERS: [u8; 4] = [b',', b'\t', b';', b'|'];

const ENTRY: &str = "entry";
const STAYS: &str = "stays";
const MONTH: &str = "month";
const SOUND: &str = "sound";
const ROWS: &str = "rows";

/// Counts a delivery again. Blocks until it is done, on a thread of its own: Polars refuses to work inside an async task.
///
/// # Errors
/// Why Polars cannot read it: another encoding than UTF-8, an archive, line ends or quotes that its reader does not take.
pub fn recount(bytes: &[u8], asked: &Asked<'_>) -> Result<Tally, NotRead> {
    std::thread::scope(|scope| scope.spawn(|| counted_again(bytes, asked)).join())
        .unwrap_or_else(|_| Err(refused("Polars stopped short")))
}

fn counted_again(bytes: &[u8], asked: &Asked<'_>) -> Result<Tally, NotRead> {
    if std::str::from_utf8(bytes).is_err() {
        return Err(refused("it is not UTF-8 text, which is all that Polars' reader takes"));
    }
    let table = below(bytes, asked.header_line)?;
    let (header, delimiter, body) = header(table, asked)?;
    let placed = place(&header, asked.columns, asked.renames);
    let wanted = Wanted::new(asked, &placed)?;
    let lines = scan::scan(body, delimiter, asked.quote, header.len()).map_err(refused)?;
    let frame = read(body, delimiter, asked.quote, header.len(), Some(&wanted.positions()))?;
    let frame = with_soundness(frame, &lines)?;
    let records = lines.sound.len() as u64 - lines.blank;
    let mut tally = count(frame, &wanted, asked)?;
    tally.rejected = Some(records - tally.rows);
    Ok(tally)
}

fn refused(why: impl Into<String>) -> NotRead {
    NotRead(why.into())
}

impl From<PolarsError> for NotRead {
    /// Polars quotes cells in its messages, so only the kind of failure is passed on.
    fn from(error: PolarsError) -> Self {
        let kind = match error {
            PolarsError::ComputeError(_) => "a record that its reader does not take",
            PolarsError::NoData(_) => "no data",
            PolarsError::ShapeMismatch(_) => "columns of unequal length",
            _ => "an unexpected failure",
        };
        NotRead(format!("Polars stopped at {kind}"))
    }
}

/// The bytes from the header's line on.
fn below(bytes: &[u8], header_line: u64) -> Result<&[u8], NotRead> {
    let above = usize::try_from(header_line.saturating_sub(1)).unwrap_or(usize::MAX);
    if above == 0 {
        return Ok(bytes);
    }
    let mut ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(place, _)| place);
    match ends.nth(above - 1) {
        Some(end) => Ok(&bytes[end + 1..]),
        None => Err(refused(format!("it has no line {header_line}, where its header should be"))),
    }
}

/// The header's cells, the delimiter that parts them, and the body.
fn header<'a>(table: &'a [u8], asked: &Asked<'_>) -> Result<(Vec<String>, u8, &'a [u8]), NotRead> {
    let table = table.strip_prefix(b"\xef\xbb\xbf").unwrap_or(table);
    let mut best = None;
    for candidate in DELIMITERS {
        let (length, width) = scan::first_record(table, candidate, asked.quote).map_err(refused)?;
        if best.is_none_or(|(_, widest, _)| width > widest) {
            best = Some((length, width, candidate));
        }
    }
    let (length, width, delimiter) = best.ok_or_else(|| refused("it has no header"))?;
    let frame = read(&table[..length], delimiter, asked.quote, width, None)?;
    let mut names = Vec::with_capacity(width);
    for column in frame.columns() {
        let name = column.str()?.get(0).unwrap_or_default().trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
        let inner = name.strip_prefix("=\"").and_then(|rest| rest.strip_suffix('"')).unwrap_or(name);
        names.push(inner.trim().to_owned());
    }
    Ok((names, delimiter, &table[length..]))
}

/// Every cell as text, under `c0`, `c1` and so on; short records are filled with nulls, long ones cut.
fn read(bytes: &[u8], delimiter: u8, quote: u8, width: usize, only: Option<&[usize]>) -> PolarsResult<DataFrame> {
    let fields = (0..width).map(|position| Field::new(name(position), DataType::String));
    let columns = only.map(|positions| positions.iter().map(|position| name(*position)).collect::<Arc<[PlSmallStr]>>());
    CsvReadOptions::default()
        .with_has_header(false)
        .with_schema(Some(Arc::new(Schema::from_iter(fields))))
        .with_columns(columns)
        .with_raise_if_empty(false)
        .map_parse_options(|options| {
            options
                .with_separator(delimiter)
                .with_quote_char(Some(quote))
                .with_truncate_ragged_lines(true)
                .with_missing_is_null(true)
        })
        .into_reader_with_file_handle(Cursor::new(bytes))
        .finish()
}

fn name(position: usize) -> PlSmallStr {
    PlSmallStr::from_string(format!("c{position}"))
}

/// Lays beside each record whether it is as wide as the header.
fn with_soundness(mut frame: DataFrame, lines: &scan::Scan) -> Result<DataFrame, NotRead> {
    let all = lines.sound.len();
    let filled = lines.empty.iter().filter(|empty| !**empty).count();
    let sound: BooleanChunked = match frame.height() {
        height if height == all => lines.sound.iter().copied().collect(),
        // Polars passes over empty lines.
        height if height == filled => {
            lines.sound.iter().zip(&lines.empty).filter(|(_, empty)| !**empty).map(|(sound, _)| *sound).collect()
        }
        height => {
            return Err(refused(format!(
                "Polars counts {height} records and a plain scan of the lines {all}: quotes are open to both"
            )));
        }
    };
    frame.with_column(sound.with_name(SOUND.into()).into_column())?;
    Ok(frame)
}

/// The header positions that are counted.
struct Wanted {
    entry: usize,
    /// Grain columns of whole numbers.
    numbers: Vec<usize>,
    entry_date: Option<usize>,
    /// All date columns: they show together whether the day comes first.
    dates: Vec<usize>,
    /// Column name in the tables, and position.
    money: Vec<(String, usize)>,
}

impl Wanted {
    fn new(asked: &Asked<'_>, placed: &BTreeMap<usize, usize>) -> Result<Self, NotRead> {
        let (mut entry, mut entry_date) = (None, None);
        let (mut numbers, mut dates, mut money) = (Vec::new(), Vec::new(), Vec::new());
        for (index, column) in asked.columns.iter().enumerate() {
            let position = placed.get(&index).copied();
            match (column.required, column.kind, position) {
                (Required::Grain, _, None) => return Err(refused(format!("it has no column `{}`", column.name))),
                (Required::Grain, ColumnType::Integer, Some(position)) => numbers.push(position),
                (Required::Grain, _, Some(position)) => entry = Some(position),
                (_, ColumnType::Date, Some(position)) => {
                    dates.push(position);
                    if column.field() == "entry_date" {
                        entry_date = Some(position);
                    }
                }
                (_, ColumnType::Money, Some(position)) => money.push((column.field(), position)),
                _ => {}
            }
        }
        let entry = entry.ok_or_else(|| refused("its report has no entry number"))?;
        Ok(Self { entry, numbers, entry_date, dates, money })
    }

    fn positions(&self) -> Vec<usize> {
        let mut all: Vec<usize> =
            self.numbers.iter().chain(&self.dates).chain(self.money.iter().map(|(_, at)| at)).copied().collect();
        all.push(self.entry);
        all.sort_unstable();
        all.dedup();
        all
    }
}

fn count(frame: DataFrame, wanted: &Wanted, asked: &Asked<'_>) -> Result<Tally, NotRead> {
    let cell = |position: usize| typing::meant(col(name(position)));
    let whole = wanted.numbers.iter().map(|position| typing::is_integer(cell(*position)));
    let stays = whole.fold(col(SOUND).and(col(ENTRY).is_not_null()), Expr::and);
    let amounts = wanted.money.iter().enumerate().flat_map(|(index, (_, position))| {
        let text = cell(*position);
        [typing::money(text.clone()).alias(sum(index)), text.is_not_null().alias(filled(index))]
    });
    let rows = frame
        .lazy()
        .with_columns([typing::entry(cell(wanted.entry)).alias(ENTRY)])
        .with_columns([stays.alias(STAYS)])
        .filter(col(STAYS))
        .collect()?;
    let month = match wanted.entry_date {
        Some(position) if !asked.report.is_dated_by_pull() => typing::month(cell(position), is_day_first(&rows, wanted)?),
        _ => lit(NULL).cast(DataType::Int32),
    };
    let rows = rows.lazy().with_columns([month.alias(MONTH)].into_iter().chain(amounts).collect::<Vec<_>>()).collect()?;

    let money = 0..wanted.money.len();
    let mut questions = vec![len().cast(DataType::UInt64).alias(ROWS), col(ENTRY).n_unique().cast(DataType::UInt64).alias(ENTRY)];
    for index in money.clone() {
        questions.push(col(sum(index)).sum().alias(sum(index)));
        questions.push(col(sum(index)).count().cast(DataType::UInt64).alias(values(index)));
        questions.push(col(filled(index)).sum().cast(DataType::UInt64).alias(filled(index)));
    }
    let totals = rows.clone().lazy().select(questions).collect()?;
    let mut tally = Tally { rows: number(&totals, ROWS, 0)?, entries: number(&totals, ENTRY, 0)?, ..Tally::default() };
    for (index, (column, _)) in wanted.money.iter().enumerate() {
        let counted = number(&totals, &values(index), 0)?;
        let unread = number(&totals, &filled(index), 0)? - counted;
        tally.money.insert(column.clone(), Sum { cents: cents(&totals, &sum(index), 0)?, values: counted, unread });
    }

    let mut questions = vec![len().cast(DataType::UInt64).alias(ROWS)];
    questions.extend(money.map(|index| col(sum(index)).sum().alias(sum(index))));
    let months = rows.lazy().group_by([col(MONTH)]).agg(questions).collect()?;
    for row in 0..months.height() {
        let month = match asked.report {
            report if report.is_dated_by_pull() => Month::of_time(asked.as_of),
            _ => Month::of_number(months.column(MONTH)?.i32()?.get(row)),
        };
        let mut found = MonthTally { rows: number(&months, ROWS, row)?, ..MonthTally::default() };
        for (index, (column, _)) in wanted.money.iter().enumerate() {
            found.money.insert(column.clone(), cents(&months, &sum(index), row)?);
        }
        tally.months.insert(month, found);
    }
    Ok(tally)
}

/// Some date of the file shows it and none the contrary.
fn is_day_first(rows: &DataFrame, wanted: &Wanted) -> Result<bool, NotRead> {
    let (mut day_first, mut month_first) = (false, false);
    for position in &wanted.dates {
        let [days, months] = typing::order_shown(&typing::meant(col(name(*position))));
        let shown = rows.clone().lazy().select([days.alias("days"), months.alias("months")]).collect()?;
        let told = |name: &str| -> PolarsResult<bool> { Ok(shown.column(name)?.bool()?.get(0).unwrap_or_default()) };
        day_first |= told("days")?;
        month_first |= told("months")?;
    }
    Ok(day_first && !month_first)
}

fn sum(index: usize) -> PlSmallStr {
    PlSmallStr::from_string(format!("sum {index}"))
}

fn values(index: usize) -> PlSmallStr {
    PlSmallStr::from_string(format!("values {index}"))
}

fn filled(index: usize) -> PlSmallStr {
    PlSmallStr::from_string(format!("filled {index}"))
}

fn number(frame: &DataFrame, column: &str, row: usize) -> PolarsResult<u64> {
    Ok(frame.column(column)?.u64()?.get(row).unwrap_or_default())
}

fn cents(frame: &DataFrame, column: &str, row: usize) -> Result<i128, NotRead> {
    match frame.column(column)?.get(row)? {
        AnyValue::Decimal(units, _, 2) => Ok(units),
        AnyValue::Null => Ok(0),
        _ => Err(refused("Polars summed an amount in another scale than cents")),
    }
}
