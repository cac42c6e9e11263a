//! `ingest`: files, folders or standard input, one after the other, each with its own receipt.

use std::path::{Path, PathBuf};

use bonded_schemas::{Channel, DeliveryId};
use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio::io::AsyncRead;

use super::{
    args,
    output::{Output, table},
    progress::Progress,
};
use crate::{
    error::{EXIT_QUARANTINED, Error, ErrorKind, Result},
    ingest::{Ingested, Source, ingest as run, is_done, land_only, quarantine_text, work},
    lakehouse::{Lakehouse, Tenant},
};

#[derive(Serialize)]
struct Line<'a> {
    /// As given on the command line, for members too.
    file: &'a str,
    /// Its name in the container, when it came in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    member: Option<&'a str>,
    duplicate: bool,
    #[serde(flatten)]
    receipt: &'a bonded_schemas::Receipt,
}

pub async fn ingest(house: &Lakehouse, args: &args::Ingest, output: &Output) -> Result<u8> {
    let tenant = super::open(house, &args.tenant).await?;
    let files = expand(&args.files)?;
    if args.enqueue {
        return enqueue(house, &tenant, &files, args.as_of, output).await;
    }
    let mut rows = Vec::new();
    let mut quarantined = false;
    for file in &files {
        let done = one(house, &tenant, file, args.as_of).await?;
        quarantined |= done.has_quarantined();
        if output.json {
            let mut lines = Vec::new();
            let file = file.display().to_string();
            push_lines(&mut lines, &file, None, &done);
            output.list(&lines, String::new)?;
        } else {
            let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy();
            push_rows(&mut rows, &name, 0, &done);
        }
    }
    output.say(&table(["file", "report", "state", "rows", "rejects", "drift", "delivery"], rows))?;
    Ok(if quarantined { EXIT_QUARANTINED } else { 0 })
}

/// Runs one file through the straight line.
pub async fn one(
    house: &Lakehouse,
    tenant: &Tenant,
    file: &Path,
    as_of: Option<chrono::DateTime<chrono::Utc>>,
) -> Result<Ingested> {
    let (file_name, mut bytes) = opened(file).await?;
    run(house, tenant, Source { file_name, bytes: &mut bytes, channel: Channel::Console, as_of, envelope: None, poa: None }).await
}

async fn opened(file: &Path) -> Result<(String, Box<dyn AsyncRead + Send + Unpin>)> {
    if file.as_os_str() == "-" {
        let name = "standard input".to_owned();
        let bytes = Progress::new(tokio::io::stdin(), &name, None);
        return Ok((name, Box::new(bytes)));
    }
    let name = file.file_name().map_or_else(|| file.display().to_string(), |name| name.to_string_lossy().into_owned());
    let cannot = |error| Error::input(format!("cannot read {}", file.display())).with_source(error);
    let opened = tokio::fs::File::open(file).await.map_err(cannot)?;
    let size = opened.metadata().await.map_err(cannot)?.len();
    let bytes = Progress::new(opened, &name, Some(size));
    Ok((name, Box::new(bytes)))
}

#[derive(Serialize)]
struct Queued {
    file: String,
    delivery_id: DeliveryId,
    size_bytes: u64,
    state: &'static str,
    /// It waits for a worker, or is with one.
    queued: bool,
}

/// Lands the files and leaves the rest to whoever serves.
async fn enqueue(
    house: &Lakehouse,
    tenant: &Tenant,
    files: &[PathBuf],
    as_of: Option<DateTime<Utc>>,
    output: &Output,
) -> Result<u8> {
    let queue = house.queue().await?;
    let mut lines = Vec::new();
    for file in files {
        if queue.depth(tenant.scope.tenant()).await? >= house.settings.serve.queued_max {
            let message = format!("the queue of {} is full; start workers (`bonded serve`) or wait", tenant.scope.tenant());
            return Err(Error::new(ErrorKind::Retry, message));
        }
        let (file_name, mut bytes) = opened(file).await?;
        let row = land_only(
            house,
            tenant,
            Source { file_name, bytes: &mut bytes, channel: Channel::Console, as_of, envelope: None, poa: None },
        )
        .await?;
        let queued = !is_done(&row);
        let line = Queued {
            file: file.display().to_string(),
            delivery_id: row.delivery_id,
            size_bytes: row.size_bytes,
            state: row.state.as_str(),
            queued,
        };
        if queued {
            queue.enqueue(&work(tenant.scope.tenant(), &row), house.clock.now()).await?;
        }
        tenant.audit(house.clock.as_ref(), "enqueue", &row.delivery_id.to_string(), line.state).await?;
        if output.json {
            output.list(&[line], String::new)?;
        } else {
            lines.push(line);
        }
    }
    let rows = lines.into_iter().map(|line| {
        let state = if line.queued { "queued".to_owned() } else { format!("{} before; nothing to do", line.state) };
        [line.file, line.size_bytes.to_string(), state, line.delivery_id.to_string()]
    });
    output.say(&table(["file", "bytes", "state", "delivery"], rows))?;
    Ok(0)
}

/// A container, then its members.
fn push_lines<'a>(lines: &mut Vec<Line<'a>>, file: &'a str, member: Option<&'a str>, done: &'a Ingested) {
    lines.push(Line { file, member, duplicate: done.duplicate, receipt: &done.receipt });
    for (listed, inner) in done.receipt.members.iter().zip(&done.members) {
        push_lines(lines, file, Some(&listed.name), inner);
    }
}

/// The same for people; what lies in another is set in.
fn push_rows(rows: &mut Vec<[String; 7]>, name: &str, depth: usize, done: &Ingested) {
    rows.push(row(format!("{}{name}", "  ".repeat(depth)), done));
    for (listed, inner) in done.receipt.members.iter().zip(&done.members) {
        push_rows(rows, &listed.name, depth + 1, inner);
    }
}

fn row(name: String, done: &Ingested) -> [String; 7] {
    let receipt = &done.receipt;
    let state = match (done.duplicate, &receipt.quarantine) {
        (true, _) => "delivered before; nothing added".to_owned(),
        (false, Some(quarantine)) => format!("quarantined: {}", quarantine_text(quarantine)),
        (false, None) => receipt.state.as_str().to_owned(),
    };
    [
        name,
        receipt.report.map_or("-".into(), |report| report.to_string()),
        state,
        receipt.rows_committed.to_string(),
        receipt.rows_rejected.to_string(),
        receipt.drift.findings.len().to_string(),
        receipt.delivery.id.to_string(),
    ]
}

/// A folder stands for its regular files, by name; hidden ones are left out.
fn expand(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if path.as_os_str() != "-" && path.is_dir() {
            let cannot = |error| Error::input(format!("cannot list {}", path.display())).with_source(error);
            let mut inside = Vec::new();
            for entry in std::fs::read_dir(path).map_err(cannot)? {
                let entry = entry.map_err(cannot)?;
                if entry.path().is_file() && !entry.file_name().to_string_lossy().starts_with('.') {
                    inside.push(entry.path());
                }
            }
            if inside.is_empty() {
                return Err(Error::input(format!("no files in {}", path.display())));
            }
            inside.sort();
            files.append(&mut inside);
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}
