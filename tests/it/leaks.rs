//! No plaintext: every byte under the lake is searched for what must not be there.

use bonded::demo::corpus::{Corpus, ExtraColumn, Layout};
use bonded_schemas::Report;

use crate::world::{TENANT, World, files_under, random_plan};

/// Cells, statistics and header names planted to be found, in the forms they could lie in.
#[test]
fn no_cell_no_statistic_and_no_unknown_header_lies_in_the_clear() {
    let world = World::new();
    let mut plan = random_plan(120).planting(1);
    let extra = ExtraColumn::last("Zanzibar Surcharge Note", ["ZEBRACROSSING-1", "", "ZEBRACROSSING-2"]);
    plan.layouts.insert(Report::Es003, Layout { extra: vec![extra], ..Layout::default() });
    let corpus = Corpus::new(plan).expect("fit");
    let files = world.corpus_files("in", &corpus);
    world.ingest(TENANT, &files);
    // A quarantined file and a drift alert hold names of columns, too.
    let odd = world.file("odd.csv", "Quagmire Column,Other\nWALRUSVALUE,1\n");
    assert_eq!(world.run(&["ingest", "--tenant", TENANT, odd.to_str().unwrap()]).code, 5);
    world.json(&["reconcile", "--tenant", TENANT]);

    let es_003 = std::fs::read_to_string(&files[2]).unwrap();
    let mut needles: Vec<Vec<u8>> =
        ["Zanzibar", "zanzibar_surcharge_note", "ZEBRACROSSING", "Quagmire", "WALRUSVALUE", "odd.csv"]
            .into_iter()
            .map(|text| text.as_bytes().to_vec())
            .collect();
    let rows: Vec<Vec<&str>> = es_003.lines().skip(1).map(|line| line.split(',').collect()).collect();
    // Entry numbers: the smallest and largest would be column statistics.
    let mut entries: Vec<&str> = rows.iter().map(|row| row[0]).collect();
    entries.sort_unstable();
    for entry in [entries[0], entries[entries.len() / 2], entries[entries.len() - 1]] {
        needles.push(entry.as_bytes().to_vec());
    }
    // The largest duty, as text and as the big-endian and little-endian bytes Parquet and Iceberg would write.
    let duty = world.ask(TENANT, "SELECT CAST(max(line_tariff_duty_amount) AS VARCHAR) AS d FROM es_003")["d"]
        .as_str()
        .unwrap()
        .to_owned();
    let cents: i64 = duty.replace('.', "").parse().unwrap();
    needles.push(duty.into_bytes());
    assert!(cents > 0xffff, "the largest duty is long enough to search for");
    needles.push(cents.to_be_bytes().to_vec());
    needles.push(cents.to_le_bytes().to_vec());
    for name in ["Manufacturer Name", "lower_bounds", "PAR1", "Obj\u{1}"] {
        needles.push(name.as_bytes().to_vec());
    }

    let mut searched = 0;
    for path in files_under(&world.lake()) {
        // Plain by the Iceberg spec: it holds the schema and no data.
        let plain_metadata = path.to_string_lossy().ends_with(".metadata.json");
        let bytes = std::fs::read(&path).unwrap();
        searched += bytes.len();
        for needle in &needles {
            if plain_metadata && needle == b"Manufacturer Name" {
                continue;
            }
            let hit = bytes.windows(needle.len()).any(|window| window == needle.as_slice());
            assert!(!hit, "{} in {}", String::from_utf8_lossy(needle), path.display());
        }
    }
    assert!(searched > 100_000, "only {searched} bytes were searched");
    // The search itself works: the same needles are in the file that was delivered.
    assert!(es_003.contains("ZEBRACROSSING-1") && es_003.contains(entries[0]));
}

