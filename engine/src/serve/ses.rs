//! The role `ses`: mails that Amazon SES took in, by the notifications in their queue.
//! Promise: a notification is gone from the queue only when its mail is sealed in every raw zone that it is for, or is for
//! nobody; it is held as long as somebody works on it. What is no notification of ours, and what fails as often as the queue
//! allows, goes to the dead letters by the queue's own rule, written down and told.
//! A worker that dies gives its mail back, and doing it all again doubles nothing.
//! Never: a tenant is chosen here; a notification is believed that names another bucket, folder or topic.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use bonded_connectors::{
    aws::Account,
    ses::{Letter, MailBucket, MailQueue, Notice, Place, Redrive, read},
};
use bonded_schemas::{Actor, TenantId};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::{JoinError, JoinSet},
    time::sleep,
};

use super::{Shop, Stopped, mail, pause, stopped};
use crate::{
    error::{Error, Result},
    intake::{
        fetch::{Fetcher, Taken},
        postbox::Intake,
        refusals::refusals,
    },
    lakehouse::Lakehouse,
    settings::Settings,
};

/// Each wait after a failure is so many times the one before.
const BACKOFF: u32 = 4;
/// Before a letter that nothing will come of comes again, until the queue puts it to the dead letters.
const SOON: Duration = Duration::from_secs(1);
/// How old what is known of the queue's own rule may be: an operator changes it while this runs.
const RULE_AGE_MAX: Duration = Duration::from_secs(5 * 60);
/// After a poll that failed: the first wait, and the longest.
const POLL_AGAIN_FIRST: Duration = Duration::from_secs(1);
const POLL_AGAIN_MAX: Duration = Duration::from_secs(60);

/// A queue and a bucket that were asked once, so that what is wrong with them is told at the start.
#[derive(Debug)]
pub(super) struct Door {
    queue: MailQueue,
    bucket: MailBucket,
    place: Place,
    redrive: Redrive,
    /// As the ready line tells it.
    pub address: String,
}

impl Door {
    /// # Errors
    /// `Setup` without a domain, a queue and a bucket; when the queue has no dead letters; `Refused` when the bucket lies in a
    /// region where no data may.
    pub async fn open(settings: &Settings) -> Result<Self> {
        if settings.mail_in.domain.is_none() {
            return Err(Error::setup("the role `ses` needs the domain of its addresses; set mail_in.domain"));
        }
        let (queue, place, bucket) = reach(settings)
            .await?
            .ok_or_else(|| Error::setup("the role `ses` needs a queue and a bucket; set ses.queue_url and ses.bucket"))?;
        let redrive = queue.redrive().await?;
        settings.aws.residency()?.region(&format!("bucket `{}`", place.bucket), &bucket.region().await?)?;
        let address = settings.ses.queue_url.clone().unwrap_or_default();
        Ok(Self { queue, bucket, place, redrive, address })
    }
}

/// Queue and bucket as set, nobody asked yet; none where none is set.
pub(crate) async fn reach(settings: &Settings) -> Result<Option<(MailQueue, Place, MailBucket)>> {
    let ses = &settings.ses;
    let (Some(url), Some(place)) = (&ses.queue_url, ses.place()) else { return Ok(None) };
    let account = Account::open(settings.aws.reach()).await?;
    let queue = MailQueue::open(&account, url, ses.dead_letter_url.as_deref(), ses.wait());
    let bucket = MailBucket::open(account, &place, settings.aws.path_style)?;
    Ok(Some((queue, place, bucket)))
}

/// Takes mails in until it is stopped.
pub(super) async fn run(shop: Arc<Shop>, door: Door, mut stop: watch::Receiver<bool>) -> Stopped {
    let house = shop.house.clone();
    let drain = house.settings.serve.drain();
    let (refusals, recorder) = refusals(house.clone());
    let recording = tokio::spawn(recorder.run());
    let fetcher = Fetcher::new(house.clone(), Intake::new(shop, refusals), door.bucket, mail::message_bytes_max(&house.settings));
    let rule = Rule { receives_max: AtomicU32::new(door.redrive.receives_max) };
    let worker = Worker { house, queue: door.queue, place: door.place, rule, fetcher };
    let worker = Arc::new(worker);
    let mut working = JoinSet::new();
    poll(&worker, &mut working, &mut stop).await;
    let ended = async {
        while let Some(ended) = working.join_next().await {
            tell_end(ended);
        }
    };
    if tokio::time::timeout(drain, ended).await.is_err() {
        tracing::warn!(target: "serve.ses", "a mail was still being taken in when the process ended; its notification comes again");
        working.shutdown().await;
    }
    // Who was refused last is written down before the process ends.
    drop(worker);
    if tokio::time::timeout(drain, recording).await.is_err() {
        tracing::warn!(target: "serve.ses", "not all that was refused could be written down");
    }
    Stopped::default()
}

