//! A tenant's mail policy: which mails it takes reports from, kept sealed and changed with an event that tells before and after.
//! Promise: it is kept in the raw zone, too, before it takes effect, so that a rebuild takes and leaves the same mails.

use bonded_connectors::store::audit::NewEvent;
use bonded_schemas::MailPolicy;

use crate::{
    audit::Change,
    decided::{self, Decided},
    error::Result,
    lakehouse::{Lakehouse, Tenant},
};

const WHAT: &str = "mail policy";
const NAME: &str = "one";

impl Tenant {
    /// As it is now; a tenant that never set one takes every mail and writes its proof down.
    pub async fn mail_policy(&self) -> Result<MailPolicy> {
        match self.ledger.mail_policy().await? {
            Some(sealed) => self.unseal(WHAT, NAME, &sealed),
            None => Ok(MailPolicy::default()),
        }
    }
}

/// Puts this policy in the place of the one before. Mails in quarantine are looked at again when they are replayed.
///
/// # Errors
/// `Input` for a policy that can match nothing.
pub async fn set(house: &Lakehouse, tenant: &Tenant, policy: &MailPolicy) -> Result<()> {
    policy.check()?;
    decided::keep(house, tenant, Decided::MailPolicy { policy: policy.clone() }).await?;
    set_again(house, tenant, policy).await
}

/// The same in a rebuild: the decision lies in the raw zone already.
pub(crate) async fn set_again(house: &Lakehouse, tenant: &Tenant, policy: &MailPolicy) -> Result<()> {
    let change = Change::between(&tenant.mail_policy().await?, policy)?;
    let event = tenant.sealed_change("mail.policy.set", tenant.scope.tenant().as_str(), "done", change)?;
    let sealed = tenant.seal(WHAT, NAME, policy)?;
    Ok(tenant.ledger.put_mail_policy(&sealed, NewEvent { at: house.clock.now(), sealed: &event }).await?)
}
