//! Which entries a phase takes, and why not the others.
//! Promise: every reason that speaks against an entry is given, not only the first; a missing column is named.

use chrono::NaiveDate;

use super::{Flag, Judgement, Liquidation, Phase, Reason, Subject, Verdict, cape_rules};
use crate::{
    entry_facts::{DateColumn, EntryFacts, TextColumn, dollars},
    entry_number,
};

impl Phase {
    pub fn judge(&self, facts: &EntryFacts, today: NaiveDate) -> Judgement {
        let mut judge = Judge { phase: self, facts, today, reasons: Vec::new() };
        judge.amount();
        judge.entry_number();
        judge.entry_type();
        judge.importer();
        judge.liquidation();
        judge.reconciliation();
        judge.protest();
        judge.antidumping();
        let verdict = judge.reasons.iter().map(|reason| reason.verdict).max().unwrap_or(Verdict::Eligible);
        Judgement { verdict, reasons: judge.reasons }
    }

    /// What cannot be told of an entry that this phase concerns; `None` where it does not.
    ///
    /// It concerns what paid and is kept out by nothing but its liquidation. A phase for flagged entries concerns those of which
    /// the flag is known.
    pub fn concerns(&self, facts: &EntryFacts, today: NaiveDate) -> Option<Vec<String>> {
        let reasons = self.judge(facts, today).reasons;
        let keeps_out = |reason: &Reason| match reason.subject {
            Subject::Liquidation => false,
            Subject::Reconciliation if self.reconciliation_flag == Flag::Needed => true,
            _ => reason.verdict == Verdict::Excluded,
        };
        (facts.ieepa.paid_cents > 0 && !reasons.iter().any(keeps_out)).then_some(())?;
        Some(reasons.into_iter().filter(|reason| reason.verdict == Verdict::CannotTell).map(|reason| reason.text).collect())
    }
}

/// Finds reasons; each function adds its own.
struct Judge<'a> {
    phase: &'a Phase,
    facts: &'a EntryFacts,
    today: NaiveDate,
    reasons: Vec<Reason>,
}

