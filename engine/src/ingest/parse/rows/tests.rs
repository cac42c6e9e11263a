//! Whole files, from bytes to batches, rejects and summary.

use std::collections::BTreeMap;

use arrow::{
    array::{Array, AsArray},
    compute::concat_batches,
    datatypes::{Int64Type, Schema},
    util::display::{ArrayFormatter, FormatOptions},
};
use bonded_schemas::{DeliveryId, DriftKind, Mapping, QuarantineReason, Registry, delivery::RejectKind, drift, table};
use chrono::{TimeZone, Utc};
use proptest::prelude::*;

use super::{
    super::{HeadOutcome, find_head},
    *,
};

mod dialects;

const HEADER: &str = "Entry Summary Number,Entry Summary Line Number,Tariff Ordinal Number,Entry Date,Country of Origin Code,\
                      Line Tariff Quantity (1),Line Tariff Goods Value Amount,Line Tariff Duty Amount";

fn stamp() -> Stamp {
    let as_of = Utc.with_ymd_and_hms(2025, 6, 1, 0, 0, 0).unwrap();
    Stamp { delivery_id: "0190a5a8-0000-7000-8000-000000000001".parse::<DeliveryId>().unwrap(), as_of }
}

fn reader(bytes: &[u8], limits: Limits) -> (Head, RowReader) {
    let head = match find_head(bytes, true, Registry::builtin(), &|_| Mapping::default()) {
        HeadOutcome::Found(head) => head,
        other => panic!("no header: {other:?}"),
    };
    let (binding, _) = drift::bind(&head.header, Registry::builtin().edition(head.report), &Mapping::default());
    let reader = RowReader::new(&head, binding, &stamp(), limits);
    (head, reader)
}

type Outcome = Result<(Vec<RecordBatch>, Summary), Quarantine>;

/// Reads a file, its body cut at these places.
fn read_cut(bytes: &[u8], limits: Limits, places: &[usize]) -> Outcome {
    let (head, mut reader) = reader(bytes, limits);
    let body = &bytes[head.body_offset as usize..];
    let mut places: Vec<usize> = places.iter().map(|place| place % (body.len() + 1)).collect();
    places.extend([0, body.len()]);
    places.sort_unstable();
    let mut out = Vec::new();
    for pair in places.windows(2) {
        reader.push(&body[pair[0]..pair[1]], &mut out)?;
    }
    let summary = reader.finish(&mut out)?;
    assert_eq!(summary.rows_read, summary.rows_committed + summary.rows_rejected);
    assert_eq!(summary.rows_committed, out.iter().map(|batch| batch.num_rows() as u64).sum::<u64>());
    Ok((out, summary))
}

fn read(bytes: &[u8]) -> (RecordBatch, Summary) {
    let (batches, summary) = read_cut(bytes, Limits::default(), &[]).unwrap();
    (concat_batches(&batches[0].schema(), &batches).unwrap(), summary)
}

/// Every cell of every row as text.
fn all_shown(batches: &[RecordBatch]) -> Vec<Vec<String>> {
    let batch = concat_batches(&batches[0].schema(), batches).unwrap();
    batch.schema().fields().iter().map(|field| shown(&batch, field.name())).collect()
}

fn file(rows: &str) -> Vec<u8> {
    format!("{HEADER}\n{rows}").into_bytes()
}

/// One column as text; null is `-`.
fn shown(batch: &RecordBatch, column: &str) -> Vec<String> {
    let options = FormatOptions::default().with_null("-");
    let formatter = ArrayFormatter::try_new(batch.column_by_name(column).unwrap(), &options).unwrap();
    (0..batch.num_rows()).map(|row| formatter.value(row).to_string()).collect()
}

fn rescued(batch: &RecordBatch, row: usize) -> BTreeMap<String, String> {
    let map = batch.column_by_name(table::RESCUED).unwrap().as_map();
    if map.is_null(row) {
        return BTreeMap::new();
    }
    let entries = map.value(row);
    let (names, texts) = (entries.column(0).as_string::<i32>(), entries.column(1).as_string::<i32>());
    names.iter().zip(texts).map(|(name, text)| (name.unwrap().to_owned(), text.unwrap().to_owned())).collect()
}

