//! What the three reports say of one entry, as far as deadlines and refunds are judged by it.
//! Promise: a value is what the current truth holds; whether its column was delivered at all is known apart from it.
//! Never: no money as a float, and no column is taken for empty that nobody delivered.

use std::{collections::BTreeSet, sync::Arc};

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

macro_rules! columns {
    ($(#[$doc:meta])* $name:ident { $($variant:ident => $cbp:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($variant),* }

        impl $name {
            pub const ALL: [$name; [$($cbp),*].len()] = [$($name::$variant),*];

            /// CBP's name.
            pub fn name(self) -> &'static str {
                match self { $($name::$variant => $cbp),* }
            }

            /// Its name in tables.
            pub fn field(self) -> String {
                crate::edition::field_name(self.name())
            }
        }
    };
}

columns! {
    /// Entry-level dates.
    DateColumn {
        EntryDate => "Entry Date",
        EntrySummaryDate => "Entry Summary Date",
        ImportationDate => "Importation Date",
        LiquidationDate => "Liquidation Date",
        ReconciliationFtaDueDate => "Reconciliation (FTA) Due Date",
        ReconciliationOtherDueDate => "Reconciliation (Other) Due Date",
    }
}

columns! {
    /// Entry-level codes and texts.
    TextColumn {
        ImporterNumber => "Importer Number",
        EntryTypeCode => "Entry Type Code",
        LiquidationStatus => "Liquidation Status",
        ReconciliationIndicator => "Reconciliation Indicator",
        NaftaReconciliationIndicator => "NAFTA Reconciliation Indicator",
        ReconciliationFtaEntrySummaryNumber => "Reconciliation (FTA) Entry Summary Number",
        ReconciliationOtherEntrySummaryNumber => "Reconciliation (Other) Entry Summary Number",
        ProtestNumber => "Protest Number",
        ProtestStatus => "Protest Status",
    }
}

/// US dollars in cents.
pub type Cents = i128;

/// `123456` as `1234.56`.
pub fn dollars(cents: Cents) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", cents.unsigned_abs() / 100, cents.unsigned_abs() % 100)
}

/// Duty under IEEPA numbers on one entry, by amount: exemption numbers carry zero and count as rows only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ieepa {
    /// On rows whose entry date lies within the dates of their number.
    pub paid_cents: Cents,
    /// On rows whose entry date does not.
    pub outside_cents: Cents,
    /// On rows without an entry date.
    pub undated_cents: Cents,
    pub rows: i64,
    /// Rows of an amount of zero, or none.
    pub rows_without_amount: i64,
}

/// One entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryFacts {
    pub entry_summary_number: String,
    dates: [Option<NaiveDate>; DateColumn::ALL.len()],
    texts: [Option<String>; TextColumn::ALL.len()],
    /// Table names of the columns that the entry's deliveries had.
    pub delivered: Arc<BTreeSet<String>>,
    /// What is at stake, and the columns it was read from.
    pub duty: Option<(Cents, &'static str)>,
    /// Antidumping and countervailing duty, where a column states it.
    pub antidumping_cents: Option<Cents>,
    pub ieepa: Ieepa,
}

impl EntryFacts {
    pub fn new(entry_summary_number: impl Into<String>) -> Self {
        Self { entry_summary_number: entry_summary_number.into(), ..Self::default() }
    }

    pub fn date(&self, column: DateColumn) -> Option<NaiveDate> {
        self.dates[column as usize]
    }

    /// Never blank: a blank is no value.
    pub fn text(&self, column: TextColumn) -> Option<&str> {
        self.texts[column as usize].as_deref().map(str::trim).filter(|text| !text.is_empty())
    }

    pub fn set_date(&mut self, column: DateColumn, date: Option<NaiveDate>) {
        self.dates[column as usize] = date;
    }

    pub fn set_text(&mut self, column: TextColumn, text: Option<String>) {
        self.texts[column as usize] = text;
    }

    /// A value proves that its column was delivered.
    pub fn has_date_column(&self, column: DateColumn) -> bool {
        self.date(column).is_some() || self.delivered.contains(&column.field())
    }

    pub fn has_text_column(&self, column: TextColumn) -> bool {
        self.text(column).is_some() || self.delivered.contains(&column.field())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{registry::Registry, report::Report};

    #[test]
    fn every_column_is_one_of_the_entry_summary_report() {
        let known: Vec<String> = Registry::builtin().edition(Report::Es001).columns.iter().map(|column| column.field()).collect();
        for field in DateColumn::ALL.map(DateColumn::field).into_iter().chain(TextColumn::ALL.map(TextColumn::field)) {
            assert!(known.contains(&field), "{field}");
        }
    }

    #[test]
    fn dollars_are_written_to_the_cent() {
        assert_eq!([dollars(0), dollars(5), dollars(-123_456)], ["0.00", "0.05", "-1234.56"]);
    }

    #[test]
    fn a_blank_is_no_value_and_a_value_proves_its_column() {
        let mut facts = EntryFacts::new("XZ910000013");
        facts.set_text(TextColumn::LiquidationStatus, Some("  ".into()));
        assert!(facts.text(TextColumn::LiquidationStatus).is_none() && !facts.has_text_column(TextColumn::LiquidationStatus));
        facts.set_text(TextColumn::LiquidationStatus, Some("Extended".into()));
        assert!(facts.has_text_column(TextColumn::LiquidationStatus));
        facts.delivered = Arc::new(["protest_number".to_owned()].into());
        assert!(facts.has_text_column(TextColumn::ProtestNumber) && facts.text(TextColumn::ProtestNumber).is_none());
    }
}
