//! `bonded audit`: the trail of one tenant, or the lake's own, its chain checked while it is read; heads, segments, exports and
//! their verification.

use std::{
    fs::File,
    io::{BufReader, BufWriter, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use bonded_schemas::TenantId;
use serde::Serialize;

use super::{
    actor,
    args::{Audit, AuditAction, Events, Which},
    open,
    output::{Output, table, written},
    which,
};
use crate::{
    audit::{
        AuditEvent, Entry,
        export::{Form, export},
        heads::Standing,
        keep,
        proof::{Known, Verdict, verify},
    },
    error::{Error, ErrorKind, Result},
    lakehouse::Lakehouse,
};

#[derive(Serialize)]
struct Line<'a> {
    seq: i64,
    at: &'a str,
    #[serde(flatten)]
    event: &'a AuditEvent,
}

pub async fn audit(house: &Lakehouse, args: &Audit, output: &Output) -> Result<u8> {
    match &args.action {
        None => list(house, args, output).await,
        Some(AuditAction::Head(which)) => head(house, which, output).await,
        Some(AuditAction::Seal(which)) => seal(house, which, output).await,
        Some(AuditAction::Export { tenant, to, format, events }) => {
            write(house, tenant.as_ref(), to, *format, events, output).await
        }
        Some(AuditAction::Verify { .. }) => Err(Error::new(ErrorKind::Internal, "this command was already handled")),
    }
}

async fn list(house: &Lakehouse, args: &Audit, output: &Output) -> Result<u8> {
    let filter = args.events.filter();
    let tenant = match &args.tenant {
        Some(tenant) => Some(open(house, tenant).await?),
        None => None,
    };
    let mut entries = match &tenant {
        Some(tenant) => tenant.entries().await?,
        None => house.entries().await?,
    };
    entries.retain(|entry| filter.holds(entry));
    if let Some(limit) = args.limit {
        entries.drain(..entries.len().saturating_sub(limit));
    }
    note(house, tenant.as_ref(), "audit.read", &format!("{} events", entries.len())).await?;
    if args.csv {
        return csv(&entries);
    }
    let lines: Vec<Line<'_>> = entries.iter().map(|Entry { event, row, .. }| Line { seq: row.seq, at: &row.at, event }).collect();
    output.list(&lines, || {
        let line = |line: &Line<'_>| {
            let Line { at, event: AuditEvent { actor, action, object, result, .. }, .. } = line;
            [at.chars().take(19).collect(), actor.to_string(), action.clone(), object.clone(), result.clone()]
        };
        table(["at", "who", "what", "of", "result"], lines.iter().map(line))
    })?;
    Ok(0)
}

fn csv(entries: &[Entry]) -> Result<u8> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    writeln!(out, "{}", crate::audit::csv::LISTED).map_err(written)?;
    for entry in entries {
        writeln!(out, "{}", crate::audit::csv::listed(entry)).map_err(written)?;
    }
    out.flush().map_err(written)?;
    Ok(0)
}

/// Reading a trail is an action, too.
async fn note(house: &Lakehouse, tenant: Option<&crate::lakehouse::Tenant>, action: &str, result: &str) -> Result<()> {
    match tenant {
        Some(tenant) => tenant.audit(house.clock.as_ref(), action, tenant.scope.tenant().as_str(), result).await,
        None => house.audit(actor(), action, TenantId::lake().as_str(), result).await,
    }
}

async fn head(house: &Lakehouse, args: &Which, output: &Output) -> Result<u8> {
    let mut standings: Vec<Standing> = Vec::new();
    for tenant in which(house, args.tenant.as_ref()).await? {
        match house.tenant(&super::scope(tenant.clone())).await {
            Ok(tenant) => standings.push(house.checkpoint(&tenant).await?),
            // Its trail cannot be checked, so it is not vouched for.
            Err(error) if error.kind() == ErrorKind::Refused => output.remark(&format!("tenant {tenant}: {error}")),
            Err(error) => return Err(error),
        }
    }
    if args.tenant.is_none() {
        standings.push(house.checkpoint_lake().await?);
    }
    output.list(&standings, || {
        let line = |standing: &Standing| [standing.chain.clone(), format!("{} {}", standing.head.events, standing.head.hash)];
        let heads = table(["trail", "head"], standings.iter().map(line));
        let key = standings.first().map(|standing| standing.public_key.clone()).unwrap_or_default();
        format!("{heads}\n\npublic key {key}\nKeep these somewhere else: `bonded audit verify` holds an export against them.")
    })?;
    Ok(0)
}

