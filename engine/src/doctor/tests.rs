//! Each probe sees the thing that it is for broken, and names what mends it. On a lake in a temporary folder, with a clock that
//! the test moves; PostgreSQL, and the command itself, are tested on the real binary.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use bonded_connectors::{
    clock::{Clock, HandClock},
    disk::Space,
    mailer::Smtp,
    store::queue::{Limits, Work},
    tls,
};
use bonded_schemas::{Actor, Channel, DeliveryId, TenantScope};
use chrono::{DateTime, TimeDelta};
use tempfile::TempDir;

use super::*;
use crate::{
    desk::{Desk, Origin},
    ingest::{Source, ingest},
};

const TENANT: &str = "fictional-lantern";
const CSV: &[u8] = b"Entry Summary Number,Entry Type Code,Entry Date\nABC12345676,01,04/02/2025\n";

/// A lake with a tenant and a table, and the settings to look at it with.
struct Patient {
    folder: TempDir,
    clock: Arc<HandClock>,
    settings: Settings,
}

impl Patient {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let clock = Arc::new(HandClock::at(DateTime::from_timestamp(1_780_000_000, 0).unwrap()));
        let settings = Settings { lake: folder.path().join("lake").display().to_string(), ..Settings::default() };
        let house = Lakehouse::init(settings.clone(), Doors::new(clock.clone())).await.unwrap().0;
        house.add_tenant(&scope(name())).await.unwrap();
        let tenant = house.tenant(&scope(name())).await.unwrap();
        let mut bytes = CSV;
        let (file_name, channel) = ("ES-001.csv".to_owned(), Channel::Console);
        let source = Source { file_name, bytes: &mut bytes, channel, as_of: None, envelope: None, poa: None };
        ingest(&house, &tenant, source).await.unwrap();
        house.audit("console:test", "backup", "lake", "done").await.unwrap();
        house.checkpoint(&tenant).await.unwrap();
        house.checkpoint_lake().await.unwrap();
        tenant.ledger.close().await;
        house.control().close().await;
        Self { folder, clock, settings }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn pass(&self, time: TimeDelta) {
        self.clock.forward(time);
    }

    async fn open(&self) -> Lakehouse {
        Lakehouse::open(self.settings.clone(), Doors::new(self.clock.clone())).await.unwrap()
    }

    async fn examined(&self, is_asked: bool) -> Examined {
        let accept = Accept { is_asked, actor: "console:test".into() };
        let (examined, house) = examine(self.settings.clone(), Doors::new(self.clock.clone()), &scope, accept).await;
        if let Some(house) = house {
            house.control().close().await;
        }
        examined
    }

    /// What one probe has to say that is not well: how bad, and all of its words.
    async fn ails(&self, probe: &str) -> Vec<(Verdict, String)> {
        let found = self.examined(false).await.findings.into_iter();
        found
            .filter(|finding| finding.probe == probe && finding.verdict >= Verdict::Warn)
            .map(|finding| {
                (finding.verdict, format!("{}: {} | {}", finding.object, finding.what, finding.mend.unwrap_or_default()))
            })
            .collect()
    }

    /// It says one thing, as bad as that, with these words.
    #[track_caller]
    fn told(ails: &[(Verdict, String)], verdict: Verdict, words: &[&str]) {
        assert_eq!(ails.len(), 1, "{ails:?}");
        assert_eq!(ails[0].0, verdict, "{ails:?}");
        for word in words {
            assert!(ails[0].1.contains(word), "`{word}` in {ails:?}");
        }
    }
}

fn name() -> TenantId {
    TENANT.parse().unwrap()
}

#[expect(clippy::disallowed_methods, reason = "a test establishes its own scopes")]
fn scope(tenant: TenantId) -> TenantScope {
    TenantScope::establish(tenant, Actor::from("console:test"))
}

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn a_lake_that_is_well_is_told_so_by_every_probe() {
    let patient = Patient::new().await;
    let examined = patient.examined(false).await;
    // How full this machine's disk is, is not the lake's doing.
    let ails: Vec<_> = examined.findings.iter().filter(|f| f.verdict >= Verdict::Warn && f.probe != "disk").collect();
    assert!(ails.is_empty(), "{ails:?}");
    for probe in [
        "secrets",
        "files",
        "certificate",
        "disk",
        "ses",
        "lake",
        "tenants",
        "keys",
        "store",
        "clocks",
        "catalog",
        "queue",
        "post",
        "trails",
        "backups",
        "drift",
    ] {
        assert!(examined.findings.iter().any(|finding| finding.probe == probe), "{probe} says nothing");
    }
    let catalog = examined.findings.iter().find(|finding| finding.probe == "catalog").unwrap();
    assert!(catalog.what.contains("1 tables of 1 tenants"), "{catalog:?}");
}

