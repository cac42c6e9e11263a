//! A catalog beside the control store: the pointer is there, the ledger is here, and no transaction holds both.
//!
//! A swing from metadata `m` to `n` goes in this order:
//! 1. **See**: the pointer stands at `m`, under version `v` of the catalog's.
//! 2. **Begin**, one transaction of the store: its own record of the pointer stands at `m` (a swing to `m` that was begun and
//!    never ended is ended first, its delivery marked with it); the fence holds; the ledger does not have the delivery; and
//!    the swing to `n` is written down, with its digest, its delivery and the lease it is under.
//! 3. **Swap** in the catalog, `m` to `n`, only under `v`.
//! 4. **End**, one transaction of the store: its record of the pointer, the ledger's mark, the digest; the swing is done.
//!
//! Promise, by this order:
//! - Between the catalog and our record of it lies one swing at most, and it is written down: nothing swings from `n` before
//!   the swing to `n` is ended. So whoever dies between 3 and 4 leaves something to end, never something to guess.
//! - A delivery is committed once. Whoever commits it again loaded a table that shows its digest in a snapshot; or that
//!   snapshot expired, and the swing that expired it had ended the delivery's own before: then 2 finds it in the ledger.
//! - An answer to 3 that is lost, or tells of a failure, is resolved by looking where the pointer stands; that alone is believed. A request that is still on its way fails, or is the
//!   one that landed, for both carry the same `v`.
//! - A worker whose lease ran out is refused in 2. One that had passed 2 and slept may still swap, until the worker that
//!   took over commits to that table: that one finds the earlier lease's swing in 2 and has the catalog renew the
//!   version before its own 3. What the sleeper swaps in until then is the same delivery under the same digest.
//! - What the catalog says is believed only where our record, or a swing that was begun from there, agrees: a pointer that
//!   was set back, led elsewhere or removed, and a digest that was changed there, are damage.

use std::sync::Arc;

use bonded_schemas::TenantId;
use iceberg::spec::TableMetadata;
use sqlx::Row as _;

use super::{
    Pointers, Step, Swing,
    pointers::{Entry, Seen},
    rows::{Kept, Rows, came_first, marked, remember},
};
use crate::{
    error::{Error, ErrorKind, Result},
    store::{
        Connection, Transaction,
        fence::{self, Fence},
    },
};

/// Looks at catalog and record until they are of one moment.
const LOOKS_MAX: u32 = 100;

#[derive(Clone)]
pub(super) struct Beside {
    pointers: Arc<dyn Pointers>,
    tenant: TenantId,
    rows: Rows,
}

/// What came of step 2.
enum Begun {
    /// Written down; `over` an earlier lease's of the same delivery that may still be on its way.
    Written { over: bool },
    /// The ledger has the delivery.
    AlreadyCommitted,
}

impl Beside {
    pub fn new(pointers: Arc<dyn Pointers>, tenant: TenantId, rows: Rows) -> Self {
        Self { pointers, tenant, rows }
    }

