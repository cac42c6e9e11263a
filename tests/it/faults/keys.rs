//! The key service's failing double, over the real keyring.

use std::sync::Arc;

use async_trait::async_trait;
use bonded_connectors::{
    Error, ErrorKind, Result,
    keys::{DataKey, EncryptionContext, KeyId, KeyInfo, Keys},
};
use bonded_schemas::TenantId;
use chrono::{DateTime, Utc};
use iceberg::encryption::{GeneratedKey, KeyManagementClient, SensitiveBytes};
use zeroize::Zeroizing;

use super::{Kind, Life};

#[derive(Debug)]
pub struct FaultyKeys {
    pub inner: Arc<dyn Keys>,
    pub life: Arc<Life>,
}

impl FaultyKeys {
    async fn at<T>(&self, door: &str, effect: impl Future<Output = Result<T>>) -> Result<T> {
        let failed = |error| Error::new(ErrorKind::Internal, "key service").with_source(error);
        let fault = self.life.enter(door, Kind::Other, true).await.map_err(failed)?;
        let done = effect.await;
        self.life.leave(door, fault).await.map_err(failed)?;
        done
    }
}

#[async_trait]
impl Keys for FaultyKeys {
    async fn create_key(&self, tenant: &TenantId) -> Result<KeyId> {
        self.at("keys create", self.inner.create_key(tenant)).await
    }

    async fn generate_data_key(&self, key: &KeyId, context: &EncryptionContext) -> Result<DataKey> {
        self.at("keys generate", self.inner.generate_data_key(key, context)).await
    }

    async fn encrypt(&self, key: &KeyId, plaintext: &[u8], context: &EncryptionContext) -> Result<Vec<u8>> {
        self.at("keys encrypt", self.inner.encrypt(key, plaintext, context)).await
    }

    async fn decrypt(&self, key: &KeyId, wrapped: &[u8], context: &EncryptionContext) -> Result<Zeroizing<Vec<u8>>> {
        self.at("keys decrypt", self.inner.decrypt(key, wrapped, context)).await
    }

    async fn re_encrypt(&self, key: &KeyId, wrapped: &[u8], context: &EncryptionContext) -> Result<Vec<u8>> {
        self.at("keys re-encrypt", self.inner.re_encrypt(key, wrapped, context)).await
    }

    async fn rotate(&self, key: &KeyId) -> Result<u32> {
        self.at("keys rotate", self.inner.rotate(key)).await
    }

    async fn disable(&self, key: &KeyId) -> Result<()> {
        self.at("keys disable", self.inner.disable(key)).await
    }

    async fn enable(&self, key: &KeyId) -> Result<()> {
        self.at("keys enable", self.inner.enable(key)).await
    }

    async fn schedule_deletion(&self, key: &KeyId, days: u32) -> Result<DateTime<Utc>> {
        self.at("keys schedule", self.inner.schedule_deletion(key, days)).await
    }

    async fn cancel_deletion(&self, key: &KeyId) -> Result<()> {
        self.at("keys cancel", self.inner.cancel_deletion(key)).await
    }

    async fn describe(&self, key: &KeyId) -> Result<KeyInfo> {
        self.at("keys describe", self.inner.describe(key)).await
    }

    async fn list(&self) -> Result<Vec<KeyInfo>> {
        self.at("keys list", self.inner.list()).await
    }

    async fn check_usable(&self, key: &KeyId) -> Result<()> {
        self.at("keys check", self.inner.check_usable(key)).await
    }

    async fn destroy_due(&self) -> Result<()> {
        self.at("keys destroy due", self.inner.destroy_due()).await
    }

    fn as_iceberg(self: Arc<Self>) -> Arc<dyn KeyManagementClient> {
        self
    }
}

impl FaultyKeys {
    async fn at_iceberg<T>(&self, door: &str, effect: impl Future<Output = iceberg::Result<T>>) -> iceberg::Result<T> {
        let failed = |error| iceberg::Error::new(iceberg::ErrorKind::Unexpected, "key service").with_source(error);
        let fault = self.life.enter(door, Kind::Other, true).await.map_err(failed)?;
        let done = effect.await;
        self.life.leave(door, fault).await.map_err(failed)?;
        done
    }
}

#[async_trait]
impl KeyManagementClient for FaultyKeys {
    async fn wrap_key(&self, key: &[u8], wrapping_key_id: &str) -> iceberg::Result<Vec<u8>> {
        self.at_iceberg("keys wrap", self.inner.wrap_key(key, wrapping_key_id)).await
    }

    async fn unwrap_key(&self, wrapped_key: &[u8], wrapping_key_id: &str) -> iceberg::Result<SensitiveBytes> {
        self.at_iceberg("keys unwrap", self.inner.unwrap_key(wrapped_key, wrapping_key_id)).await
    }

    fn supports_key_generation(&self) -> bool {
        self.inner.supports_key_generation()
    }

    async fn generate_key(&self, wrapping_key_id: &str) -> iceberg::Result<GeneratedKey> {
        self.inner.generate_key(wrapping_key_id).await
    }
}
