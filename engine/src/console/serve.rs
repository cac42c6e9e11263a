//! `serve`: the process that stays. One JSON line when it is ready, one when it has stopped; the log goes to standard error.

use std::{io::Write, sync::Arc};

use bonded_schemas::TenantId;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use super::{actor, args, output::written, scope};
use crate::{
    error::{Error, Result},
    lakehouse::Lakehouse,
    serve::{Role, run},
};

pub async fn serve(house: Arc<Lakehouse>, args: &args::Serve) -> Result<u8> {
    let roles = match args.roles.is_empty() {
        false => args.roles.clone(),
        true => {
            let inbox = house.settings.serve.inbox.is_some().then_some(Role::Inbox);
            [Role::Worker, Role::Maintain, Role::Watch, Role::Notify].into_iter().chain(inbox).collect()
        }
    };
    let cannot = |error| Error::setup("cannot listen for signals").with_source(error);
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let started = format!("started: {roles:?}").to_lowercase();
    house.audit(actor(), "serve", TenantId::lake().as_str(), &started).await?;
    let stopped = run(house.clone(), &roles, Arc::new(scope), line, stop).await;
    let ended = if stopped.is_ok() { "stopped" } else { "stopped by a failure" };
    house.audit(actor(), "serve", TenantId::lake().as_str(), ended).await?;
    line(&stopped?)?;
    Ok(0)
}

/// A program waits for it, so it goes out at once.
fn line<T: Serialize>(what: &T) -> Result<()> {
    let text = serde_json::to_string(what)?;
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{text}").and_then(|()| stdout.flush()).map_err(written)
}
