//! Uploads in pieces over HTTP: what a client is told, in the words of tus, and what it cannot do.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bonded_connectors::lake::copy::sha256;
use reqwest::{Method, header};
use serde_json::{Value, json};

use super::{
    client::{Front, Person, Reply},
    matrix::in_days,
};
use crate::world::{OTHER, TENANT, World, files_under};

/// The `Content-Digest` of these bytes.
pub fn digest_of(bytes: &[u8]) -> String {
    let hex = sha256(bytes);
    let digest: Vec<u8> = (0..32).map(|n| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).unwrap()).collect();
    format!("sha-256=:{}:", STANDARD.encode(digest))
}

/// One piece, with these headers.
pub async fn piece(front: &Front, person: &Person, id: &str, headers: &[(&str, String)], bytes: &[u8]) -> Reply {
    let mut request = front.client.patch(format!("{}/v1/uploads/{id}", front.url)).body(bytes.to_vec());
    request = match person.cookie.strip_prefix("Bearer ") {
        Some(token) => request.bearer_auth(token),
        None => request.header(header::COOKIE, &person.cookie).header("x-csrf-token", &person.csrf),
    };
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    Front::reply(request).await
}

fn at(offset: usize, bytes: &[u8]) -> [(&'static str, String); 2] {
    [("upload-offset", offset.to_string()), ("content-digest", digest_of(bytes))]
}

fn offset(reply: &Reply) -> u64 {
    reply.headers["upload-offset"].to_str().unwrap().parse().unwrap()
}

async fn machine(front: &Front, owner: &Person) -> Person {
    let adding = json!({ "name": "broker", "power_of_attorney": "POA-7", "until": in_days(30) });
    let made = front.post(owner, "/v1/machines", adding).await.expect(201).json();
    Person::token(made["secret"].as_str().unwrap())
}

pub fn announcement(bytes: &[u8]) -> Value {
    json!({ "file_name": "pieces.csv", "size_bytes": bytes.len(), "sha256": sha256(bytes) })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_comes_in_pieces_and_every_wrong_piece_is_refused() {
    let world = World::new();
    let front = Front::start(&world, &[("BONDED_UPLOADS_PIECE_BYTES_MAX", "262144"), ("BONDED_UPLOADS_OPEN_MAX", "2")]);
    let owner = front.member(&world, TENANT, "owner@lantern.example", "owner").await;
    let (broker, another) = (machine(&front, &owner).await, machine(&front, &owner).await);
    let bytes: Vec<u8> = b"Colour,Weight\n".iter().copied().cycle().take(300_000).collect();
    let begun = front.post(&broker, "/v1/uploads", announcement(&bytes)).await.expect(201);
    let upload = begun.json()["upload"].clone();
    let id = upload["upload_id"].as_str().unwrap().to_owned();
    assert_eq!(begun.headers["location"], format!("/v1/uploads/{id}").as_str());
    assert_eq!((&upload["offset_bytes"], &upload["piece_bytes_max"]), (&json!(0), &json!(262_144)));
    let path = format!("/v1/uploads/{id}");

    let first = &bytes[..262_144];
    piece(&front, &another, &id, &at(0, first), first).await.expect(404);
    piece(&front, &broker, &id, &at(0, first)[..1], first).await.expect(400);
    piece(&front, &broker, &id, &at(0, first)[1..], first).await.expect(400);
    piece(&front, &broker, &id, &at(0, b"other"), first).await.expect(460);
    piece(&front, &broker, &id, &at(0, &bytes[..262_145]), &bytes[..262_145]).await.expect(413);
    piece(&front, &broker, &id, &at(0, &bytes[..10]), &bytes[..10]).await.expect(422);
    assert_eq!(offset(&piece(&front, &broker, &id, &at(5, first), first).await.expect(409)), 0);
    front.post(&broker, &format!("{path}/finish"), json!({})).await.expect(409);
    assert_eq!(offset(&piece(&front, &broker, &id, &at(0, first), first).await.expect(204)), 262_144);
    assert_eq!(offset(&piece(&front, &broker, &id, &at(0, first), first).await.expect(409)), 262_144);

    // Where it stands: asked in three ways, by the one whose it is.
    let head = front.send(&broker, Method::HEAD, &path, None).await.expect(200);
    assert_eq!((offset(&head), &head.headers["upload-length"], head.body.len()), (262_144, &"300000".parse().unwrap(), 0));
    assert_eq!(head.headers["cache-control"], "no-store");
    let told = world.json(&["audit", "--tenant", TENANT, "--action", "HEAD /v1/uploads/{upload_id}"]);
    assert_eq!(told.len(), 1, "what was asked by HEAD is written down like what was read");
    for place in files_under(&world.lake()) {
        let kept = std::fs::read(&place).unwrap();
        for clear in [&b"Colour,Weight"[..], b"pieces.csv", sha256(&bytes).as_bytes()] {
            assert!(!kept.windows(clear.len()).any(|window| window == clear), "{} holds it in the clear", place.display());
        }
    }
    assert_eq!(front.get(&broker, &path).await.expect(200).json()["offset_bytes"], 262_144);
    let again = front.post(&broker, "/v1/uploads", announcement(&bytes)).await.expect(200).json();
    assert_eq!((&again["upload"]["upload_id"], &again["upload"]["offset_bytes"]), (&json!(id), &json!(262_144)));
    for stranger in [&another, &owner] {
        front.get(stranger, &path).await.expect(404);
        front.send(stranger, Method::DELETE, &path, None).await.expect(404);
        front.post(stranger, &format!("{path}/finish"), json!({})).await.expect(404);
    }
    // As many as may be.
    front.post(&broker, "/v1/uploads", announcement(b"second")).await.expect(201);
    let full = front.post(&another, "/v1/uploads", announcement(b"third")).await.expect(429);
    assert!(full.headers.contains_key("retry-after"));

    let rest = &bytes[262_144..];
    assert_eq!(offset(&piece(&front, &broker, &id, &at(262_144, rest), rest).await.expect(204)), 300_000);
    let done = front.post(&broker, &format!("{path}/finish"), json!({})).await.expect(202).json();
    // Whoever did not hear the answer asks again, or begins again; another machine need not send a byte.
    for caller in [&broker, &another] {
        let known = front.post(caller, "/v1/uploads", announcement(&bytes)).await.expect(200);
        assert_eq!(known.json()["delivery"]["delivery_id"], done["delivery_id"]);
        assert_eq!(known.headers["location"], format!("/v1/deliveries/{}", done["delivery_id"].as_str().unwrap()).as_str());
    }
    let again = front.post(&broker, &format!("{path}/finish"), json!({})).await;
    assert!(again.status.is_success() && again.json()["delivery_id"] == done["delivery_id"], "{}", again.text());
    // In another tenant nobody knows of it.
    let stranger = front.member(&world, OTHER, "owner@kettle.example", "owner").await;
    front.post(&stranger, "/v1/uploads", announcement(&bytes)).await.expect(201);
    let got = world.run(&["raw", "get", done["delivery_id"].as_str().unwrap()]);
    assert!(got.stdout == bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn announcements_that_cannot_be_and_wholes_that_are_not_are_refused() {
    let world = World::new();
    let front = Front::start(&world, &[("BONDED_INGEST_FILE_BYTES_MAX", "1000000")]);
    let operator = front.member(&world, TENANT, "operator@lantern.example", "operator").await;
    let good = announcement(b"whole");
    for (name, value, status) in [
        ("file_name", json!(""), 422),
        ("file_name", json!("x".repeat(256)), 422),
        ("size_bytes", json!(-1), 422),
        ("size_bytes", json!(1_000_001), 413),
        ("sha256", json!("00"), 422),
        ("sha256", json!("Z".repeat(64)), 422),
        ("tenant", json!(OTHER), 422),
    ] {
        let mut wrong = good.clone();
        wrong[name] = value;
        front.post(&operator, "/v1/uploads", wrong).await.expect(status);
    }
    // Each piece is what it says, and the whole is not.
    let id = front.post(&operator, "/v1/uploads", good).await.expect(201).json()["upload"]["upload_id"].clone();
    let id = id.as_str().unwrap();
    piece(&front, &operator, id, &at(0, b"other"), b"other").await.expect(204);
    front.post(&operator, &format!("/v1/uploads/{id}/finish"), json!({})).await.expect(460);
    front.get(&operator, &format!("/v1/uploads/{id}")).await.expect(404);
    assert_eq!(world.json(&["deliveries", "--tenant", TENANT]), Vec::<Value>::new());
    // Given up.
    let id = front.post(&operator, "/v1/uploads", announcement(b"whole")).await.expect(201).json()["upload"]["upload_id"].clone();
    let path = format!("/v1/uploads/{}", id.as_str().unwrap());
    front.send(&operator, Method::DELETE, &path, None).await.expect(204);
    front.send(&operator, Method::DELETE, &path, None).await.expect(404);
}
