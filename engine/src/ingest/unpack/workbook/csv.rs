//! A sheet's cells as CSV text.
//! Promise: rows are padded to the widest row above, since workbooks leave empty cells out; empty rows stay lines.

use std::{borrow::Cow, io::Write};

use super::{
    super::limits::{Opens, Stop},
    format::{self, Format},
    placed,
};

/// A cell as it is stored.
#[derive(Clone, Copy, Debug)]
pub(in crate::ingest::unpack) enum Cell<'a> {
    Text(&'a str),
    /// The stored digits where there are any (xlsx), and what they come to.
    Number {
        stored: Option<&'a str>,
        value: f64,
        format: Format,
        /// Days count from 1904, as old Macs did.
        from_1904: bool,
    },
    Bool(bool),
    /// Excel's own text for it: `#N/A`, `#REF!`.
    Error(&'a str),
}

impl<'a> Cell<'a> {
    pub fn text(&self) -> Cow<'a, str> {
        match *self {
            Cell::Text(text) | Cell::Error(text) => Cow::Borrowed(text),
            Cell::Number { stored, value, format, from_1904 } => Cow::Owned(format::number(stored, value, format, from_1904)),
            Cell::Bool(true) => Cow::Borrowed("TRUE"),
            Cell::Bool(false) => Cow::Borrowed("FALSE"),
        }
    }
}

pub(super) struct Sheet<'w> {
    out: &'w mut dyn Write,
    left: u64,
    limit: u64,
    /// The row being filled.
    row: u32,
    cells: Vec<String>,
    /// Cells of `cells` in use.
    used: usize,
    width: usize,
    line: String,
}

impl<'w> Sheet<'w> {
    pub fn new(out: &'w mut dyn Write, bytes_max: u64) -> Self {
        Self { out, left: bytes_max, limit: bytes_max, row: 0, cells: Vec::new(), used: 0, width: 0, line: String::new() }
    }

    pub fn put(&mut self, row: u32, column: u32, cell: &Cell<'_>) -> Opens<()> {
        placed(row, column)?;
        if row < self.row {
            return Err(Stop::broken("the rows of a sheet are out of order"));
        }
        let text = cell.text();
        if text.is_empty() {
            return Ok(());
        }
        while self.row < row {
            self.end_row()?;
        }
        let column = column as usize;
        if self.cells.len() <= column {
            self.cells.resize(column + 1, String::new());
        }
        self.used = self.used.max(column + 1);
        self.cells[column].clear();
        self.cells[column].push_str(&text);
        Ok(())
    }

    pub fn finish(mut self) -> Opens<()> {
        if self.used > 0 {
            self.end_row()?;
        }
        Ok(())
    }

    fn end_row(&mut self) -> Opens<()> {
        self.line.clear();
        if self.used > 0 {
            self.width = self.width.max(self.used);
            for column in 0..self.width {
                if column > 0 {
                    self.line.push(',');
                }
                let text = self.cells.get(column).filter(|_| column < self.used).map(String::as_str).unwrap_or_default();
                push_quoted(&mut self.line, text);
            }
            self.cells[..self.used].iter_mut().for_each(String::clear);
            self.used = 0;
        }
        self.line.push('\n');
        self.row += 1;
        let Some(left) = self.left.checked_sub(self.line.len() as u64) else {
            return Err(Stop::bomb(format!("a sheet comes to more than {} bytes, the limit for its size", self.limit)));
        };
        self.left = left;
        self.out.write_all(self.line.as_bytes())?;
        Ok(())
    }
}

fn push_quoted(line: &mut String, text: &str) {
    if !text.contains([',', '"', '\r', '\n']) {
        line.push_str(text);
        return;
    }
    line.push('"');
    for (index, part) in text.split('"').enumerate() {
        if index > 0 {
            line.push_str("\"\"");
        }
        line.push_str(part);
    }
    line.push('"');
}
