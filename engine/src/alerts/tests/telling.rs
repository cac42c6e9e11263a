//! Who is told of what, when, and in which words.

use bonded_connectors::{alerts::signature, identity::token::Secret, store::alerts::RouteRow};

use super::*;
use crate::desk::tests::postgres::private_postgres::PrivatePostgres;

fn of(kind: &str) -> Filter {
    Filter { kinds: vec![kind.into()], ..Filter::default() }
}

#[tokio::test]
async fn without_a_route_errors_reach_those_who_look_after_the_team() {
    let watch = Watch::new().await;
    watch.raise("rejects", Severity::Warning).await;
    watch.look().await;
    assert!(watch.names().is_empty(), "a warning is not that bad");
    watch.raise("verify", Severity::Error).await;
    assert_eq!(watch.look().await.sent, 2);
    assert_eq!(watch.names(), ["admin", "owner"], "and nobody who was suspended");
    assert_eq!(watch.look().await, send::Sent::default(), "once");
    let closed = Watch::with(None, |alerts| alerts.default_route = false).await;
    closed.raise("verify", Severity::Error).await;
    closed.look().await;
    assert!(closed.names().is_empty());
}

#[tokio::test]
async fn a_letter_says_what_it_may_and_where_to_look() {
    let watch = Watch::new().await;
    let id = watch.raise("verify", Severity::Error).await;
    let head = watch.tenant.ledger.audit_head().await.unwrap();
    watch.look().await;
    let letters = watch.outside.letters.lock().unwrap();
    let html = letters[0].html.as_deref().unwrap();
    assert_eq!(letters[0].subject, "[fictional-lantern] error verify of ES-003: raised");
    for text in [letters[0].text.as_str(), html] {
        for part in [
            "error verify of ES-003",
            "is new",
            &format!("bonded alerts show --tenant {TEAM} {id}"),
            &format!("https://desk.example/alerts/{id}"),
            &format!("Head of the audit trail of {TEAM}: {} {}", head.events, head.hash),
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        for never in ["Secret Fee", "column\"", "lantern.example", "<script"] {
            assert!(!text.contains(never), "{never}: {text}");
        }
    }
    assert!(html.starts_with("<!DOCTYPE html>") && html.ends_with("</html>\n"));
}

#[tokio::test]
async fn routes_choose_by_kind_report_and_severity_and_a_person_gets_one_letter() {
    let watch = Watch::new().await;
    watch.route("", to(&["operator"], &[]), of("drift"), "at once", None).await;
    watch.route("", to(&["operator"], &[Role::Viewer]), all(), "at once", None).await;
    watch.route("viewer", to(&["viewer"], &[]), of("drift"), "at once", None).await;
    let severe = Filter { severity: Severity::Error, ..Filter::default() };
    watch.route("", to(&[], &[Role::Owner]), severe, "at once", None).await;
    let other = Filter { reports: vec![Report::Es001], ..Filter::default() };
    watch.route("", to(&["admin"], &[]), other, "at once", None).await;
    watch.raise("drift", Severity::Warning).await;
    watch.look().await;
    assert_eq!(watch.names(), ["operator", "viewer"]);
    watch.raise("verify", Severity::Error).await;
    watch.look().await;
    assert_eq!(watch.names(), ["operator", "owner", "viewer"]);
}

#[tokio::test]
async fn a_subscription_is_its_members_and_ends_with_them() {
    let watch = Watch::new().await;
    let id = watch.route("viewer", to(&["viewer"], &[]), all(), "at once", None).await;
    assert_eq!(routes::list(&watch.tenant, "viewer").await.unwrap()[0].to, ["viewer@lantern.example"]);
    assert!(routes::list(&watch.tenant, "").await.unwrap().is_empty());
    let missing = routes::remove(&watch.house, &watch.tenant, "operator", &id).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Missing);
    watch.raise("drift", Severity::Warning).await;
    watch.look().await;
    assert_eq!(watch.names(), ["viewer"]);
    let team = watch.tenant.ledger.team();
    let from = team.member("viewer").await.unwrap().unwrap();
    let suspended = MemberRow { state: "suspended".into(), ..from.clone() };
    let event = watch.tenant.sealed_event("member.suspend", "viewer", "done").unwrap();
    let told = Told { at: watch.clock.now(), event: &event };
    team.change(&[TeamStep::Change { from: &from, to: &suspended }], told).await.unwrap();
    watch.raise("rejects", Severity::Warning).await;
    watch.look().await;
    assert!(watch.names().is_empty());
    routes::remove(&watch.house, &watch.tenant, "viewer", &id[..12]).await.unwrap_or_else(|error| panic!("{error}"));
    let trail = watch.trail().await;
    assert!(trail.iter().any(|line| line == "alert.subscribe done") && trail.iter().any(|line| line == "alert.unsubscribe done"));
}

