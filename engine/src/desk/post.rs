//! Letters: written with the change that they tell of, sent later and apart from it.
//! Promise: a request never waits for a mail server; a letter that cannot be sent is tried again, and told when given up.
//! Never: whether a letter was due shows in what a request does: where none is, a letter to nobody is written.

use std::{future::Future, net::IpAddr, sync::Arc, time::Duration};

use bonded_connectors::{
    ErrorKind as DoorKind,
    mailer::{Mail, Mailer, Outbox, Smtp},
    secrets::Vault,
    store::people::{PostRow, accounts::Step},
};
use bonded_schemas::{Actor, Role, Severity, TenantId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::{Desk, Origin, caller::scope, trail::event};
use crate::{
    alerts::raise::raise,
    error::Result,
    settings::{MailSettings, Settings, held, millis},
};

/// How often a letter is tried, over about two hours.
const TRIES_MAX: i64 = 8;
const RETRY_FIRST_MS: i64 = 30_000;
/// A sender that is not heard of for so long lost its letter to another.
const TAKEN_MS: i64 = 120_000;
/// What carries no code is worth sending for so long.
const LIFE_MS: i64 = 48 * 3600 * 1000;
const AT_ONCE: u32 = 20;
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Of one tenant, told of something suspicious.
const ADMINS_MAX: usize = 20;

/// What waits to be sent.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Letter {
    Mail {
        to: String,
        subject: String,
        text: String,
    },
    /// Becomes entries in the trails of the account's teams, and letters to their owners and admins.
    Suspicion(Suspicion),
    /// Stands where an address has no account.
    Nothing,
}

/// Somebody tries an account too often.
#[derive(Serialize, Deserialize)]
pub(super) struct Suspicion {
    pub email_digest: String,
    pub tries: i64,
    /// Of the second factor: whoever tries has the password.
    pub of_codes: bool,
    pub ip: Option<IpAddr>,
}

impl Suspicion {
    fn to_owner(&self) -> &'static str {
        if self.of_codes { PASSWORD_IS_KNOWN } else { TO_OWNER }
    }

    fn words(&self) -> String {
        match self.of_codes {
            true => format!("{} wrong codes after the right password", self.tries),
            false => format!("{} wrong sign-ins", self.tries),
        }
    }
}

impl Letter {
    pub fn mail(to: &str, subject: &str, text: &str) -> Self {
        Letter::Mail { to: to.to_owned(), subject: subject.to_owned(), text: text.to_owned() }
    }
}

/// The door that the settings name: SMTP, or a folder beside the lake.
pub async fn mailer(settings: &Settings, vault: &Arc<Vault>) -> Result<Arc<dyn Mailer>> {
    let MailSettings { smtp, from, time_max, .. } = &settings.mail;
    let time_max = Duration::from_millis(millis(time_max).unsigned_abs());
    Ok(match smtp {
        Some(named) => {
            let url = held(vault, "mail.smtp", named)?;
            settings.aws.residency()?.address("the mail server that mail.smtp names", url.now().await?.reveal())?;
            Arc::new(Smtp::held(url, from, time_max).await?)
        }
        None => Arc::new(Outbox::open(&settings.outbox_dir()?, from)?),
    })
}

impl Desk {
    pub(super) async fn letter(&self, letter: &Letter, expires_ms: Option<i64>) -> Result<PostRow> {
        let letter_id = Uuid::now_v7().to_string();
        let now_ms = self.now_ms();
        Ok(PostRow {
            sealed: self.identity().await?.seal("letter", &letter_id, letter)?,
            due_ms: now_ms,
            expires_ms: expires_ms.unwrap_or(now_ms + LIFE_MS),
            tries: 0,
            letter_id,
        })
    }

