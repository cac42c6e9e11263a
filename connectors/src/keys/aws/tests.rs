//! The KMS door on an emulator that has authenticated ciphers, contexts and key states; what it cannot show (policies,
//! throttling) is shown on the codes that AWS documents, and on sockets that answer nothing.

use std::sync::Arc;

use bonded_schemas::TenantId;

use super::{
    AwsKeys, KNOWN_FOR, Making, PolicyTemplate, described, description,
    making::tests::{TEMPLATE, named},
    told::answered,
};
use crate::{
    aws::{
        Account, Reach,
        private_aws::{PrivateAws, REGION},
    },
    clock::{Clock, HandClock, SystemClock},
    conformance::keys_conform,
    error::ErrorKind,
    keys::{EncryptionContext, KeyId, KeyState, Keys, Rotation},
    lake::KekCache,
};
use iceberg::encryption::KeyManagementClient;

async fn at(endpoint: &str, clock: Arc<dyn Clock>) -> AwsKeys {
    let reach = Reach { region: REGION.into(), endpoint: Some(endpoint.into()), ..Reach::default() };
    let lake = format!("tests-{}", uuid::Uuid::new_v4());
    AwsKeys::open(&Account::of_tests(reach).await, &lake, clock).unwrap()
}

fn acme() -> TenantId {
    "acme-toys".parse().unwrap()
}

fn raw() -> EncryptionContext {
    EncryptionContext::new(&acme(), "raw")
}

#[tokio::test]
async fn the_key_service_conforms() {
    let Some(aws) = PrivateAws::localstack() else { return };
    keys_conform(Arc::new(at(&aws.endpoint, Arc::new(SystemClock)).await)).await;
}

