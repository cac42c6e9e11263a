//! Teams over HTTP: what a change of a member means to a session under way, and that the last owner stays.

use reqwest::Method;
use serde_json::json;

use super::client::{Front, PASSWORD, Person};
use crate::world::{OTHER, TENANT, World};

async fn member_id(front: &Front, owner: &Person, email: &str) -> String {
    let members = front.get(owner, "/v1/members").await.expect(200).json();
    let found = members.as_array().unwrap().iter().find(|member| member["email"] == email).expect("listed").clone();
    found["member"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_role_and_a_suspension_hold_in_the_next_request_of_a_live_session() {
    let world = World::new();
    let front = Front::start(&world, &[]);
    let owner = front.member(&world, TENANT, "owner@lantern.example", "owner").await;
    let operator = front.member(&world, TENANT, "operator@lantern.example", "operator").await;
    let path = format!("/v1/members/{}", member_id(&front, &owner, "operator@lantern.example").await);
    let reconcile = json!({ "checks": ["entry_check_digit"] });
    front.post(&operator, "/v1/reconcile", reconcile.clone()).await.expect(200);
    front.send(&owner, Method::PATCH, &path, Some(json!({ "role": "viewer" }))).await.expect(200);
    front.post(&operator, "/v1/reconcile", reconcile.clone()).await.expect(403);
    front.get(&operator, "/v1/deliveries").await.expect(200);
    front.send(&owner, Method::PATCH, &path, Some(json!({ "suspended": true }))).await.expect(200);
    let after = front.get(&operator, "/v1/deliveries").await.status.as_u16();
    assert!([401, 404].contains(&after), "{after}");
    // Each of them, and the two refusals, stand in the trail.
    let trail = front.get(&owner, "/v1/audit?limit=1000").await.expect(200).json();
    let told: Vec<(String, String)> = trail["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| (event["action"].as_str().unwrap().to_owned(), event["result"].as_str().unwrap().to_owned()))
        .collect();
    for (action, result) in [("member.role", "done"), ("member.suspend", "done"), ("POST /v1/reconcile", "refused: not allowed")]
    {
        assert!(told.iter().any(|(a, r)| a == action && r == result), "{action} {result}: {told:?}");
    }
    let changed = trail["items"].as_array().unwrap().iter().find(|event| event["action"] == "member.role").unwrap();
    assert_eq!((&changed["before"]["role"], &changed["after"]["role"]), (&json!("operator"), &json!("viewer")));
    assert_eq!(
        (&changed["actor"], &changed["role"], &changed["ip"]),
        (&json!("owner@lantern.example"), &json!("owner"), &json!("127.0.0.1"))
    );
    assert_eq!(changed["request_id"].as_str().unwrap().len(), 36);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_owner_stays_and_a_second_account_of_another_team_sees_neither() {
    let world = World::new();
    let front = Front::start(&world, &[]);
    let owner = front.member(&world, TENANT, "owner@lantern.example", "owner").await;
    let stranger = front.member(&world, OTHER, "owner@kettle.example", "owner").await;
    let path = format!("/v1/members/{}", member_id(&front, &owner, "owner@lantern.example").await);
    for change in [json!({ "role": "admin" }), json!({ "suspended": true })] {
        front.send(&owner, Method::PATCH, &path, Some(change)).await.expect(409);
    }
    front.send(&owner, Method::DELETE, &path, None).await.expect(409);
    front.send(&stranger, Method::DELETE, &path, None).await.expect(404);
    front.get(&owner, "/v1/members").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_accept_one_invite_at_the_same_moment_make_one_member() {
    let world = World::new();
    let front = Front::start(&world, &[]);
    let owner = front.member(&world, TENANT, "owner@lantern.example", "owner").await;
    let inviting = json!({ "email": "guest@lantern.example", "role": "viewer" });
    front.post(&owner, "/v1/invites", inviting).await.expect(201);
    let code = front.code("guest@lantern.example").await;
    let accepting = json!({ "email": "guest@lantern.example", "code": code, "password": PASSWORD });
    let nobody = Person::default();
    let accept = || front.post(&nobody, "/v1/invites/accept", accepting.clone());
    let replies = futures::future::join_all((0..4).map(|_| accept())).await;
    let statuses: Vec<u16> = replies.iter().map(|reply| reply.status.as_u16()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| *status < 500), "{statuses:?}");
    let members = front.get(&owner, "/v1/members").await.expect(200).json();
    assert_eq!(members.as_array().unwrap().len(), 2);
}
