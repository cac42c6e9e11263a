//! One report being written: header, rows, counts.
//! Promise: bounded memory whatever the size; rows leave in blocks of about 64 KiB.

use std::io::{self, Write};

use bonded_schemas::Report;

use super::{
    Written,
    cell::{Cell, Style},
    layout::{Layout, Source},
    plan::Plan,
};

const BLOCK_SIZE_BYTES: usize = 64 * 1024;

pub struct Sheet<'a> {
    out: &'a mut dyn Write,
    style: Style,
    layout: Layout,
    sources: Vec<Source>,
    block: Vec<u8>,
    scratch: Vec<u8>,
    written: Written,
}

impl<'a> Sheet<'a> {
    pub fn open(report: Report, plan: &Plan, out: &'a mut dyn Write) -> io::Result<Self> {
        let layout = plan.layouts.get(&report).cloned().unwrap_or_default();
        let (names, sources): (Vec<String>, Vec<Source>) = layout.columns(report).into_iter().unzip();
        let mut sheet = Self {
            out,
            style: plan.style,
            layout,
            sources,
            block: Vec::with_capacity(BLOCK_SIZE_BYTES + 4096),
            scratch: Vec::with_capacity(64),
            written: Written::default(),
        };
        if sheet.style.byte_order_mark {
            sheet.block.extend_from_slice("\u{feff}".as_bytes());
        }
        for line in &sheet.layout.preamble {
            sheet.block.extend_from_slice(line.as_bytes());
            end_line(&sheet.style, &mut sheet.block);
        }
        for (at, name) in names.iter().enumerate() {
            separate(at, &mut sheet.block);
            Cell::Text(name).write(&sheet.style, &mut sheet.scratch, &mut sheet.block);
        }
        end_line(&sheet.style, &mut sheet.block);
        Ok(sheet)
    }

    /// Writes one row, given in the order of `layout`: default columns, then optional ones.
    pub fn row(&mut self, cells: &[Cell<'_>]) -> io::Result<()> {
        for (at, source) in self.sources.iter().enumerate() {
            separate(at, &mut self.block);
            let cell = match source {
                Source::Known(column) => cells[*column],
                Source::Extra(column) => extra_cell(&self.layout.extra[*column].values, self.written.rows),
            };
            cell.write(&self.style, &mut self.scratch, &mut self.block);
        }
        end_line(&self.style, &mut self.block);
        self.written.rows += 1;
        if self.block.len() >= BLOCK_SIZE_BYTES { self.flush_block() } else { Ok(()) }
    }

    pub fn close(mut self) -> io::Result<Written> {
        self.flush_block()?;
        self.out.flush()?;
        Ok(self.written)
    }

    fn flush_block(&mut self) -> io::Result<()> {
        self.out.write_all(&self.block)?;
        self.written.size_bytes += self.block.len() as u64;
        self.block.clear();
        Ok(())
    }
}

fn extra_cell(values: &[String], row: u64) -> Cell<'_> {
    match values.len() as u64 {
        0 => Cell::Empty,
        count => Cell::Text(&values[(row % count) as usize]),
    }
}

fn separate(at: usize, out: &mut Vec<u8>) {
    if at > 0 {
        out.push(b',');
    }
}

fn end_line(style: &Style, out: &mut Vec<u8>) {
    out.extend_from_slice(if style.carriage_return { b"\r\n" } else { b"\n" });
}
