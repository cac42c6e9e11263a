use super::*;
use crate::{
    ErrorKind,
    testing::{Reports, session},
};

/// Two clean entries: one of two lines (the first with a chapter 99 row), one of one line without fee.
const CLEAN_001: [&str; 2] = [
    "('A0000000001', '01', '2026-01-05', '20000.00', '700.00', '69.28', 'd1', '2026-02-01T00:00:00Z', 2)",
    "('B0000000001', '03', '2026-01-06', '100.00', '0.00', '0.00', 'd1', '2026-02-01T00:00:00Z', 3)",
];
const CLEAN_002: [&str; 3] = [
    "('A0000000001', 1, '15000.00', '600.00', '51.96', 'e1', '2026-02-01T00:00:00Z', 2)",
    "('A0000000001', 2, '5000.00', '100.00', '17.32', 'e1', '2026-02-01T00:00:00Z', 3)",
    "('B0000000001', 1, '100.00', '0.00', '0.00', 'e1', '2026-02-01T00:00:00Z', 4)",
];
const CLEAN_003: [&str; 4] = [
    "('A0000000001', '2026-01-05', 1, 1, '0.00', '450.00', 'f1', '2026-02-01T00:00:00Z', 2)",
    "('A0000000001', '2026-01-05', 1, 2, '15000.00', '150.00', 'f1', '2026-02-01T00:00:00Z', 3)",
    "('A0000000001', '2026-01-05', 2, 1, '5000.00', '100.00', 'f1', '2026-02-01T00:00:00Z', 4)",
    "('B0000000001', '2026-01-06', 1, 1, '100.00', '0.00', 'f1', '2026-02-01T00:00:00Z', 5)",
];

async fn results(es_001: &[&str], es_002: &[&str], es_003: &[&str]) -> Vec<CheckResult> {
    let (es_001, es_002, es_003) = (es_001.join(", "), es_002.join(", "), es_003.join(", "));
    session(Reports { es_001: &es_001, es_002: &es_002, es_003: &es_003 }).await.reconcile(Some(&tie_out())).await.unwrap()
}

/// The checks that compare the reports; the others have their golden files.
fn tie_out() -> [String; 8] {
    [
        "line_value",
        "line_duty",
        "entry_value",
        "entry_duty",
        "entry_mpf_clamp",
        "missing_in_es_001",
        "missing_in_es_002",
        "missing_in_es_003",
    ]
    .map(str::to_owned)
}

/// `check entry line expected actual delivery:line ...`, one per finding.
fn told(results: &[CheckResult]) -> Vec<String> {
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
    results
        .iter()
        .flat_map(CheckResult::findings)
        .map(|finding| {
            let line = finding.entry_summary_line_number.map_or("-".to_owned(), |line| line.to_string());
            let rows: Vec<String> =
                finding.delivery_ids.iter().zip(&finding.lines).map(|(id, line)| format!("{id}:{line}")).collect();
            assert_eq!(finding.delivery_ids.len(), finding.lines.len());
            format!(
                "{} {} {line} {} {} {}",
                finding.check,
                finding.entry_summary_number,
                or_dash(&finding.expected),
                or_dash(&finding.actual),
                rows.join(" ")
            )
        })
        .collect()
}

#[tokio::test]
async fn clean_reports_have_no_findings() {
    let results = results(&CLEAN_001, &CLEAN_002, &CLEAN_003).await;
    assert_eq!(told(&results), [""; 0]);
    assert!(results.iter().all(|result| matches!(&result.outcome, Outcome::Judged(_)) && result.notes.is_empty()), "{results:?}");
}

#[tokio::test]
async fn a_cent_on_a_line_is_found_with_its_rows() {
    let es_002 = [CLEAN_002[0].replace("600.00", "600.01"), CLEAN_002[1].replace("5000.00", "4999.99")];
    let results = results(&CLEAN_001, &[&es_002[0], &es_002[1], CLEAN_002[2]], &CLEAN_003).await;
    assert_eq!(
        told(&results),
        [
            "line_value A0000000001 2 5000.00 4999.99 e1:3 f1:4",
            "line_duty A0000000001 1 600.00 600.01 e1:2 f1:2 f1:3",
            "entry_value A0000000001 - 19999.99 20000.00 d1:2 e1:2 e1:3",
            "entry_duty A0000000001 - 700.01 700.00 d1:2 e1:2 e1:3",
        ]
    );
}

