//! Packs test files: zip, gzip, xlsx and xls, written here byte by byte so that they can also be wrong on purpose.
//! Used by the unit tests of `ingest::unpack` as well.

#![allow(dead_code, reason = "each of the two places that use it needs another part")]

use std::io::Write;

use flate2::{Compression, Crc, GzBuilder, write::DeflateEncoder};

/// One file of an archive, as its headers tell it.
#[derive(Clone)]
pub struct File {
    pub name: String,
    pub packed: Vec<u8>,
    pub method: u16,
    pub flags: u16,
    pub crc: u32,
    pub plain_bytes: u32,
    /// Takes the local header and data of an earlier file instead of its own.
    pub shares: Option<usize>,
}

impl File {
    pub fn deflated(name: &str, plain: &[u8]) -> Self {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(6));
        encoder.write_all(plain).expect("into memory");
        Self { packed: encoder.finish().expect("into memory"), method: 8, ..Self::stored(name, plain) }
    }

    pub fn stored(name: &str, plain: &[u8]) -> Self {
        let mut crc = Crc::new();
        crc.update(plain);
        Self {
            name: name.into(),
            packed: plain.to_vec(),
            method: 0,
            flags: 0,
            crc: crc.sum(),
            plain_bytes: plain.len() as u32,
            shares: None,
        }
    }
}

pub fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    zip_of(&files.iter().map(|(name, plain)| File::deflated(name, plain)).collect::<Vec<_>>())
}

pub fn zip_of(files: &[File]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut offsets: Vec<u32> = Vec::new();
    for file in files {
        if let Some(other) = file.shares {
            offsets.push(offsets[other]);
            continue;
        }
        offsets.push(out.len() as u32);
        out.extend(b"PK\x03\x04\x14\x00");
        common(&mut out, file);
        out.extend([0, 0]);
        out.extend(file.name.as_bytes());
        out.extend(&file.packed);
    }
    let start = out.len() as u32;
    for (file, offset) in files.iter().zip(&offsets) {
        out.extend(b"PK\x01\x02\x14\x00\x14\x00");
        common(&mut out, file);
        out.extend([0; 2 + 2 + 2 + 2 + 4]);
        out.extend(offset.to_le_bytes());
        out.extend(file.name.as_bytes());
    }
    let length = out.len() as u32 - start;
    let count = (files.len() as u16).to_le_bytes();
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend(count);
    out.extend(count);
    out.extend(length.to_le_bytes());
    out.extend(start.to_le_bytes());
    out.extend([0, 0]);
    out
}

/// From the flags to the length of the name, which both headers share.
fn common(out: &mut Vec<u8>, file: &File) {
    out.extend(file.flags.to_le_bytes());
    out.extend(file.method.to_le_bytes());
    out.extend([0; 4]);
    out.extend(file.crc.to_le_bytes());
    out.extend((file.packed.len() as u32).to_le_bytes());
    out.extend(file.plain_bytes.to_le_bytes());
    out.extend((file.name.len() as u16).to_le_bytes());
}

pub fn gzip(name: Option<&str>, plain: &[u8]) -> Vec<u8> {
    let builder = name.map_or_else(GzBuilder::new, |name| GzBuilder::new().filename(name));
    let mut encoder = builder.write(Vec::new(), Compression::new(6));
    encoder.write_all(plain).expect("into memory");
    encoder.finish().expect("into memory")
}

