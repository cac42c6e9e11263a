//! Dropped files against a real folder.

use std::fs;

use tempfile::TempDir;
use tokio::io::AsyncReadExt;

use super::drop_file::{DropFile, list, sent_name};

async fn only(folder: &TempDir) -> DropFile {
    let mut files = list(folder.path().into()).await.expect("listed");
    assert_eq!(files.len(), 1);
    files.remove(0)
}

#[test]
fn names_that_say_not_yet_are_left_alone() {
    for name in [".ES-003.csv", "ES-003.csv.part", "ES-003.csv.tmp", "ES-003.csv.filepart", "ES-003.csv~", ".taken-short"] {
        assert_eq!(sent_name(name.as_ref()), None, "{name}");
    }
    assert_eq!(sent_name("x/ES-003.csv".as_ref()).as_deref(), Some("ES-003.csv"));
    let left = format!(".taken-{}-ES-003.csv", uuid::Uuid::new_v4());
    assert_eq!(sent_name(left.as_ref()).as_deref(), Some("ES-003.csv"), "a crash left it; it is taken again");
}

#[tokio::test]
async fn links_and_folders_are_not_taken_and_no_folder_is_no_files() {
    let folder = TempDir::new().expect("a temporary folder");
    fs::create_dir(folder.path().join("inner")).expect("made");
    std::os::unix::fs::symlink("/etc/hostname", folder.path().join("link.csv")).expect("linked");
    fs::write(folder.path().join("a.csv"), "x").expect("written");
    assert_eq!(only(&folder).await.name, "a.csv");
    assert!(list(folder.path().join("nobody")).await.expect("answered").is_empty());
}

#[tokio::test]
async fn a_file_that_grows_while_it_is_read_does_not_end() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("a.csv");
    fs::write(&path, "first,").expect("written");
    let file = only(&folder).await;
    let mut bytes = file.open().await.expect("opened");
    let mut first = [0; 6];
    bytes.read_exact(&mut first).await.expect("read");
    // The very same length, so that only the time tells.
    std::thread::sleep(std::time::Duration::from_millis(20));
    fs::write(&path, "other,").expect("written");
    let error = bytes.read_to_end(&mut Vec::new()).await.expect_err("it changed");
    assert!(error.to_string().contains("changed while it was read"), "{error}");
    assert!(file.open().await.is_err(), "what is seen now is not what was listed");

    let file = only(&folder).await;
    let mut whole = String::new();
    file.open().await.expect("opened").read_to_string(&mut whole).await.expect("it stands still");
    assert_eq!(whole, "other,");
    file.remove().await.expect("removed");
    assert!(list(folder.path().into()).await.expect("listed").is_empty());
}

#[tokio::test]
async fn a_file_that_took_the_place_of_the_one_taken_is_not_removed() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("a.csv");
    fs::write(&path, "first").expect("written");
    let file = only(&folder).await;
    fs::write(folder.path().join(".b"), "second").expect("written");
    fs::rename(folder.path().join(".b"), &path).expect("renamed over it");
    file.remove().await.expect("answered");
    let kept = only(&folder).await;
    assert_eq!(fs::read_to_string(&kept.path).expect("readable"), "second");
    assert!(kept.name.ends_with("-a.csv"), "{}", kept.name);
}