#[test]
fn a_clean_file_becomes_typed_rows_that_know_their_place() {
    let (batch, summary) = read(&file(
        "ABC12345676,1,1,04/02/2025,NA,5,\"1,000.00\",$10.50\r\n\r\n=\"ABC12345676\",1,2,2025-04-02T00:00:00,=\"CN\",,(1.00),0\r\n",
    ));
    let names = |schema: &Schema| schema.fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>();
    assert_eq!(names(&batch.schema()), names(&table::schema(&Registry::builtin().edition(Report::Es003).columns)));
    assert_eq!(shown(&batch, "entry_summary_number"), ["ABC12345676", "ABC12345676"]);
    assert_eq!(shown(&batch, "tariff_ordinal_number"), ["1", "2"]);
    assert_eq!(shown(&batch, "entry_date"), ["2025-04-02", "2025-04-02"]);
    assert_eq!(shown(&batch, "country_of_origin_code"), ["NA", "CN"]);
    assert_eq!(shown(&batch, "line_tariff_quantity_1"), ["5.0000", "-"]);
    assert_eq!(shown(&batch, "line_tariff_goods_value_amount"), ["1000.00", "-1.00"]);
    assert_eq!(shown(&batch, "importer_number"), ["-", "-"]);
    assert_eq!(shown(&batch, "_row"), ["1", "2"]);
    assert_eq!(shown(&batch, "_line"), ["2", "4"]);
    assert_eq!(shown(&batch, "_rescued"), ["-", "-"]);
    assert_eq!(shown(&batch, "_repairs"), ["-", "-"]);
    assert_eq!((summary.rows_read, summary.rows_committed, summary.cells_rescued), (2, 2, 0));
    assert!(summary.rejects.is_empty() && summary.findings.is_empty());
    let totals: Vec<_> = summary.control_totals.iter().map(|total| (total.column.as_str(), total.sum.as_str())).collect();
    assert_eq!(totals, [("Line Tariff Goods Value Amount", "999.00"), ("Line Tariff Duty Amount", "10.50")]);
}

#[test]
fn a_cell_that_fails_its_type_is_rescued_and_its_row_stays() {
    let (batch, summary) = read(&file("ABC12345676,1,1,13/45/2025,CN, n/a ,1.234,2.00\n"));
    assert_eq!(shown(&batch, "entry_date"), ["-"]);
    assert_eq!(shown(&batch, "line_tariff_goods_value_amount"), ["-"]);
    let kept = [("Entry Date", "13/45/2025"), ("Line Tariff Goods Value Amount", "1.234"), ("Line Tariff Quantity (1)", " n/a ")];
    assert_eq!(rescued(&batch, 0), kept.map(|(name, text)| (name.to_owned(), text.to_owned())).into());
    assert_eq!((summary.rows_committed, summary.rows_rejected, summary.cells_rescued), (1, 0, 3));
    let reject = &summary.rejects[0];
    assert_eq!((reject.row, reject.line, reject.scope), (1, 2, RejectScope::Cell));
    assert_eq!(reject.byte, HEADER.len() as u64 + 1);
    assert_eq!((reject.column.as_deref(), reject.text.as_str()), (Some("Entry Date"), "13/45/2025"));
    assert_eq!(reject.reason, "`Entry Date`: no such day in the calendar");
    assert_eq!(summary.rejects[2].reason, "`Line Tariff Goods Value Amount`: more than two decimals");
    assert_eq!(summary.control_totals[0].sum, "0.00");
}

