//! Alerts from raising to the letter, on a lake in a temporary folder with a clock that the test moves. Doors that fail on
//! demand stand in for mail server and receiver; the real ones are tested in `connectors` and by `tests/it/alerts.rs`.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bonded_connectors::{
    Error as DoorError, ErrorKind as DoorKind,
    alerts::{Hook, Hooks, Reach, guard},
    clock::{Clock, HandClock},
    mailer::{Mail, Mailer},
    store::{
        Probe,
        people::{MemberRow, TeamStep, Told},
    },
};
use bonded_schemas::{
    Report, Role, Severity, TenantId, TenantScope,
    routing::{Filter, Pace},
};
use chrono::{DateTime, TimeDelta, Utc};
use tempfile::TempDir;

use super::{
    routes::{Channel, Form, NewRoute},
    *,
};
use crate::{
    lakehouse::Doors,
    settings::{AlertSettings, Settings},
};

mod histories;
mod lives;
mod telling;

const TEAM: &str = "fictional-lantern";

/// How a door behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Fine,
    /// Nothing leaves.
    Down,
    /// It leaves, and the answer is lost.
    Deaf,
    /// Never, it says.
    Hopeless,
}

/// What left, and how the doors behave.
#[derive(Debug)]
struct Outside {
    mood: Mutex<Mood>,
    letters: Mutex<Vec<Mail>>,
    calls: Mutex<Vec<Hook>>,
    knocks: Mutex<Vec<String>>,
}

impl Outside {
    fn answer(&self, leaves: impl FnOnce()) -> bonded_connectors::Result<()> {
        let mood = *self.mood.lock().unwrap();
        if matches!(mood, Mood::Fine | Mood::Deaf) {
            leaves();
        }
        match mood {
            Mood::Fine => Ok(()),
            Mood::Down | Mood::Deaf => Err(DoorError::new(DoorKind::Retry, "no answer")),
            Mood::Hopeless => Err(DoorError::new(DoorKind::Input, "never")),
        }
    }
}

#[async_trait]
impl Mailer for Outside {
    async fn send(&self, mail: &Mail) -> bonded_connectors::Result<()> {
        self.answer(|| self.letters.lock().unwrap().push(mail.clone()))
    }
}

#[async_trait]
impl Hooks for Outside {
    async fn post(&self, hook: &Hook) -> bonded_connectors::Result<()> {
        self.answer(|| self.calls.lock().unwrap().push(hook.clone()))
    }

    async fn knock(&self, url: &str) -> bonded_connectors::Result<()> {
        self.answer(|| self.knocks.lock().unwrap().push(url.to_owned()))
    }

    fn check(&self, url: &str) -> bonded_connectors::Result<()> {
        guard::checked(url, Reach::default()).map(|_| ())
    }
}

/// A process that dies at one of its calls of the store: before it took effect, or after.
#[derive(Debug, Default)]
enum Fate {
    #[default]
    Lives,
    DiesAfter {
        calls: u32,
        once_done: bool,
    },
    Dying,
    Dead,
}

#[derive(Debug, Default)]
struct Saboteur(Mutex<Fate>);

impl Saboteur {
    fn arm(&self, calls: u32, once_done: bool) {
        *self.0.lock().unwrap() = Fate::DiesAfter { calls, once_done };
    }

    /// Answers whether it came to that. Another process lives.
    fn disarm(&self) -> bool {
        matches!(std::mem::take(&mut *self.0.lock().unwrap()), Fate::Dying | Fate::Dead)
    }
}

#[async_trait]
impl Probe for Saboteur {
    async fn before(&self, _statement: &str) -> std::io::Result<()> {
        let mut fate = self.0.lock().unwrap();
        let (next, goes_on) = match *fate {
            Fate::Lives => (Fate::Lives, true),
            Fate::DiesAfter { calls: 0, once_done: true } => (Fate::Dying, true),
            Fate::DiesAfter { calls: 0, once_done: false } | Fate::Dying | Fate::Dead => (Fate::Dead, false),
            Fate::DiesAfter { calls, once_done } => (Fate::DiesAfter { calls: calls - 1, once_done }, true),
        };
        *fate = next;
        if goes_on { Ok(()) } else { Err(std::io::Error::other("cut off")) }
    }

    async fn after(&self, _statement: &str) -> std::io::Result<()> {
        let mut fate = self.0.lock().unwrap();
        match *fate {
            Fate::Dying | Fate::Dead => {
                *fate = Fate::Dead;
                Err(std::io::Error::other("cut off"))
            }
            Fate::Lives | Fate::DiesAfter { .. } => Ok(()),
        }
    }
}

struct Watch {
    house: Arc<Lakehouse>,
    clock: Arc<HandClock>,
    outside: Arc<Outside>,
    saboteur: Arc<Saboteur>,
    tenant: Tenant,
    _folder: TempDir,
}

impl Watch {
    async fn new() -> Self {
        Self::with(None, |_| {}).await
    }

