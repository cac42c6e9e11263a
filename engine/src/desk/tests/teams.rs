//! Teams: who gets in, who may change whom, and that somebody always owns one.

use super::*;

/// The scope of somebody at work.
async fn scope_of(office: &Office, someone: &Someone) -> TenantScope {
    office.caller(&someone.token).await.unwrap().tenant.expect("at work")
}

#[tokio::test]
async fn two_who_accept_one_invite_at_the_same_moment_are_one_member() {
    let office = Office::new().await;
    one_invite_makes_one_member(&office).await;
}

pub(super) async fn one_invite_makes_one_member(office: &Office) {
    office.desk.invite(&console(TEAM), VIEWER, Role::Viewer).await.unwrap();
    let code = office.mailed_code(VIEWER).await;
    let passwords = [Password::new(PASSWORD), Password::new("quite another wind, from the east")];
    let origin = from("192.0.2.1");
    let accepts = passwords.iter().map(|password| office.desk.accept_invite(None, VIEWER, &code, Some(password), &origin));
    let both = futures::future::join_all(accepts).await;
    assert_eq!(both.iter().filter(|answer| answer.is_ok()).count(), 1, "{both:?}");
    let members = office.desk.members(&console(TEAM)).await.unwrap();
    let states: Vec<_> = members.iter().filter(|m| m.email == VIEWER).map(|member| member.state).collect();
    assert_eq!(states, [MemberState::Active]);
    let mut sign_ins = 0;
    for password in &passwords {
        sign_ins += usize::from(office.desk.sign_in(VIEWER, password, &origin).await.is_ok());
    }
    assert_eq!(sign_ins, 1, "one account, with one of the two passwords");
    let late = office.desk.accept_invite(None, VIEWER, &code, Some(&passwords[0]), &origin).await;
    assert!(matches!(late, Err(Denied::Credentials)), "the code is used: {late:?}");
}

#[tokio::test]
async fn an_address_with_an_account_signs_in_before_it_joins() {
    let office = Office::new().await;
    office.sign_up(VIEWER).await;
    office.sign_up(ADMIN).await;
    office.desk.invite(&console(TEAM), VIEWER, Role::Viewer).await.unwrap();
    let code = office.mailed_code(VIEWER).await;
    let (origin, password) = (from("192.0.2.1"), Password::new("quite another wind, from the east"));
    let accept = async |token: Option<&str>| office.desk.accept_invite(token, VIEWER, &code, Some(&password), &origin).await;
    assert!(matches!(accept(None).await, Err(Denied::SignInFirst)), "an invite sets no password of an account");
    let other = office.signed_in(ADMIN).await;
    assert!(
        matches!(accept(Some(other.session_token.reveal())).await, Err(Denied::SignInFirst)),
        "nor does another's session do"
    );
    let own = office.signed_in(VIEWER).await;
    let accepted = accept(Some(own.session_token.reveal())).await.unwrap();
    assert_eq!((accepted.tenant.as_str(), accepted.role, accepted.new_account), (TEAM, Role::Viewer, false));
    office.at_work(TEAM, VIEWER).await;
}

#[tokio::test]
async fn an_invite_that_was_taken_back_or_has_expired_lets_nobody_in() {
    let office = Office::new().await;
    let (origin, password) = (from("192.0.2.1"), Password::new(PASSWORD));
    let invited = office.desk.invite(&console(TEAM), VIEWER, Role::Viewer).await.unwrap();
    let code = office.mailed_code(VIEWER).await;
    office.desk.remove_member(&console(TEAM), &invited.member).await.unwrap();
    let answer = office.desk.accept_invite(None, VIEWER, &code, Some(&password), &origin).await;
    assert!(matches!(answer, Err(Denied::Credentials)), "{answer:?}");

    office.desk.invite(&console(TEAM), VIEWER, Role::Viewer).await.unwrap();
    let first = office.mailed_code(VIEWER).await;
    let again = office.desk.invite(&console(TEAM), VIEWER, Role::Operator).await.unwrap();
    let second = office.mailed_code(VIEWER).await;
    assert_eq!(again.role, Role::Operator);
    if first != second {
        let answer = office.desk.accept_invite(None, VIEWER, &first, Some(&password), &origin).await;
        assert!(matches!(answer, Err(Denied::Credentials)), "another code took its place: {answer:?}");
    }
    office.clock.forward(TimeDelta::minutes(15));
    let answer = office.desk.accept_invite(None, VIEWER, &second, Some(&password), &origin).await;
    assert!(matches!(answer, Err(Denied::Credentials)), "{answer:?}");
}