#[tokio::test]
async fn files_that_others_may_read_are_named_with_the_command_that_mends_them() {
    let mut patient = Patient::new().await;
    let key = patient.path("lake.keys/root.key");
    chmod(&key, 0o644);
    let mend = format!("chmod 0600 {}", key.display());
    Patient::told(&patient.ails("files").await, Verdict::Fail, &["root.key", "mode 0644", &mend]);
    chmod(&key, 0o600);
    chmod(&patient.path("lake.keys"), 0o750);
    Patient::told(&patient.ails("files").await, Verdict::Fail, &["lake.keys", "mode 0750", "chmod 0700"]);
    chmod(&patient.path("lake.keys"), 0o700);
    let secret = patient.path("smtp");
    std::fs::write(&secret, "smtps://desk:walrus7@mail.nordwind.example").unwrap();
    chmod(&secret, 0o604);
    patient.settings.mail.smtp = Some(format!("file:{}", secret.display()));
    Patient::told(&patient.ails("files").await, Verdict::Fail, &["smtp", "chmod 0600"]);
}

#[tokio::test]
async fn a_secret_that_is_missing_empty_or_names_another_region_is_told_without_it() {
    let mut patient = Patient::new().await;
    let secret = patient.path("smtp");
    patient.settings.mail.smtp = Some(format!("file:{}", secret.display()));
    Patient::told(&patient.ails("secrets").await, Verdict::Fail, &["mail.smtp", "cannot read"]);
    std::fs::write(&secret, "\n").unwrap();
    Patient::told(&patient.ails("secrets").await, Verdict::Fail, &["mail.smtp", "is empty", "put the secret there"]);
    std::fs::write(&secret, "smtps://desk:walrus7@email-smtp.eu-west-1.amazonaws.com").unwrap();
    let ails = patient.ails("secrets").await;
    Patient::told(&ails, Verdict::Fail, &["mail.smtp", "eu-west-1", "aws.regions_allowed"]);
    assert!(!ails[0].1.contains("walrus7"), "{ails:?}");
    std::fs::write(&secret, "smtps://desk:walrus7@email-smtp.us-east-1.amazonaws.com").unwrap();
    assert!(patient.ails("secrets").await.is_empty());
}

#[tokio::test]
async fn a_certificate_that_ends_soon_is_over_is_not_for_the_desk_or_has_another_key_is_told() {
    let mut patient = Patient::new().await;
    patient.settings.api.listen = "0.0.0.0:8443".into();
    Patient::told(&patient.ails("certificate").await, Verdict::Warn, &["no client trusts", "0.0.0.0:8443", "api.certificate"]);
    let [certificate, key, other] = ["c.pem", "c.key", "o.key"].map(|name| patient.path(name));
    tls::make_development_certificate(&certificate, &key, patient.clock.now()).unwrap();
    tls::make_development_certificate(&patient.path("o.pem"), &other, patient.clock.now()).unwrap();
    patient.settings.api.certificate = Some(certificate);
    patient.settings.api.private_key = Some(key.clone());
    patient.settings.desk.url = Some("https://localhost:8443".into());
    assert!(patient.ails("certificate").await.is_empty());
    patient.settings.desk.url = Some("https://desk.nordwind.example".into());
    Patient::told(&patient.ails("certificate").await, Verdict::Fail, &["c.pem: names", "desk.nordwind.example", "desk.url"]);
    patient.settings.desk.url = None;
    patient.settings.api.private_key = Some(other);
    Patient::told(&patient.ails("certificate").await, Verdict::Fail, &["c.pem", "o.key", "do not go together"]);
    patient.settings.api.private_key = Some(key);
    patient.pass(TimeDelta::days(380));
    Patient::told(&patient.ails("certificate").await, Verdict::Warn, &["runs out in", "days", "renewed"]);
    patient.pass(TimeDelta::days(20));
    Patient::told(&patient.ails("certificate").await, Verdict::Fail, &["out of date since", "renewed"]);
}

