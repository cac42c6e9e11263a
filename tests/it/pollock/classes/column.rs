//! Column level: its name, its place, its number and how its values are written.

use bonded_schemas::{
    DriftKind,
    QuarantineReason::{Ambiguous, GrainMissing, NotCsv, RecordTooLong, UnknownReport},
    Registry, Report, Required,
};

use super::{
    super::sheet::{Dress, Polluted, REMARK, Sheet},
    Class,
};

pub fn classes(sheet: &Sheet) -> Vec<Class> {
    let class = |name, files| Class::new("column", name, files);
    let mut classes = vec![
        class("header changed", changed_names(sheet)),
        class("header empty", names(sheet, "empty", |_| String::new())),
        class("header in other case, spacing, punctuation", spellings(sheet)),
        class("header of 300 KB", names(sheet, "huge", |name| name.repeat(300_000 / name.len()))),
        class("header twice", doubled_names(sheet)),
        class("number of columns: one", one_column(sheet)),
        class("number of columns: 1,000 and 17,000 more", wide(sheet)),
        class("columns in another order", orders(sheet)),
        class("a column missing", missing(sheet)).ours(),
        class("blanks around cells", blanks(sheet)).ours(),
    ];
    classes.extend(formats(sheet));
    classes
}

fn is_grain(name: &str) -> bool {
    let edition = Registry::builtin().edition(Report::Es003);
    edition.columns.iter().any(|column| column.name == name && column.required == Required::Grain)
}

fn names(sheet: &Sheet, what: &str, name: impl Fn(&str) -> String) -> Vec<Polluted> {
    let file = |column: usize| {
        let mut file = sheet.plain().named(format!("`{}`: {what}", sheet.header[column]));
        file.record(None).cells[column] = Dress::default().cell(&name(&sheet.header[column]));
        file.renamed.insert(column);
        let huge = file.record(None).cells[column].len() > 200_000;
        match (is_grain(&sheet.header[column]), huge) {
            (_, true) => file.or(&[RecordTooLong, NotCsv, UnknownReport]),
            (true, false) => file.or(&[GrainMissing]),
            (false, false) => file,
        }
    };
    (0..sheet.header.len()).map(file).collect()
}

fn changed_names(sheet: &Sheet) -> Vec<Polluted> {
    let mut files = names(sheet, "HEADER", |_| "HEADER".to_owned());
    files.extend(names(sheet, "HEAD/%R", |_| "HEAD/%R".to_owned()));
    files.extend(names(sheet, "a line break, a comma and a quote", |_| "Neu,\r\n\"es\" Feld ß".to_owned()));
    files
}

fn spellings(sheet: &Sheet) -> Vec<Polluted> {
    let change = |what: &str, name: &dyn Fn(&str) -> String| {
        let mut file = sheet.plain().named(what);
        for (cell, name_of) in file.records[0].cells.iter_mut().zip(&sheet.header).filter(|(_, name)| *name != REMARK) {
            *cell = Dress::default().cell(&name(name_of));
        }
        file
    };
    vec![
        change("upper case", &|name| name.to_uppercase()),
        change("lower case", &|name| name.to_lowercase()),
        change("underscores", &|name| name.replace(' ', "_")),
        change("two blanks", &|name| name.replace(' ', "  ")),
        change("no-break blanks", &|name| name.replace(' ', "\u{a0}")),
        change("blanks around", &|name| format!("  {name} ")),
        change("formula", &|name| format!("=\"{name}\"")),
        change("no blanks", &|name| name.replace(' ', "")),
    ]
}

/// Each name once more in the place of its neighbour's: nobody can know which cells are meant, so it must be told.
fn doubled_names(sheet: &Sheet) -> Vec<Polluted> {
    let file = |column: usize| {
        let other = (column + 1) % sheet.header.len();
        let mut file = sheet.plain().named(format!("`{}` in place of `{}`", sheet.header[column], sheet.header[other]));
        file.record(None).cells[other] = Dress::default().cell(&sheet.header[column]);
        file.renamed.extend([column, other]);
        let grain = [column, other].iter().any(|column| is_grain(&sheet.header[*column]));
        file.must_tell = (sheet.header[column] != REMARK).then_some(DriftKind::Duplicated);
        if grain { file.or(&[Ambiguous, GrainMissing]) } else { file }
    };
    let mut files: Vec<Polluted> = (0..sheet.header.len()).map(file).collect();
    // The whole column twice: both say the same.
    for column in 0..sheet.header.len() {
        let mut file = sheet.plain().named(format!("`{}` and its cells twice", sheet.header[column]));
        for record in &mut file.records {
            let cell = record.cells[column].clone();
            record.cells.insert(0, cell);
            record.delimiters.push(b",".to_vec());
        }
        file.renamed.insert(column);
        files.push(if is_grain(&sheet.header[column]) { file.or(&[Ambiguous]) } else { file });
    }
    files
}

