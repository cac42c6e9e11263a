//! One suite for the lives of alerts, routes and sendings, run on SQLite and on a private PostgreSQL.

use bonded_schemas::{Report, Severity};
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::Row;

use super::*;
use crate::store::{
    ControlStore, Place,
    tests::{made, on_both_stores, record, scope},
};

on_both_stores!();

async fn conforms(place: Place) {
    let store = made(place).await;
    assert!(store.add_tenant(&record("acme")).await.unwrap());
    let acme = store.open_tenant(&scope("acme")).await.unwrap();
    an_alert_opens_is_worked_and_opens_again(&acme).await;
    of_two_people_one_wins(&acme).await;
    what_was_decided_stays_decided(&acme).await;
    an_alert_from_before_has_a_life_of_its_own(&acme).await;
    a_cleared_alert_recurs(&acme).await;
    what_a_rebuild_raised_is_not_told(&acme).await;
    what_is_due_is_found(&acme).await;
    routes_are_their_owners(&acme).await;
    a_batch_is_taken_whole_and_by_one(&store).await;
    beats_are_the_last(&store).await;
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_780_000_000 + seconds, 0).unwrap()
}

fn event(sealed: &str) -> NewEvent<'_> {
    NewEvent { at: at(0), sealed }
}

async fn raise(acme: &TenantStore, fingerprint: &str, seconds: i64) {
    acme.raise_alert("rejects", Some(Report::Es003), fingerprint, Severity::Warning, at(seconds), "body").await.unwrap();
}

async fn life(acme: &TenantStore, fingerprint: &str) -> LifeRow {
    let all = acme.alerts_alive().await.unwrap();
    all.into_iter().find(|(alert, _)| alert.fingerprint == fingerprint).map(|(_, life)| life).expect("there")
}

async fn an_alert_opens_is_worked_and_opens_again(acme: &TenantStore) {
    raise(acme, "f1", 0).await;
    let opened = life(acme, "f1").await;
    assert_eq!((opened.state.as_str(), opened.version, opened.opened, opened.pending), ("open", 1, 1, pending::RAISED));
    assert_eq!(opened.since_ms, at(0).timestamp_millis());
    assert_eq!(opened.id().len(), 32);
    // Once more while it is open: counted, and told no second time.
    raise(acme, "f1", 5).await;
    assert_eq!(life(acme, "f1").await, opened);
    assert_eq!(acme.alerts("rejects").await.unwrap()[0].deliveries, 2);
    let events = acme.audit().await.unwrap().len();
    let to = LifeRow { state: "resolved".into(), pending: 0, sealed: "who and why".into(), ..opened.clone() };
    assert!(acme.change_life(&opened, &to, Some(event("resolved"))).await.unwrap());
    assert_eq!(acme.audit().await.unwrap().len(), events + 1);
    assert_eq!(life(acme, "f1").await, LifeRow { version: 2, ..to });
    raise(acme, "f1", 9).await;
    let again = life(acme, "f1").await;
    assert_eq!((again.state.as_str(), again.version, again.opened, again.pending), ("open", 3, 2, pending::RECURRED));
    assert_eq!((again.noticed, again.since_ms, again.sealed.as_str()), (3, at(9).timestamp_millis(), "who and why"));
    assert_eq!(acme.alert_of(&again).await.unwrap().unwrap().deliveries, 3);
}

async fn of_two_people_one_wins(acme: &TenantStore) {
    raise(acme, "f2", 0).await;
    let read = life(acme, "f2").await;
    let events = acme.audit().await.unwrap().len();
    let tries = (0..6).map(|n| {
        let (acme, read) = (acme.clone(), read.clone());
        tokio::spawn(async move {
            let to = LifeRow { state: "acknowledged".into(), sealed: format!("by {n}"), ..read.clone() };
            acme.change_life(&read, &to, Some(event(&format!("ack of {n}")))).await
        })
    });
    let answers: Vec<_> = futures::future::join_all(tries).await.into_iter().map(|joined| joined.unwrap()).collect();
    assert_eq!(answers.iter().filter(|answer| matches!(answer, Ok(true))).count(), 1, "{answers:?}");
    assert_eq!(acme.audit().await.unwrap().len(), events + 1, "who lost changed nothing and is in no trail");
    let stands = life(acme, "f2").await;
    assert_eq!((stands.state.as_str(), stands.version), ("acknowledged", 2));
    // An acknowledged alert that comes once more is still acknowledged.
    raise(acme, "f2", 8).await;
    assert_eq!(life(acme, "f2").await, stands);
}

