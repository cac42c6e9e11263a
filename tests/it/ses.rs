//! Mail by Amazon SES, on the real binary: its stand-in takes mails in, the emulators hold them, `serve --roles ses` fetches them.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use bonded::demo::corpus::Corpus;
use bonded_schemas::Report;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

pub mod inbound;

use crate::{
    end_to_end::mail_of,
    faults::seed,
    mail::shapes::{attached, head, multipart},
    mail_in::{address, mails},
    serve::{Server, wait_until},
    world::{MAIL_DOMAIN, OTHER, TENANT, World, csv, files_under, random_plan},
};
use inbound::{Inbound, PREFIX, RECEIVES_MAX, Taken};

const SENDER: &str = "ace@nordwind.example";

/// Without a report; `n` tells it from others.
fn letter(n: usize, lines: usize) -> Vec<u8> {
    let line = format!("{}\r\n", "a line of a letter ".repeat(10));
    format!("From: {SENDER}\r\nDate: today\r\nSubject: letter {n}\r\n\r\n{}", line.repeat(lines)).into_bytes()
}

/// Believes what Amazon writes into a mail.
fn trusting(world: &World) -> String {
    world.file("ses.toml", "[mail_in]\ntrusted_hops = [\"amazonses.com\"]\n").display().to_string()
}

fn start(world: &World, inbound: &Inbound, roles: &str) -> Server {
    start_with(world, inbound, roles, &[])
}

fn start_with(world: &World, inbound: &Inbound, roles: &str, more: &[(&str, &str)]) -> Server {
    let config = trusting(world);
    let mut settings = inbound.settings();
    settings.push(("BONDED_CONFIG", &config));
    settings.extend(more);
    let server = Server::start_as(world, roles, &settings);
    assert_eq!(server.ready["ses"], json!(inbound.queue), "{}", server.ready);
    server
}

fn events(world: &World, tenant: Option<&str>, action: &str) -> Vec<Value> {
    match tenant {
        Some(tenant) => world.json(&["audit", "--tenant", tenant, "--action", action]),
        None => world.json(&["audit", "--action", action]),
    }
}

/// Exactly this action's: `mail` begins `mail.recipient`, too.
fn results(world: &World, tenant: Option<&str>, action: &str) -> BTreeMap<String, usize> {
    let mut counted = BTreeMap::new();
    for event in events(world, tenant, action).into_iter().filter(|event| event["action"] == action) {
        *counted.entry(event["result"].as_str().expect("a result").to_owned()).or_default() += 1;
    }
    counted
}

/// What the lake's trail says of a mail's notification, under SES's name of the mail.
fn notified(world: &World, taken: &Taken) -> Vec<String> {
    let object = format!("ses:{}", taken.id());
    let of_it = events(world, None, "mail.notification").into_iter().filter(|event| event["object"] == object.as_str());
    of_it.map(|event| event["result"].as_str().expect("a result").to_owned()).collect()
}

/// Of the mail that the stand-in took as this.
fn receipt_of(world: &World, tenant: &str, taken: &Taken) -> Option<Value> {
    let id = &taken.notification["mail"]["messageId"];
    mails(world, tenant).into_iter().find(|receipt| receipt["delivery"]["envelope"]["service"]["message_id"] == *id)
}

