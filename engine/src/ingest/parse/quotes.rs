//! Quotes: whether those of one record stand where quotes may stand, so that its cells begin where they seem to.
//! Promise: a record whose quotes leave a doubt about the borders of its cells is told from one that has none.
//! Never: a lone inch mark or apostrophe in a plain cell is no doubt: it moves no border.

use memchr::{memchr, memchr_iter};

use super::{
    dialect::DOUBLE,
    tokenise::{Cell, Tokeniser},
};

/// Why the cells may not be those that were meant.
#[inline]
pub(super) fn fault(tokeniser: Tokeniser, record: &[u8], cells: &[Cell], scratch: &mut Vec<u8>) -> Option<&'static str> {
    let quote = tokeniser.quote();
    let (quoted, escaped) =
        cells.iter().fold((0, false), |(quoted, escaped), cell| (quoted + usize::from(cell.quoted), escaped | cell.escaped));
    if quoted == 0 && memchr(quote, record).is_none() {
        return None;
    }
    // Two to a quoted cell and none elsewhere: nearly every record that has any.
    if !escaped && memchr_iter(quote, record).count() == 2 * quoted {
        return None;
    }
    doubt(tokeniser, record, cells, scratch)
}

#[cold]
fn doubt(tokeniser: Tokeniser, record: &[u8], cells: &[Cell], scratch: &mut Vec<u8>) -> Option<&'static str> {
    if cells.iter().any(|cell| cell.escaped && tokeniser.unescape(&record[cell.range()], scratch)) {
        return Some("text stands behind a closing quote, so a quote is lost or not doubled");
    }
    let quote = tokeniser.quote();
    let plain = || cells.iter().filter(|cell| !cell.quoted).map(|cell| record[cell.range()].trim_ascii());
    // Behind a blank it opens nothing, and the cell ends at the next delimiter or line, whatever was meant.
    if plain().any(|text| text.first() == Some(&quote) && (text.len() == 1 || text.last() != Some(&quote))) {
        return Some("a quote behind a blank opens a cell that does not close");
    }
    let open = plain().filter(|text| memchr_iter(quote, text).count() % 2 == 1).count();
    // Apostrophes are letters of words wherever they are not quotes.
    (quote == DOUBLE && open > 1)
        .then_some("a quote opens inside one cell and closes inside another, so the delimiter between them may be text")
}

#[cfg(test)]
mod tests;
