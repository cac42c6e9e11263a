//! Deliveries: ledger row, sealed receipt, provenance note and received bytes, each held against the others.
//! Promise: every received byte is decrypted and digested again, on all cores, a few blocks of each file in memory.

use std::collections::{BTreeMap, HashMap};

use bonded_connectors::{Flaw, store::dump::Row};
use bonded_schemas::{Delivery, DeliveryState, Receipt};
use futures::{StreamExt, stream};

use super::{
    Mend, Run, Verified,
    store::{number, text},
};
use crate::error::{Error, ErrorKind, Result};

pub(super) const OBJECT: &str = "control store: deliveries";
const NOTE_SUFFIX: &str = ".note";

/// What a delivery's row tells, for the tables to be held against.
#[derive(Clone, Debug)]
pub(super) struct Delivered {
    pub keyed_digest: String,
    pub state: Option<DeliveryState>,
    pub receipt: Option<Box<Receipt>>,
    size_bytes: Option<i64>,
    received_at: String,
    as_of: String,
}

pub(super) async fn check(run: &mut Run<'_>, verified: &mut Verified) -> Result<()> {
    let mut by_id: BTreeMap<String, Delivered> = BTreeMap::new();
    for row in run.store.rows("deliveries") {
        let (id, delivered) = row_of(run, row, verified);
        by_id.insert(id, delivered);
    }
    let paths: HashMap<String, String> = by_id.iter().map(|(id, row)| (raw_path(run, &row.keyed_digest), id.clone())).collect();
    notes(run, &paths, &by_id, verified).await?;
    bytes(run, &paths, &by_id, verified).await?;
    decisions(run, verified).await?;
    for (path, id) in &paths {
        run.reached.insert(path.clone());
        run.reached.insert(format!("{path}{NOTE_SUFFIX}"));
        if run.size(path).is_none() {
            lost(run, path, "is missing", Some(id), verified);
        }
        if run.size(&format!("{path}{NOTE_SUFFIX}")).is_none() {
            no_note(run, path, "is missing".into(), id, verified);
        }
    }
    for (id, row) in &by_id {
        if row.receipt.is_none() {
            let tenant = run.tenant.scope.tenant().as_str();
            let what = "its last step is missing: deliver the same file again, and it goes on";
            Verified::note(&mut verified.unfinished, tenant, format!("delivery {id}"), what);
        }
    }
    run.deliveries = by_id;
    Ok(())
}

fn raw_path(run: &Run<'_>, keyed_digest: &str) -> String {
    format!("tenants/{}/raw/{keyed_digest}", run.tenant.scope.tenant())
}

