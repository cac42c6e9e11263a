//! Validate: what deserves a look though it was read, counted by rule and column with the first few examples.
//! Promise: counts are complete whatever the file's size; the order is that of the table's columns.
//! Never: nothing is dropped or changed here; a cell of a column that may hold personal data is not quoted.

use bonded_schemas::{Column, Warning, WarningExample, WarningRule};

use super::columns::Place;

const EXAMPLES_MAX: usize = 3;
const EXAMPLE_CHARACTERS_MAX: usize = 64;

/// Rows of a worksheet: xlsx, and xls before it.
const SHEET_ROWS: [u64; 2] = [1_048_576, 65_536];

/// A report may speak of the years behind it (the next liquidation, a reconciliation 21 months on), not of more.
pub(super) const FUTURE_DAYS_MAX: i32 = 731;

/// The warnings of one file in the making.
pub(super) struct Warnings {
    /// By column in table order; few rules speak of one column.
    columns: Vec<Vec<Noted>>,
}

struct Noted {
    rule: WarningRule,
    count: u64,
    examples: Vec<WarningExample>,
}

impl Warnings {
    pub fn new(columns: usize) -> Self {
        Self { columns: std::iter::repeat_with(Vec::new).take(columns).collect() }
    }

    /// Some rules speak of every row of a file (a filer whose check digits all fail), so this is a look and a count.
    pub fn note(&mut self, column: usize, rule: WarningRule, place: Place, text: &str) {
        let noted = &mut self.columns[column];
        let at = match noted.iter().position(|noted| noted.rule == rule) {
            Some(at) => at,
            None => {
                noted.push(Noted { rule, count: 0, examples: Vec::new() });
                noted.len() - 1
            }
        };
        let noted = &mut noted[at];
        noted.count += 1;
        if noted.examples.len() < EXAMPLES_MAX {
            let text = text.chars().take(EXAMPLE_CHARACTERS_MAX).collect();
            noted.examples.push(WarningExample { line: place.line, byte: place.byte, text });
        }
    }

    pub fn finish(self, columns: &[Column], sheet: Option<Warning>) -> Vec<Warning> {
        let mut warnings = Vec::new();
        for (column, mut noted) in columns.iter().zip(self.columns) {
            noted.sort_by_key(|noted| noted.rule);
            for Noted { rule, count, mut examples } in noted {
                if column.personal {
                    examples.iter_mut().for_each(|example| example.text.clear());
                }
                warnings.push(Warning { rule, column: Some(column.name.clone()), count, examples });
            }
        }
        warnings.extend(sheet);
        warnings
    }
}

/// A file with as many rows as a worksheet holds was probably cut by one. `rows_above` are the header and what stands over it.
pub(super) fn sheet_limit(rows_read: u64, rows_above: u64) -> Option<Warning> {
    let is_full = |sheet: &u64| rows_read + 1 == *sheet || rows_read + rows_above == *sheet;
    let full = SHEET_ROWS.iter().any(is_full);
    full.then(|| Warning { rule: WarningRule::SheetLimit, column: None, count: rows_read, examples: Vec::new() })
}

#[cfg(test)]
pub(super) mod tests;
