//! What a cell means, as Polars expressions: amounts, dates, entry numbers, whole numbers.
//! Promise: exact decimals (no float anywhere); a cell that is not of its type becomes null and nothing else.
//! Never: no code of the main path's typing; both sides answer to the edition's description of the formats.

use polars::prelude::*;

/// White space, no-break spaces and marks that web pages and spreadsheets leave around a value.
const AROUND: &str = " \t\r\n\u{b}\u{c}\u{85}\u{a0}\u{2007}\u{202f}\u{2009}\u{3000}\u{feff}\u{ad}\u{180e}\
     \u{200b}\u{200c}\u{200d}\u{200e}\u{200f}\u{2060}";

/// Digits grouped by thousands or not, two decimals and zeros behind them.
const NUMBER: &str = r"((?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d{0,2}0*)?)";

/// The ways to write an amount around its number.
const AMOUNTS: [&str; 5] = [r"^[+-]? *\$? *N$", r"^\$ *[+-]? *N$", r"^\( *\$? *N *\)$", r"^\$ *\( *N *\)$", r"^\$? *N *-$"];

/// ACE has no entry before this year; a blank counted as a day number looks like such a date.
const YEAR_MIN: i32 = 1990;
/// Day numbers of a spreadsheet that can be meant as a date, and the one of 1970-01-01.
const DAY_NUMBERS: (i32, i32) = (20_000, 80_000);
const DAY_NUMBER_OF_EPOCH: i32 = 25_569;

/// Without what stands around it, and out of the `="..."` of spreadsheets; null when nothing is left.
pub(super) fn meant(cell: Expr) -> Expr {
    let bare = cell.str().strip_chars(lit(AROUND));
    let unwrapped = bare.clone().str().extract(lit(r#"^="(.*)"$"#), 1).str().strip_chars(lit(AROUND));
    let text = coalesce(&[unwrapped, bare]);
    when(text.clone().eq(lit(""))).then(lit(NULL)).otherwise(text).cast(DataType::String)
}

/// `decimal(38,2)` of an amount that `decimal(18,2)` can hold.
pub(super) fn money(text: Expr) -> Expr {
    let forms: Vec<Expr> = AMOUNTS.iter().map(|form| matched(&text, &form.replace('N', NUMBER), 1)).collect();
    let number = coalesce(&forms);
    let has_digit = matched(&number, r"(\d)", 1).is_not_null();
    let whole = matched(&number, r"^([\d,]*)", 1).str().split(lit(",")).list().join(lit(""), true);
    // Sixteen digits before the point; zeros in front do not count.
    let whole = matched(&(lit("0") + whole), r"^0*(\d{1,16})$", 1);
    let cents = (matched(&number, r"\.(\d{1,2})", 1).fill_null(lit("")) + lit("00")).str().head(lit(2));
    let negative = matched(&text, r"^([-(]|\$ *[-(])", 1).is_not_null().or(text.str().ends_with(lit("-")));
    let sign = when(negative).then(lit("-")).otherwise(lit(""));
    when(has_digit).then((sign + whole + lit(".") + cents).cast(DataType::Decimal(38, 2))).otherwise(lit(NULL))
}

/// What may stand behind a date.
const TIME: &str = r"(?:[Tt ] *\d{1,2}:\d{2}.*)?$";

fn slashed(text: &Expr, group: usize) -> Expr {
    matched(text, &format!(r"^(\d{{1,2}})/(\d{{1,2}})/(\d{{4}}|\d{{2}}){TIME}"), group)
}

fn number(text: Expr) -> Expr {
    text.cast(DataType::Int32)
}

/// Whether some date has a day where CBP has the month, or where it has the day; over the whole column.
pub(super) fn order_shown(text: &Expr) -> [Expr; 2] {
    let part = |group| number(slashed(text, group));
    let shown = |day: Expr, month: Expr| {
        let is_day = day.clone().gt(lit(12)).and(day.lt_eq(lit(31)));
        is_day.and(month.clone().gt_eq(lit(1))).and(month.lt_eq(lit(12))).any(true)
    };
    [shown(part(1), part(2)), shown(part(2), part(1))]
}

/// Months since the year 0. One file has one order of day and month.
pub(super) fn month(text: Expr, day_first: bool) -> Expr {
    let slashed = |group| slashed(&text, group);
    let dashed = |group| matched(&text, &format!(r"^(\d{{4}})-(\d{{1,2}})-(\d{{1,2}}){TIME}"), group);
    let two = |text: Expr| (lit("0") + text).str().tail(lit(2));

    let (first, second) = (two(slashed(1)), two(slashed(2)));
    let (slashed_month, slashed_day) = if day_first { (second, first) } else { (first, second) };
    let short = number(slashed(3));
    let century = when(short.clone().lt(lit(YEAR_MIN % 100))).then(lit(2000)).otherwise(lit(1900));
    let year = when(short.clone().lt(lit(100))).then(short.clone() + century).otherwise(short).cast(DataType::String);

    let iso = coalesce(&[
        year + lit("-") + slashed_month + lit("-") + slashed_day,
        dashed(1) + lit("-") + two(dashed(2)) + lit("-") + two(dashed(3)),
    ]);
    let written = iso.str().to_date(StrptimeOptions { format: Some("%Y-%m-%d".into()), strict: false, exact: true, cache: true });
    let day_number = number(matched(&text, r"^(\d{5})(?:\.\d+)?$", 1));
    let in_range = day_number.clone().gt_eq(lit(DAY_NUMBERS.0)).and(day_number.clone().lt_eq(lit(DAY_NUMBERS.1)));
    let counted = when(in_range).then((day_number - lit(DAY_NUMBER_OF_EPOCH)).cast(DataType::Date)).otherwise(lit(NULL));

    let date = coalesce(&[written, counted]);
    let year = date.clone().dt().year();
    let month = year.clone() * lit(12) + date.dt().month().cast(DataType::Int32) - lit(1);
    when(year.gt_eq(lit(YEAR_MIN))).then(month).otherwise(lit(NULL)).cast(DataType::Int32)
}

/// The entry without its dashes; null where no entry can be meant: no digit, or a number that a spreadsheet rounded.
pub(super) fn entry(text: Expr) -> Expr {
    let joined = text.clone().str().split(lit("-")).list().join(lit(""), true);
    let has_digit = matched(&text, r"(\d)", 1).is_not_null();
    let rounded = matched(&text, r"^(\d+(?:\.\d*[Ee]\+?|[Ee]\+)\d+)$", 1).is_not_null();
    when(has_digit.and(rounded.not())).then(joined).otherwise(lit(NULL)).cast(DataType::String)
}

/// Whether this is a whole number of 32 bits.
pub(super) fn is_integer(text: Expr) -> Expr {
    matched(&text, r"^(\d+)$", 1).cast(DataType::Int64).lt_eq(lit(i64::from(i32::MAX))).fill_null(lit(false))
}

fn matched(text: &Expr, pattern: &str, group: usize) -> Expr {
    text.clone().str().extract(lit(pattern.to_owned()), group)
}