#[tokio::test]
async fn a_team_always_keeps_an_active_owner_also_when_two_step_down_at_the_same_moment() {
    let office = Office::new().await;
    a_team_keeps_an_owner(&office).await;
}

pub(super) async fn a_team_keeps_an_owner(office: &Office) {
    let one = office.joined(TEAM, "first.owner@nordwind.example", Role::Owner).await;
    let alone = office.desk.set_role(&console(TEAM), &one.member, Role::Admin).await;
    assert!(matches!(alone, Err(Denied::Conflict(_))), "{alone:?}");
    assert!(matches!(office.desk.suspend(&console(TEAM), &one.member).await, Err(Denied::Conflict(_))));
    assert!(matches!(office.desk.remove_member(&console(TEAM), &one.member).await, Err(Denied::Conflict(_))));
    office.desk.invite(&console(TEAM), "invited@nordwind.example", Role::Owner).await.unwrap();
    assert!(matches!(office.desk.suspend(&console(TEAM), &one.member).await, Err(Denied::Conflict(_))), "an invite is no owner");

    let two = office.joined(TEAM, "second.owner@nordwind.example", Role::Owner).await;
    for round in 0..5 {
        let scope = console(TEAM);
        let down = async |member: &Member, by_role: bool| match by_role {
            true => office.desk.set_role(&scope, &member.member, Role::Viewer).await.map(|_| ()),
            false => office.desk.suspend(&scope, &member.member).await.map(|_| ()),
        };
        let both = futures::future::join_all([down(&one, true), down(&two, round % 2 == 0)]).await;
        assert_eq!(both.iter().filter(|answer| answer.is_ok()).count(), 1, "round {round}: {both:?}");
        let members = office.desk.members(&scope).await.unwrap();
        let owns = |member: &&Member| member.role == Role::Owner && member.state == MemberState::Active;
        assert_eq!(members.iter().filter(owns).count(), 1, "round {round}: {members:?}");
        for member in [&one, &two] {
            office.desk.resume(&scope, &member.member).await.unwrap();
            office.desk.set_role(&scope, &member.member, Role::Owner).await.unwrap();
        }
    }
    let refused = office.team_trail(TEAM).await.iter().filter(|event| event.result.contains("needs an active owner")).count();
    assert_eq!(refused, 9, "each refusal is in the trail");
}

#[tokio::test]
async fn only_owners_change_owners_and_only_owners_and_admins_change_the_team() {
    let office = Office::new().await;
    let owner = office.joined(TEAM, OWNER, Role::Owner).await;
    let admin = office.joined(TEAM, ADMIN, Role::Admin).await;
    let viewer = office.joined(TEAM, VIEWER, Role::Viewer).await;
    let of_admin = scope_of(&office, &office.at_work(TEAM, ADMIN).await).await;
    let of_viewer = scope_of(&office, &office.at_work(TEAM, VIEWER).await).await;
    let desk = &office.desk;
    let forbidden = |answer: Answer<()>| assert!(matches!(answer, Err(Denied::Forbidden(_))), "{answer:?}");
    forbidden(desk.set_role(&of_admin, &admin.member, Role::Owner).await.map(|_| ()));
    forbidden(desk.set_role(&of_admin, &owner.member, Role::Viewer).await.map(|_| ()));
    forbidden(desk.suspend(&of_admin, &owner.member).await.map(|_| ()));
    forbidden(desk.remove_member(&of_admin, &owner.member).await);
    forbidden(desk.invite(&of_admin, "more@nordwind.example", Role::Owner).await.map(|_| ()));
    forbidden(desk.invite(&of_viewer, "more@nordwind.example", Role::Viewer).await.map(|_| ()));
    forbidden(desk.set_role(&of_viewer, &viewer.member, Role::Owner).await.map(|_| ()));
    forbidden(desk.remove_member(&of_viewer, &admin.member).await);
    let nobody = caller::scope(TEAM.parse().unwrap(), "token:1");
    forbidden(desk.invite(&nobody, "more@nordwind.example", Role::Viewer).await.map(|_| ()));
    desk.set_role(&of_admin, &viewer.member, Role::Operator).await.expect("an admin may");

    let trail = office.team_trail(TEAM).await;
    let refused: Vec<_> = trail.iter().filter(|event| event.result.starts_with("refused")).collect();
    assert_eq!(refused.len(), 9);
    assert_eq!((refused[0].actor.name.as_str(), refused[0].actor.role), (ADMIN, Some(Role::Admin)));
    let changed = trail.iter().rfind(|event| event.action == "member.role" && event.result == "done").unwrap();
    let shown = |diff: &Option<serde_json::Value>| diff.as_ref().unwrap()["role"].as_str().unwrap().to_owned();
    assert_eq!((shown(&changed.before), shown(&changed.after)), ("viewer".into(), "operator".into()));
}

