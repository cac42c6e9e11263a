//! Alerts on the real binary: from a bad file to a person's letter and a program's signed call, and what people do about it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    process::{Child, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bonded_connectors::{alerts::signature::verifies, identity::token::Secret};
use serde_json::{Value, json};

use crate::{
    api::client::Front,
    world::{OTHER, TENANT, World},
};

/// A receiver on this machine: what it was sent, head and body.
pub struct Receiver {
    pub url: String,
    seen: Arc<Mutex<Vec<(String, String)>>>,
}

impl Receiver {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
        let kept = seen.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut reader = BufReader::new(stream.unwrap());
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap_or(0) > 0 {}
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                kept.lock().unwrap().push((head, String::from_utf8(body).unwrap()));
                let _ = reader.get_mut().write_all(b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n");
            }
        });
        Self { url, seen }
    }

    pub fn calls(&self) -> Vec<(String, String)> {
        self.seen.lock().unwrap().clone()
    }
}

/// `bonded serve --roles notify`; killed when dropped.
pub struct Notify(Child);

impl Notify {
    fn start(world: &World) -> Self {
        Self::with(world, &[("BONDED_MAIL_OUTBOX", &world.path("outbox").display().to_string())], Stdio::null())
    }

    /// With these variables, and what it says on standard error going there.
    pub fn with(world: &World, more: &[(&str, &str)], log: Stdio) -> Self {
        let mut command = world.command(&["serve", "--roles", "notify"]);
        command
            .env("BONDED_ALERTS_EVERY", "200ms")
            .env("BONDED_ALERTS_WEBHOOK_PRIVATE", "true")
            .envs(more.iter().copied())
            .stdout(Stdio::piped())
            .stderr(log);
        let mut child = command.spawn().expect("the binary starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("readable");
        assert!(line.contains("notify"), "{line}");
        Self(child)
    }
}

impl Drop for Notify {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub async fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "waited for: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A file that no report is: an alert over it, of severity error.
fn bad(world: &World, name: &str) {
    let file = world.file(name, format!("Colour,{name}\nZEBRACROSSING,1\n"));
    assert_eq!(world.run(&["ingest", "--tenant", TENANT, file.to_str().unwrap()]).code, 5);
}

fn about(letters: &[String], words: &str) -> usize {
    letters.iter().filter(|letter| letter.contains(&format!("Subject: [{TENANT}] {words}"))).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_becomes_a_letter_and_a_signed_call_and_somebody_takes_it_up() {
    let world = World::new();
    let receiver = Receiver::start();
    let front = Front::start(&world, &[]);
    let (owner, viewer) = ("owner@lantern.example", "viewer@lantern.example");
    front.joined(&world, TENANT, owner, "owner").await;
    let reads = front.member(&world, TENANT, viewer, "viewer").await;
    let works = front.member(&world, TENANT, "operator@lantern.example", "operator").await;

    let mut adding =
        world.command(&["--json", "alerts", "routes", "add", "--tenant", TENANT, "tickets", "--webhook", "env:TICKETS"]);
    let refused = adding.env("TICKETS", &receiver.url).output().unwrap();
    assert_eq!(refused.status.code(), Some(2), "this machine is behind our own walls: {refused:?}");
    let made = adding.env("BONDED_ALERTS_WEBHOOK_PRIVATE", "true").output().unwrap();
    let made: Value = serde_json::from_slice(&made.stdout).unwrap_or_else(|error| panic!("{error}: {made:?}"));
    let secret = Secret::from_text(made["secret"].as_str().unwrap());
    world.ok(&["alerts", "routes", "add", "--tenant", TENANT, "owners", "--role", "owner", "--escalate-after", "4h"]);
    let subscribing = json!({ "name": "mine", "filter": { "kinds": ["quarantine"], "severity": "warning" } });
    let subscribed = front.post(&reads, "/v1/alerts/subscriptions", subscribing).await.expect(201).json();
    assert_eq!(subscribed["to"], json!([viewer]));

    // Nobody watches yet, and nothing is lost by that.
    bad(&world, "first.csv");
    assert_eq!(world.run(&["alerts", "heartbeat"]).code, 3);
    let notify = Notify::start(&world);
    wait_until("a call", || !receiver.calls().is_empty()).await;
    wait_until("two letters", || [owner, viewer].iter().all(|to| about(&front.letters(to), "error quarantine") == 1)).await;
    wait_until("a look", || world.run(&["alerts", "heartbeat"]).code == 0).await;
    let open = front.get(&works, "/v1/alerts").await.expect(200).json();
    assert_eq!(open["items"].as_array().unwrap().len(), 1, "{open}");
    let id = open["items"][0]["alert"].as_str().unwrap().to_owned();

    let (head, body) = receiver.calls().remove(0);
    let signature = head.lines().find_map(|line| line.strip_prefix("bonded-signature: ")).expect("signed");
    let at: i64 = signature.strip_prefix("t=").unwrap().split(',').next().unwrap().parse().unwrap();
    assert!(verifies(&secret, signature, &body, at, 0), "{head}");
    let told: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&told["alerts"][0]["alert"], &told["alerts"][0]["kind"]), (&json!(id), &json!("quarantine")));
    for text in front.letters(owner).iter().chain([&body]) {
        assert!(!text.contains("ZEBRACROSSING") && !text.contains("first.csv") && !text.contains("Colour"), "{text}");
    }
    let letters = front.letters(owner);
    let letter = letters.iter().find(|letter| letter.contains("quarantine")).unwrap();
    assert!(letter.contains("multipart/alternative") && letter.contains("Head of the audit trail"), "{letter}");