#[tokio::test]
async fn the_fee_is_clamped_by_its_date() {
    let header = |entry: &str, kind: &str, day: &str, fee: &str| {
        format!("('{entry}', '{kind}', '{day}', '1.00', '0.00', '{fee}', 'd1', '2026-02-01T00:00:00Z', 2)")
    };
    let line = |entry: &str, fee: &str| format!("('{entry}', 1, '1.00', '0.00', '{fee}', 'e1', '2026-02-01T00:00:00Z', 2)");
    let cases = [
        ("L0000000001", "01", "2026-01-05", "0.35", "33.58"), // at the minimum of 2026
        ("L0000000002", "01", "2025-09-30", "0.35", "33.58"), // the minimum of 2026 a day too early
        ("H0000000001", "01", "2026-01-05", "900.00", "651.50"), // at the maximum
        ("H0000000002", "01", "2026-01-05", "900.00", "900.00"), // not clamped
        ("M0000000001", "02", "2026-01-05", "100.00", "100.00"), // between
        ("Z0000000001", "03", "2026-01-05", "0.00", "0.00"),  // exempt: the minimum does not apply
        ("I0000000001", "11", "2026-01-05", "0.35", "2.69"),  // informal
        ("W0000000001", "06", "2026-01-05", "0.00", "33.58"), // weekly zone
        ("F0000000001", "01", "2026-11-05", "0.35", "34.00"), // no rule yet
    ];
    let es_001: Vec<String> = cases.iter().map(|(entry, kind, day, _, paid)| header(entry, kind, day, paid)).collect();
    let es_002: Vec<String> = cases.iter().map(|(entry, _, _, fee, _)| line(entry, fee)).collect();
    let session = session(Reports { es_001: &es_001.join(", "), es_002: &es_002.join(", "), es_003: "" }).await;
    let results = session.reconcile(Some(&["entry_mpf_clamp".to_owned()])).await.unwrap();
    assert_eq!(
        told(&results),
        ["entry_mpf_clamp H0000000002 - 651.50 900.00 d1:2 e1:2", "entry_mpf_clamp L0000000002 - 32.71 33.58 d1:2 e1:2"]
    );
    assert_eq!(
        results[0].notes,
        ["2 entries not judged: entry type is not 01, 02, 03 or 07", "1 entry not judged: no rule for this date"]
    );
}

#[tokio::test]
async fn a_check_of_which_no_entry_could_be_judged_is_not_judged() {
    let es_001 = CLEAN_001.map(|row| row.replace("2026-01-0", "2026-11-0"));
    let results = results(&[&es_001[0], &es_001[1]], &CLEAN_002, &CLEAN_003).await;
    let clamp = results.iter().find(|result| result.check == "entry_mpf_clamp").unwrap();
    assert_eq!(clamp.outcome, Outcome::NotJudged("2 entries not judged: no rule for this date".into()));
}

#[tokio::test]
async fn what_is_missing_in_one_report_is_found_once() {
    // B has no header; A's second line has no tariff row; C is in ES-003 only.
    let extra = "('C0000000001', '2026-01-07', 1, 1, '7.00', '0.00', 'f1', '2026-02-01T00:00:00Z', 6)";
    let results = results(&CLEAN_001[..1], &CLEAN_002, &[CLEAN_003[0], CLEAN_003[1], CLEAN_003[3], extra]).await;
    assert_eq!(
        told(&results),
        [
            "missing_in_es_001 B0000000001 - 100.00 - e1:4 f1:5",
            "missing_in_es_001 C0000000001 - 7.00 - f1:6",
            "missing_in_es_002 C0000000001 - 7.00 - f1:6",
            "missing_in_es_003 A0000000001 2 5000.00 - e1:3",
        ]
    );
}

#[tokio::test]
async fn a_line_of_es_003_that_es_002_lacks_is_found() {
    let results = results(&CLEAN_001, &[CLEAN_002[0], CLEAN_002[2]], &CLEAN_003).await;
    let told = told(&results);
    assert!(told.contains(&"missing_in_es_002 A0000000001 2 5000.00 - f1:4".to_owned()), "{told:?}");
}

#[tokio::test]
async fn a_report_never_delivered_leaves_its_checks_unjudged() {
    let results = results(&[], &CLEAN_002, &CLEAN_003).await;
    assert_eq!(told(&results), [""; 0]);
    let unjudged: Vec<&str> = results
        .iter()
        .filter(|result| result.outcome == Outcome::NotJudged("ES-001 was never delivered".into()))
        .map(|result| result.check.as_str())
        .collect();
    assert_eq!(unjudged, ["entry_value", "entry_duty", "entry_mpf_clamp", "missing_in_es_001"]);
}

#[tokio::test]
async fn a_column_without_values_leaves_its_check_unjudged() {
    let es_001 = CLEAN_001.map(|row| row.replace("'700.00'", "NULL").replace("'0.00', '0.00', 'd1'", "NULL, '0.00', 'd1'"));
    let results = results(&[&es_001[0], &es_001[1]], &CLEAN_002, &CLEAN_003).await;
    let duty = results.iter().find(|result| result.check == "entry_duty").unwrap();
    assert_eq!(duty.outcome, Outcome::NotJudged("ES-001 has no values in column total_duty_amount".into()));
}

#[tokio::test]
async fn nothing_delivered_at_all_is_not_judged() {
    let results = results(&[], &[], &[]).await;
    assert!(results.iter().all(|result| matches!(result.outcome, Outcome::NotJudged(_))));
}

#[tokio::test]
async fn an_unknown_check_is_an_error_that_lists_the_known() {
    let session = session(Reports::default()).await;
    let error = session.reconcile(Some(&["line_weight".to_owned()])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    assert!(error.to_string().contains("line_value"), "{error}");
}
