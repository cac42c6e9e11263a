//! Table level: what stands above, between and below the rows, the header, and the dialect of the whole table.

use bonded_schemas::QuarantineReason::{AllRejected, GrainMissing, Impostor, NoRows, NotCsv, RecordTooLong, UnknownReport};

use super::{
    super::sheet::{Dress, Polluted, REMARK, Record, Sheet},
    Class,
};

pub fn classes(sheet: &Sheet) -> Vec<Class> {
    let class = |name, files| Class::new("table", name, files);
    vec![
        class("no header", no_header(sheet)),
        class("header on two and three rows", header_on_rows(sheet)),
        class("header and no rows", header_only(sheet)),
        class("one data row", one_row(sheet)),
        class("preamble", preambles(sheet)),
        class("footer, totals", footers(sheet)).ours(),
        class("several tables: as wide", tables(sheet, As::Wide)),
        class("several tables: wider", tables(sheet, As::Wider)),
        class("several tables: narrower", tables(sheet, As::Narrower)),
        class("header again (page breaks)", repeated_headers(sheet)).ours(),
        class("field delimiter", field_delimiters(sheet)),
        class("quotation mark", quotation_marks(sheet)),
        class("escape character", escapes(sheet)),
        class("blank rows", blank_rows(sheet)).ours(),
        class("a delimiter more behind every row", trailing_delimiters(sheet)).ours(),
    ]
}

fn no_header(sheet: &Sheet) -> Vec<Polluted> {
    let dresses = [Dress::default(), Dress::quoting_all(), Dress::by("\t"), Dress::by(";")];
    let file = |dress: Dress| {
        let mut file = sheet.dressed(&dress);
        file.records.remove(0);
        file.named(format!("delimiter {}", dress.delimiter.escape_ascii())).or(&[UnknownReport, NotCsv])
    };
    dresses.map(file).into()
}

/// Names broken over rows, a row of groups above, rows of units or types below.
fn header_on_rows(sheet: &Sheet) -> Vec<Polluted> {
    let mut files = Vec::new();
    for rows in [2, 3] {
        for dress in [Dress::default(), Dress::quoting_all()] {
            let mut file = sheet.dressed(&dress);
            let part = |row: usize| -> Vec<String> {
                let words = |name: &String| {
                    let words: Vec<&str> = name.split(' ').collect();
                    let each = words.len().div_ceil(rows);
                    words.chunks(each).nth(row).map(|words| words.join(" ")).unwrap_or_default()
                };
                sheet.header.iter().map(words).collect()
            };
            file.records.splice(..1, (0..rows).map(|row| Record::new(&dress, &part(row), None)));
            files.push(file.named(format!("names broken over {rows}")).or(&[GrainMissing, UnknownReport, Impostor, NotCsv]));
            let groups: Vec<String> =
                (0..sheet.header.len()).map(|at| if at % 7 == 0 { format!("Group {at}") } else { String::new() }).collect();
            let mut file = sheet.dressed(&dress);
            file.records.splice(..0, vec![Record::new(&dress, &groups, None); rows - 1]);
            files.push(file.named(format!("{} rows of groups above", rows - 1)));
            let types: Vec<String> = sheet.header.iter().map(|_| "(text)".to_owned()).collect();
            let mut file = sheet.dressed(&dress);
            file.records.splice(1..1, vec![Record::new(&dress, &types, None); rows - 1]);
            files.push(file.named(format!("{} rows of types below", rows - 1)));
        }
        let mut file = sheet.dressed(&Dress::quoting_all());
        for cell in file.records[0].cells.iter_mut().take(sheet.column(REMARK)) {
            let name = String::from_utf8(cell.clone()).expect("text");
            *cell = name.replacen(' ', if rows == 2 { "\n" } else { "\r\n" }, rows - 1).into();
        }
        files.push(file.named(format!("line breaks in names, {rows}")));
    }
    files
}

fn header_only(sheet: &Sheet) -> Vec<Polluted> {
    let file = |line_end: &str| {
        let mut file = sheet.plain();
        file.records.truncate(1);
        file.records[0].line_end = line_end.into();
        file.named(format!("{line_end:?}")).or(&[NoRows])
    };
    ["", "\n", "\r\n", "\r\n\r\n", "\r\n   \r\n"].map(file).into()
}

