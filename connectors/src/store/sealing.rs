//! The last step of a delivery: its receipt, the alerts that it raises and its audit event, in one transaction.
//! Promise: a crash leaves all of them or none of them, so that a delivery taken up again counts in no alert twice and
//! misses in no trail.

use bonded_schemas::Report;
use chrono::{DateTime, Utc};

use super::{
    TenantStore,
    alerts::NewAlert,
    ledger::{first_quarantined, first_receipt, one_row, quarantined, unpacked},
};
use crate::error::Result;

/// What a delivery became.
#[derive(Clone, Copy, Debug)]
pub enum SealedAs {
    Committed,
    Quarantined(Option<Report>),
    Unpacked,
}

#[derive(Clone, Copy, Debug)]
pub struct Sealing<'a> {
    pub keyed_digest: &'a str,
    pub sealed_as: SealedAs,
    pub receipt: &'a str,
    pub alerts: &'a [NewAlert<'a>],
    /// The sealed audit event.
    pub event: &'a str,
    pub at: DateTime<Utc>,
}

impl TenantStore {
    /// `false` when a committed delivery has its receipt already: someone else finished it, and nothing is changed.
    ///
    /// # Errors
    /// `Damaged` when the ledger has no such delivery in a state from which it may become this.
    pub async fn record_sealed(&self, sealing: &Sealing<'_>) -> Result<bool> {
        let Sealing { keyed_digest, receipt, .. } = *sealing;
        let mut transaction = self.pool.begin().await?;
        // The ledger comes first, because it takes the lock under which all else is done.
        let first = match sealing.sealed_as {
            SealedAs::Committed => first_receipt(keyed_digest, receipt),
            SealedAs::Quarantined(report) => first_quarantined(keyed_digest, report, receipt),
            SealedAs::Unpacked => unpacked(keyed_digest, receipt),
        };
        let first = first.execute(&mut *transaction).await?.rows_affected();
        match sealing.sealed_as {
            SealedAs::Committed if first == 0 => {
                transaction.rollback().await?;
                return Ok(false);
            }
            SealedAs::Quarantined(report) if first == 0 => {
                let again = quarantined(keyed_digest, report, receipt).execute(&mut *transaction).await?;
                one_row(again.rows_affected(), keyed_digest)?;
            }
            _ => one_row(first, keyed_digest)?,
        }
        for alert in sealing.alerts {
            // A file that was in quarantine and stays there is counted once, however often it comes.
            self.raise_in(&mut transaction, *alert, sealing.at, first == 1).await?;
        }
        Self::append_audit_in(&mut transaction, sealing.at, sealing.event).await?;
        transaction.commit().await?;
        Ok(true)
    }
}