/// Asks for as many letters as there are seats, and not at all while there is none.
async fn poll(worker: &Arc<Worker>, working: &mut JoinSet<()>, stop: &mut watch::Receiver<bool>) {
    let settings = &worker.house.settings.ses;
    let seats = Arc::new(Semaphore::new(settings.at_once));
    let mut again = POLL_AGAIN_FIRST;
    let mut asked_at = Instant::now();
    loop {
        let first = tokio::select! {
            () = stopped(stop) => return,
            seat = seats.clone().acquire_owned() => match seat {
                Ok(seat) => seat,
                // It is never closed.
                Err(_) => return,
            },
        };
        let mut free: Vec<OwnedSemaphorePermit> = vec![first];
        free.extend(std::iter::from_fn(|| seats.clone().try_acquire_owned().ok()));
        if asked_at.elapsed() >= RULE_AGE_MAX {
            asked_at = Instant::now();
            tokio::select! {
                () = stopped(stop) => return,
                () = worker.ask_rule() => {}
            }
        }
        let received = tokio::select! {
            () = stopped(stop) => return,
            received = worker.queue.receive(free.len(), settings.visibility()) => received,
        };
        while let Some(ended) = working.try_join_next() {
            tell_end(ended);
        }
        match received {
            Ok(letters) => {
                again = POLL_AGAIN_FIRST;
                for (letter, seat) in letters.into_iter().zip(free) {
                    let worker = worker.clone();
                    working.spawn(async move {
                        worker.work(&letter).await;
                        drop(seat);
                    });
                }
            }
            Err(error) => {
                tracing::warn!(target: "serve.ses", %error, "the mail queue was not to be read");
                drop(free);
                if !pause(again, stop).await {
                    return;
                }
                again = (again * 2).min(POLL_AGAIN_MAX);
            }
        }
    }
}

/// One that fell over gives its letter back by the queue; why must not be lost with it.
fn tell_end(ended: std::result::Result<(), JoinError>) {
    if let Err(error) = ended
        && !error.is_cancelled()
    {
        tracing::error!(target: "serve.ses", %error, "the work on a letter fell over; it comes again");
    }
}

/// How often the queue gives a letter out, as it was last told.
struct Rule {
    receives_max: AtomicU32,
}

impl Rule {
    /// Once in a letter's life, even where the queue goes on giving it out because its rule was changed.
    fn is_last(&self, receives: u32) -> bool {
        receives == self.receives_max.load(Ordering::Relaxed)
    }

    /// Whether it is put to the dead letters soon, where people look, and need not wait long for that.
    fn is_soon(&self, receives: u32, is_refused: bool) -> bool {
        let receives_max = self.receives_max.load(Ordering::Relaxed);
        receives == receives_max || (is_refused && receives < receives_max)
    }
}

struct Worker {
    house: Arc<Lakehouse>,
    queue: MailQueue,
    place: Place,
    rule: Rule,
    fetcher: Fetcher,
}

/// What is to become of a letter.
enum End {
    Done,
    /// None of ours, or not to be taken whatever is tried.
    Refused {
        why: String,
        kept: BTreeSet<TenantId>,
    },
    Later {
        why: String,
        kept: BTreeSet<TenantId>,
    },
}

impl Worker {
    async fn work(&self, letter: &Letter) {
        let notice = read(&letter.body, &self.place);
        let end = tokio::select! {
            end = self.end_of(letter, notice.as_ref().map_err(|unread| unread.0)) => end,
            never = self.hold(letter) => match never {},
        };
        let settled = match &end {
            End::Done => self.queue.done(letter).await.map_err(Error::from),
            End::Refused { why, kept } | End::Later { why, kept } => {
                let is_last = self.rule.is_last(letter.receives);
                let mail = notice.as_ref().ok().and_then(mail_of);
                tracing::warn!(target: "serve.ses", letter = letter.id, mail, receives = letter.receives, is_last, why);
                let is_refused = matches!(end, End::Refused { .. });
                if is_last || (is_refused && letter.receives == 1) {
                    self.write_down(letter, mail, why, is_last).await;
                }
                if let (true, Ok(Notice::Mail(received))) = (is_last, &notice) {
                    self.fetcher.give_up(received, kept, why).await;
                }
                let is_soon = self.rule.is_soon(letter.receives, is_refused);
                let wait = if is_soon { SOON } else { self.wait_after(letter.receives) };
                self.queue.hold(letter, wait).await.map_err(Error::from)
            }
        };
        if let Err(error) = settled {
            // It comes again when it is not held any more, and changes nothing.
            tracing::warn!(target: "serve.ses", letter = letter.id, %error);
        }
    }

