//! The keyring: the rules of every key service, and those of its own folder.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, sync::Arc};

use bonded_schemas::TenantId;
use chrono::{DateTime, TimeDelta, Utc};
use iceberg::encryption::KeyManagementClient;
use tempfile::TempDir;
use zeroize::Zeroizing;

use super::{Keyring, RootSource};
use crate::{
    clock::{Clock, FixedClock, HandClock, SystemClock},
    conformance::keys_conform,
    error::ErrorKind,
    keys::{EncryptionContext, KeyId, KeyState, Keys},
};

mod escrow;

fn noon() -> DateTime<Utc> {
    "2026-03-02T12:00:00Z".parse().unwrap()
}

fn fixed() -> Arc<dyn Clock> {
    Arc::new(FixedClock(noon()))
}

fn keyring(dir: &TempDir) -> Keyring {
    Keyring::create(dir.path(), RootSource::KeyFile, fixed()).unwrap()
}

fn passphrase(text: &str) -> RootSource {
    RootSource::Passphrase(Zeroizing::new(text.to_owned()))
}

fn acme() -> TenantId {
    "acme-toys".parse().unwrap()
}

fn raw() -> EncryptionContext {
    EncryptionContext::new(&acme(), "raw")
}

fn folder_text(dir: &Path) -> String {
    fs::read_to_string(dir.join("keyring.json")).unwrap()
}

#[tokio::test]
async fn the_keyring_conforms() {
    let dir = TempDir::new().unwrap();
    keys_conform(Arc::new(Keyring::create(dir.path(), RootSource::KeyFile, Arc::new(SystemClock)).unwrap())).await;
}

#[tokio::test]
async fn a_passphrase_opens_it_again_and_another_does_not() {
    let dir = TempDir::new().unwrap();
    let made = Keyring::create(dir.path(), passphrase("correct horse battery"), fixed()).unwrap();
    let key = made.create_key(&acme()).await.unwrap();
    let wrapped = made.encrypt(&key, b"secret", &raw()).await.unwrap();
    let opened = Keyring::open(dir.path(), passphrase("correct horse battery"), fixed()).unwrap();
    assert_eq!(opened.decrypt(&key, &wrapped, &raw()).await.unwrap().as_slice(), b"secret");

    let wrong = Keyring::open(dir.path(), passphrase("correct horse batterz"), fixed()).unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::Refused);
    assert!(wrong.to_string().contains("passphrase"), "{wrong}");
    assert!(!dir.path().join("root.key").exists());
    assert_eq!(Keyring::open(dir.path(), RootSource::KeyFile, fixed()).unwrap_err().kind(), ErrorKind::Setup);
    assert!(!format!("{:?} {opened:?}", passphrase("correct horse")).contains("horse"));
}

#[test]
fn the_stored_parameters_are_the_ones_promised() {
    let dir = TempDir::new().unwrap();
    Keyring::create(dir.path(), passphrase("correct horse battery"), fixed()).unwrap();
    let json: serde_json::Value = serde_json::from_str(&folder_text(dir.path())).unwrap();
    assert_eq!(json["format"], 1);
    let root = &json["root"];
    assert_eq!((&root["kind"], &root["memory_kib"]), (&"argon2id".into(), &65536.into()));
    assert_eq!((&root["iterations"], &root["parallelism"]), (&3.into(), &1.into()));
}

#[test]
fn an_existing_keyring_is_not_made_again() {
    let dir = TempDir::new().unwrap();
    keyring(&dir);
    let before = folder_text(dir.path());
    let again = Keyring::create(dir.path(), RootSource::KeyFile, fixed()).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Setup);
    assert!(again.to_string().contains("already"), "{again}");
    assert_eq!(folder_text(dir.path()), before);
}

#[test]
fn a_folder_without_a_keyring_is_told() {
    let dir = TempDir::new().unwrap();
    let missing = Keyring::open(dir.path(), RootSource::KeyFile, fixed()).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Setup);
    assert!(missing.to_string().contains("no keyring in"), "{missing}");
}

#[test]
fn files_are_for_their_owner_only() {
    let dir = TempDir::new().unwrap();
    let folder = dir.path().join("keys");
    Keyring::create(&folder, RootSource::KeyFile, fixed()).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&folder.join("root.key")), 0o600);
    assert_eq!(mode(&folder.join("keyring.json")), 0o600);
    assert_eq!(fs::read_to_string(folder.join("root.key")).unwrap().trim_end().len(), 64);
}

