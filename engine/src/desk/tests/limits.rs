//! Whoever tries too often waits; the owner does not.

use super::*;

async fn fail(office: &Office, email: &str, ip: &str) -> Answer<SignedIn> {
    office.desk.sign_in(email, &Password::new("not the password at all"), &from(ip)).await
}

#[tokio::test]
async fn waits_grow_outlive_a_restart_and_end() {
    let office = Office::new().await;
    office.sign_up(VIEWER).await;
    for _ in 0..5 {
        assert!(matches!(fail(&office, VIEWER, "198.51.100.1").await, Err(Denied::Credentials)));
    }
    let wait = |answer: Answer<SignedIn>| match answer {
        Err(Denied::Wait { seconds }) => seconds,
        other => panic!("{other:?}"),
    };
    assert_eq!(wait(fail(&office, VIEWER, "198.51.100.1").await), 30);
    let right = office.desk.sign_in(VIEWER, &Password::new(PASSWORD), &from("198.51.100.2")).await;
    assert_eq!(wait(right), 30, "the right password, from a place where nobody signed in, waits as well");
    let office = office.restarted().await;
    assert_eq!(wait(fail(&office, VIEWER, "198.51.100.1").await), 30, "a restart forgives nobody");
    office.clock.forward(TimeDelta::seconds(20));
    assert_eq!(wait(fail(&office, VIEWER, "198.51.100.1").await), 10, "asking makes it no longer");
    let mut waited = vec![];
    for _ in 0..8 {
        office.clock.forward(TimeDelta::minutes(15));
        assert!(matches!(fail(&office, VIEWER, "198.51.100.1").await, Err(Denied::Credentials)));
        waited.push(wait(fail(&office, VIEWER, "198.51.100.1").await));
    }
    assert_eq!(waited, [60, 120, 240, 480, 900, 900, 900, 900]);
    office.clock.forward(TimeDelta::minutes(15));
    let right = office.desk.sign_in(VIEWER, &Password::new(PASSWORD), &from("198.51.100.2")).await;
    right.expect("every wait ends, and a sign-in forgives");
    assert!(matches!(fail(&office, VIEWER, "198.51.100.3").await, Err(Denied::Credentials)));
}

#[tokio::test]
async fn wrong_sign_ins_at_the_same_moment_count_each() {
    let office = Office::new().await;
    office.sign_up(VIEWER).await;
    let answers = futures::future::join_all((0..20).map(|_| fail(&office, VIEWER, "198.51.100.1"))).await;
    let judged = answers.iter().filter(|answer| matches!(answer, Err(Denied::Credentials))).count();
    assert_eq!(judged, 5, "{answers:?}");
}

#[tokio::test]
async fn a_stranger_does_not_keep_the_owner_out() {
    let office = Office::new().await;
    office.joined(TEAM, VIEWER, Role::Viewer).await;
    let at_work = office.at_work(TEAM, VIEWER).await;
    for _ in 0..5 {
        assert!(matches!(fail(&office, VIEWER, "198.51.100.1").await, Err(Denied::Credentials)));
    }
    assert!(matches!(fail(&office, VIEWER, "198.51.100.1").await, Err(Denied::Wait { .. })));
    assert!(office.caller(&at_work.token).await.unwrap().tenant.is_some(), "open sessions go on");
    office.signed_in(VIEWER).await;
    // From the owner's own address, too, tries are counted: apart.
    for _ in 0..5 {
        assert!(matches!(fail(&office, VIEWER, "192.0.2.1").await, Err(Denied::Credentials)));
    }
    assert!(matches!(fail(&office, VIEWER, "192.0.2.1").await, Err(Denied::Wait { .. })));
}

#[tokio::test]
async fn one_address_that_tries_many_accounts_waits_and_an_ipv6_network_is_one() {
    let office = Office::with(None, |desk| desk.address_free = 6).await;
    for index in 0..6 {
        let ip = format!("2001:db8:7:8::{index}");
        assert!(matches!(fail(&office, &format!("person{index}@nordwind.example"), &ip).await, Err(Denied::Credentials)));
    }
    assert!(matches!(fail(&office, "other@nordwind.example", "2001:db8:7:8:ffff::1").await, Err(Denied::Wait { .. })));
    assert!(matches!(fail(&office, "other@nordwind.example", "2001:db8:7:9::1").await, Err(Denied::Credentials)));
}

