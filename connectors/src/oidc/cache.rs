//! What a provider publishes, kept for a while: its keys, its metadata.
//! Promise: one fetch at a time that all wait for, never more often than set, and it ends though who began it went away;
//! what was had stays in use while the provider is down, for a bounded time.
//! Never: a flood of made-up key names reaches the provider.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};

use crate::{Error, ErrorKind, Result, clock::Clock};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// Older than this it is asked for again before it is used; older than half of it, beside its use.
    pub fresh: Duration,
    /// At least so long between two fetches, also for a key that nobody knows.
    pub retry: Duration,
    /// While the provider cannot be reached, what is older than this is not used any more.
    pub stale_max: Duration,
}

pub(super) type Fetch<T> = Box<dyn Fn() -> BoxFuture<'static, Result<T>> + Send + Sync>;
type Flight = Shared<BoxFuture<'static, ()>>;

pub(super) struct Cached<T>(Arc<Inner<T>>);

struct Inner<T> {
    what: String,
    times: Times,
    clock: Arc<dyn Clock>,
    fetch: Fetch<T>,
    state: Mutex<State<T>>,
}

struct State<T> {
    held: Option<(Arc<T>, DateTime<Utc>)>,
    tried_at: Option<DateTime<Utc>>,
    failure: Option<String>,
    flight: Option<Flight>,
}

impl<T> Clone for Cached<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> fmt::Debug for Cached<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cached({})", self.0.what)
    }
}

impl<T: Send + Sync + 'static> Cached<T> {
    pub fn new(what: String, times: Times, clock: Arc<dyn Clock>, fetch: Fetch<T>) -> Self {
        let state = Mutex::new(State { held: None, tried_at: None, failure: None, flight: None });
        Self(Arc::new(Inner { what, times, clock, fetch, state }))
    }

    /// The newest that may be used. Where it does not do (`does`), the provider is asked, if it may be asked again already;
    /// the answer may not do either.
    pub async fn get(&self, does: impl Fn(&T) -> bool) -> Result<Arc<T>> {
        let flight = {
            let now = self.0.clock.now();
            let mut state = self.0.state();
            let held = state.held.as_ref().map(|(held, at)| (held.clone(), age(*at, now)));
            match held {
                Some((held, Some(age))) if age <= self.0.times.fresh && does(&held) => {
                    if age > self.0.times.fresh / 2 {
                        self.ask(&mut state, now);
                    }
                    return Ok(held);
                }
                _ => self.ask(&mut state, now),
            }
        };
        if let Some(flight) = flight {
            flight.await;
        }
        self.0.newest()
    }

    /// The fetch that is under way, or one that begins; `None` where it is too early for another.
    fn ask(&self, state: &mut State<T>, now: DateTime<Utc>) -> Option<Flight> {
        if let Some(flight) = &state.flight {
            return Some(flight.clone());
        }
        let early = state.tried_at.and_then(|at| age(at, now)).is_some_and(|age| age < self.0.times.retry);
        if early {
            return None;
        }
        state.tried_at = Some(now);
        // A task of its own, so that who asked may go away: their going must not use up the one try that is allowed.
        let task = tokio::spawn(Inner::land(self.0.clone()));
        let flight = async move { task.await.unwrap_or_default() }.boxed().shared();
        state.flight = Some(flight.clone());
        Some(flight)
    }
}

impl<T> Inner<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        // No step under the lock can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn land(self: Arc<Self>) {
        let landing = Landing(&self);
        let got = (self.fetch)().await;
        let now = self.clock.now();
        let mut state = self.state();
        match got {
            Ok(got) => (state.held, state.failure) = (Some((Arc::new(got), now)), None),
            Err(error) => {
                tracing::warn!(what = %self.what, %error, "identity provider does not answer");
                state.failure = Some(error.to_string());
            }
        }
        drop(state);
        drop(landing);
    }

    fn newest(&self) -> Result<Arc<T>> {
        let now = self.clock.now();
        let state = self.state();
        match &state.held {
            Some((held, at)) if age(*at, now).is_none_or(|age| age <= self.times.stale_max) => Ok(held.clone()),
            _ => {
                let why = state.failure.clone().unwrap_or_else(|| "no answer yet".into());
                Err(Error::new(ErrorKind::Retry, format!("the {} cannot be had; try again: {why}", self.what)))
            }
        }
    }
}

/// Clears the flight however the fetch ends.
struct Landing<'a, T>(&'a Inner<T>);

impl<T> Drop for Landing<'_, T> {
    fn drop(&mut self) {
        self.0.state().flight = None;
    }
}

/// `None` where the clock went back since.
fn age(at: DateTime<Utc>, now: DateTime<Utc>) -> Option<Duration> {
    (now - at).to_std().ok()
}
