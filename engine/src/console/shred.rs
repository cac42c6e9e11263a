//! `bonded tenant owner` and `bonded tenant shred`: orders to destroy a tenant's keys, and the proof that they are gone.

use std::{io::Read, path::Path};

use bonded_connectors::seal::SigningKey;
use bonded_schemas::TenantId;

use super::{
    actor,
    args::{OwnerAction, ShredAction, TenantAction},
    output::{Output, table},
};
use crate::{
    error::{Error, ErrorKind, Result},
    lakehouse::Lakehouse,
    shred,
};

/// A text to sign is an order or an owner's registration, a few hundred bytes.
const SIGNED_BYTES_MAX: u64 = 64 << 10;

pub fn without_lake(action: &TenantAction, output: &Output) -> Result<u8> {
    match action {
        TenantAction::Owner { action: OwnerAction::New { out } } => new_key(out, output),
        TenantAction::Owner { action: OwnerAction::Sign { key, file } } => sign(key, file, output),
        TenantAction::Shred { action: ShredAction::Verify { file, public_key } } => verify(file, public_key.as_deref(), output),
        _ => Err(handled()),
    }
}

fn new_key(out: &Path, output: &Output) -> Result<u8> {
    let key = SigningKey::create(out)?;
    output.object(&serde_json::json!({ "public_key": key.public_key() }), || key.public_key())?;
    Ok(0)
}

fn sign(key: &Path, file: &Path, output: &Output) -> Result<u8> {
    let signature = SigningKey::open(key)?.sign(&read(file)?);
    output.object(&serde_json::json!({ "signature": signature }), || signature.clone())?;
    Ok(0)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let failed = |error| Error::input(format!("cannot read {}", path.display())).with_source(error);
    let mut bytes = Vec::new();
    match path.to_str() {
        Some("-") => std::io::stdin().take(SIGNED_BYTES_MAX).read_to_end(&mut bytes).map_err(failed)?,
        _ => std::fs::File::open(path).map_err(failed)?.take(SIGNED_BYTES_MAX).read_to_end(&mut bytes).map_err(failed)?,
    };
    Ok(bytes)
}

fn verify(file: &Path, public_key: Option<&str>, output: &Output) -> Result<u8> {
    let proof = serde_json::from_slice(&read(file)?)
        .map_err(|error| Error::input(format!("{} is no proof", file.display())).with_source(error))?;
    let body = shred::verify(&proof, public_key)?;
    output.object(&body, || {
        let signed: Vec<&str> = body.approvals.iter().map(|approval| approval.owner.as_str()).collect();
        format!(
            "the keys of {} are destroyed, by an order that {} signed; proven at {} by the lake {}\n{}",
            body.tenant,
            signed.join(" and "),
            body.proven_at.to_rfc3339(),
            proof.public_key,
            body.order
        )
    })?;
    Ok(0)
}

pub async fn owner(house: &Lakehouse, action: &OwnerAction, output: &Output) -> Result<u8> {
    match action {
        OwnerAction::Add { tenant, name, public_key, approval: _, text: true } => {
            let text = shred::owner_text(tenant, name.trim(), public_key.trim());
            output.object(&serde_json::json!({ "text": text }), || text.trim_end().to_owned())?;
        }
        OwnerAction::Add { tenant, name, public_key, approval, text: false } => {
            let new = shred::add_owner(house, &actor(), tenant, name, public_key, approval.as_deref()).await?;
            output.object(&serde_json::json!({ "tenant": tenant, "owner": name, "new": new }), || match new {
                true => format!("{name} may sign orders for {tenant}"),
                false => format!("this key is an owner's of {tenant} already; nothing was changed"),
            })?;
        }
        OwnerAction::List { tenant } => owners(house, tenant, output).await?,
        OwnerAction::New { .. } | OwnerAction::Sign { .. } => return Err(handled()),
    }
    Ok(0)
}

async fn owners(house: &Lakehouse, tenant: &TenantId, output: &Output) -> Result<()> {
    let owners = shred::owners(house, tenant).await?;
    output.list(&owners, || {
        let line =
            |owner: &shred::OwnerRow| [owner.name.clone(), owner.public_key.clone(), owner.added_at.chars().take(19).collect()];
        table(["owner", "public key", "added"], owners.iter().map(line))
    })
}

pub async fn shred(house: &Lakehouse, action: &ShredAction, output: &Output) -> Result<u8> {
    let actor = actor();
    match action {
        ShredAction::Request { tenant, reason, days, out } => {
            let order = shred::request(house, &actor, tenant, reason, *days).await?;
            if let Some(out) = out {
                std::fs::write(out, &order.text)
                    .map_err(|error| Error::setup(format!("cannot write {}", out.display())).with_source(error))?;
            }
            output.object(&order, || {
                format!(
                    "order {}: nothing is refused yet. An owner of {tenant} signs this text to the byte:\n\n{}",
                    order.id, order.text
                )
            })?;
        }
        ShredAction::Approve { order, signature } => {
            // Its rooms are opened before the key refuses, so that the alert can still be told.
            let of = shred::list(house).await?.into_iter().find(|known| known.id == *order).map(|known| known.tenant);
            let closing = match of {
                Some(tenant) => house.tenant(&super::scope(tenant)).await.ok(),
                None => None,
            };
            let order = shred::approve(house, &actor, order, signature).await?;
            if let Some(closing) = closing {
                super::setup::key_alert(house, &closing, "pending deletion").await;
            }
            output.object(&order, || {
                let at = order.destroy_at.map(|at| at.to_rfc3339()).unwrap_or_default();
                format!(
                    "{} is refused from now on; its keys are destroyed at {at}, by `bonded tenant shred finish`",
                    order.tenant
                )
            })?;
        }
        ShredAction::Cancel { order } => {
            let order = shred::cancel(house, &actor, order).await?;
            output.object(&order, || format!("order {} is cancelled; the keys of {} are enabled", order.id, order.tenant))?;
        }
        ShredAction::Finish => {
            let done = shred::finish(house, &actor).await?;
            output.list(&done, || match done.as_slice() {
                [] => "nothing is due".to_owned(),
                done => done
                    .iter()
                    .map(|order| format!("the keys of {} are destroyed; order {}", order.tenant, order.id))
                    .collect::<Vec<_>>()
                    .join("\n"),
            })?;
        }
        ShredAction::List => {
            let orders = shred::list(house).await?;
            output.list(&orders, || {
                let line = |order: &shred::Order| {
                    let at = order.destroy_at.map(|at| at.format("%Y-%m-%d %H:%M").to_string()).unwrap_or_default();
                    let state = serde_json::to_value(order.state).ok().and_then(|state| state.as_str().map(str::to_owned));
                    [order.id.clone(), order.tenant.to_string(), state.unwrap_or_default(), at]
                };
                table(["order", "tenant", "state", "destroyed at"], orders.iter().map(line))
            })?;
        }
        ShredAction::Proof { order } => {
            let order = shred::find(house, order).await?;
            let proof = order.proof.ok_or_else(|| {
                Error::new(ErrorKind::Input, format!("order {} is not finished; there is no proof yet", order.id))
            })?;
            let text = serde_json::to_string(&proof)?;
            output.object(&proof, || text)?;
        }
        ShredAction::Verify { .. } => return Err(handled()),
    }
    Ok(0)
}

fn handled() -> Error {
    Error::new(ErrorKind::Internal, "this command was already handled")
}
