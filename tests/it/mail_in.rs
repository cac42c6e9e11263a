//! Mail in, on the real binary: real mails by swaks to two tenants, kills around the answer, a thousand connections.

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::TcpStream,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use bonded::demo::corpus::Corpus;
use bonded_schemas::Report;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use crate::{
    faults::seed,
    serve::{Server, wait_until},
    world::{MAIL_DOMAIN, OTHER, TENANT, World, files_under, random_plan},
};

const SENDER: &str = "ace@sender.example";
pub const PLAIN: [(&str, &str); 2] = [("BONDED_MAIL_IN_LISTEN", "127.0.0.1:0"), ("BONDED_MAIL_IN_STARTTLS_REQUIRED", "false")];

/// The tenant's address, as the console makes it.
pub fn address(world: &World, tenant: &str) -> String {
    let paper = |name: &str| format!("{name}@2026-01-05");
    let (nda, dpa, letter) = (paper("NDA-1"), paper("DPA-1"), paper("EL-1"));
    world.ok(&["tenant", "engage", "--tenant", tenant, "--nda", &nda, "--dpa", &dpa, "--letter", &letter, "--by", "counsel"]);
    let issued = world.json(&["identifier", "issue", "--tenant", tenant]).remove(0);
    let address = issued["address"].as_str().expect("an address").to_owned();
    assert!(address.ends_with(&format!("@{MAIL_DOMAIN}")), "{address}");
    address
}

pub fn port(server: &Server, scheme: &str) -> u16 {
    let listed = server.ready["mail"].as_array().expect("addresses");
    let found = listed.iter().filter_map(Value::as_str).find(|address| address.starts_with(&format!("{scheme}://")));
    found.and_then(|address| address.rsplit(':').next()).and_then(|port| port.parse().ok()).expect("a port")
}

fn deliveries(world: &World, tenant: &str) -> Vec<Value> {
    world.json(&["deliveries", "--tenant", tenant])
}

/// Receipts of what came as a mail and was worked on.
pub fn mails(world: &World, tenant: &str) -> Vec<Value> {
    let ids = deliveries(world, tenant).into_iter().filter(|row| row["state"] != "landed");
    let receipts = ids.map(|row| world.json(&["receipt", row["delivery_id"].as_str().expect("an id")]).remove(0));
    receipts.filter(|receipt| receipt["delivery"]["channel"] == "mail" && receipt["delivery"]["container"].is_null()).collect()
}

fn swaks_is_there() -> bool {
    let there = Command::new("swaks").arg("--version").output().is_ok_and(|output| output.status.success());
    if !there {
        println!("left out: swaks is not installed (Debian package swaks, see tests/setup.sh)");
    }
    there
}

