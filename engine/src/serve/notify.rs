//! The notifier: looks for alerts of every tenant that are to be told, sends what is due, gives the sign of life.
//! Promise: a tenant that cannot be opened keeps no other from it; a stop is heard between two tenants. Killed at any moment,
//! the next one goes on where it stood.

use std::sync::Arc;

use bonded_connectors::secrets::Held;
use chrono::{DateTime, Utc};
use tokio::sync::watch;

use super::{Shop, Stopped, pause};
use crate::{
    alerts::{Notifier, heartbeat, send},
    desk,
    error::{ErrorKind, Result},
    lakehouse::Lakehouse,
};

/// The doors, opened before anything is started: a wrong setting is told at once.
pub(super) struct Doors {
    notifier: Notifier,
    hooks: Arc<dyn bonded_connectors::alerts::Hooks>,
    heartbeat: Option<Held>,
}

pub(super) async fn open(house: &Arc<Lakehouse>) -> Result<Doors> {
    let hooks = send::hooks(&house.settings.alerts)?;
    let heartbeat = house.settings.alerts.heartbeat(&house.secrets)?;
    if let Some(url) = &heartbeat {
        hooks.check(url.now().await?.reveal())?;
    }
    let notifier = Notifier::new(house.clone(), desk::mailer(&house.settings, &house.secrets).await?, hooks.clone());
    Ok(Doors { notifier, hooks, heartbeat })
}

pub(super) async fn run(shop: Arc<Shop>, doors: Doors, mut stop: watch::Receiver<bool>) -> Stopped {
    let mut gap = told(heartbeat::gap(&shop.house).await, "when alerts were last looked for cannot be read").flatten();
    loop {
        // The look itself is heard of only when it was had.
        if told(look(&shop, &doors, gap, &stop).await, "alerts could not be looked for; trying again").is_some() {
            gap = None;
            told(beat(&shop, &doors).await, "no sign of life");
        }
        if !pause(shop.house.settings.alerts.every(), &mut stop).await {
            return Stopped::default();
        }
    }
}

async fn beat(shop: &Shop, doors: &Doors) -> Result<()> {
    let url = match &doors.heartbeat {
        Some(held) => Some(held.now().await?),
        None => None,
    };
    heartbeat::beat(&shop.house, doors.hooks.as_ref(), url.as_ref().map(|url| url.reveal())).await?;
    Ok(())
}

async fn look(shop: &Shop, doors: &Doors, gap: Option<DateTime<Utc>>, stop: &watch::Receiver<bool>) -> Result<()> {
    for record in shop.house.tenants().await? {
        if *stop.borrow() {
            return Ok(());
        }
        let scope = (shop.scope_of)(record.tenant.clone());
        let one = async {
            if let Some(since) = gap {
                heartbeat::raise_gap(&shop.house, &shop.house.enter(&scope).await?, since).await?;
            }
            doors.notifier.plan(&scope).await
        };
        match one.await {
            Ok(0) => {}
            Ok(alerts) => tracing::info!(target: "serve.notify", tenant = %record.tenant, alerts, "to be told"),
            // A disabled or destroyed key: its alerts were told before, or are when it is enabled again.
            Err(error) if error.kind() == ErrorKind::Refused => {
                tracing::debug!(target: "serve.notify", tenant = %record.tenant, %error);
            }
            Err(error) => tracing::warn!(target: "serve.notify", tenant = %record.tenant, %error),
        }
    }
    let sent = doors.notifier.send_due(shop.scope_of.as_ref()).await?;
    if sent != send::Sent::default() {
        tracing::info!(target: "serve.notify", sent = sent.sent, kept = sent.kept, given_up = sent.given_up);
    }
    Ok(())
}

fn told<T>(answer: Result<T>, what: &str) -> Option<T> {
    answer.map_err(|error| tracing::warn!(target: "serve.notify", %error, "{what}")).ok()
}