#[test]
fn a_disk_is_full_by_percent_and_by_what_it_can_take_at_all() {
    let of = |free_bytes, total_bytes| disk::judged(Space { free_bytes, total_bytes }, 10);
    let gigabyte = 1 << 30;
    assert_eq!(of(11 * gigabyte, 100 * gigabyte), Verdict::Ok);
    assert_eq!(of(9 * gigabyte, 100 * gigabyte), Verdict::Warn);
    assert_eq!(of(gigabyte / 4, 2 * gigabyte), Verdict::Fail);
    assert_eq!(of(u64::MAX, u64::MAX), Verdict::Ok);
}

#[tokio::test]
async fn a_disabled_key_and_one_that_will_be_destroyed_are_told_with_the_way_back() {
    let patient = Patient::new().await;
    let house = patient.open().await;
    let (key, _) = house.key_of(&name()).await.unwrap();
    house.keys.disable(&key).await.unwrap();
    Patient::told(&patient.ails("keys").await, Verdict::Fail, &[TENANT, "disabled", "bonded key enable"]);
    // It is told once, by this probe alone.
    assert!(patient.ails("catalog").await.is_empty() && patient.ails("trails").await.is_empty());
    house.keys.enable(&key).await.unwrap();
    house.keys.schedule_deletion(&key, 7).await.unwrap();
    Patient::told(&patient.ails("keys").await, Verdict::Warn, &[TENANT, "will be destroyed on", "shred cancel"]);
}

#[tokio::test]
async fn a_control_store_that_is_damaged_or_gone_is_told_and_the_rest_is_looked_at() {
    let patient = Patient::new().await;
    let half = patient.path("lake/tenants").join(TENANT).join("control.sqlite");
    let whole = std::fs::read(&half).unwrap();
    let mut broken = whole.clone();
    broken[..64].fill(b'x');
    std::fs::write(&half, broken).unwrap();
    Patient::told(&patient.ails("store").await, Verdict::Fail, &[TENANT]);
    assert_eq!(patient.examined(false).await.exit_code(), 2);
    std::fs::write(&half, whole).unwrap();
    assert!(patient.ails("store").await.is_empty());
    std::fs::remove_file(patient.path("lake/control.sqlite")).unwrap();
    let examined = patient.examined(false).await;
    let lake = examined.findings.iter().find(|finding| finding.probe == "lake").unwrap();
    assert!(lake.verdict == Verdict::Fail && lake.what.contains("bonded init"), "{lake:?}");
    assert!(examined.findings.iter().any(|finding| finding.probe == "files" && finding.verdict == Verdict::Ok));
}

#[tokio::test]
async fn a_clock_that_is_off_either_way_is_told_and_the_time_of_asking_is_not() {
    let patient = Patient::new().await;
    let house = patient.open().await;
    let now = patient.clock.now();
    for (theirs, is_off) in [
        (now, false),
        (now + TimeDelta::seconds(5), false),
        (now - TimeDelta::minutes(10), true),
        (now + TimeDelta::minutes(10), true),
    ] {
        let mut chart = Chart::new();
        clocks::compare(&house, "the database's clock", now, theirs, &mut chart);
        let finding = &chart.findings[0];
        assert_eq!(finding.verdict == Verdict::Fail, is_off, "{finding:?}");
        assert!(!is_off || finding.what.contains("10 minutes") && finding.mend.as_ref().unwrap().contains("NTP"), "{finding:?}");
    }
    // Asked ten minutes ago, answered in between: nobody is off.
    let mut chart = Chart::new();
    clocks::compare(&house, "the database's clock", now - TimeDelta::minutes(10), now - TimeDelta::minutes(5), &mut chart);
    assert_eq!(chart.findings[0].verdict, Verdict::Ok);
}

