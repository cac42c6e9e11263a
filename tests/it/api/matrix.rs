//! Every endpoint x every sort of caller, over HTTP, against `tests/golden/access-matrix.txt`.
//! An endpoint that the file does not list fails the test. `GOLDEN=write` writes the file anew; read the difference.

use std::{collections::BTreeSet, fmt::Write, path::PathBuf};

use bonded::demo::corpus::Corpus;
use bonded_schemas::Report;
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    client::{Front, PASSWORD, Person},
    uploads::{announcement, digest_of, piece},
};
use crate::world::{OTHER, TENANT, World, csv, random_plan};

const COLUMNS: [&str; 12] = [
    "owner",
    "admin",
    "operator",
    "viewer",
    "t-read",
    "t-query",
    "machine",
    "stranger",
    "no-mfa",
    "suspended",
    "teamless",
    "nobody",
];

/// What requests are about: things of the tenant that are there.
struct Things {
    delivery: String,
    drift: String,
    quarantine: String,
    finding: String,
    alert: String,
}

struct Cast {
    front: Front,
    /// Its folder goes when it is dropped.
    _world: World,
    people: Vec<Person>,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_endpoint_answers_every_sort_of_caller_as_the_golden_file_says() {
    let world = World::new();
    let things = furnish(&world, TENANT);
    furnish(&world, OTHER);
    let cast = cast(world).await;
    let listed = endpoints(&cast.front).await;
    let mut told = String::from("# METHOD path, then the status for each sort of caller; see tests/it/api/matrix.rs\n");
    writeln!(told, "{:<44}{}", "#", COLUMNS.map(|column| format!("{column:>10}")).concat()).unwrap();
    // Those that end sessions come last.
    let order = |endpoint: &(String, String)| (is_final(&endpoint.1), endpoint.1.clone(), endpoint.0.clone());
    let mut listed: Vec<_> = listed.into_iter().collect();
    listed.sort_by_key(order);
    for (method, path) in listed {
        let mut line = format!("{:<44}", format!("{method} {path}"));
        for (index, column) in COLUMNS.iter().enumerate() {
            let status = cast.ask(index, &method, &path, &things).await;
            assert!(status < 500, "{method} {path} as {column}: {status}");
            write!(line, "{status:>10}").unwrap();
        }
        writeln!(told, "{}", line.trim_end()).unwrap();
    }
    compare(&told);
}

fn is_final(path: &str) -> bool {
    [
        "/v1/sign-out",
        "/v1/step-up",
        "/v1/password/change",
        "/v1/me/authenticator/confirm",
        "/v1/sign-in/second-factor",
        "/v1/me/team",
    ]
    .contains(&path)
}

fn compare(told: &str) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/access-matrix.txt");
    if std::env::var("GOLDEN").is_ok_and(|word| word == "write") {
        std::fs::write(&file, told).expect("written");
    }
    let golden = std::fs::read_to_string(&file).expect("tests/golden/access-matrix.txt");
    for (told, golden) in told.lines().zip(golden.lines()) {
        assert_eq!(told, golden, "GOLDEN=write writes what is now; read the difference before");
    }
    assert_eq!(told.lines().count(), golden.lines().count(), "an endpoint came or went");
}

/// Method and path of all that `/openapi.json` lists.
async fn endpoints(front: &Front) -> BTreeSet<(String, String)> {
    let document = front.get(&Person::default(), "/openapi.json").await.expect(200).json();
    let paths = document["paths"].as_object().expect("paths");
    let listed = paths.iter().flat_map(|(path, item)| {
        item.as_object().expect("methods").keys().map(move |method| (method.to_uppercase(), path.clone()))
    });
    listed.collect()
}

