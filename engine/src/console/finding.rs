//! `finding list`, `finding show`, `finding explain`: what the checks found over all runs, and the received lines behind it.

use super::{
    args::{FindingAction, FindingList},
    open,
    output::{Output, table},
};
use crate::{
    error::Result,
    findings::{Kept, OriginalLine, explain, find, kept, original_lines, short},
    lakehouse::Lakehouse,
};

pub async fn finding(house: &Lakehouse, action: &FindingAction, output: &Output) -> Result<u8> {
    match action {
        FindingAction::List(args) => list(house, args, output).await,
        FindingAction::Show { tenant, id } => {
            let tenant = open(house, tenant).await?;
            let found = find(&tenant, id).await?;
            let lines = original_lines(house, &tenant, &found).await?;
            tenant.audit(house.clock.as_ref(), "finding.show", &found.id, "done").await?;
            let body = serde_json::json!({ "finding": found, "lines": lines });
            output.object(&body, || shown(&found, &lines))?;
            Ok(0)
        }
        FindingAction::Explain { tenant, id, note } => {
            let tenant = open(house, tenant).await?;
            let done = explain(house, &tenant, id, note).await?;
            output.object(&done, || format!("finding {}: explained; it opens again when its amounts change", short(&done.id)))?;
            Ok(0)
        }
    }
}

async fn list(house: &Lakehouse, args: &FindingList, output: &Output) -> Result<u8> {
    let tenant = open(house, &args.tenant).await?;
    let mut all = kept(&tenant).await?;
    all.retain(|kept| match args.state {
        Some(state) => kept.state == state,
        None => args.all || kept.state.is_pending(),
    });
    all.retain(|kept| args.checks.is_empty() || args.checks.contains(&kept.finding.check));
    output.list(&all, || {
        table(
            ["finding", "state", "check", "severity", "entry", "line", "expected", "actual", "first seen", "last seen", "runs"],
            all.iter().map(|kept| {
                let [entry, line, expected, actual] = about(kept);
                let (first, last) = (day(&kept.first_seen), day(&kept.last_seen));
                [
                    short(&kept.id).to_owned(),
                    kept.state.as_str().to_owned(),
                    kept.finding.check.clone(),
                    kept.finding.severity.to_string(),
                    entry,
                    line,
                    expected,
                    actual,
                    first,
                    last,
                    kept.runs.to_string(),
                ]
            }),
        )
    })?;
    Ok(0)
}

fn about(kept: &Kept) -> [String; 4] {
    let finding = &kept.finding;
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    [
        finding.entry_summary_number.clone(),
        or_dash(finding.entry_summary_line_number.map(|line| line.to_string())),
        or_dash(finding.expected.clone()),
        or_dash(finding.actual.clone()),
    ]
}

fn day(time: &str) -> String {
    time.chars().take(10).collect()
}

fn shown(kept: &Kept, lines: &[OriginalLine]) -> String {
    let [entry, line, expected, actual] = about(kept);
    let mut facts: Vec<[String; 2]> = vec![
        ["finding".into(), kept.id.clone()],
        ["check, severity".into(), format!("{}, {}", kept.finding.check, kept.finding.severity)],
        ["state".into(), kept.state.as_str().into()],
        ["entry, line".into(), format!("{entry}, {line}")],
        ["expected, actual".into(), format!("{expected}, {actual}")],
        ["first seen, last seen, runs".into(), format!("{}, {}, {}", kept.first_seen, kept.last_seen, kept.runs)],
    ];
    facts.extend(kept.notes.iter().map(|note| [format!("note by {}", note.by), format!("{} {}", day(&note.at), note.text)]));
    let mut out = table(["finding", ""], facts);
    let mut delivery = "";
    for line in lines {
        if line.delivery_id != delivery {
            delivery = &line.delivery_id;
            out.push_str(&format!("\n\n{} ({delivery})", line.file_name));
        }
        out.push_str(&format!("\n  line {}, byte {}:\n  {}", line.line, line.byte, line.text));
    }
    let hidden = kept.places.len() - lines.len();
    if hidden > 0 {
        out.push_str(&format!("\n\n({hidden} more rows; `SELECT * FROM meta.finding_places` has all)"));
    }
    out
}
