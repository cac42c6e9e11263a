//! How many messages are taken in at once, in all and for one owner: each holds some blocks of memory while it lands.
//! Promise: who holds one recipient's address cannot keep the mail of another waiting for ever: a group has its own share.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

#[derive(Debug)]
pub(super) struct Landings {
    all: Arc<Semaphore>,
    of_group_max: usize,
    groups: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// A place for each group of one message.
#[derive(Debug)]
pub(super) struct Places {
    _of_groups: Vec<OwnedSemaphorePermit>,
    _of_all: OwnedSemaphorePermit,
}

impl Landings {
    pub fn new(all: usize, of_group_max: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(all)), of_group_max, groups: Mutex::default() }
    }

    /// Waits for the places; `None` when there were none in time. `groups` are sorted, so that two messages for the same
    /// ones do not wait for each other.
    pub async fn take(&self, groups: &[String], within: Duration) -> Option<Places> {
        let until = Instant::now() + within;
        let mut of_groups = Vec::with_capacity(groups.len());
        for group in groups {
            let place = timeout_at(until, self.of_group(group).acquire_owned()).await.ok()?.ok()?;
            of_groups.push(place);
        }
        let count = u32::try_from(groups.len()).ok()?;
        let of_all = timeout_at(until, self.all.clone().acquire_many_owned(count)).await.ok()?.ok()?;
        Some(Places { _of_groups: of_groups, _of_all: of_all })
    }

    fn of_group(&self, group: &str) -> Arc<Semaphore> {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that nobody holds a place of are as good as new ones.
        groups.retain(|_, places| Arc::strong_count(places) > 1 || places.available_permits() < self.of_group_max);
        groups.entry(group.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(self.of_group_max))).clone()
    }
}