/// Deliveries, an alert over a changed header, a quarantined file, findings.
fn furnish(world: &World, tenant: &str) -> Things {
    let (nda, dpa, letter) = ("NDA-1@2026-01-05", "DPA-1@2026-01-05", "EL-1@2026-01-05");
    world.ok(&["tenant", "engage", "--tenant", tenant, "--nda", nda, "--dpa", dpa, "--letter", letter, "--by", "counsel"]);
    let corpus = Corpus::new(random_plan(60).planting(1)).expect("fits");
    let files = world.corpus_files(tenant, &corpus);
    let receipts = world.ingest(tenant, &files);
    let text = String::from_utf8(csv(&corpus, Report::Es003)).expect("text");
    let mut lines = text.lines();
    let header = format!("{},House Remark", lines.next().expect("a header"));
    let widened: String = std::iter::once(header).chain(lines.map(|line| format!("{line},x"))).map(|line| line + "\n").collect();
    let changed = world.file(&format!("{tenant}/changed.csv"), widened);
    world.ingest(tenant, &[changed]);
    let odd = world.file(&format!("{tenant}/odd.csv"), format!("Colour,Weight\n{tenant},1\n"));
    world.run(&["ingest", "--tenant", tenant, odd.to_str().expect("text")]);
    for report in ["ES-001", "ES-002"] {
        let when = ["--cadence", "weekly Mon 06:00", "--zone", "America/New_York", "--grace", "6h"];
        world.ok(&[&["windows", "schedule", "set", "--tenant", tenant, "--report", report], when.as_slice()].concat());
    }
    world.json(&["reconcile", "--tenant", tenant]);
    let alerts = world.json(&["drift", "--tenant", tenant]);
    let fingerprint = |kind: &str| {
        let alert = alerts.iter().find(|alert| alert["alert"] == kind).unwrap_or_else(|| panic!("no {kind}: {alerts:?}"));
        alert["fingerprint"].as_str().expect("text").to_owned()
    };
    let open = world.json(&["alerts", "list", "--tenant", tenant]);
    let findings = world.json(&["finding", "list", "--tenant", tenant, "--all"]);
    Things {
        delivery: receipts[2]["delivery"]["id"]
            .as_str()
            .or(receipts[2]["receipt"]["delivery"]["id"].as_str())
            .expect("an id")
            .to_owned(),
        drift: fingerprint("drift"),
        quarantine: fingerprint("quarantine"),
        alert: open[0]["alert"].as_str().expect("an id").to_owned(),
        finding: findings.first().expect("a finding")["id"].as_str().expect("text").to_owned(),
    }
}

/// A caller for each column.
async fn cast(world: World) -> Cast {
    // Jobs of one caller may still run when the next asks, on a machine that has much to do.
    let front = Front::start(&world, &[("BONDED_API_QUERIES_MAX", "64"), ("BONDED_API_TENANT_QUERIES_MAX", "32")]);
    let owner = front.member(&world, TENANT, "owner@lantern.example", "owner").await;
    let admin = front.member(&world, TENANT, "admin@lantern.example", "admin").await;
    let operator = front.member(&world, TENANT, "operator@lantern.example", "operator").await;
    let viewer = front.member(&world, TENANT, "viewer@lantern.example", "viewer").await;
    let token = async |grant: &str| {
        let creating = json!({ "name": grant, "grants": [grant], "expires_at": in_days(30) });
        let made = front.post(&owner, "/v1/tokens", creating).await.expect(201).json();
        Person::token(made["secret"].as_str().expect("shown once"))
    };
    let (reads, queries) = (token("read").await, token("query").await);
    let adding = json!({ "name": "broker", "power_of_attorney": "POA-7", "until": in_days(30) });
    let machine = front.post(&owner, "/v1/machines", adding).await.expect(201).json();
    let machine = Person::token(machine["secret"].as_str().expect("shown once"));
    let stranger = front.member(&world, OTHER, "owner@kettle.example", "owner").await;
    let mut no_mfa = front.joined(&world, TENANT, "new-admin@lantern.example", "admin").await;
    front.turn(&mut no_mfa, "/v1/me/team", json!({ "team": TENANT })).await.expect(200);
    let suspended = front.member(&world, TENANT, "left@lantern.example", "operator").await;
    let members = front.get(&owner, "/v1/members").await.expect(200).json();
    let left =
        members.as_array().expect("a list").iter().find(|member| member["email"] == "left@lantern.example").expect("listed");
    let path = format!("/v1/members/{}", left["member"].as_str().expect("an id"));
    front.send(&owner, Method::PATCH, &path, Some(json!({ "suspended": true }))).await.expect(200);
    front.post(&Person::default(), "/v1/sign-up", json!({ "email": "alone@nowhere.example" })).await.expect(202);
    let code = front.code("alone@nowhere.example").await;
    let verifying = json!({ "email": "alone@nowhere.example", "code": code, "password": PASSWORD });
    front.post(&Person::default(), "/v1/sign-up/verify", verifying).await.expect(204);
    let teamless = front.sign_in("alone@nowhere.example", PASSWORD).await;
    let nobody = Person::default();
    let people = vec![owner, admin, operator, viewer, reads, queries, machine, stranger, no_mfa, suspended, teamless, nobody];
    assert_eq!(people.len(), COLUMNS.len());
    Cast { front, _world: world, people }
}