#[tokio::test]
async fn a_tenants_first_key_bears_its_alias_and_a_later_one_lies_below() {
    let Some(aws) = PrivateAws::localstack() else { return };
    let keys = at(&aws.endpoint, Arc::new(SystemClock)).await;
    let first = keys.create_key(&acme()).await.unwrap();
    let second = keys.create_key(&acme()).await.unwrap();
    assert!(first.0.starts_with("arn:aws:kms:us-east-1:"), "{first}");
    let by_alias = KeyId(format!("alias/bonded/{}/acme-toys", keys.lake));
    assert_eq!(keys.describe(&by_alias).await.unwrap().key_id, first);
    let mut listed: Vec<KeyId> = keys.list().await.unwrap().into_iter().map(|info| info.key_id).collect();
    let mut made = vec![first, second];
    listed.sort();
    made.sort();
    assert_eq!(listed, made);
    // Another lake in the same account does not see them.
    assert!(at(&aws.endpoint, Arc::new(SystemClock)).await.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_key_is_made_with_its_policy_and_rotates() {
    let Some(aws) = PrivateAws::localstack() else { return };
    let keys = at(&aws.endpoint, Arc::new(SystemClock)).await;
    let bare = keys.create_key(&acme()).await.unwrap();
    assert_eq!(keys.rotation(&bare).await.unwrap(), Rotation::EveryDays(365));
    assert_eq!(keys.policy_of_new(&acme()).unwrap(), None);

    let policy = Some(PolicyTemplate::read(TEMPLATE.as_bytes(), "acme", &named()).unwrap());
    let keys = at(&aws.endpoint, Arc::new(SystemClock)).await.making(Making { policy, rotation_days: 100 });
    let key = keys.create_key(&acme()).await.unwrap();
    assert_eq!(keys.rotation(&key).await.unwrap(), Rotation::EveryDays(100));
    let meant = keys.policy_of_new(&acme()).unwrap().unwrap();
    assert!(meant.contains("acme-toys") && meant.contains("role/acme-app"));
    assert_eq!(keys.policy(&key).await.unwrap(), Some(meant));
    keys.client.disable_key_rotation().key_id(&key.0).send().await.unwrap();
    assert_eq!(keys.rotation(&key).await.unwrap(), Rotation::Never);
}

#[tokio::test]
async fn a_key_that_was_left_under_the_tenants_alias_is_taken_over_where_its_tags_say_so() {
    let Some(aws) = PrivateAws::localstack() else { return };
    let keys = at(&aws.endpoint, Arc::new(SystemClock)).await;
    assert_eq!(keys.left_key(&acme()).await.unwrap(), None);
    let left = keys.create_key(&acme()).await.unwrap();
    // It died before the key rotated.
    keys.client.disable_key_rotation().key_id(&left.0).send().await.unwrap();
    assert_eq!(keys.left_key(&acme()).await.unwrap(), Some(left.clone()));
    assert_eq!(keys.rotation(&left).await.unwrap(), Rotation::EveryDays(365));
    let other: TenantId = "globex-tools".parse().unwrap();
    assert_eq!(keys.left_key(&other).await.unwrap(), None);

    // One that cannot be used is told by name.
    keys.disable(&left).await.unwrap();
    let refused = keys.left_key(&acme()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Refused);
    assert!(refused.to_string().contains("is disabled"), "{refused}");
    keys.enable(&left).await.unwrap();

    // Tags of another lake, of another tenant, or none: the alias alone proves nothing.
    let tag = |name: &str, value: &str| aws_sdk_kms::types::Tag::builder().tag_key(name).tag_value(value).build().unwrap();
    for (name, value, ours) in [("bonded:lake", "elsewhere", keys.lake.as_str()), ("bonded:tenant", "globex-tools", "acme-toys")]
    {
        keys.client.tag_resource().key_id(&left.0).tags(tag(name, value)).send().await.unwrap();
        let refused = keys.left_key(&acme()).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Refused);
        let told = refused.to_string();
        assert!(told.contains(name) && told.contains(value) && told.contains("alias/bonded/"), "{told}");
        keys.client.tag_resource().key_id(&left.0).tags(tag(name, ours)).send().await.unwrap();
    }
    keys.client.untag_resource().key_id(&left.0).tag_keys("bonded:tenant").send().await.unwrap();
    assert!(keys.left_key(&acme()).await.unwrap_err().to_string().contains("says nothing"));
    keys.client.tag_resource().key_id(&left.0).tags(tag("bonded:tenant", "acme-toys")).send().await.unwrap();
    assert_eq!(keys.left_key(&acme()).await.unwrap(), Some(left));
}

#[tokio::test]
async fn a_state_is_known_for_half_a_minute_and_own_changes_at_once() {
    let Some(aws) = PrivateAws::localstack() else { return };
    let clock = HandClock::at("2026-03-02T12:00:00Z".parse().unwrap());
    let (ours, theirs) = (at(&aws.endpoint, Arc::new(clock.clone())).await, at(&aws.endpoint, Arc::new(SystemClock)).await);
    let key = ours.create_key(&acme()).await.unwrap();
    ours.check_usable(&key).await.unwrap();
    let asked = ours.calls()["DescribeKey"];
    theirs.disable(&key).await.unwrap();
    ours.check_usable(&key).await.unwrap();
    assert_eq!(ours.calls()["DescribeKey"], asked, "what is known is not asked for");
    // Opening is refused all the same: the service looks itself.
    let wrapped = vec![1; 64];
    assert_eq!(ours.decrypt(&key, &wrapped, &raw()).await.unwrap_err().kind(), ErrorKind::Refused);

    theirs.enable(&key).await.unwrap();
    ours.check_usable(&key).await.unwrap();
    theirs.disable(&key).await.unwrap();
    clock.forward(KNOWN_FOR);
    let refused = ours.check_usable(&key).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Refused);
    assert!(refused.to_string().contains("is disabled"), "{refused}");

    ours.enable(&key).await.unwrap();
    ours.check_usable(&key).await.unwrap();
    ours.disable(&key).await.unwrap();
    assert_eq!(ours.check_usable(&key).await.unwrap_err().kind(), ErrorKind::Refused, "what this process did is known at once");
    ours.enable(&key).await.unwrap();
    ours.schedule_deletion(&key, 7).await.unwrap();
    let pending = ours.check_usable(&key).await.unwrap_err();
    assert!(pending.to_string().contains("pending deletion"), "{pending}");
    assert_eq!(ours.describe(&key).await.unwrap().state, KeyState::PendingDeletion);
}

