use std::collections::HashMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bonded_schemas::{Envelope, ServiceFindings, ServiceVerdict};
use bytes::Bytes;
use mail_auth::{
    common::{crypto::Ed25519Key, headers::HeaderWriter},
    dkim::DkimSigner,
};

use super::*;
use crate::mail::message::{self, Limits};

const TIME: Duration = Duration::from_secs(5);
const PEER: &str = "192.0.2.7";

fn fields(message: &[u8]) -> Fields {
    read(message).fields
}

fn read(message: &[u8]) -> message::Message {
    let limits =
        Limits { message_bytes_max: 1 << 20, header_bytes_max: 1 << 16, parts_max: 50, depth_max: 9, decoded_bytes_max: 1 << 20 };
    message::read(Bytes::copy_from_slice(message), &limits).expect("a message")
}

fn mail_from(domain: &str) -> String {
    format!(
        "From: ACE Reports <reports@{domain}>\r\nTo: in-0@mail.bonded.example\r\nDate: Mon, 04 May 2026 02:00:00 -0400\r\n\
         Subject: Weekly lines\r\nMessage-ID: <1@{domain}>\r\n\r\nEntry Summary Number,Entry Date\r\n"
    )
}

/// A mail that this domain signed, and the record under which its key is found.
fn signed(mail: &str, domain: &str) -> (Vec<u8>, (String, String)) {
    let key = Ed25519Key::from_pkcs8_der(&Ed25519Key::generate_pkcs8().expect("a key")).expect("a key");
    let record = format!("v=DKIM1; k=ed25519; p={}", STANDARD.encode(key.public_key()));
    let signer = DkimSigner::from_key(key).domain(domain).selector("may").headers(["From", "To", "Subject", "Date"]);
    let header = signer.sign(mail.as_bytes()).expect("signed").to_header();
    ([header.as_bytes(), mail.as_bytes()].concat(), (format!("may._domainkey.{domain}"), record))
}

fn records(txt: &[(&str, &str)]) -> Recorded {
    let txt: HashMap<String, String> = txt.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    Recorded { txt, ..Recorded::default() }
}

async fn proof(message: &[u8], recorded: &Recorded) -> SenderProof {
    let read = read(message);
    let sent = Sent {
        message,
        fields: &read.fields,
        header_start: read.header_start,
        body_start: read.body_start,
        peer: PEER.parse().ok(),
        helo: Some("relay.nordwind.example"),
        mail_from: Some("bounces@nordwind.example"),
    };
    evaluate(&sent, &Names::recorded(recorded).expect("records"), TIME).await
}

fn outcome(proof: &SenderProof, method: ProofMethod) -> Option<ProofOutcome> {
    proof.verdicts.iter().find(|verdict| verdict.method == method).map(|verdict| verdict.outcome)
}

#[tokio::test]
async fn a_signed_mail_of_an_aligned_domain_from_its_own_host_is_proven() {
    let (mail, (name, key)) = signed(&mail_from("nordwind.example"), "nordwind.example");
    let recorded = records(&[
        (&name, &key),
        ("nordwind.example", "v=spf1 ip4:192.0.2.0/28 -all"),
        ("_dmarc.nordwind.example", "v=DMARC1; p=reject"),
    ]);
    let proof = proof(&mail, &recorded).await;
    for method in [ProofMethod::Spf, ProofMethod::Dkim, ProofMethod::Dmarc] {
        assert_eq!(outcome(&proof, method), Some(ProofOutcome::Pass), "{proof:?}");
    }
    assert!(proof.is_proven() && proof.is_final() && proof.verdicts.iter().all(|verdict| verdict.aligned));
    assert_eq!(proof.from_domain.as_deref(), Some("nordwind.example"));
}

