//! `reconcile`: the tie-out's findings, one object a finding, and what could not be judged.

use bonded_queries::reconcile::{CheckResult, Outcome};
use bonded_schemas::Finding;

use super::{
    args, open,
    output::{Output, table},
    progress::spinning,
};
use crate::{answers::session, checks::library, error::Result, lakehouse::Lakehouse};

pub async fn reconcile(house: &Lakehouse, args: &args::Reconcile, output: &Output) -> Result<u8> {
    let library = library(&house.settings)?;
    let tenant = open(house, &args.tenant).await?;
    let session = session(house, &tenant).await?;
    let chosen = (!args.checks.is_empty()).then_some(args.checks.as_slice());
    let results = spinning("reconciling", session.reconcile_with(&library, chosen, &args.params)).await?;
    // Other parameters are a trial: what they no longer find is not resolved.
    if args.params.is_empty() {
        crate::findings::record(house, &tenant, &results).await?;
    }
    tenant.audit(house.clock.as_ref(), "reconcile", args.tenant.as_str(), "done").await?;
    if output.json {
        for result in &results {
            for remark in remarks(result) {
                output.remark(&format!("{}: {remark}", result.check));
            }
        }
    }
    let findings = findings(&results);
    output.list(&findings, || text(&results))?;
    Ok(0)
}

fn remarks(result: &CheckResult) -> Vec<String> {
    match &result.outcome {
        Outcome::NotJudged(reason) => vec![format!("not judged: {reason}")],
        Outcome::Judged(_) => result.notes.clone(),
    }
}

pub fn findings(results: &[CheckResult]) -> Vec<Finding> {
    results.iter().flat_map(|result| result.findings().to_vec()).collect()
}

const SHOWN_MAX: usize = 50;

/// The findings, then one line a check.
pub fn text(results: &[CheckResult]) -> String {
    let all = findings(results);
    let rows = all.iter().take(SHOWN_MAX).map(|f| {
        let amount = |a: &Option<String>| a.clone().unwrap_or("-".into());
        [
            f.check.clone(),
            f.severity.to_string(),
            f.entry_summary_number.clone(),
            f.entry_summary_line_number.map_or("-".into(), |n| n.to_string()),
            amount(&f.expected),
            amount(&f.actual),
            f.lines.iter().map(i64::to_string).take(4).collect::<Vec<_>>().join(" "),
            if f.as_of_differs { "differ".into() } else { String::new() },
        ]
    });
    let mut out = table(["check", "severity", "entry", "line", "expected", "actual", "at lines", "pull dates"], rows);
    if all.len() > SHOWN_MAX {
        out.push_str(&format!("\n({} more with --json)", all.len() - SHOWN_MAX));
    }
    let summary = results.iter().map(|result| {
        let outcome = match &result.outcome {
            Outcome::Judged(findings) => format!("{} findings", findings.len()),
            Outcome::NotJudged(_) => "not judged".into(),
        };
        [result.check.clone(), outcome, remarks(result).join("; ")]
    });
    out.push_str("\n\n");
    out.push_str(&table(["check", "outcome", "remark"], summary));
    out
}