#[test]
fn mails_that_ses_took_in_become_their_own_tenants_rows_and_nobody_elses() {
    let Some(inbound) = Inbound::start() else { return };
    let world = World::new();
    let (ours, theirs) = (address(&world, TENANT), address(&world, OTHER));
    let server = start(&world, &inbound, "ses,worker");
    let (first, second) = (Corpus::new(random_plan(40)).expect("fit"), Corpus::new(random_plan(30)).expect("fit"));
    let nobody = format!("in-aaaaaaaaaaaaaaaaaaaaaaaaaa@{MAIL_DOMAIN}");
    let to_us = inbound.send(SENDER, &[&ours], &mail_of(&first, 0..40));
    let to_them = inbound.send(SENDER, &[&theirs, &nobody], &mail_of(&second, 0..30));
    // To both at once, and twice to one; the header names somebody else altogether.
    let to_both = inbound.send("", &[&theirs, &ours, &theirs], &letter(1, 10));
    let to_nobody = inbound.send(SENDER, &[&nobody], &letter(2, 10));
    let infected = [b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$".as_slice(), b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"].concat();
    let harms =
        [head("Lines").into_bytes(), multipart("mixed", "b", &[attached("lines.csv", &csv(&first, Report::Es002)), infected])];
    let harms = inbound.send("ace@forger.example", &[&ours], &harms.concat());
    wait_until("each mail was worked on", || mails(&world, TENANT).len() == 3 && mails(&world, OTHER).len() == 2);
    wait_until("no notification is left", || inbound.is_drained());
    server.terminate();

    for (tenant, corpus, taken) in [(TENANT, &first, &to_us), (OTHER, &second, &to_them)] {
        let receipt = receipt_of(&world, tenant, taken).expect("its mail");
        let envelope = &receipt["delivery"]["envelope"];
        assert_eq!((&envelope["helo"], &envelope["mail_from"]), (&json!("amazonses.com"), &json!(SENDER)));
        assert!(envelope["peer"].is_null() && envelope["service"]["dmarc"] == "PASS", "{envelope}");
        let proven = receipt["mail"]["proof"]["verdicts"].as_array().expect("verdicts").iter();
        let proven = proven.filter(|verdict| verdict["method"] == "dmarc" && verdict["outcome"] == "pass");
        assert_eq!(proven.count(), 1, "{}", receipt["mail"]["proof"]);
        // It speaks of when SES had it, whenever it landed.
        let stamp = |value: &Value| value.as_str().and_then(|text| chrono::DateTime::parse_from_rfc3339(text).ok());
        assert_eq!(stamp(&receipt["delivery"]["as_of"]), stamp(&taken.notification["receipt"]["timestamp"]), "{receipt}");
        // The object, to the byte.
        assert_eq!(receipt["sha256"], json!(taken.sha256));
        for (report, table) in [(Report::Es001, "es_001"), (Report::Es002, "es_002"), (Report::Es003, "es_003")] {
            let rows = corpus.write(report, &mut std::io::sink()).expect("written").rows;
            assert_eq!(world.ask(tenant, &format!("SELECT count(*) AS n FROM {table}"))["n"], json!(rows), "{tenant} {table}");
        }
    }
    for tenant in [TENANT, OTHER] {
        let receipt = receipt_of(&world, tenant, &to_both).expect("the mail to both");
        assert_eq!(receipt["delivery"]["envelope"]["mail_from"], json!(""), "a bounce has no sender");
        assert_eq!(receipt["sha256"], json!(to_both.sha256));
        assert!(receipt_of(&world, tenant, &to_nobody).is_none());
    }
    // Malware is not opened; its bytes are kept, and the tenant is told.
    let receipt = receipt_of(&world, TENANT, &harms).expect("the infected mail");
    assert_eq!((&receipt["state"], &receipt["quarantine"]["reason"]), (&json!("quarantined"), &json!("malware")));
    assert!(receipt["members"].as_array().is_none_or(Vec::is_empty), "{receipt}");
    let verdicts = receipt["mail"]["proof"]["verdicts"].as_array().expect("verdicts");
    assert!(verdicts.iter().all(|verdict| verdict["outcome"] == "fail"), "{verdicts:?}");
    let alerts = world.json(&["alerts", "list", "--tenant", TENANT]);
    assert!(alerts.iter().any(|alert| alert["kind"] == "mail"), "{alerts:?}");
    assert!(world.json(&["alerts", "list", "--tenant", OTHER]).is_empty());

    // Who is nobody is written down, with SES's name of the mail; the mails lie where SES put them; no address lies anywhere in the lake.
    let refused = results(&world, None, "mail.recipient");
    assert!(refused.keys().any(|result| result.ends_with(&format!("; mail {} of SES", to_nobody.id()))), "{refused:#?}");
    assert_eq!((inbound.dead(), inbound.objects().len()), (0, 5));
    let locals = [&ours, &theirs].map(|address| address.split('@').next().expect("a local part").as_bytes().to_vec());
    for file in files_under(&world.lake()) {
        let bytes = std::fs::read(&file).expect("readable");
        for local in &locals {
            assert!(!bytes.windows(local.len()).any(|window| window == local), "an address lies in {}", file.display());
        }
    }
}

