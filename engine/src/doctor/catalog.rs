//! Whether the catalog answers and holds to its versions, and what it points at opens.

use super::{Chart, Looked, is_told_elsewhere};
use crate::{error::Result, lakehouse::Lakehouse};

pub(super) async fn look(house: &Lakehouse, looked: &Looked, chart: &mut Chart) -> Result<()> {
    if let Some(pointers) = house.lake.pointers() {
        match pointers.check().await {
            Ok(()) => chart.ok(format!("{pointers:?}"), "answers, and refuses an update of a version that is no more"),
            Err(error) => chart.failed(format!("{pointers:?}"), &error.into()),
        }
    }
    let (mut tenants, mut tables) = (0, 0);
    for scope in &looked.scopes {
        let told = async {
            let tenant = house.tenant(scope).await?;
            let names = tenant.tables.names().await;
            let mut opened = 0;
            for name in names? {
                tenant.tables.info(&name).await?;
                opened += 1;
            }
            tenant.ledger.close().await;
            Ok::<_, crate::Error>(opened)
        };
        match told.await {
            Ok(opened) => (tenants, tables) = (tenants + 1, tables + opened),
            Err(error) if is_told_elsewhere(&error) => {}
            Err(error) => {
                let mend = "`bonded verify` names what is damaged; `bonded rebuild` makes tables again from the raw zone";
                chart.fail(format!("tables of {}", scope.tenant()), error.to_string(), mend);
            }
        }
    }
    if tenants > 0 {
        chart.ok("catalog", format!("{tables} tables of {tenants} tenants open"));
    }
    Ok(())
}