#[test]
fn unknown_columns_are_kept_in_rescued_by_name() {
    let bytes = format!(
        "{HEADER},Broker Remark,Broker Remark,\nABC12345676,1,1,,CN,1,1,1,\"see, file\",=\"007\",\nABC12345676,1,2,,CN,1,1,1,, ,\n"
    );
    let (batch, summary) = read(bytes.as_bytes());
    let kept = rescued(&batch, 0);
    assert_eq!(kept.len(), 2, "{kept:?}");
    assert_eq!(kept["Broker Remark"], "see, file");
    assert!(kept.values().any(|text| text == "=\"007\""), "{kept:?}");
    assert_eq!(rescued(&batch, 1), BTreeMap::new());
    assert_eq!((summary.cells_rescued, summary.rejects.len()), (2, 0));
}

#[test]
fn rows_that_cannot_be_told_apart_or_read_are_rejected_with_their_place() {
    let rows = "ABC12345676,1,1,,CN,1,1,1\n\
                ,1,1,,CN,1,1,1\n\
                ABC12345676,,1,,CN,1,1,1\n\
                ABC12345676,1,one,,CN,1,1,1\n\
                ABC12345676,1,1,,CN,1,1\n\
                ABC12345676,1,1,,CN,1,1,1,1\n\
                ABC12345676,1,1,,CN,1,1,1,\n\
                ABC1234\x005676,1,1,,CN,1,1,1\n\
                Total,,,,,,100,200\n\
                1.01E+10,1,1,,CN,1,1,1\n\
                \n   \n\
                ABC12345676,1,1,,\"CN,1,1,1\n";
    let (batch, summary) = read(&file(rows));
    assert_eq!(shown(&batch, "_row"), ["1"]);
    assert_eq!((summary.rows_read, summary.rows_committed, summary.rows_rejected), (11, 1, 10));
    let told: Vec<_> = summary.rejects.iter().map(|reject| (reject.row, reject.line, reject.reason.as_str())).collect();
    let expected = [
        (2, 3, "`Entry Summary Number`: empty, so the row cannot be told apart"),
        (3, 4, "`Entry Summary Line Number`: empty, so the row cannot be told apart"),
        (4, 5, "`Tariff Ordinal Number`: not a whole number"),
        (5, 6, "ragged: 7 cells, header has 8"),
        (6, 7, "ragged: 9 cells, header has 8"),
        // One delimiter too many is no habit of this file: a cell may have moved.
        (7, 8, "ragged: 9 cells, header has 8"),
        (8, 9, "holds NUL bytes, which no text has; export the report again"),
        (9, 10, "a line of totals and no row"),
        (
            10,
            11,
            "`Entry Summary Number`: turned into a rounded number by a spreadsheet; export it again and do not save it there",
        ),
        (11, 14, "a quote is opened and never closed before the file ends"),
    ];
    assert_eq!(told, expected);
    assert!(summary.rejects.iter().all(|reject| reject.scope == RejectScope::Row));
    assert_eq!(summary.rejects[3].text, "ABC12345676,1,1,,CN,1,1");
    assert_eq!(summary.rejects[0].column.as_deref(), Some("Entry Summary Number"));
    // A rejected row counts in no total.
    assert_eq!(summary.control_totals[0].sum, "1.00");
}

#[test]
fn mends_are_noted_in_repairs() {
    let (batch, summary) = read(&file("ABC-1234567-6,1,1,04/02/2025 13:30,CN,1,1,1\nABC12345676,1,2,4/2/25,CN,1,1,1\n"));
    assert_eq!(shown(&batch, "entry_summary_number"), ["ABC12345676", "ABC12345676"]);
    assert_eq!(
        shown(&batch, "_repairs"),
        ["[dashes removed: Entry Summary Number, time dropped: Entry Date]", "[century added: Entry Date]"]
    );
    assert!(summary.rejects.is_empty());
}

