//! The front desk as its users have it: `bonded serve --roles api`, real TLS, cookies, mail from the outbox.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use bonded_connectors::{
    clock::{Clock, SystemClock},
    identity::totp::TotpSecret,
};
use reqwest::{Client, Method, StatusCode, header};
use serde_json::{Value, json};

use crate::world::{World, json_lines};

pub const PASSWORD: &str = "seven wet lanterns on a quay";

/// A running front desk; killed when dropped.
pub struct Front {
    child: Child,
    pub url: String,
    pub client: Client,
    outbox: PathBuf,
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: header::HeaderMap,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        self
    }
}

/// How a request says who asks.
#[derive(Clone, Debug, Default)]
pub struct Person {
    pub cookie: String,
    pub csrf: String,
}

impl Front {
    pub fn start(world: &World, more: &[(&str, &str)]) -> Self {
        let outbox = world.path("outbox");
        let mut command = world.command(&["serve", "--roles", "api,worker"]);
        command
            .env("BONDED_API_LISTEN", "127.0.0.1:0")
            .env("BONDED_MAIL_OUTBOX", &outbox)
            .env("BONDED_SERVE_POLL", "100ms")
            // Everybody here comes from one address.
            .env("BONDED_DESK_ADDRESS_FREE", "100000")
            .envs(more.iter().copied())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(world.path("serve.log")).expect("a log"));
        let mut child = command.spawn().expect("the binary starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("readable");
        let url = json_lines(&line).first().and_then(|ready| ready["api"].as_str().map(str::to_owned));
        let url =
            url.unwrap_or_else(|| panic!("not ready: {line} {}", std::fs::read_to_string(world.path("serve.log")).unwrap()));
        let certificate = std::fs::read(world.path("lake.tls/development.pem")).expect("made by init");
        let root = reqwest::Certificate::from_pem(&certificate).expect("a certificate");
        let client = Client::builder().no_proxy().add_root_certificate(root).build().expect("a client");
        Self { child, url, client, outbox }
    }

    pub async fn send(&self, person: &Person, method: Method, path: &str, body: Option<Value>) -> Reply {
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        if let Some(token) = person.cookie.strip_prefix("Bearer ") {
            request = request.bearer_auth(token);
        } else if !person.cookie.is_empty() {
            request = request.header(header::COOKIE, &person.cookie).header("x-csrf-token", &person.csrf);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        Self::reply(request).await
    }

    pub async fn reply(request: reqwest::RequestBuilder) -> Reply {
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status(), response.headers().clone());
        Reply { status, headers, body: response.bytes().await.expect("whole").to_vec() }
    }

    pub async fn get(&self, person: &Person, path: &str) -> Reply {
        self.send(person, Method::GET, path, None).await
    }

    pub async fn post(&self, person: &Person, path: &str, body: Value) -> Reply {
        self.send(person, Method::POST, path, Some(body)).await
    }

    /// A request of a session whose answer brings its new token.
    pub async fn turn(&self, person: &mut Person, path: &str, body: Value) -> Reply {
        let reply = self.post(person, path, body).await;
        person.take(&reply);
        reply
    }

    /// The six digits of the newest letter to this address.
    pub async fn code(&self, email: &str) -> String {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(30) {
            if let Some(code) = self.letters(email).iter().rev().find_map(|letter| six_digits(letter)) {
                return code;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("no code came for {email}");
    }

    /// The letters to this address, the oldest first.
    pub fn letters(&self, email: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(&self.outbox) else { return Vec::new() };
        let mut files: Vec<_> = entries
            .map(|entry| entry.expect("listed").path())
            .filter(|path| path.extension().is_some_and(|e| e == "eml"))
            .collect();
        files.sort_by_key(|path| std::fs::metadata(path).and_then(|meta| meta.modified()).expect("there"));
        let letters = files.into_iter().map(|path| std::fs::read_to_string(path).expect("text"));
        letters.filter(|letter| letter.lines().any(|line| line.starts_with("To:") && line.contains(email))).collect()
    }

    pub async fn sign_in(&self, email: &str, password: &str) -> Person {
        let mut person = Person::default();
        self.turn(&mut person, "/v1/sign-in", json!({ "email": email, "password": password })).await.expect(200);
        person
    }

    /// Somebody of this role in the team of the tenant, invited by the console, with an authenticator where one is due.
    pub async fn member(&self, world: &World, tenant: &str, email: &str, role: &str) -> Person {
        let mut person = self.joined(world, tenant, email, role).await;
        if matches!(role, "owner" | "admin") {
            self.enrol(&mut person).await;
        }
        self.turn(&mut person, "/v1/me/team", json!({ "team": tenant })).await.expect(200);
        person
    }

    /// Invited, joined and signed in; nothing more.
    pub async fn joined(&self, world: &World, tenant: &str, email: &str, role: &str) -> Person {
        let mut invite = world.command(&["member", "invite", "--tenant", tenant, email, "--role", role]);
        let output = invite.env("BONDED_MAIL_OUTBOX", &self.outbox).output().expect("runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let code = self.code(email).await;
        let accepting = json!({ "email": email, "code": code, "password": PASSWORD });
        self.post(&Person::default(), "/v1/invites/accept", accepting).await.expect(200);
        self.sign_in(email, PASSWORD).await
    }

    pub async fn enrol(&self, person: &mut Person) {
        let enrolment = self.post(person, "/v1/me/authenticator", json!({})).await.expect(200).json();
        let code = totp(enrolment["secret"].as_str().expect("base32"));
        self.turn(person, "/v1/me/authenticator/confirm", json!({ "code": code })).await.expect(200);
        let me = self.get(person, "/v1/me").await.expect(200).json();
        person.csrf = me["csrf"].as_str().expect("a word").to_owned();
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Person {
    pub fn token(token: &str) -> Self {
        Self { cookie: format!("Bearer {token}"), ..Self::default() }
    }

    /// Takes the new cookie and its word from an answer.
    pub fn take(&mut self, reply: &Reply) {
        if let Some(cookie) = reply.headers.get(header::SET_COOKIE) {
            let cookie = cookie.to_str().expect("text").split(';').next().expect("a pair");
            self.cookie = cookie.to_owned();
        }
        if reply.status.is_success()
            && let Ok(body) = serde_json::from_slice::<Value>(&reply.body)
            && let Some(csrf) = body["csrf"].as_str()
        {
            self.csrf = csrf.to_owned();
        }
    }
}

/// What an authenticator app shows now.
pub fn totp(secret: &str) -> String {
    let secret = TotpSecret::from_base32(secret).expect("base32");
    secret.code_at(SystemClock.now()).expect("a code")
}

fn six_digits(letter: &str) -> Option<String> {
    let body = letter.split_once("\r\n\r\n").or_else(|| letter.split_once("\n\n"))?.1;
    let mut digits = String::new();
    for c in body.chars().chain([' ']) {
        if c.is_ascii_digit() {
            digits.push(c);
        } else if digits.len() == 6 {
            return Some(digits);
        } else {
            digits.clear();
        }
    }
    None
}
