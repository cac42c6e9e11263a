//! A clean ES-003 as cells, and the records that a polluter bends before they become bytes.
//! Promise: every record knows where its bytes begin, so that a place told by the loader can be checked.

use std::collections::{BTreeMap, BTreeSet};

use bonded::demo::corpus::{Corpus, ExtraColumn, Layout, Plan};
use bonded_schemas::{ColumnType, QuarantineReason, Registry, Report, edition::field_name};

/// A column that CBP does not have: free text, in which everything that dialects quarrel about occurs.
pub const REMARK: &str = "Broker Remark";
const REMARKS: [&str; 7] = [
    "plain",
    "held \"urgent\", call the fictional broker",
    "",
    "two\nlines",
    "Größe geprüft – 5 €",
    "kept under A\\B",
    "it's; done | so\tfar",
];
/// ES-003 rows of the base file, about; the corpus decides exactly.
const ENTRIES: u32 = 11;

/// The clean table.
#[derive(Clone)]
pub struct Sheet {
    pub header: Vec<String>,
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<String>>,
}

/// Where a column of the file is looked for in a table.
#[derive(Clone)]
pub struct Column {
    pub name: String,
    pub field: String,
    /// None: no edition has it, so it is looked for in `_rescued`.
    pub kind: Option<ColumnType>,
}

impl Sheet {
    /// The same rows for ever: the corpus is seeded.
    pub fn new() -> Self {
        Self::of_entries(ENTRIES)
    }

    pub fn of_entries(entries: u32) -> Self {
        let mut plan = Plan::new(23, entries);
        plan.lines_per_entry_max = 3;
        plan.tariffs_per_line_max = 2;
        let layout = Layout {
            optional: vec!["Importer Name".to_owned()],
            extra: vec![ExtraColumn::last(REMARK, REMARKS)],
            ..Layout::default()
        };
        plan.layouts.insert(Report::Es003, layout);
        let bytes = crate::world::csv(&Corpus::new(plan).expect("fit"), Report::Es003);
        let mut lines = by_csv_async(&bytes);
        let header = lines.remove(0);
        assert!(lines.iter().all(|row| row.len() == header.len()));
        let edition = Registry::builtin().edition(Report::Es003);
        let column = |name: &String| {
            let kind = edition.columns.iter().find(|known| known.name == *name).map(|known| known.kind);
            Column { name: name.clone(), field: field_name(name), kind }
        };
        let columns = header.iter().map(column).collect();
        Self { header, columns, rows: lines }
    }

    /// The corpus in its plainest dress: cells are quoted where they must be.
    pub fn plain(&self) -> Polluted {
        self.dressed(&Dress::default())
    }

    pub fn dressed(&self, dress: &Dress) -> Polluted {
        let mut records = vec![Record::new(dress, &self.header, None)];
        records.extend(self.rows.iter().enumerate().map(|(row, cells)| Record::new(dress, cells, Some(row))));
        Polluted { what: String::new(), records, ..Polluted::default() }
    }

    pub fn column(&self, name: &str) -> usize {
        self.header.iter().position(|known| known == name).expect("a column of the base file")
    }
}

/// Not our tokeniser: what is clean must be known from elsewhere.
fn by_csv_async(bytes: &[u8]) -> Vec<Vec<String>> {
    use futures::{StreamExt, executor::block_on};
    let mut reader = csv_async::AsyncReaderBuilder::new().has_headers(false).create_reader(bytes);
    block_on(reader.records().map(|record| record.expect("clean").iter().map(str::to_owned).collect()).collect())
}

/// How cells become bytes.
#[derive(Clone)]
pub struct Dress {
    pub delimiter: Vec<u8>,
    pub quote: u8,
    /// Stands before a quote inside a quoted cell.
    pub escape: u8,
    /// Stands before an escape, too, as programs that escape by backslash do.
    pub escapes_itself: bool,
    pub quote_all: bool,
    pub line_end: Vec<u8>,
}

impl Default for Dress {
    fn default() -> Self {
        let (delimiter, line_end) = (b",".to_vec(), b"\r\n".to_vec());
        Self { delimiter, quote: b'"', escape: b'"', escapes_itself: false, quote_all: false, line_end }
    }
}

