//! xlsx: a zip of XML (ECMA-376 part 1, SpreadsheetML), its sheets streamed, its shared texts in memory up to a limit.
//! Promise: one XML event is bounded; texts come out unescaped and without reading aids; formulas by their stored value.
//! Never: no DTD, no entity of its own, no external part is followed.

use std::{collections::HashMap, ops::ControlFlow};

use quick_xml::events::{BytesStart, Event};

use super::{
    super::{
        limits::{Allowance, Opens, Stop},
        source::ReadAt,
        zip::Entry,
    },
    Book, Cell, Each,
    format::Format,
    placed,
};

mod xml;

use xml::{EVENT_BYTES_MAX, Xml, attribute, local_attribute, odd, push_text, unescaped, xml};

const SHEETS_MAX: usize = 1000;
const FORMATS_MAX: usize = 100_000;

/// The parts of a workbook that its sheets refer to.
pub(in crate::ingest::unpack) struct Xlsx {
    names: Vec<String>,
    parts: Vec<Entry>,
    texts: Texts,
    formats: Vec<Format>,
    from_1904: bool,
}

/// Shared texts, one behind the other.
#[derive(Default)]
struct Texts {
    all: String,
    ends: Vec<usize>,
}

impl Texts {
    fn get(&self, index: usize) -> Option<&str> {
        let end = *self.ends.get(index)?;
        let start = if index == 0 { 0 } else { *self.ends.get(index - 1)? };
        self.all.get(start..end)
    }
}

impl Xlsx {
    /// The archive was found whole before.
    pub fn open(bytes: &mut dyn ReadAt, entries: &[Entry], allowance: &Allowance) -> Opens<Self> {
        let part = |name: &str| entries.iter().find(|entry| entry.name.eq_ignore_ascii_case(name));
        let damaged = |what: &str| Stop::broken(format!("the workbook has no {what}"));
        let workbook = part("xl/workbook.xml").ok_or_else(|| damaged("list of sheets"))?;
        let (sheets, from_1904) = sheets(xml(bytes, workbook))?;
        let targets = match part("xl/_rels/workbook.xml.rels") {
            Some(entry) => targets(xml(bytes, entry))?,
            None => return Err(damaged("places of its sheets")),
        };
        let (mut names, mut parts) = (Vec::new(), Vec::new());
        for (name, id) in sheets {
            // Chart sheets have no cells.
            let Some(target) = targets.get(&id).filter(|target| target.kind.ends_with("/worksheet")) else { continue };
            let path = match target.path.strip_prefix('/') {
                Some(path) => path.to_owned(),
                None => format!("xl/{}", target.path),
            };
            parts.push(part(&path).ok_or_else(|| damaged("cells for one of its sheets"))?.clone());
            names.push(name);
        }
        let texts = match part("xl/sharedStrings.xml") {
            Some(entry) => shared_texts(xml(bytes, entry), allowance.memory_bytes)?,
            None => Texts::default(),
        };
        let formats = match part("xl/styles.xml") {
            Some(entry) => formats(xml(bytes, entry))?,
            None => Vec::new(),
        };
        Ok(Self { names, parts, texts, formats, from_1904 })
    }
}

impl Book for Xlsx {
    fn sheets(&self) -> &[String] {
        &self.names
    }