impl Judge<'_> {
    fn excluded(&mut self, subject: Subject, text: impl Into<String>) {
        self.reasons.push(Reason { subject, verdict: Verdict::Excluded, text: text.into() });
    }

    fn cannot_tell(&mut self, subject: Subject, text: impl Into<String>) {
        self.reasons.push(Reason { subject, verdict: Verdict::CannotTell, text: text.into() });
    }

    fn column_missing(&mut self, subject: Subject, column: &str) {
        self.cannot_tell(subject, format!("cannot tell: column {column} is missing"));
    }

    fn amount(&mut self) {
        let ieepa = self.facts.ieepa;
        if ieepa.paid_cents > 0 {
            return;
        }
        match (ieepa.undated_cents > 0, ieepa.outside_cents > 0) {
            (true, _) => self.column_missing(Subject::Amount, DateColumn::EntryDate.name()),
            (_, true) => {
                let text =
                    format!("{} was paid under IEEPA numbers outside their dates, nothing within", dollars(ieepa.outside_cents));
                self.excluded(Subject::Amount, text);
            }
            _ => self.excluded(Subject::Amount, "nothing was paid under its IEEPA numbers: exemptions carry zero"),
        }
    }

    fn entry_number(&mut self) {
        let number = &self.facts.entry_summary_number;
        if number.len() != entry_number::LENGTH || !number.bytes().all(|b| b.is_ascii_alphanumeric()) {
            self.excluded(Subject::EntryNumber, "its entry number is not 11 letters and digits");
        }
    }

    fn entry_type(&mut self) {
        let Some(code) = self.facts.text(TextColumn::EntryTypeCode) else {
            return self.column_missing(Subject::EntryType, TextColumn::EntryTypeCode.name());
        };
        let is_in = |types: &[String]| types.iter().any(|known| known == code);
        let number = self.phase.number;
        if is_in(&self.phase.excluded_types) {
            self.excluded(Subject::EntryType, format!("entry type {code} is not taken in phase {number}"));
        } else if let Some(only) = self.phase.only_types.as_ref().filter(|only| !is_in(only)) {
            self.excluded(Subject::EntryType, format!("entry type {code} is not among {} of phase {number}", only.join(", ")));
        }
    }

    fn importer(&mut self) {
        if self.facts.text(TextColumn::ImporterNumber).is_none() {
            self.column_missing(Subject::Importer, TextColumn::ImporterNumber.name());
        }
    }

    fn liquidation(&mut self) {
        let subject = Subject::Liquidation;
        let status = self.facts.text(TextColumn::LiquidationStatus);
        let days = self.phase.liquidated_days_max;
        let Some(date) = self.facts.date(DateColumn::LiquidationDate).filter(|date| *date <= self.today) else {
            return match status {
                Some(text)
                    if text.to_lowercase().starts_with("liquidated")
                        && self.facts.date(DateColumn::LiquidationDate).is_none() =>
                {
                    self.column_missing(subject, DateColumn::LiquidationDate.name());
                }
                // A date ahead is a liquidation that is scheduled: open until then.
                _ if status.is_none() && self.facts.date(DateColumn::LiquidationDate).is_none() => {
                    match self.facts.has_text_column(TextColumn::LiquidationStatus) {
                        true => self.excluded(subject, "it has no liquidation status in ACE"),
                        false => self.column_missing(subject, TextColumn::LiquidationStatus.name()),
                    }
                }
                _ if self.phase.liquidation == Liquidation::Final => self.excluded(subject, "it is not liquidated"),
                _ => {}
            };
        };
        let age = (self.today - date).num_days();
        match self.phase.liquidation {
            Liquidation::OpenOrRecent if age > days => {
                self.excluded(subject, format!("liquidated {age} days ago, more than {days}"));
            }
            Liquidation::Final if age <= days => {
                self.excluded(subject, format!("liquidated {age} days ago: not final, see the phases before"))
            }
            _ => {}
        }
    }

    fn reconciliation(&mut self) {
        let subject = Subject::Reconciliation;
        let columns = [TextColumn::ReconciliationIndicator, TextColumn::NaftaReconciliationIndicator];
        let says_yes = |column| self.facts.text(column).is_some_and(|text| text.to_lowercase().starts_with('y'));
        let flagged = columns.into_iter().any(says_yes);
        if !flagged && !self.facts.has_text_column(TextColumn::ReconciliationIndicator) {
            return self.column_missing(subject, TextColumn::ReconciliationIndicator.name());
        }
        match (self.phase.reconciliation_flag, flagged) {
            (Flag::Excluded, true) => self.excluded(subject, "it is flagged for reconciliation"),
            (Flag::Needed, false) => self.excluded(subject, "it is not flagged for reconciliation"),
            (Flag::Excluded, false) => {}
            (Flag::Needed, true) => {
                let filed = [TextColumn::ReconciliationOtherEntrySummaryNumber, TextColumn::ReconciliationFtaEntrySummaryNumber];
                if filed.into_iter().any(|column| self.facts.text(column).is_some()) {
                    self.excluded(subject, "a reconciliation (type 09) is on file");
                } else if let Some(column) = filed.into_iter().find(|column| !self.facts.has_text_column(*column)) {
                    self.column_missing(subject, column.name());
                }
            }
        }
    }

    fn protest(&mut self) {
        let subject = Subject::Protest;
        let number = self.facts.text(TextColumn::ProtestNumber);
        match (number, self.facts.text(TextColumn::ProtestStatus)) {
            (_, Some(status)) if ["open", "suspend"].iter().any(|word| status.to_lowercase().contains(word)) => {
                self.excluded(subject, "an open or suspended protest is on it");
            }
            (None, None) => {
                if !self.facts.has_text_column(TextColumn::ProtestNumber)
                    && !self.facts.has_text_column(TextColumn::ProtestStatus)
                {
                    self.column_missing(subject, TextColumn::ProtestNumber.name());
                }
            }
            (_, Some(status)) => {
                self.cannot_tell(subject, format!("cannot tell: a protest of status `{status}` is on it; see whether it is open"))
            }
            (Some(_), None) => {
                self.cannot_tell(subject, "cannot tell: a protest is on it, and column Protest Status has no value")
            }
        }
    }

    fn antidumping(&mut self) {
        let of_type = |code: &str| cape_rules().antidumping.entry_types.iter().any(|known| known == code);
        let pays = self.facts.antidumping_cents.is_some_and(|cents| cents > 0);
        let liquidated = self.facts.date(DateColumn::LiquidationDate).is_some_and(|date| date <= self.today);
        if !liquidated && (pays || self.facts.text(TextColumn::EntryTypeCode).is_some_and(of_type)) {
            self.cannot_tell(
                Subject::Antidumping,
                "cannot tell: antidumping or countervailing duty; whether it is pending under 19 U.S.C. 1504(d) is in no column",
            );
        }
    }
}
