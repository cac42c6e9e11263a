//! What a received mail was found to be: its class with the evidence, its parts, who sent it and whether that is proven.
//! Promise: no verdict without what it rests on; what was told by others is told as theirs.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::report::Report;

mod policy;

pub use policy::{MailFacts, MailPolicy, MatchRule, PolicyVerdict, ProofNeeded};

/// Part of a mail's receipt, and sealed with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailReport {
    pub class: MailClass,
    /// What the class rests on, and what else is worth knowing of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
    /// Addresses that the mail itself names as its senders, in lower case. Not proof of anything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    pub proof: SenderProof,
    pub policy: PolicyVerdict,
    /// In the mail's order; the first few hundred.
    pub parts: Vec<MailPart>,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub parts_not_listed: u64,
    /// What was not as the standards want it and was read in spite of that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What a mail is for us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailClass {
    /// It brought at least one report, or what may be one.
    Report,
    /// A mail server says that another mail was not delivered, or late.
    Bounce,
    /// A vacation reply, an out-of-office notice, a confirmation of reading.
    AutoReply,
    /// CBP's portal says something: a password that expires, a report that is ready or failed, an outage.
    PortalNotice,
    /// It claims to be someone it is not, or brings what harms.
    PhishingSuspect,
    #[default]
    Other,
}

impl MailClass {
    pub fn as_str(self) -> &'static str {
        match self {
            MailClass::Report => "report",
            MailClass::Bounce => "bounce",
            MailClass::AutoReply => "auto_reply",
            MailClass::PortalNotice => "portal_notice",
            MailClass::PhishingSuspect => "phishing_suspect",
            MailClass::Other => "other",
        }
    }
}

/// One sign, and where it was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    pub sign: Sign,
    /// The field, the part, the words; never a whole address of a link.
    pub seen: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// multipart/report with a delivery status, or fields that only bounces have.
    DeliveryStatus,
    /// No return path: MAIL FROM is empty.
    EmptyReturnPath,
    /// A mail server's own mailbox (MAILER-DAEMON, postmaster).
    MailServerSender,
    /// RFC 3834, or what programs wrote before it.
    AutoSubmitted,
    /// multipart/report with a disposition notification.
    ReadReceipt,
    /// List-Id, List-Unsubscribe, Precedence: a list or a bulk sender.
    MailingList,
    /// Names CBP's portal, and what it says.
    PortalWords,
    /// The proof failed and the mail names CBP as its sender.
    ClaimsCbp,
    /// A link that shows one host and leads to another.
    LinkElsewhere,
    /// A program, or a script.
    Executable,
    /// An archive behind a password.
    EncryptedArchive,
    /// The message itself is encrypted.
    EncryptedMessage,
    /// The receiving service found spam or malware.
    ServiceVerdict,
    /// Another report than the rule that matched expects.
    OtherReport,
}

/// One part, and what was done with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailPart {
    /// `1.2`: second part of the first.
    pub place: String,
    /// As the sender named it, cut to 256 characters, control characters escaped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// As the sender says.
    pub media_type: String,
    /// `mime`, `winmail.dat`, `uuencode`, `yenc`.
    pub origin: String,
    /// Encoded; what comes out is at most as long.
    pub encoded_bytes: u64,
    /// It became a delivery of its own.
    pub taken: bool,
    /// Why, or why not.
    pub why: String,
    /// The report whose header stands in it, where it was looked at in the open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Report>,
}

/// Who sent it, as far as that can be proven. Evaluated once, when the mail was first taken in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SenderProof {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluated_at: Option<DateTime<Utc>>,
    /// The domain that the mail names as its sender's (header From), when it is exactly one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_domain: Option<String>,
    pub verdicts: Vec<Verdict>,
    /// Why nothing was evaluated, or not all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl SenderProof {
    /// Whether the From domain is proven: DMARC passed, or a DKIM signature of an aligned domain.
    pub fn is_proven(&self) -> bool {
        self.verdicts.iter().any(|verdict| {
            verdict.outcome == ProofOutcome::Pass
                && match verdict.method {
                    ProofMethod::Dmarc => true,
                    ProofMethod::Dkim => verdict.aligned,
                    ProofMethod::Spf | ProofMethod::Arc => false,
                }
        })
    }

    /// A failure that is the sender's: not that a name server was silent.
    pub fn is_disproven(&self) -> bool {
        let failed = |verdict: &Verdict| verdict.method == ProofMethod::Dmarc && verdict.outcome == ProofOutcome::Fail;
        !self.is_proven() && self.verdicts.iter().any(failed)
    }

    /// Nothing of it will be another answer when it is asked again.
    pub fn is_final(&self) -> bool {
        self.is_proven() || !self.verdicts.iter().any(|verdict| verdict.outcome == ProofOutcome::TemporaryError)
    }
}

/// What one method says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    pub method: ProofMethod,
    pub outcome: ProofOutcome,
    /// Whose: of the return path, the signature, the From field, the last seal.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub domain: String,
    /// Why it is not a pass.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The domain is that of the From field, or of the same organisation.
    #[serde(default)]
    pub aligned: bool,
    pub told_by: ToldBy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProofMethod {
    Spf,
    Dkim,
    Dmarc,
    Arc,
}

impl ProofMethod {
    pub fn as_str(self) -> &'static str {
        match self {
            ProofMethod::Spf => "spf",
            ProofMethod::Dkim => "dkim",
            ProofMethod::Dmarc => "dmarc",
            ProofMethod::Arc => "arc",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProofOutcome {
    Pass,
    Fail,
    SoftFail,
    Neutral,
    /// There is nothing to judge by: no record, no signature.
    None,
    TemporaryError,
    PermanentError,
}

impl ProofOutcome {
    pub fn as_str(self) -> &'static str {
        match self {
            ProofOutcome::Pass => "pass",
            ProofOutcome::Fail => "fail",
            ProofOutcome::SoftFail => "soft fail",
            ProofOutcome::Neutral => "neutral",
            ProofOutcome::None => "none",
            ProofOutcome::TemporaryError => "temporary error",
            ProofOutcome::PermanentError => "permanent error",
        }
    }
}

/// Who found it out.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToldBy {
    /// This house, from the message and DNS.
    Ourselves,
    /// The hop that is trusted to say so, by the name that it uses in Authentication-Results.
    Hop(String),
}