fn one_column(sheet: &Sheet) -> Vec<Polluted> {
    let file = |column: usize| {
        let mut file = sheet.plain().named(format!("`{}` alone", sheet.header[column]));
        for record in &mut file.records {
            let cell = record.cells.swap_remove(column);
            (record.cells, record.delimiters) = (vec![cell], Vec::new());
        }
        file.or(&[GrainMissing, UnknownReport, NotCsv])
    };
    (0..sheet.header.len()).map(file).collect()
}

fn wide(sheet: &Sheet) -> Vec<Polluted> {
    [1_000, 17_000]
        .map(|more| {
            let mut file = sheet.plain().named(format!("{more} more"));
            for record in &mut file.records {
                let cell = |at: usize| if record.row.is_some() { b"x".to_vec() } else { format!("More {at}").into() };
                record.cells.extend((0..more).map(cell));
                record.delimiters.resize(record.cells.len() - 1, b",".to_vec());
            }
            if more > 2_000 { file.or(&[NotCsv, UnknownReport]) } else { file }
        })
        .into()
}

fn orders(sheet: &Sheet) -> Vec<Polluted> {
    let width = sheet.header.len();
    let turned = |by: usize| {
        let mut file = sheet.plain().named(format!("turned by {by}"));
        file.records.iter_mut().for_each(|record| record.cells.rotate_left(by));
        file
    };
    let mut files: Vec<Polluted> = (1..width).map(turned).collect();
    let mut file = sheet.plain().named("backwards");
    file.records.iter_mut().for_each(|record| record.cells.reverse());
    files.push(file);
    files
}

fn missing(sheet: &Sheet) -> Vec<Polluted> {
    let file = |column: usize| {
        let mut file = sheet.plain().named(format!("`{}`", sheet.header[column]));
        for record in &mut file.records {
            record.cells.remove(column);
            record.delimiters.pop();
        }
        file.absent.insert(column);
        if is_grain(&sheet.header[column]) { file.or(&[GrainMissing]) } else { file }
    };
    (0..sheet.header.len()).map(file).collect()
}

fn blanks(sheet: &Sheet) -> Vec<Polluted> {
    let mut files = Vec::new();
    for (before, behind) in [("", " "), ("  ", ""), (" ", " "), ("", "\t"), ("\u{a0}", "\u{a0}")] {
        let mut file = sheet.dressed(&Dress::by(",")).named(format!("{before:?} and {behind:?}"));
        for cell in file.records.iter_mut().flat_map(|record| &mut record.cells) {
            if !cell.starts_with(b"\"") {
                *cell = [before.as_bytes(), cell, behind.as_bytes()].concat();
            }
        }
        files.push(file);
    }
    files
}

type Write = fn(&str) -> String;

/// How one written value becomes another, and what may come of it beside the clean value.
struct Format {
    name: &'static str,
    column: &'static str,
    write: Write,
}