#[test]
fn a_notification_that_comes_twice_lands_once_and_a_kill_at_any_moment_loses_and_doubles_nothing() {
    let Some(inbound) = Inbound::start() else { return };
    let world = World::new();
    let (ours, theirs) = (address(&world, TENANT), address(&world, OTHER));
    // Nobody works on what lands, so that a kill finds it as it was.
    let server = start(&world, &inbound, "ses");
    let first = inbound.send(SENDER, &[&ours], &letter(0, 10));
    wait_until("it landed", || inbound.is_drained());
    inbound.publish(&first.notification.to_string());
    wait_until("its second notification is gone", || inbound.is_drained() && events(&world, Some(TENANT), "mail").len() == 2);
    assert_eq!(world.json(&["deliveries", "--tenant", TENANT]).len(), 1);
    server.kill();

    let mut random = StdRng::seed_from_u64(seed("CHAOS_SEED"));
    let sent: Vec<Taken> = (1..=8).map(|n| inbound.send(SENDER, &[&ours, &theirs], &letter(n, 4000))).collect();
    for _ in 0..6 {
        let server = start(&world, &inbound, "ses");
        std::thread::sleep(Duration::from_millis(random.random_range(0..1200)));
        server.kill();
        // What it held is not for others before its time is over.
        std::thread::sleep(Duration::from_millis(random.random_range(0..1000)));
        // Each kill is a try; what is tried too often is put back by whoever looks after the dead letters.
        inbound.redrive();
    }
    let server = start(&world, &inbound, "ses,worker");
    wait_until("all is landed", || {
        inbound.redrive();
        inbound.is_drained()
    });
    for (tenant, landed) in [(TENANT, 9), (OTHER, 8)] {
        wait_until("all was worked on", || mails(&world, tenant).len() == landed);
        assert_eq!(world.json(&["deliveries", "--tenant", tenant]).len(), landed, "each once");
        for taken in &sent {
            let receipt = receipt_of(&world, tenant, taken).expect("landed");
            assert_eq!(receipt["sha256"], json!(taken.sha256), "to the byte");
        }
    }
    server.terminate();
}

#[test]
fn what_is_no_notification_of_ours_is_refused_written_down_and_among_the_dead_letters() {
    let Some(inbound) = Inbound::start() else { return };
    let world = World::new();
    let ours = address(&world, TENANT);
    let taken = inbound.send(SENDER, &[&ours], &letter(1, 10));
    let with = |change: fn(&mut Value)| {
        let mut notification = taken.notification.clone();
        change(&mut notification);
        notification.to_string()
    };
    let envelope =
        |topic: &str, message: &str| json!({ "Type": "Notification", "MessageId": "1", "TopicArn": topic, "Message": message });
    let forged = [
        with(|it| it["receipt"]["action"]["bucketName"] = json!("somebody-elses")),
        with(|it| it["receipt"]["action"]["objectKey"] = json!("lake/tenants/fictional-kettle/raw/tenant.json")),
        with(|it| it["receipt"]["action"]["objectKey"] = json!("inbound/../lake")),
        with(|it| it["receipt"]["action"]["type"] = json!("SNS")),
        with(|it| it["receipt"]["recipients"] = json!([])),
        with(|it| it["mail"]["messageId"] = json!("another")),
        with(|it| it["notificationType"] = json!("Bounce")),
        with(|it| it["receipt"] = json!("none")),
        "no JSON".to_owned(),
    ];
    forged.iter().for_each(|message| inbound.publish(message));
    let past_the_topic = [
        taken.notification.to_string(),
        envelope("arn:aws:sns:us-east-1:000000000000:elsewhere", &taken.notification.to_string()).to_string(),
        json!({ "Records": [{ "eventSource": "aws:s3", "s3": { "object": { "key": "inbound/x" } } }] }).to_string(),
        "[".repeat(5000),
    ];
    past_the_topic.iter().for_each(|body| inbound.put(body));
    let setup = with(|it| it["receipt"]["action"]["objectKey"] = json!(format!("{PREFIX}AMAZON_SES_SETUP_NOTIFICATION")));
    inbound.publish(&setup);
    let count = (forged.len() + past_the_topic.len()) as u64;

    let server = start(&world, &inbound, "ses");
    wait_until("all that is bad is dead", || inbound.dead() == count && inbound.is_drained());
    assert_eq!(world.json(&["deliveries", "--tenant", TENANT]).len(), 1, "the one good mail");
    assert!(world.json(&["deliveries", "--tenant", OTHER]).is_empty());
    let told = results(&world, None, "mail.notification");
    let of = |word: &str| told.iter().filter(|(result, _)| result.starts_with(word)).map(|(_, count)| count).sum::<usize>();
    // Written down when it came first, and when it was given up.
    assert_eq!((of("refused: "), of(&format!("given up after {RECEIVES_MAX} tries"))), (13, 13), "{told:#?}");
    assert_eq!(of("Amazon tried the way out"), 1);
    for words in ["another bucket", "outside of ses.prefix", "another topic", "RawMessageDelivery", "an event of S3 says nobody"]
    {
        assert!(told.keys().any(|result| result.contains(words)), "{words}: {told:#?}");
    }
    server.terminate();
    let config = trusting(&world);
    let examined = world.command(&["--json", "doctor"]).envs(inbound.settings()).env("BONDED_CONFIG", config).output().unwrap();
    let examined = String::from_utf8_lossy(&examined.stdout).into_owned();
    assert!(examined.contains(&format!("{count} mails, or what else was in the queue")), "{examined}");
    assert!(examined.contains("its mails can be read"), "{examined}");
}

