//! The postbox behind the mail door: recipients by the route, messages into the raw zones of their tenants.
//! Promise: `Kept` is answered only when the message is sealed in the raw zone, in the ledger and in the queue, each synced
//! by its own door; the same bytes again change nothing, so a client that comes again doubles nothing.
//! Never: a message is held whole; several tenants' landings are fed piece by piece from the one stream.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use async_trait::async_trait;
use bonded_connectors::{
    keys::KeyState,
    smtp::{Admission, Incoming, Mailbox, Outcome, Outgoing, Postbox, pipe},
};
use bonded_schemas::{Channel, DeliveryState, Envelope, ServiceFindings, TenantId};
use futures::future::join_all;

use super::{
    State,
    refusals::Refusals,
    route::{self, Found, Route},
};
use crate::{
    error::{Error, ErrorKind, Result},
    ingest::{self, Source},
    serve::Shop,
};

/// What a message is called: its subject is the sender's word, and the sealed note need not hold it twice.
const FILE_NAME: &str = "message.eml";

pub(crate) struct Intake {
    shop: Arc<Shop>,
    refusals: Refusals,
}

/// What a tenant takes now.
enum Takes {
    Mail,
    Nothing,
    Never,
}

impl Intake {
    pub fn new(shop: Arc<Shop>, refusals: Refusals) -> Self {
        Self { shop, refusals }
    }

    /// Where a message goes whose recipient a trusted mail server of this machine wrote down, or SES told of the mail `mail`.
    pub async fn recipient_of(&self, address: &str, mail: Option<&str>) -> Admission {
        or_later(self.admitted(None, address, mail).await)
    }

    /// The tenant that an address leads to, if it has the mail that a service took in under this id. What its process died
    /// over is queued and written down now.
    pub async fn has(&self, address: &str, findings: &ServiceFindings) -> Result<Option<TenantId>> {
        let shop = &self.shop;
        let Found::Good(route) = route::by_address(&shop.house, address, None).await? else { return Ok(None) };
        let tenant = shop.house.enter(&route.scope).await?;
        let Some(row) = ingest::landed_of(&shop.house, &tenant, findings).await? else { return Ok(None) };
        if row.state == DeliveryState::Landed && shop.enqueue(&ingest::work(tenant.scope.tenant(), &row)).await? {
            tenant.audit(shop.house.clock.as_ref(), "mail", &row.delivery_id.to_string(), "landed").await?;
        }
        Ok(Some(tenant.scope.tenant().clone()))
    }

    async fn admitted(&self, peer: Option<IpAddr>, address: &str, mail: Option<&str>) -> Result<Admission> {
        let found = match route::by_address(&self.shop.house, address, peer).await? {
            Found::Good(route) => match self.takes(&route).await? {
                Takes::Mail => Found::Good(route),
                Takes::Nothing => {
                    let tenant = route.scope.tenant();
                    tracing::warn!(target: "serve.mail", %tenant, mail, "a mail has to wait: the tenant's key is disabled");
                    return Ok(Admission::Later);
                }
                Takes::Never => Found::Past { route, state: State::Ended },
            },
            found => found,
        };
        let Found::Good(route) = found else {
            let held = self.refusals.hold(peer);
            let told = self.refusals.tell(found, peer, mail);
            tokio::time::sleep(held).await;
            return Ok(if told { Admission::Refuse } else { Admission::Later });
        };
        let tenant = route.scope.tenant();
        if self.shop.queue.depth(tenant).await? >= self.shop.house.settings.serve.queued_max {
            tracing::warn!(target: "serve.mail", %tenant, mail, "a mail has to wait: the tenant's queue is full");
            return Ok(Admission::Later);
        }
        Ok(Admission::Accept(Mailbox { key: route.digest, group: tenant.to_string() }))
    }

    /// Whether the tenant's key would seal a message: one that is disabled may be enabled again, one that is to be destroyed
    /// was given up by its owner.
    async fn takes(&self, route: &Route) -> Result<Takes> {
        let house = &self.shop.house;
        match house.enter(&route.scope).await {
            Ok(_) => Ok(Takes::Mail),
            Err(error) if error.kind() == ErrorKind::Refused => match house.key_of(route.scope.tenant()).await?.1 {
                KeyState::PendingDeletion | KeyState::Deleted => Ok(Takes::Never),
                KeyState::Enabled | KeyState::Disabled => Ok(Takes::Nothing),
            },
            Err(error) => Err(error),
        }
    }

    /// The first route of each tenant, and which recipients are of it.
    async fn routes(&self, peer: Option<IpAddr>, recipients: &[Mailbox]) -> Result<BTreeMap<TenantId, (Route, Vec<usize>)>> {
        let mut routes: BTreeMap<TenantId, (Route, Vec<usize>)> = BTreeMap::new();
        for (index, mailbox) in recipients.iter().enumerate() {
            // Suspended since it was let in: told to come again, and then that it is no recipient.
            let Found::Good(route) = route::by_digest(&self.shop.house, &mailbox.key, peer).await? else { continue };
            let tenant = route.scope.tenant().clone();
            routes.entry(tenant).or_insert_with(|| (route, Vec::new())).1.push(index);
        }
        Ok(routes)
    }

