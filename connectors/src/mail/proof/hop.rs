//! What the last hop found out before us (RFC 8601), believed only of a hop that is trusted to say so.
//! Promise: only its topmost word counts, and only when the mail came from it; what a sender wrote above their own mail is nothing.

use std::{net::IpAddr, str::FromStr};

use bonded_schemas::{
    Envelope,
    mail::{ProofMethod, ProofOutcome, ToldBy, Verdict},
};

use super::{is_aligned, service};
use crate::mail::message::Fields;

/// What Amazon calls itself in Authentication-Results, and a worker of this house calls whom it fetched a mail from.
pub const SES: &str = "amazonses.com";
const RESULTS: &str = "authentication-results";
/// A header with more results is not believed.
const RESULTS_MAX: usize = 20;

/// A hop whose word counts: `mx.nordwind.example@192.0.2.7`, `...@192.0.2.0/24`, or `amazonses.com` for what a worker of this
/// house fetched from there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// As it names itself in Authentication-Results, in lower case.
    id: String,
    /// Where it connects from; none: it does not connect, a worker of ours names it.
    peer: Option<(IpAddr, u8)>,
}

impl FromStr for Hop {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || {
            format!(
                "`{}` is not like mx.example.com@192.0.2.7, mx.example.com@192.0.2.0/24 or amazonses.com",
                text.escape_default()
            )
        };
        let (id, peer) = match text.split_once('@') {
            Some((id, peer)) => (id, Some(peer)),
            None => (text, None),
        };
        let is_id = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
        let peer = match peer {
            Some(peer) => {
                let (address, bits) = peer.split_once('/').unwrap_or((peer, ""));
                let address: IpAddr = address.parse().map_err(|_| bad())?;
                let most = if address.is_ipv4() { 32 } else { 128 };
                let bits = if bits.is_empty() { most } else { bits.parse().map_err(|_| bad())? };
                Some((address, (bits <= most).then_some(bits).ok_or_else(bad)?))
            }
            None => None,
        };
        if is_id { Ok(Self { id: id.to_ascii_lowercase(), peer }) } else { Err(bad()) }
    }
}

impl Hop {
    /// Whether the mail came from it. One that a worker of ours fetched has the service's findings beside it; without them
    /// whoever may open a socket on this machine could call themselves so.
    fn brought(&self, envelope: &Envelope) -> bool {
        match (self.peer, envelope.peer) {
            (Some((network, bits)), Some(peer)) => covers(network, bits, peer.to_canonical()),
            (None, None) => {
                envelope.service.is_some() && envelope.helo.as_deref().is_some_and(|helo| helo.eq_ignore_ascii_case(&self.id))
            }
            _ => false,
        }
    }
}

fn covers(network: IpAddr, bits: u8, peer: IpAddr) -> bool {
    let same = |one: u128, other: u128, width: u32| {
        let shift = width - u32::from(bits).min(width);
        shift == width && width > 0 || one >> shift == other >> shift
    };
    match (network, peer) {
        (IpAddr::V4(one), IpAddr::V4(other)) => same(one.to_bits().into(), other.to_bits().into(), 32),
        (IpAddr::V6(one), IpAddr::V6(other)) => bits == 0 || same(one.to_bits(), other.to_bits(), 128),
        _ => false,
    }
}

/// What the hop said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    pub verdicts: Vec<Verdict>,
    /// `spam` and `virus`, where the receiving service found them.
    pub found: Vec<&'static str>,
}

/// What the hop wrote into the mail, when one of the hops brought it; and what a service told beside it.
pub fn told(hops: &[Hop], envelope: Option<&Envelope>, fields: &Fields, from_domain: Option<&str>) -> Told {
    let mut told = in_header(hops, envelope, fields, from_domain);
    if let Some(findings) = envelope.and_then(|envelope| envelope.service.as_deref()) {
        service::add(&mut told, findings);
    }
    told
}

fn in_header(hops: &[Hop], envelope: Option<&Envelope>, fields: &Fields, from_domain: Option<&str>) -> Told {
    let Some(hop) = envelope.and_then(|envelope| hops.iter().find(|hop| hop.brought(envelope))) else { return Told::default() };
    let mut told = Told::default();
    if let Some(results) = fields.topmost(RESULTS) {
        told.verdicts = results_of(&String::from_utf8_lossy(results), hop, from_domain.unwrap_or_default());
    }
    if hop.id == SES {
        for (name, what) in [("x-ses-spam-verdict", "spam"), ("x-ses-virus-verdict", "virus")] {
            let says = fields.topmost(name).map(|value| String::from_utf8_lossy(value).trim().to_ascii_uppercase());
            if says.as_deref() == Some("FAIL") {
                told.found.push(what);
            }
        }
    }
    told
}

