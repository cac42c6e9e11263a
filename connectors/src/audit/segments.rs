//! Segments: closed ranges of a tenant's chain, sealed under the tenant's key, apart from the control store.
//! Promise: a segment is written once and never replaced, lies durable and read-only, and opens only as what and where it was
//! written; from them the trail is taken up again when the control store is lost.
//! Never: a segment is deleted here. On a disk it is 0444, which keeps off mistakes, not an administrator: for that the chain is.

use std::{
    fs::{File, Permissions},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
};

use bonded_schemas::TenantScope;
use futures::TryStreamExt;
use object_store::{ObjectStoreExt, PutPayload, path::Path};
use serde::{Deserialize, Serialize};

use super::{AuditRow, Signed};
use crate::{
    error::{Error, ErrorKind, Result},
    raw::RawZone,
    seal::DocumentKey,
};

const CONTEXT: &str = "bonded-audit-segment-v1";
const READ_ONLY: u32 = 0o444;
/// Larger than any that is written: 10,000 events of some hundred bytes.
const BYTES_MAX: u64 = 256 << 20;
/// So that names sort as numbers do.
const NUMBER_CHARS: usize = 12;

/// One range of a chain, and the checkpoints made within it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    pub rows: Vec<AuditRow>,
    pub checkpoints: Vec<Signed>,
}

/// Where one lies, and what of the chain it holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SegmentPlace {
    pub first: i64,
    pub last: i64,
    pub path: String,
}

#[derive(Clone, Debug)]
pub struct Segments {
    zone: RawZone,
    /// The folder that object paths are relative to, when they are files.
    local_root: Option<PathBuf>,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Line {
    Event { seq: i64, at: String, sealed: String, hash: String },
    Checkpoint(Signed),
}

impl Segments {
    pub fn new(zone: RawZone, local_root: Option<PathBuf>) -> Self {
        Self { zone, local_root }
    }

    /// `tenants/<tenant>/audit/`, where all of them lie.
    pub fn prefix(scope: &TenantScope) -> String {
        format!("tenants/{}/audit/", scope.tenant())
    }

    /// Seals a range under `tenants/<tenant>/audit/<first>-<last>`; `false` when it lies there already.
    ///
    /// # Errors
    /// `Internal` when there is no event in it.
    pub async fn put(&self, scope: &TenantScope, documents: &DocumentKey, segment: &Segment) -> Result<bool> {
        let (Some(first), Some(last)) = (segment.rows.first(), segment.rows.last()) else {
            return Err(Error::new(ErrorKind::Internal, "a segment of no event"));
        };
        let (first, last) = (first.seq, last.seq);
        let path = format!("{}{first:0width$}-{last:0width$}", Self::prefix(scope), width = NUMBER_CHARS);
        let mut text = Vec::new();
        let events = segment.rows.iter().map(|row| Line::Event {
            seq: row.seq,
            at: row.at.clone(),
            sealed: row.stored(),
            hash: row.hash.clone(),
        });
        for line in events.chain(segment.checkpoints.iter().cloned().map(Line::Checkpoint)) {
            let unwritten = |error| Error::new(ErrorKind::Internal, "a segment cannot be written").with_source(error);
            serde_json::to_writer(&mut text, &line).map_err(unwritten)?;
            text.push(b'\n');
        }
        let sealed = documents.seal(&[CONTEXT, scope.tenant().as_str(), &path], &text);
        let new = self.zone.put_if_absent(scope.tenant(), &Path::from(path.as_str()), PutPayload::from(sealed)).await?;
        self.protect(&path).await?;
        Ok(new)
    }

    /// Makes a file read-only, durably. A crash may have come between its making and this: it is done again by whoever looks.
    pub async fn protect(&self, path: &str) -> Result<()> {
        let Some(root) = &self.local_root else { return Ok(()) };
        let file = root.join(path);
        let cannot =
            |error: std::io::Error| Error::new(ErrorKind::Setup, format!("`{path}` cannot be made read-only")).with_source(error);
        let done = tokio::task::spawn_blocking(move || {
            let file = File::open(file)?;
            if file.metadata()?.permissions().mode() & 0o777 == READ_ONLY {
                return Ok(());
            }
            file.set_permissions(Permissions::from_mode(READ_ONLY))?;
            file.sync_all()
        });
        done.await.map_err(std::io::Error::other).flatten().map_err(cannot)
    }

    /// In the order of the chain.
    pub async fn list(&self, scope: &TenantScope) -> Result<Vec<SegmentPlace>> {
        let prefix = Path::from(Self::prefix(scope));
        let listed: Vec<String> =
            self.zone.objects().list(Some(&prefix)).map_ok(|found| found.location.to_string()).try_collect().await?;
        let mut places: Vec<SegmentPlace> = listed.into_iter().filter_map(|path| place(scope, path)).collect();
        places.sort();
        Ok(places)
    }

    /// # Errors
    /// `Damaged` when it is not what was sealed there, or is not the range that its name tells.
    pub async fn open(&self, scope: &TenantScope, documents: &DocumentKey, place: &SegmentPlace) -> Result<Segment> {
        let path = place.path.as_str();
        let found = self.zone.objects().get(&Path::from(path)).await?;
        let damaged =
            || Error::new(ErrorKind::Damaged, format!("`{path}` is no segment of this trail: restore it from a backup"));
        if found.meta.size > BYTES_MAX {
            return Err(damaged());
        }
        let plain = documents.open(&[CONTEXT, scope.tenant().as_str(), path], &found.bytes().await?)?;
        let mut segment = Segment::default();
        for line in plain.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match serde_json::from_slice(line).map_err(|error| damaged().with_source(error))? {
                Line::Event { seq, at, sealed, hash } => segment.rows.push(AuditRow::of(seq, at, &sealed, hash)?),
                Line::Checkpoint(signed) => segment.checkpoints.push(signed),
            }
        }
        let numbers: Vec<i64> = segment.rows.iter().map(|row| row.seq).collect();
        if numbers == (place.first..=place.last).collect::<Vec<_>>() { Ok(segment) } else { Err(damaged()) }
    }
}

/// None of a name that no segment has: such an object is litter.
fn place(scope: &TenantScope, path: String) -> Option<SegmentPlace> {
    let number =
        |text: &str| (text.len() >= NUMBER_CHARS && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?;
    let (first, last) = path.strip_prefix(&Segments::prefix(scope))?.split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some(SegmentPlace { first, last, path })
}