    /// Sends what is due until this process is to stop. One process is enough; more do no harm.
    pub async fn send_post(&self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        let mut swept_ms = 0;
        loop {
            if let Err(error) = self.send_due_post().await {
                tracing::error!(target: "desk.post", %error, "letters could not be read; trying again");
            }
            if self.now_ms() - swept_ms > 3_600_000 {
                swept_ms = self.now_ms();
                if let Err(error) = self.sweep().await {
                    tracing::error!(target: "desk.sweep", %error, "old sessions and codes could not be removed; trying again");
                }
            }
            tokio::select! {
                () = &mut stop => return,
                () = self.posted.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Sends what is due now, in turns until nothing is left; answers how many letters left.
    pub async fn send_due_post(&self) -> Result<u64> {
        let mut sent = 0;
        // A bound for a queue that fills as fast as it empties; the rest is taken the next time.
        for _ in 0..50 {
            let now_ms = self.now_ms();
            let due = self.people.due_post(now_ms, AT_ONCE).await?;
            if due.is_empty() {
                break;
            }
            for row in due {
                let retry_ms = RETRY_FIRST_MS << row.tries.clamp(0, TRIES_MAX);
                if self.people.take_post(&row, now_ms + retry_ms.max(TAKEN_MS)).await? {
                    sent += u64::from(self.send_or_keep(&row, now_ms).await?);
                }
            }
        }
        Ok(sent)
    }

    /// One letter that cannot be read or told holds up no other; it is given up after as many tries as any.
    async fn send_or_keep(&self, row: &PostRow, now_ms: i64) -> Result<bool> {
        match self.send_one(row, now_ms).await {
            Err(error) if row.tries + 1 >= TRIES_MAX => self.give_up(row, &error.to_string()).await,
            Err(error) => {
                tracing::warn!(target: "desk.post", letter = row.letter_id, tries = row.tries + 1, %error, "a letter waits");
                Ok(false)
            }
            sent => sent,
        }
    }

    async fn send_one(&self, row: &PostRow, now_ms: i64) -> Result<bool> {
        let letter = self.identity().await?.unseal("letter", &row.letter_id, &row.sealed)?;
        let mail = match letter {
            Letter::Mail { .. } if row.expires_ms <= now_ms => return self.give_up(row, "it expired").await,
            Letter::Mail { to, subject, text } => Mail { id: row.letter_id.clone(), to, subject, text, html: None },
            Letter::Suspicion(suspicion) => {
                self.tell_suspicion(&suspicion).await?;
                self.people.drop_post(&row.letter_id).await?;
                return Ok(false);
            }
            Letter::Nothing => {
                self.people.drop_post(&row.letter_id).await?;
                return Ok(false);
            }
        };
        match self.mailer.send(&mail).await {
            Ok(()) => {
                self.people.drop_post(&row.letter_id).await?;
                Ok(true)
            }
            Err(error) if error.kind() == DoorKind::Input => self.give_up(row, &error.to_string()).await,
            Err(error) => Err(error.into()),
        }
    }

    async fn give_up(&self, row: &PostRow, why: &str) -> Result<bool> {
        self.tell(&event(&Actor::from("desk"), "letter.send", &row.letter_id, &format!("given up: {why}"), None)).await?;
        self.people.drop_post(&row.letter_id).await?;
        Ok(false)
    }

    /// To the account's owner, and to those who look after the teams that it is in.
    async fn tell_suspicion(&self, suspicion: &Suspicion) -> Result<()> {
        let Some(known) = self.person_by_email(&suspicion.email_digest).await? else { return Ok(()) };
        let email = known.person.email.as_str();
        let actor = Origin { ip: suspicion.ip, ..Origin::default() }.actor(email);
        let told = event(&actor, "account.suspicious", &known.row.user_id, &suspicion.words(), None);
        let mut letters =
            vec![self.letter(&Letter::mail(email, "Wrong sign-ins to your account", suspicion.to_owner()), None).await?];
        for (tenant, _) in self.memberships(&known.row.user_id).await? {
            match self.tell_team(&tenant, &actor, suspicion, email).await {
                Ok(more) => letters.extend(more),
                // A tenant whose key is disabled seals nothing; the lake's own trail has the entry.
                Err(error) => tracing::warn!(target: "desk.post", %tenant, %error, "a team could not be told of wrong sign-ins"),
            }
        }
        let steps: Vec<Step<'_>> = letters.iter().map(Step::Post).collect();
        self.change(&steps, &told).await?;
        Ok(())
    }

    async fn tell_team(&self, tenant: &TenantId, actor: &Actor, suspicion: &Suspicion, email: &str) -> Result<Vec<PostRow>> {
        let opened = self.house.enter(&scope(tenant.clone(), actor.clone())).await?;
        opened.audit(self.house.clock.as_ref(), "account.suspicious", email, &suspicion.words()).await?;
        let severity = if suspicion.of_codes { Severity::Error } else { Severity::Warning };
        let body = json!({ "account": email, "tries": suspicion.tries, "of_codes": suspicion.of_codes });
        raise(&self.house, &opened, "suspicion", None, &suspicion.email_digest, severity, &body).await?;
        let mut letters = Vec::new();
        let active = opened.ledger.team().members().await?.into_iter().filter(|member| member.state == "active");
        let looks_after = |role: &str| matches!(role.parse(), Ok(Role::Owner | Role::Admin));
        for member in active.filter(|member| looks_after(&member.role)).take(ADMINS_MAX) {
            let to = super::team::address_of(&opened, &member)?;
            if to != email {
                let text = format!("{} to the account {email}.\n{TO_TEAM}", suspicion.words());
                let subject = format!("Wrong sign-ins to an account of {tenant}");
                letters.push(self.letter(&Letter::mail(&to, &subject, &text), None).await?);
            }
        }
        Ok(letters)
    }
}

const TO_OWNER: &str = "Somebody tried the password of your account several times, and failed. Sign-ins from places that you did \
    not use before wait for some minutes now; your open sessions go on.\nIf it was not you, there is nothing to do; consider an \
    authenticator app, if you have none.\n";
const PASSWORD_IS_KNOWN: &str = "Somebody signed in to your account with the right password and then gave wrong codes several times. \
    If it was not you, your password is known to somebody else: change it now.\n";
const TO_TEAM: &str = "Sign-ins to that account from places it did not use before wait for some minutes now. The audit trail has \
    the tries.\n";
