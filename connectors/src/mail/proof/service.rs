//! What the service that took a mail in said of it beside the mail (the receipt in SES's notification), beside the proof.
//! Promise: a mail says no better of itself than its receipt does, and no sender is proven whose DMARC the receipt does not call a
//! pass; what the receipt does not speak of it does not bear out; a pass that names no domain proves nobody.

use bonded_schemas::{
    ServiceFindings, ServiceVerdict,
    mail::{ProofMethod, ProofOutcome, ToldBy, Verdict},
};

use super::hop::{SES, Told};

/// Adds the receipt's words to what the mail's own header told, and takes out of that what the receipt does not bear out.
pub(super) fn add(told: &mut Told, service: &ServiceFindings) {
    for (verdict, what) in [(service.spam, "spam"), (service.virus, "virus")] {
        if verdict == Some(ServiceVerdict::Fail) && !told.found.contains(&what) {
            told.found.push(what);
        }
    }
    for (method, says) in
        [(ProofMethod::Spf, service.spf), (ProofMethod::Dkim, service.dkim), (ProofMethod::Dmarc, service.dmarc)]
    {
        // DKIM's pass may be of a signature of the sender's own, and the domain beside it in the header is theirs to word.
        if says != Some(ServiceVerdict::Pass) || service.dmarc != Some(ServiceVerdict::Pass) {
            told.verdicts.retain(|verdict| verdict.method != method || verdict.outcome != ProofOutcome::Pass);
        }
        told.verdicts.extend(says.map(|says| recorded(method, says)));
    }
}

fn recorded(method: ProofMethod, says: ServiceVerdict) -> Verdict {
    let (outcome, reason) = match says {
        // DMARC's is the one that would prove a sender by itself.
        ServiceVerdict::Pass if method == ProofMethod::Dmarc => {
            (ProofOutcome::Neutral, "the receipt says pass, and not of which domain; the mail's Authentication-Results does")
        }
        ServiceVerdict::Pass => (ProofOutcome::Pass, "the receipt says pass, and not of which domain"),
        ServiceVerdict::Fail => (ProofOutcome::Fail, "the receipt says so"),
        ServiceVerdict::Gray => (ProofOutcome::None, "the receipt says that there is nothing to judge by"),
        ServiceVerdict::ProcessingFailed => (ProofOutcome::PermanentError, "the receiving service could not tell"),
    };
    let (domain, reason) = (String::new(), reason.to_owned());
    Verdict { method, outcome, domain, reason, aligned: false, told_by: ToldBy::Hop(SES.to_owned()) }
}
