//! Furniture: what stands among the rows of a printed report and is none: totals, repeated headers, notes.
//! Promise: asked only about records that are no sound rows; each answer says why, for its reject.
//! Never: a record that could be a damaged row is not explained away: in doubt it stays unreadable.

use bonded_schemas::{ColumnType, delivery::RejectKind, entry_number};

/// Words that a line of totals begins with or holds.
const TOTAL_WORDS: [&str; 7] = ["total", "totals", "subtotal", "subtotals", "sum", "sums", "count"];
/// Words of notes that may stand alone in their cell.
const NOTE_WORDS: [&str; 12] =
    ["page", "end", "report", "records", "rows", "run", "printed", "generated", "created", "date", "confidential", "filter"];
/// More words than this are no label.
const LABEL_WORDS_MAX: usize = 8;

/// What a record is held against.
#[derive(Clone, Debug)]
pub(super) struct Furniture {
    /// The header's names, lower case.
    header: Vec<String>,
    /// The lines above it, as they came.
    preamble: Vec<String>,
    /// What each position holds; text where nothing is known.
    kinds: Vec<ColumnType>,
    grain: Vec<usize>,
}

/// Whether an entry number cell holds a label instead. Asked of odd cells only; most of them have no word in them.
pub(super) fn is_label(text: &str) -> bool {
    let has_word = text.split(|c: char| !c.is_alphabetic()).any(|word| word.len() >= 3);
    has_word && (is_total(text) || note(text))
}

/// Three letters or digits and eight digits, as ACE writes an entry number, or the same with dashes, as people do.
#[inline]
pub(super) fn is_entry_number(text: &str) -> bool {
    let bytes = text.as_bytes();
    let plain = bytes.len() == entry_number::LENGTH
        && bytes[3..].iter().all(u8::is_ascii_digit)
        && bytes[..3].iter().all(u8::is_ascii_alphanumeric);
    plain || entry_number::is_dashed(text)
}

impl Furniture {
    pub fn new(header: &[String], preamble: &[String], kinds: Vec<ColumnType>, grain: Vec<usize>) -> Self {
        let header = header.iter().map(|name| name.to_lowercase()).collect();
        Self { header, preamble: preamble.to_vec(), kinds, grain }
    }

    /// How many cells of a record are worth looking at.
    pub fn width(&self) -> usize {
        self.header.len() + 1
    }

    /// What this record is, if it is no row; `cells` as meant, `line` the whole record as text.
    #[cold]
    pub fn recognise(&self, cells: &[String], line: &str) -> Option<(RejectKind, &'static str)> {
        if self.is_header(cells) {
            return Some((RejectKind::RepeatedHeader, "the header once more"));
        }
        let line = line.trim();
        if self.preamble.iter().any(|above| above.trim() == line) {
            return Some((RejectKind::RepeatedHeader, "a line from above the header once more"));
        }
        let filled = || cells.iter().enumerate().filter(|(_, cell)| !cell.is_empty());
        let (_, label) = filled().next()?;
        if is_entry_number(label) {
            let in_grain = self.grain.iter().any(|position| cells.get(*position).is_some_and(|cell| is_total(cell)));
            return in_grain.then_some((RejectKind::Total, "a subtotal of one entry and no line of it"));
        }
        // In a row of the right width the label stands in the way of an entry number; in a short one it comes first.
        if is_total(label) {
            return Some((RejectKind::Total, "a line of totals and no row"));
        }
        if self.is_unlabelled_total(cells) {
            return Some((RejectKind::Total, "amounts without an entry: a line of totals and no row"));
        }
        let count = filled().count();
        let is_note = match count {
            1 => note(label),
            2 | 3 => label.ends_with(':'),
            _ => false,
        };
        (is_note && self.header.len() > 3).then_some((RejectKind::Footer, "a note and no row"))
    }

    /// The header's names and nothing else.
    pub fn is_header(&self, cells: &[String]) -> bool {
        let Some(repeated) = cells.get(..self.header.len()) else { return false };
        let behind = &cells[self.header.len()..];
        behind.iter().all(String::is_empty) && repeated.iter().zip(&self.header).all(|(cell, name)| cell.to_lowercase() == *name)
    }

    /// Nothing that names an entry, nothing but numbers, and an amount among them.
    fn is_unlabelled_total(&self, cells: &[String]) -> bool {
        if cells.len() < self.header.len() {
            return false;
        }
        let mut amounts = 0;
        for (position, cell) in cells.iter().enumerate().filter(|(_, cell)| !cell.is_empty()) {
            let money = matches!(self.kinds.get(position), Some(ColumnType::Money | ColumnType::Quantity));
            if !money || self.grain.contains(&position) || !cell.bytes().any(|byte| byte.is_ascii_digit()) {
                return false;
            }
            amounts += 1;
        }
        amounts > 0
    }
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

fn is_total(text: &str) -> bool {
    let label: Vec<String> = words(text).take(LABEL_WORDS_MAX + 1).collect();
    label.len() <= LABEL_WORDS_MAX && (label.iter().any(|word| TOTAL_WORDS.contains(&word.as_str())) || begins_sub_total(&label))
}

fn begins_sub_total(label: &[String]) -> bool {
    matches!(label, [first, second, ..] if first == "sub" && second.starts_with("total"))
}

/// Prose, or a word that only notes have. The stump of a row cut off is neither.
fn note(text: &str) -> bool {
    let mut words = words(text).filter(|word| word.len() > 1);
    let Some(first) = words.next() else { return false };
    NOTE_WORDS.contains(&first.as_str()) || words.next().is_some()
}

#[cfg(test)]
mod tests;