async fn what_was_decided_stays_decided(acme: &TenantStore) {
    let raise = async |seconds| {
        acme.raise_alert("drift", Some(Report::Es003), "f3", Severity::Warning, at(seconds), "body").await.unwrap();
    };
    raise(0).await;
    acme.reject_alert("drift", "f3", NewEvent { at: at(4), sealed: "rejected" }).await.unwrap();
    let settled = life(acme, "f3").await;
    assert_eq!((settled.state.as_str(), settled.since_ms), ("resolved", at(4).timestamp_millis()));
    assert_eq!(settled.pending, pending::RAISED + pending::RESOLVED);
    raise(9).await;
    assert_eq!(life(acme, "f3").await, settled, "it is not asked about again");
}

async fn an_alert_from_before_has_a_life_of_its_own(acme: &TenantStore) {
    for (fingerprint, state) in [("old1", "open"), ("old2", "accepted")] {
        sqlx::query("INSERT INTO alerts VALUES ('drift', 'ES-001', $1, $2, 'warning', '2026-01-02T03:04:05+00:00', '2026-01-02T03:04:05+00:00', 4, 'x')")
            .bind(fingerprint)
            .bind(state)
            .execute(&acme.pool)
            .await
            .unwrap();
    }
    let (open, decided) = (life(acme, "old1").await, life(acme, "old2").await);
    assert_eq!((open.state.as_str(), open.version, open.pending), ("open", 0, 0), "nobody is told of what is long known");
    assert_eq!((decided.state.as_str(), decided.version), ("resolved", 0));
    let to = LifeRow { state: "acknowledged".into(), ..open.clone() };
    assert!(acme.change_life(&open, &to, None).await.unwrap());
    assert!(!acme.change_life(&open, &to, None).await.unwrap(), "somebody was first");
    assert_eq!(life(acme, "old1").await, LifeRow { version: 1, ..to });
    // Decided before there were lives, it comes again: still decided.
    acme.raise_alert("drift", Some(Report::Es001), "old2", Severity::Warning, at(0), "x").await.unwrap();
    assert_eq!((life(acme, "old2").await.state.as_str(), life(acme, "old2").await.pending), ("resolved", 0));
}

async fn a_cleared_alert_recurs(acme: &TenantStore) {
    raise(acme, "f4", 0).await;
    let clear = async |event| acme.clear_alert("rejects", Some(Report::Es003), "f4", event).await.unwrap();
    assert!(clear(event("cleared")).await);
    let events = acme.audit().await.unwrap().len();
    assert!(!clear(event("nothing to clear")).await);
    assert_eq!(acme.audit().await.unwrap().len(), events);
    let cleared = life(acme, "f4").await;
    assert_eq!((cleared.state.as_str(), cleared.pending), ("resolved", pending::RAISED + pending::RESOLVED));
    raise(acme, "f4", 9).await;
    assert_eq!((life(acme, "f4").await.opened, life(acme, "f4").await.pending), (2, pending::RAISED + pending::RECURRED));
}

async fn what_a_rebuild_raised_is_not_told(acme: &TenantStore) {
    raise(acme, "f5", 0).await;
    acme.hush_alerts().await.unwrap();
    let hushed = life(acme, "f5").await;
    assert_eq!((hushed.state.as_str(), hushed.pending), ("open", 0));
    assert!(acme.lives_due(at(0).timestamp_millis()).await.unwrap().is_empty());
}

async fn what_is_due_is_found(acme: &TenantStore) {
    let soon = at(60).timestamp_millis();
    for (fingerprint, muted_until_ms, escalate_ms, state) in
        [("m1", soon, 0, "open"), ("m2", 0, soon, "open"), ("m3", 0, soon, "acknowledged")]
    {
        raise(acme, fingerprint, 0).await;
        let read = life(acme, fingerprint).await;
        let to = LifeRow { muted_until_ms, escalate_ms, state: state.into(), pending: 0, ..read.clone() };
        assert!(acme.change_life(&read, &to, None).await.unwrap());
    }
    let due = async |now_ms| {
        let lives = acme.lives_due(now_ms).await.unwrap();
        lives.into_iter().map(|life| life.fingerprint).collect::<Vec<_>>()
    };
    assert!(due(soon - 1).await.is_empty());
    assert_eq!(due(soon).await, ["m1", "m2"], "nobody waits for what is acknowledged");
}

