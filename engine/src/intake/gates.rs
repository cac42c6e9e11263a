//! The gates of an engagement: what must be signed before a tenant gets an address.
//! Promise: a gate names its paper, its date and who recorded it; recording it anew leaves what stood there in the trail.

use std::collections::BTreeMap;

use bonded_connectors::store::people::Told;
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    audit::Change,
    error::{Error, Result},
    lakehouse::{Lakehouse, Tenant},
};

const TEXT_CHARS_MAX: usize = 100;
const WHAT: &str = "gate";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Gate {
    /// Non-disclosure agreement
    Nda,
    /// Data processing agreement
    Dpa,
    /// Engagement letter
    Letter,
}

impl Gate {
    pub const ALL: [Gate; 3] = [Gate::Nda, Gate::Dpa, Gate::Letter];

    pub fn as_str(self) -> &'static str {
        match self {
            Gate::Nda => "nda",
            Gate::Dpa => "dpa",
            Gate::Letter => "letter",
        }
    }
}

/// A paper as somebody names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paper {
    pub reference: String,
    /// When it was signed.
    pub date: NaiveDate,
}

/// What is kept of a gate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    #[serde(flatten)]
    pub paper: Paper,
    /// Who answers for it.
    pub by: String,
    pub recorded_at: DateTime<Utc>,
}

/// Records papers; answers all that are recorded then.
///
/// # Errors
/// `Input` when none is named, a text does not fit on a line, or a paper is of a day to come.
pub async fn engage(
    house: &Lakehouse,
    tenant: &Tenant,
    papers: &BTreeMap<Gate, Paper>,
    by: &str,
) -> Result<BTreeMap<Gate, Recorded>> {
    let now = house.clock.now();
    let by = line("--by", by)?;
    if papers.is_empty() {
        return Err(Error::input("name at least one paper: --nda, --dpa or --letter, each as REFERENCE@DATE"));
    }
    let before = engagement(tenant).await?;
    let mut after = before.clone();
    for (gate, paper) in papers {
        let reference = line(gate.as_str(), &paper.reference)?;
        if paper.date > now.date_naive() {
            return Err(Error::input(format!("the {} is of {}, a day to come", gate.as_str(), paper.date)));
        }
        let paper = Paper { reference, date: paper.date };
        after.insert(*gate, Recorded { paper, by: by.clone(), recorded_at: now });
    }
    let sealed: Vec<(&str, String)> = papers
        .keys()
        .filter_map(|gate| after.get(gate).map(|recorded| (gate.as_str(), recorded)))
        .map(|(gate, recorded)| Ok((gate, tenant.seal(WHAT, gate, recorded)?)))
        .collect::<Result<_>>()?;
    let rows: Vec<(&str, &str)> = sealed.iter().map(|(gate, sealed)| (*gate, sealed.as_str())).collect();
    let change = Change::between(&before, &after)?;
    let event = tenant.sealed_change("tenant.engage", tenant.scope.tenant().as_str(), "recorded", change)?;
    tenant.ledger.put_gates(&rows, now.timestamp_millis(), Told { at: now, event: &event }).await?;
    Ok(after)
}

/// The gates that are recorded.
pub async fn engagement(tenant: &Tenant) -> Result<BTreeMap<Gate, Recorded>> {
    let mut recorded = BTreeMap::new();
    for (name, sealed) in tenant.ledger.gates().await? {
        if let Some(gate) = Gate::ALL.into_iter().find(|gate| gate.as_str() == name) {
            recorded.insert(gate, tenant.unseal(WHAT, &name, &sealed)?);
        }
    }
    Ok(recorded)
}

/// Those that are not, as one text; none when all are.
pub(super) async fn missing(tenant: &Tenant) -> Result<Option<String>> {
    let recorded = engagement(tenant).await?;
    let missing: Vec<&str> = Gate::ALL.into_iter().filter(|gate| !recorded.contains_key(gate)).map(Gate::as_str).collect();
    Ok((!missing.is_empty()).then(|| missing.join(", ")))
}

fn line(what: &str, text: &str) -> Result<String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > TEXT_CHARS_MAX || text.chars().any(char::is_control) {
        return Err(Error::input(format!("{what} must have 1 to {TEXT_CHARS_MAX} characters, on one line")));
    }
    Ok(text.to_owned())
}
