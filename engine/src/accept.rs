//! Accepting drift: a tenant says what an unknown column is; its table gains the column and the kept cells move into it.
//! Promise: later files bind by the mapping; earlier rows are filled from `_rescued`; a cell that fails the new type stays
//! there. A quarantined file whose columns are named is replayed. Run again after a crash, it goes on.

use bonded_connectors::store::{alerts::Alert, audit::NewEvent};
use bonded_schemas::{Column, ColumnType, DriftKind, Evidence, Mapping, Registry, Report, Required, edition};
use serde_json::json;

use crate::{
    audit::Change,
    decided,
    error::{Error, ErrorKind, Result},
    ingest::{DriftAlert, QuarantineAlert, ensure_table, quarantine_text, replay},
    lakehouse::{Lakehouse, Tenant},
};

mod backfill;

/// What a person decided.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Decision {
    /// New columns and their types; all of the alert's, as text, when both lists are empty.
    pub columns: Vec<(String, ColumnType)>,
    /// Header name -> CBP column that it stands for.
    pub renames: Vec<(String, String)>,
}

/// What was done about it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Accepted {
    pub report: Report,
    pub added: Vec<String>,
    pub renamed: Vec<(String, String)>,
    /// The snapshot that filled earlier rows; none when no earlier row had such a cell.
    pub snapshot_id: Option<i64>,
}

/// What a decision is about: drift of a file that was taken in, or a file that could not be.
enum Matter {
    Drift(DriftAlert),
    Quarantine(QuarantineAlert),
}

/// The one alert whose fingerprint begins so.
async fn find(tenant: &Tenant, fingerprint: &str) -> Result<(Alert, Matter)> {
    let mut found: Vec<Alert> = tenant.ledger.alerts("drift").await?;
    found.extend(tenant.ledger.alerts("quarantine").await?);
    found.retain(|alert| !fingerprint.is_empty() && alert.fingerprint.starts_with(fingerprint));
    let alert = match (found.pop(), found.is_empty()) {
        (Some(alert), true) => alert,
        (Some(_), false) => return Err(Error::input(format!("more than one alert begins with {fingerprint}; write more of it"))),
        (None, _) => return Err(Error::missing(format!("no alert begins with {fingerprint}; `bonded drift` lists them"))),
    };
    let matter = match alert.kind.as_str() {
        "drift" => Matter::Drift(tenant.unseal("drift", &alert.fingerprint, &alert.sealed)?),
        _ => Matter::Quarantine(tenant.unseal("quarantine", &alert.fingerprint, &alert.sealed)?),
    };
    Ok((alert, matter))
}

pub async fn accept(house: &Lakehouse, tenant: &Tenant, fingerprint: &str, decision: Decision) -> Result<Accepted> {
    let (alert, matter) = find(tenant, fingerprint).await?;
    decided::keep(house, tenant, decided::Decided::accept(&alert, &decision)).await?;
    apply(house, tenant, alert, matter, decision).await
}

/// The same decision once more, in a rebuild: it lies in the raw zone already.
pub(crate) async fn accept_again(house: &Lakehouse, tenant: &Tenant, fingerprint: &str, decision: Decision) -> Result<Accepted> {
    let (alert, matter) = find(tenant, fingerprint).await?;
    apply(house, tenant, alert, matter, decision).await
}

/// Leaves a changed header as it is: its alert is no longer open. What was kept in `_rescued` stays there.
pub async fn reject(house: &Lakehouse, tenant: &Tenant, fingerprint: &str, note: &str) -> Result<()> {
    if note.trim().is_empty() {
        return Err(Error::input("a rejection needs a note that says why"));
    }
    let (alert, _) = find(tenant, fingerprint).await?;
    if alert.state != "open" {
        return Err(Error::input(format!("alert {} is {} already", alert.fingerprint, alert.state)));
    }
    let change = Change::between(&json!({ "alert": alert.state }), &json!({ "alert": "rejected", "note": note.trim() }))?;
    let event = tenant.sealed_change("drift.reject", &alert.fingerprint, "done", change)?;
    let event = NewEvent { at: house.clock.now(), sealed: &event };
    Ok(tenant.ledger.reject_alert(&alert.kind, &alert.fingerprint, event).await?)
}

async fn apply(house: &Lakehouse, tenant: &Tenant, alert: Alert, matter: Matter, decision: Decision) -> Result<Accepted> {
    // A quarantined file that resembles no report has no mapping, and is refused below.
    let report: Option<Report> = alert.report.parse().ok();
    let before = told(tenant, report, &alert.state).await?;
    let accepted = match matter {
        Matter::Drift(body) => accept_drift(tenant, &alert, &body, decision).await?,
        Matter::Quarantine(body) => accept_quarantine(house, tenant, &alert, &body, decision).await?,
    };
    let change = Change::between(&before, &told(tenant, report, "accepted").await?)?;
    let event = tenant.sealed_change("drift.accept", &alert.fingerprint, "done", change)?;
    let event = NewEvent { at: house.clock.now(), sealed: &event };
    tenant.ledger.accept_alert_with(&alert.kind, &alert.fingerprint, event).await?;
    Ok(accepted)
}

/// The report's mapping and the alert's state, for the trail.
async fn told(tenant: &Tenant, report: Option<Report>, state: &str) -> Result<serde_json::Value> {
    let mapping = match report {
        Some(report) => Some(tenant.mapping(report).await?),
        None => None,
    };
    Ok(serde_json::json!({ "state": state, "report": report, "mapping": mapping }))
}

