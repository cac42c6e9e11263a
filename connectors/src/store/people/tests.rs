//! One suite for people, run on SQLite and on a private PostgreSQL.

use chrono::DateTime;

use super::{accounts::Step, *};
use crate::store::{
    Place, TenantStore,
    tests::{made, on_both_stores, record, scope},
};

const WAITS: Waits = Waits { free: 3, first_ms: 1_000, max_ms: 5_000, forget_ms: 60_000 };

on_both_stores!();

async fn conforms(place: Place) {
    let store = made(place).await;
    a_change_is_whole_or_not_at_all(&store).await;
    tries_at_the_same_moment_count_each(&store).await;
    waits_double_to_their_bound_and_end(&store).await;
    a_letter_is_taken_by_one(&store).await;
    sessions_rotate_once_and_end(&store).await;
    let acme = tenant(&store).await;
    a_member_changes_only_from_what_was_read(&acme).await;
    an_owner_stays_whatever_is_done_at_the_same_moment(&acme).await;
}

fn told(event: &str) -> Told<'_> {
    Told { at: DateTime::from_timestamp(1_780_000_000, 0).unwrap(), event }
}

fn user(id: &str, email_digest: &str) -> UserRow {
    UserRow { user_id: id.into(), email_digest: email_digest.into(), version: 1, sealed: "sealed".into() }
}

fn code(digest: &str) -> CodeRow {
    CodeRow { kind: "sign-up".into(), subject: "s1".into(), about: String::new(), digest: digest.into(), expires_ms: 1_000 }
}

fn session(id: &str, token_digest: &str, user_id: &str) -> SessionRow {
    SessionRow {
        session_id: id.into(),
        token_digest: token_digest.into(),
        user_id: user_id.into(),
        tenant: String::new(),
        factors: 1,
        made_ms: 10,
        seen_ms: 10,
        stepped_up_ms: 0,
        sealed: "sealed".into(),
    }
}

async fn a_change_is_whole_or_not_at_all(store: &ControlStore) {
    let people = store.people();
    assert!(people.change(&[Step::AddUser(&user("u1", "e1"))], told("first")).await.unwrap());
    let events = store.audit().await.unwrap().len();
    // The address is taken: the session before it is taken back with it, and nothing is told.
    let steps = [Step::AddSession(&session("lost", "lost", "u2")), Step::AddUser(&user("u2", "e1"))];
    assert!(!people.change(&steps, told("second")).await.unwrap());
    assert_eq!(people.session("lost").await.unwrap(), None);
    assert_eq!(store.audit().await.unwrap().len(), events);
    assert_eq!(people.user_by_email("e1").await.unwrap(), Some(user("u1", "e1")));

    let change = |version, sealed| Step::ChangeUser { user_id: "u1", version, sealed };
    assert!(people.change(&[change(1, "next")], told("third")).await.unwrap());
    assert!(!people.change(&[change(1, "late")], told("fourth")).await.unwrap(), "it was read before");
    let row = people.user("u1").await.unwrap().unwrap();
    assert_eq!((row.version, row.sealed.as_str()), (2, "next"));

    assert!(people.note(&[Step::PutCode(&code("d1"))]).await.unwrap());
    assert!(!people.note(&[Step::UseCode(&code("d2"))]).await.unwrap(), "another code");
    assert!(people.note(&[Step::UseCode(&code("d1"))]).await.unwrap());
    assert!(!people.note(&[Step::UseCode(&code("d1"))]).await.unwrap(), "used");
    for _ in 0..2 {
        assert!(people.note(&[Step::Seat { user_id: "u1", tenant: "acme" }]).await.unwrap());
    }
    assert_eq!(people.seats("u1").await.unwrap(), ["acme"]);
    people.note(&[Step::LeaveSeat { user_id: "u1", tenant: "acme" }]).await.unwrap();
    assert!(people.seats("u1").await.unwrap().is_empty());
}

async fn tries_at_the_same_moment_count_each(store: &ControlStore) {
    let people = store.people();
    people.note(&[Step::PutCode(&code("d1"))]).await.unwrap();
    let tries = (0..12).map(|_| {
        let people = people.clone();
        tokio::spawn(async move { people.try_codes("sign-up", "s1", 500, 5).await.unwrap().len() })
    });
    let shown: usize = futures::future::join_all(tries).await.into_iter().map(|joined| joined.unwrap()).sum();
    assert_eq!(shown, 5);
    people.note(&[Step::PutCode(&code("d3"))]).await.unwrap();
    let live = people.try_codes("sign-up", "s1", 999, 5).await.unwrap();
    assert_eq!(live, [code("d3")], "a fresh code has its own tries");
    assert!(people.try_codes("sign-up", "s1", 1_000, 5).await.unwrap().is_empty(), "expired");
}

