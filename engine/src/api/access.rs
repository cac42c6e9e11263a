//! What each role may do: one `match`, read by every endpoint and nowhere else repeated.
//! Promise: what is not named here is not allowed. Who someone is, is decided elsewhere (`caller`).

use bonded_schemas::Role;

use crate::desk::Grant;

/// Each action once, and a unit type of its name, so that a handler's signature says what it needs: `May<may::Read>`.
macro_rules! actions {
    ($($(#[$told:meta])* $action:ident,)*) => {
        /// What a request wants to do with its tenant.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Action {
            $($(#[$told])* $action,)*
        }

        pub mod may {
            use super::Action;

            pub trait Permission: Send + Sync + 'static {
                const ACTION: Action;
            }

            $(
                #[derive(Debug)]
                pub struct $action;
                impl Permission for $action {
                    const ACTION: Action = Action::$action;
                }
            )*
        }
    };
}

actions! {
    /// Deliveries, receipts, drift, tables, checks, findings, deadlines, scores
    Read,
    /// SQL and reports
    Query,
    /// The received bytes, the refund pack's files: what leaves the house whole
    Export,
    Deliver,
    Replay,
    DecideDrift,
    /// Running the checks, explaining findings, working alerts
    WorkFindings,
    /// Hearing of alerts by mail, to one's own address
    Subscribe,
    ReadMembers,
    /// Inviting, suspending, changing roles; of owners only by owners, which the desk sees to
    ManageMembers,
    /// API tokens of the tenant
    ManageTokens,
    /// When reports are expected, and what of them
    ManageSchedules,
    ReadSettings,
    /// Whom the team tells of alerts, and which webhooks it calls
    ManageRoutes,
    /// Which mails reports are taken from
    ManageMail,
    ReadAudit,
    ExportAudit,
    /// Keys, the identity provider, machine identities, the ingest identifier
    ManageIntegrations,
}

impl Action {
    /// Needs a second factor shown within the last minutes, by a person.
    pub fn needs_step_up(self) -> bool {
        matches!(
            self,
            Action::Export
                | Action::ManageMembers
                | Action::ManageTokens
                | Action::ManageRoutes
                | Action::ManageMail
                | Action::ExportAudit
                | Action::ManageIntegrations
        )
    }

    /// Where it is refused, whether even that there is something is kept from the asker.
    pub fn hides(self) -> bool {
        matches!(
            self,
            Action::ReadMembers
                | Action::ReadSettings
                | Action::ReadAudit
                | Action::ExportAudit
                | Action::Read
                | Action::Query
                | Action::Export
        )
    }
}

/// The roles as `promises.md`, section E, has them: each may do what the ones after it may.
pub fn role_may(role: Role, action: Action) -> bool {
    use Action::*;
    match (role, action) {
        (Role::Owner, _) => true,
        (Role::Admin, ManageIntegrations) => false,
        (Role::Admin, _) => true,
        (Role::Operator | Role::Viewer, Read | Query | Export | Subscribe) => true,
        (Role::Operator, Deliver | Replay | DecideDrift | WorkFindings) => true,
        (Role::Operator | Role::Viewer, _) => false,
    }
}

/// What a token may do, whoever made it: never what needs a person.
pub fn grant_may(grant: Grant, action: Action) -> bool {
    match (grant, action) {
        (Grant::Read, Action::Read) => true,
        (Grant::Query, Action::Read | Action::Query) => true,
        (Grant::Deliver, Action::Deliver) => true,
        (Grant::Read | Grant::Query | Grant::Deliver, _) => false,
    }
}
