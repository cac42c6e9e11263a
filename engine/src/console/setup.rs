//! `init`, `tenant` and `key`: what is done once.

use bonded_connectors::keys::KeyState;
use bonded_schemas::Severity;
use serde::Serialize;

use super::{
    args::{KeyAction, TenantAction},
    identifier,
    output::{Output, table},
    scope, shred,
};
use crate::{
    alerts::{
        notify::plan,
        raise::{clear, raise},
    },
    api,
    audit::Change,
    error::{Error, Result},
    lakehouse::{Doors, Lakehouse, Tenant},
    settings::{KeyProvider, Settings},
};

#[derive(Serialize)]
struct Initialised {
    lake: String,
    keys: String,
    new: bool,
}

pub async fn init(settings: Settings, doors: Doors, output: &Output) -> Result<u8> {
    let own_keys = settings.keys.provider == KeyProvider::Keyring;
    let keys = match own_keys {
        true => settings.keys_dir()?.display().to_string(),
        false => format!("AWS KMS, {}", settings.aws.region),
    };
    let lake = settings.lake.clone();
    // So that the first `serve` has a certificate to show, and people know where it lies.
    api::prepare(&settings, doors.clock.now())?;
    let (house, new) = Lakehouse::init(settings, doors).await?;
    for record in house.tenants().await? {
        house.put_pointers_back(&scope(record.tenant)).await?;
    }
    house.record_catalog().await?;
    house.audit(super::actor(), "init", &lake, if new { "made" } else { "already there" }).await?;
    output.object(&Initialised { lake: lake.clone(), keys: keys.clone(), new }, || {
        let what = if new { "made" } else { "already there:" };
        let copy = match own_keys {
            true => "Keep a copy of the keys apart from the lake: without them nothing in it can be read.\n",
            false => "",
        };
        format!("{what} lake {lake}, keys in {keys}\n{copy}Next: bonded --lake {lake} tenant add NAME")
    })?;
    Ok(0)
}

#[derive(Serialize)]
struct TenantLine {
    tenant: String,
    key_id: String,
    key_state: KeyState,
    created_at: String,
}

pub async fn tenant(house: &Lakehouse, action: &TenantAction, output: &Output) -> Result<u8> {
    match action {
        TenantAction::Add { tenant } => {
            let new = house.add_tenant(&scope(tenant.clone())).await?;
            let body = serde_json::json!({ "tenant": tenant, "new": new });
            output.object(&body, || match new {
                true => format!("added tenant {tenant} with a key of its own"),
                false => format!("tenant {tenant} is there already; nothing was changed"),
            })?;
        }
        TenantAction::List => {
            let mut lines = Vec::new();
            for record in house.tenants().await? {
                let (_, key_state) = house.key_of(&record.tenant).await?;
                lines.push(TenantLine {
                    tenant: record.tenant.to_string(),
                    key_id: record.key_id,
                    key_state,
                    created_at: record.created_at,
                });
            }
            output.list(&lines, || {
                table(
                    ["tenant", "key", "state", "added"],
                    lines.iter().map(|l| {
                        [l.tenant.clone(), l.key_id.clone(), state(l.key_state).into(), l.created_at.chars().take(19).collect()]
                    }),
                )
            })?;
        }
        TenantAction::Engage(papers) => return identifier::engage(house, papers, output).await,
        TenantAction::Owner { action } => return shred::owner(house, action, output).await,
        TenantAction::Shred { action } => return shred::shred(house, action, output).await,
    }
    Ok(0)
}

fn state(state: KeyState) -> &'static str {
    match state {
        KeyState::Enabled => "enabled",
        KeyState::Disabled => "disabled",
        KeyState::PendingDeletion => "pending deletion",
        KeyState::Deleted => "deleted",
    }
}

pub async fn key(house: &Lakehouse, action: &KeyAction, output: &Output) -> Result<u8> {
    let (tenant, verb) = match action {
        KeyAction::List => {
            let keys = house.keys.list().await?;
            output.list(&keys, || {
                table(
                    ["tenant", "key", "state", "version", "made"],
                    keys.iter().map(|k| {
                        let made = k.created_at.format("%Y-%m-%d %H:%M").to_string();
                        [k.tenant.to_string(), k.key_id.to_string(), state(k.state).into(), k.version.to_string(), made]
                    }),
                )
            })?;
            return Ok(0);
        }
        KeyAction::Rotate { tenant } => (tenant, "key.rotate"),
        KeyAction::Disable { tenant } => (tenant, "key.disable"),
        KeyAction::Enable { tenant } => (tenant, "key.enable"),
    };
    let (key, _) = house.key_of(tenant).await?;
    let told = async || {
        let key = house.keys.describe(&key).await?;
        Ok::<_, Error>(serde_json::json!({ "state": key.state, "version": key.version }))
    };
    let before = told().await?;
    // What is open now can still say that it is being closed.
    let closing = match action {
        KeyAction::Disable { .. } => house.tenant(&scope(tenant.clone())).await.ok(),
        _ => None,
    };
    let done = match action {
        KeyAction::Rotate { .. } => format!("rotated to version {}", house.keys.rotate(&key).await?),
        KeyAction::Disable { .. } => house.keys.disable(&key).await.map(|()| "disabled".to_owned())?,
        KeyAction::Enable { .. } | KeyAction::List => house.keys.enable(&key).await.map(|()| "enabled".to_owned())?,
    };
    let change = Change::between(&before, &told().await?)?;
    // A disabled key seals no event, so disabling goes into the lake's own trail.
    if matches!(action, KeyAction::Disable { .. }) {
        house.audit_change(super::actor(), verb, tenant.as_str(), &done, change).await?;
        if let Some(closing) = closing {
            key_alert(house, &closing, "disabled").await;
        }
    } else {
        let opened = house.tenant(&scope(tenant.clone())).await?;
        if matches!(action, KeyAction::Enable { .. }) {
            clear(house, &opened, "key", None, "state").await?;
        }
        opened.audit_change(house.clock.as_ref(), verb, opened.key.0.as_str(), &done, change).await?;
    }
    output.object(&serde_json::json!({ "tenant": tenant, "done": done }), || format!("key of {tenant}: {done}"))?;
    Ok(0)
}

/// Told while the rooms are open: who is to hear of it is found out now, and the letters wait where the lake's own key opens
/// them. What was asked for is done in any case.
pub(super) async fn key_alert(house: &Lakehouse, tenant: &Tenant, state: &str) {
    let body = serde_json::json!({ "state": state });
    let told = async {
        raise(house, tenant, "key", None, "state", Severity::Error, &body).await?;
        plan(house, tenant).await
    };
    if let Err(error) = told.await {
        tracing::warn!(target: "alerts.key", tenant = %tenant.scope.tenant(), %error, "nobody could be told of the key's state");
    }
}