#[test]
fn a_mail_that_cannot_be_taken_is_given_up_told_and_taken_when_the_cause_is_mended() {
    let Some(inbound) = Inbound::start() else { return };
    let world = World::new();
    let (ours, theirs) = (address(&world, TENANT), address(&world, OTHER));
    world.ok(&["key", "disable", OTHER]);
    let taken = inbound.send(SENDER, &[&theirs, &ours], &letter(1, 10));
    let lost = inbound.send(SENDER, &[&ours], &letter(2, 10));
    let large = inbound.send(SENDER, &[&ours], &letter(3, 2000));
    inbound.expire(lost.notification["receipt"]["action"]["objectKey"].as_str().expect("a key"));
    let server = start_with(&world, &inbound, "ses", &[("BONDED_MAIL_IN_MESSAGE_BYTES_MAX", "200000")]);
    wait_until("three are given up", || inbound.dead() == 3 && inbound.is_drained());
    // Whose key is not disabled has it, once, and is told so once; and is told of the one that is gone and the one that is too
    // large, not of what it has.
    assert_eq!(world.json(&["deliveries", "--tenant", TENANT]).len(), 1);
    assert_eq!(results(&world, Some(TENANT), "mail"), BTreeMap::from([("landed".to_owned(), 1)]), "an event for each try");
    let alerts = world.json(&["alerts", "list", "--tenant", TENANT]);
    let of_mail: Vec<&Value> = alerts.iter().filter(|alert| alert["kind"] == "mail").collect();
    assert_eq!(of_mail.len(), 2, "{alerts:#?}");
    assert!(!alerts.iter().any(|alert| alert.to_string().contains(taken.id())), "told of what it has: {alerts:#?}");
    let told = results(&world, None, "mail.notification");
    assert!(told.keys().any(|result| result.contains("not every recipient could take it now")), "{told:#?}");
    assert!(told.keys().any(|result| result.contains("larger than mail_in.message_bytes_max")), "{told:#?}");
    for mail in [&taken, &lost, &large] {
        let words = notified(&world, mail);
        let of = |start: &str| words.iter().filter(|result| result.starts_with(start)).count();
        assert_eq!((of("last try"), of("given up after")), (1, 1), "{words:#?}");
    }
    server.terminate();

    world.ok(&["key", "enable", OTHER]);
    let server = start(&world, &inbound, "ses,worker");
    inbound.redrive();
    wait_until("it came to them, too", || receipt_of(&world, OTHER, &taken).is_some());
    wait_until("the large one came", || receipt_of(&world, TENANT, &large).is_some());
    wait_until("the one whose object is gone is given up again", || inbound.dead() == 1 && inbound.is_drained());
    assert_eq!((mails(&world, TENANT).len(), mails(&world, OTHER).len()), (2, 1));
    server.terminate();
}

