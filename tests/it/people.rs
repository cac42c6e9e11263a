//! The console's half of the front desk: the first owner's way in, tokens, machines.

use bonded_connectors::clock::{Clock, SystemClock};
use chrono::TimeDelta;

use crate::world::{OTHER, TENANT, World, files_under};

#[test]
fn the_first_owner_is_invited_from_the_console_and_the_code_lies_in_the_outbox() {
    let world = World::new();
    let said = world.ok(&["member", "invite", "--tenant", TENANT, "Owner@Nordwind.example", "--role", "owner"]);
    assert!(said.contains("owner@nordwind.example is invited") && said.contains("lake.outbox"), "{said}");
    let letters = files_under(&world.path("lake.outbox"));
    assert_eq!(letters.len(), 1);
    let letter = std::fs::read_to_string(&letters[0]).expect("a letter");
    assert!(letter.contains("To: owner@nordwind.example") && letter.contains("as owner"), "{letter}");
    let members = world.json(&["member", "list", "--tenant", TENANT]);
    assert_eq!((members[0]["role"].as_str(), members[0]["state"].as_str()), (Some("owner"), Some("invited")));
    assert!(world.json(&["member", "list", "--tenant", OTHER]).is_empty());
    let trail = world.ok(&["audit", "--tenant", TENANT]);
    assert!(trail.contains("member.invite") && trail.contains("owner@nordwind.example"), "{trail}");

    let role = ["member", "role", "--tenant", TENANT, "owner@nordwind.example", "viewer"];
    assert!(world.ok(&role).contains("viewer, invited"));
    world.ok(&["member", "remove", "--tenant", TENANT, "owner@nordwind.example"]);
    let gone = world.run(&role);
    assert_eq!(gone.code, 2, "{}", gone.stderr);
    for (arguments, code) in [
        (vec!["member", "invite", "--tenant", TENANT, "no address", "--role", "owner"], 2),
        (vec!["member", "invite", "--tenant", TENANT, "a@nordwind.example", "--role", "emperor"], 2),
        (vec!["member", "list", "--tenant", "nobody-here"], 4),
    ] {
        let run = world.run(&arguments);
        assert_eq!(run.code, code, "{arguments:?}: {}", run.stderr);
    }
}

#[test]
fn tokens_and_machines_are_made_listed_and_revoked_and_shown_once() {
    let world = World::new();
    let made = world.json(&["token", "create", "--tenant", TENANT, "nightly export", "--grant", "read,query", "--days", "30"]);
    let secret = made[0]["secret"].as_str().expect("shown once").to_owned();
    assert!(secret.starts_with(&format!("bonded_{TENANT}_")), "{secret}");
    let day = (SystemClock.now() + TimeDelta::days(100)).format("%Y-%m-%d").to_string();
    world.ok(&["machine", "add", "--tenant", TENANT, "broker's upload", "--poa", "POA-2026-014", "--until", &day]);
    let listed = world.json(&["token", "list", "--tenant", TENANT]);
    let mut kinds: Vec<&str> = listed.iter().filter_map(|line| line["kind"].as_str()).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["machine", "token"]);
    let text = world.ok(&["token", "list", "--tenant", TENANT]);
    assert!(text.contains("machine, POA-2026-014") && text.contains("read,query"), "{text}");
    let hidden = secret.rsplit('_').next().expect("the secret part");
    assert!(!text.contains(hidden));
    world.ok(&["token", "revoke", "--tenant", TENANT, made[0]["info"]["token"].as_str().expect("an id")]);
    assert!(world.ok(&["token", "list", "--tenant", TENANT]).contains("revoked"));
    for file in files_under(&world.lake()) {
        let bytes = std::fs::read(&file).expect("readable");
        for clear in [hidden, "nightly export", "POA-2026-014"] {
            let found = bytes.windows(clear.len()).any(|window| window == clear.as_bytes());
            assert!(!found, "{clear} lies in {}", file.display());
        }
    }
    let late = world.run(&["machine", "add", "--tenant", TENANT, "upload", "--poa", "P", "--until", "2020-01-01"]);
    assert_eq!(late.code, 2, "{}", late.stderr);
}