fn one_row(sheet: &Sheet) -> Vec<Polluted> {
    let file = |row: usize| {
        let mut file = sheet.plain();
        file.records.retain(|record| record.row.is_none_or(|other| other == row));
        file.named(format!("row {row}"))
    };
    (0..sheet.rows.len()).map(file).collect()
}

fn preambles(sheet: &Sheet) -> Vec<Polluted> {
    let width = sheet.header.len();
    let lines: [&[&str]; 7] = [
        &["ES-003 Entry Summary Line Tariff Details"],
        &["Entry Summary Line Tariff Details", "Run date: 01/02/2026 07:15", ""],
        &["", "", "Prompts: Entry Date 10/01/2024 to 09/30/2026"],
        &["Report, with commas, in, its, title", "Filer Code: XZ9"],
        &["sep=,"],
        &["Title: \"quoted\" words", "it's a report"],
        &["a;b;c", "a\tb\tc", "a|b|c"],
    ];
    let mut files = Vec::new();
    for (at, lines) in lines.iter().enumerate() {
        for padded in [false, true] {
            for line_end in ["\n", "\r\n"] {
                let mut file = sheet.dressed(&Dress { line_end: line_end.into(), ..Dress::default() });
                let padding = if padded { ",".repeat(width - 1) } else { String::new() };
                let record = |line: &&str| Record { line_end: line_end.into(), ..Record::note(&format!("{line}{padding}")) };
                file.records.splice(..0, lines.iter().map(record));
                files.push(file.named(format!("text {at}, padded with delimiters: {padded}, {line_end:?}")));
            }
        }
    }
    for count in [1, 3, 10, 40] {
        let mut file = sheet.plain();
        file.records.splice(..0, (0..count).map(|line| Record::note(&format!("Line {line} of the preamble"))));
        files.push(file.named(format!("{count} lines")));
    }
    let mut file = sheet.plain();
    file.records.splice(..0, (0..200).map(|line| Record::note(&format!("Line {line} of the preamble"))));
    files.push(file.named("200 lines").or(&[UnknownReport, NotCsv]));
    let mut file = sheet.plain();
    file.records.insert(0, Record::note("\"Run by the fictional broker"));
    files.push(file.named("a quote opened and never closed").or(&[UnknownReport, NotCsv, GrainMissing, AllRejected]));
    files
}