#[test]
fn a_mail_for_no_address_of_our_domain_is_no_mail_for_nobody_but_a_wrong_setting() {
    let Some(inbound) = Inbound::start() else { return };
    let world = World::new();
    let ours = address(&world, TENANT);
    // As it would come where mail_in.domain, or SES's rule, names another domain.
    let taken = inbound.send(SENDER, &[&format!("in-aaaaaaaaaaaaaaaaaaaaaaaaaa@{MAIL_DOMAIN}")], &letter(1, 10));
    let mut elsewhere = taken.notification.clone();
    elsewhere["receipt"]["recipients"] = json!([ours.replace(MAIL_DOMAIN, "elsewhere.example")]);
    let server = start(&world, &inbound, "ses");
    wait_until("the one for nobody is done with", || inbound.is_drained());
    assert_eq!(inbound.dead(), 0);
    inbound.publish(&elsewhere.to_string());
    wait_until("the other is among the dead letters", || inbound.dead() == 1 && inbound.is_drained());
    server.terminate();
    let words = notified(&world, &taken);
    let of = |start: &str| words.iter().any(|result| result.starts_with(start) && result.contains("mail_in.domain"));
    assert!(of("refused: ") && of("given up after"), "{words:#?}");
    assert!(world.json(&["deliveries", "--tenant", TENANT]).is_empty());
}

#[test]
fn a_last_try_that_dies_with_its_process_is_in_the_trail() {
    let Some(inbound) = Inbound::start() else { return };
    let world = World::new();
    let ours = address(&world, TENANT);
    inbound.tries(1);
    let taken = inbound.send(SENDER, &[&ours], &letter(1, 4200));
    let line = slow_line(inbound.s3_endpoint(), Duration::from_millis(200));
    let server = start_with(&world, &inbound, "ses", &[("BONDED_AWS_S3_ENDPOINT", &line)]);
    wait_until("its only try began", || !notified(&world, &taken).is_empty());
    server.kill();
    let words = notified(&world, &taken);
    assert!(words.len() == 1 && words[0].starts_with("last try, number 1"), "{words:#?}");
    assert!(world.json(&["deliveries", "--tenant", TENANT]).is_empty(), "it landed before the process died");
}

/// A line to S3 that brings so many bytes at a time, and then rests.
fn slow_line(to: &str, rest: Duration) -> String {
    let to: SocketAddr = to.trim_start_matches("http://").parse().expect("an address");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for near in listener.incoming() {
            let (Ok(near), Ok(far)) = (near, TcpStream::connect(to)) else { continue };
            let (asks, asked) = (near.try_clone().expect("cloned"), far.try_clone().expect("cloned"));
            std::thread::spawn(move || carry(&asks, &asked, Duration::ZERO));
            std::thread::spawn(move || carry(&far, &near, rest));
        }
    });
    format!("http://{at}")
}

fn carry(mut from: &TcpStream, mut to: &TcpStream, rest: Duration) {
    let mut bytes = [0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut bytes) {
        if to.write_all(&bytes[..read]).is_err() {
            break;
        }
        std::thread::sleep(rest);
    }
    to.shutdown(Shutdown::Both).ok();
}

#[test]
fn a_notification_is_held_as_long_as_its_mail_takes_to_land() {
    let Some(inbound) = Inbound::start() else { return };
    let world = World::new();
    let ours = address(&world, TENANT);
    // About 800 KiB: 50 rests of 200 ms, beside the 3 s that a notification is hidden for.
    inbound.send(SENDER, &[&ours], &letter(1, 4200));
    let line = slow_line(inbound.s3_endpoint(), Duration::from_millis(200));
    let server = start_with(&world, &inbound, "ses", &[("BONDED_AWS_S3_ENDPOINT", &line)]);
    let began = std::time::Instant::now();
    wait_until("it landed", || inbound.is_drained());
    let took = began.elapsed();
    println!("it took {took:?} to land");
    assert!(took > Duration::from_secs(8), "{took:?} is no slow landing");
    server.terminate();
    assert_eq!(results(&world, Some(TENANT), "mail"), BTreeMap::from([("landed".to_owned(), 1)]), "it was taken more than once");
    assert_eq!(inbound.dead(), 0);
}

