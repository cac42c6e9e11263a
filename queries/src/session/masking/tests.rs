//! What a masked session lets out, asked in every way that SQL has.

use super::*;
use crate::{
    Session,
    testing::{batches, failure, lines, small, store, table},
};

const PERSON: &str = "000-12-3456";
const OTHER: &str = "000-98-3456";
const FIRM: &str = "00-1234567AA";

/// Two persons whose numbers end alike, one of them twice, and a firm; what no column took holds a number, too.
async fn session(importer_numbers: ImporterNumbers) -> Session {
    let keys = "CAST(number AS INT) AS entry_summary_line_number, CAST(1 AS INT) AS tariff_ordinal_number,
        arrow_cast('d1', 'Utf8') AS _delivery_id, CAST(number AS BIGINT) AS _line,
        arrow_cast('2026-02-01T00:00:00Z', 'Timestamp(Microsecond, Some(\"+00:00\"))') AS _as_of, CAST('2026-01-05' AS DATE) AS entry_date";
    let amounts = ["total_goods_value_amount", "total_duty_amount", "line_goods_value_amount", "line_duty_amount"]
        .into_iter()
        .chain(["line_tariff_goods_value_amount", "line_tariff_duty_amount"])
        .map(|name| format!("CAST(1 AS DECIMAL(18, 2)) AS {name}"))
        .collect::<Vec<_>>()
        .join(", ");
    let sql = format!(
        "SELECT arrow_cast(entry, 'Utf8') AS entry_summary_number, arrow_cast(importer, 'Utf8') AS importer_number,
            arrow_cast(importer, 'Utf8') AS broker_file_reference, {keys}, {amounts},
            map(make_array(arrow_cast(key, 'Utf8')), make_array(arrow_cast(note || ' ' || importer, 'Utf8'))) AS _rescued
        FROM (VALUES ('A0000000001', '{PERSON}', 1, 'Owner', 'see 000123456.'), ('B0000000001', '{OTHER}', 2, 'Owner', ''),
            ('C0000000001', '{FIRM}', 3, 'Owner', ''), ('D0000000001', '{PERSON}', 4, 'Owner', '')) AS t(entry, importer, number, key, note)"
    );
    let mut tables = Vec::new();
    for name in ["es_001", "es_002", "es_003"] {
        tables.push((name.to_owned(), table(&sql).await));
    }
    let reject = batches(&format!("SELECT arrow_cast('{PERSON} is no date', 'Utf8') AS text")).await.remove(0);
    let book = bonded_schemas::RuleBook::builtin();
    Session::over_rules(tables, vec![("rejects".into(), reject)], book, store(), small(), importer_numbers).await.unwrap()
}

/// The middle digits stand for a digest, so that tests can foresee it.
fn masked_numbers() -> ImporterNumbers {
    ImporterNumbers::Masked(Arc::new(|digits| digits[3..5].to_owned()))
}

#[tokio::test]
async fn a_person_is_shown_by_four_digits_and_a_firm_whole() {
    let session = session(masked_numbers()).await;
    for table in ["es_001", "entry_summaries", "es_002", "entry_lines", "es_003", "tariff_lines"] {
        let sql = format!("SELECT importer_number, broker_file_reference FROM {table} ORDER BY entry_summary_number");
        let shown = ["***-**-3456~12|***-**-3456~12", "***-**-3456~98|***-**-3456~98", "00-1234567AA|00-1234567AA"];
        assert_eq!(lines(&session, &sql).await[..3], shown, "{table}");
    }
    assert_eq!(lines(&session, "SELECT text FROM meta.rejects").await, ["***-**-3456~12 is no date"]);
    let sql = "SELECT _rescued['Owner'] FROM es_002 ORDER BY entry_summary_number LIMIT 1";
    assert_eq!(lines(&session, sql).await, ["see ***-**-3456~12. ***-**-3456~12"]);
}

#[tokio::test]
async fn the_setting_shows_it_whole() {
    let session = session(ImporterNumbers::Whole).await;
    let sql = "SELECT importer_number, _rescued['Owner'] FROM es_001 WHERE entry_summary_number = 'A0000000001'";
    assert_eq!(lines(&session, sql).await, [format!("{PERSON}|see 000123456. {PERSON}")]);
    assert_eq!(lines(&session, "SELECT text FROM meta.rejects").await, [format!("{PERSON} is no date")]);
}

