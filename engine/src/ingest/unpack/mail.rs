//! A message as a container: its reports become deliveries of their own; what else lies in it is listed with the reason.
//! Promise: a mail without a report is kept, classified by evidence and raises nothing by itself; what the tenant's policy
//! does not take is quarantined and can be replayed when the policy is changed.
//! Never: no name, subject or sender makes a file a report; no part is dropped without a line in the receipt.

use std::collections::BTreeMap;

use bonded_connectors::mail::message::{self, ADDRESSES_MAX, Limits, Message, Unread, Why};
use bonded_schemas::{
    DeliveryState, Envelope, Mapping, Quarantine, QuarantineReason, Report,
    mail::{MailFacts, MailPart, MailPolicy, MailReport, Sign},
};
use bytes::{Bytes, BytesMut};

use super::{
    Nesting, Planned, deliver,
    limits::{Allowance, Opens, Stop},
    listed, mappings,
    plan::{Part, shown},
    source,
};
use crate::{
    error::Result,
    ingest::{Ingested, Landed, check, seal},
    lakehouse::{Lakehouse, Tenant},
    settings::UnpackSettings,
};

mod class;
mod part;
mod proof;
#[cfg(test)]
mod tests;

use class::Signs;
use part::Look;

/// What the receiving service calls malware, and what is said of it then.
const VIRUS: &str = "virus";
const INFECTED: &str = "the service that took the mail in found malware in it; nothing of it was opened, and its bytes are kept: ask the sender for a clean one";
/// Parts that a receipt lists; it counts the others.
const PARTS_LISTED_MAX: usize = 300;
/// A sender of more characters is none, and of a subject no more are asked.
const ADDRESS_CHARS_MAX: usize = 1_000;
const SUBJECT_CHARS_MAX: usize = 4_000;
/// Texts of a header that a receipt repeats are cut.
const TEXT_CHARS_MAX: usize = 512;

pub(super) async fn unpack(house: &Lakehouse, tenant: &Tenant, landed: &Landed, nesting: &mut Nesting) -> Result<Ingested> {
    let mut report = Box::<MailReport>::default();
    let refused = match attempt(house, tenant, landed, nesting, &mut report).await {
        Ok((planned, members)) => {
            let dialect = BTreeMap::from([("container".to_owned(), "mail".to_owned())]);
            let outcome = seal::Outcome::unpacked(listed(landed, &planned, &members), dialect).of_mail(report);
            let (receipt, _) = seal::seal(house, tenant, landed, outcome).await?;
            return Ok(Ingested { receipt, duplicate: false, members });
        }
        Err(Stop::Refused(quarantine)) => quarantine,
        Err(Stop::Failed(error)) => return Err(error),
    };
    nesting.lose(landed);
    let alert = match refused.reason {
        QuarantineReason::MailRefused | QuarantineReason::Malware => check::mail_alert(tenant, landed, &refused)?,
        _ => check::quarantine_alert(tenant, landed, &refused)?,
    };
    let outcome = seal::Outcome::quarantined(refused, alert).of_mail(report);
    let (receipt, _) = seal::seal(house, tenant, landed, outcome).await?;
    Ok(Ingested { receipt, duplicate: false, members: Vec::new() })
}