    fn cells(&self, bytes: &mut dyn ReadAt, sheet: usize, each: &mut Each<'_>) -> Opens<()> {
        let part = self.parts.get(sheet).ok_or_else(|| Stop::internal("a sheet that is not there"))?;
        let mut xml = xml(bytes, part);
        let (mut row, mut column) = (0_u32, 0_u32);
        let mut attributes = CellAttributes::default();
        let mut value = String::new();
        let (mut in_cell, mut taking, mut aside) = (false, false, false);
        loop {
            match xml.next()? {
                Event::Start(element) => match element.local_name().as_ref() {
                    b"row" => {
                        if let Some(number) = attribute(&element, b"r")? {
                            let number: u32 = number.parse().map_err(|_| odd("a row number"))?;
                            row = number.checked_sub(1).ok_or_else(|| odd("a row number"))?;
                        }
                        column = 0;
                    }
                    b"c" => {
                        attributes = CellAttributes::of(&element)?;
                        if let Some(place) = attributes.place {
                            (row, column) = place;
                        }
                        placed(row, column)?;
                        value.clear();
                        in_cell = true;
                    }
                    b"v" | b"t" => taking = in_cell && !aside,
                    b"rPh" => aside = true,
                    _ => {}
                },
                Event::End(element) => match element.local_name().as_ref() {
                    b"v" | b"t" => taking = false,
                    b"rPh" => aside = false,
                    b"c" => {
                        in_cell = false;
                        if matches!(attributes.kind, Kind::Text) && value.contains("_x") {
                            value = unescaped(&value);
                        }
                        if let Some(cell) = self.cell(&attributes, &value)?
                            && each(row, column, cell)? == ControlFlow::Break(())
                        {
                            return Ok(());
                        }
                        column += 1;
                    }
                    b"row" => row += 1,
                    b"sheetData" => return Ok(()),
                    _ => {}
                },
                Event::Eof => return Err(Stop::broken("a sheet of the workbook ends too early")),
                event if taking => push_text(&mut value, &event)?,
                _ => {}
            }
            if value.len() > EVENT_BYTES_MAX {
                return Err(odd("a cell longer than any"));
            }
        }
    }
}

impl Xlsx {
    fn cell<'a>(&'a self, attributes: &CellAttributes, value: &'a str) -> Opens<Option<Cell<'a>>> {
        if value.is_empty() {
            return Ok(None);
        }
        Ok(Some(match attributes.kind {
            Kind::Shared => {
                let index = value.trim().parse().map_err(|_| odd("a text number"))?;
                Cell::Text(self.texts.get(index).ok_or_else(|| odd("a text number"))?)
            }
            Kind::Text => Cell::Text(value),
            Kind::Error => Cell::Error(value),
            Kind::Bool => Cell::Bool(value.trim() == "1"),
            Kind::Number => {
                let stored = value.trim();
                match stored.parse() {
                    Ok(value) => {
                        let format = self.formats.get(attributes.style).copied().unwrap_or(Format::General);
                        Cell::Number { stored: Some(stored), value, format, from_1904: self.from_1904 }
                    }
                    Err(_) => Cell::Text(value),
                }
            }
        }))
    }
}

#[derive(Clone, Copy, Default)]
enum Kind {
    #[default]
    Number,
    Shared,
    /// Written in the cell itself, or a formula's text, or an ISO date.
    Text,
    Bool,
    Error,
}

#[derive(Default)]
struct CellAttributes {
    place: Option<(u32, u32)>,
    style: usize,
    kind: Kind,
}

impl CellAttributes {
    fn of(element: &BytesStart<'_>) -> Opens<Self> {
        let mut found = Self::default();
        for attribute in element.attributes() {
            let attribute = attribute.map_err(|_| odd("an attribute"))?;
            let value = attribute.value.as_ref();
            match attribute.key.as_ref() {
                b"r" => found.place = Some(place(value).ok_or_else(|| odd("a cell's place"))?),
                b"s" => found.style = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).unwrap_or(0),
                b"t" => {
                    found.kind = match value {
                        b"s" => Kind::Shared,
                        b"str" | b"inlineStr" | b"d" => Kind::Text,
                        b"b" => Kind::Bool,
                        b"e" => Kind::Error,
                        _ => Kind::Number,
                    }
                }
                _ => {}
            }
        }
        Ok(found)
    }
}

/// `AB12` as row and column from 0.
fn place(reference: &[u8]) -> Option<(u32, u32)> {
    let letters = reference.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    if !(1..=3).contains(&letters) {
        return None;
    }
    let column = reference[..letters].iter().fold(0, |column, letter| column * 26 + u32::from(letter - b'A') + 1);
    let row: u32 = std::str::from_utf8(&reference[letters..]).ok()?.parse().ok()?;
    Some((row.checked_sub(1)?, column - 1))
}

