use std::collections::{BTreeMap, BTreeSet};

use bonded_schemas::Report;
use chrono::{Datelike, NaiveDate};

use super::*;

/// A seed nobody chose, printed so that a failure can be repeated.
fn random_seed() -> u64 {
    let seed = rand::random();
    println!("seed {seed}");
    seed
}

fn text(corpus: &Corpus, report: Report) -> String {
    let mut bytes = Vec::new();
    let written = corpus.write(report, &mut bytes).unwrap();
    assert_eq!(written.size_bytes, bytes.len() as u64);
    String::from_utf8(bytes).unwrap()
}

/// A reader that shares nothing with the writer: records of cells, quotes undone.
fn records(text: &str) -> Vec<Vec<String>> {
    let (mut records, mut record, mut cell, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut characters = text.trim_start_matches('\u{feff}').chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => cell.extend(characters.next()),
            '"' if quoted => quoted = false,
            '"' if cell.is_empty() => quoted = true,
            ',' if !quoted => record.push(std::mem::take(&mut cell)),
            '\r' if !quoted => {}
            '\n' if !quoted => {
                record.push(std::mem::take(&mut cell));
                records.push(std::mem::take(&mut record));
            }
            other => cell.push(other),
        }
    }
    records
}

/// Rows by column name.
fn rows(text: &str) -> Vec<BTreeMap<String, String>> {
    let mut records = records(text).into_iter();
    let header = records.next().unwrap();
    records
        .map(|record| {
            assert_eq!(record.len(), header.len(), "{record:?}");
            header.iter().cloned().zip(record).collect()
        })
        .collect()
}

fn cents(text: &str) -> i64 {
    let plain: String = text.chars().filter(|character| !"$,".contains(*character)).collect();
    let (whole, part) = plain.split_once('.').unwrap_or((&plain, ""));
    whole.parse::<i64>().unwrap() * 100 + format!("{part:0<2}").parse::<i64>().unwrap()
}

fn decimal(cents: i64) -> Option<String> {
    Some(format!("{}.{:02}", cents / 100, cents % 100))
}

fn code(cell: &str) -> &str {
    cell.strip_prefix("=\"").and_then(|rest| rest.strip_suffix('"')).unwrap_or(cell)
}

/// Days in the common era, whatever the date's dress.
fn date(cell: &str) -> NaiveDate {
    let day = cell.split(' ').next().unwrap();
    NaiveDate::parse_from_str(day, "%m/%d/%Y")
        .or_else(|_| NaiveDate::parse_from_str(day, "%Y-%m-%d"))
        .unwrap_or_else(|_| NaiveDate::from_ymd_opt(1899, 12, 30).unwrap() + chrono::Duration::days(day.parse().unwrap()))
}

type Sums = (i64, i64, i64);

