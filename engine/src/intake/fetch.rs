//! Mails that Amazon SES took in: from its word on one, and the bucket that it lies in, to the raw zones of its tenants.
//! Promise: it is taken only when each of its recipients that is one has it in their raw zone, ledger and queue; until then all
//! of it may be done again, which changes nothing for those that have it.
//! Never: a header says whom a mail is for; a mail is held whole, or removed from its bucket.

use std::{collections::BTreeMap, sync::Arc};

use bonded_connectors::{
    mail::proof,
    ses::{MailBucket, Received, Stored},
    smtp::{Admission, Mailbox, Outcome, Outgoing, Postbox, pipe},
};
use bonded_schemas::{Envelope, Severity};

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
    /// Not by all: another time perhaps.
    Later { why: String },
    /// Not by all, and never.
    Refused { why: &'static str },
}

impl Fetcher {
    pub fn new(house: Arc<Lakehouse>, intake: Intake, bucket: MailBucket, message_bytes_max: u64) -> Self {
        Self { house, intake, bucket, message_bytes_max }
    }

    pub async fn take(&self, received: &Received) -> Taken {
        let (groups, waiting) = self.recipients(received).await;
        let tenants = groups.len();
        let mut groups = groups.into_values();
        let mut missed = usize::from(waiting);
        loop {
            let at_once = groups.by_ref().take(self.house.settings.mail_in.tenants_max).flatten().collect::<Vec<Mailbox>>();
            if at_once.is_empty() {
                break;
            }
            match self.keep(received, at_once).await {
                Ok(outcomes) if outcomes.contains(&Outcome::TooLarge) => {
                    return Taken::Refused { why: "it is larger than mail_in.message_bytes_max" };
                }
                Ok(outcomes) => missed += outcomes.iter().filter(|outcome| **outcome != Outcome::Kept).count(),
                Err(error) => return Taken::Later { why: error.to_string() },
            }
        }
        match missed {
            0 => Taken::Kept { tenants },
            _ => Taken::Later { why: "not every recipient could take it now".into() },
        }
    }

    /// Recipients that are one, by their tenants, and whether of another it cannot be told now. Who is none is written down.
    async fn recipients(&self, received: &Received) -> (BTreeMap<String, Vec<Mailbox>>, bool) {
        let (mut groups, mut waiting) = (BTreeMap::<String, Vec<Mailbox>>::new(), false);
        for address in &received.recipients {
            match self.intake.recipient_of(address).await {
                Admission::Accept(mailbox) => groups.entry(mailbox.group.clone()).or_default().push(mailbox),
                Admission::Refuse => {}
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

    /// Nobody tries any more: every tenant that it is for is told, as far as their keys let anything be sealed.
    pub async fn give_up(&self, received: &Received, why: &str) {
        let mut told: Vec<bonded_schemas::TenantId> = Vec::new();
        for address in &received.recipients {
            let found = route::by_address(&self.house, address, None).await;
            let Ok(Found::Good(route)) = found else { continue };
            if told.contains(route.scope.tenant()) {
                continue;
            }
            told.push(route.scope.tenant().clone());
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
