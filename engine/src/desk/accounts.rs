//! Accounts: made once an address is proven; passwords changed and reset.
//! Promise: asking for a code or a link is answered and costs the same for every address; a code or link is good once.

use bonded_connectors::{
    identity::token,
    store::people::{CodeRow, SessionRow, UserRow, Waits, accounts::Step},
};
use uuid::Uuid;

use super::{
    Answer, Denied, Desk, Email, Origin, Password, Secret, SignedIn,
    limits::Counted,
    person::Person,
    post::Letter,
    trail::{event, replace},
};
use crate::{error::Result, lakehouse::AuditEvent};

const SIGN_UP: &str = "sign-up";
const RESET: &str = "reset";
/// Three codes' worth, before waits follow.
const CODE_TRIES_FREE: u32 = 15;

impl Desk {
    /// Mails a code to the address; to one that has an account already, a word of that.
    pub async fn sign_up(&self, email: &str, origin: &Origin) -> Answer<()> {
        let email = Email::parse(email)?;
        let subject = self.email_digest(&email).await?;
        if !self.may_write_to(&subject, origin).await? {
            return Ok(());
        }
        let there = self.person_by_email(&subject).await?.is_some();
        let code = Secret::code();
        let letter = match there {
            true => Letter::mail(email.as_str(), "You have an account already", HAS_ACCOUNT),
            false => Letter::mail(email.as_str(), "Your code", &self.code_text(&code, "finish your sign-up")),
        };
        // Of an address that has an account, the code is one that nobody was sent.
        let code = if there { Secret::random() } else { code };
        let row = self.code_row(SIGN_UP, &subject, "", &code).await?;
        let told = event(&origin.actor(email.as_str()), "account.sign-up", "", "asked", None);
        self.put_code(&row, &letter, &told).await
    }

    /// Proves the address by its code and makes the account.
    pub async fn verify(&self, email: &str, code: &Secret, password: &Password, origin: &Origin) -> Answer<()> {
        let email = Email::parse(email).map_err(|_| Denied::Credentials)?;
        password.check_new(email.as_str())?;
        let subject = self.email_digest(&email).await?;
        let actor = origin.actor(email.as_str());
        let counted = self.hold_codes(&subject, origin).await?;
        let Some(row) = self.right_code(SIGN_UP, &subject, code).await? else {
            self.tell(&event(&actor, "account.verify", "", "refused: wrong or expired code", None)).await?;
            return Err(Denied::Credentials);
        };
        let user = self.new_user(&email, subject.clone(), password).await?;
        let told = event(&actor, "account.verify", &user.user_id, "done", None);
        match self.change(&[Step::UseCode(&row), Step::AddUser(&user), counted.forgive()], &told).await? {
            true => Ok(()),
            false => Err(Denied::Credentials),
        }
    }

    /// Mails a link to an address that has an account.
    pub async fn request_reset(&self, email: &str, origin: &Origin) -> Answer<()> {
        let email = Email::parse(email)?;
        let subject = self.email_digest(&email).await?;
        if !self.may_write_to(&subject, origin).await? {
            return Ok(());
        }
        let known = self.person_by_email(&subject).await?;
        let secret = Secret::random();
        // Of an address without an account, the link is nobody's: it names no user and was sent to none.
        let user_id = known.as_ref().map_or_else(|| Uuid::now_v7().simple().to_string(), |known| known.row.user_id.clone());
        let letter = match known.is_some() {
            true => Letter::mail(email.as_str(), "Reset your password", &self.reset_text(&user_id, &secret)),
            false => Letter::Nothing,
        };
        let row = CodeRow {
            kind: RESET.into(),
            subject: user_id,
            about: String::new(),
            digest: secret.digest(),
            expires_ms: self.now_ms() + self.rules.reset_life_ms,
        };
        let told = event(&origin.actor(email.as_str()), "password.reset", "", "asked", None);
        self.put_code(&row, &letter, &told).await
    }

    /// A new password by the link's token; every session of the account ends. A second factor stays asked for.
    pub async fn reset(&self, token: &str, password: &Password, origin: &Origin) -> Answer<()> {
        let (user_id, secret) = token.trim().split_once('.').ok_or(Denied::Credentials)?;
        self.hold_address(origin, "reset from").await?;
        let Some(known) = self.person(user_id).await? else { return Err(Denied::Credentials) };
        password.check_new(&known.person.email)?;
        let actor = origin.actor(&known.person.email);
        let digest = Secret::from_text(secret).digest();
        let live = self.people.try_codes(RESET, user_id, self.now_ms(), self.rules.code_tries_max).await?;
        let Some(row) = live.into_iter().find(|row| token::same(&row.digest, &digest)) else {
            self.tell(&event(&actor, "password.reset", user_id, "refused: wrong or expired link", None)).await?;
            return Err(Denied::Credentials);
        };
        let person = Person { password: self.hasher.hash(password).await?, ..known.person };
        let sealed = self.sealed_person(user_id, &person).await?;
        let letter = self.letter(&Letter::mail(&person.email, "Your password was changed", PASSWORD_CHANGED), None).await?;
        let steps = [
            Step::UseCode(&row),
            replace(&known.row, &sealed),
            Step::EndSessions { user_id, but: "" },
            Step::Forgive { kind: "sign-in", subject: &known.row.email_digest },
            Step::Post(&letter),
        ];
        let done = self.change(&steps, &event(&actor, "password.reset", user_id, "done", None)).await?;
        self.posted.notify_one();
        if done { Ok(()) } else { Err(Denied::Credentials) }
    }

