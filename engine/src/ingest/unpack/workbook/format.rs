//! Number formats: which numbers are dates, and which digits a format adds that the number alone would lose.
//! Promise: fifteen significant digits, as Excel itself keeps; zeros are added where the format shows them, and no
//! digit is ever rounded away.
//! Source: ECMA-376 part 1, 18.8.30 (built-in formats) and 18.8.31 (format codes); MS-XLS 2.4.126.

use chrono::{Duration, NaiveDate, NaiveDateTime};

/// What of a number format matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ingest::unpack) enum Format {
    General,
    Date,
    /// At least so many digits before the point, and so many after it.
    Digits {
        whole: u8,
        decimals: u8,
    },
}

/// Excel's precision.
const DIGITS: i32 = 15;
const DIGITS_SHOWN_MAX: usize = 30;
/// 9999-12-31.
const LAST_DAY: f64 = 2_958_465.0;
const DAY_MILLIS: f64 = 86_400_000.0;

impl Format {
    /// The formats that need no code in the file.
    pub fn builtin(id: u16) -> Self {
        match id {
            1 | 3 | 37 | 38 | 41 | 42 => Format::General,
            2 | 4 | 7 | 8 | 10 | 39 | 40 | 43 | 44 => Format::Digits { whole: 1, decimals: 2 },
            5 | 6 | 9 => Format::General,
            14..=22 | 27..=36 | 45..=47 | 50..=58 => Format::Date,
            _ => Format::General,
        }
    }

    /// Reads a format code: its first section, without texts, colours and escapes.
    pub fn of_code(code: &str) -> Self {
        let mut bare = String::new();
        let mut chars = code.chars();
        while let Some(c) = chars.next() {
            match c {
                ';' => break,
                '"' => drop(chars.by_ref().take_while(|c| *c != '"').count()),
                '\\' | '_' | '*' => drop(chars.next()),
                '[' => {
                    let inside: String = chars.by_ref().take_while(|c| *c != ']').collect();
                    // Hours, minutes or seconds that run on: a length of time and no date.
                    if !inside.is_empty() && inside.chars().all(|c| matches!(c.to_ascii_lowercase(), 'h' | 'm' | 's')) {
                        return Format::General;
                    }
                }
                c => bare.push(c.to_ascii_lowercase()),
            }
        }
        if bare == "general"
            || bare.contains('@')
            || bare.contains("e+")
            || bare.contains("e-")
            || bare.contains('/') && bare.contains('?')
        {
            return Format::General;
        }
        if bare.contains(['y', 'm', 'd', 'h', 's']) {
            return Format::Date;
        }
        let (whole, decimals) = bare.split_once('.').unwrap_or((&bare, ""));
        let zeros = |text: &str| text.matches('0').count().min(DIGITS_SHOWN_MAX) as u8;
        match (zeros(whole), zeros(decimals)) {
            (0 | 1, 0) => Format::General,
            (whole, decimals) => Format::Digits { whole, decimals },
        }
    }
}

/// A number as text. `stored` is used as it is when it is plain and no longer than Excel's precision.
pub(super) fn number(stored: Option<&str>, value: f64, format: Format, from_1904: bool) -> String {
    if format == Format::Date
        && let Some(date) = date(value, from_1904)
    {
        return date;
    }
    let text = match stored {
        Some(stored) if is_plain(stored) => stored.to_owned(),
        // Beyond Excel's precision the last digits are gone: that stays to be seen.
        Some(stored) if value.abs() >= 1e15 || !value.is_finite() => return stored.to_owned(),
        _ if !value.is_finite() => return value.to_string(),
        _ => plain(value),
    };
    match format {
        Format::Digits { whole, decimals } => padded(&text, whole.into(), decimals.into()),
        Format::General | Format::Date => text,
    }
}

/// Digits and one point, at most Excel's precision of them.
fn is_plain(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, "0"));
    let count = whole.len() + decimals.len();
    !whole.is_empty()
        && !decimals.is_empty()
        && count <= DIGITS as usize
        && whole.bytes().chain(decimals.bytes()).all(|byte| byte.is_ascii_digit())
}

/// Without exponent, rounded to Excel's precision, without zeros behind.
fn plain(value: f64) -> String {
    let scientific = format!("{:.*e}", DIGITS as usize - 1, value);
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.trim_end_matches('0');
    if digits.is_empty() {
        return "0".into();
    }
    // The point stands behind so many of the digits.
    let point = exponent + 1;
    if point <= 0 {
        return format!("{sign}0.{}{digits}", "0".repeat(point.unsigned_abs() as usize));
    }
    let point = point as usize;
    if digits.len() <= point {
        return format!("{sign}{digits}{}", "0".repeat(point - digits.len()));
    }
    format!("{sign}{}.{}", &digits[..point], &digits[point..])
}

fn padded(text: &str, whole: usize, decimals: usize) -> String {
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let (before, after) = digits.split_once('.').unwrap_or((digits, ""));
    let point = if after.is_empty() && decimals == 0 { "" } else { "." };
    format!("{sign}{before:0>whole$}{point}{after:0<decimals$}")
}

/// ISO date, with the time when there is one; a time alone stays a time. None for what is no day of a calendar.
fn date(value: f64, from_1904: bool) -> Option<String> {
    if !(0.0..=LAST_DAY).contains(&value) {
        return None;
    }
    let days = value.floor();
    // To the second, as sheets show it.
    let seconds = ((value - days) * DAY_MILLIS / 1000.0).round() as i64;
    let first = if from_1904 {
        NaiveDate::from_ymd_opt(1904, 1, 1)?
    } else if days == 0.0 {
        return (seconds > 0).then(|| time(seconds));
    } else if days < 60.0 {
        NaiveDate::from_ymd_opt(1899, 12, 31)?
    } else if days == 60.0 {
        // 1900-02-29, a day that only Excel knows.
        return None;
    } else {
        NaiveDate::from_ymd_opt(1899, 12, 30)?
    };
    let at: NaiveDateTime = first.and_hms_opt(0, 0, 0)? + Duration::days(days as i64) + Duration::seconds(seconds);
    let shown = if seconds % 86_400 == 0 { "%Y-%m-%d" } else { "%Y-%m-%dT%H:%M:%S" };
    Some(at.format(shown).to_string())
}

fn time(seconds: i64) -> String {
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
