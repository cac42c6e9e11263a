//! The life of an alert beside what it is about: open, acknowledged, resolved, open again; muted until; whom it is to be told.
//! Promise: a change is made only from what was read, with its audit event, so that of two people one wins and the other is
//! told; what is to be told lies in the row of the alert itself, so that nothing comes between raising and telling.
//! Never: who did what, or why, lies here but sealed.

use bonded_schemas::Report;
use chrono::{DateTime, Utc};
use ring::digest::{SHA256, digest};
use sqlx::{Row, any::AnyRow};

use super::{Alert, COLUMNS, NewAlert, alert_row};
use crate::{
    error::Result,
    seal::cipher,
    store::{
        Connection, TenantStore, Transaction, audit,
        audit::NewEvent,
        tables::{May, Table},
    },
};

pub(in crate::store) const TABLE: Table = Table::new(
    "alert_lives",
    May::Change,
    &["CREATE TABLE IF NOT EXISTS alert_lives (
        kind TEXT NOT NULL, report TEXT NOT NULL, fingerprint TEXT NOT NULL, state TEXT NOT NULL, version BIGINT NOT NULL,
        since_ms BIGINT NOT NULL, opened BIGINT NOT NULL, muted_until_ms BIGINT NOT NULL, escalate_ms BIGINT NOT NULL,
        level BIGINT NOT NULL, pending BIGINT NOT NULL, noticed BIGINT NOT NULL, sealed TEXT NOT NULL,
        PRIMARY KEY (kind, report, fingerprint))"],
);

const LIFE: &str = "kind, report, fingerprint, state, version, since_ms, opened, muted_until_ms, escalate_ms, level, pending, \
                    noticed, sealed";
const ID_BYTES: usize = 16;

/// What is still to be told of an alert; several at once.
pub mod pending {
    pub const RAISED: i64 = 1;
    pub const RECURRED: i64 = 2;
    pub const UNMUTED: i64 = 4;
    pub const ESCALATED: i64 = 8;
    pub const RESOLVED: i64 = 16;
}

/// How an alert stands, as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifeRow {
    pub kind: String,
    pub report: String,
    pub fingerprint: String,
    /// `open`, `acknowledged` or `resolved`.
    pub state: String,
    /// Grows with each change; 0 of an alert from before there were lives.
    pub version: i64,
    /// Since when it is in this state.
    pub since_ms: i64,
    /// How often it was opened.
    pub opened: i64,
    /// Nobody is told of it before then; 0 when it is not muted.
    pub muted_until_ms: i64,
    /// When the next level is told unless somebody acknowledges; 0 for never.
    pub escalate_ms: i64,
    /// Levels that were told in this opening.
    pub level: i64,
    /// Bits of [`pending`].
    pub pending: i64,
    /// The version in which something became pending last: names what is told, so that it is told under one name.
    pub noticed: i64,
    /// Base64 of what people did and said; empty while nobody did anything.
    pub sealed: String,
}

impl Alert {
    /// Under what people and programs name it: the same after a rebuild, and in the URL of a letter sent years ago.
    pub fn id(&self) -> String {
        id_of(&self.kind, &self.report, &self.fingerprint)
    }

    /// How one stands that has no row of its own: it is from before there were lives.
    fn without_life(&self) -> LifeRow {
        let raised = DateTime::parse_from_rfc3339(&self.raised_at).map_or(0, |at| at.timestamp_millis());
        LifeRow {
            kind: self.kind.clone(),
            report: self.report.clone(),
            fingerprint: self.fingerprint.clone(),
            state: if self.state == "open" { "open" } else { "resolved" }.into(),
            version: 0,
            since_ms: raised,
            opened: 1,
            muted_until_ms: 0,
            escalate_ms: 0,
            level: 0,
            pending: 0,
            noticed: 0,
            sealed: String::new(),
        }
    }
}

impl LifeRow {
    pub fn name(&self) -> String {
        format!("{}/{}/{}", self.kind, self.report, self.fingerprint)
    }

    pub fn id(&self) -> String {
        id_of(&self.kind, &self.report, &self.fingerprint)
    }
}

/// Of what is a keyed digest already; hashed once more only to be one short word.
fn id_of(kind: &str, report: &str, fingerprint: &str) -> String {
    let text = format!("bonded alert\n{kind}\n{report}\n{fingerprint}");
    cipher::hex(&digest(&SHA256, text.as_bytes()).as_ref()[..ID_BYTES])
}

