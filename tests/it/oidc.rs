//! Tokens and sign-ins of a real OpenID provider (npm `oidc-provider`), which rotates its keys, slows down and dies meanwhile.
//! Left out with its reason where node or the package is missing (tests/setup.sh installs both as root).

use std::{
    collections::HashMap,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use bonded::settings::{OidcSettings, Settings};
use bonded_connectors::{
    ErrorKind,
    clock::{Clock, SystemClock},
    oidc::{Answer, Pending, Provider},
};
use reqwest::{StatusCode, Url, redirect::Policy};
use serde_json::{Value, json};

pub const AUDIENCE: &str = "https://bonded.example/api";
/// Nobody listens there: the test is the browser, and reads the address that it would be sent to.
const REDIRECT: &str = "http://127.0.0.1:9/callback";
pub const NOBODY: &str = "http://127.0.0.1:9";
pub const TENANT: &str = "nordwind-imports";

/// The provider's process; ended with the test.
pub struct Op {
    child: Child,
    pub issuer: String,
    http: reqwest::Client,
}

async fn provider_of(settings: &OidcSettings) -> Provider {
    let clock = Arc::new(SystemClock);
    let vault = Settings::default().vault(clock.clone());
    settings.provider(clock, &vault).await.expect("sound").expect("set")
}

/// Where `tests/oidc/install.sh` puts the package; `None`, and why, where it is not.
fn packages() -> Result<PathBuf, String> {
    let cache = || Some(PathBuf::from(std::env::var_os("XDG_CACHE_HOME")?));
    let home = || Some(Path::new(&std::env::var_os("HOME")?).join(".cache"));
    let folder = match std::env::var_os("BONDED_OIDC_PACKAGES") {
        Some(folder) => PathBuf::from(folder),
        None => cache().or_else(home).unwrap_or_default().join("bonded/oidc"),
    };
    let told =
        Command::new("node").arg("--version").output().map_err(|_| "node is not there (tests/setup.sh installs it as root)")?;
    let version = String::from_utf8_lossy(&told.stdout).trim().to_owned();
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < 20) {
        return Err(format!("the provider needs node 20, this is `{version}`"));
    }
    let locked = std::fs::read(script("package-lock.json")).expect("the lock file");
    match std::fs::read(folder.join("installed.json")) {
        Ok(installed) if installed == locked => Ok(folder),
        _ => Err(format!("the provider of tests/oidc is not in {} (tests/oidc/install.sh puts it there)", folder.display())),
    }
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("tests").join("oidc").join(name)
}

impl Op {
    pub fn start() -> Option<Self> {
        Self::start_on(0)
    }

    fn start_on(port: u16) -> Option<Self> {
        let folder = packages().inspect_err(|why| println!("left out: {why}")).ok()?;
        let mut child = Command::new("node")
            .arg(script("provider.mjs"))
            .env("BONDED_OIDC_PACKAGES", folder)
            .env("PORT", port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node starts");
        let mut ready = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut ready).expect("a line");
        let ready: Value = serde_json::from_str(&ready).expect("the provider is ready");
        // The test plays the browser, which follows by itself what this client does not.
        let http = reqwest::Client::builder().redirect(Policy::none()).no_proxy().timeout(Duration::from_secs(20)).build();
        Some(Self { child, issuer: ready["issuer"].as_str().expect("an issuer").to_owned(), http: http.expect("a client") })
    }

    /// Settings that take this provider, as a person would write them.
    fn settings(&self, more: &str) -> OidcSettings {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let text = format!(
            "[oidc]\nissuer = \"{}\"\naudience = \"{AUDIENCE}\"\nclient_id = \"bonded-public\"\nkeys_retry = \"200ms\"\n{more}",
            self.issuer
        );
        std::fs::write(file.path(), text).expect("it can be written");
        Settings::load(Some(file.path()), std::iter::empty()).expect("sound").oidc
    }

