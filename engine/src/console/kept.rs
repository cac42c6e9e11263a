//! What each command leaves in the audit trails when it was done.
//! Promise: every command that changes or reads anything of a tenant or of the lake leaves an event; a new command does not
//! compile before it says where.

use bonded_schemas::TenantId;

use super::{
    actor,
    args::{
        AlertsAction, Audit, AuditAction, CapeAction, CheckAction, Command, DriftAction, FindingAction, IdentifierAction,
        KeyAction, MachineAction, MailAction, MailPolicyAction, MemberAction, OwnerAction, QueueAction, RawAction, RoutesAction,
        RulesAction, ScheduleAction, ShredAction, TenantAction, TokenAction, WindowsAction,
    },
    scope, which,
};
use crate::{
    error::{ErrorKind, Result},
    lakehouse::Lakehouse,
};

/// Where the event of a command belongs.
pub enum Left {
    /// It writes its own, closer to what it does.
    Itself,
    /// In the trail of the named tenant, or of every tenant.
    Tenants(Option<TenantId>),
    /// In the lake's own.
    Lake,
    /// It touches nothing that is anyone's.
    Nothing,
}

pub fn left_by(command: &Command) -> Left {
    match command {
        Command::Tenant { action } => match action {
            TenantAction::Add { .. } | TenantAction::Engage(_) => Left::Itself,
            TenantAction::List => Left::Lake,
            TenantAction::Owner { action } => match action {
                OwnerAction::New { .. } | OwnerAction::Sign { .. } => Left::Nothing,
                OwnerAction::Add { text: false, .. } => Left::Itself,
                OwnerAction::Add { text: true, .. } | OwnerAction::List { .. } => Left::Lake,
            },
            TenantAction::Shred { action } => match action {
                ShredAction::Request { .. } | ShredAction::Approve { .. } | ShredAction::Cancel { .. } => Left::Itself,
                // It leaves one for each order it finishes, and this one when there is none.
                ShredAction::Finish | ShredAction::List | ShredAction::Proof { .. } => Left::Lake,
                ShredAction::Verify { .. } => Left::Nothing,
            },
        },
        Command::Member { action } => match action {
            MemberAction::List { tenant } => Left::Tenants(Some(tenant.clone())),
            MemberAction::Invite { .. }
            | MemberAction::Role { .. }
            | MemberAction::Suspend { .. }
            | MemberAction::Resume { .. }
            | MemberAction::Remove { .. } => Left::Itself,
        },
        Command::Token { action } => match action {
            TokenAction::List { tenant } => Left::Tenants(Some(tenant.clone())),
            TokenAction::Create { .. } | TokenAction::Revoke { .. } => Left::Itself,
        },
        Command::Machine { action: MachineAction::Add { .. } } => Left::Itself,
        Command::Identifier { action } => match action {
            IdentifierAction::List { tenant } => Left::Tenants(Some(tenant.clone())),
            IdentifierAction::Issue { .. }
            | IdentifierAction::Rotate { .. }
            | IdentifierAction::Suspend { .. }
            | IdentifierAction::Resume { .. } => Left::Itself,
        },
        Command::Alerts { action } => match action {
            AlertsAction::List(list) => Left::Tenants(list.tenant.clone()),
            AlertsAction::Routes { action: RoutesAction::List { tenant } } => Left::Tenants(Some(tenant.clone())),
            AlertsAction::Heartbeat => Left::Lake,
            AlertsAction::Show(_)
            | AlertsAction::Ack { .. }
            | AlertsAction::Resolve { .. }
            | AlertsAction::Mute { .. }
            | AlertsAction::Routes { action: RoutesAction::Add(_) | RoutesAction::Remove { .. } | RoutesAction::Test { .. } } => {
                Left::Itself
            }
        },
        Command::Key { action } => match action {
            KeyAction::List => Left::Lake,
            KeyAction::Rotate { .. } | KeyAction::Disable { .. } | KeyAction::Enable { .. } => Left::Itself,
        },
        Command::Queue { action } => match action {
            QueueAction::List(which) => Left::Tenants(which.tenant.clone()),
            QueueAction::Retry { .. } | QueueAction::Drop { .. } => Left::Itself,
        },
        Command::Drift(drift) => match &drift.action {
            Some(DriftAction::Accept(_)) => Left::Itself,
            None => Left::Tenants(drift.which.tenant.clone()),
        },
        Command::Finding { action } => match action {
            FindingAction::List(list) => Left::Tenants(Some(list.tenant.clone())),
            FindingAction::Show { .. } | FindingAction::Explain { .. } => Left::Itself,
        },
        Command::Rules { action } => match action {
            // Public knowledge, the same for all.
            RulesAction::List { .. } => Left::Nothing,
            RulesAction::Add { .. } => Left::Itself,
        },
        Command::Mail { action } => match action {
            MailAction::Policy { action: MailPolicyAction::Show { tenant } } => Left::Tenants(Some(tenant.clone())),
            MailAction::Show { .. } | MailAction::Policy { action: MailPolicyAction::Set { .. } } => Left::Itself,
        },
        Command::Raw { action: RawAction::Get { .. } } => Left::Itself,
        Command::Maintain(maintain) => match maintain.dry_run {
            true => Left::Tenants(maintain.tenant.clone()),
            false => Left::Itself,
        },
        Command::Audit(Audit { action: Some(AuditAction::Head(which)), .. }) => match &which.tenant {
            Some(tenant) => Left::Tenants(Some(tenant.clone())),
            None => Left::Lake,
        },
        Command::Audit(Audit { action: Some(AuditAction::Verify { .. }), .. }) => Left::Nothing,
        Command::Audit(Audit { action: None | Some(AuditAction::Seal(_) | AuditAction::Export { .. }), .. }) => Left::Itself,
        Command::Cape(cape) => match &cape.action {
            None | Some(CapeAction::Read { .. }) => Left::Itself,
        },
        Command::Windows { action } => match action {
            WindowsAction::List(list) => Left::Tenants(list.tenant.clone()),
            WindowsAction::Suggest { tenant, .. } => Left::Tenants(Some(tenant.clone())),
            WindowsAction::Schedule { action } => match action {
                ScheduleAction::Set(_) | ScheduleAction::Remove { .. } => Left::Itself,
                ScheduleAction::List { tenant } => Left::Tenants(tenant.clone()),
            },
            WindowsAction::Check { action } => match action {
                CheckAction::List { tenant, .. } => Left::Tenants(tenant.clone()),
                CheckAction::Show { tenant, .. } => Left::Tenants(Some(tenant.clone())),
                CheckAction::Tick { .. } | CheckAction::Close { .. } => Left::Itself,
            },
        },
        Command::Freshness(freshness) => Left::Tenants(freshness.tenant.clone()),
        Command::Deliveries(which) | Command::Tables(which) => Left::Tenants(which.tenant.clone()),
        Command::Init
        | Command::Ingest(_)
        | Command::Serve(_)
        | Command::Receipt(_)
        | Command::Query(_)
        | Command::Reconcile(_)
        | Command::Report(_)
        | Command::History(_)
        | Command::Changes(_)
        | Command::Vanished(_)
        | Command::Deadlines(_)
        | Command::Attest(_)
        | Command::Score(_)
        | Command::Verify(_)
        | Command::Doctor(_)
        | Command::Rebuild(_)
        | Command::Backup(_)
        | Command::Restore(_)
        | Command::Demo(_) => Left::Itself,
        // What it delivers leaves its event where it arrives.
        Command::Push(_) => Left::Nothing,
        Command::Checks(_) | Command::Completions { .. } => Left::Nothing,
    }
}

/// Writes what the command did not write itself. `command` is its words, joined by points.
pub async fn keep(house: &Lakehouse, command: &str, left: Left) -> Result<()> {
    match left {
        Left::Itself | Left::Nothing => Ok(()),
        Left::Lake => house.audit(actor(), command, TenantId::lake().as_str(), "done").await,
        Left::Tenants(tenant) => {
            for tenant in which(house, tenant.as_ref()).await? {
                match house.tenant(&scope(tenant.clone())).await {
                    Ok(opened) => opened.audit(house.clock.as_ref(), command, tenant.as_str(), "done").await?,
                    // What could be told of it needed no key; its own trail does.
                    Err(error) if error.kind() == ErrorKind::Refused => {
                        house.audit(actor(), command, tenant.as_str(), "done").await?;
                    }
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        }
    }
}
