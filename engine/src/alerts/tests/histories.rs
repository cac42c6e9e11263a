//! Random histories: alerts raised, worked and muted while doors fail and processes die. No alert is lost, none is told more
//! often than it was cut off.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    Raise(u8),
    Acknowledge(u8),
    Resolve(u8),
    Mute(u8, u8),
    Forward(u8),
    Look(Mood),
    /// The notifier dies at such a call of the store, before it took effect or after.
    Die(u8, bool),
}

const KINDS: [&str; 3] = ["drift", "verify", "rejects"];
fn step() -> impl Strategy<Value = Step> {
    let kind = 0..KINDS.len() as u8;
    prop_oneof![
        4 => kind.clone().prop_map(Step::Raise),
        2 => kind.clone().prop_map(Step::Acknowledge),
        2 => kind.clone().prop_map(Step::Resolve),
        1 => (kind, 1..10_u8).prop_map(|(kind, hours)| Step::Mute(kind, hours)),
        2 => (1..12_u8).prop_map(Step::Forward),
        4 => prop_oneof![Just(Mood::Fine), Just(Mood::Down), Just(Mood::Deaf)].prop_map(Step::Look),
        2 => (0..24_u8, any::<bool>()).prop_map(|(calls, once_done)| Step::Die(calls, once_done)),
    ]
}

/// What must hold of one alert.
#[derive(Debug, Default)]
struct Expected {
    opened: i64,
    state: Option<State>,
    muted_until: Option<DateTime<Utc>>,
    /// Openings of which nobody need have heard: they were muted, or over before anybody looked.
    silent: BTreeSet<i64>,
    /// Openings during which somebody looked.
    seen: BTreeSet<i64>,
}

async fn history(steps: &[Step]) {
    let watch = Watch::with(None, |alerts| alerts.tries_max = 1_000).await;
    // One letter an opening: to the operator, at once.
    watch.route("", to(&["operator"], &[]), all(), "at once", None).await;
    let mut expected: BTreeMap<&str, Expected> = BTreeMap::new();
    let mut ids: BTreeMap<&str, String> = BTreeMap::new();
    let mut cut_off = 0;
    for step in steps {
        let now = watch.clock.now();
        match *step {
            Step::Raise(kind) => {
                let kind = KINDS[usize::from(kind)];
                ids.insert(kind, watch.raise(kind, Severity::Error).await);
                let one = expected.entry(kind).or_default();
                if matches!(one.state, None | Some(State::Resolved)) {
                    one.opened += 1;
                    one.state = Some(State::Open);
                }
            }
            Step::Acknowledge(kind) => {
                let Some(id) = ids.get(KINDS[usize::from(kind)]) else { continue };
                let one = expected.get_mut(KINDS[usize::from(kind)]).unwrap();
                let done = acknowledge(&watch.house, &watch.tenant, id, "").await.unwrap();
                assert_eq!(matches!(done, Worked::Done(_)), one.state == Some(State::Open), "{steps:?}");
                if matches!(done, Worked::Done(_)) {
                    one.state = Some(State::Acknowledged);
                }
            }
            Step::Resolve(kind) => {
                let Some(id) = ids.get(KINDS[usize::from(kind)]) else { continue };
                let one = expected.get_mut(KINDS[usize::from(kind)]).unwrap();
                let done = resolve(&watch.house, &watch.tenant, id, "mended").await.unwrap();
                assert_eq!(matches!(done, Worked::Done(_)), one.state != Some(State::Resolved), "{steps:?}");
                (one.state, one.muted_until) = (Some(State::Resolved), None);
            }
            Step::Mute(kind, hours) => {
                let Some(id) = ids.get(KINDS[usize::from(kind)]) else { continue };
                let one = expected.get_mut(KINDS[usize::from(kind)]).unwrap();
                let until = now + TimeDelta::hours(hours.into());
                if let Worked::Done(_) = mute(&watch.house, &watch.tenant, id, Some(until), "").await.unwrap() {
                    one.muted_until = Some(until);
                    // Told or not before, nobody need be told of this opening by now; the end of the mute is told.
                    one.silent.insert(one.opened);
                }
            }
            Step::Forward(hours) => watch.forward(TimeDelta::hours(hours.into())),
            Step::Look(mood) => {
                watch.mood(mood);
                cut_off += usize::from(mood == Mood::Deaf);
                watch.look().await;
                watch.mood(Mood::Fine);
                for one in expected.values_mut() {
                    one.seen.insert(one.opened);
                }
            }
            Step::Die(calls, once_done) => {
                watch.saboteur.arm(calls.into(), once_done);
                let notifier = watch.notifier();
                drop(notifier.plan(&console(TEAM.parse().unwrap())).await);
                drop(notifier.send_due(&console).await);
                cut_off += usize::from(watch.saboteur.disarm());
            }
        }
    }
    // The last process lives, the doors work: everything leaves.
    for _ in 0..4 {
        watch.look().await;
        watch.forward(TimeDelta::hours(12));
    }
    watch.look().await;
    assert_eq!(watch.house.control().sendings().waiting().await.unwrap(), 0, "{steps:?}");
    let letters = watch.outside.letters.lock().unwrap().clone();
    let mut copies: BTreeMap<&str, usize> = BTreeMap::new();
    for mail in &letters {
        *copies.entry(&mail.id).or_default() += 1;
    }
    assert!(copies.values().all(|count| *count <= 1 + cut_off), "{copies:?} with {cut_off}: {steps:?}");
    for (kind, mut one) in expected {
        one.seen.extend([1, one.opened]);
        let (shown, _) = show(&watch.tenant, &ids[kind]).await.unwrap();
        assert_eq!((shown.opened, Some(shown.state)), (one.opened, one.state), "{kind}: {steps:?}");
        let told = |word: &str| {
            let subject = format!("[{TEAM}] error {kind} of ES-003: {word}");
            let ids: BTreeSet<&str> =
                letters.iter().filter(|mail| mail.subject == subject).map(|mail| mail.id.as_str()).collect();
            ids.len() as i64
        };
        let (raised, recurred, unmuted) = (told("raised"), told("recurred"), told("unmuted"));
        let loud = one.seen.difference(&one.silent).count() as i64;
        assert!(raised <= 1 && raised + recurred <= one.opened, "{kind}: told of what never was: {steps:?}");
        assert!(raised + recurred >= loud, "{kind}: {raised} + {recurred} letters of {loud} openings: {steps:?}");
        if one.muted_until.is_some() && one.state != Some(State::Resolved) {
            assert!(unmuted >= 1, "{kind}: the end of a mute was not told: {steps:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 40, ..ProptestConfig::default() })]

    #[test]
    fn no_alert_is_lost_and_none_is_told_more_often_than_it_was_cut_off(steps in prop::collection::vec(step(), 1..24)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(history(&steps));
    }
}
