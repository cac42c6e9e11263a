//! `verify`: what is damaged, what follows from it, what mends it; exit code 6 when anything is.

use std::{
    io::IsTerminal,
    sync::Arc,
    time::{Duration, Instant},
};

use bonded_schemas::Severity;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{
    args,
    output::{Output, table},
    scope, which,
};
use crate::{
    alerts::raise::{clear, raise},
    error::{ErrorKind, Result},
    lakehouse::{Doors, Lakehouse, Tenant},
    settings::Settings,
    verify::{Depth, Remark, Verified, Watch, closed_house, verify as run},
};

/// A lake whose keyring or control store is damaged does not open; that is an answer, too.
pub async fn verify(settings: Settings, doors: Doors, args: &args::Verify, output: &Output) -> Result<u8> {
    let started = Instant::now();
    let verified = match Lakehouse::open(settings, doors).await {
        Ok(house) => looked(&house, args).await,
        Err(error) => Err(error),
    };
    let verified = match verified {
        Ok(verified) => verified,
        Err(error) => closed_house(&error).ok_or(error)?,
    };
    output.object(&verified, || text(&verified, started.elapsed()))?;
    Ok(if verified.damage.is_empty() { 0 } else { ErrorKind::Damaged.exit_code() })
}

async fn looked(house: &Lakehouse, args: &args::Verify) -> Result<Verified> {
    let scopes: Vec<_> = which(house, args.tenant.as_ref()).await?.into_iter().map(scope).collect();
    let (watch, bar) = progress();
    let verified = run(house, &scopes, Depth { quick: args.quick }, watch).await;
    bar.finish_and_clear();
    let verified = verified?;
    for scope in &scopes {
        let own = scope.tenant().as_str();
        let result = match verified.damage.iter().filter(|damage| damage.tenant.as_deref() == Some(own)).count() {
            0 => "no damage".to_owned(),
            count => format!("{count} damaged"),
        };
        // What does not open has no trail to write to, and was told already.
        let Ok(tenant) = house.tenant(scope).await else { continue };
        if let Err(error) = tenant.audit(house.clock.as_ref(), "verify", own, &result).await {
            tracing::warn!(target: "verify.audit", %error, "the run is not in the audit trail");
        }
        if let Err(error) = tell(house, &tenant, &verified, args.quick).await {
            tracing::warn!(target: "verify.alert", %error, "no alert could be raised over this");
        }
    }
    Ok(verified)
}

/// Damage is an alert; a whole look that finds none settles it.
async fn tell(house: &Lakehouse, tenant: &Tenant, verified: &Verified, quick: bool) -> Result<()> {
    let own = tenant.scope.tenant().as_str();
    let objects: Vec<&str> = verified
        .damage
        .iter()
        .filter(|damage| damage.tenant.as_deref() == Some(own))
        .map(|damage| damage.object.as_str())
        .collect();
    if objects.is_empty() {
        if !quick {
            clear(house, tenant, "verify", None, "damage").await?;
        }
        return Ok(());
    }
    let body = serde_json::json!({ "damaged": objects.len(), "objects": &objects[..objects.len().min(SHOWN_MAX)] });
    raise(house, tenant, "verify", None, "damage", Severity::Error, &body).await
}

/// A line on a terminal, once the work lasts longer than a second.
fn progress() -> (Watch, ProgressBar) {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()).with_message("verifying");
    if let Ok(style) = ProgressStyle::with_template("{msg} {spinner} {pos} objects {prefix}") {
        bar.set_style(style);
    }
    let (shown, since, terminal) = (bar.clone(), Instant::now(), std::io::stderr().is_terminal());
    let watch = Arc::new(move |objects: u64, bytes: u64| {
        if terminal && since.elapsed() > Duration::from_secs(1) {
            shown.set_draw_target(ProgressDrawTarget::stderr());
        }
        shown.set_prefix(format!("{} MB", bytes / 1_000_000));
        shown.set_position(objects);
    });
    (watch, bar)
}

const SHOWN_MAX: usize = 20;

fn text(verified: &Verified, took: Duration) -> String {
    let mut out = String::new();
    for damage in &verified.damage {
        let place = damage.place.as_deref().map(|place| format!(" ({place})")).unwrap_or_default();
        out.push_str(&format!(
            "DAMAGED {}{place}\n  {}\n  so {}\n  {}\n",
            damage.object,
            damage.what,
            damage.follows,
            damage.mend.says()
        ));
        if !damage.deliveries.is_empty() {
            out.push_str(&format!("  delivery {}\n", damage.deliveries.join(", ")));
        }
    }
    for (what, list) in [("unfinished", &verified.unfinished), ("closed", &verified.closed), ("litter", &verified.litter)] {
        remarks(&mut out, what, list);
    }
    let seconds = took.as_secs_f64().max(1e-6);
    let megabytes = verified.bytes as f64 / 1e6;
    out.push_str(&format!(
        "{}: {} tenants, {} objects, {megabytes:.1} MB and {} rows in {seconds:.1} s ({:.0} MB/s)",
        match verified.damage.len() {
            0 => "no damage".to_owned(),
            count => format!("{count} damaged"),
        },
        verified.tenants,
        verified.objects,
        verified.rows,
        megabytes / seconds
    ));
    out
}

fn remarks(out: &mut String, what: &str, list: &[Remark]) {
    if list.is_empty() {
        return;
    }
    let rows = list.iter().take(SHOWN_MAX).map(|remark| [remark.tenant.clone(), remark.object.clone(), remark.what.clone()]);
    out.push_str(&table(["tenant", what, ""], rows));
    if list.len() > SHOWN_MAX {
        out.push_str(&format!("\n({} more with --json)", list.len() - SHOWN_MAX));
    }
    out.push_str("\n\n");
}