#[tokio::test]
async fn one_changed_byte_another_host_and_another_domain_are_no_proof() {
    let (mail, (name, key)) = signed(&mail_from("nordwind.example"), "nordwind.example");
    let policy = ("_dmarc.nordwind.example", "v=DMARC1; p=reject");
    let elsewhere = ("nordwind.example", "v=spf1 ip4:198.51.100.0/24 -all");
    let recorded = records(&[(&name, &key), elsewhere, policy]);
    let mut changed = mail.clone();
    let last = changed.len() - 5;
    changed[last] ^= 1;
    let found = proof(&changed, &recorded).await;
    // mail-auth calls a body that is not the signed one neutral; it is no pass, and DMARC fails by it.
    assert_eq!(outcome(&found, ProofMethod::Dkim), Some(ProofOutcome::Neutral), "{found:?}");
    assert_eq!(outcome(&found, ProofMethod::Dmarc), Some(ProofOutcome::Fail));
    assert_eq!(outcome(&found, ProofMethod::Spf), Some(ProofOutcome::Fail));
    assert!(!found.is_proven());

    let (stranger, (name, key)) = signed(&mail_from("nordwind.example"), "kettle.example");
    let found = proof(&stranger, &records(&[(&name, &key), elsewhere, policy])).await;
    assert_eq!(outcome(&found, ProofMethod::Dkim), Some(ProofOutcome::Pass), "the signature itself is good");
    assert_eq!(outcome(&found, ProofMethod::Dmarc), Some(ProofOutcome::Fail), "{found:?}");
    assert!(!found.is_proven() && found.is_disproven());
}

#[tokio::test]
async fn a_mail_without_any_record_is_neither_proven_nor_disproven() {
    let found = proof(mail_from("nordwind.example").as_bytes(), &Recorded::default()).await;
    assert_eq!(outcome(&found, ProofMethod::Spf), Some(ProofOutcome::None));
    assert_eq!(outcome(&found, ProofMethod::Dmarc), Some(ProofOutcome::None));
    assert!(!found.is_proven() && !found.is_disproven() && found.is_final());
}

#[tokio::test]
async fn silent_name_servers_are_a_temporary_error() {
    let (mail, _) = signed(&mail_from("nordwind.example"), "nordwind.example");
    let silent = ["may._domainkey.nordwind.example", "nordwind.example", "_dmarc.nordwind.example"].map(str::to_owned).to_vec();
    let found = proof(&mail, &Recorded { silent, ..Recorded::default() }).await;
    for method in [ProofMethod::Spf, ProofMethod::Dkim, ProofMethod::Dmarc] {
        assert_eq!(outcome(&found, method), Some(ProofOutcome::TemporaryError), "{found:?}");
    }
    assert!(!found.is_final() && !found.is_proven() && !found.is_disproven());
}

/// A resolver of this machine whose only server swallows every question.
#[tokio::test]
async fn a_name_server_that_never_answers_is_given_up_in_time() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let port = silent.local_addr().expect("its address").port();
    let names = Names::asking("127.0.0.1".parse().expect("an address"), port).expect("a resolver");
    let (mail, _) = signed(&mail_from("nordwind.example"), "nordwind.example");
    let read = read(&mail);
    let (fields, header_start, body_start) = (&read.fields, read.header_start, read.body_start);
    let sent = Sent {
        message: &mail,
        fields,
        header_start,
        body_start,
        peer: PEER.parse().ok(),
        helo: Some("h.example"),
        mail_from: None,
    };
    let started = Instant::now();
    let found = evaluate(&sent, &names, Duration::from_millis(300)).await;
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    assert!(
        found.verdicts.len() >= 3 && found.verdicts.iter().all(|verdict| verdict.outcome == ProofOutcome::TemporaryError),
        "{found:?}"
    );
}

