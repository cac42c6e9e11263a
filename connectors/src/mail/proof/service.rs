//! What the service that took a mail in said of it beside the mail (the receipt in SES's notification), beside the proof.
//! Promise: a mail says no better of itself than its receipt does; a pass that names no domain proves no sender.

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
        let Some(says) = says else { continue };
        if says != ServiceVerdict::Pass {
            told.verdicts.retain(|verdict| verdict.method != method || verdict.outcome != ProofOutcome::Pass);
        }
        told.verdicts.push(recorded(method, says));
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
