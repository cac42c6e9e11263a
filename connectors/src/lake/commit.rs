//! The encrypted commit: data files in, one snapshot out, whatever other writers do meanwhile.
//! Steps: load, look for the mark, encrypt manifest and manifest list, swing the pointer; a lost race begins again.
//! Promise: one snapshot per keyed digest; an unknown answer is resolved by loading the table and looking.

use std::{collections::HashSet, time::Duration};

use bonded_schemas::Report;
use iceberg::{
    TableRequirement,
    spec::{DataFile, MAIN_BRANCH, Operation, TableMetadata},
    table::Table,
};

use super::{
    Tables, Written,
    catalog::{LedgerMark, Swing},
    manifests::Merge,
    read,
    staging::Staging,
};
use crate::error::{Again, Error, ErrorKind, Result};

/// The one property of ours in a snapshot summary; metadata.json is plain, so it is the keyed digest and nothing else.
pub const DELIVERY_PROPERTY: &str = "bonded.delivery";

const ATTEMPTS_MAX: u32 = 100;
const BACKOFF_MS_MIN: u64 = 5;
const BACKOFF_MS_SPREAD: u64 = 60;
/// After an answer that it is asked too often: doubled by each one more, up to the longest.
const THROTTLED_MS_MIN: u64 = 100;
const THROTTLED_MS_MAX: u64 = 5_000;

/// Which delivery a commit is for: the idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    pub report: Report,
    pub keyed_digest: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Committed {
        snapshot_id: i64,
        attempts: u32,
    },
    /// The delivery is in the table since an earlier commit; the files passed in are deleted.
    AlreadyCommitted {
        snapshot_id: i64,
    },
}

/// What a snapshot changes.
pub(super) struct Change<'a> {
    pub add: &'a [DataFile],
    /// Live data files to drop, by path.
    pub remove: HashSet<&'a str>,
    pub operation: Operation,
    pub mark: Option<&'a Mark>,
    /// Manifests known to hold none of the files to drop, by path: they are not read again for it.
    pub unaffected: HashSet<String>,
    pub merge: Merge,
}

impl<'a> Change<'a> {
    pub fn append(add: &'a [DataFile], mark: &'a Mark) -> Self {
        Self { mark: Some(mark), ..Self::replace(add, HashSet::new(), Operation::Append) }
    }

    pub fn replace(add: &'a [DataFile], remove: HashSet<&'a str>, operation: Operation) -> Self {
        Self { add, remove, operation, mark: None, unaffected: HashSet::new(), merge: Merge::WhenMany }
    }
}

pub(super) fn snapshot_with(metadata: &TableMetadata, keyed_digest: &str) -> Option<i64> {
    metadata
        .snapshots()
        .find(|s| s.summary().additional_properties.get(DELIVERY_PROPERTY).is_some_and(|mark| mark == keyed_digest))
        .map(|s| s.snapshot_id())
}

pub(super) async fn append(tables: &Tables, table: &str, written: Written, mark: &Mark) -> Result<Outcome> {
    match commit(tables, table, &Change::append(&written.files, mark)).await {
        Ok(Outcome::AlreadyCommitted { snapshot_id }) => {
            // The rows are in the table; that a copy of them stays behind is no reason to say that they are not.
            if let Err(error) = tables.discard(table, written).await {
                tracing::warn!(target: "lake.commit.litter", %error, "unreferenced data files stay behind");
            }
            Ok(Outcome::AlreadyCommitted { snapshot_id })
        }
        done => done,
    }
}

