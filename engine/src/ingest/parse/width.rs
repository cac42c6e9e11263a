//! Width: how many cells a row has beside those that the header names, judged by the rows at the file's beginning.
//! Promise: delimiters behind the last cell are the habit of a file or they are a fault; a row whose cells may have moved
//! by one is never taken for a whole one.
//! Never: one row decides; what is empty at its end may be its own last cell.

use bonded_schemas::{Edition, edition::fold};

use super::tokenise::{Scan, Tokeniser};

/// Shorter names of columns (`Line`, `MID`) begin other words, too.
const NAME_LETTERS_MIN: usize = 8;
/// Of a hundred rows that could have the habit, so many must.
const HABIT_PERCENT: u64 = 90;

/// What rows have behind the cells that the header names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Width {
    /// So many empty cells, opened by delimiters behind the last one.
    pub trailing: usize,
    /// The header's last cell is empty and the rows have something there: it is a column without a name.
    pub nameless: bool,
}

impl Width {
    /// `names`: what the header has; `delimited`: it ends in a delimiter.
    pub fn of(sample: &[u8], whole: bool, tokeniser: Tokeniser, header: &[String], delimited: bool, edition: &Edition) -> Self {
        let names = header.len();
        // How many rows have so many empty cells behind the names, and how many have something in the first of them.
        let (mut habits, mut rows, mut filled) = (std::collections::BTreeMap::<usize, u64>::new(), 0_u64, 0_u64);
        let (mut cells, mut rest) = (Vec::new(), sample);
        loop {
            let blank = rest.iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
            rest = &rest[blank..];
            if rest.is_empty() {
                break;
            }
            let Scan::Whole { end, unterminated: false, .. } = tokeniser.record(rest, whole, &mut cells) else { break };
            let is_blank = cells.iter().all(|cell| rest[cell.range()].trim_ascii().is_empty());
            if cells.len() >= names && !is_blank {
                let behind = &cells[names..];
                rows += 1;
                if behind.iter().all(|cell| cell.range().is_empty()) {
                    *habits.entry(behind.len()).or_default() += 1;
                } else {
                    filled += u64::from(behind.len() == 1);
                }
            }
            rest = &rest[end..];
        }
        if delimited && filled > 0 {
            return Self { trailing: 0, nameless: true };
        }
        let most = habits.iter().max_by_key(|(_, count)| **count);
        // Where the header ends so, too, the rows that do not are the odd ones, however many they are.
        let enough = |count: u64| delimited || count * 100 >= rows * HABIT_PERCENT;
        let habit = most.filter(|(_, count)| enough(**count)).map_or(0, |(trailing, _)| *trailing);
        // A header that lacks one delimiter has one name too few, and rows that end in an empty cell look the same.
        let trailing = if delimited || !header.iter().any(|name| is_merged(name, edition)) { habit } else { 0 };
        Self { trailing, nameless: false }
    }
}

/// Whether a name is that of a known column with something grown onto it.
fn is_merged(name: &str, edition: &Edition) -> bool {
    let folded = fold(name);
    let known = |test: &dyn Fn(&str) -> bool| {
        edition
            .columns
            .iter()
            .flat_map(|column| std::iter::once(&column.name).chain(&column.aliases))
            .any(|name| test(&fold(name)))
    };
    !known(&|known| known == folded)
        && known(&|known| known.len() >= NAME_LETTERS_MIN && (folded.starts_with(known) || folded.ends_with(known)))
}

#[cfg(test)]
mod tests;
