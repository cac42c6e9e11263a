use std::time::Duration;

use crate::{
    ErrorKind, Limits,
    testing::{Reports, failure, lines, session, session_with, small},
};

/// Entry A: three lines in d1, restated with two in d2. Entry B: in d1 only, though d2 spans its date.
const RESTATED: Reports = Reports {
    es_001: "('A0000000001', '01', '2026-01-05', '300.00', '3.00', '33.58', 'd1', '2026-02-01T00:00:00Z', 2),
             ('B0000000001', '01', '2026-01-10', '100.00', '1.00', '33.58', 'd1', '2026-02-01T00:00:00Z', 3),
             ('A0000000001', '01', '2026-01-05', '250.00', '2.50', '33.58', 'd2', '2026-03-01T00:00:00Z', 2),
             ('C0000000001', '01', '2026-01-20', '100.00', '1.00', '33.58', 'd2', '2026-03-01T00:00:00Z', 3)",
    es_002: "('A0000000001', 1, '100.00', '1.00', '0.35', 'e1', '2026-02-01T00:00:00Z', 2),
             ('A0000000001', 2, '100.00', '1.00', '0.35', 'e1', '2026-02-01T00:00:00Z', 3),
             ('A0000000001', 3, '100.00', '1.00', '0.35', 'e1', '2026-02-01T00:00:00Z', 4),
             ('A0000000001', 1, '150.00', '1.50', '0.52', 'e2', '2026-03-01T00:00:00Z', 2),
             ('A0000000001', 2, '100.00', '1.00', '0.35', 'e2', '2026-03-01T00:00:00Z', 3),
             ('B0000000001', 1, '100.00', '1.00', '0.35', 'e1', '2026-02-01T00:00:00Z', 5)",
    es_003: "",
};

#[tokio::test]
async fn current_truth_is_the_latest_delivery_of_each_entry_and_not_row_by_row() {
    let session = session(RESTATED).await;
    let sql = "SELECT entry_summary_number, entry_summary_line_number, line_goods_value_amount, _delivery_id FROM entry_lines ORDER BY 1, 2";
    assert_eq!(lines(&session, sql).await, ["A0000000001|1|150.00|e2", "A0000000001|2|100.00|e2", "B0000000001|1|100.00|e1"]);
}

/// Two deliveries of one instant: the later id (UUID version 7, by arrival) holds.
#[tokio::test]
async fn of_two_deliveries_as_of_one_instant_the_later_arrival_holds() {
    let session = session(Reports {
        es_002: "('A0000000001', 1, '1.00', '0.00', '0.00', 'e2', '2026-02-01T00:00:00Z', 2),
                 ('A0000000001', 1, '2.00', '0.00', '0.00', 'e1', '2026-02-01T00:00:00Z', 2)",
        ..Reports::default()
    })
    .await;
    assert_eq!(lines(&session, "SELECT line_goods_value_amount FROM entry_lines").await, ["1.00"]);
}

#[tokio::test]
async fn as_of_shows_what_had_been_delivered_by_then() {
    let session = session(RESTATED).await;
    let sum = |when: &str| format!("SELECT sum(line_goods_value_amount), count(*) FROM entry_lines_as_of({when})");
    assert_eq!(lines(&session, &sum("'2026-01-31'")).await, ["|0"]);
    assert_eq!(lines(&session, &sum("'2026-02-01'")).await, ["400.00|4"]);
    assert_eq!(lines(&session, &sum("DATE '2026-02-28'")).await, ["400.00|4"]);
    assert_eq!(lines(&session, &sum("TIMESTAMP '2026-02-28T23:59:59Z'")).await, ["400.00|4"]);
    assert_eq!(lines(&session, &sum("'2026-03-01T00:00:00Z'")).await, ["350.00|3"]);
    assert_eq!(lines(&session, "SELECT count(*) FROM entry_summaries_as_of('2026-02-15')").await, ["2"]);
    assert_eq!(lines(&session, "SELECT count(*) FROM tariff_lines_as_of('2026-02-15')").await, ["0"]);
    let joined = "SELECT b.line_goods_value_amount, a.line_goods_value_amount FROM entry_lines_as_of('2026-02-15') AS b
        JOIN entry_lines_as_of('2026-03-15') AS a USING (entry_summary_number, entry_summary_line_number) ORDER BY 1, 2";
    assert_eq!(lines(&session, joined).await, ["100.00|100.00", "100.00|100.00", "100.00|150.00"]);
    for bad in ["entry_lines_as_of()", "entry_lines_as_of('never')", "entry_lines_as_of('2026-01-01', '2026-01-02')"] {
        assert_eq!(failure(&session, &format!("SELECT * FROM {bad}")).await.kind(), ErrorKind::Input, "{bad}");
    }
}

