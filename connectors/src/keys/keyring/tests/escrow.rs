//! Key backups: what they open under which passphrase, and what stays destroyed.

use super::*;

const PURPOSE: &[u8] = b"a data key";

async fn with_a_wrap(dir: &TempDir) -> (Keyring, KeyId, Vec<u8>) {
    let keyring = keyring(dir);
    let key = keyring.create_key(&acme()).await.unwrap();
    let wrapped = keyring.encrypt(&key, PURPOSE, &raw()).await.unwrap();
    keyring.rotate(&key).await.unwrap();
    (keyring, key, wrapped)
}

fn restored(from: &[&TempDir], text: &str, destroyed: &[KeyId], into: &Path) -> crate::Result<Keyring> {
    let dirs: Vec<&Path> = from.iter().map(|dir| dir.path()).collect();
    Keyring::restore(&dirs, &passphrase(text), destroyed, into, RootSource::KeyFile, fixed())?;
    Keyring::open(into, RootSource::KeyFile, fixed())
}

#[tokio::test]
async fn a_restored_keyring_opens_what_the_first_one_wrapped_in_any_version() {
    let (dir, vault, new) = (TempDir::new().unwrap(), TempDir::new().unwrap(), TempDir::new().unwrap());
    let (keyring, key, wrapped) = with_a_wrap(&dir).await;
    let newer = keyring.encrypt(&key, PURPOSE, &raw()).await.unwrap();
    assert_eq!(keyring.export(vault.path(), &passphrase("apart")).unwrap().keys, 1);
    let again = restored(&[&vault], "apart", &[], &new.path().join("keys")).unwrap();
    for wrapped in [wrapped, newer] {
        assert_eq!(again.decrypt(&key, &wrapped, &raw()).await.unwrap().as_slice(), PURPOSE);
    }
    let over = restored(&[&vault], "apart", &[], &new.path().join("keys")).unwrap_err();
    assert_eq!(over.kind(), ErrorKind::Setup);
}

#[tokio::test]
async fn a_key_backup_opens_with_its_own_passphrase_alone_and_unaltered() {
    let (dir, vault, new) = (TempDir::new().unwrap(), TempDir::new().unwrap(), TempDir::new().unwrap());
    let (keyring, key, _) = with_a_wrap(&dir).await;
    keyring.export(vault.path(), &passphrase("apart")).unwrap();
    assert_eq!(keyring.export(vault.path(), &RootSource::KeyFile).unwrap_err().kind(), ErrorKind::Setup);
    assert_eq!(restored(&[&vault], "a guess", &[], &new.path().join("a")).unwrap_err().kind(), ErrorKind::Refused);
    let file = vault.path().join(format!("{key}.json"));
    let text = fs::read_to_string(&file).unwrap();
    for altered in [text.replace("2026-03-02", "2026-03-03"), text.replace("\"enabled\"", "\"disabled\"")] {
        assert_ne!(altered, text);
        fs::write(&file, altered).unwrap();
        assert_eq!(restored(&[&vault], "apart", &[], &new.path().join("b")).unwrap_err().kind(), ErrorKind::Damaged);
    }
}

#[tokio::test]
async fn what_one_folder_tells_as_destroyed_is_restored_from_no_other() {
    let (dir, vault, stale, new) =
        (TempDir::new().unwrap(), TempDir::new().unwrap(), TempDir::new().unwrap(), TempDir::new().unwrap());
    let (keyring, key, wrapped) = with_a_wrap(&dir).await;
    keyring.export(stale.path(), &passphrase("apart")).unwrap();
    keyring.export(vault.path(), &passphrase("apart")).unwrap();
    let at = keyring.schedule_deletion(&key, 7).await.unwrap();
    let later = Keyring::open(dir.path(), RootSource::KeyFile, Arc::new(FixedClock(at))).unwrap();
    let done = later.export(vault.path(), &passphrase("apart")).unwrap();
    assert_eq!((done.keys, done.destroyed), (0, vec![key.clone()]));
    let held =
        |dir: &TempDir| fs::read_to_string(dir.path().join(format!("{key}.json"))).unwrap().matches("\"wrapped\": \"\"").count();
    assert_eq!((held(&vault), held(&stale)), (2, 0), "the tombstone keeps no version");
    for (name, from, told) in
        [("a", vec![&vault, &stale], vec![]), ("b", vec![&stale, &vault], vec![]), ("c", vec![&stale], vec![key.clone()])]
    {
        let again = restored(&from, "apart", &told, &new.path().join(name)).unwrap();
        assert_eq!(again.describe(&key).await.unwrap().state, KeyState::Deleted);
        assert_eq!(again.decrypt(&key, &wrapped, &raw()).await.unwrap_err().kind(), ErrorKind::Refused);
    }
    // Nobody was told: then the stale folder still opens it, which is why there should be none.
    assert!(restored(&[&stale], "apart", &[], &new.path().join("d")).unwrap().decrypt(&key, &wrapped, &raw()).await.is_ok());
}

#[tokio::test]
async fn an_altered_date_or_state_in_the_keyring_is_refused() {
    let dir = TempDir::new().unwrap();
    with_a_wrap(&dir).await;
    let text = folder_text(dir.path());
    let at = text.find("2026-03-02").unwrap();
    for altered in [format!("{}3{}", &text[..at + 3], &text[at + 4..]), format!("{text} "), text.replace("T12", "t12")] {
        assert_ne!(altered, text);
        fs::write(dir.path().join("keyring.json"), altered).unwrap();
        let error = Keyring::open(dir.path(), RootSource::KeyFile, fixed()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
    }
}
