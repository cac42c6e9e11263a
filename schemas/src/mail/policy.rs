//! What a tenant asks of the mails that it takes reports from.
//! Promise: the same mail and the same policy give the same verdict; a refusal names the rule and the mend.
//! Never: a name or a subject makes a file a report; it only says whether the mail may bring some.

use serde::{Deserialize, Serialize};

use super::SenderProof;
use crate::{
    error::{Error, Result},
    report::Report,
};

const SENDERS_MAX: usize = 200;
const RULES_MAX: usize = 100;
const TEXT_CHARS_MAX: usize = 320;

/// One tenant's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MailPolicy {
    pub proof: ProofNeeded,
    /// Addresses (`reports@nordwind.example`) and domains (`nordwind.example`, its subdomains not included;
    /// `*.nordwind.example` for these). Empty: anyone.
    pub senders: Vec<String>,
    pub rules: Vec<MatchRule>,
    /// A mail, and a part of it, that no rule matches is not taken.
    pub only_matching: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProofNeeded {
    /// Evaluated and written down; nothing depends on it.
    #[default]
    Record,
    /// DMARC passes, or a DKIM signature of an aligned domain; else the mail is quarantined.
    Require,
}

/// What a scheduled report is called, as the user chose it in ACE. Absent: anything. `*` and `?` as in file names, case ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MatchRule {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attachment: Option<String>,
    /// What it should bring.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<Report>,
}

/// What is judged of a mail.
#[derive(Clone, Copy, Debug)]
pub struct MailFacts<'a> {
    /// Of the header From, in lower case.
    pub from: &'a [String],
    pub subject: &'a str,
    /// Names of parts that are files.
    pub attachments: &'a [&'a str],
    pub proof: &'a SenderProof,
}

/// What the policy made of a mail.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyVerdict {
    /// Why it is not taken, with the mend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Places of the rules that match, from 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matched: Vec<usize>,
    /// What these rules expect.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expected: Vec<Report>,
}

impl MailPolicy {
    /// # Errors
    /// `Input` for what can match nothing, or is more than a policy needs.
    pub fn check(&self) -> Result<()> {
        if self.senders.len() > SENDERS_MAX || self.rules.len() > RULES_MAX {
            return Err(Error::input(format!("a mail policy has at most {SENDERS_MAX} senders and {RULES_MAX} rules")));
        }
        for sender in &self.senders {
            let domain = sender.rsplit_once('@').map_or(sender.as_str(), |(_, domain)| domain);
            let domain = if sender.contains('@') { domain } else { domain.strip_prefix("*.").unwrap_or(domain) };
            let is_domain = domain.contains('.')
                && domain.split('.').all(|label| !label.is_empty())
                && !domain.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '*' | '?' | '@' | ','));
            if !is_domain || sender.chars().count() > TEXT_CHARS_MAX || sender.starts_with('@') {
                let shown: String = sender.escape_default().take(TEXT_CHARS_MAX).collect();
                let message =
                    format!("`{shown}` is no address and no domain; write reports@example.com, example.com or *.example.com");
                return Err(Error::input(message));
            }
        }
        for rule in &self.rules {
            let texts = [&rule.subject, &rule.sender, &rule.attachment];
            if texts.iter().all(|text| text.is_none()) {
                return Err(Error::input("a match rule names a subject, a sender or an attachment"));
            }
            if texts.into_iter().flatten().any(|text| text.is_empty() || text.chars().count() > TEXT_CHARS_MAX) {
                return Err(Error::input(format!("a pattern of a match rule has 1 to {TEXT_CHARS_MAX} characters")));
            }
        }
        if self.only_matching && self.rules.is_empty() {
            return Err(Error::input("only_matching without a rule would refuse every mail; add a rule"));
        }
        Ok(())
    }

    pub fn judge(&self, facts: &MailFacts<'_>) -> PolicyVerdict {
        let matched: Vec<usize> = (0..self.rules.len()).filter(|at| self.rules[*at].matches(facts)).collect();
        let mut expected: Vec<Report> = matched.iter().filter_map(|at| self.rules[*at].report).collect();
        expected.sort();
        expected.dedup();
        PolicyVerdict { refused: self.refusal(facts, &matched), matched, expected }
    }

    fn refusal(&self, facts: &MailFacts<'_>, matched: &[usize]) -> Option<String> {
        let mend = "change the mail policy if it should be taken, then replay the delivery";
        if self.proof == ProofNeeded::Require && !facts.proof.is_proven() {
            let why = if facts.proof.is_final() { "its sender is not proven" } else { "its sender could not be proven yet" };
            return Some(format!(
                "{why} (no DMARC pass, no DKIM signature of the sender's domain), and the policy requires it; {mend}"
            ));
        }
        if !self.senders.is_empty() && !is_listed(&self.senders, facts.from) {
            return Some(format!("its sender is not on the policy's list of senders; {mend}"));
        }
        if self.only_matching && matched.is_empty() {
            return Some(format!("no match rule of the policy fits its subject, sender and attachments; {mend}"));
        }
        None
    }

    /// Whether a part of this name may be taken from a mail that these rules match.
    pub fn takes(&self, verdict: &PolicyVerdict, name: Option<&str>) -> bool {
        let fits = |at: &usize| match self.rules.get(*at).map(|rule| &rule.attachment) {
            Some(Some(pattern)) => name.is_some_and(|name| is_like(pattern, name)),
            Some(None) => true,
            None => false,
        };
        !self.only_matching || verdict.matched.iter().any(fits)
    }
}

/// Several addresses in From are how one sender hides behind another: each must be listed.
fn is_listed(senders: &[String], from: &[String]) -> bool {
    let listed = |address: &String| {
        let address = address.to_lowercase();
        let Some((_, domain)) = address.rsplit_once('@') else { return false };
        senders.iter().map(|sender| sender.to_lowercase()).any(|sender| match sender.strip_prefix("*.") {
            Some(above) => domain.strip_suffix(above).is_some_and(|sub| sub.len() > 1 && sub.ends_with('.')),
            None if sender.contains('@') => sender == address,
            None => sender == domain,
        })
    };
    !from.is_empty() && from.iter().all(listed)
}

impl MatchRule {
    fn matches(&self, facts: &MailFacts<'_>) -> bool {
        self.subject.as_ref().is_none_or(|pattern| is_like(pattern, facts.subject))
            && self.sender.as_ref().is_none_or(|pattern| facts.from.iter().any(|from| is_like(pattern, from)))
            && self.attachment.as_ref().is_none_or(|pattern| facts.attachments.iter().any(|name| is_like(pattern, name)))
    }
}

/// `*` stands for any text, `?` for one character. Linear but for what one star takes back.
fn is_like(pattern: &str, text: &str) -> bool {
    let fold = |text: &str| text.trim().to_lowercase().chars().collect::<Vec<_>>();
    let (pattern, text) = (fold(pattern), fold(text));
    let (mut at, mut seen, mut star) = (0, 0, None);
    while seen < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some(wanted) if *wanted == '?' || *wanted == text[seen] => {
                at += 1;
                seen += 1;
            }
            _ => match star {
                Some((from, taken)) => {
                    star = Some((from, taken + 1));
                    (at, seen) = (from + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|wanted| *wanted == '*')
}

#[cfg(test)]
mod tests;
