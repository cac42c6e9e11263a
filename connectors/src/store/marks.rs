//! Marks: keyed digests of clear cells that change in place and that no sealed text repeats.
//! Promise: a mark is written in the transaction that changes its row, so that a row and its mark always agree.
//! Never: a mark tells what it was made of.

use super::{
    Connection, TenantStore,
    alerts::{Alert, COLUMNS, LifeRow, alert_row},
    findings::FindingRow,
    windows::RepeatRow,
};
use crate::{error::Result, seal::NameKey};

/// `marks.what` of an alert; its name is `kind/report/fingerprint`.
pub const OF_ALERT: &str = "alert";

impl Alert {
    /// Of all its cells, so that not one of them changes unseen.
    pub fn mark(&self, names: &NameKey) -> String {
        let text = format!(
            "{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}",
            self.kind,
            self.report,
            self.fingerprint,
            self.state,
            self.severity,
            self.raised_at,
            self.last_at,
            self.deliveries,
            self.sealed
        );
        names.keyed_digest("mark of an alert", text.as_bytes())
    }

    pub fn name(&self) -> String {
        format!("{}/{}/{}", self.kind, self.report, self.fingerprint)
    }
}

/// `marks.what` of how an alert stands; its name is the alert's.
pub const OF_LIFE: &str = "alert life";

impl LifeRow {
    /// As [`Alert::mark`].
    pub fn mark(&self, names: &NameKey) -> String {
        let Self { state, version, since_ms, opened, muted_until_ms, escalate_ms, level, pending, noticed, sealed, .. } = self;
        let text = format!(
            "{}\n{state}\n{version}\n{since_ms}\n{opened}\n{muted_until_ms}\n{escalate_ms}\n{level}\n{pending}\n{noticed}\n{sealed}",
            self.name()
        );
        names.keyed_digest("mark of an alert's life", text.as_bytes())
    }
}

/// `marks.what` of a finding; its name is its id.
pub const OF_FINDING: &str = "finding";

impl FindingRow {
    /// As [`Alert::mark`].
    pub fn mark(&self, names: &NameKey) -> String {
        let Self { id, state, severity, first_seen, last_seen, runs, sealed } = self;
        let text = format!("{id}\n{state}\n{severity}\n{first_seen}\n{last_seen}\n{runs}\n{sealed}");
        names.keyed_digest("mark of a finding", text.as_bytes())
    }
}

/// `marks.what` of bytes that came again; its name is `delivery/received at`.
pub const OF_REPEAT: &str = "repeat";

impl RepeatRow {
    /// As [`Alert::mark`].
    pub fn mark(&self, names: &NameKey) -> String {
        let text = format!("{}\n{}\n{}", self.delivery_id, self.received_at.to_rfc3339(), self.as_of.to_rfc3339());
        names.keyed_digest("mark of a repeat", text.as_bytes())
    }

    pub fn name(&self) -> String {
        format!("{}/{}", self.delivery_id, self.received_at.to_rfc3339())
    }
}

impl TenantStore {
    pub(super) fn is_marking(&self) -> bool {
        self.names.is_some()
    }

    pub(super) async fn mark_life(&self, transaction: &mut Connection, row: &LifeRow) -> Result<()> {
        let Some(names) = &self.names else { return Ok(()) };
        put(transaction, OF_LIFE, &row.name(), &row.mark(names)).await
    }

    pub(super) async fn mark_repeat(&self, transaction: &mut Connection, row: &RepeatRow) -> Result<()> {
        let Some(names) = &self.names else { return Ok(()) };
        put(transaction, OF_REPEAT, &row.name(), &row.mark(names)).await
    }

    pub(super) async fn mark_finding(&self, transaction: &mut Connection, row: &FindingRow) -> Result<()> {
        let Some(names) = &self.names else { return Ok(()) };
        put(transaction, OF_FINDING, &row.id, &row.mark(names)).await
    }

    /// Marks the alerts of this kind and fingerprint as they stand in the transaction.
    pub(super) async fn mark_alert(&self, transaction: &mut Connection, kind: &str, fingerprint: &str) -> Result<()> {
        let Some(names) = &self.names else { return Ok(()) };
        let sql = format!("SELECT {COLUMNS} FROM alerts WHERE kind = $1 AND fingerprint = $2");
        for row in sqlx::query(&sql).bind(kind).bind(fingerprint).fetch_all(&mut *transaction).await? {
            let alert = alert_row(&row)?;
            put(transaction, OF_ALERT, &alert.name(), &alert.mark(names)).await?;
        }
        Ok(())
    }
}

async fn put(transaction: &mut Connection, what: &str, name: &str, mark: &str) -> Result<()> {
    sqlx::query("INSERT INTO marks VALUES ($1, $2, $3) ON CONFLICT (what, name) DO UPDATE SET mark = excluded.mark")
        .bind(what)
        .bind(name)
        .bind(mark)
        .execute(transaction)
        .await?;
    Ok(())
}
