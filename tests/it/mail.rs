//! Mails through the whole line: every shape ends as it says, the policy holds, and a proof is found out once.

use std::{collections::HashMap, sync::Arc};

use bonded::{
    demo::corpus::Corpus,
    ingest::{Ingested, Source, ingest, replay},
    lakehouse::{Doors, Lakehouse, Tenant},
    mail_policy,
    settings::Settings,
};
use bonded_connectors::{
    clock::SystemClock,
    mail::proof::{Names, Recorded},
};
use bonded_schemas::{
    Channel, DeliveryState, Envelope, MailClass, MailPolicy, QuarantineReason, Report, TenantScope,
    mail::{MatchRule, ProofMethod, ProofNeeded, ProofOutcome, Sign},
};
use tempfile::TempDir;

use crate::{
    containers::pack,
    world::{TENANT, World, csv, random_plan},
};

pub mod shapes;

use shapes::{Comes, Load, Random, attached, entity, head, multipart, text};

struct Post {
    folder: TempDir,
    house: Lakehouse,
    tenant: Tenant,
}

#[expect(clippy::disallowed_methods, reason = "a test establishes its own scopes")]
fn scope() -> TenantScope {
    TenantScope::establish(TENANT.parse().expect("a tenant name"), "test")
}

impl Post {
    async fn new(names: Names) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let settings = Settings { lake: folder.path().join("lake").display().to_string(), ..Settings::default() };
        let doors = Doors { names: Some(names), ..Doors::new(Arc::new(SystemClock)) };
        let (house, _) = Lakehouse::init(settings, doors).await.expect("a lake");
        house.add_tenant(&scope()).await.expect("a tenant");
        let tenant = house.tenant(&scope()).await.expect("opens");
        Self { folder, house, tenant }
    }

    /// The same lake, another process that asks other name servers.
    async fn again(self, names: Names) -> Self {
        self.tenant.ledger.close().await;
        self.house.control().close().await;
        let settings = self.house.settings.clone();
        let doors = Doors { names: Some(names), ..Doors::new(Arc::new(SystemClock)) };
        let house = Lakehouse::open(settings, doors).await.expect("opens");
        let tenant = house.tenant(&scope()).await.expect("opens");
        Self { folder: self.folder, house, tenant }
    }

    async fn take(&self, bytes: &[u8], channel: Channel, envelope: Option<Envelope>) -> Ingested {
        let mut bytes = bytes;
        let envelope = envelope.map(Box::new);
        let source = Source { file_name: "message.eml".into(), bytes: &mut bytes, channel, as_of: None, envelope, poa: None };
        ingest(&self.house, &self.tenant, source).await.expect("a mail is a receipt, not an error")
    }

    async fn mail(&self, bytes: &[u8]) -> Ingested {
        let envelope = Envelope {
            identifier: "one".into(),
            peer: "192.0.2.7".parse().ok(),
            helo: Some("relay.nordwind.example".into()),
            mail_from: Some("bounces@nordwind.example".into()),
            tls: None,
            service: None,
        };
        self.take(bytes, Channel::Mail, Some(envelope)).await
    }

    async fn replayed(&self, done: &Ingested) -> bonded_schemas::Receipt {
        let row = self.tenant.ledger.delivery(done.receipt.delivery.id).await.expect("answered").expect("there");
        replay(&self.house, &self.tenant, row).await.expect("replayed")
    }

    /// The received bytes of a delivery.
    async fn bytes(&self, done: &Ingested) -> Vec<u8> {
        let path = &done.receipt.raw_path;
        let mut reader = self.house.raw.open(&self.tenant.scope, &self.tenant.key, path).await.expect("opens");
        let mut bytes = Vec::new();
        while let Some(chunk) = reader.next_chunk().await.expect("whole") {
            bytes.extend_from_slice(&chunk);
        }
        bytes
    }

    async fn alerts(&self, kind: &str) -> usize {
        self.tenant.ledger.alerts(kind).await.expect("listed").len()
    }
}

fn reports() -> Vec<Vec<u8>> {
    let corpus = Corpus::new(random_plan(4)).expect("a corpus");
    Report::ENTRY_SUMMARIES.into_iter().rev().map(|report| csv(&corpus, report)).collect()
}

fn load() -> Load {
    let reports = reports();
    let one = reports[0].as_slice();
    let cells = pack::cells_of(std::str::from_utf8(one).expect("text"));
    let book = [("Main Report", cells)];
    let mut locked_zip = pack::zip(&[("report.csv", one)]);
    for (mark, flags) in [(b"PK\x03\x04", 6), (b"PK\x01\x02", 8)] {
        let at = locked_zip.windows(4).position(|four| four == mark).expect("a header");
        locked_zip[at + flags] |= 1;
    }
    let packed = vec![
        ("reports.zip", pack::zip(&[("a.csv", one), ("b.csv", &reports[1])])),
        ("report.csv.gz", pack::gzip(Some("report.csv"), one)),
        ("report.xlsx", pack::xlsx(&book)),
        ("report.xls", pack::xls(&book)),
    ];
    Load { reports, packed, locked_zip }
}