#[tokio::test]
async fn nobody_is_asked_when_it_is_off() {
    let mail = mail_from("nordwind.example");
    let read = read(mail.as_bytes());
    let (fields, header_start, body_start) = (&read.fields, read.header_start, read.body_start);
    let sent = Sent { message: mail.as_bytes(), fields, header_start, body_start, peer: None, helo: None, mail_from: None };
    let found = evaluate(&sent, &Names::off(), TIME).await;
    assert!(found.verdicts.is_empty() && found.note.is_some());
}

/// A victim's signed mail, and a host of the forger's that may send for the forger.
async fn forged(mail: &[u8], mail_from: &str, recorded: &Recorded) -> SenderProof {
    let read = read(mail);
    let sent = Sent {
        message: mail,
        fields: &read.fields,
        header_start: read.header_start,
        body_start: read.body_start,
        peer: PEER.parse().ok(),
        helo: Some("relay.kettle.example"),
        mail_from: Some(mail_from),
    };
    evaluate(&sent, &Names::recorded(recorded).expect("records"), TIME).await
}

#[tokio::test]
async fn a_header_above_the_header_proves_nothing() {
    let recorded = records(&[
        ("kettle.example", "v=spf1 ip4:192.0.2.0/28 -all"),
        ("_dmarc.kettle.example", "v=DMARC1; p=reject"),
        ("_dmarc.nordwind.example", "v=DMARC1; p=none"),
    ]);
    for above in ["From : x@kettle.example\r\n\r\n", "From : x@kettle.example\r\n", "\r\nFrom : x@kettle.example\r\n"] {
        let mail = format!("{above}{}", mail_from("nordwind.example"));
        let found = forged(mail.as_bytes(), "x@kettle.example", &recorded).await;
        assert_ne!(outcome(&found, ProofMethod::Dmarc), Some(ProofOutcome::Pass), "{above:?} {found:?}");
        assert!(!found.is_proven(), "{above:?} {found:?}");
    }
    // A store's lines above the header of an honest mail hide nothing.
    let stored = format!("From x@nordwind.example today\r\n{}", mail_from("kettle.example"));
    let found = forged(stored.as_bytes(), "x@kettle.example", &recorded).await;
    assert_eq!(outcome(&found, ProofMethod::Dmarc), Some(ProofOutcome::Pass), "{found:?}");
}

#[tokio::test]
async fn a_signed_header_behind_the_end_of_the_one_that_is_read_proves_nothing() {
    let (genuine, (name, key)) = signed(&mail_from("nordwind.example"), "nordwind.example");
    let recorded = records(&[(&name, &key), ("_dmarc.nordwind.example", "v=DMARC1; p=reject")]);
    let above = "From: reports@nordwind.example\r\nContent-Type: multipart/mixed; boundary=b\r\nbad name: x\r\n--b\r\n";
    let body = "Content-Type: text/csv\r\n\r\nforged: 1\r\n--b--\r\n".replace("\r\n\r\n", "\r\n: x\r\n");
    for between in [String::new(), body] {
        let mail = [above.as_bytes(), between.as_bytes(), &genuine].concat();
        let found = forged(&mail, "x@kettle.example", &recorded).await;
        assert!(!found.is_proven(), "{found:?}");
        assert_eq!(found.note.as_deref(), Some("not evaluated: its header cannot be read"), "{found:?}");
    }
}

#[tokio::test]
async fn a_mail_of_two_senders_has_no_domain_that_could_be_proven() {
    let mail = mail_from("nordwind.example").replace("From: ", "From: <a@kettle.example>, ");
    let (mail, (name, key)) = signed(&mail, "nordwind.example");
    let found = proof(&mail, &records(&[(&name, &key), ("_dmarc.nordwind.example", "v=DMARC1; p=none")])).await;
    assert_eq!(found.from_domain, None);
    assert!(!found.is_proven(), "{found:?}");
}

