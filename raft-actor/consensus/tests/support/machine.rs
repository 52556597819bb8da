//! The model of a state machine: it remembers what it was given.

use std::collections::VecDeque;

use raft_consensus::{Configuration, Entry, LogIndex, LogPosition};

use super::disk::Disk;
use super::snapshots::Snapshot;

/// A state machine whose state is the list of entries it applied.
#[derive(Debug, Default)]
pub struct Machine {
    applied: Vec<Entry>,
    ordered: VecDeque<Order>,
    /// While set, orders wait until the test runs them.
    pub held: bool,
    /// Whether its state survives a crash.
    pub on_disk: bool,
}

#[derive(Debug, Clone)]
enum Order {
    Apply(LogIndex),
    Freeze,
    Load(Box<Snapshot>),
}

/// What a machine did.
#[derive(Debug)]
pub enum Done {
    /// It applied these.
    Applied(Vec<Entry>),
    /// It made a picture of itself, which can be stored while it goes on.
    Frozen(Snapshot),
    /// It now is what the snapshot says.
    Loaded(Snapshot),
}

impl Machine {
    /// Everything applied so far.
    pub fn entries(&self) -> &[Entry] {
        &self.applied
    }

    /// The last applied index.
    pub fn applied(&self) -> LogIndex {
        self.position().index
    }

    fn position(&self) -> LogPosition {
        self.applied.last().map_or(LogPosition::ZERO, |entry| entry.position)
    }

    /// Whether there is something to do.
    pub fn has_work(&self) -> bool {
        !self.ordered.is_empty()
    }

    /// Takes the order to apply up to here.
    pub fn order(&mut self, through: LogIndex) {
        let ends = self.ordered.iter().rev().find_map(|order| match order {
            Order::Apply(through) => Some(*through),
            Order::Load(snapshot) => Some(snapshot.meta.position.index),
            Order::Freeze => None,
        });
        let before = ends.unwrap_or(self.applied());
        assert!(through > before, "an order to apply through {through} came after one through {before}");
        self.ordered.push_back(Order::Apply(through));
    }

    /// Takes the order to make a picture of itself, behind what it was ordered before.
    pub fn freeze(&mut self) {
        self.ordered.push_back(Order::Freeze);
    }

    /// Takes the order to become what a snapshot says, behind what it was ordered before.
    pub fn load(&mut self, snapshot: Snapshot) {
        self.ordered.push_back(Order::Load(Box::new(snapshot)));
    }

    /// Carries out the oldest order. Entries must be durable to be applied.
    pub fn run(&mut self, disk: &Disk, first: &Configuration) -> Option<Done> {
        Some(match self.ordered.pop_front()? {
            Order::Apply(through) => Done::Applied(self.apply(through, disk)),
            Order::Freeze => Done::Frozen(Snapshot::of(&self.applied, first)),
            Order::Load(snapshot) => {
                self.become_of(&snapshot);
                Done::Loaded(*snapshot)
            }
        })
    }

    fn apply(&mut self, through: LogIndex, disk: &Disk) -> Vec<Entry> {
        let entries = disk.written().range(self.applied(), through);
        let first = entries.first().map(|entry| entry.position.index);
        assert_eq!(first, Some(self.applied().next()), "cannot apply what is not there");
        assert_eq!(entries.last().map(|entry| entry.position.index), Some(through), "cannot apply what is not there");
        for entry in &entries {
            assert!(disk.durable().contains(entry.position), "{} is applied before it is durable", entry.position);
        }
        self.applied.extend(entries.iter().cloned());
        entries
    }

    fn become_of(&mut self, snapshot: &Snapshot) {
        let position = snapshot.meta.position;
        assert!(position.index > self.applied(), "a machine at {} goes back to {position}", self.applied());
        self.applied = snapshot.entries.to_vec();
    }

    /// Loads the newest snapshot when its member starts, unless its state is as new.
    pub fn start(&mut self, newest: Option<&Snapshot>) {
        if let Some(snapshot) = newest.filter(|snapshot| snapshot.meta.position.index > self.applied()) {
            self.become_of(snapshot);
        }
    }

    /// Loses the orders, and the state unless it is on disk.
    pub fn crash(&mut self) {
        self.ordered.clear();
        if !self.on_disk {
            self.applied.clear();
        }
    }
}
