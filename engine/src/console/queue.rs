//! `queue`: what waits, runs and is poisoned, and what could not be taken from the drop folder; since when, and why.

use bonded_connectors::store::queue::{Item, ItemState, LISTED_MAX};
use bonded_schemas::{DeliveryId, TenantId};
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{
    args::{self, QueueAction},
    open,
    output::{Output, table},
    which,
};
use crate::{
    error::{Error, ErrorKind, Result},
    lakehouse::Lakehouse,
    serve::{INBOX_ALERT, InboxAlert},
};

#[derive(Serialize)]
struct Line {
    tenant: TenantId,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery_id: Option<DeliveryId>,
    /// Of a file that stays in the drop folder; a queued one's name is sealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    file_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_bytes: Option<u64>,
    since: DateTime<Utc>,
    attempts: u32,
    /// Failures that may be the file's own.
    failures: u32,
    /// When it is tried (again), or when its lease runs out; none while it waits for a person.
    due_at: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<String>,
    /// Kind of the last failure, or what is wrong with the dropped file.
    last_failure: Option<String>,
}

pub async fn queue(house: &Lakehouse, action: &QueueAction, output: &Output) -> Result<u8> {
    match action {
        QueueAction::List(args) => list(house, args, output).await,
        QueueAction::Retry { id } => {
            let queue = house.queue().await?;
            let item = find(house, *id).await?;
            if !queue.retry(&item, house.clock.now()).await? {
                return Err(Error::new(ErrorKind::Retry, format!("delivery {id} is in work at this moment; look again later")));
            }
            told(house, &item, "queue.retry", output).await
        }
        QueueAction::Drop { id } => {
            let item = find(house, *id).await?;
            if !house.queue().await?.drop_poisoned(&item).await? {
                let message = format!("delivery {id} is {}; only a poisoned one can be dropped", item.state.as_str());
                return Err(Error::new(ErrorKind::Refused, message));
            }
            told(house, &item, "queue.drop", output).await
        }
    }
}

async fn find(house: &Lakehouse, id: DeliveryId) -> Result<Item> {
    let item = house.queue().await?.item(id).await?;
    item.ok_or_else(|| Error::input(format!("delivery {id} is not in the queue; `bonded queue list` shows what is")))
}

async fn told(house: &Lakehouse, item: &Item, action: &str, output: &Output) -> Result<u8> {
    let id = item.work.delivery_id.to_string();
    open(house, &item.work.tenant).await?.audit(house.clock.as_ref(), action, &id, "done").await?;
    let done = if action == "queue.retry" { "due now, its failures forgotten" } else { "out of the queue, still quarantined" };
    let body = serde_json::json!({ "tenant": item.work.tenant, "delivery_id": id, "done": done });
    output.object(&body, || format!("delivery {id}: {done}"))?;
    Ok(0)
}

async fn list(house: &Lakehouse, args: &args::Which, output: &Output) -> Result<u8> {
    let items = house.queue().await?.items(args.tenant.as_ref()).await?;
    if items.len() == LISTED_MAX {
        output.remark(&format!("only the first {LISTED_MAX} are shown; --tenant narrows it down"));
    }
    let mut lines: Vec<Line> = items.into_iter().map(line).collect();
    for tenant in which(house, args.tenant.as_ref()).await? {
        match not_taken(house, &tenant).await {
            Ok(files) => lines.extend(files),
            Err(error) => output.remark(&format!("drop folder of {tenant}: {error}")),
        }
    }
    output.list(&lines, || {
        let rows = lines.iter().map(|line| {
            let time = |at: DateTime<Utc>| at.format("%Y-%m-%d %H:%M:%S").to_string();
            [
                line.tenant.to_string(),
                line.state.replace('_', " "),
                line.delivery_id.map(|id| id.to_string()).or(line.file_name.clone()).unwrap_or_default(),
                line.size_bytes.map(|size| size.to_string()).unwrap_or_default(),
                time(line.since),
                line.attempts.to_string(),
                line.due_at.map(time).unwrap_or_else(|| "-".into()),
                line.last_failure.clone().unwrap_or_default(),
            ]
        });
        table(["tenant", "state", "delivery", "bytes", "since", "attempts", "due", "last failure"], rows)
    })?;
    Ok(0)
}

fn line(item: Item) -> Line {
    let since = match item.state {
        ItemState::Running => item.leased_at.unwrap_or(item.enqueued_at),
        ItemState::Waiting | ItemState::Poisoned => item.enqueued_at,
    };
    Line {
        tenant: item.work.tenant,
        state: item.state.as_str(),
        delivery_id: Some(item.work.delivery_id),
        file_name: None,
        size_bytes: Some(item.work.size_bytes),
        since,
        attempts: item.attempts,
        failures: item.strikes,
        due_at: item.due_at,
        worker: item.worker.filter(|_| item.state == ItemState::Running),
        last_failure: item.last_failure,
    }
}

/// Files that stay in the tenant's drop folder because they could not be taken.
async fn not_taken(house: &Lakehouse, tenant: &TenantId) -> Result<Vec<Line>> {
    let ledger = house.ledger(&super::scope(tenant.clone())).await?;
    let alerts: Vec<_> = ledger.alerts(INBOX_ALERT).await?.into_iter().filter(|alert| alert.state == "open").collect();
    if alerts.is_empty() {
        return Ok(Vec::new());
    }
    let tenant = open(house, tenant).await?;
    let mut lines = Vec::with_capacity(alerts.len());
    for alert in alerts {
        let body: InboxAlert = tenant.unseal(INBOX_ALERT, &alert.fingerprint, &alert.sealed)?;
        let since = DateTime::parse_from_rfc3339(&alert.raised_at)
            .map_err(|error| Error::new(ErrorKind::Damaged, "an alert's time").with_source(error))?;
        let attempts = u32::try_from(alert.deliveries).unwrap_or(u32::MAX);
        lines.push(Line {
            tenant: tenant.scope.tenant().clone(),
            state: "not_taken",
            delivery_id: None,
            file_name: Some(body.file_name),
            size_bytes: None,
            since: since.to_utc(),
            attempts,
            failures: attempts,
            due_at: None,
            worker: None,
            last_failure: Some(body.message),
        });
    }
    Ok(lines)
}
