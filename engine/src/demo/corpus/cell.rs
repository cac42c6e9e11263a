//! Cells and the dress they wear in a file: money, dates, quotes.
//! Promise: a dress changes the text and never the value; default is the plainest CSV.

use chrono::{Datelike, NaiveDate};

/// Which of these ACE's scheduled CSV wears is not public, so a reader must take them all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    pub money: MoneyStyle,
    pub date: DateStyle,
    /// UTF-8 byte order mark before the header.
    pub byte_order_mark: bool,
    /// CR LF line ends instead of LF.
    pub carriage_return: bool,
    /// Quotes around every cell, empty ones too, instead of where needed.
    pub quote_all: bool,
    /// Codes as `="0401"`, which keeps a spreadsheet from dropping zeros.
    pub formula_codes: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MoneyStyle {
    /// `1234.50`
    #[default]
    Raw,
    /// `1234.5`, `1234`
    Shortest,
    /// `$1,234.50`, the number format of real exports.
    Dollars,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DateStyle {
    /// `01/31/2026`
    #[default]
    MonthDayYear,
    /// `2026-01-31`
    Iso,
    /// `01/31/2026 12:00:00 AM`
    Midnight,
    /// `46053`, days since 1899-12-30.
    ExcelSerial,
}

#[derive(Clone, Copy, Debug)]
pub enum Cell<'a> {
    Empty,
    Text(&'a str),
    Code(&'a str),
    Integer(u32),
    /// Cents.
    Money(i64),
    /// Hundredths of a unit.
    Quantity(i64),
    Date(NaiveDate),
}

impl Cell<'_> {
    /// Appends the cell, quoted as the style and its content ask. `scratch` is any buffer; its content is lost.
    pub fn write(&self, style: &Style, scratch: &mut Vec<u8>, out: &mut Vec<u8>) {
        scratch.clear();
        self.render(style, scratch);
        let formula = style.formula_codes && matches!(self, Cell::Code(text) if !text.is_empty());
        // A formula opens with `=`, so its quotes are plain characters to every reader unless the whole cell is quoted.
        let needs_quotes = !formula && scratch.iter().any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r'));
        if style.quote_all || needs_quotes {
            out.push(b'"');
            for byte in scratch.iter() {
                out.extend_from_slice(if *byte == b'"' { b"\"\"" } else { std::slice::from_ref(byte) });
            }
            out.push(b'"');
        } else {
            out.extend_from_slice(scratch);
        }
    }

    fn render(&self, style: &Style, out: &mut Vec<u8>) {
        match *self {
            Cell::Empty => {}
            Cell::Code(text) if style.formula_codes && !text.is_empty() => {
                out.extend_from_slice(b"=\"");
                out.extend_from_slice(text.as_bytes());
                out.push(b'"');
            }
            Cell::Text(text) | Cell::Code(text) => out.extend_from_slice(text.as_bytes()),
            Cell::Integer(number) => digits(u64::from(number), 1, out),
            Cell::Quantity(hundredths) => shortest(hundredths, out),
            Cell::Money(cents) => money(cents, style.money, out),
            Cell::Date(date) => calendar(date, style.date, out),
        }
    }
}

fn money(cents: i64, style: MoneyStyle, out: &mut Vec<u8>) {
    match style {
        MoneyStyle::Raw => hundredths(cents, out),
        MoneyStyle::Shortest => shortest(cents, out),
        MoneyStyle::Dollars => {
            sign(cents, out);
            out.push(b'$');
            grouped(cents.unsigned_abs() / 100, out);
            out.push(b'.');
            digits(cents.unsigned_abs() % 100, 2, out);
        }
    }
}

fn hundredths(amount: i64, out: &mut Vec<u8>) {
    sign(amount, out);
    digits(amount.unsigned_abs() / 100, 1, out);
    out.push(b'.');
    digits(amount.unsigned_abs() % 100, 2, out);
}

fn shortest(amount: i64, out: &mut Vec<u8>) {
    if amount % 100 == 0 {
        sign(amount, out);
        digits(amount.unsigned_abs() / 100, 1, out);
        return;
    }
    hundredths(amount, out);
    if amount % 10 == 0 {
        out.pop();
    }
}

fn sign(amount: i64, out: &mut Vec<u8>) {
    if amount < 0 {
        out.push(b'-');
    }
}

fn grouped(number: u64, out: &mut Vec<u8>) {
    if number < 1000 {
        return digits(number, 1, out);
    }
    grouped(number / 1000, out);
    out.push(b',');
    digits(number % 1000, 3, out);
}

fn calendar(date: NaiveDate, style: DateStyle, out: &mut Vec<u8>) {
    let (year, month, day) = (date.year() as u64, u64::from(date.month()), u64::from(date.day()));
    match style {
        DateStyle::MonthDayYear | DateStyle::Midnight => {
            digits(month, 2, out);
            out.push(b'/');
            digits(day, 2, out);
            out.push(b'/');
            digits(year, 4, out);
            if style == DateStyle::Midnight {
                out.extend_from_slice(b" 12:00:00 AM");
            }
        }
        DateStyle::Iso => {
            digits(year, 4, out);
            out.push(b'-');
            digits(month, 2, out);
            out.push(b'-');
            digits(day, 2, out);
        }
        // 1899-12-30 is day 693,594 of the common era.
        DateStyle::ExcelSerial => digits(i64::from(date.num_days_from_ce() - 693_594).unsigned_abs(), 1, out),
    }
}

/// Decimal digits, zero-padded to a width.
fn digits(mut number: u64, width: usize, out: &mut Vec<u8>) {
    let start = out.len();
    while number > 0 || out.len() - start < width {
        out.push(b'0' + (number % 10) as u8);
        number /= 10;
    }
    out[start..].reverse();
}
