//! Who sent a mail: SPF, DKIM, DMARC and ARC by mail-auth, over names that are asked for through one seam.
//! Promise: a name server that is down or slow gives a temporary error within the time limit, never a failure of the sender's.
//! Never: nothing that the message says of its own proof is believed here; `hop` says whose word is.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use bonded_schemas::mail::{ProofMethod, ProofOutcome, SenderProof, ToldBy, Verdict};
use mail_auth::{
    AuthenticatedMessage, DkimOutput, DkimResult, DmarcResult, Error, MessageAuthenticator, Parameters, SpfOutput, SpfResult,
    dmarc::verify::DmarcParameters, spf::verify::SpfParameters,
};

use super::message::Fields;

pub mod hop;
pub mod names;
mod service;
#[cfg(test)]
mod tests;

pub use hop::{Hop, SES};
pub use names::{Names, Recorded};

/// Signatures beyond this are not told of; nobody has as many.
const SIGNATURES_MAX: usize = 20;
/// Longest text of a reason.
const REASON_CHARS_MAX: usize = 200;

/// A message and what its carrier said of it.
#[derive(Clone, Copy)]
pub struct Sent<'a> {
    pub message: &'a [u8],
    pub fields: &'a Fields,
    /// Where in it the header is that these fields are of: what is proven is of it and no other.
    pub header_start: usize,
    pub body_start: usize,
    /// The host that handed it over; SPF is about it.
    pub peer: Option<IpAddr>,
    pub helo: Option<&'a str>,
    pub mail_from: Option<&'a str>,
}

impl std::fmt::Debug for Sent<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sent({} bytes)", self.message.len())
    }
}

/// All verdicts, in this order: SPF, DKIM by signature, DMARC, ARC.
pub async fn evaluate(sent: &Sent<'_>, names: &Names, time_max: Duration) -> SenderProof {
    let from_domain = from_domain(sent.fields);
    let mut proof = SenderProof { from_domain: from_domain.clone(), ..SenderProof::default() };
    let Some(asker) = names.asker() else {
        proof.note = Some("not evaluated: name servers are not asked (mail_in.dns is off)".to_owned());
        return proof;
    };
    let Some(message) = sent.message.get(sent.header_start..).and_then(AuthenticatedMessage::parse).filter(|message| {
        // Whoever ends the header elsewhere has read fields that we have not, or has not read some of ours.
        sent.body_start.checked_sub(sent.header_start) == Some(message.body_offset())
    }) else {
        proof.note = Some("not evaluated: its header cannot be read".to_owned());
        return proof;
    };
    let until = Instant::now() + time_max;
    let domain = from_domain.as_deref().unwrap_or_default();
    let spf = spf(sent, asker, names, until).await;
    if let Some(output) = &spf {
        proof.verdicts.push(spf_verdict(output, domain));
    }
    let dkim = match within(until, asker.verify_dkim(with_caches(&message, names))).await {
        Some(outputs) => outputs,
        None => {
            proof.verdicts.push(timed_out(ProofMethod::Dkim, ""));
            Vec::new()
        }
    };
    proof.verdicts.extend(dkim.iter().take(SIGNATURES_MAX).map(|output| dkim_verdict(output, domain)));
    let nothing = SpfOutput::default();
    let params = DmarcParameters {
        message: &message,
        dkim_output: &dkim,
        dkim2_output: None,
        rfc5321_mail_from_domain: return_path_domain(sent),
        spf_output: spf.as_ref().unwrap_or(&nothing),
    };
    let dmarc = within(until, asker.verify_dmarc(with_caches(params, names))).await;
    proof.verdicts.push(match dmarc {
        Some(output) => {
            let (outcome, reason) = match dmarc_outcome(&output.result()) {
                (ProofOutcome::Pass, _) if domain.is_empty() || !output.domain().eq_ignore_ascii_case(domain) => {
                    (ProofOutcome::Neutral, "it is of another domain than From".to_owned())
                }
                told => told,
            };
            verdict(ProofMethod::Dmarc, outcome, domain, reason, outcome == ProofOutcome::Pass)
        }
        None => timed_out(ProofMethod::Dmarc, domain),
    });
    if !message.ams_headers.is_empty() || message.has_arc_errors {
        proof.verdicts.push(match within(until, asker.verify_arc(with_caches(&message, names))).await {
            Some(output) => {
                let sealer = output.sets().last().map(|set| set.seal.header.d.clone()).unwrap_or_default();
                let (outcome, reason) = dkim_outcome(output.result());
                verdict(ProofMethod::Arc, outcome, &sealer, reason, is_aligned(&sealer, domain))
            }
            None => timed_out(ProofMethod::Arc, ""),
        });
    }
    proof
}

/// The domain of the header From, when all that stands there is of one.
fn from_domain(fields: &Fields) -> Option<String> {
    let mut domains: Vec<String> = fields.addresses("from").iter().filter_map(|from| from.domain().map(str::to_owned)).collect();
    domains.dedup();
    match domains.as_slice() {
        [one] => Some(one.clone()),
        _ => None,
    }
}

fn return_path_domain<'a>(sent: &Sent<'a>) -> &'a str {
    let path = sent.mail_from.unwrap_or_default();
    path.rsplit_once('@').map(|(_, domain)| domain).or(sent.helo).unwrap_or_default()
}

