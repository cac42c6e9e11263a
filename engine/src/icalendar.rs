//! Deadlines as a calendar that other programs read: RFC 5545.
//! Promise: CRLF, lines folded at 75 octets between characters, text escaped, one all-day event a deadline on its raw date;
//! the same deadline keeps its UID, so that importing again moves it instead of doubling it.

use std::fmt::Write;

use bonded_schemas::{
    TenantId,
    deadline::{Deadline, NOT_ADVICE},
};
use chrono::{DateTime, Duration, NaiveDate, Utc};

/// Octets of a line without its line end.
const LINE_OCTETS_MAX: usize = 75;

/// The calendar; `None` without a dated deadline, for a calendar needs an event.
pub fn calendar(tenant: &TenantId, deadlines: &[Deadline], now: DateTime<Utc>) -> Option<String> {
    let dated: Vec<(&Deadline, NaiveDate)> =
        deadlines.iter().filter_map(|deadline| Some((deadline, deadline.raw_date?))).collect();
    if dated.is_empty() {
        return None;
    }
    let mut out = String::new();
    line(&mut out, "BEGIN:VCALENDAR");
    line(&mut out, "VERSION:2.0");
    line(&mut out, "PRODID:-//Bonded//Customs deadlines//EN");
    line(&mut out, "CALSCALE:GREGORIAN");
    for (deadline, date) in dated {
        event(&mut out, tenant, deadline, date, now);
    }
    line(&mut out, "END:VCALENDAR");
    Some(out)
}

fn event(out: &mut String, tenant: &TenantId, deadline: &Deadline, date: NaiveDate, now: DateTime<Utc>) {
    let Deadline { entry_summary_number: entry, kind, title, .. } = deadline;
    let stake = deadline.duty_at_stake.as_ref().map(|duty| format!(", USD {duty} at stake")).unwrap_or_default();
    line(out, "BEGIN:VEVENT");
    line(out, &format!("UID:{kind}.{entry}.{tenant}@bonded.invalid"));
    line(out, &format!("DTSTAMP:{}", now.format("%Y%m%dT%H%M%SZ")));
    line(out, &format!("DTSTART;VALUE=DATE:{}", date.format("%Y%m%d")));
    line(out, &format!("DTEND;VALUE=DATE:{}", (date + Duration::days(1)).format("%Y%m%d")));
    line(out, &format!("SUMMARY:{}", escaped(&format!("{title}: {entry}{stake}"))));
    line(out, &format!("DESCRIPTION:{}", escaped(&description(deadline))));
    line(out, "TRANSP:TRANSPARENT");
    line(out, "END:VEVENT");
}

fn description(deadline: &Deadline) -> String {
    let mut text = String::new();
    let mut say = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(text, "{name}: {value}");
        }
    };
    say("Basis", deadline.basis.as_deref().unwrap_or_default());
    if let Some(rolled) = deadline.rolled_date.filter(|rolled| Some(*rolled) != deadline.raw_date) {
        say("Rolls in practice to", &format!("{rolled}, over {}", deadline.rolled_over.join(", ")));
    }
    say("Whose", &deadline.whose);
    say("At stake from", deadline.duty_from.unwrap_or_default());
    say("Remarks", &deadline.remarks.join("; "));
    say("Source", &deadline.source);
    text.push_str(NOT_ADVICE);
    text
}

/// RFC 5545, 3.3.11.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | ';' | ',' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// RFC 5545, 3.1: a fold is a line end and one space, which counts.
fn line(out: &mut String, text: &str) {
    let mut octets = 0;
    for c in text.chars() {
        if octets + c.len_utf8() > LINE_OCTETS_MAX {
            out.push_str("\r\n ");
            octets = 1;
        }
        out.push(c);
        octets += c.len_utf8();
    }
    out.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_folds_at_75_octets_and_never_within_a_character() {
        let text = format!("DESCRIPTION:{}", "é".repeat(100));
        let mut out = String::new();
        line(&mut out, &text);
        let lines: Vec<&str> = out.split_terminator("\r\n").collect();
        assert!(lines.len() > 2 && lines.iter().all(|line| line.len() <= LINE_OCTETS_MAX), "{lines:?}");
        assert!(lines[1..].iter().all(|line| line.starts_with(' ')));
        assert_eq!(out.replace("\r\n ", ""), format!("{text}\r\n"));
    }

    #[test]
    fn text_is_escaped() {
        assert_eq!(escaped("a,b;c\\d\r\ne"), "a\\,b\\;c\\\\d\\ne");
    }

    #[test]
    fn a_calendar_without_an_event_is_none() {
        let tenant: TenantId = "fictional-lantern".parse().unwrap();
        assert!(calendar(&tenant, &[], DateTime::UNIX_EPOCH).is_none());
    }
}