pub fn in_days(days: i64) -> String {
    use bonded_connectors::clock::{Clock, SystemClock};
    (SystemClock.now() + chrono::TimeDelta::days(days)).to_rfc3339()
}

impl Cast {
    async fn ask(&self, index: usize, method: &str, path: &str, things: &Things) -> u16 {
        let person = &self.people[index];
        let verb: Method = method.parse().expect("a method");
        if (method, path) == ("POST", "/v1/deliveries") {
            return self.upload(index).await;
        }
        if path.starts_with("/v1/uploads/") {
            return self.piecewise(person, verb, path, index).await;
        }
        let path_of_one = match path {
            "/v1/members/{member}" => path.replace("{member}", &self.somebody(&format!("{index}.{method}")).await),
            "/v1/identifiers/{identifier}/suspend" | "/v1/identifiers/{identifier}/resume" => {
                path.replace("{identifier}", &self.some_identifier().await)
            }
            "/v1/alerts/routes/{route}" | "/v1/alerts/routes/{route}/test" => path.replace("{route}", &self.some_route().await),
            "/v1/alerts/subscriptions/{route}" => path.replace("{route}", &self.own_subscription(person).await),
            // Owner and admin have one each to remove.
            "/v1/schedules/{report}" => path.replace("{report}", ["ES-001", "ES-002", "ES-003"][index.min(2)]),
            "/v1/tokens/{token}" => path.replace("{token}", &self.some_token().await),
            _ => path
                .replace("{delivery_id}", &things.delivery)
                .replace("{finding_id}", &things.finding)
                .replace("{alert}", &things.alert)
                .replace("{route}", "0123456789abcdef0123456789abcdef")
                .replace("{check_id}", "00000000-0000-7000-8000-000000000000")
                .replace("{phase}", "1")
                .replace("{session}", "0123456789abcdef0123456789abcdef")
                .replace("{job_id}", "00000000-0000-4000-8000-000000000000")
                .replace("{fingerprint}", if path.ends_with("/reject") { &things.quarantine } else { &things.drift }),
        };
        self.front.send(person, verb, &path_of_one, body(method, path, index)).await.status.as_u16()
    }

    /// Of an upload that the person begun, as far as they may, with its one piece for whoever is to end it.
    async fn piecewise(&self, person: &Person, verb: Method, path: &str, index: usize) -> u16 {
        let bytes = format!("{verb} {path} {index}").into_bytes();
        let begun = self.front.post(person, "/v1/uploads", announcement(&bytes)).await;
        let id = match begun.status.as_u16() {
            201 => begun.json()["upload"]["upload_id"].as_str().expect("an id").to_owned(),
            _ => "00000000-0000-4000-8000-000000000000".to_owned(),
        };
        let headers = [("upload-offset", "0".to_owned()), ("content-digest", digest_of(&bytes))];
        if verb == Method::PATCH {
            return piece(&self.front, person, &id, &headers, &bytes).await.status.as_u16();
        }
        if path.ends_with("/finish") {
            piece(&self.front, person, &id, &headers, &bytes).await;
        }
        let body = (verb == Method::POST).then(|| json!({}));
        self.front.send(person, verb, &path.replace("{upload_id}", &id), body).await.status.as_u16()
    }

    async fn upload(&self, index: usize) -> u16 {
        let person = &self.people[index];
        let url = format!("{}/v1/deliveries?file_name=sent.csv", self.front.url);
        let request = self.front.client.post(url).body(format!("Colour,Weight\n{index},2\n"));
        let request = match person.cookie.strip_prefix("Bearer ") {
            Some(token) => request.bearer_auth(token),
            None => request.header("cookie", &person.cookie).header("x-csrf-token", &person.csrf),
        };
        Front::reply(request).await.status.as_u16()
    }

    /// Somebody new in the team, to be changed or removed.
    async fn somebody(&self, name: &str) -> String {
        let inviting = json!({ "email": format!("{}@lantern.example", name.to_lowercase()), "role": "viewer" });
        let made = self.front.post(&self.people[0], "/v1/invites", inviting).await.expect(201).json();
        made["member"].as_str().expect("an id").to_owned()
    }

    /// One of the first tenant's: the owner made it, or another way was asked first.
    async fn some_identifier(&self) -> String {
        let listed = self.front.get(&self.people[0], "/v1/identifiers").await.expect(200).json();
        listed[0]["identifier"].as_str().expect("an id").to_owned()
    }

