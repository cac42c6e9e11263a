//! Every door call of the straight line fails once, before and after its effect; the process dies there or is told an
//! error. Run again, it must end as if nothing had happened.
//! The normal suite walks a part of the calls, drawn by a printed seed; `make chaos` walks them all.

use bonded::{
    accept::Decision,
    demo::corpus::{Corpus, ExtraColumn, Layout, Plan},
};
use bonded_schemas::{ColumnType, Report};
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};

use crate::{
    containers::pack,
    faults::{
        Ended, Fault, Life, Script,
        lair::{Lair, Step},
        picture::{self, Picture},
        seed,
    },
    world::TENANT,
};

/// (Call, fault) pairs walked of one scenario in the normal suite.
const WALKED: usize = 24;
const FAULTS: [Fault; 4] = [Fault::KillBefore, Fault::KillAfter, Fault::ErrorBefore, Fault::ErrorAfter];
/// Any step is done after one fault and this many quiet runs.
const RUNS_MAX: usize = 3;
const FEE: &str = "Special Program Fee";

/// A few rows of a few months.
fn corpus(seed: u64, layout: Layout) -> Corpus {
    let mut plan = Plan { lines_per_entry_max: 3, tariffs_per_line_max: 2, days: 50, ..Plan::new(seed, 5) };
    for report in Report::ENTRY_SUMMARIES {
        plan.layouts.insert(report, layout.clone());
    }
    Corpus::new(plan).expect("fit")
}

fn report(seed: u64, report: Report) -> Vec<u8> {
    crate::world::csv(&corpus(seed, Layout::default()), report)
}

fn drifted() -> Vec<u8> {
    let layout = Layout { extra: vec![ExtraColumn::last(FEE, ["1.25", "", "n/a"])], ..Layout::default() };
    crate::world::csv(&corpus(3, layout), Report::Es003)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// A lake in which the steps before went well.
async fn prepared(before: &[Step]) -> Lair {
    let lair = Lair::new();
    let house = lair.calm().await;
    for step in before {
        step.perform(&house, TENANT).await.expect("nothing failed");
    }
    lair
}

async fn pictured(lair: &Lair) -> Picture {
    picture::take(lair, &lair.calm().await, TENANT).await.0
}

/// One life with one fault, then quiet ones until the step is done; then once more.
async fn disturbed(before: &[Step], step: &Step, at: u64, fault: Fault) -> (Lair, Vec<String>) {
    let lair = prepared(before).await;
    let life = Life::new(Script::At(at, fault));
    let mut house = lair.open(&life).await;
    let mut done = match life.live(step.perform(&house, TENANT)).await {
        Ended::Done(ended) => ended.is_ok(),
        Ended::Killed => false,
    };
    let calls = life.calls();
    for _ in 0..RUNS_MAX {
        if done {
            break;
        }
        if life.is_dead() {
            house = lair.calm().await;
        }
        // A process that was told an error goes on living, and tries again.
        done = match step.perform(&house, TENANT).await {
            Ok(_) => true,
            Err(error) => panic!("{fault:?} at call {at} ({}): run again, it fails: {error}", calls[at as usize - 1]),
        };
    }
    assert!(done);
    if let (Step::Deliver { .. }, Ok(Some(again))) = (step, step.perform(&lair.calm().await, TENANT).await) {
        assert!(again.duplicate || again.has_quarantined(), "delivered once more, it is not known");
    }
    (lair, calls)
}

fn walk(before: &[Step], step: &Step) {
    let runtime = runtime();
    let (expected, calls) = runtime.block_on(async {
        let lair = prepared(before).await;
        let life = Life::new(Script::Never);
        step.perform(&lair.open(&life).await, TENANT).await.expect("nothing failed");
        // Delivered once more, as after each fault: a quarantined file counts in its alert each time it comes.
        step.perform(&lair.calm().await, TENANT).await.expect("nothing failed");
        (pictured(&lair).await, life.calls())
    });
    let mut places: Vec<(u64, Fault)> =
        (1..=calls.len() as u64).flat_map(|at| FAULTS.into_iter().map(move |fault| (at, fault))).collect();
    let all = places.len();
    if std::env::var("CHAOS_FULL").is_err() {
        places.shuffle(&mut StdRng::seed_from_u64(seed("CHAOS_SEED")));
        places.truncate(WALKED);
    }
    println!("{} door calls, {} of {all} faults walked", calls.len(), places.len());
    for (at, fault) in places {
        runtime.block_on(async {
            let (lair, calls) = disturbed(before, step, at, fault).await;
            let told = format!("{fault:?} at call {at} ({:?})", calls.get(at as usize - 1));
            let differences = pictured(&lair).await.differences(&expected);
            assert!(differences.is_empty(), "{told}: {differences:#?}");
        });
    }
}

#[test]
fn a_delivery_into_an_empty_lake_survives_a_fault_at_any_door_call() {
    walk(&[], &Step::deliver("a.csv", report(1, Report::Es003)));
}

#[test]
fn a_drifted_delivery_into_a_table_survives_a_fault_at_any_door_call() {
    walk(&[Step::deliver("a.csv", report(1, Report::Es003))], &Step::deliver("b.csv", drifted()));
}

#[test]
fn a_container_survives_a_fault_at_any_door_call() {
    let files =
        [("one.csv", report(1, Report::Es001)), ("letter.txt", b"Dear broker".to_vec()), ("two.csv", report(1, Report::Es002))];
    let packed = pack::zip(&files.each_ref().map(|(name, bytes)| (*name, bytes.as_slice())));
    walk(&[], &Step::deliver("a.zip", packed));
}

#[test]
fn a_delivery_that_came_before_survives_a_fault_at_any_door_call() {
    let step = Step::deliver("a.csv", report(1, Report::Es003));
    walk(std::slice::from_ref(&step), &step);
}

#[test]
fn a_quarantined_delivery_survives_a_fault_at_any_door_call() {
    walk(&[Step::deliver("a.csv", report(1, Report::Es003))], &Step::deliver("b.csv", nameless()));
}

/// ES-003 under a name for its entry number that nobody knows.
fn nameless() -> Vec<u8> {
    let layout = Layout { renamed: vec![("Entry Summary Number".into(), "Unheard Of".into())], ..Layout::default() };
    crate::world::csv(&corpus(4, layout), Report::Es003)
}

#[test]
fn a_replay_out_of_quarantine_survives_a_fault_at_any_door_call() {
    let decision = Decision { renames: vec![("Unheard Of".into(), "Entry Summary Number".into())], ..Decision::default() };
    walk(&[Step::deliver("b.csv", nameless())], &Step::Accept(decision));
}

#[test]
fn an_accepted_column_is_filled_once_whatever_fails_meanwhile() {
    let decision = Decision { columns: vec![(FEE.into(), ColumnType::Money)], ..Decision::default() };
    walk(&[Step::deliver("b.csv", drifted())], &Step::Accept(decision));
}
