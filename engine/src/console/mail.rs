//! `mail show`, `mail policy`: what a received mail was found to be, and which mails are taken.

use bonded_schemas::{
    MailPolicy, MailReport,
    mail::{ProofNeeded, ToldBy, Verdict},
};

use super::{
    args::{MailAction, MailPolicyAction},
    deliveries::find,
    open,
    output::{Output, table},
};
use crate::{
    error::{Error, Result},
    lakehouse::Lakehouse,
    mail_policy,
    receipts::unsealed,
};

pub async fn mail(house: &Lakehouse, action: &MailAction, output: &Output) -> Result<u8> {
    match action {
        MailAction::Show { which } => {
            let (tenant, row) = find(house, which).await?;
            let receipt = unsealed(&tenant, &row)?;
            tenant.audit(house.clock.as_ref(), "mail.show", &which.id.to_string(), "done").await?;
            let report = receipt.and_then(|receipt| receipt.mail).ok_or_else(|| {
                Error::input(format!("delivery {} is no mail that was opened; `bonded receipt` shows it", which.id))
            })?;
            output.object(&report, || shown(&report))?;
        }
        MailAction::Policy { action: MailPolicyAction::Show { tenant } } => {
            let policy = open(house, tenant).await?.mail_policy().await?;
            output.object(&policy, || policy_shown(&policy))?;
        }
        MailAction::Policy { action: MailPolicyAction::Set { tenant, proof, senders, rules, only_matching } } => {
            let tenant = open(house, tenant).await?;
            let (senders, rules) = (senders.clone(), rules.clone());
            let policy = MailPolicy { proof: *proof, senders, rules, only_matching: *only_matching };
            mail_policy::set(house, &tenant, &policy).await?;
            output.object(&policy, || policy_shown(&policy))?;
        }
    }
    Ok(0)
}

fn shown(report: &MailReport) -> String {
    let mut facts: Vec<[String; 2]> = vec![["class".into(), report.class.as_str().into()]];
    facts.extend(report.evidence.iter().map(|seen| ["because".into(), format!("{}: {}", sign(&seen.sign), seen.seen)]));
    facts.push(["from".into(), report.from.join(", ")]);
    facts.extend(report.subject.iter().map(|subject| ["subject".into(), subject.clone()]));
    facts.extend(report.proof.verdicts.iter().map(|verdict| [verdict.method.as_str().into(), said(verdict)]));
    facts.extend(report.proof.note.iter().map(|note| ["proof".into(), note.clone()]));
    facts.push(["proven".into(), if report.proof.is_proven() { "yes" } else { "no" }.into()]);
    if let Some(refused) = &report.policy.refused {
        facts.push(["policy".into(), refused.clone()]);
    }
    facts.extend(report.notes.iter().map(|note| ["note".into(), note.clone()]));
    let parts = report.parts.iter().map(|part| {
        [
            part.place.clone(),
            part.name.clone().unwrap_or("-".into()),
            part.media_type.clone(),
            part.origin.clone(),
            part.encoded_bytes.to_string(),
            if part.taken { "taken" } else { "left" }.into(),
            part.why.clone(),
        ]
    });
    let parts = table(["part", "name", "said to be", "lay in", "bytes", "", "because"], parts);
    let more = match report.parts_not_listed {
        0 => String::new(),
        more => format!("\n... and {more} more parts"),
    };
    format!("{}\n\n{parts}{more}", table(["", ""], facts))
}

fn sign(sign: &bonded_schemas::mail::Sign) -> String {
    serde_json::to_value(sign).ok().and_then(|value| value.as_str().map(|name| name.replace('_', " "))).unwrap_or_default()
}

fn said(verdict: &Verdict) -> String {
    let mut text = verdict.outcome.as_str().to_owned();
    if !verdict.domain.is_empty() {
        text.push_str(&format!(" for {}{}", verdict.domain, if verdict.aligned { " (the sender's)" } else { "" }));
    }
    if !verdict.reason.is_empty() {
        text.push_str(&format!(": {}", verdict.reason));
    }
    if let ToldBy::Hop(hop) = &verdict.told_by {
        text.push_str(&format!(", says {hop}"));
    }
    text
}

fn policy_shown(policy: &MailPolicy) -> String {
    let any = |text: &Option<String>| text.clone().unwrap_or("*".into());
    let mut facts: Vec<[String; 2]> = vec![[
        "proof".into(),
        match policy.proof {
            ProofNeeded::Record => "found out and written down".into(),
            ProofNeeded::Require => "required".into(),
        },
    ]];
    facts.push(["senders".into(), if policy.senders.is_empty() { "anyone".into() } else { policy.senders.join(", ") }]);
    facts.extend(policy.rules.iter().map(|rule| {
        let brings = rule.report.map_or(String::new(), |report| format!(" brings {report}"));
        let text =
            format!("subject {}, sender {}, attachment {}{brings}", any(&rule.subject), any(&rule.sender), any(&rule.attachment));
        ["rule".into(), text]
    }));
    if policy.only_matching {
        facts.push(["only matching".into(), "yes: what no rule matches is not taken".into()]);
    }
    table(["", ""], facts)
}
