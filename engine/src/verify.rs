//! Verify: everything that a lake holds is opened and held against everything that tells of it.
//! Promise: a changed, missing, cut or swapped object is named, with what follows from it and what mends it; the rest is
//! looked at all the same. Memory does not grow with the size of the lake's files.
//! Never: nothing is changed and nothing deleted; what nobody refers to is litter, not damage.

use std::{path::Path, sync::Arc};

use bonded_connectors::{Flaw, store::TenantRecord};
use bonded_schemas::TenantScope;
use serde::Serialize;

use crate::{
    error::{ErrorKind, Result},
    lakehouse::{Lakehouse, Tenant},
};

mod cells;
mod ledger;
mod store;
mod tables;
mod trail;

/// How far to look.
#[derive(Clone, Copy, Debug, Default)]
pub struct Depth {
    /// Only that each object is there, as long as it was, and begins and ends as it should: bytes of files are not read.
    pub quick: bool,
}

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Damage {
    pub tenant: Option<String>,
    pub object: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    pub what: String,
    /// What can no longer be relied on.
    pub follows: String,
    /// Deliveries that it touches, as far as it can be told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deliveries: Vec<String>,
    pub mend: Mend,
}

/// What brings it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mend {
    /// `bonded rebuild` makes it again from the raw zone.
    Rebuild,
    /// Only a backup has it, or who sent it.
    Restore,
}

impl Mend {
    pub fn says(self) -> &'static str {
        match self {
            Mend::Rebuild => "rebuild makes it again from the raw zone",
            Mend::Restore => "restore it from a backup",
        }
    }
}

/// Not damage: what has to be gone on with, or is in nobody's use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Remark {
    pub tenant: String,
    pub object: String,
    pub what: String,
}

/// The whole answer.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Verified {
    pub damage: Vec<Damage>,
    /// Deliveries whose last step is missing; the same command goes on with them.
    pub unfinished: Vec<Remark>,
    /// Objects that nothing refers to: what a lost race or a crash left, or what runs now is about to refer to.
    pub litter: Vec<Remark>,
    /// Tenants of which nothing can be opened, and why.
    pub closed: Vec<Remark>,
    pub tenants: u64,
    pub objects: u64,
    pub bytes: u64,
    pub rows: u64,
}

impl Verified {
    pub(crate) fn tell(&mut self, tenant: Option<&Tenant>, flaw: Flaw, follows: impl Into<String>, mend: Mend) {
        self.tell_of(tenant, flaw, follows, Vec::new(), mend);
    }

    pub(crate) fn tell_of(
        &mut self,
        tenant: Option<&Tenant>,
        flaw: Flaw,
        follows: impl Into<String>,
        deliveries: Vec<String>,
        mend: Mend,
    ) {
        let tenant = tenant.map(|tenant| tenant.scope.tenant().to_string());
        let Flaw { object, place, what } = flaw;
        self.damage.push(Damage { tenant, object, place, what, follows: follows.into(), deliveries, mend });
    }

    fn note(list: &mut Vec<Remark>, tenant: &str, object: impl Into<String>, what: impl Into<String>) {
        list.push(Remark { tenant: tenant.to_owned(), object: object.into(), what: what.into() });
    }
}

/// Told from time to time how far it is: objects looked at, bytes opened.
pub type Watch = Arc<dyn Fn(u64, u64) + Send + Sync>;

/// What keeps a lake from being opened at all, as damage: the keyring or the shared control store.
pub fn closed_house(error: &crate::error::Error) -> Option<Verified> {
    if !matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Refused) {
        return None;
    }
    let text = error.to_string();
    let object = if text.contains("control store") { "control.sqlite" } else { "keyring" };
    let mut verified = Verified::default();
    verified.tell(None, Flaw::new(object, text), "no tenant of the lake can be opened", Mend::Restore);
    Some(verified)
}

