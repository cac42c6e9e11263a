//! Tokens and machines.

use super::*;

async fn calls(office: &Office, token: &str) -> Option<Caller> {
    office.desk.authenticate(token, &from("192.0.2.50")).await.unwrap()
}

#[tokio::test]
async fn a_token_opens_its_team_until_it_expires_or_is_revoked() {
    let office = Office::new().await;
    let end = office.clock.now() + TimeDelta::days(30);
    let made = office.desk.create_token(&console(TEAM), None, "nightly export", &[Grant::Read, Grant::Query], end).await.unwrap();
    let text = made.secret.reveal().to_owned();
    assert!(text.starts_with(&format!("bonded_{TEAM}_{}_", made.info.token)), "it names its team");
    let caller = calls(&office, &text).await.unwrap();
    assert_eq!(caller.kind, CallerKind::Token(vec![Grant::Read, Grant::Query]));
    let scope = caller.tenant.clone().unwrap();
    assert_eq!((scope.tenant().as_str(), scope.actor().name.clone()), (TEAM, format!("token:{}", made.info.token)));
    assert_eq!((caller.role, caller.csrf_matches("")), (None, false));

    let flipped = |at: usize| {
        let mut bytes = text.clone().into_bytes();
        bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
        String::from_utf8(bytes).unwrap()
    };
    for forged in [
        flipped(text.len() - 1),
        flipped(text.len() - 64),
        text.replace(TEAM, OTHER_TEAM),
        text.replace(TEAM, "no-such-team"),
        text[..text.len() - 1].to_owned(),
        format!("{text}0"),
        text.to_uppercase(),
        format!("{text}_x"),
        "bonded___".into(),
        String::new(),
        "x".repeat(100_000),
    ] {
        assert!(calls(&office, &forged).await.is_none(), "{}", forged.len());
    }
    assert!(office.lake_trail().await.iter().any(|line| line == "token.use refused: wrong secret"));
    office.clock.forward(TimeDelta::days(29));
    assert!(calls(&office, &text).await.is_some());
    assert!(office.desk.tokens(&console(TEAM)).await.unwrap()[0].used_at.is_some());
    office.clock.forward(TimeDelta::days(1));
    assert!(calls(&office, &text).await.is_none(), "it expired");

    let end = office.clock.now() + TimeDelta::days(30);
    let made = office.desk.create_token(&console(TEAM), None, "another", &[Grant::Read], end).await.unwrap();
    assert!(calls(&office, made.secret.reveal()).await.is_some());
    office.desk.revoke_token(&console(TEAM), None, &made.info.token).await.unwrap();
    assert!(calls(&office, made.secret.reveal()).await.is_none(), "it was revoked");
    let infos = office.desk.tokens(&console(TEAM)).await.unwrap();
    let mut shown: Vec<_> = infos.iter().map(|info| (info.name.as_str(), info.revoked)).collect();
    shown.sort_unstable();
    assert_eq!(shown, [("another", true), ("nightly export", false)]);
}

#[tokio::test]
async fn a_members_token_may_no_more_than_its_maker_and_stops_with_them() {
    let office = Office::new().await;
    office.joined(TEAM, OWNER, Role::Owner).await;
    let member = office.joined(TEAM, VIEWER, Role::Viewer).await;
    let session = office.at_work(TEAM, VIEWER).await;
    let caller = office.caller(&session.token).await.unwrap();
    let scope = caller.tenant.clone().unwrap();
    let end = office.clock.now() + TimeDelta::days(30);
    let make =
        async |scope: &TenantScope, grant| office.desk.create_token(scope, Some(&caller.user), "mine", &[grant], end).await;
    assert!(matches!(make(&scope, Grant::Deliver).await, Err(Denied::Forbidden(_))), "a viewer delivers nothing");
    let nobodys = office.desk.create_token(&scope, None, "nobody's", &[Grant::Read], end).await;
    assert!(matches!(nobodys, Err(Denied::Forbidden(_))), "a person makes none that outlives them: {nobodys:?}");
    let made = make(&scope, Grant::Read).await.unwrap();
    assert!(calls(&office, made.secret.reveal()).await.is_some());

    office.desk.set_role(&console(TEAM), &member.member, Role::Operator).await.unwrap();
    let scope = office.caller(&session.token).await.unwrap().tenant.unwrap();
    let delivers = make(&scope, Grant::Deliver).await.unwrap();
    assert!(calls(&office, delivers.secret.reveal()).await.is_some());
    office.desk.set_role(&console(TEAM), &member.member, Role::Viewer).await.unwrap();
    assert!(calls(&office, delivers.secret.reveal()).await.is_none(), "its maker delivers no longer");
    office.desk.suspend(&console(TEAM), &member.member).await.unwrap();
    assert!(calls(&office, made.secret.reveal()).await.is_none());
    office.desk.resume(&console(TEAM), &member.member).await.unwrap();
    assert!(calls(&office, made.secret.reveal()).await.is_some());
    office.desk.remove_member(&console(TEAM), &member.member).await.unwrap();
    assert!(calls(&office, made.secret.reveal()).await.is_none());
    assert!(office.desk.tokens(&console(TEAM)).await.unwrap().iter().all(|info| info.revoked));
}

#[tokio::test]
async fn a_machine_delivers_under_its_power_of_attorney_until_that_ends() {
    let office = Office::new().await;
    let end = office.clock.now() + TimeDelta::days(200);
    let made = office.desk.add_machine(&console(TEAM), "broker's upload", "POA-2026-014", end).await.unwrap();
    assert_eq!((made.info.poa.as_deref(), made.info.grants.as_slice()), (Some("POA-2026-014"), &[Grant::Deliver][..]));
    let caller = calls(&office, made.secret.reveal()).await.unwrap();
    assert_eq!(caller.kind, CallerKind::Machine);
    assert_eq!(caller.tenant.unwrap().actor().name, format!("machine:{}", made.info.token));
    office.clock.forward(TimeDelta::days(200));
    assert!(calls(&office, made.secret.reveal()).await.is_none());

    let now = office.clock.now();
    for (name, poa, until) in [
        ("", "POA-1", now + TimeDelta::days(1)),
        ("upload", " ", now + TimeDelta::days(1)),
        ("two\nlines", "POA-1", now + TimeDelta::days(1)),
        ("upload", "POA-1", now),
        ("upload", "POA-1", now + TimeDelta::days(4000)),
    ] {
        let answer = office.desk.add_machine(&console(TEAM), name, poa, until).await;
        assert!(matches!(answer, Err(Denied::Input(_))), "{answer:?}");
    }
    let mut scope_of_operator = console(TEAM).actor().clone();
    (scope_of_operator.name, scope_of_operator.role) = ("operator@nordwind.example".into(), Some(Role::Operator));
    let operator = caller::scope(TEAM.parse().unwrap(), scope_of_operator);
    let answer = office.desk.add_machine(&operator, "upload", "POA-1", now + TimeDelta::days(1)).await;
    assert!(matches!(answer, Err(Denied::Forbidden(_))), "{answer:?}");
}
