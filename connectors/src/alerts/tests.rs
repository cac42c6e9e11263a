//! Calls to a real HTTP server of ours on this machine, with and without TLS; what the guard lets through; what verifies.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use super::{
    guard::{checked, judged, may_call},
    signature::{TOLERANCE_S, sign, verifies},
    *,
};
use crate::ErrorKind;

const INSIDE: Reach = Reach { private: true };
const OUTSIDE: Reach = Reach { private: false };
const TIME: Duration = Duration::from_millis(600);

/// What the server does with a request that it has read whole.
#[derive(Clone, Copy, Debug)]
enum Way {
    Answer(&'static str),
    /// Takes the call and says nothing.
    Silent,
    /// A header at a time, for ever.
    Trickle,
    /// A good status, and then a body without an end.
    Endless,
    /// Goes away in the middle.
    Hangup,
}

struct Server {
    port: u16,
    seen: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    async fn start(way: Way, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = seen.clone();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (kept, tls) = (kept.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, way, kept).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, way, kept).await;
                            }
                        }
                    }
                });
            }
        });
        Self { port, seen, task }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/alerts?room=1", self.port)
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, way: Way, kept: Arc<Mutex<Vec<String>>>) {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let Ok(read @ 1..) = stream.read(&mut buffer).await else { return };
        request.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            break;
        }
    }
    kept.lock().unwrap().push(String::from_utf8(request).unwrap());
    let _ = match way {
        Way::Answer(status) => {
            let answer = format!("HTTP/1.1 {status}\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await
        }
        Way::Silent => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            Ok(())
        }
        Way::Trickle => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
            while stream.write_all(b"x-more: 1\r\n").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Ok(())
        }
        Way::Endless => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
            while stream.write_all(b"400\r\n").await.is_ok() && stream.write_all(&[b'x'; 1024]).await.is_ok() {
                let _ = stream.write_all(b"\r\n").await;
            }
            Ok(())
        }
        Way::Hangup => Ok(()),
    };
    let _ = stream.shutdown().await;
}

fn hook(url: &str) -> Hook {
    Hook {
        id: "0198-1".into(),
        url: url.into(),
        secret: Some(Secret::from_text("the secret of one route")),
        body: r#"{"kind":"drift"}"#.into(),
        at_s: 1_780_000_000,
    }
}

fn door() -> Webhook {
    Webhook::new(INSIDE, TIME, None).unwrap()
}

#[tokio::test]
async fn a_receiver_gets_the_whole_body_its_name_and_a_signature_that_verifies() {
    let server = Server::start(Way::Answer("204 No Content"), None).await;
    door().post(&hook(&server.url())).await.unwrap();
    let seen = server.seen();
    assert_eq!(seen.len(), 1);
    let (head, body) = seen[0].split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /alerts?room=1 HTTP/1.1"), "{head}");
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name}: {head}"));
    assert_eq!(field("bonded-delivery: "), "0198-1");
    assert_eq!(field("content-type: "), "application/json");
    let secret = hook("").secret.unwrap();
    let signature = field("bonded-signature: ");
    assert!(signature.starts_with("t=1780000000,v1="), "{signature}");
    let verified = |secret: &Secret, body: &str, now: i64| verifies(secret, signature, body, now, TOLERANCE_S);
    assert!(verified(&secret, body, 1_780_000_300));
    assert!(!verified(&secret, body, 1_780_000_301), "replayed later");
    assert!(!verified(&secret, body, 1_779_999_699), "of a time to come");
    assert!(!verified(&secret, &body.replace("drift", "verify"), 1_780_000_000), "another body");
    assert!(!verified(&Secret::from_text("another secret"), body, 1_780_000_000));
}

#[test]
fn what_is_no_signature_of_ours_does_not_verify() {
    let secret = Secret::from_text("s");
    let good = sign(&secret, 100, "body");
    assert!(verifies(&secret, &good, "body", 100, 300));
    let tag = good.split_once("v1=").unwrap().1;
    for bad in [
        "".to_owned(),
        "t=100".into(),
        format!("v1={tag}"),
        format!("t=101,v1={tag}"),
        format!("t=1e2,v1={tag}"),
        format!("t=100,v1={}", &tag[..62]),
        format!("t=100,v1={}zz", &tag[..62]),
        format!("t=100,v1={tag}{}", "0".repeat(300)),
        format!("t={},v1={tag}", i64::MIN),
    ] {
        assert!(!verifies(&secret, &bad, "body", 100, 300), "{bad}");
    }
}

#[tokio::test]
async fn only_a_good_status_counts_and_a_redirect_is_not_followed() {
    for (status, kind) in [
        ("500 Oops", ErrorKind::Retry),
        ("503 Busy", ErrorKind::Retry),
        ("404 Not Found", ErrorKind::Retry),
        ("429 Slow Down", ErrorKind::Retry),
        ("302 Found", ErrorKind::Retry),
        ("308 Moved", ErrorKind::Retry),
        ("410 Gone", ErrorKind::Input),
    ] {
        let server = Server::start(Way::Answer(status), None).await;
        let error = door().post(&hook(&server.url())).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{status}: {error}");
        assert_eq!(server.seen().len(), 1, "{status}: one call, no second one elsewhere");
        assert!(!error.to_string().contains("room=1"), "{error}");
    }
}

