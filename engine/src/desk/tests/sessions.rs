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
