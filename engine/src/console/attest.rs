//! `attest`: the second engine's word on every delivery, and exit code 6 when it counts otherwise.

use super::{
    args::OneTenant,
    open,
    output::{Output, table},
    progress::spinning,
};
use crate::{
    attest::{Attested, Verdict, attest as run},
    error::{ErrorKind, Result},
    lakehouse::Lakehouse,
};

/// Differences shown of one delivery.
const SHOWN_MAX: usize = 20;

pub async fn attest(house: &Lakehouse, args: &OneTenant, output: &Output) -> Result<u8> {
    let tenant = open(house, &args.tenant).await?;
    let done = spinning("counting again", run(house, &tenant)).await?;
    output.list(&done, || text(&done))?;
    let differs = done.iter().filter(|attested| matches!(attested.verdict, Verdict::Differs { .. })).count();
    if differs > 0 {
        let deliveries = if differs == 1 { "1 delivery".to_owned() } else { format!("{differs} deliveries") };
        output.remark(&format!("{deliveries} in which the tables, the receipt and the received bytes do not agree"));
        return Ok(ErrorKind::Damaged.exit_code());
    }
    Ok(0)
}

fn text(done: &[Attested]) -> String {
    let rows = done.iter().map(|attested| {
        let outcome = match &attested.verdict {
            Verdict::Agrees { unread: 0 } => "agrees".to_owned(),
            Verdict::Agrees { unread } => format!("agrees; {unread} cells are no amounts"),
            Verdict::Differs { differences } => format!("DIFFERS in {} numbers", differences.len()),
            Verdict::NotAttested { why } => format!("not attested: {why}"),
        };
        [
            attested.delivery_id.clone(),
            attested.report.map_or("-".into(), |report| report.to_string()),
            attested.file_name.clone().unwrap_or("-".into()),
            attested.rows.map_or("-".into(), |rows| rows.to_string()),
            outcome,
        ]
    });
    let mut out = table(["delivery", "report", "file", "rows", "second opinion"], rows);
    for attested in done {
        let Verdict::Differs { differences } = &attested.verdict else { continue };
        let rows =
            differences.iter().take(SHOWN_MAX).map(|d| [d.what.clone(), d.raw_zone.clone(), d.against.clone(), d.there.clone()]);
        out.push_str(&format!("\n\n{}\n", attested.delivery_id));
        out.push_str(&table(["what", "received bytes", "against", "there"], rows));
        if differences.len() > SHOWN_MAX {
            out.push_str(&format!("\n({} more with --json)", differences.len() - SHOWN_MAX));
        }
    }
    out
}