#[tokio::test]
async fn a_table_whose_metadata_is_gone_is_told() {
    let patient = Patient::new().await;
    let tables = patient.path("lake/tenants").join(TENANT);
    let mut open = vec![tables];
    let mut removed = 0;
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.to_string_lossy().ends_with(".metadata.json") {
                std::fs::remove_file(path).unwrap();
                removed += 1;
            }
        }
    }
    assert!(removed > 0);
    Patient::told(&patient.ails("catalog").await, Verdict::Fail, &[TENANT, "bonded verify"]);
}

#[tokio::test]
async fn what_waits_too_long_and_what_was_given_up_is_told_of_the_queue() {
    let mut patient = Patient::new().await;
    let house = patient.open().await;
    let queue = house.queue().await.unwrap();
    let work = Work { tenant: name(), keyed_digest: "d1".into(), delivery_id: DeliveryId(uuid::Uuid::now_v7()), size_bytes: 1 };
    queue.enqueue(&work, patient.clock.now()).await.unwrap();
    assert!(patient.ails("queue").await.is_empty());
    patient.pass(TimeDelta::minutes(90));
    Patient::told(&patient.ails("queue").await, Verdict::Fail, &["1 deliveries", "90 minutes", "role worker"]);
    let limits: Limits = patient.settings.serve.limits();
    let lease = queue.lease("w", patient.clock.now(), &limits).await.unwrap().unwrap();
    assert!(queue.poison(&lease).await.unwrap());
    Patient::told(&patient.ails("queue").await, Verdict::Warn, &["given up", "bonded queue retry"]);
    queue.drop_poisoned(&queue.items(None).await.unwrap()[0]).await.unwrap();
    patient.settings.serve.queued_max = 1;
    queue.enqueue(&Work { keyed_digest: "d2".into(), ..work }, patient.clock.now()).await.unwrap();
    Patient::told(&patient.ails("queue").await, Verdict::Warn, &[TENANT, "1 of at most 1", "serve.queued_max"]);
}

#[tokio::test]
async fn letters_that_do_not_leave_and_those_that_were_given_up_are_told() {
    let patient = Patient::new().await;
    let house = Arc::new(patient.open().await);
    // Nobody listens there.
    let smtp = Smtp::new("smtp://127.0.0.1:1", "Bonded <bonded@nordwind.example>", Duration::from_secs(5)).unwrap();
    let desk = Desk::new(house.clone(), Arc::new(smtp));
    desk.sign_up("owner@nordwind.example", &Origin::default()).await.unwrap();
    for tries in 1..=8 {
        assert_eq!(desk.send_due_post().await.unwrap(), 0);
        patient.pass(TimeDelta::minutes(if tries < 4 { 3 } else { 150 }));
        if tries == 3 {
            let ails = patient.ails("post").await;
            Patient::told(&ails, Verdict::Warn, &["tried 3 times", "mail.smtp"]);
            assert!(!ails[0].1.contains("nordwind"), "{ails:?}");
        }
    }
    Patient::told(&patient.ails("post").await, Verdict::Warn, &["letters given up", "1 since yesterday", "bonded audit"]);
    patient.pass(TimeDelta::days(2));
    assert!(patient.ails("post").await.is_empty());
}

#[tokio::test]
async fn alerts_that_nobody_looks_for_any_more_are_told() {
    let patient = Patient::new().await;
    let house = patient.open().await;
    assert!(patient.ails("heartbeat").await.is_empty(), "where nobody ever did, nobody is missed");
    house.control().beat("notify", patient.clock.now().timestamp_millis()).await.unwrap();
    patient.pass(TimeDelta::minutes(29));
    assert!(patient.ails("heartbeat").await.is_empty());
    patient.pass(TimeDelta::minutes(2));
    Patient::told(&patient.ails("heartbeat").await, Verdict::Warn, &["nobody looked for alerts since", "role notify"]);
}

