//! The front desk without its doors: accounts, sessions, teams, tokens. `api` speaks HTTP, the console its commands; both
//! call this.
//! Promise: every change and every refusal is in a trail, in the transaction of the change; answers about an address that
//! has an account and one that has none are the same, and cost the same.
//! Never: HTTP, cookies, or what a role may do with a tenant's data; the time is the lakehouse's clock.

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use bonded_connectors::{
    identity::password::Hasher,
    mailer::Mailer,
    store::{
        TenantStore,
        people::{People, Waits},
    },
};
use bonded_schemas::{Actor, TenantId, TenantScope};
use chrono::{DateTime, Utc};
use tokio::sync::{Mutex, Notify};

use crate::{
    error::Result,
    lakehouse::{Identity, Lakehouse},
    settings::millis,
};

mod accounts;
mod caller;
mod denied;
mod email;
mod factors;
mod limits;
mod person;
mod post;
mod sessions;
mod sign_in;
mod team;
#[cfg(test)]
pub(crate) mod tests;
mod tokens;
mod trail;

pub use bonded_connectors::identity::{password::Password, token::Secret};
pub use caller::{Caller, CallerKind, Owes, Vouched};
pub use denied::{Answer, Denied};
pub use email::Email;
pub use factors::{Confirmed, Enrolment, Proof};
pub use post::mailer;
pub use sessions::SessionInfo;
pub use sign_in::{Mfa, SignedIn};
pub(crate) use team::address_of;
pub use team::{Accepted, Member, MemberState};
pub use tokens::{Grant, MadeToken, TokenInfo, TokenKind};

/// Where a request came from, for the trail, the limits and the list of sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    pub ip: Option<IpAddr>,
    pub request_id: Option<String>,
    /// The program, as it names itself.
    pub agent: Option<String>,
}

impl Origin {
    pub(crate) fn actor(&self, name: &str) -> Actor {
        Actor { name: name.to_owned(), role: None, ip: self.ip, request_id: self.request_id.clone() }
    }

    /// What counts as one address: an IPv6 network of 64 bits is one subscriber's.
    fn network(&self) -> Option<IpAddr> {
        self.ip.map(|ip| match ip.to_canonical() {
            IpAddr::V6(ip) => {
                let [a, b, c, d, ..] = ip.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
            ip => ip,
        })
    }
}

/// One for each process.
pub struct Desk {
    house: Arc<Lakehouse>,
    mailer: Arc<dyn Mailer>,
    people: People,
    hasher: Hasher,
    rules: Rules,
    /// Teams that were looked at: each request asks one whether its member still is one.
    ledgers: Mutex<HashMap<TenantId, TenantStore>>,
    /// Told when there is a letter to send.
    posted: Notify,
}

/// The settings, as what they come to.
#[derive(Debug)]
struct Rules {
    session_idle_ms: i64,
    session_max_ms: i64,
    step_up_ms: i64,
    code_life_ms: i64,
    code_tries_max: u32,
    reset_life_ms: i64,
    account: Waits,
    address: Waits,
    letters: Waits,
}

/// Open ledgers; beyond, they are closed and opened as they are asked for.
const LEDGERS_MAX: usize = 64;

impl Desk {
    pub fn new(house: Arc<Lakehouse>, mailer: Arc<dyn Mailer>) -> Self {
        let settings = &house.settings.desk;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let at_once = if settings.passwords_at_once == 0 { cores.div_ceil(2) } else { settings.passwords_at_once };
        let rules = Rules {
            session_idle_ms: millis(&settings.session_idle),
            session_max_ms: millis(&settings.session_max),
            step_up_ms: millis(&settings.step_up),
            code_life_ms: millis(&settings.code_life),
            code_tries_max: settings.code_tries_max,
            reset_life_ms: millis(&settings.reset_life),
            account: settings.waits(settings.account_free),
            address: settings.waits(settings.address_free),
            letters: settings.waits(settings.letters_free),
        };
        Self {
            people: house.control.people(),
            hasher: Hasher::new(settings.password_cost, at_once, settings.passwords_waiting_max),
            rules,
            ledgers: Mutex::default(),
            posted: Notify::new(),
            mailer,
            house,
        }
    }

    pub fn house(&self) -> &Arc<Lakehouse> {
        &self.house
    }

    fn now(&self) -> DateTime<Utc> {
        self.house.clock.now()
    }

    fn now_ms(&self) -> i64 {
        self.now().timestamp_millis()
    }

    async fn identity(&self) -> Result<&Identity> {
        self.house.identity().await
    }

    /// The scope's ledger, opened once.
    async fn ledger(&self, scope: &TenantScope) -> Result<TenantStore> {
        if let Some(ledger) = self.ledgers.lock().await.get(scope.tenant()) {
            return Ok(ledger.clone());
        }
        // Not under the lock: a store that is slow to open holds up nobody who works in another.
        let ledger = self.house.ledger(scope).await?;
        let mut ledgers = self.ledgers.lock().await;
        if ledgers.len() >= LEDGERS_MAX {
            ledgers.clear();
        }
        ledgers.insert(scope.tenant().clone(), ledger.clone());
        Ok(ledger)
    }
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").field("rules", &self.rules).finish_non_exhaustive()
    }
}

fn instant(millis: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(millis).unwrap_or_default()
}
