//! Deadlines on the real binary: dates against arithmetic done here, not judged without a column, and a calendar that a strict
//! reader of RFC 5545 takes.

use std::collections::{BTreeMap, BTreeSet};

use bonded::demo::corpus::Corpus;
use chrono::{Datelike, Duration, NaiveDate, Weekday};
use serde_json::Value;

use crate::world::{TENANT, World, random_plan};

const ES_001: &str = "\
Entry Summary Number,Entry Type Code,Importer Number,Entry Date,Entry Summary Date,Importation Date,Total Duty Amount,Liquidation Date,Liquidation Status,Reconciliation Indicator,Reconciliation (Other) Entry Summary Number
XZ910000013,01,00-1234567AA,02/24/2025,03/06/2025,02/20/2025,1234.56,01/05/2026,Liquidated,N,
XZ910000021,01,00-1234567AA,09/15/2025,09/25/2025,09/12/2025,50.00,,Unliquidated,Y,
XZ910000039,01,00-1234567AA,09/15/2025,09/25/2025,09/12/2025,60.00,,Extended,Y,XZ990000097
";

fn deadlines(world: &World, more: &[&str]) -> Vec<Value> {
    let mut arguments = vec!["deadlines", "--tenant", TENANT];
    arguments.extend(more);
    world.json(&arguments)
}

fn told<'a>(deadline: &'a Value, keys: [&str; 4]) -> [&'a str; 4] {
    keys.map(|key| deadline[key].as_str().unwrap_or("-"))
}

#[test]
fn what_expires_next_comes_first_with_its_raw_and_rolled_date_basis_and_duty() {
    let world = World::new();
    let file = world.file("ES-001.csv", ES_001);
    world.ingest(TENANT, &[file]);
    let found = deadlines(&world, &["--today", "2026-06-20"]);
    let keys = ["entry_summary_number", "kind", "raw_date", "rolled_date"];
    assert_eq!(
        found.iter().map(|d| told(d, keys)).collect::<Vec<_>>(),
        [
            ["XZ910000013", "protest", "2026-07-04", "2026-07-06"],
            ["XZ910000021", "psc", "2026-07-12", "2026-07-12"],
            ["XZ910000021", "reconciliation_other", "2027-06-25", "2027-06-25"],
        ]
    );
    assert_eq!(
        told(&found[0], ["duty_at_stake", "duty_from", "state", "basis"]),
        ["1234.56", "ES-001 Total Duty Amount", "open", "180 days after Liquidation Date 2026-01-05"]
    );
    assert_eq!(found[0]["days_left"], 14);
    assert_eq!(deadlines(&world, &["--today", "2026-06-20", "--within", "20d"]).len(), 1);
    assert_eq!(deadlines(&world, &["--today", "2026-07-06", "--within", "1d"])[0]["state"], "open_if_rolled");
    let all = deadlines(&world, &["--today", "2026-06-20", "--all"]);
    let state = |kind: &str, entry: &str| {
        let of = all.iter().find(|d| d["kind"] == kind && d["entry_summary_number"] == entry);
        of.map(|d| d["state"].as_str().unwrap().to_owned()).unwrap_or_default()
    };
    assert_eq!(state("psc", "XZ910000013"), "expired");
    assert_eq!(state("voluntary_reliquidation", "XZ910000013"), "expired");
    assert_eq!(state("psc", "XZ910000039"), "not_judged", "extended");
    assert_eq!(state("reconciliation_fta", "XZ910000021"), "not_judged", "no such column");
    assert_eq!(state("reconciliation_other", "XZ910000039"), "", "its type 09 is filed");
    let text = world.ok(&["deadlines", "--tenant", TENANT, "--today", "2026-06-20"]);
    assert!(text.contains("not legal advice; confirm with your broker or counsel"), "{text}");
    assert!(text.contains("NAFTA Reconciliation Indicator was not delivered"), "{text}");
}

