//! The library of checks: the built-in ones, and a user's own from the folder that settings name.
//! Promise: a file that is no well-formed check is refused by its name, before anything is run.

use bonded_queries::Library;

use crate::{
    error::{Error, Result},
    settings::Settings,
};

/// A check has a few thousand bytes.
const FILE_BYTES_MAX: u64 = 64 << 10;
const FILES_MAX: usize = 500;

pub fn library(settings: &Settings) -> Result<Library> {
    let Some(folder) = &settings.query.checks_dir else { return Ok(Library::builtin().clone()) };
    let cannot = |error: std::io::Error| {
        Error::setup(format!("cannot read the checks in {}; mend or unset query.checks_dir", folder.display())).with_source(error)
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        if path.extension().is_some_and(|extension| extension == "sql") {
            files.push(path);
        }
    }
    if files.len() > FILES_MAX {
        return Err(Error::setup(format!("{} holds more than {FILES_MAX} checks", folder.display())));
    }
    files.sort();
    let mut own = Vec::with_capacity(files.len());
    for path in files {
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        if std::fs::metadata(&path).map_err(cannot)?.len() > FILE_BYTES_MAX {
            return Err(Error::input(format!("check file `{name}.sql` is larger than {FILE_BYTES_MAX} bytes")));
        }
        let text = std::fs::read_to_string(&path).map_err(cannot)?;
        own.push((name, text));
    }
    Ok(Library::with_own(own)?)
}