    async fn provider(&self, more: &str) -> Provider {
        provider_of(&self.settings(more)).await
    }

    async fn control(&self, what: &str) -> String {
        let answer = self.http.get(format!("{}/control/{what}", self.issuer)).send().await.expect("an answer");
        answer.text().await.expect("a body")
    }

    /// An access token of a machine, by client_credentials.
    pub async fn machine_token(&self) -> String {
        let form = [("grant_type", "client_credentials"), ("scope", "deliver")];
        let asked = self.http.post(format!("{}/token", self.issuer)).basic_auth("fictional-broker", Some("broker-secret"));
        let said: Value = asked.form(&form).send().await.expect("an answer").json().await.expect("JSON");
        said["access_token"].as_str().expect("a token").to_owned()
    }

    /// A person's tokens, fetched as a script of theirs would.
    pub async fn person_tokens(&self, who: &str) -> Value {
        let verifier = "v".repeat(43);
        let challenge = "7w_YNF9DSfIdPf_pRjSq646_kPr-2-o9NAl16JGghdM";
        let mut place = Url::parse(&format!("{}/auth", self.issuer)).expect("an address");
        place.query_pairs_mut().extend_pairs([
            ("response_type", "code"),
            ("client_id", "bonded-public"),
            ("redirect_uri", REDIRECT),
            ("scope", "openid email deliver"),
            ("resource", AUDIENCE),
            ("code_challenge", challenge),
            ("code_challenge_method", "S256"),
            ("nonce", "n"),
        ]);
        let code = self.browse(place, who).await["code"].clone();
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", "bonded-public"),
            ("code", &code),
            ("redirect_uri", REDIRECT),
            ("code_verifier", &verifier),
        ];
        let answer = self.http.post(format!("{}/token", self.issuer)).form(&form).send().await.expect("an answer");
        let (status, said) = (answer.status(), answer.json::<Value>().await.expect("JSON"));
        assert_eq!(status, StatusCode::OK, "{said}");
        said
    }

    /// Follows the provider's redirects with its cookies until it sends the browser back, and gives the query it sends along.
    pub async fn browse(&self, mut place: Url, who: &str) -> HashMap<String, String> {
        place.query_pairs_mut().append_pair("login_hint", who);
        let mut cookies = HashMap::new();
        for _ in 0..10 {
            let sent: Vec<_> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let answer = self.http.get(place.clone()).header("cookie", sent.join("; ")).send().await.expect("an answer");
            for cookie in answer.headers().get_all("set-cookie") {
                let pair = cookie.to_str().expect("text").split(';').next().expect("a pair").to_owned();
                let (name, value) = pair.split_once('=').expect("a pair");
                cookies.insert(name.to_owned(), value.to_owned());
            }
            let status = answer.status();
            let Some(location) = answer.headers().get("location").map(|to| to.to_str().expect("text").to_owned()) else {
                panic!("the provider stopped at {place}: {status} {}", answer.text().await.unwrap_or_default());
            };
            place = place.join(&location).expect("an address");
            if place.as_str().starts_with(NOBODY) {
                return place.query_pairs().into_owned().collect();
            }
        }
        panic!("the provider turns in circles at {place}");
    }

    /// A sign-in begun and answered, not yet finished.
    async fn signed_in(&self, provider: &Provider, who: &str) -> (Pending, Answer) {
        let (place, pending) = provider.begin(REDIRECT).await.expect("begun");
        let query = self.browse(place, who).await;
        (pending, serde_json::from_value(json!(query)).expect("an answer"))
    }

    fn kill(&mut self) {
        self.child.kill().expect("it ran");
        self.child.wait().expect("it ended");
    }
}