#[test]
fn a_domain_is_aligned_with_those_below_it_and_no_others() {
    for (domain, from, aligned) in [
        ("nordwind.example", "nordwind.example", true),
        ("Nordwind.Example", "mail.nordwind.example", true),
        ("mail.nordwind.example", "nordwind.example", false),
        ("wind.example", "nordwind.example", false),
        ("example", "nordwind.example", false),
        ("", "nordwind.example", false),
    ] {
        assert_eq!(is_aligned(domain, from), aligned, "{domain} {from}");
    }
}

const RESULTS: &str = "Authentication-Results: mx.nordwind.example; spf=pass (sender is 192.0.2.9) smtp.mailfrom=bounces@cbp.example;\r\n \
                       dkim=pass header.i=@cbp.example header.d=cbp.example; dmarc=pass (p=REJECT) header.from=cbp.example\r\n";

fn told(hops: &[&str], header: &str, envelope: Option<&Envelope>) -> hop::Told {
    let hops: Vec<Hop> = hops.iter().map(|hop| hop.parse().expect("a hop")).collect();
    let mail = format!("{header}From: reports@cbp.example\r\nDate: today\r\n\r\n");
    hop::told(&hops, envelope, &fields(mail.as_bytes()), Some("cbp.example"))
}

fn by(peer: Option<&str>, helo: &str) -> Envelope {
    Envelope { peer: peer.map(|peer| peer.parse().expect("an address")), helo: Some(helo.to_owned()), ..Envelope::default() }
}

#[test]
fn the_trusted_hop_is_believed_and_a_forged_header_is_not() {
    let hop = &["mx.nordwind.example@192.0.2.0/28"][..];
    let received = "Received: from a by mx.nordwind.example; today\r\n";
    let trusted = told(hop, &format!("{received}{RESULTS}"), Some(&by(Some("192.0.2.7"), "mx.nordwind.example")));
    let outcomes: Vec<_> = trusted.verdicts.iter().map(|verdict| (verdict.method, verdict.outcome, verdict.aligned)).collect();
    let pass = |method| (method, ProofOutcome::Pass, true);
    assert_eq!(outcomes, [pass(ProofMethod::Spf), pass(ProofMethod::Dkim), pass(ProofMethod::Dmarc)]);
    assert!(SenderProof { verdicts: trusted.verdicts, ..SenderProof::default() }.is_proven());

    let nothing = hop::Told::default();
    let forged = format!("{received}{RESULTS}");
    for (what, hops, header, envelope) in [
        ("another host", hop, forged.as_str(), Some(by(Some("198.51.100.1"), "mx.nordwind.example"))),
        ("no envelope", hop, &forged, None),
        ("a host that calls itself so", &["mx.nordwind.example"], &forged, Some(by(Some("192.0.2.7"), "mx.nordwind.example"))),
        ("no trusted hop", &[], &forged, Some(by(Some("192.0.2.7"), "mx.nordwind.example"))),
        ("another's word", &["mx.kettle.example@192.0.2.7"], &forged, Some(by(Some("192.0.2.7"), "mx.kettle.example"))),
    ] {
        assert_eq!(told(hops, header, envelope.as_ref()), nothing, "{what}");
    }
    let envelope = by(Some("192.0.2.7"), "mx.nordwind.example");
    let failed = RESULTS.replace("dkim=pass", "dkim=fail").replace("dmarc=pass", "dmarc=fail");
    let topmost = told(hop, &format!("{received}{failed}{received}{RESULTS}"), Some(&envelope));
    assert!(topmost.verdicts.iter().any(|verdict| verdict.outcome == ProofOutcome::Fail));
    assert!(
        !SenderProof { verdicts: topmost.verdicts, ..SenderProof::default() }.is_proven(),
        "the sender's own word was believed"
    );
    let below = told(hop, &format!("{received}{received}{RESULTS}"), Some(&envelope));
    assert_eq!(below, nothing, "a word below the hop's own line was believed");
    let other = RESULTS
        .replace("header.from=cbp.example", "header.from=kettle.example")
        .replace("header.d=cbp.example", "header.d=kettle.example")
        .replace("@cbp.example", "@kettle.example");
    let other = told(hop, &format!("{received}{other}"), Some(&envelope));
    assert!(!SenderProof { verdicts: other.verdicts, ..SenderProof::default() }.is_proven(), "a pass of another domain");
}

