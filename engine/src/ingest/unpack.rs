//! Unpack: a container (zip, gzip, xlsx, xls, a mail) becomes deliveries of its members, each with its own bytes and receipt.
//! Promise: the container is kept as it came and was found whole before a member is delivered; run again after a crash,
//! it goes on; what may not be opened is quarantined with the reason and the mend.
//! Never: no name tells what a file is; no plaintext touches a disk; no panic over what a sender packed.

use std::{collections::BTreeMap, sync::Arc};

use bonded_connectors::mail::message::{LOOK_BYTES, is_message};
use bonded_schemas::{
    Channel, Delivery, DeliveryId, DeliveryState, Mapping, Receipt, Report,
    delivery::{Container, Member},
};

use super::{Ingested, Landed, land, run, seal};
use crate::{
    error::{Error, Result},
    lakehouse::{Lakehouse, Tenant},
};

mod gzip;
mod limits;
mod mail;
mod plan;
mod source;
mod workbook;
mod zip;

pub(super) use limits::Stop;
use limits::{Allowance, Opens};
use plan::{Opened, Part, Planned, plan};

/// So many bytes tell what a file is.
pub(super) const FIRST_BYTES: usize = LOOK_BYTES;

/// What the first bytes say a file is packed as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packed {
    /// An archive, or an office document made of one.
    Zip,
    Gzip,
    /// A compound file: an old office document, or an encrypted new one.
    Compound,
    /// A message: what a mail carrier brought, or a file that begins as one does.
    Mail,
}

impl Packed {
    pub fn of(first: &[u8]) -> Option<Self> {
        const MAGIC: [(&[u8], Packed); 5] = [
            (b"PK\x03\x04", Packed::Zip),
            (b"PK\x05\x06", Packed::Zip),
            (b"PK\x07\x08", Packed::Zip),
            (b"\x1f\x8b\x08", Packed::Gzip),
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Packed::Compound),
        ];
        let packed = MAGIC.into_iter().find(|(magic, _)| first.starts_with(magic)).map(|(_, packed)| packed);
        packed.or_else(|| is_message(first).then_some(Packed::Mail))
    }

    /// The same of a delivery: whatever a mail carrier brought is a message, in order or not.
    pub fn of_delivery(first: &[u8], channel: Channel, is_member: bool) -> Option<Self> {
        if channel == Channel::Mail && !is_member { Some(Packed::Mail) } else { Self::of(first) }
    }
}

/// Where a delivery stands among containers, and what may still come out of them.
#[derive(Debug, Default)]
pub(super) struct Nesting {
    containers: Vec<DeliveryId>,
    archives: usize,
    allowance: Option<Allowance>,
}

impl Nesting {
    /// Looking at it in vain may have cost as much as it was allowed: that is gone for what lies beside.
    fn lose(&mut self, landed: &Landed) {
        if let Some(allowance) = &mut self.allowance {
            allowance.spend(allowance.within(landed.row.size_bytes).bytes, 0);
        }
    }
}

/// Opens the container, delivers its members and seals its receipt.
pub(super) async fn unpack(
    house: &Lakehouse,
    tenant: &Tenant,
    landed: &Landed,
    packed: Packed,
    nesting: &mut Nesting,
) -> Result<Ingested> {
    if packed == Packed::Mail {
        return mail::unpack(house, tenant, landed, nesting).await;
    }
    let refused = match attempt(house, tenant, landed, packed, nesting).await {
        Ok((opened, members)) => return sealed(house, tenant, landed, opened, members).await,
        Err(Stop::Refused(quarantine)) => quarantine,
        Err(Stop::Failed(error)) => return Err(error),
    };
    nesting.lose(landed);
    let alert = super::check::quarantine_alert(tenant, landed, &refused)?;
    let (receipt, _) = seal::seal(house, tenant, landed, seal::Outcome::quarantined(refused, alert)).await?;
    Ok(Ingested { receipt, duplicate: false, members: Vec::new() })
}

async fn attempt(
    house: &Lakehouse,
    tenant: &Tenant,
    landed: &Landed,
    packed: Packed,
    nesting: &mut Nesting,
) -> Opens<(Opened, Vec<Ingested>)> {
    let settings = &house.settings.ingest;
    let mut allowance = nesting.allowance.unwrap_or_else(|| Allowance::new(&settings.unpack, settings.file_bytes_max));
    let here = allowance.within(landed.row.size_bytes);
    let path = &landed.row.raw_path;
    let reader = house.raw.open(&tenant.scope, &tenant.key, path).await.map_err(|error| Stop::Failed(error.into()))?;
    let reader = Arc::new(reader);
    let mappings = mappings(tenant).await.map_err(Stop::Failed)?;

    let file_name = landed.delivery.file_name.clone();
    let mut bytes = source::Landed::new(reader.clone());
    let planning = tokio::task::spawn_blocking(move || plan(&mut bytes, packed, &file_name, &mappings, &here));
    // A panic over a sender's bytes is a fault of ours, but the house stands and the file is kept.
    let opened = planning.await.unwrap_or_else(|_| Err(Stop::broken("the container cannot be read")))?;

    let is_archive = matches!(opened.format, "zip" | "gzip");
    if is_archive && nesting.archives == settings.unpack.depth_max {
        return Err(Stop::bomb(format!("archives lie deeper in each other than {}", settings.unpack.depth_max)));
    }
    allowance.spend(opened.members.iter().map(|member| member.bytes).sum(), opened.members.len());
    let mut inner = Nesting {
        containers: nesting.containers.iter().copied().chain([landed.row.delivery_id]).collect(),
        archives: nesting.archives + usize::from(is_archive),
        allowance: Some(allowance),
    };
    let mut members = Vec::with_capacity(opened.members.len());
    for member in &opened.members {
        members.push(deliver(house, tenant, landed, member, source::Landed::new(reader.clone()), here, &mut inner).await?);
    }
    // What came out here is no longer there for what lies beside.
    nesting.allowance = nesting.allowance.and(inner.allowance);
    Ok((opened, members))
}

