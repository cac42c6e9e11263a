//! Mails that Amazon SES took in: from its word on one, and the bucket that it lies in, to the raw zones of its tenants.
//! Promise: it is taken only when each of its recipients that is one has it in their raw zone, ledger and queue; until then all
//! of it may be done again, which changes nothing for those that have it.
//! Who has it is not told that it was given up. One with no recipient of this lake's domain is refused, for then a setting is wrong.
//! Never: a header says whom a mail is for; a mail is held whole, or removed from its bucket.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bonded_connectors::{
    mail::proof,
    ses::{MailBucket, Received, Stored},
    smtp::{Admission, Mailbox, Outcome, Outgoing, Postbox, pipe},
};
use bonded_schemas::{Envelope, Severity, TenantId};

use super::{
    postbox::Intake,
    refusals::{ALERT, MailAlert},
    route::{self, Found, Route},
};
use crate::{alerts::raise, error::Result, lakehouse::Lakehouse};

pub(crate) struct Fetcher {
    house: Arc<Lakehouse>,
    intake: Intake,
    bucket: MailBucket,
    message_bytes_max: u64,
}

/// What became of a mail.
#[derive(Debug)]
pub(crate) enum Taken {
    /// By so many tenants; by none when it was for nobody here.
    Kept { tenants: usize },
    /// By these and not by all: another time perhaps.
    Later { why: String, kept: BTreeSet<TenantId> },
    /// By these and not by all, and never.
    Refused { why: &'static str, kept: BTreeSet<TenantId> },
}

impl Fetcher {
    pub fn new(house: Arc<Lakehouse>, intake: Intake, bucket: MailBucket, message_bytes_max: u64) -> Self {
        Self { house, intake, bucket, message_bytes_max }
    }

    /// `again` on a later try: who has it by then is left in peace.
    pub async fn take(&self, received: &Received, again: bool) -> Taken {
        let mut kept = BTreeSet::new();
        if !received.recipients.iter().any(|address| route::is_of_domain(&self.house, address)) {
            return Taken::Refused {
                why: "none of its recipients is of mail_in.domain: SES's rule or the setting is wrong",
                kept,
            };
        }
        let (groups, mut missed) = self.recipients(received, again, &mut kept).await;
        let mut groups = groups.into_values();
        loop {
            let at_once = groups.by_ref().take(self.house.settings.mail_in.tenants_max).flatten().collect::<Vec<Mailbox>>();
            if at_once.is_empty() {
                break;
            }
            let tenants: Vec<String> = at_once.iter().map(|mailbox| mailbox.group.clone()).collect();
            match self.keep(received, at_once).await {
                Ok(outcomes) if outcomes.contains(&Outcome::TooLarge) => {
                    return Taken::Refused { why: "it is larger than mail_in.message_bytes_max", kept };
                }
                Ok(outcomes) => {
                    for (tenant, outcome) in tenants.iter().zip(outcomes) {
                        match (outcome, tenant.parse()) {
                            (Outcome::Kept, Ok(tenant)) => drop(kept.insert(tenant)),
                            _ => missed = true,
                        }
                    }
                }
                Err(error) => return Taken::Later { why: error.to_string(), kept },
            }
        }
        match missed {
            false => Taken::Kept { tenants: kept.len() },
            true => Taken::Later { why: "not every recipient could take it now".into(), kept },
        }
    }

    /// Recipients that are one, by their tenants, and whether of another it cannot be told now. Who is none is written down;
    /// who has it is in `kept`.
    async fn recipients(
        &self,
        received: &Received,
        again: bool,
        kept: &mut BTreeSet<TenantId>,
    ) -> (BTreeMap<String, Vec<Mailbox>>, bool) {
        let (mut groups, mut waiting) = (BTreeMap::<String, Vec<Mailbox>>::new(), false);
        for address in &received.recipients {
            if again {
                match self.intake.has(address, &received.findings).await {
                    Ok(Some(tenant)) => {
                        kept.insert(tenant);
                        continue;
                    }
                    Ok(None) => {}
                    // Landing it again changes nothing, and says what is wrong.
                    Err(error) => tracing::warn!(target: "serve.ses", mail = received.id, %error, "a ledger was not to be asked"),
                }
            }
            match self.intake.recipient_of(address, Some(&received.id)).await {
                Admission::Accept(mailbox) => groups.entry(mailbox.group.clone()).or_default().push(mailbox),
                Admission::Refuse => {
                    tracing::warn!(target: "serve.ses", mail = received.id, "a recipient of a mail is none here");
                }
                Admission::Later => waiting = true,
            }
        }
        (groups, waiting)
    }

    async fn keep(&self, received: &Received, mailboxes: Vec<Mailbox>) -> Result<Vec<Outcome>> {
        let stored = self.bucket.mail(&received.id).await?;
        if stored.size_bytes > self.message_bytes_max {
            return Ok(vec![Outcome::TooLarge; mailboxes.len()]);
        }
        // No peer: a worker of this house fetched it, which no client of the mail door can say of itself.
        let envelope = Envelope {
            helo: Some(proof::SES.to_owned()),
            mail_from: Some(received.mail_from.clone()),
            service: Some(Box::new(received.findings.clone())),
            ..Envelope::default()
        };
        let (way, message) = pipe();
        let (fed, outcomes) = tokio::join!(feed(stored, way), self.intake.deliver(envelope, mailboxes, message));
        fed.map(|()| outcomes)
    }

    /// Nobody tries any more: every tenant that it is for and that has it not is told, as far as their keys let anything be
    /// sealed.
    pub async fn give_up(&self, received: &Received, kept: &BTreeSet<TenantId>, why: &str) {
        let mut told = kept.clone();
        for address in &received.recipients {
            let found = route::by_address(&self.house, address, None).await;
            let Ok(Found::Good(route)) = found else { continue };
            if !told.insert(route.scope.tenant().clone()) {
                continue;
            }
            if let Err(error) = self.tell(&route, received, why).await {
                tracing::error!(target: "serve.ses", tenant = %route.scope.tenant(), %error, "a tenant could not be told of a mail");
            }
        }
    }

    async fn tell(&self, route: &Route, received: &Received, why: &str) -> Result<()> {
        let tenant = self.house.enter(&route.scope).await?;
        let body = MailAlert {
            what: format!(
                "mail {} that SES took in was given up: {why}; its bytes stay in the mail bucket, and its notification among the \
                 dead letters, each for 14 days or as long as that is set to: mend the cause, and have the dead letters redriven",
                received.id
            ),
            identifier: route.identifier.clone(),
            state: "given up".into(),
            peer: None,
        };
        let about = format!("given up\n{}", received.id);
        raise::raise(&self.house, &tenant, ALERT, None, &about, Severity::Error, &body).await
    }
}

async fn feed(mut stored: Stored, way: Outgoing) -> Result<()> {
    while let Some(bytes) = stored.next().await? {
        if !way.send(bytes).await {
            // Whoever reads the other end has its reason, and tells it.
            return Ok(());
        }
    }
    way.finish().await;
    Ok(())
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fetcher")
    }
}
