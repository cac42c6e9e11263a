//! What is written here against parquet's own reader: every value, every bound, sealed and in the clear.

use arrow::{
    array::{
        Date32Array, Decimal128Array, DictionaryArray, Int32Array, Int64Array, ListBuilder, MapBuilder, RecordBatch, StringArray,
        StringBuilder,
    },
    compute::{cast, concat_batches},
    datatypes::{Field, Int32Type, Schema},
};
use parquet::{
    arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder},
    encryption::decrypt::FileDecryptionProperties,
    file::statistics::Statistics,
};

use super::*;

const KEY: [u8; 16] = [7; 16];
const PREFIX: [u8; 16] = [9; 16];

/// Rows whose columns repeat, are null, and differ in every row, by turns.
fn columns(from: usize, rows: usize) -> Vec<(&'static str, ArrayRef, bool)> {
    let numbers = || from..from + rows;
    let at = |text: Option<String>| text;
    let codes: DictionaryArray<Int32Type> = numbers()
        .map(|n| at((n % 7 != 3).then(|| format!("C{}", n / 9 % 300))))
        .collect::<Vec<_>>()
        .iter()
        .map(|t| t.as_deref())
        .collect();
    let unique: StringArray = numbers().map(|n| Some(format!("text {n}"))).collect();
    let nothing: StringArray = numbers().map(|_| None::<&str>).collect();
    let small: Int32Array = numbers().map(|n| (n % 5 != 0).then_some((n / 20 % 12) as i32 - 3)).collect();
    let days: Date32Array = numbers().map(|n| Some(20_000 + (n / 50) as i32)).collect();
    let cents: Decimal128Array = numbers().map(|n| (n % 2 == 0).then_some((n as i128 * 7_919) % 1_000_003 - 500)).collect();
    let units: Decimal128Array = numbers().map(|n| (n % 3 != 0).then_some(n as i128 * 10_i128.pow(15) - 3)).collect();
    let places: Int64Array = numbers().map(|n| Some(n as i64 * 148 + (n % 13) as i64)).collect();
    let mut rescued = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    let mut repairs = ListBuilder::new(StringBuilder::new());
    for n in numbers() {
        for part in 0..n % 4 * usize::from(n % 50 == 1) {
            rescued.keys().append_value(format!("name {part}"));
            rescued.values().append_option((part != 1).then(|| format!("value {n}")));
            repairs.values().append_value(format!("note {}", n % 3));
        }
        rescued.append(n % 50 < 2).expect("as many names as values");
        repairs.append(n % 50 < 2);
    }
    vec![
        ("code", Arc::new(codes), true),
        ("unique", Arc::new(unique), false),
        ("nothing", Arc::new(nothing), true),
        ("small", Arc::new(small), true),
        ("days", Arc::new(days), false),
        ("cents", Arc::new(cents.with_precision_and_scale(18, 2).expect("fits")), true),
        ("units", Arc::new(units.with_precision_and_scale(20, 4).expect("fits")), true),
        ("_row", Arc::new(places), false),
        ("_rescued", Arc::new(rescued.finish()), true),
        ("_repairs", Arc::new(repairs.finish()), true),
    ]
}

/// As a table has them: texts are texts.
fn plain(array: &ArrayRef) -> ArrayRef {
    match array.data_type() {
        DataType::Dictionary(_, value) => cast(array, value).expect("texts"),
        _ => array.clone(),
    }
}

fn schema() -> SchemaRef {
    let field = |(name, array, nullable): (&str, ArrayRef, bool)| Field::new(name, plain(&array).data_type().clone(), nullable);
    Arc::new(Schema::new(columns(0, 1).into_iter().map(field).collect::<Vec<_>>()))
}

/// The file, its metadata, and the rows that went in, written in batches of these sizes.
fn written(sizes: &[usize], encryption: Option<(&[u8], &[u8])>) -> (Bytes, ParquetMetaData, RecordBatch) {
    let mut writer = FileWriter::new(schema(), encryption).expect("a writer");
    let (mut bytes, mut batches, mut from) = (Vec::new(), Vec::new(), 0);
    for size in sizes {
        let arrays: Vec<ArrayRef> = columns(from, *size).into_iter().map(|(_, array, _)| array).collect();
        writer.write(&arrays).expect("written");
        bytes.extend(writer.take_encoded());
        batches.push(RecordBatch::try_new(schema(), arrays.iter().map(plain).collect()).expect("of the schema"));
        from += size;
    }
    let metadata = writer.finish().expect("finished");
    bytes.extend(writer.take_encoded());
    (Bytes::from(bytes), metadata, concat_batches(&schema(), &batches).expect("one schema"))
}

