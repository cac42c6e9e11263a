//! Against a server that misbehaves on demand; the real provider is met in `tests/it/oidc.rs`.

use std::{
    io::{Read, Write},
    sync::Arc,
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use url::Url;

use super::{CLIENT, ISSUER, KEY, claims, trust};
use crate::{
    ErrorKind,
    clock::FixedClock,
    oidc::{Answer, Provider, Trust, discovery::Metadata, fetch::Http},
};

/// Answers each request with what `reply` makes of its first line, until the test ends.
async fn server(reply: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let reply = Arc::new(reply);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let reply = reply.clone();
            tokio::spawn(async move {
                let mut request = vec![0; 16 << 10];
                let read = stream.read(&mut request).await.unwrap_or(0);
                let line = String::from_utf8_lossy(&request[..read]).lines().next().unwrap_or_default().to_owned();
                match reply(&line) {
                    Some(answer) => drop(stream.write_all(answer.as_bytes()).await),
                    None => tokio::time::sleep(Duration::from_secs(30)).await,
                }
            });
        }
    });
    place
}

fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn provider(place: &Url) -> Provider {
    let trust = Trust { jwks_uri: Some(place.join("keys").unwrap().into()), time_max: Duration::from_millis(500), ..trust() };
    Provider::new(trust, Arc::new(FixedClock(super::now()))).expect("sound")
}

async fn kind_for(reply: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> (ErrorKind, String) {
    let place = server(reply).await;
    let error = provider(&place).access(&super::signed(&claims())).await.expect_err("no keys");
    (error.kind(), error.to_string())
}

#[tokio::test]
async fn keys_are_fetched_and_the_token_is_taken() {
    let place = server(|_| Some(ok(&json!({"keys": [KEY.jwk("k1")]}).to_string()))).await;
    let verified = provider(&place).access(&super::signed(&claims())).await.expect("good");
    assert_eq!(verified.subject, "248289761001");
}

#[tokio::test]
async fn an_answer_that_is_late_endless_moved_or_wrong_yields_no_key() {
    let (kind, told) = kind_for(|_| None).await;
    assert!(kind == ErrorKind::Retry && told.contains("in time"), "{told}");
    let (kind, told) = kind_for(|_| Some(ok(&"x".repeat((256 << 10) + 1)))).await;
    assert!(kind == ErrorKind::Retry && told.contains("more than"), "{told}");
    let (kind, told) = kind_for(|_| Some("HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n".into())).await;
    assert!(kind == ErrorKind::Retry && told.contains("500"), "{told}");
    let (kind, told) = kind_for(|_| Some(ok("<html>"))).await;
    assert!(kind == ErrorKind::Retry && told.contains("JSON"), "{told}");
    let (kind, told) = kind_for(|_| Some("garbage".into())).await;
    assert!(kind == ErrorKind::Retry, "{told}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let keys = json!({"keys": [KEY.jwk("k1")]}).to_string();
    let reply = move |line: &str| match line.contains("/elsewhere") {
        true => Some(ok(&keys)),
        false => Some("HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".into()),
    };
    let place = server(reply).await;
    let error = provider(&place).access(&super::signed(&claims())).await.expect_err("no keys");
    assert!(error.to_string().contains("302"), "{error}");
}

#[tokio::test]
async fn plain_http_leaves_this_machine_for_no_address() {
    let http = Http::new(Duration::from_millis(500), None).unwrap();
    let error = http.get(&Url::parse("http://idp.lantern.example/keys").unwrap(), 10).await.expect_err("plain");
    assert!(format!("{error:?}").contains("scheme"), "{error:?}");
}

/// Answers over TLS with a certificate for `localhost` that only its own PEM vouches for; until the test ends.
fn tls_server(body: String) -> (u16, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut connection = rustls::ServerConnection::new(config.clone()).unwrap();
            let mut tls = rustls::Stream::new(&mut connection, &mut stream);
            // A client that does not trust us hangs up here.
            if tls.read(&mut [0; 4096]).is_ok() {
                drop(tls.write_all(ok(&body).as_bytes()));
                connection.send_close_notify();
                drop(connection.write_tls(&mut stream));
            }
        }
    });
    (port, made.cert.pem())
}

