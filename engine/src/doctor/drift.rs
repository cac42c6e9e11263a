//! What of the settings, and of the program, is not as it was when somebody last looked at it on this machine.
//! Promise: each changed setting is told by its name, until somebody accepts how it is now.
//! Never: a value, or anything that it could be guessed from: keyed digests are kept, and sealed.

use std::collections::BTreeMap;

use bonded_connectors::{
    seal::NameKey,
    store::{audit::NewEvent, health::SetupRow},
};
use bonded_schemas::TenantId;

use super::Chart;
use crate::{
    audit::{AuditEvent, Change},
    error::{Error, Result},
    lakehouse::Lakehouse,
    settings::Settings,
};

const WHAT: &str = "settings";
/// A program of another version is told as if it were a setting.
const PROGRAM: &str = "the program itself";

/// Whether the settings as they are now are taken as seen, and who says so.
#[derive(Clone, Debug, Default)]
pub struct Accept {
    pub is_asked: bool,
    pub actor: String,
}

pub(super) async fn look(house: &Lakehouse, accept: Accept, chart: &mut Chart) -> Result<()> {
    let identity = house.identity().await?;
    let machine = identity.people.keyed_digest("machine", hostname().as_bytes());
    let now = digests(&house.settings, &identity.people)?;
    let before = match house.control().setup(&machine).await? {
        Some(row) => Some((identity.unseal::<BTreeMap<String, String>>(WHAT, &machine, &row.sealed)?, row.seen_at)),
        None => None,
    };
    let changed = before.as_ref().map(|(before, _)| differ(before, &now));
    if before.is_none() || accept.is_asked {
        let row = SetupRow {
            sealed: identity.seal(WHAT, &machine, &now)?,
            seen_at: house.clock.now().to_rfc3339(),
            machine: machine.clone(),
        };
        let told = serde_json::json!({ "changed": changed.clone().unwrap_or_default() });
        let event = AuditEvent::new(accept.actor.as_str().into(), "doctor.settings", TenantId::lake().as_str(), "taken as seen");
        let event = house.sealed(event.changing(Change::made(&told)?)).await?;
        house.control().put_setup(&row, NewEvent { at: house.clock.now(), sealed: &event }).await?;
    }
    match (before, changed) {
        (Some((_, since)), Some(changed)) if !changed.is_empty() => {
            let since = since.chars().take(16).collect::<String>();
            let what = format!("changed since {since}: {}", changed.join(", "));
            match accept.is_asked {
                true => chart.ok("settings", format!("{what}; taken as seen")),
                false => {
                    chart.warn("settings", what, "put back what was not meant; `bonded doctor --accept` takes them as they are")
                }
            }
        }
        (Some((_, since)), _) => chart.ok("settings", format!("as they were on {}", since.chars().take(10).collect::<String>())),
        (None, _) => chart.ok("settings", "seen for the first time on this machine"),
    }
    Ok(())
}

/// Names whose digests differ, or that only one side has, in their order.
fn differ(before: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Vec<String> {
    let names: std::collections::BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    names.into_iter().filter(|name| before.get(*name) != now.get(*name)).cloned().collect()
}

/// Of each setting as it is in effect, by its name; a secret counts by where it lies.
fn digests(settings: &Settings, key: &NameKey) -> Result<BTreeMap<String, String>> {
    let table = toml::Table::try_from(settings);
    let table = table.map_err(|error| Error::setup("the settings cannot be written down").with_source(error))?;
    let mut found = BTreeMap::new();
    flatten(&table, "", &mut |name, value| {
        let digest = key.keyed_digest("setting", format!("{name}={value}").as_bytes());
        found.insert(name, digest);
    });
    found.insert(PROGRAM.to_owned(), key.keyed_digest("setting", env!("CARGO_PKG_VERSION").as_bytes()));
    Ok(found)
}

fn flatten(table: &toml::Table, above: &str, each: &mut impl FnMut(String, &toml::Value)) {
    for (key, value) in table {
        let name = format!("{above}{key}");
        match value {
            toml::Value::Table(inner) => flatten(inner, &format!("{name}."), each),
            value => each(name, value),
        }
    }
}

fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}
