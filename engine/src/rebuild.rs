//! Rebuild: catalog, ledger and tables made again from the raw zone alone, delivery by delivery through the same straight line.
//! Promise: the same delivery ids, rows, places and repairs as before, in the order of arrival, people's decisions at their
//! time; run again after a crash, it goes on where it stood. Files are read under today's settings and editions.
//! Never: an object of the raw zone is changed, and a ledger that holds deliveries is not written over.
//!
//! The audit trail comes back as far as it was sealed into segments (`audit/keep.rs`), before anything is written to it.
//! What neither gives: the keys; the trail's newest events; when alerts were raised, who took them up and who is to hear of
//! them; when findings were first seen; scores, until they are taken again.

use bonded_connectors::store::ledger::LedgerRow;
use bonded_schemas::{Delivery, DeliveryState};
use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::{
    accept::accept_again,
    answers::session,
    audit::keep,
    decided::{self, Decided},
    error::{Error, ErrorKind, Result},
    findings, ingest,
    lakehouse::{Lakehouse, Tenant},
    mail_policy,
};

const ACTION: &str = "rebuild";
const BEGUN: &str = "begun";
const DONE: &str = "done";

/// What came of one tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rebuilt {
    pub tenant: String,
    pub deliveries: u64,
    pub committed: u64,
    pub quarantined: u64,
    pub unpacked: u64,
    pub rows: u64,
    pub decisions: u64,
    /// Objects of the raw zone that could not be taken up, and why.
    pub left_out: Vec<LeftOut>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    pub object: String,
    pub why: String,
}

/// Whether a rebuild of this tenant may begin, or go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing is there.
    Fresh,
    /// One was begun and not ended.
    Begun,
    /// A ledger that something else wrote, or a rebuild that is done.
    Kept,
}

pub async fn standing(tenant: &Tenant) -> Result<Standing> {
    let trail = tenant.trail().await?;
    let last = trail.iter().rev().map(|(_, event)| event).find(|event| event.action == ACTION);
    match last {
        Some(event) if event.result == BEGUN => Ok(Standing::Begun),
        // The trail may be that of a ledger that was lost; what is there now is in the ledger itself.
        _ if tenant.ledger.deliveries().await?.is_empty() => Ok(Standing::Fresh),
        _ => Ok(Standing::Kept),
    }
}

/// One step of the tenant's history.
enum Event {
    Delivery { path: String, delivery: Box<Delivery> },
    Decision(Decided),
}

/// Makes the tenant again. Its row is in the control store already; its keys are in the keyring.
///
/// # Errors
/// `Refused` when its ledger holds something that no unfinished rebuild wrote.
pub async fn rebuild(house: &Lakehouse, tenant: &Tenant, watch: &(dyn Fn(u64, u64) + Send + Sync)) -> Result<Rebuilt> {
    let name = tenant.scope.tenant().as_str();
    match standing(tenant).await? {
        Standing::Fresh => {
            // What the control store that is lost had pointed at, in a catalog that is not.
            tenant.tables.let_go(house.lake.is_moved()).await?;
            tenant.audit(house.clock.as_ref(), ACTION, name, BEGUN).await?;
        }
        Standing::Begun => {}
        Standing::Kept => {
            let message = format!("tenant {name} has a ledger here already; rebuild into another folder (--to), or --replace it");
            return Err(Error::new(ErrorKind::Refused, message));
        }
    }
    keep::settle(tenant).await?;
    let mut rebuilt = Rebuilt { tenant: name.to_owned(), ..Rebuilt::default() };
    let events = history(house, tenant, &mut rebuilt).await?;
    let all = events.len() as u64;
    let mut explained = Vec::new();
    for (done, (_, event)) in events.into_iter().enumerate() {
        match event {
            Event::Delivery { path, delivery } => match deliver(house, tenant, &path, *delivery).await {
                Ok(()) => {}
                // The rest is worth having without it.
                Err(error) if matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Input) => {
                    rebuilt.left_out.push(LeftOut { object: path, why: error.to_string() });
                }
                Err(error) => return Err(error),
            },
            Event::Decision(Decided::Accept { fingerprint, decision }) => {
                rebuilt.decisions += 1;
                match accept_again(house, tenant, &fingerprint, decision).await {
                    Ok(_) => {}
                    // It came to nothing then, too: a rename that did not mend its file.
                    Err(error) if matches!(error.kind(), ErrorKind::Input | ErrorKind::Missing) => {}
                    Err(error) => return Err(error),
                }
            }
            Event::Decision(Decided::MailPolicy { policy }) => {
                rebuilt.decisions += 1;
                mail_policy::set_again(house, tenant, &policy).await?;
            }
            Event::Decision(Decided::Explain { finding, note }) => explained.push((finding, note)),
        }
        watch(done as u64 + 1, all);
    }
    if !explained.is_empty() {
        let results = session(house, tenant).await?.reconcile(None).await?;
        findings::record(house, tenant, &results).await?;
        for (finding, note) in explained {
            rebuilt.decisions += u64::from(findings::explain_again(tenant, &finding, note).await?);
        }
    }
    count(tenant, &mut rebuilt).await?;
    // They were told when they were new.
    tenant.ledger.hush_alerts().await?;
    tenant.audit(house.clock.as_ref(), ACTION, name, DONE).await?;
    Ok(rebuilt)
}

