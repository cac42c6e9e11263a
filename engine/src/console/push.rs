//! `push`: the agent on a broker's machine. It needs no lake, and says nothing of it.

use std::{path::Path, sync::Arc};

use bonded_connectors::{
    clock::{Clock, SystemClock},
    push::{Desk, Trust},
};
use tokio::signal::unix::{SignalKind, signal};

use super::{args::Push, output::Output};
use crate::{
    error::{Error, ErrorKind, Result},
    push::{Became, Sender, Told, folder},
    serve::drop_file::{DropFile, Stamp},
    settings::{SecretSettings, Settings, held},
};

/// As wrong input: something was not taken.
const EXIT_REFUSED: u8 = 2;
/// As busy: something is still there, and may be tried again.
const EXIT_LEFT: u8 = 7;

pub async fn push(settings: Settings, args: &Push, output: &Output) -> Result<u8> {
    // Whoever replaces the token means the next attempt.
    let settings = Settings { secrets: SecretSettings { fresh: "1ms".into() }, ..settings };
    let token = held(&settings.vault(Arc::new(SystemClock)), "--token", &args.token)?;
    let authorities = args.ca.as_deref().map(read).transpose()?;
    let desk = Desk::new(&args.to, &Trust { authorities, pins: args.pin.clone() })?;
    let patience = (args.watch.is_none() || args.once).then_some(args.patience);
    let mut sender = Sender::new(desk, token, args.as_of, patience).await?;
    match &args.watch {
        Some(folder) => watch(&mut sender, folder, args, output).await,
        None => files(&mut sender, args, output).await,
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| Error::setup(format!("cannot read {}", path.display())).with_source(error))
}

async fn files(sender: &mut Sender, args: &Push, output: &Output) -> Result<u8> {
    let mut code = 0;
    for path in &args.files {
        let file = named(path)?;
        let Some((sha256, outcome)) = sender.deliver(&file).await? else {
            return Err(Error::new(ErrorKind::Retry, format!("{} changed while it was read; run it again", path.display())));
        };
        let told = sender.told(&file, SystemClock.now(), sha256, outcome);
        tell(&told, output)?;
        if matches!(told.became, Became::Refused { .. }) {
            code = EXIT_REFUSED;
        }
    }
    Ok(code)
}

fn named(path: &Path) -> Result<DropFile> {
    let cannot = |error| Error::input(format!("cannot read {}", path.display())).with_source(error);
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.ok_or_else(|| Error::input(format!("{} is no file", path.display())))?;
    // Whoever names a link means what it leads to.
    let path = path.canonicalize().map_err(cannot)?;
    let meta = std::fs::metadata(&path).map_err(cannot)?;
    match meta.is_file() {
        true => Ok(DropFile { path, name, stamp: Stamp::from(&meta) }),
        false => Err(Error::input(format!("{} is no file; a folder is watched by --watch", path.display()))),
    }
}

async fn watch(sender: &mut Sender, folder: &Path, args: &Push, output: &Output) -> Result<u8> {
    if !folder.is_dir() {
        return Err(Error::input(format!("{} is no folder", folder.display())));
    }
    let cannot = |error| Error::setup("cannot listen for signals").with_source(error);
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
    let ended = tokio::select! {
        ended = folder::watch(sender, folder, args.settle, args.once, &SystemClock, |told| tell(told, output)) => ended?,
        // What was on its way goes on from there with the next start.
        _ = terminate.recv() => return Ok(0),
        _ = interrupt.recv() => return Ok(0),
    };
    Ok(match ended {
        folder::Ended { refused: 1.., .. } => EXIT_REFUSED,
        folder::Ended { left: 1.., .. } => EXIT_LEFT,
        folder::Ended { .. } => 0,
    })
}

fn tell(told: &Told, output: &Output) -> Result<()> {
    output.object(told, || match &told.became {
        Became::Taken { delivery_id, queued: true, .. } => format!("{}: taken, delivery {delivery_id}", told.file_name),
        Became::Taken { delivery_id, .. } => format!("{}: delivered before, delivery {delivery_id}", told.file_name),
        Became::Refused { refused } => format!("{}: refused: {refused}", told.file_name),
    })
}
