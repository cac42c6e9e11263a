//! What ACE gives out and we take in: the three reports of the Entry Summary universe, by CBP's codes, and CAPE's claim details.
//! Grain: ES-001 one row per entry summary, ES-002 per line, ES-003 per tariff ordinal on a line; claim details one row per
//! entry of a claim.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Report {
    /// Entry summary header: one row per entry summary.
    #[serde(rename = "ES-001")]
    Es001,
    /// Entry Summary Line Details: one row per entry summary line.
    #[serde(rename = "ES-002")]
    Es002,
    /// Entry Summary Line Tariff Details: one row per tariff ordinal of a line.
    #[serde(rename = "ES-003")]
    Es003,
    /// What CAPE answers to declarations: one row per entry of a claim. CBP gives it no code; this one is ours.
    #[serde(rename = "CAPE-CLAIMS")]
    CapeClaims,
}

impl Report {
    /// Everything that can be delivered.
    pub const ALL: [Report; 4] = [Report::Es001, Report::Es002, Report::Es003, Report::CapeClaims];
    /// The three that tell of the same entry summaries, and so can be held against each other.
    pub const ENTRY_SUMMARIES: [Report; 3] = [Report::Es001, Report::Es002, Report::Es003];

    /// CBP's code, `ES-003`; `CAPE-CLAIMS`, which has none.
    pub fn code(self) -> &'static str {
        match self {
            Report::Es001 => "ES-001",
            Report::Es002 => "ES-002",
            Report::Es003 => "ES-003",
            Report::CapeClaims => "CAPE-CLAIMS",
        }
    }

    /// Whether rows are of the month of their pull: the default layout has no entry date.
    pub fn is_dated_by_pull(self) -> bool {
        matches!(self, Report::Es002 | Report::CapeClaims)
    }

    /// Name of the append-only history table, `es_003`.
    pub fn table(self) -> &'static str {
        match self {
            Report::Es001 => "es_001",
            Report::Es002 => "es_002",
            Report::Es003 => "es_003",
            Report::CapeClaims => "cape_claim_details",
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

impl FromStr for Report {
    type Err = Error;

    /// Accepts `ES-003`, `es_003`, `es003`, any case.
    fn from_str(text: &str) -> Result<Self> {
        let folded: String = text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
        Report::ALL
            .into_iter()
            .find(|r| r.code().to_ascii_lowercase().replace('-', "") == folded)
            .ok_or_else(|| Error::input(format!("no report `{text}`; known: ES-001, ES-002, ES-003, CAPE-CLAIMS")))
    }
}