/// Sends one mail; answers whether the server took it, and what was said.
fn swaks(arguments: &[&str]) -> (bool, String) {
    let output =
        Command::new("swaks").args(["--ehlo", "sender.example", "--from", SENDER]).args(arguments).output().expect("it runs");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// One mail with the three reports of a corpus, to one tenant, over STARTTLS with its certificate checked.
fn send_reports(world: &World, port: u16, to: &str, folder: &str, corpus: &Corpus) {
    let files = world.corpus_files(folder, corpus);
    let (port, pem) = (port.to_string(), world.path("lake.tls/development.pem").display().to_string());
    let mut arguments =
        vec!["--server", "127.0.0.1", "--port", &port, "--tls", "--tls-verify", "--tls-ca-path", &pem, "--to", to];
    arguments.extend(["--header", "Subject: ACE Reports scheduled", "--body", "Your scheduled reports are attached."]);
    let named: Vec<(String, String)> = files
        .iter()
        .map(|file| (file.file_name().expect("a name").to_string_lossy().into_owned(), format!("@{}", file.display())))
        .collect();
    for (name, at) in &named {
        arguments.extend(["--attach-type", "text/csv", "--attach-name", name, "--attach", at]);
    }
    let (taken, said) = swaks(&arguments);
    assert!(taken && said.contains("250 2.0.0 kept"), "{said}");
    assert!(said.contains("TLS started"), "{said}");
}

#[test]
fn real_mails_over_starttls_reach_their_own_tenants() {
    if !swaks_is_there() {
        return;
    }
    let world = World::new();
    let (ours, theirs) = (address(&world, TENANT), address(&world, OTHER));
    let socket = world.path("lmtp.sock").display().to_string();
    let lmtp = format!("unix:{socket}");
    let server =
        Server::start_as(&world, "worker,mail", &[("BONDED_MAIL_IN_LISTEN", "127.0.0.1:0"), ("BONDED_MAIL_IN_LMTP", &lmtp)]);
    let port = port(&server, "smtp");
    let (first, second) = (Corpus::new(random_plan(40)).expect("fit"), Corpus::new(random_plan(30)).expect("fit"));
    send_reports(&world, port, &ours, "ours", &first);
    send_reports(&world, port, &theirs, "theirs", &second);

    // In the clear, to strangers and elsewhere nothing is taken.
    let at = port.to_string();
    let plain = ["--server", "127.0.0.1", "--port", &at, "--body", "x"];
    let (taken, said) = swaks(&[plain.as_slice(), &["--to", &ours]].concat());
    assert!(!taken && said.contains("530 5.7.0"), "{said}");
    for nobody in ["in-aaaaaaaaaaaaaaaaaaaaaaaaaa@reports.example", "somebody@elsewhere.example"] {
        let (taken, said) = swaks(&[plain.as_slice(), &["--tls", "--to", nobody]].concat());
        assert!(!taken && said.contains("550 5.1.1 no such recipient here"), "{said}");
    }
    // By LMTP from this machine, over a socket.
    let (taken, said) = swaks(&["--protocol", "LMTP", "--socket", &socket, "--to", &theirs, "--body", "no report in it"]);
    assert!(taken && said.contains("250 2.0.0 kept"), "{said}");

    wait_until("each mail was worked on", || mails(&world, TENANT).len() == 1 && mails(&world, OTHER).len() == 2);
    for (tenant, folder) in [(TENANT, "ours"), (OTHER, "theirs")] {
        let receipt = mails(&world, tenant).into_iter().find(|receipt| receipt["delivery"]["envelope"]["tls"].is_string());
        let receipt = receipt.expect("the one that came by TLS");
        let envelope = &receipt["delivery"]["envelope"];
        assert_eq!(
            (&envelope["mail_from"], &envelope["helo"], &envelope["peer"]),
            (&json!(SENDER), &json!("sender.example"), &json!("127.0.0.1"))
        );
        let listed = world.json(&["identifier", "list", "--tenant", tenant]);
        assert_eq!(envelope["identifier"], listed[0]["identifier"]);
        // What is kept is what was sent: the attachments are in it, and it names its own tenant's address.
        let id = receipt["delivery"]["id"].as_str().expect("an id");
        let raw = world.ok(&["raw", "get", id]);
        assert!(raw.contains("Subject: ACE Reports scheduled") && raw.contains(if tenant == TENANT { &ours } else { &theirs }));
        for name in files_under(&world.path(folder)).iter().filter_map(|file| file.file_name()) {
            assert!(raw.contains(&*name.to_string_lossy()), "{name:?}");
        }
    }
    // The reports in them are tables, each tenant's own and nobody else's.
    for (tenant, corpus) in [(TENANT, &first), (OTHER, &second)] {
        let receipt =
            mails(&world, tenant).into_iter().find(|receipt| receipt["members"].as_array().is_some_and(|m| m.len() == 3));
        let receipt = receipt.expect("a mail with three reports");
        assert!(receipt["members"].as_array().unwrap().iter().all(|member| member["state"] == "committed"), "{receipt}");
        for (report, table) in [(Report::Es001, "es_001"), (Report::Es002, "es_002"), (Report::Es003, "es_003")] {
            let rows = corpus.write(report, &mut std::io::sink()).expect("written").rows;
            let counted = world.ask(tenant, &format!("SELECT count(*) AS n FROM {table}"));
            assert_eq!(counted["n"], json!(rows), "{tenant} {table}");
        }
        let sums = world.ask(tenant, "SELECT CAST(sum(line_tariff_duty_amount) AS VARCHAR) AS duty FROM es_003");
        let (_, duty) = corpus.es_003_totals_cents();
        assert_eq!(sums["duty"], json!(format!("{}.{:02}", duty / 100, duty % 100)));
    }
    server.terminate();
    // Refusals are in the lake's trail, the addresses nowhere.
    let trail = world.json(&["audit", "--action", "mail.recipient"]);
    assert!(!trail.is_empty(), "the refusals were written down");
    let locals = [&ours, &theirs].map(|address| address.split('@').next().expect("a local part").as_bytes().to_vec());
    for file in files_under(&world.lake()) {
        let bytes = std::fs::read(&file).expect("readable");
        for local in &locals {
            assert!(!bytes.windows(local.len()).any(|window| window == local), "an address lies in {}", file.display());
        }
    }
}

/// A client that speaks SMTP by hand.
pub struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(port: u16) -> Self {
        let mut client = Self::try_connect(port, Duration::from_secs(60)).expect("it listens");
        assert!(client.reply().starts_with("220"));
        client
    }

    /// Before the greeting.
    pub fn try_connect(port: u16, patience: Duration) -> std::io::Result<Self> {
        let socket = TcpStream::connect(("127.0.0.1", port))?;
        socket.set_read_timeout(Some(patience))?;
        Ok(Self(BufReader::new(socket)))
    }

    fn send(&mut self, text: &str) {
        self.try_send(text.as_bytes()).expect("sent");
    }

    pub fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.get_mut().write_all(bytes)
    }

    /// The last line of an answer; empty when the server is gone.
    fn reply(&mut self) -> String {
        match self.try_reply() {
            Err(error) if error.kind() == ErrorKind::ConnectionReset => String::new(),
            reply => reply.expect("an answer"),
        }
    }

    pub fn try_reply(&mut self) -> std::io::Result<String> {
        let mut before = String::new();
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line)?;
            if before.get(..3).is_some_and(|code| !line.is_empty() && !line.starts_with(code)) {
                return Err(std::io::Error::other(format!("two answers in one: {before}{line}")));
            }
            before.clone_from(&line);
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(line);
            }
        }
    }

    fn ask(&mut self, line: &str) -> String {
        self.send(&format!("{line}\r\n"));
        self.reply()
    }

    /// Up to where the message is awaited.
    fn begin(&mut self, to: &str) {
        for (line, code) in [
            ("EHLO sender.example".into(), "250"),
            (format!("MAIL FROM:<{SENDER}>"), "250"),
            (format!("RCPT TO:<{to}>"), "250"),
            ("DATA".into(), "354"),
        ] {
            let answer = self.ask(&line);
            assert!(answer.starts_with(code), "{line}: {answer}");
        }
    }
}

