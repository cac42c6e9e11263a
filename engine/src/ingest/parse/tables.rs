//! Tables: where below our rows another table begins, whose rows are none of ours however well they would fit.
//! Promise: below the header of another report, or of our own columns in another order, nothing is a row until our
//! header comes again; below an unknown header as wide as ours, only what has an entry number in CBP's form.
//! Never: a note or a damaged row ends our table.

use bonded_schemas::{Recognition, Registry};

use super::{
    date::{DateOrder, date},
    furniture,
    value::money,
};

/// Fewer names than this are no header.
const NAMES_MIN: usize = 3;

/// The header of another table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OtherTable {
    pub line: u64,
    is_report: bool,
}

impl OtherTable {
    /// Whether this record, which is no row and not our header, begins one; `cells` as meant, `width` of our header.
    #[cold]
    pub fn begins(cells: &[String], width: usize, line: u64) -> Option<Self> {
        let filled = cells.iter().rposition(|cell| !cell.is_empty()).map_or(0, |last| last + 1);
        let names = &cells[..filled];
        if names.len() < NAMES_MIN || names.iter().any(|name| is_value(name)) {
            return None;
        }
        if matches!(Registry::builtin().recognise(names), Recognition::Known(_)) {
            return Some(Self { line, is_report: true });
        }
        (names.len() == width && names.iter().all(|name| !name.is_empty())).then_some(Self { line, is_report: false })
    }

    /// Whether a sound record with this entry number is a row of the other table.
    pub fn holds(self, entry_number: &str) -> bool {
        self.is_report || !furniture::is_entry_number(entry_number)
    }
}

/// What a header has no cell of.
fn is_value(text: &str) -> bool {
    let bytes = text.as_bytes();
    !text.is_empty() && (furniture::is_entry_number(text) || money(bytes).is_ok() || date(bytes, DateOrder::MonthFirst).is_ok())
}

#[cfg(test)]
mod tests;