#[test]
fn cells_that_are_not_utf_8_are_read_as_windows_1252_and_told_once() {
    // Behind the bytes that the head looks at, so that only the rows can tell.
    let mut bytes = format!("{HEADER},Importer Name\n").into_bytes();
    for row in 0..10_000 {
        bytes.extend_from_slice(format!("ABC12345676,{row},1,04/02/2025,CN,1,1.00,1.00,Nordwind Fictional GmbH\n").as_bytes());
    }
    bytes.extend_from_slice(b"ABC12345676,20000,1,04/02/2025,CN,1,1.00,1.00,Caf\xe9 Imagin\xe9 \x80\n");
    assert!(bytes.len() > super::super::HEAD_BYTES_MAX);
    let head = match find_head(&bytes[..super::super::HEAD_BYTES_MAX], false, Registry::builtin(), &|_| Mapping::default()) {
        HeadOutcome::Found(head) => head,
        other => panic!("{other:?}"),
    };
    let (binding, _) = drift::bind(&head.header, Registry::builtin().edition(head.report), &Mapping::default());
    let mut reader = RowReader::new(&head, binding, &stamp(), Limits::default());
    let mut out = Vec::new();
    reader.push(&bytes[head.body_offset as usize..], &mut out).unwrap();
    let summary = reader.finish(&mut out).unwrap();
    let last = out.last().unwrap();
    let row = last.num_rows() - 1;
    assert_eq!(shown(last, "importer_name")[row], "Café Imaginé €");
    assert_eq!(shown(last, "_repairs")[row], "[windows-1252: Importer Name]");
    assert_eq!(summary.findings.iter().map(|finding| finding.kind).collect::<Vec<_>>(), [DriftKind::Encoding]);
    // Profiles are of the sample: 4,096 rows and each 64th behind them.
    assert_eq!(summary.profiles[0].cells, 4_096 + (10_001 / 64 - 4_096 / 64));
}

#[test]
fn profiles_tell_what_the_values_look_like() {
    let (_, summary) = read(&file("ABC12345676,1,1,04/02/2025,CN,5,x,1.50\nABC12345676,2,1,2025-04-02,CN,,2.00,\n"));
    let profile = |position: usize| &summary.profiles[position];
    assert_eq!((profile(0).cells, profile(0).length_max, profile(0).integers), (2, 11, 0));
    assert_eq!((profile(1).integers, profile(1).amounts), (2, 2));
    assert_eq!((profile(3).dates, profile(3).failed), (2, 0));
    assert_eq!((profile(5).empty, profile(5).integers), (1, 1));
    assert_eq!((profile(6).amounts, profile(6).failed), (1, 1));
}

#[test]
fn kept_rejects_are_bounded_and_counts_are_not() {
    let limits = Limits { rejects_kept_max: 2, ..Limits::default() };
    let rows = "ABC12345676,1,1,x,CN,1,1,1\nABC\n,1,1,,CN,1,1,1\nABC12345676,1,1,x,CN,1,1,1\n";
    let (_, summary) = read_cut(&file(rows), limits, &[]).unwrap();
    assert_eq!((summary.rejects.len(), summary.rows_rejected, summary.cells_rescued), (2, 2, 2));
}

#[test]
fn a_header_alone_and_rows_all_rejected_are_quarantined() {
    let refused = |rows: &str| read_cut(&file(rows), Limits::default(), &[]).unwrap_err();
    assert_eq!(refused("").reason, QuarantineReason::NoRows);
    assert_eq!(refused("\r\n\n  \n").reason, QuarantineReason::NoRows);
    let all = refused("a\nb\n");
    assert_eq!((all.reason, all.nearest), (QuarantineReason::AllRejected, Some(Report::Es003)));
    assert_eq!(all.message, "all 2 rows were rejected; the first, at line 2: ragged: 1 cells, header has 8");
}

#[test]
fn one_line_of_a_hundred_megabytes_is_quarantined_and_stays_so() {
    let bytes = file("ABC12345676,1,1,,CN,1,1,1\n");
    let (head, mut reader) = reader(&bytes, Limits::default());
    let mut out = Vec::new();
    reader.push(&bytes[head.body_offset as usize..], &mut out).unwrap();
    let chunk = vec![b'a'; 1 << 20];
    let refused = (0..100).find_map(|_| reader.push(&chunk, &mut out).err()).unwrap();
    assert_eq!(refused.reason, QuarantineReason::RecordTooLong);
    assert!(refused.message.starts_with("the record at line 3 (byte "), "{}", refused.message);
    assert_eq!(reader.push(b"ABC12345676,1,1,,CN,1,1,1\n", &mut out), Err(refused.clone()));
    assert_eq!(reader.finish(&mut out).unwrap_err(), refused);
}

