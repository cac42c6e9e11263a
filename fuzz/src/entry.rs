//! What is done with fuzzed bytes, one function per target; shared by the libFuzzer targets and by `tests/it/fuzz_entry.rs`.
//! Promise: any bytes give an answer, the same for every way to cut them, in bounded memory; a wrong one panics.
//! Never: no file, no network, no clock. The module that includes this names the parser as `super::fuzzed::parse`.

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::Int64Type,
    util::display::{ArrayFormatter, FormatOptions},
};
use bonded_schemas::{DeliveryId, Mapping, Quarantine, Registry, Report, drift, table};

use super::fuzzed::parse::{
    DateOrder, HEAD_BYTES_MAX, Head, HeadOutcome, Limits, RowReader, Stamp, Summary, find_head, typed_column,
};

/// A header of ES-003 for bytes that bring none.
pub const HEADER: &str = "Entry Summary Number,Entry Summary Line Number,Tariff Ordinal Number,Entry Date,Country of Origin \
                          Code,Line Tariff Quantity (1),Line Tariff Goods Value Amount,Line Tariff Duty Amount,Remark\n";

fn head(bytes: &[u8], whole: bool) -> HeadOutcome {
    find_head(&bytes[..bytes.len().min(HEAD_BYTES_MAX)], whole, Registry::builtin(), &|_| Mapping::default())
}

/// Detection decides on any bytes, and never takes back what it found in fewer.
pub fn detection(bytes: &[u8]) {
    let decided = head(bytes, bytes.len() <= HEAD_BYTES_MAX);
    match &decided {
        HeadOutcome::Found(found) => {
            assert!(found.body_offset <= bytes.len() as u64, "the body begins within the bytes");
            assert!(found.body_line > found.header_line || found.body_offset == bytes.len() as u64);
            assert!(!found.header.is_empty());
            assert!(!found.describe().is_empty());
        }
        HeadOutcome::Quarantine(quarantine) => assert!(!quarantine.message.is_empty()),
        HeadOutcome::NeedMore => panic!("undecided with all bytes in hand"),
    }
    for part in [bytes.len() / 3, bytes.len() / 2] {
        let early = head(&bytes[..part], false);
        if let (HeadOutcome::Found(early), HeadOutcome::Found(late)) = (&early, &decided) {
            assert_eq!((early.report, &early.header, early.body_line), (late.report, &late.header, late.body_line));
        }
    }
}

/// Rows of the bytes themselves, if they have a header, and of the bytes below a header of ours.
pub fn rows(bytes: &[u8]) {
    for bytes in [bytes.to_vec(), [HEADER.as_bytes(), bytes].concat()] {
        let HeadOutcome::Found(head) = head(&bytes, bytes.len() <= HEAD_BYTES_MAX) else { continue };
        let body = usize::try_from(head.body_offset).expect("within the bytes");
        // The place of the cuts comes from the bytes, so that the fuzzer can look for the one that matters.
        let cut = usize::from(bytes[bytes.len() / 2]) % 61 + 1;
        let whole = read(&head, &bytes[body..], bytes.len().max(1));
        let parts = read(&head, &bytes[body..], cut);
        assert_eq!(whole, parts, "cut every {cut} bytes");
        let Ok((batches, summary)) = whole else { continue };
        assert_eq!(summary.rows_read, summary.rows_committed + summary.rows_rejected);
        assert_eq!(batches.iter().map(|batch| batch.num_rows() as u64).sum::<u64>(), summary.rows_committed);
        for batch in &batches {
            let places = batch.column_by_name(table::BYTE).expect("a column of ours").as_primitive::<Int64Type>().clone();
            assert!(places.values().iter().all(|byte| (body as i64..bytes.len() as i64).contains(byte)));
            assert!(places.values().is_sorted());
        }
        assert!(summary.rejects.iter().all(|reject| !reject.reason.is_empty() && reject.byte <= bytes.len() as u64));
    }
}

type Read = Result<(Vec<RecordBatch>, Summary), Quarantine>;

fn read(head: &Head, body: &[u8], chunk_bytes: usize) -> Read {
    let (binding, _) = drift::bind(&head.header, Registry::builtin().edition(head.report), &Mapping::default());
    let stamp = Stamp { delivery_id: DeliveryId(uuid::Uuid::nil()), as_of: chrono::DateTime::UNIX_EPOCH };
    let limits = Limits { record_bytes_max: 64 << 10, batch_rows: 8, ..Limits::default() };
    let mut reader = RowReader::new(head, binding, &stamp, limits);
    let mut batches = Vec::new();
    for chunk in body.chunks(chunk_bytes) {
        reader.push(chunk, &mut batches)?;
    }
    let summary = reader.finish(&mut batches)?;
    Ok((batches, summary))
}

/// Each line as a cell of every column: typed or null, and what is typed reads the same once it is printed.
pub fn typed(bytes: &[u8]) {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4 << 10)]);
    let texts: Vec<Option<&str>> = text.split('\n').take(64).map(Some).collect();
    let options = FormatOptions::default();
    for column in Report::ALL.into_iter().flat_map(|report| &Registry::builtin().edition(report).columns) {
        for order in [DateOrder::MonthFirst, DateOrder::DayFirst, DateOrder::Undecided] {
            let orders = vec![order; texts.len()];
            let (array, notes) = typed_column(column, &texts, &orders);
            assert_eq!((array.len(), notes.len()), (texts.len(), texts.len()));
            let shown = ArrayFormatter::try_new(&array, &options).expect("printable");
            let printed: Vec<Option<String>> =
                (0..array.len()).map(|row| array.is_valid(row).then(|| shown.value(row).to_string())).collect();
            let again: Vec<Option<&str>> = printed.iter().map(Option::as_deref).collect();
            let (again, _) = typed_column(column, &again, &orders);
            assert_eq!(array.to_data(), again.to_data(), "`{}` of {printed:?}", column.name);
        }
    }
}
