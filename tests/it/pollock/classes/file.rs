//! File level: payload, encoding, record delimiters, how it ends.

use bonded_schemas::QuarantineReason::{Empty, NotCsv};

use super::{
    super::sheet::{Dress, Polluted, Sheet, Transcoding},
    Class,
};

pub fn classes(sheet: &Sheet) -> Vec<Class> {
    let class = |name, files| Class::new("file", name, files);
    vec![
        class("none: the clean file", vec![sheet.plain(), sheet.dressed(&Dress::quoting_all()).named("all quoted")]),
        class("no payload", no_payload()),
        class("no line end behind the last row", no_last_line_end(sheet)),
        class("more line ends behind the last row", more_line_ends(sheet)),
        class("record delimiter", record_delimiters(sheet)),
        class("encoding", encodings(sheet)),
        class("encoding of one cell", foreign_cells(sheet)).ours(),
        many_rows(),
    ]
}

fn no_payload() -> Vec<Polluted> {
    let bytes: [&[u8]; 6] = [b"", b"\n", b"\r\n\r\n\r\n", b"   \t \r\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\r\n"];
    let file = |bytes: &[u8]| {
        Polluted { before: bytes.to_vec(), ..Polluted::default() }
            .named(format!("{:?}", bytes.escape_ascii().to_string()))
            .or(&[Empty])
    };
    bytes.map(file).into()
}

fn ends(sheet: &Sheet) -> impl Iterator<Item = (String, Polluted)> {
    let dresses = [Dress::default(), Dress::quoting_all()].into_iter();
    let all = dresses.flat_map(|dress| ["\n", "\r\n", "\r"].map(|end| Dress { line_end: end.into(), ..dress.clone() }));
    all.map(|dress| {
        let end = dress.line_end.escape_ascii();
        (format!("{end}, all quoted: {}", dress.quote_all), sheet.dressed(&dress))
    })
}

fn no_last_line_end(sheet: &Sheet) -> Vec<Polluted> {
    let cut = |(what, mut file): (String, Polluted)| {
        file.records.last_mut().expect("rows").line_end.clear();
        file.named(what)
    };
    ends(sheet).map(cut).collect()
}

fn more_line_ends(sheet: &Sheet) -> Vec<Polluted> {
    let more = |(what, file): (String, Polluted)| {
        [2, 3, 50].map(|times| {
            let mut file = file.clone();
            let last = file.records.last_mut().expect("rows");
            last.line_end = last.line_end.repeat(times);
            file.named(format!("{what} times {times}"))
        })
    };
    ends(sheet).flat_map(more).collect()
}

/// Of the whole file; in turn; of one row among others; doubled by a program that turned each line feed into both.
fn record_delimiters(sheet: &Sheet) -> Vec<Polluted> {
    let mut files: Vec<Polluted> = ends(sheet).map(|(what, file)| file.named(what)).collect();
    for (one, other) in [("\n", "\r\n"), ("\r\n", "\r"), ("\r", "\n"), ("\r\r\n", "\r\r\n"), ("\n\r", "\n\r")] {
        let mut file = sheet.plain().named(format!("{one:?} and {other:?} in turn"));
        for (at, record) in file.records.iter_mut().enumerate() {
            record.line_end = if at % 2 == 0 { one.into() } else { other.into() };
        }
        files.push(file);
    }
    files
}

fn encodings(sheet: &Sheet) -> Vec<Polluted> {
    let utf_16 = |big_endian, mark| Transcoding::Utf16 { big_endian, mark };
    let all = [
        Transcoding::Utf8Mark,
        Transcoding::Windows1252,
        utf_16(false, true),
        utf_16(true, true),
        utf_16(false, false),
        utf_16(true, false),
        Transcoding::Utf32,
        Transcoding::Ebcdic,
    ];
    let mut files = Vec::new();
    for encoding in all {
        // Those that ACE, Excel or a broker's program write must load; the others may be refused.
        let must_load = matches!(encoding, Transcoding::Utf8Mark | Transcoding::Windows1252);
        for dress in
            [Dress::default(), Dress::quoting_all(), Dress::by("\t"), Dress { line_end: b"\n".into(), ..Dress::default() }]
        {
            let what = format!("{encoding:?}, {}, {}", dress.delimiter.escape_ascii(), dress.line_end.escape_ascii());
            let file = Polluted { encoding, ..sheet.dressed(&dress) }.named(what);
            files.push(if must_load { file } else { file.or(&[NotCsv]) });
        }
    }
    files
}

/// One cell of Windows-1252 in a file of UTF-8, as a paste leaves it.
fn foreign_cells(sheet: &Sheet) -> Vec<Polluted> {
    let importer = sheet.column("Importer Name");
    let file = |row: usize| {
        let mut file = sheet.plain().named(format!("row {row}"));
        file.record(Some(row)).cells[importer] = b"Caf\xe9 Fictif".to_vec();
        file.spoilt.insert((row, importer), vec!["Café Fictif".to_owned()]);
        file
    };
    (0..sheet.rows.len()).map(file).collect()
}

/// More rows than a batch, a chunk and the head hold.
fn many_rows() -> Class {
    let sheet = Sheet::of_entries(1_500);
    let mut class = Class::new("file", "number of rows: thousands", vec![sheet.plain(), sheet.dressed(&Dress::quoting_all())]);
    class.base = Some(sheet);
    class
}