/// A cell of a test workbook. Styles: 0 general, 1 `0.00`, 2 date, 3 `#,##0.00`, 4 `0000`, 5 date and time.
#[derive(Clone, Debug)]
pub enum X {
    Text(String),
    Number(String, usize),
    Bool(bool),
    Error(&'static str),
    Empty,
}

pub fn text(text: &str) -> X {
    X::Text(text.into())
}

pub fn number(stored: &str, style: usize) -> X {
    X::Number(stored.into(), style)
}

pub type Sheets<'a> = &'a [(&'a str, Vec<Vec<X>>)];

/// Rows of a CSV text as text cells; quotes may hold commas, and no line breaks.
pub fn cells_of(csv: &str) -> Vec<Vec<X>> {
    let cell = |cell: &str| if cell.is_empty() { X::Empty } else { text(cell) };
    let row = |line: &str| {
        let (mut cells, mut open, mut quoted) = (Vec::new(), String::new(), false);
        for c in line.chars() {
            match c {
                '"' => quoted = !quoted,
                ',' if !quoted => cells.push(cell(&std::mem::take(&mut open))),
                c => open.push(c),
            }
        }
        cells.push(cell(&open));
        cells
    };
    csv.lines().map(row).collect()
}

pub fn xlsx(sheets: Sheets<'_>) -> Vec<u8> {
    zip_of(&xlsx_parts(sheets))
}

pub fn xlsx_parts(sheets: Sheets<'_>) -> Vec<File> {
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    let mut texts: Vec<String> = Vec::new();
    let mut files = Vec::new();
    let (mut listed, mut related) = (String::new(), String::new());
    for (index, (name, rows)) in sheets.iter().enumerate() {
        let n = index + 1;
        listed.push_str(&format!(r#"<sheet name="{}" sheetId="{n}" r:id="rId{n}"/>"#, escape(name)));
        related.push_str(&format!(
            r#"<Relationship Id="rId{n}" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet{n}.xml"/>"#
        ));
        let mut xml = String::from(r#"<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>"#);
        for (row, cells) in rows.iter().enumerate().filter(|(_, cells)| !cells.is_empty()) {
            xml.push_str(&format!(r#"<row r="{}">"#, row + 1));
            for (column, cell) in cells.iter().enumerate() {
                let place = format!("{}{}", letters(column), row + 1);
                xml.push_str(&match cell {
                    X::Text(text) => {
                        let at = texts.iter().position(|known| known == text).unwrap_or_else(|| {
                            texts.push(text.clone());
                            texts.len() - 1
                        });
                        format!(r#"<c r="{place}" t="s"><v>{at}</v></c>"#)
                    }
                    X::Number(stored, style) => format!(r#"<c r="{place}" s="{style}"><v>{stored}</v></c>"#),
                    X::Bool(truth) => format!(r#"<c r="{place}" t="b"><v>{}</v></c>"#, u8::from(*truth)),
                    X::Error(error) => format!(r#"<c r="{place}" t="e"><f>1/0</f><v>{error}</v></c>"#),
                    X::Empty => continue,
                });
            }
            xml.push_str("</row>");
        }
        xml.push_str("</sheetData></worksheet>");
        files.push(File::deflated(&format!("xl/worksheets/sheet{n}.xml"), xml.as_bytes()));
    }
    let shared: String = texts.iter().map(|text| format!("<si><t xml:space=\"preserve\">{}</t></si>", escape(text))).collect();
    let parts = [
        ("[Content_Types].xml", "<Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\"/>".to_owned()),
        (
            "xl/workbook.xml",
            format!(
                r#"<workbook xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets>{listed}</sheets></workbook>"#
            ),
        ),
        ("xl/_rels/workbook.xml.rels", format!("<Relationships>{related}</Relationships>")),
        ("xl/sharedStrings.xml", format!("<sst>{shared}</sst>")),
        (
            "xl/styles.xml",
            r##"<styleSheet><numFmts><numFmt numFmtId="164" formatCode="#,##0.00_);[Red]\(#,##0.00\)"/><numFmt numFmtId="165" formatCode="0000"/></numFmts><cellStyleXfs><xf numFmtId="14"/></cellStyleXfs><cellXfs><xf numFmtId="0"/><xf numFmtId="2"/><xf numFmtId="14"/><xf numFmtId="164"/><xf numFmtId="165"/><xf numFmtId="22"/></cellXfs></styleSheet>"##
                .to_owned(),
        ),
    ];
    files.extend(parts.iter().map(|(name, xml)| File::deflated(name, xml.as_bytes())));
    files
}

fn letters(column: usize) -> String {
    let last = char::from(b'A' + (column % 26) as u8);
    if column < 26 { last.to_string() } else { letters(column / 26 - 1) + &last.to_string() }
}

/// An old workbook: BIFF8 records in a compound file.
pub fn xls(sheets: Sheets<'_>) -> Vec<u8> {
    compound(&biff(sheets, false))
}

/// The same with the record that says it is encrypted.
pub fn xls_encrypted(sheets: Sheets<'_>) -> Vec<u8> {
    compound(&biff(sheets, true))
}

fn compound(stream: &[u8]) -> Vec<u8> {
    compound_with("/Workbook", stream)
}

/// A compound file with one stream.
pub fn compound_with(name: &str, stream: &[u8]) -> Vec<u8> {
    let mut file = cfb::CompoundFile::create(std::io::Cursor::new(Vec::new())).expect("into memory");
    file.create_stream(name).expect("into memory").write_all(stream).expect("into memory");
    file.flush().expect("into memory");
    file.into_inner().into_inner()
}

fn record(out: &mut Vec<u8>, kind: u16, body: &[u8]) {
    out.extend(kind.to_le_bytes());
    out.extend((body.len() as u16).to_le_bytes());
    out.extend(body);
}

fn biff(sheets: Sheets<'_>, encrypted: bool) -> Vec<u8> {
    let mut texts: Vec<String> = Vec::new();
    let mut bodies = Vec::new();
    for (_, rows) in sheets {
        let mut body = Vec::new();
        record(&mut body, 0x0809, &[0, 6, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        for (row, cells) in rows.iter().enumerate() {
            for (column, cell) in cells.iter().enumerate() {
                let mut at = Vec::new();
                at.extend((row as u16).to_le_bytes());
                at.extend((column as u16).to_le_bytes());
                match cell {
                    X::Text(text) => {
                        at.extend([0, 0]);
                        at.extend((texts.len() as u32).to_le_bytes());
                        texts.push(text.clone());
                        record(&mut body, 0x00fd, &at);
                    }
                    X::Number(stored, style) => {
                        at.extend((*style as u16).to_le_bytes());
                        let value: f64 = stored.parse().expect("a number");
                        let cents = (value * 100.0).round();
                        if cents.abs() < 5e8 && cents / 100.0 == value {
                            at.extend((((cents as i32) << 2 | 3) as u32).to_le_bytes());
                            record(&mut body, 0x027e, &at);
                        } else {
                            at.extend(value.to_le_bytes());
                            record(&mut body, 0x0203, &at);
                        }
                    }
                    X::Bool(truth) => {
                        at.extend([0, 0, u8::from(*truth), 0]);
                        record(&mut body, 0x0205, &at);
                    }
                    X::Error(error) => {
                        at.extend([0, 0, if *error == "#N/A" { 0x2a } else { 0x07 }, 1]);
                        record(&mut body, 0x0205, &at);
                    }
                    X::Empty => {}
                }
            }
        }
        record(&mut body, 0x000a, &[]);
        bodies.push(body);
    }

    let mut globals = Vec::new();
    record(&mut globals, 0x0809, &[0, 6, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    if encrypted {
        record(&mut globals, 0x002f, &[1, 0, 1, 0]);
    }
    for (id, code) in [(164_u16, "#,##0.00_);[Red]\\(#,##0.00\\)"), (165, "0000")] {
        let mut body = id.to_le_bytes().to_vec();
        body.extend((code.len() as u16).to_le_bytes());
        body.push(0);
        body.extend(code.as_bytes());
        record(&mut globals, 0x041e, &body);
    }
    for id in [0_u16, 2, 14, 164, 165, 22] {
        let mut body = vec![0; 20];
        body[2..4].copy_from_slice(&id.to_le_bytes());
        record(&mut globals, 0x00e0, &body);
    }
    let places: usize = sheets.iter().map(|(name, _)| 4 + 8 + name.len()).sum();
    let shared = shared_texts(&texts);
    let mut start = globals.len() + places + shared.len() + 4;
    for ((name, _), body) in sheets.iter().zip(&bodies) {
        let mut place = (start as u32).to_le_bytes().to_vec();
        place.extend([0, 0, name.len() as u8, 0]);
        place.extend(name.as_bytes());
        record(&mut globals, 0x0085, &place);
        start += body.len();
    }
    globals.extend(shared);
    record(&mut globals, 0x000a, &[]);
    bodies.into_iter().fold(globals, |mut all, body| {
        all.extend(body);
        all
    })
}

/// The table of texts, split into small records in the middle of texts, as long tables are.
fn shared_texts(texts: &[String]) -> Vec<u8> {
    const RECORD_BYTES: usize = 200;
    let mut out = Vec::new();
    let mut body = Vec::new();
    body.extend((texts.len() as u32).to_le_bytes());
    body.extend((texts.len() as u32).to_le_bytes());
    let mut kind = 0x00fc;
    for text in texts {
        let units: Vec<u16> = text.encode_utf16().collect();
        let is_wide = units.iter().any(|unit| *unit > 0xff);
        if body.len() + 4 > RECORD_BYTES {
            record(&mut out, kind, &std::mem::take(&mut body));
            kind = 0x003c;
        }
        body.extend((units.len() as u16).to_le_bytes());
        body.push(u8::from(is_wide));
        for unit in units {
            if body.len() + 2 > RECORD_BYTES {
                record(&mut out, kind, &std::mem::take(&mut body));
                kind = 0x003c;
                body.push(u8::from(is_wide));
            }
            match is_wide {
                true => body.extend(unit.to_le_bytes()),
                false => body.push(unit as u8),
            }
        }
    }
    record(&mut out, kind, &body);
    out
}
