//! A mail's proof: found out once, when it first comes, and kept beside it; a replay and a rebuild read what was kept.
//! Promise: name servers that are down make temporary errors and hold nothing up; these are asked again another time.
//! Never: keys that a domain has rotated since turn an old mail's proof into another.

use std::panic::AssertUnwindSafe;

use bonded_connectors::mail::{
    message::Message,
    proof::{self, Sent, hop},
};
use bonded_schemas::{Envelope, mail::SenderProof};
use bytes::Bytes;
use futures::FutureExt;

use crate::{
    error::Result,
    ingest::Landed,
    lakehouse::{Lakehouse, Tenant},
};

/// The proof, and what the receiving service found (`spam`, `virus`).
pub(super) async fn of(
    house: &Lakehouse,
    tenant: &Tenant,
    landed: &Landed,
    bytes: &Bytes,
    message: &Message,
) -> Result<(SenderProof, Vec<&'static str>)> {
    let envelope = landed.delivery.envelope.as_deref();
    let fields = &message.fields;
    let hops = house.settings.mail_in.hops()?;
    let path = &landed.row.raw_path;
    if let Some(kept) = house.raw.proof(&tenant.scope, tenant.documents(), path).await? {
        let proof: SenderProof = serde_json::from_slice(&kept)?;
        let told = hop::told(&hops, envelope, fields, proof.from_domain.as_deref());
        return Ok((proof, told.found));
    }
    let mut proof = evaluated(house, envelope, bytes, message).await;
    let told = hop::told(&hops, envelope, fields, proof.from_domain.as_deref());
    proof.verdicts.extend(told.verdicts);
    if !proof.verdicts.is_empty() {
        proof.evaluated_at = Some(house.clock.now());
    }
    if proof.evaluated_at.is_some() && proof.is_final() {
        house.raw.put_proof(&tenant.scope, tenant.documents(), path, &serde_json::to_vec(&proof)?).await?;
    }
    Ok((proof, told.found))
}

async fn evaluated(house: &Lakehouse, envelope: Option<&Envelope>, bytes: &Bytes, message: &Message) -> SenderProof {
    let names = match house.names().await {
        Ok(names) => names,
        Err(error) => {
            tracing::warn!(target: "ingest.proof", %error, "a mail's sender is not evaluated");
            let note = Some("not evaluated: this machine's name servers cannot be read".to_owned());
            return SenderProof { note, ..SenderProof::default() };
        }
    };
    let sent = Sent {
        message: bytes,
        fields: &message.fields,
        header_start: message.header_start,
        body_start: message.body_start,
        peer: envelope.and_then(|envelope| envelope.peer),
        helo: envelope.and_then(|envelope| envelope.helo.as_deref()),
        mail_from: envelope.and_then(|envelope| envelope.mail_from.as_deref()),
    };
    // Signatures and records are a stranger's bytes, and their readers others' work: the house stands whatever they do.
    let evaluation = AssertUnwindSafe(proof::evaluate(&sent, names, house.settings.mail_in.dns_time_max()));
    evaluation.catch_unwind().await.unwrap_or_else(|_| {
        let note = Some("not evaluated: its signatures cannot be read".to_owned());
        SenderProof { note, ..SenderProof::default() }
    })
}