/// The value says the same in all of these, or cannot be read: then its text is kept and the cell is null.
fn formats(sheet: &Sheet) -> Vec<Class> {
    fn date(text: &str, write: impl Fn(&str, &str, &str) -> String) -> String {
        match text.split('/').collect::<Vec<_>>()[..] {
            [month, day, year] => write(month, day, year),
            _ => text.to_owned(),
        }
    }
    fn grouped(text: &str, group: char, point: char) -> String {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "00"));
        let mut out = String::new();
        for (at, digit) in whole.chars().enumerate() {
            if at > 0 && (whole.len() - at).is_multiple_of(3) {
                out.push(group);
            }
            out.push(digit);
        }
        format!("{out}{point}{fraction}")
    }
    const DATES: [&str; 3] = ["Entry Date", "Entry Summary Date", "Initial Entry Summary Create Date"];
    let mut date_formats = Vec::new();
    for column in DATES {
        let all: [(&str, Write); 7] = [
            ("ISO", |text| date(text, |m, d, y| format!("{y}-{m}-{d}"))),
            ("without zeros", |text| {
                date(text, |m, d, y| format!("{}/{}/{y}", m.trim_start_matches('0'), d.trim_start_matches('0')))
            }),
            ("two-digit year", |text| date(text, |m, d, y| format!("{m}/{d}/{}", &y[2..]))),
            ("midnight", |text| format!("{text} 12:00:00 AM")),
            ("day before month", |text| date(text, |m, d, y| format!("{d}/{m}/{y}"))),
            ("day before month, points", |text| date(text, |m, d, y| format!("{d}.{m}.{y}"))),
            ("month by name", |text| {
                date(text, |m, d, y| format!("{d}-{}-{y}", MONTHS[m.parse::<usize>().expect("a month") - 1]))
            }),
        ];
        date_formats.extend(all.map(|(name, write)| Format { name, column, write }));
    }
    let mut amount_formats = Vec::new();
    for column in ["Line Tariff Goods Value Amount", "Line Tariff Duty Amount"] {
        let all: [(&str, Write); 7] = [
            ("thousands by comma", |text| grouped(text, ',', '.')),
            ("dollars", |text| format!("${}", grouped(text, ',', '.'))),
            ("USD", |text| format!("USD {text}")),
            ("thousands by point, comma before cents", |text| grouped(text, '.', ',')),
            ("thousands by blank, comma before cents", |text| grouped(text, ' ', ',')),
            ("thousands by apostrophe", |text| grouped(text, '\'', '.')),
            ("formula", |text| format!("=\"{text}\"")),
        ];
        amount_formats.extend(all.map(|(name, write)| Format { name, column, write }));
    }
    let mut code_formats = Vec::new();
    for column in ["Entry Summary Number", "Entry Type Code", "Port of Entry Code", "HTS Number - Full", "Manufacturer ID"] {
        code_formats.push(Format { name: "formula", column, write: |text| format!("=\"{text}\"") });
        code_formats.push(Format { name: "blanks", column, write: |text| format!(" {text} ") });
    }
    let class = |name, formats: Vec<Format>| {
        let files = formats.iter().flat_map(|format| ["whole", "second half", "one"].map(|part| formatted(sheet, format, part)));
        Class::new("column", name, files.collect())
    };
    let mut dates = class("format of dates", date_formats);
    dates.files.extend(day_first(sheet, &DATES));
    vec![dates, class("format of amounts", amount_formats), class("format of codes", code_formats).ours()]
}

/// Every date of the file, as a spreadsheet outside America saves it: days above twelve prove it.
fn day_first(sheet: &Sheet, columns: &[&str]) -> Vec<Polluted> {
    let file = |year_from: usize| {
        let mut file = sheet.plain().named(format!("every date, day before month, year from its digit {year_from}"));
        for (row, name) in (0..sheet.rows.len()).flat_map(|row| columns.iter().map(move |name| (row, *name))) {
            let column = sheet.column(name);
            if let [month, day, year] = sheet.rows[row][column].split('/').collect::<Vec<_>>()[..] {
                file.record(Some(row)).cells[column] = format!("{day}/{month}/{}", &year[year_from..]).into();
            }
        }
        file
    };
    vec![file(0), file(2)]
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

fn formatted(sheet: &Sheet, format: &Format, part: &str) -> Polluted {
    let column = sheet.column(format.column);
    let mut file = sheet.plain().named(format!("`{}`, {}, {part}", format.column, format.name));
    for row in 0..sheet.rows.len() {
        let is_in = match part {
            "whole" => true,
            "second half" => row >= sheet.rows.len() / 2,
            _ => row == 3,
        };
        if is_in && !sheet.rows[row][column].is_empty() {
            let text = (format.write)(&sheet.rows[row][column]);
            file.record(Some(row)).cells[column] = Dress::default().cell(&text);
            file.spoilt.insert((row, column), vec![text]);
        } else if part == "second half" && format.name == "day before month" {
            // A column that proves both orders: what could be either date is rightly kept as text, the clean ones too.
            file.spoilt.insert((row, column), vec![sheet.rows[row][column].clone()]);
        }
    }
    file
}
