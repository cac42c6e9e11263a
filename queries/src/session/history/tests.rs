//! History on small tables: what holds, what changed by column, what was seen, what vanished; and on a table of many deliveries.

use crate::{
    Session,
    testing::{Reports, lines, session},
};

/// Three pulls: B vanishes from all three reports, A is restated in value, duty, type and lines.
const PULLS: Reports = Reports {
    es_001: "('A0000000001', '01', '2026-01-05', '300.00', '3.00', '33.58', 'd1', '2026-02-01T00:00:00Z', 2),
             ('B0000000001', '01', '2026-01-10', '100.00', '1.00', '33.58', 'd1', '2026-02-01T00:00:00Z', 3),
             ('C0000000001', '01', '2026-01-20', '100.00', '1.00', '33.58', 'd1', '2026-02-01T00:00:00Z', 4),
             ('A0000000001', '06', '2026-01-05', '250.00', '3.00', NULL, 'd2', '2026-03-01T00:00:00Z', 2),
             ('C0000000001', '01', '2026-01-20', '100.00', '1.00', '33.58', 'd2', '2026-03-01T00:00:00Z', 3),
             ('A0000000001', '06', '2026-01-05', '250.00', '3.00', NULL, 'd3', '2026-04-01T00:00:00Z', 2),
             ('C0000000001', '01', '2026-01-20', '100.00', '1.00', '33.58', 'd3', '2026-04-01T00:00:00Z', 3)",
    es_002: "('A0000000001', 1, '100.00', '1.00', '0.35', 'e1', '2026-02-01T00:00:00Z', 2),
             ('A0000000001', 2, '200.00', '2.00', '0.69', 'e1', '2026-02-01T00:00:00Z', 3),
             ('B0000000001', 1, '100.00', '1.00', '0.35', 'e1', '2026-02-01T00:00:00Z', 4),
             ('C0000000001', 1, '100.00', '1.00', '0.35', 'e1', '2026-02-01T00:00:00Z', 5),
             ('A0000000001', 1, '250.00', '3.00', '0.87', 'e2', '2026-03-01T00:00:00Z', 2),
             ('C0000000001', 1, '100.00', '1.00', '0.35', 'e2', '2026-03-01T00:00:00Z', 3)",
    es_003: "('A0000000001', '2026-01-05', 1, 1, '0.00', '1.00', 'f1', '2026-02-01T00:00:00Z', 2),
             ('A0000000001', '2026-01-05', 1, 2, '100.00', '0.00', 'f1', '2026-02-01T00:00:00Z', 3),
             ('C0000000001', '2026-01-20', 1, 1, '100.00', '1.00', 'f1', '2026-02-01T00:00:00Z', 4),
             ('A0000000001', '2026-01-06', 1, 1, '0.00', '1.00', 'f2', '2026-03-01T00:00:00Z', 2),
             ('A0000000001', '2026-01-05', 1, 2, '100.00', '0.00', 'f2', '2026-03-01T00:00:00Z', 3),
             ('A0000000001', '2026-01-05', 1, 2, '50.00', '0.00', 'f2', '2026-03-01T00:00:00Z', 4),
             ('C0000000001', '2026-01-20', 1, 1, '100.00', '1.00', 'f2', '2026-03-01T00:00:00Z', 5)",
};

const TOLD: &str = "SELECT report, entry_summary_number, entry_summary_line_number, tariff_ordinal_number, change, column_name, before, after FROM";

#[tokio::test]
async fn every_column_that_changed_is_told_with_both_texts_to_the_cent() {
    let session = session(PULLS).await;
    let sql = format!("{TOLD} changes('2026-02-01', '2026-03-01') ORDER BY 1, 2, 3, 4, 5, 6");
    assert_eq!(
        lines(&session, &sql).await,
        [
            "ES-001|A0000000001|||changed|entry_type_code|01|06",
            "ES-001|A0000000001|||changed|total_goods_value_amount|300.00|250.00",
            "ES-001|A0000000001|||changed|total_paid_mpf_amount|33.58|",
            "ES-002|A0000000001|1||changed|line_duty_amount|1.00|3.00",
            "ES-002|A0000000001|1||changed|line_goods_value_amount|100.00|250.00",
            "ES-002|A0000000001|1||changed|line_mpf_amount|0.35|0.87",
            "ES-002|A0000000001|2||removed|||",
            "ES-003|A0000000001|1|1|changed|entry_date|2026-01-05|2026-01-06",
            "ES-003|A0000000001|1|2|added|||",
        ]
    );
    let came = "SELECT goods_value_before, goods_value_after, duty_before, duty_after, delivery_id_before, delivery_id_after
        FROM changes('2026-02-01', '2026-03-01') WHERE change <> 'changed' ORDER BY report";
    assert_eq!(lines(&session, came).await, ["200.00||2.00||e1|", "|50.00||0.00||f2"]);
}

