use super::*;
use crate::testing::{Reports, drawn, lines, session};

/// Amounts 5.00, 5.01 ... 5.99 and 123456789.01, on a hundred and one entries.
async fn amounts() -> crate::Session {
    let mut rows: Vec<String> = (0..100)
        .map(|cents| {
            format!("('AAA{cents:07}0', '01', '2026-01-05', '5.{cents:02}', '0.00', '0.00', 'd1', '2026-02-01T00:00:00Z', 2)")
        })
        .collect();
    rows.push("('ZZZ00000010', '01', '2026-01-05', '123456789.01', '0.00', '0.00', 'd1', '2026-02-01T00:00:00Z', 2)".to_owned());
    session(Reports { es_001: &rows.join(", "), ..Reports::default() }).await
}

async fn count(filter: &str) -> String {
    lines(&amounts().await, &format!("SELECT count(*) FROM es_001 WHERE {filter}")).await.remove(0)
}

#[tokio::test]
async fn a_decimal_literal_is_a_decimal() {
    assert_eq!(count("total_goods_value_amount = 123456789.01").await, "1");
    assert_eq!(count("total_goods_value_amount <> 123456789.01").await, "100");
    assert_eq!(count("total_goods_value_amount IN (5.07, 123456789.01)").await, "2");
    let session = amounts().await;
    assert_eq!(lines(&session, "SELECT arrow_typeof(123456789.01)").await, ["Decimal128(11, 2)"]);
}

#[tokio::test]
async fn sums_of_money_are_exact() {
    let session = amounts().await;
    assert_eq!(lines(&session, "SELECT sum(total_goods_value_amount) FROM es_001").await, ["123457338.51"]);
    assert_eq!(lines(&session, "SELECT 0.1 + 0.2 = 0.3").await, ["true"]);
}

/// apache/datafusion#23095: `CAST(amount AS BIGINT) = 5` was rewritten to `amount = 5.00` and found one row of the hundred.
#[tokio::test]
async fn a_narrowing_cast_in_a_comparison_means_what_it_says() {
    assert_eq!(count("CAST(total_goods_value_amount AS BIGINT) = 5").await, "100");
    assert_eq!(count("5 = CAST(total_goods_value_amount AS INT)").await, "100");
    assert_eq!(count("TRY_CAST(total_goods_value_amount AS SMALLINT) = 5").await, "100");
    assert_eq!(count("total_goods_value_amount::BIGINT IN (5, 6)").await, "100");
    assert_eq!(count("CAST(total_goods_value_amount AS BIGINT) BETWEEN 5 AND 5").await, "100");
    assert_eq!(count("CAST(total_goods_value_amount AS BIGINT) <> 5").await, "1");
    assert_eq!(count("arrow_cast(total_goods_value_amount, 'Int64') = 5").await, "100");
    assert_eq!(count("CAST(total_goods_value_amount AS DECIMAL(18, 0)) <= 5").await, "50");
    assert_eq!(count("CAST(total_goods_value_amount + 0.00 AS BIGINT) = 5").await, "100");
}

#[tokio::test]
async fn a_narrowing_cast_in_a_case_or_subquery_means_what_it_says() {
    let session = amounts().await;
    let case = "SELECT sum(CASE WHEN CAST(total_goods_value_amount AS BIGINT) = 5 THEN 1 ELSE 0 END) FROM es_001";
    assert_eq!(lines(&session, case).await, ["100"]);
    let subquery = "SELECT count(*) FROM es_001 WHERE entry_summary_number IN
        (SELECT entry_summary_number FROM es_001 WHERE CAST(total_goods_value_amount AS INT) = 5)";
    assert_eq!(lines(&session, subquery).await, ["100"]);
    let exists = "SELECT count(*) FROM es_001 AS outer_rows WHERE EXISTS (SELECT 1 FROM es_001 AS inner_rows
        WHERE inner_rows.entry_summary_number = outer_rows.entry_summary_number AND CAST(outer_rows.total_goods_value_amount AS INT) = 5)";
    assert_eq!(lines(&session, exists).await, ["100"]);
    let grouped = "SELECT CAST(total_goods_value_amount AS BIGINT) AS dollars, count(*) FROM es_001
        GROUP BY CAST(total_goods_value_amount AS BIGINT) HAVING CAST(total_goods_value_amount AS BIGINT) = 5";
    assert_eq!(lines(&session, grouped).await, ["5|100"]);
    let view = "WITH dollars AS (SELECT CAST(total_goods_value_amount AS BIGINT) AS dollars FROM es_001)
        SELECT count(*) FROM dollars WHERE dollars = 5";
    assert_eq!(lines(&session, view).await, ["100"]);
}

#[tokio::test]
async fn the_name_of_a_cast_column_stays() {
    let table = drawn(&amounts().await, "SELECT CAST(total_goods_value_amount AS BIGINT) FROM es_001 LIMIT 1").await;
    assert!(
        table.lines().nth(1).is_some_and(|header| header.contains("total_goods_value_amount") && !header.contains("as_cast"))
    );
}

#[tokio::test]
async fn sql_cannot_name_the_wrapper() {
    let error = crate::testing::failure(&amounts().await, "SELECT as_cast(1)").await;
    assert_eq!(error.kind(), crate::ErrorKind::Input);
}

#[test]
fn what_loses_and_what_does_not() {
    use datafusion::arrow::datatypes::TimeUnit::{Microsecond, Second};
    let money = DataType::Decimal128(18, 2);
    let losing = [
        (money.clone(), DataType::Int64),
        (money.clone(), DataType::Decimal128(18, 1)),
        (money.clone(), DataType::Decimal128(10, 2)),
        (DataType::Int64, DataType::Int32),
        (DataType::Decimal128(10, 0), DataType::Int32),
        (DataType::UInt64, DataType::Int64),
        (DataType::Timestamp(Microsecond, None), DataType::Timestamp(Second, None)),
        (DataType::Int64, DataType::Date32),
    ];
    for (from, to) in losing {
        assert!(loses(&from, &to), "{from} to {to}");
    }
    let keeping = [
        (money.clone(), DataType::Decimal128(28, 2)),
        (money.clone(), DataType::Decimal128(20, 4)),
        (money, DataType::Utf8),
        (DataType::Int32, DataType::Int64),
        (DataType::Int32, DataType::Decimal128(12, 2)),
        (DataType::Date32, DataType::Timestamp(Microsecond, None)),
        (DataType::Timestamp(Second, None), DataType::Timestamp(Microsecond, None)),
        (DataType::Utf8, DataType::Utf8View),
    ];
    for (from, to) in keeping {
        assert!(!loses(&from, &to), "{from} to {to}");
    }
}
