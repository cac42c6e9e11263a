//! The control store: what it is, that its tables are as they are made, and (on PostgreSQL) that role and policies keep the
//! tenants apart. Role and policies are what the start refuses already; here each half is asked as well.

use super::{Chart, Looked};
use crate::{error::Result, lakehouse::Lakehouse};

const MEND: &str = "`bonded init` with store.postgres_owner makes tables, policies and privileges that are missing; a damaged \
    SQLite file comes back from a backup, or by `bonded rebuild`";

pub(super) async fn look(house: &Lakehouse, looked: &Looked, chart: &mut Chart) -> Result<()> {
    let control = house.control();
    let version = control.version().await?;
    chart.ok(
        "control store",
        match control.asks_for_proof() {
            true => format!("{version}: the role owns nothing, and every table has its policy"),
            false => version,
        },
    );
    for flaw in control.integrity().await? {
        chart.fail("control store: shared half", flaw, MEND);
    }
    let mut whole = 0;
    for scope in &looked.scopes {
        let object = format!("control store: half of {}", scope.tenant());
        let told = async {
            let ledger = house.ledger(scope).await?;
            let flaws = ledger.integrity().await;
            ledger.close().await;
            Ok::<_, crate::Error>(flaws?)
        };
        match told.await {
            Ok(flaws) if flaws.is_empty() => whole += 1,
            Ok(flaws) => flaws.into_iter().for_each(|flaw| chart.fail(&object, flaw, MEND)),
            Err(error) => chart.failed(&object, &error),
        }
    }
    if whole > 0 {
        chart.ok("control store: halves", format!("{whole} of tenants as they are made"));
    }
    Ok(())
}
