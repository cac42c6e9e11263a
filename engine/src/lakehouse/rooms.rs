//! The rooms of tenants that were asked for lately, so that a small question does not open a ledger each time.
//! Promise: the key is asked whether it may still be used at each entry; rooms kept are rooms of the very tenant.
//! Never: more than so many stay open, and none stays when its key is gone.

use std::{collections::HashMap, time::Duration};

use bonded_schemas::{TenantId, TenantScope};
use tokio::{sync::Mutex, time::Instant};

use super::{Lakehouse, Tenant};
use crate::error::{Error, ErrorKind, Result};

const OPEN_MAX: usize = 64;
/// After so long they are opened afresh: a rotated key, a restored record.
const OPEN_FOR: Duration = Duration::from_secs(300);

#[derive(Debug, Default)]
pub(super) struct Rooms(Mutex<HashMap<TenantId, Kept>>);

#[derive(Debug)]
struct Kept {
    tenant: Tenant,
    opened: Instant,
    used: Instant,
}

impl Lakehouse {
    /// As [`Lakehouse::tenant`], for a process that stays and is asked often.
    pub(crate) async fn enter(&self, scope: &TenantScope) -> Result<Tenant> {
        let now = Instant::now();
        let kept = {
            let mut open = self.rooms.0.lock().await;
            open.retain(|_, kept| now.duration_since(kept.opened) < OPEN_FOR);
            open.get_mut(scope.tenant()).map(|kept| {
                kept.used = now;
                kept.tenant.clone()
            })
        };
        if let Some(tenant) = kept {
            match self.keys.check_usable(&tenant.key).await.map_err(Error::from) {
                Ok(()) => return tenant.acting(scope),
                Err(error) => {
                    if error.kind() == ErrorKind::Refused {
                        self.rooms.0.lock().await.remove(scope.tenant());
                    }
                    return Err(error);
                }
            }
        }
        let tenant = self.tenant(scope).await?;
        let mut open = self.rooms.0.lock().await;
        if open.len() >= OPEN_MAX
            && let Some(oldest) = open.iter().min_by_key(|(_, kept)| kept.used).map(|(tenant, _)| tenant.clone())
        {
            open.remove(&oldest);
        }
        open.insert(scope.tenant().clone(), Kept { tenant: tenant.clone(), opened: now, used: now });
        Ok(tenant)
    }
}