#[test]
fn batches_end_at_their_row_or_byte_limit() {
    let rows = "ABC12345676,1,1,,CN,1,1,1\n".repeat(10);
    let sizes = |limits: Limits| {
        let (batches, _) = read_cut(&file(&rows), limits, &[]).unwrap();
        batches.iter().map(RecordBatch::num_rows).collect::<Vec<_>>()
    };
    assert_eq!(sizes(Limits { batch_rows: 4, ..Limits::default() }), [4, 4, 2]);
    assert_eq!(sizes(Limits { batch_bytes_max: 75, ..Limits::default() }), [3, 3, 3, 1]);
}

#[test]
fn debug_shows_counts_and_no_cell() {
    let bytes = file("ABC12345676,1,1,,CN,1,1,1\n");
    let (head, mut reader) = reader(&bytes, Limits::default());
    reader.push(&bytes[head.body_offset as usize..], &mut Vec::new()).unwrap();
    let shown = format!("{reader:?}");
    assert!(shown.contains("rows_committed: 1") && !shown.contains("ABC"), "{shown}");
}

#[test]
fn sums_are_exact_where_floats_are_not() {
    let rows = "ABC12345676,1,1,,CN,1,0.10,0.01\n".repeat(1_000) + "ABC12345676,1,1,,CN,1,9999999999999999.99,-0.02\n";
    let (_, summary) = read(&file(&rows));
    let sums: Vec<_> = summary.control_totals.iter().map(|total| total.sum.as_str()).collect();
    assert_eq!(sums, ["10000000000000099.99", "9.98"]);
}

/// Rows of which many are odd in one way or another.
fn odd_rows() -> impl Strategy<Value = Vec<u8>> {
    let cell = |good: &'static str| {
        prop_oneof![
            8 => Just(good.as_bytes().to_vec()),
            1 => Just(b"".to_vec()), 1 => Just(b"\"a\nb\"".to_vec()), 1 => Just(b"=\"7\"".to_vec()), 1 => Just(b"\xe9".to_vec()),
            1 => Just(b"x,".to_vec()), 1 => Just("é".into()), 1 => Just(b"\"\"\"".to_vec()),
        ]
    };
    let row = (
        cell("ABC12345676"),
        cell("1"),
        cell("1"),
        cell("04/02/2025"),
        cell("CN"),
        cell("5"),
        cell("\"1,000.00\""),
        cell("(0.5)"),
    );
    let row = row.prop_map(|(a, b, c, d, e, f, g, h)| [a, b, c, d, e, f, g, h].join(&b","[..]));
    let line_end = prop::sample::select(vec!["\n", "\r\n", "\r", "\n\n"]);
    prop::collection::vec((row, line_end), 1..12)
        .prop_map(|rows| rows.into_iter().flat_map(|(row, line_end)| [row, line_end.into()].concat()).collect())
}