/// Commits the change, again and again while others come first.
///
/// # Errors
/// `Ambiguous` when it is not known whether the change landed: its files may be in a snapshot and must be left alone.
/// After any other error, and after `AlreadyCommitted`, they are in none.
pub(super) async fn commit(tables: &Tables, table: &str, change: &Change<'_>) -> Result<Outcome> {
    let mut unanswered = Vec::new();
    let ended = attempts(tables, table, change, &mut unanswered).await;
    match ended {
        // What failed last says nothing of the commit before it. Told as it is, it would have the files deleted.
        Err(error) if !unanswered.is_empty() => {
            let message = format!("a commit to {table} was not answered and cannot be looked for; run it again");
            Err(Error::new(ErrorKind::Ambiguous, message).with_source(error))
        }
        ended => ended,
    }
}

/// `unanswered`: snapshots whose COMMIT went unanswered. If one turns up in the table, it landed.
async fn attempts(tables: &Tables, table: &str, change: &Change<'_>, unanswered: &mut Vec<i64>) -> Result<Outcome> {
    let ident = tables.ident(table);
    let (mut waits, mut last) = (Waits::default(), None);
    for attempt in 1..=ATTEMPTS_MAX {
        let loaded = tables.catalog.load(&ident).await?;
        if let Some(snapshot_id) = landed(tables, &loaded, change, unanswered).await? {
            tables.catalog.settle(&loaded).await?;
            return Ok(Outcome::Committed { snapshot_id, attempts: attempt });
        }
        if let Some(snapshot_id) = change.mark.and_then(|mark| snapshot_with(loaded.metadata(), &mark.keyed_digest)) {
            tables.catalog.settle(&loaded).await?;
            return Ok(Outcome::AlreadyCommitted { snapshot_id });
        }
        let now_ms = tables.clock.now().timestamp_millis();
        let mut staging = Staging::new(&loaded, now_ms)?;
        let staged = staging.stage(change).await;
        let swung = match staged {
            Ok((snapshot_id, updates)) => {
                let mark =
                    change.mark.map(|mark| LedgerMark { keyed_digest: &mark.keyed_digest, report: mark.report, snapshot_id });
                let requirements = vec![
                    TableRequirement::UuidMatch { uuid: loaded.metadata().uuid() },
                    TableRequirement::RefSnapshotIdMatch {
                        r#ref: MAIN_BRANCH.into(),
                        snapshot_id: loaded.metadata().current_snapshot_id(),
                    },
                ];
                (Some(snapshot_id), tables.catalog.swing(&loaded, updates, requirements, mark).await)
            }
            Err(error) => (None, Err(error)),
        };
        match swung {
            (Some(snapshot_id), Ok(Swing::Landed)) => return Ok(Outcome::Committed { snapshot_id, attempts: attempt }),
            (_, Ok(_)) => {
                staging.clean().await;
                return already(tables, change, unanswered, attempt).await;
            }
            (snapshot_id, Err(error)) => {
                match error.kind() {
                    ErrorKind::Ambiguous => {
                        tracing::warn!(target: "lake.commit.ambiguous", table, %error);
                        unanswered.extend(snapshot_id);
                    }
                    ErrorKind::Retry => {
                        tracing::debug!(target: "lake.commit.conflict", table, attempt, %error);
                        staging.clean().await;
                    }
                    kind => {
                        staging.clean().await;
                        // Refused is final. But a COMMIT that went unanswered before may still land, and its files are these.
                        if kind == ErrorKind::Refused && change.mark.is_some() && unanswered.is_empty() {
                            discard(&loaded, change.add).await;
                        }
                        return Err(error);
                    }
                }
                waits.before(&error).await;
                last = Some(error);
            }
        }
    }
    Err(lost(format!("{ATTEMPTS_MAX} commits to {table} lost their race; try again later"), last))
}

/// By what the last attempt ended.
pub(super) fn lost(message: String, last: Option<Error>) -> Error {
    let error = Error::new(ErrorKind::Retry, message);
    match last {
        Some(last) => error.with_source(last),
        None => error,
    }
}

