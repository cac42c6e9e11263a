use super::Format;
use crate::testing::{Reports, session};

const ROW: Reports = Reports {
    es_001: "('A0000000001', '01', '2026-01-05', '123456789012345.67', '0.00', NULL, 'd1', '2026-02-01T00:00:00Z', 2)",
    es_002: "",
    es_003: "",
};

const SQL: &str = "SELECT entry_type_code, total_goods_value_amount, total_paid_mpf_amount, entry_date, _as_of,
    MAP {'Unknown Column': 'a \"b\"'} AS rescued, ['x', 'y'] AS repairs FROM es_001";

async fn written(format: Format, sql: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let answer = session(ROW).await.query(sql).await.unwrap();
    answer.write(format, &mut out).await.unwrap();
    out
}

#[tokio::test]
async fn csv_has_a_header_plain_decimals_and_readable_maps() {
    let text = String::from_utf8(written(Format::Csv, SQL).await).unwrap();
    assert_eq!(
        text,
        "entry_type_code,total_goods_value_amount,total_paid_mpf_amount,entry_date,_as_of,rescued,repairs\n\
         01,123456789012345.67,,2026-01-05,2026-02-01T00:00:00Z,\"{Unknown Column: a \"\"b\"\"}\",\"[x, y]\"\n"
    );
}

#[tokio::test]
async fn csv_without_rows_still_has_its_header() {
    let text = String::from_utf8(written(Format::Csv, "SELECT entry_type_code FROM es_001 WHERE false").await).unwrap();
    assert_eq!(text, "entry_type_code\n");
}

#[tokio::test]
async fn json_lines_keep_every_digit_and_null() {
    let text = String::from_utf8(written(Format::JsonLines, SQL).await).unwrap();
    assert_eq!(
        text,
        "{\"entry_type_code\":\"01\",\"total_goods_value_amount\":123456789012345.67,\"total_paid_mpf_amount\":null,\
         \"entry_date\":\"2026-01-05\",\"_as_of\":\"2026-02-01T00:00:00Z\",\"rescued\":{\"Unknown Column\":\"a \\\"b\\\"\"},\
         \"repairs\":[\"x\",\"y\"]}\n"
    );
}

#[tokio::test]
async fn a_table_is_drawn_with_money_as_decimal() {
    let text = String::from_utf8(written(Format::Table, SQL).await).unwrap();
    assert!(text.contains("| 123456789012345.67 "), "{text}");
    assert!(text.contains("{Unknown Column: a \"b\"}"), "{text}");
}

#[tokio::test]
async fn parquet_reads_back_as_decimals() {
    let bytes = bytes::Bytes::from(written(Format::Parquet, SQL).await);
    let mut reader = parquet::arrow::arrow_reader::ParquetRecordBatchReader::try_new(bytes, 10).unwrap();
    let batch = reader.next().unwrap().unwrap();
    assert_eq!(batch.column(1).data_type(), &datafusion::arrow::datatypes::DataType::Decimal128(18, 2));
    assert_eq!(batch.num_rows(), 1);
}

#[test]
fn a_format_reads_as_it_is_written() {
    for format in Format::ALL {
        assert_eq!(format.as_str().parse::<Format>().unwrap(), format);
    }
    assert!("xlsx".parse::<Format>().is_err());
}
