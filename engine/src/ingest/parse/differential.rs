//! The tokeniser against csv-async, cell for cell: all delimiters, quotes, line ends and ways to cut the bytes, on files
//! generated, mutated, and of the corpus. `records/tests.rs` has the plain dialect; here are the others.
//! Where the two part company on purpose, it is said at the test.

use bonded_schemas::Report;
use futures::{StreamExt, executor::block_on};
use proptest::prelude::*;

use super::{
    evidence::LineEnds,
    records::{Beginning, Record, Records},
    tokenise::{Cell, Tokeniser},
};
use crate::demo::corpus::{Corpus, Plan};

const DELIMITERS: [u8; 4] = [b',', b'\t', b';', b'|'];
const QUOTES: [u8; 2] = [b'"', b'\''];
const LINE_ENDS: [&str; 3] = ["\n", "\r\n", "\r"];
const RECORD_BYTES_MAX: usize = 1 << 20;

/// What a file is written in, and read with by both.
#[derive(Clone, Copy, Debug)]
struct Dialect {
    delimiter: u8,
    quote: u8,
    escape: Option<u8>,
    line_end: &'static str,
}

type Cells = Vec<Vec<Vec<u8>>>;

/// Our records up to the first that the end of the file cut off inside quotes; whether there was one.
fn ours(dialect: Dialect, chunks: &[&[u8]]) -> (Cells, bool) {
    let tokeniser = Tokeniser::new(dialect.delimiter, dialect.quote).with_escape(dialect.escape);
    let from = Beginning { offset: 0, line: 1, after_return: false, wide: false, line_ends: LineEnds::default() };
    let mut records = Records::new(tokeniser, RECORD_BYTES_MAX, from);
    let (mut all, mut lost) = (Vec::new(), false);
    let mut each = |record: Record<'_>| {
        lost |= record.unterminated;
        if !lost {
            all.push(record.cells.iter().map(|cell| text(tokeniser, record.bytes, *cell)).collect());
        }
    };
    for chunk in chunks {
        records.push(chunk, &mut each).expect("shorter than the limit");
    }
    records.finish(&mut each);
    (all, lost)
}

fn text(tokeniser: Tokeniser, record: &[u8], cell: Cell) -> Vec<u8> {
    let mut out = record[cell.range()].to_vec();
    if cell.escaped {
        tokeniser.unescape(&record[cell.range()], &mut out);
    }
    out
}

fn csv_async(dialect: Dialect, bytes: &[u8]) -> Cells {
    let mut builder = csv_async::AsyncReaderBuilder::new();
    builder.has_headers(false).flexible(true).delimiter(dialect.delimiter).quote(dialect.quote).escape(dialect.escape);
    let mut reader = builder.create_reader(bytes);
    block_on(reader.byte_records().map(|record| record.expect("bytes in memory").iter().map(<[u8]>::to_vec).collect()).collect())
}

/// Both read the same; behind a quote that never closes ours reads on line by line, and csv-async makes one record of it.
fn agree(dialect: Dialect, bytes: &[u8], chunks: &[&[u8]]) -> Result<(), TestCaseError> {
    let ((ours, lost), theirs) = (ours(dialect, chunks), csv_async(dialect, bytes));
    prop_assert!(
        if lost { ours.len() <= theirs.len() } else { ours.len() == theirs.len() },
        "{:?}",
        bytes.escape_ascii().to_string()
    );
    for (at, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        prop_assert_eq!(ours, theirs, "record {} of {:?}", at, bytes.escape_ascii().to_string());
    }
    Ok(())
}