#[tokio::test]
async fn looked_at_backwards_the_same_changes_are_told_the_other_way_round() {
    let session = session(PULLS).await;
    let there = lines(&session, "SELECT count(*), count(column_name) FROM changes('2026-02-01', '2026-03-01')").await;
    assert_eq!(lines(&session, "SELECT count(*), count(column_name) FROM changes('2026-03-01', '2026-02-01')").await, there);
    let sql = "SELECT before, after FROM changes('2026-03-01', '2026-02-01') WHERE column_name = 'entry_type_code'";
    assert_eq!(lines(&session, sql).await, ["06|01"]);
}

#[tokio::test]
async fn a_pull_that_says_the_same_again_is_no_change() {
    let session = session(PULLS).await;
    assert!(lines(&session, "SELECT * FROM changes('2026-03-01', '2026-04-01')").await.is_empty());
    assert!(lines(&session, "SELECT * FROM changes('2026-03-01', '2026-03-01')").await.is_empty());
    assert!(lines(&session, "SELECT * FROM changes('2025-01-01', '2025-06-01')").await.is_empty());
}

#[tokio::test]
async fn first_and_last_sight_of_each_entry_are_told_by_report() {
    let session = session(PULLS).await;
    let sql = "SELECT report, entry_summary_number, CAST(first_seen_as_of AS DATE), first_delivery_id, CAST(last_seen_as_of AS DATE), last_delivery_id
        FROM sightings WHERE report <> 'ES-003' ORDER BY 1, 2";
    assert_eq!(
        lines(&session, sql).await,
        [
            "ES-001|A0000000001|2026-02-01|d1|2026-04-01|d3",
            "ES-001|B0000000001|2026-02-01|d1|2026-02-01|d1",
            "ES-001|C0000000001|2026-02-01|d1|2026-04-01|d3",
            "ES-002|A0000000001|2026-02-01|e1|2026-03-01|e2",
            "ES-002|B0000000001|2026-02-01|e1|2026-02-01|e1",
            "ES-002|C0000000001|2026-02-01|e1|2026-03-01|e2",
        ]
    );
}

#[tokio::test]
async fn an_entry_vanishes_from_es_002_by_the_entry_dates_of_the_other_reports_and_the_caveat_is_stated() {
    let session = session(PULLS).await;
    let sql = "SELECT report, entry_summary_number, entry_date, last_delivery_id, missing_from_delivery_id, deliveries_without_it, caveat
        FROM vanished ORDER BY 1";
    let caveat = "a narrower prompt of the later pull is as good a reason as a cancelled entry";
    assert_eq!(
        lines(&session, sql).await,
        [format!("ES-001|B0000000001|2026-01-10|d1|d2|2|{caveat}"), format!("ES-002|B0000000001|2026-01-10|e1|e2|1|{caveat}")]
    );
}

#[tokio::test]
async fn one_entry_through_time_tells_what_each_delivery_said() {
    let session = session(PULLS).await;
    let reports = session.entry_history("a00-0000000-1").await.unwrap();
    assert_eq!(reports.iter().map(|report| report.report).collect::<Vec<_>>(), ["ES-001", "ES-002", "ES-003"]);
    let [first, second, third] = reports[0].statements.as_slice() else { panic!("{reports:?}") };
    assert_eq!((first.delivery_id.as_str(), first.goods_value.as_deref(), first.changes.len()), ("d1", Some("300.00"), 0));
    let told: Vec<_> =
        second.changes.iter().map(|c| (c.column_name.as_deref(), c.before.as_deref(), c.after.as_deref())).collect();
    assert_eq!(
        told,
        [
            (Some("entry_type_code"), Some("01"), Some("06")),
            (Some("total_goods_value_amount"), Some("300.00"), Some("250.00")),
            (Some("total_paid_mpf_amount"), Some("33.58"), None)
        ]
    );
    assert!(third.changes.is_empty() && reports[0].vanished.is_none());
    let lines: Vec<_> = reports[1].statements[1].changes.iter().map(|c| (c.entry_summary_line_number, c.change)).collect();
    assert_eq!(lines.last(), Some(&(Some(2), "removed")));
    let gone = session.entry_history("B0000000001").await.unwrap();
    assert_eq!(gone[0].vanished.as_ref().unwrap().deliveries_without_it, 2);
    assert!(session.entry_history("D0000000001").await.unwrap().is_empty());
    assert!(session.entry_history("' OR 1=1 --").await.is_err());
}