#[tokio::test]
async fn an_entry_inside_a_later_span_and_absent_from_it_has_vanished() {
    let session = session(RESTATED).await;
    let sql = "SELECT report, entry_summary_number, entry_date, last_delivery_id, missing_from_delivery_id, deliveries_without_it FROM vanished";
    assert_eq!(lines(&session, sql).await, ["ES-001|B0000000001|2026-01-10|d1|d2|1"]);
}

#[tokio::test]
async fn changes_between_two_instants_are_told_row_by_row() {
    let session = session(RESTATED).await;
    let sql =
        "SELECT DISTINCT report, entry_summary_number, entry_summary_line_number, change, goods_value_before, goods_value_after
        FROM changes('2026-02-01', '2026-03-01') ORDER BY 1, 2, 3";
    assert_eq!(
        lines(&session, sql).await,
        [
            "ES-001|A0000000001||changed|300.00|250.00",
            "ES-001|C0000000001||added||100.00",
            "ES-002|A0000000001|1|changed|100.00|150.00",
            "ES-002|A0000000001|3|removed|100.00|"
        ]
    );
    assert!(lines(&session, "SELECT * FROM changes('2026-03-01', '2026-04-01')").await.is_empty());
}

#[tokio::test]
async fn an_answer_over_the_row_limit_is_an_error_that_says_so() {
    let session = session_with(RESTATED, Limits { rows_max: 3, ..small() }).await;
    assert_eq!(lines(&session, "SELECT * FROM es_001 LIMIT 3").await.len(), 3);
    let error = failure(&session, "SELECT * FROM es_001").await;
    assert_eq!(error.kind(), ErrorKind::Limit);
    assert!(error.to_string().contains("more than 3 rows"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_that_takes_too_long_is_stopped() {
    let session = session_with(RESTATED, Limits { time_max: Duration::from_millis(200), ..small() }).await;
    let endless = "WITH RECURSIVE n AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n";
    let started = std::time::Instant::now();
    assert_eq!(failure(&session, endless).await.kind(), ErrorKind::Limit);
    let crossed = (0..6).map(|n| format!("es_002 AS t{n}")).collect::<Vec<_>>().join(", ");
    let crossed =
        format!("SELECT sum(t0._line * u5._line) FROM {crossed}, {crossed2}", crossed2 = crossed.replace(" AS t", " AS u"));
    assert_eq!(failure(&session, &crossed).await.kind(), ErrorKind::Limit);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_question_that_needs_too_much_memory_is_an_error_and_spills_nothing() {
    let session = session_with(RESTATED, Limits { memory_bytes_max: 100_000, ..small() }).await;
    let crossed = "SELECT a.*, b._line FROM es_002 AS a, es_002 AS b, es_002 AS c, es_002 AS d, es_002 AS e, es_002 AS f
        ORDER BY b._line, a._delivery_id, c._line, d.line_mpf_amount";
    let error = failure(&session, crossed).await;
    assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
}

#[tokio::test]
async fn the_ledger_shows_under_meta() {
    let rows = crate::testing::batches("SELECT arrow_cast('d1', 'Utf8') AS delivery_id").await.remove(0);
    let tables = Vec::new();
    let opened = super::Session::over(tables, vec![("meta.deliveries".into(), rows)], crate::testing::store(), small());
    // Without the reports' tables there are no views, and so no session.
    assert_eq!(opened.await.unwrap_err().kind(), ErrorKind::Input);
}

/// The ledger of a large tenant takes seconds to unseal, and most questions name nothing of it.
#[tokio::test]
async fn the_ledger_is_opened_when_a_question_names_it_and_once() {
    use std::sync::atomic::{AtomicUsize, Ordering};

    let opened = std::sync::Arc::new(AtomicUsize::new(0));
    let session = session(RESTATED).await;
    let rows = crate::testing::batches("SELECT arrow_cast('d1', 'Utf8') AS delivery_id").await.remove(0);
    let counter = opened.clone();
    *session.ledger.lock().await = Some(Box::pin(async move {
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(vec![("deliveries".to_owned(), rows)])
    }));
    assert_eq!(lines(&session, "SELECT count(*) FROM es_001").await, ["4"]);
    assert_eq!(opened.load(Ordering::Relaxed), 0);
    for sql in ["SELECT delivery_id FROM meta.deliveries", "SELECT delivery_id FROM Meta.\"deliveries\""] {
        assert_eq!(lines(&session, sql).await, ["d1"]);
    }
    assert_eq!(opened.load(Ordering::Relaxed), 1);
}