impl Drop for Op {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[tokio::test]
async fn a_person_signs_in_by_code_and_pkce_as_a_public_and_as_a_secret_client() {
    let Some(op) = Op::start() else { return };
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), "se+cr et:%/\n").expect("it can be written");
    let secret = OidcSettings {
        client_id: Some("bonded-desk".into()),
        client_secret: Some(format!("file:{}", file.path().display())),
        ..op.settings("")
    };
    let secret = provider_of(&secret).await;
    for provider in [op.provider("").await, secret] {
        let (pending, answer) = op.signed_in(&provider, "owner").await;
        assert_eq!(answer.iss.as_deref(), Some(op.issuer.as_str()), "this provider names itself");
        let owner = provider.finish(pending, &answer).await.expect("signed in");
        assert_eq!((owner.subject.as_str(), owner.email.as_deref()), ("owner", Some("owner@nordwind.example")));
        assert_eq!(owner.tenant, Some(TENANT.parse().unwrap()));
        assert!(owner.second_factor && owner.amr == ["pwd", "otp"]);

        let (pending, answer) = op.signed_in(&provider, "viewer").await;
        let viewer = provider.finish(pending, &answer).await.expect("signed in");
        assert_eq!((viewer.email, viewer.second_factor), (None, false), "the address is not verified");

        let (pending, answer) = op.signed_in(&provider, "guest").await;
        let guest = provider.finish(pending, &answer).await.expect("signed in");
        assert_eq!((guest.email.as_deref(), guest.tenant), (Some("guest@lantern.example"), None));

        let (pending, answer) = op.signed_in(&provider, "nobody").await;
        assert_eq!(answer.error.as_deref(), Some("access_denied"));
        assert_eq!(provider.finish(pending, &answer).await.expect_err("denied").kind(), ErrorKind::Refused);
    }
}

#[tokio::test]
async fn a_wrong_verifier_nonce_state_secret_or_a_code_used_twice_is_refused() {
    let Some(op) = Op::start() else { return };
    let provider = op.provider("").await;
    for (field, told) in [("verifier", "invalid_grant"), ("nonce", "another sign-in"), ("state", "no sign-in")] {
        let (pending, answer) = op.signed_in(&provider, "owner").await;
        let mut kept = serde_json::to_value(&pending).expect("JSON");
        kept[field] = json!("A".repeat(43));
        let error = provider.finish(serde_json::from_value(kept).expect("a sign-in"), &answer).await.expect_err(field);
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(error.to_string().contains(told), "{error}");
    }
    // The answer of one browser, brought by another.
    let (_, answer) = op.signed_in(&provider, "owner").await;
    let (other, _) = op.signed_in(&provider, "owner").await;
    assert_eq!(provider.finish(other, &answer).await.expect_err("another browser").kind(), ErrorKind::Refused);

    let (pending, answer) = op.signed_in(&provider, "owner").await;
    let again = serde_json::from_value(serde_json::to_value(&pending).expect("JSON")).expect("a sign-in");
    provider.finish(pending, &answer).await.expect("signed in");
    let error = provider.finish(again, &answer).await.expect_err("the code is used up");
    assert!(error.to_string().contains("invalid_grant"), "{error}");

    let (pending, answer) = op.signed_in(&provider, "owner").await;
    let unnamed = Answer { iss: None, ..answer };
    let error = provider.finish(pending, &unnamed).await.expect_err("this provider promised to name itself");
    assert!(error.to_string().contains("which identity provider"), "{error}");
}

/// The provider itself refuses a sign-in without PKCE; that ours has it is what the sign-ins above show.
#[tokio::test]
async fn a_wrong_client_secret_is_for_the_operator_to_mend() {
    let Some(op) = Op::start() else { return };
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), "another").expect("it can be written");
    let settings = OidcSettings {
        client_id: Some("bonded-desk".into()),
        client_secret: Some(format!("file:{}", file.path().display())),
        ..op.settings("")
    };
    let clock = Arc::new(Ahead::default());
    let vault = Settings::default().vault(clock.clone());
    let provider = settings.provider(Arc::new(SystemClock), &vault).await.expect("sound").expect("set");
    let (pending, answer) = op.signed_in(&provider, "owner").await;
    let error = provider.finish(pending, &answer).await.expect_err("a wrong secret");
    assert!(error.kind() == ErrorKind::Setup && !error.to_string().contains("another"), "{error}");
    // Mended where it lies: the next sign-in goes, in the same process.
    std::fs::write(file.path(), "se+cr et:%/\n").expect("it can be written");
    clock.0.fetch_add(2, Ordering::Relaxed);
    let (pending, answer) = op.signed_in(&provider, "owner").await;
    provider.finish(pending, &answer).await.expect("signed in");
}