    // A kill, another file, another start: told once.
    drop(notify);
    bad(&world, "second.csv");
    let notify = Notify::start(&world);
    wait_until("a second letter", || about(&front.letters(owner), "error quarantine") == 2).await;
    drop(notify);

    // One takes it up; the other is told. A viewer may not.
    let ack = format!("/v1/alerts/{id}/acknowledge");
    front.post(&reads, &ack, json!({})).await.expect(403);
    let taken = front.post(&works, &ack, json!({ "note": "asking the broker" })).await.expect(200).json();
    assert_eq!(taken["state"], "acknowledged");
    let late = front.post(&works, &ack, json!({})).await.expect(409).text();
    assert!(late.contains("acknowledged already: by operator@lantern.example"), "{late}");
    front.post(&works, &format!("/v1/alerts/{id}/resolve"), json!({})).await.expect(422);
    let short = &id[..10];
    world.ok(&["alerts", "resolve", "--tenant", TENANT, short, "--cause", "it was no report"]);
    let shown = world.json(&["alerts", "show", "--tenant", TENANT, short]).remove(0);
    assert_eq!((&shown["alert"]["state"], shown["alert"]["notes"].as_array().unwrap().len()), (&json!("resolved"), 2));
    assert_eq!(world.json(&["alerts", "list", "--tenant", TENANT]).len(), 1, "the other file's");
    assert_eq!(world.json(&["alerts", "list", "--all"]).len(), 2);
    assert_eq!(world.run(&["alerts", "show", "--tenant", OTHER, short]).code, 2, "another tenant has no such alert");

    // The store holds it all, bound; and a rebuild tells nobody again.
    let verified = world.run(&["verify", "--tenant", TENANT]);
    assert_eq!(verified.code, 0, "{}", String::from_utf8_lossy(&verified.stdout));

    // Its key is disabled: told while it can be, and sent although nothing of the tenant opens any more.
    world.ok(&["key", "disable", TENANT]);
    let notify = Notify::start(&world);
    wait_until("a letter about the key", || about(&front.letters(owner), "error key: raised") == 1).await;
    drop(notify);
}

#[test]
fn rows_that_cannot_be_read_raise_one_alert_a_report_above_their_share() {
    let world = World::new();
    let header = "Entry Summary Number,Entry Date,Importer Number,Total Goods Value Amount";
    let file = |name: &str, good: usize, ragged: usize| {
        let rows: Vec<String> = (0..good).map(|n| format!("XZ9{n:08},01/05/2026,00-1234567AA,100.00")).collect();
        let odd: Vec<String> = (0..ragged).map(|n| format!("XZ8{n:08},01/05/2026,00-1234567AA,100.00,more,{name}")).collect();
        world.file(name, format!("{header}\n{}\n", [rows, odd].concat().join("\n")))
    };
    let rejects = || world.json(&["alerts", "list", "--tenant", TENANT, "--kind", "rejects"]);
    world.ingest(TENANT, &[file("few.csv", 96, 4)]);
    assert!(rejects().is_empty(), "{:?}", rejects());
    world.ingest(TENANT, &[file("more.csv", 90, 10)]);
    world.ingest(TENANT, &[file("again.csv", 80, 20)]);
    let raised = rejects();
    assert_eq!(raised.len(), 1, "{raised:?}");
    assert_eq!(
        (&raised[0]["severity"], &raised[0]["report"], &raised[0]["deliveries"]),
        (&json!("warning"), &json!("ES-001"), &json!(2))
    );
    let shown = world.json(&["alerts", "show", "--tenant", TENANT, raised[0]["alert"].as_str().unwrap()]).remove(0);
    assert_eq!((&shown["details"]["rows_read"], &shown["details"]["rows_unreadable"]), (&json!(100), &json!(10)));
}

#[test]
fn damage_is_an_alert_until_a_whole_look_finds_none() {
    let world = World::new();
    let file = world.file("bad.csv", "Colour,Weight\nred,1\n");
    assert_eq!(world.run(&["ingest", "--tenant", TENANT, file.to_str().unwrap()]).code, 5);
    let raw = crate::world::files_under(&world.lake().join("tenants").join(TENANT))
        .into_iter()
        .find(|path| path.to_string_lossy().contains("/raw/") && path.extension().is_none())
        .expect("the received bytes");
    let bytes = std::fs::read(&raw).unwrap();
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 1;
    std::fs::write(&raw, flipped).unwrap();
    let state = || {
        let found = world.json(&["alerts", "list", "--tenant", TENANT, "--kind", "verify", "--all"]);
        found.first().map(|alert| (alert["state"].as_str().unwrap().to_owned(), alert["opened"].as_i64().unwrap()))
    };
    assert_eq!(state(), None);
    assert_eq!(world.run(&["verify"]).code, 6);
    assert_eq!(state(), Some(("open".into(), 1)));
    std::fs::write(&raw, bytes).unwrap();
    assert_eq!(world.run(&["verify", "--quick"]).code, 0);
    assert_eq!(state(), Some(("open".into(), 1)), "a quick look vouches for nothing");
    assert_eq!(world.run(&["verify"]).code, 0);
    assert_eq!(state(), Some(("resolved".into(), 1)));
}