#[tokio::test]
async fn a_cached_table_key_costs_no_call() {
    let Some(aws) = PrivateAws::localstack() else { return };
    let keys = Arc::new(at(&aws.endpoint, Arc::new(HandClock::at("2026-03-02T12:00:00Z".parse().unwrap()))).await);
    let key = keys.create_key(&acme()).await.unwrap();
    let cache = KekCache::new(keys.clone());
    let wrapped = cache.wrap_key(&[7; 16], &key.0).await.unwrap();
    cache.unwrap_key(&wrapped, &key.0).await.unwrap();
    let before = keys.calls();
    for _ in 0..100 {
        cache.unwrap_key(&wrapped, &key.0).await.unwrap();
    }
    assert_eq!(keys.calls(), before);
    assert_eq!((before["Encrypt"], before["Decrypt"]), (1, 1), "{before:?}");
}

#[tokio::test]
async fn a_service_that_is_not_there_is_tried_again_and_then_told() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let keys = at(&format!("http://{free}"), Arc::new(SystemClock)).await;
    let key = KeyId("arn:aws:kms:us-east-1:000000000000:key/none".into());
    let error = keys.encrypt(&key, b"secret", &raw()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Retry, "{error}");
    assert!(error.to_string().contains("cannot be reached"), "{error}");
}

#[test]
fn what_the_service_says_is_told_apart() {
    let key = KeyId("arn:aws:kms:us-east-1:000000000000:key/one".into());
    for (code, status, kind, says) in [
        ("DisabledException", 400, ErrorKind::Refused, "disabled"),
        ("KMSInvalidStateException", 400, ErrorKind::Refused, "state"),
        ("AccessDeniedException", 400, ErrorKind::Refused, "may not kms:Decrypt"),
        ("403", 403, ErrorKind::Refused, "may not kms:Decrypt"),
        ("InvalidCiphertextException", 400, ErrorKind::Refused, "does not open"),
        ("IncorrectKeyException", 400, ErrorKind::Refused, "does not open"),
        ("NotFoundException", 400, ErrorKind::Setup, "knows no key"),
        ("ThrottlingException", 400, ErrorKind::Retry, "too often"),
        ("MalformedPolicyDocumentException", 400, ErrorKind::Setup, "keys.policy"),
        ("KMSInternalException", 500, ErrorKind::Retry, "failed"),
        ("ExpiredTokenException", 400, ErrorKind::Setup, "credentials"),
        ("", 503, ErrorKind::Retry, "failed"),
        ("Something", 400, ErrorKind::Internal, "Decrypt"),
    ] {
        let (found, told) = answered(&key, "Decrypt", code, status);
        assert_eq!(found, kind, "{code}");
        assert!(told.contains(says), "{code}: {told}");
    }
}

#[test]
fn a_description_tells_tenant_and_version_or_nothing() {
    assert_eq!(described(&description(&acme(), 3)), Some((acme(), 3)));
    for text in [
        "",
        "tenant-a",
        "bonded key of tenant acme-toys",
        "bonded key of tenant ../x version 1",
        "bonded key of tenant a-b version -1",
    ] {
        assert_eq!(described(text), None, "{text}");
    }
}

#[tokio::test]
async fn a_lakes_name_fits_into_an_alias() {
    let reach = Reach { region: REGION.into(), ..Reach::default() };
    let account = Account::of_tests(reach).await;
    for name in ["", "a/b", "a b", "é", &"x".repeat(101)] {
        let refused = AwsKeys::open(&account, name, Arc::new(SystemClock)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Setup, "{name}");
    }
}
