//! Signing in at a real identity provider, and bearing its access tokens, through the real front desk.

use reqwest::{Client, StatusCode, Url, header, redirect::Policy};
use serde_json::Value;

use super::client::{Front, Person, Reply};
use crate::{
    oidc::{AUDIENCE, NOBODY, Op, TENANT},
    world::World,
};

struct Signing {
    front: Front,
    op: Op,
    /// Follows no redirect: the test is the browser.
    browser: Client,
    world: World,
}

impl Signing {
    fn start() -> Option<Self> {
        let op = Op::start()?;
        let world = World::new();
        world.ok(&["tenant", "add", TENANT]);
        let set = [
            ("BONDED_API_PLAIN", "true"),
            ("BONDED_DESK_URL", NOBODY),
            ("BONDED_OIDC_ISSUER", op.issuer.as_str()),
            ("BONDED_OIDC_AUDIENCE", AUDIENCE),
            ("BONDED_OIDC_CLIENT_ID", "bonded-public"),
        ];
        let front = Front::start(&world, &set);
        let browser = Client::builder().redirect(Policy::none()).build().expect("a client");
        Some(Self { front, op, browser, world })
    }

    /// Where the browser is sent, and the cookie that it keeps meanwhile.
    async fn begun(&self) -> (Url, String) {
        let reply = Front::reply(self.browser.get(format!("{}/v1/provider/sign-in", self.front.url))).await.expect(303);
        let place = reply.headers[header::LOCATION].to_str().unwrap().parse().unwrap();
        (place, cookies(&reply).remove(0))
    }

    async fn back(&self, query: &[(String, String)], cookie: &str) -> Reply {
        let request = self.browser.get(format!("{}/v1/provider/callback", self.front.url)).query(query);
        // As browsers say where the provider sent them back from.
        Front::reply(request.header(header::COOKIE, cookie).header("sec-fetch-site", "cross-site")).await
    }
}

fn cookies(reply: &Reply) -> Vec<String> {
    let all = reply.headers.get_all(header::SET_COOKIE).iter();
    all.map(|cookie| cookie.to_str().unwrap().split(';').next().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_signs_in_at_the_provider_and_nobody_else_does() {
    let Some(house) = Signing::start() else { return };
    // Before there is an account, the provider's word makes none.
    let (place, pending) = house.begun().await;
    let query: Vec<_> = house.op.browse(place, "owner").await.into_iter().collect();
    house.back(&query, &pending).await.expect(401);
    house.front.joined(&house.world, TENANT, "owner@nordwind.example", "owner").await;
    let (place, pending) = house.begun().await;
    assert!(!pending.contains("state") && pending.len() > 100, "{pending}");
    let query: Vec<_> = house.op.browse(place, "owner").await.into_iter().collect();
    // Without the browser's own cookie, or with another's, the answer is worth nothing; and it is not spent by that.
    house.back(&query, "").await.expect(401);
    let (_, other) = house.begun().await;
    house.back(&query, &other).await.expect(401);
    let back = house.back(&query, &pending).await.expect(303);
    assert_eq!(back.headers[header::LOCATION], "/v1/me");
    let session = cookies(&back).into_iter().find(|cookie| cookie.starts_with("bonded-plain=")).expect("a session");
    let person = Person { cookie: session, ..Person::default() };
    let me = house.front.get(&person, "/v1/me").await.expect(200).json();
    // The provider showed a second factor, so that nothing is owed; the role is the membership's.
    assert_eq!((&me["owes"], &me["teams"][0]["role"]), (&Value::Null, &Value::from("owner")), "{me}");
    // The same answer once more: the code is spent at the provider.
    house.back(&query, &pending).await.expect(401);
    // An address that the provider has not verified is nobody's.
    house.front.joined(&house.world, TENANT, "viewer@nordwind.example", "viewer").await;
    let (place, pending) = house.begun().await;
    let query: Vec<_> = house.op.browse(place, "viewer").await.into_iter().collect();
    house.back(&query, &pending).await.expect(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_token_of_the_provider_is_its_member_as_long_as_they_are_one() {
    let Some(house) = Signing::start() else { return };
    let tokens = house.op.person_tokens("owner").await;
    let token = tokens["access_token"].as_str().expect("a token");
    let bearer = Person::token(token);
    house.front.get(&bearer, "/v1/deliveries").await.expect(401);
    house.front.joined(&house.world, TENANT, "owner@nordwind.example", "owner").await;
    house.front.get(&bearer, "/v1/deliveries").await.expect(200);
    // What needs a fresh proof needs a person at the desk.
    house.front.get(&bearer, "/v1/audit/export").await.expect(403);
    house.front.get(&bearer, "/v1/me").await.expect(401);
    let forged = format!("{}x", &token[..token.len() - 1]);
    house.front.get(&Person::token(&forged), "/v1/deliveries").await.expect(401);
    // A machine of the provider's is no person of ours.
    let machine = house.op.machine_token().await;
    let refused = house.front.get(&Person::token(&machine), "/v1/deliveries").await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
}
