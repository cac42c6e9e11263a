//! The console: the command line of whoever runs the machine, who holds the keys and so may open every tenant.
//! Promise: each command answers as a table for people or as JSON for programs, and ends with a documented exit code.
//! Here, and only here in the engine, a scope is established from a name someone typed.

use std::{io::IsTerminal, process::ExitCode, sync::Arc};

use bonded_connectors::{aws::UNTOLD, clock::SystemClock};
use bonded_schemas::{TenantId, TenantScope};
use clap::{CommandFactory, FromArgMatches};
use tracing_subscriber::{
    Layer,
    filter::{FilterExt, filter_fn},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::{
    error::{Error, ErrorKind, Result},
    lakehouse::{Doors, Lakehouse, Tenant},
    settings::Settings,
};

mod alerts;
mod args;
mod attest;
mod audit;
mod backup;
mod cape;
mod checks;
mod deadlines;
mod deliveries;
mod demo;
mod doctor;
mod drift;
mod finding;
mod history;
mod identifier;
mod ingest;
mod kept;
mod mail;
mod maintain;
mod output;
mod people;
mod progress;
mod push;
mod query;
mod queue;
mod rebuild;
mod reconcile;
mod report;
mod rules;
mod score;
mod serve;
mod setup;
mod shred;
mod verify;
mod windows;

pub(crate) use args::parse_month;
use args::{Args, Command};
use output::Output;

pub async fn run() -> ExitCode {
    let matches = Args::command().get_matches();
    let asked = Asked::of(&matches);
    let args = Args::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    start_log(&args.command);
    let output = Output::new(args.json);
    match dispatch(args, &asked, &output).await {
        Ok(code) => ExitCode::from(code),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output.error(&error);
            ExitCode::from(error.kind().exit_code())
        }
    }
}

/// The reader of our output went away (`| head`): not a failure of ours.
fn is_broken_pipe(error: &Error) -> bool {
    std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<std::io::Error>())
        .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Warnings and worse on standard error, of a process that stays also what it did; `BONDED_LOG` sets other levels, but nobody