/// Everything of these tenants. Tenants are given as scopes, since each opens its own rooms.
pub async fn verify(house: &Lakehouse, scopes: &[TenantScope], depth: Depth, watch: Watch) -> Result<Verified> {
    let mut verified = Verified::default();
    shared(house, &mut verified).await?;
    let anchors = trail::lake(house, &mut verified).await?;
    for scope in scopes {
        verified.tenants += 1;
        match one(house, scope, depth, &watch, &anchors, &mut verified).await {
            Ok(()) => {}
            // A tenant that does not even open is damage of that tenant, and no reason to leave the others out.
            Err(error) if matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Internal | ErrorKind::Input) => {
                let object = format!("tenants/{}/control.sqlite", scope.tenant());
                verified.tell(None, Flaw::new(object, error.to_string()), "the tenant's ledger cannot be read", Mend::Rebuild);
                if let Some(last) = verified.damage.last_mut() {
                    last.tenant = Some(scope.tenant().to_string());
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(verified)
}

/// The shared half of the control store, and the lake's own rules.
async fn shared(house: &Lakehouse, verified: &mut Verified) -> Result<()> {
    let follows = "the list of tenants is not to be trusted";
    match house.control().integrity().await {
        Ok(found) => {
            for what in found {
                verified.tell(None, Flaw::new("control.sqlite", what), follows, Mend::Rebuild);
            }
        }
        Err(error) => verified.tell(None, Flaw::new("control.sqlite", error.to_string()), follows, Mend::Rebuild),
    }
    let known: Vec<String> = match house.tenants().await {
        Ok(known) => known.iter().map(|record| record.tenant.to_string()).collect(),
        Err(error) => {
            verified.tell(None, Flaw::new("control store: tenants", error.to_string()), follows, Mend::Rebuild);
            return Ok(());
        }
    };
    for folder in house.lake.tenant_folders().await?.into_iter().filter(|folder| !known.contains(folder)) {
        let flaw = Flaw::new("control store: tenants", "has no row of a tenant whose folder is in the lake").at(folder);
        verified.tell(None, flaw, "the tenant cannot be opened", Mend::Rebuild);
    }
    if let Err(error) = crate::rules::book(&house.settings) {
        verified.tell(None, Flaw::new("rules.toml", error.to_string()), "checks cannot judge by the lake's rules", Mend::Restore);
    }
    Ok(())
}

async fn one(
    house: &Lakehouse,
    scope: &TenantScope,
    depth: Depth,
    watch: &Watch,
    anchors: &trail::Anchors,
    verified: &mut Verified,
) -> Result<()> {
    let Some((tenant, record)) = opened(house, scope, verified).await? else { return Ok(()) };
    self::record(house, &tenant, &record, verified).await?;
    // Listed before the ledger is read: what lies there then and is in no row has been left behind, or is on its way.
    let objects = house.lake.objects(scope).await?;
    let store = store::read(&tenant, verified).await?;
    let mut run =
        Run { house, tenant: &tenant, depth, watch, store, objects, deliveries: Default::default(), reached: Default::default() };
    run.reached.insert(bonded_connectors::raw::RawZone::tenant_record_path(scope));
    cells::check(&run, verified);
    trail::check(&mut run, anchors, verified).await?;
    ledger::check(&mut run, verified).await?;
    tables::check(&mut run, verified).await?;
    litter(&run, verified);
    // Nothing of it stays open behind the answer.
    tenant.ledger.close().await;
    Ok(())
}

/// One tenant's verification under way.
struct Run<'a> {
    house: &'a Lakehouse,
    tenant: &'a Tenant,
    depth: Depth,
    watch: &'a Watch,
    store: store::Store,
    /// Path and size of all that lies under the tenant's folder.
    objects: Vec<(String, u64)>,
    deliveries: std::collections::BTreeMap<String, ledger::Delivered>,
    /// Paths that something refers to.
    reached: std::collections::BTreeSet<String>,
}

impl Run<'_> {
    fn size(&self, path: &str) -> Option<u64> {
        let at = self.objects.binary_search_by(|(there, _)| there.as_str().cmp(path)).ok()?;
        Some(self.objects[at].1)
    }
}

/// The tenant's rooms and its row; nothing when its key opens nothing any more.
async fn opened(house: &Lakehouse, scope: &TenantScope, verified: &mut Verified) -> Result<Option<(Tenant, TenantRecord)>> {
    let name = scope.tenant().to_string();
    let record = match house.control().tenant(scope.tenant()).await {
        Ok(Some(record)) => record,
        Ok(None) => {
            let flaw = Flaw::new("control store: tenants", "has no row of this tenant").at(name.clone());
            verified.tell(None, flaw, "the tenant cannot be opened", Mend::Rebuild);
            return Ok(None);
        }
        Err(error) => {
            let flaw = Flaw::new("control store: tenants", error.to_string()).at(name.clone());
            verified.tell(None, flaw, "the tenant cannot be opened", Mend::Rebuild);
            return Ok(None);
        }
    };
    match house.tenant(scope).await {
        Ok(tenant) => Ok(Some((tenant, record))),
        Err(error) => {
            use bonded_connectors::keys::KeyState;
            let state = house.key_of(scope.tenant()).await.map(|(_, state)| state);
            match state {
                Ok(state) if state != KeyState::Enabled => {
                    let what = format!("its key is {state}: nothing of it can be opened, and nothing was verified");
                    Verified::note(&mut verified.closed, &name, format!("key {}", record.key_id), what);
                }
                _ if error.kind() == ErrorKind::Retry => return Err(error),
                _ => {
                    let flaw = Flaw::new("control store: tenants", error.to_string()).at(name.clone());
                    verified.tell(None, flaw, "the tenant cannot be opened", Mend::Rebuild);
                }
            }
            Ok(None)
        }
    }
}

/// The row of the tenant against its record in the raw zone.
async fn record(house: &Lakehouse, tenant: &Tenant, row: &TenantRecord, verified: &mut Verified) -> Result<()> {
    let path = bonded_connectors::raw::RawZone::tenant_record_path(&tenant.scope);
    let follows = "without it, rebuild cannot open the raw zone once the control store is lost";
    let kept = match house.raw.tenant_record(&tenant.scope).await {
        Ok(Some(kept)) => kept,
        Ok(None) => {
            verified.tell(Some(tenant), Flaw::new(path, "is missing"), follows, Mend::Restore);
            return Ok(());
        }
        Err(error) => {
            verified.tell(Some(tenant), Flaw::new(path, error.to_string()), follows, Mend::Restore);
            return Ok(());
        }
    };
    if !house.raw.tenant_record_is_whole(&tenant.scope, &tenant.names).await? {
        verified.tell(Some(tenant), Flaw::new(path, "is altered"), follows, Mend::Restore);
    } else if kept.created_at != row.created_at || kept.key_id != row.key_id {
        let flaw =
            Flaw::new("control store: tenants", "is not what the raw zone's record tells").at(tenant.scope.tenant().as_str());
        verified.tell(Some(tenant), flaw, "the list of tenants is not to be trusted", Mend::Rebuild);
    }
    Ok(())
}

fn litter(run: &Run<'_>, verified: &mut Verified) {
    let tenant = run.tenant.scope.tenant().as_str();
    let own = format!("tenants/{tenant}/");
    for (path, size) in &run.objects {
        let name = Path::new(path).file_name().unwrap_or_default().to_string_lossy();
        let of_store = path.strip_prefix(&own).is_some_and(|rest| !rest.contains('/')) && name.starts_with("control.sqlite");
        if !of_store && !run.reached.contains(path) {
            Verified::note(&mut verified.litter, tenant, path.clone(), format!("{size} bytes that nothing refers to"));
        }
    }
}