#[test]
fn a_root_key_that_others_can_read_is_refused() {
    let dir = TempDir::new().unwrap();
    keyring(&dir);
    let root_key = dir.path().join("root.key");
    for mode in [0o644, 0o640, 0o604, 0o660] {
        fs::set_permissions(&root_key, fs::Permissions::from_mode(mode)).unwrap();
        let refused = Keyring::open(dir.path(), RootSource::KeyFile, fixed()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Setup);
        assert!(refused.to_string().contains("chmod 600"), "{refused}");
    }
    fs::set_permissions(&root_key, fs::Permissions::from_mode(0o400)).unwrap();
    Keyring::open(dir.path(), RootSource::KeyFile, fixed()).unwrap();
}

#[test]
fn another_root_key_or_a_broken_one_is_told() {
    let dir = TempDir::new().unwrap();
    keyring(&dir);
    let root_key = dir.path().join("root.key");
    fs::write(&root_key, "ab".repeat(32)).unwrap();
    assert_eq!(Keyring::open(dir.path(), RootSource::KeyFile, fixed()).unwrap_err().kind(), ErrorKind::Refused);
    for text in ["", "ab", &"zz".repeat(32), &"ab".repeat(33)] {
        fs::write(&root_key, text).unwrap();
        let broken = Keyring::open(dir.path(), RootSource::KeyFile, fixed()).unwrap_err();
        assert_eq!(broken.kind(), ErrorKind::Damaged);
        assert!(!broken.to_string().contains("abab"), "{broken}");
    }
}

#[tokio::test]
async fn a_corrupted_file_is_refused_at_open_and_in_use() {
    let dir = TempDir::new().unwrap();
    let made = keyring(&dir);
    let key = made.create_key(&acme()).await.unwrap();
    let whole = folder_text(dir.path());
    let second_format = whole.replace("\"format\": 1", "\"format\": 2");
    let gap = whole.replace("\"version\": 1", "\"version\": 2");
    let added = whole.replace("\"format\": 1", "\"format\": 1, \"later\": true");
    for text in ["", "{}", "not json", &whole[..whole.len() / 2], &second_format, &gap, &added] {
        fs::write(dir.path().join("keyring.json"), text).unwrap();
        let refused = Keyring::open(dir.path(), RootSource::KeyFile, fixed()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Damaged, "{refused}");
        assert_eq!(made.encrypt(&key, b"x", &raw()).await.unwrap_err().kind(), ErrorKind::Damaged);
        assert_eq!(made.rotate(&key).await.unwrap_err().kind(), ErrorKind::Damaged);
        assert_eq!(folder_text(dir.path()), text, "a damaged file is left as it is");
    }
    fs::write(dir.path().join("keyring.json"), &whole).unwrap();
    made.encrypt(&key, b"x", &raw()).await.unwrap();
}

#[tokio::test]
async fn a_version_moved_to_another_key_does_not_open() {
    let dir = TempDir::new().unwrap();
    let made = keyring(&dir);
    let one = made.create_key(&acme()).await.unwrap();
    let two = made.create_key(&acme()).await.unwrap();
    let swapped = folder_text(dir.path()).replace(&one.0, "bonded-swap").replace(&two.0, &one.0).replace("bonded-swap", &two.0);
    fs::write(dir.path().join("keyring.json"), swapped).unwrap();
    assert_eq!(made.encrypt(&one, b"x", &raw()).await.unwrap_err().kind(), ErrorKind::Damaged);
}