fn reason(done: &Ingested) -> Option<String> {
    let quarantine = done.receipt.quarantine.as_ref()?;
    serde_json::to_value(quarantine.reason).ok()?.as_str().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_shape_of_a_mail_ends_as_it_says() {
    let post = Post::new(Names::off()).await;
    let load = load();
    let seed = random_plan(1).seed;
    let (mut shapes_seen, mut told) = (0, std::collections::BTreeMap::<&str, usize>::new());
    for round in 0..2 {
        for shape in shapes::all(&load, &mut Random(seed + round)) {
            let alerts = post.alerts("quarantine").await;
            let done = post.mail(&shape.bytes).await;
            let shown = || format!("{} (seed {seed}, round {round}): {:#?}", shape.name, done.receipt.mail);
            let class = done.receipt.mail.as_ref().map(|mail| mail.class.as_str());
            shapes_seen += usize::from(round == 0);
            match &shape.comes {
                Comes::Members(planted) => {
                    assert_eq!((done.receipt.state, class), (DeliveryState::Unpacked, Some("report")), "{}", shown());
                    assert_eq!(done.members.len(), planted.len(), "{}", shown());
                    for (member, planted) in done.members.iter().zip(planted) {
                        assert!(post.bytes(member).await == *planted, "not byte for byte: {}", shown());
                        assert!(!member.has_quarantined(), "{:?} {}", member.receipt.quarantine, shown());
                    }
                    *told.entry("read").or_default() += 1;
                }
                Comes::Class(wanted) => {
                    assert_eq!((done.receipt.state, class), (DeliveryState::Unpacked, Some(*wanted)), "{}", shown());
                    assert!(done.members.is_empty() && post.alerts("quarantine").await == alerts, "{}", shown());
                    *told.entry("classified").or_default() += 1;
                }
                Comes::Harm(wanted) => {
                    assert_eq!((done.receipt.state, class), (DeliveryState::Unpacked, Some(*wanted)), "{}", shown());
                    assert!(done.members.len() == 1 && done.has_quarantined(), "{}", shown());
                    *told.entry("harm quarantined").or_default() += 1;
                }
                Comes::Quarantined(wanted) => {
                    assert_eq!(done.receipt.state, DeliveryState::Quarantined, "{}", shown());
                    assert_eq!(reason(&done).as_deref(), Some(*wanted), "{}", shown());
                    *told.entry("quarantined").or_default() += 1;
                }
            }
            assert!(post.bytes(&done).await == shape.bytes, "a mail is kept as it came: {}", shape.name);
        }
    }
    println!("{shapes_seen} shapes, two seeds: {told:?}");
    assert!(shapes_seen > 100, "{shapes_seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_report_in_two_mails_lands_once_and_a_message_file_is_opened_as_one() {
    let post = Post::new(Names::off()).await;
    let one = &reports()[0];
    let mail =
        |subject: &str| [head(subject).into_bytes(), multipart("mixed", "b", &[text(subject), attached("r.csv", one)])].concat();
    let first = post.mail(&mail("Monday")).await;
    let second = post.mail(&mail("Tuesday")).await;
    let table = || async { post.tenant.tables.info("es_003").await.expect("a table").rows };
    let rows = table().await;
    assert!(!first.members[0].duplicate && second.members[0].duplicate);
    assert_eq!(first.members[0].receipt.delivery.id, second.members[0].receipt.delivery.id);
    assert!(second.receipt.members[0].duplicate && rows == first.members[0].receipt.rows_committed);
    // As a file, by no carrier: known by its header, not by its name.
    let file = post.take(&mail("Wednesday"), Channel::Console, None).await;
    assert_eq!((file.receipt.state, file.members.len()), (DeliveryState::Unpacked, 1));
    // In an archive, too.
    let packed = post.take(&pack::zip(&[("letters/x.bin", &mail("Thursday"))]), Channel::Inbox, None).await;
    assert_eq!(packed.members[0].members.len(), 1, "{:?}", packed.members[0].receipt);
    // Once more: shown again, nothing added.
    let again = post.mail(&mail("Monday")).await;
    assert!(again.duplicate && again.receipt.mail == first.receipt.mail && table().await == rows);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_the_policy_refuses_is_kept_and_taken_when_the_policy_is_changed() {
    let post = Post::new(Names::recorded(&Recorded::default()).expect("no records")).await;
    let one = &reports()[0];
    let mail = [head("Weekly lines").into_bytes(), multipart("mixed", "b", &[text("Hi"), attached("lines.csv", one)])].concat();
    let set = async |policy: MailPolicy| mail_policy::set(&post.house, &post.tenant, &policy).await.expect("set");
    set(MailPolicy { proof: ProofNeeded::Require, ..MailPolicy::default() }).await;
    let refused = post.mail(&mail).await;
    let quarantine = refused.receipt.quarantine.as_ref().expect("refused");
    assert_eq!(quarantine.reason, QuarantineReason::MailRefused);
    assert!(refused.members.is_empty() && post.bytes(&refused).await == mail);
    let report = refused.receipt.mail.as_ref().expect("what it was found to be");
    assert_eq!((report.class, report.parts.len()), (MailClass::Report, 2));
    assert_eq!((post.alerts("mail").await, post.alerts("quarantine").await), (1, 0));

    for policy in [
        MailPolicy { senders: vec!["kettle.example".into()], ..MailPolicy::default() },
        MailPolicy {
            rules: vec![MatchRule { subject: Some("*entries*".into()), ..MatchRule::default() }],
            only_matching: true,
            ..MailPolicy::default()
        },
    ] {
        set(policy).await;
        let receipt = post.replayed(&refused).await;
        assert_eq!(
            (receipt.state, receipt.quarantine.map(|q| q.reason)),
            (DeliveryState::Quarantined, Some(QuarantineReason::MailRefused))
        );
    }
    let rule = MatchRule {
        subject: Some("weekly*".into()),
        attachment: Some("*.csv".into()),
        report: Some(Report::Es001),
        sender: None,
    };
    set(MailPolicy { senders: vec!["nordwind.example".into()], rules: vec![rule], only_matching: true, ..MailPolicy::default() })
        .await;
    let receipt = post.replayed(&refused).await;
    assert_eq!((receipt.state, receipt.members.len()), (DeliveryState::Unpacked, 1));
    let report = receipt.mail.expect("told");
    assert_eq!(report.policy.expected, [Report::Es001]);
    assert!(report.evidence.iter().any(|seen| seen.sign == Sign::OtherReport), "{report:?}");
    // What was taken stays taken, whatever is asked of later ones.
    set(MailPolicy { proof: ProofNeeded::Require, ..MailPolicy::default() }).await;
    assert_eq!(post.replayed(&refused).await.state, DeliveryState::Unpacked);

    let trail = post.tenant.trail().await.expect("whole");
    let changes: Vec<_> = trail.iter().filter(|(_, event)| event.action == "mail.policy.set").collect();
    assert_eq!(changes.len(), 5);
    assert_eq!(changes[0].1.before.as_ref().expect("before")["proof"], "record");
    assert_eq!(changes[0].1.after.as_ref().expect("after")["proof"], "require");
    let bad = MailPolicy { senders: vec!["nobody".into()], ..MailPolicy::default() };
    assert!(mail_policy::set(&post.house, &post.tenant, &bad).await.is_err());
}

fn spf(hosts: &str, policy: &str) -> Names {
    let txt = [("nordwind.example", hosts), ("_dmarc.nordwind.example", policy)];
    let txt: HashMap<String, String> = txt.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    Names::recorded(&Recorded { txt, ..Recorded::default() }).expect("records")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_is_found_out_once_and_stays_though_the_records_change() {
    let mail =
        [head("Weekly lines").into_bytes(), multipart("mixed", "b", &[text("Hi"), attached("r.csv", &reports()[0])])].concat();
    let post = Post::new(spf("v=spf1 ip4:192.0.2.7 -all", "v=DMARC1; p=reject")).await;
    let done = post.mail(&mail).await;
    let proof = done.receipt.mail.as_ref().expect("a mail").proof.clone();
    assert!(proof.is_proven(), "{proof:?}");
    let outcome = |method| proof.verdicts.iter().find(|verdict| verdict.method == method).map(|verdict| verdict.outcome);
    assert_eq!((outcome(ProofMethod::Spf), outcome(ProofMethod::Dmarc)), (Some(ProofOutcome::Pass), Some(ProofOutcome::Pass)));
    let post = post.again(spf("v=spf1 -all", "v=DMARC1; p=reject")).await;
    assert_eq!(post.replayed(&done).await.mail.expect("a mail").proof, proof);
    // Another mail is judged by what holds now.
    let other = post.mail(&[b"X-Other: 1\r\n".as_slice(), &mail].concat()).await;
    assert!(!other.receipt.mail.expect("a mail").proof.is_proven());
}

#[tokio::test(flavor = "multi_thread")]
async fn name_servers_that_are_down_hold_nothing_up_and_are_asked_again() {
    let mail =
        [head("Weekly lines").into_bytes(), multipart("mixed", "b", &[text("Hi"), attached("r.csv", &reports()[0])])].concat();
    let silent = ["nordwind.example", "_dmarc.nordwind.example"].map(str::to_owned).to_vec();
    let post = Post::new(Names::recorded(&Recorded { silent, ..Recorded::default() }).expect("records")).await;
    let done = post.mail(&mail).await;
    assert_eq!((done.receipt.state, done.members.len()), (DeliveryState::Unpacked, 1));
    let proof = &done.receipt.mail.as_ref().expect("a mail").proof;
    assert!(
        !proof.is_final() && proof.verdicts.iter().all(|verdict| verdict.outcome == ProofOutcome::TemporaryError),
        "{proof:?}"
    );
    let post = post.again(spf("v=spf1 ip4:192.0.2.7 -all", "v=DMARC1; p=reject")).await;
    assert!(post.replayed(&done).await.mail.expect("a mail").proof.is_proven());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_claims_to_be_cbp_and_is_not_is_suspected() {
    let txt = [("cbp.dhs.gov", "v=spf1 -all"), ("_dmarc.cbp.dhs.gov", "v=DMARC1; p=reject")];
    let txt = txt.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    let post = Post::new(Names::recorded(&Recorded { txt, ..Recorded::default() }).expect("records")).await;
    let letter = |from: &str| {
        let head = head("ACE Portal: your password will expire").replace("reports@nordwind.example", from);
        [head.into_bytes(), entity("Content-Type: text/plain\r\n", b"Your ACE Portal password will expire. Answer with it.")]
            .concat()
    };
    let envelope =
        |from: &str| Envelope { peer: "192.0.2.7".parse().ok(), mail_from: Some(from.to_owned()), ..Envelope::default() };
    let forged = post.take(&letter("ace@cbp.dhs.gov"), Channel::Mail, Some(envelope("ace@cbp.dhs.gov"))).await;
    let report = forged.receipt.mail.expect("a mail");
    assert_eq!(report.class, MailClass::PhishingSuspect, "{report:?}");
    assert!(report.evidence.iter().any(|seen| seen.sign == Sign::ClaimsCbp));
    let honest = post.take(&letter("ace@nordwind.example"), Channel::Mail, Some(envelope("ace@nordwind.example"))).await;
    assert_eq!(honest.receipt.mail.expect("a mail").class, MailClass::PortalNotice);
}

#[test]
fn the_console_shows_a_mail_and_its_policy() {
    let world = World::new();
    let one = &reports()[0];
    let mail = [head("Weekly lines").into_bytes(), multipart("mixed", "b", &[text("Hi"), attached("lines.csv", one)])].concat();
    let file = world.file("anything.bin", &mail);
    let lines = world.ingest(TENANT, &[file]);
    assert_eq!((&lines[0]["state"], &lines[0]["dialect"]["container"]), (&"unpacked".into(), &"mail".into()));
    let id = lines[0]["delivery"]["id"].as_str().expect("an id");
    let shown = &world.json(&["mail", "show", id])[0];
    assert_eq!((&shown["class"], &shown["parts"][1]["report"]), (&"report".into(), &"ES-003".into()));
    assert!(shown["proof"]["note"].as_str().expect("a note").contains("mail_in.dns"));
    let text = world.ok(&["mail", "show", id]);
    assert!(text.contains("lines.csv") && text.contains("known by its header as ES-003"), "{text}");
    let policy =
        ["mail", "policy", "set", "--tenant", TENANT, "--sender", "kettle.example", "--rule", "subject=*lines*;report=es-003"];
    world.ok(&policy);
    let shown = &world.json(&["mail", "policy", "show", "--tenant", TENANT])[0];
    assert_eq!((&shown["senders"][0], &shown["rules"][0]["report"]), (&"kettle.example".into(), &"ES-003".into()));
    let refused = world.file("other.bin", [b"X-Other: 1\r\n".as_slice(), &mail].concat());
    let run = world.run(&["ingest", "--tenant", TENANT, refused.to_str().expect("a path")]);
    assert_eq!(run.code, 5, "{}", run.stderr);
    let alerts = world.json(&["drift", "--tenant", TENANT]);
    assert!(alerts.iter().any(|alert| alert["quarantine"]["reason"] == "mail_refused"), "{alerts:?}");
    // A rebuild takes and leaves the same mails, by the same policy.
    let before = world.json(&["deliveries", "--tenant", TENANT]);
    world.ok(&["rebuild", "--tenant", TENANT, "--replace"]);
    let states = |lines: &[serde_json::Value]| {
        lines.iter().map(|line| (line["delivery_id"].clone(), line["state"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(states(&world.json(&["deliveries", "--tenant", TENANT])), states(&before));
    assert_eq!(world.json(&["mail", "policy", "show", "--tenant", TENANT])[0]["senders"][0], "kettle.example");
}
