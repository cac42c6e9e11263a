//! Signing in, and choosing where to work.
//! Promise: whether there is an account or not, a wrong sign-in takes the same steps: one run of bcrypt, the same statements.

use bonded_connectors::store::people::{SessionRow, accounts::Step};
use bonded_schemas::{Role, TenantId};
use serde::Serialize;

use super::{
    Answer, Denied, Desk, Email, Origin, Password, Secret, Vouched,
    caller::must_have_factor,
    person::Person,
    post::{Letter, Suspicion},
    trail::event,
};
use crate::error::Result;

/// A session's new token, to be kept in a cookie, and what is still to do.
#[derive(Clone, Debug)]
pub struct SignedIn {
    pub session_token: Secret,
    /// To be sent with every request that changes something.
    pub csrf: String,
    pub mfa: Mfa,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mfa {
    /// A code of the authenticator is owed: `second_factor`.
    Needed,
    /// Nothing is owed: the code was given, or neither is there an authenticator nor must there be one.
    Done,
    /// Owner or admin of some team, without an authenticator: `enrol_totp`.
    MustEnrol,
}

impl Desk {
    /// # Errors
    /// `Credentials` whatever was wrong; `Wait` after too many tries of the account or the address; `Busy` in a crowd.
    pub async fn sign_in(&self, email: &str, password: &Password, origin: &Origin) -> Answer<SignedIn> {
        let email = Email::parse(email).map_err(|_| Denied::Credentials)?;
        let subject = self.email_digest(&email).await?;
        let address = self.hold_address(origin, "sign-in from").await?;
        let account = match self.hold_account(&subject, origin).await {
            Ok(account) => account,
            Err(denied) => {
                self.uncount(&address.iter().collect::<Vec<_>>()).await?;
                return Err(denied);
            }
        };
        let known = self.person_by_email(&subject).await?;
        let hash = known.as_ref().map(|known| known.person.password.as_str());
        let right = match self.hasher.verify(password, hash).await {
            Ok(right) => right,
            Err(error) => {
                let counted: Vec<_> = address.iter().chain([&account]).collect();
                self.uncount(&counted).await?;
                return Err(error.into());
            }
        };
        let user = known.as_ref().map_or("", |known| known.row.user_id.as_str());
        let Some(known) = known.as_ref().filter(|_| right) else {
            let letter = match account.is_worth_a_word(self.rules.account.free) {
                true => {
                    Letter::Suspicion(Suspicion { email_digest: subject, tries: account.count, of_codes: false, ip: origin.ip })
                }
                false => Letter::Nothing,
            };
            let letter = self.letter(&letter, None).await?;
            let told = event(&origin.actor(email.as_str()), "sign-in", user, "refused: wrong e-mail or password", None);
            self.change(&[Step::Post(&letter)], &told).await?;
            self.posted.notify_one();
            return Err(Denied::Credentials);
        };
        let (mut session, token) = self.new_session(&known.row.user_id, origin).await?;
        if known.person.authenticator.is_none() {
            // The password is all the proof that they have, and they gave it just now.
            session.stepped_up_ms = self.now_ms();
        }
        let pair = self.address_digest(origin, &subject).await?;
        let mut steps = vec![Step::AddSession(&session), account.forgive()];
        steps.extend(address.as_ref().map(|address| address.uncount()));
        steps.extend(pair.as_ref().map(|pair| Step::Know { kind: "owner address", subject: pair, at_ms: self.now_ms() }));
        let told = event(&origin.actor(email.as_str()), "sign-in", &known.row.user_id, "done", None);
        self.change(&steps, &told).await?;
        self.signed_in(&session, token, &known.person).await
    }

    /// A session for whom the identity provider signed in: the account of the verified address, which must be there.
    pub async fn sign_in_vouched(&self, vouched: &Vouched, origin: &Origin) -> Answer<SignedIn> {
        let email = Email::parse(&vouched.email).map_err(|_| Denied::Credentials)?;
        let address = self.hold_address(origin, "sign-in from").await?;
        let actor = origin.actor(email.as_str());
        let Some(known) = self.person_by_email(&self.email_digest(&email).await?).await? else {
            self.tell(&event(&actor, "sign-in", "", "refused: the provider's person has no account here", None)).await?;
            return Err(Denied::Credentials);
        };
        let (mut session, token) = self.new_session(&known.row.user_id, origin).await?;
        if vouched.second_factor {
            session.factors = 2;
        }
        if vouched.second_factor || known.person.authenticator.is_none() {
            // They proved it to the provider just now.
            session.stepped_up_ms = self.now_ms();
        }
        let mut steps = vec![Step::AddSession(&session)];
        steps.extend(address.as_ref().map(|address| address.uncount()));
        let told = event(&actor, "sign-in", &known.row.user_id, "done, by the identity provider", None);
        self.change(&steps, &told).await?;
        self.signed_in(&session, token, &known.person).await
    }

    /// Takes up the work in a team; the session goes on under a new token.
    pub async fn choose_tenant(&self, session_token: &str, tenant: &TenantId, origin: &Origin) -> Answer<SignedIn> {
        let live = self.live(session_token).await?;
        let actor = origin.actor(&live.known.person.email);
        if self.role_in(tenant, &live.row.user_id).await?.is_none() {
            self.tell(&event(&actor, "tenant.choose", tenant.as_str(), "refused: no active member", None)).await?;
            return Err(Denied::NotFound(format!("no team `{tenant}` of yours")));
        }
        let to = SessionRow { tenant: tenant.to_string(), ..live.row.clone() };
        let told = event(&actor, "tenant.choose", tenant.as_str(), "done", None);
        let token = self.rotate(&live, to.clone(), &[], &told).await?.ok_or(Denied::NoSession)?;
        self.signed_in(&to, token, &live.known.person).await
    }

    pub(super) async fn signed_in(&self, session: &SessionRow, token: Secret, person: &Person) -> Answer<SignedIn> {
        let csrf = self.csrf_of(&token.digest()).await?;
        Ok(SignedIn { session_token: token, csrf, mfa: self.mfa(session, person).await? })
    }

    async fn mfa(&self, session: &SessionRow, person: &Person) -> Result<Mfa> {
        // Also by the identity provider, of somebody who has no authenticator here.
        if session.factors >= 2 {
            return Ok(Mfa::Done);
        }
        if person.authenticator.is_some() {
            return Ok(Mfa::Needed);
        }
        let must = |role: &Role| must_have_factor(*role);
        let roles = self.memberships(&session.user_id).await?;
        Ok(if roles.iter().any(|(_, role)| must(role)) { Mfa::MustEnrol } else { Mfa::Done })
    }
}
