//! What of put-if-absent a store really does. S3 itself does both; others ignore the condition on versioned buckets, or when
//! a multipart upload is completed, and answer as if they had looked.
//!
//! Where a condition is ignored, we look first and then write, and two writers at the same moment both write. What that
//! means, for each thing that is written if absent:
//! - a raw object is named by its content: both hold the same bytes, each whole under a data key of its own. On a bucket with
//!   versions a reader keeps to the version that it opened; without, a reader of that very moment may find it damaged and,
//!   asked again, will not.
//! - a provenance note: both tell of a delivery of these bytes; the later one stays.
//! - a segment of the audit trail: both hold the same rows.
//! - decisions, data files, manifests, table metadata: their names are drawn at random, so nobody else writes there.
//! - a tenant's record: two would differ, so there the control store decides first (`Lakehouse::add_tenant`).

use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, path::Path};

use crate::error::{Error, ErrorKind, Result};

const PROBE: &str = "bonded.probe";
const COPY: &str = "bonded.probe.copy";

/// Which conditions the store holds to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Honours {
    /// `PUT` with `If-None-Match: *`.
    pub put: bool,
    /// The same when a multipart upload, here of a copy, is completed.
    pub copy: bool,
}

#[derive(Clone, Copy)]
enum Condition {
    Put,
    Copy,
}

/// Writes two small objects that stay, so that a store which looks needs one try of each from the second process on.
pub(super) async fn probe(store: &dyn ObjectStore) -> Result<Honours> {
    let honours = Honours { put: refused_once(store, Condition::Put).await?, copy: refused_once(store, Condition::Copy).await? };
    if !honours.put || !honours.copy {
        tracing::warn!(target: "lake.s3", put = honours.put, copy = honours.copy, "the store ignores put-if-absent: races are settled otherwise");
    }
    Ok(honours)
}

/// Whether one of two tries in a row is refused because something is there.
async fn refused_once(store: &dyn ObjectStore, condition: Condition) -> Result<bool> {
    let probe = Path::from(PROBE);
    for _ in 0..2 {
        let done = match condition {
            Condition::Put => {
                let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
                store.put_opts(&probe, PutPayload::from_static(b"bonded"), options).await.map(|_| ())
            }
            Condition::Copy => store.copy_if_not_exists(&probe, &Path::from(COPY)).await,
        };
        match done {
            Ok(()) => {}
            Err(object_store::Error::AlreadyExists { .. }) => return Ok(true),
            Err(error) => {
                let mend =
                    "the lake's bucket cannot be written: it must be there, in aws.region, and this role may put objects into it";
                let error = Error::from(error);
                let kind =
                    if matches!(error.kind(), ErrorKind::Internal | ErrorKind::Input) { ErrorKind::Setup } else { error.kind() };
                return Err(Error::new(kind, mend).with_source(error));
            }
        }
    }
    Ok(false)
}
