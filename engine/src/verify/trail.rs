//! The audit trail: the chain in the control store, the signed checkpoints of it, the sealed segments, and the heads of it that
//! the lake's own trail is an anchor of; each held against the others.
//! Promise: a changed, removed or reordered event is found, and a tail that was cut off where anything vouched for it: a
//! checkpoint, a segment, the lake's trail.

use std::collections::{BTreeMap, HashMap};

use bonded_connectors::{
    Flaw,
    audit::{AuditRow, Checkpoint, Segments, Signed, chain::Head, checkpoint::chain_name},
    store::dump::Row,
};

use super::{
    Mend, Run, Verified,
    store::{number, text},
};
use crate::{
    audit::{Entry, proof::anchor},
    error::{ErrorKind, Result},
    lakehouse::{
        Lakehouse,
        identity::{MADE, told},
    },
};

const FOLLOWS: &str = "the trail is not proof from here on";
const STORE: &str = "control store: audit";
const CHECKPOINTS: &str = "control store: checkpoints";

/// Heads of tenants' trails that the lake's own trail tells of.
pub(super) type Anchors = BTreeMap<String, Vec<Head>>;

/// The lake's own trail; answers what it is an anchor of.
pub(super) async fn lake(house: &Lakehouse, verified: &mut Verified) -> Result<Anchors> {
    let follows = "the lake's own trail is not proof from there on";
    let mut anchors = Anchors::new();
    // Once the lake has one.
    let Some(record) = house.control().lake_record().await? else { return Ok(anchors) };
    let read = async { Ok::<_, crate::Error>((house.entries().await?, house.control().checkpoints().await?)) };
    match read.await {
        Ok((entries, signed)) => {
            let hashes: Vec<&str> = entries.iter().map(|entry| entry.row.hash.as_str()).collect();
            let made = entries.iter().rfind(|entry| entry.event.action == MADE).and_then(|entry| entry.event.after.as_ref());
            if made.is_some_and(|made| *made != told(&record)) {
                let flaw = Flaw::new("control store: lake_identity", "is not what the lake's trail tells of it");
                verified.tell(None, flaw, "when the lake began to sign is not to be trusted", Mend::Restore);
            }
            for what in contradicted(&chain_name(None), &signed, &hashes) {
                verified.tell(None, Flaw::new("control store: checkpoints of the lake", what), follows, Mend::Restore);
            }
            for (tenant, head) in entries.iter().filter_map(|entry| anchor(&entry.event)) {
                anchors.entry(tenant).or_default().push(head);
            }
        }
        Err(error) => {
            verified.tell(None, Flaw::new("control store: audit of the lake", error.to_string()), follows, Mend::Restore);
        }
    }
    Ok(anchors)
}

/// A tenant's.
pub(super) async fn check(run: &mut Run<'_>, anchors: &Anchors, verified: &mut Verified) -> Result<()> {
    let rows = chain(run, verified);
    let hashes: Vec<&str> = rows.iter().map(|row| row.hash.as_str()).collect();
    let signed: Vec<Signed> = run.store.rows("checkpoints").iter().filter_map(signed).collect();
    if signed.len() != run.store.rows("checkpoints").len() {
        verified.tell(
            Some(run.tenant),
            Flaw::new(CHECKPOINTS, "has a row that does not read, or lies at another place"),
            FOLLOWS,
            Mend::Restore,
        );
    }
    let name = run.tenant.scope.tenant().as_str();
    for what in contradicted(&chain_name(Some(name)), &signed, &hashes) {
        verified.tell(Some(run.tenant), Flaw::new(CHECKPOINTS, what), FOLLOWS, Mend::Restore);
    }
    for head in anchors.get(name).into_iter().flatten() {
        if let Some(what) = missed(head, &hashes) {
            let what = format!("{what}, says the lake's own trail");
            verified.tell(Some(run.tenant), Flaw::new(STORE, what).at(format!("event {}", head.events)), FOLLOWS, Mend::Restore);
        }
    }
    segments(run, &rows, verified).await
}

