//! The client against real TLS: who is believed, and what happens to a token where nobody is.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use rcgen::{KeyPair, PublicKeyData};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};

use super::*;
use crate::{
    clock::{Clock, SystemClock},
    tls,
};

const TOKEN: &str = "bonded_not-a-real-token";

struct Certificates(TempDir);

impl Certificates {
    fn new(names: &[&str]) -> Self {
        let made = Self(TempDir::new().unwrap());
        for name in names {
            tls::make_development_certificate(&made.certificate(name), &made.key(name), SystemClock.now()).unwrap();
        }
        made
    }

    fn certificate(&self, name: &str) -> PathBuf {
        self.0.path().join(format!("{name}.pem"))
    }

    fn key(&self, name: &str) -> PathBuf {
        self.0.path().join(format!("{name}.key"))
    }

    fn pem(&self, names: &[&str]) -> Vec<u8> {
        names.iter().flat_map(|name| std::fs::read(self.certificate(name)).unwrap()).collect()
    }

    /// From the private key, by another way than the client's.
    fn pin(&self, name: &str) -> Pin {
        let key = KeyPair::from_pem(&std::fs::read_to_string(self.key(name)).unwrap()).unwrap();
        let digest = digest::digest(&digest::SHA256, &key.subject_public_key_info());
        format!("sha256/{}", STANDARD.encode(digest)).parse().unwrap()
    }
}

/// Answers every request with `answer`; keeps every byte that came over TLS.
struct Server {
    at: SocketAddr,
    heard: Arc<Mutex<Vec<u8>>>,
    work: JoinHandle<()>,
}

impl Server {
    async fn start(certificate: &std::path::Path, key: &std::path::Path, answer: &'static str) -> Self {
        let acceptor = tokio_rustls::TlsAcceptor::from(tls::server_config(certificate, key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hears = heard.clone();
        let work = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                // A client that does not believe us breaks off here.
                let Ok(mut stream) = acceptor.accept(socket).await else { continue };
                let mut bytes = vec![0; 4096];
                while let Ok(read @ 1..) = stream.read(&mut bytes).await {
                    hears.lock().unwrap().extend_from_slice(&bytes[..read]);
                    stream.write_all(answer.as_bytes()).await.unwrap();
                    if !answer.contains("\r\n\r\n") {
                        break;
                    }
                }
            }
        });
        Self { at, heard, work }
    }

    async fn asked(&self, trust: &Trust) -> std::result::Result<Begun, Failure> {
        let desk = Desk::new(&format!("https://{}", self.at), trust).unwrap();
        let what = Announcement { file_name: "a.csv".into(), size_bytes: 1, sha256: "00".into(), as_of: None };
        desk.begin(TOKEN, &what).await
    }

    fn heard(&self) -> String {
        String::from_utf8_lossy(&self.heard.lock().unwrap()).into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.work.abort();
    }
}

const GOING: &str = "HTTP/1.1 201 Created\r\nupload-offset: 0\r\ncontent-length: 101\r\n\r\n\
    {\"upload\":{\"upload_id\":\"u1\",\"offset_bytes\":0,\"piece_bytes_min\":1,\"piece_bytes_max\":2,\"more\":\"field\"}}";

#[tokio::test]
async fn with_pins_the_servers_own_key_is_one_of_them_or_nothing_is_sent() {
    let made = Certificates::new(&["now", "next", "other"]);
    let server = Server::start(&made.certificate("now"), &made.key("now"), GOING).await;
    let authorities = Some(made.pem(&["now", "next", "other"]));
    let trust = |pins: Vec<Pin>| Trust { authorities: authorities.clone(), pins };

    for pins in [vec![made.pin("other")], vec![made.pin("other"), made.pin("next")]] {
        let Err(Failure::Setup(error)) = server.asked(&trust(pins)).await else { panic!("believed") };
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(error.to_string().contains(&made.pin("now").to_string()), "it says what it saw: {error}");
        assert_eq!(server.heard(), "", "nothing was sent");
    }
    for pins in [vec![], vec![made.pin("now")], vec![made.pin("next"), made.pin("now")]] {
        assert!(matches!(server.asked(&trust(pins)).await, Ok(Begun::Going(_))));
    }
    assert!(server.heard().contains(TOKEN));
    // The key was rotated to the next pin: the same client goes on.
    let server = Server::start(&made.certificate("next"), &made.key("next"), GOING).await;
    assert!(matches!(server.asked(&trust(vec![made.pin("now"), made.pin("next")])).await, Ok(Begun::Going(_))));
}