impl Dress {
    pub fn quoting_all() -> Self {
        Self { quote_all: true, ..Self::default() }
    }

    pub fn by(delimiter: &str) -> Self {
        Self { delimiter: delimiter.into(), ..Self::default() }
    }

    pub fn cell(&self, text: &str) -> Vec<u8> {
        let special = |byte: &u8| *byte == self.quote || matches!(byte, b'\r' | b'\n');
        let holds_delimiter = text.as_bytes().windows(self.delimiter.len()).any(|bytes| bytes == self.delimiter);
        let escapes = self.escapes_itself && text.as_bytes().contains(&self.escape);
        if !self.quote_all && !holds_delimiter && !escapes && !text.bytes().any(|byte| special(&byte)) {
            return text.into();
        }
        let mut out = vec![self.quote];
        for byte in text.bytes() {
            if byte == self.quote || (self.escapes_itself && byte == self.escape) {
                out.push(self.escape);
            }
            out.push(byte);
        }
        out.push(self.quote);
        out
    }
}

/// One record in the making.
#[derive(Clone, Debug)]
pub struct Record {
    pub cells: Vec<Vec<u8>>,
    /// Behind each cell but the last.
    pub delimiters: Vec<Vec<u8>>,
    pub line_end: Vec<u8>,
    /// Its place in the base table; none for a header or for what is no row.
    pub row: Option<usize>,
}

impl Record {
    pub fn new(dress: &Dress, cells: &[String], row: Option<usize>) -> Self {
        let cells: Vec<Vec<u8>> = cells.iter().map(|cell| dress.cell(cell)).collect();
        let delimiters = vec![dress.delimiter.clone(); cells.len().saturating_sub(1)];
        Self { cells, delimiters, line_end: dress.line_end.clone(), row }
    }

    /// A line that is no row.
    pub fn note(text: &str) -> Self {
        Self { cells: vec![text.into()], delimiters: Vec::new(), line_end: b"\r\n".to_vec(), row: None }
    }

    fn write(&self, out: &mut Vec<u8>) {
        for (at, cell) in self.cells.iter().enumerate() {
            out.extend_from_slice(cell);
            if let Some(delimiter) = self.delimiters.get(at) {
                out.extend_from_slice(delimiter);
            }
        }
        out.extend_from_slice(&self.line_end);
    }
}

/// Where a base row's record begins in the polluted bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub row: usize,
    pub line: u64,
    pub byte: u64,
}

/// One polluted file, and what a loader may make of it.
#[derive(Clone, Default)]
pub struct Polluted {
    /// What was done to it, and where.
    pub what: String,
    /// Bytes before the first record.
    pub before: Vec<u8>,
    pub records: Vec<Record>,
    /// Rows whose own bytes were spoilt: each may become a reject.
    pub touched: BTreeSet<usize>,
    /// Texts that a spoilt cell may also have, beside its clean value; by base row and column.
    pub spoilt: BTreeMap<(usize, usize), Vec<String>>,
    /// Columns whose header was spoilt: their cells may lie in `_rescued`, under any name.
    pub renamed: BTreeSet<usize>,
    /// Columns that the file lacks: nothing of them may be in the table.
    pub absent: BTreeSet<usize>,
    /// Reasons for which this file may be quarantined; none: it must load.
    pub reasons: Vec<QuarantineReason>,
    /// The drift that must be told, for what no loader can know.
    pub must_tell: Option<bonded_schemas::DriftKind>,
    pub encoding: Transcoding,
}

/// What the text is written in. Rows of the base hold letters that are not ASCII.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transcoding {
    #[default]
    Utf8,
    Utf8Mark,
    Utf16 {
        big_endian: bool,
        mark: bool,
    },
    Utf32,
    Windows1252,
    /// IBM's, of which no letter lies where ASCII has it.
    Ebcdic,
}

impl Polluted {
    pub fn named(mut self, what: impl Into<String>) -> Self {
        self.what = what.into();
        self
    }

