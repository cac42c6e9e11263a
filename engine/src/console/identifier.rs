//! `tenant engage` and `identifier`: the papers of an engagement, and the address that they open.

use std::collections::BTreeMap;

use serde_json::json;

use super::{
    args::{Engage, IdentifierAction},
    open,
    output::{Output, table},
};
use crate::{
    error::Result,
    intake::{self, Gate, IdentifierInfo, Issued, gates::Paper},
    lakehouse::Lakehouse,
};

pub async fn engage(house: &Lakehouse, papers: &Engage, output: &Output) -> Result<u8> {
    let tenant = open(house, &papers.tenant).await?;
    let named = [(Gate::Nda, &papers.nda), (Gate::Dpa, &papers.dpa), (Gate::Letter, &papers.letter)];
    let named: BTreeMap<Gate, Paper> =
        named.into_iter().filter_map(|(gate, paper)| paper.clone().map(|paper| (gate, paper))).collect();
    let recorded = intake::engage(house, &tenant, &named, &papers.by).await?;
    let missing: Vec<&str> = Gate::ALL.into_iter().filter(|gate| !recorded.contains_key(gate)).map(Gate::as_str).collect();
    output.object(&json!({ "tenant": papers.tenant, "recorded": recorded, "missing": missing }), || {
        let lines = recorded.iter().map(|(gate, recorded)| {
            let paper = &recorded.paper;
            [gate.as_str().to_owned(), paper.reference.clone(), paper.date.to_string(), recorded.by.clone()]
        });
        let next = match missing.as_slice() {
            [] => format!("All papers are there. Next: bonded identifier issue --tenant {}", papers.tenant),
            missing => format!("Still missing: {}", missing.join(", ")),
        };
        format!("{}\n{next}", table(["paper", "reference", "signed", "recorded by"], lines))
    })?;
    Ok(0)
}

pub async fn identifier(house: &Lakehouse, action: &IdentifierAction, output: &Output) -> Result<u8> {
    let changed = match action {
        IdentifierAction::Issue { tenant } => {
            let issued = intake::issue(house, &open(house, tenant).await?).await?;
            return show(&issued, output);
        }
        IdentifierAction::Rotate { tenant, grace } => {
            let issued = intake::rotate(house, &open(house, tenant).await?, *grace).await?;
            return show(&issued, output);
        }
        IdentifierAction::List { tenant } => {
            let listed = intake::list(house, &open(house, tenant).await?).await?;
            output.list(&listed, || table(["identifier", "state", "issued", "good until"], listed.iter().map(line)))?;
            return Ok(0);
        }
        IdentifierAction::Suspend { tenant, identifier } => {
            intake::suspend(house, &open(house, tenant).await?, identifier).await?
        }
        IdentifierAction::Resume { tenant, identifier } => intake::resume(house, &open(house, tenant).await?, identifier).await?,
    };
    output.object(&changed, || format!("{}: {}", changed.identifier, changed.state.as_str()))?;
    Ok(0)
}

fn line(info: &IdentifierInfo) -> [String; 4] {
    let time = |at: chrono::DateTime<chrono::Utc>| at.format("%Y-%m-%d %H:%M").to_string();
    [info.identifier.clone(), info.state.as_str().into(), time(info.issued_at), info.valid_until.map(time).unwrap_or_default()]
}

/// The one time that an address is seen.
fn show(issued: &Issued, output: &Output) -> Result<u8> {
    let body = json!({ "info": issued.info, "address": issued.address.reveal() });
    output.object(&body, || {
        format!(
            "{}\nThis address is shown once; it is a secret, and whoever has it can deliver. Its identifier is {}.",
            issued.address.reveal(),
            issued.info.identifier
        )
    })?;
    Ok(0)
}