#[tokio::test]
async fn a_digest_collects_until_its_time_and_is_one_letter() {
    let watch = Watch::new().await;
    // 2026-05-28T20:26:40Z, a Thursday.
    watch.route("", to(&["operator"], &[]), all(), "daily 08:00 Europe/Berlin", None).await;
    watch.route("", to(&["viewer"], &[]), all(), "weekly mon 08:00 UTC", None).await;
    for kind in ["drift", "rejects", "verify"] {
        watch.raise(kind, Severity::Error).await;
        assert_eq!(watch.look().await, send::Sent::default());
    }
    watch.forward(TimeDelta::hours(9));
    assert_eq!(watch.look().await, send::Sent::default(), "05:26 in UTC is not yet eight in Berlin");
    watch.forward(TimeDelta::hours(1));
    assert_eq!(watch.look().await.sent, 1);
    assert_eq!(watch.letters(), [("operator".to_owned(), "[fictional-lantern] 3 alerts, the worst an error".to_owned())]);
    watch.raise("inbox", Severity::Warning).await;
    watch.look().await;
    watch.forward(TimeDelta::days(4));
    assert_eq!(watch.look().await.sent, 2);
    let subjects: Vec<String> = watch.letters().into_iter().map(|(name, subject)| format!("{name} {subject}")).collect();
    assert_eq!(
        subjects,
        [
            "operator [fictional-lantern] warning inbox of ES-003: raised",
            "viewer [fictional-lantern] 4 alerts, the worst an error"
        ]
    );
}

#[tokio::test]
async fn nobody_acknowledges_so_admins_are_called_and_then_owners() {
    let watch = Watch::new().await;
    watch.route("", to(&["operator"], &[]), all(), "at once", Some("4h")).await;
    let id = watch.raise("drift", Severity::Warning).await;
    watch.look().await;
    assert_eq!(watch.names(), ["operator"]);
    watch.forward(TimeDelta::minutes(239));
    watch.look().await;
    assert!(watch.names().is_empty());
    watch.forward(TimeDelta::minutes(1));
    watch.look().await;
    assert_eq!(watch.letters(), [("admin".to_owned(), "[fictional-lantern] warning drift of ES-003: escalated".to_owned())]);
    watch.forward(TimeDelta::hours(4));
    watch.look().await;
    assert_eq!(watch.names(), ["owner"]);
    watch.forward(TimeDelta::days(3));
    watch.look().await;
    assert!(watch.names().is_empty(), "there is nobody above");
    // Resolved, back, and taken up in time: nobody is called.
    resolve(&watch.house, &watch.tenant, &id, "mended").await.unwrap();
    watch.raise("drift", Severity::Warning).await;
    watch.look().await;
    assert_eq!(watch.letters(), [("operator".to_owned(), "[fictional-lantern] warning drift of ES-003: recurred".to_owned())]);
    acknowledge(&watch.house, &watch.tenant, &id, "").await.unwrap();
    watch.forward(TimeDelta::days(3));
    watch.look().await;
    assert!(watch.names().is_empty());
}