#[test]
fn duty_at_stake_is_the_sum_of_lines_where_no_header_states_it() {
    let world = World::new();
    let corpus = Corpus::new(random_plan(20)).expect("fit");
    let files = world.corpus_files("in", &corpus);
    world.ingest(TENANT, &files[2..]);
    let run = world.run(&["--json", "deadlines", "--tenant", TENANT, "--all", "--kind", "psc", "--today", "2025-01-01"]);
    let found = crate::world::json_lines(std::str::from_utf8(&run.stdout).unwrap());
    let text = std::fs::read_to_string(&files[2]).unwrap();
    let duty: i64 = text.lines().skip(1).map(|line| cents(line.rsplit(',').next().unwrap())).sum();
    let told: i64 = found.iter().map(|d| cents(d["duty_at_stake"].as_str().unwrap())).sum();
    assert_eq!((found.len(), told), (20, duty));
    assert!(found.iter().all(|d| d["duty_from"].as_str().unwrap().starts_with("ES-003")));
    assert!(run.stderr.contains("protest: 20 not judged: column Liquidation Date was not delivered"), "{}", run.stderr);
    assert!(run.stderr.contains("not legal advice"), "{}", run.stderr);
}

fn cents(text: &str) -> i64 {
    let (dollars, cents) = text.split_once('.').unwrap_or((text, "00"));
    format!("{dollars}{cents}").parse().unwrap()
}

/// Over a corpus, every protest and correction against dates reckoned from the report's own text.
#[test]
fn deadlines_of_a_whole_corpus_are_what_the_text_of_the_report_gives() {
    let world = World::new();
    let corpus = Corpus::new(random_plan(300)).expect("fit");
    let files = world.corpus_files("in", &corpus);
    world.ingest(TENANT, &files);
    let today = day("2026-03-02");
    let found = deadlines(&world, &["--all", "--today", "2026-03-02"]);
    let mut expected: BTreeMap<(String, &str), (NaiveDate, &str)> = BTreeMap::new();
    for line in std::fs::read_to_string(&files[0]).unwrap().lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let date = |at: usize| NaiveDate::parse_from_str(cells[at], "%m/%d/%Y").ok();
        let (entered, liquidated) = (date(4).unwrap(), date(10));
        let state = |last: NaiveDate| if today <= last { "open" } else { "expired" };
        if let Some(liquidated) = liquidated {
            let last = liquidated + Duration::days(180);
            expected.insert((cells[0].to_owned(), "protest"), (last, state(last)));
        }
        if !["Extended", "Suspended"].contains(&cells[11]) {
            let last = [Some(entered + Duration::days(300)), liquidated.map(|date| date - Duration::days(15))];
            let last = last.into_iter().flatten().min().unwrap();
            expected.insert((cells[0].to_owned(), "psc"), (last, state(last)));
        }
    }
    let told: BTreeMap<(String, &str), (NaiveDate, &str)> = found
        .iter()
        .filter(|d| ["protest", "psc"].contains(&d["kind"].as_str().unwrap()) && d["state"] != "not_judged")
        .map(|d| {
            let [entry, kind, raw, state] = told(d, ["entry_summary_number", "kind", "raw_date", "state"]);
            let state = if state == "open_if_rolled" { "expired" } else { state };
            ((entry.to_owned(), kind), (day(raw), state))
        })
        .collect();
    assert_eq!(told, expected);
    assert!(expected.len() > 300);
    for deadline in &found {
        if let (Some(raw), Some(rolled)) = (deadline["raw_date"].as_str(), deadline["rolled_date"].as_str()) {
            let (raw, rolled) = (day(raw), day(rolled));
            assert!(rolled >= raw && (rolled == raw || !matches!(rolled.weekday(), Weekday::Sat | Weekday::Sun)), "{deadline}");
        }
    }
}

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