/// Lines below the rows; the last one may lack its line end.
fn footers(sheet: &Sheet) -> Vec<Polluted> {
    let width = sheet.header.len();
    let at = |column: &str, text: &str| {
        let column = sheet.column(column);
        [vec![String::new(); column], vec![text.to_owned()], vec![String::new(); width - column - 1]].concat().join(",")
    };
    let lines: Vec<Vec<String>> = vec![
        vec!["*** End of report ***".to_owned()],
        vec![String::new(), "Printed on 01/02/2026, page 1 of 1".to_owned()],
        vec![format!("Total{},99999.99", ",".repeat(width - 3))],
        vec![format!("Grand Total: 31 rows{}", ",".repeat(width - 1))],
        vec![at("Line Tariff Duty Amount", "123456.78")],
        vec![at("Line Tariff Goods Value Amount", "\"1,234,567.89\"")],
        vec![at("HTS Number - Full", "Sum"), at("HTS Number - Full", "Average")],
        vec!["Rows: 31".to_owned(), "Filter: Entry Date between 10/01/2024 and 09/30/2026".to_owned()],
        vec![",".repeat(width - 1)],
    ];
    let mut files = Vec::new();
    for (text, lines) in lines.iter().enumerate() {
        for line_end in ["", "\r\n"] {
            let mut file = sheet.plain();
            file.records.extend(lines.iter().map(|line| Record::note(line)));
            file.records.last_mut().expect("rows").line_end = line_end.into();
            files.push(file.named(format!("text {text}, ends in {line_end:?}")));
        }
    }
    files
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum As {
    Wide,
    Wider,
    Narrower,
}

/// A second table below the first, parted by nothing, a blank line or a title. None of its rows is a row of ours.
fn tables(sheet: &Sheet, width: As) -> Vec<Polluted> {
    let columns = match width {
        As::Wide => sheet.header.len(),
        As::Wider => sheet.header.len() + 5,
        As::Narrower => sheet.header.len() - 9,
    };
    let letters: Vec<Vec<String>> = vec![(0..columns).map(|at| format!("Field {}", char::from(b'A' + at as u8 % 26))).collect()];
    let words =
        (0..4).map(|row| (0..columns).map(|at| if at % 2 == 0 { "lamp".to_owned() } else { format!("kettle{row}") }).collect());
    let numbers = (1..5).map(|row| (0..columns).map(|at| (row * 100 + at).to_string()).collect());
    let mut others: Vec<(&str, Vec<Vec<String>>)> = vec![
        ("words", letters.iter().cloned().chain(words).collect()),
        ("numbers", letters.into_iter().chain(numbers).collect()),
    ];
    // Our own columns in another order: every cell would find a place, and the wrong one.
    let turned = |row: &Vec<String>| -> Vec<String> {
        let mut row: Vec<String> = row.iter().rev().cloned().collect();
        row.resize(columns, "0".to_owned());
        row
    };
    others.push(("our columns turned", std::iter::once(&sheet.header).chain(&sheet.rows[..5]).map(turned).collect()));
    // The same, with the three columns that tell rows apart at their places.
    let swapped = |row: &Vec<String>| -> Vec<String> {
        let mut row = row.clone();
        row.swap(sheet.column("Line Tariff Duty Amount"), sheet.column("Line Tariff Goods Value Amount"));
        row.swap(sheet.column("Entry Date"), sheet.column("Entry Summary Date"));
        row.resize(columns, String::new());
        row
    };
    others
        .push(("our columns, two pairs swapped", std::iter::once(&sheet.header).chain(&sheet.rows[..5]).map(swapped).collect()));
    let mut files = Vec::new();
    for (what, other) in &others {
        for (between, note) in [("nothing", None), ("a blank line", Some("")), ("a title", Some("Second table"))] {
            for dress in [Dress::default(), Dress::quoting_all()] {
                let mut file = sheet.dressed(&dress);
                file.records.extend(note.map(Record::note));
                file.records.extend(other.iter().map(|cells| Record::new(&dress, cells, None)));
                files.push(file.named(format!("{what} behind {between}, all quoted: {}", dress.quote_all)));
            }
        }
    }
    files
}

fn repeated_headers(sheet: &Sheet) -> Vec<Polluted> {
    let file = |every: usize, title: bool| {
        let mut file = sheet.plain();
        let (header, rows) = (file.records[0].clone(), file.records.split_off(1));
        for (at, row) in rows.into_iter().enumerate() {
            if at > 0 && at % every == 0 {
                file.records.extend(title.then(|| Record::note(&format!("Page {}", at / every + 1))));
                file.records.push(header.clone());
            }
            file.records.push(row);
        }
        file.named(format!("every {every} rows, with a page title: {title}"))
    };
    [1, 2, 7, 10, 25].into_iter().flat_map(|every| [file(every, false), file(every, true)]).collect()
}

/// The four of the wild must load; the others are no CSV that anybody could name with certainty.
fn field_delimiters(sheet: &Sheet) -> Vec<Polluted> {
    let mut files = Vec::new();
    for delimiter in ["\t", ";", "|"] {
        files.push(sheet.dressed(&Dress::by(delimiter)).named(format!("{delimiter:?}")));
        files.push(sheet.dressed(&Dress { quote_all: true, ..Dress::by(delimiter) }).named(format!("{delimiter:?}, all quoted")));
    }
    for delimiter in [", ", " ", ":", "\t\t", "\\t", "^", "~", "\u{1}", "\u{1f}", "||", ",,", "; "] {
        for quote_all in [false, true] {
            let file = sheet
                .dressed(&Dress { quote_all, ..Dress::by(delimiter) })
                .named(format!("{delimiter:?}, all quoted: {quote_all}"));
            let mut file = file;
            if delimiter.ends_with(' ') && !quote_all {
                // Quotes behind a blank are no quotes to RFC 4180: a cell that holds no delimiter is what is written.
                let dress = Dress::by(delimiter);
                for (row, cells) in sheet.rows.iter().enumerate() {
                    for (column, cell) in cells.iter().enumerate() {
                        let literal = String::from_utf8(dress.cell(cell)).expect("text");
                        file.spoilt.insert((row, column), vec![literal]);
                    }
                }
            }
            files.push(file.all_touched().or(&[NotCsv, UnknownReport, GrainMissing, AllRejected, RecordTooLong]));
        }
    }
    files
}

fn quotation_marks(sheet: &Sheet) -> Vec<Polluted> {
    let mut files = Vec::new();
    for quote in [b'\'', b'`', b'|', b'%'] {
        for quote_all in [false, true] {
            for escape in [quote, b'\\'] {
                let dress = Dress { quote, quote_all, escape, escapes_itself: escape == b'\\', ..Dress::default() };
                let mut file = sheet.dressed(&dress).all_touched();
                keep_doubled(sheet, &dress, &mut file);
                let what = format!("{}, escaped by {}, all quoted: {quote_all}", char::from(quote), char::from(escape));
                files.push(file.named(what).or(&[NotCsv, UnknownReport, GrainMissing, AllRejected]));
            }
        }
    }
    // A blank behind every closing quote.
    let mut file = sheet.dressed(&Dress::quoting_all());
    for record in &mut file.records {
        record.cells.iter_mut().for_each(|cell| cell.push(b' '));
    }
    files.push(file.named("a blank behind each closing quote"));
    files
}

/// Quotes inside quoted cells, told by something other than a second quote. Rows without such a cell must load.
fn escapes(sheet: &Sheet) -> Vec<Polluted> {
    let mut files = Vec::new();
    for (escape, escapes_itself) in [(b'\\', true), (b'\\', false), (0, false), (b'/', false), (b'^', true)] {
        for quote_all in [false, true] {
            let dress = Dress { escape, escapes_itself, quote_all, ..Dress::default() };
            let mut file = sheet.dressed(&dress);
            for (row, cells) in sheet.rows.iter().enumerate() {
                if cells.iter().any(|cell| cell.contains('"') || (escapes_itself && cell.as_bytes().contains(&escape))) {
                    file.touched.insert(row);
                }
            }
            keep_doubled(sheet, &dress, &mut file);
            files.push(file.named(format!("{}, itself too: {escapes_itself}, all quoted: {quote_all}", escape.escape_ascii())));
        }
    }
    files
}

/// A doubled escape in a cell that holds no quote is two characters to RFC 4180, and so it is written.
fn keep_doubled(sheet: &Sheet, dress: &Dress, file: &mut Polluted) {
    let mark = char::from(dress.escape).to_string();
    for (row, cells) in sheet.rows.iter().enumerate().filter(|_| dress.escapes_itself) {
        for (column, cell) in cells.iter().enumerate().filter(|(_, cell)| !cell.contains(char::from(dress.quote))) {
            file.spoilt.insert((row, column), vec![cell.replace(&mark, &mark.repeat(2))]);
        }
    }
}

fn blank_rows(sheet: &Sheet) -> Vec<Polluted> {
    let width = sheet.header.len();
    let blanks = ["".to_owned(), "   ".to_owned(), "\t".to_owned(), ",".repeat(width - 1), " ,".repeat(width - 1)];
    let mut files = Vec::new();
    for (kind, blank) in blanks.iter().enumerate() {
        for (place, every) in [("above the header", 0), ("between all rows", 1), ("between some rows", 5)] {
            let mut file = sheet.plain();
            let records = std::mem::take(&mut file.records);
            for (at, record) in records.into_iter().enumerate() {
                if (every == 0 && at == 0) || (every > 0 && at > 0 && at % every == 0) {
                    file.records.extend([Record::note(blank), Record::note(blank)]);
                }
                file.records.push(record);
            }
            files.push(file.named(format!("blank of kind {kind} {place}")));
        }
    }
    files
}

fn trailing_delimiters(sheet: &Sheet) -> Vec<Polluted> {
    let mut files = Vec::new();
    for (what, header, rows) in [("rows", false, true), ("header and rows", true, true), ("header", true, false)] {
        for dress in [Dress::default(), Dress::quoting_all(), Dress::by("\t"), Dress::by(";")] {
            let mut file = sheet.dressed(&dress);
            for record in &mut file.records {
                if if record.row.is_none() { header } else { rows } {
                    record.delimiters.push(dress.delimiter.clone());
                }
            }
            files.push(file.named(format!("{what}, {}", dress.delimiter.escape_ascii())));
        }
    }
    let mut file = sheet.plain();
    for record in &mut file.records {
        record.cells.insert(0, Vec::new());
        record.delimiters.push(b",".to_vec());
    }
    files.push(file.named("a blank column first"));
    files
}
