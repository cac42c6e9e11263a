//! Every form of date that is read, and every one that is refused.

use super::*;

fn iso(text: &str) -> String {
    iso_in(text, DateOrder::MonthFirst)
}

fn iso_in(text: &str, order: DateOrder) -> String {
    match date(text.as_bytes(), order) {
        Ok(date) => {
            let day = chrono::NaiveDate::from_ymd_opt(1970, 1, 1).unwrap() + chrono::Duration::days(date.days.into());
            let notes = [(Mends::TIME, " time"), (Mends::CENTURY, " century"), (Mends::DAY_FIRST, " day first")];
            format!(
                "{day}{}",
                notes.iter().filter(|(mend, _)| date.mends.holds(*mend)).map(|(_, note)| *note).collect::<String>()
            )
        }
        Err(reason) => reason.to_owned(),
    }
}

#[test]
fn dates_are_read_in_every_form_that_exports_and_spreadsheets_use() {
    for (text, expected) in [
        ("04/02/2025", "2025-04-02"),
        ("4/2/2025", "2025-04-02"),
        ("12/31/1999", "1999-12-31"),
        ("2025-04-02", "2025-04-02"),
        ("2025-4-2", "2025-04-02"),
        ("02/29/2024", "2024-02-29"),
        ("02/29/2000", "2000-02-29"),
        ("04/02/2025 12:00:00 AM", "2025-04-02"),
        ("4/2/2025 12:00 am", "2025-04-02"),
        ("04/02/2025 00:00:00", "2025-04-02"),
        ("04/02/2025 0:00", "2025-04-02"),
        ("2025-04-02T00:00:00", "2025-04-02"),
        ("2025-04-02T00:00:00.000Z", "2025-04-02"),
        ("2025-04-02 00:00:00.0", "2025-04-02"),
        ("45749", "2025-04-02"),
        ("45749.0", "2025-04-02"),
        ("32874", "1990-01-01"),
        ("80000", "2119-01-11"),
        ("12/31/9999", "9999-12-31"),
        ("4/2/25", "2025-04-02 century"),
        ("4/2/90", "1990-04-02 century"),
        ("4/2/89", "2089-04-02 century"),
    ] {
        assert_eq!(iso(text), expected, "{text}");
    }
}

#[test]
fn a_time_other_than_midnight_is_dropped_and_told() {
    for text in [
        "04/02/2025 12:00:00 PM",
        "04/02/2025 13:45",
        "2025-04-02T00:00:01",
        "2025-04-02 00:00:00.5",
        "45749.5",
        "4/2/2025 1:00 AM",
    ] {
        assert_eq!(iso(text), "2025-04-02 time", "{text}");
    }
}

#[test]
fn what_is_no_date_is_refused() {
    for text in [
        "",
        "n/a",
        "2025",
        "123456",
        "4574",
        "45749.",
        "45.749.0",
        "19999",
        "80001",
        "04/02",
        "04/02/2025x",
        "04/02/2025 noon",
        "04/02/2025 24:00",
        "04/02/2025 13:00 PM",
        "04/02/2025 00:60",
        "04-02-2025",
        "2025/04/02",
        "04/02-2025",
        "04/02/025",
        "04/0２/2025",
        "-4/02/2025",
        "99999999999/1/2025",
        "04/02/2025 00",
        "1.01E+10",
    ] {
        assert!(date(text.as_bytes(), DateOrder::MonthFirst).is_err(), "{text}");
    }
    for text in ["02/30/2025", "02/29/2025", "02/29/2100", "13/01/2025", "00/01/2025", "01/00/2025", "2025-02-29", "04/31/2025"] {
        assert_eq!(iso(text), NO_SUCH_DAY, "{text}");
    }
    for text in ["12/31/1989", "1900-03-20", "01/01/0001", "32873", "20000"] {
        assert_eq!(iso(text), BEFORE_1990, "{text}");
    }
}

#[test]
fn days_agree_with_the_calendar_library_for_four_centuries() {
    let mut day = chrono::NaiveDate::from_ymd_opt(1990, 1, 1).unwrap();
    let end = chrono::NaiveDate::from_ymd_opt(2400, 1, 1).unwrap();
    let mut days = days_from_civil(1990, 1, 1);
    while day < end {
        let text = day.format("%m/%d/%Y").to_string();
        assert_eq!(date(text.as_bytes(), DateOrder::MonthFirst).map(|date| date.days), Ok(days), "{text}");
        (day, days) = (day.succ_opt().unwrap(), days + 1);
    }
}

#[test]
fn day_first_is_read_only_when_asked_for_and_only_with_slashes() {
    for (text, expected) in [
        ("02/04/2025", "2025-04-02 day first"),
        ("31/12/2024", "2024-12-31 day first"),
        ("2/4/25 13:00", "2025-04-02 time century day first"),
        ("2025-04-02", "2025-04-02"),
        ("45749", "2025-04-02"),
        ("12/31/2024", NO_SUCH_DAY),
    ] {
        assert_eq!(iso_in(text, DateOrder::DayFirst), expected, "{text}");
    }
}

#[test]
fn only_a_day_above_twelve_shows_the_order() {
    let shown = |text: &str| order_shown(text.as_bytes());
    assert_eq!(shown("13/01/2025"), Some(DateOrder::DayFirst));
    assert_eq!(shown("1/13/2025"), Some(DateOrder::MonthFirst));
    for text in ["12/12/2025", "01/02/2025", "13/13/2025", "31/02/2025", "2025-01-31", "45749", "", "13/01/1980"] {
        assert_eq!(shown(text), None, "{text}");
    }
}

#[test]
fn in_a_column_of_both_orders_only_a_date_that_exists_one_way_is_read() {
    for (text, expected) in [
        ("25/04/2025", "2025-04-25 day first"),
        ("04/25/2025", "2025-04-25"),
        ("04/04/2025", "2025-04-04"),
        ("2025-04-02", "2025-04-02"),
        ("2/4/25", TWO_DATES),
        ("04/02/2025", TWO_DATES),
        ("13/13/2025", NO_SUCH_DAY),
    ] {
        assert_eq!(iso_in(text, DateOrder::Undecided), expected, "{text}");
    }
}
