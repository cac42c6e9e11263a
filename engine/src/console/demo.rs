//! `demo`: a lake with two tenants, their reports, what came of them, and what to try next.

use std::path::Path;

use bonded_schemas::TenantId;

use super::{args, deliveries, drift, output::Output, reconcile, scope};
use crate::{
    answers::session,
    demo::{TENANTS, compare, corpus, deliver},
    error::{Error, ErrorKind, Result},
    lakehouse::{Doors, Lakehouse},
    settings::Settings,
};

pub async fn demo(settings: Settings, doors: Doors, args: &args::Demo, output: &Output) -> Result<u8> {
    let lake = settings.lake.clone();
    let (house, _) = Lakehouse::init(settings, doors).await?;
    let mut missed = Vec::new();
    let mut unplanted = Vec::new();
    for (index, name) in TENANTS.into_iter().enumerate() {
        let tenant: TenantId = name.parse()?;
        house.add_tenant(&scope(tenant.clone())).await?;
        let tenant = super::open(&house, &tenant).await?;
        let corpus = corpus(index, args.entries, args.seed)?;
        output.say(&format!("\n== {name}: {} entry summaries, seed {} ==", args.entries, corpus.plan().seed))?;
        for done in deliver(&house, &tenant, &corpus).await? {
            if done.duplicate {
                output.say(&format!("{}: delivered before; nothing added", done.receipt.delivery.file_name))?;
            } else {
                output.object(&done.receipt, || format!("\n{}", deliveries::text(&done.receipt)))?;
            }
        }
        let results = session(&house, &tenant).await?.reconcile(None).await?;
        crate::findings::record(&house, &tenant, &results).await?;
        output.list(&reconcile::findings(&results), || format!("\nTie-out of {name}\n{}", reconcile::text(&results)))?;
        let (missing, extra) = compare(&corpus, &results);
        output.say(&format!(
            "\nplanted {}, found {}, missed {}, named without cause {}",
            corpus.expected_findings().len(),
            reconcile::findings(&results).len(),
            missing.len(),
            extra.len()
        ))?;
        missed.extend(missing);
        unplanted.extend(extra);
    }
    if !output.json {
        output.say("\n== drift ==")?;
        drift::drift(&house, &args::Drift { which: args::Which { tenant: None }, action: None }, output).await?;
    }
    if !missed.is_empty() || !unplanted.is_empty() {
        let example = missed.first().or(unplanted.first());
        return Err(Error::new(
            ErrorKind::Internal,
            format!(
                "the tie-out missed {} planted discrepancies and named {} that were not planted, {example:?} for one",
                missed.len(),
                unplanted.len()
            ),
        ));
    }
    output.say(&next(&lake))?;
    Ok(0)
}

fn next(lake: &str) -> String {
    let lake = Path::new(lake).display();
    let [lantern, kettle] = TENANTS;
    format!(
        "\nTry next:\n\
         \x20 bonded --lake {lake} deliveries\n\
         \x20 bonded --lake {lake} query --tenant {lantern} \"SELECT country_of_origin_code, count(*) AS lines, sum(line_duty_amount) AS duty FROM entry_lines GROUP BY 1 ORDER BY 3 DESC\"\n\
         \x20 bonded --lake {lake} reconcile --tenant {lantern} --check line_duty --json\n\
         \x20 bonded --lake {lake} drift\n\
         \x20 bonded --lake {lake} drift accept --tenant {kettle} FINGERPRINT --column \"Special Program Fee=money\"\n\
         \x20 bonded --lake {lake} query --tenant {kettle} \"SELECT sum(special_program_fee) FROM tariff_lines\"\n\
         \x20 bonded --lake {lake} demo   (again: the same bytes add nothing)"
    )
}