/// The row's clear cells against its receipt.
fn row_of(run: &Run<'_>, row: &Row, verified: &mut Verified) -> (String, Delivered) {
    let id = text(row, "delivery_id").unwrap_or("?").to_owned();
    let cell = |column: &str| text(row, column).unwrap_or_default().to_owned();
    let keyed_digest = cell("keyed_digest");
    let state: Option<DeliveryState> = cell("state").parse().ok();
    let mut wrong: Vec<String> = Vec::new();
    let sealed = text(row, "sealed_receipt");
    let receipt: Option<Box<Receipt>> = match sealed.map(|sealed| run.tenant.unseal("receipt", &keyed_digest, sealed)) {
        Some(Ok(receipt)) => Some(Box::new(receipt)),
        Some(Err(error)) => {
            wrong.push(error.to_string());
            None
        }
        None => None,
    };
    if cell("raw_path") != raw_path(run, &keyed_digest) {
        wrong.push("raw_path is not where these bytes lie".into());
    }
    match (&receipt, state) {
        (Some(receipt), Some(state)) => {
            let told = [
                ("delivery_id", receipt.delivery.id.to_string(), id.clone()),
                ("keyed_digest", receipt.keyed_digest.clone(), keyed_digest.clone()),
                ("state", receipt.state.as_str().to_owned(), state.as_str().to_owned()),
                ("report", receipt.report.map(|report| report.code().to_owned()).unwrap_or_default(), cell("report")),
                ("received_at", receipt.delivery.received_at.to_rfc3339(), cell("received_at")),
                ("as_of", receipt.delivery.as_of.to_rfc3339(), cell("as_of")),
                ("size_bytes", receipt.size_bytes.to_string(), number(row, "size_bytes").unwrap_or(-1).to_string()),
                ("snapshot_id", written(receipt.snapshot_id), written(number(row, "snapshot_id"))),
            ];
            wrong.extend(
                told.iter()
                    .filter(|(_, sealed, clear)| sealed != clear)
                    .map(|(column, ..)| format!("{column} is not what its receipt says")),
            );
        }
        (None, Some(DeliveryState::Landed | DeliveryState::Committed)) if sealed.is_none() => {}
        (None, _) if sealed.is_some() => {}
        _ => wrong.push("state does not fit the rest".into()),
    }
    for what in wrong {
        let flaw = Flaw::new(OBJECT, what).at(format!("delivery {id}"));
        verified.tell_of(Some(run.tenant), flaw, "its ledger row is not to be trusted", vec![id.clone()], Mend::Rebuild);
    }
    let size_bytes = number(row, "size_bytes");
    (id, Delivered { state, receipt, size_bytes, received_at: cell("received_at"), as_of: cell("as_of"), keyed_digest })
}

fn written(number: Option<i64>) -> String {
    number.map(|number| number.to_string()).unwrap_or_default()
}

/// Every note in the raw zone opens, and tells what row and receipt tell.
async fn notes(
    run: &Run<'_>,
    paths: &HashMap<String, String>,
    by_id: &BTreeMap<String, Delivered>,
    verified: &mut Verified,
) -> Result<()> {
    let there: Vec<&str> = run.objects.iter().filter_map(|(path, _)| path.strip_suffix(NOTE_SUFFIX)).collect();
    for path in there {
        let id = paths.get(path).map(String::as_str).unwrap_or("?");
        let kept = match run.house.raw.note(&run.tenant.scope, run.tenant.documents(), path).await {
            Ok(Some(kept)) => serde_json::from_slice::<Delivery>(&kept).map_err(Error::from),
            Ok(None) => continue,
            Err(error) => Err(error.into()),
        };
        match (kept, by_id.get(id)) {
            (Err(error), _) => no_note(run, path, error.to_string(), id, verified),
            (Ok(note), Some(row)) => {
                let same = match &row.receipt {
                    Some(receipt) => note == receipt.delivery,
                    None => {
                        note.id.to_string() == id
                            && note.received_at.to_rfc3339() == row.received_at
                            && note.as_of.to_rfc3339() == row.as_of
                    }
                };
                if !same {
                    let flaw = Flaw::new(OBJECT, "is not what the note in the raw zone says").at(format!("delivery {id}"));
                    verified.tell_of(
                        Some(run.tenant),
                        flaw,
                        "its ledger row is not to be trusted",
                        vec![id.to_owned()],
                        Mend::Rebuild,
                    );
                }
            }
            (Ok(_), None) => {}
        }
    }
    Ok(())
}

fn no_note(run: &Run<'_>, path: &str, what: String, id: &str, verified: &mut Verified) {
    let flaw = Flaw::new(format!("{path}{NOTE_SUFFIX}"), what);
    let follows = "who sent these bytes, and when, is told by the receipt alone; rebuild would leave them out";
    verified.tell_of(Some(run.tenant), flaw, follows, vec![id.to_owned()], Mend::Restore);
}

