//! A delivery: one received file, what it became, and what could not be read of it.
//! Promise: nothing received is lost; each row of a file is a row of a table or a reject with its place.

use std::{collections::BTreeMap, fmt, str::FromStr};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    drift::Drift,
    error::{Error, Result},
    report::Report,
};

/// Time-ordered (UUID version 7), so that deliveries sort by arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeliveryId(pub Uuid);

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for DeliveryId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Uuid::parse_str(text).map(DeliveryId).map_err(|_| {
            Error::input(format!("`{}` is not a delivery id; `bonded deliveries` lists them", text.escape_default()))
        })
    }
}

/// How a file reached us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// The command line: a file, a folder, or standard input.
    Console,
}

/// Provenance: who sent what, when, and which day it speaks of. Sealed beside the bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    pub id: DeliveryId,
    pub channel: Channel,
    pub actor: String,
    /// As the sender named it; never used to recognise the report.
    pub file_name: String,
    pub received_at: DateTime<Utc>,
    /// When CBP ran the report, as far as known; the time of receipt otherwise.
    pub as_of: DateTime<Utc>,
}

/// Where a delivery stands. Each state is reached once and in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    /// The bytes are sealed in the raw zone; nothing else is sure.
    Landed,
    /// Its rows are in a snapshot.
    Committed,
    /// It cannot become rows as it is; the bytes are kept and can be replayed.
    Quarantined,
}

impl DeliveryState {
    pub fn as_str(self) -> &'static str {
        match self {
            DeliveryState::Landed => "landed",
            DeliveryState::Committed => "committed",
            DeliveryState::Quarantined => "quarantined",
        }
    }
}

impl FromStr for DeliveryState {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "landed" => Ok(DeliveryState::Landed),
            "committed" => Ok(DeliveryState::Committed),
            "quarantined" => Ok(DeliveryState::Quarantined),
            other => Err(Error::input(format!("no delivery state `{other}`"))),
        }
    }
}

/// Why a whole file stays out of the tables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    pub reason: QuarantineReason,
    /// Names the object and the mend; may quote header names, so it is sealed with the receipt.
    pub message: String,
    /// The report it most resembles, if any.
    pub nearest: Option<Report>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuarantineReason {
    /// Zero bytes, or nothing but blank lines.
    Empty,
    /// Text that is not a table, or bytes that are not text.
    NotCsv,
    /// A table, but the header of no report we know.
    UnknownReport,
    /// A known report without a column that tells its rows apart.
    GrainMissing,
    /// Looks like the report but ACE does not export it.
    Impostor,
    /// A known header and no rows below it.
    NoRows,
    /// A grain column bound twice.
    Ambiguous,
    /// One record longer than the limit.
    RecordTooLong,
    /// Every row was rejected.
    AllRejected,
}

/// A row, or a cell, that could not be read as its column says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reject {
    /// 1-based data row (the header is not counted).
    pub row: u64,
    /// 1-based physical line where the record starts.
    pub line: u64,
    /// Byte offset where the record starts in the received file.
    pub byte: u64,
    /// CBP name of the column, when one cell is to blame.
    pub column: Option<String>,
    /// The original text of the cell or record, cut to 256 characters.
    pub text: String,
    pub reason: String,
    /// `row`: the row is not in the table. `cell`: the row is, and the text lies in `_rescued`.
    pub scope: RejectScope,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RejectScope {
    Row,
    Cell,
}

/// The sum of one money column over the committed rows, to check against what was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlTotal {
    pub column: String,
    /// Decimal string, two places.
    pub sum: String,
}

/// What a delivery became. The last thing written for it; sealed in the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    pub delivery: Delivery,
    pub state: DeliveryState,
    pub report: Option<Report>,
    /// SHA-256 of the received bytes, hex.
    pub sha256: String,
    /// HMAC-SHA-256 of that digest under the tenant's name key, hex: the only form that lies in the clear.
    pub keyed_digest: String,
    pub size_bytes: u64,
    pub raw_path: String,
    /// Encoding, delimiter and header row, as detected.
    pub dialect: BTreeMap<String, String>,
    /// Effective date of the edition the header was checked against.
    pub edition: Option<String>,
    pub rows_read: u64,
    pub rows_committed: u64,
    pub rows_rejected: u64,
    pub cells_rescued: u64,
    pub control_totals: Vec<ControlTotal>,
    pub drift: Drift,
    /// The first rejects, in file order, up to the limit in settings; the counts above are complete.
    pub rejects: Vec<Reject>,
    pub snapshot_id: Option<i64>,
    pub quarantine: Option<Quarantine>,
    pub sealed_at: DateTime<Utc>,
}
