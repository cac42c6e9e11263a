//! Dates as CBP and spreadsheets write them, to days since 1970-01-01.
//! Promise: a date is read exactly, or refused with a reason; what was left out (a time) or added (a century) is told.
//! Never: no locale; month comes before day wherever slashes are, as in all ACE exports, unless the file proves otherwise (`order`).

use super::{
    repair::Mends,
    value::{Parsed, trim},
};

mod order;

pub(super) use order::Shown;
pub use order::{DateEvidence, DateOrder, DateOrders};

/// A date, and what had to be mended to read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Date {
    /// Since 1970-01-01, as Arrow's `Date32`.
    pub days: i32,
    /// Time dropped, century added, day read first.
    pub mends: Mends,
    /// The only order in which the text is a date, if there is only one.
    pub shows: Option<DateOrder>,
}

/// Why a date stays text in a column whose own dates prove both orders.
pub(super) const TWO_DATES: &str =
    "could be either of two dates: this column writes the day first in some rows and the month in others";
const NOT_A_DATE: &str = "not a date; use MM/DD/YYYY or YYYY-MM-DD";
const NO_SUCH_DAY: &str = "no such day in the calendar";
/// Spreadsheets turn blanks into dates near 1900 (ace-reports.md 3.3: blank + 80 days shows as 1900-03-20).
pub(super) const BEFORE_1990: &str = "a date before 1990 cannot be an ACE date; a blank counted as a number looks like this";
const YEAR_MIN: u32 = 1990;
/// Excel's day numbers that could be meant as a date: 1954 to 2119. Older ones then fail as before 1990.
const SERIAL_MIN: i32 = 20_000;
const SERIAL_MAX: i32 = 80_000;
/// Excel's day number of 1970-01-01 in the 1900 date system.
const SERIAL_OF_EPOCH: i32 = 25_569;

/// Reads a trimmed cell.
#[inline]
pub(super) fn date(text: &[u8], order: DateOrder) -> Parsed<Date> {
    // The two plain forms, ten bytes long, are nearly all there is.
    if let [a, b, c, d, e, f, g, h, i, j] = *text {
        let (slashes, dashes) = (c == b'/' && f == b'/', e == b'-' && h == b'-');
        if slashes && let (Some(first), Some(second), Some(year)) = (two(a, b), two(d, e), four([g, h, i, j])) {
            return slashed(year, first, second, order);
        }
        if dashes && let (Some(year), Some(month), Some(day)) = (four([a, b, c, d]), two(f, g), two(i, j)) {
            return Ok(Date { days: civil(year, month, day)?, mends: Mends::NONE, shows: None });
        }
    }
    general(text, order)
}

/// The only order in which the text is a date, if there is only one.
#[cold]
pub(super) fn order_shown(text: &[u8]) -> Option<DateOrder> {
    let shown = |order| date(text, order).ok().and_then(|date| date.shows);
    shown(DateOrder::MonthFirst).or_else(|| shown(DateOrder::DayFirst))
}

#[inline]
fn slashed(year: u32, first: u32, second: u32, order: DateOrder) -> Parsed<Date> {
    // No year has more than twelve months, so only a day above twelve cannot be a month.
    let (month, day, day_first) = match order {
        DateOrder::MonthFirst => (first, second, false),
        DateOrder::DayFirst => (second, first, true),
        DateOrder::Undecided if first > 12 => (second, first, true),
        DateOrder::Undecided if second > 12 || first == second => (first, second, false),
        DateOrder::Undecided => return Err(TWO_DATES),
    };
    let (mends, shown) = match day_first {
        false => (Mends::NONE, DateOrder::MonthFirst),
        true => (Mends::DAY_FIRST, DateOrder::DayFirst),
    };
    Ok(Date { days: civil(year, month, day)?, mends, shows: (day > 12).then_some(shown) })
}

#[cold]
fn general(text: &[u8], order: DateOrder) -> Parsed<Date> {
    if text.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.') {
        return serial(text);
    }
    let (first, first_length, rest) = number(text).ok_or(NOT_A_DATE)?;
    let (separator, rest) = rest.split_first().ok_or(NOT_A_DATE)?;
    if !matches!(separator, b'/' | b'-') {
        return Err(NOT_A_DATE);
    }
    let (second, second_length, rest) = number(rest).ok_or(NOT_A_DATE)?;
    let rest = rest.strip_prefix(std::slice::from_ref(separator)).ok_or(NOT_A_DATE)?;
    let (third, third_length, rest) = number(rest).ok_or(NOT_A_DATE)?;
    let time = match rest {
        [] => Mends::NONE,
        rest if midnight(rest).ok_or("a date with something behind it that is not a time")? => Mends::NONE,
        _ => Mends::TIME,
    };
    let date = match (separator, first_length, second_length, third_length) {
        (b'/', 1..=2, 1..=2, 4) => slashed(third, first, second, order)?,
        // Web Intelligence may write M/d/yy. No ACE date is before 1990, so two digits name one year only.
        (b'/', 1..=2, 1..=2, 2) => {
            let year = if third < YEAR_MIN % 100 { 2000 + third } else { 1900 + third };
            let date = slashed(year, first, second, order)?;
            Date { mends: date.mends | Mends::CENTURY, ..date }
        }
        (b'-', 4, 1..=2, 1..=2) => Date { days: civil(first, second, third)?, mends: Mends::NONE, shows: None },
        _ => return Err(NOT_A_DATE),
    };
    Ok(Date { mends: date.mends | time, ..date })
}

