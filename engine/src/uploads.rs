//! Uploads that come in pieces, for lines that break: announced, sent on from wherever they stand, landed like any other file.
//! Promise: an offset that was answered is kept, sealed under the tenant's key, whatever dies; the whole is landed only if it
//! is to the byte what was announced; bytes that are here already are not asked for again.
//! Never: anyone but who began an upload sees it, and none lives longer than `uploads.age_max`.

use std::io;

use bonded_connectors::{
    raw::RawZone,
    store::{
        audit::NewEvent,
        ledger::LedgerRow,
        uploads::{Begun, UploadLimits, UploadRow},
        windows::RepeatRow,
    },
};
use bonded_schemas::Channel;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use crate::{
    audit::Change,
    error::{Error, Result},
    ingest::{self, Source},
    lakehouse::{Lakehouse, Tenant},
};

#[cfg(test)]
mod tests;

/// Shorter pieces than this are refused, but for the last.
const PIECE_BYTES_MIN: u64 = 64 << 10;
/// An upload has no more pieces than this: a large one must come in larger ones.
const PIECES_MAX: u64 = 10_000;

/// What is to come, as its sender says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announced {
    pub file_name: String,
    pub size_bytes: u64,
    /// Lower-case hex.
    pub sha256: String,
    pub as_of: Option<DateTime<Utc>>,
}

/// Where an upload stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    pub id: String,
    pub size_bytes: u64,
    pub offset_bytes: u64,
    pub piece_bytes_min: u64,
    pub piece_bytes_max: u64,
    pub expires_at: DateTime<Utc>,
}

/// What became of an announcement.
#[derive(Clone, Debug)]
pub enum Start {
    New(Upload),
    /// The caller began it before.
    There(Upload),
    /// These bytes were delivered before.
    Known(Box<LedgerRow>),
    /// More than this lake takes of one file.
    TooLarge,
    /// The tenant has as much open as it may.
    Full,
}

/// What became of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// All up to here is kept.
    Kept(u64),
    /// The upload stands here, not where the piece begins.
    Elsewhere(u64),
    /// Shorter than it may be, or longer than what is missing.
    Unfit,
    Missing,
}

/// What became of the whole.
#[derive(Clone, Debug)]
pub enum Whole {
    /// In the raw zone. Call [`end`] once it is in the queue; it was called before when there is no upload.
    Landed(Box<LedgerRow>),
    /// Pieces are missing from here on.
    Incomplete(u64),
    /// The pieces are not what was announced, and gone: it must be begun anew.
    Broken,
    Missing,
}

pub async fn begin(house: &Lakehouse, tenant: &Tenant, caller: &str, poa: Option<&str>, what: &Announced) -> Result<Start> {
    ingest::check_as_of(house, what.as_of)?;
    let limits = &house.settings.uploads;
    let most = house.settings.ingest.file_bytes_max.min(PIECES_MAX.saturating_mul(limits.piece_bytes_max));
    if what.size_bytes > most.min(limits.bytes_max) {
        return Ok(Start::TooLarge);
    }
    let keyed_digest = RawZone::name_of(&tenant.names, &what.sha256)?;
    if let Some(known) = tenant.ledger.delivery_by_digest(&keyed_digest).await? {
        if ingest::is_done(&known) {
            // What was expected may have come with old bytes: the watch wants to know.
            let received_at = house.clock.now();
            let as_of = what.as_of.unwrap_or(received_at);
            tenant.ledger.record_repeat(&RepeatRow { delivery_id: known.delivery_id, received_at, as_of }).await?;
        }
        return Ok(Start::Known(Box::new(known)));
    }
    sweep(house, tenant).await?;
    let now = house.clock.now();
    let upload_id = Uuid::now_v7().to_string();
    let row = UploadRow {
        caller: caller.to_owned(),
        keyed_digest,
        size_bytes: what.size_bytes,
        offset_bytes: 0,
        delivery_id: String::new(),
        begun_ms: now.timestamp_millis(),
        sealed: tenant.seal("upload", &upload_id, what)?,
        upload_id,
    };
    let change = Change::made(&json!({ "size_bytes": what.size_bytes, "power_of_attorney": poa }))?;
    let event = tenant.sealed_change("upload.begin", &row.upload_id, "begun", change)?;
    let room = UploadLimits { open_max: limits.open_max, bytes_max: limits.bytes_max };
    Ok(match tenant.ledger.begin_upload(&row, room, NewEvent { at: now, sealed: &event }).await? {
        Begun::New => Start::New(seen(house, &row)),
        Begun::There(there) => Start::There(seen(house, &there)),
        Begun::TooMany | Begun::TooLarge => Start::Full,
    })
}