#[tokio::test]
async fn a_muted_alert_is_silent_and_told_again_when_the_mute_ends() {
    let watch = Watch::new().await;
    watch.route("", to(&["operator"], &[]), all(), "at once", Some("1h")).await;
    let id = watch.raise("drift", Severity::Warning).await;
    watch.look().await;
    assert_eq!(watch.names(), ["operator"]);
    let until = watch.clock.now() + TimeDelta::hours(8);
    mute(&watch.house, &watch.tenant, &id, Some(until), "known").await.unwrap();
    watch.forward(TimeDelta::hours(7));
    watch.look().await;
    assert!(watch.names().is_empty(), "nobody is called meanwhile either");
    watch.forward(TimeDelta::hours(1));
    watch.look().await;
    assert_eq!(watch.names(), ["admin", "operator"], "still there, and nobody took it up");
    assert_eq!(show(&watch.tenant, &id).await.unwrap().0.muted_until, None);
    // Raised anew while muted: silent until then.
    resolve(&watch.house, &watch.tenant, &id, "mended").await.unwrap();
    watch.look().await;
    assert!(watch.names().is_empty());
}

#[tokio::test]
async fn what_was_silent_is_told_when_somebody_ends_the_mute_by_hand() {
    let watch = Watch::new().await;
    watch.route("", to(&["operator"], &[]), all(), "at once", None).await;
    let id = watch.raise("drift", Severity::Warning).await;
    let until = watch.clock.now() + TimeDelta::hours(8);
    mute(&watch.house, &watch.tenant, &id, Some(until), "known").await.unwrap();
    watch.look().await;
    assert!(watch.names().is_empty());
    mute(&watch.house, &watch.tenant, &id, None, "no longer known").await.unwrap();
    watch.look().await;
    assert_eq!(watch.names(), ["operator"]);
    watch.forward(TimeDelta::hours(9));
    watch.look().await;
    assert!(watch.names().is_empty(), "once");
}

#[tokio::test]
async fn a_route_that_does_not_read_silences_no_other_and_those_who_look_after_the_team_hear() {
    let watch = Watch::new().await;
    watch.route("", to(&["operator"], &[]), all(), "at once", None).await;
    let row = RouteRow { route_id: "damaged".into(), owner: String::new(), sealed: "AAAA".into() };
    let sealed = watch.tenant.sealed_event("alert.route.add", "damaged", "done").unwrap();
    let event = NewEvent { at: watch.clock.now(), sealed: &sealed };
    assert!(watch.tenant.ledger.add_alert_route(&row, 9, event).await.unwrap());
    watch.raise("verify", Severity::Error).await;
    watch.look().await;
    assert_eq!(watch.names(), ["admin", "operator", "owner"]);
    // It is listed as what it is, beside the other, and can be removed.
    let listed = || async { routes::list(&watch.tenant, "").await.unwrap() };
    let channels = |routes: &[routes::RouteInfo]| routes.iter().map(|route| route.channel).collect::<Vec<_>>();
    let both = channels(&listed().await);
    assert!(both.len() == 2 && both.contains(&"damaged") && both.contains(&"mail"), "{both:?}");
    assert_eq!(routes::remove(&watch.house, &watch.tenant, "", "damaged").await.unwrap().channel, "damaged");
    assert_eq!(channels(&listed().await), ["mail"]);
}

#[tokio::test]
async fn an_alert_that_cannot_be_told_keeps_no_other_from_it() {
    let watch = Watch::new().await;
    watch.route("", to(&[], &[Role::Viewer]), of("drift"), "at once", None).await;
    watch.route("", to(&["operator"], &[]), all(), "at once", None).await;
    let damaged = MemberRow {
        member_id: "damaged".into(),
        user_id: "user-damaged".into(),
        email_digest: "digest-damaged".into(),
        role: Role::Viewer.as_str().into(),
        state: "active".into(),
        since: watch.clock.now().to_rfc3339(),
        sealed: "AAAA".into(),
    };
    let event = watch.tenant.sealed_event("member.invite", "damaged", "done").unwrap();
    let told = Told { at: watch.clock.now(), event: &event };
    watch.tenant.ledger.team().change(&[TeamStep::Invite(&damaged)], told).await.unwrap();
    for kind in ["drift", "verify", "drift"] {
        watch.raise(kind, Severity::Error).await;
        watch.forward(TimeDelta::seconds(1));
    }
    let notifier = watch.notifier();
    assert!(notifier.plan(&console(TEAM.parse().unwrap())).await.is_err(), "one could not be told");
    notifier.send_due(&console).await.unwrap();
    assert_eq!(watch.letters(), [("operator".to_owned(), "[fictional-lantern] error verify of ES-003: raised".to_owned())]);
}