async fn attempt(
    house: &Lakehouse,
    tenant: &Tenant,
    landed: &Landed,
    nesting: &mut Nesting,
    report: &mut MailReport,
) -> Opens<(Vec<Planned>, Vec<Ingested>)> {
    let settings = &house.settings.ingest;
    let mut allowance = nesting.allowance.unwrap_or_else(|| Allowance::new(&settings.unpack, settings.file_bytes_max));
    let here = allowance.within(landed.row.size_bytes);
    // What a carrier brought is no archive; a message in one counts as such.
    let is_archive = landed.delivery.container.is_some();
    if is_archive && nesting.archives == settings.unpack.depth_max {
        return Err(Stop::bomb(format!("archives lie deeper in each other than {}", settings.unpack.depth_max)));
    }
    let mappings = mappings(tenant).await.map_err(Stop::Failed)?;
    let bytes = whole(house, tenant, landed).await?;
    let limits = limits(&settings.unpack);
    let opening = tokio::task::spawn_blocking({
        let (bytes, envelope) = (bytes.clone(), landed.delivery.envelope.clone());
        move || open(bytes, &limits, &mappings, envelope.as_deref())
    });
    // A panic over a sender's bytes is a fault of ours, but the house stands and the mail is kept.
    let opened = opening.await.unwrap_or_else(|_| Err(Stop::broken("the message cannot be read")))?;
    let Opened { message, mut looks, mut signs, told } = opened;
    *report = told;
    let (proof, found) = proof::of(house, tenant, landed, &bytes, &message).await.map_err(Stop::Failed)?;
    report.proof = proof;
    let is_infected = found.contains(&VIRUS);
    found.into_iter().for_each(|what| signs.add(Sign::ServiceVerdict, what));
    let policy = tenant.mail_policy().await.map_err(Stop::Failed)?;
    judge(&policy, report, &message, &mut looks);
    class::conclude(report, signs, &looks);
    describe_parts(report, &message, &looks);
    if is_infected {
        return Err(Stop::refused(QuarantineReason::Malware, INFECTED));
    }
    // What was taken before stays: the policy is asked of what comes.
    if let Some(refused) = report.policy.refused.clone()
        && landed.row.state != DeliveryState::Unpacked
    {
        return Err(Stop::refused(QuarantineReason::MailRefused, refused));
    }

    let planned = plan(&message, &looks, landed);
    if planned.len() > allowance.members {
        return Err(allowance.too_many(planned.len()));
    }
    let told: u64 = planned.iter().fold(0, |sum, member| sum.saturating_add(member.bytes));
    if told > here.bytes || planned.iter().any(|member| member.bytes > here.member_bytes) {
        return Err(Stop::bomb(format!("what lies in it has {told} bytes, and {} are the limit for its size", here.bytes)));
    }
    allowance.spend(told, planned.len());
    let mut inner = Nesting {
        containers: nesting.containers.iter().copied().chain([landed.row.delivery_id]).collect(),
        archives: nesting.archives + usize::from(is_archive),
        allowance: Some(allowance),
    };
    let reader = house.raw.open(&tenant.scope, &tenant.key, &landed.row.raw_path).await;
    let reader = std::sync::Arc::new(reader.map_err(|error| Stop::Failed(error.into()))?);
    let mut members = Vec::with_capacity(planned.len());
    for member in &planned {
        let bytes = source::Landed::new(reader.clone());
        members.push(deliver(house, tenant, landed, member, bytes, here, &mut inner).await?);
    }
    nesting.allowance = nesting.allowance.and(inner.allowance);
    Ok((planned, members))
}

fn limits(settings: &UnpackSettings) -> Limits {
    Limits {
        message_bytes_max: settings.mail_bytes_max,
        header_bytes_max: settings.mail_header_bytes_max,
        parts_max: settings.mail_parts_max,
        depth_max: settings.mail_depth_max,
        decoded_bytes_max: settings.memory_bytes_max,
    }
}

