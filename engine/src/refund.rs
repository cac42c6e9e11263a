//! The IEEPA refund pack: what each entry paid, what a phase of CAPE makes of it, and the entries for its upload files.
//! Promise: a file holds one importer's entries, none that was taken already, in the template's form.
//! Never: nothing is filed (19 U.S.C. 1641), and no Social Security number is shown whole unless settings allow it.

use std::collections::BTreeMap;

use bonded_queries::cape::{CapeEntry, Claim as ClaimOf};
use bonded_schemas::{
    cape::{ClaimState, NOT_IN_REPORTS, UploadFile, Verdict, uploads},
    entry_facts::dollars,
    importer_number::shown,
};
use chrono::NaiveDate;
use serde::Serialize;

use crate::{
    answers::unmasked_session,
    error::{Error, Result},
    lakehouse::{Lakehouse, Tenant},
    rules,
};

/// The whole answer. Importer numbers of entries stand as reported until [`Pack::mask`].
#[derive(Debug, Serialize)]
pub struct Pack {
    pub phase: u8,
    pub today: NaiveDate,
    /// Why no declaration is taken on this day, if none is.
    pub closed: Option<String>,
    pub importers: Vec<Importer>,
    pub entries: Vec<CapeEntry>,
    /// Claims of entries that have no IEEPA number in ES-003, by entry number.
    pub claims_of_others: BTreeMap<String, Vec<ClaimOf>>,
    pub not_in_reports: &'static str,
}

/// Entries and dollars of one importer of record, by verdict; its number as it may be shown.
#[derive(Debug, Default, Serialize)]
pub struct Importer {
    pub importer_number: String,
    pub eligible: u64,
    pub eligible_paid: String,
    pub cannot_tell: u64,
    pub cannot_tell_paid: String,
    pub excluded: u64,
    pub excluded_paid: String,
}

/// What a phase makes of every entry on a day.
///
/// # Errors
/// `Missing` for a phase that no rule knows.
pub async fn pack(house: &Lakehouse, tenant: &Tenant, phase: u8, today: NaiveDate) -> Result<Pack> {
    let phases = rules::book(&house.settings)?.phases();
    let rule = phases.iter().find(|rule| rule.number == phase).ok_or_else(|| {
        let known: Vec<String> = phases.iter().map(|phase| phase.number.to_string()).collect();
        Error::missing(format!("CAPE has no phase {phase}; known: {}", known.join(", ")))
    })?;
    let session = unmasked_session(house, tenant).await?;
    let entries = session.cape(rule, today).await?;
    let mut claims_of_others = session.claims().await?;
    entries.iter().for_each(|entry| drop(claims_of_others.remove(&entry.entry_summary_number)));
    Ok(Pack {
        phase,
        today,
        closed: rule.is_open(today).err(),
        importers: by_importer(&entries, house.settings.display.show_ssn),
        entries,
        claims_of_others,
        not_in_reports: NOT_IN_REPORTS,
    })
}

impl Pack {
    /// The upload files; `unsure` takes in what the reports cannot tell.
    ///
    /// # Errors
    /// `Input` while the phase takes no declaration.
    pub fn files(&self, unsure: bool, show_ssn: bool) -> Result<Vec<UploadFile>> {
        if let Some(why) = &self.closed {
            return Err(Error::input(format!("no upload file was written: {why}")));
        }
        // What CAPE took already it would refuse as a duplicate.
        let is_free = |entry: &CapeEntry| match entry.claim_state() {
            None | Some(ClaimState::Failed) => true,
            Some(ClaimState::Unknown) => unsure,
            Some(ClaimState::Taken) => false,
        };
        let is_judged =
            |entry: &CapeEntry| entry.verdict == Verdict::Eligible || (unsure && entry.verdict == Verdict::CannotTell);
        let taken = self.entries.iter().filter(|entry| is_judged(entry) && is_free(entry));
        // Without an importer an entry belongs to no declaration, whatever else is known of it.
        let chosen = taken.filter_map(|e| Some((e.importer_number.as_deref()?, e.entry_summary_number.as_str())));
        Ok(uploads(self.phase, chosen, show_ssn))
    }

    /// Importer numbers of entries as they may be shown; files are made before.
    pub fn mask(&mut self, show_ssn: bool) {
        for entry in &mut self.entries {
            entry.importer_number = entry.importer_number.as_deref().map(|number| shown(number, show_ssn).into_owned());
        }
    }
}

fn by_importer(entries: &[CapeEntry], show_ssn: bool) -> Vec<Importer> {
    let mut sums: BTreeMap<&str, [(u64, i128); 3]> = BTreeMap::new();
    for entry in entries {
        let sums = sums.entry(entry.importer_number.as_deref().unwrap_or_default()).or_default();
        let (count, paid) = &mut sums[entry.verdict as usize];
        *count += 1;
        *paid += entry.paid_cents;
    }
    let importer = |(number, [eligible, cannot_tell, excluded]): (&str, [(u64, i128); 3])| Importer {
        importer_number: shown(number, show_ssn).into_owned(),
        eligible: eligible.0,
        eligible_paid: dollars(eligible.1),
        cannot_tell: cannot_tell.0,
        cannot_tell_paid: dollars(cannot_tell.1),
        excluded: excluded.0,
        excluded_paid: dollars(excluded.1),
    };
    sums.into_iter().map(importer).collect()
}