#[test]
fn what_a_sender_had_quoted_into_the_hops_word_is_not_the_hops() {
    let say = |results: &str, from: Option<&str>| {
        let header = format!("Received: from a by b; today\r\nAuthentication-Results: mx.nordwind.example; {results}\r\n");
        let hop: Hop = "mx.nordwind.example@192.0.2.7".parse().expect("a hop");
        let mail = format!("{header}From: reports@cbp.example\r\nDate: today\r\n\r\n");
        let envelope = by(Some("192.0.2.7"), "mx.nordwind.example");
        hop::told(&[hop], Some(&envelope), &fields(mail.as_bytes()), from).verdicts
    };
    let dmarc = |results: &str, from: Option<&str>| {
        let found: Vec<ProofOutcome> =
            say(results, from).iter().filter(|told| told.method == ProofMethod::Dmarc).map(|told| told.outcome).collect();
        found
    };
    let victim = Some("cbp.example");
    let good = "dmarc=pass header.from=cbp.example";
    assert_eq!(dmarc(good, victim), [ProofOutcome::Pass]);
    assert_eq!(
        dmarc(&format!("spf=pass (a (b \\) ; c) \"d) smtp.mailfrom=\"a; \\\" b\"@kettle.example; {good}"), victim),
        [ProofOutcome::Pass]
    );
    for injected in [
        "spf=pass smtp.mailfrom=\"a; dmarc=pass header.from=cbp.example; x\"@kettle.example",
        "spf=pass smtp.mailfrom=\"a\\\"; dmarc=pass header.from=cbp.example; x\"@kettle.example",
        "spf=pass smtp.mailfrom=\"(\"@kettle.example (a; dmarc=pass header.from=cbp.example; x)",
        "spf=pass (a (b) ; dmarc=pass header.from=cbp.example; x) smtp.mailfrom=kettle.example",
        "dmarc=fail header.from=cbp.example; dmarc=pass header.from=cbp.example",
    ] {
        assert!(dmarc(injected, victim).is_empty(), "{injected}");
    }
    for open in ["spf=pass smtp.mailfrom=\"a", "spf=pass (a", "spf=pass a) b"] {
        assert!(say(&format!("{good}; {open}"), victim).is_empty(), "{open}");
    }
    for (results, from) in [
        ("dmarc=pass", victim),
        ("dmarc=pass", None),
        ("dmarc=pass header.from=kettle.example", victim),
        (good, None),
        ("dmarc=pass header.from=\"\"", None),
    ] {
        assert_eq!(dmarc(results, from), [ProofOutcome::Neutral], "{results} {from:?}");
    }
}

#[test]
fn what_amazon_found_is_believed_of_what_a_worker_fetched_there() {
    let header = "X-SES-Spam-Verdict: FAIL\r\nX-SES-Virus-Verdict: PASS\r\n";
    let found = |envelope: &Envelope| told(&["amazonses.com"], header, Some(envelope)).found;
    let pass = ServiceVerdict::Pass;
    assert_eq!(found(&fetched(pass, pass, pass)), ["spam", "virus"]);
    assert!(found(&by(None, "amazonses.com")).is_empty(), "somebody at a socket of this machine said that they are Amazon");
    assert!(found(&by(Some("192.0.2.7"), "amazonses.com")).is_empty(), "a stranger said that they are Amazon");
    assert!(told(&["mx.nordwind.example"], header, Some(&by(None, "mx.nordwind.example"))).found.is_empty());
}