/// The caller's upload of this id; `None` also when its time is over.
pub async fn look(house: &Lakehouse, tenant: &Tenant, caller: &str, id: Uuid) -> Result<Option<Upload>> {
    Ok(found(house, tenant, caller, id).await?.map(|row| seen(house, &row)))
}

/// Keeps a piece that begins at `offset_bytes`. When this answers, it is on the disk.
pub async fn add(house: &Lakehouse, tenant: &Tenant, caller: &str, id: Uuid, offset_bytes: u64, plain: &[u8]) -> Result<Added> {
    let Some(row) = found(house, tenant, caller, id).await? else { return Ok(Added::Missing) };
    if row.offset_bytes != offset_bytes {
        return Ok(Added::Elsewhere(row.offset_bytes));
    }
    let (length, missing) = (plain.len() as u64, row.size_bytes - row.offset_bytes);
    if length == 0 || length > missing || (length < piece_bytes_min(row.size_bytes) && length != missing) {
        return Ok(Added::Unfit);
    }
    let piece = house.raw.stage_piece(&tenant.scope, tenant.documents(), &row.upload_id, offset_bytes, plain).await?;
    // Where this fails, it may have been done all the same: the piece stays, for the row or for the sweep of staging.
    if tenant.ledger.add_piece(&row.upload_id, &piece).await? {
        return Ok(Added::Kept(offset_bytes + length));
    }
    house.raw.unstage_pieces(&tenant.scope, &[piece]).await;
    let now = found(house, tenant, caller, id).await?;
    Ok(now.map_or(Added::Missing, |row| Added::Elsewhere(row.offset_bytes)))
}

/// Lands the whole.
pub async fn land(house: &Lakehouse, tenant: &Tenant, caller: &str, poa: Option<String>, id: Uuid) -> Result<Whole> {
    let Some(row) = found(house, tenant, caller, id).await? else { return Ok(Whole::Missing) };
    if !row.delivery_id.is_empty() {
        return delivered(house, tenant, &row).await;
    }
    if row.offset_bytes < row.size_bytes {
        return Ok(Whole::Incomplete(row.offset_bytes));
    }
    let what: Announced = tenant.unseal("upload", &row.upload_id, &row.sealed)?;
    let pieces = tenant.ledger.pieces(&row.upload_id).await?;
    let mut bytes = house.raw.pieced(&tenant.scope, tenant.documents(), &row.upload_id, pieces, &what.sha256);
    let source =
        Source { file_name: what.file_name, bytes: &mut bytes, channel: Channel::Api, as_of: what.as_of, envelope: None, poa };
    let error = match ingest::land_only(house, tenant, source).await {
        Ok(landed) => return Ok(Whole::Landed(Box::new(landed))),
        Err(error) => error,
    };
    if !is_broken(&error) {
        return Err(error);
    }
    // Another call may have landed it, and taken the pieces away while this one read them.
    let Some(now) = found(house, tenant, caller, id).await? else { return Ok(Whole::Missing) };
    if !now.delivery_id.is_empty() {
        return delivered(house, tenant, &now).await;
    }
    tracing::warn!(target: "uploads.broken", upload = row.upload_id, %error, "the pieces of an upload are not what was announced");
    forget(house, tenant, &row.upload_id, Some("not what was announced")).await?;
    Ok(Whole::Broken)
}

