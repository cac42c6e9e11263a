//! Working an alert: who may do what from where it stands, and what is written down.

use super::*;

fn done(worked: Worked) -> Shown {
    match worked {
        Worked::Done(shown) => *shown,
        Worked::Conflict(why) => panic!("{why}"),
    }
}

fn conflict(worked: Worked) -> String {
    match worked {
        Worked::Done(shown) => panic!("{shown:?}"),
        Worked::Conflict(why) => why,
    }
}

#[tokio::test]
async fn an_alert_is_taken_up_settled_and_opens_again_with_its_story() {
    let watch = Watch::new().await;
    let id = watch.raise("rejects", Severity::Warning).await;
    assert_eq!(id.len(), 32);
    let operator = watch.tenant.acting(&as_member("operator", Role::Operator)).unwrap();
    let short = &id[..8];
    let acked = done(acknowledge(&watch.house, &operator, short, "asking the broker").await.unwrap());
    assert_eq!((acked.state, acked.notes[0].by.as_str()), (State::Acknowledged, "operator@lantern.example"));
    watch.forward(TimeDelta::minutes(5));
    let resolved = done(resolve(&watch.house, &operator, &id, " the portal was mended ").await.unwrap());
    assert_eq!(
        (resolved.state, resolved.notes.len(), resolved.notes[1].text.as_str()),
        (State::Resolved, 2, "the portal was mended")
    );
    assert!(list(&watch.tenant, &Sought::default()).await.unwrap().is_empty());
    watch.forward(TimeDelta::days(1));
    assert_eq!(watch.raise("rejects", Severity::Warning).await, id, "its name stays");
    let (again, details) = show(&watch.tenant, &id).await.unwrap();
    assert_eq!((again.state, again.opened, again.deliveries, again.notes.len()), (State::Open, 2, 2, 2));
    assert_eq!(again.since, watch.clock.now());
    assert_eq!(details["column"], "Secret Fee");
    let trail = watch.tenant.trail().await.unwrap();
    let told: Vec<_> = trail.iter().map(|(_, event)| event).filter(|event| event.action.starts_with("alert.")).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(
        (told[0].action.as_str(), told[0].actor.role, told[0].object.as_str()),
        ("alert.acknowledge", Some(Role::Operator), id.as_str())
    );
    assert_eq!(told[1].before.as_ref().unwrap()["state"], "acknowledged");
    assert_eq!(told[1].after.as_ref().unwrap()["note"], "the portal was mended");
}

#[tokio::test]
async fn of_two_who_do_the_same_one_is_told_by_whom_it_was_done() {
    let watch = Watch::new().await;
    let id = watch.raise("rejects", Severity::Warning).await;
    let people = [("operator", Role::Operator), ("admin", Role::Admin), ("owner", Role::Owner)];
    let tries = people.map(|(name, role)| {
        let (house, tenant, id) = (watch.house.clone(), watch.tenant.acting(&as_member(name, role)).unwrap(), id.clone());
        tokio::spawn(async move { acknowledge(&house, &tenant, &id, "mine").await.unwrap() })
    });
    let (mut won, mut lost) = (Vec::new(), Vec::new());
    for tried in tries {
        match tried.await.unwrap() {
            Worked::Done(shown) => won.push(shown.notes[0].by.clone()),
            Worked::Conflict(why) => lost.push(why),
        }
    }
    assert_eq!((won.len(), lost.len()), (1, 2));
    assert!(lost.iter().all(|why| why.contains(&format!("acknowledged already: by {}", won[0]))), "{lost:?}");
    assert_eq!(watch.trail().await.iter().filter(|line| line.starts_with("alert.acknowledge")).count(), 1);
}

#[tokio::test]
async fn what_no_longer_stands_as_thought_is_told_and_changes_nothing() {
    let watch = Watch::new().await;
    let id = watch.raise("rejects", Severity::Warning).await;
    let (house, tenant) = (&watch.house, &watch.tenant);
    assert_eq!(resolve(house, tenant, &id, " ").await.unwrap_err().kind(), ErrorKind::Input);
    assert!(conflict(mute(house, tenant, &id, None, "").await.unwrap()).contains("not muted"));
    let now = watch.clock.now();
    for until in [now, now - TimeDelta::hours(1), now + TimeDelta::days(91)] {
        assert_eq!(mute(house, tenant, &id, Some(until), "").await.unwrap_err().kind(), ErrorKind::Input);
    }
    assert_eq!(acknowledge(house, tenant, &id, &"x".repeat(2001)).await.unwrap_err().kind(), ErrorKind::Input);
    assert_eq!(acknowledge(house, tenant, "ffff", "").await.unwrap_err().kind(), ErrorKind::Missing);
    assert_eq!(acknowledge(house, tenant, "", "").await.unwrap_err().kind(), ErrorKind::Missing);
    done(resolve(house, tenant, &id, "mended").await.unwrap());
    assert!(conflict(acknowledge(house, tenant, &id, "").await.unwrap()).contains("resolved already: by console:test"));
    conflict(resolve(house, tenant, &id, "again").await.unwrap());
    conflict(mute(house, tenant, &id, Some(now + TimeDelta::hours(1)), "").await.unwrap());
}

#[tokio::test]
async fn a_persons_change_does_not_fail_because_the_notifier_came_between() {
    let watch = Watch::new().await;
    let id = watch.raise("rejects", Severity::Error).await;
    let notifier = watch.notifier();
    let scope = console(TEAM.parse().unwrap());
    let (planned, acked) = tokio::join!(notifier.plan(&scope), acknowledge(&watch.house, &watch.tenant, &id, "mine"));
    assert!(planned.is_ok(), "{planned:?}");
    assert_eq!(done(acked.unwrap()).state, State::Acknowledged);
}

#[tokio::test]
async fn a_list_is_narrowed_by_what_it_is_asked_for() {
    let watch = Watch::new().await;
    watch.raise("rejects", Severity::Warning).await;
    let verify = watch.raise("verify", Severity::Error).await;
    let count = async |sought: Sought| list(&watch.tenant, &sought).await.unwrap().len();
    assert_eq!(count(Sought::default()).await, 2);
    assert_eq!(count(Sought { kind: Some("verify".into()), ..Sought::default() }).await, 1);
    assert_eq!(count(Sought { severity: Some(Severity::Error), ..Sought::default() }).await, 1);
    assert_eq!(count(Sought { report: Some(Report::Es001), ..Sought::default() }).await, 0);
    done(resolve(&watch.house, &watch.tenant, &verify, "restored").await.unwrap());
    assert_eq!(count(Sought::default()).await, 1);
    assert_eq!(count(Sought { all: true, ..Sought::default() }).await, 2);
    assert_eq!(count(Sought { state: Some(State::Resolved), ..Sought::default() }).await, 1);
}
