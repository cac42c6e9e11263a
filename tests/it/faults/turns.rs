//! Turns among workers: one at a time goes on from door to door, the next one drawn by seed.
//! Promise: the same seed gives the same order of the workers' door calls, whatever the machine does meanwhile.

use std::{collections::BTreeMap, sync::Mutex};

use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::sync::oneshot;

#[derive(Debug)]
pub struct Turns {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    random: StdRng,
    alive: usize,
    running: Option<usize>,
    waiting: BTreeMap<usize, oneshot::Sender<()>>,
}

impl Turns {
    /// Nobody goes on before all `workers` have come to a first door.
    pub fn new(seed: u64, workers: usize) -> Self {
        let random = StdRng::seed_from_u64(seed);
        Self { state: Mutex::new(State { random, alive: workers, running: None, waiting: BTreeMap::new() }) }
    }

    /// Waits for the worker's next turn.
    pub async fn pass(&self, worker: usize) {
        let turn = {
            let mut state = self.state.lock().unwrap();
            let (sender, turn) = oneshot::channel();
            // A killed life may have left its place; whoever lives now takes it.
            state.waiting.insert(worker, sender);
            state.rest(worker);
            turn
        };
        // An error is a place that was taken over: that life is dead.
        let _ = turn.await;
    }

    /// The worker has nothing more to do.
    pub fn leave(&self, worker: usize) {
        let mut state = self.state.lock().unwrap();
        state.alive -= 1;
        state.waiting.remove(&worker);
        state.rest(worker);
    }
}

impl State {
    fn rest(&mut self, worker: usize) {
        if self.running == Some(worker) {
            self.running = None;
        }
        if self.running.is_none() && self.alive > 0 && self.waiting.len() == self.alive {
            let drawn = self.random.random_range(0..self.waiting.len());
            if let Some(next) = self.waiting.keys().nth(drawn).copied()
                && let Some(turn) = self.waiting.remove(&next)
            {
                self.running = Some(next);
                let _ = turn.send(());
            }
        }
    }
}
