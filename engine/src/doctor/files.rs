//! Who on this machine may read what only its owner should: keys, secrets, the certificate's private key, letters.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use super::Chart;
use crate::{error::Result, settings::Settings};

/// Group and others.
const OTHERS: u32 = 0o077;

pub(super) fn look(settings: &Settings, chart: &mut Chart) -> Result<()> {
    let mut places: Vec<(PathBuf, u32)> = Vec::new();
    // A lake in a bucket has nothing beside it, unless it is set.
    if let Ok(keys) = settings.keys_dir() {
        places.push((keys.clone(), 0o700));
        places.extend(files_in(&keys).into_iter().map(|file| (file, 0o600)));
    }
    if let Some(key) = &settings.api.private_key {
        places.push((key.clone(), 0o600));
    } else if let Ok(folder) = settings.tls_dir() {
        places.push((folder.join("development.key"), 0o600));
    }
    if settings.mail.smtp.is_none()
        && let Ok(outbox) = settings.outbox_dir()
    {
        places.push((outbox, 0o700));
    }
    for (_, reference) in settings.named_secrets() {
        if let Some(path) = reference.strip_prefix("file:") {
            places.push((path.into(), 0o600));
        }
    }
    let (before, mut private) = (chart.findings.len(), 0);
    for (path, mode) in &places {
        match fs::metadata(path) {
            Ok(metadata) => {
                let found = metadata.permissions().mode() & 0o777;
                if found & OTHERS == 0 {
                    private += 1;
                } else {
                    let what = format!("others on this machine may reach it (mode {found:04o})");
                    chart.fail(path.display().to_string(), what, format!("chmod {mode:04o} {}", path.display()));
                }
            }
            // What is missing is told by who needs it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let mend = "run the doctor as the user that Bonded runs as";
                chart.warn(path.display().to_string(), format!("cannot be looked at: {error}"), mend);
            }
        }
    }
    if chart.findings.len() == before {
        chart.ok("private files", format!("{private} of keys, secrets and letters are their owner's alone"));
    }
    Ok(())
}

/// The folder's own files; a folder that cannot be listed has none to look at.
fn files_in(folder: &Path) -> Vec<PathBuf> {
    const FILES_MAX: usize = 1000;
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).take(FILES_MAX).collect()
}
