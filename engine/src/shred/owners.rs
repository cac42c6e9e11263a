//! Owners, known by their public keys: who may sign an order.
//! Promise: the first owner is registered by the console; every further one needs a registered owner's signature.
//! Never: no private key comes here.

pub use bonded_connectors::store::identity::OwnerRow;
use bonded_connectors::{seal::signing, store::audit::NewEvent};
use bonded_schemas::TenantId;

use crate::{
    audit::Change,
    error::{Error, ErrorKind, Result},
    lakehouse::Lakehouse,
};

/// What a registered owner signs to let another one in.
pub fn owner_text(tenant: &TenantId, name: &str, public_key: &str) -> String {
    format!("bonded owner 1\ntenant: {tenant}\nname: {name}\npublic key: {public_key}\n")
}

/// `false` when the key is an owner's already.
pub async fn add_owner(
    house: &Lakehouse,
    actor: &str,
    tenant: &TenantId,
    name: &str,
    public_key: &str,
    approval: Option<&str>,
) -> Result<bool> {
    house.record(tenant).await?;
    let (name, public_key) = (name.trim(), public_key.trim());
    if name.is_empty() || name.chars().count() > super::REASON_CHARS_MAX || name.contains(char::is_control) {
        return Err(Error::input("an owner has a name of one line"));
    }
    signing::public_key_bytes(public_key)?;
    let owners = house.control.owners(tenant).await?;
    let text = owner_text(tenant, name, public_key);
    let signed =
        |approval: &str| owners.iter().any(|owner| signing::verify(&owner.public_key, text.as_bytes(), approval).is_ok());
    if !owners.is_empty() && !approval.is_some_and(signed) {
        house.audit(actor, "owner.add", tenant.as_str(), "refused: no owner's signature").await?;
        let message =
            format!("{tenant} has an owner; one of them must sign for another: pass --approval over the text of `--text`");
        return Err(Error::new(ErrorKind::Refused, message));
    }
    let row = OwnerRow {
        tenant: tenant.clone(),
        name: name.to_owned(),
        public_key: public_key.to_owned(),
        added_at: house.clock.now().to_rfc3339(),
    };
    let change = Change::made(&serde_json::json!({ "name": name, "public_key": public_key }))?;
    let event = house.sealed_event(actor, "owner.add", tenant.as_str(), "added", change).await?;
    let new = house.control.add_owner(&row, NewEvent { at: house.clock.now(), sealed: &event }).await?;
    if !new {
        house.audit(actor, "owner.add", tenant.as_str(), "there already").await?;
    }
    Ok(new)
}

pub async fn owners(house: &Lakehouse, tenant: &TenantId) -> Result<Vec<OwnerRow>> {
    house.record(tenant).await?;
    Ok(house.control.owners(tenant).await?)
}
