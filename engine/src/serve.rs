//! `bonded serve`: a process that stays, as a list of roles that are started together and stopped together.
//! Promise: it says when it is ready; asked to stop, it finishes or gives back what it holds within the drain time.
//! Never: no tenant's scope is made here (whoever starts it says how), and no role but the queue knows of another.

use std::{
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use bonded_connectors::store::queue::{Queue, Work};
use bonded_schemas::{TenantId, TenantScope};
use serde::Serialize;
use tokio::{
    sync::{Notify, watch as signal},
    task::JoinSet,
};

use crate::{
    api,
    desk::{self, Desk},
    error::{Error, ErrorKind, Result},
    lakehouse::Lakehouse,
    settings::ServeSettings,
    watch::gauges::Gauges,
};

mod inbox;
mod mail;
mod notify;
mod ses;
mod sweep;
mod upkeep;
mod watch;
mod worker;

pub use inbox::InboxAlert;
pub(crate) use inbox::{ALERT as INBOX_ALERT, drop_file};
pub(crate) use ses::reach as reach_ses;

/// What the process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Takes landed deliveries to their end
    Worker,
    /// Takes in what is dropped into the tenants' folders (setting serve.inbox)
    Inbox,
    /// Maintains every tenant and destroys keys that are due (setting serve.maintain_every)
    Maintain,
    /// Takes in mail to the tenants' addresses (settings mail_in)
    Mail,
    /// Takes in the mail that Amazon SES received for the tenants' addresses (settings ses and mail_in)
    Ses,
    /// Tells people and programs of alerts, and gives the sign of life (settings alerts and mail)
    Notify,
    /// Expects each scheduled report and tells of the ones that do not come (setting watch)
    Watch,
    /// Answers HTTP requests and sends the desk's letters (settings api and mail)
    Api,
}

/// How a tenant's scope is established: by whoever started the process and holds the keys.
pub type ScopeOf = Arc<dyn Fn(TenantId) -> TenantScope + Send + Sync>;

/// What all roles share.
pub(crate) struct Shop {
    pub house: Arc<Lakehouse>,
    pub queue: Queue,
    pub scope_of: ScopeOf,
    /// Rung when there may be work, or room for it.
    pub bell: Notify,
    /// How people recognise this process in `bonded queue list`.
    pub name: String,
    /// What the role `watch` saw last.
    pub gauges: Arc<Mutex<Gauges>>,
}

/// Told once, when every role has started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ready {
    pub ready: bool,
    pub name: String,
    pub roles: Vec<Role>,
    pub workers: usize,
    /// Where the role `api` listens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
    /// Where the role `mail` listens.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mail: Vec<String>,
    /// The queue that the role `ses` reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ses: Option<String>,
}

/// Told at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stopped {
    pub deliveries_done: u64,
    pub deliveries_given_back: u64,
}