    async fn some_route(&self) -> String {
        let adding = json!({ "name": "brief", "roles": ["viewer"] });
        let made = self.front.post(&self.people[0], "/v1/alerts/routes", adding).await.expect(201).json();
        made["route"].as_str().expect("an id").to_owned()
    }

    /// Of those who may have one.
    async fn own_subscription(&self, person: &Person) -> String {
        let made = self.front.post(person, "/v1/alerts/subscriptions", json!({ "name": "brief" })).await;
        let id = made.status.is_success().then(|| made.json()["route"].as_str().expect("an id").to_owned());
        id.unwrap_or_else(|| "0123456789abcdef0123456789abcdef".into())
    }

    async fn some_token(&self) -> String {
        let creating = json!({ "name": "brief", "grants": ["read"], "expires_at": in_days(1) });
        let made = self.front.post(&self.people[0], "/v1/tokens", creating).await.expect(201).json();
        made["token"].as_str().expect("an id").to_owned()
    }
}

/// What makes the request one that could be carried out, or, of a person's own account, one that changes nothing.
fn body(method: &str, path: &str, index: usize) -> Option<Value> {
    let wrong = "not the right passphrase";
    Some(match (method, path) {
        ("POST", "/v1/sql" | "/v1/sql/jobs") => json!({ "sql": "SELECT 1" }),
        ("POST", "/v1/drift/{fingerprint}/accept") => json!({}),
        ("POST", "/v1/drift/{fingerprint}/reject") => json!({ "note": "a file of another house" }),
        ("POST", "/v1/uploads") => announcement(format!("of {index}").as_bytes()),
        ("POST", "/v1/reconcile") => json!({ "checks": ["entry_check_digit"] }),
        ("POST", "/v1/findings/{finding_id}/explain") => json!({ "note": "agreed with the broker" }),
        ("POST", "/v1/alerts/{alert}/acknowledge") => json!({ "note": "asking the broker" }),
        ("POST", "/v1/alerts/{alert}/resolve") => json!({ "cause": "mended" }),
        ("POST", "/v1/alerts/{alert}/mute") => json!({ "until": in_days(2) }),
        ("POST", "/v1/alerts/subscriptions") => json!({ "name": "mine", "filter": { "kinds": ["drift"] } }),
        ("POST", "/v1/alerts/routes") => json!({ "name": "on call", "roles": ["operator"], "escalate_after": "4h" }),
        ("PUT", "/v1/schedules/{report}") => json!({ "cadence": "daily 06:00", "zone": "UTC", "grace_minutes": 360 }),
        ("POST", "/v1/joint-checks/{check_id}/tick") => json!({ "step": 1 }),
        ("POST", "/v1/joint-checks/{check_id}/close") => json!({ "cause": "schedule_expired" }),
        ("POST", "/v1/invites") => json!({ "email": format!("guest{index}@lantern.example"), "role": "viewer" }),
        ("PUT", "/v1/mail/policy") => json!({ "proof": "record", "senders": ["nordwind.example"] }),
        ("PATCH", "/v1/members/{member}") => json!({ "role": "operator" }),
        ("POST", "/v1/tokens") => json!({ "name": "a", "grants": ["read"], "expires_at": in_days(1) }),
        ("POST", "/v1/identifiers/rotate") => json!({ "grace_days": 7 }),
        ("POST", "/v1/machines") => json!({ "name": "b", "power_of_attorney": "POA-8", "until": in_days(1) }),
        ("POST", "/v1/sign-up" | "/v1/password/forgot") => json!({ "email": format!("somebody{index}@nowhere.example") }),
        ("POST", "/v1/sign-up/verify") => {
            json!({ "email": format!("x{index}@nowhere.example"), "code": "000000", "password": PASSWORD })
        }
        ("POST", "/v1/invites/accept") => {
            json!({ "email": format!("y{index}@nowhere.example"), "code": "000000", "password": PASSWORD })
        }
        ("POST", "/v1/password/reset") => json!({ "token": "00.00", "password": PASSWORD }),
        ("POST", "/v1/sign-in") => json!({ "email": format!("z{index}@nowhere.example"), "password": wrong }),
        ("POST", "/v1/sign-in/second-factor" | "/v1/me/authenticator/confirm") => json!({ "code": "000000" }),
        ("POST", "/v1/step-up") => json!({ "password": wrong }),
        ("POST", "/v1/password/change") => json!({ "current": wrong, "new": PASSWORD }),
        ("POST", "/v1/me/team") => json!({ "team": "no-team-of-mine" }),
        _ => return None,
    })
}
