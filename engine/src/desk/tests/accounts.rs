//! Accounts: proven, changed, reset; and what a stranger learns of them, which is nothing.

use super::*;

#[tokio::test]
async fn an_account_is_there_only_once_its_address_is_proven() {
    let office = Office::new().await;
    office.desk.sign_up(VIEWER, &from("192.0.2.1")).await.unwrap();
    let early = office.desk.sign_in(VIEWER, &Password::new(PASSWORD), &from("192.0.2.1")).await;
    assert!(matches!(early, Err(Denied::Credentials)), "{early:?}");
    let code = office.mailed_code(VIEWER).await;
    let password = Password::new(PASSWORD);
    office.desk.verify(VIEWER, &code, &password, &from("192.0.2.1")).await.unwrap();
    office.signed_in(VIEWER).await;
    let again = office.desk.verify(VIEWER, &code, &password, &from("192.0.2.1")).await;
    assert!(matches!(again, Err(Denied::Credentials)), "a code is good once: {again:?}");
    let trail = office.lake_trail().await;
    for expected in ["account.sign-up asked", "account.verify done", "sign-in done", "sign-in refused: wrong e-mail or password"]
    {
        assert!(trail.iter().any(|line| line == expected), "{expected} is missing in {trail:?}");
    }
}

#[tokio::test]
async fn a_code_is_good_for_fifteen_minutes_and_five_tries() {
    let office = Office::new().await;
    let password = Password::new(PASSWORD);
    let try_it = async |code: &Secret| office.desk.verify(VIEWER, code, &password, &from("192.0.2.1")).await;

    office.desk.sign_up(VIEWER, &from("192.0.2.1")).await.unwrap();
    let code = office.mailed_code(VIEWER).await;
    office.clock.forward(TimeDelta::minutes(15));
    assert!(matches!(try_it(&code).await, Err(Denied::Credentials)), "it has expired");

    office.desk.sign_up(VIEWER, &from("192.0.2.1")).await.unwrap();
    let code = office.mailed_code(VIEWER).await;
    let wrong = Secret::from_text(if code.reveal() == "000000" { "000001" } else { "000000" });
    let five = futures::future::join_all((0..5).map(|_| try_it(&wrong))).await;
    assert!(five.iter().all(|answer| matches!(answer, Err(Denied::Credentials))), "{five:?}");
    assert!(matches!(try_it(&code).await, Err(Denied::Credentials)), "five wrong tries at once are five");

    office.desk.sign_up(VIEWER, &from("192.0.2.1")).await.unwrap();
    let code = office.mailed_code(VIEWER).await;
    let wrong = Secret::from_text(if code.reveal() == "000000" { "000001" } else { "000000" });
    for _ in 0..4 {
        assert!(matches!(try_it(&wrong).await, Err(Denied::Credentials)));
    }
    try_it(&code).await.expect("the fifth try is right");
}

#[tokio::test]
async fn an_address_with_an_account_and_one_without_get_the_same_answers_for_the_same_work() {
    let office = Office::new().await;
    office.sign_up(VIEWER).await;
    let stranger = "nobody@nordwind.example";
    // Both were written to before, so that neither is counted for the first time.
    office.desk.sign_up(stranger, &from("192.0.2.1")).await.unwrap();
    office.letters().await;
    let wrong = Password::new("not the password at all");
    let mut work = Vec::new();
    for email in [VIEWER, stranger] {
        // An address of its own each, so that the one does not count against the other.
        let origin = from(if email == VIEWER { "198.51.100.1" } else { "203.0.113.1" });
        for _ in 0..5 {
            let (runs, _) = (office.desk.hasher.runs(), office.statements.take());
            let answer = office.desk.sign_in(email, &wrong, &origin).await;
            assert!(matches!(answer, Err(Denied::Credentials)), "{answer:?}");
            work.push((email, "sign-in", office.desk.hasher.runs() - runs, office.statements.take()));
        }
        office.desk.sign_up(email, &origin).await.expect("neutral");
        work.push((email, "sign-up", 0, office.statements.take()));
        office.desk.request_reset(email, &origin).await.expect("neutral");
        work.push((email, "reset", 0, office.statements.take()));
        let code = Secret::from_text("123456");
        let answer = office.desk.verify(email, &code, &Password::new(PASSWORD), &origin).await;
        assert!(matches!(answer, Err(Denied::Credentials)), "{answer:?}");
        work.push((email, "verify", office.desk.hasher.runs(), office.statements.take()));
    }
    let (of_known, of_unknown) = work.split_at(work.len() / 2);
    for ((_, what, runs, statements), (_, _, runs_unknown, statements_unknown)) in of_known.iter().zip(of_unknown) {
        if *what == "sign-in" {
            assert_eq!((*runs, *runs_unknown), (1, 1), "one run of bcrypt, account or not");
        }
        assert_eq!(statements, statements_unknown, "{what}: the same statements in the same order");
        assert!(!statements.is_empty());
    }
    // A stranger's letter: none for a reset; for a sign-up a code, or a word that there is an account.
    let letters = office.letters().await;
    let to =
        |email: &str| letters.iter().filter(|(to, _, _)| to == email).map(|(_, subject, _)| subject.as_str()).collect::<Vec<_>>();
    assert_eq!(to(stranger), ["Your code"]);
    assert!(to(VIEWER).contains(&"You have an account already") && to(VIEWER).contains(&"Reset your password"), "{letters:?}");
}

