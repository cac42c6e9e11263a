//! Which catalog a lake in a bucket has, as the lake itself tells: settings that say otherwise open nothing.
//! Promise: two catalogs never lead the same lake, and no copy of a lake moves the pointers of the lake that it is a copy of.
//! Never: what a lake tells of its catalog is changed where a control store has tenants.

use bonded_connectors::{
    lake::{CatalogRecord, S3},
    store::ControlStore,
};
use bonded_schemas::TenantScope;

use super::Lakehouse;
use crate::{
    error::{Error, ErrorKind, Result},
    settings::{CatalogKind, Settings},
};

/// What the house is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Use,
    /// A lake that is new, or came back here, is given its catalog.
    Found,
    /// The pointers are made anew: by any catalog, as long as the control store knows of none.
    Rebuild,
}

/// As the settings have it; nothing where it is the control store.
fn wanted(settings: &Settings) -> Option<CatalogRecord> {
    let database = settings.catalog.database.clone();
    (settings.catalog.kind == CatalogKind::Glue).then(|| CatalogRecord { kind: "glue".into(), database })
}

/// Whether the settings name the catalog that the lake has.
///
/// # Errors
/// `Setup` when they name another, or, where it is not founded here, the lake tells of none.
pub(super) async fn check(settings: &Settings, bucket: &S3, purpose: Purpose, control: &ControlStore) -> Result<()> {
    let (recorded, wanted) = (bucket.recorded_catalog().await?, wanted(settings));
    if recorded == wanted || (purpose == Purpose::Rebuild && control.tenants().await?.is_empty()) {
        return Ok(());
    }
    match (recorded, wanted) {
        (Some(recorded), _) => Err(another(bucket, &recorded, settings)),
        (None, Some(_)) if purpose != Purpose::Use => Ok(()),
        (None, wanted) => {
            let database = wanted.map(|wanted| wanted.database).unwrap_or_default();
            Err(Error::setup(format!(
                "the lake at {} does not tell of the catalog that the settings name, the Glue database `{database}`: run `bonded init`",
                bucket.root()
            )))
        }
    }
}

/// Before a lake comes back into the bucket: one that lay there may tell of its catalog.
pub(crate) async fn check_restored(settings: &Settings, bucket: &S3) -> Result<()> {
    match bucket.recorded_catalog().await? {
        Some(recorded) if Some(&recorded) != wanted(settings).as_ref() => Err(another(bucket, &recorded, settings)),
        _ => Ok(()),
    }
}

fn another(bucket: &S3, recorded: &CatalogRecord, settings: &Settings) -> Error {
    let named = match wanted(settings) {
        Some(wanted) => format!("the Glue database `{}`", wanted.database),
        None => "the control store".to_owned(),
    };
    Error::setup(format!(
        "the tables of the lake at {} have their pointers in the Glue database `{}`, and the settings name {named}: \
         set catalog.kind = \"{}\" and catalog.database = \"{1}\"",
        bucket.root(),
        recorded.database,
        recorded.kind
    ))
}

impl Lakehouse {
    /// Writes down which catalog the lake has, once all pointers are in it.
    pub(crate) async fn record_catalog(&self) -> Result<()> {
        let Some(bucket) = self.lake.bucket() else { return Ok(()) };
        let (recorded, wanted) = (bucket.recorded_catalog().await?, wanted(&self.settings));
        if recorded == wanted {
            return Ok(());
        }
        if recorded.is_some() {
            // Only a rebuild comes here, into a control store that knows of no pointer.
            bucket.forget_catalog().await?;
        }
        match wanted {
            Some(wanted) => Ok(bucket.record_catalog(&wanted).await?),
            None => Ok(()),
        }
    }

    /// Has a catalog beside the control store point at the scope's tables where it points at nothing: of a lake that was
    /// restored, or whose pointers someone took away. A tenant that does not open is left as it is.
    ///
    /// # Errors
    /// `Refused` when pointers are there that are of the lake that this one is a copy of.
    pub(crate) async fn put_pointers_back(&self, scope: &TenantScope) -> Result<()> {
        if self.lake.pointers().is_none() {
            return Ok(());
        }
        let tenant = match self.tenant(scope).await {
            Ok(tenant) => tenant,
            Err(error) if error.kind() == ErrorKind::Refused => return Ok(()),
            Err(error) => return Err(error),
        };
        let may_be_anothers = match self.lake.bucket() {
            // By the root that both go by, the pointers of a copy and those of the lake itself look the same.
            Some(bucket) if self.lake.is_moved() => bucket.recorded_catalog().await?.is_none(),
            _ => false,
        };
        let made = tenant.tables.put_back(may_be_anothers).await?;
        if made > 0 {
            tenant.audit(self.clock.as_ref(), "catalog.put_back", scope.tenant().as_str(), &format!("{made} pointers")).await?;
        }
        tenant.ledger.close().await;
        Ok(())
    }
}
