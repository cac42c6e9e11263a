//! Destroying a tenant by the real binary: the console asks, an owner signs elsewhere, and nothing of the tenant answers.

use crate::world::{OTHER, TENANT, World, csv, random_plan};
use bonded::demo::corpus::Corpus;
use bonded_schemas::Report;

#[test]
fn an_owner_signs_an_order_and_the_tenant_is_refused_from_then_on() {
    let world = World::new();
    let corpus = Corpus::new(random_plan(20)).expect("fit");
    for tenant in [TENANT, OTHER] {
        world.ingest(tenant, &[world.file("ES-003.csv", csv(&corpus, Report::Es003))]);
    }
    let public_key = world.json(&["tenant", "owner", "new", "--out", "owner.key"])[0]["public_key"].as_str().unwrap().to_owned();
    world.ok(&["tenant", "owner", "add", "--tenant", TENANT, "--name", "Owner of Lantern", "--public-key", &public_key]);
    let order =
        world.json(&["tenant", "shred", "request", "--tenant", TENANT, "--reason", "contract ended", "--out", "order.txt"]);
    let id = order[0]["id"].as_str().unwrap().to_owned();
    let signature =
        world.json(&["tenant", "owner", "sign", "--key", "owner.key", "order.txt"])[0]["signature"].as_str().unwrap().to_owned();
    let count = "SELECT count(*) FROM es_003";
    world.ok(&["query", "--tenant", TENANT, count]);
    let forged = world.run(&["tenant", "shred", "approve", &id, "--signature", "AAAA"]);
    assert_eq!(forged.code, 4, "{}", forged.stderr);
    world.ok(&["tenant", "shred", "approve", &id, "--signature", &signature]);
    for arguments in
        [&["query", "--tenant", TENANT, count][..], &["deliveries", "--tenant", TENANT], &["reconcile", "--tenant", TENANT]]
    {
        let run = world.run(arguments);
        assert_eq!(run.code, 4, "{arguments:?}: {}", run.stderr);
        assert!(run.stderr.contains("pending deletion"), "{}", run.stderr);
    }
    world.ok(&["query", "--tenant", OTHER, count]);
    assert_eq!(world.run(&["tenant", "shred", "proof", &id]).code, 2, "no proof before the keys are gone");
    assert_eq!(world.ok(&["tenant", "shred", "finish"]).trim(), "nothing is due");
}

#[test]
fn every_refusal_stands_in_the_lakes_own_trail() {
    let world = World::new();
    world.ok(&["key", "disable", TENANT]);
    for (arguments, code) in [
        (&["query", "--tenant", TENANT, "SELECT 1"][..], 4),
        (&["query", "--tenant", "fictional-nobody", "SELECT 1"], 4),
        (&["query", "--tenant", OTHER, "DROP TABLE es_003"], 4),
        (&["query", "--tenant", OTHER, "SELECT 1"], 0),
    ] {
        assert_eq!(world.run(arguments).code, code, "{arguments:?}");
    }
    let trail = world.json(&["audit"]);
    let kept: Vec<(&str, &str)> = trail
        .iter()
        .filter(|event| event["result"].as_str().unwrap().starts_with("refused: "))
        .map(|event| (event["action"].as_str().unwrap(), event["object"].as_str().unwrap()))
        .collect();
    assert_eq!(kept, [("query", TENANT), ("query", "fictional-nobody"), ("query", OTHER)]);
    assert!(trail.iter().any(|event| event["action"] == "key.disable" && event["result"] == "disabled"));
}