#[tokio::test]
async fn a_trail_that_nobody_signs_or_seals_is_told() {
    let patient = Patient::new().await;
    // What the first look leaves is signed, too.
    patient.examined(true).await;
    let house = patient.open().await;
    house.checkpoint_lake().await.unwrap();
    let tenant = house.tenant(&scope(name())).await.unwrap();
    house.audit("console:test", "tenant.list", "lake", "done").await.unwrap();
    patient.pass(TimeDelta::minutes(44));
    assert!(patient.ails("trails").await.is_empty());
    patient.pass(TimeDelta::minutes(2));
    Patient::told(
        &patient.ails("trails").await,
        Verdict::Warn,
        &["the lake's trail", "not signed for 46 minutes", "role maintain"],
    );
    house.checkpoint_lake().await.unwrap();
    tenant.audit(patient.clock.as_ref(), "query", "q", "done").await.unwrap();
    patient.pass(TimeDelta::minutes(46));
    Patient::told(&patient.ails("trails").await, Verdict::Warn, &[TENANT, "not signed", "bonded audit head"]);
    patient.pass(TimeDelta::days(4));
    house.checkpoint(&tenant).await.unwrap();
    house.checkpoint_lake().await.unwrap();
    Patient::told(
        &patient.ails("trails").await,
        Verdict::Warn,
        &[TENANT, "not sealed into a segment for 4 days", "bonded audit seal"],
    );
    crate::audit::keep::seal(&house, &tenant).await.unwrap();
    house.checkpoint_lake().await.unwrap();
    assert!(patient.ails("trails").await.is_empty());
}

#[tokio::test]
async fn a_backup_that_is_old_or_was_never_taken_is_told() {
    let patient = Patient::new().await;
    patient.pass(TimeDelta::hours(47));
    assert!(patient.ails("backups").await.is_empty());
    patient.pass(TimeDelta::hours(2));
    Patient::told(&patient.ails("backups").await, Verdict::Warn, &["2 days old", "bonded backup --to"]);
    let folder = TempDir::new().unwrap();
    let settings = Settings { lake: folder.path().join("lake").display().to_string(), ..Settings::default() };
    let house = Lakehouse::init(settings.clone(), Doors::new(patient.clock.clone())).await.unwrap().0;
    house.audit("console:test", "init", "lake", "made").await.unwrap();
    let never = Patient { folder, clock: patient.clock.clone(), settings };
    Patient::told(&never.ails("backups").await, Verdict::Warn, &["none was ever taken", "bonded backup --to"]);
}

#[tokio::test]
async fn settings_that_changed_are_named_until_they_are_accepted_and_no_value_is_kept() {
    let mut patient = Patient::new().await;
    let first = patient.examined(false).await;
    let drift = |examined: &Examined| examined.findings.iter().find(|f| f.probe == "drift").unwrap().clone();
    assert!(drift(&first).what.contains("for the first time"), "{:?}", drift(&first));
    patient.settings.api.listen = "127.0.0.1:9443".into();
    patient.settings.serve.queued_max = 4711;
    patient.settings.oidc.client_id = Some("walrus7".into());
    for _ in 0..2 {
        let ails = patient.ails("drift").await;
        Patient::told(&ails, Verdict::Warn, &["api.listen, oidc.client_id, serve.queued_max", "bonded doctor --accept"]);
        assert!(!ails[0].1.contains("9443") && !ails[0].1.contains("walrus7"), "{ails:?}");
    }
    let accepted = drift(&patient.examined(true).await);
    assert!(accepted.verdict == Verdict::Ok && accepted.what.contains("taken as seen"), "{accepted:?}");
    assert!(patient.ails("drift").await.is_empty());
    // Who accepted what is in the lake's trail; values are nowhere.
    let house = patient.open().await;
    let trail = house.trail().await.unwrap();
    let told = trail.iter().rfind(|(_, event)| event.action == "doctor.settings").unwrap();
    assert_eq!(told.1.after.as_ref().unwrap()["changed"][0], "api.listen");
    house.control().close().await;
    for file in ["control.sqlite", "control.sqlite-wal"] {
        let bytes = std::fs::read(patient.path("lake").join(file)).unwrap_or_default();
        for value in ["walrus7", "127.0.0.1:9443", "api.listen"] {
            assert!(!bytes.windows(value.len()).any(|window| window == value.as_bytes()), "{value} in {file}");
        }
    }
}