fn read(bytes: Bytes, key: Option<(&[u8], &[u8])>) -> parquet::errors::Result<RecordBatch> {
    let mut options = ArrowReaderOptions::new();
    if let Some((key, prefix)) = key {
        let properties = FileDecryptionProperties::builder(key.to_vec()).with_aad_prefix(prefix.to_vec()).build()?;
        options = options.with_file_decryption_properties(properties);
    }
    let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes, options)?.build()?;
    let schema = schema();
    let batches = reader.collect::<std::result::Result<Vec<_>, _>>()?;
    Ok(concat_batches(&schema, batches.iter()).expect("one schema"))
}

#[test]
fn parquets_reader_gives_back_what_was_written() {
    for sizes in [&[1][..], &[8, 1, 1_000, 3], &[100_000, 60_000, 5]] {
        let (bytes, metadata, expected) = written(sizes, Some((&KEY, &PREFIX)));
        assert_eq!(metadata.file_metadata().num_rows() as usize, expected.num_rows());
        assert!(bytes.starts_with(b"PARE") && bytes.ends_with(b"PARE"));
        assert!(!bytes.windows(7).any(|text| text == b"text 10"), "no text in the clear");
        assert_eq!(read(bytes, Some((&KEY, &PREFIX))).expect("readable"), expected, "{sizes:?}");
    }
    let (bytes, _, expected) = written(&[500], None);
    assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
    assert_eq!(read(bytes, None).expect("readable"), expected);
}

#[test]
fn nothing_is_read_with_another_key_or_prefix_or_after_a_change() {
    let (bytes, ..) = written(&[500], Some((&KEY, &PREFIX)));
    assert!(read(bytes.clone(), Some((&[8; 16], &PREFIX))).is_err());
    assert!(read(bytes.clone(), Some((&KEY, &[8; 16]))).is_err());
    assert!(read(bytes.clone(), None).is_err());
    // The first page's ciphertext, behind its magic, its header, and its own length and nonce.
    let mut changed = bytes.to_vec();
    changed[200] ^= 1;
    assert!(read(changed.into(), Some((&KEY, &PREFIX))).is_err());
}

#[test]
fn bounds_and_null_counts_are_those_of_each_row_group() {
    let (_, metadata, expected) = written(&[ROW_GROUP_ROWS_MAX + 10], Some((&KEY, &PREFIX)));
    let groups = metadata.row_groups();
    assert_eq!(groups.iter().map(RowGroupMetaData::num_rows).collect::<Vec<_>>(), [ROW_GROUP_ROWS_MAX as i64, 10]);
    let nulls = |column: usize| {
        groups
            .iter()
            .map(|group| group.column(column).statistics().and_then(Statistics::null_count_opt))
            .map(Option::unwrap_or_default)
            .sum::<u64>()
    };
    for column in 0..8 {
        assert_eq!(nulls(column), expected.column(column).null_count() as u64, "{}", schema().field(column).name());
    }
    let bounds = |column: usize| {
        let statistics = groups[0].column(column).statistics().expect("there are some");
        (statistics.min_bytes_opt().map(<[u8]>::to_vec), statistics.max_bytes_opt().map(<[u8]>::to_vec))
    };
    assert_eq!(bounds(0), (Some(b"C0".to_vec()), Some(b"C99".to_vec())));
    assert_eq!(bounds(2), (None, None));
    assert_eq!(bounds(3), (Some((-3i32).to_le_bytes().to_vec()), Some(8i32.to_le_bytes().to_vec())));
    assert_eq!(bounds(7).0, Some(0i64.to_le_bytes().to_vec()));
}

#[test]
fn what_repeats_is_written_as_a_dictionary_and_what_never_does_is_not() {
    let (_, metadata, _) = written(&[20_000], None);
    let group = metadata.row_group(0);
    let has_dictionary = |column: usize| group.column(column).dictionary_page_offset().is_some();
    assert_eq!([0, 1, 2, 3, 4, 5, 7].map(has_dictionary), [true, false, false, true, true, false, false]);
    assert!(group.column(7).encodings().any(|encoding| encoding == Encoding::DELTA_BINARY_PACKED));
    // Places of 20,000 rows, a few bits each.
    assert!(group.column(7).uncompressed_size() < 20_000, "{}", group.column(7).uncompressed_size());
}