#[tokio::test]
async fn a_certificate_counts_where_an_authority_vouches_for_it_and_its_name() {
    let (port, pem) = tls_server(json!({"keys": [KEY.jwk("k1")]}).to_string());
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap().cert.pem();
    let asked = |host: &str, authorities: Option<&String>| {
        let keys = format!("https://{host}:{port}/keys");
        let trust = Trust { jwks_uri: Some(keys), authorities: authorities.cloned(), ..trust() };
        Provider::new(trust, Arc::new(FixedClock(super::now()))).expect("sound")
    };
    let token = super::signed(&claims());
    asked("localhost", Some(&pem)).access(&token).await.expect("good");
    asked("localhost", Some(&format!("{other}{pem}"))).access(&token).await.expect("one of two");
    for (host, authorities) in [("localhost", None), ("localhost", Some(&other)), ("127.0.0.1", Some(&pem))] {
        let error = asked(host, authorities).access(&token).await.expect_err(host);
        assert!(error.kind() == ErrorKind::Retry && error.to_string().contains("certificate"), "{error}");
    }
    for pem in ["", "garbage"] {
        let trust = Trust { authorities: Some(pem.to_owned()), ..trust() };
        let error = Provider::new(trust, Arc::new(FixedClock(super::now()))).expect_err("no certificate");
        assert_eq!(error.kind(), ErrorKind::Setup);
    }
}

#[test]
fn addresses_are_https_or_of_this_machine() {
    for issuer in ["https://idp.example", "http://localhost:8080/realm", "http://127.0.0.1:1", "http://[::1]:1"] {
        Trust { issuer: issuer.into(), ..trust() }.check().expect(issuer);
    }
    for issuer in [
        "http://idp.example",
        "http://127.0.0.1.idp.example",
        "http://localhost.idp.example",
        "http://10.0.0.1",
        "https://user@idp.example",
        "https://user:pass@idp.example",
        "https://idp.example/#f",
        "https://idp.example/?realm=a",
        "ftp://idp.example",
        "file:///etc/passwd",
        "idp.example",
        "",
    ] {
        let error = Trust { issuer: issuer.into(), ..trust() }.check().expect_err(issuer);
        assert_eq!(error.kind(), ErrorKind::Setup);
    }
}

fn metadata(changes: Value) -> Result<Metadata, crate::Error> {
    let mut said = json!({
        "issuer": ISSUER, "jwks_uri": "https://idp.lantern.example/keys",
        "authorization_endpoint": "https://idp.lantern.example/auth?realm=a", "token_endpoint": "https://idp.lantern.example/token",
        "code_challenge_methods_supported": ["plain", "S256"], "id_token_signing_alg_values_supported": ["RS256"],
    });
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => said.as_object_mut().unwrap().remove(name),
            value => said.as_object_mut().unwrap().insert(name.clone(), value.clone()),
        };
    }
    Metadata::read(said.to_string().as_bytes(), ISSUER, false)
}

#[test]
fn metadata_of_another_issuer_or_with_unsafe_addresses_is_refused() {
    assert_eq!(metadata(json!({})).expect("good").keys.as_str(), "https://idp.lantern.example/keys");
    assert!(metadata(json!({"code_challenge_methods_supported": null})).is_ok(), "Cognito does not say");
    for changes in [
        json!({"issuer": format!("{ISSUER}/")}),
        json!({"issuer": null}),
        json!({"jwks_uri": "http://idp.lantern.example/keys"}),
        json!({"jwks_uri": "http://127.0.0.1/keys"}),
        json!({"jwks_uri": "https://localhost/keys"}),
        json!({"token_endpoint": "https://[::1]/token"}),
        json!({"authorization_endpoint": null}),
        json!({"token_endpoint": 7}),
        json!({"code_challenge_methods_supported": ["plain"]}),
        json!({"id_token_signing_alg_values_supported": ["ES256", "none"]}),
    ] {
        assert!(metadata(changes.clone()).is_err(), "{changes}");
    }
}

#[test]
fn the_secret_goes_where_the_provider_takes_it() {
    let form = |ways: Value| metadata(json!({ "token_endpoint_auth_methods_supported": ways })).unwrap().sign_in.secret_in_form;
    assert!(!form(json!(null)) && !form(json!(["client_secret_post", "client_secret_basic"])) && !form(json!(["none"])));
    assert!(form(json!(["client_secret_post", "private_key_jwt"])));
}

/// A provider whose token endpoint answers as told; its addresses are set by hand, so that no metadata is asked.
fn signing_in(place: &Url) -> Provider {
    let at = |path: &str| Some(place.join(path).unwrap().into());
    let trust =
        Trust { authorization_endpoint: at("auth?realm=a"), token_endpoint: at("token"), jwks_uri: at("keys"), ..trust() };
    Provider::new(trust, Arc::new(FixedClock(super::now()))).expect("sound")
}

const REDIRECT: &str = "https://bonded.example/callback";

