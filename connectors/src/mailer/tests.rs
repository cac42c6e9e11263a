//! Letters into a folder, and to a real SMTP server (PyPI's aiosmtpd), with and without TLS.

use std::{
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;

use super::*;

const FROM: &str = "Bonded <bonded@nordwind.example>";

fn mail(id: &str, to: &str) -> Mail {
    let text = "123456\n\nis the code. Grüße.\n.\nthe end\n".to_owned();
    Mail { id: id.into(), to: to.into(), subject: "Your code: naïve\r\nBcc: other@nordwind.example".into(), text, html: None }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[tokio::test]
async fn a_letter_in_the_outbox_is_whole_its_owners_only_and_there_once() {
    let folder = TempDir::new().unwrap();
    let outbox = Outbox::open(&folder.path().join("out/box"), FROM).unwrap();
    for _ in 0..2 {
        outbox.send(&mail("0198-1", "owner@nordwind.example")).await.unwrap();
    }
    let files = files(&folder.path().join("out/box"));
    assert_eq!(files, [folder.path().join("out/box/0198-1.eml")]);
    assert_eq!(std::fs::metadata(&files[0]).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(folder.path().join("out/box")).unwrap().permissions().mode() & 0o077, 0);
    let text = std::fs::read_to_string(&files[0]).unwrap();
    assert!(text.contains("To: owner@nordwind.example") && text.contains("Message-ID: <0198-1@nordwind.example>"), "{text}");
    assert!(!text.lines().any(|line| line.starts_with("Bcc:")), "a subject makes no header of its own: {text}");
}

#[tokio::test]
async fn a_letter_that_no_server_would_take_is_not_tried_again() {
    let folder = TempDir::new().unwrap();
    let outbox = Outbox::open(folder.path(), FROM).unwrap();
    for (id, to) in [
        ("1", "nobody"),
        ("1", "a@b.example, c@d.example"),
        ("1", "a@b.example\r\nRCPT TO:<x@y.example>"),
        ("../1", "a@b.example"),
        ("", "a@b.example"),
    ] {
        let error = outbox.send(&mail(id, to)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input, "{id} {to}");
        assert!(!error.to_string().contains("b.example"), "{error}");
    }
    assert!(files(folder.path()).is_empty());
}

#[test]
fn letters_leave_encrypted_or_not_at_all() {
    let open = |url: &str| Smtp::new(url, FROM, Duration::from_secs(1)).map(|_| ());
    for fine in [
        "smtps://user:pass@mail.nordwind.example",
        "smtp://mail.nordwind.example:587?tls=required",
        "smtp://127.0.0.1:25",
        "smtp://localhost:25",
    ] {
        open(fine).unwrap_or_else(|error| panic!("{fine}: {error}"));
    }
    for refused in [
        "smtp://user:hunter2@mail.nordwind.example",
        "smtp://user:hunter2@mail.nordwind.example?tls=opportunistic",
        "smtp://127.0.0.1.nordwind.example",
        "http://user:hunter2@mail.nordwind.example",
        "hunter2",
    ] {
        let error = open(refused).expect_err(refused);
        assert_eq!(error.kind(), ErrorKind::Setup);
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
    assert!(Smtp::new("smtps://mail.nordwind.example", "no address", Duration::from_secs(1)).is_err());
}

/// A server that takes mail from `desk` alone, whose password is what the file says at that moment.
const WITH_LOGIN: &str = include_str!("../../../tests/relay.py");

/// aiosmtpd, ended when dropped.
struct Server {
    child: Child,
    port: u16,
    folder: TempDir,
}

impl Server {
    /// `None`, said aloud, where aiosmtpd is not installed.
    fn start(options: &[&str]) -> Option<Self> {
        Self::begun(|folder, port| {
            let listen = format!("127.0.0.1:{port}");
            let fixed = ["-m", "aiosmtpd", "-n", "-l", &listen, "-c", "aiosmtpd.handlers.Mailbox"].map(str::to_owned);
            let mail = folder.join("mail").display().to_string();
            fixed.into_iter().chain([mail]).chain(options.iter().map(|option| (*option).to_owned())).collect()
        })
    }

    /// One that asks for the password in this file.
    fn with_login(password: &Path) -> Option<Self> {
        Self::begun(|folder, port| {
            let mail = folder.join("mail").display().to_string();
            vec!["-c".into(), WITH_LOGIN.into(), port.to_string(), mail, password.display().to_string()]
        })
    }

    fn begun(arguments: impl FnOnce(&Path, u16) -> Vec<String>) -> Option<Self> {
        let Some(python) = python() else {
            println!("skipped: Python with aiosmtpd is not installed (tests/setup.sh makes it)");
            return None;
        };
        let folder = TempDir::new().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(python)
            .args(arguments(folder.path(), port))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { child, port, folder };
        for _ in 0..200 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(server);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("aiosmtpd does not answer");
    }

    fn letters(&self) -> Vec<String> {
        let new = self.folder.path().join("mail/new");
        if !new.is_dir() {
            return Vec::new();
        }
        files(&new).iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn python() -> Option<PathBuf> {
    let own = std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache/bonded/venv/bin/python"));
    let named = std::env::var_os("BONDED_TEST_PYTHON").map(PathBuf::from);
    [named, own, Some("python3".into())].into_iter().flatten().find(|python| {
        let probe = Command::new(python).args(["-c", "import aiosmtpd"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        probe.is_ok_and(|status| status.success())
    })
}

#[tokio::test]
async fn a_server_gets_the_letter_and_one_that_is_gone_is_tried_again() {
    let Some(server) = Server::start(&[]) else { return };
    let smtp = Smtp::new(&format!("smtp://127.0.0.1:{}", server.port), FROM, Duration::from_secs(5)).unwrap();
    smtp.send(&mail("0198-2", "owner@nordwind.example")).await.unwrap();
    let letters = server.letters();
    assert_eq!(letters.len(), 1);
    for part in [
        "From: Bonded <bonded@nordwind.example>",
        "To: owner@nordwind.example",
        "X-RcptTo: owner@nordwind.example",
        "<0198-2@nordwind.example>",
        "the end",
    ] {
        assert!(letters[0].contains(part), "{part}: {}", letters[0]);
    }
    assert!(!letters[0].lines().any(|line| line.starts_with("Bcc:")), "{}", letters[0]);
    let port = server.port;
    drop(server);
    let error = smtp.send(&mail("0198-3", "owner@nordwind.example")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Retry, "{error}");
    assert!(!error.to_string().contains("owner@"), "{error}");
    // A server that takes the call and says nothing holds nobody up.
    let silent = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let smtp = Smtp::new(&format!("smtp://127.0.0.1:{port}"), FROM, Duration::from_millis(200)).unwrap();
    let error = smtp.send(&mail("0198-4", "owner@nordwind.example")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Retry, "{error}");
    drop(silent);
}

#[tokio::test]
async fn a_letter_in_html_keeps_its_plain_text_beside_it() {
    let Some(server) = Server::start(&[]) else { return };
    let smtp = Smtp::new(&format!("smtp://127.0.0.1:{}", server.port), FROM, Duration::from_secs(5)).unwrap();
    let html = "<!DOCTYPE html><html><body><b>error drift</b> is new</body></html>".to_owned();
    let text = "error drift is new\n.\n-- \nthe end\n".to_owned();
    let mail = Mail { text, html: Some(html.clone()), ..mail("0198-7", "owner@nordwind.example") };
    smtp.send(&mail).await.unwrap();
    let letters = server.letters();
    let letter = &letters[0];
    assert!(letter.contains("multipart/alternative") && letter.contains("<0198-7@nordwind.example>"), "{letter}");
    let plain = letter.find("text/plain").expect("plain text");
    let rich = letter.find("text/html").expect("HTML");
    assert!(plain < rich, "readers show the last that they can");
    for part in ["error drift is new", "the end", &html] {
        assert!(letter.contains(part), "{part}: {letter}");
    }
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_gets_no_letter() {
    let folder = TempDir::new().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name).display().to_string());
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    for (options, url) in [
        (["--tlscert", &cert, "--tlskey", &key], "smtp://127.0.0.1:{port}?tls=required"),
        (["--smtpscert", &cert, "--smtpskey", &key], "smtps://127.0.0.1:{port}"),
    ] {
        let Some(server) = Server::start(&options) else { return };
        let smtp = Smtp::new(&url.replace("{port}", &server.port.to_string()), FROM, Duration::from_secs(5)).unwrap();
        let error = smtp.send(&mail("0198-5", "owner@nordwind.example")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Retry, "{error}");
        assert!(server.letters().is_empty(), "{url}");
    }
    // A server that offers no TLS where it is required gets nothing either.
    let Some(server) = Server::start(&[]) else { return };
    let smtp = Smtp::new(&format!("smtp://127.0.0.1:{}?tls=required", server.port), FROM, Duration::from_secs(5)).unwrap();
    smtp.send(&mail("0198-6", "owner@nordwind.example")).await.unwrap_err();
    assert!(server.letters().is_empty());
}

#[tokio::test]
async fn a_login_that_was_changed_at_the_server_is_taken_up_with_the_next_letter_and_costs_none() {
    let folder = TempDir::new().unwrap();
    let [password, url] = ["password", "url"].map(|name| folder.path().join(name));
    std::fs::write(&password, "first").unwrap();
    let Some(server) = Server::with_login(&password) else { return };
    let name = |word: &str| std::fs::write(&url, format!("smtp://desk:{word}@127.0.0.1:{}\n", server.port)).unwrap();
    name("first");
    let (clock, held) = crate::secrets::tests::held_in(&url);
    let smtp = Smtp::held(held, FROM, Duration::from_secs(5)).await.unwrap();
    smtp.send(&mail("0198-7", "owner@nordwind.example")).await.unwrap();
    // Changed at the server alone: the letter waits, it is not lost.
    std::fs::write(&password, "walrus7").unwrap();
    let error = smtp.send(&mail("0198-8", "owner@nordwind.example")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Setup, "{error}");
    assert!(error.to_string().contains("mail.smtp") && !error.to_string().contains("first"), "{error}");
    // And where its secret lies: the same process goes on.
    name("walrus7");
    clock.forward(chrono::TimeDelta::seconds(2));
    smtp.send(&mail("0198-8", "owner@nordwind.example")).await.unwrap();
    assert_eq!(server.letters().len(), 2);
    assert!(!format!("{smtp:?}").contains("walrus7"));
    // What is put there later and is no URL is told as such.
    std::fs::write(&password, "third").unwrap();
    std::fs::write(&url, "walrus7").unwrap();
    clock.forward(chrono::TimeDelta::seconds(2));
    let error = smtp.send(&mail("0198-9", "owner@nordwind.example")).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Setup && !error.to_string().contains("walrus7"), "{error}");
}
