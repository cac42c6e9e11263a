//! What a mail is for us, and the signs that say so.
//! Promise: a class rests on signs that are kept; a mail with a report is one whatever else it shows.
//! Never: a class alone raises an alert or drops a mail.

use bonded_connectors::mail::message::{Message, Part};
use bonded_schemas::{
    Envelope, MailClass, MailReport,
    mail::{Evidence, ProofOutcome, Sign},
};

use super::{Look, TEXT_CHARS_MAX, shown};

mod links;
mod words;

/// Texts are looked through so far.
const TEXT_BYTES_MAX: usize = 256 << 10;
const EVIDENCE_MAX: usize = 40;

/// What the mail says of itself, and the signs in it.
pub(super) fn describe(report: &mut MailReport, message: &Message, looks: &[Look], envelope: Option<&Envelope>) -> Signs {
    let fields = &message.fields;
    report.from = fields.addresses("from").into_iter().map(|from| cut(&from.address)).filter(|from| !from.is_empty()).collect();
    report.subject = fields.text("subject").map(|text| cut(&text));
    report.message_id = fields.text("message-id").map(|text| cut(&text));
    let mut signs = Signs(Vec::new());
    bounce(&mut signs, message, envelope);
    automatic(&mut signs, message);
    contents(&mut signs, message, looks);
    for part in message.parts.iter().filter(|part| part.is_body()) {
        let text = part.content.head(TEXT_BYTES_MAX);
        let text = String::from_utf8_lossy(&text);
        if part.media_type == "text/html" {
            links::elsewhere(&text).into_iter().for_each(|seen| signs.add(Sign::LinkElsewhere, seen));
        }
        words::portal(&text).into_iter().for_each(|seen| signs.add(Sign::PortalWords, seen));
    }
    words::portal(report.subject.as_deref().unwrap_or_default()).into_iter().for_each(|seen| signs.add(Sign::PortalWords, seen));
    signs
}

/// The class, now that it is known whose mail it is and what is taken of it.
pub(super) fn conclude(report: &mut MailReport, mut signs: Signs, looks: &[Look]) {
    let has_failed = report.proof.verdicts.iter().any(|verdict| verdict.outcome == ProofOutcome::Fail);
    if let Some(domain) = report.proof.from_domain.as_deref().filter(|domain| is_cbp(domain))
        && has_failed
        && !report.proof.is_proven()
    {
        signs.add(Sign::ClaimsCbp, domain);
    }
    let expected = &report.policy.expected;
    for found in looks.iter().filter_map(Look::report) {
        if !expected.is_empty() && !expected.contains(&found) {
            signs.add(
                Sign::OtherReport,
                format!("{found} came, and not {}", expected.iter().map(|one| one.code()).collect::<Vec<_>>().join(", ")),
            );
        }
    }
    report.evidence = signs.0;
    let has_report = looks.iter().any(Look::may_be_report);
    report.class = class(&report.evidence, has_report, report.proof.is_proven());
}

/// CBP's own domains, and those of its department.
fn is_cbp(domain: &str) -> bool {
    ["cbp.gov", "dhs.gov"].iter().any(|own| domain == *own || domain.strip_suffix(own).is_some_and(|sub| sub.ends_with('.')))
}

/// By the heaviest sign.
pub(super) fn class(evidence: &[Evidence], has_report: bool, is_proven: bool) -> MailClass {
    let has = |sign: Sign| evidence.iter().any(|seen| seen.sign == sign);
    if has_report {
        return MailClass::Report;
    }
    if has(Sign::DeliveryStatus) || (has(Sign::EmptyReturnPath) && has(Sign::MailServerSender)) {
        return MailClass::Bounce;
    }
    let harms = [Sign::Executable, Sign::EncryptedArchive, Sign::ClaimsCbp, Sign::ServiceVerdict].into_iter().any(has);
    // Bulk senders count who follows a link, so that all theirs lead elsewhere.
    if harms || (has(Sign::LinkElsewhere) && !is_proven && !has(Sign::MailingList)) {
        return MailClass::PhishingSuspect;
    }
    // A portal's notices are automatic, too, but they say something of the portal.
    if has(Sign::PortalWords) {
        return MailClass::PortalNotice;
    }
    if has(Sign::ReadReceipt) || (has(Sign::AutoSubmitted) && !has(Sign::MailingList)) {
        return MailClass::AutoReply;
    }
    if has(Sign::MailServerSender) {
        return MailClass::Bounce;
    }
    MailClass::Other
}

pub(super) struct Signs(Vec<Evidence>);

