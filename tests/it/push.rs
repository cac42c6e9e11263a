//! Brokers deliver: the agent on the real binary, through lines that break, killed, refused, twice at once; and pieces, pins and
//! powers of attorney end to end.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use bonded_connectors::clock::{Clock, SystemClock};
use rand::{Rng, RngCore, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use crate::{
    api::client::Front,
    containers::pack,
    faults::seed,
    world::{OTHER, TENANT, World, files_under, json_lines},
};

mod line;

use line::Line;

const PATIENCE: Duration = Duration::from_secs(120);
const POA: &str = "POA-2026-117";
const MIB: usize = 1 << 20;

fn address(front: &Front) -> SocketAddr {
    front.url.strip_prefix("https://").expect("TLS").parse().expect("an address")
}

fn certificate(world: &World) -> PathBuf {
    world.path("lake.tls/development.pem")
}

/// A machine's token of its own in a file.
fn machine(world: &World, tenant: &str, name: &str) -> PathBuf {
    let until = (SystemClock.now() + chrono::TimeDelta::days(30)).date_naive().to_string();
    let made = world.json(&["machine", "add", "--tenant", tenant, name, "--poa", POA, "--until", &until]).remove(0);
    world.file(&format!("{name}.token"), made["secret"].as_str().expect("shown once"))
}

fn arguments(url: &str, token: &Path, ca: &Path) -> Vec<String> {
    let (token, ca) = (format!("file:{}", token.display()), ca.display().to_string());
    ["--to", url, "--token", &token, "--ca", &ca, "--settle", "200ms"].map(str::to_owned).to_vec()
}

fn agent(world: &World, what: &[&str], more: &[String]) -> Command {
    let mut command = world.command(&["--json", "push"]);
    command.args(what).args(more).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Exit code, what it told, and what it said beside.
fn ended(child: Child) -> (i32, Vec<Value>, String) {
    let output = child.wait_with_output().expect("it ends");
    let told = json_lines(&String::from_utf8(output.stdout).expect("text"));
    (output.status.code().expect("by itself"), told, String::from_utf8_lossy(&output.stderr).into_owned())
}

fn random_bytes(random: &mut StdRng, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    random.fill_bytes(&mut bytes);
    bytes
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// One delivery, to the byte, under the power of attorney, told once; and no more left in staging than a server that was killed
/// between a piece and its row leaves to the sweep.
fn arrived_once(world: &World, bytes: &[u8], kills: usize) -> Value {
    let done = || world.json(&["deliveries", "--tenant", TENANT]).iter().all(|row| row["state"] != "landed");
    wait_until("the worker is done", done);
    let listed = world.json(&["deliveries", "--tenant", TENANT]);
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!((&listed[0]["power_of_attorney"], &listed[0]["size_bytes"]), (&json!(POA), &json!(bytes.len())));
    let id = listed[0]["delivery_id"].as_str().expect("an id");
    let got = world.run(&["raw", "get", id]);
    assert!(got.stdout == bytes, "{} bytes came, {} were sent", got.stdout.len(), bytes.len());
    let delivered = world.json(&["audit", "--tenant", TENANT, "--action", "deliver"]);
    let landed: Vec<_> = delivered.iter().filter(|event| event["result"] == "landed").collect();
    assert_eq!(landed.len(), 1, "{delivered:?}");
    assert_eq!(landed[0]["after"]["power_of_attorney"], POA);
    let staging = world.lake().join(format!("tenants/{TENANT}/raw/staging"));
    assert!(files_under(&staging).len() <= kills, "{:?}", files_under(&staging));
    listed[0].clone()
}

#[test]
fn twenty_megabytes_arrive_once_and_exact_through_a_line_that_breaks_at_random_bytes() {
    let seed = seed("PUSH_SEED");
    let mut random = StdRng::seed_from_u64(seed);
    let world = World::new();
    let front = Front::start(&world, &[]);
    let token = machine(&world, TENANT, "broker");
    let odd = random.random_range(1..MIB);
    let bytes = random_bytes(&mut random, 20 * MIB + odd);
    let file = world.file("out/report.bin", &bytes);
    let line = Line::new(address(&front), Some(1..3 * MIB as u64), Duration::ZERO, seed);
    let began = Instant::now();
    let child = agent(&world, &[&file.display().to_string()], &arguments(&line.url(), &token, &certificate(&world))).spawn();
    let (code, told, said) = ended(child.expect("starts"));
    assert_eq!(code, 0, "{said}");
    assert_eq!((told.len(), &told[0]["queued"]), (1, &json!(true)));
    let (carried, size) = (line.carried(), bytes.len() as u64);
    println!("{} breaks, {carried} bytes for {size}, {:?}", line.broken(), began.elapsed());
    assert!(line.broken() >= 5, "the line broke {} times", line.broken());
    assert!(carried < 3 * size, "it goes on, and does not begin again: {carried} bytes for {size}");
    let row = arrived_once(&world, &bytes, 0);
    assert_eq!(row["delivery_id"], told[0]["delivery_id"]);
    assert!(file.is_file(), "a file that was named stays where it is");
    let secret = std::fs::read_to_string(&token).expect("there");
    assert!(!said.contains(&secret) && !told[0].to_string().contains(&secret));
    // Once more: known from its digest alone.
    let before = line.carried();
    let again = agent(&world, &[&file.display().to_string()], &arguments(&line.url(), &token, &certificate(&world))).spawn();
    let (code, told, said) = ended(again.expect("starts"));
    assert_eq!((code, &told[0]["queued"]), (0, &json!(told[0]["state"] == "quarantined")), "{said}");
    // A handshake or two, perhaps some that broke early; none of the file.
    assert!(line.carried() - before < MIB as u64, "{} bytes were sent again", line.carried() - before);
}

#[test]
fn an_agent_and_a_server_killed_in_the_middle_go_on_where_they_were() {
    let seed = seed("PUSH_SEED");
    let mut random = StdRng::seed_from_u64(seed);
    let world = World::new();
    let front = Front::start(&world, &[]);
    let token = machine(&world, TENANT, "broker");
    let bytes = random_bytes(&mut random, 24 * MIB);
    let file = world.file("out/report.bin", &bytes);
    let out = world.path("out").display().to_string();
    // About 5 MiB a second.
    let line = Line::new(address(&front), None, Duration::from_millis(3), seed);
    let start = || agent(&world, &["--watch", &out, "--once"], &arguments(&line.url(), &token, &certificate(&world))).spawn();

    let mut killed = start().expect("starts");
    wait_until("some of it was sent", || line.carried() > 9 * MIB as u64);
    killed.kill().expect("killed");
    killed.wait().expect("gone");
    assert!(file.is_file(), "it is still to be sent");
    assert_eq!(world.json(&["deliveries", "--tenant", TENANT]), Vec::<Value>::new());

    let child = start().expect("starts");
    let at = line.carried();
    wait_until("more of it was sent", || line.carried() > at + 9 * MIB as u64);
    // kill -9, and another process on another port.
    drop(front);
    let front = Front::start(&world, &[]);
    line.lead(address(&front));
    let (code, told, said) = ended(child);
    assert_eq!((code, told.len()), (0, 1), "{said}");
    let (carried, size) = (line.carried(), bytes.len() as u64);
    println!("{carried} bytes for {size}");
    assert!(carried < size * 9 / 5, "what was kept is not sent again: {carried} bytes for {size}");
    arrived_once(&world, &bytes, 1);
    // It lies beside its receipt.
    let sent = world.path("out/sent");
    assert!(std::fs::read(sent.join("report.bin")).expect("there") == bytes);
    let receipt: Value = serde_json::from_slice(&std::fs::read(sent.join("report.bin.receipt.json")).expect("there")).unwrap();
    assert_eq!(receipt, told[0]);
    assert!(!file.exists());
}

#[test]
fn two_agents_on_one_folder_deliver_each_file_once() {
    let mut random = StdRng::seed_from_u64(seed("PUSH_SEED"));
    let world = World::new();
    let front = Front::start(&world, &[]);
    let token = machine(&world, TENANT, "broker");
    let files: Vec<Vec<u8>> = (0..4).map(|n| random_bytes(&mut random, n * 700_000)).collect();
    for (n, bytes) in files.iter().enumerate() {
        world.file(&format!("out/{n}.bin"), bytes);
    }
    world.file("out/.hidden", "not yet");
    world.file("out/half.part", "not yet");
    let out = world.path("out").display().to_string();
    let more = arguments(&front.url, &token, &certificate(&world));
    let both: Vec<Child> = (0..2).map(|_| agent(&world, &["--watch", &out, "--once"], &more).spawn().expect("starts")).collect();
    for child in both {
        let (code, _, said) = ended(child);
        assert_eq!(code, 0, "{said}");
    }
    let names: Vec<String> = files_under(&world.path("out"))
        .iter()
        .map(|path| path.strip_prefix(world.path("out")).unwrap().display().to_string())
        .collect();
    let sent = (0..4).flat_map(|n| [format!("sent/{n}.bin"), format!("sent/{n}.bin.receipt.json")]);
    let expected: Vec<String> = [".hidden".to_owned(), "half.part".to_owned()].into_iter().chain(sent).collect();
    assert_eq!(names, expected);
    let listed = world.json(&["deliveries", "--tenant", TENANT]);
    let mut sizes: Vec<u64> = listed.iter().map(|row| row["size_bytes"].as_u64().unwrap()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [0, 700_000, 1_400_000, 2_100_000]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_of_attorney_that_ends_in_the_middle_ends_the_delivery() {
    let seed = seed("PUSH_SEED");
    let world = World::new();
    let front = Front::start(&world, &[]);
    let owner = front.member(&world, TENANT, "owner@lantern.example", "owner").await;
    let bytes = random_bytes(&mut StdRng::seed_from_u64(seed), 24 * MIB);
    world.file("out/report.bin", &bytes);
    let out = world.path("out").display().to_string();
    let line = Line::new(address(&front), None, Duration::from_millis(5), seed);
    let until = SystemClock.now() + chrono::TimeDelta::seconds(5);
    let adding = json!({ "name": "short", "power_of_attorney": "POA-SHORT", "until": until.to_rfc3339() });
    let made = front.post(&owner, "/v1/machines", adding).await.expect(201).json();
    let token = world.file("broker.token", made["secret"].as_str().unwrap());
    let more = arguments(&line.url(), &token, &certificate(&world));
    let (code, told, said) = ended(agent(&world, &["--watch", &out], &more).spawn().unwrap());
    assert_eq!((code, told.len()), (4, 0), "{said}");
    assert!(line.carried() > MIB as u64, "it ended in the middle: {}", line.carried());
    assert!(said.contains("token") && world.path("out/report.bin").is_file(), "{said}");
    assert_eq!(world.json(&["deliveries", "--tenant", TENANT]), Vec::<Value>::new());
    // A new one, under the same name: the file is delivered under its power of attorney.
    let fresh = machine(&world, TENANT, "renewed");
    std::fs::rename(fresh, &token).unwrap();
    let direct = arguments(&front.url, &token, &certificate(&world));
    let (code, _, said) = ended(agent(&world, &["--watch", &out, "--once"], &direct).spawn().unwrap());
    assert_eq!(code, 0, "{said}");
    // What the first one had sent is not made part of it.
    let listed = world.json(&["deliveries", "--tenant", TENANT]);
    assert_eq!(listed.len(), 1);
    let id = listed[0]["delivery_id"].as_str().unwrap();
    assert!(world.run(&["raw", "get", id]).stdout == bytes);
}

/// A certificate of its own for this machine's names.
fn made_certificate(world: &World, name: &str) -> (PathBuf, PathBuf) {
    let (certificate, key) = (world.path(&format!("{name}.pem")), world.path(&format!("{name}.key")));
    bonded_connectors::tls::make_development_certificate(&certificate, &key, SystemClock.now()).unwrap();
    (certificate, key)
}

fn with_certificate(world: &World, certificate: &Path, key: &Path) -> Front {
    // Its clients are not ours: they believe the development certificate.
    let (certificate, key) = (certificate.display().to_string(), key.display().to_string());
    Front::start(world, &[("BONDED_API_CERTIFICATE", &certificate), ("BONDED_API_PRIVATE_KEY", &key)])
}

/// As the help of the command teaches; none where there is no openssl.
fn pin_by_openssl(certificate: &Path) -> Option<String> {
    let line =
        "openssl x509 -in \"$0\" -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64";
    let output = Command::new("sh").args(["-c", line]).arg(certificate).output().ok()?;
    let pin = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (pin.len() == 44).then(|| format!("sha256/{pin}"))
}

#[test]
fn a_server_is_believed_by_its_pins_through_a_rotation_and_by_no_other_key() {
    let world = World::new();
    let token = machine(&world, TENANT, "broker");
    let made = ["now", "next", "other"].map(|name| made_certificate(&world, name));
    let ca: String = made.iter().map(|(certificate, _)| std::fs::read_to_string(certificate).unwrap()).collect();
    let ca = world.file("authorities.pem", ca);
    let wrong = "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let file = world.file("one.bin", "one").display().to_string();

    // Which key each shows, as an agent with a wrong pin tells; it ends before anything is sent.
    let shown = |n: usize| {
        let front = with_certificate(&world, &made[n].0, &made[n].1);
        let mut more = arguments(&front.url, &token, &ca);
        more.extend(["--pin".to_owned(), wrong.to_owned()]);
        let (code, told, said) = ended(agent(&world, &[&file], &more).spawn().unwrap());
        assert_eq!((code, told.len()), (4, 0), "{said}");
        assert!(said.contains("nothing was sent"), "{said}");
        let pin = said.split_whitespace().find(|word| word.starts_with("sha256/")).expect("it says what it saw");
        let pin = pin.trim_end_matches([',', '"']).to_owned();
        assert_eq!(pin_by_openssl(&made[n].0).unwrap_or(pin.clone()), pin);
        (front, pin)
    };
    let (front, now) = shown(0);
    let trail = world.json(&["audit", "--tenant", TENANT]);
    assert!(trail.iter().all(|event| event["actor"].as_str().is_none_or(|actor| !actor.starts_with("machine:"))), "{trail:?}");
    drop(front);
    let (_, next) = shown(1);

    let front = with_certificate(&world, &made[0].0, &made[0].1);
    let line = Line::new(address(&front), None, Duration::ZERO, 0);
    std::fs::create_dir(world.path("out")).unwrap();
    let out = world.path("out").display().to_string();
    let mut more = arguments(&line.url(), &token, &ca);
    more.extend(["--pin".to_owned(), now, "--pin".to_owned(), next]);
    let child = agent(&world, &["--watch", &out], &more).spawn().unwrap();
    let sent = |name: &str| world.path("out/sent").join(format!("{name}.receipt.json")).is_file();
    world.file("out/a.bin", "first");
    wait_until("it is sent", || sent("a.bin"));
    drop(front);
    let front = with_certificate(&world, &made[1].0, &made[1].1);
    line.lead(address(&front));
    world.file("out/b.bin", "second");
    wait_until("it is sent to the next key", || sent("b.bin"));
    drop(front);
    let front = with_certificate(&world, &made[2].0, &made[2].1);
    line.lead(address(&front));
    world.file("out/c.bin", "third");
    let (code, told, said) = ended(child);
    assert_eq!((code, told.len()), (4, 2), "{said}");
    assert!(world.path("out/c.bin").is_file() && !sent("c.bin"));
    assert_eq!(world.json(&["deliveries", "--tenant", TENANT]).len(), 2);

    // Without the right authority no pin helps.
    let mut more = arguments(&front.url, &token, &made[0].0);
    more.extend(["--pin".to_owned(), wrong.to_owned()]);
    let (code, _, said) = ended(agent(&world, &[&file], &more).spawn().unwrap());
    assert_eq!(code, 3, "{said}");
}

#[test]
fn what_the_server_does_not_take_is_put_aside_with_the_reason() {
    let world = World::new();
    let front = Front::start(&world, &[("BONDED_INGEST_FILE_BYTES_MAX", "1000")]);
    let token = machine(&world, TENANT, "broker");
    world.file("out/large.bin", vec![b'x'; 1001]);
    world.file("out/fits.bin", vec![b'x'; 1000]);
    let out = world.path("out").display().to_string();
    let more = arguments(&front.url, &token, &certificate(&world));
    let (code, told, said) = ended(agent(&world, &["--watch", &out, "--once"], &more).spawn().unwrap());
    assert_eq!((code, told.len()), (2, 2), "{said}");
    let note = std::fs::read(world.path("out/refused/large.bin.refused.json")).unwrap();
    let note: Value = serde_json::from_slice(&note).unwrap();
    assert!(note["refused"].as_str().unwrap().contains("too large"), "{note}");
    assert!(world.path("out/refused/large.bin").is_file() && world.path("out/sent/fits.bin").is_file());

    // A token that is none, one that is written out, an address where nobody answers as a front desk.
    let file = world.file("one.bin", "one").display().to_string();
    let nobody = world.file("nobody.token", "bonded_0000");
    for (url, token, expected) in [
        (front.url.clone(), format!("file:{}", nobody.display()), 4),
        (front.url.clone(), "bonded_secret-in-argv".to_owned(), 3),
        (format!("{}/elsewhere", front.url), format!("file:{}", token.display()), 3),
        ("http://bonded.example".to_owned(), format!("file:{}", token.display()), 2),
    ] {
        let ca = certificate(&world).display().to_string();
        let more = ["--to", &url, "--token", &token, "--ca", &ca].map(str::to_owned);
        let (code, told, said) = ended(agent(&world, &[&file], &more).spawn().unwrap());
        assert_eq!((code, told.len()), (expected, 0), "{url}: {said}");
        assert!(!said.contains("secret-in-argv"), "{said}");
    }
    // Nobody there at all: it is given up, and may be run again.
    drop(front);
    let mut more = arguments("https://127.0.0.1:1", &token, &certificate(&world));
    more.extend(["--patience".to_owned(), "1s".to_owned()]);
    let (code, _, said) = ended(agent(&world, &[&file], &more).spawn().unwrap());
    assert_eq!(code, 7, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_delivery_of_a_machine_names_its_power_of_attorney_and_so_do_its_members() {
    let world = World::new();
    let until = (SystemClock.now() + chrono::TimeDelta::days(30)).date_naive().to_string();
    let both = format!("{TENANT},{OTHER}");
    // A reference over two tenants is an identity for each.
    let made = world.json(&["machine", "add", "--tenant", &both, "broker", "--poa", POA, "--until", &until]);
    assert_eq!(made.iter().map(|one| one["tenant"].as_str().unwrap()).collect::<Vec<_>>(), [TENANT, OTHER]);
    assert_ne!(made[0]["secret"], made[1]["secret"]);
    let missing = world.run(&["machine", "add", "--tenant", TENANT, "--tenant", "nobody", "b", "--poa", POA, "--until", &until]);
    assert_eq!(missing.code, 4, "{}", missing.stderr);
    assert_eq!(world.json(&["token", "list", "--tenant", TENANT]).len(), 1, "and none is made when one is missing");

    let front = Front::start(&world, &[]);
    let inner = pack::zip(&[("colours.csv", b"Colour,Weight\nred,1\n"), ("more.csv", b"Colour,Weight\nblue,2\n")]);
    for (n, tenant) in [TENANT, OTHER].into_iter().enumerate() {
        let request = front.client.post(format!("{}/v1/deliveries?file_name=packed.zip", front.url)).body(inner.clone());
        let sent = Front::reply(request.bearer_auth(made[n]["secret"].as_str().unwrap())).await.expect(202);
        wait_until("the worker is done", || {
            let listed = world.json(&["deliveries", "--tenant", tenant]);
            listed.len() == 3 && listed.iter().all(|row| row["state"] != "landed")
        });
        for row in world.json(&["deliveries", "--tenant", tenant]) {
            assert_eq!(row["power_of_attorney"], POA, "{row}");
            let receipt = world.json(&["receipt", row["delivery_id"].as_str().unwrap()]).remove(0);
            assert_eq!(receipt["delivery"]["poa"], POA);
        }
        let id = sent.json()["delivery_id"].as_str().unwrap().to_owned();
        let receipt = world.ok(&["receipt", &id]);
        assert!(receipt.lines().any(|line| line.contains("power of attorney") && line.contains(POA)), "{receipt}");
        assert!(world.ok(&["deliveries", "--tenant", tenant]).contains(&format!("(under {POA})")));
        let told = world.json(&["audit", "--tenant", tenant, "--action", "deliver"]);
        assert_eq!(told.last().unwrap()["after"]["power_of_attorney"], POA, "{told:?}");
    }
    // And over the API, to whoever may read; of a person's own delivery there is none.
    let operator = front.member(&world, TENANT, "operator@lantern.example", "operator").await;
    let page = front.get(&operator, "/v1/deliveries").await.expect(200).json();
    assert!(page["items"].as_array().unwrap().iter().all(|row| row["power_of_attorney"] == POA), "{page}");
    let own = world.file("own.csv", "Colour,Weight\ngreen,3\n").display().to_string();
    world.run(&["ingest", "--tenant", TENANT, &own]);
    let page = front.get(&operator, "/v1/deliveries?limit=1").await.expect(200).json();
    assert_eq!(page["items"][0]["power_of_attorney"], Value::Null);
}