/// As long as some reports: many pieces.
fn message(n: usize) -> String {
    let line = format!("{}\r\n", "a line of a message ".repeat(10));
    format!("Subject: message {n}\r\n\r\n{}", line.repeat(2000))
}

fn landed_objects(world: &World) -> usize {
    let raw = world.lake().join("tenants").join(TENANT).join("raw");
    let is_object = |path: &&Path| path.parent() == Some(&raw) && path.file_name().is_some_and(|name| name.len() == 64);
    files_under(&raw).iter().map(|path| path.as_path()).filter(is_object).count()
}

#[test]
fn a_kill_before_the_answer_leaves_nothing_and_one_after_it_loses_nothing() {
    let world = World::new();
    let to = address(&world, TENANT);
    // Nobody works on what lands, so that a kill finds it as the answer left it.
    let server = Server::start_as(&world, "mail", &PLAIN);
    let mut client = Client::connect(port(&server, "smtp"));
    client.begin(&to);
    let whole = message(0);
    client.send(&whole[..whole.len() / 2]);
    wait_until("it is on its way into the raw zone", || {
        files_under(&world.lake()).iter().any(|path| path.to_string_lossy().contains("/raw/staging/"))
    });
    server.kill();
    assert_eq!(client.reply(), "");
    assert_eq!((deliveries(&world, TENANT), landed_objects(&world)), (Vec::new(), 0));

    let server = Server::start_as(&world, "mail", &PLAIN);
    let mut client = Client::connect(port(&server, "smtp"));
    client.begin(&to);
    client.send(&format!("{whole}.\r\n"));
    assert_eq!(client.reply(), "250 2.0.0 kept\r\n");
    server.kill();
    let listed = deliveries(&world, TENANT);
    assert_eq!((listed.len(), &listed[0]["state"]), (1, &json!("landed")));
    assert_eq!(world.json(&["queue", "list", "--tenant", TENANT]).len(), 1, "it waits for a worker");
    let id = listed[0]["delivery_id"].as_str().expect("an id");
    assert_eq!(world.ok(&["raw", "get", id]), whole, "to the byte");

    // Killed at any moment around the answer, and sent again as a client does that did not hear it.
    let mut random = StdRng::seed_from_u64(seed("CHAOS_SEED"));
    let mut answered = 0;
    for n in 1..=8 {
        let whole = message(n);
        let server = Server::start_as(&world, "mail", &PLAIN);
        let mut client = Client::connect(port(&server, "smtp"));
        client.begin(&to);
        client.send(&format!("{whole}.\r\n"));
        std::thread::sleep(Duration::from_millis(random.random_range(0..200)));
        server.kill();
        let heard = client.reply().starts_with("250");
        answered += usize::from(heard);
        let texts: Vec<String> = deliveries(&world, TENANT)
            .iter()
            .map(|row| world.ok(&["raw", "get", row["delivery_id"].as_str().expect("an id")]))
            .collect();
        assert!(!heard || texts.contains(&whole), "message {n} was answered for and is lost");
        let server = Server::start_as(&world, "mail", &PLAIN);
        let mut client = Client::connect(port(&server, "smtp"));
        client.begin(&to);
        client.send(&format!("{whole}.\r\n"));
        assert_eq!(client.reply(), "250 2.0.0 kept\r\n");
        server.terminate();
    }
    println!("{answered} of 8 were answered before the kill");
    assert_eq!((deliveries(&world, TENANT).len(), landed_objects(&world)), (9, 9), "each once");
    let server = Server::start_as(&world, "worker", &[]);
    wait_until("all were worked on", || world.json(&["queue", "list", "--tenant", TENANT]).is_empty());
    server.terminate();
    let listed = deliveries(&world, TENANT);
    assert!(listed.len() == 9 && listed.iter().all(|row| row["state"] != "landed"), "{listed:?}");
}