/// `id; spf=pass smtp.mailfrom=...; dkim=pass header.d=...; dmarc=fail header.from=...`
fn results_of(text: &str, hop: &Hop, from_domain: &str) -> Vec<Verdict> {
    let Some(results) = split(text) else { return Vec::new() };
    let mut results = results.iter();
    let id = results.next().and_then(|first| first.first()).map(String::as_str).unwrap_or_default();
    if !id.eq_ignore_ascii_case(&hop.id) || results.len() > RESULTS_MAX {
        return Vec::new();
    }
    let mut verdicts: Vec<Verdict> = results.filter_map(|words| one_result(words, hop, from_domain)).collect();
    // A hop has one word on it; of several, the others are a sender's.
    if verdicts.iter().filter(|verdict| verdict.method == ProofMethod::Dmarc).count() > 1 {
        verdicts.retain(|verdict| verdict.method != ProofMethod::Dmarc);
    }
    verdicts
}

/// The words of each result (RFC 8601): comments, which lie in each other, are blanks, and what is quoted is of its word.
/// None when a quote or a comment has no end: then nobody knows what is the hop's and what the sender's.
fn split(text: &str) -> Option<Vec<Vec<String>>> {
    let mut results = vec![Vec::new()];
    let mut word = String::new();
    let (mut comments, mut in_quotes) = (0_u32, false);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' if in_quotes || comments > 0 => {
                let quoted = chars.next()?;
                if in_quotes {
                    word.push(quoted);
                }
            }
            '"' if comments == 0 => in_quotes = !in_quotes,
            c if in_quotes => word.push(c),
            '(' => comments += 1,
            ')' => comments = comments.checked_sub(1)?,
            _ if comments > 0 => {}
            ';' => {
                end(&mut word, &mut results);
                results.push(Vec::new());
            }
            c if c.is_whitespace() || c.is_control() => end(&mut word, &mut results),
            c => word.push(c),
        }
    }
    end(&mut word, &mut results);
    (comments == 0 && !in_quotes).then_some(results)
}

fn end(word: &mut String, results: &mut [Vec<String>]) {
    if let Some(words) = results.last_mut().filter(|_| !word.is_empty()) {
        words.push(std::mem::take(word));
    }
}

fn one_result(words: &[String], hop: &Hop, from_domain: &str) -> Option<Verdict> {
    let mut words = words.iter();
    let (method, outcome) = words.next()?.split_once('=')?;
    let method = match method.split('/').next()?.to_ascii_lowercase().as_str() {
        "spf" => ProofMethod::Spf,
        "dkim" => ProofMethod::Dkim,
        "dmarc" => ProofMethod::Dmarc,
        "arc" => ProofMethod::Arc,
        _ => return None,
    };
    let outcome = match outcome.to_ascii_lowercase().as_str() {
        "pass" => ProofOutcome::Pass,
        "fail" | "hardfail" => ProofOutcome::Fail,
        "softfail" => ProofOutcome::SoftFail,
        "neutral" | "policy" => ProofOutcome::Neutral,
        "none" => ProofOutcome::None,
        "temperror" => ProofOutcome::TemporaryError,
        "permerror" => ProofOutcome::PermanentError,
        _ => return None,
    };
    let mut domain = "";
    for (property, value) in words.filter_map(|word| word.split_once('=')) {
        let wanted: &[&str] = match method {
            ProofMethod::Spf => &["smtp.mailfrom", "smtp.helo"],
            ProofMethod::Dkim => &["header.d", "header.i"],
            ProofMethod::Dmarc => &["header.from"],
            ProofMethod::Arc => &["header.d"],
        };
        let is_better = domain.is_empty() || property.eq_ignore_ascii_case("header.d");
        if is_better && wanted.iter().any(|name| property.eq_ignore_ascii_case(name)) {
            domain = value.rsplit('@').next().unwrap_or_default();
        }
    }
    let mut aligned = is_aligned(domain, from_domain);
    // A pass that is of another mail's sender, or of nobody, is no pass of this one.
    let is_of_from = !domain.is_empty() && domain.eq_ignore_ascii_case(from_domain);
    let outcome = match method {
        ProofMethod::Dmarc if outcome == ProofOutcome::Pass && !is_of_from => ProofOutcome::Neutral,
        _ => outcome,
    };
    aligned &= outcome == ProofOutcome::Pass || method != ProofMethod::Dmarc;
    let told_by = ToldBy::Hop(hop.id.clone());
    Some(Verdict { method, outcome, domain: domain.to_lowercase(), reason: String::new(), aligned, told_by })
}
