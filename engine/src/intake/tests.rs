//! Papers, addresses, routes and the postbox on a lake in a temporary folder, with a clock that the test moves.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use bonded_connectors::{
    clock::{Clock, HandClock},
    smtp::{Admission, Mailbox, Outcome, Postbox, pipe},
    store::{
        audit::NewEvent,
        identifiers::{IdentifierRow, IdentifierStep},
    },
};
use bonded_schemas::{Channel, Delivery, Envelope, TenantScope};
use chrono::{DateTime, TimeDelta};
use tempfile::TempDir;

use super::{
    gates::Paper,
    maildir::Maildir,
    postbox::Intake,
    refusals::{ALERT, Recorder, refusals},
    *,
};
use crate::{
    desk::tests::Statements,
    error::ErrorKind,
    lakehouse::{Doors, Lakehouse, Tenant},
    serve::Shop,
    settings::Settings,
};

const OURS: &str = "fictional-lantern";
const THEIRS: &str = "fictional-kettle";
const DOMAIN: &str = "reports.example";

/// A lake of two tenants, and the intake behind its mail door.
struct PostOffice {
    house: Arc<Lakehouse>,
    shop: Arc<Shop>,
    intake: Intake,
    recorder: Recorder,
    clock: Arc<HandClock>,
    statements: Arc<Statements>,
    folder: TempDir,
}

#[expect(clippy::disallowed_methods, reason = "a test establishes its own scopes")]
fn scope(tenant: &str) -> TenantScope {
    TenantScope::establish(tenant.parse().unwrap(), "console:test")
}

impl PostOffice {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let mut settings = Settings { lake: folder.path().join("lake").display().to_string(), ..Settings::default() };
        settings.mail_in.domain = Some(DOMAIN.into());
        let clock = Arc::new(HandClock::at(DateTime::from_timestamp(1_780_000_000, 0).unwrap()));
        let statements = Arc::new(Statements::default());
        let doors = Doors { probe: Some(statements.clone()), ..Doors::new(clock.clone()) };
        let (house, _) = Lakehouse::init(settings, doors).await.unwrap();
        let house = Arc::new(house);
        for tenant in [OURS, THEIRS] {
            house.add_tenant(&scope(tenant)).await.unwrap();
        }
        let shop = Arc::new(Shop {
            house: house.clone(),
            queue: house.queue().await.unwrap(),
            scope_of: Arc::new(|_| unreachable!("mail has its own route")),
            bell: tokio::sync::Notify::new(),
            name: "test".into(),
            gauges: Arc::default(),
        });
        let (refusals, recorder) = refusals(house.clone());
        let intake = Intake::new(shop.clone(), refusals);
        Self { house, shop, intake, recorder, clock, statements, folder }
    }

    async fn tenant(&self, tenant: &str) -> Tenant {
        self.house.tenant(&scope(tenant)).await.unwrap()
    }

    async fn engaged(&self, tenant: &str) -> Tenant {
        let tenant = self.tenant(tenant).await;
        let all = Gate::ALL.into_iter().map(|gate| (gate, paper("P-1"))).collect();
        engage(&self.house, &tenant, &all, "counsel").await.unwrap();
        tenant
    }

    /// A tenant's address, fresh.
    async fn address(&self, tenant: &str) -> Issued {
        issue(&self.house, &self.engaged(tenant).await).await.unwrap()
    }

    async fn admitted(&self, address: &str) -> Mailbox {
        match self.intake.recipient(peer(), address).await {
            Admission::Accept(mailbox) => mailbox,
            other => panic!("{other:?}"),
        }
    }

    async fn deliver(&self, recipients: Vec<Mailbox>, parts: &[&'static str], whole: bool) -> Vec<Outcome> {
        let envelope = Envelope { peer: peer(), mail_from: Some("ace@sender.example".into()), ..Envelope::default() };
        let (way, message) = pipe();
        let feeding = async {
            for part in parts {
                way.send(bytes::Bytes::from_static(part.as_bytes())).await;
            }
            if whole {
                way.finish().await;
            }
        };
        let ((), outcomes) = tokio::join!(feeding, self.intake.deliver(envelope, recipients, message));
        outcomes
    }

    async fn landed(&self, tenant: &str) -> Vec<Delivery> {
        let tenant = self.tenant(tenant).await;
        let mut deliveries = Vec::new();
        for row in tenant.ledger.deliveries().await.unwrap() {
            let note = self.house.raw.note(&tenant.scope, tenant.documents(), &row.raw_path).await.unwrap().unwrap();
            deliveries.push(serde_json::from_slice(&note).unwrap());
        }
        deliveries
    }

    /// Ends the door; all that was refused is written down.
    async fn written_down(self) -> (Arc<Lakehouse>, TempDir) {
        drop(self.intake);
        self.recorder.run().await;
        (self.house, self.folder)
    }
}