#[tokio::test]
async fn a_slow_silent_or_vanishing_receiver_holds_nobody_up() {
    for way in [Way::Silent, Way::Trickle, Way::Hangup] {
        let server = Server::start(way, None).await;
        let begun = Instant::now();
        let error = door().post(&hook(&server.url())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Retry, "{way:?}");
        assert!(begun.elapsed() < TIME * 4, "{way:?} took {:?}", begun.elapsed());
        assert!(!format!("{error} {error:?}").contains("room=1"), "{way:?}: {error}");
    }
    // What follows a good status is nobody's concern.
    let server = Server::start(Way::Endless, None).await;
    let begun = Instant::now();
    door().post(&hook(&server.url())).await.unwrap();
    assert!(begun.elapsed() < TIME * 4);
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let error = door().post(&hook(&format!("http://127.0.0.1:{nobody}/"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Retry);
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_gets_no_call() {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let acceptor = |made: &rcgen::CertifiedKey<rcgen::KeyPair>| {
        let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
        TlsAcceptor::from(Arc::new(config))
    };
    let server = Server::start(Way::Answer("200 OK"), Some(acceptor(&made))).await;
    let url = server.url().replace("http://", "https://");
    let error = door().post(&hook(&url)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Retry);
    assert!(server.seen().is_empty(), "nothing was told to a stranger");
    let trusting = Webhook::new(INSIDE, TIME, Some(&made.cert.pem())).unwrap();
    trusting.post(&hook(&url)).await.unwrap();
    assert_eq!(server.seen().len(), 1);
    // Trusted, and another's: the name does not fit.
    let other = rcgen::generate_simple_self_signed(vec!["receiver.example".to_owned()]).unwrap();
    let server = Server::start(Way::Answer("200 OK"), Some(acceptor(&other))).await;
    let trusting = Webhook::new(INSIDE, TIME, Some(&other.cert.pem())).unwrap();
    trusting.post(&hook(&server.url().replace("http://", "https://"))).await.unwrap_err();
    assert!(server.seen().is_empty());
    assert!(Webhook::new(INSIDE, TIME, Some("no certificate")).is_err());
}

#[tokio::test]
async fn this_machine_and_private_networks_are_not_called_unless_that_is_allowed() {
    let server = Server::start(Way::Answer("200 OK"), None).await;
    let strict = Webhook::new(OUTSIDE, TIME, None).unwrap();
    // `localhost` is resolved like any name; the addresses that come of it are what is judged.
    for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433", "0x7f.1"] {
        let url = format!("https://{host}:{}/", server.port);
        let error = strict.post(&hook(&url)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input, "{host}: {error}");
    }
    assert!(server.seen().is_empty());
    let by_name = door();
    by_name.post(&hook(&format!("http://localhost:{}/", server.port))).await.unwrap();
    assert_eq!(server.seen().len(), 1, "a name reaches the address that was judged");
}

#[test]
fn no_address_behind_our_own_walls_may_be_called() {
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    for inside in [
        "127.0.0.1",
        "127.9.9.9",
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "100.64.0.1",
        "198.18.0.1",
        "192.0.2.1",
        "203.0.113.9",
        "240.0.0.1",
        "::1",
        "fc00::1",
        "fd12:3456::1",
        "::ffff:10.0.0.1",
        "::127.0.0.1",
        "64:ff9b::a00:1",
        "2002:7f00:1::",
        "2001:db8::1",
        "2001::1",
    ] {
        assert!(!may_call(ip(inside), OUTSIDE), "{inside}");
    }
    for private in ["127.0.0.1", "10.0.0.1", "192.168.1.1", "::1", "fd12:3456::1", "::ffff:10.0.0.1"] {
        assert!(may_call(ip(private), INSIDE), "{private}");
    }
    // Not even then.
    for never in [
        "169.254.169.254",
        "169.254.1.1",
        "0.0.0.0",
        "255.255.255.255",
        "224.0.0.1",
        "fe80::1",
        "ff02::1",
        "::",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "fd00:ec2::254",
    ] {
        assert!(!may_call(ip(never), OUTSIDE) && !may_call(ip(never), INSIDE), "{never}");
    }
    for public in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450::1"] {
        assert!(may_call(ip(public), OUTSIDE), "{public}");
    }
    // One bad address among good ones is enough.
    let both = vec!["8.8.8.8:443".parse().unwrap(), "127.0.0.1:443".parse().unwrap()];
    assert_eq!(judged(both.clone(), OUTSIDE).unwrap_err().kind(), ErrorKind::Input);
    assert_eq!(judged(both.clone(), INSIDE).unwrap(), both);
    assert_eq!(judged(Vec::new(), INSIDE).unwrap_err().kind(), ErrorKind::Retry);
}

#[test]
fn a_url_that_is_not_fit_to_be_called_is_not_even_kept() {
    for fine in ["https://receiver.example/alerts", "https://receiver.example:8443/?a=b"] {
        checked(fine, OUTSIDE).unwrap_or_else(|error| panic!("{fine}: {error}"));
    }
    for refused in [
        "http://receiver.example/",
        "ftp://receiver.example/",
        "https://user:hunter2@receiver.example/",
        "https://receiver.example/#hunter2",
        "https://169.254.169.254/latest/meta-data/hunter2",
        "https://localhost/hunter2",
        "https://a.localhost/",
        "file:///etc/passwd",
        "hunter2",
        &format!("https://receiver.example/{}", "a".repeat(2048)),
    ] {
        let error = checked(refused, OUTSIDE).expect_err(refused);
        assert_eq!(error.kind(), ErrorKind::Input, "{refused}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
    assert!(checked("http://127.0.0.1:9/", OUTSIDE).is_err() && checked("http://127.0.0.1:9/", INSIDE).is_ok());
    assert!(checked("http://10.0.0.1/", INSIDE).is_err(), "plain HTTP only to this machine");
    assert!(!format!("{:?}", hook("https://receiver.example/hunter2")).contains("hunter2"));
}