/// So many seconds ahead of this machine's clock.
#[derive(Debug, Default)]
struct Ahead(AtomicI64);

impl Clock for Ahead {
    fn now(&self) -> chrono::DateTime<chrono::Utc> {
        SystemClock.now() + chrono::TimeDelta::seconds(self.0.load(Ordering::Relaxed))
    }
}

#[tokio::test]
async fn a_machine_s_access_token_is_taken_for_its_audience_and_an_id_token_is_none() {
    let Some(op) = Op::start() else { return };
    let token = op.machine_token().await;
    let broker = op.provider("").await.access(&token).await.expect("good");
    assert!(broker.is_machine() && !broker.second_factor && broker.email.is_none());
    assert_eq!((broker.subject.as_str(), broker.tenant), ("fictional-broker", Some(TENANT.parse().unwrap())));

    let elsewhere = OidcSettings { audience: Some("https://kettle.example/api".into()), ..op.settings("") };
    let refused = provider_of(&elsewhere).await.access(&token).await;
    assert!(refused.expect_err("another audience").to_string().contains("audience"));
    let unnamed = op.provider("tenant_claim = \"custom:tenant\"\n").await.access(&token).await;
    assert!(unnamed.expect_err("no tenant").to_string().contains("tenant"));

    let said = op.person_tokens("owner").await;
    let provider = op.provider("").await;
    let owner = provider.access(said["access_token"].as_str().expect("a token")).await.expect("good");
    assert!(owner.subject == "owner" && !owner.is_machine());
    let error = provider.access(said["id_token"].as_str().expect("a token")).await.expect_err("an ID token");
    assert_eq!(error.kind(), ErrorKind::Refused);
}

#[tokio::test]
async fn keys_that_rotate_are_picked_up_and_withdrawn_ones_fall_out() {
    let Some(op) = Op::start() else { return };
    let provider = op.provider("").await;
    let first = op.machine_token().await;
    provider.access(&first).await.expect("good");

    op.control("rotate?keep").await;
    let second = op.machine_token().await;
    tokio::time::sleep(Duration::from_millis(250)).await;
    provider.access(&second).await.expect("the new key is fetched, without a restart");
    provider.access(&first).await.expect("the old key is still shown");

    op.control("rotate").await;
    let third = op.machine_token().await;
    tokio::time::sleep(Duration::from_millis(250)).await;
    provider.access(&third).await.expect("the new key is fetched");
    for old in [&first, &second] {
        let error = provider.access(old).await.expect_err("its key was withdrawn");
        assert_eq!(error.kind(), ErrorKind::Refused);
    }
}

