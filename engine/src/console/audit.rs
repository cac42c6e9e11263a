//! `bonded audit`: the trail of one tenant, or the lake's own, its chain checked while it is read.

use serde::Serialize;

use super::{
    args::Which,
    open,
    output::{Output, table},
};
use crate::{
    error::Result,
    lakehouse::{AuditEvent, Lakehouse},
};

#[derive(Serialize)]
struct Line {
    at: String,
    #[serde(flatten)]
    event: AuditEvent,
}

pub async fn audit(house: &Lakehouse, which: &Which, output: &Output) -> Result<u8> {
    let events = match &which.tenant {
        Some(tenant) => open(house, tenant).await?.trail().await?,
        None => house.trail().await?,
    };
    let lines: Vec<Line> = events.into_iter().map(|(at, event)| Line { at, event }).collect();
    output.list(&lines, || {
        let line = |line: &Line| {
            let Line { at, event: AuditEvent { actor, action, object, result, .. } } = line;
            [at.chars().take(19).collect(), actor.to_string(), action.clone(), object.clone(), result.clone()]
        };
        table(["at", "who", "what", "of", "result"], lines.iter().map(line))
    })?;
    Ok(0)
}
