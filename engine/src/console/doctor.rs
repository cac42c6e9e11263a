//! `doctor`: the whole set-up looked at; exit code 0 when all is well, 1 for something to look at, 2 for something wrong.

use super::{
    actor, args,
    output::{Output, table},
    scope,
};
use crate::{
    doctor::{Accept, Examined, Finding, Verdict, examine},
    error::Result,
    lakehouse::Doors,
    settings::Settings,
};

pub async fn doctor(settings: Settings, doors: Doors, args: &args::Doctor, output: &Output) -> Result<u8> {
    let accept = Accept { is_asked: args.accept, actor: actor() };
    let (examined, house) = examine(settings, doors, &scope, accept).await;
    output.object(&examined, || text(&examined, args.all))?;
    if let Some(house) = house {
        let [fail, warn] = [Verdict::Fail, Verdict::Warn].map(|verdict| examined.count(verdict));
        house.audit(actor(), "doctor", "lake", &format!("{fail} fail, {warn} warn of {}", examined.findings.len())).await?;
    }
    Ok(examined.exit_code())
}

fn text(examined: &Examined, all: bool) -> String {
    let is_shown = |finding: &&Finding| all || !matches!(finding.verdict, Verdict::Ok | Verdict::NotAsked);
    let mut out = String::new();
    for finding in examined.findings.iter().filter(is_shown).filter(|finding| finding.verdict >= Verdict::Warn) {
        out.push_str(&format!(
            "{} {}: {}\n  {}\n",
            finding.verdict.as_str().to_uppercase(),
            finding.probe,
            finding.object,
            finding.what
        ));
        if let Some(mend) = &finding.mend {
            out.push_str(&format!("  mend: {mend}\n"));
        }
    }
    if all {
        let quiet = examined.findings.iter().filter(|finding| finding.verdict < Verdict::Warn);
        let rows = quiet.map(|f| [f.probe.to_owned(), f.object.clone(), f.verdict.as_str().to_owned(), f.what.clone()]);
        out.push_str(&table(["probe", "object", "", ""], rows));
        out.push('\n');
    }
    let [fail, warn, ok, left] =
        [Verdict::Fail, Verdict::Warn, Verdict::Ok, Verdict::NotAsked].map(|verdict| examined.count(verdict));
    out.push_str(&format!("{fail} fail, {warn} warn, {ok} ok, {left} not asked (bonded {})", examined.version));
    out
}