/// What the worker writes down of a mail that it fetched.
fn fetched(spf: ServiceVerdict, dkim: ServiceVerdict, dmarc: ServiceVerdict) -> Envelope {
    let findings = ServiceFindings {
        message_id: "d6iitobk75ur44p8kdnnp7g2n800".into(),
        received_at: chrono::DateTime::from_timestamp(1_780_000_000, 0).expect("a time"),
        spam: Some(ServiceVerdict::Gray),
        virus: Some(ServiceVerdict::Fail),
        spf: Some(spf),
        dkim: Some(dkim),
        dmarc: Some(dmarc),
    };
    Envelope { service: Some(Box::new(findings)), ..by(None, "amazonses.com") }
}

/// As SES writes it: a semicolon behind each piece, comments with colons.
const OF_SES: &str = "Received: from a by inbound-smtp.us-east-1.amazonaws.com; today\r\nAuthentication-Results: amazonses.com;\r\n \
                      spf=pass (spfCheck: domain of cbp.example designates 192.0.2.9 as permitted sender) client-ip=192.0.2.9; \
                      envelope-from=bounces@cbp.example; helo=mx.cbp.example;\r\n dkim=pass header.i=@cbp.example;\r\n \
                      dmarc=pass header.from=cbp.example;\r\n";

#[test]
fn a_receipt_is_recorded_and_a_mail_says_no_better_of_itself() {
    use ServiceVerdict::{Fail, Gray, Pass, ProcessingFailed};
    let proof = |hops: &[&str], header: &str, envelope: &Envelope| {
        let found = told(hops, header, Some(envelope));
        SenderProof { verdicts: found.verdicts, ..SenderProof::default() }
    };
    let ses = &["amazonses.com"][..];
    // The receipt and what SES wrote into the mail agree: proven.
    let both = proof(ses, OF_SES, &fetched(Pass, Pass, Pass));
    assert!(both.is_proven(), "{both:?}");
    assert_eq!(both.verdicts.len(), 6, "{both:?}");
    // The receipt alone names no domain.
    for (hops, header) in [(&[][..], OF_SES), (ses, "")] {
        let alone = proof(hops, header, &fetched(Pass, Pass, Pass));
        assert!(!alone.is_proven() && alone.verdicts.len() == 3, "{alone:?}");
    }
    // A sender wrote themselves a pass, and the receipt does not bear it out.
    for said in [Fail, Gray, ProcessingFailed] {
        let forged = proof(ses, OF_SES, &fetched(said, said, said));
        assert!(!forged.is_proven() && forged.is_final(), "{said:?}: {forged:?}");
        assert_eq!(forged.is_disproven(), said == Fail, "{said:?}");
        assert!(forged.verdicts.iter().all(|verdict| verdict.outcome != ProofOutcome::Pass), "{said:?}: {forged:?}");
    }
    // A signature of the sender's own passes, and the header tells another domain beside it: DMARC decides.
    for dmarc in [Fail, Gray, ProcessingFailed] {
        let own = proof(ses, OF_SES, &fetched(Pass, Pass, dmarc));
        assert!(!own.is_proven(), "{dmarc:?}: {own:?}");
    }
    // And what the receipt does not speak of.
    let mut silent = fetched(Pass, Pass, Pass);
    silent.service.as_mut().expect("findings").dmarc = None;
    assert!(!proof(ses, OF_SES, &silent).is_proven());
    assert_eq!(told(&[], "", Some(&fetched(Pass, Pass, Pass))).found, ["virus"]);
}

#[test]
fn hops_are_read_or_refused() {
    for good in ["amazonses.com", "mx.example.com@192.0.2.7", "mx.example.com@192.0.2.0/24", "mx.example.com@2001:db8::/32"] {
        good.parse::<Hop>().expect(good);
    }
    for bad in ["", "@192.0.2.7", "mx.example.com@", "mx.example.com@host", "mx.example.com@192.0.2.0/33", "two words", "a;b"] {
        bad.parse::<Hop>().expect_err(bad);
    }
}