/// gets to see the answers of AWS's services word for word.
fn start_log(command: &Command) {
    let standard = match command {
        Command::Serve(_) => "error,ingest=warn,lake=warn,serve=info",
        Command::Push(args) if args.watch.is_some() => "error,push=info",
        Command::Push(_) => "error,push=warn",
        _ => "error,ingest=error,lake=warn",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("BONDED_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(standard));
    let telling = filter_fn(|line| *line.level() != tracing::Level::TRACE || !line.target().starts_with(UNTOLD));
    let ansi = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(ansi).with_filter(filter.and(telling));
    // A second start in one process (tests) keeps the first.
    let _ = tracing_subscriber::registry().with(lines).try_init();
}

/// What was asked for and of whom, for the trail of refusals.
struct Asked {
    command: String,
    tenant: Option<TenantId>,
}

impl Asked {
    fn of(matches: &clap::ArgMatches) -> Self {
        let (mut command, mut tenant, mut at) = (Vec::new(), None, matches);
        while let Some((name, inner)) = at.subcommand() {
            command.push(name);
            tenant = inner.try_get_one::<TenantId>("tenant").ok().flatten().cloned().or(tenant);
            at = inner;
        }
        Self { command: command.join("."), tenant }
    }

    /// Every refusal is kept, in the lake's own trail: the tenant's key may be what refused.
    async fn keep(&self, house: &Lakehouse, answer: &Result<u8>) {
        let Err(error) = answer else { return };
        if error.kind() != ErrorKind::Refused {
            return;
        }
        let tenant = self.tenant.as_ref().map_or("", TenantId::as_str);
        if let Err(lost) = house.audit(actor(), &self.command, tenant, &format!("refused: {error}")).await {
            tracing::error!(target: "audit.lost", command = self.command, error = %lost, "a refusal could not be written down");
        }
    }
}

async fn dispatch(args: Args, asked: &Asked, output: &Output) -> Result<u8> {
    let mut settings = Settings::load(args.config.as_deref(), std::env::vars())?;
    if let Some(lake) = args.lake {
        settings.lake = lake;
    }
    let output = &output.showing_ssn(settings.display.show_ssn);
    let doors = || Doors::new(Arc::new(SystemClock));
    match args.command {
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Args::command(), "bonded", &mut std::io::stdout());
            Ok(0)
        }
        Command::Checks(checks) => checks::checks(&settings, &checks, output),
        Command::Report(report) if report.name.is_none() => report::list(&settings, output),
        Command::Init => setup::init(settings, doors(), output).await,
        Command::Rebuild(what) => rebuild::rebuild(settings, doors(), &what, output).await,
        Command::Restore(what) => backup::restore(settings, doors(), &what, output).await,
        Command::Verify(which) => verify::verify(settings, doors(), &which, output).await,
        Command::Doctor(doctor) => doctor::doctor(settings, doors(), &doctor, output).await,
        Command::Demo(demo) => demo::demo(settings, doors(), &demo, output).await,
        Command::Push(args) => push::push(settings, &args, output).await,
        Command::Tenant { action } if action.needs_no_lake() => shred::without_lake(&action, output),
        Command::Audit(args::Audit { action: Some(action @ args::AuditAction::Verify { .. }), .. }) => {
            audit::check(&action, output)
        }
        command => {
            let house = Arc::new(Lakehouse::open(settings, doors()).await?);
            let left = kept::left_by(&command);
            let answer = match command {
                Command::Tenant { action } => setup::tenant(&house, &action, output).await,
                Command::Member { action } => people::member(&house, &action, output).await,
                Command::Token { action } => people::token(&house, &action, output).await,
                Command::Machine { action } => people::machine(&house, &action, output).await,
                Command::Identifier { action } => identifier::identifier(&house, &action, output).await,
                Command::Alerts { action } => alerts::alerts(&house, &action, output).await,
                Command::Key { action } => setup::key(&house, &action, output).await,
                Command::Ingest(ingest) => ingest::ingest(&house, &ingest, output).await,
                Command::Serve(serve) => serve::serve(house.clone(), &serve).await,
                Command::Queue { action } => queue::queue(&house, &action, output).await,
                Command::Deliveries(which) => deliveries::deliveries(&house, &which, output).await,
                Command::Receipt(which) => deliveries::receipt(&house, &which, output).await,
                Command::Mail { action } => mail::mail(&house, &action, output).await,
                Command::Raw { action } => deliveries::raw(&house, &action).await,
                Command::Drift(drift) => drift::drift(&house, &drift, output).await,
                Command::Query(query) => query::query(&house, &query, output).await,
                Command::Maintain(which) => maintain::maintain(&house, &which, output).await,
                Command::Tables(which) => query::tables(&house, &which, output).await,
                Command::Reconcile(reconcile) => reconcile::reconcile(&house, &reconcile, output).await,
                Command::Report(report) => report::report(&house, &report, output).await,
                Command::Rules { action } => rules::rules(&house, &action, output).await,
                Command::History(entry) => history::history(&house, &entry, output).await,
                Command::Changes(span) => history::changes(&house, &span, output).await,
                Command::Vanished(which) => history::vanished(&house, &which, output).await,
                Command::Deadlines(deadlines) => deadlines::deadlines(&house, &deadlines, output).await,
                Command::Cape(cape) => cape::cape(&house, &cape, output).await,
                Command::Finding { action } => finding::finding(&house, &action, output).await,
                Command::Attest(tenant) => attest::attest(&house, &tenant, output).await,
                Command::Audit(which) => audit::audit(&house, &which, output).await,
                Command::Backup(what) => backup::backup(&house, &what, output).await,
                Command::Score(score) => score::score(&house, &score, output).await,
                Command::Windows { action } => windows::windows(&house, &action, output).await,
                Command::Freshness(freshness) => windows::freshness(&house, &freshness, output).await,
                Command::Init
                | Command::Verify(_)
                | Command::Doctor(_)
                | Command::Restore(_)
                | Command::Rebuild(_)
                | Command::Demo(_)
                | Command::Push(_)
                | Command::Checks(_)
                | Command::Completions { .. } => Err(Error::new(ErrorKind::Internal, "this command was already handled")),
            };
            asked.keep(&house, &answer).await;
            if answer.is_ok() {
                kept::keep(&house, &asked.command, left).await?;
            }
            answer
        }
    }
}

/// Whoever runs the console holds the keyring, so a name is enough.
#[expect(clippy::disallowed_methods, reason = "the console is one of the four places that establish a scope")]
fn scope(tenant: TenantId) -> TenantScope {
    TenantScope::establish(tenant, actor())
}

fn actor() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| user_id());
    format!("console:{user}")
}

/// The owner of this process, where no variable names one.
fn user_id() -> String {
    match std::fs::metadata("/proc/self") {
        Ok(meta) => format!("uid-{}", std::os::unix::fs::MetadataExt::uid(&meta)),
        Err(_) => "unknown".into(),
    }
}

async fn open(house: &Lakehouse, tenant: &TenantId) -> Result<Tenant> {
    house.tenant(&scope(tenant.clone())).await
}

/// The named tenant, or every tenant of the lake.
async fn which(house: &Lakehouse, tenant: Option<&TenantId>) -> Result<Vec<TenantId>> {
    match tenant {
        Some(tenant) => Ok(vec![tenant.clone()]),
        None => Ok(house.tenants().await?.into_iter().map(|record| record.tenant).collect()),
    }
}