/// Every landed object, whether or not the ledger knows it.
async fn bytes(
    run: &Run<'_>,
    paths: &HashMap<String, String>,
    by_id: &BTreeMap<String, Delivered>,
    verified: &mut Verified,
) -> Result<()> {
    let there: Vec<(String, u64)> = run.objects.iter().filter(|(path, _)| is_raw(run, path)).cloned().collect();
    let whole = !run.depth.quick;
    let checks = there.into_iter().map(|(path, stored)| {
        let (raw, scope, key, names) =
            (run.house.raw.clone(), run.tenant.scope.clone(), run.tenant.key.clone(), run.tenant.names.clone());
        async move {
            let task = tokio::spawn(async move { (raw.check(&scope, &key, &names, &path, whole).await, path) });
            (task.await, stored)
        }
    });
    let mut checks = stream::iter(checks).buffer_unordered(super::tables::cores());
    while let Some((done, stored)) = checks.next().await {
        let (checked, path) = done.map_err(|error| Error::new(ErrorKind::Internal, "a check of raw bytes").with_source(error))?;
        verified.objects += 1;
        verified.bytes += stored;
        (run.watch)(verified.objects, verified.bytes);
        let id = paths.get(&path);
        match checked {
            Err(error) => lost(run, &path, &error.to_string(), id, verified),
            Ok(checked) => match id.and_then(|id| by_id.get(id)) {
                Some(row) => {
                    let sized = i64::try_from(checked.size_bytes).ok() == row.size_bytes;
                    let digested = row.receipt.as_ref().is_none_or(|receipt| receipt.sha256 == checked.sha256);
                    if !sized || !digested {
                        let id = id.cloned().unwrap_or_default();
                        let flaw = Flaw::new(OBJECT, "tells of other bytes than the raw zone holds").at(format!("delivery {id}"));
                        verified.tell_of(Some(run.tenant), flaw, "its ledger row is not to be trusted", vec![id], Mend::Rebuild);
                    }
                }
                None => unrecorded(run, &path, &checked.keyed_digest, verified).await?,
            },
        }
    }
    Ok(())
}

fn is_raw(run: &Run<'_>, path: &str) -> bool {
    let folder = raw_path(run, "");
    path.strip_prefix(&folder).is_some_and(|name| name.len() == 64 && !name.contains('/') && !name.contains('.'))
}

fn lost(run: &Run<'_>, path: &str, what: &str, id: Option<&String>, verified: &mut Verified) {
    let follows = "the received bytes are lost; rows that were made of them stay, and rebuild would leave them out";
    verified.tell_of(Some(run.tenant), Flaw::new(path, what), follows, id.cloned().into_iter().collect(), Mend::Restore);
}

/// Bytes without a row: landed since the ledger was read, or left by a crash between the two.
async fn unrecorded(run: &Run<'_>, path: &str, keyed_digest: &str, verified: &mut Verified) -> Result<()> {
    if run.tenant.ledger.delivery_by_digest(keyed_digest).await.ok().flatten().is_none() {
        let what = "received bytes that no ledger row tells of: deliver the same file again, or rebuild";
        Verified::note(&mut verified.unfinished, run.tenant.scope.tenant().as_str(), path, what);
    }
    Ok(())
}

/// What people decided opens; a rebuild needs it.
async fn decisions(run: &mut Run<'_>, verified: &mut Verified) -> Result<()> {
    for path in run.house.raw.decisions(&run.tenant.scope).await? {
        if let Err(error) = run.house.raw.decision(&run.tenant.scope, run.tenant.documents(), &path).await {
            let follows = "a rebuild would leave this decision out";
            verified.tell(Some(run.tenant), Flaw::new(path.clone(), error.to_string()), follows, Mend::Restore);
        }
        run.reached.insert(path);
    }
    let unrecorded = run.objects.iter().map(|(path, _)| path.clone());
    let unrecorded: Vec<String> = unrecorded
        .filter(|path| is_raw(run, path) || path.strip_suffix(NOTE_SUFFIX).is_some_and(|path| is_raw(run, path)))
        .collect();
    run.reached.extend(unrecorded);
    Ok(())
}
