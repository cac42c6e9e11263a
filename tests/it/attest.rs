//! The second opinion: it agrees on files of every style, says what it cannot read, and catches an error of the main path.

use std::sync::atomic::{AtomicBool, Ordering};

use arrow::{
    array::{Array, AsArray, Decimal128Array, RecordBatch},
    datatypes::Decimal128Type,
};
use bonded::{
    attest::{Verdict, attest},
    demo::corpus::{Corpus, DateStyle, ExtraColumn, Layout, MoneyStyle, Plan, Style},
    lakehouse::{Doors, Lakehouse, Tenant},
    settings::Settings,
};
use bonded_connectors::clock::SystemClock;
use bonded_schemas::{Receipt, Report, TenantScope};
use serde_json::Value;

use crate::world::{TENANT, World, csv, random_plan};

fn verdicts(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["verdict"].as_str().expect("a verdict")).collect()
}

fn styled(money: MoneyStyle, date: DateStyle) -> Style {
    Style { money, date, ..Style::default() }
}

#[test]
fn files_of_every_style_are_counted_alike_by_both_engines() {
    let dollars = styled(MoneyStyle::Dollars, DateStyle::MonthDayYear);
    let styles = [
        dollars,
        styled(MoneyStyle::Shortest, DateStyle::Iso),
        styled(MoneyStyle::Raw, DateStyle::Midnight),
        styled(MoneyStyle::Raw, DateStyle::ExcelSerial),
        Style { byte_order_mark: true, carriage_return: true, quote_all: true, ..dollars },
        Style { formula_codes: true, ..dollars },
    ];
    let world = World::new();
    for (at, style) in styles.into_iter().enumerate() {
        let plan = Plan { style, serial_first: at as u32 * 1000, ..random_plan(60).planting(1) };
        world.ingest(TENANT, &world.corpus_files(&format!("in-{at}"), &Corpus::new(plan).expect("fit")));
    }
    let told = world.json(&["attest", "--tenant", TENANT]);
    assert_eq!(verdicts(&told), vec!["agrees"; 18], "{told:?}");
    assert!(told.iter().all(|line| line["rows"].as_u64().expect("counted") >= 59));
}

#[test]
fn semicolons_and_single_quotes_are_counted_alike() {
    let world = World::new();
    let plan = Plan { style: Style { quote_all: true, ..Style::default() }, ..random_plan(40) };
    let text = String::from_utf8(csv(&Corpus::new(plan).expect("fit"), Report::Es001)).expect("text");
    world.ingest(TENANT, &[world.file("in/single.csv", text.replace('"', "'").replace("','", "';'"))]);
    let told = world.json(&["attest", "--tenant", TENANT]);
    assert_eq!(verdicts(&told), ["agrees"], "{told:?}");
    assert_eq!(told[0]["rows"], 40);
}

#[test]
fn drifted_headers_rejects_and_bad_cells_are_accounted_for() {
    let world = World::new();
    let mut plan = random_plan(40);
    plan.layouts.insert(
        Report::Es003,
        Layout {
            preamble: vec!["Entry Summary Line Tariff Details".into(), "Run \"today\"".into()],
            renamed: vec![("Country of Origin Code".into(), "Country of Origin".into())],
            extra: vec![ExtraColumn::last("Special Program Fee", ["1.25", "", "3.50"])],
            ..Layout::default()
        },
    );
    let corpus = Corpus::new(plan).expect("fit");
    let mut text = String::from_utf8(csv(&corpus, Report::Es003)).expect("text");
    let row = text.lines().nth(3).expect("a row").to_owned();
    let cells: Vec<&str> = row.split(',').collect();
    // A short row, a totals row, a note, blank lines, a row whose duty is a word.
    text.push_str(&format!("{}\n\n,,,\nTotal,,,\nEnd of report\n", cells[..5].join(",")));
    let at = 26;
    let mut worded = cells.clone();
    worded[at] = "waived";
    text.push_str(&format!("{}\n", worded.join(",")));
    let receipt = &world.ingest(TENANT, &[world.file("in/drifted.csv", &text)])[0];
    assert_eq!(receipt["rows_rejected"], 3, "{receipt}");
    let told = world.json(&["attest", "--tenant", TENANT]);
    assert_eq!(verdicts(&told), ["agrees"], "{told:?}");
    assert_eq!(told[0]["unread"], 1);
    // What is accepted joins the table, and is counted from then on.
    let drift = world.json(&["drift", "--tenant", TENANT]);
    let fingerprint = drift[0]["fingerprint"].as_str().expect("an alert");
    world.ok(&["drift", "accept", "--tenant", TENANT, fingerprint, "--column", "Special Program Fee=money"]);
    assert_eq!(verdicts(&world.json(&["attest", "--tenant", TENANT])), ["agrees"]);
}

#[test]
fn what_polars_cannot_read_is_told_and_not_passed() {
    let world = World::new();
    let corpus = Corpus::new(random_plan(20)).expect("fit");
    let text = String::from_utf8(csv(&corpus, Report::Es002)).expect("text");
    let mut bytes = text.replacen("Not used", "N\u{1}t used", 1).into_bytes();
    for byte in bytes.iter_mut().filter(|byte| **byte == 1) {
        *byte = 0xf6;
    }
    assert!(bytes.contains(&0xf6));
    world.ingest(TENANT, &[world.file("in/latin.csv", bytes)]);
    let told = world.json(&["attest", "--tenant", TENANT]);
    assert_eq!(verdicts(&told), ["not_attested"]);
    assert!(told[0]["why"].as_str().expect("a reason").contains("UTF-8"), "{told:?}");
    assert!(world.ok(&["attest", "--tenant", TENANT]).contains("not attested: it is not UTF-8"));
}

