//! A proxy before an emulator, for tests: it loses requests and answers, holds them up or alters them, as a test decides.
//! One request a connection; what it does not alter goes on byte by byte.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// What becomes of a request.
#[allow(dead_code, reason = "the doors' tests and the whole machine's need a part of it each")]
pub enum Fate {
    Pass,
    /// It is done, and whoever asked never hears of it.
    LoseAnswer,
    LoseRequest,
    /// Whoever asked is told this error of the service's, with this status, whether or not it is done.
    Say {
        is_done: bool,
        status: u16,
        code: &'static str,
    },
    /// It is done, then this is; whoever asked never hears of it.
    Then(Box<dyn FnOnce() + Send>),
    /// It goes on when the gate opens; until then its connection stays.
    Hold(Arc<Gate>),
    /// The same, but whoever asked is told at once that the connection broke.
    Delay(Arc<Gate>),
}

/// Opens once, and tells when what waited at it is done.
#[derive(Debug, Default)]
pub struct Gate {
    state: Mutex<(bool, bool)>,
    changed: Condvar,
}

#[allow(dead_code, reason = "the doors' tests and the whole machine's need a part of it each")]
impl Gate {
    pub fn open(&self) {
        self.state.lock().expect("no panic").0 = true;
        self.changed.notify_all();
    }

    /// Opens, and waits until what waited was answered.
    pub fn let_through(&self) {
        self.open();
        self.wait(|state| state.1);
    }

    fn wait(&self, until: impl Fn(&(bool, bool)) -> bool) {
        let state = self.state.lock().expect("no panic");
        let (_state, waited) =
            self.changed.wait_timeout_while(state, Duration::from_secs(60), |state| !until(state)).expect("no panic");
        assert!(!waited.timed_out(), "nobody came to the gate, or nobody opened it");
    }

    fn passed(&self) {
        self.state.lock().expect("no panic").1 = true;
        self.changed.notify_all();
    }
}

/// Decides by the operation (of `X-Amz-Target`, else the method and the path) and the body, which it may alter.
pub type Rule = dyn Fn(&str, &mut String) -> Fate + Send + Sync;

pub struct PrivateProxy {
    pub endpoint: String,
    port: u16,
    ended: Arc<AtomicBool>,
}

impl PrivateProxy {
    /// Stands before `endpoint`, an `http://` one of this machine, until it is dropped.
    pub fn before(endpoint: &str, rule: Arc<Rule>) -> Self {
        let upstream = endpoint.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let ended = Arc::new(AtomicBool::new(false));
        let stop = ended.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let (upstream, rule) = (upstream.clone(), rule.clone());
                std::thread::spawn(move || {
                    // A side that hangs up is what this is for.
                    let _ = carry(stream, &upstream, rule.as_ref());
                });
            }
        });
        Self { endpoint: format!("http://127.0.0.1:{port}"), port, ended }
    }
}

impl Drop for PrivateProxy {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn carry(mut client: TcpStream, upstream: &str, rule: &Rule) -> std::io::Result<()> {
    client.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut bytes = Vec::new();
    let mut some = [0; 16 << 10];
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        match client.read(&mut some)? {
            0 => return Ok(()),
            read => bytes.extend_from_slice(&some[..read]),
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let header =
        |name: &str| head.lines().skip(1).filter_map(|line| line.split_once(':')).find(|(key, _)| key.eq_ignore_ascii_case(name));
    let length: usize = header("content-length").and_then(|(_, value)| value.trim().parse().ok()).unwrap_or(0);
    while bytes.len() < head_end + length {
        match client.read(&mut some)? {
            0 => return Ok(()),
            read => bytes.extend_from_slice(&some[..read]),
        }
    }
    let operation = match header("x-amz-target") {
        Some((_, value)) => value.trim().rsplit('.').next().unwrap_or_default(),
        None => head.lines().next().and_then(|line| line.rsplit_once(' ')).unwrap_or_default().0,
    };
    let mut body = String::from_utf8_lossy(&bytes[head_end..]).into_owned();
    let before = body.clone();
    let fate = rule(operation, &mut body);
    // What is no text goes on as it came.
    let body = if body == before { bytes.split_off(head_end) } else { body.into_bytes() };
    let kept = head.lines().filter(|line| {
        let name = line.split(':').next().unwrap_or_default();
        !line.is_empty() && !["content-length", "connection"].iter().any(|own| name.eq_ignore_ascii_case(own))
    });
    let mut request: String = kept.map(|line| format!("{line}\r\n")).collect();
    request.push_str(&format!("Connection: close\r\nContent-Length: {}\r\n\r\n", body.len()));
    let ask = || -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(upstream)?;
        stream.write_all(request.as_bytes())?;
        stream.write_all(&body)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    };
    match fate {
        Fate::Pass => client.write_all(&ask()?),
        Fate::LoseAnswer => ask().map(drop),
        Fate::LoseRequest => Ok(()),
        Fate::Say { is_done, status, code } => {
            if is_done {
                ask()?;
            }
            let told = format!("{{\"__type\":\"{code}\",\"Message\":\"as the test says\"}}");
            let head = "Content-Type: application/x-amz-json-1.1\r\nConnection: close\r\nContent-Length";
            client.write_all(format!("HTTP/1.1 {status} Told\r\n{head}: {}\r\n\r\n{told}", told.len()).as_bytes())
        }
        Fate::Then(also) => {
            let done = ask();
            also();
            done.map(drop)
        }
        Fate::Hold(gate) => {
            gate.wait(|state| state.0);
            let answer = ask();
            gate.passed();
            client.write_all(&answer?)
        }
        Fate::Delay(gate) => {
            drop(client);
            gate.wait(|state| state.0);
            let answer = ask();
            gate.passed();
            answer.map(drop)
        }
    }
}