fn peer() -> Option<IpAddr> {
    Some("192.0.2.7".parse().unwrap())
}

fn paper(reference: &str) -> Paper {
    Paper { reference: reference.into(), date: "2026-01-05".parse().unwrap() }
}

fn files_under(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_under(&path) } else { vec![path] }).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_address_is_issued_before_every_paper_is_recorded_and_it_is_shown_once() {
    let office = PostOffice::new().await;
    let tenant = office.tenant(OURS).await;
    let refused = issue(&office.house, &tenant).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Refused);
    assert!(refused.to_string().contains("not recorded: nda, dpa, letter"), "{refused}");
    let papers = BTreeMap::from([(Gate::Nda, paper("NDA-1")), (Gate::Letter, paper("EL-1"))]);
    engage(&office.house, &tenant, &papers, "counsel").await.unwrap();
    let refused = issue(&office.house, &tenant).await.unwrap_err();
    assert!(refused.to_string().contains("not recorded: dpa;"), "{refused}");
    let of_tomorrow = Paper { date: "2026-12-31".parse().unwrap(), ..paper("D") };
    let bad = engage(&office.house, &tenant, &BTreeMap::from([(Gate::Dpa, of_tomorrow)]), "counsel").await.unwrap_err();
    assert!(bad.to_string().contains("a day to come"), "{bad}");
    assert!(engage(&office.house, &tenant, &BTreeMap::new(), "counsel").await.is_err());
    engage(&office.house, &tenant, &BTreeMap::from([(Gate::Dpa, paper("DPA-1"))]), "counsel").await.unwrap();

    let issued = issue(&office.house, &tenant).await.unwrap();
    let address = issued.address.reveal().to_owned();
    let (local, domain) = address.split_once('@').unwrap();
    assert_eq!((local.len(), domain), (29, DOMAIN));
    assert!(local.strip_prefix("in-").unwrap().bytes().all(|b| b.is_ascii_lowercase() || (b'2'..=b'7').contains(&b)), "{local}");
    assert!(!format!("{issued:?}").contains(local), "not in Debug");
    assert!(issue(&office.house, &tenant).await.unwrap_err().to_string().contains("identifier rotate"), "one is enough");
    let listed = list(&office.house, &tenant).await.unwrap();
    assert_eq!((listed.len(), listed[0].state), (1, State::Active));
    assert!(!serde_json::to_string(&listed).unwrap().contains(local));

    // Another tenant's papers open nothing here, and its addresses are its own.
    assert!(issue(&office.house, &office.tenant(THEIRS).await).await.is_err());
    assert_eq!(list(&office.house, &office.tenant(THEIRS).await).await.unwrap(), []);
    let ours = &listed[0].identifier;
    assert!(suspend(&office.house, &office.tenant(THEIRS).await, ours).await.is_err(), "of another tenant");

    let trail = tenant.trail().await.unwrap();
    let told: Vec<(&str, &str)> = trail.iter().map(|(_, event)| (event.action.as_str(), event.result.as_str())).collect();
    assert_eq!(told.iter().filter(|(action, _)| *action == "tenant.engage").count(), 2);
    assert!(
        told.contains(&("identifier.issue", "done")) && told.iter().any(|(_, result)| result.contains("refused: not recorded"))
    );
    let engaged = trail.iter().find(|(_, event)| event.action == "tenant.engage").unwrap();
    assert_eq!(engaged.1.after.as_ref().unwrap()["nda"]["reference"], "NDA-1");
    assert!(office.house.trail().await.unwrap().iter().any(|(_, event)| event.action == "identifier.issue"));
    let (_house, folder) = office.written_down().await;
    for file in files_under(folder.path()) {
        let bytes = match std::fs::read(&file) {
            // The store's own journal, which it puts away as it closes.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            read => read.unwrap(),
        };
        for clear in [local, "NDA-1", "counsel"] {
            assert!(!bytes.windows(clear.len()).any(|window| window == clear.as_bytes()), "{clear} lies in {}", file.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotated_address_is_good_for_its_grace_and_who_still_uses_it_then_raises_an_alert() {
    let office = PostOffice::new().await;
    let first = office.address(OURS).await;
    let tenant = office.tenant(OURS).await;
    assert!(rotate(&office.house, &tenant, TimeDelta::days(91)).await.is_err());
    let second = rotate(&office.house, &tenant, TimeDelta::days(14)).await.unwrap();
    assert_ne!(first.address, second.address);
    office.clock.forward(TimeDelta::days(14) - TimeDelta::seconds(1));
    let states = |listed: Vec<IdentifierInfo>| listed.into_iter().map(|info| info.state).collect::<Vec<_>>();
    assert_eq!(states(list(&office.house, &tenant).await.unwrap()), [State::Ending, State::Active]);
    for issued in [&first, &second] {
        office.admitted(issued.address.reveal()).await;
    }
    // As mail servers write it, too.
    office.admitted(&second.address.reveal().to_uppercase()).await;
    let let_in = office.admitted(first.address.reveal()).await;
    office.clock.forward(TimeDelta::seconds(1));
    assert_eq!(states(list(&office.house, &tenant).await.unwrap()), [State::Ended, State::Active]);
    assert_eq!(office.intake.recipient(peer(), first.address.reveal()).await, Admission::Refuse);
    assert_eq!(office.deliver(vec![let_in], &["x"], true).await, [Outcome::Later], "what was let in before does not hold");
    suspend(&office.house, &tenant, &second.info.identifier).await.unwrap();
    assert_eq!(office.intake.recipient(peer(), second.address.reveal()).await, Admission::Refuse);
    resume(&office.house, &tenant, &second.info.identifier).await.unwrap();
    office.admitted(second.address.reveal()).await;
    assert_eq!(office.landed(OURS).await, []);

    let (house, _folder) = office.written_down().await;
    let tenant = house.tenant(&scope(OURS)).await.unwrap();
    let trail = tenant.trail().await.unwrap();
    let refused: Vec<_> = trail.iter().filter(|(_, event)| event.action == "mail.recipient").collect();
    assert_eq!(refused.len(), 2);
    assert_eq!(
        (refused[0].1.object.as_str(), refused[0].1.result.as_str()),
        (first.info.identifier.as_str(), "refused: ended, 1 in an hour")
    );
    assert_eq!(refused[0].1.actor.ip, peer());
    assert_eq!(refused[1].1.result, "refused: suspended, 1 in an hour");
    let alerts = tenant.ledger.alerts(ALERT).await.unwrap();
    assert_eq!(alerts.len(), 2);
    let bodies: Vec<MailAlert> =
        alerts.iter().map(|alert| tenant.unseal(ALERT, &alert.fingerprint, &alert.sealed).unwrap()).collect();
    let of = |identifier: &str| bodies.iter().find(|body| body.identifier == identifier).unwrap();
    assert!(of(&first.info.identifier).what.contains("rotated away"));
    assert_eq!(of(&second.info.identifier).state, "suspended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_no_recipient_gets_the_same_answer_by_the_same_statements() {
    let office = PostOffice::new().await;
    let (ended, suspended) = (office.address(OURS).await, office.address(THEIRS).await);
    let (ours, theirs) = (office.tenant(OURS).await, office.tenant(THEIRS).await);
    let live = rotate(&office.house, &ours, TimeDelta::zero()).await.unwrap();
    suspend(&office.house, &theirs, &suspended.info.identifier).await.unwrap();
    let elsewhere = live.address.reveal().replace(DOMAIN, "elsewhere.example");
    let local = live.address.reveal().split('@').next().unwrap().to_owned();
    let (unknown, longest) = (format!("in-aaaaaaaaaaaaaaaaaaaaaaaaaa@{DOMAIN}"), "x".repeat(256));
    let asked = [
        ended.address.reveal(),
        suspended.address.reveal(),
        &elsewhere,
        &local,
        &unknown,
        "",
        "@",
        "@@reports.example",
        &longest,
    ];
    let mut seen = Vec::new();
    for address in asked {
        office.statements.take();
        assert_eq!(office.intake.recipient(peer(), address).await, Admission::Refuse, "{address}");
        seen.push(office.statements.take());
    }
    assert_eq!(seen[0].len(), 1, "{:?}", seen[0]);
    assert!(seen.iter().all(|statements| *statements == seen[0]), "{seen:?}");
    let (house, _folder) = office.written_down().await;
    let trail = house.trail().await.unwrap();
    let told: Vec<_> = trail.iter().map(|(_, event)| event).filter(|event| event.action == "mail.recipient").collect();
    // Seven from one network: the first, the second and the fourth are written down.
    assert_eq!(told.len(), 3, "{told:?}");
    for event in told {
        assert_eq!(event.object.len(), "sha256:".len() + 12, "{}", event.object);
        assert!(!event.object.contains("in-"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_was_changed_behind_our_back_leads_nowhere() {
    let office = PostOffice::new().await;
    let issued = office.address(OURS).await;
    let mailbox = office.admitted(issued.address.reveal()).await;
    let row = office.house.control().identifier(&mailbox.key).await.unwrap().unwrap();
    // As somebody would who can write to the store: the same address, another tenant's raw zone.
    let led_away = IdentifierRow { tenant: THEIRS.parse().unwrap(), digest: "d".into(), identifier: "i".into(), ..row.clone() };
    let revived = IdentifierRow { valid_until_ms: 0, ..row.clone() };
    let event = NewEvent { at: office.clock.now(), sealed: "forged" };
    let forge = async |from: &IdentifierRow, to: &IdentifierRow| {
        assert!(office.house.control().change_identifiers(&[IdentifierStep::Change { from, to }], event).await.unwrap());
    };
    assert!(office.house.control().change_identifiers(&[IdentifierStep::Issue(&led_away)], event).await.unwrap());
    assert_eq!(office.deliver(vec![Mailbox { key: "d".into(), group: THEIRS.into() }], &["x"], true).await, [Outcome::Later]);
    let prolonged = IdentifierRow { valid_until_ms: i64::MAX, ..row.clone() };
    forge(&row, &prolonged).await;
    assert_eq!(office.intake.recipient(peer(), issued.address.reveal()).await, Admission::Refuse);
    forge(&prolonged, &revived).await;
    office.admitted(issued.address.reveal()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_guesses_waits_longer_and_longer_and_is_forgotten_after_an_hour() {
    let office = PostOffice::new().await;
    let (refusals, _recorder) = refusals(office.house.clone());
    let held: Vec<Duration> = (0..20).map(|_| refusals.hold(peer())).collect();
    assert!(held[..10].iter().all(Duration::is_zero), "{held:?}");
    assert_eq!(held[10], Duration::from_millis(250));
    assert!(held[10..].windows(2).all(|pair| pair[0] <= pair[1]));
    assert_eq!(held[19], Duration::from_secs(8));
    assert_eq!(refusals.hold(Some("192.0.2.8".parse().unwrap())), Duration::ZERO, "another network");
    office.clock.forward(TimeDelta::hours(1));
    assert_eq!(refusals.hold(peer()), Duration::ZERO);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_lands_once_in_the_raw_zone_of_each_tenant_it_is_for() {
    let office = PostOffice::new().await;
    let (ours, theirs) = (office.address(OURS).await, office.address(THEIRS).await);
    let recipients = vec![
        office.admitted(ours.address.reveal()).await,
        office.admitted(theirs.address.reveal()).await,
        office.admitted(ours.address.reveal()).await,
    ];
    let parts = ["Subject: a report\r\n", "\r\n", "nothing in it\r\n"];
    assert_eq!(office.deliver(recipients.clone(), &parts, true).await, [Outcome::Kept; 3]);
    for (tenant, issued) in [(OURS, &ours), (THEIRS, &theirs)] {
        let landed = office.landed(tenant).await;
        assert_eq!(landed.len(), 1);
        assert_eq!((landed[0].channel, landed[0].file_name.as_str()), (Channel::Mail, "message.eml"));
        let envelope = landed[0].envelope.as_ref().unwrap();
        assert_eq!(envelope.identifier, issued.info.identifier);
        assert_eq!((envelope.peer, envelope.mail_from.as_deref()), (peer(), Some("ace@sender.example")));
        assert_eq!(landed[0].actor, format!("mail:{}", issued.info.identifier));
        assert_eq!(office.shop.queue.depth(&tenant.parse().unwrap()).await.unwrap(), 1);
        let opened = office.tenant(tenant).await;
        let row = opened.ledger.deliveries().await.unwrap().remove(0);
        let raw = office.house.raw.open(&opened.scope, &opened.key, &row.raw_path).await.unwrap();
        assert_eq!(raw.read_range(0, raw.size_bytes()).await.unwrap().as_ref(), parts.concat().as_bytes());
    }
    // The client did not hear the answer and comes again.
    assert_eq!(office.deliver(recipients.clone(), &parts, true).await, [Outcome::Kept; 3]);
    assert_eq!((office.landed(OURS).await.len(), office.landed(THEIRS).await.len()), (1, 1));
    // One that breaks off leaves nothing, wherever it was to go.
    assert_eq!(office.deliver(recipients.clone(), &["half a message"], false).await, [Outcome::Later; 3]);
    assert_eq!(office.deliver(recipients[..1].to_vec(), &["half a message"], false).await, [Outcome::Later]);
    assert_eq!((office.landed(OURS).await.len(), office.landed(THEIRS).await.len()), (1, 1));
    let raw = files_under(&office.folder.path().join("lake/tenants").join(OURS).join("raw"));
    assert_eq!(raw.len(), 3, "the tenant's record, the message and its note: {raw:?}");
    // A key that may not be used keeps its own tenant's mail out, and nobody else's.
    let key = office.tenant(THEIRS).await.key;
    office.house.keys.disable(&key).await.unwrap();
    let outcomes = office.deliver(recipients.clone(), &["another one"], true).await;
    assert_eq!(outcomes, [Outcome::Kept, Outcome::Later, Outcome::Kept]);
    assert_eq!(office.intake.recipient(peer(), theirs.address.reveal()).await, Admission::Later, "it may be enabled again");
    office.house.keys.enable(&key).await.unwrap();
    assert_eq!(office.deliver(recipients, &["another one"], true).await, [Outcome::Kept; 3]);
    assert_eq!((office.landed(OURS).await.len(), office.landed(THEIRS).await.len()), (2, 2));
    office.house.keys.schedule_deletion(&key, 7).await.unwrap();
    assert_eq!(office.intake.recipient(peer(), theirs.address.reveal()).await, Admission::Refuse, "its owner gave it up");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_maildir_is_taken_in_by_what_its_mail_server_wrote_on_top() {
    let office = PostOffice::new().await;
    let address = office.address(OURS).await.address.reveal().to_owned();
    let other = office.address(THEIRS).await.address.reveal().to_owned();
    let folder = office.folder.path().join("mail");
    assert!(Maildir::open(&folder, 1000).is_err());
    for part in ["new", "cur", "tmp"] {
        std::fs::create_dir_all(folder.join(part)).unwrap();
    }
    let message = format!("Return-Path: <ace@sender.example>\nDelivered-To: {address}\nDelivered-To: {other}\n\nbody\n");
    std::fs::write(folder.join("new/1.host"), &message).unwrap();
    std::fs::write(folder.join("new/2.host"), "X-Original-To: nobody@reports.example\n\nbody\n").unwrap();
    std::fs::write(folder.join("new/3.host"), format!("Subject: none\n\nDelivered-To: {address}\n")).unwrap();
    std::fs::write(folder.join("new/4.host"), format!("Delivered-To: {address}\n\n{}", "x".repeat(1000))).unwrap();
    std::os::unix::fs::symlink(folder.join("new/1.host"), folder.join("new/5.host")).unwrap();
    let mut maildir = Maildir::open(&folder, 1000).unwrap();
    assert_eq!(maildir.look(&office.intake).await.unwrap(), 1);
    assert_eq!(maildir.look(&office.intake).await.unwrap(), 0, "what was left is not tried at each look");
    assert_eq!(std::fs::read_to_string(folder.join("cur/1.host:2,S")).unwrap(), message);
    let left: Vec<_> = files_under(&folder.join("new"));
    assert_eq!(left.len(), 4, "{left:?}");
    let landed = office.landed(OURS).await;
    assert_eq!(landed.len(), 1);
    assert_eq!(landed[0].envelope.as_ref().unwrap().mail_from.as_deref(), Some("ace@sender.example"));
    assert_eq!(office.landed(THEIRS).await, [], "what stands below the first one is the sender's word");
}

#[test]
fn mail_that_waits_in_a_maildir_hides_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["1", "2", "3"].map(|name| folder.path().join(name));
    paths.iter().for_each(|path| std::fs::write(path, "x").unwrap());
    let now = tokio::time::Instant::now();
    let later = now + Duration::from_secs(60);
    for other in &paths {
        let waits = paths.iter().filter(|path| *path != other).map(|path| (path.clone(), later));
        let gone = (folder.path().join("gone"), later);
        let (files, left) = maildir::list(folder.path(), waits.chain([gone]).collect(), now, 1).unwrap();
        assert_eq!(files.as_slice(), std::slice::from_ref(other));
        assert_eq!(left.len(), 2, "what is gone is forgotten");
        let (files, _) = maildir::list(folder.path(), left, later, 2).unwrap();
        assert_eq!((files.len(), &files[0]), (2, other), "what nobody looked at comes before what is tried again");
    }
}