async fn spf(sent: &Sent<'_>, asker: &MessageAuthenticator, names: &Names, until: Instant) -> Option<SpfOutput> {
    let peer = sent.peer?;
    let helo = sent.helo.unwrap_or_default();
    let params = match sent.mail_from.unwrap_or_default() {
        "" => SpfParameters::verify_ehlo(peer, helo, helo),
        path => SpfParameters::verify_mail_from(peer, helo, helo, path),
    };
    let output = within(until, asker.verify_spf(with_caches(params, names))).await;
    Some(output.unwrap_or_else(|| SpfOutput::new(return_path_domain(sent).to_owned()).with_result(SpfResult::TempError)))
}

type Cached<'x, P> = Parameters<'x, P, names::Txts, names::Mxs, names::V4s, names::V6s, names::Ptrs>;

fn with_caches<'x, P>(params: P, names: &'x Names) -> Cached<'x, P> {
    let answers = names.answers();
    Parameters::new(params)
        .with_txt_cache(&answers.txts)
        .with_mx_cache(&answers.mxs)
        .with_ipv4_cache(&answers.v4s)
        .with_ipv6_cache(&answers.v6s)
        .with_ptr_cache(&answers.ptrs)
}

async fn within<T>(until: Instant, future: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(until.saturating_duration_since(Instant::now()), future).await.ok()
}

fn verdict(method: ProofMethod, outcome: ProofOutcome, domain: &str, reason: String, aligned: bool) -> Verdict {
    let reason = reason.chars().filter(|c| !c.is_control()).take(REASON_CHARS_MAX).collect();
    Verdict { method, outcome, domain: domain.to_lowercase(), reason, aligned, told_by: ToldBy::Ourselves }
}

fn timed_out(method: ProofMethod, domain: &str) -> Verdict {
    verdict(method, ProofOutcome::TemporaryError, domain, "no answer within mail_in.dns_time_max".to_owned(), false)
}

/// The same domain, or one above it that has a name of its own: whoever runs that runs this one, too.
pub(crate) fn is_aligned(domain: &str, from_domain: &str) -> bool {
    let (domain, from_domain) = (domain.to_lowercase(), from_domain.to_lowercase());
    let is_above = || from_domain.strip_suffix(domain.as_str()).is_some_and(|below| below.ends_with('.')) && domain.contains('.');
    !domain.is_empty() && (domain == from_domain || is_above())
}

fn spf_verdict(output: &SpfOutput, from_domain: &str) -> Verdict {
    let (outcome, reason) = match output.result() {
        SpfResult::Pass => (ProofOutcome::Pass, ""),
        SpfResult::Fail => (ProofOutcome::Fail, "the domain says that this host does not send for it"),
        SpfResult::SoftFail => (ProofOutcome::SoftFail, "the domain says that this host probably does not send for it"),
        SpfResult::Neutral => (ProofOutcome::Neutral, "the domain does not say"),
        SpfResult::None => (ProofOutcome::None, "the domain has no SPF record"),
        SpfResult::TempError => (ProofOutcome::TemporaryError, "a name server did not answer"),
        SpfResult::PermError => (ProofOutcome::PermanentError, "the domain's SPF record cannot be read"),
    };
    let aligned = is_aligned(output.domain(), from_domain);
    verdict(ProofMethod::Spf, outcome, output.domain(), reason.to_owned(), aligned)
}

fn dkim_verdict(output: &DkimOutput<'_>, from_domain: &str) -> Verdict {
    let domain = output.signature().map(|signature| signature.d.clone()).unwrap_or_default();
    let (outcome, reason) = dkim_outcome(output.result());
    verdict(ProofMethod::Dkim, outcome, &domain, reason, is_aligned(&domain, from_domain))
}

fn dkim_outcome(result: &DkimResult) -> (ProofOutcome, String) {
    match result {
        DkimResult::Pass => (ProofOutcome::Pass, String::new()),
        DkimResult::Fail(error) => (ProofOutcome::Fail, error.to_string()),
        DkimResult::Neutral(error) => (ProofOutcome::Neutral, error.to_string()),
        DkimResult::PermError(error) => (ProofOutcome::PermanentError, error.to_string()),
        DkimResult::TempError(error) => (ProofOutcome::TemporaryError, asked_in_vain(error)),
        DkimResult::None => (ProofOutcome::None, String::new()),
    }
}

fn dmarc_outcome(result: &DmarcResult) -> (ProofOutcome, String) {
    match result {
        DmarcResult::Pass => (ProofOutcome::Pass, String::new()),
        DmarcResult::Fail(error) => (ProofOutcome::Fail, error.to_string()),
        DmarcResult::PermError(error) => (ProofOutcome::PermanentError, error.to_string()),
        DmarcResult::TempError(error) => (ProofOutcome::TemporaryError, asked_in_vain(error)),
        DmarcResult::None => (ProofOutcome::None, "no DMARC record, or nothing to judge by".to_owned()),
    }
}

fn asked_in_vain(error: &Error) -> String {
    match error {
        Error::Dns(_) => "a name server did not answer".to_owned(),
        other => other.to_string(),
    }
}
