//! The audit trail on the real binary: what leaves an event, who sees it, what proves it, and what is left of it when the control
//! store is lost or changed.

use std::{collections::BTreeSet, os::unix::fs::PermissionsExt, path::Path, sync::Arc};

use bonded::{
    answers::session,
    audit::may_read,
    lakehouse::{AuditEvent, Doors, Lakehouse},
    settings::Settings,
};
use bonded_connectors::clock::{Clock, SystemClock};
use bonded_queries::Format;
use bonded_schemas::{Actor, Role, TenantScope};

use crate::world::{OTHER, TENANT, World, files_under, random_plan};
use bonded::demo::corpus::Corpus;

async fn house(world: &World) -> Lakehouse {
    let mut settings = Settings { lake: world.lake().display().to_string(), ..Settings::default() };
    settings.keys.dir = Some(world.keys());
    Lakehouse::open(settings, Doors::new(Arc::new(SystemClock))).await.expect("opens")
}

#[expect(clippy::disallowed_methods, reason = "a test establishes its own scopes")]
fn scope_of(tenant: &str, actor: Actor) -> TenantScope {
    TenantScope::establish(tenant.parse().expect("a tenant name"), actor)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// The trail of a tenant or of the lake, read without leaving an event; all connections closed again.
fn trail(world: &World, tenant: Option<&str>) -> Vec<AuditEvent> {
    runtime().block_on(async {
        let house = house(world).await;
        let events = match tenant {
            Some(tenant) => {
                let tenant = house.tenant(&scope_of(tenant, "test".into())).await.expect("opens");
                let events = tenant.trail().await.expect("whole");
                tenant.ledger.close().await;
                events
            }
            None => house.trail().await.expect("whole"),
        };
        house.control().close().await;
        events.into_iter().map(|(_, event)| event).collect()
    })
}

fn filled() -> World {
    let world = World::new();
    let corpus = Corpus::new(random_plan(60).planting(1)).expect("a corpus");
    world.ingest(TENANT, &world.corpus_files("in", &corpus));
    world
}

/// Commands at the ends of `bonded help`, as `tenant shred list`.
fn commands(world: &World, above: &[&str]) -> Vec<String> {
    let mut with = above.to_vec();
    with.push("--help");
    let help = world.ok(&with);
    let listed = help.split_once("\nCommands:\n").map(|(_, listed)| listed).filter(|_| above != ["rules", "add"]);
    let Some(listed) = listed else { return vec![above.join(" ")] };
    let names =
        listed.lines().take_while(|line| !line.is_empty()).filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let own = match above {
        // These do something without a command below them, too.
        ["drift" | "cape" | "audit"] => vec![above.join(" ")],
        _ => Vec::new(),
    };
    let below = names.map(|line| line.split_whitespace().next().expect("a name")).filter(|name| *name != "help");
    own.into_iter().chain(below.flat_map(|name| commands(world, &[above, &[name]].concat()))).collect()
}

/// Where the event of a command is expected, and its action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum In {
    Tenant(&'static str),
    Lake(&'static str),
    /// It touches no lake, or what it shows is public.
    Nowhere,
}

#[test]
fn every_command_that_changes_or_reads_anything_leaves_an_event() {
    use In::{Lake, Nowhere, Tenant};
    let world = filled();
    let bad = world.file("bad.csv", "no,report\n1,2\n");
    world.run(&["ingest", "--tenant", TENANT, &bad.display().to_string()]);
    let text = |path: &Path| path.display().to_string();
    let id = world.json(&["deliveries", "--tenant", TENANT])[0]["delivery_id"].as_str().unwrap().to_owned();
    world.run(&["reconcile", "--tenant", TENANT]);
    let finding = world.json(&["finding", "list", "--tenant", TENANT])[0]["id"].as_str().unwrap().to_owned();
    let entry = world.ask(TENANT, "SELECT min(entry_summary_number) AS n FROM es_003")["n"].as_str().unwrap().to_owned();
    let (owner, second) = (text(&world.path("owner.key")), text(&world.path("second.key")));
    let key = world.ok(&["tenant", "owner", "new", "--out", &owner]).trim().to_owned();
    let (backup, export) = (text(&world.path("backup")), text(&world.path("trail.jsonl")));
    let until = (SystemClock.now() + chrono::TimeDelta::days(90)).date_naive().to_string();
    let bad = text(&bad);
    let drifted = csv_with_a_new_column();
    let drifted = world.file("drifted.csv", drifted);
    world.run(&["ingest", "--tenant", TENANT, &text(&drifted)]);
    let drift = world.json(&["drift", "--tenant", TENANT]);
    let drift = drift.iter().find(|alert| alert["alert"] == "drift").unwrap()["fingerprint"].as_str().unwrap().to_owned();
    // Over the changed header and the file that is none.
    let alert = world.json(&["alerts", "list", "--tenant", TENANT])[0]["alert"].as_str().unwrap().to_owned();
    let until_soon = (SystemClock.now() + chrono::TimeDelta::days(2)).to_rfc3339();
    let route = ["alerts", "routes", "add", "--tenant", TENANT, "to be tried", "--role", "viewer"];
    let routed = world.json(&route)[0]["route"]["route"].as_str().unwrap().to_owned();
    let walk: Vec<(&str, Vec<&str>, In)> = vec![
        ("init", vec![], Lake("init")),
        ("tenant add", vec!["fictional-broom"], Lake("tenant.add")),
        ("tenant list", vec![], Lake("tenant.list")),
        ("tenant owner new", vec!["--out", &second], Nowhere),
        ("tenant owner sign", vec!["--key", &owner, &bad], Nowhere),
        ("tenant owner add", vec!["--tenant", OTHER, "--name", "owner@kettle.example", "--public-key", &key], Lake("owner.add")),
        ("tenant owner list", vec!["--tenant", OTHER], Lake("tenant.owner.list")),
        ("tenant shred request", vec!["--tenant", OTHER, "--reason", "a walk"], Lake("shred.request")),
        ("tenant shred approve", vec!["ORDER", "--signature", "AAAA"], Lake("shred.approve")),
        ("tenant shred cancel", vec!["ORDER"], Lake("shred.cancel")),
        ("tenant shred finish", vec![], Lake("tenant.shred.finish")),
        ("tenant shred list", vec![], Lake("tenant.shred.list")),
        (
            "tenant engage",
            vec![
                "--tenant",
                TENANT,
                "--nda",
                "N-1@2026-01-05",
                "--dpa",
                "D-1@2026-01-05",
                "--letter",
                "L-1@2026-01-09",
                "--by",
                "counsel",
            ],
            Tenant("tenant.engage"),
        ),
        ("identifier issue", vec!["--tenant", TENANT], Tenant("identifier.issue")),
        ("identifier rotate", vec!["--tenant", TENANT], Lake("identifier.rotate")),
        ("identifier suspend", vec!["--tenant", TENANT, "IDENTIFIER"], Tenant("identifier.suspend")),
        ("identifier resume", vec!["--tenant", TENANT, "IDENTIFIER"], Tenant("identifier.resume")),
        ("identifier list", vec!["--tenant", TENANT], Tenant("identifier.list")),
        ("ingest", vec!["--tenant", TENANT, &bad], Tenant("ingest")),
        ("queue list", vec!["--tenant", TENANT], Tenant("queue.list")),
        ("deliveries", vec!["--tenant", TENANT], Tenant("deliveries")),
        ("receipt", vec!["--tenant", TENANT, &id], Tenant("receipt")),
        ("drift", vec!["--tenant", TENANT], Tenant("drift")),
        ("alerts list", vec!["--tenant", TENANT], Tenant("alerts.list")),
        ("alerts show", vec!["--tenant", TENANT, &alert], Tenant("alerts.show")),
        ("alerts mute", vec!["--tenant", TENANT, &alert, "--until", &until_soon], Tenant("alert.mute")),
        ("alerts ack", vec!["--tenant", TENANT, &alert, "--note", "of 000-12-3456"], Tenant("alert.acknowledge")),
        ("alerts resolve", vec!["--tenant", TENANT, &alert, "--cause", "a walk"], Tenant("alert.resolve")),
        ("alerts routes add", vec!["--tenant", TENANT, "a walk", "--role", "owner"], Tenant("alert.route.add")),
        ("alerts routes list", vec!["--tenant", TENANT], Tenant("alerts.routes.list")),
        ("alerts routes remove", vec!["--tenant", TENANT, &routed], Tenant("alert.route.remove")),
        ("alerts heartbeat", vec![], Lake("alerts.heartbeat")),
        ("drift accept", vec!["--tenant", TENANT, &drift], Tenant("drift.accept")),
        ("query", vec!["--tenant", TENANT, "SELECT 1"], Tenant("query")),
        ("query", vec!["--tenant", TENANT, "SELECT nothing"], Tenant("query")),
        ("query", vec!["--tenant", TENANT, "DROP TABLE es_001"], Tenant("query")),
        ("query", vec!["--tenant", TENANT, "DROP TABLE es_001"], Lake("query")),
        ("reconcile", vec!["--tenant", TENANT], Tenant("reconcile")),
        ("checks", vec![], Nowhere),
        ("report", vec!["--tenant", TENANT, "statement_months"], Tenant("report")),
        ("rules list", vec![], Nowhere),
        ("rules add", vec!["closing", "--from", "2027-01-04", "--name", "a walk", "--source", "made up"], Lake("rules.add")),
        ("history", vec!["--tenant", TENANT, &entry], Tenant("history")),
        ("changes", vec!["--tenant", TENANT, "--from", "2026-01-01"], Tenant("changes")),
        ("vanished", vec!["--tenant", TENANT], Tenant("vanished")),
        ("deadlines", vec!["--tenant", TENANT], Tenant("deadlines")),
        ("cape", vec!["--tenant", TENANT], Tenant("cape")),
        ("finding list", vec!["--tenant", TENANT], Tenant("finding.list")),
        ("finding show", vec!["--tenant", TENANT, &finding], Tenant("finding.show")),
        ("finding explain", vec!["--tenant", TENANT, &finding, "--note", "of 000-12-3456"], Tenant("finding.explain")),
        ("attest", vec!["--tenant", TENANT], Tenant("attest")),
        ("score", vec!["--tenant", TENANT], Tenant("score")),
        ("tables", vec!["--tenant", TENANT], Tenant("tables")),
        ("maintain", vec!["--tenant", TENANT], Tenant("maintain.orphans")),
        ("maintain", vec!["--tenant", TENANT, "--dry-run"], Tenant("maintain")),
        ("raw get", vec!["--tenant", TENANT, &id], Tenant("raw.get")),
        ("audit", vec!["--tenant", TENANT], Tenant("audit.read")),
        ("audit", vec![], Lake("audit.read")),
        ("audit head", vec!["--tenant", TENANT], Tenant("audit.head")),
        ("audit head", vec![], Lake("audit.head")),
        ("audit seal", vec!["--tenant", TENANT], Tenant("audit.seal")),
        ("audit export", vec!["--tenant", TENANT, "--to", &export], Tenant("audit.export")),
        ("audit verify", vec!["--export", &export], Nowhere),
        ("mail show", vec![&id], Tenant("mail.show")),
        ("mail policy show", vec!["--tenant", TENANT], Tenant("mail.policy.show")),
        ("mail policy set", vec!["--tenant", TENANT, "--sender", "nordwind.example"], Tenant("mail.policy.set")),
        ("verify", vec!["--tenant", TENANT], Tenant("verify")),
        ("backup", vec!["--to", &backup], Lake("backup")),
        ("doctor", vec![], Lake("doctor")),
        ("member invite", vec!["--tenant", TENANT, "owner@lantern.example", "--role", "owner"], Tenant("member.invite")),
        ("member list", vec!["--tenant", TENANT], Tenant("member.list")),
        ("token create", vec!["--tenant", TENANT, "a walk", "--grant", "read", "--days", "9"], Tenant("token.create")),
        ("token list", vec!["--tenant", TENANT], Tenant("token.list")),
        ("machine add", vec!["--tenant", TENANT, "a broker", "--poa", "POA-1", "--until", &until], Tenant("machine.add")),
        ("key list", vec![], Lake("key.list")),
        ("key rotate", vec![TENANT], Tenant("key.rotate")),
        ("key disable", vec![TENANT], Lake("key.disable")),
        ("key enable", vec![TENANT], Tenant("key.enable")),
        (
            "windows schedule set",
            vec!["--tenant", TENANT, "--report", "ES-003", "--cadence", "daily 06:00", "--zone", "UTC", "--grace", "6h"],
            Tenant("windows.schedule.set"),
        ),
        ("windows schedule list", vec!["--tenant", TENANT], Tenant("windows.schedule.list")),
        ("windows list", vec!["--tenant", TENANT], Tenant("windows.list")),
        ("windows suggest", vec!["--tenant", TENANT], Tenant("windows.suggest")),
        ("windows check list", vec!["--tenant", TENANT], Tenant("windows.check.list")),
        ("windows schedule remove", vec!["--tenant", TENANT, "--report", "ES-003"], Tenant("windows.schedule.remove")),
        ("freshness", vec!["--tenant", TENANT], Tenant("freshness")),
        ("completions", vec!["bash"], Nowhere),
    ];
    // Each has a test of its own that looks into the trail, or shows what others left there.
    let elsewhere = [
        "serve",
        "push",
        "queue retry",
        "queue drop",
        "restore",
        "rebuild",
        "demo",
        "cape read",
        "tenant shred proof",
        "tenant shred verify",
        "member role",
        "member suspend",
        "member resume",
        "member remove",
        "token revoke",
        "alerts routes test",
        "windows check show",
        "windows check tick",
        "windows check close",
    ];
    let known: BTreeSet<String> = walk.iter().map(|(command, ..)| *command).chain(elsewhere).map(str::to_owned).collect();
    assert_eq!(commands(&world, &[]).into_iter().collect::<BTreeSet<_>>(), known, "a command that nobody walks");

    let (mut order, mut identifier) = (String::new(), String::new());
    let mut seen = (trail(&world, Some(TENANT)).len(), trail(&world, None).len());
    for (command, arguments, expected) in walk {
        let named = [("ORDER", order.clone()), ("IDENTIFIER", identifier.clone())];
        let put = |argument: &&'_ str| named.iter().find(|(name, _)| name == argument).map(|(_, value)| value.clone());
        let arguments: Vec<String> = arguments.iter().map(|given| put(given).unwrap_or_else(|| (*given).to_owned())).collect();
        let mut words: Vec<&str> = command.split(' ').collect();
        words.extend(arguments.iter().map(String::as_str));
        let asked = world.run(&[&["--json"], words.as_slice()].concat());
        assert!(matches!(asked.code, 0 | 2..=5) || command == "doctor", "{words:?}: {}", asked.stderr);
        if command == "tenant shred request" {
            let told: serde_json::Value = serde_json::from_slice(&asked.stdout).expect("an order");
            order = told["id"].as_str().expect("an id").to_owned();
        }
        if command == "identifier issue" {
            let told: serde_json::Value = serde_json::from_slice(&asked.stdout).expect("an address");
            identifier = told["info"]["identifier"].as_str().expect("an id").to_owned();
        }
        // Its own trail opens again with the next command.
        if command == "key disable" {
            let lake = trail(&world, None);
            assert!(lake[seen.1..].iter().any(|event| event.action == "key.disable"), "{lake:?}");
            seen.1 = lake.len();
            continue;
        }
        let (tenant, lake) = (trail(&world, Some(TENANT)), trail(&world, None));
        let new: Vec<&str> = match expected {
            Tenant(_) => tenant[seen.0..].iter().map(|event| event.action.as_str()).collect(),
            Lake(_) => lake[seen.1..].iter().map(|event| event.action.as_str()).collect(),
            Nowhere => Vec::new(),
        };
        match expected {
            Tenant(action) | Lake(action) => assert!(new.contains(&action), "{words:?} left {new:?}"),
            Nowhere => assert_eq!((tenant.len(), lake.len()), seen, "{words:?}"),
        }
        seen = (tenant.len(), lake.len());
    }

    // What changed is told, and no person's number.
    let events = trail(&world, Some(TENANT));
    let of = |action: &str| events.iter().rev().find(|event| event.action == action).unwrap_or_else(|| panic!("no {action}"));
    assert_eq!(of("key.rotate").before.as_ref().unwrap()["version"], 1);
    assert_eq!(of("key.rotate").after.as_ref().unwrap()["version"], 2);
    assert_eq!(of("key.enable").after.as_ref().unwrap()["state"], "enabled");
    let explained = of("finding.explain");
    assert_eq!(
        (explained.before.as_ref().unwrap()["state"].as_str(), explained.after.as_ref().unwrap()["state"].as_str()),
        (Some("open"), Some("explained"))
    );
    assert_eq!(explained.after.as_ref().unwrap()["note"], "of ***-**-3456");
    assert!(
        of("drift.accept").after.as_ref().unwrap()["mapping"]["additions"][0]["name"].is_string(),
        "{:?}",
        of("drift.accept")
    );
    let refused: Vec<&str> = events
        .iter()
        .filter(|event| event.action == "query" && event.result != "done")
        .map(|event| event.object.as_str())
        .collect();
    assert_eq!(refused, ["SELECT nothing", "DROP TABLE es_001", "DROP TABLE es_001"]);
}

fn csv_with_a_new_column() -> String {
    "Entry Summary Number,Entry Date,Importer Number,Total Goods Value Amount,Owner Reference,Brand New Column\n\
     XZ910000013,01/05/2026,00-1234567AA,100.00,red,blue\n"
        .to_owned()
}

#[test]
fn an_export_is_proven_far_from_the_lake_and_a_forged_one_is_not() {
    let world = filled();
    let (trail, lake, csv) = (world.path("trail.jsonl"), world.path("lake.jsonl"), world.path("trail.csv"));
    let text = |path: &Path| path.display().to_string();
    let heads = world.json(&["audit", "head"]);
    let head = |chain: &str| heads.iter().find(|head| head["chain"] == chain).unwrap_or_else(|| panic!("{heads:?}"));
    let of_tenant = head(&format!("tenant {TENANT}"));
    let key = of_tenant["public_key"].as_str().unwrap();
    let kept = format!("{} {}", of_tenant["head"]["events"], of_tenant["head"]["hash"].as_str().unwrap());
    world.ok(&["audit", "export", "--tenant", TENANT, "--to", &text(&trail), "--action", "ingest"]);
    world.ok(&["audit", "export", "--tenant", TENANT, "--to", &text(&csv), "--format", "csv"]);
    world.ok(&["audit", "export", "--to", &text(&lake)]);
    assert_eq!(std::fs::metadata(&trail).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(world.run(&["audit", "export", "--tenant", TENANT, "--to", &text(&trail)]).code, 2, "not over it");

    // No lake and no keys where it is checked.
    let away = World::bare();
    for file in [&trail, &csv] {
        let verified = away.json(&[
            "audit",
            "verify",
            "--export",
            &text(file),
            "--head",
            &kept,
            "--public-key",
            key,
            "--lake-export",
            &text(&lake),
        ]);
        assert_eq!(verified[0]["whole"], true, "{verified:?}");
        assert_eq!(verified[0]["chain"], format!("tenant {TENANT}"));
        assert!(verified[0]["heads_held_against"].as_u64().unwrap() > 1, "the lake's trail has heads of it: {verified:?}");
    }
    let other = World::new();
    let foreign = other.json(&["audit", "head"])[0]["public_key"].as_str().unwrap().to_owned();
    assert_eq!(away.run(&["audit", "verify", "--export", &text(&trail), "--public-key", &foreign]).code, 6);
    let whole = std::fs::read_to_string(&csv).unwrap();
    let forged = world.file("forged.csv", whole.replacen("committed", "commited", 1));
    let told = away.run(&["audit", "verify", "--export", &text(&forged)]);
    assert_eq!(told.code, 6, "{}", told.stderr);
    assert!(told.stderr.contains("not as it was written"), "{}", told.stderr);
    let later = format!("{} {}", 10_000, "ab".repeat(32));
    let told = away.run(&["audit", "verify", "--export", &text(&trail), "--head", &later]);
    assert!(told.code == 6 && told.stderr.contains("cut off"), "{}", told.stderr);
    assert_eq!(away.run(&["audit", "verify", "--export", &text(&trail), "--head", "nonsense"]).code, 2);
}

#[test]
fn a_trail_put_back_to_an_earlier_day_is_found_by_what_vouched_for_it() {
    let world = filled();
    let store = world.lake().join("tenants").join(TENANT).join("control.sqlite");
    closed(&world);
    let earlier = std::fs::read(&store).unwrap();
    world.ok(&["query", "--tenant", TENANT, "SELECT 1"]);
    world.ok(&["audit", "head"]);
    assert!(world.run(&["verify"]).code == 0);
    closed(&world);
    std::fs::write(&store, earlier).unwrap();
    let verified = world.run(&["--json", "verify", "--tenant", TENANT]);
    let told: serde_json::Value = serde_json::from_slice(&verified.stdout).unwrap();
    assert_eq!(verified.code, 6, "{told}");
    assert!(told["damage"].to_string().contains("the tail is cut off"), "{told}");
    // Grown past it on another way, it is another chain.
    for _ in 0..3 {
        world.ok(&["query", "--tenant", TENANT, "SELECT 2"]);
    }
    let told = String::from_utf8(world.run(&["--json", "verify", "--tenant", TENANT]).stdout).unwrap();
    assert!(told.contains("was another one, says the lake's own trail"), "{told}");
}

/// No connection is open, so what lies in the file is all.
fn closed(world: &World) {
    trail(world, Some(TENANT));
    for _ in 0..500 {
        if !files_under(&world.lake()).iter().any(|file| file.to_string_lossy().contains("-wal")) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

#[test]
fn a_lost_control_store_takes_the_trail_up_again_from_its_segments() {
    let world = filled();
    world.ok(&["audit", "seal", "--tenant", TENANT]);
    world.ok(&["query", "--tenant", TENANT, "SELECT 1"]);
    world.ok(&["audit", "seal", "--tenant", TENANT]);
    let folder = world.lake().join("tenants").join(TENANT);
    let segments = files_under(&folder.join("audit"));
    assert_eq!(segments.len(), 2, "{segments:?}");
    assert!(segments.iter().all(|file| std::fs::metadata(file).unwrap().permissions().mode() & 0o777 == 0o444));
    assert!(!segments.iter().any(|file| std::fs::read(file).unwrap().windows(8).any(|word| word == b"\"sealed\"")), "sealed");
    let before = trail(&world, Some(TENANT));
    assert_eq!(world.run(&["verify"]).code, 0);
    let rows = world.ask(TENANT, "SELECT count(*) AS n FROM tariff_lines")["n"].clone();

    for name in ["control.sqlite", "control.sqlite-wal", "control.sqlite-shm"] {
        let file = folder.join(name);
        if file.exists() {
            std::fs::remove_file(file).unwrap();
        }
    }
    // Looking at it comes first, as it does when something is lost, and leaves an event.
    world.run(&["verify"]);
    world.ok(&["rebuild", "--tenant", TENANT]);
    let after = trail(&world, Some(TENANT));
    let sealed = before.iter().rposition(|event| event.action == "query").expect("sealed");
    assert_eq!(after[..=sealed], before[..=sealed]);
    assert!(after.iter().any(|event| event.action == "rebuild" && event.result == "done"));
    assert_eq!(world.ask(TENANT, "SELECT count(*) AS n FROM tariff_lines")["n"], rows);

    // In another place, too: the segments come with the raw zone, read-only.
    let new = world.path("new");
    world.ok(&["rebuild", "--to", &new.display().to_string()]);
    let copied = files_under(&new.join("tenants").join(TENANT).join("audit"));
    assert!(
        copied.len() >= 2 && copied.iter().all(|file| std::fs::metadata(file).unwrap().permissions().mode() & 0o777 == 0o444)
    );
    world.ok(&["audit", "seal", "--tenant", TENANT]);
}

#[test]
fn a_damaged_segment_is_named_and_litter_beside_segments_is_no_segment() {
    let world = filled();
    world.ok(&["audit", "seal", "--tenant", TENANT]);
    let folder = world.lake().join("tenants").join(TENANT).join("audit");
    let segment = files_under(&folder).remove(0);
    std::fs::write(folder.join("stray"), "x").unwrap();
    let verified: serde_json::Value =
        serde_json::from_slice(&world.run(&["--json", "verify", "--tenant", TENANT]).stdout).unwrap();
    assert_eq!(verified["damage"].as_array().map(Vec::len), Some(0), "{verified}");
    assert!(verified["litter"].to_string().contains("audit/stray"), "{verified}");
    let mut bytes = std::fs::read(&segment).unwrap();
    let half = bytes.len() / 2;
    bytes[half] ^= 1;
    std::fs::set_permissions(&segment, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::write(&segment, bytes).unwrap();
    let verified = world.run(&["--json", "verify", "--tenant", TENANT]);
    assert_eq!(verified.code, 6);
    let name = segment.file_name().unwrap().to_string_lossy().into_owned();
    assert!(String::from_utf8(verified.stdout).unwrap().contains(&name));
}

#[test]
fn sql_sees_each_event_once_and_only_owner_admin_and_console_see_any() {
    let world = filled();
    world.ok(&["audit", "seal", "--tenant", TENANT]);
    world.ok(&["query", "--tenant", TENANT, "SELECT 1"]);
    let count = world.ask(TENANT, "SELECT count(*) AS n, count(DISTINCT seq) AS d, max(seq) AS m FROM meta.audit");
    assert!(count["n"] == count["d"] && count["n"] == count["m"], "{count}");
    assert_eq!(count["n"].as_u64().unwrap() as usize + 1, trail(&world, Some(TENANT)).len(), "all but the question itself");
    let asked = world
        .ask(TENANT, "SELECT actor LIKE 'console:%' AS who, object FROM meta.audit WHERE action = 'query' ORDER BY seq LIMIT 1");
    assert_eq!((asked["who"].as_bool(), asked["object"].as_str()), (Some(true), Some("SELECT 1")));
    runtime().block_on(async {
        let house = house(&world).await;
        let actors = Role::ALL.map(|role| Actor { role: Some(role), ..Actor::from("person@lantern.example") });
        for actor in actors.into_iter().chain(["machine:broker".into(), "console:test".into()]) {
            let tenant = house.tenant(&scope_of(TENANT, actor.clone())).await.expect("opens");
            let session = session(&house, &tenant).await.expect("a session");
            let asked = session.query("SELECT * FROM meta.audit LIMIT 1").await;
            assert_eq!(asked.is_ok(), may_read(&actor), "{actor:?}");
            if let Err(error) = asked {
                assert!(error.to_string().contains("audit") && error.to_string().contains("not found"), "{error}");
            }
            let mut tables = Vec::new();
            let listed = session.query("SELECT table_name FROM information_schema.tables WHERE table_schema = 'meta'").await;
            listed.expect("listed").write(Format::JsonLines, &mut tables).await.expect("written");
            assert_eq!(String::from_utf8(tables).expect("text").contains("\"audit\""), may_read(&actor), "{actor:?}");
        }
    });
}

#[test]
fn the_console_filters_by_who_what_which_and_when() {
    let world = filled();
    let all = world.json(&["audit", "--tenant", TENANT]);
    let only = |with: &[&str]| world.json(&[&["audit", "--tenant", TENANT], with].concat());
    let ingests = only(&["--action", "ingest"]);
    assert_eq!(ingests.len(), 3);
    assert!(only(&["--action", "inges"]).is_empty() && only(&["--who", "nobody"]).is_empty());
    let (object, at) = (ingests[1]["object"].as_str().unwrap(), ingests[1]["at"].as_str().unwrap());
    assert_eq!(only(&["--object", object]).len(), 1);
    assert_eq!(only(&["--object", &format!("{}*", &object[..30])])[0]["object"].as_str(), Some(object));
    assert_eq!(only(&["--action", "ingest", "--since", at]).len(), 2);
    assert_eq!(only(&["--action", "ingest", "--until", at]).len(), 1);
    assert_eq!(only(&["--limit", "1"]).len(), 1);
    assert_eq!(all[0]["seq"], 1);
    let csv = world.ok(&["audit", "--tenant", TENANT, "--csv", "--action", "ingest"]);
    assert_eq!(csv.lines().count(), 4, "{csv}");
    assert!(csv.starts_with("seq,at,actor,role,ip,request_id,action,object,result,before,after\n"));
}