/// Names and relationship ids, and whether days count from 1904.
fn sheets(mut xml: Xml<'_>) -> Opens<(Vec<(String, String)>, bool)> {
    let mut sheets = Vec::new();
    let mut from_1904 = false;
    loop {
        match xml.next()? {
            Event::Start(element) => match element.local_name().as_ref() {
                b"sheet" if sheets.len() < SHEETS_MAX => {
                    let (name, id) = (attribute(&element, b"name")?, local_attribute(&element, b"id")?);
                    sheets.push((name.unwrap_or_default(), id.unwrap_or_default()));
                }
                b"sheet" => return Err(Stop::bomb(format!("the workbook has more than {SHEETS_MAX} sheets"))),
                b"workbookPr" => {
                    from_1904 = matches!(attribute(&element, b"date1904")?.as_deref(), Some("1" | "true"));
                }
                _ => {}
            },
            Event::Eof => return Ok((sheets, from_1904)),
            _ => {}
        }
    }
}

struct Target {
    kind: String,
    path: String,
}

fn targets(mut xml: Xml<'_>) -> Opens<HashMap<String, Target>> {
    let mut targets = HashMap::new();
    loop {
        match xml.next()? {
            Event::Start(element) if element.local_name().as_ref() == b"Relationship" => {
                let (id, kind, path) =
                    (attribute(&element, b"Id")?, attribute(&element, b"Type")?, attribute(&element, b"Target")?);
                if let (Some(id), Some(kind), Some(path)) = (id, kind, path)
                    && targets.len() < SHEETS_MAX * 4
                {
                    targets.insert(id, Target { kind, path });
                }
            }
            Event::Eof => return Ok(targets),
            _ => {}
        }
    }
}

fn shared_texts(mut xml: Xml<'_>, bytes_max: usize) -> Opens<Texts> {
    let mut texts = Texts::default();
    let (mut taking, mut aside) = (false, false);
    let mut text = String::new();
    loop {
        match xml.next()? {
            Event::Start(element) => match element.local_name().as_ref() {
                b"t" => taking = !aside,
                b"rPh" => aside = true,
                b"si" => text.clear(),
                _ => {}
            },
            Event::End(element) => match element.local_name().as_ref() {
                b"t" => taking = false,
                b"rPh" => aside = false,
                b"si" => {
                    texts.all.push_str(&unescaped(&text));
                    texts.ends.push(texts.all.len());
                }
                _ => {}
            },
            Event::Eof => return Ok(texts),
            event if taking => push_text(&mut text, &event)?,
            _ => {}
        }
        if texts.all.len() + text.len() + texts.ends.len() * size_of::<usize>() > bytes_max {
            return Err(Stop::bomb(format!("the workbook's texts come to more than {bytes_max} bytes")));
        }
    }
}

/// By cell style: what its number format means.
fn formats(mut xml: Xml<'_>) -> Opens<Vec<Format>> {
    let mut codes: HashMap<u16, Format> = HashMap::new();
    let mut formats = Vec::new();
    let mut in_cells = false;
    loop {
        match xml.next()? {
            Event::Start(element) => match element.local_name().as_ref() {
                b"numFmt" if codes.len() < FORMATS_MAX => {
                    let id = attribute(&element, b"numFmtId")?.and_then(|id| id.parse().ok());
                    if let (Some(id), Some(code)) = (id, attribute(&element, b"formatCode")?) {
                        codes.insert(id, Format::of_code(&code));
                    }
                }
                b"cellXfs" => in_cells = true,
                b"xf" if in_cells && formats.len() < FORMATS_MAX => {
                    let id: u16 = attribute(&element, b"numFmtId")?.and_then(|id| id.parse().ok()).unwrap_or(0);
                    formats.push(codes.get(&id).copied().unwrap_or_else(|| Format::builtin(id)));
                }
                _ => {}
            },
            Event::End(element) if element.local_name().as_ref() == b"cellXfs" => in_cells = false,
            Event::Eof => return Ok(formats),
            _ => {}
        }
    }
}
