//! The second factor: an authenticator app, ten recovery codes, and the fresh proof that sensitive things need.
//! Promise: a code is accepted once, also when two requests bring it at the same moment; tries are limited as passwords are.

use bonded_connectors::{
    identity::{token, totp::TotpSecret},
    store::people::{SessionRow, accounts::Step},
};
use zeroize::Zeroizing;

use super::{
    Answer, Denied, Desk, Origin, Password, Secret, SignedIn,
    limits::Counted,
    person::{Authenticator, Person},
    post::{Letter, Suspicion},
    sessions::Live,
    trail::{event, replace},
};

const RECOVERY_CODES: usize = 10;

/// An authenticator that is being set up; it counts once a code of it came.
#[derive(Clone, Debug)]
pub struct Enrolment {
    /// Base32, for typing.
    pub secret: Secret,
    /// `otpauth://totp/...`, for a QR code.
    pub url: Secret,
}

#[derive(Clone, Debug)]
pub struct Confirmed {
    pub signed_in: SignedIn,
    /// Each good once, in place of a code; shown once.
    pub recovery_codes: Vec<Secret>,
}

/// What proves once more that it is they.
#[derive(Clone, Debug)]
pub enum Proof {
    /// Of the authenticator, or a recovery code.
    Code(Secret),
    /// Only of somebody who has no authenticator.
    Password(Password),
}

impl Desk {
    /// Completes a sign-in by a code of the authenticator or a recovery code; the session goes on under a new token.
    pub async fn second_factor(&self, session_token: &str, code: &Secret, origin: &Origin) -> Answer<SignedIn> {
        let live = self.live(session_token).await?;
        self.prove(live, code, "second-factor", origin).await
    }

    /// A fresh proof, good for some minutes; the session goes on under a new token.
    pub async fn step_up(&self, session_token: &str, proof: &Proof, origin: &Origin) -> Answer<SignedIn> {
        let live = self.live(session_token).await?;
        let password = match proof {
            Proof::Code(code) => return self.prove(live, code, "step-up", origin).await,
            Proof::Password(_) if live.known.person.authenticator.is_some() => {
                return Err(Denied::Input("this account has an authenticator: prove it by a code".into()));
            }
            Proof::Password(password) => password,
        };
        let counted = self.hold_account(&live.known.row.email_digest, origin).await?;
        self.check_password(&live, password, &counted, "step-up", origin).await?;
        let to = SessionRow { stepped_up_ms: self.now_ms(), ..live.row.clone() };
        let told = event(&origin.actor(&live.known.person.email), "step-up", &live.row.session_id, "done", None);
        let token = self.rotate(&live, to.clone(), &[counted.forgive()], &told).await?.ok_or(Denied::NoSession)?;
        self.signed_in(&to, token, &live.known.person).await
    }

    async fn prove(&self, live: Live, code: &Secret, action: &str, origin: &Origin) -> Answer<SignedIn> {
        let actor = origin.actor(&live.known.person.email);
        let counted = self.hold("factor", &live.row.user_id, &self.rules.account).await?;
        let Some(person) = self.spent(&live, code).await? else {
            let told = event(&actor, action, &live.row.session_id, "refused: wrong code", None);
            if counted.is_worth_a_word(self.rules.account.free) {
                let email_digest = live.known.row.email_digest;
                let suspicion = Suspicion { email_digest, tries: counted.count, of_codes: true, ip: origin.ip };
                let letter = self.letter(&Letter::Suspicion(suspicion), None).await?;
                self.change(&[Step::Post(&letter)], &told).await?;
                self.posted.notify_one();
            } else {
                self.tell(&told).await?;
            }
            return Err(Denied::Credentials);
        };
        let sealed = self.sealed_person(&live.row.user_id, &person).await?;
        let to = SessionRow { factors: 2, stepped_up_ms: self.now_ms(), ..live.row.clone() };
        let told = event(&actor, action, &live.row.session_id, "done", None);
        let steps = [replace(&live.known.row, &sealed), counted.forgive()];
        // A lost race is the same code brought twice.
        let token = self.rotate(&live, to.clone(), &steps, &told).await?.ok_or(Denied::Credentials)?;
        self.signed_in(&to, token, &person).await
    }

    /// The person after this code was used, if it is one of theirs.
    async fn spent(&self, live: &Live, code: &Secret) -> Answer<Option<Person>> {
        let mut person = live.known.person.clone();
        let Some(authenticator) = &mut person.authenticator else { return Ok(None) };
        let secret = TotpSecret::from_base32(&authenticator.secret)?;
        if let Some(step) = secret.step_of(code.reveal(), self.now(), authenticator.accepted_step) {
            authenticator.accepted_step = step;
            return Ok(Some(person));
        }
        let digest = self.recovery_digest(&live.row.user_id, code).await?;
        let left = person.recovery.len();
        person.recovery.retain(|kept| !token::same(kept, &digest));
        Ok((person.recovery.len() < left).then_some(person))
    }

    async fn recovery_digest(&self, user_id: &str, code: &Secret) -> Answer<String> {
        let folded = Zeroizing::new(code.reveal().trim().to_ascii_lowercase());
        Ok(self.code_digest("recovery", user_id, "", &folded).await?)
    }

