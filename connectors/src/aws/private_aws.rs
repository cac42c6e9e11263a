//! Emulators of AWS for tests: one of each kind a test process, on loopback at a free port, ended with the process.
//! `tests/aws/install.sh` installs them; where they are not, the tests that need one say so and are left out.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    ops::Range,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

/// LocalStack imports for seconds; on a machine that builds beside it, for many.
const READY_MAX: Duration = Duration::from_secs(120);
const STARTS_MAX: u32 = 3;
/// Below those that Linux draws from for connections: nobody's connection takes one before the emulator, seconds later, does.
const PORTS: Range<u16> = 20_000..32_000;
/// What the emulators know us by.
#[allow(dead_code, reason = "the doors' tests sign with it")]
pub const CREDENTIAL: &str = "test";
#[allow(dead_code, reason = "the doors' tests sign for it")]
pub const REGION: &str = "us-east-1";

/// Keeps each version for a day.
const RULE: &str = "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>\
    <Mode>COMPLIANCE</Mode><Days>1</Days></DefaultRetention></Rule></ObjectLockConfiguration>";
const RULE_SHA256: &str = "x-amz-checksum-sha256: b156tXDDyAwzmV+oC2aoDSpBkIjF+Y/NsfMEiz6jz4Q=";

pub struct PrivateAws {
    pub endpoint: String,
    port: u16,
    /// Its standard input keeps it alive.
    child: Child,
}

#[allow(dead_code, reason = "the doors' tests and the whole machine's need a part of it each")]
impl PrivateAws {
    /// LocalStack: KMS, and S3 that asks KMS.
    pub fn localstack() -> Option<&'static Self> {
        static STARTED: OnceLock<Option<PrivateAws>> = OnceLock::new();
        STARTED.get_or_init(|| Self::packaged("localstack", "localstack/bin/python", "/_localstack/health")).as_ref()
    }

    /// MiniStack: everything but KMS and S3, for which it is not strict enough.
    pub fn ministack() -> Option<&'static Self> {
        static STARTED: OnceLock<Option<PrivateAws>> = OnceLock::new();
        STARTED.get_or_init(|| Self::packaged("ministack", "ministack/bin/ministack", "/_localstack/health")).as_ref()
    }

    /// Ceph's RADOS Gateway: a real S3 server, whose conditions are not all S3's. No KMS, and only signed requests.
    pub fn ceph() -> Option<&'static Self> {
        static STARTED: OnceLock<Option<PrivateAws>> = OnceLock::new();
        STARTED
            .get_or_init(|| {
                let all = ["radosgw", "ceph-mon", "ceph-osd"].iter().all(|name| Path::new("/usr/bin").join(name).exists());
                if !all {
                    println!("skipped: Ceph is not installed (tests/aws/install.sh ceph)");
                    return None;
                }
                Some(Self::start("ceph", "/"))
            })
            .as_ref()
    }

    fn packaged(kind: &str, program: &str, ready: &str) -> Option<Self> {
        if !packages().join(program).exists() {
            println!("skipped: {kind} is not installed (tests/aws/install.sh)");
            return None;
        }
        Some(Self::start(kind, ready))
    }

    /// A start that comes to nothing is tried again: on a busy machine Ceph's parts may give each other up.
    fn start(kind: &str, ready: &str) -> Self {
        let mut told = String::new();
        for _ in 0..STARTS_MAX {
            match Self::try_start(kind, ready) {
                Ok(started) => return started,
                Err(log) => told = log,
            }
        }
        panic!("{kind} did not start: {told}");
    }

    fn try_start(kind: &str, ready: &str) -> Result<Self, String> {
        let port = free_port();
        let folder = std::env::temp_dir().join(format!("bonded-{kind}-{}-{port}", std::process::id()));
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").join("tests/aws/start.sh");
        let log = std::env::temp_dir().join(format!("bonded-{kind}-{}-{port}.log", std::process::id()));
        let told = std::fs::File::create(&log).expect("a log");
        let child = Command::new(script)
            .args([kind, &folder.display().to_string(), &port.to_string()])
            .env("BONDED_AWS_PACKAGES", packages())
            .stdin(Stdio::piped())
            .stdout(told.try_clone().expect("a log"))
            .stderr(told)
            .spawn()
            .expect("the emulator starts");
        let mut started = Self { endpoint: format!("http://127.0.0.1:{port}"), port, child };
        let begun = Instant::now();
        while started.try_ask("GET", ready, &[], "").is_none_or(|(status, _)| status != 200) {
            let ended = started.child.try_wait().expect("it can be asked");
            if ended.is_some() || begun.elapsed() > READY_MAX {
                let waited = begun.elapsed();
                return Err(format!("after {waited:?}, {ended:?}: {}", std::fs::read_to_string(&log).unwrap_or_default()));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = std::fs::remove_file(&log);
        Ok(started)
    }

    /// A new bucket of this name; a locked one has versions, and keeps each for a day whoever asks.
    pub fn bucket(&self, name: &str, locked: bool) -> String {
        if !locked {
            let name = format!("{name}-{}", uuid::Uuid::new_v4().simple());
            self.ask("PUT", &format!("/{name}"), &[], "");
            return name;
        }
        let name = self.lockable_bucket(name);
        let headers = ["x-amz-sdk-checksum-algorithm: SHA256", RULE_SHA256];
        self.ask("PUT", &format!("/{name}?object-lock"), &headers, RULE);
        name
    }

    /// A new bucket with Object Lock, which keeps what it is asked to keep.
    pub fn lockable_bucket(&self, name: &str) -> String {
        let name = format!("{name}-{}", uuid::Uuid::new_v4().simple());
        self.ask("PUT", &format!("/{name}"), &["x-amz-bucket-object-lock-enabled: true"], "");
        name
    }

    /// Keys of all objects of a small bucket.
    pub fn objects(&self, bucket: &str) -> Vec<String> {
        let listed = self.ask("GET", &format!("/{bucket}?list-type=2&max-keys=1000"), &[], "");
        assert!(listed.contains("<IsTruncated>false"), "a bucket of more than a page");
        listed.split("<Key>").skip(1).filter_map(|rest| Some(rest.split_once("</Key>")?.0.to_owned())).collect()
    }

    /// An unsigned request, which LocalStack takes; it must be answered well.
    pub fn ask(&self, method: &str, path: &str, headers: &[&str], body: &str) -> String {
        let (status, text) = self.try_ask(method, path, headers, body).expect("the emulator answers");
        assert!(status < 300, "{method} {path}: {status} {text}");
        text
    }

    pub fn try_ask(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n", self.port);
        for header in headers {
            request.push_str(&format!("{header}\r\n"));
        }
        request.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split(' ').nth(1)?.parse().ok()?;
        Some((status, answer))
    }
}

/// A port that is free, as is the next, which Ceph's monitor takes.
fn free_port() -> u16 {
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let drawn = || PORTS.start + (uuid::Uuid::new_v4().as_u128() % PORTS.len() as u128) as u16;
    std::iter::repeat_with(drawn).take(1000).find(|port| is_free(*port) && is_free(port + 1)).expect("a free port")
}

fn packages() -> PathBuf {
    let cache = || std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    match std::env::var_os("BONDED_AWS_PACKAGES") {
        Some(named) => PathBuf::from(named),
        None => cache().or_else(home).unwrap_or_default().join("bonded/aws"),
    }
}