#[test]
fn the_log_of_a_full_run_holds_no_cell() {
    let world = World::new();
    let corpus = Corpus::new(random_plan(40).planting(1)).expect("fit");
    let files = world.corpus_files("in", &corpus);
    let folder = files[0].parent().unwrap().display().to_string();
    let output = world.command(&["ingest", "--tenant", TENANT, &folder]).env("BONDED_LOG", "trace").output().unwrap();
    assert!(output.status.success());
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(log.contains("INFO") || log.contains("DEBUG"), "the log is on");
    let es_002 = std::fs::read_to_string(&files[1]).unwrap();
    for line in es_002.lines().skip(1).take(50) {
        let entry = line.split(',').next().unwrap();
        assert!(!log.contains(entry), "{entry} is in the log");
    }
    let key = std::fs::read_to_string(world.keys().join("root.key")).unwrap();
    assert!(!log.contains(key.trim()));
}

/// A whole run of the desk and the console, as loud as it gets.
const LOUD: [(&str, &str); 2] = [("BONDED_LOG", "trace"), ("RUST_LOG", "trace")];

/// Everything that a command says, wherever it says it.
fn loud(world: &World, arguments: &[&str], more: &[(&str, &str)]) -> (String, String) {
    let mut command = world.command(arguments);
    let output = command.envs(LOUD).envs(more.iter().copied()).output().expect("the binary starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

fn assert_absent(log: &str, needles: &[(&str, String)]) {
    assert!((log.contains("TRACE") || log.contains("DEBUG")) && log.len() > 10_000, "the log is not on: {} bytes", log.len());
    for (what, needle) in needles {
        assert!(needle.len() >= 6, "{what} is too short to search for");
        // Six digits may be a part of a time or of a longer number.
        let is_code = needle.len() == 6 && needle.bytes().all(|b| b.is_ascii_digit());
        let alone = |at: usize| {
            let near = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-');
            !near(log[..at].chars().next_back()) && !near(log[at + needle.len()..].chars().next())
        };
        let hit = log.match_indices(needle.as_str()).find(|(at, _)| !is_code || alone(*at));
        if let Some((at, _)) = hit {
            let from = log[..at].rfind('\n').unwrap_or(0);
            panic!("{what} is in the log: {}", &log[from..at]);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_at_its_loudest_holds_no_session_token_code_secret_or_password() {
    use crate::api::client::{Front, PASSWORD, Person};
    let world = World::new();
    let corpus = Corpus::new(random_plan(20)).expect("fit");
    let files = world.corpus_files("in", &corpus);
    let mut needles: Vec<(&str, String)> = vec![("a password", PASSWORD.to_owned())];
    // What is shown once stands on standard output, and nowhere else.
    let until = "2099-01-01";
    let (made, mut log) =
        loud(&world, &["--json", "token", "create", "--tenant", TENANT, "a walk", "--grant", "read,query", "--days", "9"], &[]);
    let token = serde_json::from_str::<serde_json::Value>(made.trim()).expect("a token")["secret"].as_str().unwrap().to_owned();
    let (machine, told) =
        loud(&world, &["--json", "machine", "add", "--tenant", TENANT, "upload", "--poa", "POA-WALRUS-7", "--until", until], &[]);
    log.push_str(&told);
    if let Ok(machine) = serde_json::from_str::<serde_json::Value>(machine.trim())
        && let Some(secret) = machine["secret"].as_str()
    {
        needles.push(("a machine's token", secret.rsplit('_').next().unwrap().to_owned()));
    }
    needles.push(("a token", token.rsplit('_').next().unwrap().to_owned()));

    let front = Front::start(&world, &LOUD);
    let owner = front.member(&world, TENANT, "owner@nordwind.example", "owner").await;
    needles.push(("an invite's code", front.code("owner@nordwind.example").await));
    let cookie = owner.cookie.split_once('=').expect("a pair").1.to_owned();
    needles.push(("a session", cookie));
    needles.push(("a session's word", owner.csrf.clone()));
    front.get(&owner, "/v1/me").await.expect(200);
    front.get(&Person::token(&token), "/v1/deliveries").await.expect(200);
    let wrong = serde_json::json!({ "email": "owner@nordwind.example", "password": "walrus tusk and whiskers" });
    front.post(&Person::default(), "/v1/sign-in", wrong).await;
    needles.push(("a wrong password", "walrus tusk and whiskers".into()));
    front.get(&Person::token("bonded_fictional-lantern_0123456789walrus"), "/v1/deliveries").await.expect(401);
    needles.push(("a forged token", "0123456789walrus".into()));
    let reset = serde_json::json!({ "email": "owner@nordwind.example" });
    front.post(&Person::default(), "/v1/password/forgot", reset).await;
    needles.push(("an address", "owner@nordwind.example".into()));
    drop(front);
    log.push_str(&std::fs::read_to_string(world.path("serve.log")).expect("a log"));

    // The addresses that mail comes in by.
    let paper = |name: &str| format!("{name}@2026-01-05");
    let (nda, dpa, letter) = (paper("NDA-1"), paper("DPA-1"), paper("EL-1"));
    log.push_str(
        &loud(
            &world,
            &["tenant", "engage", "--tenant", TENANT, "--nda", &nda, "--dpa", &dpa, "--letter", &letter, "--by", "counsel"],
            &[],
        )
        .1,
    );
    let (issued, told) = loud(&world, &["--json", "identifier", "issue", "--tenant", TENANT], &[]);
    let issued: serde_json::Value = serde_json::from_str(issued.trim()).expect("an address");
    needles.push((
        "an address for mail",
        issued["address"].as_str().expect("text").split('@').next().expect("its first part").to_owned(),
    ));
    log.push_str(&told);

    // A mail server that nobody answers for, a passphrase, and the keys themselves.
    let smtp = world.file("smtp", "smtp://desk:walrus7tusk@127.0.0.1:1\n");
    let named = format!("file:{}", smtp.display());
    let invite = ["member", "invite", "--tenant", TENANT, "viewer@nordwind.example", "--role", "viewer"];
    log.push_str(&loud(&world, &invite, &[("BONDED_MAIL_SMTP", &named)]).1);
    needles.push(("a mail server's password", "walrus7tusk".into()));
    let phrase = [("BONDED_BACKUP_KEYS_PASSPHRASE", "env:WALRUS_PHRASE"), ("WALRUS_PHRASE", "wide grey walrus herd")];
    let (backup, keys) = (world.path("backup").display().to_string(), world.path("escrow").display().to_string());
    log.push_str(&loud(&world, &["backup", "--to", &backup, "--keys-to", &keys], &phrase).1);
    needles.push(("a passphrase", "wide grey walrus herd".into()));
    let file = files[0].display().to_string();
    log.push_str(&loud(&world, &["ingest", "--tenant", TENANT, &file], &[]).1);
    log.push_str(&loud(&world, &["doctor", "--all"], &[("BONDED_MAIL_SMTP", &named)]).1);
    needles.push(("the root key", std::fs::read_to_string(world.keys().join("root.key")).unwrap().trim().to_owned()));
    assert_absent(&log, &needles);
    // The search itself works.
    assert!(std::panic::catch_unwind(|| assert_absent(&format!("{log}\n{token}"), &needles)).is_err());
}

#[test]
fn no_password_of_postgresql_is_in_the_log() {
    let Some(cluster) = crate::postgres::private_postgres::PrivatePostgres::start() else { return };
    let world = World::on_postgres(&cluster);
    let corpus = Corpus::new(random_plan(5)).expect("fit");
    let file = world.corpus_files("in", &corpus)[0].display().to_string();
    let mut log = loud(&world, &["init"], &[]).1;
    log.push_str(&loud(&world, &["ingest", "--tenant", TENANT, &file], &[]).1);
    // One that is refused as well: the driver has the URL in its hands.
    let wrong = cluster.url().replacen("://bonded_app:", "://bonded_app:walrus7tusk", 1);
    log.push_str(&loud(&world, &["deliveries"], &[("PRIVATE_POSTGRES", &wrong)]).1);
    log.push_str(&loud(&world, &["doctor"], &[("PRIVATE_POSTGRES", &wrong)]).1);
    let (_, word) = cluster.app();
    let escaped = word.replace('@', "%40").replace('/', "%2F");
    assert_absent(
        &log,
        &[("the role's password", word.to_owned()), ("its form in a URL", escaped), ("a wrong one", "walrus7tusk".into())],
    );
}

#[test]
fn no_key_that_the_kms_gave_out_and_no_credential_is_in_the_log() {
    let Some(aws) = crate::aws::private_aws::PrivateAws::localstack() else { return };
    let bucket = crate::world::Bucket { endpoint: aws.endpoint.clone(), name: aws.bucket("leaks", false) };
    let world = World::in_bucket(bucket, None);
    let corpus = Corpus::new(random_plan(5)).expect("fit");
    let file = world.corpus_files("in", &corpus)[0].display().to_string();
    let credential = [("AWS_SECRET_ACCESS_KEY", "walrus7tusk"), ("AWS_SESSION_TOKEN", "walrus8whisker")];
    let mut log = String::new();
    for arguments in
        [&["init"][..], &["tenant", "add", TENANT], &["ingest", "--tenant", TENANT, &file], &["deliveries"], &["doctor"]]
    {
        log.push_str(&loud(&world, arguments, &credential).1);
    }
    assert!(log.contains("GenerateDataKey") || log.contains("kms"), "the key service was asked");
    assert_absent(&log, &[("a secret key", "walrus7tusk".into()), ("a session's token", "walrus8whisker".into())]);
    // As the service's answers have it, and as the SDK's values are printed.
    for form in ["\"Plaintext\":\"", "\"Plaintext\": \"", "\\\"Plaintext\\\":\\\"", "plaintext: Some(Blob"] {
        assert!(!log.contains(form), "{form} is in the log");
    }
}

/// A mail server on this machine that takes letters from `desk` alone; ended when dropped.
struct Relay {
    child: std::process::Child,
    port: u16,
}

impl Relay {
    /// `None`, said aloud, where aiosmtpd is not installed. The password is what the file says at that moment.
    fn start(world: &World, password: &std::path::Path) -> Option<Self> {
        let own = std::env::var_os("HOME").map(|home| std::path::Path::new(&home).join(".cache/bonded/venv/bin/python"));
        let named = std::env::var_os("BONDED_TEST_PYTHON").map(std::path::PathBuf::from);
        let python = [named, own, Some("python3".into())].into_iter().flatten().find(|python| {
            let probe =
                std::process::Command::new(python).args(["-c", "import aiosmtpd"]).stderr(std::process::Stdio::null()).status();
            probe.is_ok_and(|status| status.success())
        });
        let Some(python) = python else {
            println!("skipped: Python with aiosmtpd is not installed (tests/setup.sh makes it)");
            return None;
        };
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = std::process::Command::new(python)
            .args(["-c", include_str!("../relay.py"), &port.to_string()])
            .args([world.path("relay"), password.to_owned()])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let relay = Self { child, port };
        for _ in 0..200 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(relay);
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        panic!("aiosmtpd does not answer");
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_signing_secret_of_a_webhook_no_url_of_one_and_no_password_of_the_mail_relay_is_in_the_log() {
    use crate::{
        alerts::{Notify, Receiver, wait_until},
        api::client::Front,
    };
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    const WORD: &str = "walrus7relay/word";
    let world = World::new();
    let password = world.file("password", WORD);
    let Some(relay) = Relay::start(&world, &password) else { return };
    let front = Front::start(&world, &LOUD);
    front.joined(&world, TENANT, "owner@nordwind.example", "owner").await;
    drop(front);
    let mut log = std::fs::read_to_string(world.path("serve.log")).expect("a log");
    let smtp = world.file("smtp", format!("smtp://desk:{}@127.0.0.1:{}\n", WORD.replace('/', "%2F"), relay.port));
    let smtp = format!("file:{}", smtp.display());
    let mut needles: Vec<(&str, String)> = vec![
        ("the relay's password", WORD.into()),
        ("its form in a URL", WORD.replace('/', "%2F")),
        ("its form in AUTH LOGIN", STANDARD.encode(WORD)),
        ("its form in AUTH PLAIN", STANDARD.encode(format!("\0desk\0{WORD}"))),
    ];

    // One that answers, and one that nobody answers for. A URL may be a secret as a whole.
    let receiver = Receiver::start();
    let (answers, silent) = (format!("{}/walrus-hook-7", receiver.url), "http://127.0.0.1:1/walrus-hook-8");
    let hooks = [("TICKETS", answers.as_str()), ("PAGER", silent), ("BONDED_ALERTS_WEBHOOK_PRIVATE", "true")];
    for (name, url) in [("tickets", "env:TICKETS"), ("pager", "env:PAGER")] {
        let adding = ["--json", "alerts", "routes", "add", "--tenant", TENANT, name, "--webhook", url];
        let (made, told) = loud(&world, &adding, &hooks);
        let made: serde_json::Value = serde_json::from_str(made.trim()).unwrap_or_else(|_| panic!("{made}{told}"));
        needles.push(("a webhook's signing secret", made["secret"].as_str().expect("shown once").to_owned()));
        log.push_str(&told);
    }
    needles.extend([("a webhook's URL", "walrus-hook-7".into()), ("a silent one's", "walrus-hook-8".into())]);
    let owners = ["alerts", "routes", "add", "--tenant", TENANT, "owners", "--role", "owner"];
    log.push_str(&loud(&world, &owners, &hooks).1);

    let run = |name: &str| {
        let file = world.file(&format!("{name}.csv"), format!("Colour,{name}\nZEBRACROSSING,1\n"));
        loud(&world, &["ingest", "--tenant", TENANT, file.to_str().unwrap()], &[]).1
    };
    log.push_str(&run("first"));
    let of_notify = world.path("notify.log");
    let more = [LOUD[0], LOUD[1], ("BONDED_MAIL_SMTP", smtp.as_str()), hooks[0], hooks[1]];
    let notify = Notify::with(&world, &more, std::fs::File::create(&of_notify).expect("a log").into());
    let letters = || std::fs::read_dir(world.path("relay/new")).map_or(0, Iterator::count);
    let told = || std::fs::read_to_string(&of_notify).expect("a log");
    wait_until("a call", || !receiver.calls().is_empty()).await;
    wait_until("a letter", || letters() > 0).await;
    // The login is refused from here on.
    std::fs::write(&password, "another word").unwrap();
    log.push_str(&run("second"));
    wait_until("a refused login", || told().contains("mail.smtp")).await;
    drop(notify);
    log.push_str(&told());
    for arguments in
        [&["alerts", "routes", "list", "--tenant", TENANT][..], &["alerts", "list"], &["doctor", "--all"], &["verify"]]
    {
        let more = [hooks[0], hooks[1], hooks[2], ("BONDED_MAIL_SMTP", smtp.as_str())];
        let (shown, told) = loud(&world, arguments, &more);
        log.push_str(&told);
        log.push_str(&shown);
    }
    assert_absent(&log, &needles);
    // The search itself works, and the calls were signed.
    assert!(receiver.calls()[0].0.contains("bonded-signature: "));
    for (what, needle) in &needles {
        let one = [(*what, needle.clone())];
        assert!(std::panic::catch_unwind(|| assert_absent(&format!("{log}\n{needle}"), &one)).is_err(), "{what}");
    }
}
