//! The login of new connections, when it was changed at the database and where its secret lies.
//! Promise: connections that stand stay as they are; the next one that is refused logs in with the secret as it is by then.
//! Never: a URL in a log; it may hold the password.

use std::{
    str::FromStr,
    sync::atomic::{AtomicU64, Ordering},
};

use sqlx::{AnyPool, any::AnyConnectOptions};
use tokio::sync::Mutex;

use crate::secrets::{Held, Secret};

#[derive(Debug)]
pub(in crate::store) struct Renewal {
    url: Held,
    /// What connections log in with.
    used: Mutex<Secret>,
    times: AtomicU64,
}

impl Renewal {
    pub fn new(url: Held, used: Secret) -> Self {
        Self { url, used: Mutex::new(used), times: AtomicU64::new(0) }
    }

    /// How often the login was changed.
    pub fn times(&self) -> u64 {
        self.times.load(Ordering::Acquire)
    }

    /// After a refusal, begun when the login had been changed so often: `true` when connections log in otherwise by now, so
    /// that it is worth another try.
    pub async fn renew(&self, pool: &AnyPool, times: u64) -> bool {
        let mut used = self.used.lock().await;
        if self.times() != times {
            return true;
        }
        let other = match self.url.renewed(&used).await {
            Ok(Some(other)) => other,
            Ok(None) => return false,
            Err(error) => {
                tracing::error!(target: "store.login", %error, "PostgreSQL refuses the login, and no other can be read");
                return false;
            }
        };
        match AnyConnectOptions::from_str(other.reveal()) {
            Ok(options) => {
                pool.set_connect_options(options);
                *used = other;
                self.times.fetch_add(1, Ordering::Release);
                tracing::info!(target: "store.login", "the login for PostgreSQL was changed; new connections use it");
                true
            }
            // The driver's own words may repeat a part of the URL.
            Err(_) => {
                tracing::error!(target: "store.login", "PostgreSQL refuses the login, and what store.postgres names now is no URL");
                false
            }
        }
    }
}
