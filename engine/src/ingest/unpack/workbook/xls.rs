//! xls: BIFF8 records (MS-XLS) in the stream "Workbook" of a compound file (MS-CFB), held in memory up to a limit.
//! Promise: every length is checked before it is used; texts split over records come out whole.
//! Never: no formula is computed and no macro looked at; older than Excel 97 is refused by name.

use std::{
    borrow::Cow,
    io::{Cursor, Read},
    ops::ControlFlow,
};

use bonded_schemas::QuarantineReason;

use super::{
    super::{
        limits::{Allowance, Opens, Stop},
        source::{ReadAt, read_exactly},
    },
    Book, Cell, Each,
    format::Format,
    placed,
};

mod records;

use records::{Record, Records, Segments, short_text, text};

const BOF: u16 = 0x0809;
const EOF: u16 = 0x000a;
const FILE_PASS: u16 = 0x002f;
const DATE_MODE: u16 = 0x0022;
const BOUND_SHEET: u16 = 0x0085;
const FORMAT: u16 = 0x041e;
const XF: u16 = 0x00e0;
const SST: u16 = 0x00fc;
const NUMBER: u16 = 0x0203;
const LABEL: u16 = 0x0204;
const RICH_LABEL: u16 = 0x00d6;
const BOOL_OR_ERROR: u16 = 0x0205;
const STRING: u16 = 0x0207;
const RK: u16 = 0x027e;
const MUL_RK: u16 = 0x00bd;
const LABEL_SST: u16 = 0x00fd;
const FORMULA: u16 = 0x0006;
const BIFF8: u16 = 0x0600;
const WORKSHEET: u8 = 0;
const SHEETS_MAX: usize = 1000;

pub(in crate::ingest::unpack) struct Xls {
    stream: Vec<u8>,
    names: Vec<String>,
    /// Where each sheet begins in the stream.
    starts: Vec<usize>,
    texts: Vec<String>,
    formats: Vec<Format>,
    from_1904: bool,
}

impl Xls {
    pub fn open(bytes: &mut dyn ReadAt, allowance: &Allowance) -> Opens<Self> {
        let size = bytes.size_bytes();
        let Some(length) = usize::try_from(size).ok().filter(|length| *length <= allowance.memory_bytes) else {
            let limit = allowance.memory_bytes;
            return Err(Stop::bomb(format!("the workbook (xls) has {size} bytes, and {limit} are read at most")));
        };
        let whole = read_exactly(bytes, 0, length)?;
        let damaged = |error: std::io::Error| Stop::broken(format!("the compound file is damaged ({error})"));
        let mut file = cfb::CompoundFile::open(Cursor::new(whole)).map_err(damaged)?;
        if file.exists("/EncryptedPackage") || file.exists("/EncryptionInfo") {
            return Err(Stop::encrypted("the workbook"));
        }
        let Some(name) = ["/Workbook", "/Book"].into_iter().find(|name| file.is_stream(name)) else {
            return Err(Stop::not_a_workbook());
        };
        let mut stream = Vec::new();
        // No stream is longer than its file, whatever it says.
        file.open_stream(name).map_err(damaged)?.take(size).read_to_end(&mut stream).map_err(damaged)?;
        Self::read(stream, allowance)
    }

    fn read(stream: Vec<u8>, allowance: &Allowance) -> Opens<Self> {
        let mut book =
            Self { stream: Vec::new(), names: vec![], starts: vec![], texts: vec![], formats: vec![], from_1904: false };
        let mut codes = std::collections::HashMap::new();
        let mut xfs = Vec::new();
        let mut records = Records::new(&stream, 0);
        let first = records.next()?.filter(|record| record.kind == BOF).ok_or_else(|| odd("start"))?;
        if first.u16(0)? != BIFF8 {
            let message = "the workbook is older than Excel 97; save it as xlsx or CSV and deliver that";
            return Err(Stop::refused(QuarantineReason::BrokenContainer, message));
        }
        loop {
            let record = records.next()?.ok_or_else(|| odd("end"))?;
            match record.kind {
                EOF => break,
                FILE_PASS => return Err(Stop::encrypted("the workbook")),
                DATE_MODE => book.from_1904 = record.u16(0)? == 1,
                FORMAT => {
                    let code = text(&mut Segments::new(record.from(2)?, records.continued()?))?;
                    codes.insert(record.u16(0)?, Format::of_code(&code));
                }
                XF => xfs.push(record.u16(2)?),
                BOUND_SHEET if book.names.len() == SHEETS_MAX => {
                    return Err(Stop::bomb(format!("the workbook has more than {SHEETS_MAX} sheets")));
                }
                BOUND_SHEET if record.u8(5)? == WORKSHEET => {
                    book.starts.push(record.u32(0)? as usize);
                    book.names.push(short_text(record.from(6)?)?);
                }
                SST => {
                    let unique = record.u32(4)?;
                    let mut segments = Segments::new(record.from(8)?, records.continued()?);
                    let mut memory = 0;
                    for _ in 0..unique {
                        let found = text(&mut segments)?;
                        memory += found.len() + size_of::<String>();
                        if memory > allowance.memory_bytes {
                            let limit = allowance.memory_bytes;
                            return Err(Stop::bomb(format!("the workbook's texts come to more than {limit} bytes")));
                        }
                        book.texts.push(found);
                    }
                }
                _ => {}
            }
        }
        book.formats = xfs.iter().map(|id| codes.get(id).copied().unwrap_or_else(|| Format::builtin(*id))).collect();
        book.stream = stream;
        Ok(book)
    }

