//! A state machine that remembers what it was told, and what its clients know.

use std::collections::{BTreeMap, BTreeSet};

use raft_actor::{ApplyContext, StateMachine, WriteError};
use serde::{Deserialize, Serialize};

/// How often each line was applied.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Ledger(BTreeMap<u64, u32>);

/// One line of the ledger.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Line {
    /// No two lines have the same.
    pub(crate) number: u64,
    /// Makes it as long as a test wants it.
    pub(crate) padding: String,
}

impl StateMachine for Ledger {
    type Command = Line;
    type Response = ();
    type Query = ();
    type Answer = BTreeMap<u64, u32>;

    fn apply(&mut self, _: &mut ApplyContext<'_>, line: Line) {
        *self.0.entry(line.number).or_default() += 1;
    }

    fn query(&self, (): ()) -> Self::Answer {
        self.0.clone()
    }
}

/// What those who wrote the lines were told.
#[derive(Debug, Default)]
pub(crate) struct Known {
    next: u64,
    acknowledged: BTreeSet<u64>,
    unknown: BTreeSet<u64>,
}

impl Known {
    /// A number for another line.
    pub(crate) fn next(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Takes note of an outcome.
    pub(crate) fn note(&mut self, line: u64, outcome: &Result<(), WriteError>) {
        match outcome {
            Ok(()) => drop(self.acknowledged.insert(line)),
            Err(error) if error.maybe_applied() => drop(self.unknown.insert(line)),
            Err(_) => {}
        }
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged.len()
    }

    /// Nothing acknowledged is lost, nothing refused is there, nothing was applied twice.
    #[track_caller]
    pub(crate) fn check(&self, found: &BTreeMap<u64, u32>) {
        for line in &self.acknowledged {
            assert!(found.contains_key(line), "line {line} was acknowledged and is lost");
        }
        for (line, times) in found {
            assert_eq!(*times, 1, "line {line} was applied {times} times");
            let possible = self.acknowledged.contains(line) || self.unknown.contains(line);
            assert!(possible, "line {line} was refused, and is there");
        }
    }
}
