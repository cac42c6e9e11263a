//! Scratch: the text of a cell that is not simply a slice of its record: escaped quotes, bytes of another encoding.

use super::super::{
    records::Record,
    tokenise::{Cell, Tokeniser},
    value::decode,
};

/// Room for the rare cell that is not simply a slice of its record.
#[derive(Default)]
pub(super) struct Scratch {
    pub bytes: Vec<u8>,
    text: String,
}

/// What was odd about one cell.
#[derive(Clone, Copy, Default)]
pub(super) struct Odd {
    /// It was read as Windows-1252.
    pub foreign: bool,
}

impl Scratch {
    /// The cell's text without its quotes, and what was odd about it.
    #[inline]
    pub fn cell<'a>(&'a mut self, tokeniser: Tokeniser, record: &'a Record<'_>, cell: Cell) -> (&'a str, Odd) {
        match record.text {
            Some(text) if !cell.escaped => (&text[cell.range()], Odd::default()),
            _ => self.unusual(tokeniser, record.bytes, cell),
        }
    }

    #[cold]
    fn unusual(&mut self, tokeniser: Tokeniser, record: &[u8], cell: Cell) -> (&str, Odd) {
        let raw = &record[cell.range()];
        let raw = if cell.escaped {
            tokeniser.unescape(raw, &mut self.bytes);
            &self.bytes
        } else {
            raw
        };
        let (text, foreign) = decode(raw);
        self.text.clear();
        self.text.push_str(&text);
        (&self.text, Odd { foreign })
    }
}
