//! The door over real sockets, with a postbox that keeps what it is given in memory.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bonded_schemas::Envelope;
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, pki_types::pem::PemObject},
};

use super::*;
use crate::{clock::Clock, tls};

mod end_of_data;
mod hostile;
mod session;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);
const OURS: &str = "in-lantern@reports.example";
const THEIRS: &str = "in-kettle@reports.example";

/// What a postbox was given for one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Kept {
    key: String,
    envelope: Envelope,
    bytes: Vec<u8>,
}

#[derive(Debug, Default)]
struct Memory {
    kept: Mutex<Vec<Kept>>,
    /// Messages that broke off before their end.
    broken: Mutex<u32>,
    /// Answered in the place of keeping, by recipient.
    instead: Mutex<HashMap<String, Outcome>>,
}

#[async_trait]
impl Postbox for Memory {
    async fn recipient(&self, _: Option<IpAddr>, address: &str) -> Admission {
        match address.split_once('@') {
            Some((key, "reports.example")) if key.starts_with("in-") => {
                Admission::Accept(Mailbox { key: key.to_owned(), group: key.split('+').next().unwrap().to_owned() })
            }
            Some(("later", _)) => Admission::Later,
            _ => Admission::Refuse,
        }
    }

    async fn deliver(&self, envelope: Envelope, recipients: Vec<Mailbox>, mut message: Incoming) -> Vec<Outcome> {
        let mut bytes = Vec::new();
        if message.read_to_end(&mut bytes).await.is_err() {
            *self.broken.lock().unwrap() += 1;
            return vec![Outcome::Later; recipients.len()];
        }
        let keep = |mailbox: &Mailbox| {
            let instead = self.instead.lock().unwrap().get(&mailbox.key).copied();
            if instead.is_none() {
                let kept = Kept { key: mailbox.key.clone(), envelope: envelope.clone(), bytes: bytes.clone() };
                self.kept.lock().unwrap().push(kept);
            }
            instead.unwrap_or(Outcome::Kept)
        };
        recipients.iter().map(keep).collect()
    }
}

fn limits() -> Limits {
    Limits {
        message_bytes_max: 1 << 20,
        connections_max: 64,
        peer_connections_max: 32,
        recipients_max: 5,
        groups_max: 2,
        landings_max: 4,
        group_landings_max: 2,
        line_bytes_max: 2048,
        commands_max: 100,
        errors_max: 5,
        refused_max: 3,
        greeting_time: Duration::from_secs(5),
        command_time: Duration::from_secs(10),
        data_time: Duration::from_secs(10),
        keep_time: Duration::from_secs(10),
        session_time: Duration::from_secs(60),
        bytes_per_second_min: 1,
    }
}

/// A running server; it ends with the test.
struct Running {
    postbox: Arc<Memory>,
    address: SocketAddr,
    folder: TempDir,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

impl Running {
    async fn plain(kind: Kind, limits: Limits) -> Self {
        Self::start(kind, limits, false).await
    }

    async fn start(kind: Kind, limits: Limits, tls_required: bool) -> Self {
        let folder = TempDir::new().unwrap();
        let (certificate, key) = (folder.path().join("mail.pem"), folder.path().join("mail.key"));
        tls::make_development_certificate(&certificate, &key, crate::clock::SystemClock.now()).unwrap();
        let certificate = Arc::new(Certificate::read(&certificate, &key).unwrap());
        let postbox = Arc::new(Memory::default());
        let server = Server::new(postbox.clone(), limits, "mx.reports.example".into(), Some(certificate), tls_required);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let serving = Arc::new(server).serve(vec![Door::Tcp(listener, kind)], stopped, Duration::from_secs(2));
        Self { postbox, address, folder, stop, serving: tokio::spawn(serving) }
    }

    /// A client that was greeted.
    async fn client(&self) -> Client<TcpStream> {
        let mut client = self.silent().await;
        assert!(client.reply().await.starts_with("220 mx.reports.example "));
        client
    }

    async fn silent(&self) -> Client<TcpStream> {
        Client { socket: TcpStream::connect(self.address).await.unwrap(), read: Vec::new() }
    }

    /// One that said hello.
    async fn known(&self) -> Client<TcpStream> {
        let mut client = self.client().await;
        client.ask("EHLO sender.example").await;
        client
    }

    fn kept(&self) -> Vec<Kept> {
        self.postbox.kept.lock().unwrap().clone()
    }

    fn broken(&self) -> u32 {
        *self.postbox.broken.lock().unwrap()
    }

    async fn secured<S: AsyncRead + AsyncWrite + Unpin>(&self, socket: S) -> Client<tokio_rustls::client::TlsStream<S>> {
        let mut roots = RootCertStore::empty();
        let pem = self.folder.path().join("mail.pem");
        roots.add(tokio_rustls::rustls::pki_types::CertificateDer::from_pem_file(pem).unwrap()).unwrap();
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(config));
        let socket = connector.connect("localhost".try_into().unwrap(), socket).await.unwrap();
        Client { socket, read: Vec::new() }
    }
}

struct Client<S> {
    socket: S,
    read: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    async fn send(&mut self, text: impl AsRef<[u8]>) {
        self.socket.write_all(text.as_ref()).await.unwrap();
        self.socket.flush().await.unwrap();
    }

    /// One answer, of several lines where it has several; empty when the server hung up.
    async fn reply(&mut self) -> String {
        let mut answer = String::new();
        loop {
            let Some(line) = self.line().await else { return answer };
            let is_last = line.as_bytes().get(3) != Some(&b'-');
            answer.push_str(&line);
            if is_last {
                return answer;
            }
            answer.push('\n');
        }
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.read.windows(2).position(|pair| pair == b"\r\n") {
                let line = String::from_utf8(self.read.drain(..at + 2).take(at).collect()).unwrap();
                return Some(line);
            }
            let mut buffer = [0; 4096];
            let read = tokio::time::timeout(PATIENCE, self.socket.read(&mut buffer)).await.expect("an answer");
            match read {
                Ok(0) | Err(_) => return None,
                Ok(read) => self.read.extend_from_slice(&buffer[..read]),
            }
        }
    }

    /// Sends a line, answers the answer.
    async fn ask(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n")).await;
        self.reply().await
    }

    /// Sends a line, and the answer must begin so.
    async fn expect(&mut self, line: &str, begins: &str) {
        let answer = self.ask(line).await;
        assert!(answer.starts_with(begins), "{line}: {answer}");
    }

    /// Up to the 354.
    async fn begin(&mut self, recipient: &str) {
        self.expect("MAIL FROM:<ace@sender.example>", "250").await;
        self.expect(&format!("RCPT TO:<{recipient}>"), "250").await;
        self.expect("DATA", "354").await;
    }

    async fn hung_up(&mut self) -> bool {
        self.line().await.is_none()
    }
}

/// Waits for what another task does.
async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let began = tokio::time::Instant::now();
    while !done() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
