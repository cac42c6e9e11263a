//! The halves of a control store on their way back out of a backup.
//! Promise: a half goes in whole or not at all; one that an earlier restore put there already, and nobody changed, is left
//! as it is, so that a restore that was cut short goes on. The shared half is last: who is not in it has no lake.
//! Never: a row is put beside rows of another lake.

use std::{
    io::{BufRead as _, BufReader},
    sync::Arc,
};

use bonded_connectors::{
    aws::Account,
    clock::Clock,
    seal::ProofKey,
    secrets::Vault,
    store::{ControlStore, Place, identity::LakeRecord},
};
use bonded_schemas::{TenantId, TenantScope};

use super::{CONTROL, Manifest, SHARED, restore::Asked, tenants::Records};
use crate::{
    error::{Error, Result},
    lakehouse::{generated, key_service, unwrapped},
    settings::{KeyProvider, Settings},
};

/// A part of the saved control store.
pub(super) fn saved(asked: &Asked, name: &str) -> Result<BufReader<std::fs::File>> {
    let path = asked.from.join(CONTROL).join(name);
    let file = std::fs::File::open(&path);
    Ok(BufReader::new(file.map_err(|error| Error::input(format!("cannot read {}", path.display())).with_source(error))?))
}

/// How many rows the backup holds.
pub(super) fn counted(asked: &Asked, manifest: &Manifest) -> Result<u64> {
    let mut rows = 0;
    for name in manifest.tenants.iter().map(half_of).chain([SHARED.to_owned()]) {
        rows += saved(asked, &name)?.lines().count() as u64;
    }
    Ok(rows)
}

fn half_of(tenant: &TenantId) -> String {
    format!("{tenant}.jsonl")
}

pub(super) struct Halves<'a> {
    control: ControlStore,
    asked: &'a Asked,
    manifest: &'a Manifest,
    scope: &'a (dyn Fn(TenantId) -> TenantScope + Send + Sync),
    founded: Option<(LakeRecord, ProofKey)>,
}

impl<'a> Halves<'a> {
    pub(super) async fn open(
        settings: &Settings,
        vault: &Vault,
        clock: Arc<dyn Clock>,
        asked: &'a Asked,
        manifest: &'a Manifest,
        place: Place,
        scope: &'a (dyn Fn(TenantId) -> TenantScope + Send + Sync),
    ) -> Result<Self> {
        let mut control = ControlStore::create(place).await?;
        let mut founded = None;
        if control.asks_for_proof() {
            let account = match settings.keys.provider {
                KeyProvider::Aws => Some(Account::open(settings.aws.reach()).await?),
                KeyProvider::Keyring => None,
            };
            let (keys, _) = key_service(settings, vault, account.as_ref(), clock.clone()).await?;
            let secret = match Records::read(&mut saved(asked, SHARED)?)?.lake {
                Some(record) => unwrapped(keys.as_ref(), &record).await?,
                // Backed up before the lake needed a key of its own.
                None => {
                    let (secret, record) = generated(keys.as_ref(), clock.as_ref()).await?;
                    founded = Some((record, secret.proofs()));
                    secret
                }
            };
            control = control.prove(&secret.proofs()).await?;
        }
        Ok(Self { control, asked, manifest, scope, founded })
    }

    /// # Errors
    /// `Refused` unless each half is empty, or holds just what is to be there.
    pub(super) async fn ask(&self) -> Result<()> {
        for tenant in &self.manifest.tenants {
            let store = self.control.make_tenant(&(self.scope)(tenant.clone())).await?;
            let held = store.holds(&mut saved(self.asked, &half_of(tenant))?).await;
            store.close().await;
            held?;
        }
        self.control.holds(&mut saved(self.asked, SHARED)?).await?;
        Ok(())
    }

    /// Answers how many rows are there.
    pub(super) async fn load(self) -> Result<u64> {
        let mut rows = 0;
        for tenant in &self.manifest.tenants {
            let store = self.control.make_tenant(&(self.scope)(tenant.clone())).await?;
            let name = half_of(tenant);
            rows += match store.holds(&mut saved(self.asked, &name)?).await? {
                Some(held) => held,
                None => store.load(&mut saved(self.asked, &name)?).await?,
            };
            store.close().await;
        }
        rows += match self.control.holds(&mut saved(self.asked, SHARED)?).await? {
            Some(held) => held,
            None => self.control.load(&mut saved(self.asked, SHARED)?).await?,
        };
        if let Some((record, proofs)) = self.founded {
            self.control.put_lake_record(&record, &proofs).await?;
        }
        self.control.close().await;
        Ok(rows)
    }
}
