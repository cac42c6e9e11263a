//! Style: in which of the usual ways each typed column writes its amounts and dates, told by looking at a few bytes.
//! Promise: every typed cell of every row is counted under one style; the rarer ones of a column are named with their count.
//! Never: no scan of a cell and no allocation per cell; the style never changes a value.

use bonded_schemas::ColumnType;

use super::value::meant;

/// In the order in which one cell is asked.
const NAMES: [&str; COUNT] = [
    "1234.56",
    "1,234.56",
    "with a dollar sign",
    "negatives in parentheses",
    "minus behind the number",
    "nn/nn/yyyy",
    "nn/nn/yy",
    "yyyy-mm-dd",
    "with a time of day",
    "day numbers of a spreadsheet",
    "another way",
];
const COUNT: usize = 11;
const PLAIN: usize = 0;
const GROUPED: usize = 1;
const DOLLAR: usize = 2;
const PARENTHESES: usize = 3;
const MINUS_BEHIND: usize = 4;
const SLASHED: usize = 5;
const SLASHED_SHORT: usize = 6;
const ISO: usize = 7;
const TIMED: usize = 8;
const DAY_NUMBER: usize = 9;
const OTHER: usize = 10;

/// One column's cells by style.
#[derive(Clone, Debug)]
struct Column {
    is_date: bool,
    counts: [u64; COUNT],
    first_lines: [u64; COUNT],
    /// Of the last cell noted; none of an empty one.
    last: Option<usize>,
}

/// The typed columns of one file, by header position.
#[derive(Clone, Debug, Default)]
pub(super) struct Styles {
    columns: Vec<Option<Column>>,
}

impl Styles {
    /// One kind per header position; `None` where nothing is typed.
    pub fn new(kinds: impl IntoIterator<Item = Option<ColumnType>>) -> Self {
        let column = |kind| {
            let is_date = match kind {
                Some(ColumnType::Date) => true,
                Some(ColumnType::Money | ColumnType::Quantity) => false,
                // A whole number has one style, a text any.
                _ => return None,
            };
            Some(Column { is_date, counts: [0; COUNT], first_lines: [0; COUNT], last: None })
        };
        Self { columns: kinds.into_iter().map(column).collect() }
    }

    /// Counts one cell that could be read.
    #[inline]
    pub fn note(&mut self, position: usize, text: &str, line: u64) {
        let Some(Some(column)) = self.columns.get_mut(position) else { return };
        let bytes = meant(text).as_bytes();
        column.last = None;
        let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return };
        let style = if column.is_date { date(bytes) } else { amount(*first, *last, bytes) };
        if column.counts[style] == 0 {
            column.first_lines[style] = line;
        }
        column.counts[style] += 1;
        column.last = Some(style);
    }

    /// The last cell noted stood so many times more in the rows below it.
    #[inline]
    pub fn repeat(&mut self, position: usize, count: usize) {
        if let Some(Some(column)) = self.columns.get_mut(position)
            && let Some(style) = column.last
        {
            column.counts[style] += count as u64;
        }
    }

    /// Header position and words, for each column that has a style.
    pub fn words(&self) -> impl Iterator<Item = (usize, String)> {
        let columns = self.columns.iter().enumerate();
        columns.filter_map(|(position, column)| Some((position, words(column.as_ref()?)?)))
    }
}

fn words(column: &Column) -> Option<String> {
    let seen: u64 = column.counts.iter().sum();
    // The first of the most frequent, so that the answer is one.
    let main = (0..COUNT).rev().max_by_key(|style| column.counts[*style]).filter(|style| column.counts[*style] > 0)?;
    let mut text = format!("{} in {} of {seen} cells", NAMES[main], column.counts[main]);
    for style in (0..COUNT).filter(|style| *style != main && column.counts[*style] > 0) {
        text.push_str(&format!("; {} in {}, first at line {}", NAMES[style], column.counts[style], column.first_lines[style]));
    }
    Some(text)
}

/// Where a dollar, a sign or a group's comma stands in a number that was read as one.
#[inline]
fn amount(first: u8, last: u8, bytes: &[u8]) -> usize {
    if last == b'-' {
        return MINUS_BEHIND;
    }
    if !first.is_ascii_digit() && first != b'.' {
        let dollar = bytes.iter().take(3).any(|byte| *byte == b'$');
        match first {
            _ if dollar => return DOLLAR,
            b'(' => return PARENTHESES,
            b'-' | b'+' => {}
            _ => return OTHER,
        }
    }
    // The first group has one to three digits, a sign perhaps before it.
    let grouped = bytes.len() > 4 && bytes[1..5].contains(&b',');
    if grouped { GROUPED } else { PLAIN }
}

/// By the places of the separators.
#[inline]
fn date(bytes: &[u8]) -> usize {
    let slash = |byte: &u8| matches!(byte, b'/' | b'-' | b'.');
    let Some(day) = bytes.iter().take(3).position(slash) else {
        return match (bytes.get(4), bytes.len()) {
            (Some(b'-'), 10) => ISO,
            (Some(b'-'), 11..) => TIMED,
            (Some(b'0'..=b'9'), 5..) => DAY_NUMBER,
            _ => OTHER,
        };
    };
    let Some(month) = bytes[day + 1..].iter().take(3).position(slash) else { return OTHER };
    match bytes.len() - (day + 1 + month + 1) {
        4 => SLASHED,
        2 => SLASHED_SHORT,
        5.. => TIMED,
        _ => OTHER,
    }
}

#[cfg(test)]
mod tests;
