//! Times in which ACE was down, as far as they are known with a source: `schemas/rules/outages.toml`.
//! Never: an outage is guessed from reports that did not come.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::{
    error::{Error, Result},
    rules::Mark,
};

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    pub name: String,
    pub from: DateTime<Utc>,
    /// First instant at which it was over.
    pub until: DateTime<Utc>,
    pub mark: Mark,
    pub source: String,
}

/// Those compiled in.
pub fn outages() -> &'static [Outage] {
    static OUTAGES: LazyLock<Vec<Outage>> = LazyLock::new(|| {
        parse_outages(include_str!("../../rules/outages.toml")).expect("compiled in, and a test proves that it parses")
    });
    &OUTAGES
}

/// Reads a file of outages. Fails (set-up) when one ends before it begins.
pub fn parse_outages(text: &str) -> Result<Vec<Outage>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        #[serde(default)]
        outage: Vec<Outage>,
    }

    let file: File = toml::from_str(text).map_err(|e| Error::setup(format!("outages cannot be read: {}", e.message())))?;
    match file.outage.iter().find(|outage| outage.until <= outage.from) {
        Some(outage) => Err(Error::setup(format!("outage `{}` ends before it begins", outage.name))),
        None => Ok(file.outage),
    }
}
