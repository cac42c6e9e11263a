//! The proof that a tenant's keys are gone: what was ordered, who signed, what was checked afterwards; signed by the lake.
//! Promise: it can be checked by anybody who has the lake's public key, without the lake.
//! Never: nothing is claimed that was not tried.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bonded_connectors::{
    ErrorKind as DoorKind,
    keys::{KeyId, KeyState},
    seal::{TenantSecret, signing},
};
use bonded_schemas::TenantId;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Approval, Order, keys_of};
use crate::{
    error::{Error, ErrorKind, Result},
    lakehouse::Lakehouse,
};

/// What travels: the body as text, to the byte, and the lake's signature over it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// JSON of [`ProofBody`].
    pub body: String,
    /// Ed25519, base64.
    pub public_key: String,
    pub signature: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProofBody {
    /// `bonded shred proof 1`.
    pub what: String,
    pub tenant: TenantId,
    pub order: String,
    pub approvals: Vec<Approval>,
    /// Each key of the tenant, and what the key service says of it.
    pub keys: Vec<(String, KeyState)>,
    /// What was tried after the destruction, and how it was refused.
    pub tried: Vec<String>,
    pub proven_at: DateTime<Utc>,
}

const WHAT: &str = "bonded shred proof 1";

pub(super) async fn make(house: &Lakehouse, order: &Order) -> Result<Proof> {
    let record = house.record(&order.tenant).await?;
    let wrapped = STANDARD
        .decode(&record.wrapped_secret)
        .map_err(|error| Error::new(ErrorKind::Damaged, format!("the record of tenant {}", order.tenant)).with_source(error))?;
    let mut tried = Vec::new();
    match house.keys.decrypt(&KeyId(record.key_id), &wrapped, &TenantSecret::context(&order.tenant)).await {
        Err(error) if error.kind() == DoorKind::Refused => tried.push(format!("unwrap the tenant's secret: refused, {error}")),
        Err(error) => return Err(error.into()),
        Ok(_) => return Err(Error::new(ErrorKind::Internal, format!("a deleted key of {} still opens", order.tenant))),
    }
    let identity = house.identity().await?;
    let body = ProofBody {
        what: WHAT.to_owned(),
        tenant: order.tenant.clone(),
        order: order.text.clone(),
        approvals: order.approvals.clone(),
        keys: keys_of(house, &order.tenant).await?,
        tried,
        proven_at: house.clock.now(),
    };
    let body = serde_json::to_string(&body)?;
    let signature = identity.signer.sign(body.as_bytes());
    Ok(Proof { body, public_key: identity.signer.public_key(), signature })
}

/// Checks the lake's signature (against `public_key`, if the reader knows it from elsewhere) and the owners' over the order.
///
/// # Errors
/// `Refused` when a signature does not hold, or no owner signed; `Input` when it is no proof.
pub fn verify(proof: &Proof, public_key: Option<&str>) -> Result<ProofBody> {
    if public_key.is_some_and(|known| known.trim() != proof.public_key) {
        return Err(Error::new(ErrorKind::Refused, "the proof is signed by another lake than the public key given"));
    }
    signing::verify(&proof.public_key, proof.body.as_bytes(), &proof.signature)?;
    let body: ProofBody =
        serde_json::from_str(&proof.body).map_err(|error| Error::input("the body is no proof").with_source(error))?;
    if body.what != WHAT || body.approvals.is_empty() {
        return Err(Error::new(ErrorKind::Refused, "the body is no proof of an order that an owner signed"));
    }
    for approval in &body.approvals {
        signing::verify(&approval.public_key, body.order.as_bytes(), &approval.signature)?;
    }
    if body.keys.is_empty() || body.keys.iter().any(|(_, state)| *state != KeyState::Deleted) {
        return Err(Error::new(ErrorKind::Refused, "not every key of the tenant is deleted"));
    }
    Ok(body)
}