    async fn end_of(&self, letter: &Letter, notice: std::result::Result<&Notice, &'static str>) -> End {
        let received = match notice {
            Ok(Notice::Mail(received)) => received,
            Ok(Notice::SetUp) => {
                self.record(letter, None, "Amazon tried the way out; no mail").await;
                return End::Done;
            }
            Err(why) => return End::Refused { why: why.to_owned(), kept: BTreeSet::new() },
        };
        if self.rule.is_last(letter.receives) {
            // Should this process die over it, nobody else tells.
            let result = format!(
                "last try, number {}: where nothing follows, it was broken off and is among the dead letters",
                letter.receives
            );
            self.record(letter, Some(&received.id), &result).await;
        }
        match self.fetcher.take(received, letter.receives > 1).await {
            Taken::Kept { tenants } => {
                tracing::info!(target: "serve.ses", letter = letter.id, mail = received.id, tenants, receives = letter.receives);
                End::Done
            }
            Taken::Later { why, kept } => End::Later { why, kept },
            Taken::Refused { why, kept } => End::Refused { why: why.to_owned(), kept },
        }
    }

    /// As long as it is worked on, no other worker sees it.
    async fn hold(&self, letter: &Letter) -> Infallible {
        let visibility = self.house.settings.ses.visibility();
        loop {
            sleep(visibility / 3).await;
            if let Err(error) = self.queue.hold(letter, visibility).await {
                tracing::warn!(target: "serve.ses", letter = letter.id, %error, "a letter could not be held longer");
            }
        }
    }

    fn wait_after(&self, receives: u32) -> Duration {
        let settings = &self.house.settings.ses;
        let factor = BACKOFF.saturating_pow(receives.saturating_sub(1).min(8));
        settings.retry_first().saturating_mul(factor).min(settings.retry_max())
    }

    /// What cannot be asked is as it was.
    async fn ask_rule(&self) {
        match self.queue.redrive().await {
            Ok(redrive) => self.rule.receives_max.store(redrive.receives_max, Ordering::Relaxed),
            Err(error) => tracing::error!(target: "serve.ses", %error, "the mail queue's own rule is not to be read"),
        }
    }

    async fn write_down(&self, letter: &Letter, mail: Option<&str>, why: &str, is_last: bool) {
        let result = match is_last {
            true => format!("given up after {} tries, to the dead letters: {why}", letter.receives),
            false => format!("refused: {why}"),
        };
        self.record(letter, mail, &result).await;
    }

    /// Under SES's name of the mail, for that is its object's, and a redrive gives the letter another.
    async fn record(&self, letter: &Letter, mail: Option<&str>, result: &str) {
        let object = mail.map_or_else(|| format!("sqs:{}", letter.id), |mail| format!("ses:{mail}"));
        let actor = Actor { name: "mail:ses".into(), ..Actor::default() };
        if let Err(error) = self.house.audit(actor, "mail.notification", &object, result).await {
            tracing::error!(target: "audit.lost", %error, "a notification could not be written down");
        }
    }
}

/// SES's name of the mail that a notification speaks of.
fn mail_of(notice: &Notice) -> Option<&str> {
    match notice {
        Notice::Mail(received) => Some(&received.id),
        Notice::SetUp => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_that_the_queue_gives_out_too_often_is_told_once_and_backs_off() {
        let rule = Rule { receives_max: AtomicU32::new(3) };
        let last: Vec<u32> = (1..=100).filter(|receives| rule.is_last(*receives)).collect();
        assert_eq!(last, [3]);
        let soon = |is_refused| (1..=100).filter(|receives| rule.is_soon(*receives, is_refused)).collect::<Vec<u32>>();
        assert_eq!(soon(false), [3], "what may still come of it is not hurried");
        assert_eq!(soon(true), [1, 2, 3], "beyond the rule it would be a loop");
        rule.receives_max.store(5, Ordering::Relaxed);
        assert!(rule.is_last(5) && !rule.is_last(3), "the rule as it was told last holds");
    }
}
