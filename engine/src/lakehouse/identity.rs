//! The lake as an actor of its own: it seals a trail that no tenant's key can, and signs proofs for outsiders.
//! Promise: one identity a lake, whichever process needs it first; a refusal is kept even when the tenant's key is gone.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bonded_connectors::{
    clock::Clock,
    keys::{KeyId, Keys},
    seal::{DocumentKey, LakeSecret, NameKey, ProofKey, SigningKey},
    store::identity::LakeRecord,
};
use bonded_schemas::{Actor, TenantId};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use super::Lakehouse;
use crate::{
    audit::{AuditEvent, Change},
    error::{Error, ErrorKind, Result},
};

#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) documents: DocumentKey,
    pub signer: SigningKey,
    /// Makes the names under which people are found.
    pub people: NameKey,
    /// Signs checkpoints and exports of audit trails.
    pub auditor: SigningKey,
}

pub(super) async fn establish(house: &Lakehouse) -> Result<(Identity, ProofKey)> {
    let record = match house.control.lake_record().await? {
        Some(record) => record,
        None => make(house).await?,
    };
    let secret = unwrapped(house.keys.as_ref(), &record).await?;
    let ((documents, signer), auditor) = (secret.derive(), secret.audit_key());
    Ok((Identity { documents, signer, people: secret.people(), auditor }, secret.proofs()))
}

/// The lake's secret, as its record has it.
pub(crate) async fn unwrapped(keys: &dyn Keys, record: &LakeRecord) -> Result<LakeSecret> {
    let wrapped = STANDARD
        .decode(&record.wrapped_secret)
        .map_err(|error| Error::new(ErrorKind::Damaged, "the record of the lake's own key").with_source(error))?;
    let secret = LakeSecret::unwrap(keys, &KeyId(record.key_id.clone()), &wrapped).await?;
    if secret.derive().1.public_key() != record.public_key {
        return Err(Error::new(ErrorKind::Damaged, "the lake's public key is not that of its secret: restore the control store"));
    }
    Ok(secret)
}

/// A new secret under a new key of the lake's, and its record.
pub(crate) async fn generated(keys: &dyn Keys, clock: &dyn Clock) -> Result<(LakeSecret, LakeRecord)> {
    let key = match keys.left_key(&TenantId::lake()).await? {
        Some(left) => left,
        None => keys.create_key(&TenantId::lake()).await?,
    };
    let secret = LakeSecret::generate();
    let record = LakeRecord {
        wrapped_secret: STANDARD.encode(secret.wrap(keys, &key).await?),
        key_id: key.to_string(),
        public_key: secret.derive().1.public_key(),
        created_at: clock.now().to_rfc3339(),
    };
    Ok((secret, record))
}

/// Of the event that the lake's trail begins with.
pub(crate) const MADE: &str = "lake.identity";
const MAKER: &str = "bonded";

/// The clear cells of the lake's own record.
pub(crate) fn told(record: &LakeRecord) -> serde_json::Value {
    serde_json::json!({ "key_id": record.key_id, "public_key": record.public_key, "created_at": record.created_at })
}

async fn make(house: &Lakehouse) -> Result<LakeRecord> {
    let (secret, record) = generated(house.keys.as_ref(), house.clock.as_ref()).await?;
    let proofs = secret.proofs();
    if house.control.put_lake_record(&record, &proofs).await? {
        // What the row tells in the clear is bound by the lake's own chain.
        let event =
            AuditEvent::new(MAKER.into(), MADE, TenantId::lake().as_str(), "made").changing(Change::made(&told(&record))?);
        let event = event.sealed(TenantId::lake().as_str(), &secret.derive().0)?;
        let control = house.control.clone().prove(&proofs).await?;
        control.append_audit(house.clock.now(), &event).await?;
        return Ok(record);
    }
    // Another process was first; the key made here has wrapped nothing that is kept.
    let first = house.control.lake_record().await?;
    first.ok_or_else(|| Error::new(ErrorKind::Internal, "the lake's own record is there and is not"))
}

impl Identity {
    /// Seals what is no tenant's: base64, bound to what it is (`what`, `name`).
    pub fn seal<T: Serialize>(&self, what: &str, name: &str, document: &T) -> Result<String> {
        let plain = Zeroizing::new(serde_json::to_vec(document)?);
        Ok(STANDARD.encode(self.documents.seal(&[TenantId::lake().as_str(), what, name], &plain)))
    }

    pub fn unseal<T: DeserializeOwned>(&self, what: &str, name: &str, sealed: &str) -> Result<T> {
        let sealed = STANDARD
            .decode(sealed)
            .map_err(|error| Error::new(ErrorKind::Damaged, format!("the sealed {what} is not base64")).with_source(error))?;
        let plain = self.documents.open(&[TenantId::lake().as_str(), what, name], &sealed)?;
        Ok(serde_json::from_slice(&plain)?)
    }
}

impl Lakehouse {
    /// PostgreSQL gives out nothing before it is shown a proof, and the proof comes of the lake's secret: so that comes first.
    pub(super) async fn prove(&mut self) -> Result<()> {
        let (identity, proofs) = establish(self).await?;
        self.control = self.control.clone().prove(&proofs).await?;
        self.identity = OnceCell::new_with(Some(identity));
        Ok(())
    }

    /// Appends to the lake's own trail: what concerns no tenant, or one whose key seals nothing any more.
    pub async fn audit(&self, actor: impl Into<Actor>, action: &str, object: &str, result: &str) -> Result<()> {
        self.audit_change(actor, action, object, result, Change::default()).await
    }

    /// The same with what it changed.
    pub async fn audit_change(
        &self,
        actor: impl Into<Actor>,
        action: &str,
        object: &str,
        result: &str,
        change: Change,
    ) -> Result<()> {
        let sealed = self.sealed(AuditEvent::new(actor.into(), action, object, result).changing(change)).await?;
        self.control.append_audit(self.clock.now(), &sealed).await?;
        Ok(())
    }

    /// The text of an event for the lake's trail.
    pub(crate) async fn sealed_event(
        &self,
        actor: &str,
        action: &str,
        object: &str,
        result: &str,
        change: Change,
    ) -> Result<String> {
        self.sealed(AuditEvent::new(actor.into(), action, object, result).changing(change)).await
    }

    /// An event for the lake's trail, for a step that appends it with what else it records.
    pub(crate) async fn sealed(&self, event: AuditEvent) -> Result<String> {
        event.sealed(TenantId::lake().as_str(), &self.identity().await?.documents)
    }
}