/// The checks by brute force over the written text, in whole cents.
fn tie_out(es_001: &str, es_002: &str, es_003: &str) -> Vec<Expected> {
    let (headers, lines, tariffs) = (rows(es_001), rows(es_002), rows(es_003));
    let key = |row: &BTreeMap<String, String>| code(&row["Entry Summary Number"]).to_owned();
    let line_key = |row: &BTreeMap<String, String>| (key(row), row["Entry Summary Line Number"].parse::<i32>().unwrap());

    let mut entry_sums: BTreeMap<String, Sums> = BTreeMap::new();
    let mut line_sums: BTreeMap<(String, i32), (i64, i64)> = BTreeMap::new();
    for row in &tariffs {
        let sums = line_sums.entry(line_key(row)).or_default();
        sums.0 += cents(&row["Line Tariff Goods Value Amount"]);
        sums.1 += cents(&row["Line Tariff Duty Amount"]);
    }
    for row in &lines {
        let sums = entry_sums.entry(key(row)).or_default();
        sums.0 += cents(&row["Line Goods Value Amount"]);
        sums.1 += cents(&row["Line Duty Amount"]);
        sums.2 += cents(&row["Line MPF Amount"]);
    }
    let in_es_001: BTreeSet<String> = headers.iter().map(key).collect();
    let in_es_002: BTreeSet<String> = lines.iter().map(key).collect();
    let in_es_003: BTreeSet<String> = tariffs.iter().map(key).collect();

    let mut found = Vec::new();
    let mut report = |check: &str, entry: &str, line: Option<i32>, expected: i64, actual: Option<i64>| {
        if actual != Some(expected) {
            found.push(Expected {
                check: check.to_owned(),
                entry_summary_number: entry.to_owned(),
                entry_summary_line_number: line,
                expected: decimal(expected),
                actual: actual.and_then(decimal),
            });
        }
    };
    for entry in in_es_001.iter().chain(&in_es_002).chain(&in_es_003).collect::<BTreeSet<_>>() {
        for (check, holders) in
            [("missing_in_es_001", &in_es_001), ("missing_in_es_002", &in_es_002), ("missing_in_es_003", &in_es_003)]
        {
            if !holders.contains(entry) {
                let by_tariffs = || line_sums.iter().filter(|((of, _), _)| of == entry).map(|(_, sums)| sums.0).sum();
                let stated = entry_sums.get(entry).map_or_else(by_tariffs, |sums| sums.0);
                report(check, entry, None, stated, None);
            }
        }
    }
    for row in &lines {
        let (entry, line) = line_key(row);
        match line_sums.get(&(entry.clone(), line)) {
            Some((value, duty)) => {
                report("line_value", &entry, Some(line), *value, Some(cents(&row["Line Goods Value Amount"])));
                report("line_duty", &entry, Some(line), *duty, Some(cents(&row["Line Duty Amount"])));
            }
            None if in_es_003.contains(&entry) => {
                report("missing_in_es_003", &entry, Some(line), cents(&row["Line Goods Value Amount"]), None);
            }
            None => {}
        }
    }
    for row in &headers {
        let entry = key(row);
        let Some((value, duty, mpf)) = entry_sums.get(&entry) else { continue };
        report("entry_value", &entry, None, *value, Some(cents(&row["Total Goods Value Amount"])));
        report("entry_duty", &entry, None, *duty, Some(cents(&row["Total Duty Amount"])));
        let bounds = bounds(date(&row["Entry Date"]));
        if let Some((minimum, maximum)) = bounds.filter(|_| ["01", "02", "03", "07"].contains(&code(&row["Entry Type Code"]))) {
            let rule = if *mpf == 0 { 0 } else { (*mpf).clamp(minimum, maximum) };
            report("entry_mpf_clamp", &entry, None, rule, Some(cents(&row["Total Paid MPF Amount"])));
        }
    }
    found.sort();
    found
}

/// Written out again, so that a slip in the table of the writer shows.
fn bounds(on: NaiveDate) -> Option<(i64, i64)> {
    match (on.year() - 2000) * 100 + on.month() as i32 {
        2410..=2509 => Some((3271, 63462)),
        2510..=2609 => Some((3358, 65150)),
        _ => None,
    }
}

fn check(plan: Plan) {
    let corpus = Corpus::new(plan).unwrap();
    let found = tie_out(&text(&corpus, Report::Es001), &text(&corpus, Report::Es002), &text(&corpus, Report::Es003));
    assert_eq!(found, corpus.expected_findings());
}

#[test]
fn brute_force_finds_exactly_what_was_planted() {
    let corpus = Corpus::new(Plan::new(random_seed(), 3000).planting(3)).unwrap();
    let found = tie_out(&text(&corpus, Report::Es001), &text(&corpus, Report::Es002), &text(&corpus, Report::Es003));
    assert_eq!(found, corpus.expected_findings());
    assert_eq!(found.len(), 27);
    let entries: BTreeSet<_> = found.iter().map(|finding| &finding.entry_summary_number).collect();
    assert_eq!(entries.len(), 27, "one discrepancy an entry");
}

