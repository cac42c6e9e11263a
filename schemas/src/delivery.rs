//! A delivery: one received file, what it became, and what could not be read of it.
//! Promise: nothing received is lost; each row of a file is a row of a table or a reject with its place.

use std::{collections::BTreeMap, fmt, str::FromStr};

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    drift::Drift,
    envelope::Envelope,
    error::{Error, Result},
    mail::MailReport,
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
    /// The tenant's drop folder, which `bonded serve` watches.
    Inbox,
    /// An upload to the front desk.
    Api,
    /// A message to the tenant's ingest address: what is landed is the whole of it, and its attachments are members.
    Mail,
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
    /// The archive or workbook that it came in; none when it came by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Container>,
    /// What the sender's own papers say of it: the prompts on a workbook's sheet "Parameters". Never used to read it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub provenance: BTreeMap<String, String>,
    /// Of a mail: what its carrier said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub envelope: Option<Box<Envelope>>,
    /// Reference of the power of attorney that a broker's machine delivered under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poa: Option<String>,
}

/// Where in which other delivery a member lay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    pub delivery_id: DeliveryId,
    /// Its name there, cut to 256 characters, control characters escaped.
    pub member: String,
}

/// What a container's receipt says of one member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    pub delivery_id: DeliveryId,
    /// Its name in this container; the delivery keeps the name under which its bytes came first.
    pub name: String,
    /// When the container was sealed; the ledger has the state of today.
    pub state: DeliveryState,
    /// Its bytes had been delivered by another way before.
    pub duplicate: bool,
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
    /// A container: each of its members is a delivery of its own.
    Unpacked,
}

impl DeliveryState {
    pub fn as_str(self) -> &'static str {
        match self {
            DeliveryState::Landed => "landed",
            DeliveryState::Committed => "committed",
            DeliveryState::Quarantined => "quarantined",
            DeliveryState::Unpacked => "unpacked",
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
            "unpacked" => Ok(DeliveryState::Unpacked),
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
    /// An archive or workbook behind a password.
    Encrypted,
    /// A container that would unpack to more than the limits allow: size, ratio, members, depth, bytes used twice.
    Bomb,
    /// A container that is cut, contradicts itself, or is packed by a method that is not read.
    BrokenContainer,
    /// Workers failed over it as often as they may; nothing says that the file itself is bad.
    GaveUp,
    /// A mail that the tenant's mail policy does not take reports from.
    MailRefused,
    /// A mail in which the service that took it in found malware.
    Malware,
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
    /// What it is, if it is no row of the table at all.
    #[serde(default)]
    pub kind: RejectKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RejectScope {
    Row,
    Cell,
}

/// What a reject turned out to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RejectKind {
    /// A row or cell of the table that cannot be read as such.
    #[default]
    Unreadable,
    /// A line of totals or subtotals.
    Total,
    /// The header, or what stands above it, once more, as page breaks print it.
    RepeatedHeader,
    /// A note around the table: page number, run date, end of report.
    Footer,
}

impl RejectKind {
    pub fn as_str(self) -> &'static str {
        match self {
            RejectKind::Unreadable => "unreadable",
            RejectKind::Total => "total",
            RejectKind::RepeatedHeader => "repeated_header",
            RejectKind::Footer => "footer",
        }
    }
}

/// The sum of one money column over the committed rows, to check against what was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlTotal {
    pub column: String,
    /// Decimal string, two places.
    pub sum: String,
}

/// What deserves a look though it was read: nothing was dropped or changed for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    pub rule: WarningRule,
    /// CBP name of the column; absent when the whole file is meant.
    pub column: Option<String>,
    /// Cells, or data rows when the whole file is meant. Complete, unlike the examples.
    pub count: u64,
    /// The first few, in file order.
    pub examples: Vec<WarningExample>,
}

