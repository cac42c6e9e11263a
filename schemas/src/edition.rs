//! An edition: one dated version of a report's columns, reviewed like law and compiled in.
//! Promise: each column carries CBP's name, its aliases, type, format, need and evidence.
//! Never: no position binds a column; the default layout's order is known only to report reordering.

use arrow_schema::DataType;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    report::Report,
    rules::Code,
};

/// One dated version of a report's schema.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edition {
    pub report: Report,
    /// CBP's title of the report.
    pub title: String,
    /// First day from which this layout is believed to hold (ISO date).
    pub effective: NaiveDate,
    /// What is known of this layout, and how surely.
    pub evidence: String,
    #[serde(rename = "column")]
    pub columns: Vec<Column>,
}

/// One column of an edition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// CBP's spelling, `Line Tariff Duty Amount`.
    pub name: String,
    /// Other spellings seen in the wild; folded before comparison.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    #[serde(rename = "type")]
    pub kind: ColumnType,
    /// What kind of code the texts are: how a damaged one is mended, and which deserve a remark (`rules/codes.toml`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// How CBP writes the values, for a reader of the edition.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub format: String,
    pub required: Required,
    /// The uses that need this column: `tie-out`, `fees`, `deadlines`, `cape`, `history`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uses: Vec<String>,
    /// 1-based position in CBP's default layout; absent for columns that users add.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordinal: Option<u16>,
    pub evidence: Evidence,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// The column's name in tables, where it is not the snake case of its own: what means the same is called the same.
    #[serde(default, rename = "field", skip_serializing_if = "Option::is_none")]
    pub table_name: Option<String>,
    /// May hold personal data (a Social Security number as importer number, say).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub personal: bool,
}

impl Column {
    /// Snake case of the CBP name, the column's name in tables: `HTS Number - Full` is `hts_number_full`.
    pub fn field(&self) -> String {
        self.table_name.clone().unwrap_or_else(|| field_name(&self.name))
    }
}

/// Snake case of a CBP column name: runs of anything but letters and digits become one `_`.
pub fn field_name(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_alphanumeric() {
            out.extend(c.to_lowercase());
        } else if !out.is_empty() && !out.ends_with('_') {
            out.push('_');
        }
    }
    out.truncate(out.trim_end_matches('_').len());
    out
}

/// How a name is compared: case, spaces and punctuation folded away.
pub fn fold(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// What a column holds. Codes are text for ever: leading zeros count, and `NA` is Namibia.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ColumnType {
    /// Text of at most so many characters, where CBP says so; longer values are kept and remarked on.
    Text(Option<u16>),
    /// Whole number, 32 bits.
    Integer,
    /// US dollars, `decimal(18,2)`.
    Money,
    /// `decimal(20,4)`.
    Quantity,
    Date,
}

impl ColumnType {
    pub fn arrow(self) -> DataType {
        match self {
            ColumnType::Text(_) => DataType::Utf8,
            ColumnType::Integer => DataType::Int32,
            ColumnType::Money => DataType::Decimal128(18, 2),
            ColumnType::Quantity => DataType::Decimal128(20, 4),
            ColumnType::Date => DataType::Date32,
        }
    }
}

impl TryFrom<String> for ColumnType {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        match text.as_str() {
            "text" => Ok(ColumnType::Text(None)),
            "integer" => Ok(ColumnType::Integer),
            "money" => Ok(ColumnType::Money),
            "quantity" => Ok(ColumnType::Quantity),
            "date" => Ok(ColumnType::Date),
            other => other
                .strip_prefix("text(")
                .and_then(|rest| rest.strip_suffix(')'))
                .and_then(|digits| digits.parse().ok())
                .map(|length| ColumnType::Text(Some(length)))
                .ok_or_else(|| Error::setup(format!("no column type `{other}`"))),
        }
    }
}

impl From<ColumnType> for String {
    fn from(kind: ColumnType) -> String {
        match kind {
            ColumnType::Text(None) => "text".into(),
            ColumnType::Text(Some(length)) => format!("text({length})"),
            ColumnType::Integer => "integer".into(),
            ColumnType::Money => "money".into(),
            ColumnType::Quantity => "quantity".into(),
            ColumnType::Date => "date".into(),
        }
    }
}

/// How much a file needs the column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Required {
    /// Without it rows cannot be told apart: the delivery is quarantined.
    Grain,
    /// Some use cannot be answered without it; see `uses`.
    Use,
    Optional,
}

/// How surely the column's exact spelling is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Evidence {
    /// The exact name was read in a public source.
    Verified,
    /// It was not; the name follows CBP's naming habit.
    Inferred,
}