#[test]
fn a_file_over_the_limit_is_told_with_the_setting() {
    let world = World::new();
    let corpus = Corpus::new(random_plan(20)).expect("fit");
    world.ingest(TENANT, &world.corpus_files("in", &corpus)[..1]);
    let mut command = world.command(&["--json", "attest", "--tenant", TENANT]);
    let output = command.env("BONDED_ATTEST_FILE_BYTES_MAX", "100").output().expect("runs");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("not_attested") && told.contains("attest.file_bytes_max is 100"), "{told}");
}

/// The world's lake, opened as the binary opens it.
async fn opened(world: &World) -> (Lakehouse, Tenant) {
    let settings = Settings { lake: world.lake().display().to_string(), ..Settings::default() };
    let house = Lakehouse::open(settings, Doors::new(std::sync::Arc::new(SystemClock))).await.expect("opens");
    #[expect(clippy::disallowed_methods, reason = "a test establishes its own scopes")]
    let scope = TenantScope::establish(TENANT.parse().expect("a name"), "test");
    let tenant = house.tenant(&scope).await.expect("opens");
    (house, tenant)
}

#[tokio::test]
async fn a_receipt_that_a_faulty_main_path_sealed_is_caught_and_raises_one_alert() {
    let world = World::new();
    let corpus = Corpus::new(random_plan(30)).expect("fit");
    world.ingest(TENANT, &world.corpus_files("in", &corpus)[2..]);
    let (house, tenant) = opened(&world).await;
    let row = tenant.ledger.deliveries().await.expect("listed").remove(0);
    let honest: Receipt =
        tenant.unseal("receipt", &row.keyed_digest, row.sealed_receipt.as_ref().expect("sealed")).expect("opens");
    let mut faulty = honest.clone();
    faulty.control_totals[0].sum = "0.01".into();
    let sealed = tenant.seal("receipt", &row.keyed_digest, &faulty).expect("sealed");
    tenant.ledger.record_receipt(&row.keyed_digest, &sealed).await.expect("kept");
    for _ in 0..2 {
        let done = attest(&house, &tenant).await.expect("runs");
        let Verdict::Differs { differences } = &done[0].verdict else { panic!("{done:?}") };
        assert_eq!((differences.len(), differences[0].against.as_str()), (1, "receipt"));
        assert_eq!((&differences[0].there, &differences[0].raw_zone), (&"0.01".to_owned(), &honest.control_totals[0].sum));
    }
    assert_eq!(tenant.ledger.alerts("attest").await.expect("listed").len(), 1);
    let run = world.run(&["attest", "--tenant", TENANT]);
    assert_eq!(run.code, 6, "{}", run.stderr);
    assert!(String::from_utf8_lossy(&run.stdout).contains("DIFFERS"), "{}", run.stderr);
}

/// Flips one bit of the first amount of a column; `done` says that it was.
fn with_one_byte_altered(batch: &RecordBatch, column: &str, done: &AtomicBool) -> Option<RecordBatch> {
    let at = batch.schema().index_of(column).expect("the column");
    let amounts = batch.column(at).as_primitive::<Decimal128Type>();
    if amounts.is_empty() || done.swap(true, Ordering::SeqCst) {
        return None;
    }
    let altered: Decimal128Array = amounts
        .iter()
        .enumerate()
        .map(|(row, cents)| {
            cents.map(|cents| {
                let mut bytes = cents.to_le_bytes();
                bytes[1] ^= u8::from(row == 0);
                i128::from_le_bytes(bytes)
            })
        })
        .collect();
    let mut columns = batch.columns().to_vec();
    columns[at] = std::sync::Arc::new(altered.with_data_type(amounts.data_type().clone()));
    Some(RecordBatch::try_new(batch.schema(), columns).expect("the same shape"))
}

#[tokio::test]
async fn one_byte_of_one_cell_altered_in_a_real_lake_is_caught() {
    let world = World::new();
    let corpus = Corpus::new(random_plan(30)).expect("fit");
    world.ingest(TENANT, &world.corpus_files("in", &corpus));
    let (house, tenant) = opened(&world).await;
    // Bytes altered in a file are refused by its encryption, so the double is a writer that holds the key and writes one
    // byte of one cell otherwise than it was received: what an error of the main path would leave behind.
    let done = AtomicBool::new(false);
    let change = |batch: &RecordBatch| Ok(with_one_byte_altered(batch, "line_tariff_duty_amount", &done));
    tenant.tables.rewrite(Report::Es003.table(), &change).await.expect("rewritten").expect("a file was changed");
    let told = attest(&house, &tenant).await.expect("runs");
    for attested in &told {
        match (&attested.verdict, attested.report) {
            (Verdict::Differs { differences }, Some(Report::Es003)) => {
                assert_eq!(differences.len(), 2, "{differences:?}");
                assert_eq!(differences[0].what, "sum of line_tariff_duty_amount");
                assert!(differences[1].what.starts_with("sum of line_tariff_duty_amount in "), "{differences:?}");
            }
            (Verdict::Agrees { .. }, Some(Report::Es001 | Report::Es002)) => {}
            _ => panic!("{attested:?}"),
        }
    }
    assert_eq!(world.run(&["attest", "--tenant", TENANT]).code, 6);
    // No amount of the difference lies in the clear.
    let alerts = tenant.ledger.alerts("attest").await.expect("listed");
    assert_eq!((alerts.len(), alerts[0].severity.as_str()), (1, "error"));
}