#[tokio::test]
async fn suspension_and_another_role_hold_at_the_next_request_of_a_live_session() {
    let office = Office::new().await;
    office.joined(TEAM, OWNER, Role::Owner).await;
    let member = office.joined(TEAM, VIEWER, Role::Viewer).await;
    let session = office.at_work(TEAM, VIEWER).await;
    let role = async || office.caller(&session.token).await.and_then(|caller| caller.role);
    assert_eq!(role().await, Some(Role::Viewer));
    office.desk.set_role(&console(TEAM), &member.member, Role::Operator).await.unwrap();
    assert_eq!(role().await, Some(Role::Operator));
    office.desk.set_role(&console(TEAM), &member.member, Role::Admin).await.unwrap();
    let caller = office.caller(&session.token).await.unwrap();
    assert_eq!((caller.owes, caller.role, caller.tenant), (Some(Owes::Enrolment), None, None), "an admin needs an authenticator");
    office.desk.set_role(&console(TEAM), &member.member, Role::Viewer).await.unwrap();
    office.desk.suspend(&console(TEAM), &member.member).await.unwrap();
    assert!(office.caller(&session.token).await.is_none(), "the session ended");
    let signed = office.signed_in(VIEWER).await;
    let shut = office.desk.choose_tenant(signed.session_token.reveal(), &TEAM.parse().unwrap(), &from("192.0.2.1")).await;
    assert!(matches!(shut, Err(Denied::NotFound(_))), "{shut:?}");
    assert!(office.desk.seats(signed.session_token.reveal()).await.unwrap().is_empty());
    office.desk.resume(&console(TEAM), &member.member).await.unwrap();
    office.at_work(TEAM, VIEWER).await;
    office.desk.remove_member(&console(TEAM), &member.member).await.unwrap();
    assert!(office.desk.members(&console(TEAM)).await.unwrap().iter().all(|member| member.email != VIEWER));
}

#[tokio::test]
async fn a_member_of_one_team_is_nobody_in_another() {
    let office = Office::new().await;
    office.joined(TEAM, VIEWER, Role::Viewer).await;
    let owner = office.joined(OTHER_TEAM, OWNER, Role::Owner).await;
    let signed = office.signed_in(VIEWER).await;
    let other = office.desk.choose_tenant(signed.session_token.reveal(), &OTHER_TEAM.parse().unwrap(), &from("192.0.2.1")).await;
    let none =
        office.desk.choose_tenant(signed.session_token.reveal(), &"no-such-team".parse().unwrap(), &from("192.0.2.1")).await;
    let [Err(Denied::NotFound(other)), Err(Denied::NotFound(none))] = [other, none] else { panic!("both are not found") };
    assert_eq!(other.replace(OTHER_TEAM, ""), none.replace("no-such-team", ""), "no answer tells which teams there are");
    let strange = office.desk.set_role(&console(TEAM), &owner.member, Role::Viewer).await;
    assert!(matches!(strange, Err(Denied::NotFound(_))), "{strange:?}");
}
