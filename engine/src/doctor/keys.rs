//! The keys that the lake and its tenants are under: their states, their policies, and whether they rotate by themselves.

use std::collections::BTreeMap;

use bonded_connectors::{
    ErrorKind,
    keys::{KeyId, KeyInfo, KeyState, Rotation},
};
use bonded_schemas::TenantId;

use super::{Chart, Looked, policy};
use crate::{error::Result, lakehouse::Lakehouse};

pub(super) async fn look(house: &Lakehouse, looked: &Looked, chart: &mut Chart) -> Result<()> {
    if let Some(record) = house.control().lake_record().await? {
        match house.keys.describe(&KeyId(record.key_id)).await {
            Ok(info) if info.state == KeyState::Enabled => {
                chart.ok("the lake's own key", "enabled");
                // Its policy may be one of its own, as config/aws/keys.yaml has it, so it is not held to the tenants'.
                told_of_rules(house, &info.key_id, "lake's own key", None, chart).await;
            }
            Ok(info) => chart.fail(
                "the lake's own key",
                format!("{}: trails are not signed, and no account opens", info.state),
                "enable it where it is kept; if it is to be deleted, cancel that",
            ),
            Err(error) => chart.failed("the lake's own key", &error.into()),
        }
    }
    let residency = house.settings.aws.residency()?;
    let (mut enabled, all) = (0, known(house).await?);
    for scope in &looked.scopes {
        let (tenant, record) = (scope.tenant(), house.record(scope.tenant()).await?);
        let object = format!("key of {tenant}");
        if let Err(error) = residency.named(&object, &record.key_id) {
            chart.failed(&object, &error.into());
            continue;
        }
        let told = match all.get(&record.key_id) {
            Some(info) => Ok(info.clone()),
            None => house.keys.describe(&KeyId(record.key_id.clone())).await,
        };
        match told {
            Ok(info) => match info.state {
                KeyState::Enabled => {
                    enabled += 1;
                    told_of_rules(house, &info.key_id, &object, Some(tenant), chart).await;
                }
                KeyState::Disabled => chart.fail(
                    &object,
                    "disabled: nothing of the tenant opens, and its deliveries wait",
                    format!("`bonded key enable {tenant}`, if it was not meant to be"),
                ),
                KeyState::PendingDeletion => {
                    let day = info.deletion_at.map_or_else(|| "soon".to_owned(), |at| format!("on {}", at.format("%Y-%m-%d")));
                    let mend = "`bonded tenant shred list` names the order; `bonded tenant shred cancel` until then";
                    chart.warn(&object, format!("will be destroyed {day}, and all of the tenant with it"), mend);
                }
                KeyState::Deleted => {
                    chart.ok(&object, "destroyed, as it was ordered; what is left of the tenant opens never again")
                }
            },
            Err(error) => chart.failed(&object, &error.into()),
        }
    }
    if enabled > 0 {
        chart.ok("tenants' keys", format!("{enabled} enabled"));
    }
    Ok(())
}

/// What its policy and its rotation are, where the service keeps either.
async fn told_of_rules(house: &Lakehouse, key: &KeyId, object: &str, tenant: Option<&TenantId>, chart: &mut Chart) {
    let (policy, rotation) = tokio::join!(house.keys.policy(key), house.keys.rotation(key));
    let named = format!("policy of the {object}");
    match policy {
        Ok(Some(policy)) => {
            if let Some((verdict, what, mend)) = policy::judged(&policy, &key.0) {
                chart.note(verdict, named.clone(), what, Some(mend.to_owned()));
            }
            match tenant.map(|tenant| house.keys.policy_of_new(tenant)).transpose().map(Option::flatten) {
                Ok(Some(meant)) => {
                    let differing = policy::differing(&meant, &policy);
                    if !differing.is_empty() {
                        let what = format!("is not what keys.policy would give it: {}", differing.join(", "));
                        let mend =
                            "as the keeper, put the filled policy onto the key (config/aws/policies/README.md, keeper.json)";
                        chart.warn(named, what, mend);
                    }
                }
                Ok(None) => {}
                Err(error) => chart.failed(named, &error.into()),
            }
        }
        Ok(None) => {}
        Err(error) if error.kind() == ErrorKind::Refused => {
            chart.not_asked(named, "this role may not read it (kms:GetKeyPolicy)");
        }
        Err(error) => chart.failed(named, &error.into()),
    }
    let named = format!("rotation of the {object}");
    match rotation {
        Ok(Rotation::ByHand | Rotation::EveryDays(_)) => {}
        Ok(Rotation::Never) => {
            let mend = format!("as the keeper: aws kms enable-key-rotation --key-id {key}");
            chart.warn(named, "it does not rotate by itself", mend);
        }
        Err(error) if error.kind() == ErrorKind::Refused => {
            chart.not_asked(named, "this role may not ask for it (kms:GetKeyRotationStatus)");
        }
        Err(error) => chart.failed(named, &error.into()),
    }
}

/// What the key service lists at once, by id, so that it is not asked for each.
async fn known(house: &Lakehouse) -> Result<BTreeMap<String, KeyInfo>> {
    Ok(house.keys.list().await?.into_iter().map(|info| (info.key_id.to_string(), info)).collect())
}
