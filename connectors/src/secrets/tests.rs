//! References, what they show, and when a secret is read again.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::*;
use crate::clock::HandClock;

/// A secret in this file, read again only when a login with it was refused, and the clock that says when that may be.
pub(crate) fn held_in(path: &std::path::Path) -> (Arc<HandClock>, Held) {
    let clock = Arc::new(HandClock::at(DateTime::UNIX_EPOCH));
    let vault = Vault::new(clock.clone(), TimeDelta::days(365), Manager::new(crate::aws::Reach::default()));
    (clock, Held::new(Arc::new(vault), Reference::File(path.display().to_string())))
}

/// Stands for a service that can be made to fail; the real one's tests are those of `aws`.
#[derive(Debug, Default)]
struct Service {
    holds: Mutex<Option<&'static str>>,
    asked: AtomicUsize,
}

#[async_trait]
impl Backend for Service {
    async fn read(&self, reference: &Reference) -> Result<Zeroizing<String>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let down = || Error::new(ErrorKind::Retry, format!("nobody gives out {reference}"));
        self.holds.lock().unwrap().map(|text| Zeroizing::new(text.to_owned())).ok_or_else(down)
    }
}

fn vault(service: &Arc<Service>) -> (Arc<HandClock>, Arc<Vault>, Reference) {
    let clock = Arc::new(HandClock::at(DateTime::UNIX_EPOCH));
    let vault = Vault::with(clock.clone(), TimeDelta::minutes(10), service.clone());
    (clock, Arc::new(vault), "secret://aws/bonded/app/smtp#url".parse().expect("a reference"))
}

#[test]
fn references_are_read_and_shown_as_they_were_written() {
    for text in [
        "file:/run/secrets/bonded-smtp",
        "env:BONDED_SMTP",
        "secret://aws/bonded/app/smtp",
        "secret://aws/bonded/app/smtp#url",
        "secret://aws/arn:aws:secretsmanager:us-east-1:123456789012:secret:bonded/app/smtp-AbCdEf#url",
    ] {
        assert_eq!(text.parse::<Reference>().expect(text).to_string(), text);
    }
}

#[test]
fn what_is_no_reference_is_refused_and_no_part_of_it_is_repeated() {
    for text in [
        "walrus7",
        "smtps://desk:walrus7@mail.example",
        "file:",
        "env:",
        "",
        "secret://aws/",
        "secret://aws/#walrus7",
        "secret://aws/name walrus7",
        "secret://aws/name#",
        "secret://vault/walrus7",
    ] {
        let error = text.parse::<Reference>().expect_err(text);
        assert_eq!(error.kind(), ErrorKind::Setup);
        assert!(!error.to_string().contains("walrus7") && error.to_string().contains("file:PATH"), "{error}");
    }
}

#[tokio::test]
async fn a_file_that_was_replaced_is_read_again_after_a_while_and_not_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("secret");
    std::fs::write(&path, "first\r\n").expect("written");
    let (clock, vault, _) = vault(&Arc::default());
    let reference = Reference::File(path.display().to_string());
    assert_eq!(vault.read(&reference).await.expect("read").reveal(), "first");
    std::fs::write(&path, "second\n").expect("written");
    clock.forward(TimeDelta::minutes(10) - TimeDelta::seconds(1));
    assert_eq!(vault.read(&reference).await.expect("kept").reveal(), "first");
    clock.forward(TimeDelta::seconds(1));
    assert_eq!(vault.read(&reference).await.expect("read again").reveal(), "second");
    // Gone: the last one is used, and it is looked for again only a while later.
    std::fs::remove_file(&path).expect("removed");
    clock.forward(TimeDelta::minutes(10));
    assert_eq!(vault.read(&reference).await.expect("kept").reveal(), "second");
    let never = Reference::File(path.display().to_string() + ".none");
    let error = vault.read(&never).await.expect_err("there was none");
    assert!(error.to_string().contains(&never.to_string()), "{error}");
}