#[tokio::test]
async fn a_probe_that_fails_is_a_finding_and_one_that_hangs_is_left() {
    let mut chart = Chart::new();
    chart.ask("one", async |_| Err(Error::setup("it is broken"))).await;
    chart
        .ask("two", async |chart| {
            chart.ok("it", "is well");
            Ok(())
        })
        .await;
    let seen: Vec<_> = chart.findings.iter().map(|finding| (finding.probe, finding.verdict)).collect();
    assert_eq!(seen, [("one", Verdict::Fail), ("two", Verdict::Ok)]);
    assert!(within(Duration::from_millis(1), std::future::pending::<()>()).await.is_none());
}

#[test]
fn a_key_s_policy_that_lets_anybody_or_another_account_in_is_told() {
    let arn = "arn:aws:kms:us-east-1:123456789012:key/1";
    let of = |statement: serde_json::Value| policy::judged(&serde_json::json!({ "Statement": statement }).to_string(), arn);
    let allow =
        |principal: serde_json::Value| serde_json::json!({ "Effect": "Allow", "Principal": principal, "Action": "kms:*" });
    let root = allow(serde_json::json!({ "AWS": "arn:aws:iam::123456789012:root" }));
    assert_eq!(of(serde_json::json!([root])), None);
    assert_eq!(of(allow(serde_json::json!({ "Service": "s3.amazonaws.com" }))), None);
    for anybody in
        [serde_json::json!("*"), serde_json::json!({ "AWS": "*" }), serde_json::json!({ "AWS": ["123456789012", "*"] })]
    {
        let (verdict, what, _) = of(serde_json::json!([root, allow(anybody.clone())])).expect("told");
        assert!(verdict == Verdict::Fail && what.contains("anybody"), "{what}");
        let mut bound = allow(anybody.clone());
        bound["Condition"] = serde_json::json!({ "StringEquals": { "kms:CallerAccount": "123456789012" } });
        assert_eq!(of(bound), None);
        let mut denied = allow(anybody);
        denied["Effect"] = "Deny".into();
        assert_eq!(of(denied), None);
    }
    let other = allow(serde_json::json!({ "AWS": "arn:aws:iam::210987654321:role/reader" }));
    let (verdict, what, _) = of(other).expect("told");
    assert!(verdict == Verdict::Warn && what.contains("210987654321"), "{what}");
    let (verdict, ..) = of(serde_json::json!({ "Effect": "Allow", "NotPrincipal": { "AWS": "x" } })).expect("told");
    assert_eq!(verdict, Verdict::Fail);
    assert_eq!(policy::judged("no JSON", arn).expect("told").0, Verdict::Warn);
}

#[test]
fn a_policy_differs_by_what_it_says_and_not_by_how_it_is_written() {
    let policy =
        |statements: serde_json::Value| serde_json::json!({ "Version": "2012-10-17", "Statement": statements }).to_string();
    let statement = |sid: &str, action: serde_json::Value| serde_json::json!({ "Sid": sid, "Effect": "Allow", "Principal": { "AWS": "arn:aws:iam::111122223333:role/app" }, "Action": action });
    let (look, open) =
        (statement("Look", "kms:DescribeKey".into()), statement("Open", serde_json::json!(["kms:Encrypt", "kms:Decrypt"])));
    let meant = policy(serde_json::json!([look, open]));
    let written = policy(serde_json::json!([
        statement("Open", serde_json::json!(["kms:Decrypt", "kms:Encrypt"])),
        statement("Look", serde_json::json!(["kms:DescribeKey"])),
    ]));
    assert!(policy::differing(&meant, &written).is_empty());
    assert_eq!(policy::differing(&meant, &policy(serde_json::json!([look]))), ["Open"]);
    let more = statement("Open", serde_json::json!(["kms:Encrypt", "kms:Decrypt", "kms:CreateGrant"]));
    assert_eq!(policy::differing(&meant, &policy(serde_json::json!([look, more]))), ["Open"]);
    let other = statement("Other", "kms:*".into());
    assert_eq!(policy::differing(&meant, &policy(serde_json::json!([look, open, other]))), ["Other"]);
    // Twice the same name, and one of them another statement.
    assert_eq!(policy::differing(&meant, &policy(serde_json::json!([look, open, statement("Look", "kms:*".into())]))), ["Look"]);
    assert_eq!(policy::differing(&meant, "no JSON").len(), 1);
}
