//! Failing doubles of every door, driven by one seed, and a world in memory in which a process can die and start again.
//! Promise: the real store, keyring and control store do the work; a double only decides whether a call reaches them and
//! whether its answer comes back. After a kill nothing of that life has an effect any more.

use std::{
    collections::BTreeMap,
    future::Future,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::sync::watch;

pub mod keys;
pub mod lair;
pub mod picture;
pub mod probe;
pub mod store;
pub mod turns;

use turns::Turns;

/// What goes wrong at one call of one door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    ErrorBefore,
    /// "Did it land?"
    ErrorAfter,
    KillBefore,
    KillAfter,
    /// Half of what was to be written lies there, or half of what was read arrives; then an error.
    Partial,
    /// What was written is not to be seen yet.
    Stale,
    /// The call reaches the door late.
    Delay,
    /// The answer comes back late.
    Slow,
}

impl Fault {
    pub const ALL: [Fault; 8] = [
        Fault::ErrorBefore,
        Fault::ErrorAfter,
        Fault::KillBefore,
        Fault::KillAfter,
        Fault::Partial,
        Fault::Stale,
        Fault::Delay,
        Fault::Slow,
    ];
}

/// Which faults a call can have beside those that every call can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Put,
    Get,
    Other,
}

/// When faults come.
#[derive(Debug)]
pub enum Script {
    Never,
    /// At the n-th call, 1-based.
    At(u64, Fault),
    /// So many of a thousand calls, by this seed.
    Random {
        seed: u64,
        per_mille: u32,
    },
}

/// One life of one process: all its door calls, in order, and its end.
#[derive(Debug)]
pub struct Life {
    state: Mutex<State>,
    dead: watch::Sender<bool>,
    turns: Option<(Arc<Turns>, usize)>,
}

#[derive(Debug)]
struct State {
    script: Script,
    random: StdRng,
    calls: Vec<String>,
    injected: BTreeMap<Fault, u64>,
}

/// How a piece of work of one life ended.
#[derive(Debug)]
pub enum Ended<T> {
    Done(T),
    Killed,
}

impl Life {
    pub fn new(script: Script) -> Arc<Self> {
        Self::with(script, None)
    }

    /// One of several workers that take turns at their doors.
    pub fn with(script: Script, turns: Option<(Arc<Turns>, usize)>) -> Arc<Self> {
        let seed = if let Script::Random { seed, .. } = script { seed } else { 0 };
        let random = StdRng::seed_from_u64(seed);
        let state = State { script, random, calls: Vec::new(), injected: BTreeMap::new() };
        Arc::new(Self { state: Mutex::new(state), dead: watch::channel(false).0, turns })
    }

    /// The calls made so far, by name.
    pub fn calls(&self) -> Vec<String> {
        self.state.lock().unwrap().calls.clone()
    }

    pub fn injected(&self) -> BTreeMap<Fault, u64> {
        self.state.lock().unwrap().injected.clone()
    }

    pub fn is_dead(&self) -> bool {
        *self.dead.borrow()
    }

    /// Does the work until it ends or the life does.
    pub async fn live<T>(&self, work: impl Future<Output = T>) -> Ended<T> {
        let mut dead = self.dead.subscribe();
        tokio::select! {
            biased;
            _ = dead.wait_for(|dead| *dead) => Ended::Killed,
            done = work => Ended::Done(done),
        }
    }

    /// Before a door's effect: the fault this call has, if any. An error is what the caller gets.
    pub async fn enter(&self, door: &str, kind: Kind, may_wait: bool) -> io::Result<Option<Fault>> {
        if self.is_dead() {
            return Err(gone());
        }
        if may_wait && let Some((turns, worker)) = &self.turns {
            turns.pass(*worker).await;
        }
        let (fault, pause) = {
            let mut state = self.state.lock().unwrap();
            state.calls.push(door.to_owned());
            let fault = state.next(kind);
            if let Some(fault) = fault {
                *state.injected.entry(fault).or_default() += 1;
            }
            (fault, Duration::from_micros(state.random.random_range(100..2000)))
        };
        match fault {
            Some(Fault::ErrorBefore) => Err(told(door)),
            Some(Fault::KillBefore) => {
                self.dead.send_replace(true);
                Err(gone())
            }
            Some(Fault::Delay) => {
                tokio::time::sleep(pause).await;
                Ok(fault)
            }
            fault => Ok(fault),
        }
    }

    /// After the effect, before the answer is believed.
    pub async fn leave(&self, door: &str, fault: Option<Fault>) -> io::Result<()> {
        if self.is_dead() {
            return Err(gone());
        }
        match fault {
            Some(Fault::ErrorAfter) => Err(told(door)),
            Some(Fault::KillAfter) => {
                self.dead.send_replace(true);
                Err(gone())
            }
            Some(Fault::Slow) => {
                tokio::time::sleep(Duration::from_millis(1)).await;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl State {
    fn next(&mut self, kind: Kind) -> Option<Fault> {
        match self.script {
            Script::Never => None,
            Script::At(at, fault) => (self.calls.len() as u64 == at).then_some(fault),
            Script::Random { per_mille, .. } => {
                let drawn = self.random.random_range(0..1000) < per_mille;
                let fault = Fault::ALL[self.random.random_range(0..Fault::ALL.len())];
                // What a call cannot have becomes the fault that is like it.
                let fault = match (fault, kind) {
                    (Fault::Partial, Kind::Other) => Fault::ErrorAfter,
                    (Fault::Stale, Kind::Put | Kind::Other) => Fault::ErrorBefore,
                    (fault, _) => fault,
                };
                drawn.then_some(fault)
            }
        }
    }
}

fn told(door: &str) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, format!("{door} failed, as the test asked"))
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "this process is dead")
}

/// A seed from the variable, or a fresh one; printed either way.
pub fn seed(variable: &str) -> u64 {
    let fresh = || u64::from_le_bytes(uuid::Uuid::new_v4().as_bytes()[..8].try_into().expect("eight bytes"));
    let seed = std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or_else(fresh);
    println!("{variable}={seed}");
    seed
}
