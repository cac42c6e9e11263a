//! Putting files away: what lies where after which accident. Deliveries themselves are tested on the real binary.

use chrono::DateTime;
use tempfile::TempDir;

use super::*;

fn dropped(folder: &Path, name: &str, text: &str) -> DropFile {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    let stamp = Stamp::from(&fs::symlink_metadata(&path).unwrap());
    DropFile { path, name: name.into(), stamp }
}

fn told(file: &DropFile, sha256: &str) -> Told {
    Told {
        file_name: file.name.clone(),
        size_bytes: file.stamp.size_bytes(),
        sha256: sha256.into(),
        to: "https://bonded.example/".into(),
        at: DateTime::from_timestamp(1_780_000_000, 0).unwrap(),
        became: Became::Taken { delivery_id: "d1".into(), state: "landed".into(), queued: true },
    }
}

fn place() -> TempDir {
    let folder = TempDir::new().unwrap();
    for name in [SENT, REFUSED] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    folder
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = entries.collect();
    names.sort();
    names
}

#[test]
fn a_file_lies_beside_its_note_and_writes_over_nothing() {
    let folder = place();
    let sent = folder.path().join(SENT);
    for (text, sha256) in [("one", "aa"), ("two", "bb")] {
        let file = dropped(folder.path(), "ES-003.csv", text);
        assert!(put_away(folder.path(), &file, &told(&file, sha256)).unwrap());
    }
    assert_eq!(names(&sent), ["2-ES-003.csv", "2-ES-003.csv.receipt.json", "ES-003.csv", "ES-003.csv.receipt.json"]);
    assert_eq!(fs::read_to_string(sent.join("ES-003.csv")).unwrap(), "one");
    assert_eq!(fs::read_to_string(sent.join("2-ES-003.csv")).unwrap(), "two");
    let note: Told = serde_json::from_slice(&fs::read(sent.join("2-ES-003.csv.receipt.json")).unwrap()).unwrap();
    assert_eq!(note.sha256, "bb");

    let file = dropped(folder.path(), "odd.bin", "x");
    let refused = Told { became: Became::Refused { refused: "too large".into() }, ..told(&file, "cc") };
    assert!(put_away(folder.path(), &file, &refused).unwrap());
    assert_eq!(names(&folder.path().join(REFUSED)), ["odd.bin", "odd.bin.refused.json"]);
    assert_eq!(names(folder.path()), [REFUSED, SENT]);
    let long = dropped(folder.path(), &format!("{}.csv", "ä".repeat(125)), "x");
    assert!(put_away(folder.path(), &long, &told(&long, "dd")).unwrap());
    assert_eq!(names(folder.path()), [REFUSED, SENT]);
}

#[test]
fn what_took_the_place_of_a_sent_file_is_not_taken_for_it() {
    let folder = place();
    let file = dropped(folder.path(), "a.csv", "sent");
    let note = told(&file, "aa");
    dropped(folder.path(), "a.csv", "another, not sent yet");
    assert!(!put_away(folder.path(), &file, &note).unwrap());
    assert_eq!(names(&folder.path().join(SENT)), Vec::<String>::new());
    let left = names(folder.path());
    let left = left.iter().find(|name| name.ends_with("a.csv")).unwrap();
    assert_eq!(fs::read_to_string(folder.path().join(left)).unwrap(), "another, not sent yet");
    assert!(drop_file::sent_name(Path::new(left)).is_some(), "it will be looked at");
}

#[test]
fn another_agent_may_have_put_it_away_and_a_crash_may_have_left_its_note() {
    let folder = place();
    let sent = folder.path().join(SENT);
    let file = dropped(folder.path(), "a.csv", "sent");
    let note = told(&file, "aa");
    assert!(put_away(folder.path(), &file, &note).unwrap());
    assert!(!put_away(folder.path(), &file, &note).unwrap(), "it is gone");
    assert_eq!(names(&sent), ["a.csv", "a.csv.receipt.json"]);
    // Killed after the note and before the move: the next run finds the file and the note of the same bytes.
    let file = dropped(folder.path(), "b.csv", "sent");
    assert!(noted(&sent.join("b.csv.receipt.json"), &told(&file, "bb")).unwrap());
    assert!(put_away(folder.path(), &file, &told(&file, "bb")).unwrap());
    // The note of other bytes is another's, and half a note is nobody's.
    let file = dropped(folder.path(), "c.csv", "sent");
    fs::write(sent.join("c.csv.receipt.json"), "{").unwrap();
    assert!(noted(&sent.join("2-c.csv.receipt.json"), &told(&file, "of another")).unwrap());
    assert!(put_away(folder.path(), &file, &told(&file, "cc")).unwrap());
    assert!(names(&sent).contains(&"3-c.csv".to_owned()), "{:?}", names(&sent));
}