async fn waits_double_to_their_bound_and_end(store: &ControlStore) {
    let people = store.people();
    let tries = (0..12).map(|_| {
        let people = people.clone();
        tokio::spawn(async move { people.attempt("sign-in", "crowd", 1_000, &WAITS).await.unwrap() })
    });
    let answers: Vec<_> = futures::future::join_all(tries).await.into_iter().map(|joined| joined.unwrap()).collect();
    assert_eq!(answers.iter().filter(|answer| matches!(answer, Attempt::May { .. })).count(), 3);
    let mut now_ms = 1_000;
    let mut waits = Vec::new();
    for _ in 0..5 {
        let Attempt::Wait { until_ms } = people.attempt("sign-in", "crowd", now_ms, &WAITS).await.unwrap() else {
            panic!("there is a wait")
        };
        waits.push(until_ms - now_ms);
        now_ms = until_ms;
        assert!(matches!(people.attempt("sign-in", "crowd", now_ms, &WAITS).await.unwrap(), Attempt::May { .. }));
    }
    assert_eq!(waits, [1_000, 2_000, 4_000, 5_000, 5_000]);
    now_ms += 60_000;
    assert_eq!(people.attempt("sign-in", "crowd", now_ms, &WAITS).await.unwrap(), Attempt::May { counted: 1 }, "forgotten");
    people.note(&[Step::Uncount { kind: "sign-in", subject: "crowd" }]).await.unwrap();
    assert_eq!(people.attempt("sign-in", "crowd", now_ms, &WAITS).await.unwrap(), Attempt::May { counted: 1 });
    people.note(&[Step::Forgive { kind: "sign-in", subject: "crowd" }]).await.unwrap();
    assert_eq!(people.attempt("sign-in", "crowd", now_ms, &WAITS).await.unwrap(), Attempt::May { counted: 1 });
    assert!(!people.is_known("owner address", "a", 0).await.unwrap());
    for at_ms in [5, 9] {
        people.note(&[Step::Know { kind: "owner address", subject: "a", at_ms }]).await.unwrap();
    }
    assert!(people.is_known("owner address", "a", 9).await.unwrap() && !people.is_known("owner address", "a", 10).await.unwrap());
}

async fn a_letter_is_taken_by_one(store: &ControlStore) {
    let people = store.people();
    let letter = |id: &str, due_ms| PostRow { letter_id: id.into(), due_ms, expires_ms: 900, tries: 0, sealed: "sealed".into() };
    people.note(&[Step::Post(&letter("l2", 20)), Step::Post(&letter("l1", 20)), Step::Post(&letter("l3", 99))]).await.unwrap();
    let due = people.due_post(50, 10).await.unwrap();
    assert_eq!(due, [letter("l1", 20), letter("l2", 20)]);
    let takes = (0..6).map(|_| {
        let (people, row) = (people.clone(), due[0].clone());
        tokio::spawn(async move { people.take_post(&row, 200).await.unwrap() })
    });
    let taken = futures::future::join_all(takes).await.into_iter().filter(|joined| *joined.as_ref().unwrap()).count();
    assert_eq!(taken, 1);
    assert_eq!(people.due_post(50, 10).await.unwrap(), [letter("l2", 20)]);
    let again = people.due_post(200, 10).await.unwrap();
    assert_eq!(again.last().map(|row| (row.letter_id.as_str(), row.tries)), Some(("l1", 1)), "whoever took it died");
    for id in ["l1", "l2", "l3"] {
        people.drop_post(id).await.unwrap();
    }
    assert!(people.due_post(200, 10).await.unwrap().is_empty());
}

async fn sessions_rotate_once_and_end(store: &ControlStore) {
    let people = store.people();
    for (id, token, user) in [("s1", "t1", "u1"), ("s2", "t2", "u1"), ("s3", "t3", "u9")] {
        people.note(&[Step::AddSession(&session(id, token, user))]).await.unwrap();
    }
    let to = |token: &str| SessionRow { tenant: "acme".into(), factors: 2, stepped_up_ms: 7, ..session("s1", token, "u1") };
    assert!(people.change(&[Step::RotateSession { from: "t1", to: &to("t4") }], told("rotated")).await.unwrap());
    assert!(!people.change(&[Step::RotateSession { from: "t1", to: &to("t5") }], told("twice")).await.unwrap());
    assert_eq!(people.session("t1").await.unwrap(), None);
    assert_eq!(people.session("t4").await.unwrap(), Some(to("t4")));
    people.seen("s1", 50).await.unwrap();
    people.seen("s1", 40).await.unwrap();
    assert_eq!(people.session("t4").await.unwrap().unwrap().seen_ms, 50, "never backwards");
    assert!(!people.note(&[Step::EndSession { user_id: "u1", session_id: "s3" }]).await.unwrap(), "another's");
    people.note(&[Step::EndSessionsIn { user_id: "u1", tenant: "acme" }]).await.unwrap();
    assert_eq!(people.session("t4").await.unwrap(), None);
    people.note(&[Step::EndSessions { user_id: "u1", but: "s2" }]).await.unwrap();
    assert_eq!(people.sessions("u1").await.unwrap(), [session("s2", "t2", "u1")]);
    people.note(&[Step::EndSessions { user_id: "u1", but: "" }]).await.unwrap();
    assert_eq!((people.sessions("u1").await.unwrap().len(), people.sessions("u9").await.unwrap().len()), (0, 1));
    assert!(people.sweep(5_000, 11, 0).await.unwrap() >= 2, "a session and a code");
    assert!(people.sessions("u9").await.unwrap().is_empty());
}