    pub fn or(mut self, reasons: &[QuarantineReason]) -> Self {
        self.reasons = reasons.to_vec();
        self
    }

    pub fn touching(mut self, row: usize) -> Self {
        self.touched.insert(row);
        self
    }

    pub fn all_touched(mut self) -> Self {
        self.touched = self.records.iter().filter_map(|record| record.row).collect();
        self
    }

    /// The record of a base row; `None`: the header's.
    pub fn record(&mut self, row: Option<usize>) -> &mut Record {
        let at = row.map_or(0, |row| row + 1);
        &mut self.records[at]
    }

    /// The bytes, and where each base row begins in them.
    pub fn bytes(&self) -> (Vec<u8>, Vec<Place>) {
        let (mut out, mut places) = (self.before.clone(), Vec::new());
        let (mut line, mut counted) = (1, 0);
        for record in &self.records {
            line += line_ends(&out, counted);
            counted = out.len();
            places.extend(record.row.map(|row| Place { row, line, byte: out.len() as u64 }));
            record.write(&mut out);
        }
        self.encoding.apply(&out, &mut places)
    }
}

/// Those from this byte on. A carriage return, a line feed or both as one end a line, wherever the two are parted.
fn line_ends(bytes: &[u8], from: usize) -> u64 {
    let ends = |at: usize| match bytes[at] {
        b'\n' => at == 0 || bytes[at - 1] != b'\r',
        byte => byte == b'\r',
    };
    (from..bytes.len()).filter(|at| ends(*at)).count() as u64
}

impl Transcoding {
    fn apply(self, bytes: &[u8], places: &mut [Place]) -> (Vec<u8>, Vec<Place>) {
        if self == Transcoding::Utf8 {
            return (bytes.to_vec(), places.to_vec());
        }
        let mut out: Vec<u8> = match self {
            Transcoding::Utf8Mark => b"\xef\xbb\xbf".to_vec(),
            Transcoding::Utf16 { big_endian: true, mark: true } => b"\xfe\xff".to_vec(),
            Transcoding::Utf16 { big_endian: false, mark: true } => b"\xff\xfe".to_vec(),
            Transcoding::Utf32 => b"\xff\xfe\0\0".to_vec(),
            _ => Vec::new(),
        };
        let text = std::str::from_utf8(bytes).expect("the base file is UTF-8 before it is transcoded");
        let mut moved = vec![0; bytes.len() + 1];
        for (at, letter) in text.char_indices() {
            moved[at] = out.len() as u64;
            self.write(letter, &mut out);
        }
        moved[bytes.len()] = out.len() as u64;
        places.iter_mut().for_each(|place| place.byte = moved[place.byte as usize]);
        (out, places.to_vec())
    }

    fn write(self, letter: char, out: &mut Vec<u8>) {
        match self {
            Transcoding::Utf8 | Transcoding::Utf8Mark => out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
            Transcoding::Utf16 { big_endian, .. } => {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    out.extend_from_slice(&if big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() });
                }
            }
            Transcoding::Utf32 => out.extend_from_slice(&u32::from(letter).to_le_bytes()),
            Transcoding::Windows1252 => out.push(match letter {
                '€' => 0x80,
                '–' => 0x96,
                other => u8::try_from(u32::from(other)).expect("the base file has no other letter beyond Latin-1"),
            }),
            Transcoding::Ebcdic => out.push(ebcdic(letter)),
        }
    }
}

/// Code page 037 for what the header and the codes hold; a blank for the rest, since it is to be refused anyway.
fn ebcdic(letter: char) -> u8 {
    let from = |first: char, place: u8| place + (letter as u8 - first as u8);
    match letter {
        'A'..='I' => from('A', 0xc1),
        'J'..='R' => from('J', 0xd1),
        'S'..='Z' => from('S', 0xe2),
        'a'..='i' => from('a', 0x81),
        'j'..='r' => from('j', 0x91),
        's'..='z' => from('s', 0xa2),
        '0'..='9' => from('0', 0xf0),
        ',' => 0x6b,
        '\n' => 0x25,
        '\r' => 0x0d,
        '.' => 0x4b,
        _ => 0x40,
    }
}
