//! Requests as browsers, programs and attackers send them.

use std::{
    io::{Read, Write},
    time::Duration,
};

use bonded::demo::corpus::Corpus;
use reqwest::{Method, header};
use serde_json::json;

use super::{
    client::{Front, PASSWORD, Person},
    matrix::in_days,
};
use crate::world::{OTHER, TENANT, World, random_plan};

async fn peopled() -> (World, Front, Person) {
    let world = World::new();
    let corpus = Corpus::new(random_plan(40)).expect("fits");
    let files = world.corpus_files("a", &corpus);
    world.ingest(TENANT, &files);
    let other = Corpus::new(random_plan(40)).expect("fits");
    let files = world.corpus_files("b", &other);
    world.ingest(OTHER, &files);
    let front = Front::start(&world, &[]);
    let operator = front.member(&world, TENANT, "operator@lantern.example", "operator").await;
    (world, front, operator)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_in_path_query_header_or_body_chooses_nothing() {
    let (world, front, operator) = peopled().await;
    let secret = world.ask(OTHER, "SELECT min(entry_summary_number) AS n FROM entry_summaries")["n"].as_str().unwrap().to_owned();
    let ours = world.ask(TENANT, "SELECT count(*) AS n FROM entry_summaries")["n"].clone();
    let document = front.get(&Person::default(), "/openapi.json").await.expect(200).json();
    let mut tried = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        if methods.get("get").is_none() || path.contains('{') {
            continue;
        }
        for name in ["tenant", "tenant_id", "team", "scope", "x-tenant"] {
            let asked = front.get(&operator, &format!("{path}?{name}={OTHER}")).await;
            assert!(!asked.text().contains(&secret), "{path}?{name}");
            assert!(asked.status.as_u16() < 500, "{path}?{name}: {}", asked.text());
            tried += 1;
        }
        let request = front.client.get(format!("{}{path}", front.url)).header(header::COOKIE, &operator.cookie);
        let asked = Front::reply(
            request.header("x-tenant", OTHER).header("x-tenant-id", OTHER).header("host", format!("{OTHER}.example")),
        )
        .await;
        assert!(!asked.text().contains(&secret), "{path} by header");
    }
    assert!(tried > 50, "{tried}");
    for body in [
        json!({ "sql": "SELECT count(*) AS n FROM entry_summaries", "tenant": OTHER }),
        json!({ "sql": "SELECT count(*) AS n FROM entry_summaries", "scope": { "tenant": OTHER } }),
    ] {
        front.post(&operator, "/v1/sql", body).await.expect(422);
    }
    let answer = front
        .post(&operator, &format!("/v1/sql?tenant={OTHER}"), json!({ "sql": "SELECT count(*) AS n FROM entry_summaries" }))
        .await
        .expect(200);
    assert_eq!(answer.json()["n"], ours);
    // Another tenant's team is one that is not there.
    let mut operator = operator;
    front.turn(&mut operator, "/v1/me/team", json!({ "team": OTHER })).await.expect(404);
    for path in [format!("/v1/{OTHER}/deliveries"), format!("/{OTHER}/v1/deliveries"), format!("/v1/deliveries/{OTHER}")] {
        front.get(&operator, &path).await.expect(404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_landed_worked_off_and_the_same_bytes_add_nothing() {
    let (world, front, operator) = peopled().await;
    let corpus = Corpus::new(random_plan(30)).expect("fits");
    let file = world.corpus_files("c", &corpus).remove(2);
    let bytes = std::fs::read(&file).unwrap();
    let send = async || {
        let url = format!("{}/v1/deliveries?file_name=ES-003.csv", front.url);
        let request = front.client.post(url).header(header::COOKIE, &operator.cookie).header("x-csrf-token", &operator.csrf);
        Front::reply(request.body(bytes.clone())).await
    };
    let first = send().await.expect(202);
    let at = first.headers[header::LOCATION].to_str().unwrap().to_owned();
    let receipt = loop {
        let reply = front.get(&operator, &at).await;
        match reply.status.as_u16() {
            202 => tokio::time::sleep(Duration::from_millis(100)).await,
            _ => break reply.expect(200).json(),
        }
    };
    assert_eq!(receipt["state"], "committed", "{receipt}");
    assert_eq!(receipt["delivery"]["channel"], "api");
    assert_eq!(receipt["delivery"]["actor"], "operator@lantern.example");
    let again = send().await.expect(200).json();
    assert_eq!(again["delivery_id"], first.json()["delivery_id"]);
    // The bytes come back as they were sent, once the operator has proved it is them.
    let raw = front.get(&operator, &format!("{at}/raw")).await.expect(200);
    assert!(raw.body == bytes);
    // In pages of one, the newest first, without a gap.
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = front.get(&operator, &format!("/v1/deliveries?limit=1{cursor}")).await.expect(200).json();
        ids.extend(page["items"].as_array().unwrap().iter().map(|item| item["delivery_id"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let mut sorted = ids.clone();
    sorted.sort_by(|a, b| b.cmp(a));
    sorted.dedup();
    assert_eq!((ids.len(), &ids), (4, &sorted));
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_answers_in_every_form_and_a_job_can_be_fetched_or_cancelled() {
    let (world, front, operator) = peopled().await;
    let sql = json!({ "sql": "SELECT entry_summary_number, line_tariff_duty_amount FROM tariff_lines ORDER BY 1, 2" });
    let form = async |accept: &str| {
        let request = front.client.post(format!("{}/v1/sql", front.url)).header(header::COOKIE, &operator.cookie);
        Front::reply(request.header("x-csrf-token", &operator.csrf).header(header::ACCEPT, accept).json(&sql)).await
    };
    let lines = form("application/x-ndjson").await.expect(200).text();
    let csv = form("text/csv").await.expect(200).text();
    let arrow = form("application/vnd.apache.arrow.stream").await.expect(200);
    let rows: usize = arrow::ipc::reader::StreamReader::try_new(arrow.body.as_slice(), None)
        .unwrap()
        .map(|batch| batch.unwrap().num_rows())
        .sum();
    assert!(rows > 0);
    assert_eq!((lines.lines().count(), csv.lines().count()), (rows, rows + 1));
    form("image/png").await.expect(406);
    let begun = front.post(&operator, "/v1/sql/jobs", sql.clone()).await.expect(202);
    let at = begun.headers[header::LOCATION].to_str().unwrap().to_owned();
    while front.get(&operator, &at).await.expect(200).json()["state"] == "running" {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(front.get(&operator, &format!("{at}/answer")).await.expect(200).text(), lines);
    front.send(&operator, Method::DELETE, &at, None).await.expect(204);
    front.get(&operator, &at).await.expect(404);
    // One that would go on and on ends when it is let go of: its seat is free again.
    let endless =
        json!({ "sql": "SELECT count(*) FROM tariff_lines a, tariff_lines b, tariff_lines c, tariff_lines d, tariff_lines e" });
    for _ in 0..12 {
        let begun = front.post(&operator, "/v1/sql/jobs", endless.clone()).await.expect(202);
        let at = begun.headers[header::LOCATION].to_str().unwrap().to_owned();
        front.send(&operator, Method::DELETE, &at, None).await.expect(204);
    }
    let asked = world.json(&["audit", "--tenant", TENANT, "--action", "query"]);
    assert!(asked.iter().any(|event| event["object"].as_str().is_some_and(|sql| sql.contains("tariff_lines"))), "{asked:?}");
    let tables = front.get(&operator, "/v1/tables").await.expect(200).text();
    assert!(!tables.contains("file://"), "{tables}");
    for bad in ["SELEC 1", "SELECT * FROM nowhere", "DROP TABLE es_003", "SELECT 1; SELECT 2", "COPY es_003 TO 'x'"] {
        let refused = front.post(&operator, "/v1/sql", json!({ "sql": bad })).await;
        assert!([403, 422].contains(&refused.status.as_u16()), "{bad}: {} {}", refused.status, refused.text());
        assert_eq!(refused.headers[header::CONTENT_TYPE], "application/problem+json");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_names_itself_is_carried_out_once() {
    let world = World::new();
    let front = Front::start(&world, &[]);
    let owner = front.member(&world, TENANT, "owner@lantern.example", "owner").await;
    let expires_at = in_days(30);
    let send = async |key: &str, name: &str| {
        let request = front.client.post(format!("{}/v1/tokens", front.url)).header(header::COOKIE, &owner.cookie);
        let request = request.header("x-csrf-token", &owner.csrf).header("idempotency-key", key);
        Front::reply(request.json(&json!({ "name": name, "grants": ["read"], "expires_at": expires_at }))).await
    };
    send("k-1", "nightly").await.expect(201);
    // Carried out once; and the secret that it showed is kept nowhere.
    send("k-1", "nightly").await.expect(409);
    send("k-1", "another").await.expect(422);
    // Refused ones are not kept: a name that is too long, then one that is not.
    send("k-2", &"x".repeat(101)).await.expect(422);
    send("k-2", "weekly").await.expect(201);
    let at_once = futures::future::join_all((0..8).map(|_| send("k-4", "hourly"))).await;
    assert_eq!(at_once.iter().filter(|reply| reply.status == 201).count(), 1);
    assert!(at_once.iter().all(|reply| [201, 409].contains(&reply.status.as_u16())));
    let tokens = front.get(&owner, "/v1/tokens").await.expect(200).json();
    assert_eq!(tokens.as_array().unwrap().len(), 3);
    // What shows no secret is answered again as it was.
    let invite = async |key: &str| {
        let request = front.client.post(format!("{}/v1/invites", front.url)).header(header::COOKIE, &owner.cookie);
        let request = request.header("x-csrf-token", &owner.csrf).header("idempotency-key", key);
        Front::reply(request.json(&json!({ "email": "guest@lantern.example", "role": "viewer" }))).await
    };
    let first = invite("k-5").await.expect(201);
    let again = invite("k-5").await.expect(201);
    assert_eq!((&again.body, &again.headers["idempotency-replayed"]), (&first.body, &header::HeaderValue::from_static("true")));
    front.code("guest@lantern.example").await;
    assert_eq!(front.letters("guest@lantern.example").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn cookies_headers_and_tags_are_those_of_a_careful_server() {
    let (_world, front, operator) = peopled().await;
    let signing = json!({ "email": "operator@lantern.example", "password": PASSWORD });
    let signed_in = front.post(&Person::default(), "/v1/sign-in", signing).await.expect(200);
    let cookie = signed_in.headers[header::SET_COOKIE].to_str().unwrap();
    for part in ["__Host-bonded=", "; HttpOnly", "; Secure", "; SameSite=Lax", "; Path=/"] {
        assert!(cookie.contains(part), "{part}: {cookie}");
    }
    assert!(!cookie.contains("Domain"));
    let reply = front.get(&operator, "/v1/deliveries").await.expect(200);
    for (name, value) in [
        ("strict-transport-security", "max-age=63072000; includeSubDomains; preload"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
    ] {
        assert_eq!(reply.headers[name], value);
    }
    assert!(reply.headers["content-security-policy"].to_str().unwrap().contains("frame-ancestors 'none'"));
    assert_eq!(reply.headers["x-request-id"].len(), 36);
    let tag = reply.headers[header::ETAG].clone();
    let request = front.client.get(format!("{}/v1/deliveries", front.url)).header(header::COOKIE, &operator.cookie);
    let known = Front::reply(request.header(header::IF_NONE_MATCH, tag)).await;
    assert_eq!((known.status.as_u16(), known.body.len()), (304, 0));
    // A session's request that changes something needs the session's word, and must not come from elsewhere.
    let url = format!("{}/v1/sql", front.url);
    let request = || front.client.post(&url).header(header::COOKIE, &operator.cookie).json(&json!({ "sql": "SELECT 1" }));
    Front::reply(request()).await.expect(403);
    Front::reply(request().header("x-csrf-token", "0".repeat(64))).await.expect(403);
    Front::reply(request().header("x-csrf-token", &operator.csrf).header("sec-fetch-site", "cross-site")).await.expect(403);
    Front::reply(request().header("x-csrf-token", &operator.csrf).bearer_auth("bonded_a_b_c")).await.expect(400);
    Front::reply(request().header("x-csrf-token", &operator.csrf).header("sec-fetch-site", "same-origin")).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_get_a_clean_refusal_and_leave_nothing_behind() {
    let (_world, front, operator) = peopled().await;
    let before = front.get(&operator, "/v1/deliveries").await.expect(200).text();
    let raw = |path: &str, kind: &str, body: Vec<u8>| {
        let request = front.client.post(format!("{}{path}", front.url)).header(header::COOKIE, &operator.cookie);
        Front::reply(request.header("x-csrf-token", &operator.csrf).header(header::CONTENT_TYPE, kind).body(body))
    };
    let json_type = "application/json";
    for (body, status) in [
        (b"{".to_vec(), 400),
        (b"{\"sql\": \"SELECT \xff\xfe\"}".to_vec(), 400),
        (b"[]".to_vec(), 422),
        (b"{\"sql\": 1}".to_vec(), 422),
        (b"null".to_vec(), 422),
        (b"{\"sql\": \"\\u0000\"}".to_vec(), 422),
        (format!("{{\"sql\": \"{}\"}}", "a".repeat(2 << 20)).into_bytes(), 413),
        ("[".repeat(100_000).into_bytes(), 422),
    ] {
        let begin = String::from_utf8_lossy(&body[..body.len().min(30)]).into_owned();
        let reply = raw("/v1/sql", json_type, body).await;
        assert_eq!(reply.status.as_u16(), status, "{begin}: {}", reply.text());
        assert_eq!(reply.headers[header::CONTENT_TYPE], "application/problem+json", "{begin}");
    }
    raw("/v1/sql", "text/plain", b"{\"sql\": \"SELECT 1\"}".to_vec()).await.expect(415);
    for path in
        ["/v1/deliveries?limit=0", "/v1/deliveries?limit=1001", "/v1/deliveries?cursor=%25%25", "/v1/findings?state=asleep"]
    {
        front.get(&operator, path).await.expect(422);
    }
    for path in ["/v1/deliveries?limit=many", "/v1/deliveries?limit=1&limit=2", "/v1/deliveries?what=ever"] {
        front.get(&operator, path).await.expect(400);
    }
    for path in ["/v1/deliveries/not-an-id", "/v1/deliveries/00000000-0000-4000-8000-000000000000", "/v1/nowhere", "/"] {
        front.get(&operator, path).await.expect(404);
    }
    front.send(&operator, Method::PUT, "/v1/deliveries", None).await.expect(405);
    let odd = json!({ "columns": [{ "name": "", "kind": "" }] });
    front.post(&operator, &format!("/v1/drift/{}/accept", "0".repeat(64)), odd.clone()).await.expect(422);
    front.post(&operator, "/v1/drift/0/accept", odd).await.expect(404);
    for cookie in [
        "__Host-bonded=",
        "__Host-bonded=abc",
        "__Host-bonded=%00",
        &format!("__Host-bonded={}", "f".repeat(64)),
        "=;;;=",
        "\u{1}",
    ] {
        let request = front.client.get(format!("{}/v1/deliveries", front.url));
        let Ok(value) = header::HeaderValue::from_str(cookie) else { continue };
        let status = Front::reply(request.header(header::COOKIE, value)).await.status.as_u16();
        assert!([400, 401].contains(&status), "{cookie}: {status}");
    }
    for token in ["", "x", "bonded_", "bonded_fictional-lantern_1_2", "eyJhbGciOiJub25lIn0.e30.", &"a".repeat(9000)] {
        front.get(&Person::token(token), "/v1/deliveries").await.expect(401);
    }
    assert_eq!(front.get(&operator, "/v1/deliveries").await.expect(200).text(), before);
}

/// Over a bare socket, since no client library sends such things.
#[test]
fn slow_and_broken_connections_hold_no_worker_and_leave_nothing_behind() {
    let world = World::new();
    let front = Front::start(&world, &[("BONDED_API_PLAIN", "true"), ("BONDED_API_UPLOAD_PAUSE_MAX", "1s")]);
    let address = front.url.strip_prefix("http://").expect("plain").to_owned();
    let talk = |bytes: &[u8]| {
        let mut socket = std::net::TcpStream::connect(&address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        socket.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        // A reset is an answer as well.
        let _ = socket.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    };
    // Half a head: closed after the time for heads, without a word or with a 408.
    let many: Vec<_> = (0..200)
        .map(|_| {
            let mut socket = std::net::TcpStream::connect(&address).unwrap();
            socket.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-Slow: ").unwrap();
            socket
        })
        .collect();
    let answer = talk(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    drop(many);
    for head in [
        "GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n",
        "GET /healthz HTTP/9.9\r\nHost: a\r\n\r\n",
        "\0\0\0\0\r\n\r\n",
        "GET /\u{1} HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let answer = talk(head.as_bytes());
        assert!(!answer.contains(" 500 "), "{head:?}: {answer}");
    }
    let long = format!("GET /healthz HTTP/1.1\r\nHost: a\r\nX-Long: {}\r\n\r\n", "a".repeat(200_000));
    assert!(talk(long.as_bytes()).starts_with("HTTP/1.1 431"));
    let wide: String = (0..200).map(|n| format!("X-{n}: a\r\n")).collect();
    assert!(talk(format!("GET /healthz HTTP/1.1\r\nHost: a\r\n{wide}\r\n").as_bytes()).starts_with("HTTP/1.1 431"));
}