#[tokio::test]
async fn a_webhook_is_called_in_its_form_signed_and_told_the_end() {
    let watch = Watch::new().await;
    let hook = |path: &str, form| Channel::Webhook { url: format!("https://receiver.example/{path}"), form };
    let (shown, secret) = watch.try_add("", hook("hunter2", Form::Bonded), all(), "at once", None).await.unwrap();
    let secret: Secret = secret.expect("shown once");
    assert_eq!((shown.to, shown.channel), (vec!["receiver.example".to_owned()], "webhook"));
    assert!(watch.try_add("", hook("slack", Form::Slack), all(), "at once", None).await.unwrap().1.is_none());
    let id = watch.raise("drift", Severity::Warning).await;
    watch.look().await;
    resolve(&watch.house, &watch.tenant, &id, "mended").await.unwrap();
    watch.look().await;
    let calls = watch.outside.calls.lock().unwrap().clone();
    let (slack, own): (Vec<_>, Vec<_>) = calls.iter().partition(|call| call.url.ends_with("slack"));
    assert_eq!((own.len(), slack.len()), (2, 2));
    let told = |call: &Hook| serde_json::from_str::<serde_json::Value>(&call.body).unwrap();
    let first = told(own[0]);
    assert_eq!((&first["alerts"][0]["alert"], &first["alerts"][0]["event"]), (&json!(id), &json!("raised")));
    assert_eq!((&first["delivery"], &told(own[1])["alerts"][0]["event"]), (&json!(own[0].id), &json!("resolved")));
    assert_ne!(own[0].id, own[1].id);
    let header = signature::sign(own[0].secret.as_ref().unwrap(), own[0].at_s, &own[0].body);
    assert!(signature::verifies(&secret, &header, &own[0].body, own[0].at_s, 0), "by the secret that was shown");
    assert!(slack[0].secret.is_none() && told(slack[0])["text"].as_str().unwrap().contains("warning drift of ES-003 is new"));
    for call in &calls {
        assert!(!call.body.contains("Secret Fee") && !call.body.contains("lantern.example"), "{}", call.body);
    }
    let (trail, stored) = (watch.tenant.trail().await.unwrap(), watch.tenant.ledger.alert_routes().await.unwrap());
    for text in [format!("{trail:?}"), format!("{stored:?}"), format!("{:?}", routes::list(&watch.tenant, "").await.unwrap())] {
        assert!(!text.contains("hunter2") && !text.contains(secret.reveal()), "{text}");
    }
    assert!(
        watch
            .try_add("", Channel::Webhook { url: "https://127.0.0.1/".into(), form: Form::Slack }, all(), "at once", None)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn what_does_not_leave_is_tried_again_under_its_name_and_given_up_with_an_event() {
    let watch = Watch::with(None, |alerts| alerts.tries_max = 3).await;
    watch.raise("verify", Severity::Error).await;
    watch.mood(Mood::Deaf);
    assert_eq!(watch.look().await, send::Sent { kept: 2, ..send::Sent::default() });
    assert_eq!(watch.look().await, send::Sent::default(), "not at once");
    watch.mood(Mood::Fine);
    watch.forward(TimeDelta::minutes(2));
    assert_eq!(watch.look().await.sent, 2);
    let letters = std::mem::take(&mut *watch.outside.letters.lock().unwrap());
    let ids: std::collections::BTreeSet<&str> = letters.iter().map(|mail| mail.id.as_str()).collect();
    assert_eq!((letters.len(), ids.len()), (4, 2), "a second copy has the name of the first");
    watch.raise("rejects", Severity::Error).await;
    watch.mood(Mood::Down);
    for _ in 0..2 {
        assert_eq!(watch.look().await.kept, 2);
        watch.forward(TimeDelta::hours(1));
    }
    assert_eq!(watch.look().await.given_up, 2);
    watch.raise("inbox", Severity::Error).await;
    watch.mood(Mood::Hopeless);
    assert_eq!(watch.look().await.given_up, 2, "at once, where it is told never");
    let trail = watch.trail().await;
    assert_eq!(trail.iter().filter(|line| line.starts_with("alert.send a letter was given up")).count(), 4, "{trail:?}");
    assert_eq!(watch.house.control().sendings().waiting().await.unwrap(), 0);
}

#[tokio::test]
async fn whoever_dies_at_whatever_call_each_letter_leaves_and_keeps_its_name() {
    let watch = Watch::new().await;
    let scope = console(TEAM.parse().unwrap());
    watch.raise("verify", Severity::Error).await;
    let mut deaths = 0;
    for (calls, once_done) in (0..12).flat_map(|calls| [(calls, false), (calls, true)]) {
        watch.saboteur.arm(calls, once_done);
        drop(watch.notifier().plan(&scope).await);
        deaths += u32::from(watch.saboteur.disarm());
    }
    assert!(deaths >= 6, "{deaths}");
    watch.look().await;
    assert_eq!(watch.names(), ["admin", "owner"], "planned many times, told once");
    assert_eq!(watch.look().await, send::Sent::default());
    // Sent, and cut off before that is noted: second copies, and none of another name.
    watch.raise("rejects", Severity::Error).await;
    watch.notifier().plan(&scope).await.unwrap();
    let mut deaths = 0;
    for (calls, once_done) in (0..8).flat_map(|calls| [(calls, false), (calls, true)]) {
        watch.saboteur.arm(calls, once_done);
        drop(watch.notifier().send_due(&console).await);
        deaths += usize::from(watch.saboteur.disarm());
        watch.forward(TimeDelta::hours(1));
    }
    watch.look().await;
    let letters = watch.outside.letters.lock().unwrap().clone();
    let ids: std::collections::BTreeSet<&str> = letters.iter().map(|mail| mail.id.as_str()).collect();
    assert!(deaths >= 6 && ids.len() == 2 && (2..=2 * (1 + deaths)).contains(&letters.len()), "{deaths} {}", letters.len());
    assert_eq!(watch.house.control().sendings().waiting().await.unwrap(), 0);
}

#[tokio::test]
async fn two_notifiers_send_each_letter_once() {
    let watch = Watch::new().await;
    for kind in ["verify", "rejects", "attest", "inbox"] {
        watch.raise(kind, Severity::Error).await;
    }
    let looks = (0..4).map(|_| watch.look());
    futures::future::join_all(looks).await;
    watch.look().await;
    assert_eq!(watch.letters().len(), 8);
}

#[tokio::test]
async fn a_route_is_tried_out_and_told_how_that_went() {
    let watch = Watch::new().await;
    let id = watch.route("", to(&["operator"], &[Role::Owner]), all(), "weekly mon 08:00 UTC", None).await;
    assert_eq!(watch.notifier().try_route(&watch.tenant, "", &id).await.unwrap(), 2);
    assert_eq!(watch.names(), ["operator", "owner"]);
    watch.mood(Mood::Down);
    watch.notifier().try_route(&watch.tenant, "", &id).await.unwrap_err();
    let trail = watch.trail().await;
    assert!(trail.iter().any(|line| line.starts_with("alert.route.test a letter did not leave")), "{trail:?}");
}

#[tokio::test]
async fn routes_that_lead_nowhere_are_refused() {
    let watch = Watch::new().await;
    for (owner, channel, escalate) in [
        ("", to(&[], &[]), None),
        ("", to(&["nobody"], &[]), None),
        ("viewer", to(&["viewer"], &[]), Some("4h")),
        ("", to(&["viewer"], &[]), Some("soon")),
        ("", to(&["viewer"], &[]), Some("59s")),
        ("", to(&["viewer"], &[]), Some("745h")),
        ("", to(&["viewer"], &[]), Some("2562047788015h")),
        ("", Channel::Webhook { url: "http://receiver.example/".into(), form: Form::Bonded }, None),
    ] {
        let error = watch.try_add(owner, channel, all(), "at once", escalate).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input, "{error}");
    }
    for n in 0..20 {
        let added = watch.try_add("viewer", to(&["viewer"], &[]), all(), "at once", None).await;
        added.unwrap_or_else(|error| panic!("{n}: {error}"));
    }
    watch.try_add("viewer", to(&["viewer"], &[]), all(), "at once", None).await.unwrap_err();
}

#[tokio::test]
async fn the_same_holds_on_postgresql() {
    let Some(cluster) = PrivatePostgres::start() else { return };
    let watch = Watch::with(Some((cluster.url(), cluster.owner_url())), |_| {}).await;
    watch.route("", to(&["operator"], &[]), all(), "at once", Some("1h")).await;
    watch.route("", to(&["viewer"], &[]), all(), "daily 08:00 UTC", None).await;
    let id = watch.raise("drift", Severity::Warning).await;
    assert_eq!(watch.look().await.sent, 1);
    watch.forward(TimeDelta::hours(12));
    watch.look().await;
    assert_eq!(watch.names(), ["admin", "operator", "viewer"]);
    acknowledge(&watch.house, &watch.tenant, &id, "mine").await.unwrap();
    watch.forward(TimeDelta::hours(12));
    assert_eq!(watch.look().await, send::Sent::default());
    assert_eq!(watch.state(&id).await, State::Acknowledged);
}

#[tokio::test]
async fn a_sign_of_life_is_given_only_while_somebody_watches_and_works() {
    let watch = Watch::with(None, |alerts| alerts.heartbeat_needs = vec!["watch".into()]).await;
    let beat = async || heartbeat::beat(&watch.house, watch.outside.as_ref(), Some("https://signs.example/a")).await;
    assert!(!heartbeat::pulse(&watch.house).await.unwrap().alive, "nobody ever looked");
    assert!(beat().await.unwrap_err().to_string().contains("`watch` was not heard of"));
    let control = watch.house.control();
    control.beat("watch", watch.clock.now().timestamp_millis()).await.unwrap();
    assert!(beat().await.unwrap());
    assert!(!beat().await.unwrap(), "not every time");
    assert!(heartbeat::pulse(&watch.house).await.unwrap().alive);
    watch.forward(TimeDelta::minutes(5));
    watch.mood(Mood::Down);
    beat().await.unwrap_err();
    watch.mood(Mood::Fine);
    assert!(beat().await.unwrap());
    assert_eq!(watch.outside.knocks.lock().unwrap().len(), 2);
    assert_eq!(heartbeat::gap(&watch.house).await.unwrap(), None);
    // Work that nobody takes: no sign, and it is told why.
    let work = bonded_connectors::store::queue::Work {
        tenant: TEAM.parse().unwrap(),
        keyed_digest: "d1".into(),
        delivery_id: bonded_schemas::DeliveryId(uuid::Uuid::now_v7()),
        size_bytes: 1,
    };
    assert!(watch.house.queue().await.unwrap().enqueue(&work, watch.clock.now()).await.unwrap());
    let before = watch.clock.now();
    watch.forward(TimeDelta::minutes(31));
    control.beat("watch", watch.clock.now().timestamp_millis()).await.unwrap();
    assert!(heartbeat::pulse(&watch.house).await.unwrap().wrong.iter().any(|wrong| wrong.contains("1 deliveries wait")));
    assert_eq!(heartbeat::gap(&watch.house).await.unwrap(), Some(before), "and nobody looked meanwhile");
    assert!(beat().await.unwrap_err().to_string().contains("1 deliveries wait"));
    heartbeat::raise_gap(&watch.house, &watch.tenant, before).await.unwrap();
    assert_eq!(list(&watch.tenant, &Sought { kind: Some("heartbeat".into()), ..Sought::default() }).await.unwrap().len(), 1);
}