/// A notification names the tenant's address, and whoever has that can deliver.
#[test]
fn the_log_at_its_loudest_names_no_address() {
    let Some(inbound) = Inbound::start() else { return };
    let world = World::new();
    let ours = address(&world, TENANT);
    inbound.send(SENDER, &[&ours], &letter(1, 10));
    let log = world.path("serve.log");
    let mut command = world.command(&["serve", "--roles", "ses"]);
    command.envs(inbound.settings()).env("BONDED_LOG", "trace");
    let told = std::fs::File::create(&log).expect("a log");
    let mut child = command.stderr(told).stdout(std::process::Stdio::null()).spawn().expect("the binary starts");
    wait_until("it landed", || inbound.is_drained());
    child.kill().expect("killed");
    child.wait().expect("it is gone");
    let log = std::fs::read_to_string(&log).expect("text");
    assert!(log.contains("serve.ses") && log.contains("TRACE") && log.len() > 10_000, "the log is not on: {} bytes", log.len());
    let local = ours.split('@').next().expect("a local part");
    let named: Vec<&str> = log.lines().filter(|line| line.contains(local)).map(|line| &line[..line.len().min(200)]).collect();
    assert!(named.is_empty(), "{named:#?}");
}

#[test]
fn a_queue_or_a_bucket_that_cannot_be_is_refused_at_the_start_by_name() {
    let Some(inbound) = Inbound::start() else { return };
    let world = World::new();
    let without = |name: &str, value: &str| {
        let mut command = world.command(&["serve", "--roles", "ses"]);
        command.envs(inbound.settings());
        match value {
            "" => command.env_remove(name),
            value => command.env(name, value),
        };
        let output = command.output().expect("the binary starts");
        (output.status.code().expect("it ended by itself"), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let elsewhere = "https://sqs.eu-central-1.amazonaws.com/000000000000/mail";
    for (name, value, code, says) in [
        ("BONDED_MAIL_IN_DOMAIN", "", 3, "mail_in.domain"),
        ("BONDED_SES_BUCKET", "", 3, "ses.queue_url and ses.bucket"),
        ("BONDED_SES_QUEUE_URL", elsewhere, 4, "eu-central-1"),
        ("BONDED_SES_TOPIC_ARN", "arn:aws:sns:eu-central-1:000000000000:mail", 4, "eu-central-1"),
        ("BONDED_SES_QUEUE_URL", "http://127.0.0.1:1/000000000000/none", 3, "no such mail queue"),
        ("BONDED_SES_DEAD_LETTER_URL", &inbound.queue, 3, "ses.dead_letter_url is not where"),
        ("BONDED_SES_BUCKET", "no-such-bucket-of-nordwind", 3, "no-such-bucket-of-nordwind"),
        ("BONDED_SES_PREFIX", "inbound", 3, "ses.prefix"),
        ("BONDED_SES_VISIBILITY", "1s", 3, "ses.visibility"),
        ("BONDED_SES_WAIT", "21s", 3, "ses.wait"),
    ] {
        let (ended, told) = without(name, value);
        assert!(ended == code && told.contains(says), "{name}={value}: {ended} {told}");
    }
    inbound.without_dead_letters();
    let (ended, told) = without("BONDED_SES_TOPIC_ARN", "");
    assert!(ended == 3 && told.contains("has no dead letters"), "{ended} {told}");
    // Whoever only looks is told the same.
    let mut doctor = world.command(&["--json", "doctor"]);
    let examined = doctor.envs(inbound.settings()).env("BONDED_SES_BUCKET", "no-such-bucket-of-nordwind").output().unwrap();
    let examined = String::from_utf8_lossy(&examined.stdout).into_owned();
    assert!(
        examined.contains("has no dead letters") && examined.contains("mail bucket no-such-bucket-of-nordwind"),
        "{examined}"
    );
}
