//! CAPE: which entries can be claimed for refund of IEEPA duty in which phase, why the others cannot, and the file to upload.
//! Promise: amounts count and not numbers; each exclusion has its reason; what a missing column leaves open is said, not guessed.
//! Never: nothing is filed here (19 U.S.C. 1641), and no more than the rules in `rules/cape.toml` is assumed.

use std::sync::LazyLock;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    rules::Mark,
};

mod judge;
mod upload;

pub use upload::{UploadFile, uploads};

/// True of every entry: no column of the three reports tells it.
pub const NOT_IN_REPORTS: &str = "whether an entry stands on a drawback claim is in no column of ES-001, ES-002 and ES-003";

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CapeRules {
    #[serde(rename = "duty")]
    pub duties: Vec<IeepaDuty>,
    #[serde(rename = "phase")]
    pub phases: Vec<Phase>,
    pub upload: Upload,
    pub antidumping: Antidumping,
}

/// Tariff numbers under which duty was paid, and when.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IeepaDuty {
    /// First six digits of the number.
    pub prefix: String,
    /// First entry date.
    pub from: NaiveDate,
    /// First entry date no longer covered.
    pub until: NaiveDate,
    pub mark: Mark,
    pub source: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    pub number: u8,
    /// Unknown for a phase that was announced and not seen to open.
    pub opens: Option<NaiveDate>,
    /// First day on which it is closed.
    pub closes: Option<NaiveDate>,
    pub liquidation: Liquidation,
    /// Days after liquidation up to which an entry counts as recent, and beyond which as final.
    pub liquidated_days_max: i64,
    pub reconciliation_flag: Flag,
    pub only_types: Option<Vec<String>>,
    pub excluded_types: Vec<String>,
    pub mark: Mark,
    pub source: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Liquidation {
    OpenOrRecent,
    Final,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flag {
    Excluded,
    Needed,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upload {
    pub header: String,
    pub entries_max: usize,
    pub mark: Mark,
    pub source: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Antidumping {
    pub entry_types: Vec<String>,
    pub mark: Mark,
    pub source: String,
}

/// The rules as compiled in.
pub fn cape_rules() -> &'static CapeRules {
    static RULES: LazyLock<CapeRules> =
        LazyLock::new(|| parse_cape(include_str!("../rules/cape.toml")).expect("compiled in, and a test proves that it parses"));
    &RULES
}

/// Reads a rule file. Fails (set-up) on a prefix that is not six digits and on a span that ends before it begins.
pub fn parse_cape(text: &str) -> Result<CapeRules> {
    let rules: CapeRules =
        toml::from_str(text).map_err(|e| Error::setup(format!("CAPE rules cannot be read: {}", e.message())))?;
    for duty in &rules.duties {
        if duty.prefix.len() != 6 || !duty.prefix.bytes().all(|b| b.is_ascii_digit()) || duty.until <= duty.from {
            return Err(Error::setup(format!("IEEPA duty `{}` needs six digits and a span of dates", duty.prefix)));
        }
    }
    if rules.upload.entries_max == 0 {
        return Err(Error::setup("a CAPE upload holds at least one entry: raise entries_max"));
    }
    Ok(rules)
}

impl CapeRules {
    pub fn phase(&self, number: u8) -> Option<&Phase> {
        self.phases.iter().find(|phase| phase.number == number)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Eligible,
    /// Nothing speaks against it, and something cannot be told.
    CannotTell,
    Excluded,
}

impl Verdict {
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Eligible => "eligible",
            Verdict::CannotTell => "cannot tell",
            Verdict::Excluded => "excluded",
        }
    }
}

/// One thing that excludes an entry, or that cannot be told of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    pub subject: Subject,
    pub verdict: Verdict,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    Amount,
    EntryNumber,
    EntryType,
    Importer,
    Liquidation,
    Reconciliation,
    Protest,
    Antidumping,
}

/// What a phase makes of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Judgement {
    pub verdict: Verdict,
    /// None for an eligible one.
    pub reasons: Vec<Reason>,
}

impl Phase {
    /// Days after liquidation in which a declaration is taken, if the phase counts any.
    pub fn window_days(&self) -> Option<i64> {
        (self.liquidation == Liquidation::OpenOrRecent).then_some(self.liquidated_days_max)
    }

    /// Whether declarations are taken on this day; the text says why not.
    pub fn is_open(&self, today: NaiveDate) -> std::result::Result<(), String> {
        let number = self.number;
        match (self.opens, self.closes) {
            (None, _) => Err(format!("phase {number} has no known opening date ({})", self.source)),
            (Some(opens), _) if today < opens => Err(format!("phase {number} opens on {opens}")),
            (_, Some(closes)) if closes <= today => Err(format!("phase {number} closed on {closes}")),
            _ => Ok(()),
        }
    }
}

/// What a status of the claim details says of an entry's claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaimState {
    /// CAPE took it: another declaration would be refused as a duplicate.
    Taken,
    /// CAPE refused it; the error says why, and it may be declared again once that is mended.
    Failed,
    /// A status that is not known here.
    Unknown,
}

impl ClaimState {
    /// By the words that were seen: `Entry Summary Updated` and `Failed`.
    pub fn of(status: &str) -> Self {
        match status.trim().to_lowercase().as_str() {
            "entry summary updated" => ClaimState::Taken,
            "failed" => ClaimState::Failed,
            _ => ClaimState::Unknown,
        }
    }
}

#[cfg(test)]
mod tests;
