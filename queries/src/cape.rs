//! The IEEPA pack: what each entry paid, whether a phase of CAPE takes it, and what CAPE said of it so far.
//! Promise: every entry with an IEEPA number is judged and has its reasons; amounts are what ES-003 states, to the cent.

use std::collections::BTreeMap;

use bonded_schemas::{
    cape::{ClaimState, Phase, Reason, Verdict},
    entry_facts::{DateColumn, TextColumn, dollars},
};
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;

use crate::{cells::Cells, error::Result, session::Session};

/// One entry that has an IEEPA number on a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CapeEntry {
    pub entry_summary_number: String,
    /// As reported; whoever shows it masks it.
    pub importer_number: Option<String>,
    pub entry_date: Option<NaiveDate>,
    pub liquidation_date: Option<NaiveDate>,
    pub liquidation_status: Option<String>,
    #[serde(skip)]
    pub paid_cents: i128,
    /// Within the dates of its numbers; US dollars.
    pub paid: String,
    /// Outside of them: not claimed, and worth a look.
    pub paid_outside_dates: String,
    pub ieepa_rows: i64,
    pub ieepa_rows_without_amount: i64,
    pub verdict: Verdict,
    pub reasons: Vec<Reason>,
    /// What the claim details say, as they were last delivered; the latest pull first.
    pub claims: Vec<Claim>,
}

/// One row of the claim details.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Claim {
    pub claim_number: Option<String>,
    pub status: Option<String>,
    pub state: ClaimState,
    pub error_description: Option<String>,
    pub as_of: DateTime<Utc>,
    pub delivery_id: String,
    /// Where it stands in the delivered file.
    pub line: i64,
}

impl CapeEntry {
    /// The state that speaks against claiming it again: a claim that was taken before one that failed.
    pub fn claim_state(&self) -> Option<ClaimState> {
        let states = || self.claims.iter().map(|claim| claim.state);
        [ClaimState::Taken, ClaimState::Unknown, ClaimState::Failed].into_iter().find(|state| states().any(|one| one == *state))
    }
}

impl Session {
    /// Every entry with an IEEPA number as this phase judges it on a day, by entry number.
    ///
    /// # Errors
    /// As [`Session::query`].
    pub async fn cape(&self, phase: &Phase, today: NaiveDate) -> Result<Vec<CapeEntry>> {
        let mut claims = self.claims().await?;
        let mut entries = Vec::new();
        self.each_entry(|facts| {
            if facts.ieepa.rows == 0 {
                return;
            }
            let judgement = phase.judge(&facts, today);
            entries.push(CapeEntry {
                importer_number: facts.text(TextColumn::ImporterNumber).map(str::to_owned),
                entry_date: facts.date(DateColumn::EntryDate),
                liquidation_date: facts.date(DateColumn::LiquidationDate),
                liquidation_status: facts.text(TextColumn::LiquidationStatus).map(str::to_owned),
                paid_cents: facts.ieepa.paid_cents,
                paid: dollars(facts.ieepa.paid_cents),
                paid_outside_dates: dollars(facts.ieepa.outside_cents + facts.ieepa.undated_cents),
                ieepa_rows: facts.ieepa.rows,
                ieepa_rows_without_amount: facts.ieepa.rows_without_amount,
                verdict: judgement.verdict,
                reasons: judgement.reasons,
                claims: claims.remove(&facts.entry_summary_number).unwrap_or_default(),
                entry_summary_number: facts.entry_summary_number,
            });
        })
        .await?;
        entries.sort_by(|left, right| left.entry_summary_number.cmp(&right.entry_summary_number));
        Ok(entries)
    }

    /// The claims of every entry, ours or not, by entry number; the latest pull first.
    ///
    /// # Errors
    /// As [`Session::query`].
    pub async fn claims(&self) -> Result<BTreeMap<String, Vec<Claim>>> {
        let mut claims: BTreeMap<String, Vec<Claim>> = BTreeMap::new();
        if !self.context().table_exist("cape_claims")? {
            return Ok(claims);
        }
        let sql = "SELECT entry_summary_number, claim_number, status, error_description, _as_of, _delivery_id, _line
            FROM cape_claims ORDER BY _as_of DESC, _delivery_id DESC, _line";
        let mut answer = self.query(sql).await?;
        while let Some(batch) = answer.next().await? {
            let cells = Cells(&batch);
            for row in 0..batch.num_rows() {
                let status = cells.text("status", row)?;
                let claim = Claim {
                    claim_number: cells.text("claim_number", row)?,
                    state: ClaimState::of(status.as_deref().unwrap_or_default()),
                    status,
                    error_description: cells.text("error_description", row)?,
                    as_of: cells.instant("_as_of", row)?.unwrap_or_default(),
                    delivery_id: cells.text("_delivery_id", row)?.unwrap_or_default(),
                    line: cells.integer("_line", row)?.unwrap_or_default(),
                };
                claims.entry(cells.text("entry_summary_number", row)?.unwrap_or_default()).or_default().push(claim);
            }
        }
        Ok(claims)
    }
}