    /// Of the catalog and of our record: what only one of them has is for [`Beside::pointer`] to tell.
    pub async fn names(&self) -> Result<Vec<String>> {
        let mut names = self.rows.names().await?;
        names.extend(self.pointers.names(&self.tenant).await?);
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// Where the catalog's pointer stands, with the digest that we wrote down.
    ///
    /// # Errors
    /// `Damaged` when the catalog does not stand where our record says that it may.
    pub async fn pointer(&self, table: &str) -> Result<Option<Kept>> {
        for _ in 0..LOOKS_MAX {
            // Ours first: the catalog is never behind it.
            let kept = self.rows.pointer(table).await?;
            let from = kept.as_ref().map(|(location, _)| location.as_str());
            match (self.pointers.see(&self.tenant, table).await?, &kept) {
                (None, None) => return Ok(None),
                (None, Some(_)) => {
                    return Err(damaged(table, "is not there, and the control store knows it (`bonded init` puts it back)"));
                }
                (Some(seen), Some((location, sha256))) if seen.location == *location => {
                    return agreed(table, seen, sha256.clone()).map(Some);
                }
                (Some(seen), _) => {
                    if let Some(sha256) = self.begun(table, from, &seen.location).await? {
                        return agreed(table, seen, Some(sha256)).map(Some);
                    }
                }
            }
            if self.rows.pointer(table).await?.map(|(location, _)| location).as_deref() == from {
                return Err(match from {
                    Some(_) => damaged(table, "leads to metadata that nobody committed next"),
                    None => unknown(table),
                });
            }
        }
        Err(Error::new(ErrorKind::Retry, format!("{table} changes faster than it can be looked at: try again")))
    }

    /// The digest of a swing between these two that was begun.
    async fn begun(&self, table: &str, from: Option<&str>, to: &str) -> Result<Option<String>> {
        let sql = "SELECT sha256, from_location FROM swings WHERE to_location = $1 AND table_name = $2";
        let row = sqlx::query(sql).bind(to).bind(table).fetch_optional(&self.rows.store.pool).await?;
        let Some(row) = row else { return Ok(None) };
        let begun_at: Option<String> = row.try_get(1)?;
        Ok(if begun_at.as_deref() == from { Some(row.try_get(0)?) } else { None })
    }

    /// `false` when the table was there already.
    ///
    /// # Errors
    /// `Ambiguous` when it may have been made, or may yet be.
    pub async fn create(&self, table: &str, to: &str, sha256: &str, metadata: &TableMetadata) -> Result<bool> {
        self.pointers.check().await?;
        let mut transaction = self.rows.store.pool.begin().await?;
        self.write_down(&mut transaction, table, None, to, sha256, None, None).await?;
        transaction.commit().await?;
        let entry = Entry { location: to, previous: None, sha256, metadata };
        let made = match self.pointers.create(&self.tenant, table, &entry).await {
            Ok(true) => true,
            // Of two answers that say that it is there, the first may have been to us.
            Ok(false) => self.stands(table, to).await?,
            Err(told) => {
                self.or_stands(table, to, told).await?;
                true
            }
        };
        if made {
            self.end(table, to).await.map_err(untold)?;
        }
        Ok(made)
    }

    pub async fn swing(&self, step: &Step<'_>, fence: Option<&Fence>) -> Result<Swing> {
        self.pointers.check().await?;
        let seen = self.pointers.see(&self.tenant, step.table).await?;
        let mut seen = seen.filter(|seen| seen.location == step.from).ok_or_else(|| came_first(step.table))?;
        match self.begin(step, fence).await? {
            Begun::AlreadyCommitted => return Ok(Swing::AlreadyCommitted),
            Begun::Written { over: false } => {}
            Begun::Written { over: true } => {
                let renewed = self.pointers.renew(&self.tenant, step.table, &seen).await;
                // Of ours nothing was sent yet, whatever became of this.
                seen = renewed.map_err(|error| match error.kind() {
                    ErrorKind::Ambiguous => came_first(step.table).with_source(error),
                    _ => error,
                })?;
            }
        }
        let to = Entry { location: step.to, previous: Some(step.from), sha256: step.sha256, metadata: step.metadata };
        if let Err(told) = self.pointers.swap(&self.tenant, step.table, &seen, &to).await {
            self.or_stands(step.table, step.to, told).await?;
        }
        self.end(step.table, step.to).await.map_err(untold)?;
        Ok(Swing::Landed)
    }

    /// After a write of ours that failed by what was told: where the pointer stands is what became of it, whoever told what.
    async fn or_stands(&self, table: &str, to: &str, told: Error) -> Result<()> {
        match self.stands(table, to).await {
            Ok(true) => {
                tracing::warn!(target: "lake.catalog.mistold", table, error = %told, "it was done all the same");
                Ok(())
            }
            Ok(false) => Err(told),
            Err(unseen) => {
                tracing::warn!(target: "lake.catalog.unseen", table, error = %unseen);
                Err(untold(told))
            }
        }
    }

    async fn stands(&self, table: &str, at: &str) -> Result<bool> {
        Ok(self.pointers.see(&self.tenant, table).await?.is_some_and(|seen| seen.location == at))
    }

    async fn begin(&self, step: &Step<'_>, fence: Option<&Fence>) -> Result<Begun> {
        let mut transaction = self.rows.store.pool.begin().await?;
        let held = self.rows.hold(&mut transaction, step.table, step.from).await?;
        if !held && !self.end_in(&mut transaction, step.table, step.from).await? {
            transaction.rollback().await?;
            return Err(came_first(step.table));
        }
        if let Some(fence) = fence
            && !fence::holds(fence, &mut transaction).await?
        {
            transaction.rollback().await?;
            return Err(fence.passed());
        }
        if let Some(mark) = step.mark {
            let open = sqlx::query("SELECT 1 FROM deliveries WHERE keyed_digest = $1 AND state <> 'committed'");
            if open.bind(mark.keyed_digest).fetch_optional(&mut *transaction).await?.is_none() {
                commit(transaction).await?;
                return Ok(Begun::AlreadyCommitted);
            }
        }
        // The record stands at `from`, so nothing that begins elsewhere can land any more.
        sqlx::query("DELETE FROM swings WHERE table_name = $1 AND (from_location IS NULL OR from_location <> $2)")
            .bind(step.table)
            .bind(step.from)
            .execute(&mut *transaction)
            .await?;
        let over = match fence {
            Some(fence) => {
                let earlier =
                    sqlx::query("SELECT 1 FROM swings WHERE table_name = $1 AND fence_digest = $2 AND fence_token < $3");
                let earlier = earlier.bind(step.table).bind(&fence.keyed_digest).bind(fence.token);
                !earlier.fetch_all(&mut *transaction).await?.is_empty()
            }
            None => false,
        };
        self.write_down(&mut transaction, step.table, Some(step.from), step.to, step.sha256, Some(step), fence).await?;
        commit(transaction).await?;
        Ok(Begun::Written { over })
    }

    #[expect(clippy::too_many_arguments, reason = "the columns of one row")]
    async fn write_down(
        &self,
        connection: &mut Connection,
        table: &str,
        from: Option<&str>,
        to: &str,
        sha256: &str,
        step: Option<&Step<'_>>,
        fence: Option<&Fence>,
    ) -> Result<()> {
        let mark = step.and_then(|step| step.mark);
        sqlx::query(
            "INSERT INTO swings (to_location, table_name, from_location, sha256, keyed_digest, report, snapshot_id, fence_digest, fence_token)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(to)
        .bind(table)
        .bind(from)
        .bind(sha256)
        .bind(mark.map(|mark| mark.keyed_digest))
        .bind(mark.map(|mark| mark.report.code()))
        .bind(mark.map(|mark| mark.snapshot_id))
        .bind(fence.map(|fence| fence.keyed_digest.as_str()))
        .bind(fence.map(|fence| fence.token))
        .execute(connection)
        .await?;
        Ok(())
    }

    /// Step 4 of the swing to `to`, which the catalog was seen at; nothing where it is done already.
    pub async fn end(&self, table: &str, to: &str) -> Result<()> {
        let mut transaction = self.rows.store.pool.begin().await?;
        self.end_in(&mut transaction, table, to).await?;
        Ok(transaction.commit().await?)
    }

    /// Whether there was one to end.
    async fn end_in(&self, connection: &mut Connection, table: &str, to: &str) -> Result<bool> {
        let sql = "DELETE FROM swings WHERE to_location = $1 AND table_name = $2
                   RETURNING from_location, sha256, keyed_digest, report, snapshot_id";
        let Some(row) = sqlx::query(sql).bind(to).bind(table).fetch_optional(&mut *connection).await? else { return Ok(false) };
        let (from, sha256): (Option<String>, String) = (row.try_get(0)?, row.try_get(1)?);
        let moved = match &from {
            Some(from) => self.rows.advance(connection, table, from, to, &sha256).await?,
            None => self.rows.insert(connection, table, to, &sha256).await?,
        };
        if !moved {
            return Err(damaged(table, "went on from where the control store does not know it"));
        }
        let (mark, report): (Option<String>, Option<String>) = (row.try_get(2)?, row.try_get(3)?);
        if let (Some(keyed_digest), Some(report), Some(snapshot_id)) = (mark, report, row.try_get::<Option<i64>, _>(4)?) {
            marked(connection, &keyed_digest, &report, snapshot_id).await?;
        }
        remember(connection, to, &sha256).await?;
        Ok(true)
    }

    /// Makes a pointer that the catalog does not have and our record does: of a lake that was restored. `false` when it is there.
    ///
    /// # Errors
    /// `Refused` when the catalog has the table elsewhere.
    pub async fn put_back(&self, table: &str, metadata: &TableMetadata, location: &str, sha256: &str) -> Result<bool> {
        self.pointers.check().await?;
        let entry = Entry { location, previous: None, sha256, metadata };
        if self.pointers.see(&self.tenant, table).await?.is_none() && self.pointers.create(&self.tenant, table, &entry).await? {
            return Ok(true);
        }
        match self.pointer(table).await {
            Ok(_) => Ok(false),
            Err(error) if error.kind() == ErrorKind::Damaged => {
                let mend = "another lake has it, or it is newer: name another catalog.database";
                Err(Error::new(ErrorKind::Refused, format!("table {table} of the catalog is none that was restored: {mend}")))
            }
            Err(error) => Err(error),
        }
    }

    /// That the catalog has no table of the tenant's: for a copy of a lake, which names its objects as that lake does.
    ///
    /// # Errors
    /// `Refused` when it has one.
    pub async fn has_none(&self) -> Result<()> {
        match self.pointers.names(&self.tenant).await?.first() {
            None => Ok(()),
            Some(table) => {
                let mend = "these are the old lake's pointers, and a copy would move them: name another catalog.database";
                Err(Error::new(ErrorKind::Refused, format!("table {table} of {} is in the catalog: {mend}", self.tenant)))
            }
        }
    }

    /// Takes all pointers of the tenant out of the catalog, which a new control store knows nothing of.
    ///
    /// # Errors
    /// `Refused` when the control store has one of them, or one leads out of this lake.
    pub async fn let_go(&self, warehouse: &str) -> Result<()> {
        for table in self.pointers.names(&self.tenant).await? {
            let Some(seen) = self.pointers.see(&self.tenant, &table).await? else { continue };
            if self.rows.pointer(&table).await?.is_some() || !seen.location.starts_with(&format!("{warehouse}/")) {
                let message = format!("table {table} of the catalog is in use, or of another lake: it is not taken out");
                return Err(Error::new(ErrorKind::Refused, message));
            }
            self.pointers.remove(&self.tenant, &table).await?;
        }
        Ok(())
    }
}

/// The answer to its COMMIT may be lost: then the swing is written down or not, and was not sent in any case.
async fn commit(transaction: Transaction) -> Result<()> {
    transaction.commit().await.map_err(|error| {
        Error::new(ErrorKind::Retry, "the answer to COMMIT was lost, before anything was swapped").with_source(error)
    })
}

fn agreed(table: &str, seen: Seen, sha256: Option<String>) -> Result<Kept> {
    match seen.sha256 == sha256 {
        true => Ok((seen.location, sha256)),
        false => Err(damaged(table, "has another digest of its metadata than was committed")),
    }
}

fn damaged(table: &str, what: &str) -> Error {
    let mend = "it was changed by other hands than ours, or the control store is older than it";
    Error::new(ErrorKind::Damaged, format!("table {table} of the catalog {what}: {mend}; see `bonded verify`"))
}

fn unknown(table: &str) -> Error {
    let mend =
        "if another lake has it, name another catalog.database; if the control store was lost, `bonded rebuild` makes it again";
    Error::new(ErrorKind::Damaged, format!("table {table} of the catalog is none that this control store made: {mend}"))
}

/// The pointer moved, or may have; only that the store was not told.
fn untold(error: Error) -> Error {
    Error::new(ErrorKind::Ambiguous, "whether the catalog's pointer moved was not written down").with_source(error)
}
