//! Sessions from sign-in to their end.

use super::*;

#[tokio::test]
async fn a_member_signs_in_and_works_under_a_scope_of_their_own() {
    let office = Office::new().await;
    office.joined(TEAM, VIEWER, Role::Viewer).await;
    let signed = office.signed_in(&format!("  {} ", VIEWER.to_uppercase())).await;
    assert_eq!(signed.mfa, Mfa::Done);
    let before = office.caller(&signed.session_token).await.unwrap();
    assert!(before.tenant.is_none() && before.role.is_none(), "no team was chosen yet");

    let work =
        office.desk.choose_tenant(signed.session_token.reveal(), &TEAM.parse().unwrap(), &from("192.0.2.7")).await.unwrap();
    assert!(office.caller(&signed.session_token).await.is_none(), "the token before is worth nothing");
    let caller = office.desk.whoami(work.session_token.reveal(), &from("192.0.2.7")).await.unwrap().unwrap();
    let scope = caller.tenant.clone().unwrap();
    assert_eq!((scope.tenant().as_str(), caller.role, caller.mfa), (TEAM, Some(Role::Viewer), false));
    assert_eq!(scope.actor().name, VIEWER);
    assert_eq!((scope.actor().role, scope.actor().ip), (Some(Role::Viewer), Some("192.0.2.7".parse().unwrap())));
    assert!(caller.csrf_matches(&work.csrf) && !caller.csrf_matches(&signed.csrf) && !caller.csrf_matches(""));
    let elsewhere =
        office.desk.choose_tenant(work.session_token.reveal(), &OTHER_TEAM.parse().unwrap(), &from("192.0.2.7")).await;
    assert!(matches!(elsewhere, Err(Denied::NotFound(_))), "{elsewhere:?}");
}

#[tokio::test]
async fn a_session_ends_when_idle_and_when_old() {
    let office = Office::new().await;
    office.sign_up(VIEWER).await;
    let idle = office.signed_in(VIEWER).await.session_token;
    office.clock.forward(TimeDelta::minutes(29));
    assert!(office.caller(&idle).await.is_some());
    office.clock.forward(TimeDelta::minutes(29));
    assert!(office.caller(&idle).await.is_some(), "it was used in between");
    office.clock.forward(TimeDelta::minutes(30));
    assert!(office.caller(&idle).await.is_none());

    let busy = office.signed_in(VIEWER).await.session_token;
    for _ in 0..35 {
        office.clock.forward(TimeDelta::minutes(20));
        assert!(office.caller(&busy).await.is_some());
    }
    office.clock.forward(TimeDelta::minutes(20));
    assert!(office.caller(&busy).await.is_none(), "twelve hours are the end, used or not");
    office.clock.forward(TimeDelta::hours(13));
    assert!(office.desk.sweep().await.unwrap() >= 2, "what ended is removed");
}

#[tokio::test]
async fn a_person_sees_their_sessions_and_ends_any_of_them() {
    let office = Office::new().await;
    office.sign_up(VIEWER).await;
    office.sign_up(ADMIN).await;
    let here = office.signed_in(VIEWER).await.session_token;
    let there = office.desk.sign_in(VIEWER, &Password::new(PASSWORD), &from("192.0.2.200")).await.unwrap().session_token;
    let other = office.signed_in(ADMIN).await.session_token;
    let listed = office.desk.sessions(here.reveal()).await.unwrap();
    let seen: Vec<_> =
        listed.iter().map(|info| (info.ip.as_deref().unwrap(), info.agent.as_deref().unwrap(), info.current)).collect();
    assert_eq!(seen, [("192.0.2.1", "test", true), ("192.0.2.200", "test", false)]);
    let strange = office.desk.revoke_session(other.reveal(), &listed[1].session, &from("192.0.2.1")).await;
    assert!(matches!(strange, Err(Denied::NotFound(_))), "nobody ends another's: {strange:?}");
    office.desk.revoke_session(here.reveal(), &listed[1].session, &from("192.0.2.1")).await.unwrap();
    assert!(office.caller(&there).await.is_none() && office.caller(&here).await.is_some());
    office.desk.sign_out(here.reveal(), &from("192.0.2.1")).await.unwrap();
    assert!(office.caller(&here).await.is_none());
    office.desk.sign_out(here.reveal(), &from("192.0.2.1")).await.expect("a second time is nothing");
    for junk in ["", "0", &"0".repeat(64), &"x".repeat(100_000)] {
        assert!(office.desk.whoami(junk, &from("192.0.2.1")).await.unwrap().is_none());
    }
}