/// Which of the unanswered commits landed. Its snapshot may be expired by now; then the ledger tells, or the files do.
///
/// Taking it for lost would have the caller delete files that the table holds.
pub(super) async fn landed(tables: &Tables, loaded: &Table, change: &Change<'_>, unanswered: &[i64]) -> Result<Option<i64>> {
    let Some(last) = unanswered.last() else { return Ok(None) };
    if let Some(id) = unanswered.iter().find(|id| loaded.metadata().snapshot_by_id(**id).is_some()) {
        return Ok(Some(*id));
    }
    if let Some(mark) = change.mark {
        return Ok(tables.catalog.committed_as(&mark.keyed_digest).await?.filter(|id| unanswered.contains(id)));
    }
    let Some(added) = change.add.first() else { return Ok(None) };
    let live = read::live_files(loaded).await?;
    Ok(live.iter().any(|file| file.file_path() == added.file_path()).then_some(*last))
}

/// The ledger says that the delivery is committed though no retained snapshot carries it: it expired, which is no loss.
/// The ledger also says by which snapshot: by one of ours whose answer was lost, then the files are in use.
async fn already(tables: &Tables, change: &Change<'_>, unanswered: &[i64], attempts: u32) -> Result<Outcome> {
    let committed_as = match change.mark {
        Some(mark) => tables.catalog.committed_as(&mark.keyed_digest).await?,
        None => None,
    };
    match committed_as {
        Some(snapshot_id) if unanswered.contains(&snapshot_id) => Ok(Outcome::Committed { snapshot_id, attempts }),
        Some(snapshot_id) => Ok(Outcome::AlreadyCommitted { snapshot_id }),
        None => Err(Error::new(ErrorKind::Damaged, "the ledger tells of a commit and not of its snapshot")),
    }
}

/// Files of a commit that was refused; best effort, for nothing refers to them.
async fn discard(table: &Table, files: &[DataFile]) {
    for file in files {
        if let Err(error) = table.file_io().delete(file.file_path()).await {
            tracing::warn!(target: "lake.commit.litter", %error, "an unreferenced data file stays behind");
        }
    }
}

/// How long one attempt waits for the next: a little after a lost race, ever longer while the service is asked too often.
#[derive(Debug, Default)]
pub(super) struct Waits {
    throttled: u32,
}

impl Waits {
    pub async fn before(&mut self, again: &Error) {
        tokio::time::sleep(self.next(again, uuid::Uuid::new_v4().as_bytes()[0])).await;
    }

    fn next(&mut self, again: &Error, random: u8) -> Duration {
        let random = u64::from(random);
        if again.again() != Some(Again::Throttled) {
            return Duration::from_millis(BACKOFF_MS_MIN + random % BACKOFF_MS_SPREAD);
        }
        let longest = THROTTLED_MS_MIN.saturating_mul(1 << self.throttled.min(16)).min(THROTTLED_MS_MAX);
        self.throttled += 1;
        // Between half and the whole of it, so that those who were told together do not ask together.
        Duration::from_millis(longest / 2 + longest * random / 510)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_seconds_while_the_service_is_asked_too_often_and_only_then() {
        let error = |again| Error::new(ErrorKind::Retry, "once more").with_again(again);
        let throttled = Error::new(ErrorKind::Ambiguous, "not told").with_source(error(Some(Again::Throttled)));
        let mut waits = Waits::default();
        let longest: Vec<u128> = (0..8).map(|_| waits.next(&throttled, 255).as_millis()).collect();
        assert_eq!(longest, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        assert_eq!(waits.next(&throttled, 0).as_millis(), 2_500);
        for random in [0, 130, 255] {
            assert!(waits.next(&error(Some(Again::Overtaken)), random).as_millis() < 65);
            assert!(waits.next(&error(None), random).as_millis() < 65);
        }
    }

    #[test]
    fn who_lost_the_race_says_by_what() {
        let last = Error::new(ErrorKind::Retry, "Glue is asked too often");
        assert!(lost("100 commits lost their race".into(), Some(last)).to_string().ends_with("race: Glue is asked too often"));
    }
}
