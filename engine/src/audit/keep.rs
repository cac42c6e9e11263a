//! Keeping a trail apart from the control store: closed ranges go into sealed segments, and come back from them.
//! Promise: a segment ends at a signed checkpoint and holds what the control store holds; a control store that lost its trail
//! takes it up again before anything new is written to it.
//! Never: events leave the control store for it. Its role can only add to the trail, so the live tail is the whole trail.

use bonded_connectors::audit::{Segment, SegmentPlace, Signed, chain::Head};
use serde::Serialize;

use super::trail::join;
use crate::{
    error::{Error, ErrorKind, Result},
    lakehouse::{Lakehouse, Tenant},
};

/// So that a segment is some megabytes.
const EVENTS_MAX: i64 = 10_000;

/// What sealing did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sealed {
    pub segments_made: usize,
    pub events_sealed: i64,
    /// Of the trail, by now.
    pub events: i64,
}

/// Signs the head, and seals all events up to it that no segment holds.
///
/// # Errors
/// `Damaged` when the control store's trail does not follow the segments.
pub async fn seal(house: &Lakehouse, tenant: &Tenant) -> Result<Sealed> {
    let places = tenant.segments.list(&tenant.scope).await?;
    house.checkpoint(tenant).await?;
    for place in &places {
        tenant.segments.protect(&place.path).await?;
    }
    let mut reached = match places.iter().max_by_key(|place| place.last) {
        Some(place) => last_of(tenant, place).await?,
        None => Head::default(),
    };
    let signed = checkpoints(&tenant.ledger.checkpoints().await?)?;
    let end = signed.last().map_or(0, |(events, _)| *events);
    let mut sealed = Sealed { events: end, ..Sealed::default() };
    while reached.events < end {
        let count = EVENTS_MAX.min(end - reached.events);
        let rows = tenant.ledger.audit_range(&reached, count).await?;
        let next = reached.followed_by(&rows)?;
        if next.events != reached.events + count {
            return Err(Error::new(
                ErrorKind::Damaged,
                "the audit trail lost events that a checkpoint was signed of: run `bonded verify`",
            ));
        }
        let within = signed.iter().filter(|(events, _)| (reached.events + 1..=next.events).contains(events));
        let segment = Segment { rows, checkpoints: within.map(|(_, signed)| signed.clone()).collect() };
        tenant.segments.put(&tenant.scope, tenant.documents(), &segment).await?;
        sealed.segments_made += 1;
        sealed.events_sealed += count;
        reached = next;
    }
    Ok(sealed)
}

/// Takes the trail up again from the segments, as far as the control store lacks it; answers how many events that were.
///
/// # Errors
/// `Damaged` when what the control store holds is another chain than the segments'.
pub async fn take_up(tenant: &Tenant) -> Result<usize> {
    let places = tenant.segments.list(&tenant.scope).await?;
    let here = tenant.ledger.audit_head().await?;
    if places.iter().all(|place| place.last <= here.events) {
        return Ok(0);
    }
    let (mut rows, mut signed) = (Vec::new(), Vec::new());
    for place in &places {
        let read = async {
            let segment = tenant.segments.open(&tenant.scope, tenant.documents(), place).await?;
            let checkpoints = checkpoints(&segment.checkpoints)?;
            join(&mut rows, segment.rows, place)?;
            Ok::<_, Error>(checkpoints)
        };
        match read.await {
            Ok(checkpoints) => signed.extend(checkpoints),
            // What comes before it is worth having without it; `bonded verify` names it.
            Err(error) if error.kind() == ErrorKind::Damaged => {
                tracing::error!(target: "audit.lost", segment = place.path, %error, "the trail is taken up only to here");
                break;
            }
            Err(error) => return Err(error),
        }
    }
    signed.retain(|(events, _)| *events <= rows.len() as i64);
    let taken = tenant.ledger.take_up_audit(&rows, &signed).await?;
    taken.ok_or_else(|| {
        let message = "the control store holds another trail than the segments do: move it aside (`bonded rebuild --replace`)";
        Error::new(ErrorKind::Damaged, message)
    })
}

/// The same, and every segment read-only again: a copy of a lake is made of files like any other.
pub async fn settle(tenant: &Tenant) -> Result<usize> {
    let taken = take_up(tenant).await?;
    for place in tenant.segments.list(&tenant.scope).await? {
        tenant.segments.protect(&place.path).await?;
    }
    Ok(taken)
}

/// Whether so many events are in no segment, or one that is older than that.
pub async fn is_due(house: &Lakehouse, tenant: &Tenant) -> Result<bool> {
    let settings = &house.settings.audit;
    let places = tenant.segments.list(&tenant.scope).await?;
    let sealed = places.iter().map(|place| place.last).max().unwrap_or_default();
    let head = tenant.ledger.audit_head().await?;
    if head.events - sealed >= settings.segment_events {
        return Ok(true);
    }
    match tenant.ledger.audit_time(sealed + 1).await? {
        Some(first) => Ok(house.clock.now() - super::meta::time(&first)? >= settings.segment_every()),
        None => Ok(false),
    }
}

async fn last_of(tenant: &Tenant, place: &SegmentPlace) -> Result<Head> {
    let segment = tenant.segments.open(&tenant.scope, tenant.documents(), place).await?;
    Ok(segment.rows.last().map(|row| Head { events: row.seq, hash: row.hash.clone() }).unwrap_or_default())
}

/// With the number of events that each is of, their signatures checked.
fn checkpoints(all: &[Signed]) -> Result<Vec<(i64, Signed)>> {
    let mut read: Vec<(i64, Signed)> =
        all.iter().map(|signed| Ok((signed.checked()?.head.events, signed.clone()))).collect::<Result<_>>()?;
    read.sort_by_key(|(events, _)| *events);
    Ok(read)
}