async fn tenant(store: &ControlStore) -> TenantStore {
    store.add_tenant(&record("acme")).await.unwrap();
    store.open_tenant(&scope("acme")).await.unwrap()
}

fn member(id: &str, role: &str, state: &str) -> MemberRow {
    MemberRow {
        member_id: id.into(),
        user_id: String::new(),
        email_digest: format!("e-{id}"),
        role: role.into(),
        state: state.into(),
        since: "2026-04-01T00:00:00+00:00".into(),
        sealed: "sealed".into(),
    }
}

async fn a_member_changes_only_from_what_was_read(acme: &TenantStore) {
    let team = acme.team();
    let invited = member("m1", "viewer", "invited");
    assert_eq!(team.change(&[TeamStep::Invite(&invited)], told("invited")).await.unwrap(), TeamChange::Done);
    let again = MemberRow { member_id: "m0".into(), role: "admin".into(), ..invited.clone() };
    assert_eq!(team.change(&[TeamStep::Invite(&again)], told("again")).await.unwrap(), TeamChange::Done);
    let read = team.member_by_email("e-m1").await.unwrap().unwrap();
    assert_eq!((read.member_id.as_str(), read.role.as_str()), ("m1", "admin"), "the same invite, another role");
    assert_eq!(team.member_of_user("").await.unwrap(), None, "who has not accepted is found by nobody's id");
    let active = MemberRow { user_id: "u1".into(), state: "active".into(), ..read.clone() };
    let accepts = (0..6).map(|_| {
        let (team, read, active) = (team.clone(), read.clone(), active.clone());
        tokio::spawn(
            async move { team.change(&[TeamStep::Change { from: &read, to: &active }], told("accepted")).await.unwrap() },
        )
    });
    let done = futures::future::join_all(accepts).await.into_iter().map(|joined| joined.unwrap());
    assert_eq!(done.filter(|change| *change == TeamChange::Done).count(), 1);
    assert_eq!(team.member_of_user("u1").await.unwrap(), Some(active.clone()));
    assert_eq!(team.change(&[TeamStep::Invite(&invited)], told("late")).await.unwrap(), TeamChange::Lost, "in the team already");

    let token = TokenRow {
        token_id: "t1".into(),
        digest: "d".into(),
        kind: "token".into(),
        scope: "read".into(),
        made_by: "m1".into(),
        state: "active".into(),
        expires_ms: 9,
        used_ms: 0,
        sealed: "sealed".into(),
    };
    assert_eq!(team.change(&[TeamStep::AddToken(&token)], told("made")).await.unwrap(), TeamChange::Done);
    team.token_used("t1", 5).await.unwrap();
    assert_eq!(team.tokens().await.unwrap(), [TokenRow { used_ms: 5, ..token }]);
    let before = team.version().await.unwrap();
    assert_eq!(team.change(&[TeamStep::Remove(&active)], told("removed")).await.unwrap(), TeamChange::Done);
    assert_eq!(team.token("t1").await.unwrap().unwrap().state, "revoked", "it goes with its maker");
    assert_eq!(team.change(&[TeamStep::RevokeToken("t1")], told("again")).await.unwrap(), TeamChange::Lost);
    assert_eq!(team.version().await.unwrap(), before + 1, "a change that is taken back counts for nothing");
    assert_eq!(acme.audit().await.unwrap().len(), 5, "an entry for each change that was made, and none for another");
}

async fn an_owner_stays_whatever_is_done_at_the_same_moment(acme: &TenantStore) {
    let team = acme.team();
    let owners: Vec<MemberRow> = (0..4).map(|index| member(&format!("o{index}"), "owner", "active")).collect();
    let steps: Vec<TeamStep<'_>> = owners.iter().map(TeamStep::Invite).collect();
    assert_eq!(team.change(&steps, told("made")).await.unwrap(), TeamChange::Done);
    let leaves = owners.iter().enumerate().map(|(index, owner)| {
        let (team, owner) = (team.clone(), owner.clone());
        tokio::spawn(async move {
            let to = match index {
                0 => MemberRow { role: "viewer".into(), ..owner.clone() },
                _ => MemberRow { state: "suspended".into(), ..owner.clone() },
            };
            let step = if index == 1 { TeamStep::Remove(&owner) } else { TeamStep::Change { from: &owner, to: &to } };
            team.change(&[step], told("leaves")).await.unwrap()
        })
    });
    let answers: Vec<_> = futures::future::join_all(leaves).await.into_iter().map(|joined| joined.unwrap()).collect();
    assert_eq!(answers.iter().filter(|answer| **answer == TeamChange::Done).count(), 3, "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| **answer == TeamChange::NoOwner).count(), 1, "{answers:?}");
    let left = team.members().await.unwrap();
    assert_eq!(left.iter().filter(|member| member.role == "owner" && member.state == "active").count(), 1, "{left:?}");
}