#[tokio::test]
async fn joins_and_groups_by_importer_hold_as_if_nothing_were_masked() {
    let questions = [
        "SELECT a.entry_summary_number, b.entry_summary_number FROM entry_summaries AS a JOIN entry_lines AS b USING (importer_number) ORDER BY 1, 2",
        "SELECT min(entry_summary_number), count(*) FROM tariff_lines GROUP BY importer_number ORDER BY 1",
        "SELECT count(DISTINCT importer_number) FROM es_001",
    ];
    let (masked, whole) = (session(masked_numbers()).await, session(ImporterNumbers::Whole).await);
    for sql in questions {
        assert_eq!(lines(&masked, sql).await, lines(&whole, sql).await, "{sql}");
    }
}

#[tokio::test]
async fn no_question_gets_round_it() {
    let session = session(masked_numbers()).await;
    for sql in [
        "SELECT substr(importer_number, 1, 6) FROM es_001",
        "SELECT importer_number || '' FROM es_001",
        "SELECT concat('<', importer_number, '>') FROM es_001",
        "SELECT CAST(importer_number AS VARCHAR) FROM es_001",
        "SELECT reverse(importer_number) FROM es_001",
        "SELECT encode(importer_number, 'hex') FROM es_001",
        "SELECT regexp_replace(importer_number, '(.)', '\\1.', 'g') FROM es_001",
        "SELECT split_part(importer_number, '-', 2) FROM es_001",
        "SELECT array_agg(importer_number), min(importer_number), max(importer_number) FROM es_001",
        "SELECT first_value(importer_number) OVER (ORDER BY _line) FROM es_001",
        "SELECT named_struct('x', importer_number) FROM es_001",
        "SELECT map_values(_rescued), map_entries(_rescued) FROM es_001",
        "SELECT arrow_cast(_rescued, 'Utf8') FROM es_001",
        "SELECT * FROM bonded.public.es_001",
        "SELECT e.* FROM (SELECT * FROM es_001) AS e",
        "WITH RECURSIVE n AS (SELECT importer_number FROM es_001) SELECT * FROM n",
        "SELECT * FROM entry_summaries_as_of('2026-03-01')",
        "SELECT * FROM changes('2026-01-01', '2026-03-01')",
        "SELECT * FROM sightings",
        "SELECT * FROM information_schema.views",
        "SELECT coalesce(NULL, importer_number) FROM es_001 UNION SELECT importer_number FROM es_002",
        "EXPLAIN VERBOSE SELECT importer_number FROM es_001 ORDER BY importer_number",
        "EXPLAIN ANALYZE SELECT max(importer_number) FROM es_001",
        "SELECT * FROM es_001 WHERE CAST(importer_number AS INT) > 0",
    ] {
        let told = match session.query(sql).await {
            Ok(mut answer) => {
                let mut told = String::new();
                loop {
                    match answer.next().await {
                        Ok(Some(batch)) => {
                            told += &datafusion::arrow::util::pretty::pretty_format_batches(&[batch]).unwrap().to_string();
                        }
                        Ok(None) => break told,
                        Err(error) => break error.to_string(),
                    }
                }
            }
            Err(error) => error.to_string(),
        };
        assert!(!told.is_empty());
        for secret in [PERSON, OTHER, "000-1", "000-9", "000123456", "6543-21-000", "3030302d31322d33343536", "0.0.0.-"] {
            assert!(!told.contains(secret), "{secret}: {sql}\n{told}");
        }
    }
}

/// A count is an answer, too: a guess must not be told apart from any other.
#[tokio::test]
async fn a_guess_finds_nothing() {
    let session = session(masked_numbers()).await;
    for condition in [
        format!("importer_number = '{PERSON}'"),
        format!("importer_number IN ('{PERSON}', '{OTHER}')"),
        "importer_number LIKE '000-%'".to_owned(),
        "importer_number BETWEEN '000-00-0000' AND '000-99-9999'".to_owned(),
        "strpos(importer_number, '000-12') > 0".to_owned(),
        format!("reverse(importer_number) = reverse('{PERSON}')"),
        format!("_rescued['Owner'] LIKE '%{PERSON}'"),
        format!(
            "EXISTS (SELECT 1 FROM es_002 AS l WHERE l.importer_number = es_001.importer_number AND l.importer_number = '{PERSON}')"
        ),
    ] {
        assert_eq!(lines(&session, &format!("SELECT count(*) FROM es_001 WHERE {condition}")).await, ["0"], "{condition}");
    }
    let error = failure(&session, &format!("SELECT masked('{PERSON}')")).await;
    assert!(error.to_string().to_lowercase().contains("function"), "{error}");
}
