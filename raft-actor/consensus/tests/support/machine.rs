//! The model of a state machine: it remembers what it was given.

use std::collections::VecDeque;

use raft_consensus::{Entry, LogIndex};

use super::disk::Disk;

/// A state machine whose state is the list of entries it applied.
#[derive(Debug, Default)]
pub struct Machine {
    applied: Vec<Entry>,
    ordered: VecDeque<LogIndex>,
    /// While set, orders wait until the test runs them.
    pub held: bool,
    /// Whether its state survives a crash.
    pub on_disk: bool,
}

impl Machine {
    /// Everything applied so far.
    pub fn entries(&self) -> &[Entry] {
        &self.applied
    }

    /// The last applied index.
    pub fn applied(&self) -> LogIndex {
        self.applied.last().map_or(LogIndex::ZERO, |entry| entry.position.index)
    }

    /// Whether there is something to apply.
    pub fn has_work(&self) -> bool {
        !self.ordered.is_empty()
    }

    /// Takes the order to apply up to here.
    pub fn order(&mut self, through: LogIndex) {
        let before = self.ordered.back().copied().unwrap_or(self.applied());
        assert!(through > before, "an order to apply through {through} came after one through {before}");
        self.ordered.push_back(through);
    }

    /// Carries out the oldest order and returns what it applied. The entries must be durable.
    pub fn run(&mut self, disk: &Disk) -> Vec<Entry> {
        let Some(through) = self.ordered.pop_front() else { return Vec::new() };
        let entries = disk.written().range(self.applied(), through);
        assert_eq!(entries.last().map(|entry| entry.position.index), Some(through), "cannot apply what is not there");
        for entry in &entries {
            assert!(disk.durable().contains(entry.position), "{} is applied before it is durable", entry.position);
        }
        self.applied.extend(entries.iter().cloned());
        entries
    }

    /// Loses the orders, and the state unless it is on disk.
    pub fn crash(&mut self) {
        self.ordered.clear();
        if !self.on_disk {
            self.applied.clear();
        }
    }
}
