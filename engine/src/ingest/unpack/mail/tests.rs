use bonded_connectors::mail::message;
use bonded_schemas::{
    Envelope, MailClass, Report,
    mail::{Evidence, Verdict},
};

use super::*;

const LIMITS: Limits =
    Limits { message_bytes_max: 1 << 20, header_bytes_max: 1 << 16, parts_max: 50, depth_max: 9, decoded_bytes_max: 1 << 20 };

fn looked_at(header: &str, body: &str) -> (Message, Vec<Look>) {
    let mail = format!("From: a@nordwind.example\r\nDate: today\r\n{header}\r\n{body}");
    let message = message::read(Bytes::from(mail), &LIMITS).expect("a message");
    let looks = message.parts.iter().map(|part| part::look(part, &BTreeMap::new())).collect();
    (message, looks)
}

fn look(header: &str, body: &str) -> Look {
    looked_at(header, body).1.remove(0)
}

fn class_of(header: &str, body: &str, envelope: Option<&Envelope>) -> (MailClass, Vec<Sign>) {
    let (message, looks) = looked_at(header, body);
    let mut report = MailReport::default();
    let signs = class::describe(&mut report, &message, &looks, envelope);
    class::conclude(&mut report, signs, &looks);
    (report.class, report.evidence.iter().map(|seen| seen.sign).collect())
}

const TABLE: &str = "Entry Summary Number,Entry Date,Importer Number,Total Goods Value Amount\nXZ910000017,01/31/2026,1,2.00\n";

#[test]
fn a_part_is_known_by_what_stands_in_it() {
    let unknown = "Name,Colour,Size\nlamp,red,1\nkettle,blue,2\n";
    let file = "Content-Disposition: attachment; filename=logo.png\r\n";
    assert_eq!(look("", TABLE), Look::Report(Report::Es001));
    assert_eq!(look(file, TABLE), Look::Report(Report::Es001));
    let quoted: String = TABLE.lines().map(|line| format!("> {line}\n")).collect();
    assert!(!look("", &quoted).is_taken(), "a reply repeats what it answers");
    assert_eq!(look(file, unknown), Look::Table, "a file with an unknown header is news");
    assert!(!look("", unknown).is_taken(), "a letter with a list in it is not");
    assert_eq!(look("Content-Type: text/csv; name=empty.csv\r\n", ""), Look::Table, "an empty report is news");
    assert!(!look(file, "").is_taken());
    for (body, is_taken) in [
        ("PK\u{3}\u{4} an archive", true),
        ("%PDF-1.7", false),
        ("BEGIN:VCARD\nVERSION:3.0\n", false),
        ("Dear all,\n\nplease find nothing attached.\n", false),
        ("MZ\0\0 a program", true),
        ("#!/bin/sh\n", true),
    ] {
        assert_eq!(look(file, body).is_taken(), is_taken, "{body}");
    }
    assert_eq!(look("Content-Disposition: attachment; filename=\"report.csv.js\"\r\n", "var a = 1;"), Look::Executable);
    assert_eq!(look("Content-Disposition: attachment; filename=\"report.scr. \"\r\n", "x"), Look::Executable);
}

#[test]
fn a_class_rests_on_signs() {
    let daemon = "From: MAILER-DAEMON@nordwind.example\r\n";
    let empty = Envelope { mail_from: Some(String::new()), ..Envelope::default() };
    type Case<'a> = (&'a str, &'a str, Option<&'a Envelope>, MailClass, &'a [Sign]);
    let cases: [Case<'_>; 9] = [
        ("", TABLE, None, MailClass::Report, &[]),
        ("Auto-Submitted: auto-generated\r\n", TABLE, None, MailClass::Report, &[Sign::AutoSubmitted]),
        (daemon, "sorry", Some(&empty), MailClass::Bounce, &[Sign::EmptyReturnPath, Sign::MailServerSender]),
        ("X-Failed-Recipients: a@nordwind.example\r\n", "sorry", None, MailClass::Bounce, &[Sign::DeliveryStatus]),
        ("Auto-Submitted: no\r\n", "hello", None, MailClass::Other, &[]),
        ("X-Auto-Response-Suppress: All\r\nSubject: lunch\r\n", "hello", None, MailClass::Other, &[]),
        (
            "Auto-Submitted: auto-replied\r\nList-Id: <x>\r\n",
            "hello",
            None,
            MailClass::Other,
            &[Sign::AutoSubmitted, Sign::MailingList],
        ),
        ("Subject: an outage\r\n", "of the kitchen", None, MailClass::Other, &[]),
        (
            "Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n",
            "0\u{82}",
            None,
            MailClass::Other,
            &[Sign::EncryptedMessage],
        ),
    ];
    for (header, body, envelope, class, signs) in cases {
        assert_eq!(class_of(header, body, envelope), (class, signs.to_vec()), "{header}");
    }
}

#[test]
fn a_link_is_told_of_when_it_shows_one_host_and_leads_to_another() {
    let html = |body: &str| class_of("Content-Type: text/html\r\n", body, None).1;
    let elsewhere = [Sign::LinkElsewhere];
    for (body, signs) in [
        ("<a href=\"https://kettle.example/x\">https://ace.cbp.gov</a>", &elsewhere[..]),
        ("<A\nHREF='http://kettle.example'><b>www.cbp.gov</b></A>", &elsewhere),
        ("<a href=https://kettle.example>cbp.gov</a>", &elsewhere),
        ("<a href=\"https://cbp.gov@kettle.example/\">https://cbp.gov/</a>", &elsewhere),
        ("<a href=\"https://www.cbp.gov/x\">ace.cbp.gov</a>", &[]),
        ("<a href=\"https://kettle.example\">here</a>", &[]),
        ("<a href=\"mailto:a@kettle.example\">a@cbp.gov</a>", &[]),
        ("<a><a href=<a href=\"", &[]),
        ("<abbr>www.cbp.gov</abbr>", &[]),
    ] {
        assert_eq!(html(body), signs, "{body}");
    }
    assert!(html(&"<a href=\"https://kettle.example\">".repeat(10_000)).is_empty());
}