/// What a file came to, in a form that can be compared.
fn told(outcome: Outcome) -> Result<(Option<RecordBatch>, Vec<usize>, Summary), Quarantine> {
    outcome.map(|(batches, summary)| {
        let sizes = batches.iter().map(RecordBatch::num_rows).collect();
        let schema = batches.first().map_or_else(|| Schema::empty().into(), RecordBatch::schema);
        (concat_batches(&schema, &batches).ok(), sizes, summary)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_way_to_cut_the_file_changes_batches_rejects_or_sums(rows in odd_rows(), places in prop::collection::vec(any::<usize>(), 0..10)) {
        let bytes = [HEADER.as_bytes(), b"\r\n", &rows].concat();
        let limits = Limits { batch_rows: 3, ..Limits::default() };
        prop_assert_eq!(told(read_cut(&bytes, limits, &[])), told(read_cut(&bytes, limits, &places)));
    }

    #[test]
    fn every_committed_row_is_found_again_at_its_byte(rows in odd_rows()) {
        let bytes = [HEADER.as_bytes(), b"\n", &rows].concat();
        let Ok((batches, _)) = read_cut(&bytes, Limits::default(), &[]) else { return Ok(()) };
        let batch = concat_batches(&batches[0].schema(), &batches).unwrap();
        let places = batch.column_by_name(table::BYTE).unwrap().as_primitive::<Int64Type>().clone();
        for row in 0..batch.num_rows() {
            let alone = [HEADER.as_bytes(), b"\n", &bytes[places.value(row) as usize..]].concat();
            let (again, _) = read_cut(&alone, Limits { batch_rows: 1, ..Limits::default() }, &[]).unwrap();
            for column in ["entry_summary_number", "entry_date", "line_tariff_duty_amount", "_rescued", "_repairs"] {
                prop_assert_eq!(&shown(&again[0], column)[0], &shown(&batch, column)[row]);
            }
        }
    }
}

/// A cell as the one above it, or one of these: sound, blank, mended, doubtful, failing, quoted, long, not UTF-8.
fn similar_rows() -> impl Strategy<Value = Vec<Vec<Option<Vec<u8>>>>> {
    let cell =
        |texts: &'static [&'static [u8]]| prop::option::weighted(0.3, prop::sample::select(texts).prop_map(<[u8]>::to_vec));
    let number = cell(&[b"ABC12345676", b"ABC-1234567-6", b"ABC12345670", b"", b"\"ABC12345676\"", b"Total"]);
    let line = || cell(&[b"1", b"2", b"=\"3\"", b" 1 ", b"x"]);
    let date = cell(&[b"04/02/2025", b"13/01/2025", b"01/31/2025", b"2025-04-02 10:00", b"", b" ", b"99/99/2025", b"01/02/1980"]);
    let country = cell(&[b"CN", b"XX", b"", b" CN", b"\xff", b"a country's name longer than sixteen", b"\"C\"\"N\""]);
    let quantity = cell(&[b"5", b"1.25", b"", b"n/a"]);
    let money = || cell(&[b"0.00", b"10.50", b"-3.00", b"\"1,000.00\"", b"", b"1.234", b"$7"]);
    let unknown = cell(&[b"", b" ", b"see file"]);
    prop::collection::vec((number, line(), line(), date, country, quantity, money(), money(), unknown), 1..60)
        .prop_map(|rows| rows.into_iter().map(|(a, b, c, d, e, f, g, h, i)| vec![a, b, c, d, e, f, g, h, i]).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// A row is read with a look at the one above it. In batches of one row there is none above: whatever was made of the
    /// look must be there as well.
    #[test]
    fn a_row_reads_as_it_would_alone(rows in similar_rows(), places in prop::collection::vec(any::<usize>(), 0..3)) {
        let mut bytes = format!("{HEADER},Broker Remark\n").into_bytes();
        let mut above: Vec<Vec<u8>> =
            ["ABC12345676", "1", "1", "04/02/2025", "CN", "5", "10.50", "0.00", ""].map(|cell| cell.as_bytes().to_vec()).into();
        for row in rows {
            for (cell, new) in above.iter_mut().zip(row) {
                *cell = new.unwrap_or_else(|| cell.clone());
            }
            bytes.extend(above.join(&b","[..]));
            bytes.push(b'\n');
        }
        let alone = read_cut(&bytes, Limits { batch_rows: 1, ..Limits::default() }, &[]);
        let together = read_cut(&bytes, Limits::default(), &places);
        match (alone, together) {
            (Ok((alone, one)), Ok((together, other))) => {
                prop_assert_eq!(one, other);
                prop_assert_eq!(all_shown(&alone), all_shown(&together));
            }
            (alone, together) => prop_assert_eq!(alone.map(|read| read.1), together.map(|read| read.1)),
        }
    }
}
