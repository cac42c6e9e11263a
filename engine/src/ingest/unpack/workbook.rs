//! Workbooks: which sheets hold reports, the sheet as CSV, and what the sheet "Parameters" says of it.
//! Promise: a cell comes out as it is stored: texts untouched, dates as ISO, no digit of a number added or lost.
//! Never: a sheet's own word on its size is believed; what no sheet of ours resembles is no member.

use std::{collections::BTreeMap, io::Write, ops::ControlFlow};

use bonded_schemas::{Mapping, Recognition, Registry, Report};

use super::{
    limits::{Allowance, Opens, Stop},
    source::ReadAt,
};

mod csv;
mod format;
pub(super) mod xls;
pub(super) mod xlsx;

pub(super) use csv::Cell;
use csv::Sheet as Rows;

/// ACE's own names (`ace-reports.md`, from two real exports).
const MAIN: &str = "Main Report";
const PARAMETERS: &str = "Parameters";
/// A header further down is not looked for.
const HEADER_ROWS_MAX: u32 = 64;
const PARAMETER_ROWS_MAX: u32 = 500;
const PARAMETERS_MAX: usize = 100;
const PARAMETER_CHARS_MAX: usize = 1024;

/// What one cell of a sheet does.
pub(super) type Each<'a> = dyn FnMut(u32, u32, Cell<'_>) -> Opens<ControlFlow<()>> + 'a;

/// An opened workbook; its sheets are read when they are asked for.
pub(super) trait Book: Send + Sync {
    /// Names of its worksheets, in order.
    fn sheets(&self) -> &[String];
    /// Gives out the cells of one sheet, row by row; rows and columns count from 0.
    fn cells(&self, bytes: &mut dyn ReadAt, sheet: usize, each: &mut Each<'_>) -> Opens<()>;
}

/// What of a workbook becomes deliveries.
#[derive(Debug)]
pub(super) struct Chosen {
    /// In the workbook's order.
    pub sheets: Vec<usize>,
    /// Names of sheets with something in them that are no report.
    pub left: Vec<String>,
    pub parameters: BTreeMap<String, String>,
}

/// Every sheet that reads like a report, and "Main Report" in any case; failing both, the first that holds anything.
pub(super) fn choose(book: &dyn Book, bytes: &mut dyn ReadAt, mappings: &BTreeMap<Report, Mapping>) -> Opens<Chosen> {
    let mut parameters = BTreeMap::new();
    let mut filled = Vec::new();
    let mut sheets = Vec::new();
    for (index, name) in book.sheets().iter().enumerate() {
        if name.trim().eq_ignore_ascii_case(PARAMETERS) {
            parameters = prompts(&first_rows(book, bytes, index, PARAMETER_ROWS_MAX)?);
            continue;
        }
        let rows = first_rows(book, bytes, index, HEADER_ROWS_MAX)?;
        if rows.is_empty() {
            continue;
        }
        filled.push(index);
        let is_main = name.trim().eq_ignore_ascii_case(MAIN);
        if is_main || rows.iter().any(|row| is_report(row, mappings)) {
            sheets.push(index);
        }
    }
    if sheets.is_empty() {
        sheets.extend(filled.first());
    }
    let left = filled.into_iter().filter(|index| !sheets.contains(index));
    let left = left.filter_map(|index| book.sheets().get(index).cloned()).collect();
    Ok(Chosen { sheets, left, parameters })
}

/// Also when it is one that has to be turned away: the receipt then says why.
fn is_report(header: &[String], mappings: &BTreeMap<Report, Mapping>) -> bool {
    match Registry::builtin().recognise_with(header, mappings) {
        Recognition::Known(_) | Recognition::GrainMissing(..) | Recognition::Impostor(..) => true,
        Recognition::Unknown(_) => false,
    }
}

/// The non-empty rows among the first, as they will be written.
fn first_rows(book: &dyn Book, bytes: &mut dyn ReadAt, sheet: usize, rows_max: u32) -> Opens<Vec<Vec<String>>> {
    let mut found: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    book.cells(bytes, sheet, &mut |row, _, cell| {
        if row >= rows_max {
            return Ok(ControlFlow::Break(()));
        }
        let text = cell.text();
        if !text.trim().is_empty() {
            found.entry(row).or_default().push(text.into_owned());
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(found.into_values().collect())
}

/// Writes one sheet as CSV: UTF-8, commas, line feeds; row n of the sheet is line n unless a cell holds a line break.
pub(super) fn write_csv(
    book: &dyn Book,
    bytes: &mut dyn ReadAt,
    sheet: usize,
    allowance: &Allowance,
    out: &mut dyn Write,
) -> Opens<()> {
    let mut rows = Rows::new(out, allowance.member_bytes);
    book.cells(bytes, sheet, &mut |row, column, cell| rows.put(row, column, &cell).map(ControlFlow::Continue))?;
    rows.finish()
}

/// A row's first text is a prompt and the rest is its answer; a text alone counts when a colon parts it.
fn prompts(rows: &[Vec<String>]) -> BTreeMap<String, String> {
    let mut prompts: BTreeMap<String, String> = BTreeMap::new();
    for row in rows {
        let (prompt, answer) = match row.as_slice() {
            [] => continue,
            [text] => match text.split_once(':') {
                Some((prompt, answer)) => (prompt.to_owned(), answer.trim().to_owned()),
                None => continue,
            },
            [prompt, answers @ ..] => (prompt.clone(), answers.join(" | ")),
        };
        let prompt = cut(prompt.trim().trim_end_matches(':').trim());
        if prompt.is_empty() || (prompts.len() >= PARAMETERS_MAX && !prompts.contains_key(&prompt)) {
            continue;
        }
        let kept = prompts.entry(prompt).or_default();
        let joined = if kept.is_empty() { answer } else { format!("{kept} | {answer}") };
        *kept = cut(joined.trim());
    }
    prompts
}

fn cut(text: &str) -> String {
    text.chars().take(PARAMETER_CHARS_MAX).collect()
}

/// Both readers stop here: what the file formats cannot hold is no sheet.
fn placed(row: u32, column: u32) -> Opens<()> {
    if row < 1 << 20 && column < 1 << 14 {
        return Ok(());
    }
    Err(Stop::broken("the workbook has a cell where no sheet has one"))
}

#[cfg(test)]
mod tests;