/// One cell that a warning speaks of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WarningExample {
    /// 1-based physical line where the record starts.
    pub line: u64,
    /// Byte offset where the record starts in the received file.
    pub byte: u64,
    /// The original text, cut to 64 characters; empty where the column may hold personal data.
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WarningRule {
    EntryNumberCheckDigit,
    EntryNumberShape,
    EntryTypeUnknown,
    CountryUnknown,
    PortShape,
    HtsLength,
    TextTooLong,
    #[serde(rename = "date_before_1990")]
    DateBefore1990,
    DateFarFuture,
    /// Dates that can only be read the other way round, in a file that shows both ways.
    DateOrderMixed,
    /// The file writes the day first: every date in it was read so.
    DateDayFirst,
    MoneyNegative,
    SheetLimit,
}

impl WarningRule {
    pub const ALL: [WarningRule; 13] = [
        WarningRule::EntryNumberCheckDigit,
        WarningRule::EntryNumberShape,
        WarningRule::EntryTypeUnknown,
        WarningRule::CountryUnknown,
        WarningRule::PortShape,
        WarningRule::HtsLength,
        WarningRule::TextTooLong,
        WarningRule::DateBefore1990,
        WarningRule::DateFarFuture,
        WarningRule::DateOrderMixed,
        WarningRule::DateDayFirst,
        WarningRule::MoneyNegative,
        WarningRule::SheetLimit,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            WarningRule::EntryNumberCheckDigit => "entry_number_check_digit",
            WarningRule::EntryNumberShape => "entry_number_shape",
            WarningRule::EntryTypeUnknown => "entry_type_unknown",
            WarningRule::CountryUnknown => "country_unknown",
            WarningRule::PortShape => "port_shape",
            WarningRule::HtsLength => "hts_length",
            WarningRule::TextTooLong => "text_too_long",
            WarningRule::DateBefore1990 => "date_before_1990",
            WarningRule::DateFarFuture => "date_far_future",
            WarningRule::DateOrderMixed => "date_order_mixed",
            WarningRule::DateDayFirst => "date_day_first",
            WarningRule::MoneyNegative => "money_negative",
            WarningRule::SheetLimit => "sheet_limit",
        }
    }

    /// What was seen and what became of it, for people.
    pub fn says(self) -> &'static str {
        match self {
            WarningRule::EntryNumberCheckDigit => "the check digit is not that of CATAIR AE table 1; some filers count otherwise",
            WarningRule::EntryNumberShape => "not three letters or digits and eight digits",
            WarningRule::EntryTypeUnknown => "no entry type that we know",
            WarningRule::CountryUnknown => "no country code that we know",
            WarningRule::PortShape => "not the four digits of a port",
            WarningRule::HtsLength => "not the 8 or 10 digits of a tariff number",
            WarningRule::TextTooLong => "longer than the column is known to be",
            WarningRule::DateBefore1990 => "a date before 1990, as a spreadsheet makes of a blank; kept as text",
            WarningRule::DateFarFuture => "more than two years after the report was run",
            WarningRule::DateOrderMixed => {
                "can only be read day before month, in a file with dates that can only be month before day; kept as text"
            }
            WarningRule::DateDayFirst => "read day before month, for the file holds dates that can only be read so",
            WarningRule::MoneyNegative => "a negative amount",
            WarningRule::SheetLimit => "as many rows as a spreadsheet holds: rows may be cut off behind the last one",
        }
    }
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
    /// Each detected trait of the file with its evidence: encoding, delimiter, quotes, line ends, preamble, totals, styles.
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
    /// What was read and deserves a look, by column in table order, the whole file last.
    #[serde(default)]
    pub warnings: Vec<Warning>,
    /// First and last entry date of the committed rows, where the report has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry_dates: Option<(NaiveDate, NaiveDate)>,
    pub snapshot_id: Option<i64>,
    pub quarantine: Option<Quarantine>,
    /// Of a container: what each member became, in the container's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Member>,
    /// Of a mail: what it was found to be, and who sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail: Option<Box<MailReport>>,
    pub sealed_at: DateTime<Utc>,
}