#[tokio::test]
async fn a_flood_of_made_up_keys_reaches_the_provider_once_and_the_good_go_on() {
    let Some(op) = Op::start() else { return };
    let provider = Arc::new(op.provider("").await);
    let good = op.machine_token().await;
    // Fifty at once, of whom nobody has a key yet.
    let asking: Vec<_> = (0..50)
        .map(|_| {
            let (provider, good) = (provider.clone(), good.clone());
            tokio::spawn(async move { provider.access(&good).await.is_ok() })
        })
        .collect();
    for asked in asking {
        assert!(asked.await.expect("no panic"));
    }
    assert_eq!(op.control("keys-asked").await, "1", "they share one fetch");

    let [_, payload, signature] = good.split('.').collect::<Vec<_>>().try_into().expect("three parts");
    let (started, mut sent) = (Instant::now(), 0);
    while started.elapsed() < Duration::from_secs(1) {
        sent += 1;
        let header = json!({"alg": "RS256", "kid": format!("made-up-{sent}")}).to_string();
        let header = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, header);
        let error = provider.access(&format!("{header}.{payload}.{signature}")).await.expect_err("no such key");
        assert_eq!(error.kind(), ErrorKind::Refused);
        provider.access(&good).await.expect("good");
    }
    // The first fetch, and then one in each 200 ms at most, as is set.
    let most = 2 + started.elapsed().as_millis() / 200;
    let asked: u128 = op.control("keys-asked").await.parse().expect("a number");
    println!("{sent} made-up keys in {:?}: {} fetches", started.elapsed(), asked - 1);
    assert!((2..=most).contains(&asked), "{asked} fetches in {:?}", started.elapsed());
}

#[tokio::test]
async fn a_slow_provider_holds_up_nobody_whose_key_is_known_and_ends_for_the_others() {
    let Some(op) = Op::start() else { return };
    let provider = Arc::new(op.provider("time_max = \"3s\"\n").await);
    let good = op.machine_token().await;
    provider.access(&good).await.expect("good");
    op.control("rotate?keep").await;
    op.control("slow?ms=20000").await;
    let fresh = op.machine_token().await;
    tokio::time::sleep(Duration::from_millis(250)).await;
    let waiting = tokio::spawn({
        let (provider, fresh) = (provider.clone(), fresh.clone());
        async move { provider.access(&fresh).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let started = Instant::now();
    provider.access(&good).await.expect("good");
    assert!(started.elapsed() < Duration::from_secs(2), "a known key waits for nothing: {:?}", started.elapsed());
    let error = waiting.await.expect("no panic").expect_err("its key cannot be had");
    assert_eq!(error.kind(), ErrorKind::Refused);
    op.control("slow?ms=0").await;
    tokio::time::sleep(Duration::from_millis(250)).await;
    provider.access(&fresh).await.expect("the key can be had again");
}

#[tokio::test]
async fn while_the_provider_is_down_known_keys_count_on_for_the_time_set_and_its_return_is_noticed() {
    let Some(mut op) = Op::start() else { return };
    let port = Url::parse(&op.issuer).expect("an address").port().expect("a port");
    let brief = "keys_fresh = \"1s\"\nkeys_stale_max = \"8s\"\n";
    let (provider, patient) = (op.provider(brief).await, op.provider("").await);
    let good = op.machine_token().await;
    let fetched = Instant::now();
    provider.access(&good).await.expect("good");
    patient.access(&good).await.expect("good");
    op.kill();

    assert!(
        op.provider("").await.access(&good).await.is_err_and(|error| error.kind() == ErrorKind::Retry),
        "it never had the keys"
    );
    tokio::time::sleep(Duration::from_millis(1500).saturating_sub(fetched.elapsed())).await;
    provider.access(&good).await.expect("older than it should be, and used");
    tokio::time::sleep(Duration::from_millis(8500).saturating_sub(fetched.elapsed())).await;
    let error = provider.access(&good).await.expect_err("too old");
    assert_eq!(error.kind(), ErrorKind::Retry);
    patient.access(&good).await.expect("still fresh here");
    assert_eq!(provider.begin(REDIRECT).await.expect_err("nobody to sign in at").kind(), ErrorKind::Retry);

    // Back at its place, with other keys.
    let Some(op) = Op::start_on(port) else { return };
    let fresh = op.machine_token().await;
    tokio::time::sleep(Duration::from_millis(250)).await;
    for provider in [&provider, &patient] {
        provider.access(&fresh).await.expect("its new key is fetched");
        assert_eq!(provider.access(&good).await.expect_err("its key is gone").kind(), ErrorKind::Refused);
    }
    let (pending, answer) = op.signed_in(&provider, "owner").await;
    provider.finish(pending, &answer).await.expect("signed in");
}
