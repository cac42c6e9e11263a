//! Our contender: the checks through a session of the engine, as `bonded reconcile` asks them, in a process of its own.
//! Warm: one session before has asked the tie-out, so files are in the page cache and the tenant's keys in the key cache. The
//! measured session is new: its tables (`work.*`) are made within the time of the first check that needs them.

use std::{env, path::Path, process::Command, sync::Arc, time::Instant};

use bonded::{
    answers::session,
    lakehouse::{Doors, Lakehouse, Tenant},
    settings::Settings,
};
use bonded_connectors::clock::SystemClock;
use bonded_queries::{Library, Session};
use bonded_schemas::TenantScope;

use crate::{OURS_FLAG, Outcome, TIE_OUT, Told, lake, process};

/// What the target allows.
const MEMORY_BYTES_MAX: usize = 2 << 30;

pub fn contend(folder: &lake::Folder, round: u64) -> Outcome<Told> {
    let place = folder.place(&format!("ours-{round}"))?;
    let mut command = Command::new(env::current_exe()?);
    let usage = process::measure(command.arg(OURS_FLAG).arg(folder.lake()), &place)?;
    Ok(Told::read(&std::fs::read_to_string(place.join("stdout"))?, usage.peak_bytes))
}

/// The child: `lake`.
pub fn run(arguments: &[String]) -> Outcome<()> {
    let lake = arguments.first().ok_or("name the lake")?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(ask(Path::new(lake)))
}

async fn ask(lake: &Path) -> Outcome<()> {
    let mut settings = Settings { lake: lake.display().to_string(), ..Settings::default() };
    settings.query.memory_bytes_max = MEMORY_BYTES_MAX;
    let house = Lakehouse::open(settings, Doors::new(Arc::new(SystemClock))).await?;
    let tenant = house.tenant(&scope()?).await?;
    timed(&open(&house, &tenant).await?, TIE_OUT[0]).await?;
    let measured = open(&house, &tenant).await?;
    let library = Library::builtin();
    for (question, _) in library.checks() {
        let (seconds, findings) = timed(&measured, &question.id).await?;
        println!("{},{seconds},{findings}", question.id);
    }
    Ok(())
}

async fn open(house: &Lakehouse, tenant: &Tenant) -> Outcome<Session> {
    Ok(session(house, tenant).await?)
}

async fn timed(session: &Session, check: &str) -> Outcome<(f64, usize)> {
    let started = Instant::now();
    let results = session.reconcile(Some(&[check.to_owned()])).await?;
    Ok((started.elapsed().as_secs_f64(), results.iter().map(|result| result.findings().len()).sum()))
}

#[expect(clippy::disallowed_methods, reason = "a bench stands where an identity is established")]
fn scope() -> Outcome<TenantScope> {
    Ok(TenantScope::establish(lake::TENANT.parse()?, "bench"))
}