#[test]
fn a_corpus_without_discrepancies_ties_out() {
    let corpus = Corpus::new(Plan::new(random_seed(), 800)).unwrap();
    assert_eq!(corpus.expected_findings(), []);
    check(corpus.plan.clone());
}

#[test]
fn every_dress_says_the_same() {
    let seed = random_seed();
    for (money, date) in [
        (MoneyStyle::Dollars, DateStyle::Iso),
        (MoneyStyle::Shortest, DateStyle::Midnight),
        (MoneyStyle::Dollars, DateStyle::ExcelSerial),
        (MoneyStyle::Raw, DateStyle::MonthDayYear),
    ] {
        for dressed in [false, true] {
            let style = Style {
                money,
                date,
                byte_order_mark: dressed,
                carriage_return: dressed,
                quote_all: dressed,
                formula_codes: !dressed,
            };
            check(Plan { style, ..Plan::new(seed, 150).planting(1) });
        }
    }
}

#[test]
fn dates_beyond_the_published_bounds_carry_no_planted_mpf() {
    let first_entry_date = NaiveDate::from_ymd_opt(2026, 9, 1).unwrap();
    let plan = Plan { first_entry_date, days: 90, ..Plan::new(random_seed(), 400).planting(2) };
    check(plan.clone());
    let unknown = Plan { first_entry_date: NaiveDate::from_ymd_opt(2026, 10, 1).unwrap(), ..plan };
    assert!(Corpus::new(unknown).unwrap_err().message.contains("EntryMpfClamp"));
}

