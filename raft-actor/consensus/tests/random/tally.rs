//! What happened in random runs, counted.

use crate::chaos::snapshots::SnapshotTally;

/// How often what happened, so that a run without its faults does not count.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Tally {
    pub(crate) leaders: usize,
    pub(crate) committed: u64,
    pub(crate) reads_served: usize,
    pub(crate) reads_served_by_lease: usize,
    pub(crate) reads_refused: usize,
    pub(crate) dropped: usize,
    pub(crate) duplicated: usize,
    pub(crate) reordered: usize,
    pub(crate) partitions: usize,
    pub(crate) crashes: usize,
    pub(crate) torn_writes: usize,
    pub(crate) truncations: usize,
    pub(crate) void_orders: usize,
    pub(crate) late_deadlines: usize,
    pub(crate) pauses: usize,
    /// Joint configurations that were committed, and those that ended one.
    pub(crate) changes: usize,
    /// ... where another leader ended what one had begun.
    pub(crate) taken_over: usize,
    /// Configurations that were rolled back.
    pub(crate) rolled_back: usize,
    /// Leaders that stepped down because they were removed.
    pub(crate) leaders_removed: usize,
    pub(crate) crashes_in_a_change: usize,
    pub(crate) changes_refused: usize,
    /// Voters that were told to campaign.
    pub(crate) told_to_campaign: usize,
    pub(crate) transfers: usize,
    pub(crate) transfers_timed_out: usize,
    pub(crate) transfers_superseded: usize,
    pub(crate) transfers_refused: usize,
    pub(crate) snapshots: SnapshotTally,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.snapshots.add(other.snapshots);
        self.leaders += other.leaders;
        self.committed += other.committed;
        self.reads_served += other.reads_served;
        self.reads_served_by_lease += other.reads_served_by_lease;
        self.reads_refused += other.reads_refused;
        self.dropped += other.dropped;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.partitions += other.partitions;
        self.crashes += other.crashes;
        self.torn_writes += other.torn_writes;
        self.truncations += other.truncations;
        self.void_orders += other.void_orders;
        self.late_deadlines += other.late_deadlines;
        self.pauses += other.pauses;
        self.changes += other.changes;
        self.taken_over += other.taken_over;
        self.rolled_back += other.rolled_back;
        self.leaders_removed += other.leaders_removed;
        self.crashes_in_a_change += other.crashes_in_a_change;
        self.changes_refused += other.changes_refused;
        self.told_to_campaign += other.told_to_campaign;
        self.transfers += other.transfers;
        self.transfers_timed_out += other.transfers_timed_out;
        self.transfers_superseded += other.transfers_superseded;
        self.transfers_refused += other.transfers_refused;
    }

    /// Every fault has happened, and work was done in spite of them, after this many runs.
    pub(crate) fn assert_complete(&self, runs: u64) {
        self.snapshots.assert_complete(runs);
        let faults = [self.dropped, self.duplicated, self.reordered, self.partitions, self.crashes, self.torn_writes];
        let consequences = [self.truncations, self.late_deadlines, self.pauses, self.reads_refused];
        let work = [self.leaders, self.reads_served, self.reads_served_by_lease];
        let changes = [self.changes, self.rolled_back, self.leaders_removed, self.changes_refused];
        let transfers = [self.told_to_campaign, self.transfers, self.transfers_timed_out, self.transfers_refused];
        let all = faults
            .into_iter()
            .chain(consequences)
            .chain(work)
            .chain(changes)
            .chain(transfers)
            .chain([self.crashes_in_a_change]);
        let rare = [self.void_orders, self.taken_over];
        assert!(runs < 150 || rare.into_iter().all(|count| count > 0), "not everything rare happened: {self:?}");
        assert!(self.committed > 0 && all.into_iter().all(|count| count > 0), "not everything happened: {self:?}");
    }
}