/// The upload became this delivery, which is told in the trail; its pieces go. `false` when that was done before.
pub async fn end(
    house: &Lakehouse,
    tenant: &Tenant,
    id: Uuid,
    delivery: &LedgerRow,
    result: &str,
    change: Change,
) -> Result<bool> {
    let delivery_id = delivery.delivery_id.to_string();
    let event = tenant.sealed_change("deliver", &delivery_id, result, change)?;
    let told = NewEvent { at: house.clock.now(), sealed: &event };
    let ended = tenant.ledger.end_upload(&id.to_string(), &delivery_id, told).await?;
    if let Some(pieces) = &ended {
        house.raw.unstage_pieces(&tenant.scope, pieces).await;
    }
    Ok(ended.is_some())
}

/// Gives an upload up; `false` when there is none of the caller's.
pub async fn cancel(house: &Lakehouse, tenant: &Tenant, caller: &str, id: Uuid) -> Result<bool> {
    let Some(row) = found(house, tenant, caller, id).await? else { return Ok(false) };
    forget(house, tenant, &row.upload_id, Some("given up")).await?;
    Ok(true)
}

/// Forgets the uploads whose time is over; answers how many.
pub async fn sweep(house: &Lakehouse, tenant: &Tenant) -> Result<usize> {
    let over = tenant.ledger.uploads_before(over_ms(house)).await?;
    for row in &over {
        // What became of one that ended is told already.
        let told = row.delivery_id.is_empty().then_some("its time is over");
        forget(house, tenant, &row.upload_id, told).await?;
    }
    Ok(over.len())
}

/// Begun before then, an upload is no longer there.
pub(crate) fn over_ms(house: &Lakehouse) -> i64 {
    (house.clock.now() - house.settings.uploads.age_max()).timestamp_millis() + 1
}

async fn found(house: &Lakehouse, tenant: &Tenant, caller: &str, id: Uuid) -> Result<Option<UploadRow>> {
    let row = tenant.ledger.upload(&id.to_string(), caller).await?;
    Ok(row.filter(|row| row.begun_ms >= over_ms(house)))
}

/// Of an upload that ended.
async fn delivered(house: &Lakehouse, tenant: &Tenant, row: &UploadRow) -> Result<Whole> {
    if let Some(delivery) = tenant.ledger.delivery(row.delivery_id.parse()?).await? {
        return Ok(Whole::Landed(Box::new(delivery)));
    }
    // A ledger that was put back knows nothing of it.
    forget(house, tenant, &row.upload_id, None).await?;
    Ok(Whole::Broken)
}

async fn forget(house: &Lakehouse, tenant: &Tenant, upload_id: &str, told: Option<&str>) -> Result<()> {
    let event = told.map(|told| tenant.sealed_event("upload.end", upload_id, told)).transpose()?;
    let told = event.as_deref().map(|sealed| NewEvent { at: house.clock.now(), sealed });
    if let Some(pieces) = tenant.ledger.forget_upload(upload_id, told).await? {
        house.raw.unstage_pieces(&tenant.scope, &pieces).await;
    }
    Ok(())
}

fn seen(house: &Lakehouse, row: &UploadRow) -> Upload {
    let begun = DateTime::from_timestamp_millis(row.begun_ms).unwrap_or_default();
    Upload {
        id: row.upload_id.clone(),
        size_bytes: row.size_bytes,
        offset_bytes: row.offset_bytes,
        piece_bytes_min: piece_bytes_min(row.size_bytes),
        piece_bytes_max: house.settings.uploads.piece_bytes_max,
        expires_at: begun + house.settings.uploads.age_max(),
    }
}

fn piece_bytes_min(size_bytes: u64) -> u64 {
    size_bytes.div_ceil(PIECES_MAX).max(PIECE_BYTES_MIN)
}

/// Whether the whole could not be read because it is none.
fn is_broken(error: &Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if inner.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == io::ErrorKind::InvalidData) {
            return true;
        }
        source = inner.source();
    }
    false
}

/// For settings: how long an upload may take.
pub(crate) const AGE_MAX: TimeDelta = TimeDelta::hours(24);
