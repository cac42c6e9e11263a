//! Sessions: a random token, of which only the digest is kept, with an idle and an absolute limit.
//! Promise: a token is good until it is rotated, ended, idle too long or too old, whichever comes first.

use bonded_connectors::{
    identity::token::Secret,
    store::people::{SessionRow, accounts::Step},
};
use bonded_schemas::{Role, TenantId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Answer, Denied, Desk, Origin, instant, person::Known, trail::event};
use crate::{error::Result, lakehouse::AuditEvent};

/// A request notes that the session was used at most this often.
const SEEN_EVERY_MS: i64 = 60_000;
/// A program's name beyond this is cut.
const AGENT_CHARS_MAX: usize = 200;

/// A session as its user sees it in the list.
#[derive(Clone, Debug, Serialize)]
pub struct SessionInfo {
    pub session: String,
    pub made_at: DateTime<Utc>,
    pub seen_at: DateTime<Utc>,
    pub tenant: Option<String>,
    pub ip: Option<String>,
    pub agent: Option<String>,
    /// The one that asks.
    pub current: bool,
}

/// Where a session came from, sealed.
#[derive(Serialize, Deserialize)]
struct From {
    ip: Option<String>,
    agent: Option<String>,
}

/// A session that holds, and whose it is.
pub(super) struct Live {
    pub row: SessionRow,
    pub known: Known,
}

impl Desk {
    /// A new session and its token; the row is for the transaction that signs in.
    pub(super) async fn new_session(&self, user_id: &str, origin: &Origin) -> Result<(SessionRow, Secret)> {
        let (token, now_ms) = (Secret::random(), self.now_ms());
        let session_id = Uuid::now_v7().simple().to_string();
        let agent = origin.agent.as_ref().map(|agent| agent.chars().take(AGENT_CHARS_MAX).collect());
        let from = From { ip: origin.ip.map(|ip| ip.to_string()), agent };
        let row = SessionRow {
            token_digest: token.digest(),
            user_id: user_id.to_owned(),
            tenant: String::new(),
            factors: 1,
            made_ms: now_ms,
            seen_ms: now_ms,
            stepped_up_ms: 0,
            sealed: self.identity().await?.seal("session", &session_id, &from)?,
            session_id,
        };
        Ok((row, token))
    }

    /// The session behind a token, if it holds.
    pub(super) async fn live(&self, token: &str) -> Answer<Live> {
        let Some(row) = self.session_row(token).await? else { return Err(Denied::NoSession) };
        match self.person(&row.user_id).await? {
            Some(known) => Ok(Live { row, known }),
            None => Err(Denied::NoSession),
        }
    }

    async fn session_row(&self, token: &str) -> Result<Option<SessionRow>> {
        let Some(row) = self.people.session(&Secret::from_text(token).digest()).await? else { return Ok(None) };
        let now_ms = self.now_ms();
        let idle = now_ms - row.seen_ms >= self.rules.session_idle_ms;
        let old = now_ms - row.made_ms >= self.rules.session_max_ms;
        if idle || old {
            return Ok(None);
        }
        if now_ms - row.seen_ms >= SEEN_EVERY_MS {
            self.people.seen(&row.session_id, now_ms).await?;
        }
        Ok(Some(row))
    }

    /// Changes the session together with these steps, under a new token; `None` when one of them lost a race.
    pub(super) async fn rotate(
        &self,
        live: &Live,
        to: SessionRow,
        steps: &[Step<'_>],
        told: &AuditEvent,
    ) -> Result<Option<Secret>> {
        let token = Secret::random();
        let to = SessionRow { token_digest: token.digest(), seen_ms: self.now_ms(), ..to };
        let mut all = vec![Step::RotateSession { from: &live.row.token_digest, to: &to }];
        all.extend_from_slice(steps);
        Ok(self.change(&all, told).await?.then_some(token))
    }

    /// What a request must bring beside the session's cookie.
    pub(super) async fn csrf_of(&self, token_digest: &str) -> Result<String> {
        Ok(self.identity().await?.people.keyed_digest("csrf", token_digest.as_bytes()))
    }

    /// When the last fresh proof of the session loses its weight; `None` when there is none that holds.
    pub(super) fn stepped_up_until(&self, row: &SessionRow) -> Option<DateTime<Utc>> {
        let until_ms = row.stepped_up_ms + self.rules.step_up_ms;
        (row.stepped_up_ms > 0 && until_ms > self.now_ms()).then(|| instant(until_ms))
    }

    /// The sessions of whoever holds this token, oldest first.
    pub async fn sessions(&self, session_token: &str) -> Answer<Vec<SessionInfo>> {
        let live = self.live(session_token).await?;
        let identity = self.identity().await?;
        let now_ms = self.now_ms();
        let mut infos = Vec::new();
        for row in self.people.sessions(&live.row.user_id).await? {
            if now_ms - row.seen_ms >= self.rules.session_idle_ms || now_ms - row.made_ms >= self.rules.session_max_ms {
                continue;
            }
            let from: From = identity.unseal("session", &row.session_id, &row.sealed)?;
            infos.push(SessionInfo {
                current: row.session_id == live.row.session_id,
                made_at: instant(row.made_ms),
                seen_at: instant(row.seen_ms),
                tenant: Some(row.tenant).filter(|tenant| !tenant.is_empty()),
                ip: from.ip,
                agent: from.agent,
                session: row.session_id,
            });
        }
        Ok(infos)
    }

    /// Ends one of their sessions by its id.
    pub async fn revoke_session(&self, session_token: &str, session: &str, origin: &Origin) -> Answer<()> {
        let live = self.live(session_token).await?;
        let told = event(&origin.actor(&live.known.person.email), "session.revoke", session, "done", None);
        let step = Step::EndSession { user_id: &live.row.user_id, session_id: session };
        match self.change(&[step], &told).await? {
            true => Ok(()),
            false => Err(Denied::NotFound("no such session".into())),
        }
    }

    /// Ends this one. Of a session that ended already: nothing.
    pub async fn sign_out(&self, session_token: &str, origin: &Origin) -> Answer<()> {
        let live = match self.live(session_token).await {
            Err(Denied::NoSession) => return Ok(()),
            live => live?,
        };
        let told = event(&origin.actor(&live.known.person.email), "sign-out", &live.row.session_id, "done", None);
        self.change(&[Step::EndSession { user_id: &live.row.user_id, session_id: &live.row.session_id }], &told).await?;
        Ok(())
    }

    /// Removes what is past every use.
    pub async fn sweep(&self) -> Result<u64> {
        let now_ms = self.now_ms();
        // An owner's known address counts for a month, every other count is forgotten sooner.
        const ATTEMPTS_KEPT_MS: i64 = 32 * 24 * 3600 * 1000;
        let kept_ms = ATTEMPTS_KEPT_MS.max(self.rules.account.forget_ms);
        Ok(self.people.sweep(now_ms, now_ms - self.rules.session_max_ms, now_ms - kept_ms).await?)
    }

    /// Where the session's user may work: tenants with an active seat, and the role there.
    pub async fn seats(&self, session_token: &str) -> Answer<Vec<(TenantId, Role)>> {
        let live = self.live(session_token).await?;
        Ok(self.memberships(&live.row.user_id).await?)
    }
}
