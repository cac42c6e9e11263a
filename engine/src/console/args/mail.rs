//! The words of received mail.

use bonded_schemas::{
    Report, TenantId,
    mail::{MatchRule, ProofNeeded},
};
use clap::Subcommand;

use super::WhichDelivery;

#[derive(Debug, Subcommand)]
pub enum MailAction {
    /// What a mail was found to be: its class with the evidence, who sent it and whether that is proven, its parts
    Show {
        #[command(flatten)]
        which: WhichDelivery,
    },
    /// Which mails a tenant takes reports from
    #[command(
        after_help = "Examples:\n  bonded mail policy show --tenant acme-imports\n  bonded mail policy set --tenant acme-imports --proof require --sender acme.example\n  bonded mail policy set --tenant acme-imports --rule \"subject=*weekly lines*;attachment=*.csv;report=ES-003\" --only-matching\n\nWhat is not named is as it was never set: `policy set` alone takes every mail and writes its proof down. A mail that the\npolicy refuses is quarantined with its bytes; change the policy and deliver it again, or replay it."
    )]
    Policy {
        #[command(subcommand)]
        action: MailPolicyAction,
    },
}

#[derive(Debug, Subcommand)]
pub enum MailPolicyAction {
    /// As it is
    Show {
        #[arg(long, env = "BONDED_TENANT")]
        tenant: TenantId,
    },
    /// Put another in its place
    Set {
        #[arg(long, env = "BONDED_TENANT")]
        tenant: TenantId,
        /// record: who sent it is found out and written down. require: it must be proven (DMARC, or DKIM of the sender's domain)
        #[arg(long, default_value = "record", value_parser = parse_proof)]
        proof: ProofNeeded,
        /// Only from this address or domain (*.example.com: its subdomains); may be given again
        #[arg(long = "sender", value_name = "ADDRESS")]
        senders: Vec<String>,
        /// What a mail looks like, and what it brings: subject=, sender=, attachment= with * and ?, report=; may be given again
        #[arg(long = "rule", value_name = "NAME=TEXT;...", value_parser = parse_rule)]
        rules: Vec<MatchRule>,
        /// Take only mails, and parts of them, that a rule matches
        #[arg(long)]
        only_matching: bool,
    },
}

fn parse_proof(text: &str) -> Result<ProofNeeded, String> {
    match text {
        "record" => Ok(ProofNeeded::Record),
        "require" => Ok(ProofNeeded::Require),
        other => Err(format!("`{other}` is neither record nor require")),
    }
}

fn parse_rule(text: &str) -> Result<MatchRule, String> {
    let mut rule = MatchRule::default();
    for pair in text.split(';').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or_else(|| format!("`{pair}` is not like subject=*lines*"))?;
        let value = value.trim();
        match name.trim() {
            "subject" => rule.subject = Some(value.to_owned()),
            "sender" => rule.sender = Some(value.to_owned()),
            "attachment" => rule.attachment = Some(value.to_owned()),
            "report" => rule.report = Some(value.parse::<Report>().map_err(|error| error.to_string())?),
            other => return Err(format!("`{other}` is none of subject, sender, attachment, report")),
        }
    }
    Ok(rule)
}
