//! What the control store holds beside ledger, catalog and trail: alerts and their lives, mappings, findings, scores.
//! Promise: each sealed text opens for the row it lies in, and each clear cell is bound to a sealed text or a mark.

use std::collections::HashMap;

use bonded_connectors::{
    Flaw,
    store::{
        alerts::{Alert, LifeRow, RouteRow},
        dump::Row,
        findings::FindingRow,
        marks::{OF_ALERT, OF_FINDING, OF_LIFE},
    },
};
use serde_json::Value;

use super::{
    Mend, Run, Verified,
    store::{number, text},
};
use crate::alerts::routes::is_whole;

pub(super) fn check(run: &Run<'_>, verified: &mut Verified) {
    let held = |row: &Row, column: &str| cell(row, column).unwrap_or_default();
    let mut marks: Marks =
        run.store.rows("marks").iter().map(|row| ((held(row, "what"), held(row, "name")), held(row, "mark"))).collect();
    let mut told: Told = Vec::new();
    alerts(run, &mut marks, &mut told);
    lives(run, &mut marks, &mut told);
    routes(run, &mut told);
    findings(run, &mut marks, &mut told);
    let mut lost: Told = Vec::new();
    expected::repeats(run, &mut marks, &mut lost);
    expected::rows(run, &mut lost);
    for ((what, name), _) in marks {
        told.push((
            Flaw::new("control store: marks", "belongs to no row").at(format!("{what} {name}")),
            "a row it belonged to may be gone",
        ));
    }
    scores(run, &mut told);
    mappings(run, &mut told);
    for (flaw, follows) in told {
        // Alerts, scores and findings come back with a rebuild and a run; what people decided lies in the raw zone.
        verified.tell(Some(run.tenant), flaw, follows, Mend::Rebuild);
    }
    for (flaw, follows) in lost {
        // What people expect is told by nobody but the control store.
        verified.tell(Some(run.tenant), flaw, follows, Mend::Restore);
    }
}

mod expected;

/// What stands in a row that does not even read.
const UNREADABLE: &str = "has a cell that does not read";

