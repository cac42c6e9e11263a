//! The straight line: land, unpack, parse, check, write, commit, seal. One delivery from received bytes to sealed receipt.
//! Promise: the bytes are kept before anything is understood; each step may be run again and finds itself done;
//! one digest makes one snapshot; a file that cannot become rows is quarantined with an alert.
//! Never: drift does not stop a file, and nothing received is thrown away.

use std::collections::BTreeMap;

use bonded_connectors::{lake::Outcome, store::ledger::LedgerRow};
use bonded_schemas::{Channel, Delivery, DeliveryState, Envelope, Quarantine, Receipt};
use chrono::{DateTime, Datelike, TimeDelta, Utc};
use tokio::io::AsyncRead;

use crate::{
    error::{Error, Result},
    lakehouse::{Lakehouse, Tenant},
};

mod check;
mod land;
pub mod parse;
mod queued;
mod rows;
mod seal;
mod unpack;

pub use check::{DriftAlert, QuarantineAlert};
pub(crate) use queued::landed_of;
pub use queued::{give_up, is_done, land_only, resume, work};
pub(crate) use rows::ensure_table;
use unpack::{Nesting, Packed};

/// ACE has no reports of before.
const AS_OF_YEAR_MIN: i32 = 2000;

/// What is to be ingested.
pub struct Source<'a> {
    pub file_name: String,
    pub bytes: &'a mut (dyn AsyncRead + Send + Unpin),
    pub channel: Channel,
    /// When CBP ran the report, if the sender told.
    pub as_of: Option<DateTime<Utc>>,
    /// Of a mail: what its carrier said.
    pub envelope: Option<Box<Envelope>>,
    /// Reference of the power of attorney that a broker's machine delivers under.
    pub poa: Option<String>,
}

impl std::fmt::Debug for Source<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Source({:?})", self.channel)
    }
}

/// How an ingest ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ingested {
    pub receipt: Receipt,
    /// The same bytes were delivered before: no row, no snapshot, no raw object was added.
    pub duplicate: bool,
    /// Of a container: its members, in the order of `receipt.members`.
    pub members: Vec<Ingested>,
}

impl Ingested {
    /// Whether it, or anything that came in it, is in quarantine.
    pub fn has_quarantined(&self) -> bool {
        self.receipt.state == DeliveryState::Quarantined || self.members.iter().any(Ingested::has_quarantined)
    }
}

/// Runs the straight line. An error leaves a state from which the same call goes on.
pub async fn ingest(house: &Lakehouse, tenant: &Tenant, source: Source<'_>) -> Result<Ingested> {
    let landed = land(house, tenant, source).await?;
    run(house, tenant, landed, &mut Nesting::default()).await
}

/// Of what a sender says: a time to come would close windows that nobody waits for yet, and hide that their runs are missing.
pub(crate) fn check_as_of(house: &Lakehouse, as_of: Option<DateTime<Utc>>) -> Result<()> {
    // Where it is tomorrow already, a bare date is ahead of the clock.
    let latest = house.clock.now() + TimeDelta::days(1);
    match as_of.is_none_or(|as_of| as_of.year() >= AS_OF_YEAR_MIN && as_of <= latest) {
        true => Ok(()),
        false => Err(Error::input(format!("as_of is a time that has been, of the year {AS_OF_YEAR_MIN} or later"))),
    }
}

async fn land(house: &Lakehouse, tenant: &Tenant, source: Source<'_>) -> Result<Landed> {
    check_as_of(house, source.as_of)?;
    let origin = land::Origin {
        file_name: source.file_name,
        channel: source.channel,
        as_of: source.as_of,
        container: None,
        provenance: BTreeMap::new(),
        envelope: source.envelope,
        poa: source.poa,
    };
    land::land(house, tenant, source.bytes, origin).await
}

/// A delivery that is safe in the raw zone, wherever it came from: shown again when it is done, taken further when not.
async fn run(house: &Lakehouse, tenant: &Tenant, landed: Landed, nesting: &mut Nesting) -> Result<Ingested> {
    if let Some(sealed) = &landed.row.sealed_receipt {
        let receipt = || tenant.unseal("receipt", &landed.row.keyed_digest, sealed);
        match landed.row.state {
            DeliveryState::Committed => {
                let receipt = receipt()?;
                tenant.audit(house.clock.as_ref(), "ingest", &landed.row.delivery_id.to_string(), "duplicate").await?;
                return Ok(Ingested { receipt, duplicate: true, members: Vec::new() });
            }
            DeliveryState::Unpacked => return unpack::revisit(house, tenant, &landed, receipt()?, nesting).await,
            DeliveryState::Landed | DeliveryState::Quarantined => {}
        }
    }
    process(house, tenant, &landed, nesting).await
}

/// A delivery that is safe in the raw zone and in the ledger.
#[derive(Debug)]
pub(crate) struct Landed {
    pub delivery: Delivery,
    pub row: LedgerRow,
    pub sha256: String,
    /// What its first bytes say it is packed as.
    packed: Option<Packed>,
}

/// From sealed bytes to sealed receipt; also the way of a replay.
async fn process(house: &Lakehouse, tenant: &Tenant, landed: &Landed, nesting: &mut Nesting) -> Result<Ingested> {
    if let Some(packed) = landed.packed {
        return unpack::unpack(house, tenant, landed, packed, nesting).await;
    }
    let read = rows::read(house, tenant, landed).await?;
    let outcome = match read {
        rows::Read::Quarantined { head, drift, quarantine } => {
            let alert = check::quarantine_alert(tenant, landed, &quarantine)?;
            seal::Outcome { head, drift, ..seal::Outcome::quarantined(quarantine, alert) }
        }
        rows::Read::Rows { head, binding, mut drift, summary, written } => {
            let report = head.report;
            drift.findings.extend(summary.findings.iter().cloned());
            check::judge(&mut drift, &binding, &head, &summary);
            let snapshot_id = match rows::commit(tenant, landed, report, written).await? {
                Outcome::Committed { snapshot_id, .. } | Outcome::AlreadyCommitted { snapshot_id } => snapshot_id,
            };
            let alert = check::drift_alert(tenant, landed, &head, &drift)?;
            seal::Outcome {
                head: Some(head),
                drift,
                alert,
                end: seal::End::Committed { summary: *summary, snapshot_id },
                mail: None,
            }
        }
    };
    let (receipt, first) = seal::seal(house, tenant, landed, outcome).await?;
    Ok(Ingested { receipt, duplicate: !first, members: Vec::new() })
}

/// Runs a delivery that is in the raw zone through the rest of the line once more, under today's mappings.
pub async fn replay(house: &Lakehouse, tenant: &Tenant, row: LedgerRow) -> Result<Receipt> {
    let landed = land::recall(house, tenant, row).await?;
    Ok(process(house, tenant, &landed, &mut Nesting::default()).await?.receipt)
}

/// Shown with a quarantined receipt and kept in it.
pub fn quarantine_text(quarantine: &Quarantine) -> String {
    match quarantine.nearest {
        Some(report) => format!("{} (nearest report: {report})", quarantine.message),
        None => quarantine.message.clone(),
    }
}
