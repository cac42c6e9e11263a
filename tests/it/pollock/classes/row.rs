//! Row level: one record spoilt, at every row and, where it matters, at every column. All other rows must be right.

use bonded_schemas::QuarantineReason::{AllRejected, GrainMissing, Impostor, NotCsv, UnknownReport};

use super::{
    super::sheet::{Dress, Polluted, Record, Sheet},
    Class,
};

/// What a spoilt header may cost.
const HEADER: [bonded_schemas::QuarantineReason; 5] = [GrainMissing, UnknownReport, AllRejected, NotCsv, Impostor];

pub fn classes(sheet: &Sheet) -> Vec<Class> {
    let class = |name, files| Class::new("row", name, files);
    vec![
        class("a delimiter too few", fewer(sheet)),
        class("a delimiter too many", more(sheet)),
        last_empty("a delimiter too few, last column empty", sheet, fewer),
        last_empty("a delimiter too many, last column empty", sheet, more),
        class("fields: none, one, half, twice as many", widths(sheet)),
        class("another field delimiter", delimiters(sheet)),
        class("another record delimiter", line_ends(sheet)),
        class("another quotation mark", quotations(sheet)),
        class("another escape character", escapes(sheet)),
        class("a quote too many, cells quoted where needed", quotes(sheet, &Dress::default())),
        class("a quote too many, all cells quoted", quotes(sheet, &Dress::quoting_all())),
    ]
}

/// Where a cell that moved over the edge cannot be told from one that is not there.
fn last_empty(name: &'static str, sheet: &Sheet, files: impl Fn(&Sheet) -> Vec<Polluted>) -> Class {
    let mut base = sheet.clone();
    base.rows.iter_mut().for_each(|row| row.last_mut().expect("columns").clear());
    base.rows.truncate(4);
    Class { base: Some(base.clone()), ..Class::new("row", name, files(&base)) }.ours()
}

/// The header first, then every row.
fn everywhere(sheet: &Sheet) -> impl Iterator<Item = Option<usize>> + use<> {
    std::iter::once(None).chain((0..sheet.rows.len()).map(Some))
}

fn spoil(sheet: &Sheet, dress: &Dress, row: Option<usize>, spoil: impl FnOnce(&mut Record)) -> Polluted {
    let mut file = sheet.dressed(dress);
    spoil(file.record(row));
    match row {
        Some(row) => file.touching(row),
        None => file.all_touched().or(&HEADER),
    }
}

fn place(row: Option<usize>, column: usize) -> String {
    row.map_or_else(|| format!("header, column {column}"), |row| format!("row {row}, column {column}"))
}

fn fewer(sheet: &Sheet) -> Vec<Polluted> {
    let columns = 0..sheet.header.len() - 1;
    let file = |row, column: usize| spoil(sheet, &Dress::default(), row, |record| record.delimiters[column].clear());
    everywhere(sheet).flat_map(|row| columns.clone().map(move |column| file(row, column).named(place(row, column)))).collect()
}

/// Before each cell, and behind the last one.
fn more(sheet: &Sheet) -> Vec<Polluted> {
    let columns = 0..=sheet.header.len();
    let add = |record: &mut Record, column: usize| {
        record.cells.insert(column, Vec::new());
        record.delimiters.push(b",".to_vec());
    };
    let file = |row, column| spoil(sheet, &Dress::default(), row, |record| add(record, column));
    everywhere(sheet).flat_map(|row| columns.clone().map(move |column| file(row, column).named(place(row, column)))).collect()
}

fn widths(sheet: &Sheet) -> Vec<Polluted> {
    let width = sheet.header.len();
    let resize = |record: &mut Record, cells: usize| {
        record.cells.resize(cells, b"7".to_vec());
        record.delimiters.resize(cells.saturating_sub(1), b",".to_vec());
    };
    let mut files = Vec::new();
    for row in everywhere(sheet) {
        for cells in [1, width / 2, width * 2] {
            files.push(
                spoil(sheet, &Dress::default(), row, |record| resize(record, cells)).named(format!("{row:?}: {cells} cells")),
            );
        }
        if let Some(row) = row {
            // The row is gone and a blank line stands for it: no loader can know that it was there.
            let mut file = sheet.plain().named(format!("row {row} is blank"));
            *file.record(Some(row)) = Record::note("");
            files.push(file);
        }
    }
    files
}

