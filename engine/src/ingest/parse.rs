//! Parse: the received bytes become Arrow batches, rejects and a summary.
//! Promise: every record is a committed row or a reject with its line and byte; any chunking gives the same answer;
//! memory is bounded by `Limits`, whatever the file's size.
//! Never: no I/O, no clock, no guess that is not recorded; no amount is rounded and no cell dropped.

use std::collections::BTreeMap;

use bonded_schemas::{
    Binding, ColumnProfile, ControlTotal, DeliveryId, DriftFinding, Quarantine, QuarantineReason, Reject, Report, Warning,
};
use chrono::{DateTime, NaiveDate, Utc};

mod columns;
mod date;
mod dialect;
#[cfg(test)]
mod differential;
mod encoding;
mod evidence;
mod furniture;
mod head;
mod quotes;
mod records;
mod repair;
mod rows;
mod style;
mod tables;
mod texts;
mod tokenise;
mod validate;
mod value;
mod width;

pub use columns::{date_order_of_row, typed_column};
pub use date::{DateEvidence, DateOrder, DateOrders};
pub use dialect::Dialect;
pub use encoding::Encoding;
pub use head::{HEAD_BYTES_MAX, HEAD_COLUMNS_MAX, HEAD_RECORDS_MAX, find_head};
pub use rows::RowReader;

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
    /// Those records as text: the first 20, at most 256 characters of each.
    pub preamble: Vec<String>,
    /// File-wide drift: preamble, encoding, delimiter.
    pub findings: Vec<DriftFinding>,
    /// Each trait with what it was known by.
    evidence: BTreeMap<String, String>,
    /// Bytes up to the body that are not UTF-8.
    high: encoding::HighBytes,
    /// Line ends up to the body.
    line_ends: evidence::LineEnds,
    /// Empty cells that rows have behind the last one, by the file's habit.
    trailing: usize,
    /// The header ended in a carriage return at the very end of the bytes looked at: a line feed may belong to it.
    line_feed_pending: bool,
}

impl Head {
    /// Each trait in words with its evidence, for the receipt. `Summary::traits` adds and corrects what only the rows tell.
    pub fn describe(&self) -> BTreeMap<String, String> {
        self.evidence.clone()
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
    /// Traits that only the rows could show, with their evidence: line ends, totals, ragged rows, styles. Where the head
    /// told the same trait, this is the whole file's.
    pub traits: BTreeMap<String, String>,
    /// What was read and deserves a look, by column in table order, the whole file last.
    pub warnings: Vec<Warning>,
    /// First and last entry date, where the report has them; told by who writes the rows.
    pub entry_dates: Option<(NaiveDate, NaiveDate)>,
    /// The dates are not in the orders in which they were read: commit nothing of this reading, and read the file again
    /// with `RowReader::with_date_orders`. The second reading never asks for a third.
    pub date_orders_contradicted: Option<DateOrders>,
}

/// Received bytes that are read to learn the order of the file's dates before any of them is kept.
const DATE_SAMPLE_BYTES: usize = 256 << 10;

/// The order of each date column, as far as the first bytes of the file prove it; CBP's without proof.
///
/// It only saves a second reading: what the sample does not show, `Summary::date_orders_contradicted` still tells.
pub fn date_orders(head: &Head, binding: &Binding, stamp: &Stamp, first: &[u8]) -> DateOrders {
    let body = usize::try_from(head.body_offset).ok().and_then(|from| first.get(from..)).unwrap_or_default();
    let mut reader = RowReader::new(head, binding.clone(), stamp, Limits { batch_rows: 1_024, ..Limits::default() });
    // A record too long is found again, and reported, when the file is read.
    let _ = reader.push(&body[..body.len().min(DATE_SAMPLE_BYTES)], &mut Vec::new());
    reader.date_orders()
}

fn quarantine(reason: QuarantineReason, nearest: Option<Report>, message: impl Into<String>) -> Quarantine {
    Quarantine { reason, message: message.into(), nearest }
}