async fn seal(house: &Lakehouse, args: &Which, output: &Output) -> Result<u8> {
    let mut lines = Vec::new();
    for tenant in which(house, args.tenant.as_ref()).await? {
        let tenant = open(house, &tenant).await?;
        let sealed = keep::seal(house, &tenant).await?;
        note(
            house,
            Some(&tenant),
            "audit.seal",
            &format!("{} events in {} segments", sealed.events_sealed, sealed.segments_made),
        )
        .await?;
        lines.push((tenant.scope.tenant().clone(), sealed));
    }
    let objects: Vec<_> =
        lines.iter().map(|(tenant, sealed)| serde_json::json!({ "tenant": tenant, "sealed": sealed })).collect();
    output.list(&objects, || {
        let line = |(tenant, sealed): &(TenantId, keep::Sealed)| {
            [tenant.to_string(), sealed.events_sealed.to_string(), sealed.segments_made.to_string(), sealed.events.to_string()]
        };
        table(["tenant", "events sealed now", "segments made", "sealed in all"], lines.iter().map(line))
    })?;
    Ok(0)
}

async fn write(
    house: &Lakehouse,
    tenant: Option<&TenantId>,
    to: &Path,
    form: Form,
    events: &Events,
    output: &Output,
) -> Result<u8> {
    let tenant = match tenant {
        Some(tenant) => Some(open(house, tenant).await?),
        None => None,
    };
    let cannot = |error| Error::input(format!("cannot write {}; it must not exist yet", to.display())).with_source(error);
    let file = File::options().write(true).create_new(true).mode(0o600).open(to).map_err(cannot)?;
    let mut file = BufWriter::new(file);
    let done = export(house, tenant.as_ref(), &events.filter(), form, &mut file).await?;
    file.into_inner().map_err(|error| cannot(error.into_error()))?.sync_all().map_err(cannot)?;
    note(house, tenant.as_ref(), "audit.export", &format!("{} of {} events", done.selected, done.head.events)).await?;
    output.object(&done, || {
        format!(
            "{}: {} of {} events in {}\nhead {} {}\npublic key {}",
            done.chain,
            done.selected,
            done.head.events,
            to.display(),
            done.head.events,
            done.head.hash,
            done.public_key
        )
    })?;
    Ok(0)
}

#[derive(Serialize)]
struct Checked {
    whole: bool,
    #[serde(flatten)]
    verdict: Verdict,
    #[serde(skip_serializing_if = "Option::is_none")]
    lake: Option<Verdict>,
}

/// Needs no lake.
pub fn check(action: &AuditAction, output: &Output) -> Result<u8> {
    let AuditAction::Verify { export, heads, public_keys, lake_export } = action else {
        return Err(Error::new(ErrorKind::Internal, "this command needs a lake"));
    };
    let mut known = Known { public_keys: public_keys.clone(), heads: heads.clone() };
    let (verdict, lake) = match lake_export {
        None => (verify(opened(export)?, &known)?, None),
        Some(of_lake) => against(export, of_lake, &mut known)?,
    };
    let checked = Checked { whole: true, verdict, lake };
    output.object(&checked, || text(&checked))?;
    Ok(0)
}

/// The trail has the heads that the lake's tells of, and the lake's has those that the trail's checkpoints tell of.
fn against(export: &Path, of_lake: &Path, known: &mut Known) -> Result<(Verdict, Option<Verdict>)> {
    let of_keys = Known { public_keys: known.public_keys.clone(), heads: Vec::new() };
    let lake = verify(opened(of_lake)?, &of_keys)?;
    let first = verify(opened(export)?, known)?;
    let tenant = first.chain.strip_prefix("tenant ").unwrap_or_default();
    known.heads.extend(first.must_have(lake.anchored.get(tenant).map_or(&[], Vec::as_slice)));
    let verdict = verify(opened(export)?, known)?;
    let of_anchors = Known { public_keys: known.public_keys.clone(), heads: lake.must_have(&verdict.anchors) };
    let lake = verify(opened(of_lake)?, &of_anchors)
        .map_err(|error| Error::new(error.kind(), "the export of the lake's own trail").with_source(error))?;
    Ok((verdict, Some(lake)))
}

fn opened(path: &Path) -> Result<BufReader<File>> {
    let file = File::open(path).map_err(|error| Error::input(format!("cannot read {}", path.display())).with_source(error))?;
    Ok(BufReader::new(file))
}

fn text(checked: &Checked) -> String {
    let Verdict { chain, head, selected, without_proof, checkpoints, heads_held_against, public_keys, keys_are_known, .. } =
        &checked.verdict;
    let mut out = format!(
        "whole: {chain}, {} events, {selected} of them in plain text, {checkpoints} checkpoints\nhead {} {}",
        head.events, head.events, head.hash
    );
    if *without_proof > 0 {
        out.push_str(&format!(
            "\n{without_proof} of the plain texts are from before events were bound: their place is proven, their words are not"
        ));
    }
    if *heads_held_against == 0 {
        out.push_str(
            "\nno head from elsewhere was given (--head, --lake-export): events after the last ones here may be missing",
        );
    }
    let keys: Vec<&str> = public_keys.iter().map(String::as_str).collect();
    out.push_str(&format!("\nsigned by {}", keys.join(" and ")));
    if !keys_are_known {
        out.push_str("\nwhose key that is was not checked: give the lake's with --public-key");
    }
    out
}