#[test]
fn the_calendar_is_what_rfc_5545_asks_for_and_stays_the_same_deadline_by_deadline() {
    let world = World::new();
    let corpus = Corpus::new(random_plan(120)).expect("fit");
    world.ingest(TENANT, &world.corpus_files("in", &corpus));
    let path = world.path("deadlines.ics");
    let arguments = ["--today", "2025-12-01", "--ics", path.to_str().unwrap()];
    let found = deadlines(&world, &arguments);
    let first = calendar(&std::fs::read_to_string(&path).unwrap());
    let open: BTreeSet<(String, String)> = found
        .iter()
        .map(|d| {
            let text = |key: &str| d[key].as_str().unwrap().to_owned();
            (
                format!("{}.{}.{TENANT}@bonded.invalid", text("kind"), text("entry_summary_number")),
                text("raw_date").replace('-', ""),
            )
        })
        .collect();
    let events: BTreeSet<(String, String)> = first.iter().map(|e| (e["UID"].clone(), e["DTSTART;VALUE=DATE"].clone())).collect();
    assert!(!open.is_empty());
    assert_eq!(events, open, "one event a deadline, on its raw date");
    for event in &first {
        assert!(event["DESCRIPTION"].ends_with("not legal advice; confirm with your broker or counsel"), "{event:?}");
    }
    deadlines(&world, &arguments);
    let uids = |events: &[BTreeMap<String, String>]| events.iter().map(|e| e["UID"].clone()).collect::<Vec<_>>();
    assert_eq!(uids(&calendar(&std::fs::read_to_string(&path).unwrap())), uids(&first));
}

/// Reads a calendar as strictly as RFC 5545 is written; panics on what it does not allow.
fn calendar(text: &str) -> Vec<BTreeMap<String, String>> {
    assert!(
        text.ends_with("\r\n") && !text.replace("\r\n", "").contains(['\r', '\n']),
        "3.1: lines end in CRLF and nothing else"
    );
    for line in text.split_terminator("\r\n") {
        assert!(!line.is_empty() && line.len() <= 75, "3.1: {} octets: {line}", line.len());
    }
    let unfolded = text.replace("\r\n ", "");
    let mut lines = unfolded.split_terminator("\r\n");
    assert_eq!(lines.next(), Some("BEGIN:VCALENDAR"));
    let (mut events, mut event, mut properties, mut ended) =
        (Vec::new(), None::<BTreeMap<String, String>>, BTreeSet::new(), false);
    for line in lines {
        assert!(!ended, "nothing after the calendar: {line}");
        let (name, value) = line.split_once(':').expect("3.1: name, colon, value");
        let is_name = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b"-=".contains(&b))
        };
        assert!(name.split(';').all(is_name), "3.1: {name}");
        assert!(value.chars().all(|c| !c.is_control()), "3.1: control character in {name}");
        match (name, value, &mut event) {
            ("BEGIN", "VEVENT", None) => event = Some(BTreeMap::new()),
            ("END", "VEVENT", Some(_)) => events.extend(event.take()),
            ("END", "VCALENDAR", None) => ended = true,
            ("BEGIN" | "END", ..) => panic!("{line}"),
            (_, _, None) => assert!(properties.insert((name.to_owned(), value.to_owned())), "once: {name}"),
            (_, _, Some(event)) => {
                let value = if ["SUMMARY", "DESCRIPTION"].contains(&name) { unescaped(value) } else { value.to_owned() };
                assert!(event.insert(name.to_owned(), value).is_none(), "once in an event: {name}");
            }
        }
    }
    assert!(ended && !events.is_empty(), "3.6: a calendar has an end and at least one component");
    assert!(properties.contains(&("VERSION".into(), "2.0".into())), "3.7.4");
    assert_eq!(properties.iter().filter(|(name, _)| name == "PRODID").count(), 1, "3.7.3");
    let mut uids = BTreeSet::new();
    for event in &events {
        assert!(uids.insert(&event["UID"]), "3.8.4.7: UIDs are unique");
        let stamp = &event["DTSTAMP"];
        chrono::NaiveDateTime::parse_from_str(stamp, "%Y%m%dT%H%M%SZ").unwrap_or_else(|_| panic!("3.8.7.2: {stamp}"));
        let date = |name: &str| NaiveDate::parse_from_str(&event[name], "%Y%m%d").unwrap_or_else(|_| panic!("3.3.4: {event:?}"));
        assert_eq!(date("DTEND;VALUE=DATE"), date("DTSTART;VALUE=DATE") + Duration::days(1), "3.6.1: the end is exclusive");
        assert!(!event["SUMMARY"].is_empty());
    }
    events
}