/// New columns and renames join mapping and table, and earlier rows are filled.
async fn accept_drift(tenant: &Tenant, alert: &Alert, body: &DriftAlert, decision: Decision) -> Result<Accepted> {
    let report: Report = alert.report.parse()?;
    let decision = completed(decision, body);
    if decision.columns.is_empty() && decision.renames.is_empty() {
        return Err(Error::input("this drift has no new column to accept; name a rename with --rename NAME=COLUMN"));
    }
    let edition_columns = &Registry::builtin().edition(report).columns;
    let mut mapping = tenant.mapping(report).await?;
    let mut moves = Vec::new();
    for (name, kind) in &decision.columns {
        in_header(body, name)?;
        moves.push((name.clone(), add(&mut mapping, edition_columns, name, *kind)?));
    }
    for (name, column) in &decision.renames {
        in_header(body, name)?;
        moves.push((name.clone(), rename(&mut mapping, report, name, column)?));
    }
    // The mapping comes first, so that files that arrive meanwhile bind by it already.
    tenant.put_mapping(report, &mapping).await?;
    let columns: Vec<Column> = edition_columns.iter().chain(&mapping.additions).cloned().collect();
    ensure_table(tenant, report, &columns).await?;
    let snapshot_id = tenant.tables.rewrite(report.table(), &|batch| backfill::backfill(batch, &moves)).await?;
    let added = decision.columns.into_iter().map(|(name, _)| name).collect();
    Ok(Accepted { report, added, renamed: decision.renames, snapshot_id })
}

/// Renames alone can mend a quarantined file: the mapping is kept only if the file then becomes rows.
async fn accept_quarantine(
    house: &Lakehouse,
    tenant: &Tenant,
    alert: &Alert,
    body: &QuarantineAlert,
    decision: Decision,
) -> Result<Accepted> {
    let report =
        body.quarantine.nearest.ok_or_else(|| Error::input("this file resembles no report; a mapping cannot mend it"))?;
    if decision.renames.is_empty() || !decision.columns.is_empty() {
        return Err(Error::input("a quarantined file is mended by renames alone: --rename NAME=COLUMN"));
    }
    let before = tenant.mapping(report).await?;
    let mut mapping = before.clone();
    for (name, column) in &decision.renames {
        rename(&mut mapping, report, name, column)?;
    }
    tenant.put_mapping(report, &mapping).await?;
    let row = tenant
        .ledger
        .delivery_by_digest(&alert.fingerprint)
        .await?
        .ok_or_else(|| Error::new(ErrorKind::Damaged, "the quarantined delivery is not in the ledger"))?;
    let receipt = replay(house, tenant, row).await?;
    match receipt.quarantine {
        None => Ok(Accepted { report, added: Vec::new(), renamed: decision.renames, snapshot_id: receipt.snapshot_id }),
        Some(quarantine) => {
            tenant.put_mapping(report, &before).await?;
            Err(Error::input(format!("with these renames the file is still quarantined: {}", quarantine_text(&quarantine))))
        }
    }
}

fn rename(mapping: &mut Mapping, report: Report, name: &str, column: &str) -> Result<Column> {
    let known = &Registry::builtin().edition(report).columns;
    let target = known
        .iter()
        .find(|known| edition::fold(&known.name) == edition::fold(column))
        .ok_or_else(|| Error::input(format!("{report} has no column `{column}`")))?;
    mapping.renames.insert(edition::fold(name), target.name.clone());
    Ok(target.clone())
}

/// Nothing said means: every new column, as text.
fn completed(mut decision: Decision, body: &DriftAlert) -> Decision {
    if decision.columns.is_empty() && decision.renames.is_empty() {
        let added = body.drift.findings.iter().filter(|finding| finding.kind == DriftKind::Added);
        decision.columns = added.map(|finding| (finding.column.clone(), ColumnType::Text(None))).collect();
    }
    decision
}

fn in_header(body: &DriftAlert, name: &str) -> Result<()> {
    match body.header.iter().any(|header| edition::fold(header) == edition::fold(name)) {
        true => Ok(()),
        false => Err(Error::input(format!("the drifted header has no column `{name}`"))),
    }
}

fn add(mapping: &mut Mapping, known: &[Column], name: &str, kind: ColumnType) -> Result<Column> {
    let field = edition::field_name(name);
    if field.is_empty() {
        return Err(Error::input(format!("`{name}` has no letter or digit to name a column by")));
    }
    if known.iter().any(|column| column.field() == field) {
        return Err(Error::input(format!("`{name}` would collide with a column of the edition; use --rename")));
    }
    if let Some(before) = mapping.additions.iter().find(|column| column.field() == field) {
        return match before.kind == kind {
            true => Ok(before.clone()),
            false => Err(Error::input(format!("`{name}` was accepted before as {}", String::from(before.kind)))),
        };
    }
    let column = Column {
        name: name.to_owned(),
        aliases: Vec::new(),
        kind,
        code: None,
        format: String::new(),
        required: Required::Optional,
        uses: Vec::new(),
        ordinal: None,
        evidence: Evidence::Verified,
        source: "accepted by the tenant from a delivery".into(),
        table_name: None,
        personal: false,
    };
    mapping.additions.push(column.clone());
    Ok(column)
}
