//! The IEEPA pack: what each entry paid, and whether a phase of CAPE takes it.
//! Promise: every entry with an IEEPA number is judged and has its reasons; amounts are what ES-003 states, to the cent.

use bonded_schemas::{
    cape::{Phase, Reason, Verdict},
    entry_facts::{DateColumn, TextColumn, dollars},
};
use chrono::NaiveDate;
use serde::Serialize;

use crate::{error::Result, session::Session};

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
}

impl Session {
    /// Every entry with an IEEPA number as this phase judges it on a day, by entry number.
    ///
    /// # Errors
    /// As [`Session::query`].
    pub async fn cape(&self, phase: &Phase, today: NaiveDate) -> Result<Vec<CapeEntry>> {
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
                entry_summary_number: facts.entry_summary_number,
            });
        })
        .await?;
        entries.sort_by(|left, right| left.entry_summary_number.cmp(&right.entry_summary_number));
        Ok(entries)
    }
}