fn cut<'a>(bytes: &'a [u8], places: &[usize]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = places.iter().map(|place| place % (bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

fn write(dialect: Dialect, rows: &[Vec<(Vec<u8>, bool)>]) -> Vec<u8> {
    let Dialect { delimiter, quote, escape, line_end } = dialect;
    let mut out = Vec::new();
    for row in rows {
        for (place, (cell, quoted)) in row.iter().enumerate() {
            out.extend((place > 0).then_some(delimiter));
            let special = |byte: &u8| [delimiter, quote, b'\r', b'\n'].contains(byte) || Some(*byte) == escape;
            if !quoted && !cell.iter().any(special) {
                out.extend(cell);
                continue;
            }
            out.push(quote);
            for byte in cell {
                let mark = escape.unwrap_or(quote);
                out.extend((*byte == quote || Some(*byte) == escape).then_some(mark));
                out.push(*byte);
            }
            out.push(quote);
        }
        out.extend(line_end.bytes());
    }
    out
}

fn dialect(escapes: &'static [Option<u8>]) -> impl Strategy<Value = Dialect> {
    let parts = (
        prop::sample::select(&DELIMITERS[..]),
        prop::sample::select(&QUOTES[..]),
        prop::sample::select(escapes),
        prop::sample::select(&LINE_ENDS[..]),
    );
    parts.prop_map(|(delimiter, quote, escape, line_end)| Dialect { delimiter, quote, escape, line_end })
}

/// At least two cells a row: a row of one empty cell is a blank line, which both pass over.
fn rows() -> impl Strategy<Value = Vec<Vec<(Vec<u8>, bool)>>> {
    let cell = prop_oneof![
        4 => "[A-Za-z0-9 .]{0,14}".prop_map(String::into_bytes),
        2 => "[ab,;|\t\"'\\\\\r\n=]{0,9}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..6),
        1 => Just("Größe – 5 €".as_bytes().to_vec()),
        1 => Just(b"=\"0401\"".to_vec()),
    ];
    prop::collection::vec(prop::collection::vec((cell, any::<bool>()), 2..7), 0..10)
}

/// One change of a file's bytes.
#[derive(Clone, Debug)]
enum Change {
    Insert(usize, Vec<u8>),
    Replace(usize, u8),
    Remove(usize, usize),
    Repeat(usize, usize),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let word = prop_oneof![
        6 => prop::sample::select(vec![&b"\""[..], b"'", b",", b";", b"\t", b"|", b"\r", b"\n", b"\r\n", b"\\", b"\"\"", b"\",\"", b"\0"])
            .prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 1..4),
    ];
    let change = prop_oneof![
        4 => (any::<usize>(), word).prop_map(|(place, bytes)| Change::Insert(place, bytes)),
        2 => (any::<usize>(), any::<u8>()).prop_map(|(place, byte)| Change::Replace(place, byte)),
        2 => (any::<usize>(), 1..40usize).prop_map(|(place, length)| Change::Remove(place, length)),
        1 => (any::<usize>(), 1..40usize).prop_map(|(place, length)| Change::Repeat(place, length)),
    ];
    prop::collection::vec(change, 1..6)
}

fn mutate(mut bytes: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        let length = bytes.len();
        let range = |place: usize, span: usize| place % (length + 1)..length.min(place % (length + 1) + span);
        match change {
            Change::Insert(place, word) => drop(bytes.splice(range(*place, 0), word.iter().copied())),
            Change::Replace(place, byte) => drop(bytes.splice(range(*place, 1), [*byte])),
            Change::Remove(place, span) => drop(bytes.drain(range(*place, *span))),
            Change::Repeat(place, span) => {
                let again = bytes[range(*place, *span)].to_vec();
                drop(bytes.splice(range(*place, 0), again));
            }
        }
    }
    bytes
}

/// ES-003 rows of the corpus in another dialect.
fn corpus_rows() -> Vec<Vec<(Vec<u8>, bool)>> {
    let mut bytes = Vec::new();
    Corpus::new(Plan::new(5, 6)).expect("fit").write(Report::Es003, &mut bytes).expect("written");
    let plain = Dialect { delimiter: b',', quote: b'"', escape: None, line_end: "\n" };
    csv_async(plain, &bytes).into_iter().map(|row| row.into_iter().map(|cell| (cell, false)).collect()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn generated_files_of_every_dialect_read_as_written_and_as_csv_async_reads_them(
        dialect in dialect(&[None, Some(b'\\')]),
        rows in rows(),
        places in prop::collection::vec(any::<usize>(), 0..8),
    ) {
        let bytes = write(dialect, &rows);
        let chunks = cut(&bytes, &places);
        agree(dialect, &bytes, &chunks)?;
        let written: Cells = rows.into_iter().map(|row| row.into_iter().map(|(cell, _)| cell).collect()).collect();
        prop_assert_eq!(ours(dialect, &chunks), (written, false));
    }

    #[test]
    fn mutated_files_of_every_dialect_read_as_csv_async_reads_them(
        dialect in dialect(&[None]),
        rows in rows(),
        changes in changes(),
        places in prop::collection::vec(any::<usize>(), 0..8),
    ) {
        let bytes = mutate(write(dialect, &rows), &changes);
        agree(dialect, &bytes, &cut(&bytes, &places))?;
    }

    /// csv-async drops an escape before any byte; ours keeps it before what needs none, as in `C:\temp`. So cells are
    /// counted here and not compared: what is escaped decides where cells end.
    #[test]
    fn mutated_files_with_an_escape_end_cells_and_records_where_csv_async_ends_them(
        dialect in dialect(&[Some(b'\\')]),
        rows in rows(),
        changes in changes(),
        places in prop::collection::vec(any::<usize>(), 0..8),
    ) {
        let bytes = mutate(write(dialect, &rows), &changes);
        let ((ours, lost), theirs) = (ours(dialect, &cut(&bytes, &places)), csv_async(dialect, &bytes));
        prop_assert!(lost || ours.len() == theirs.len());
        let widths = |cells: &Cells| cells.iter().map(Vec::len).take(ours.len()).collect::<Vec<_>>();
        prop_assert_eq!(widths(&ours), widths(&theirs), "{:?}", bytes.escape_ascii().to_string());
    }

    #[test]
    fn mutated_reports_of_the_corpus_read_as_csv_async_reads_them(
        dialect in dialect(&[None]),
        quote_all in any::<bool>(),
        changes in changes(),
        chunk_bytes in 1..4_000usize,
    ) {
        let mut rows = corpus_rows();
        rows.iter_mut().flatten().for_each(|(_, quoted)| *quoted = quote_all);
        let bytes = mutate(write(dialect, &rows), &changes);
        agree(dialect, &bytes, &bytes.chunks(chunk_bytes).collect::<Vec<_>>())?;
    }
}
