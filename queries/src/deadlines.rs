//! What expires next: the deadlines of every entry of a tenant.
//! Promise: every entry is judged by the dated rules of `schemas`; what is not kept is counted, with the reason where it is not judged.

use std::collections::BTreeMap;

use bonded_schemas::deadline::{self, Deadline, State};
use chrono::NaiveDate;
use serde::Serialize;

use crate::{error::Result, session::Session};

/// Deadlines, and how many there are of each sort.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Deadlines {
    /// Those that were asked for: what expires next comes first.
    pub deadlines: Vec<Deadline>,
    pub entries: u64,
    /// Of all, by kind and state.
    pub counts: Vec<Count>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Count {
    pub kind: String,
    pub state: State,
    pub deadlines: u64,
    /// Why, of those that are not judged.
    pub why: Option<String>,
}

impl Session {
    /// Judges every entry as of a day, keeps what `keep` asks for and counts all.
    ///
    /// # Errors
    /// As [`Session::query`].
    pub async fn deadlines(&self, today: NaiveDate, keep: impl Fn(&Deadline) -> bool) -> Result<Deadlines> {
        let mut found = Deadlines::default();
        let mut counts: BTreeMap<(String, &'static str, Option<String>), (State, u64)> = BTreeMap::new();
        self.each_entry(|facts| {
            found.entries += 1;
            for deadline in deadline::deadlines(self.rules(), &facts, today) {
                let key = (deadline.kind.clone(), deadline.state.as_str(), deadline.why.clone());
                counts.entry(key).or_insert((deadline.state, 0)).1 += 1;
                if keep(&deadline) {
                    found.deadlines.push(deadline);
                }
            }
        })
        .await?;
        deadline::sort(&mut found.deadlines);
        let counted = |((kind, _, why), (state, deadlines))| Count { kind, state, deadlines, why };
        found.counts = counts.into_iter().map(counted).collect();
        Ok(found)
    }
}