#[tokio::test]
async fn owners_and_admins_hear_of_wrong_sign_ins_and_both_trails_have_them() {
    let office = Office::new().await;
    office.joined(TEAM, OWNER, Role::Owner).await;
    office.joined(TEAM, ADMIN, Role::Admin).await;
    office.joined(TEAM, VIEWER, Role::Viewer).await;
    for _ in 0..5 {
        assert!(matches!(fail(&office, VIEWER, "198.51.100.1").await, Err(Denied::Credentials)));
    }
    let letters = office.letters().await;
    let mut to: Vec<&str> = letters.iter().map(|(to, _, _)| to.as_str()).collect();
    to.sort_unstable();
    assert_eq!(to, [ADMIN, OWNER, VIEWER], "{letters:?}");
    assert!(office.lake_trail().await.iter().any(|line| line == "account.suspicious 5 wrong sign-ins"));
    let trail = office.team_trail(TEAM).await;
    let told = trail.iter().find(|event| event.action == "account.suspicious").expect("in the team's trail");
    assert_eq!((told.object.as_str(), told.actor.ip), (VIEWER, Some("198.51.100.1".parse().unwrap())));
    for _ in 0..4 {
        office.clock.forward(TimeDelta::minutes(15));
        assert!(matches!(fail(&office, VIEWER, "198.51.100.1").await, Err(Denied::Credentials)));
    }
    assert!(office.letters().await.is_empty(), "the next word is for ten, not for each");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_is_told_to_come_again_and_counts_against_nobody() {
    let office = Office::with(None, |desk| {
        desk.passwords_at_once = 1;
        desk.passwords_waiting_max = 2;
        // Long enough for the crowd to be there at once.
        desk.password_cost = 9;
    })
    .await;
    office.sign_up(VIEWER).await;
    let crowd = (0..12).map(|index| {
        let desk = office.desk.clone();
        tokio::spawn(async move {
            let email = format!("person{index}@nordwind.example");
            desk.sign_in(&email, &Password::new(PASSWORD), &from(&format!("198.51.100.{index}"))).await
        })
    });
    let answers: Vec<_> = futures::future::join_all(crowd).await.into_iter().map(|joined| joined.unwrap()).collect();
    let busy = answers.iter().filter(|answer| matches!(answer, Err(Denied::Busy))).count();
    let judged = answers.iter().filter(|answer| matches!(answer, Err(Denied::Credentials))).count();
    assert_eq!(busy + judged, 12, "{answers:?}");
    assert!(busy > 0 && judged > 0, "{answers:?}");
    let waiting =
        office.desk.people.attempt("sign-in", "nobody", office.desk.now_ms(), &office.desk.rules.account).await.unwrap();
    assert_eq!(waiting, bonded_connectors::store::people::Attempt::May { counted: 1 });
    office.signed_in(VIEWER).await;
}

#[tokio::test]
async fn wrong_codes_after_the_right_password_wait_too_and_are_told_as_what_they_are() {
    let office = Office::new().await;
    office.joined(TEAM, OWNER, Role::Owner).await;
    office.joined(TEAM, ADMIN, Role::Admin).await;
    let owner = office.at_work(TEAM, OWNER).await;
    office.letters().await;
    let thief = office.signed_in(OWNER).await.session_token;
    let wrong = async || office.desk.second_factor(thief.reveal(), &Secret::from_text("000000"), &from("192.0.2.1")).await;
    for _ in 0..5 {
        assert!(matches!(wrong().await, Err(Denied::Credentials)));
    }
    office.clock.forward(TimeDelta::seconds(29));
    let code = office.code_now(owner.totp.as_ref().unwrap());
    let right = office.desk.second_factor(thief.reveal(), &code, &from("192.0.2.1")).await;
    assert!(matches!(right, Err(Denied::Wait { seconds: 1 })), "{right:?}");
    let letters = office.letters().await;
    let to_owner = letters.iter().find(|(to, _, _)| to == OWNER).expect("a letter");
    assert!(to_owner.2.contains("your password is known to somebody else"), "{letters:?}");
    assert!(
        letters.iter().any(|(to, _, text)| to == ADMIN && text.contains("5 wrong codes after the right password")),
        "{letters:?}"
    );
    assert!(office.caller(&owner.token).await.unwrap().tenant.is_some(), "the owner's own session goes on");
}

#[tokio::test]
async fn a_letter_that_cannot_be_sent_holds_up_no_other_and_is_given_up_in_the_trail() {
    let office = Office::new().await;
    let desk = &office.desk;
    let odd = desk.letter(&post::Letter::mail("no address", "x", "x"), None).await.unwrap();
    let mut sealed_elsewhere = desk.letter(&post::Letter::mail(VIEWER, "x", "x"), None).await.unwrap();
    sealed_elsewhere.letter_id = uuid::Uuid::now_v7().to_string();
    let late = desk.letter(&post::Letter::mail(VIEWER, "late", "x"), Some(desk.now_ms())).await.unwrap();
    let good = desk.letter(&post::Letter::mail(VIEWER, "good", "x"), None).await.unwrap();
    let steps = [&odd, &sealed_elsewhere, &late, &good].map(bonded_connectors::store::people::accounts::Step::Post);
    desk.people.note(&steps).await.unwrap();
    let subjects: Vec<String> = office.letters().await.into_iter().map(|(_, subject, _)| subject).collect();
    assert_eq!(subjects, ["good"]);
    for _ in 0..10 {
        office.clock.forward(TimeDelta::hours(3));
        assert!(office.letters().await.is_empty());
    }
    assert!(desk.people.due_post(desk.now_ms() + 10_000_000, 10).await.unwrap().is_empty());
    let given_up = office.lake_trail().await.iter().filter(|line| line.starts_with("letter.send given up")).count();
    assert_eq!(given_up, 3);
}