fn delimiters(sheet: &Sheet) -> Vec<Polluted> {
    let file = |row, delimiter: &str| {
        let dress = Dress::by(delimiter);
        let cells = |row: Option<usize>| row.map_or(&sheet.header, |row| &sheet.rows[row]);
        spoil(sheet, &Dress::default(), row, |record| *record = Record::new(&dress, cells(row), row))
            .named(format!("{row:?}: {delimiter:?}"))
    };
    let all = [";", "\t", "|", " ", ", ", ":"];
    everywhere(sheet).flat_map(|row| all.map(|delimiter| file(row, delimiter))).collect()
}

fn line_ends(sheet: &Sheet) -> Vec<Polluted> {
    let mut files = Vec::new();
    for usual in ["\n", "\r\n", "\r"] {
        for other in ["\n", "\r\n", "\r"].into_iter().filter(|other| *other != usual) {
            for row in everywhere(sheet) {
                let mut file = sheet.dressed(&Dress { line_end: usual.into(), ..Dress::default() });
                file.record(row).line_end = other.into();
                files.push(file.named(format!("{row:?}: {other:?} among {usual:?}")));
            }
        }
    }
    files
}

fn redressed(sheet: &Sheet, usual: &Dress, other: &Dress, what: &str) -> Vec<Polluted> {
    let file = |row: usize| {
        spoil(sheet, usual, Some(row), |record| *record = Record::new(other, &sheet.rows[row], Some(row)))
            .named(format!("row {row}: {what}"))
    };
    (0..sheet.rows.len()).map(file).collect()
}

fn quotations(sheet: &Sheet) -> Vec<Polluted> {
    let mut files = Vec::new();
    for quote_all in [false, true] {
        let usual = Dress { quote_all, ..Dress::default() };
        for quote in [b'\'', b'`'] {
            let other = Dress { quote, escape: quote, quote_all: true, ..Dress::default() };
            files.extend(redressed(sheet, &usual, &other, &format!("{}, the others all quoted: {quote_all}", char::from(quote))));
        }
    }
    files
}

fn escapes(sheet: &Sheet) -> Vec<Polluted> {
    let mut files = Vec::new();
    for quote_all in [false, true] {
        let usual = Dress { quote_all, ..Dress::default() };
        for escape in [b'\\', 0, b'\''] {
            let other = Dress { escape, quote_all, ..Dress::default() };
            let with_quotes =
                |file: &Polluted| file.touched.iter().any(|row| sheet.rows[*row].iter().any(|cell| cell.contains('"')));
            let all = redressed(sheet, &usual, &other, &format!("{}, all quoted: {quote_all}", escape.escape_ascii()));
            files.extend(all.into_iter().filter(with_quotes));
        }
    }
    files
}

/// A lone quote at the beginning, in the middle and at the end of every cell of the header and of every third row.
fn quotes(sheet: &Sheet, dress: &Dress) -> Vec<Polluted> {
    let mut files = Vec::new();
    for row in everywhere(sheet).step_by(3) {
        for column in 0..sheet.header.len() {
            let clean = row.map_or(&sheet.header[column], |row| &sheet.rows[row][column]).clone();
            let quoted = dress.cell(&clean).starts_with(b"\"");
            let middle = clean.char_indices().nth(clean.chars().count() / 2).map_or(0, |(at, _)| at);
            for (name, at) in [("begins with", 0), ("holds", middle), ("ends in", clean.len())] {
                let (head, tail) = clean.split_at(at);
                let literal = format!("{head}\"{tail}");
                let escaped = |text: &str| text.replace('"', "\"\"");
                let cell = if quoted { format!("\"{}\"{}\"", escaped(head), escaped(tail)) } else { literal.clone() };
                let mut file = spoil(sheet, dress, row, |record| record.cells[column] = cell.into());
                match row {
                    // Kept exactly as it is written, the cell may stay; anything else of it may not.
                    Some(row) => drop(file.spoilt.insert((row, column), vec![literal])),
                    None => drop(file.renamed.insert(column)),
                }
                files.push(file.named(format!("{} {name} a quote", place(row, column))));
            }
        }
    }
    files
}