#[test]
fn one_plan_gives_the_same_bytes_for_ever() {
    // A change of this number breaks every seed that anybody wrote down.
    let corpus = Corpus::new(Plan::new(7, 200).planting(1)).unwrap();
    let mut digest = 0xcbf2_9ce4_8422_2325_u64;
    for report in Report::ENTRY_SUMMARIES {
        for byte in text(&corpus, report).bytes() {
            digest = (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    assert_eq!(format!("{digest:016x}"), "6cbf7b696038ea85");
}

#[test]
fn another_seed_gives_other_bytes() {
    let of = |seed| text(&Corpus::new(Plan::new(seed, 20)).unwrap(), Report::Es003);
    assert_ne!(of(1), of(2));
}

#[test]
fn parts_join_to_the_whole() {
    let corpus = Corpus::new(Plan::new(random_seed(), 100).planting(1)).unwrap();
    for report in Report::ENTRY_SUMMARIES {
        let mut joined = Vec::new();
        for entries in [0..37, 37..38, 38..100] {
            let mut bytes = Vec::new();
            corpus.write_entries(report, entries, &mut bytes).unwrap();
            joined.extend(records(&String::from_utf8(bytes).unwrap()).split_off(1));
        }
        assert_eq!(joined, records(&text(&corpus, report)).split_off(1));
    }
}

#[test]
fn the_shape_is_that_of_real_exports() {
    let corpus = Corpus::new(Plan::new(random_seed(), 2000)).unwrap();
    let (es_002, es_003) = (text(&corpus, Report::Es002), text(&corpus, Report::Es003));
    assert_eq!(es_002.lines().next().unwrap(), default_columns(Report::Es002).join(","));
    assert_eq!(es_003.lines().next().unwrap(), default_columns(Report::Es003).join(","));
    let (lines, tariffs) = (rows(&es_002), rows(&es_003));

    let mut numbers: Vec<&str> = lines.iter().map(|row| row["Entry Summary Number"].as_str()).collect();
    assert!(numbers.is_sorted(), "sorted by entry number");
    numbers.dedup();
    assert_eq!(numbers.len(), 2000);
    for number in numbers {
        assert_eq!(number.len(), 11);
        assert_eq!(check_digit(&number[..10]).map(|digit| digit.to_string()).as_deref(), number.get(10..));
    }
    let mut previous = ("", 0);
    for row in &lines {
        let (number, line) = (row["Entry Summary Number"].as_str(), row["Entry Summary Line Number"].parse::<i32>().unwrap());
        assert_eq!(line, if previous.0 == number { previous.1 + 1 } else { 1 }, "lines run from 1 without a gap");
        previous = (number, line);
        assert!(row["Line Goods Value Amount"].ends_with(".00"), "whole dollars");
        let value = cents(&row["Line Goods Value Amount"]) / 100;
        let mpf = cents(&row["Line MPF Amount"]);
        assert!(mpf == 0 || (mpf * 10_000 - value * 3464).abs() <= 5000 && mpf * 10_000 - value * 3464 != -5000, "half up");
        assert!(row["Line SPI Code"].is_empty() || mpf == 0, "a special program waives MPF");
    }
    let has = |rows: &[BTreeMap<String, String>], test: &dyn Fn(&BTreeMap<String, String>) -> bool| rows.iter().any(test);
    assert!(has(&lines, &|row| row["Country of Origin Code"] == "NA"), "Namibia");
    assert!(has(&lines, &|row| row["Manufacturer Name"].contains(',')), "names with commas");
    assert!(has(&lines, &|row| row["Foreign Exporter ID"].is_empty()), "some lines without exporter");
    assert!(has(&lines, &|row| row["Line SPI Code"] == "S"), "some lines with a program");
    assert!(has(&tariffs, &|row| row["HTS Number - Full"].starts_with('0')), "leading zeros");
    for row in &tariffs {
        let additional = row["HTS Number - Full"].starts_with("99");
        assert_eq!(row["HTS Number - Full"].len(), if additional { 8 } else { 10 });
        assert_eq!(additional, row["Line Tariff Goods Value Amount"] == "0.00", "value stands on the commodity row");
        assert_eq!(additional, row["Line Tariff Quantity (1)"].is_empty());
        assert!(row["Manufacturer ID"].len() <= 15);
    }
    for next in tariffs.windows(2).filter(|rows| rows[1]["Tariff Ordinal Number"] != "1") {
        let ordinal = |row: &BTreeMap<String, String>| row["Tariff Ordinal Number"].parse::<i32>().unwrap();
        assert_eq!(ordinal(&next[0]) + 1, ordinal(&next[1]));
        let order = |row: &BTreeMap<String, String>| !row["HTS Number - Full"].starts_with("99");
        assert!(order(&next[0]) <= order(&next[1]), "chapter 99 first");
    }
    for entry_type in ["01", "03", "06", "11"] {
        assert!(has(&lines, &|row| row["Entry Type Code"] == entry_type), "{entry_type}");
    }
}

#[test]
fn check_digits_are_those_of_the_published_examples() {
    assert_eq!(check_digit("ABC1234567"), Some(6));
    assert_eq!(check_digit("9999999999"), Some(0));
    assert_eq!(check_digit("ab-1234567"), None);
    assert_eq!(entry_summary_number("ABC", 1_234_567).as_deref(), Some("ABC12345676"));
}

#[test]
fn a_layout_drops_renames_swaps_and_adds() {
    let layout = Layout {
        preamble: vec!["Entry Summary Line Details".to_owned()],
        dropped: vec!["Line SPI".to_owned()],
        swapped: vec![("Line MPF Amount".to_owned(), "Line HMF Amount".to_owned())],
        renamed: vec![("Line Duty Amount".to_owned(), "Duty, Line".to_owned())],
        optional: vec![],
        extra: vec![
            ExtraColumn::last("Broker Note", ["seen", "said \"yes\""]),
            ExtraColumn { name: "First".to_owned(), values: vec![], position: 0 },
        ],
    };
    let plan = Plan { layouts: BTreeMap::from([(Report::Es002, layout)]), ..Plan::new(random_seed(), 5) };
    let written = records(&text(&Corpus::new(plan).unwrap(), Report::Es002));
    assert_eq!(written[0], ["Entry Summary Line Details"]);
    let header = &written[1];
    assert_eq!((header.len(), header[0].as_str(), header[19 - 1].as_str()), (19, "First", "Broker Note"));
    assert_eq!(header[15..18], ["Duty, Line", "Line HMF Amount", "Line MPF Amount"]);
    assert_eq!((written[2][18].as_str(), written[3][18].as_str()), ("seen", "said \"yes\""));
    assert!(written[2..].iter().all(|record| record.len() == 19 && record[0].is_empty()));
}

#[test]
fn optional_columns_hold_what_the_entry_says() {
    let all = |report| Layout {
        optional: optional_columns(report).iter().rev().map(|name| name.to_string()).collect(),
        ..Layout::default()
    };
    let layouts = Report::ENTRY_SUMMARIES.into_iter().map(|report| (report, all(report))).collect();
    let plan = Plan { importer: "Fictional, Inc.".to_owned(), layouts, ..Plan::new(random_seed(), 30).planting(1) };
    let corpus = Corpus::new(plan.clone()).unwrap();
    let [es_001, es_002, es_003] = Report::ENTRY_SUMMARIES.map(|report| rows(&text(&corpus, report)));
    assert_eq!((es_001[0].len(), es_002[0].len(), es_003[0].len()), (15, 23, 30));
    let headers: BTreeMap<_, _> = es_001.iter().map(|row| (&row["Entry Summary Number"], row)).collect();
    for row in es_002.iter().chain(&es_003) {
        assert_eq!(row["Importer Name"], "Fictional, Inc.");
        let Some(header) = headers.get(&row["Entry Summary Number"]) else { continue };
        for (name, value) in row.iter().filter(|(name, _)| header.contains_key(*name)) {
            assert_eq!(value, &header[name], "{name}");
        }
    }
    check(plan);
}

#[test]
fn totals_are_those_of_the_written_rows() {
    let corpus = Corpus::new(Plan::new(random_seed(), 300).planting(2)).unwrap();
    let rows = rows(&text(&corpus, Report::Es003));
    let sum = |name: &str| rows.iter().map(|row| cents(&row[name])).sum::<i64>();
    let written = (sum("Line Tariff Goods Value Amount"), sum("Line Tariff Duty Amount"));
    assert_eq!(corpus.es_003_totals_cents(), written);
}

#[test]
fn an_unfit_plan_says_what_to_change() {
    let plan = Plan::new(1, 10);
    let message = |plan| Corpus::new(plan).unwrap_err().message;
    assert!(message(Plan { entries: 0, ..plan.clone() }).contains("at least one entry"));
    assert!(message(Plan { filer_code: "x".to_owned(), ..plan.clone() }).contains("filer_code"));
    assert!(message(Plan { serial_first: 9_999_995, ..plan.clone() }).contains("10,000,000"));
    assert!(message(Plan { lines_per_entry_max: 1, ..plan.clone().planting(1) }).contains("LineMissingInEs003"));
    let layout = Layout { dropped: vec!["Line Dutty".to_owned()], ..Layout::default() };
    assert!(message(Plan { layouts: BTreeMap::from([(Report::Es003, layout)]), ..plan }).contains("`Line Dutty`"));
}

#[test]
fn a_size_is_met_within_a_few_percent() {
    let size_bytes = 3_000_000;
    let corpus = Corpus::new(Plan::for_size_bytes(random_seed(), size_bytes).unwrap()).unwrap();
    let written = corpus.write_es_003(&mut io::sink()).unwrap();
    let ratio = written.size_bytes as f64 / size_bytes as f64;
    assert!((0.93..1.07).contains(&ratio), "{ratio}");
    assert!(Plan::for_size_bytes(1, u64::MAX).is_err());
}