async fn routes_are_their_owners(acme: &TenantStore) {
    let row = |id: &str, owner: &str| RouteRow { route_id: id.into(), owner: owner.into(), sealed: "sealed".into() };
    assert!(acme.add_alert_route(&row("r1", ""), 1, event("added")).await.unwrap());
    let events = acme.audit().await.unwrap().len();
    assert!(!acme.add_alert_route(&row("r2", ""), 1, event("one too many")).await.unwrap());
    assert!(acme.add_alert_route(&row("r3", "member-1"), 1, event("their own")).await.unwrap());
    assert_eq!(acme.alert_routes().await.unwrap(), [row("r1", ""), row("r3", "member-1")]);
    assert!(!acme.remove_alert_route("r3", "member-2", event("not theirs")).await.unwrap());
    assert!(!acme.remove_alert_route("r3", "", event("not the team's")).await.unwrap());
    assert!(acme.remove_alert_route("r3", "member-1", event("removed")).await.unwrap());
    assert_eq!(acme.audit().await.unwrap().len(), events + 2);
}

async fn a_batch_is_taken_whole_and_by_one(store: &ControlStore) {
    let sendings = store.sendings();
    let row = |id: &str, batch: &str, due_ms| SendingRow {
        sending_id: id.into(),
        tenant: "acme".into(),
        batch: batch.into(),
        due_ms,
        expires_ms: 900,
        tries: 0,
        sealed: "sealed".into(),
    };
    sendings.put(&[row("s1", "s1", 20), row("s2", "digest", 10), row("s3", "digest", 10), row("s4", "s4", 99)]).await.unwrap();
    sendings.put(&[SendingRow { sealed: "another".into(), ..row("s1", "s1", 5) }]).await.unwrap();
    assert_eq!(sendings.waiting().await.unwrap(), 4);
    assert_eq!(sendings.due(50, 10).await.unwrap(), [("digest".to_owned(), 0), ("s1".to_owned(), 0)]);
    let takes = (0..6).map(|_| {
        let sendings = sendings.clone();
        tokio::spawn(async move { sendings.take("digest", 50, 200, 10).await })
    });
    let taken: Vec<_> = futures::future::join_all(takes).await.into_iter().map(|joined| joined.unwrap().unwrap()).collect();
    let taken: Vec<_> = taken.into_iter().filter(|rows| !rows.is_empty()).collect();
    assert_eq!(taken.len(), 1, "{taken:?}");
    let tried = |id: &str| SendingRow { due_ms: 200, tries: 1, ..row(id, "digest", 0) };
    assert_eq!(taken[0], [tried("s2"), tried("s3")]);
    assert_eq!(sendings.due(50, 10).await.unwrap(), [("s1".to_owned(), 0)]);
    assert_eq!(sendings.take("s1", 50, 300, 10).await.unwrap()[0].sealed, "sealed", "the first of a name stays");
    sendings.postpone(&taken[0][..1], 60).await.unwrap();
    assert_eq!(sendings.due(60, 10).await.unwrap(), [("digest".to_owned(), 1)], "one of them is due again, earlier");
    sendings.end(&taken[0]).await.unwrap();
    assert_eq!(sendings.waiting().await.unwrap(), 2);
    // Whoever planned it before it left cannot bring it back, until nobody would.
    sendings.put(&[row("s2", "digest", 10)]).await.unwrap();
    sendings.sweep(899).await.unwrap();
    assert_eq!((sendings.waiting().await.unwrap(), sendings.due(90, 10).await.unwrap()), (2, Vec::new()));
    sendings.sweep(900).await.unwrap();
    sendings.put(&[row("s2", "digest", 10)]).await.unwrap();
    assert_eq!(sendings.waiting().await.unwrap(), 3);
}

async fn beats_are_the_last(store: &ControlStore) {
    assert_eq!(store.last_beat("worker").await.unwrap(), None);
    for at_ms in [at(0), at(0) + TimeDelta::seconds(9)] {
        store.beat("worker", at_ms.timestamp_millis()).await.unwrap();
    }
    assert_eq!(store.last_beat("worker").await.unwrap(), Some(at(9).timestamp_millis()));
    let row = sqlx::query("SELECT count(*) FROM beats").fetch_one(&store.pool).await.unwrap();
    assert_eq!(row.try_get::<i64, _>(0).unwrap(), 1);
}
