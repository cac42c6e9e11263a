//! What is known of keys' states, and how often the service was asked for what.
//! Promise: a state older than half a minute is asked for anew; what this process changes itself is forgotten at once.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    clock::Clock,
    keys::{KeyId, KeyState},
};

/// A key that someone else disables is used for so long still, at most.
pub const KNOWN_FOR: TimeDelta = TimeDelta::seconds(30);
const KEYS_MAX: usize = 10_000;

#[derive(Debug)]
pub(super) struct Known {
    clock: Arc<dyn Clock>,
    states: Mutex<HashMap<KeyId, (KeyState, DateTime<Utc>)>>,
    calls: Mutex<BTreeMap<&'static str, u64>>,
}

impl Known {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, states: Mutex::default(), calls: Mutex::default() }
    }

    /// The state as it was a short time ago.
    pub(super) fn state(&self, key: &KeyId) -> Option<KeyState> {
        let now = self.clock.now();
        // A clock that was put back knows nothing.
        let fresh = |at: DateTime<Utc>| (TimeDelta::zero()..KNOWN_FOR).contains(&(now - at));
        lock(&self.states).get(key).filter(|(_, at)| fresh(*at)).map(|(state, _)| *state)
    }

    pub(super) fn note(&self, key: &KeyId, state: KeyState) {
        let mut states = lock(&self.states);
        if states.len() >= KEYS_MAX && !states.contains_key(key) {
            states.clear();
        }
        states.insert(key.clone(), (state, self.clock.now()));
    }

    pub(super) fn forget(&self, key: &KeyId) {
        lock(&self.states).remove(key);
    }

    /// One call to the service; a call that is tried again counts once.
    pub(super) fn count(&self, operation: &'static str) {
        *lock(&self.calls).entry(operation).or_default() += 1;
        tracing::debug!(target: "kms.call", operation);
    }

    pub(super) fn calls(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.calls).clone()
    }
}

/// What is behind these locks is changed by one statement each, so a poisoned one is as good as a clean one.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
