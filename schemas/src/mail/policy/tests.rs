use super::{
    super::{ProofMethod, ProofOutcome, ToldBy, Verdict},
    *,
};

fn proof(method: ProofMethod, outcome: ProofOutcome, aligned: bool) -> SenderProof {
    let verdict = Verdict {
        method,
        outcome,
        domain: "nordwind.example".into(),
        reason: String::new(),
        aligned,
        told_by: ToldBy::Ourselves,
    };
    SenderProof { verdicts: vec![verdict], ..SenderProof::default() }
}

fn judge(policy: &MailPolicy, from: &str, subject: &str, attachments: &[&str], proof: &SenderProof) -> PolicyVerdict {
    policy.judge(&MailFacts { from: &[from.to_owned()], subject, attachments, proof })
}

#[test]
fn a_policy_that_only_records_takes_every_mail() {
    let failed = proof(ProofMethod::Dmarc, ProofOutcome::Fail, false);
    assert_eq!(judge(&MailPolicy::default(), "anyone@elsewhere.example", "", &[], &failed), PolicyVerdict::default());
}

#[test]
fn proof_is_a_dmarc_pass_or_an_aligned_signature_and_nothing_else() {
    let policy = MailPolicy { proof: ProofNeeded::Require, ..MailPolicy::default() };
    for (method, outcome, aligned, taken) in [
        (ProofMethod::Dmarc, ProofOutcome::Pass, true, true),
        (ProofMethod::Dkim, ProofOutcome::Pass, true, true),
        (ProofMethod::Dkim, ProofOutcome::Pass, false, false),
        (ProofMethod::Dkim, ProofOutcome::Fail, true, false),
        (ProofMethod::Spf, ProofOutcome::Pass, true, false),
        (ProofMethod::Arc, ProofOutcome::Pass, true, false),
        (ProofMethod::Dmarc, ProofOutcome::TemporaryError, false, false),
    ] {
        let verdict = judge(&policy, "reports@nordwind.example", "", &[], &proof(method, outcome, aligned));
        assert_eq!(verdict.refused.is_none(), taken, "{method:?} {outcome:?} {aligned}");
    }
    assert!(judge(&policy, "reports@nordwind.example", "", &[], &SenderProof::default()).refused.is_some());
}

#[test]
fn the_list_of_senders_holds_addresses_domains_and_subdomains() {
    let senders = ["reports@nordwind.example", "cbp.example", "*.kettle.example"];
    let policy = MailPolicy { senders: senders.map(str::to_owned).to_vec(), ..MailPolicy::default() };
    for (from, taken) in [
        ("reports@nordwind.example", true),
        ("Reports@Nordwind.example", true),
        ("other@nordwind.example", false),
        ("anyone@cbp.example", true),
        ("anyone@mail.cbp.example", false),
        ("anyone@notcbp.example", false),
        ("anyone@mail.kettle.example", true),
        ("anyone@kettle.example", false),
        ("anyone@otherkettle.example", false),
        ("cbp.example", false),
    ] {
        assert_eq!(judge(&policy, from, "", &[], &SenderProof::default()).refused.is_none(), taken, "{from}");
    }
    let both = ["reports@nordwind.example".to_owned(), "someone@elsewhere.example".to_owned()];
    let facts = MailFacts { from: &both, subject: "", attachments: &[], proof: &SenderProof::default() };
    assert!(policy.judge(&facts).refused.is_some(), "a second sender hides behind a listed one");
    let nobody = MailFacts { from: &[], ..facts };
    assert!(policy.judge(&nobody).refused.is_some());
}

#[test]
fn rules_say_what_is_expected_and_refuse_only_when_asked_to() {
    let rule = |subject: &str, attachment: Option<&str>, report| MatchRule {
        subject: Some(subject.into()),
        attachment: attachment.map(str::to_owned),
        report: Some(report),
        sender: None,
    };
    let rules = vec![rule("*weekly lines*", Some("*.csv"), Report::Es003), rule("entries ????-??", None, Report::Es001)];
    let mut policy = MailPolicy { rules, ..MailPolicy::default() };
    let proof = SenderProof::default();
    let ask = |policy: &MailPolicy, subject, names: &[&str]| judge(policy, "a@nordwind.example", subject, names, &proof);
    let lines = ask(&policy, "FW: Weekly Lines of May", &["ES-003.CSV"]);
    assert_eq!((lines.matched.as_slice(), lines.expected.as_slice()), (&[0][..], &[Report::Es003][..]));
    assert!(ask(&policy, "Weekly lines", &["logo.png"]).matched.is_empty());
    assert_eq!(ask(&policy, "Entries 2026-04", &[]).expected, [Report::Es001]);
    assert_eq!(ask(&policy, "lunch", &[]).refused, None);
    policy.only_matching = true;
    assert!(ask(&policy, "lunch", &[]).refused.is_some());
    assert!(policy.takes(&lines, Some("es-003.csv")) && !policy.takes(&lines, Some("other.txt")) && !policy.takes(&lines, None));
    let entries = ask(&policy, "Entries 2026-04", &[]);
    assert!(policy.takes(&entries, None));
}

#[test]
fn patterns_are_those_of_file_names() {
    for (pattern, text, like) in [
        ("*", "", true),
        ("a*b*c", "aXbXbXc", true),
        ("a*b*c", "aXbXbX", false),
        ("?", "ä", true),
        ("?", "", false),
        ("ES-00?*.csv", "es-003 of may.CSV", true),
        ("report", "my report", false),
        ("*****", "x", true),
        ("", "x", false),
    ] {
        assert_eq!(is_like(pattern, text), like, "{pattern} {text}");
    }
    assert!(!is_like(&"*a".repeat(150), &"a".repeat(100)), "and no pattern takes for ever");
}

#[test]
fn a_policy_that_can_match_nothing_is_refused() {
    let with = |senders: &[&str], rules: Vec<MatchRule>, only_matching| MailPolicy {
        senders: senders.iter().map(|sender| (*sender).to_owned()).collect(),
        rules,
        only_matching,
        ..MailPolicy::default()
    };
    for bad in ["", "nobody", "@nordwind.example", "a@", "*.*", "two words.example", "a..example", "x@*.kettle.example?"] {
        with(&[bad], vec![], false).check().expect_err(bad);
    }
    with(&["a@nordwind.example", "nordwind.example", "*.nordwind.example"], vec![], false).check().expect("fine");
    with(&[], vec![MatchRule::default()], false).check().expect_err("an empty rule");
    with(&[], vec![], true).check().expect_err("nothing could match");
}