/// 3.3.11: a backslash escapes itself, semicolon, comma, and stands for a line break before n; none of these stands alone.
fn unescaped(value: &str) -> String {
    let mut out = String::new();
    let mut characters = value.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => match characters.next() {
                Some('n' | 'N') => out.push('\n'),
                Some(c @ ('\\' | ';' | ',')) => out.push(c),
                other => panic!("3.3.11: backslash before {other:?}"),
            },
            ';' | ',' => panic!("3.3.11: bare {c} in {value}"),
            c => out.push(c),
        }
    }
    out
}

#[test]
fn rules_added_to_a_lake_reach_its_deadlines_its_calendar_and_its_cape_windows() {
    let world = World::new();
    let header = "Entry Summary Number,Entry Type Code,Entry Date,Liquidation Date,Liquidation Status,Total Duty Amount";
    let file = world.file("ES-001.csv", format!("{header}\nXZ910000013,01,01/05/2025,11/14/2025,Liquidated,10.00\n"));
    world.ingest(TENANT, &[file]);
    let protest = || {
        let all = world.json(&["deadlines", "--tenant", TENANT, "--today", "2025-12-01", "--all"]);
        let one = all.iter().find(|d| d["kind"] == "protest").unwrap_or_else(|| panic!("{all:?}")).clone();
        (one["raw_date"].as_str().unwrap().to_owned(), one["rolled_date"].as_str().unwrap().to_owned())
    };
    // 180 days after 2025-11-14 is a Wednesday.
    assert_eq!(protest(), ("2026-05-13".to_owned(), "2026-05-13".to_owned()));
    let source = ["--source", "a notice made up"];
    let add = |rule: &[&str]| world.ok(&[&["rules", "add"], rule, &source[..]].concat());
    add(&["closing", "--name", "A day of mourning", "--from", "2026-05-13"]);
    assert_eq!(protest(), ("2026-05-13".to_owned(), "2026-05-14".to_owned()));
    add(&["deadline", "--kind", "protest", "--after", "liquidation_date", "--days", "190", "--from", "2025-01-01"]);
    assert_eq!(protest(), ("2026-05-23".to_owned(), "2026-05-26".to_owned()), "over a weekend and Memorial Day");
    let listed = world.ok(&["rules", "list", "deadline"]);
    assert!(listed.contains("190 days after Liquidation Date") && listed.contains("this lake"), "{listed}");
    let out = world.path("cape").display().to_string();
    let cape = ["cape", "--tenant", TENANT, "--phase", "3", "--today", "2026-08-01", "--out", &out];
    assert!(world.run(&cape).stderr.contains("no known opening date"));
    add(&["cape-window", "--phase", "3", "--from", "2026-07-30"]);
    assert_eq!(world.run(&cape).code, 0);
    // SQL sees them as the other rules.
    let own = "SELECT terms AS said FROM meta.rules_deadlines WHERE source = 'a notice made up'
        UNION ALL SELECT concat(name, ' ', from_date) FROM meta.rules_closings
        UNION ALL SELECT concat(phase, ' ', from_date) FROM meta.rules_cape_windows WHERE phase = '3' ORDER BY 1";
    let own = world.json(&["query", "--tenant", TENANT, own]);
    let said: Vec<&str> = own.iter().map(|rule| rule["said"].as_str().unwrap()).collect();
    assert_eq!(said, ["190 days after Liquidation Date", "3 2026-07-30", "A day of mourning 2026-05-13"]);
    let wrong =
        [&["rules", "add", "deadline", "--kind", "x", "--after", "birthday", "--days", "1", "--from", "2025-01-01"], &source[..]];
    assert!(world.run(&wrong.concat()).stderr.contains("liquidation_date"));
}
