//! Reading a trail: sealed segments, and from there the live tail of the control store, each event once, the chain checked
//! across the seam; and picking from it.

use bonded_connectors::audit::{AuditRow, SegmentPlace, chain::Head};
use bonded_schemas::TenantId;
use chrono::{DateTime, Utc};

use super::{AuditEvent, Entry};
use crate::{
    error::{Error, ErrorKind, Result},
    lakehouse::{Lakehouse, Tenant},
};

/// Which events are asked for; all conditions hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Filter {
    /// The whole name of an actor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// The whole object, or its beginning with a star at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// An action, or a group of them: `key` is `key.rotate`, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<DateTime<Utc>>,
    /// Not this instant any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
}

impl Filter {
    pub fn holds(&self, entry: &Entry) -> bool {
        let AuditEvent { actor, action, object, .. } = &entry.event;
        let is_object = |asked: &str| match asked.strip_suffix('*') {
            Some(start) => object.starts_with(start),
            None => object == asked,
        };
        let is_action = |asked: &str| action.strip_prefix(asked).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        let at = DateTime::parse_from_rfc3339(&entry.row.at).map(|at| at.to_utc()).ok();
        self.who.as_deref().is_none_or(|who| actor.name == who)
            && self.object.as_deref().is_none_or(is_object)
            && self.action.as_deref().is_none_or(is_action)
            && self.since.is_none_or(|since| at.is_some_and(|at| at >= since))
            && self.until.is_none_or(|until| at.is_some_and(|at| at < until))
    }
}

impl Tenant {
    /// The tenant's own trail, oldest first, its chain checked: when, and what.
    pub async fn trail(&self) -> Result<Vec<(String, AuditEvent)>> {
        Ok(self.entries().await?.into_iter().map(|entry| (entry.row.at, entry.event)).collect())
    }

    /// The same with all that proves it.
    pub async fn entries(&self) -> Result<Vec<Entry>> {
        let owner = self.scope.tenant().as_str();
        self.audit_rows().await?.into_iter().map(|row| Entry::opened(row, owner, self.documents())).collect()
    }

    /// Every event once: from the segments as far as they go, then from the control store.
    pub async fn audit_rows(&self) -> Result<Vec<AuditRow>> {
        let mut rows = self.sealed_rows().await?;
        let sealed = Head::default().followed_by(&rows)?;
        let tail = self.ledger.audit_after(&sealed).await;
        let tail = tail.map_err(|error| match sealed.events {
            0 => Error::from(error),
            events => Error::new(
                ErrorKind::Damaged,
                format!("the live trail does not follow the {events} sealed events: run `bonded verify`"),
            )
            .with_source(error),
        })?;
        rows.extend(tail);
        Ok(rows)
    }

    /// What the segments hold, from the first event on. Where two overlap they must agree.
    pub(super) async fn sealed_rows(&self) -> Result<Vec<AuditRow>> {
        let mut rows: Vec<AuditRow> = Vec::new();
        for place in self.segments.list(&self.scope).await? {
            let segment = self.segments.open(&self.scope, self.documents(), &place).await?;
            join(&mut rows, segment.rows, &place)?;
        }
        Ok(rows)
    }
}

/// Adds what is new in a segment.
pub(super) fn join(rows: &mut Vec<AuditRow>, segment: Vec<AuditRow>, place: &SegmentPlace) -> Result<()> {
    let damaged = |what: &str| Error::new(ErrorKind::Damaged, format!("`{}` {what}: restore it from a backup", place.path));
    for row in segment {
        let next = rows.len() as i64 + 1;
        match row.seq.cmp(&next) {
            std::cmp::Ordering::Equal => rows.push(row),
            std::cmp::Ordering::Greater => return Err(damaged("leaves a gap after the one before it")),
            std::cmp::Ordering::Less => {
                let known = usize::try_from(row.seq - 1).ok().and_then(|at| rows.get(at));
                if known != Some(&row) {
                    return Err(damaged("contradicts another segment"));
                }
            }
        }
    }
    Ok(())
}

impl Lakehouse {
    /// The lake's own trail, oldest first, its chain checked: when, and what.
    pub async fn trail(&self) -> Result<Vec<(String, AuditEvent)>> {
        Ok(self.entries().await?.into_iter().map(|entry| (entry.row.at, entry.event)).collect())
    }

    /// The same with all that proves it.
    pub async fn entries(&self) -> Result<Vec<Entry>> {
        let documents = &self.identity().await?.documents;
        let rows = self.control.audit().await?;
        rows.into_iter().map(|row| Entry::opened(row, TenantId::lake().as_str(), documents)).collect()
    }
}
