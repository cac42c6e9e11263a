//! `drift` and `drift accept`: which headers changed, and what a person decides about them.

use bonded_schemas::ColumnType;
use serde::Serialize;

use super::{
    args::{self, DriftAction},
    open,
    output::{Output, table},
    progress::spinning,
    which,
};
use crate::{
    accept::{Decision, accept},
    error::{Error, Result},
    ingest::{DriftAlert, QuarantineAlert, quarantine_text},
    lakehouse::Lakehouse,
};

#[derive(Serialize)]
struct Line {
    tenant: String,
    report: String,
    fingerprint: String,
    state: String,
    severity: String,
    deliveries: i64,
    raised_at: String,
    #[serde(flatten)]
    what: What,
}

#[derive(Serialize)]
#[serde(tag = "alert", rename_all = "lowercase")]
enum What {
    Drift(DriftAlert),
    Quarantine(QuarantineAlert),
}

pub async fn drift(house: &Lakehouse, args: &args::Drift, output: &Output) -> Result<u8> {
    match &args.action {
        Some(DriftAction::Accept(args)) => accept_drift(house, args, output).await,
        None => list(house, &args.which, output).await,
    }
}

async fn list(house: &Lakehouse, args: &args::Which, output: &Output) -> Result<u8> {
    let mut lines = Vec::new();
    for tenant in which(house, args.tenant.as_ref()).await? {
        let tenant = open(house, &tenant).await?;
        for kind in ["drift", "quarantine", "mail"] {
            for alert in tenant.ledger.alerts(kind).await? {
                let what = match kind {
                    "drift" => What::Drift(tenant.unseal(kind, &alert.fingerprint, &alert.sealed)?),
                    _ => What::Quarantine(tenant.unseal(kind, &alert.fingerprint, &alert.sealed)?),
                };
                lines.push(Line {
                    tenant: tenant.scope.tenant().to_string(),
                    report: alert.report,
                    fingerprint: alert.fingerprint,
                    state: alert.state,
                    severity: alert.severity,
                    deliveries: alert.deliveries,
                    raised_at: alert.raised_at,
                    what,
                });
            }
        }
    }
    output.list(&lines, || text(&lines))?;
    Ok(0)
}

fn text(lines: &[Line]) -> String {
    let rows = lines.iter().flat_map(|line| {
        let short: String = line.fingerprint.chars().take(12).collect();
        let start = [line.tenant.clone(), line.report.clone(), short, line.state.clone()];
        let details: Vec<[String; 3]> = match &line.what {
            What::Drift(body) => body
                .drift
                .findings
                .iter()
                .map(|f| [f.severity.to_string(), format!("{:?}", f.kind).to_lowercase(), f.message.clone()])
                .collect(),
            What::Quarantine(body) => {
                let what = format!("{}: {}", body.delivery.file_name, quarantine_text(&body.quarantine));
                vec![["error".into(), "quarantine".into(), what]]
            }
        };
        details.into_iter().map(move |[severity, kind, message]| {
            let [tenant, report, short, state] = start.clone();
            [tenant, report, short, state, severity, kind, message]
        })
    });
    table(["tenant", "report", "fingerprint", "state", "severity", "kind", "what"], rows)
}

async fn accept_drift(house: &Lakehouse, args: &args::Accept, output: &Output) -> Result<u8> {
    let tenant = open(house, &args.tenant).await?;
    let columns = args
        .columns
        .iter()
        .map(|text| match text.rsplit_once('=') {
            Some((name, kind)) => Ok((name.trim().to_owned(), ColumnType::try_from(kind.trim().to_owned())?)),
            None => Ok((text.trim().to_owned(), ColumnType::Text(None))),
        })
        .collect::<Result<Vec<_>>>()?;
    let renames = args
        .renames
        .iter()
        .map(|text| {
            let (from, to) = text.split_once('=').ok_or_else(|| Error::input(format!("`{text}` is not like NAME=COLUMN")))?;
            Ok((from.trim().to_owned(), to.trim().to_owned()))
        })
        .collect::<Result<Vec<_>>>()?;
    let decision = Decision { columns, renames };
    let done = spinning("filling earlier rows", accept(house, &tenant, &args.fingerprint, decision)).await?;
    output.object(&done, || {
        let mut lines = vec![format!("{}: accepted", done.report)];
        lines.extend(done.added.iter().map(|name| format!("  new column {name}")));
        lines.extend(done.renamed.iter().map(|(from, to)| format!("  {from} stands for {to}")));
        lines.push(match done.snapshot_id {
            Some(id) => format!("  rows in snapshot {id}"),
            None => "  no earlier row had such a cell".into(),
        });
        lines.join("\n")
    })?;
    Ok(0)
}