/// As far as it is whole.
fn chain(run: &Run<'_>, verified: &mut Verified) -> Vec<AuditRow> {
    let mut found: Vec<&Row> = run.store.rows("audit").iter().collect();
    found.sort_by_key(|row| number(row, "seq"));
    let (mut rows, mut head) = (Vec::with_capacity(found.len()), Head::default());
    for (row, expected) in found.into_iter().zip(1..) {
        let flaw = |what: &str| Flaw::new(STORE, what).at(format!("event {expected}"));
        let Some(row) = read(row) else {
            verified.tell(
                Some(run.tenant),
                flaw("has a row that does not read, or lies at another place"),
                FOLLOWS,
                Mend::Restore,
            );
            break;
        };
        match head.followed_by(std::slice::from_ref(&row)) {
            Ok(next) => head = next,
            Err(_) => {
                verified.tell(Some(run.tenant), flaw("breaks the chain"), FOLLOWS, Mend::Restore);
                break;
            }
        }
        if let Err(error) = Entry::opened(row.clone(), run.tenant.scope.tenant().as_str(), run.tenant.documents()) {
            verified.tell(Some(run.tenant), flaw(&error.to_string()), FOLLOWS, Mend::Restore);
        }
        rows.push(row);
    }
    rows
}

fn read(row: &Row) -> Option<AuditRow> {
    let cell = |column: &str| text(row, column).map(str::to_owned);
    AuditRow::of(number(row, "seq")?, cell("at")?, text(row, "sealed")?, cell("hash")?).ok()
}

fn signed(row: &Row) -> Option<Signed> {
    let cell = |column: &str| text(row, column).map(str::to_owned);
    let signed = Signed { text: cell("text")?, public_key: cell("public_key")?, signature: cell("signature")? };
    let is_at_its_place = |says: Checkpoint| number(row, "events") == Some(says.head.events);
    // One that does not read is told of later, with the reason.
    signed.text.parse().map_or(true, is_at_its_place).then_some(signed)
}

/// What checkpoints say that the chain does not hold.
fn contradicted(chain: &str, signed: &[Signed], hashes: &[&str]) -> Vec<String> {
    let one = |signed: &Signed| match signed.checked() {
        Err(error) => Some(format!("has one that does not hold: {error}")),
        Ok(says) if says.chain != chain => Some(format!("has one of another trail ({})", says.chain)),
        Ok(says) => missed(&says.head, hashes).map(|what| format!("{what}, says one signed at {}", says.at.to_rfc3339())),
    };
    signed.iter().filter_map(one).collect()
}

fn missed(head: &Head, hashes: &[&str]) -> Option<String> {
    let at = usize::try_from(head.events - 1).ok()?;
    match hashes.get(at) {
        Some(hash) if *hash == head.hash => None,
        Some(_) => Some(format!("event {} was another one", head.events)),
        None => Some(format!("the tail is cut off: there were {} events", head.events)),
    }
}

async fn segments(run: &mut Run<'_>, rows: &[AuditRow], verified: &mut Verified) -> Result<()> {
    let tenant = run.tenant;
    let by_number: HashMap<i64, &AuditRow> = rows.iter().map(|row| (row.seq, row)).collect();
    let mut places = tenant.segments.list(&tenant.scope).await?;
    // One that was made since may hold events that came after the store was read.
    places.retain(|place| run.size(&place.path).is_some());
    let mut next = 1;
    for place in &places {
        run.reached.insert(place.path.clone());
        verified.objects += 1;
        if place.first > next {
            let flaw = Flaw::new(Segments::prefix(&tenant.scope), format!("holds no event {next} to {}", place.first - 1));
            verified.tell(Some(tenant), flaw, "these events are in the control store alone", Mend::Restore);
        }
        next = next.max(place.last + 1);
        let segment = match tenant.segments.open(&tenant.scope, tenant.documents(), place).await {
            Ok(segment) => segment,
            Err(error) if error.kind() == bonded_connectors::ErrorKind::Damaged => {
                let follows = "these events are in the control store alone";
                verified.tell(Some(tenant), Flaw::new(place.path.clone(), error.to_string()), follows, Mend::Restore);
                continue;
            }
            Err(error) => {
                return Err(crate::Error::new(ErrorKind::Retry, "a segment of the trail cannot be read").with_source(error));
            }
        };
        if let Some(row) = segment.rows.iter().find(|row| by_number.get(&row.seq) != Some(row)) {
            let what = match by_number.contains_key(&row.seq) {
                true => "is not what was sealed",
                false => "is sealed, and missing here",
            };
            let flaw = Flaw::new(STORE, what).at(format!("event {}", row.seq));
            verified.tell(Some(tenant), flaw, FOLLOWS, Mend::Restore);
        }
    }
    Ok(())
}