#[test]
fn a_bulk_senders_links_and_a_proven_senders_are_no_phishing() {
    let link = Evidence { sign: Sign::LinkElsewhere, seen: String::new() };
    let list = Evidence { sign: Sign::MailingList, seen: String::new() };
    assert_eq!(class::class(std::slice::from_ref(&link), false, false), MailClass::PhishingSuspect);
    assert_eq!(class::class(std::slice::from_ref(&link), false, true), MailClass::Other);
    assert_eq!(class::class(&[link, list], false, false), MailClass::Other);
}

#[test]
fn only_a_proof_that_failed_makes_cbps_name_suspect() {
    let concluded = |domain: &str, outcome| {
        let (message, looks) = looked_at("", "hello");
        let mut report = MailReport::default();
        let signs = class::describe(&mut report, &message, &looks, None);
        report.proof.from_domain = Some(domain.to_owned());
        report.proof.verdicts = vec![Verdict {
            method: bonded_schemas::mail::ProofMethod::Dmarc,
            outcome,
            domain: domain.to_owned(),
            reason: String::new(),
            aligned: true,
            told_by: bonded_schemas::mail::ToldBy::Ourselves,
        }];
        class::conclude(&mut report, signs, &looks);
        report.class
    };
    use bonded_schemas::mail::ProofOutcome::{Fail, Pass, TemporaryError};
    assert_eq!(concluded("ace.cbp.dhs.gov", Fail), MailClass::PhishingSuspect);
    assert_eq!(concluded("cbp.dhs.gov", Pass), MailClass::Other);
    assert_eq!(concluded("cbp.dhs.gov", TemporaryError), MailClass::Other);
    assert_eq!(concluded("notcbp.gov", Fail), MailClass::Other);
}

#[test]
fn the_policy_judges_whole_addresses_and_not_what_a_receipt_repeats() {
    let taken = |from: &str, subject: &str, policy: &MailPolicy| {
        let mail = format!("From: <{from}>\r\nDate: today\r\nSubject: {subject}\r\n\r\n{TABLE}");
        let message = message::read(Bytes::from(mail), &LIMITS).expect("a message");
        let mut looks: Vec<Look> = message.parts.iter().map(|part| part::look(part, &BTreeMap::new())).collect();
        let mut report = MailReport::default();
        let _ = class::describe(&mut report, &message, &looks, None);
        judge(policy, &mut report, &message, &mut looks);
        report.policy.refused.is_none()
    };
    let policy = MailPolicy { senders: vec!["nordwind.example".to_owned()], ..MailPolicy::default() };
    assert!(taken("reports@nordwind.example", "", &policy));
    for length in 200..300 {
        let from = format!("{}@nordwind.example.kettle.example", "a".repeat(length));
        assert!(!taken(&from, "", &policy), "{length} characters");
    }
    assert!(!taken(&format!("{}@nordwind.example", "a".repeat(ADDRESS_CHARS_MAX)), "", &policy));
    // A stranger behind more known senders than are read.
    let known = |count: usize| vec!["reports@nordwind.example"; count].join(">, <");
    assert!(taken(&known(ADDRESSES_MAX - 1), "", &policy));
    assert!(!taken(&format!("{}>, <stranger@kettle.example", known(ADDRESSES_MAX)), "", &policy));
    let rule = bonded_schemas::mail::MatchRule { subject: Some("*weekly".to_owned()), ..Default::default() };
    let policy = MailPolicy { rules: vec![rule], only_matching: true, ..MailPolicy::default() };
    let long = "a ".repeat(200);
    assert!(taken("reports@nordwind.example", &format!("{long}weekly"), &policy));
    assert!(!taken("reports@nordwind.example", &format!("{}weekly not", "a".repeat(250)), &policy));
}

#[test]
fn a_broken_winmail_dat_is_taken_so_that_it_is_heard_of() {
    let mail =
        b"From: a@nordwind.example\r\nContent-Type: application/ms-tnef; name=winmail.dat\r\n\r\n\x78\x9f\x3e\x22\x01\0\x02";
    let message = message::read(Bytes::from_static(mail), &LIMITS).expect("a message");
    let looks: Vec<Look> = message.parts.iter().map(|part| part::look(part, &BTreeMap::new())).collect();
    assert_eq!(looks, [Look::Packed]);
}

#[test]
fn a_binary_workbook_is_opened_so_that_it_is_heard_of() {
    let packed = |files: &[(&str, &[u8])]| {
        let head = b"From: a@nordwind.example\r\nContent-Disposition: attachment; filename=a.bin\r\n\r\n";
        let mail = [&head[..], &crate::ingest::unpack::pack::zip(files)].concat();
        let message = message::read(Bytes::from(mail), &LIMITS).expect("a message");
        part::look(&message.parts[0], &BTreeMap::new())
    };
    assert_eq!(packed(&[("[Content_Types].xml", b"x"), ("xl/workbook.bin", b"x")]), Look::Packed);
}