/// The semi join of each view must build on the small side: the entries, never the whole history.
#[tokio::test]
async fn which_delivery_holds_comes_from_one_aggregate_and_is_what_the_join_is_built_on() {
    let session = session(PULLS).await;
    let plan = lines(&session, "EXPLAIN SELECT * FROM entry_lines").await.join("\n");
    let plan = plan.split_once("physical_plan").unwrap().1;
    assert!(plan.contains("RightSemi") && !plan.contains("LeftSemi"), "{plan}");
    assert!(!plan.contains("WindowAgg") && !plan.contains("SortExec"), "{plan}");
}

/// Run by hand (`--ignored`): prints what the questions of history take over many deliveries.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn many_deliveries() {
    let (deliveries, entries) = (100, 3_300);
    let rows = format!(
        "SELECT arrow_cast(lpad(CAST(e.value AS VARCHAR), 11, '0'), 'Utf8') AS entry_summary_number, CAST(l.value AS INT) AS entry_summary_line_number,
            CAST(100 + (e.value * 7 + d.value / 50) % 900 AS DECIMAL(18, 2)) AS line_goods_value_amount,
            CAST(5 AS DECIMAL(18, 2)) AS line_duty_amount, CAST(1 AS DECIMAL(18, 2)) AS line_mpf_amount,
            arrow_cast('01890000-0000-7000-8000-' || lpad(CAST(d.value AS VARCHAR), 12, '0'), 'Utf8') AS _delivery_id,
            CAST(e.value * 3 + l.value AS BIGINT) AS _line,
            arrow_cast(1700000000000000 + d.value * 86400000000, 'Timestamp(Microsecond, Some(\"+00:00\"))') AS _as_of
        FROM generate_series(1, {deliveries}) AS d(value), generate_series(1, {entries}) AS e(value), generate_series(1, 3) AS l(value)"
    );
    let key =
        "CAST(NULL AS VARCHAR) AS entry_summary_number, CAST(NULL AS DATE) AS entry_date, CAST(NULL AS VARCHAR) AS _delivery_id,
        CAST(NULL AS BIGINT) AS _line, arrow_cast(NULL, 'Timestamp(Microsecond, Some(\"+00:00\"))') AS _as_of,
        CAST(1 AS INT) AS entry_summary_line_number, CAST(1 AS INT) AS tariff_ordinal_number";
    let amounts = |names: [&str; 2]| names.map(|name| format!("CAST(0 AS DECIMAL(18, 2)) AS {name}")).join(", ");
    let mut tables = Vec::new();
    for (name, sql) in [
        ("es_001", format!("SELECT {key}, {} LIMIT 0", amounts(["total_goods_value_amount", "total_duty_amount"]))),
        ("es_002", rows),
        ("es_003", format!("SELECT {key}, {} LIMIT 0", amounts(["line_tariff_goods_value_amount", "line_tariff_duty_amount"]))),
    ] {
        tables.push((name.to_owned(), crate::testing::table(&sql).await));
    }
    let session = Session::over(tables, Vec::new(), crate::testing::store(), crate::testing::small()).await.unwrap();
    for sql in [
        "SELECT count(*), sum(line_goods_value_amount) FROM entry_lines",
        "SELECT count(*), sum(line_goods_value_amount) FROM entry_lines_as_of('2023-12-20')",
        "SELECT count(*) FROM changes('2023-11-20', '2024-02-01')",
        "SELECT count(*) FROM changes('2023-12-01', '2023-12-02')",
        "SELECT count(*) FROM sightings",
        "SELECT count(*) FROM vanished",
    ] {
        let started = std::time::Instant::now();
        let answer = lines(&session, sql).await;
        println!("{:?} {answer:?} {sql}", started.elapsed());
    }
}
