//! `backup` and `restore`: what is kept apart from the lake, and a lake made of it.

use super::{args, output::Output, progress::spinning, scope, which};
use crate::{
    audit::{Change, keep},
    backup::{Asked, Manifest, Restored, backup as take, passphrase, restore as put_back},
    error::{ErrorKind, Result},
    lakehouse::{Doors, Lakehouse},
    settings::{KeyProvider, Settings},
    verify::{Depth, verify},
};

pub async fn backup(house: &Lakehouse, args: &args::Backup, output: &Output) -> Result<u8> {
    let scopes: Vec<_> = which(house, None).await?.into_iter().map(scope).collect();
    // Asked for first: a backup whose keys then fail for want of a passphrase would look whole.
    let source = match args.keys_to {
        Some(_) => Some(passphrase(&house.settings, &house.secrets).await?),
        None => None,
    };
    let manifest = spinning("backing up", take(house, &scopes, &args.to, args.copy)).await?;
    let keys = match (&args.keys_to, source) {
        (Some(dir), Some(source)) => Some(house.keyring()?.export(dir, &source)?),
        _ => None,
    };
    let told = serde_json::json!({ "tenants": manifest.tenants, "objects": manifest.objects, "keys_copied": keys.as_ref().map(|keys| keys.keys) });
    house.audit_change(super::actor(), "backup", "lake", "done", Change::made(&told)?).await?;
    let body = serde_json::json!({ "backup": manifest, "keys": keys.as_ref().map(|keys| keys.keys) });
    output.object(&body, || text(&manifest, &args.to))?;
    match keys {
        Some(keys) => output.remark(&format!(
            "{} keys, {} tombstones in the key folder; keep it apart from the backup",
            keys.keys,
            keys.destroyed.len()
        )),
        None => output.remark("the keys are not in it; without a copy of them (--keys-to) no backup can be read"),
    }
    Ok(0)
}

fn text(manifest: &Manifest, to: &std::path::Path) -> String {
    let what = if manifest.copied { "copied" } else { "referred to where they are" };
    format!(
        "backup of {} tenants in {}: {} objects, {:.1} MB, {what}",
        manifest.tenants.len(),
        to.display(),
        manifest.objects,
        manifest.object_bytes as f64 / 1e6
    )
}

pub async fn restore(mut settings: Settings, doors: Doors, args: &args::Restore, output: &Output) -> Result<u8> {
    if let Some(to) = &args.to {
        settings.lake = to.clone();
    }
    let asked = Asked {
        from: args.from.clone(),
        keys_from: args.keys_from.clone(),
        newer: args.newer.clone(),
        without: args.without.clone(),
        is_store_lost: args.control_store_lost,
    };
    let restored = spinning("restoring", put_back(&settings, doors.clock.clone(), &asked, &scope)).await?;
    if settings.keys.provider == KeyProvider::Aws && settings.keys.lake.is_none() && restored.root != settings.lake {
        let named = Settings::keys_lake_of(&restored.root);
        output.remark(&format!(
            "the tenants' keys stay named by the lake that was backed up: set keys.lake as it was there, to `{named}` where it was not set"
        ));
    }
    let damaged = check(settings, doors, &restored, args.control_store_lost, output).await?;
    output.object(&restored, || said(&restored))?;
    Ok(if damaged { ErrorKind::Damaged.exit_code() } else { 0 })
}

fn said(restored: &Restored) -> String {
    format!(
        "restored {} as of {}: {} tenants, {} objects, {:.1} MB, {} rows of the control store, {} keys",
        restored.lake,
        restored.taken_at,
        restored.tenants.len(),
        restored.objects,
        restored.bytes as f64 / 1e6,
        restored.rows,
        restored.keys
    )
}

/// A first look, as far as the keys allow.
async fn check(settings: Settings, doors: Doors, restored: &Restored, is_store_lost: bool, output: &Output) -> Result<bool> {
    if settings.keys.provider == KeyProvider::Keyring && !settings.keys_dir()?.join("keyring.json").is_file() {
        output.remark("no keyring is there: restore it (--keys-from), then run `bonded verify`");
        return Ok(false);
    }
    let house = Lakehouse::open_restored(settings, doors).await?;
    let scopes: Vec<_> = restored.tenants.iter().cloned().map(scope).collect();
    if is_store_lost {
        let told = serde_json::json!({ "taken_at": restored.taken_at, "control_store_lost": true });
        house.audit_change(super::actor(), "restore", "lake", "done", Change::made(&told)?).await?;
    }
    for scope in &scopes {
        house.put_pointers_back(scope).await?;
    }
    house.record_catalog().await?;
    let verified = verify(&house, &scopes, Depth { quick: true }, std::sync::Arc::new(|_, _| {})).await?;
    for scope in &scopes {
        // A tenant whose key stays destroyed has no trail to write to.
        if let Ok(tenant) = house.tenant(scope).await {
            keep::settle(&tenant).await?;
            tenant.audit(house.clock.as_ref(), "restore", &restored.taken_at, "done").await?;
        }
    }
    for damage in &verified.damage {
        output.remark(&format!("{}: {}", damage.object, damage.what));
    }
    for tenant in &restored.left_out {
        output.remark(&format!("tenant {tenant}: its key does not open, so nothing of it but sealed rows was restored"));
    }
    for closed in &verified.closed {
        output.remark(&format!("tenant {}: {}", closed.tenant, closed.what));
    }
    Ok(!verified.damage.is_empty())
}