/// What the tenant accepted of each report's drift.
async fn mappings(tenant: &Tenant) -> Result<BTreeMap<Report, Mapping>> {
    let mut mappings = BTreeMap::new();
    for report in Report::ALL {
        mappings.insert(report, tenant.mapping(report).await?);
    }
    Ok(mappings)
}

/// One member through the whole line.
async fn deliver(
    house: &Lakehouse,
    tenant: &Tenant,
    container: &Landed,
    member: &Planned,
    bytes: source::Landed,
    allowance: Allowance,
    nesting: &mut Nesting,
) -> Opens<Ingested> {
    let origin = land::Origin {
        file_name: member.name.clone(),
        channel: container.delivery.channel,
        as_of: Some(container.delivery.as_of),
        container: Some(Container { delivery_id: container.row.delivery_id, member: member.name.clone() }),
        provenance: member.provenance.clone(),
        // What brought the container brought the member; the container's note has it once.
        envelope: None,
        poa: container.delivery.poa.clone(),
    };
    let mut stream = member.part.stream(bytes, allowance);
    let landed = match land::land(house, tenant, &mut stream, origin).await {
        Ok(landed) => landed,
        Err(error) => return Err(stream.stop.take().unwrap_or(Stop::Failed(error))),
    };
    if matches!(member.part, Part::Gzip)
        && let Some(allowance) = &mut nesting.allowance
    {
        allowance.spend(landed.row.size_bytes, 0);
    }
    if nesting.containers.contains(&landed.row.delivery_id) {
        return Err(Stop::bomb("the archive holds itself"));
    }
    Box::pin(run(house, tenant, landed, nesting)).await.map_err(Stop::Failed)
}

/// What a container's receipt lists.
fn listed(landed: &Landed, planned: &[Planned], members: &[Ingested]) -> Vec<Member> {
    let listed = planned.iter().zip(members).map(|(planned, member)| {
        let delivery = &member.receipt.delivery;
        Member {
            delivery_id: delivery.id,
            name: planned.name.clone(),
            state: member.receipt.state,
            duplicate: !came_in(delivery, landed.row.delivery_id, &planned.name),
        }
    });
    listed.collect()
}

async fn sealed(house: &Lakehouse, tenant: &Tenant, landed: &Landed, opened: Opened, members: Vec<Ingested>) -> Result<Ingested> {
    let listed = listed(landed, &opened.members, &members);
    let mut dialect = BTreeMap::from([("container".to_owned(), opened.format.to_owned())]);
    if !opened.left.is_empty() {
        dialect.insert("sheets_not_taken".to_owned(), opened.left.join(", "));
    }
    let (receipt, _) = seal::seal(house, tenant, landed, seal::Outcome::unpacked(listed, dialect)).await?;
    Ok(Ingested { receipt, duplicate: false, members })
}

fn came_in(delivery: &Delivery, container: DeliveryId, name: &str) -> bool {
    delivery.container.as_ref().is_some_and(|from| from.delivery_id == container && from.member == name)
}

/// A container delivered again: its members as they stand, those in quarantine tried once more.
pub(super) async fn revisit(
    house: &Lakehouse,
    tenant: &Tenant,
    landed: &Landed,
    mut receipt: Receipt,
    nesting: &mut Nesting,
) -> Result<Ingested> {
    // As in the first pass: what a carrier brought is no archive, a message in one is.
    let is_archive = match receipt.dialect.get("container").map(String::as_str) {
        Some("zip" | "gzip") => true,
        Some("mail") => landed.delivery.container.is_some(),
        _ => false,
    };
    let mut inner = Nesting {
        containers: nesting.containers.iter().copied().chain([landed.row.delivery_id]).collect(),
        archives: nesting.archives + usize::from(is_archive),
        allowance: nesting.allowance,
    };
    let mut members = Vec::with_capacity(receipt.members.len());
    let mut changed = false;
    for member in &mut receipt.members {
        let Some(row) = tenant.ledger.delivery(member.delivery_id).await? else {
            let message = format!("a member of delivery {} is not in the ledger", landed.row.delivery_id);
            return Err(Error::new(crate::error::ErrorKind::Damaged, message));
        };
        let again = land::recall(house, tenant, row).await?;
        let done = Box::pin(run(house, tenant, again, &mut inner)).await?;
        changed |= done.receipt.state != member.state;
        member.state = done.receipt.state;
        members.push(done);
    }
    if changed {
        let mut outcome = seal::Outcome::unpacked(receipt.members.clone(), receipt.dialect.clone());
        outcome.mail = receipt.mail.clone();
        (receipt, _) = seal::seal(house, tenant, landed, outcome).await?;
    } else {
        tenant.audit(house.clock.as_ref(), "ingest", &landed.row.delivery_id.to_string(), "duplicate").await?;
    }
    debug_assert_eq!(receipt.state, DeliveryState::Unpacked);
    Ok(Ingested { receipt, duplicate: true, members })
}

#[cfg(test)]
#[path = "../../../tests/it/containers/pack.rs"]
mod pack;
#[cfg(test)]
mod tests;