impl TenantStore {
    /// Every alert and how it stands, the oldest first.
    pub async fn alerts_alive(&self) -> Result<Vec<(Alert, LifeRow)>> {
        let alerts = sqlx::query(&format!("SELECT {COLUMNS} FROM alerts ORDER BY raised_at, kind, report, fingerprint"))
            .fetch_all(&self.pool)
            .await?;
        let mut lives: std::collections::HashMap<String, LifeRow> =
            self.lives("").await?.into_iter().map(|life| (life.name(), life)).collect();
        alerts
            .iter()
            .map(|row| {
                let alert = alert_row(row)?;
                let life = lives.remove(&alert.name()).unwrap_or_else(|| alert.without_life());
                Ok((alert, life))
            })
            .collect()
    }

    /// The alert of a life.
    pub async fn alert_of(&self, life: &LifeRow) -> Result<Option<Alert>> {
        let sql = format!("SELECT {COLUMNS} FROM alerts WHERE kind = $1 AND report = $2 AND fingerprint = $3");
        let row =
            sqlx::query(&sql).bind(&life.kind).bind(&life.report).bind(&life.fingerprint).fetch_optional(&self.pool).await?;
        row.as_ref().map(alert_row).transpose()
    }

    /// Of which something is to be told, or becomes so by now: a mute that ended, a level that is due.
    pub async fn lives_due(&self, now_ms: i64) -> Result<Vec<LifeRow>> {
        let due = format!(
            "WHERE pending > 0 OR (muted_until_ms > 0 AND muted_until_ms <= {now_ms})
             OR (escalate_ms > 0 AND escalate_ms <= {now_ms} AND state = 'open')"
        );
        self.lives(&due).await
    }

    async fn lives(&self, which: &str) -> Result<Vec<LifeRow>> {
        let sql = format!("SELECT {LIFE} FROM alert_lives {which} ORDER BY since_ms, kind, report, fingerprint");
        sqlx::query(&sql).fetch_all(&self.pool).await?.iter().map(life_row).collect()
    }

