//! `rebuild`: catalog, ledger and tables from the raw zone, in place or in a new folder.

use std::path::{Path, PathBuf};

use bonded_connectors::lake::{is_s3, lake_folder, open_store};
use bonded_schemas::TenantId;

use super::{
    args,
    output::{Output, table},
    progress::spinning,
    scope,
};
use crate::{
    error::{Error, ErrorKind, Result},
    lakehouse::{Doors, Lakehouse},
    rebuild::{Rebuilt, Standing, rebuild as run, standing},
    settings::{KeyProvider, Settings},
};

pub async fn rebuild(settings: Settings, doors: Doors, args: &args::Rebuild, output: &Output) -> Result<u8> {
    if is_s3(&settings.lake) {
        return in_bucket(settings, doors, args, output).await;
    }
    if settings.keys.provider == KeyProvider::Aws {
        return Err(Error::setup(
            "a lake in a folder is rebuilt with the keyring that it was made with: set keys.provider to keyring",
        ));
    }
    let keys = settings.keys_dir()?;
    if !keys.join("keyring.json").is_file() {
        return Err(Error::setup(format!("no keyring in {}; restore it first: nothing opens without it", keys.display())));
    }
    let source = settings.lake.clone();
    let folder = lake_folder(&source)?;
    if !folder.join("tenants").is_dir() {
        return Err(Error::setup(format!("no raw zone under {}; name the lake with --lake", folder.display())));
    }
    let mut target = settings;
    if let Some(to) = &args.to {
        target.lake = to.clone();
        target.keys.dir = Some(keys.clone());
    }
    let (from, _) = open_store(&source)?;
    let (house, _) = Lakehouse::init(target, doors).await?;
    let mut all = Vec::new();
    for tenant in tenants(&folder, args.tenant.as_ref())? {
        let scope = scope(tenant);
        if args.to.is_some() {
            house.raw.take_over(&scope, from.as_ref()).await?;
            copy_rules(&folder, &lake_folder(&house.settings.lake)?)?;
        }
        house.adopt_tenant(&scope).await?;
        if args.replace {
            set_aside(&house, &scope, &folder).await?;
        }
        let tenant = house.tenant(&scope).await?;
        all.push(spinning("rebuilding", run(&house, &tenant, &|_, _| {})).await?);
    }
    let left_out = all.iter().any(|rebuilt| !rebuilt.left_out.is_empty());
    output.list(&all, || text(&all))?;
    if let Some(to) = &args.to {
        output.remark(&format!("the keys stay in {}: use --lake {to} with BONDED_KEYS_DIR={0}", keys.display()));
    }
    Ok(if left_out { ErrorKind::Damaged.exit_code() } else { 0 })
}

/// In place, into a control store that has nothing of these tenants yet. Tables of before become orphans, which a sweep finds.
async fn in_bucket(settings: Settings, doors: Doors, args: &args::Rebuild, output: &Output) -> Result<u8> {
    if args.to.is_some() || args.replace {
        return Err(Error::input(
            "--to and --replace move the files of a lake in a folder; one in a bucket is rebuilt in place, into an empty control store",
        ));
    }
    let (house, _) = Lakehouse::init_anew(settings, doors).await?;
    let mut all = Vec::new();
    for name in house.lake.tenant_folders().await? {
        let scope = scope(name.parse()?);
        if args.tenant.as_ref().is_some_and(|one| one != scope.tenant()) || house.raw.tenant_record(&scope).await?.is_none() {
            continue;
        }
        house.adopt_tenant(&scope).await?;
        let tenant = house.tenant(&scope).await?;
        all.push(spinning("rebuilding", run(&house, &tenant, &|_, _| {})).await?);
    }
    if let (Some(tenant), true) = (&args.tenant, all.is_empty()) {
        return Err(Error::new(ErrorKind::Refused, format!("no raw zone of a tenant `{tenant}` in this lake")));
    }
    let left_out = all.iter().any(|rebuilt| !rebuilt.left_out.is_empty());
    output.list(&all, || text(&all))?;
    Ok(if left_out { ErrorKind::Damaged.exit_code() } else { 0 })
}

/// The named tenant, or all that have a folder in the lake.
fn tenants(lake: &Path, one: Option<&TenantId>) -> Result<Vec<TenantId>> {
    let cannot = |error| Error::setup(format!("cannot list {}", lake.display())).with_source(error);
    let mut found: Vec<TenantId> = Vec::new();
    for entry in std::fs::read_dir(lake.join("tenants")).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        if entry.path().join("raw").is_dir() {
            found.push(entry.file_name().to_string_lossy().parse()?);
        }
    }
    found.sort();
    match one {
        Some(tenant) if found.contains(tenant) => Ok(vec![tenant.clone()]),
        Some(tenant) => Err(Error::new(ErrorKind::Refused, format!("no raw zone of a tenant `{tenant}` in this lake"))),
        None => Ok(found),
    }
}

fn copy_rules(from: &Path, to: &Path) -> Result<()> {
    let (from, to) = (from.join("rules.toml"), to.join("rules.toml"));
    if from.is_file() && !to.exists() {
        std::fs::copy(&from, &to).map_err(|error| Error::setup(format!("cannot copy {}", from.display())).with_source(error))?;
    }
    Ok(())
}

/// What stood there before is moved out of the way, tables first, and kept; a rebuild that was begun is left to go on.
async fn set_aside(house: &Lakehouse, scope: &bonded_schemas::TenantScope, lake: &Path) -> Result<()> {
    if house.settings.store.postgres.is_some() {
        let message = "--replace moves SQLite files; with PostgreSQL rename the tenant's schema first, to a name that does not begin \
                       with bonded, then rebuild with store.postgres_owner";
        return Err(Error::input(message));
    }
    let tenant = house.tenant(scope).await;
    if let Ok(tenant) = &tenant {
        let found = standing(tenant).await;
        tenant.ledger.close().await;
        if matches!(found, Ok(Standing::Fresh | Standing::Begun)) {
            return Ok(());
        }
    }
    let own = PathBuf::from("tenants").join(scope.tenant().as_str());
    let aside = lake.join(format!("replaced-{}", house.clock.now().format("%Y%m%dT%H%M%S%3fZ"))).join(&own);
    let cannot = |error| Error::setup(format!("cannot move to {}", aside.display())).with_source(error);
    std::fs::create_dir_all(&aside).map_err(cannot)?;
    for name in ["warehouse", "control.sqlite-wal", "control.sqlite-shm", "control.sqlite"] {
        let from = lake.join(&own).join(name);
        if from.exists() {
            std::fs::rename(&from, aside.join(name)).map_err(cannot)?;
        }
    }
    Ok(())
}

fn text(all: &[Rebuilt]) -> String {
    let mut out = table(
        ["tenant", "deliveries", "committed", "quarantined", "containers", "rows", "decisions", "left out"],
        all.iter().map(|r| {
            let counts = [r.deliveries, r.committed, r.quarantined, r.unpacked, r.rows, r.decisions, r.left_out.len() as u64];
            let [deliveries, committed, quarantined, unpacked, rows, decisions, left_out] = counts.map(|count| count.to_string());
            [r.tenant.clone(), deliveries, committed, quarantined, unpacked, rows, decisions, left_out]
        }),
    );
    for left in all.iter().flat_map(|rebuilt| &rebuilt.left_out) {
        out.push_str(&format!("\nleft out {}: {}", left.object, left.why));
    }
    out
}