#[tokio::test]
async fn a_reset_link_is_good_once_and_ends_every_session() {
    let office = Office::new().await;
    office.joined(TEAM, OWNER, Role::Owner).await;
    let owner = office.at_work(TEAM, OWNER).await;
    let link = async || {
        office.desk.request_reset(OWNER, &from("192.0.2.9")).await.unwrap();
        let (_, _, text) = office.letters().await.into_iter().find(|(_, subject, _)| subject == "Reset your password").unwrap();
        text.lines().find(|line| line.contains('.') && !line.contains(' ')).unwrap().to_owned()
    };
    let new = Password::new("quite another wind, from the east");
    let reset = async |token: &str| office.desk.reset(token, &new, &from("192.0.2.9")).await;

    let late = link().await;
    office.clock.forward(TimeDelta::minutes(30));
    assert!(matches!(reset(&late).await, Err(Denied::Credentials)), "it has expired");
    let owner = match office.caller(&owner.token).await {
        Some(_) => owner,
        None => {
            let signed = office.signed_in(OWNER).await;
            let code = office.code_now(owner.totp.as_ref().unwrap());
            let signed = office.desk.second_factor(signed.session_token.reveal(), &code, &from("192.0.2.1")).await.unwrap();
            Someone { token: signed.session_token, ..owner }
        }
    };
    let token = link().await;
    let two = futures::future::join_all([reset(&token), reset(&token)]).await;
    assert_eq!(two.iter().filter(|answer| answer.is_ok()).count(), 1, "one of two at the same moment: {two:?}");
    assert!(matches!(reset(&token).await, Err(Denied::Credentials)), "used");
    assert!(office.caller(&owner.token).await.is_none(), "every session ended");
    let old = office.desk.sign_in(OWNER, &Password::new(PASSWORD), &from("192.0.2.1")).await;
    assert!(matches!(old, Err(Denied::Credentials)));
    let signed = office.desk.sign_in(OWNER, &new, &from("192.0.2.1")).await.unwrap();
    assert_eq!(signed.mfa, Mfa::Needed, "a reset does not take the second factor away");
    for junk in ["", ".", "x.y", "0198.ffff", &token.replace('.', "")] {
        assert!(matches!(reset(junk).await, Err(Denied::Credentials)), "{junk}");
    }
}

#[tokio::test]
async fn a_changed_password_ends_every_other_session() {
    let office = Office::new().await;
    office.sign_up(VIEWER).await;
    let [one, two] = [office.signed_in(VIEWER).await, office.signed_in(VIEWER).await];
    let (old, new) = (Password::new(PASSWORD), Password::new("quite another wind, from the east"));
    let wrong = office.desk.change_password(one.session_token.reveal(), &new, &new, &from("192.0.2.1")).await;
    assert!(matches!(wrong, Err(Denied::Credentials)), "{wrong:?}");
    let kept = office.desk.change_password(one.session_token.reveal(), &old, &new, &from("192.0.2.1")).await.unwrap();
    assert!(office.caller(&kept.session_token).await.is_some());
    for ended in [&one.session_token, &two.session_token] {
        assert!(office.caller(ended).await.is_none());
    }
    assert!(office.letters().await.iter().any(|(to, subject, _)| to == VIEWER && subject == "Your password was changed"));
}