/// Deliveries by arrival, decisions at their time.
async fn history(house: &Lakehouse, tenant: &Tenant, rebuilt: &mut Rebuilt) -> Result<Vec<(DateTime<Utc>, Event)>> {
    use futures::TryStreamExt;
    let mut paths: Vec<String> = house.raw.list(&tenant.scope).try_collect().await?;
    paths.sort();
    let mut events = Vec::new();
    for path in paths {
        let note = match house.raw.note(&tenant.scope, tenant.documents(), &path).await {
            Ok(Some(note)) => serde_json::from_slice::<Delivery>(&note).map_err(|error| error.to_string()),
            Ok(None) => Err("has no note: its landing was cut short, deliver it again".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        match note {
            Ok(delivery) => events.push((delivery.received_at, Event::Delivery { path, delivery: Box::new(delivery) })),
            Err(why) => rebuilt.left_out.push(LeftOut { object: path, why }),
        }
    }
    for kept in decided::all(house, tenant).await? {
        events.push((kept.at, Event::Decision(kept.decided)));
    }
    // Ids are in order of arrival; a decision comes after what arrived at the same instant.
    events.sort_by_key(|(at, event)| match event {
        Event::Delivery { delivery, .. } => (*at, 0, Some(delivery.id)),
        Event::Decision(_) => (*at, 1, None),
    });
    Ok(events)
}

/// Its ledger row, and the rest of the line unless that is done.
async fn deliver(house: &Lakehouse, tenant: &Tenant, path: &str, delivery: Delivery) -> Result<()> {
    let reader = house.raw.open(&tenant.scope, &tenant.key, path).await?;
    let row = LedgerRow {
        delivery_id: delivery.id,
        keyed_digest: path.rsplit('/').next().unwrap_or_default().to_owned(),
        state: DeliveryState::Landed,
        report: None,
        received_at: delivery.received_at,
        as_of: delivery.as_of,
        raw_path: path.to_owned(),
        size_bytes: reader.size_bytes(),
        snapshot_id: None,
        sealed_receipt: None,
    };
    let row = tenant.ledger.record_landed(&row).await?;
    if row.sealed_receipt.is_none() {
        ingest::replay(house, tenant, row).await?;
    }
    Ok(())
}

async fn count(tenant: &Tenant, rebuilt: &mut Rebuilt) -> Result<()> {
    for row in tenant.ledger.deliveries().await? {
        rebuilt.deliveries += 1;
        match row.state {
            DeliveryState::Committed => rebuilt.committed += 1,
            DeliveryState::Quarantined => rebuilt.quarantined += 1,
            DeliveryState::Unpacked => rebuilt.unpacked += 1,
            DeliveryState::Landed => {}
        }
    }
    for table in tenant.tables.names().await? {
        rebuilt.rows += tenant.tables.info(&table).await?.rows;
    }
    Ok(())
}