/// What one connection may cost while it waits, beside what the kernel keeps for it.
const CONNECTION_BYTES_MAX: u64 = 64 << 10;
const CONNECTIONS: u64 = 1000;

fn resident_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a resident size");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") << 10
}

/// More files for this process and its children than a shell gives.
fn may_open_many_files() -> bool {
    let pid = std::process::id().to_string();
    let raised = Command::new("prlimit").args(["--pid", &pid, "--nofile=8192:"]).output();
    let enough = raised.is_ok_and(|output| output.status.success());
    if !enough {
        println!("left out: this process may not open 8192 files");
    }
    enough
}

#[test]
fn a_thousand_connections_are_held_in_bounded_memory_and_all_are_answered() {
    if !may_open_many_files() {
        return;
    }
    let world = World::new();
    let to = address(&world, TENANT);
    let limits = [("BONDED_MAIL_IN_PEER_CONNECTIONS_MAX", "1001"), ("BONDED_MAIL_IN_CONNECTIONS_MAX", "1001")];
    let server = Server::start_as(&world, "mail", &[PLAIN.as_slice(), &limits].concat());
    let port = port(&server, "smtp");
    // What the first one brings to life is not each one's.
    let mut first = Client::connect(port);
    first.begin(&to);
    first.send("first\r\n.\r\n");
    assert!(first.reply().starts_with("250"));
    let before = resident_bytes(server.id());
    let began = Instant::now();
    let mut clients: Vec<Client> = (0..CONNECTIONS).map(|_| Client::connect(port)).collect();
    for client in &mut clients {
        client.send(&format!("EHLO sender.example\r\nMAIL FROM:<{SENDER}>\r\nRCPT TO:<{to}>\r\n"));
    }
    for client in &mut clients {
        for _ in 0..3 {
            let answer = client.reply();
            assert!(answer.starts_with("250"), "{answer}");
        }
    }
    let each = resident_bytes(server.id()).saturating_sub(before) / CONNECTIONS;
    println!("{CONNECTIONS} connections within {:?}: {each} bytes each", began.elapsed());
    assert!(each < CONNECTION_BYTES_MAX, "{each} bytes for a connection that waits");
    // One more is told so, and none of the thousand was dropped for it.
    let mut beyond = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    let mut told = String::new();
    beyond.read_to_string(&mut told).expect("an answer, and the end");
    assert!(told.starts_with("421 4.7.0"), "{told}");
    // A hundred at once: the places to land are few, and everybody gets one.
    clients.truncate(100);
    for client in &mut clients {
        client.send("DATA\r\n");
    }
    let held: Vec<std::thread::JoinHandle<String>> = clients
        .into_iter()
        .enumerate()
        .map(|(n, mut client)| {
            std::thread::spawn(move || {
                assert!(client.reply().starts_with("354"));
                client.send(&format!("Subject: {n}\r\n\r\n{}\r\n.\r\n", "x".repeat(900)));
                client.reply()
            })
        })
        .collect();
    for thread in held {
        let answer = thread.join().expect("it ended");
        assert_eq!(answer, "250 2.0.0 kept\r\n");
    }
    assert_eq!(deliveries(&world, TENANT).len(), 101);
    server.terminate();
}