    /// On the PostgreSQL of these two roles, or on SQLite; with these settings.
    async fn with(postgres: Option<(String, String)>, change: impl FnOnce(&mut AlertSettings)) -> Self {
        let folder = TempDir::new().unwrap();
        let mut settings = Settings { lake: folder.path().join("lake").display().to_string(), ..Settings::default() };
        settings.desk.url = Some("https://desk.example/".into());
        change(&mut settings.alerts);
        if let Some((url, owner)) = postgres {
            crate::desk::tests::postgres::name(&mut settings.store, folder.path(), &url, &owner);
        }
        let clock = Arc::new(HandClock::at(DateTime::from_timestamp(1_780_000_000, 0).unwrap()));
        let saboteur = Arc::new(Saboteur::default());
        let doors = Doors { probe: Some(saboteur.clone()), ..Doors::new(clock.clone()) };
        let (house, _) = Lakehouse::init(settings, doors).await.unwrap();
        house.add_tenant(&console(TEAM.parse().unwrap())).await.unwrap();
        let tenant = house.tenant(&console(TEAM.parse().unwrap())).await.unwrap();
        let outside = Outside {
            mood: Mutex::new(Mood::Fine),
            letters: Mutex::default(),
            calls: Mutex::default(),
            knocks: Mutex::default(),
        };
        let watch = Self { house: Arc::new(house), clock, outside: Arc::new(outside), saboteur, tenant, _folder: folder };
        for (name, role, state) in [
            ("owner", Role::Owner, "active"),
            ("admin", Role::Admin, "active"),
            ("operator", Role::Operator, "active"),
            ("viewer", Role::Viewer, "active"),
            ("left", Role::Admin, "suspended"),
        ] {
            watch.join(name, role, state).await;
        }
        watch
    }

    async fn join(&self, name: &str, role: Role, state: &str) {
        let row = MemberRow {
            member_id: name.into(),
            user_id: format!("user-{name}"),
            email_digest: format!("digest-{name}"),
            role: role.as_str().into(),
            state: state.into(),
            since: self.clock.now().to_rfc3339(),
            sealed: self.tenant.seal("member", name, &json!({ "email": address(name) })).unwrap(),
        };
        let event = self.tenant.sealed_event("member.invite", name, "done").unwrap();
        let told = Told { at: self.clock.now(), event: &event };
        self.tenant.ledger.team().change(&[TeamStep::Invite(&row)], told).await.unwrap();
    }

    /// A process of its own: it keeps nothing but what the store has.
    fn notifier(&self) -> Notifier {
        Notifier::new(self.house.clone(), self.outside.clone(), self.outside.clone())
    }

    fn forward(&self, time: TimeDelta) {
        self.clock.forward(time);
    }

    fn mood(&self, mood: Mood) {
        *self.outside.mood.lock().unwrap() = mood;
    }

    async fn raise(&self, kind: &str, severity: Severity) -> String {
        raise::raise(&self.house, &self.tenant, kind, Some(Report::Es003), "about", severity, &json!({ "column": "Secret Fee" }))
            .await
            .unwrap();
        let all = list(&self.tenant, &Sought { kind: Some(kind.into()), all: true, ..Sought::default() }).await.unwrap();
        all[0].alert.clone()
    }

    /// One look, as the role has it.
    async fn look(&self) -> send::Sent {
        let notifier = self.notifier();
        notifier.plan(&console(TEAM.parse().unwrap())).await.unwrap();
        notifier.send_due(&console).await.unwrap()
    }

    /// `(recipient's name, subject)` of letters since the last time, in order.
    fn letters(&self) -> Vec<(String, String)> {
        let letters = std::mem::take(&mut *self.outside.letters.lock().unwrap());
        let mut short: Vec<_> =
            letters.into_iter().map(|mail| (mail.to.split('@').next().unwrap().to_owned(), mail.subject)).collect();
        short.sort();
        short
    }

    fn names(&self) -> Vec<String> {
        self.letters().into_iter().map(|(name, _)| name).collect()
    }

    async fn route(&self, owner: &str, channel: Channel, filter: Filter, pace: &str, escalate: Option<&str>) -> String {
        self.try_add(owner, channel, filter, pace, escalate).await.unwrap().0.route
    }

    async fn try_add(
        &self,
        owner: &str,
        channel: Channel,
        filter: Filter,
        pace: &str,
        escalate: Option<&str>,
    ) -> Result<(routes::RouteInfo, Option<bonded_connectors::identity::token::Secret>)> {
        let pace: Pace = pace.parse().unwrap();
        let new = NewRoute { name: "a route".into(), channel, filter, pace, escalate_after: escalate.map(str::to_owned) };
        routes::add(&self.house, &self.tenant, self.outside.as_ref(), owner, new).await
    }

    async fn state(&self, id: &str) -> State {
        show(&self.tenant, id).await.unwrap().0.state
    }

    /// `action result` of the tenant's trail.
    async fn trail(&self) -> Vec<String> {
        let trail = self.tenant.trail().await.unwrap();
        trail.into_iter().map(|(_, event)| format!("{} {}", event.action, event.result)).collect()
    }
}

fn address(name: &str) -> String {
    format!("{name}@lantern.example")
}

#[expect(clippy::disallowed_methods, reason = "a test establishes its own scopes")]
fn console(tenant: TenantId) -> TenantScope {
    TenantScope::establish(tenant, "console:test")
}

#[expect(clippy::disallowed_methods, reason = "a test establishes its own scopes")]
fn as_member(name: &str, role: Role) -> TenantScope {
    let actor = bonded_schemas::Actor { role: Some(role), ..address(name).as_str().into() };
    TenantScope::establish(TEAM.parse().unwrap(), actor)
}

fn to(members: &[&str], roles: &[Role]) -> Channel {
    Channel::Mail { members: members.iter().map(|name| (*name).to_owned()).collect(), roles: roles.to_vec() }
}

fn all() -> Filter {
    Filter::default()
}
