//! From mail to reconciled answer: two tenants, killed in the middle, with nothing different between profiles but settings.
//! Promise: what a channel was told is kept is a row once, under its own tenant, and the tie-out names what was planted.

use std::{ops::Range, process::Command, time::Duration};

use bonded::demo::corpus::{Corpus, Expected, Plan};
use bonded_schemas::Report;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use crate::{
    aws::private_aws::PrivateAws,
    faults::seed,
    mail::shapes::{attached, head, multipart, text},
    mail_in::{Client, PLAIN, address, mails, port},
    postgres::private_postgres::PrivatePostgres,
    serve::{Server, wait_until},
    ses::inbound::Inbound,
    tie_out,
    world::{Bucket, OTHER, TENANT, World, random_plan},
};

/// Mails of each tenant, each with all three reports on entries of its own.
const MAILS: u32 = 3;
const ENTRIES_EACH: u32 = 40;
const KILLS: u32 = 4;

/// What lies around a lake where it runs.
trait Profile {
    fn world(&self) -> &World;
    fn server(&self) -> Server;
    /// Sends a mail as its channel does; answers whether the channel took it upon itself.
    fn send(&self, server: &Server, to: &str, mail: &[u8]) -> bool;
}

/// One machine and nothing else.
struct Embedded(World);

impl Profile for Embedded {
    fn world(&self) -> &World {
        &self.0
    }

    fn server(&self) -> Server {
        Server::start_as(&self.0, "worker,mail", &PLAIN)
    }

    fn send(&self, server: &Server, to: &str, mail: &[u8]) -> bool {
        by_smtp(port(server, "smtp"), to, mail).unwrap_or(false)
    }
}

/// Whether the server said that it keeps it; a server that goes away has not.
fn by_smtp(port: u16, to: &str, mail: &[u8]) -> std::io::Result<bool> {
    let mut client = Client::try_connect(port, Duration::from_secs(60))?;
    let from = "MAIL FROM:<ace@sender.example>\r\n".to_owned();
    // The greeting is awaited before anything is said.
    let steps = [String::new(), "EHLO sender.example\r\n".into(), from, format!("RCPT TO:<{to}>\r\n"), "DATA\r\n".into()];
    for step in steps {
        client.try_send(step.as_bytes())?;
        if !client.try_reply()?.starts_with(['2', '3']) {
            return Ok(false);
        }
    }
    client.try_send(mail)?;
    client.try_send(b"\r\n.\r\n")?;
    Ok(client.try_reply()? == "250 2.0.0 kept\r\n")
}

#[test]
fn on_one_machine() {
    the_whole_way(&Embedded(World::new()));
}

/// On AWS, by `config/prod.example.toml` as it stands; what names an account, a place or a secret is told apart, as one would,
/// and so are waits, which are shorter.
struct Production {
    world: World,
    inbound: Inbound,
    _cluster: PrivatePostgres,
}

impl Production {
    /// `None`, said aloud, where an emulator or PostgreSQL is not installed.
    fn new() -> Option<Self> {
        let (aws, others) = (PrivateAws::localstack()?, PrivateAws::ministack()?);
        let (inbound, cluster) = (Inbound::start()?, PrivatePostgres::start()?);
        let config = concat!(env!("CARGO_MANIFEST_DIR"), "/../config");
        let role = |name: &str| format!("arn:aws:iam::000000000000:role/bonded-{name}");
        let bucket = Bucket { endpoint: aws.endpoint.clone(), name: aws.lockable_bucket("bonded") };
        let mut more = vec![
            ("BONDED_CONFIG", Some(format!("{config}/prod.example.toml"))),
            ("BONDED_KEYS_POLICY", Some(format!("{config}/aws/policies/tenant-key.json"))),
            ("BONDED_KEYS_ACCOUNT_ID", Some("000000000000".to_owned())),
            ("BONDED_KEYS_APP_ROLE", Some(role("app"))),
            ("BONDED_KEYS_KEEPER_ROLE", Some(role("keeper"))),
            ("BONDED_KEYS_READER_ROLE", Some(role("reader"))),
        ];
        more.extend(inbound.settings().into_iter().map(|(name, value)| (name, Some(value.to_owned()))));
        // What the file says and names no account.
        more.extend(["BONDED_KEYS_PROVIDER", "BONDED_CATALOG_KIND", "BONDED_SES_PREFIX"].map(|name| (name, None)));
        let world = World::in_bucket(bucket, Some(&cluster)).beside_glue(&others.endpoint).told(more).peopled();
        Some(Self { world, inbound, _cluster: cluster })
    }
}

impl Profile for Production {
    fn world(&self) -> &World {
        &self.world
    }

    fn server(&self) -> Server {
        Server::start_as(&self.world, "worker,ses", &[])
    }

    fn send(&self, _server: &Server, to: &str, mail: &[u8]) -> bool {
        self.inbound.send("ace@sender.example", &[to], mail);
        true
    }
}

