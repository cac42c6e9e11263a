//! A process-wide cache of unwrapped table keys.
//! iceberg's own KEK cache lives in each loaded table, so without this one every table load asks the KMS again.
//! Promise: a key that is disabled or deleted opens nothing here either: its state is asked at each use.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use iceberg::{
    Result,
    encryption::{GeneratedKey, KeyManagementClient, SensitiveBytes},
};

use crate::keys::{KeyId, Keys};

/// How long an unwrapped key stays in memory.
const AGE_MAX: Duration = Duration::from_secs(300);
const ENTRIES_MAX: usize = 10_000;

type Wrapped = (String, Vec<u8>);

pub struct KekCache {
    keys: Arc<dyn Keys>,
    entries: Mutex<HashMap<Wrapped, (SensitiveBytes, Instant)>>,
    misses: AtomicU64,
}

impl fmt::Debug for KekCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KekCache({} misses)", self.misses())
    }
}

impl KekCache {
    pub fn new(keys: Arc<dyn Keys>) -> Self {
        Self { keys, entries: Mutex::default(), misses: AtomicU64::new(0) }
    }

    pub fn misses(&self) -> u64 {
        self.misses.load(Ordering::Relaxed)
    }

    /// Forgets everything, so that a key just disabled opens nothing here.
    pub fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Wrapped, (SensitiveBytes, Instant)>> {
        // A panic elsewhere cannot leave a half-made entry, so a poisoned lock is as good as a clean one.
        self.entries.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[async_trait]
impl KeyManagementClient for KekCache {
    async fn wrap_key(&self, key: &[u8], wrapping_key_id: &str) -> Result<Vec<u8>> {
        self.keys.wrap_key(key, wrapping_key_id).await
    }

    async fn unwrap_key(&self, wrapped_key: &[u8], wrapping_key_id: &str) -> Result<SensitiveBytes> {
        let entry = (wrapping_key_id.to_owned(), wrapped_key.to_vec());
        if let Err(error) = self.keys.check_usable(&KeyId(wrapping_key_id.to_owned())).await {
            self.lock().retain(|(key, _), _| key != wrapping_key_id);
            return Err(crate::keys::for_iceberg(error));
        }
        if let Some((key, since)) = self.lock().get(&entry)
            && since.elapsed() < AGE_MAX
        {
            return Ok(key.clone());
        }
        self.misses.fetch_add(1, Ordering::Relaxed);
        let key = self.keys.unwrap_key(wrapped_key, wrapping_key_id).await?;
        let mut entries = self.lock();
        if entries.len() >= ENTRIES_MAX {
            entries.retain(|_, (_, since)| since.elapsed() < AGE_MAX);
        }
        if entries.len() < ENTRIES_MAX {
            entries.insert(entry, (key.clone(), Instant::now()));
        }
        Ok(key)
    }

    fn supports_key_generation(&self) -> bool {
        self.keys.supports_key_generation()
    }

    async fn generate_key(&self, wrapping_key_id: &str) -> Result<GeneratedKey> {
        self.keys.generate_key(wrapping_key_id).await
    }
}