    /// Puts `to` in the place of what was read, with its event; `false` when somebody else changed it first, and then
    /// nothing is changed or told.
    pub async fn change_life(&self, from: &LifeRow, to: &LifeRow, event: Option<NewEvent<'_>>) -> Result<bool> {
        let mut transaction = self.pool.begin().await?;
        let to = LifeRow { version: from.version + 1, ..to.clone() };
        let sql = format!(
            "INSERT INTO alert_lives ({LIFE}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
             ON CONFLICT (kind, report, fingerprint) DO UPDATE SET state = excluded.state, version = excluded.version,
             since_ms = excluded.since_ms, opened = excluded.opened, muted_until_ms = excluded.muted_until_ms,
             escalate_ms = excluded.escalate_ms, level = excluded.level, pending = excluded.pending,
             noticed = excluded.noticed, sealed = excluded.sealed WHERE alert_lives.version = $14"
        );
        let done = sqlx::query(&sql)
            .bind(&from.kind)
            .bind(&from.report)
            .bind(&from.fingerprint)
            .bind(&to.state)
            .bind(to.version)
            .bind(to.since_ms)
            .bind(to.opened)
            .bind(to.muted_until_ms)
            .bind(to.escalate_ms)
            .bind(to.level)
            .bind(to.pending)
            .bind(to.noticed)
            .bind(&to.sealed)
            .bind(from.version)
            .execute(&mut *transaction)
            .await?;
        if done.rows_affected() == 0 {
            transaction.rollback().await?;
            return Ok(false);
        }
        self.mark_lives(&mut transaction, &from.kind, &from.fingerprint).await?;
        if let Some(event) = event {
            audit::append_in(&mut transaction, event).await?;
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// What nobody is to be told any more: of alerts that a rebuild raised once again.
    pub async fn hush_alerts(&self) -> Result<()> {
        for life in self.lives("WHERE pending > 0").await? {
            self.change_life(&life, &LifeRow { pending: 0, ..life.clone() }, None).await?;
        }
        Ok(())
    }

    /// The cause is gone: its alert is resolved without anybody's doing, and opens again if the cause comes back.
    /// `false` when there is none that is open.
    pub async fn clear_alert(&self, kind: &str, report: Option<Report>, fingerprint: &str, event: NewEvent<'_>) -> Result<bool> {
        let (report, at_ms) = (report.map_or("", Report::code), event.at.timestamp_millis());
        let mut transaction = self.pool.begin().await?;
        let done = sqlx::query(
            "UPDATE alert_lives SET state = 'resolved', version = version + 1, since_ms = $1, escalate_ms = 0,
             pending = pending | 16
             WHERE kind = $2 AND report = $3 AND fingerprint = $4 AND state <> 'resolved'",
        )
        .bind(at_ms)
        .bind(kind)
        .bind(report)
        .bind(fingerprint)
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 0 {
            transaction.rollback().await?;
            return Ok(false);
        }
        self.mark_lives(&mut transaction, kind, fingerprint).await?;
        audit::append_in(&mut transaction, event).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Raises within a transaction: the alert, how it stands, and that it is to be told. Answers by how many deliveries it
    /// was brought; `counts`: this one was not counted before.
    pub(in crate::store) async fn raise_in(
        &self,
        transaction: &mut Transaction,
        new: NewAlert<'_>,
        at: DateTime<Utc>,
        counts: bool,
    ) -> Result<i64> {
        let row = new.raise(at, counts).fetch_one(&mut **transaction).await?;
        let (deliveries, state): (i64, String) = (row.try_get(0)?, row.try_get(1)?);
        self.mark_alert(transaction, new.kind, new.fingerprint).await?;
        // That it was raised at all is still to be told where nobody was; what came between is over.
        // What a person decided stays decided, however often it comes; so does what is only looked at once more.
        let is_decided = state != "open";
        let again = match !is_decided && counts {
            true => {
                "DO UPDATE SET state = 'open', version = alert_lives.version + 1, since_ms = excluded.since_ms,
                 opened = alert_lives.opened + 1, escalate_ms = 0, level = 0,
                 pending = (alert_lives.pending & 1) | 2, noticed = alert_lives.version + 1
                 WHERE alert_lives.state = 'resolved'"
            }
            false => "DO NOTHING",
        };
        let sql = format!(
            "INSERT INTO alert_lives ({LIFE}) VALUES ($1, $2, $3, $4, 1, $5, 1, 0, 0, 0, $6, 1, '')
             ON CONFLICT (kind, report, fingerprint) {again}"
        );
        sqlx::query(&sql)
            .bind(new.kind)
            .bind(new.report.map_or("", Report::code))
            .bind(new.fingerprint)
            .bind(if is_decided { "resolved" } else { "open" })
            .bind(at.timestamp_millis())
            .bind(if is_decided { 0 } else { pending::RAISED })
            .execute(&mut **transaction)
            .await?;
        self.mark_lives(transaction, new.kind, new.fingerprint).await?;
        Ok(deliveries)
    }

    /// A decision about the alert resolves it.
    pub(in crate::store) async fn settle_lives(
        &self,
        transaction: &mut Transaction,
        kind: &str,
        fingerprint: &str,
        at: Option<DateTime<Utc>>,
    ) -> Result<()> {
        let sql = "UPDATE alert_lives SET state = 'resolved', version = version + 1, escalate_ms = 0,
             since_ms = CASE WHEN $1 > 0 THEN $1 ELSE since_ms END,
             pending = pending | 16
             WHERE kind = $2 AND fingerprint = $3 AND state <> 'resolved'";
        sqlx::query(sql)
            .bind(at.map_or(0, |at| at.timestamp_millis()))
            .bind(kind)
            .bind(fingerprint)
            .execute(&mut **transaction)
            .await?;
        self.mark_lives(transaction, kind, fingerprint).await
    }

    /// Marks the lives of this kind and fingerprint as they stand in the transaction.
    async fn mark_lives(&self, transaction: &mut Connection, kind: &str, fingerprint: &str) -> Result<()> {
        if !self.is_marking() {
            return Ok(());
        }
        let sql = format!("SELECT {LIFE} FROM alert_lives WHERE kind = $1 AND fingerprint = $2");
        let rows = sqlx::query(&sql).bind(kind).bind(fingerprint).fetch_all(&mut *transaction).await?;
        for row in &rows {
            self.mark_life(transaction, &life_row(row)?).await?;
        }
        Ok(())
    }
}

fn life_row(row: &AnyRow) -> Result<LifeRow> {
    Ok(LifeRow {
        kind: row.try_get(0)?,
        report: row.try_get(1)?,
        fingerprint: row.try_get(2)?,
        state: row.try_get(3)?,
        version: row.try_get(4)?,
        since_ms: row.try_get(5)?,
        opened: row.try_get(6)?,
        muted_until_ms: row.try_get(7)?,
        escalate_ms: row.try_get(8)?,
        level: row.try_get(9)?,
        pending: row.try_get(10)?,
        noticed: row.try_get(11)?,
        sealed: row.try_get(12)?,
    })
}
