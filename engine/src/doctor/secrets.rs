//! Whether every secret that the settings name can be read, and what they name lies in allowed regions.

use bonded_connectors::secrets::Vault;

use super::Chart;
use crate::{
    error::Result,
    settings::{Settings, secret},
};

/// Read by the commands that make schemas, and left out where only workers run.
const SELDOM: &str = "store.postgres_owner";

pub(super) async fn look(settings: &Settings, vault: &Vault, chart: &mut Chart) -> Result<()> {
    let named = settings.named_secrets();
    if named.is_empty() {
        chart.not_asked("secrets", "the settings name none");
    }
    let residency = settings.aws.residency()?;
    for (setting, reference) in named {
        match secret(vault, setting, reference).await {
            Ok(found) if found.reveal().is_empty() => {
                chart.fail(setting, format!("{reference} is empty"), "put the secret there");
            }
            Ok(found) if ["store.postgres", "mail.smtp"].contains(&setting) => {
                match residency.address(&format!("the server that {setting} names"), found.reveal()) {
                    Ok(()) => chart.ok(setting, format!("{reference} can be read")),
                    Err(error) => chart.failed(setting, &error.into()),
                }
            }
            Ok(_) => chart.ok(setting, format!("{reference} can be read")),
            Err(_) if setting == SELDOM => {
                chart.not_asked(setting, "not here; only `init`, `tenant add` and `restore` read it");
            }
            Err(error) => chart.failed(setting, &error),
        }
    }
    Ok(())
}