#[tokio::test]
async fn the_browser_is_sent_with_state_nonce_and_a_challenge_by_s256() {
    let place = Url::parse("http://127.0.0.1:9/").unwrap();
    let provider = signing_in(&place);
    let (url, pending) = provider.begin(REDIRECT).await.expect("begun");
    let query: std::collections::HashMap<_, _> = url.query_pairs().into_owned().collect();
    let kept = serde_json::to_value(&pending).unwrap();
    for (name, value) in [
        ("realm", "a"),
        ("response_type", "code"),
        ("client_id", CLIENT),
        ("redirect_uri", REDIRECT),
        ("scope", "openid email"),
        ("code_challenge_method", "S256"),
        ("state", kept["state"].as_str().unwrap()),
        ("nonce", kept["nonce"].as_str().unwrap()),
    ] {
        assert_eq!(query[name], value);
    }
    let verifier = kept["verifier"].as_str().unwrap();
    assert!(verifier.len() == 43 && !url.as_str().contains(verifier), "the verifier stays here");
    let digest = ring::digest::digest(&ring::digest::SHA256, verifier.as_bytes());
    assert_eq!(query["code_challenge"], super::b64(digest.as_ref()));
    let (_, other) = provider.begin(REDIRECT).await.expect("begun");
    let other = serde_json::to_value(&other).unwrap();
    assert!(["state", "nonce", "verifier"].iter().all(|name| kept[name] != other[name]));
    let shown = format!("{pending:?}");
    assert!(["state", "nonce", "verifier"].iter().all(|name| !shown.contains(kept[name].as_str().unwrap())), "{shown}");
    assert!(provider.begin("http://bonded.example/callback").await.is_err(), "the code would come back in the clear");
}

#[tokio::test]
async fn an_answer_to_another_sign_in_is_refused_before_the_provider_is_asked() {
    // Nobody listens there: whatever asked would answer `Retry`.
    let provider = signing_in(&Url::parse("http://127.0.0.1:9/").unwrap());
    let answer = |state: &str| Answer { state: Some(state.into()), code: Some("c".into()), ..Answer::default() };
    for wrong in ["", "x"] {
        let (_, pending) = provider.begin(REDIRECT).await.unwrap();
        assert_eq!(provider.finish(pending, &answer(wrong)).await.expect_err("state").kind(), ErrorKind::Refused);
    }
    let begin = || async {
        let (_, pending) = provider.begin(REDIRECT).await.unwrap();
        let state = serde_json::to_value(&pending).unwrap()["state"].as_str().unwrap().to_owned();
        (pending, state)
    };
    let (pending, state) = begin().await;
    let error = provider.finish(pending, &Answer { code: None, ..answer(&state) }).await.expect_err("no code");
    assert_eq!(error.kind(), ErrorKind::Refused);
    let (pending, state) = begin().await;
    let other = Answer { iss: Some("https://kettle.example".into()), ..answer(&state) };
    assert!(provider.finish(pending, &other).await.expect_err("mix-up").to_string().contains("another identity provider"));
    let (pending, state) = begin().await;
    let denied = Answer { error: Some("access_denied".into()), ..answer(&state) };
    assert!(provider.finish(pending, &denied).await.expect_err("denied").to_string().contains("access_denied"));
    let (pending, state) = begin().await;
    let scripted = Answer { error: Some("<script>alert(1)</script>".into()), ..answer(&state) };
    assert!(!provider.finish(pending, &scripted).await.expect_err("denied").to_string().contains("script"));
    let (pending, state) = begin().await;
    let mut old = serde_json::to_value(&pending).unwrap();
    old["expires_at"] = json!(super::now());
    let old = serde_json::from_value(old).unwrap();
    assert!(provider.finish(old, &answer(&state)).await.expect_err("late").to_string().contains("ten minutes"));
    let (pending, state) = begin().await;
    assert_eq!(provider.finish(pending, &answer(&state)).await.expect_err("nobody there").kind(), ErrorKind::Retry);
}

#[tokio::test]
async fn a_token_endpoint_that_fails_is_told_from_one_that_says_no() {
    for (answer, kind) in [
        ("HTTP/1.1 400 Bad\r\ncontent-length: 25\r\nconnection: close\r\n\r\n{\"error\":\"invalid_grant\"}", ErrorKind::Refused),
        ("HTTP/1.1 401 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", ErrorKind::Setup),
        ("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", ErrorKind::Retry),
        ("HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", ErrorKind::Retry),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}", ErrorKind::Refused),
        ("HTTP/1.1 200 OK\r\ncontent-length: 18\r\nconnection: close\r\n\r\n{\"id_token\":\"none\"}", ErrorKind::Refused),
    ] {
        let provider = signing_in(&server(move |_| Some(answer.to_owned())).await);
        let (_, pending) = provider.begin(REDIRECT).await.unwrap();
        let state = serde_json::to_value(&pending).unwrap()["state"].as_str().unwrap().to_owned();
        let answered = Answer { state: Some(state), code: Some("c".into()), ..Answer::default() };
        let error = provider.finish(pending, &answered).await.expect_err(answer);
        assert_eq!(error.kind(), kind, "{answer}: {error}");
    }
}
