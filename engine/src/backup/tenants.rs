//! The tenants of a backup, and whether their keys answer where the keys lie at a service of their own.
//! Promise: nothing is restored before every key was seen to open what it wrapped, or its tenant is left out by name.

use std::io::BufRead;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bonded_connectors::{
    keys::{KeyId, Keys},
    seal::TenantSecret,
    store::{TenantRecord, identity::LakeRecord},
};
use bonded_schemas::{TenantId, TenantScope};

use super::SHARED;
use crate::{
    error::{Error, ErrorKind, Result},
    lakehouse::unwrapped,
    settings::Settings,
};

/// What the shared half of a saved control store tells of keys.
#[derive(Debug, Default)]
pub(super) struct Records {
    pub tenants: Vec<TenantRecord>,
    pub lake: Option<LakeRecord>,
}

impl Records {
    pub(super) fn read(lines: &mut dyn BufRead) -> Result<Self> {
        let mut found = Self::default();
        for line in lines.lines() {
            let line = line.map_err(|error| Error::input(format!("cannot read {SHARED} of the backup")).with_source(error))?;
            let line: serde_json::Value = serde_json::from_str(&line)?;
            let cell = |name: &str| line["row"][name].as_str().unwrap_or_default().to_owned();
            match line["table"].as_str() {
                Some("tenants") => found.tenants.push(TenantRecord {
                    tenant: cell("tenant").parse()?,
                    key_id: cell("key_id"),
                    wrapped_secret: cell("wrapped_secret"),
                    created_at: cell("created_at"),
                }),
                Some("lake_identity") => {
                    found.lake = Some(LakeRecord {
                        key_id: cell("key_id"),
                        wrapped_secret: cell("wrapped_secret"),
                        public_key: cell("public_key"),
                        created_at: cell("created_at"),
                    });
                }
                _ => {}
            }
        }
        Ok(found)
    }

    /// The tenants whose keys open; those that were left out, or destroyed before the backup was taken, are not asked.
    ///
    /// # Errors
    /// The key service's own, with the tenant and what may be done.
    pub(super) async fn answering(
        &self,
        settings: &Settings,
        keys: &dyn Keys,
        left_out: &[TenantId],
        destroyed: &[KeyId],
        scope: &(dyn Fn(TenantId) -> TenantScope + Send + Sync),
    ) -> Result<Vec<(TenantId, KeyId)>> {
        if let Some(unknown) = left_out.iter().find(|tenant| !self.tenants.iter().any(|record| record.tenant == **tenant)) {
            return Err(Error::input(format!("the backup has no tenant `{unknown}` that could be left out")));
        }
        if let Some(record) = &self.lake {
            unwrapped(keys, record).await.map_err(|error| silent("the lake itself", &record.key_id, error))?;
        }
        let residency = settings.aws.residency()?;
        let mut answering = Vec::new();
        for record in &self.tenants {
            let (tenant, key) = (record.tenant.clone(), KeyId(record.key_id.clone()));
            if left_out.contains(&tenant) || destroyed.contains(&key) {
                continue;
            }
            residency.named(&format!("the key of tenant {tenant}"), &key.0)?;
            let wrapped = STANDARD
                .decode(&record.wrapped_secret)
                .map_err(|error| Error::new(ErrorKind::Damaged, format!("the record of tenant {tenant}")).with_source(error))?;
            let opened = TenantSecret::unwrap(&scope(tenant.clone()), keys, &key, &wrapped).await;
            opened.map_err(|error| {
                silent(&format!("tenant {tenant} (or leave it out: --without {tenant})"), &record.key_id, error.into())
            })?;
            answering.push((tenant, key));
        }
        Ok(answering)
    }
}

fn silent(whose: &str, key: &str, error: Error) -> Error {
    let message = format!("keys at AWS are in no backup, so the very same ones must open: key `{key}` of {whose} does not");
    Error::new(error.kind(), message).with_source(error)
}
