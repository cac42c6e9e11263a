//! Parse: the received bytes become Arrow batches, rejects and a summary.
//! Promise: every record is a committed row or a reject with its line and byte; any chunking gives the same answer;
//! memory is bounded by `Limits`, whatever the file's size.
//! Never: no I/O, no clock, no guess that is not recorded; no amount is rounded and no cell dropped.

use std::collections::BTreeMap;

use bonded_schemas::{ColumnProfile, ControlTotal, DeliveryId, DriftFinding, Quarantine, QuarantineReason, Reject, Report};
use chrono::{DateTime, Utc};

mod columns;
mod date;
mod head;
mod records;
mod rows;
mod tokenise;
mod value;

pub use columns::typed_column;
pub use head::{HEAD_BYTES_MAX, HEAD_COLUMNS_MAX, HEAD_RECORDS_MAX, find_head};
pub use rows::RowReader;

/// How a file's characters are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Utf8,
    /// UTF-8 behind a byte order mark, as Excel saves it.
    Utf8Bom,
    /// Bytes that are not UTF-8 were seen in the head; each such cell is read as Windows-1252.
    Windows1252,
}

impl Encoding {
    pub fn as_str(self) -> &'static str {
        match self {
            Encoding::Utf8 => "utf-8",
            Encoding::Utf8Bom => "utf-8 with byte order mark",
            Encoding::Windows1252 => "windows-1252",
        }
    }
}

/// How a file separates and quotes its cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    pub delimiter: u8,
    pub quote: u8,
    pub encoding: Encoding,
}

impl Dialect {
    /// The delimiter's name, for people.
    pub fn delimiter_name(&self) -> &'static str {
        head::delimiter_name(self.delimiter)
    }
}

/// What the first bytes of a file told: its report, its header, and where its rows begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub dialect: Dialect,
    /// Header names as delivered, trimmed and unwrapped from `="..."`, in file order.
    pub header: Vec<String>,
    /// 1-based physical line on which the header starts.
    pub header_line: u64,
    /// Byte offset in the received file behind the header's line end: feed `RowReader::push` from here on.
    pub body_offset: u64,
    /// 1-based physical line at `body_offset`.
    pub body_line: u64,
    pub report: Report,
    /// Records above the header that are not part of the table.
    pub preamble_rows: u64,
    /// File-wide drift: preamble, encoding, delimiter.
    pub findings: Vec<DriftFinding>,
    /// The header ended in a carriage return at the very end of the bytes looked at: a line feed may belong to it.
    line_feed_pending: bool,
}

impl Head {
    /// Encoding, delimiter and header row in words, for the receipt.
    pub fn describe(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            ("delimiter".to_owned(), self.dialect.delimiter_name().to_owned()),
            ("encoding".to_owned(), self.dialect.encoding.as_str().to_owned()),
            ("header_line".to_owned(), self.header_line.to_string()),
            ("preamble_rows".to_owned(), self.preamble_rows.to_string()),
        ])
    }
}

/// What `find_head` made of the first bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeadOutcome {
    Found(Head),
    /// Undecided: call again with more bytes from the start of the file, up to `HEAD_BYTES_MAX`.
    NeedMore,
    Quarantine(Quarantine),
}

/// What every row of one delivery carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub delivery_id: DeliveryId,
    /// When CBP ran the report, as far as known; kept to the microsecond.
    pub as_of: DateTime<Utc>,
}

/// What bounds the memory of one reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A record longer than this quarantines the file: it is a lost quote or no table at all.
    pub record_bytes_max: usize,
    /// Rows of a full batch.
    pub batch_rows: usize,
    /// A batch is also full when the text of its rows reaches this size.
    pub batch_bytes_max: usize,
    /// Rejects kept with their text; the counts go on beyond it.
    pub rejects_kept_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { record_bytes_max: 1 << 20, batch_rows: 16_384, batch_bytes_max: 16 << 20, rejects_kept_max: 1_000 }
    }
}

/// What the rows of a file came to.
///
/// `rows_read == rows_committed + rows_rejected`, always.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Records below the header, blank lines not counted.
    pub rows_read: u64,
    pub rows_committed: u64,
    pub rows_rejected: u64,
    /// Entries in `_rescued`: cells of unknown columns and cells that failed their type.
    pub cells_rescued: u64,
    /// Exact sum of every money column that the file has, over the committed rows, by CBP name, in table order.
    pub control_totals: Vec<ControlTotal>,
    /// The first rejects, in file order, up to `Limits::rejects_kept_max`.
    pub rejects: Vec<Reject>,
    /// One per header position, over a sample that does not depend on chunking: the first 4,096 rows of the right
    /// width, then each 64th. Counts are of the sampled cells, so that shares of them are true.
    pub profiles: Vec<ColumnProfile>,
    /// File-wide drift that only the rows could show: encoding.
    pub findings: Vec<DriftFinding>,
}

fn quarantine(reason: QuarantineReason, nearest: Option<Report>, message: impl Into<String>) -> Quarantine {
    Quarantine { reason, message: message.into(), nearest }
}
