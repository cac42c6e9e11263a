//! The second factor and the fresh proof.

use super::*;

#[tokio::test]
async fn an_owner_without_an_authenticator_may_only_enrol() {
    let office = Office::new().await;
    office.joined(TEAM, OWNER, Role::Owner).await;
    let signed = office.signed_in(OWNER).await;
    assert_eq!(signed.mfa, Mfa::MustEnrol);
    let work =
        office.desk.choose_tenant(signed.session_token.reveal(), &TEAM.parse().unwrap(), &from("192.0.2.1")).await.unwrap();
    let caller = office.caller(&work.session_token).await.unwrap();
    assert_eq!((caller.owes, caller.role, caller.tenant), (Some(Owes::Enrolment), None, None));

    let enrolment = office.desk.enrol_totp(work.session_token.reveal(), &from("192.0.2.1")).await.unwrap();
    assert!(enrolment.url.reveal().starts_with("otpauth://totp/Bonded:owner"), "an app reads it");
    let wrong = office.desk.confirm_totp(work.session_token.reveal(), &Secret::from_text("000000"), &from("192.0.2.1")).await;
    assert!(matches!(wrong, Err(Denied::Credentials)), "{wrong:?}");
    let code = office.code_now(&enrolment.secret);
    let confirmed = office.desk.confirm_totp(work.session_token.reveal(), &code, &from("192.0.2.1")).await.unwrap();
    assert_eq!((confirmed.signed_in.mfa, confirmed.recovery_codes.len()), (Mfa::Done, 10));
    let caller = office.caller(&confirmed.signed_in.session_token).await.unwrap();
    assert!(caller.mfa && caller.owes.is_none() && caller.tenant.is_some(), "{caller:?}");

    let next = office.signed_in(OWNER).await;
    assert_eq!(next.mfa, Mfa::Needed);
    let caller = office.caller(&next.session_token).await.unwrap();
    assert_eq!((caller.owes, caller.stepped_up_until), (Some(Owes::SecondFactor), None));
    let around = office.desk.enrol_totp(next.session_token.reveal(), &from("192.0.2.1")).await;
    assert!(matches!(around, Err(Denied::StepUp)), "a password alone puts no other authenticator in its place: {around:?}");
    let around =
        office.desk.step_up(next.session_token.reveal(), &Proof::Password(Password::new(PASSWORD)), &from("192.0.2.1")).await;
    assert!(matches!(around, Err(Denied::Input(_))), "{around:?}");
}

#[tokio::test]
async fn a_code_of_an_authenticator_is_accepted_once_also_at_the_same_moment() {
    let office = Office::new().await;
    office.joined(TEAM, OWNER, Role::Owner).await;
    let owner = office.at_work(TEAM, OWNER).await;
    let secret = owner.totp.unwrap();
    let prove = async |code: &Secret| {
        let signed = office.signed_in(OWNER).await;
        office.desk.second_factor(signed.session_token.reveal(), code, &from("192.0.2.1")).await
    };
    let used = office.code_now(&secret);
    assert!(matches!(prove(&used).await, Err(Denied::Credentials)), "it confirmed the enrolment");

    office.clock.forward(TimeDelta::seconds(30));
    let code = office.code_now(&secret);
    let both = futures::future::join_all([prove(&code), prove(&code)]).await;
    assert_eq!(both.iter().filter(|answer| answer.is_ok()).count(), 1, "{both:?}");
    assert!(matches!(prove(&used).await, Err(Denied::Credentials)), "nor one of an earlier step");
    office.clock.forward(TimeDelta::minutes(20));
    assert!(matches!(prove(&code).await, Err(Denied::Credentials)), "nor an old one");
    prove(&office.code_now(&secret)).await.expect("the next one is good");
}

#[tokio::test]
async fn a_recovery_code_stands_in_once_and_new_ones_end_the_old() {
    let office = Office::new().await;
    office.joined(TEAM, OWNER, Role::Owner).await;
    let signed = office.signed_in(OWNER).await;
    let token = signed.session_token.reveal();
    let enrolment = office.desk.enrol_totp(token, &from("192.0.2.1")).await.unwrap();
    let code = office.code_now(&enrolment.secret);
    let confirmed = office.desk.confirm_totp(token, &code, &from("192.0.2.1")).await.unwrap();
    let prove = async |code: &Secret| {
        let signed = office.signed_in(OWNER).await;
        office.desk.second_factor(signed.session_token.reveal(), code, &from("192.0.2.1")).await
    };
    let first = Secret::from_text(&confirmed.recovery_codes[0].reveal().to_uppercase());
    let session = prove(&first).await.expect("case does not matter").session_token;
    assert!(matches!(prove(&first).await, Err(Denied::Credentials)), "used");
    let fresh = office.desk.new_recovery_codes(session.reveal(), &from("192.0.2.1")).await.unwrap();
    assert!(matches!(prove(&confirmed.recovery_codes[1]).await, Err(Denied::Credentials)), "it was replaced");
    prove(&fresh[1]).await.expect("one of the new ones");
}

#[tokio::test]
async fn a_fresh_proof_lasts_ten_minutes() {
    let office = Office::new().await;
    office.joined(TEAM, VIEWER, Role::Viewer).await;
    let viewer = office.at_work(TEAM, VIEWER).await;
    let fresh = async |token: &Secret| office.caller(token).await.unwrap().stepped_up_until;
    assert_eq!(fresh(&viewer.token).await, Some(office.clock.now() + TimeDelta::minutes(10)), "the password was given just now");
    office.clock.forward(TimeDelta::minutes(10));
    assert_eq!(fresh(&viewer.token).await, None);
    let wrong = Proof::Password(Password::new("not the password at all"));
    let answer = office.desk.step_up(viewer.token.reveal(), &wrong, &from("192.0.2.1")).await;
    assert!(matches!(answer, Err(Denied::Credentials)));
    let right = Proof::Password(Password::new(PASSWORD));
    let stepped = office.desk.step_up(viewer.token.reveal(), &right, &from("192.0.2.1")).await.unwrap();
    assert!(fresh(&stepped.session_token).await.is_some());
    assert!(office.caller(&viewer.token).await.is_none(), "a session with more weight has another token");
}