    /// Another password; every other session ends, this one goes on under a new token.
    pub async fn change_password(
        &self,
        session_token: &str,
        current: &Password,
        new: &Password,
        origin: &Origin,
    ) -> Answer<SignedIn> {
        let live = self.live(session_token).await?;
        new.check_new(&live.known.person.email)?;
        if live.known.person.authenticator.is_some() && live.row.factors < 2 {
            return Err(Denied::StepUp);
        }
        let counted = self.hold_account(&live.known.row.email_digest, origin).await?;
        self.check_password(&live, current, &counted, "password.change", origin).await?;
        let person = Person { password: self.hasher.hash(new).await?, ..live.known.person.clone() };
        let user_id = live.row.user_id.as_str();
        let sealed = self.sealed_person(user_id, &person).await?;
        let letter = self.letter(&Letter::mail(&person.email, "Your password was changed", PASSWORD_CHANGED), None).await?;
        let steps = [
            replace(&live.known.row, &sealed),
            Step::EndSessions { user_id, but: &live.row.session_id },
            Step::DropCode { kind: RESET, subject: user_id, about: "" },
            Step::Post(&letter),
            counted.forgive(),
        ];
        let told = event(&origin.actor(&person.email), "password.change", user_id, "done", None);
        let to: SessionRow = live.row.clone();
        let token = self.rotate(&live, to.clone(), &steps, &told).await?.ok_or(Denied::Busy)?;
        self.posted.notify_one();
        self.signed_in(&to, token, &person).await
    }

    /// An account with its first password, not yet written.
    pub(super) async fn new_user(&self, email: &Email, email_digest: String, password: &Password) -> Answer<UserRow> {
        let user_id = Uuid::now_v7().simple().to_string();
        let person = Person {
            email: email.to_string(),
            password: self.hasher.hash(password).await?,
            authenticator: None,
            enrolling: None,
            recovery: Vec::new(),
        };
        let sealed = self.sealed_person(&user_id, &person).await?;
        Ok(UserRow { user_id, email_digest, version: 1, sealed })
    }

    pub(super) async fn code_row(&self, kind: &str, subject: &str, about: &str, code: &Secret) -> Result<CodeRow> {
        Ok(CodeRow {
            kind: kind.into(),
            subject: subject.into(),
            about: about.into(),
            digest: self.code_digest(kind, subject, about, code.reveal()).await?,
            expires_ms: self.now_ms() + self.rules.code_life_ms,
        })
    }

    /// The live code that this is. The try is counted on every live one, before it is judged.
    pub(super) async fn right_code(&self, kind: &str, subject: &str, code: &Secret) -> Result<Option<CodeRow>> {
        let mut right = None;
        for row in self.people.try_codes(kind, subject, self.now_ms(), self.rules.code_tries_max).await? {
            let digest = self.code_digest(kind, subject, &row.about, code.reveal()).await?;
            if token::same(&row.digest, &digest) {
                right = Some(row);
            }
        }
        Ok(right)
    }

    /// Tries of codes count against the network they come from, and against the address, over all its codes.
    pub(super) async fn hold_codes(&self, subject: &str, origin: &Origin) -> Answer<Counted> {
        self.hold_address(origin, "codes from").await?;
        self.hold("codes", subject, &Waits { free: CODE_TRIES_FREE, ..self.rules.account }).await
    }

    /// A network that asks for too many letters is told to wait; an address that gets too many gets no more, in silence.
    async fn may_write_to(&self, subject: &str, origin: &Origin) -> Answer<bool> {
        self.hold_address(origin, "letters from").await?;
        match self.hold("letters", subject, &self.rules.letters).await {
            Ok(_) => Ok(true),
            Err(Denied::Wait { .. }) => Ok(false),
            Err(denied) => Err(denied),
        }
    }

    async fn put_code(&self, row: &CodeRow, letter: &Letter, told: &AuditEvent) -> Answer<()> {
        let letter = self.letter(letter, Some(row.expires_ms)).await?;
        self.change(&[Step::PutCode(row), Step::Post(&letter)], told).await?;
        self.posted.notify_one();
        Ok(())
    }

    pub(super) fn code_text(&self, code: &Secret, what_for: &str) -> String {
        let minutes = self.rules.code_life_ms / 60_000;
        format!(
            "{}\n\nis the code to {what_for}. It is good once, for {minutes} minutes. Never tell it to anybody.\n",
            code.reveal()
        )
    }

    fn reset_text(&self, user_id: &str, secret: &Secret) -> String {
        let token = format!("{user_id}.{}", secret.reveal());
        let way = match &self.house.settings.desk.url {
            Some(url) => format!("Open this link and choose a new password:\n\n{}/reset#{token}\n", url.trim_end_matches('/')),
            None => format!("Choose a new password with this token:\n\n{token}\n"),
        };
        let minutes = self.rules.reset_life_ms / 60_000;
        format!("{way}\nIt is good once, for {minutes} minutes. If you did not ask for it, do nothing.\n")
    }
}

const HAS_ACCOUNT: &str = "Somebody, perhaps you, asked for an account with this address. It has one already: sign in, or reset \
    the password.\nIf it was not you, do nothing.\n";
const PASSWORD_CHANGED: &str = "The password of your account was changed, and its other sessions were ended.\n\
    If this was not you, reset your password now and tell an owner of your team.\n";