#[tokio::test]
async fn a_password_longer_than_bcrypt_reads_is_refused_and_never_cut() {
    let office = Office::new().await;
    office.desk.sign_up(VIEWER, &from("192.0.2.1")).await.unwrap();
    let code = office.mailed_code(VIEWER).await;
    let longest: String = "abcdefghij".chars().cycle().take(72).collect();
    let verify = async |text: &str| office.desk.verify(VIEWER, &code, &Password::new(text), &from("192.0.2.1")).await;
    for (unfit, told) in [
        (format!("{longest}k"), "72 bytes"),
        ("ü".repeat(37), "72 bytes"),
        ("short".into(), "12 characters"),
        ("ab".repeat(10), "different"),
        ("my name is viewer".into(), "own name"),
        ("a fair wind\0from the north".into(), "zero byte"),
        ("Password1234!".into(), "tried first"),
    ] {
        let answer = verify(&unfit).await;
        assert!(matches!(&answer, Err(Denied::Input(message)) if message.contains(told)), "{told}: {answer:?}");
    }
    verify(&longest).await.expect("72 bytes are read whole, and no refusal above used up a try");
    for near in [&longest[..71], &format!("{longest}k"), &format!("{}x", &longest[..71])] {
        let answer = office.desk.sign_in(VIEWER, &Password::new(near), &from("192.0.2.1")).await;
        assert!(matches!(answer, Err(Denied::Credentials)), "{} bytes", near.len());
    }
    office.desk.sign_in(VIEWER, &Password::new(longest), &from("192.0.2.1")).await.expect("the very same");
}

#[tokio::test]
async fn nothing_of_a_person_lies_in_the_store_but_sealed() {
    let office = Office::new().await;
    office.joined(TEAM, OWNER, Role::Owner).await;
    let owner = office.at_work(TEAM, OWNER).await;
    let caller = office.caller(&owner.token).await.unwrap();
    let scope = caller.tenant.clone().unwrap();
    let end = office.clock.now() + TimeDelta::days(1);
    let made = office.desk.create_token(&scope, Some(&caller.user), "nightly export", &[Grant::Read], end).await.unwrap();
    office.desk.request_reset(OWNER, &from("192.0.2.77")).await.unwrap();
    office.desk.invite(&scope, VIEWER, Role::Viewer).await.unwrap();

    let mut clear = String::new();
    let house = &office.desk.house;
    house.control.save_text(&mut clear).await;
    house.ledger(&console(TEAM)).await.unwrap().save_text(&mut clear).await;
    assert!(clear.contains("\"members\"") && clear.contains("\"users\""), "both halves are there");
    let secret = made.secret.reveal().rsplit('_').next().unwrap();
    let mut never =
        vec![OWNER, VIEWER, "nordwind", "$2b$", "nightly export", "192.0.2.", "is the code to", secret, owner.token.reveal()];
    never.push(owner.totp.as_ref().unwrap().reveal());
    for clear_text in never {
        assert!(!clear.contains(clear_text), "{clear_text} lies in the clear");
    }
    for shown in [format!("{:?}", made), format!("{:?}", Password::new(PASSWORD)), format!("{:?}", owner.token)] {
        assert!(!shown.contains(secret) && !shown.contains(PASSWORD) && !shown.contains(owner.token.reveal()), "{shown}");
    }
}

/// Every row of a half of the store, as text.
trait SaveText {
    async fn save_text(&self, to: &mut String);
}

impl SaveText for bonded_connectors::store::ControlStore {
    async fn save_text(&self, to: &mut String) {
        let mut bytes = Vec::new();
        self.save(&mut bytes).await.unwrap();
        to.push_str(&String::from_utf8(bytes).unwrap());
    }
}

impl SaveText for bonded_connectors::store::TenantStore {
    async fn save_text(&self, to: &mut String) {
        let mut bytes = Vec::new();
        self.save(&mut bytes).await.unwrap();
        to.push_str(&String::from_utf8(bytes).unwrap());
    }
}