#[tokio::test]
async fn two_handles_see_each_others_changes_at_once() {
    let dir = TempDir::new().unwrap();
    let one = keyring(&dir);
    let two = Keyring::open(dir.path(), RootSource::KeyFile, fixed()).unwrap();
    let key = one.create_key(&acme()).await.unwrap();
    let wrapped = two.encrypt(&key, b"secret", &raw()).await.unwrap();
    // Many times, so that equal file lengths and times are met: neither may hide a change.
    for _ in 0..50 {
        one.disable(&key).await.unwrap();
        assert_eq!(two.decrypt(&key, &wrapped, &raw()).await.unwrap_err().kind(), ErrorKind::Refused);
        two.enable(&key).await.unwrap();
        assert_eq!(one.decrypt(&key, &wrapped, &raw()).await.unwrap().as_slice(), b"secret");
    }
    one.rotate(&key).await.unwrap();
    let newer = two.encrypt(&key, b"secret", &raw()).await.unwrap();
    assert_eq!(newer[..4], [0, 0, 0, 2]);
    assert_eq!(one.re_encrypt(&key, &wrapped, &raw()).await.unwrap()[..4], [0, 0, 0, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_rotations_lose_none() {
    let dir = TempDir::new().unwrap();
    let key = keyring(&dir).create_key(&acme()).await.unwrap();
    let handles: Vec<_> = (0..4).map(|_| Keyring::open(dir.path(), RootSource::KeyFile, fixed()).unwrap()).collect();
    let tasks: Vec<_> = (0..20)
        .map(|at: usize| {
            let (handle, key) = (handles[at % 4].clone(), key.clone());
            tokio::spawn(async move {
                let version = handle.rotate(&key).await.unwrap();
                (version, handle.encrypt(&key, b"secret", &raw()).await.unwrap())
            })
        })
        .collect();
    let mut versions = Vec::new();
    for task in tasks {
        let (version, wrapped) = task.await.unwrap();
        versions.push(version);
        assert_eq!(handles[0].decrypt(&key, &wrapped, &raw()).await.unwrap().as_slice(), b"secret");
    }
    versions.sort_unstable();
    assert_eq!(versions, (2..=21).collect::<Vec<_>>());
    assert_eq!(handles[3].describe(&key).await.unwrap().version, 21);
}

#[tokio::test]
async fn a_key_past_its_date_is_destroyed_and_told() {
    let dir = TempDir::new().unwrap();
    let clock = HandClock::at(noon());
    let made = Keyring::create(dir.path(), RootSource::KeyFile, Arc::new(clock.clone())).unwrap();
    let doomed = made.create_key(&acme()).await.unwrap();
    let kept = made.create_key(&acme()).await.unwrap();
    let wrapped = made.encrypt(&doomed, b"secret", &raw()).await.unwrap();
    let held = wrap_texts(dir.path(), &doomed);
    let at = made.schedule_deletion(&doomed, 7).await.unwrap();
    assert_eq!(at, noon() + TimeDelta::days(7));

    clock.set(at - TimeDelta::seconds(1));
    assert_eq!(made.describe(&doomed).await.unwrap().state, KeyState::PendingDeletion);
    clock.set(at);
    assert_eq!(made.describe(&doomed).await.unwrap().state, KeyState::Deleted);
    let refused = made.decrypt(&doomed, &wrapped, &raw()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Refused);
    assert!(refused.to_string().contains("deleted since 2026-03-09"), "{refused}");
    assert_eq!(made.cancel_deletion(&doomed).await.unwrap_err().kind(), ErrorKind::Refused);

    let opened = Keyring::open(dir.path(), RootSource::KeyFile, Arc::new(clock.clone())).unwrap();
    assert_eq!(wrap_texts(dir.path(), &doomed), [""], "the wraps are gone from the file");
    assert!(!folder_text(dir.path()).contains(&held[0]));
    assert!(!wrap_texts(dir.path(), &kept)[0].is_empty());
    // Setting the clock back brings nothing back.
    clock.set(noon());
    for handle in [&made, &opened] {
        assert_eq!(handle.decrypt(&doomed, &wrapped, &raw()).await.unwrap_err().kind(), ErrorKind::Refused);
        assert_eq!(handle.enable(&doomed).await.unwrap_err().kind(), ErrorKind::Refused);
        assert_eq!(handle.describe(&doomed).await.unwrap().state, KeyState::Deleted);
        handle.encrypt(&kept, b"x", &raw()).await.unwrap();
    }
}

fn wrap_texts(dir: &Path, key: &KeyId) -> Vec<String> {
    let json: serde_json::Value = serde_json::from_str(&folder_text(dir)).unwrap();
    let entry = json["keys"].as_array().unwrap().iter().find(|entry| entry["key_id"] == key.0.as_str()).unwrap().clone();
    entry["versions"].as_array().unwrap().iter().map(|held| held["wrapped"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn another_tenant_in_the_context_is_refused() {
    let dir = TempDir::new().unwrap();
    let made = keyring(&dir);
    let key = made.create_key(&acme()).await.unwrap();
    let other = EncryptionContext::new(&"globex-tools".parse().unwrap(), "raw");
    assert_eq!(made.encrypt(&key, b"x", &other).await.unwrap_err().kind(), ErrorKind::Refused);
}

#[tokio::test]
async fn key_ids_are_opaque() {
    let dir = TempDir::new().unwrap();
    let key = keyring(&dir).create_key(&acme()).await.unwrap();
    let uuid = key.0.strip_prefix("bonded-").unwrap();
    assert_eq!(uuid::Uuid::parse_str(uuid).unwrap().get_version_num(), 4);
}

#[tokio::test]
async fn a_change_leaves_no_file_behind() {
    let dir = TempDir::new().unwrap();
    let made = keyring(&dir);
    let key = made.create_key(&acme()).await.unwrap();
    fs::write(dir.path().join("keyring.json.new"), "left by a writer that died").unwrap();
    made.rotate(&key).await.unwrap();
    let mut names: Vec<_> =
        fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["keyring.json", "keyring.lock", "root.key"]);
}

/// Made apart from this code with Python's `cryptography`: whoever changes the format breaks the Java reader too.
const GOLDEN_KEYRING: &str = r#"{"format":1,"root":{"kind":"keyfile"},
"check":"MzMzMzMzMzMzMzMzRRCA6mGgGeUlQQTpt2B7shEh1hhi8KjEdiAj2IQZuzx4I/HK7l9m9QMJQmQ6hqvZ",
"keys":[{"key_id":"bonded-00000000-0000-4000-8000-000000000001","tenant":"acme-toys",
"created_at":"2026-03-02T12:00:00Z","state":"enabled","deletion_at":null,"versions":[
{"version":1,"created_at":"2026-03-02T12:00:00Z",
"wrapped":"ERERERERERERERERwiLW/fpCbewqPWdAA2dS+KFdwudXc9Irb5nZRGohgRDF3D34u9o4mUBgSObkHfcX"},
{"version":2,"created_at":"2026-03-02T12:00:00Z",
"wrapped":"IiIiIiIiIiIiIiIiPld9hS2z2VnE3szpzLqhPoUlJE5Yx5b05bFn6cvq8iigX2M267iNJrK93vDmUmxi"}]}]}"#;
const GOLDEN_ROOT: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
/// Under version 1, no context; under version 2, context `{purpose: raw, tenant: acme-toys}`.
const GOLDEN_WRAPS: [&str; 2] = [
    "AAAAASIiIiIiIiIiIiIiIkhr0LuH7HT+9ciIsA4XVhEqP8GdMlMp9uXYOWvSpd7f",
    "AAAAAjMzMzMzMzMzMzMzM0Hfb9kP7bI8P5TkL4NYHl33DEiJuVm7X692nPZhrOD9",
];

#[tokio::test]
async fn the_format_is_fixed_for_ever() {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("keyring.json"), GOLDEN_KEYRING).unwrap();
    fs::write(dir.path().join("root.key"), GOLDEN_ROOT).unwrap();
    fs::set_permissions(dir.path().join("root.key"), fs::Permissions::from_mode(0o600)).unwrap();
    let opened = Keyring::open(dir.path(), RootSource::KeyFile, fixed()).unwrap();
    let key = KeyId("bonded-00000000-0000-4000-8000-000000000001".into());
    let [one, two] = GOLDEN_WRAPS.map(|text| STANDARD.decode(text).unwrap());
    assert_eq!(opened.unwrap_key(&one, &key.0).await.unwrap().as_bytes(), b"sixteen byte dek");
    assert_eq!(opened.decrypt(&key, &two, &raw()).await.unwrap().as_slice(), b"sixteen byte dek");

    // And what is written has the same fields in the same order.
    opened.rotate(&key).await.unwrap();
    let written = folder_text(dir.path());
    let order = [
        "format",
        "root",
        "kind",
        "check",
        "keys",
        "key_id",
        "tenant",
        "created_at",
        "state",
        "deletion_at",
        "versions",
        "wrapped",
    ];
    let places: Vec<_> = order.iter().map(|name| written.find(&format!("\"{name}\":")).unwrap()).collect();
    assert!(places.is_sorted(), "{written}");
}
