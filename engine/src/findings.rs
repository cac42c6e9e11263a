//! Findings kept: what each run of the checks found, what became of it since, and where it stands in the received files.
//! Promise: a finding keeps its identity over runs; what is gone is resolved and what comes back is recurring, so nothing
//! that was ever found is forgotten; each is traced to delivery, line and byte.
//! Never: a check that was not run, or could not judge, resolves nothing.

use std::collections::{BTreeMap, HashMap, HashSet};

use bonded_connectors::store::{audit::NewEvent, findings::FindingRow};
use bonded_queries::reconcile::{CheckResult, Outcome};
use bonded_schemas::{Finding, Severity};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    audit::Change,
    decided,
    error::{Error, ErrorKind, Result},
    lakehouse::{Lakehouse, Tenant},
};

mod lines;
pub(crate) mod meta;
mod places;

pub use lines::{OriginalLine, original_lines};
pub use places::Place;

/// Where a finding stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The last run of its check found it.
    Open,
    /// So did it, and someone has said why it is right so.
    Explained,
    /// The last run of its check did not find it.
    Resolved,
    /// It was resolved and is there again.
    Recurring,
}

impl State {
    pub const ALL: [State; 4] = [State::Open, State::Explained, State::Resolved, State::Recurring];

    pub fn as_str(self) -> &'static str {
        match self {
            State::Open => "open",
            State::Explained => "explained",
            State::Resolved => "resolved",
            State::Recurring => "recurring",
        }
    }

    /// Someone has to look at it.
    pub fn is_pending(self) -> bool {
        matches!(self, State::Open | State::Recurring)
    }
}

impl std::str::FromStr for State {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        State::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| format!("no finding state `{}`; use open, explained, resolved or recurring", text.escape_default()))
    }
}

/// What someone said of a finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    pub at: String,
    pub by: String,
    pub text: String,
}

/// The sealed body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Body {
    finding: Finding,
    places: Vec<Place>,
    notes: Vec<Note>,
}

/// A finding as kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Kept {
    pub id: String,
    pub state: State,
    pub first_seen: String,
    pub last_seen: String,
    /// In how many runs it was found.
    pub runs: i64,
    #[serde(flatten)]
    pub finding: Finding,
    /// Each row that it rests on.
    pub places: Vec<Place>,
    pub notes: Vec<Note>,
}

/// What one run changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Recorded {
    pub opened: u64,
    pub still: u64,
    pub recurring: u64,
    pub resolved: u64,
}

/// Every finding ever kept, oldest first.
pub async fn kept(tenant: &Tenant) -> Result<Vec<Kept>> {
    tenant.ledger.findings().await?.into_iter().map(|row| opened(tenant, row)).collect()
}

fn opened(tenant: &Tenant, row: FindingRow) -> Result<Kept> {
    let body: Body = tenant.unseal("finding", &row.id, &row.sealed)?;
    let state = row.state.parse().map_err(|error: String| Error::new(ErrorKind::Damaged, error))?;
    Ok(Kept {
        state,
        first_seen: row.first_seen,
        last_seen: row.last_seen,
        runs: row.runs,
        finding: body.finding,
        places: body.places,
        notes: body.notes,
        id: row.id,
    })
}

fn sealed(tenant: &Tenant, kept: &Kept) -> Result<FindingRow> {
    let body = Body { finding: kept.finding.clone(), places: kept.places.clone(), notes: kept.notes.clone() };
    Ok(FindingRow {
        id: kept.id.clone(),
        state: kept.state.as_str().to_owned(),
        severity: kept.finding.severity.as_str().to_owned(),
        first_seen: kept.first_seen.clone(),
        last_seen: kept.last_seen.clone(),
        runs: kept.runs,
        sealed: tenant.seal("finding", &kept.id, &body)?,
    })
}

/// Takes in a run of checks: new ones open, those gone are resolved, those back are recurring.
///
/// An explanation holds for the amounts that it was given for: when they change, the finding is open again.
pub async fn record(house: &Lakehouse, tenant: &Tenant, results: &[CheckResult]) -> Result<Recorded> {
    let now = house.clock.now().to_rfc3339();
    let judged: HashMap<&str, &[String]> = results
        .iter()
        .filter(|result| matches!(result.outcome, Outcome::Judged(_)))
        .map(|result| (result.check.as_str(), result.notes.as_slice()))
        .collect();
    let mut known: HashMap<String, Kept> = kept(tenant).await?.into_iter().map(|kept| (kept.id.clone(), kept)).collect();
    let mut recorded = Recorded::default();
    let (mut changed, mut seen) = (Vec::new(), HashSet::new());
    for (id, finding) in identified(tenant, results) {
        seen.insert(id.clone());
        let next = match known.remove(&id) {
            None => {
                recorded.opened += 1;
                let times = (now.clone(), now.clone());
                Kept {
                    id,
                    state: State::Open,
                    first_seen: times.0,
                    last_seen: times.1,
                    runs: 1,
                    finding: finding.clone(),
                    places: Vec::new(),
                    notes: Vec::new(),
                }
            }
            Some(before) => {
                let state = state_found_again(&before, finding);
                match before.state {
                    State::Resolved => recorded.recurring += 1,
                    _ => recorded.still += 1,
                }
                let places = if same_rows(&before.finding, finding) { before.places } else { Vec::new() };
                Kept { state, last_seen: now.clone(), runs: before.runs + 1, finding: finding.clone(), places, ..before }
            }
        };
        changed.push(next);
    }
    for mut gone in known.into_values().filter(|kept| kept.state != State::Resolved) {
        let Some(left_out) = judged.get(gone.finding.check.as_str()) else { continue };
        recorded.resolved += 1;
        gone.state = State::Resolved;
        if !left_out.is_empty() {
            // Which entries those are is not told, so it is said beside the finding that its own may be one of them.
            let text = format!("no longer found by a run that left some out: {}", left_out.join("; "));
            gone.notes.push(Note { at: now.clone(), by: "bonded".to_owned(), text });
        }
        changed.push(gone);
    }
    places::fill(house, tenant, &mut changed).await?;
    let rows = changed.iter().map(|kept| sealed(tenant, kept)).collect::<Result<Vec<_>>>()?;
    let object = tenant.scope.tenant().as_str();
    let event = tenant.sealed_change("finding.record", object, "done", Change::made(&recorded)?)?;
    tenant.ledger.put_findings_with(&rows, NewEvent { at: house.clock.now(), sealed: &event }).await?;
    Ok(recorded)
}