    async fn land(&self, route: &Route, envelope: &Envelope, mut message: Incoming) -> Result<()> {
        let shop = &self.shop;
        let tenant = shop.house.enter(&route.scope).await?;
        let envelope = Envelope { identifier: route.identifier.clone(), ..envelope.clone() };
        // A mail that waited in a queue speaks of when it came to the service: landed late, it is no newer than it was.
        let as_of = envelope.service.as_ref().map(|service| service.received_at.min(shop.house.clock.now()));
        let source = Source {
            file_name: FILE_NAME.into(),
            bytes: &mut message,
            channel: Channel::Mail,
            as_of,
            envelope: Some(Box::new(envelope)),
            poa: None,
        };
        let row = ingest::land_only(&shop.house, &tenant, source).await?;
        let done = ingest::is_done(&row);
        let result = if done { "duplicate" } else { "landed" };
        // Written down before it is queued: what is in the queue has its event, wherever the process died.
        tenant.audit(shop.house.clock.as_ref(), "mail", &row.delivery_id.to_string(), result).await?;
        if !done {
            shop.enqueue(&ingest::work(tenant.scope.tenant(), &row)).await?;
        }
        tracing::info!(target: "serve.mail", tenant = %tenant.scope.tenant(), delivery = %row.delivery_id, result);
        Ok(())
    }

    async fn landed(&self, route: &Route, envelope: &Envelope, message: Incoming) -> Outcome {
        match self.land(route, envelope, message).await {
            Ok(()) => Outcome::Kept,
            Err(error) => {
                let tenant = route.scope.tenant();
                tracing::warn!(target: "serve.mail", %tenant, kind = ?error.kind(), %error, "a message was not kept");
                Outcome::Later
            }
        }
    }
}

#[async_trait]
impl Postbox for Intake {
    async fn recipient(&self, peer: Option<IpAddr>, address: &str) -> Admission {
        or_later(self.admitted(peer, address, None).await)
    }

    async fn deliver(&self, envelope: Envelope, recipients: Vec<Mailbox>, message: Incoming) -> Vec<Outcome> {
        let mut outcomes = vec![Outcome::Later; recipients.len()];
        let routes = match self.routes(envelope.peer, &recipients).await {
            Ok(routes) => routes,
            Err(error) => {
                tracing::warn!(target: "serve.mail", %error, "a recipient could not be looked up");
                return outcomes;
            }
        };
        let of_tenants = match routes.len() {
            // Nobody reads it, and the session throws it away as it comes.
            0 => Vec::new(),
            1 => match routes.values().next() {
                Some((route, _)) => vec![self.landed(route, &envelope, message).await],
                None => Vec::new(),
            },
            _ => {
                let (ways, messages): (Vec<Outgoing>, Vec<Incoming>) = routes.iter().map(|_| pipe()).unzip();
                let landings = routes.values().zip(messages).map(|((route, _), message)| self.landed(route, &envelope, message));
                let (_, landed) = tokio::join!(split(message, ways), join_all(landings));
                landed
            }
        };
        for ((_, of_route), outcome) in routes.values().zip(of_tenants) {
            of_route.iter().for_each(|index| outcomes[*index] = outcome);
        }
        outcomes
    }
}

fn or_later(admitted: Result<Admission>) -> Admission {
    admitted.unwrap_or_else(|error| {
        tracing::warn!(target: "serve.mail", %error, "a recipient could not be looked up");
        Admission::Later
    })
}

/// One message to several readers. One that stopped reading does not hold up the others; one that breaks off does so for all.
async fn split(mut message: Incoming, ways: Vec<Outgoing>) {
    let mut ways: Vec<Option<Outgoing>> = ways.into_iter().map(Some).collect();
    loop {
        match message.next().await {
            Ok(Some(bytes)) => {
                for way in &mut ways {
                    if let Some(open) = way
                        && !open.send(bytes.clone()).await
                    {
                        *way = None;
                    }
                }
            }
            Ok(None) => {
                for open in ways.into_iter().flatten() {
                    // Who does not read any more has its reason, and tells it.
                    open.finish().await;
                }
                return;
            }
            Err(error) => {
                tracing::debug!(target: "serve.mail", %error);
                return;
            }
        }
    }
}

impl std::fmt::Debug for Intake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Intake")
    }
}

/// For whoever hands in a message that is a file already.
pub(crate) fn not_kept(outcome: Outcome) -> Result<()> {
    match outcome {
        Outcome::Kept => Ok(()),
        Outcome::Later | Outcome::TooLarge => Err(Error::new(ErrorKind::Retry, "the message was not kept; the log says why")),
    }
}
