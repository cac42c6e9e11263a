use super::*;

fn settings() -> (tempfile::TempDir, Settings) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let settings = Settings { lake: folder.path().display().to_string(), ..Settings::default() };
    (folder, settings)
}

fn mpf(from: &str, minimum: &str) -> RuleBook {
    let text = format!(
        "[[mpf]]\nfrom = \"{from}\"\nuntil = \"2027-10-01\"\nminimum = \"{minimum}\"\nmaximum = \"660.00\"\nmark = \"S\"\nsource = \"made up\"\n"
    );
    RuleBook::parse(&text).expect("well formed")
}

#[test]
fn a_lake_without_a_file_has_the_rules_of_the_build() {
    let (_folder, settings) = settings();
    assert_eq!(book(&settings).expect("no file is fine"), *RuleBook::builtin());
}

#[test]
fn what_is_added_is_there_and_what_was_written_by_hand_stays() {
    let (folder, settings) = settings();
    let file = folder.path().join("rules.toml");
    let hand = "# read by two of us\n[[entry_type]]\ncode = \"99\"\nmark = \"G\"\nsource = \"made up\"\n";
    std::fs::write(&file, hand).expect("written");
    add(&settings, &mpf("2026-10-01", "34.00")).expect("added");
    let rules = book(&settings).expect("it reads");
    assert!(rules.lines().iter().filter(|line| line.own).count() == 2);
    assert!(std::fs::read_to_string(&file).expect("there").starts_with(hand));
    assert_eq!(std::fs::read_dir(folder.path()).expect("listable").count(), 1, "nothing is left beside it");
}

#[test]
fn a_contradiction_is_refused_and_changes_nothing() {
    let (folder, settings) = settings();
    add(&settings, &mpf("2026-10-01", "34.00")).expect("added");
    let before = std::fs::read(folder.path().join("rules.toml")).expect("there");
    for rule in [mpf("2026-10-01", "35.00"), mpf("2026-09-01", "34.00"), mpf("2025-10-01", "1.00")] {
        let error = add(&settings, &rule).expect_err("it contradicts");
        assert_eq!(error.kind(), crate::ErrorKind::Setup);
    }
    assert_eq!(std::fs::read(folder.path().join("rules.toml")).expect("there"), before);
}

#[test]
fn a_damaged_file_is_named_and_not_ignored() {
    let (folder, settings) = settings();
    std::fs::write(folder.path().join("rules.toml"), "[[mpf]]\nfrom = 3\n").expect("written");
    let error = book(&settings).expect_err("it does not read");
    assert!(error.to_string().contains("rules.toml of the lake"), "{error}");
}
