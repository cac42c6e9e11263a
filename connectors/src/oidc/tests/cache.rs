//! When the provider is asked, counted; the clock is set by hand.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt, future::join_all};
use tokio::sync::Semaphore;

use crate::{
    Error, ErrorKind,
    clock::HandClock,
    oidc::cache::{Cached, Times},
};
use chrono::TimeDelta;

/// A provider that publishes how often it was asked.
struct Source {
    clock: HandClock,
    asked: Arc<AtomicUsize>,
    down: Arc<AtomicBool>,
    /// Answers wait for a permit where it is shut.
    gate: Arc<Semaphore>,
    cached: Cached<usize>,
}

const OPEN: usize = 1 << 20;

impl Source {
    fn new(permits: usize) -> Self {
        let (clock, asked, down) = (HandClock::at(super::now()), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let gate = Arc::new(Semaphore::new(permits));
        let times =
            Times { fresh: Duration::from_secs(600), retry: Duration::from_secs(15), stale_max: Duration::from_secs(3600) };
        let (count, broken, shut) = (asked.clone(), down.clone(), gate.clone());
        let fetch = Box::new(move || {
            let (count, broken, shut) = (count.clone(), broken.clone(), shut.clone());
            async move {
                let nth = count.fetch_add(1, Ordering::SeqCst) + 1;
                shut.acquire().await.expect("never closed").forget();
                match broken.load(Ordering::SeqCst) {
                    true => Err(Error::new(ErrorKind::Retry, "down")),
                    false => Ok(nth),
                }
            }
            .boxed()
        });
        let cached = Cached::new("numbers".into(), times, Arc::new(clock.clone()), fetch);
        Self { clock, asked, down, gate, cached }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    async fn any(&self) -> crate::Result<usize> {
        self.cached.get(|_| true).await.map(|number| *number)
    }

    /// As for a key that nobody knows.
    async fn unknown(&self) -> usize {
        *self.cached.get(|_| false).await.expect("something is held")
    }

    /// Lets what runs beside come to its end.
    async fn settle(&self) {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn all_who_ask_at_once_share_one_fetch() {
    let source = Source::new(0);
    let asking = join_all((0..50).map(|_| source.any()));
    let answering = async {
        source.settle().await;
        source.gate.add_permits(OPEN);
    };
    let (answers, ()) = futures::join!(asking, answering);
    assert!(answers.into_iter().all(|answer| answer.is_ok_and(|number| number == 1)));
    assert_eq!(source.asked(), 1);
}

#[tokio::test]
async fn a_flood_of_made_up_names_asks_once_in_the_time_set() {
    let source = Source::new(OPEN);
    assert_eq!(source.any().await.unwrap(), 1);
    for _ in 0..1000 {
        assert_eq!(source.unknown().await, 1, "too early to ask again");
    }
    source.clock.forward(TimeDelta::seconds(14));
    source.unknown().await;
    assert_eq!(source.asked(), 1);
    source.clock.forward(TimeDelta::seconds(1));
    for _ in 0..1000 {
        assert_eq!(source.unknown().await, 2, "what was published since is there");
    }
    assert_eq!(source.asked(), 2);
}

#[tokio::test]
async fn what_is_fresh_is_not_asked_for_and_what_ages_is_asked_for_beside_its_use() {
    let source = Source::new(OPEN);
    source.any().await.unwrap();
    source.clock.forward(TimeDelta::seconds(300));
    assert_eq!(source.any().await.unwrap(), 1);
    source.settle().await;
    assert_eq!(source.asked(), 1, "half its time is not over");
    source.clock.forward(TimeDelta::seconds(1));
    assert_eq!(source.any().await.unwrap(), 1, "nobody waits");
    source.settle().await;
    assert_eq!(source.any().await.unwrap(), 2);
    source.clock.forward(TimeDelta::seconds(601));
    assert_eq!(source.any().await.unwrap(), 3, "older than its time: it is asked for first");
}

#[tokio::test]
async fn a_slow_provider_makes_nobody_wait_while_the_held_is_fresh() {
    let source = Source::new(1);
    source.any().await.unwrap();
    source.clock.forward(TimeDelta::seconds(400));
    for _ in 0..10 {
        assert_eq!(source.any().await.unwrap(), 1);
        source.settle().await;
    }
    assert_eq!(source.asked(), 2, "one fetch is under way");
    source.gate.add_permits(1);
    source.settle().await;
    assert_eq!(source.any().await.unwrap(), 2);
}

#[tokio::test]
async fn while_the_provider_is_down_the_last_is_used_for_a_bounded_time() {
    let source = Source::new(OPEN);
    source.any().await.unwrap();
    source.down.store(true, Ordering::SeqCst);
    source.clock.forward(TimeDelta::seconds(3600));
    for _ in 0..100 {
        assert_eq!(source.any().await.unwrap(), 1);
    }
    assert_eq!(source.asked(), 2, "and it is not hammered");
    source.clock.forward(TimeDelta::seconds(1));
    let error = source.any().await.expect_err("too old");
    assert_eq!(error.kind(), ErrorKind::Retry);
    assert!(error.to_string().contains("down"), "{error}");
    source.down.store(false, Ordering::SeqCst);
    assert!(source.any().await.is_err(), "too early to ask again");
    source.clock.forward(TimeDelta::seconds(15));
    assert_eq!(source.any().await.unwrap(), 3, "it is back");
}

#[tokio::test]
async fn a_provider_that_was_never_there_is_asked_in_turns_too() {
    let source = Source::new(OPEN);
    source.down.store(true, Ordering::SeqCst);
    for _ in 0..100 {
        assert_eq!(source.any().await.expect_err("down").kind(), ErrorKind::Retry);
    }
    assert_eq!(source.asked(), 1);
    source.down.store(false, Ordering::SeqCst);
    source.clock.forward(TimeDelta::seconds(15));
    assert_eq!(source.any().await.unwrap(), 2);
}

/// Whoever asks and hangs up must not use up the one fetch that is allowed: a key that was rotated in would stay unknown.
#[tokio::test]
async fn a_fetch_ends_though_who_began_it_went_away() {
    let source = Source::new(1);
    source.any().await.unwrap();
    source.clock.forward(TimeDelta::seconds(20));
    {
        let leaving = source.unknown();
        futures::pin_mut!(leaving);
        assert!(futures::poll!(&mut leaving).is_pending());
    }
    source.gate.add_permits(1);
    source.settle().await;
    assert_eq!(source.any().await.unwrap(), 2, "nobody waited for it, and it is there");
    assert_eq!(source.unknown().await, 2);
    assert_eq!(source.asked(), 2);
}

#[tokio::test]
async fn a_clock_that_went_back_leads_to_one_more_fetch_and_to_no_standstill() {
    let source = Source::new(OPEN);
    source.any().await.unwrap();
    source.clock.forward(TimeDelta::seconds(-7200));
    assert_eq!(source.any().await.unwrap(), 2);
    assert_eq!(source.any().await.unwrap(), 2);
}
