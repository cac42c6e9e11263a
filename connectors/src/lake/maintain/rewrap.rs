//! Re-wrapping: a table's key-encryption keys under the newest version of the tenant's key.
//! Promise: the keys themselves stay, so that no manifest and no data file is touched; metadata keeps the form Java reads.

use iceberg::{TableRequirement, TableUpdate, spec::EncryptedKey};

use super::{
    super::{Tables, catalog::Swing},
    Rewrapped,
};
use crate::{
    error::{Error, ErrorKind, Result},
    keys::{EncryptionContext, Keys},
};

const ATTEMPTS_MAX: u32 = 100;

pub async fn rewrap(tables: &Tables, table: &str, keys: &dyn Keys, dry_run: bool) -> Result<Rewrapped> {
    let newest = keys.describe(&tables.key).await?.version;
    for _ in 0..ATTEMPTS_MAX {
        let loaded = tables.catalog.load(&tables.ident(table)).await?;
        let wraps: Vec<EncryptedKey> = loaded
            .metadata()
            .encryption_keys_iter()
            .filter(|key| key.encrypted_by_id() == Some(tables.key.0.as_str()))
            .cloned()
            .collect();
        let mut done = Rewrapped { wraps: wraps.len(), rewrapped: 0 };
        let mut updates = Vec::new();
        for wrap in wraps.iter().filter(|wrap| keys.version_of(wrap.encrypted_key_metadata()) != Some(newest)) {
            let fresh = keys.re_encrypt(&tables.key, wrap.encrypted_key_metadata(), &EncryptionContext::none()).await?;
            // What cannot be opened must not take the place of what can.
            keys.unwrap_key(&fresh, &tables.key.0).await?;
            let fresh = EncryptedKey::builder()
                .key_id(wrap.key_id())
                .encrypted_key_metadata(fresh)
                .encrypted_by_id(tables.key.0.as_str())
                .properties(wrap.properties().clone())
                .build();
            updates.push(TableUpdate::RemoveEncryptionKey { key_id: wrap.key_id().to_owned() });
            updates.push(TableUpdate::AddEncryptionKey { encryption_key: fresh });
            done.rewrapped += 1;
        }
        if updates.is_empty() || dry_run {
            return Ok(done);
        }
        let requirements = vec![TableRequirement::UuidMatch { uuid: loaded.metadata().uuid() }];
        match tables.catalog.swing(&loaded, updates, requirements, None).await {
            Ok(Swing::Landed | Swing::AlreadyCommitted) => return Ok(done),
            Err(error) if matches!(error.kind(), ErrorKind::Retry | ErrorKind::Ambiguous) => continue,
            Err(error) => return Err(error),
        }
    }
    Err(Error::new(ErrorKind::Retry, format!("re-wrapping keys of {table} lost its race {ATTEMPTS_MAX} times; try again later")))
}
