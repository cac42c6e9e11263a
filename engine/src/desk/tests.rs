//! The desk on a lake in a temporary folder, on SQLite and on a private PostgreSQL, with a clock that the test moves and
//! the real outbox, whose letters it reads.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};

use bonded_connectors::{
    clock::{Clock, HandClock},
    mailer::Outbox,
    store::Probe,
};
use bonded_schemas::{Role, TenantScope};
use chrono::{DateTime, TimeDelta};
use tempfile::TempDir;

use super::*;
use crate::{
    lakehouse::Doors,
    settings::{DeskSettings, Settings},
};

mod accounts;
mod factors;
mod limits;
pub(crate) mod postgres;
mod sessions;
mod teams;
mod tokens;

/// Every statement that went to the control store.
#[derive(Debug, Default)]
pub(crate) struct Statements(Mutex<Vec<String>>);

impl Statements {
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

#[async_trait::async_trait]
impl Probe for Statements {
    async fn before(&self, statement: &str) -> std::io::Result<()> {
        self.0.lock().unwrap().push(statement.to_owned());
        Ok(())
    }

    async fn after(&self, _statement: &str) -> std::io::Result<()> {
        Ok(())
    }
}

const TEAM: &str = "fictional-lantern";
const OTHER_TEAM: &str = "fictional-kettle";
const OWNER: &str = "owner@nordwind.example";
const ADMIN: &str = "admin@nordwind.example";
const VIEWER: &str = "viewer@nordwind.example";
const PASSWORD: &str = "a fair wind from the north";

/// A desk, its clock, and its letters.
struct Office {
    desk: Arc<Desk>,
    clock: Arc<HandClock>,
    statements: Arc<Statements>,
    folder: TempDir,
}

/// Signed in, with the secret of their authenticator where they have one.
struct Someone {
    token: Secret,
    totp: Option<Secret>,
}

impl Office {
    async fn new() -> Self {
        Self::with(None, |_| {}).await
    }

    /// On the PostgreSQL of these two roles, or on SQLite; with these settings.
    async fn with(postgres: Option<(String, String)>, change: impl FnOnce(&mut DeskSettings)) -> Self {
        let folder = TempDir::new().unwrap();
        let mut settings = Settings { lake: folder.path().join("lake").display().to_string(), ..Settings::default() };
        // bcrypt's least, which the settings file refuses: these tests are about rules, not about rounds.
        settings.desk.password_cost = 4;
        change(&mut settings.desk);
        if let Some((url, owner)) = postgres {
            postgres::name(&mut settings.store, folder.path(), &url, &owner);
        }
        let clock = Arc::new(HandClock::at(DateTime::from_timestamp(1_780_000_000, 0).unwrap()));
        let statements = Arc::new(Statements::default());
        let doors = Doors { probe: Some(statements.clone()), ..Doors::new(clock.clone()) };
        let (house, _) = Lakehouse::init(settings, doors).await.unwrap();
        for tenant in [TEAM, OTHER_TEAM] {
            house.add_tenant(&console(tenant)).await.unwrap();
        }
        let outbox = Outbox::open(&folder.path().join("outbox"), "Bonded <bonded@nordwind.example>").unwrap();
        Self { desk: Arc::new(Desk::new(Arc::new(house), Arc::new(outbox))), clock, statements, folder }
    }

    /// Opens the same lake again, as after a restart.
    async fn restarted(self) -> Self {
        let settings = self.desk.house.settings.clone();
        let house = Lakehouse::open(settings, Doors::new(self.clock.clone())).await.unwrap();
        let outbox = Outbox::open(&self.folder.path().join("outbox"), "Bonded <bonded@nordwind.example>").unwrap();
        Self { desk: Arc::new(Desk::new(Arc::new(house), Arc::new(outbox))), ..self }
    }