#[tokio::test]
async fn a_pin_takes_nothing_from_the_ordinary_check() {
    let made = Certificates::new(&["now", "other"]);
    let server = Server::start(&made.certificate("now"), &made.key("now"), GOING).await;
    let pins = vec![made.pin("now")];
    for authorities in [None, Some(made.pem(&["other"]))] {
        let Err(Failure::Setup(error)) = server.asked(&Trust { authorities, pins: pins.clone() }).await else {
            panic!("believed")
        };
        assert_eq!(error.kind(), ErrorKind::Setup, "{error}");
        assert_eq!(server.heard(), "");
    }
    let wrong = Trust { authorities: Some(b"no certificate".to_vec()), pins };
    assert_eq!(Desk::new("https://127.0.0.1:1", &wrong).unwrap_err().kind(), ErrorKind::Setup);
}

/// Anybody can show a certificate that is not theirs beside their own.
#[tokio::test]
async fn a_pinned_certificate_further_up_the_chain_is_no_proof() {
    let made = Certificates::new(&["thief", "pinned"]);
    let chain = made.0.path().join("chain.pem");
    std::fs::write(&chain, made.pem(&["thief", "pinned"])).unwrap();
    let server = Server::start(&chain, &made.key("thief"), GOING).await;
    let trust = Trust { authorities: Some(made.pem(&["thief", "pinned"])), pins: vec![made.pin("pinned")] };
    assert!(matches!(server.asked(&trust).await, Err(Failure::Setup(_))));
    assert_eq!(server.heard(), "");
}

#[tokio::test]
async fn answers_are_told_by_what_to_do_about_them() {
    let made = Certificates::new(&["now"]);
    let trust = Trust { authorities: Some(made.pem(&["now"])), pins: Vec::new() };
    let asked = async |answer| {
        let server = Server::start(&made.certificate("now"), &made.key("now"), answer).await;
        server.asked(&trust).await.expect_err("refused")
    };
    let busy = asked("HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n").await;
    assert!(matches!(busy, Failure::Later { after: Some(after), .. } if after == Duration::from_secs(7)), "{busy:?}");
    let long = asked("HTTP/1.1 503 Down\r\nretry-after: 99999999\r\ncontent-length: 0\r\n\r\n").await;
    assert!(matches!(long, Failure::Later { after: Some(after), .. } if after == WAIT_MAX), "{long:?}");
    let token = asked("HTTP/1.1 401 No\r\ncontent-length: 34\r\n\r\n{\"title\":\"no\",\"detail\":\"it ended\"}").await;
    assert!(matches!(&token, Failure::Token(why) if why == "no: it ended"), "{token:?}");
    let unfit = asked("HTTP/1.1 413 Large\r\ncontent-length: 0\r\n\r\n").await;
    assert!(matches!(unfit, Failure::Unfit(_)), "{unfit:?}");
    for stranger in [
        "HTTP/1.1 404 None\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi",
        "HTTP/1.1 302 Away\r\nlocation: https://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
    ] {
        let failure = asked(stranger).await;
        assert!(matches!(&failure, Failure::Setup(error) if error.kind() == ErrorKind::Setup), "{failure:?}");
    }
    let cut = asked("HTTP/1.1 200 OK\r\ncontent-le").await;
    assert!(matches!(cut, Failure::Later { after: None, .. }), "{cut:?}");
}

#[test]
fn a_token_goes_only_where_it_can_be_kept_secret() {
    for wrong in [
        "bonded.example",
        "http://bonded.example",
        "ftp://localhost",
        "https://a:b@bonded.example",
        "https://bonded.example/?a=1",
    ] {
        let error = Desk::new(wrong, &Trust::default()).expect_err(wrong);
        assert_eq!(error.kind(), ErrorKind::Input, "{wrong}");
    }
    let pin: Pin = format!("sha256/{}", STANDARD.encode([7; 32])).parse().unwrap();
    let pinned = Trust { pins: vec![pin], ..Trust::default() };
    assert_eq!(Desk::new("http://localhost:1", &pinned).unwrap_err().kind(), ErrorKind::Input);
    Desk::new("http://localhost:1", &Trust::default()).unwrap();
    Desk::new("https://bonded.example/behind/a/path", &pinned).unwrap();
    assert_eq!(pin.to_string().parse::<Pin>().unwrap(), pin);
    for wrong in ["", "sha256/", "sha256/AAAA", "sha1/AAAA", &STANDARD.encode([7; 32])] {
        assert!(wrong.parse::<Pin>().is_err(), "{wrong}");
    }
}