#[test]
fn on_the_production_profile() {
    let Some(production) = Production::new() else { return };
    the_whole_way(&production);
    assert_eq!((production.inbound.dead(), production.inbound.is_drained()), (0, true));
    // The doctor finds nothing broken but what the file names on a machine that this is not: a certificate, a password.
    let world = production.world();
    world.ok(&["maintain"]);
    let told = String::from_utf8(world.run(&["--json", "doctor"]).stdout).expect("text");
    let findings = crate::world::json_lines(&told).remove(0)["findings"].as_array().expect("a list").clone();
    let probes = |verdict: &str| -> Vec<&str> {
        let with = findings.iter().filter(|finding| finding["verdict"] == verdict);
        with.filter_map(|finding| finding["probe"].as_str()).collect()
    };
    assert_eq!(probes("fail"), ["secrets", "certificate"], "{told}");
    for probe in ["keys", "bucket", "catalog", "store", "queue", "ses"] {
        assert!(probes("ok").contains(&probe), "{probe}: {told}");
    }
}

struct Sent {
    to: String,
    mail: Vec<u8>,
}

/// The three reports on these entries, as one mail.
pub fn mail_of(corpus: &Corpus, entries: Range<u32>) -> Vec<u8> {
    let files = Report::ENTRY_SUMMARIES.map(|report| {
        let mut bytes = Vec::new();
        corpus.write_entries(report, entries.clone(), &mut bytes).expect("written");
        attached(Corpus::file_name(report), &bytes)
    });
    let parts: Vec<Vec<u8>> = [text("Your scheduled reports are attached.")].into_iter().chain(files).collect();
    [head("ACE Reports scheduled").into_bytes(), multipart("mixed", "reports", &parts)].concat()
}

fn the_whole_way(profile: &dyn Profile) {
    let world = profile.world();
    let mut random = StdRng::seed_from_u64(seed("CHAOS_SEED"));
    let plan = |serial_first| Plan { serial_first, ..random_plan(MAILS * ENTRIES_EACH).planting(1) };
    let corpora = [(TENANT, Corpus::new(plan(0)).expect("fit")), (OTHER, Corpus::new(plan(5_000_000)).expect("fit"))];
    let mut waiting = Vec::new();
    for (tenant, corpus) in &corpora {
        let to = address(world, tenant);
        waiting.extend(
            (0..MAILS).map(|part| Sent { to: to.clone(), mail: mail_of(corpus, part * ENTRIES_EACH..(part + 1) * ENTRIES_EACH) }),
        );
    }

    let queued =
        || -> usize { [TENANT, OTHER].map(|tenant| world.json(&["queue", "list", "--tenant", tenant]).len()).iter().sum() };
    // The first kill comes when something has landed and is not worked on, the others at any moment.
    let server = profile.server();
    waiting.retain(|sent| !profile.send(&server, &sent.to, &sent.mail));
    wait_until("something has landed", || queued() > 0);
    server.kill();
    let mut in_the_middle = usize::from(queued() > 0);
    for _ in 1..KILLS {
        let server = profile.server();
        let (id, after) = (server.id().to_string(), Duration::from_millis(random.random_range(20..1000)));
        let axe = std::thread::spawn(move || {
            std::thread::sleep(after);
            Command::new("kill").args(["-KILL", &id]).status().expect("kill runs");
        });
        waiting.retain(|sent| !profile.send(&server, &sent.to, &sent.mail));
        axe.join().expect("it fell");
        server.kill();
        in_the_middle += usize::from(queued() > 0);
    }
    println!("{in_the_middle} of {KILLS} kills found something landed and not done");
    assert!(in_the_middle > 0, "no kill was in the middle");
    let server = profile.server();
    waiting.retain(|sent| !profile.send(&server, &sent.to, &sent.mail));
    assert!(waiting.is_empty(), "nobody kills it any more");
    for (tenant, _) in &corpora {
        wait_until("each mail became its tenant's rows", || mails(world, tenant).len() == MAILS as usize && queued() == 0);
    }
    server.terminate();

    for (tenant, corpus) in &corpora {
        reconciled(world, tenant, corpus);
        for mail in mails(world, tenant) {
            let members = mail["members"].as_array().expect("a list");
            assert!(members.len() == 3 && members.iter().all(|member| member["state"] == "committed"), "{mail}");
        }
    }
    world.ok(&["verify"]);
}

/// Every row once, every sum to the cent, every planted discrepancy and no other, and a second engine agrees.
fn reconciled(world: &World, tenant: &str, corpus: &Corpus) {
    for report in Report::ENTRY_SUMMARIES {
        let rows = corpus.write(report, &mut std::io::sink()).expect("written").rows;
        let counted = world.ask(tenant, &format!("SELECT count(*) AS n FROM {}", report.table()));
        assert_eq!(counted["n"], json!(rows), "{tenant} {report:?}");
    }
    let duty = "SELECT CAST(sum(line_tariff_duty_amount) AS VARCHAR) AS duty FROM es_003";
    let (_, cents) = corpus.es_003_totals_cents();
    assert_eq!(world.ask(tenant, duty)["duty"], json!(format!("{}.{:02}", cents / 100, cents % 100)));
    let mut found: Vec<Expected> = world.json(&["reconcile", "--tenant", tenant]).iter().map(tie_out::named).collect();
    found.sort();
    assert_eq!(found, corpus.expected_findings(), "{tenant}");
    let verdicts = world.json(&["attest", "--tenant", tenant]);
    let agree = |line: &Value| line["verdict"] == "agrees";
    assert!(verdicts.len() == 3 * MAILS as usize && verdicts.iter().all(agree), "{verdicts:?}");
}