fn state_found_again(before: &Kept, now: &Finding) -> State {
    let same_amounts = before.finding.expected == now.expected && before.finding.actual == now.actual;
    match before.state {
        State::Resolved | State::Recurring => State::Recurring,
        State::Explained if same_amounts => State::Explained,
        State::Open | State::Explained => State::Open,
    }
}

fn same_rows(before: &Finding, now: &Finding) -> bool {
    before.delivery_ids == now.delivery_ids && before.lines == now.lines
}

/// Each finding with its identity: a keyed hash of check, entry and line; a second one on the same line counts up.
fn identified<'a>(tenant: &Tenant, results: &'a [CheckResult]) -> Vec<(String, &'a Finding)> {
    let mut times: BTreeMap<(&str, &str, Option<i32>), u32> = BTreeMap::new();
    let findings = results.iter().flat_map(CheckResult::findings);
    findings
        .map(|finding| {
            let about = (finding.check.as_str(), finding.entry_summary_number.as_str(), finding.entry_summary_line_number);
            let time = times.entry(about).or_default();
            *time += 1;
            let line = about.2.map_or(String::new(), |line| line.to_string());
            let text = format!("{}\n{}\n{line}\n{time}", about.0, about.1);
            (tenant.names.keyed_digest("finding", text.as_bytes()), finding)
        })
        .collect()
}

/// The finding with this id, or the only one whose id begins so.
pub async fn find(tenant: &Tenant, id: &str) -> Result<Kept> {
    let mut found = kept(tenant).await?.into_iter().filter(|kept| !id.is_empty() && kept.id.starts_with(id));
    match (found.next(), found.next()) {
        (Some(kept), None) => Ok(kept),
        (Some(_), Some(_)) => {
            Err(Error::input(format!("more than one finding begins with `{}`; give more of its id", id.escape_default())))
        }
        (None, _) => Err(Error::missing(format!("no finding `{}`; `bonded finding list` shows them", id.escape_default()))),
    }
}

/// Notes why a finding is right as it is. A resolved one has nothing to explain.
pub async fn explain(house: &Lakehouse, tenant: &Tenant, id: &str, note: &str) -> Result<Kept> {
    let mut kept = find(tenant, id).await?;
    if note.trim().is_empty() {
        return Err(Error::input("an explanation needs a note that says something"));
    }
    if kept.state == State::Resolved {
        return Err(Error::input(format!(
            "finding {} is resolved: the last run of {} no longer finds it",
            short(&kept.id),
            kept.finding.check
        )));
    }
    let at = house.clock.now().to_rfc3339();
    let note = Note { at, by: tenant.scope.actor().to_string(), text: note.trim().to_owned() };
    decided::keep(house, tenant, decided::Decided::Explain { finding: kept.id.clone(), note: note.clone() }).await?;
    let before = json!({ "state": kept.state, "notes": kept.notes.len() });
    let after = json!({ "state": State::Explained, "notes": kept.notes.len() + 1, "note": note.text });
    kept.notes.push(note);
    kept.state = State::Explained;
    let event = tenant.sealed_change("finding.explain", &kept.id, "explained", Change::between(&before, &after)?)?;
    let event = NewEvent { at: house.clock.now(), sealed: &event };
    tenant.ledger.put_findings_with(&[sealed(tenant, &kept)?], event).await?;
    Ok(kept)
}

/// The same explanation once more, in a rebuild. `false` when the finding is no longer found, or has the note already.
pub(crate) async fn explain_again(tenant: &Tenant, id: &str, note: Note) -> Result<bool> {
    let Some(mut kept) = kept(tenant).await?.into_iter().find(|kept| kept.id == id) else { return Ok(false) };
    if kept.notes.contains(&note) || kept.state == State::Resolved {
        return Ok(false);
    }
    kept.notes.push(note);
    kept.state = State::Explained;
    tenant.ledger.put_findings(&[sealed(tenant, &kept)?]).await?;
    Ok(true)
}

/// Enough of an id for people.
pub fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// Findings that someone has to look at, by the deliveries they rest on and severity.
pub(crate) fn pending_by_delivery(kept: &[Kept]) -> HashMap<String, BTreeMap<Severity, u64>> {
    let mut counts: HashMap<String, BTreeMap<Severity, u64>> = HashMap::new();
    for kept in kept.iter().filter(|kept| kept.state.is_pending()) {
        let deliveries: HashSet<&String> = kept.finding.delivery_ids.iter().collect();
        for delivery in deliveries {
            *counts.entry(delivery.clone()).or_default().entry(kept.finding.severity).or_default() += 1;
        }
    }
    counts
}
