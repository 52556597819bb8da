//! Reads by lease (dissertation 6.4.1).

use raft_consensus::{ReadId, Status};

use super::{Checker, Verdict};

/// Reads that asked for the lease.
#[derive(Debug, Default)]
pub(super) struct Leases {
    /// The one that the next step takes in.
    beginning: Option<ReadId>,
    /// How many were answered in that step.
    served: usize,
}

impl Leases {
    /// What the step that begins takes in.
    pub(super) fn take(&mut self) -> Option<ReadId> {
        self.beginning.take()
    }
}

impl Checker {
    /// The next step takes in a read that asks for the lease.
    pub fn lease_read_begins(&mut self, id: ReadId) {
        self.read_begins(id);
        self.leases.beginning = Some(id);
    }

    /// How many reads were answered by a lease.
    pub fn served_by_lease(&self) -> usize {
        self.leases.served
    }

    /// Whoever answers without asking anybody is the only one who could have committed anything since.
    pub(super) fn served_at_once(&mut self, by: &Status) -> Verdict {
        let latest = self.leaders.last_key_value().map(|(term, leader)| (*term, *leader));
        let is_latest = latest.is_some_and(|(term, _)| term <= by.term);
        ensure!(is_latest, "n{}@{} serves a read by its lease; {latest:?} has been elected", by.id, by.term);
        self.leases.served += 1;
        Ok(())
    }
}