/// The message in memory, within its limit.
async fn whole(house: &Lakehouse, tenant: &Tenant, landed: &Landed) -> Opens<Bytes> {
    let most = house.settings.ingest.unpack.mail_bytes_max;
    if landed.row.size_bytes > most as u64 {
        return Err(Stop::bomb(format!("a message of {} bytes, and {most} are the limit", landed.row.size_bytes)));
    }
    let failed = |error: bonded_connectors::Error| Stop::Failed(error.into());
    let mut reader = house.raw.open(&tenant.scope, &tenant.key, &landed.row.raw_path).await.map_err(failed)?;
    let mut bytes = BytesMut::with_capacity(most.min(landed.row.size_bytes as usize));
    while let Some(chunk) = reader.next_chunk().await.map_err(failed)? {
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

/// A message, and what each of its parts is.
struct Opened {
    message: Message,
    looks: Vec<Look>,
    signs: Signs,
    told: MailReport,
}

fn open(bytes: Bytes, limits: &Limits, mappings: &BTreeMap<Report, Mapping>, envelope: Option<&Envelope>) -> Opens<Opened> {
    let message = message::read(bytes, limits).map_err(unread)?;
    let looks: Vec<Look> = message.parts.iter().map(|part| part::look(part, mappings)).collect();
    let mut told = MailReport::default();
    let signs = class::describe(&mut told, &message, &looks, envelope);
    Ok(Opened { message, looks, signs, told })
}

fn unread(unread: Unread) -> Stop {
    match unread.why {
        Why::TooMuch => Stop::bomb(format!("the message is not opened: {}", unread.what)),
        Why::Broken => Stop::Refused(Quarantine {
            reason: QuarantineReason::BrokenContainer,
            message: format!("no message: {}; ask for it again", unread.what),
            nearest: None,
        }),
    }
}

/// What the tenant's policy makes of it; parts that no rule names are left out. The message itself is judged, not what the
/// receipt repeats of it: cut off in the right place, a stranger's address is a known one.
fn judge(policy: &MailPolicy, report: &mut MailReport, message: &Message, looks: &mut [Look]) {
    let names: Vec<&str> = message.parts.iter().filter_map(|part| part.name.as_deref()).collect();
    let senders = message.fields.addresses("from");
    // Whoever stands behind the last that is read is nobody's acquaintance.
    let unread = (senders.len() == ADDRESSES_MAX).then(String::new);
    let is_too_long = |address: &String| address.chars().nth(ADDRESS_CHARS_MAX).is_some();
    let from: Vec<String> = senders
        .into_iter()
        .map(|from| from.address)
        .filter(|address| !address.is_empty())
        .map(|address| if is_too_long(&address) { String::new() } else { address })
        .chain(unread)
        .collect();
    let subject: String = message.fields.text("subject").unwrap_or_default().chars().take(SUBJECT_CHARS_MAX).collect();
    let facts = MailFacts { from: &from, subject: &subject, attachments: &names, proof: &report.proof };
    report.policy = policy.judge(&facts);
    for (part, look) in message.parts.iter().zip(looks) {
        if look.may_be_report() && !policy.takes(&report.policy, part.name.as_deref()) {
            *look = Look::Unmatched;
        }
    }
}

fn plan(message: &Message, looks: &[Look], landed: &Landed) -> Vec<Planned> {
    let taken = message.parts.iter().zip(looks).filter(|(_, look)| look.is_taken());
    let planned = taken.map(|(part, _)| Planned {
        name: match &part.name {
            Some(name) => shown(name),
            None => shown(&format!("{}#{}", landed.delivery.file_name, part.place)),
        },
        provenance: BTreeMap::new(),
        bytes: part.content.encoded_bytes() as u64,
        part: Part::Content(part.content.clone()),
    });
    planned.collect()
}

fn describe_parts(report: &mut MailReport, message: &Message, looks: &[Look]) {
    let parts = message.parts.iter().zip(looks);
    report.parts_not_listed = message.parts.len().saturating_sub(PARTS_LISTED_MAX) as u64;
    report.parts = parts
        .take(PARTS_LISTED_MAX)
        .map(|(part, look)| MailPart {
            place: part.place.chars().take(TEXT_CHARS_MAX).collect(),
            name: part.name.as_deref().map(shown),
            media_type: shown(&part.media_type),
            origin: part.origin.as_str().to_owned(),
            encoded_bytes: part.content.encoded_bytes() as u64,
            taken: look.is_taken(),
            why: match &part.note {
                Some(note) => format!("{}; {note}", look.why()),
                None => look.why(),
            },
            report: look.report(),
        })
        .collect();
    report.notes = message.notes.clone();
}