/// Excel's day number; a fraction is the time of day.
fn serial(text: &[u8]) -> Parsed<Date> {
    let (days, length, rest) = number(text).ok_or(NOT_A_DATE)?;
    let fraction = match rest {
        [] => &[][..],
        [b'.', digits @ ..] if !digits.is_empty() && !digits.contains(&b'.') => digits,
        _ => return Err(NOT_A_DATE),
    };
    let days = days as i32;
    if length != 5 || !(SERIAL_MIN..=SERIAL_MAX).contains(&days) {
        return Err(NOT_A_DATE);
    }
    let days = days - SERIAL_OF_EPOCH;
    if days < days_from_civil(YEAR_MIN, 1, 1) {
        return Err(BEFORE_1990);
    }
    let mends = if fraction.iter().any(|byte| *byte != b'0') { Mends::TIME } else { Mends::NONE };
    Ok(Date { days, mends, shows: None })
}

/// Whether the time behind a date is midnight; `None` if it is no time.
fn midnight(text: &[u8]) -> Option<bool> {
    let text = match text {
        [b'T' | b't', rest @ ..] => rest,
        [b' ', ..] => trim_bytes(text),
        _ => return None,
    };
    let upper = text.to_ascii_uppercase();
    let (text, half) = match upper.as_slice() {
        [rest @ .., b'A', b'M'] => (trim_bytes(rest), Some(0)),
        [rest @ .., b'P', b'M'] => (trim_bytes(rest), Some(12)),
        [rest @ .., b'Z'] => (rest, None),
        rest => (rest, None),
    };
    let (hour, hour_length, rest) = number(text)?;
    let (minute, minute_length, rest) = number(rest.strip_prefix(b":")?)?;
    let (second, second_length, rest) = match rest.strip_prefix(b":") {
        Some(rest) => number(rest)?,
        None => (0, 2, rest),
    };
    let fraction = match rest {
        [] => &[][..],
        [b'.', digits @ ..] if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => digits,
        _ => return None,
    };
    if hour_length > 2 || minute_length != 2 || second_length != 2 || minute > 59 || second > 59 {
        return None;
    }
    let hour = match half {
        Some(half) if (1..=12).contains(&hour) => hour % 12 + half,
        None if hour <= 23 => hour,
        _ => return None,
    };
    Some(hour == 0 && minute == 0 && second == 0 && fraction.iter().all(|byte| *byte == b'0'))
}

fn trim_bytes(text: &[u8]) -> &[u8] {
    std::str::from_utf8(text).map_or(text, |text| trim(text).as_bytes())
}

/// Leading digits (at most nine): their value, how many, and what follows.
fn number(text: &[u8]) -> Option<(u32, usize, &[u8])> {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=9).contains(&length) {
        return None;
    }
    let value = text[..length].iter().fold(0, |value, byte| value * 10 + u32::from(byte - b'0'));
    Some((value, length, &text[length..]))
}

#[inline]
fn two(tens: u8, ones: u8) -> Option<u32> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then(|| u32::from(tens) * 10 + u32::from(ones))
}

#[inline]
fn four([a, b, c, d]: [u8; 4]) -> Option<u32> {
    Some(two(a, b)? * 100 + two(c, d)?)
}

#[inline]
fn civil(year: u32, month: u32, day: u32) -> Parsed<i32> {
    const DAYS: [u32; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let Some(&days) = DAYS.get(month.wrapping_sub(1) as usize) else { return Err(NO_SUCH_DAY) };
    if day == 0 || day > days + u32::from(month == 2 && leap) {
        return Err(NO_SUCH_DAY);
    }
    if year < YEAR_MIN {
        return Err(BEFORE_1990);
    }
    Ok(days_from_civil(year, month, day))
}

/// Days since 1970-01-01 in the Gregorian calendar, counting years from March so that a leap day comes last.
#[inline]
const fn days_from_civil(year: u32, month: u32, day: u32) -> i32 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let days = 365 * year + year / 4 - year / 100 + year / 400 + day_of_year;
    // 719,468 days lie between 0000-03-01 and 1970-01-01.
    days as i32 - 719_468
}

#[cfg(test)]
mod tests;
