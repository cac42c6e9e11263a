//! Damage: what a spreadsheet did to a file is mended and told, or kept and told, from the receipt down to each row.

use bonded::demo::corpus::Corpus;
use bonded_schemas::Report;
use serde_json::json;

use crate::world::{OTHER, TENANT, World, csv, random_plan};

const HEADER: &str = "Entry Summary Number,Entry Summary Line Number,Tariff Ordinal Number,Entry Type Code,Entry Date,HTS Number - Full,\
                      Line Tariff Goods Value Amount,Line Tariff Duty Amount";

#[test]
fn a_file_that_went_through_a_spreadsheet_is_mended_and_its_receipt_says_what_is_left() {
    let world = World::new();
    let rows = "ABC12345676,1,1,1,04/25/2025,406103400,100.00,2.50\n\
                ABC\u{2013}1234567\u{2013}7,1,1,99,04/02/2025,3.92E+09,100.00,-2.50\n\
                3.1E+16,1,1,01,04/02/2025,99030128,0,1.00\n";
    let receipt = world.ingest(TENANT, &[world.file("damaged.csv", format!("{HEADER}\n{rows}"))]).remove(0);
    assert_eq!(
        (&receipt["rows_committed"], &receipt["rows_rejected"], &receipt["cells_rescued"]),
        (&json!(2), &json!(1), &json!(1))
    );
    let warnings = receipt["warnings"].as_array().unwrap();
    let told: Vec<_> = warnings.iter().map(|w| json!([w["rule"], w["count"], w["examples"][0]["line"]])).collect();
    let expected = ["entry_number_check_digit", "entry_type_unknown", "money_negative"];
    assert_eq!(told, expected.map(|rule| json!([rule, 1, 3])));
    let told = world.ask(TENANT, "SELECT count(*) AS n, min(first_line) AS line FROM meta.warnings WHERE length(message) > 5");
    assert_eq!(told, json!({ "n": 3, "line": 3 }));
    let first =
        "SELECT entry_type_code AS t, hts_number_full AS h, array_to_string(_repairs, ', ') AS r FROM es_003 WHERE _line = 2";
    let repairs = "leading zeros restored: Entry Type Code, leading zeros restored: HTS Number - Full";
    assert_eq!(world.ask(TENANT, first), json!({ "t": "01", "h": "0406103400", "r": repairs }));
    let shown = world.ok(&["receipt", "--tenant", TENANT, receipt["delivery"]["id"].as_str().unwrap()]);
    assert!(shown.contains("no entry type that we know"), "{shown}");
}

#[test]
fn cells_that_are_mended_when_a_rename_is_accepted_are_told_too() {
    let world = World::new();
    let header = HEADER.replace("HTS Number - Full", "Schedule Line Of Goods");
    let rows = "ABC12345676,1,1,01,04/25/2025,406103400,100.00,2.50\nABC12345676,2,1,01,04/25/2025,99030128,100.00,2.50\n";
    world.ingest(TENANT, &[world.file("renamed.csv", format!("{header}\n{rows}"))]);
    let alerts = world.json(&["drift", "--tenant", TENANT]);
    let fingerprint = alerts[0]["fingerprint"].as_str().unwrap();
    world.ok(&["drift", "accept", "--tenant", TENANT, fingerprint, "--rename", "Schedule Line Of Goods=HTS Number - Full"]);
    let row = |line: u8| {
        let sql = format!("SELECT hts_number_full AS h, array_to_string(_repairs, ', ') AS r FROM es_003 WHERE _line = {line}");
        world.ask(TENANT, &sql)
    };
    assert_eq!(row(2), json!({ "h": "0406103400", "r": "leading zeros restored: Schedule Line Of Goods" }));
    assert_eq!(row(3), json!({ "h": "99030128", "r": null }));
}

/// Every date of the default dress (`MM/DD/YYYY`) with day and month exchanged.
fn day_first(text: &str) -> String {
    let is_date = |cell: &str| cell.len() == 10 && cell.as_bytes()[2] == b'/' && cell.as_bytes()[5] == b'/';
    let swap =
        |cell: &str| if is_date(cell) { format!("{}/{}/{}", &cell[3..5], &cell[..2], &cell[6..]) } else { cell.to_owned() };
    text.lines().map(|line| line.split(',').map(swap).collect::<Vec<_>>().join(",") + "\n").collect()
}

#[test]
fn a_file_with_the_day_first_is_read_so_and_says_so() {
    let world = World::new();
    let corpus = Corpus::new(random_plan(60)).expect("fit");
    let plain = String::from_utf8(csv(&corpus, Report::Es003)).unwrap();
    world.ingest(TENANT, &[world.file("month-first.csv", &plain)]);
    let sql = "SELECT count(entry_date) AS n, CAST(min(entry_date) AS VARCHAR) AS lo, CAST(max(entry_date) AS VARCHAR) AS hi FROM es_003";
    let expected = world.ask(TENANT, sql);
    let receipt = world.ingest(OTHER, &[world.file("day-first.csv", day_first(&plain))]).remove(0);
    assert_eq!(world.ask(OTHER, sql), expected);
    assert!(receipt["dialect"]["date_order"].as_str().unwrap().contains("day"), "{}", receipt["dialect"]);
}

/// The proof comes behind the sample: the file is read once more, and no half of it in the other order is kept.
#[test]
fn a_day_first_file_that_proves_itself_late_is_read_once_more() {
    let world = World::new();
    let corpus = Corpus::new(random_plan(400)).expect("fit");
    let plain = String::from_utf8(csv(&corpus, Report::Es003)).unwrap();
    let mut lines: Vec<Vec<String>> = plain.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect();
    let at = lines[0].iter().position(|name| name == "Entry Date").expect("a column");
    let last = lines.len() - 1;
    for (number, line) in lines.iter_mut().enumerate().skip(1) {
        for cell in line.iter_mut().filter(|cell| cell.len() == 10 && cell.as_bytes()[2] == b'/') {
            *cell = "05/06/2025".into();
        }
        if number == last {
            line[at] = "25/06/2025".into();
        }
    }
    let text: String = lines.iter().map(|line| line.join(",") + "\n").collect();
    assert!(text.len() > 400_000, "{} bytes are not behind the sample", text.len());
    let receipt = world.ingest(TENANT, &[world.file("late.csv", text)]).remove(0);
    let months =
        world.json(&["query", "--tenant", TENANT, "SELECT DISTINCT CAST(entry_date AS VARCHAR) AS d FROM es_003 ORDER BY 1"]);
    let months: Vec<&str> = months.iter().map(|row| row["d"].as_str().unwrap()).collect();
    assert_eq!(months, ["2025-06-05", "2025-06-25"], "{}", receipt["dialect"]);
    assert_eq!(world.ask(TENANT, "SELECT count(*) AS n FROM es_003")["n"], receipt["rows_committed"]);
}
