//! What holds off whoever tries too often: of one account, of one address.
//! Promise: every wait ends, and none is made longer by asking; an address from which its owner signed in before has a
//! count of its own, so that a stranger's tries do not keep the owner out.

use bonded_connectors::store::people::{Attempt, Waits, accounts::Step};

use super::{Answer, Denied, Desk, Origin};
use crate::error::Result;

/// How long an address counts as the owner's after a sign-in from there.
const KNOWN_MS: i64 = 30 * 24 * 3600 * 1000;

/// One counted try.
#[derive(Clone, Debug)]
pub(super) struct Counted {
    pub kind: &'static str,
    pub subject: String,
    /// This is the so-many-th.
    pub count: i64,
}

impl Counted {
    /// When waits begin, and each time the tries have doubled since: a letter for each would be a flood.
    pub fn is_worth_a_word(&self, free: u32) -> bool {
        let free = i64::from(free);
        self.count % free == 0 && (self.count / free).cast_unsigned().is_power_of_two()
    }

    pub fn forgive(&self) -> Step<'_> {
        Step::Forgive { kind: self.kind, subject: &self.subject }
    }

    pub fn uncount(&self) -> Step<'_> {
        Step::Uncount { kind: self.kind, subject: &self.subject }
    }
}

impl Desk {
    /// Counts a try, or says when there may be one.
    pub(super) async fn hold(&self, kind: &'static str, subject: &str, waits: &Waits) -> Answer<Counted> {
        let now_ms = self.now_ms();
        match self.people.attempt(kind, subject, now_ms, waits).await? {
            Attempt::May { counted } => Ok(Counted { kind, subject: subject.to_owned(), count: counted }),
            Attempt::Wait { until_ms } => {
                Err(Denied::Wait { seconds: (until_ms - now_ms).max(1).cast_unsigned().div_ceil(1000) })
            }
        }
    }

    /// The same of the network that the request came from, where it is known.
    pub(super) async fn hold_address(&self, origin: &Origin, kind: &'static str) -> Answer<Option<Counted>> {
        match self.address_digest(origin, "").await? {
            Some(subject) => Ok(Some(self.hold(kind, &subject, &self.rules.address).await?)),
            None => Ok(None),
        }
    }

    /// Of an account: its own count, or that of the owner's address.
    pub(super) async fn hold_account(&self, email_digest: &str, origin: &Origin) -> Answer<Counted> {
        if let Some(pair) = self.address_digest(origin, email_digest).await?
            && self.people.is_known("owner address", &pair, self.now_ms() - KNOWN_MS).await?
        {
            return self.hold("sign-in of an owner address", &pair, &self.rules.account).await;
        }
        self.hold("sign-in", email_digest, &self.rules.account).await
    }

    /// Takes tries back that were never judged: a crowd must not count against anybody.
    pub(super) async fn uncount(&self, counted: &[&Counted]) -> Result<()> {
        let steps: Vec<Step<'_>> = counted.iter().map(|counted| counted.uncount()).collect();
        self.people.note(&steps).await?;
        Ok(())
    }
}