type Told = Vec<(Flaw, &'static str)>;
type Marks = HashMap<(String, String), String>;

fn cell(row: &Row, column: &str) -> Option<String> {
    text(row, column).map(str::to_owned)
}

fn opens(run: &Run<'_>, what: &str, name: &str, sealed: &str) -> std::result::Result<Value, String> {
    run.tenant.unseal(what, name, sealed).map_err(|error| error.to_string())
}

fn alerts(run: &Run<'_>, marks: &mut Marks, told: &mut Told) {
    let follows = "the alert is not to be trusted";
    for row in run.store.rows("alerts") {
        let flaw = |what: String| Flaw::new("control store: alerts", what).at(text(row, "fingerprint").unwrap_or("?"));
        let Some(alert) = alert(row) else {
            told.push((flaw(UNREADABLE.into()), follows));
            continue;
        };
        if let Err(what) = opens(run, &alert.kind, &alert.fingerprint, &alert.sealed) {
            told.push((flaw(what), follows));
        }
        let mark = marks.remove(&(OF_ALERT.to_owned(), alert.name())).unwrap_or_default();
        if mark != alert.mark(&run.tenant.names) {
            told.push((flaw("is not what was marked".into()), follows));
        }
    }
}

fn alert(row: &Row) -> Option<Alert> {
    Some(Alert {
        kind: cell(row, "kind")?,
        report: cell(row, "report")?,
        fingerprint: cell(row, "fingerprint")?,
        state: cell(row, "state")?,
        severity: cell(row, "severity")?,
        raised_at: cell(row, "raised_at")?,
        last_at: cell(row, "last_at")?,
        deliveries: number(row, "deliveries")?,
        sealed: cell(row, "sealed")?,
    })
}

fn lives(run: &Run<'_>, marks: &mut Marks, told: &mut Told) {
    let follows = "how the alert stands is not to be trusted, and it may not be told";
    for row in run.store.rows("alert_lives") {
        let flaw = |what: String| Flaw::new("control store: alert_lives", what).at(text(row, "fingerprint").unwrap_or("?"));
        let Some(life) = life(row) else {
            told.push((flaw(UNREADABLE.into()), follows));
            continue;
        };
        if !life.sealed.is_empty()
            && let Err(what) = opens(run, OF_LIFE, &life.id(), &life.sealed)
        {
            told.push((flaw(what), follows));
        }
        let mark = marks.remove(&(OF_LIFE.to_owned(), life.name())).unwrap_or_default();
        if mark != life.mark(&run.tenant.names) {
            told.push((flaw("is not what was marked".into()), follows));
        }
    }
}

fn life(row: &Row) -> Option<LifeRow> {
    Some(LifeRow {
        kind: cell(row, "kind")?,
        report: cell(row, "report")?,
        fingerprint: cell(row, "fingerprint")?,
        state: cell(row, "state")?,
        version: number(row, "version")?,
        since_ms: number(row, "since_ms")?,
        opened: number(row, "opened")?,
        muted_until_ms: number(row, "muted_until_ms")?,
        escalate_ms: number(row, "escalate_ms")?,
        level: number(row, "level")?,
        pending: number(row, "pending")?,
        noticed: number(row, "noticed")?,
        sealed: cell(row, "sealed")?,
    })
}

fn routes(run: &Run<'_>, told: &mut Told) {
    for row in run.store.rows("alert_routes") {
        let held = |column: &str| cell(row, column).unwrap_or_default();
        let row = RouteRow { route_id: held("route_id"), owner: held("owner"), sealed: held("sealed") };
        if let Err(error) = is_whole(run.tenant, &row) {
            let flaw = Flaw::new("control store: alert_routes", error.to_string()).at(row.route_id);
            told.push((flaw, "alerts may not reach those who asked for them"));
        }
    }
}

fn findings(run: &Run<'_>, marks: &mut Marks, told: &mut Told) {
    let follows = "the finding is not to be trusted";
    for row in run.store.rows("findings") {
        let flaw = |what: String| Flaw::new("control store: findings", what).at(text(row, "id").unwrap_or("?"));
        let Some(finding) = finding(row) else {
            told.push((flaw(UNREADABLE.into()), follows));
            continue;
        };
        if let Err(what) = opens(run, "finding", &finding.id, &finding.sealed) {
            told.push((flaw(what), follows));
        }
        let mark = marks.remove(&(OF_FINDING.to_owned(), finding.id.clone())).unwrap_or_default();
        if mark != finding.mark(&run.tenant.names) {
            told.push((flaw("is not what was marked".into()), follows));
        }
    }
}

fn finding(row: &Row) -> Option<FindingRow> {
    Some(FindingRow {
        id: cell(row, "id")?,
        state: cell(row, "state")?,
        severity: cell(row, "severity")?,
        first_seen: cell(row, "first_seen")?,
        last_seen: cell(row, "last_seen")?,
        runs: number(row, "runs")?,
        sealed: cell(row, "sealed")?,
    })
}

fn scores(run: &Run<'_>, told: &mut Told) {
    for row in run.store.rows("scores") {
        let id = text(row, "delivery_id").unwrap_or_default();
        let opened = opens(run, "score", id, text(row, "sealed").unwrap_or_default());
        let what = match opened {
            Ok(score) if score["delivery_id"] == id && score["scored_at"].as_str() == text(row, "scored_at") => continue,
            Ok(_) => "is not what was sealed".to_owned(),
            Err(what) => what,
        };
        told.push((Flaw::new("control store: scores", what).at(id), "the score is not to be trusted"));
    }
}

fn mappings(run: &Run<'_>, told: &mut Told) {
    for row in run.store.rows("mappings") {
        let report = text(row, "report").unwrap_or_default();
        if let Err(what) = opens(run, "mapping", report, text(row, "sealed").unwrap_or_default()) {
            told.push((
                Flaw::new("control store: mappings", what).at(report),
                "files of this report cannot be bound as accepted",
            ));
        }
    }
}
