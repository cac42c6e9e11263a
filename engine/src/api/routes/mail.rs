//! Which mails the team takes reports from.

use std::sync::Arc;

use axum::Json;
use bonded_schemas::{
    MailPolicy as Policy, Report,
    mail::{MatchRule, ProofNeeded},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    api::{
        Front,
        access::may,
        permit::May,
        problem::{Answer, Problem},
        sent::Sent,
    },
    mail_policy,
};

pub fn routes() -> OpenApiRouter<Arc<Front>> {
    OpenApiRouter::new().routes(routes!(policy, set_policy))
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MailPolicy {
    /// `record`: who sent a mail is found out and written down. `require`: it must be proven, or the mail is quarantined.
    #[schema(value_type = String)]
    proof: ProofNeeded,
    /// Addresses and domains (`*.example.com`: its subdomains); anyone when empty.
    #[serde(default)]
    #[schema(max_items = 200)]
    senders: Vec<String>,
    #[serde(default)]
    #[schema(max_items = 100)]
    rules: Vec<MailRule>,
    /// What no rule matches is not taken.
    #[serde(default)]
    only_matching: bool,
}

/// What a scheduled report is called, with `*` and `?`; absent is anything.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MailRule {
    #[serde(default)]
    subject: Option<String>,
    #[serde(default)]
    sender: Option<String>,
    #[serde(default)]
    attachment: Option<String>,
    /// What it should bring: `ES-001`, `ES-002`, `ES-003`, `CAPE-CLAIMS`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    report: Option<Report>,
}

impl From<Policy> for MailPolicy {
    fn from(policy: Policy) -> Self {
        let Policy { proof, senders, rules, only_matching } = policy;
        let rules = rules.into_iter().map(|MatchRule { subject, sender, attachment, report }| MailRule {
            subject,
            sender,
            attachment,
            report,
        });
        Self { proof, senders, rules: rules.collect(), only_matching }
    }
}

impl From<MailPolicy> for Policy {
    fn from(policy: MailPolicy) -> Self {
        let MailPolicy { proof, senders, rules, only_matching } = policy;
        let rules = rules.into_iter().map(|MailRule { subject, sender, attachment, report }| MatchRule {
            subject,
            sender,
            attachment,
            report,
        });
        Self { proof, senders, rules: rules.collect(), only_matching }
    }
}

/// Which mails the team takes reports from
#[utoipa::path(get, path = "/v1/mail/policy", tag = "settings", responses((status = 200, body = MailPolicy)))]
pub async fn policy(May { call, .. }: May<may::ReadSettings>) -> Answer<Json<MailPolicy>> {
    Ok(Json(call.tenant().await?.mail_policy().await?.into()))
}

/// Put another policy in its place; mails in quarantine are looked at again when they are replayed
#[utoipa::path(put, path = "/v1/mail/policy", tag = "settings", request_body = MailPolicy, responses((status = 200, body = MailPolicy), (status = 422, body = Problem)))]
pub async fn set_policy(May { call, .. }: May<may::ManageMail>, Sent(policy): Sent<MailPolicy>) -> Answer<Json<MailPolicy>> {
    let tenant = call.tenant().await?;
    let policy = Policy::from(policy);
    mail_policy::set(call.house(), &tenant, &policy).await?;
    Ok(Json(policy.into()))
}