impl Signs {
    pub fn add(&mut self, sign: Sign, seen: impl Into<String>) {
        let seen = cut(&seen.into());
        if self.0.len() < EVIDENCE_MAX && !self.0.iter().any(|known| known.sign == sign && known.seen == seen) {
            self.0.push(Evidence { sign, seen });
        }
    }
}

fn cut(text: &str) -> String {
    shown(text).chars().take(TEXT_CHARS_MAX).collect()
}

fn bounce(signs: &mut Signs, message: &Message, envelope: Option<&Envelope>) {
    let fields = &message.fields;
    let has_status = || message.parts.iter().any(|part| part.media_type == "message/delivery-status");
    match (message.media_type.as_str(), message.report_type.as_deref()) {
        ("multipart/report", Some("delivery-status")) => signs.add(Sign::DeliveryStatus, "multipart/report; delivery-status"),
        ("multipart/report", Some("disposition-notification")) => {
            signs.add(Sign::ReadReceipt, "multipart/report; disposition-notification")
        }
        ("multipart/report", _) if has_status() => signs.add(Sign::DeliveryStatus, "message/delivery-status"),
        _ => {}
    }
    for name in ["x-failed-recipients", "x-postfix-queue-id"] {
        if fields.has(name) {
            signs.add(Sign::DeliveryStatus, name);
        }
    }
    let is_empty = |text: &str| matches!(text.trim(), "" | "<>");
    if envelope.and_then(|envelope| envelope.mail_from.as_deref()).is_some_and(is_empty) {
        signs.add(Sign::EmptyReturnPath, "MAIL FROM");
    }
    if fields.all("return-path").next().is_some_and(|value| is_empty(&String::from_utf8_lossy(value))) {
        signs.add(Sign::EmptyReturnPath, "Return-Path");
    }
    for from in fields.addresses("from") {
        let local = from.address.split('@').next().unwrap_or_default();
        if matches!(local, "mailer-daemon" | "postmaster" | "mail-daemon" | "mailerdaemon") {
            signs.add(Sign::MailServerSender, format!("From: {local}"));
        }
    }
}

fn automatic(signs: &mut Signs, message: &Message) {
    let fields = &message.fields;
    let says = |name: &str| fields.token(name).filter(|word| !word.is_empty());
    if let Some(word) = says("auto-submitted").filter(|word| word != "no") {
        signs.add(Sign::AutoSubmitted, format!("Auto-Submitted: {word}"));
    }
    for name in
        ["x-autoreply", "x-autorespond", "x-auto-reply", "x-autogenerated", "x-vacation", "x-ms-exchange-inbox-rules-loop"]
    {
        if fields.has(name) {
            signs.add(Sign::AutoSubmitted, name);
        }
    }
    // Exchange writes it over everything that a program sent; a reply says so in its subject, too.
    let subject = fields.text("subject").unwrap_or_default();
    if fields.has("x-auto-response-suppress") && words::is_auto_reply(&subject) {
        signs.add(Sign::AutoSubmitted, "X-Auto-Response-Suppress and subject");
    }
    if matches!(says("precedence").as_deref(), Some("auto_reply" | "auto-reply")) {
        signs.add(Sign::AutoSubmitted, "Precedence");
    }
    for name in ["list-id", "list-unsubscribe", "list-post"] {
        if fields.has(name) {
            signs.add(Sign::MailingList, name);
        }
    }
    if matches!(says("precedence").as_deref(), Some("bulk" | "list" | "junk")) {
        signs.add(Sign::MailingList, "Precedence");
    }
}

fn contents(signs: &mut Signs, message: &Message, looks: &[Look]) {
    for (part, look) in message.parts.iter().zip(looks) {
        let named =
            |part: &Part| format!("part {} {}", part.place, part.name.as_deref().unwrap_or_default()).trim_end().to_owned();
        if *look == Look::Executable {
            signs.add(Sign::Executable, named(part));
        }
        if *look == Look::Packed && is_locked(part) {
            signs.add(Sign::EncryptedArchive, named(part));
        }
        if matches!(part.media_type.as_str(), "application/pkcs7-mime" | "application/x-pkcs7-mime" | "application/pgp-encrypted")
        {
            signs.add(Sign::EncryptedMessage, part.media_type.clone());
        }
    }
    if message.media_type == "multipart/encrypted" {
        signs.add(Sign::EncryptedMessage, "multipart/encrypted");
    }
}

/// The first file of a zip asks for a password.
fn is_locked(part: &Part) -> bool {
    let head = part.content.head(30);
    head.starts_with(b"PK\x03\x04") && head.get(6).is_some_and(|flags| flags & 1 != 0)
}