    /// Sends what waits; answers `(recipient, subject, text)` of the letters in the outbox and empties it.
    async fn letters(&self) -> Vec<(String, String, String)> {
        self.desk.send_due_post().await.unwrap();
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(self.folder.path().join("outbox")).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
            .into_iter()
            .map(|path| {
                let text = std::fs::read_to_string(&path).unwrap().replace("\r\n", "\n");
                std::fs::remove_file(&path).unwrap();
                let (head, body) = text.split_once("\n\n").unwrap();
                let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned();
                let body = match field("Content-Transfer-Encoding: ").as_str() {
                    "quoted-printable" => body.replace("=\n", "").replace("=3D", "="),
                    _ => body.to_owned(),
                };
                (field("To: "), field("Subject: "), body)
            })
            .collect()
    }

    /// The code of the one letter that waits for this address.
    async fn mailed_code(&self, email: &str) -> Secret {
        let letters = self.letters().await;
        let (_, _, text) = letters.iter().rev().find(|(to, _, _)| to == email).expect("a letter to them");
        Secret::from_text(text.lines().next().unwrap())
    }

    async fn sign_up(&self, email: &str) {
        self.desk.sign_up(email, &from("192.0.2.1")).await.unwrap();
        let code = self.mailed_code(email).await;
        self.desk.verify(email, &code, &Password::new(PASSWORD), &from("192.0.2.1")).await.unwrap();
    }

    /// A new account that is active in the team.
    async fn joined(&self, team: &str, email: &str, role: Role) -> Member {
        self.desk.invite(&console(team), email, role).await.unwrap();
        let code = self.mailed_code(email).await;
        let password = Password::new(PASSWORD);
        self.desk.accept_invite(None, email, &code, Some(&password), &from("192.0.2.1")).await.unwrap();
        self.desk.members(&console(team)).await.unwrap().into_iter().find(|member| member.email == email).unwrap()
    }

    async fn signed_in(&self, email: &str) -> SignedIn {
        self.desk.sign_in(email, &Password::new(PASSWORD), &from("192.0.2.1")).await.unwrap()
    }

    /// Signed in, enrolled where that is asked for, and at work in the team.
    async fn at_work(&self, team: &str, email: &str) -> Someone {
        let mut signed = self.signed_in(email).await;
        let mut totp = None;
        if signed.mfa == Mfa::MustEnrol {
            let enrolment = self.desk.enrol_totp(signed.session_token.reveal(), &from("192.0.2.1")).await.unwrap();
            let code = self.code_now(&enrolment.secret);
            let confirmed = self.desk.confirm_totp(signed.session_token.reveal(), &code, &from("192.0.2.1")).await.unwrap();
            (signed, totp) = (confirmed.signed_in, Some(enrolment.secret));
        }
        let tenant = team.parse().unwrap();
        let signed = self.desk.choose_tenant(signed.session_token.reveal(), &tenant, &from("192.0.2.1")).await.unwrap();
        Someone { token: signed.session_token, totp }
    }

    fn code_now(&self, secret: &Secret) -> Secret {
        let totp = bonded_connectors::identity::totp::TotpSecret::from_base32(secret.reveal()).unwrap();
        Secret::from_text(&totp.code_at(self.clock.now()).unwrap())
    }

    async fn caller(&self, token: &Secret) -> Option<Caller> {
        self.desk.whoami(token.reveal(), &from("192.0.2.1")).await.unwrap()
    }

    /// `action result` of every entry of the lake's trail.
    async fn lake_trail(&self) -> Vec<String> {
        let trail = self.desk.house.trail().await.unwrap();
        trail.into_iter().map(|(_, event)| format!("{} {}", event.action, event.result)).collect()
    }

    async fn team_trail(&self, team: &str) -> Vec<crate::lakehouse::AuditEvent> {
        let tenant = self.desk.house.tenant(&console(team)).await.unwrap();
        tenant.trail().await.unwrap().into_iter().map(|(_, event)| event).collect()
    }
}

fn console(team: &str) -> TenantScope {
    caller::scope(team.parse().unwrap(), "console:test")
}

fn from(ip: &str) -> Origin {
    Origin { ip: Some(ip.parse().unwrap()), request_id: Some("request-1".into()), agent: Some("test".into()) }
}
