//! A lake's own dated rules: `rules.toml` beside the tables, over the rules of this build.
//! Promise: the file is checked whole before it is used and before it is written, and it is replaced at once or not at all.
//! Never: nothing of a tenant is in it; rules are public knowledge, the same for all tenants of the lake.

use std::{io::Write as _, path::PathBuf};

use bonded_schemas::RuleBook;

use crate::{
    error::{Error, Result},
    settings::Settings,
};

const FILE_NAME: &str = "rules.toml";
/// A rule has a few hundred bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;
const HEAD: &str = "# Rules added in this lake (`bonded rules add`), over those of the build. Each names its source.\n";

/// The rules of this build and those that the lake adds.
///
/// # Errors
/// `Setup` when the lake's file does not read, or contradicts the build: it says which rule.
pub fn book(settings: &Settings) -> Result<RuleBook> {
    let Some(text) = read(settings)? else { return Ok(RuleBook::builtin().clone()) };
    over_builtin(&text)
}

/// Adds rules, given as TOML. What is in the file stays as it was written, comments included.
pub fn add(settings: &Settings, rules: &RuleBook) -> Result<RuleBook> {
    let path = path(settings)?;
    let before = read(settings)?.unwrap_or_else(|| HEAD.to_owned());
    let rules = toml::to_string(rules).map_err(|error| Error::input("the rule cannot be written").with_source(error))?;
    let text = format!("{}\n\n{rules}", before.trim_end());
    let book = over_builtin(&text)?;
    let cannot = |error: std::io::Error| Error::setup(format!("cannot write {}", path.display())).with_source(error);
    let beside = path.with_extension(format!("toml.{}", std::process::id()));
    let mut file = std::fs::File::create(&beside).map_err(cannot)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).and_then(|()| std::fs::rename(&beside, &path));
    if written.is_err() {
        // What is left of it is only in the way.
        let _ = std::fs::remove_file(&beside);
    }
    written.map_err(cannot)?;
    Ok(book)
}

fn over_builtin(text: &str) -> Result<RuleBook> {
    let named = |error: bonded_schemas::Error| Error::setup(format!("{FILE_NAME} of the lake: {}", error.message));
    let own = RuleBook::parse(text).map_err(named)?;
    RuleBook::builtin().with(&own).map_err(named)
}

fn path(settings: &Settings) -> Result<PathBuf> {
    Ok(settings.store_folder()?.join(FILE_NAME))
}

fn read(settings: &Settings) -> Result<Option<String>> {
    let Ok(path) = path(settings) else { return Ok(None) };
    let cannot = |error: std::io::Error| Error::setup(format!("cannot read {}", path.display())).with_source(error);
    match std::fs::metadata(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(cannot(error)),
        Ok(meta) if meta.len() > FILE_BYTES_MAX => {
            Err(Error::setup(format!("{} is larger than {FILE_BYTES_MAX} bytes; it should hold a few rules", path.display())))
        }
        Ok(_) => std::fs::read_to_string(&path).map(Some).map_err(cannot),
    }
}

#[cfg(test)]
mod tests;