    fn number(&self, value: f64, style: u16) -> Cell<'static> {
        let format = self.formats.get(usize::from(style)).copied().unwrap_or(Format::General);
        Cell::Number { stored: None, value, format, from_1904: self.from_1904 }
    }
}

impl Book for Xls {
    fn sheets(&self) -> &[String] {
        &self.names
    }

    fn cells(&self, _: &mut dyn ReadAt, sheet: usize, each: &mut Each<'_>) -> Opens<()> {
        let start = *self.starts.get(sheet).ok_or_else(|| Stop::internal("a sheet that is not there"))?;
        let mut records = Records::new(&self.stream, start);
        if records.next()?.is_none_or(|record| record.kind != BOF) {
            return Err(odd("start of a sheet"));
        }
        // Charts lie inside a sheet with a beginning and an end of their own.
        let mut inside = 0_usize;
        let mut formula = None;
        let mut put = |row: u16, column: u16, cell: Cell<'_>| {
            placed(row.into(), column.into())?;
            each(row.into(), column.into(), cell)
        };
        loop {
            let record = records.next()?.ok_or_else(|| odd("end of a sheet"))?;
            if inside > 0 || record.kind == BOF {
                match record.kind {
                    BOF => inside += 1,
                    EOF => inside -= 1,
                    _ => {}
                }
                continue;
            }
            let flow = match record.kind {
                EOF => return Ok(()),
                NUMBER => put(record.u16(0)?, record.u16(2)?, self.number(record.f64(6)?, record.u16(4)?))?,
                RK => put(record.u16(0)?, record.u16(2)?, self.number(rk(record.u32(6)?), record.u16(4)?))?,
                MUL_RK => self.many(&record, &mut put)?,
                LABEL_SST => {
                    let index = record.u32(6)? as usize;
                    let text = self.texts.get(index).ok_or_else(|| odd("text number"))?;
                    put(record.u16(0)?, record.u16(2)?, Cell::Text(text))?
                }
                LABEL | RICH_LABEL => {
                    let text = text(&mut Segments::new(record.from(6)?, records.continued()?))?;
                    put(record.u16(0)?, record.u16(2)?, Cell::Text(&text))?
                }
                BOOL_OR_ERROR => {
                    let cell = bool_or_error(record.u8(6)?, record.u8(7)?);
                    put(record.u16(0)?, record.u16(2)?, cell)?
                }
                FORMULA => {
                    let (row, column, style) = (record.u16(0)?, record.u16(2)?, record.u16(4)?);
                    match formula_value(&record)? {
                        Value::Number(value) => put(row, column, self.number(value, style))?,
                        Value::Other(cell) => put(row, column, cell)?,
                        // Its text is in the record behind it.
                        Value::Text => {
                            formula = Some((row, column));
                            ControlFlow::Continue(())
                        }
                        Value::Empty => ControlFlow::Continue(()),
                    }
                }
                STRING => match formula.take() {
                    Some((row, column)) => {
                        let text = text(&mut Segments::new(record.from(0)?, records.continued()?))?;
                        put(row, column, Cell::Text(&text))?
                    }
                    None => ControlFlow::Continue(()),
                },
                _ => ControlFlow::Continue(()),
            };
            if flow.is_break() {
                return Ok(());
            }
        }
    }
}

type Put<'a> = dyn FnMut(u16, u16, Cell<'_>) -> Opens<ControlFlow<()>> + 'a;

impl Xls {
    fn many(&self, record: &Record<'_>, put: &mut Put<'_>) -> Opens<ControlFlow<()>> {
        let (row, first) = (record.u16(0)?, record.u16(2)?);
        // Row, first column, six bytes a cell, last column.
        let count = record.body.len().checked_sub(6).ok_or_else(|| odd("run of numbers"))? / 6;
        for index in 0..count {
            let column = u16::try_from(index).ok().and_then(|index| first.checked_add(index)).ok_or_else(|| odd("column"))?;
            let at = 4 + index * 6;
            if put(row, column, self.number(rk(record.u32(at + 2)?), record.u16(at)?))?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// Thirty bits of a number, as an integer or as the upper part of a double, a hundredth of it or whole (MS-XLS 2.5.217).
fn rk(bits: u32) -> f64 {
    let value = if bits & 2 == 0 { f64::from_bits(u64::from(bits & !3) << 32) } else { f64::from(bits as i32 >> 2) };
    if bits & 1 == 0 { value } else { value / 100.0 }
}

enum Value {
    Number(f64),
    Other(Cell<'static>),
    Text,
    Empty,
}

/// MS-XLS 2.5.133: a double, unless the last two bytes are all ones.
fn formula_value(record: &Record<'_>) -> Opens<Value> {
    if record.u16(12)? != u16::MAX {
        return Ok(Value::Number(record.f64(6)?));
    }
    Ok(match record.u8(6)? {
        0 => Value::Text,
        1 => Value::Other(bool_or_error(record.u8(8)?, 0)),
        2 => Value::Other(bool_or_error(record.u8(8)?, 1)),
        _ => Value::Empty,
    })
}

fn bool_or_error(value: u8, is_error: u8) -> Cell<'static> {
    if is_error == 0 {
        return Cell::Bool(value != 0);
    }
    Cell::Error(match value {
        0x00 => "#NULL!",
        0x07 => "#DIV/0!",
        0x0f => "#VALUE!",
        0x17 => "#REF!",
        0x1d => "#NAME?",
        0x24 => "#NUM!",
        0x2a => "#N/A",
        _ => "#ERROR",
    })
}

fn odd(what: impl Into<Cow<'static, str>>) -> Stop {
    Stop::broken(format!("the workbook (xls) has a damaged {}", what.into()))
}
