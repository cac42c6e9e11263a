use crate::{
    ErrorKind,
    testing::{Reports, failure, lines, session},
};

const ONE: Reports = Reports {
    es_001: "('AAA00000010', '01', '2026-01-05', '5.00', '0.00', '0.00', 'd1', '2026-02-01T00:00:00Z', 2)",
    es_002: "",
    es_003: "",
};

#[tokio::test]
async fn whatever_does_not_read_is_refused() {
    let session = session(ONE).await;
    for sql in [
        "COPY es_001 TO '/tmp/x.csv'",
        "COPY (SELECT * FROM es_001) TO 's3://bucket/x' STORED AS PARQUET",
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
        "CREATE TABLE t AS SELECT 1",
        "CREATE VIEW v AS SELECT 1",
        "CREATE DATABASE d",
        "CREATE SCHEMA s",
        "CREATE FUNCTION f() RETURNS INT RETURN 1",
        "DROP TABLE es_001",
        "DROP VIEW entry_lines",
        "ALTER TABLE es_001 ADD COLUMN x INT",
        "INSERT INTO es_001 SELECT * FROM es_001",
        "INSERT INTO es_001 VALUES (1)",
        "UPDATE es_001 SET total_duty_amount = 0",
        "DELETE FROM es_001",
        "TRUNCATE TABLE es_001",
        "SET datafusion.execution.time_zone = '+01:00'",
        "RESET datafusion.execution.time_zone",
        "PREPARE p AS SELECT 1",
        "EXECUTE p",
        "DEALLOCATE p",
        "BEGIN",
        "COMMIT",
        "USE other",
        "EXPLAIN COPY es_001 TO '/tmp/x.csv'",
        "EXPLAIN ANALYZE INSERT INTO es_001 VALUES (1)",
        "SELECT 1; DROP TABLE es_001",
        "SELECT 1; SELECT 2",
        "SELECT * INTO t FROM es_001",
    ] {
        assert_eq!(failure(&session, sql).await.kind(), ErrorKind::Refused, "{sql}");
    }
}

#[tokio::test]
async fn names_outside_the_session_do_not_resolve() {
    let session = session(ONE).await;
    for sql in [
        "SELECT * FROM other.es_001",
        "SELECT * FROM other.public.es_001",
        "SELECT * FROM datafusion.public.es_001",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM \"/etc/passwd\"",
        "SELECT * FROM \"file:///etc/passwd\"",
        "SELECT * FROM 's3://bucket/x.parquet'",
        "SELECT * FROM \"tenants/other/warehouse/es_003/data/x.parquet\"",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_parquet('x.parquet')",
        "SELECT * FROM parquet_metadata('x.parquet')",
        "SELECT * FROM es_004",
        "SELECT no_such_column FROM es_001",
        "SELECT no_such_function(1)",
        "SELEC 1",
        "",
        "  ;  ",
    ] {
        assert_eq!(failure(&session, sql).await.kind(), ErrorKind::Input, "{sql}");
    }
}

#[tokio::test]
async fn whatever_reads_is_answered() {
    let session = session(ONE).await;
    assert_eq!(lines(&session, "SELECT count(*) FROM es_001;").await, ["1"]);
    assert_eq!(lines(&session, "SELECT count(*) FROM bonded.public.es_001").await, ["1"]);
    assert_eq!(lines(&session, "WITH a AS (SELECT 1 AS x) SELECT * FROM a UNION ALL SELECT 2 ORDER BY x").await, ["1", "2"]);
    assert_eq!(lines(&session, "VALUES (1), (2)").await, ["1", "2"]);
    for sql in [
        "SHOW TABLES",
        "SHOW COLUMNS FROM es_001",
        "SHOW FUNCTIONS",
        "DESCRIBE es_001",
        "EXPLAIN SELECT * FROM es_001",
        "EXPLAIN ANALYZE SELECT * FROM es_001",
        "SELECT * FROM information_schema.tables",
        "SELECT minimum FROM meta.rules_mpf WHERE from_date = DATE '2025-10-01'",
    ] {
        assert!(!lines(&session, sql).await.is_empty(), "{sql}");
    }
}

#[tokio::test]
async fn deep_nesting_is_an_error_and_not_a_crash() {
    let session = session(ONE).await;
    let deep = format!("SELECT {}1{}", "(".repeat(5000), ")".repeat(5000));
    let kind = failure(&session, &deep).await.kind();
    assert!(matches!(kind, ErrorKind::Input | ErrorKind::Limit), "{kind:?}");
    let long = format!("SELECT '{}'", "x".repeat(300 * 1024));
    assert_eq!(failure(&session, &long).await.kind(), ErrorKind::Limit);
}