#[tokio::test]
async fn a_refused_login_reads_again_at_once_and_once() {
    let service = Arc::new(Service::default());
    *service.holds.lock().unwrap() = Some("first");
    let (clock, vault, reference) = vault(&service);
    let held = Held::new(vault.clone(), reference);
    let first = held.now().await.expect("read");
    // Read a moment ago: there is no use in asking again.
    assert!(held.renewed(&first).await.expect("asked").is_none());
    assert_eq!(service.asked.load(Ordering::Relaxed), 1);
    clock.forward(TimeDelta::seconds(2));
    assert!(held.renewed(&first).await.expect("asked").is_none(), "it is still the same");
    *service.holds.lock().unwrap() = Some("second");
    clock.forward(TimeDelta::seconds(2));
    let second = held.renewed(&first).await.expect("asked").expect("another");
    assert_eq!((second.reveal(), held.now().await.expect("kept").reveal()), ("second", "second"));
    // Another login that was refused with the first one gets what is there.
    assert_eq!(held.renewed(&first).await.expect("kept").expect("another").reveal(), "second");
    assert_eq!(service.asked.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn a_place_that_does_not_answer_keeps_nobody_from_working() {
    let service = Arc::new(Service::default());
    let (clock, vault, reference) = vault(&service);
    assert_eq!(vault.read(&reference).await.expect_err("never had").kind(), ErrorKind::Retry);
    *service.holds.lock().unwrap() = Some("first");
    let first = vault.read(&reference).await.expect("read");
    *service.holds.lock().unwrap() = None;
    clock.forward(TimeDelta::hours(1));
    assert_eq!(vault.read(&reference).await.expect("the last one").reveal(), "first");
    let asked = service.asked.load(Ordering::Relaxed);
    vault.read(&reference).await.expect("the last one");
    assert_eq!(service.asked.load(Ordering::Relaxed), asked, "it is left in peace for a while");
    clock.forward(TimeDelta::seconds(2));
    assert_eq!(vault.renewed(&reference, &first).await.expect_err("still down").kind(), ErrorKind::Retry);
}

#[tokio::test]
async fn what_is_too_long_or_no_text_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("secret");
    let (_, vault, _) = vault(&Arc::default());
    for (bytes, says) in [(vec![b'a'; BYTES_MAX + 1], "longer"), (vec![0xff, 0xfe], "UTF-8")] {
        std::fs::write(&path, bytes).expect("written");
        let error = vault.read(&Reference::File(path.display().to_string())).await.expect_err(says);
        assert!(error.to_string().contains(says), "{error}");
    }
    std::fs::write(&path, vec![b'a'; BYTES_MAX]).expect("written");
    vault.read(&Reference::File(path.display().to_string())).await.expect("just as long as it may be");
}

#[tokio::test]
async fn nothing_here_prints_a_secret() {
    let service = Arc::new(Service::default());
    *service.holds.lock().unwrap() = Some("walrus7");
    let (_, vault, reference) = vault(&service);
    let secret = vault.read(&reference).await.expect("read");
    let held = (Held::new(vault.clone(), reference), Held::fixed("walrus7"));
    assert!(!format!("{vault:?} {secret:?} {held:?}").contains("walrus7"));
}

#[test]
fn a_field_is_text_or_a_number_of_an_object() {
    let kept = r#"{"username":"desk","password":"walrus7","port":465,"nested":{"a":1},"none":null}"#;
    assert_eq!(aws::within(kept, "password").expect("there").as_str(), "walrus7");
    assert_eq!(aws::within(kept, "port").expect("there").as_str(), "465");
    for field in ["nested", "none", "absent"] {
        assert!(aws::within(kept, field).is_none(), "{field}");
    }
    assert!(aws::within("walrus7", "password").is_none() && aws::within("[1]", "0").is_none());
}

/// One call of the emulator's, as AWS's own JSON protocol has it.
fn asked(aws: &crate::aws::private_aws::PrivateAws, operation: &str, body: serde_json::Value) {
    let target = format!("X-Amz-Target: secretsmanager.{operation}");
    let scope = "Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/secretsmanager/aws4_request, \
        SignedHeaders=host, Signature=0";
    aws.ask("POST", "/", &[&target, "Content-Type: application/x-amz-json-1.1", scope], &body.to_string());
}

#[tokio::test]
async fn a_secret_of_aws_is_read_whole_or_by_field_and_again_when_it_was_rotated() {
    use crate::aws::{Account, Reach, private_aws::PrivateAws};
    let Some(aws) = PrivateAws::ministack() else { return };
    let reach = Reach { region: "us-east-1".into(), endpoint: Some(aws.endpoint.clone()), ..Reach::default() };
    let manager = Manager::of_tests(&Account::of_tests(reach).await);
    let clock = Arc::new(HandClock::at(DateTime::UNIX_EPOCH));
    let vault = Arc::new(Vault::new(clock.clone(), TimeDelta::minutes(10), manager));
    let name = format!("bonded/app/{}", uuid::Uuid::new_v4().simple());
    let login = |word: &str| serde_json::json!({ "username": "desk", "password": word, "port": 465 }).to_string();
    asked(aws, "CreateSecret", serde_json::json!({ "Name": name, "SecretString": login("walrus7") }));
    let named = |rest: &str| format!("secret://aws/{name}{rest}").parse::<Reference>().expect("a reference");
    assert_eq!(vault.read(&named("")).await.expect("whole").reveal(), login("walrus7"));
    let password = vault.read(&named("#password")).await.expect("a field");
    assert_eq!(password.reveal(), "walrus7");
    assert_eq!(vault.read(&named("#port")).await.expect("a number").reveal(), "465");
    for (reference, says) in
        [(named("#none"), "no JSON object with that field"), (named("-none"), "is not in AWS Secrets Manager")]
    {
        let error = vault.read(&reference).await.expect_err(says);
        assert_eq!(error.kind(), ErrorKind::Setup, "{error}");
        let told = error.to_string();
        assert!(told.contains(says) && told.contains(&reference.to_string()) && !told.contains("walrus7"), "{told}");
    }
    // Rotated: kept for a while, read at once when a login with it was refused, and after a while in any case.
    asked(aws, "PutSecretValue", serde_json::json!({ "SecretId": name, "SecretString": login("tusk8") }));
    assert_eq!(vault.read(&named("#password")).await.expect("kept").reveal(), "walrus7");
    clock.forward(TimeDelta::seconds(2));
    let fresh = vault.renewed(&named("#password"), &password).await.expect("asked").expect("another");
    assert_eq!(fresh.reveal(), "tusk8");
    assert_eq!(vault.read(&named("")).await.expect("kept").reveal(), login("walrus7"));
    clock.forward(TimeDelta::minutes(10));
    assert_eq!(vault.read(&named("")).await.expect("read again").reveal(), login("tusk8"));
}

#[tokio::test]
async fn a_service_that_is_not_reached_is_told_as_one_that_may_pass() {
    use crate::aws::{Account, Reach};
    // Nobody listens there.
    let reach = Reach { region: "us-east-1".into(), endpoint: Some("http://127.0.0.1:1".into()), ..Reach::default() };
    let vault = Vault::new(
        Arc::new(HandClock::at(DateTime::UNIX_EPOCH)),
        TimeDelta::minutes(10),
        Manager::of_tests(&Account::of_tests(reach).await),
    );
    let reference: Reference = "secret://aws/bonded/app/smtp".parse().expect("a reference");
    let error = vault.read(&reference).await.expect_err("nobody is there");
    assert!(error.kind() == ErrorKind::Retry && error.to_string().contains("bonded/app/smtp"), "{error}");
}