    /// Begins with an authenticator, or with another one in its place. Needs a fresh proof.
    pub async fn enrol_totp(&self, session_token: &str, origin: &Origin) -> Answer<Enrolment> {
        let live = self.live(session_token).await?;
        self.must_be_fresh(&live, "authenticator.enrol", origin).await?;
        let secret = TotpSecret::generate();
        let person = Person { enrolling: Some(secret.to_base32().to_string()), ..live.known.person.clone() };
        let sealed = self.sealed_person(&live.row.user_id, &person).await?;
        let told = event(&origin.actor(&person.email), "authenticator.enrol", &live.row.user_id, "done", None);
        if !self.change(&[replace(&live.known.row, &sealed)], &told).await? {
            return Err(Denied::Busy);
        }
        let url = secret.url(&person.email)?;
        Ok(Enrolment { secret: Secret::from_text(&secret.to_base32()), url: Secret::from_text(&url) })
    }

    /// The first code of the new authenticator; from here on it is asked for. Other sessions end.
    pub async fn confirm_totp(&self, session_token: &str, code: &Secret, origin: &Origin) -> Answer<Confirmed> {
        let live = self.live(session_token).await?;
        self.must_be_fresh(&live, "authenticator.confirm", origin).await?;
        let mut person = live.known.person.clone();
        let actor = origin.actor(&person.email);
        let base32 = person.enrolling.take().ok_or_else(|| Denied::Conflict("no authenticator is being set up".into()))?;
        let counted = self.hold("factor", &live.row.user_id, &self.rules.account).await?;
        let Some(step) = TotpSecret::from_base32(&base32)?.step_of(code.reveal(), self.now(), 0) else {
            self.tell(&event(&actor, "authenticator.confirm", &live.row.user_id, "refused: wrong code", None)).await?;
            return Err(Denied::Credentials);
        };
        person.authenticator = Some(Authenticator { secret: base32, accepted_step: step });
        let recovery_codes = self.draw_recovery_codes(&live.row.user_id, &mut person).await?;
        let sealed = self.sealed_person(&live.row.user_id, &person).await?;
        let letter = Letter::mail(&person.email, "An authenticator was added", AUTHENTICATOR_ADDED);
        let letter = self.letter(&letter, None).await?;
        let to = SessionRow { factors: 2, stepped_up_ms: self.now_ms(), ..live.row.clone() };
        let steps = [
            replace(&live.known.row, &sealed),
            Step::EndSessions { user_id: &live.row.user_id, but: &live.row.session_id },
            Step::Post(&letter),
            counted.forgive(),
        ];
        let told = event(&actor, "authenticator.confirm", &live.row.user_id, "done", None);
        let token = self.rotate(&live, to.clone(), &steps, &told).await?.ok_or(Denied::Busy)?;
        self.posted.notify_one();
        Ok(Confirmed { signed_in: self.signed_in(&to, token, &person).await?, recovery_codes })
    }

    /// Ten new recovery codes; those before are worth nothing any more. Needs a fresh proof.
    pub async fn new_recovery_codes(&self, session_token: &str, origin: &Origin) -> Answer<Vec<Secret>> {
        let live = self.live(session_token).await?;
        self.must_be_fresh(&live, "recovery-codes.new", origin).await?;
        let mut person = live.known.person.clone();
        if person.authenticator.is_none() {
            return Err(Denied::Conflict("there is no authenticator that these codes could stand for".into()));
        }
        let codes = self.draw_recovery_codes(&live.row.user_id, &mut person).await?;
        let sealed = self.sealed_person(&live.row.user_id, &person).await?;
        let told = event(&origin.actor(&person.email), "recovery-codes.new", &live.row.user_id, "done", None);
        match self.change(&[replace(&live.known.row, &sealed)], &told).await? {
            true => Ok(codes),
            false => Err(Denied::Busy),
        }
    }

    async fn draw_recovery_codes(&self, user_id: &str, person: &mut Person) -> Answer<Vec<Secret>> {
        let codes: Vec<Secret> = (0..RECOVERY_CODES).map(|_| Secret::recovery_code()).collect();
        person.recovery.clear();
        for code in &codes {
            person.recovery.push(self.recovery_digest(user_id, code).await?);
        }
        Ok(codes)
    }

    pub(super) async fn must_be_fresh(&self, live: &Live, action: &str, origin: &Origin) -> Answer<()> {
        let whole = live.known.person.authenticator.is_none() || live.row.factors >= 2;
        if whole && self.stepped_up_until(&live.row).is_some() {
            return Ok(());
        }
        let actor = origin.actor(&live.known.person.email);
        self.tell(&event(&actor, action, &live.row.user_id, "refused: no fresh proof", None)).await?;
        Err(Denied::StepUp)
    }

    /// The account's own password, or a refusal that is told.
    pub(super) async fn check_password(
        &self,
        live: &Live,
        password: &Password,
        counted: &Counted,
        action: &str,
        origin: &Origin,
    ) -> Answer<()> {
        match self.hasher.verify(password, Some(&live.known.person.password)).await {
            Ok(true) => Ok(()),
            Ok(false) => {
                let actor = origin.actor(&live.known.person.email);
                self.tell(&event(&actor, action, &live.row.user_id, "refused: wrong password", None)).await?;
                Err(Denied::Credentials)
            }
            Err(error) => {
                self.uncount(&[counted]).await?;
                Err(error.into())
            }
        }
    }
}

const AUTHENTICATOR_ADDED: &str = "An authenticator app was added to your account, and ten recovery codes were shown.\n\
    If this was not you, reset your password now and tell an owner of your team.\n";