/// Runs the roles until `stop` comes or one of them cannot go on.
pub async fn run(
    house: Arc<Lakehouse>,
    roles: &[Role],
    scope_of: ScopeOf,
    ready: impl FnOnce(&Ready) -> Result<()>,
    stop: impl Future<Output = ()>,
) -> Result<Stopped> {
    let inbox = inbox_folder(&house.settings.serve, roles)?;
    let door = roles.contains(&Role::Api).then(|| api::Door::open(&house.settings, house.clock.now())).transpose()?;
    let address = door.as_ref().map(api::Door::url);
    let mail = match roles.contains(&Role::Mail) {
        true => Some(mail::Doors::open(&house.settings, house.clock.now()).await?),
        false => None,
    };
    let mail_addresses = mail.as_ref().map(|doors| doors.addresses.clone()).unwrap_or_default();
    let ses = match roles.contains(&Role::Ses) {
        true => Some(ses::Door::open(&house.settings).await?),
        false => None,
    };
    let ses_address = ses.as_ref().map(|door| door.address.clone());
    let queue = house.queue().await?;
    let workers = house.settings.serve.worker_count();
    let name = process_name();
    let shop = Arc::new(Shop { house, queue, scope_of, bell: Notify::new(), name: name.clone(), gauges: Arc::default() });
    let (stopping, stopped) = signal::channel(false);
    let mut running: JoinSet<Stopped> = JoinSet::new();
    if let Some(door) = door {
        let desk = Arc::new(Desk::new(shop.house.clone(), desk::mailer(&shop.house.settings, &shop.house.secrets).await?));
        running.spawn(post(desk.clone(), stopped.clone()));
        running.spawn(answer(shop.clone(), door, desk, stopped.clone()));
    }
    if let Some(doors) = mail {
        running.spawn(mail::run(shop.clone(), doors, stopped.clone()));
    }
    if let Some(door) = ses {
        running.spawn(ses::run(shop.clone(), door, stopped.clone()));
    }
    for role in roles {
        match role {
            // They have their doors, which are opened before anything is started.
            Role::Api | Role::Mail | Role::Ses => {}
            Role::Worker => {
                running.spawn(worker::run(shop.clone(), workers, stopped.clone()));
                running.spawn(sweep::run(shop.clone(), stopped.clone()));
            }
            Role::Notify => {
                running.spawn(notify::run(shop.clone(), notify::open(&shop.house).await?, stopped.clone()));
            }
            Role::Inbox => {
                running.spawn(inbox::run(shop.clone(), inbox.clone(), stopped.clone()));
            }
            Role::Maintain => {
                running.spawn(upkeep::run(shop.clone(), stopped.clone()));
                running.spawn(upkeep::sign(shop.clone(), stopped.clone()));
            }
            Role::Watch => {
                running.spawn(watch::run(shop.clone(), stopped.clone()));
            }
        }
    }
    ready(&Ready { ready: true, name, roles: roles.to_vec(), workers, api: address, mail: mail_addresses, ses: ses_address })?;
    let mut total = Stopped::default();
    let mut outcome = Ok(());
    tokio::select! {
        () = stop => {}
        ended = running.join_next() => outcome = count(&mut total, ended),
    }
    tracing::info!(target: "serve.stopping", "finishing what is in work");
    // Whoever waits for it may be gone already.
    stopping.send(true).ok();
    while let Some(ended) = running.join_next().await {
        outcome = outcome.and(count(&mut total, Some(ended)));
    }
    outcome.map(|()| total)
}

fn count(total: &mut Stopped, ended: Option<std::result::Result<Stopped, tokio::task::JoinError>>) -> Result<()> {
    match ended {
        Some(Ok(stopped)) => {
            total.deliveries_done += stopped.deliveries_done;
            total.deliveries_given_back += stopped.deliveries_given_back;
            Ok(())
        }
        Some(Err(error)) => Err(Error::new(ErrorKind::Internal, "a role of this process fell over").with_source(error)),
        None => Ok(()),
    }
}

async fn answer(shop: Arc<Shop>, door: api::Door, desk: Arc<Desk>, stop: signal::Receiver<bool>) -> Stopped {
    if let Err(error) = api::run(shop, door, desk, stop).await {
        tracing::error!(target: "serve.api", %error);
    }
    Stopped::default()
}

async fn post(desk: Arc<Desk>, mut stop: signal::Receiver<bool>) -> Stopped {
    desk.send_post(stopped(&mut stop)).await;
    Stopped::default()
}

fn inbox_folder(settings: &ServeSettings, roles: &[Role]) -> Result<std::path::PathBuf> {
    match (&settings.inbox, roles.contains(&Role::Inbox)) {
        (Some(folder), true) if !folder.is_dir() => {
            Err(Error::setup(format!("the drop folder {} is not there; make it, with a folder per tenant", folder.display())))
        }
        (Some(folder), _) => Ok(folder.clone()),
        (None, true) => Err(Error::setup("the role `inbox` needs a drop folder; set serve.inbox")),
        (None, false) => Ok(std::path::PathBuf::new()),
    }
}

fn process_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}/{}", if host.trim().is_empty() { "unknown" } else { host.trim() }, std::process::id())
}

impl Shop {
    /// Puts a landed delivery up for the next worker.
    pub async fn enqueue(&self, work: &Work) -> Result<bool> {
        let new = self.queue.enqueue(work, self.house.clock.now()).await?;
        if new {
            self.bell.notify_one();
        }
        Ok(new)
    }
}

/// Comes when the process is to stop.
async fn stopped(stop: &mut signal::Receiver<bool>) {
    // An error means that nobody is left who could ask for a stop: the process ends.
    stop.wait_for(|stop| *stop).await.ok();
}

/// `false` when the process is to stop.
async fn pause(length: Duration, stop: &mut signal::Receiver<bool>) -> bool {
    tokio::select! {
        () = stopped(stop) => false,
        () = tokio::time::sleep(length) => true,
    }
}
