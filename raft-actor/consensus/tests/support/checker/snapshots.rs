//! What must hold of snapshots and of purged logs (§7, Figure 13), judged from outside.

use raft_consensus::{Entry, LogIndex, LogPosition, SnapshotMeta, SnapshotOrder, Status};

use super::{Checker, Members, Verdict};
use crate::support::member::Member;
use crate::support::snapshots::Snapshot;

impl Checker {
    /// What a snapshot says whose core knows only what it covers.
    pub fn snapshot(&self, meta: &SnapshotMeta) -> Snapshot {
        let snapshot = self.snapshots.get(&meta.position).expect("what was sent was made by somebody");
        assert_eq!(snapshot.meta, *meta, "a snapshot changed on its way");
        snapshot.clone()
    }

    /// How many different snapshots were made.
    pub fn snapshots_made(&self) -> usize {
        self.snapshots.len()
    }

    /// A snapshot is the state after what is committed, and the same wherever it is made (State Machine Safety, §5.4.3).
    pub fn machine_frozen(&mut self, id: raft_consensus::NodeId, snapshot: &Snapshot) -> Verdict {
        let position = snapshot.meta.position;
        self.check_content(id, &snapshot.entries)?;
        ensure!(snapshot.entries.last().is_some(), "n{id} makes a snapshot of nothing");
        let known = self.snapshots.entry(position).or_insert_with(|| snapshot.clone());
        ensure!(known == snapshot, "n{id} makes another snapshot through {position} than others: {:?}", snapshot.meta);
        Ok(())
    }

    /// A machine becomes what a snapshot says: no other state than that of all others there.
    pub fn machine_loaded(&self, id: raft_consensus::NodeId, snapshot: &Snapshot) -> Verdict {
        self.check_content(id, &snapshot.entries)
    }

    fn check_content(&self, id: raft_consensus::NodeId, entries: &[Entry]) -> Verdict {
        let applied = self.applied.get(..entries.len());
        ensure!(applied == Some(entries), "n{id} has a snapshot of what was never applied");
        Ok(())
    }

    /// purged <= snapshot <= applied, and the snapshot is on the disk and fits the log.
    pub(super) fn check_snapshot(&self, member: &Member, before: &Status, after: &Status) -> Verdict {
        let (id, covered) = (after.id, after.snapshot);
        ensure!(after.snapshot.index >= before.snapshot.index, "the snapshot of n{id} falls below {}", before.snapshot);
        ensure!(after.base.index >= before.base.index, "the base of n{id} falls below {}", before.base);
        ensure!(after.base.index <= covered.index, "n{id} purged through {} behind {covered}", after.base);
        ensure!(covered.index <= after.applied, "n{id} applied {} and has a snapshot of {covered}", after.applied);
        let stored = member.snapshots.covered();
        ensure!(covered.index <= stored.index, "n{id} believes in a snapshot through {covered}, its disk has {stored}");
        let fits = member.history().contains(covered) && self.is_committed(covered);
        ensure!(fits, "the log of n{id} does not go on where its snapshot ends, at {covered}");
        ensure!(after.base == member.disk.written().base, "n{id} believes that its log begins behind {}", after.base);
        Ok(())
    }

    fn is_committed(&self, position: LogPosition) -> bool {
        position == LogPosition::ZERO
            || self.committed_at(position.index).is_some_and(|committed| committed.position == position)
    }

    /// Nothing is purged that no durable snapshot covers.
    pub(super) fn check_purge(&self, members: &Members, after: &Status, through: LogIndex) -> Verdict {
        let covered = members[&after.id].snapshots.covered();
        ensure!(through <= covered.index, "n{} purges {through}, its snapshot ends at {covered}", after.id);
        Ok(())
    }

    /// A log is given up only for a durable snapshot, and not if it says the same (Figure 13, rules 6 and 7).
    pub(super) fn check_reset(&mut self, members: &Members, after: &Status, to: LogPosition) -> Verdict {
        let id = after.id;
        let covered = members[&id].snapshots.covered();
        ensure!(covered == to && self.is_committed(to), "n{id} resets its log to {to}, its snapshot ends at {covered}");
        let mut prev = self.ends[&id];
        while prev.index >= to.index {
            ensure!(prev != to, "n{id} gives up its log, which contains {to}");
            let counts = self.committed_at(prev.index).is_some_and(|committed| committed.position == prev);
            ensure!(!counts, "n{id} gives up the committed {prev} for a snapshot through {to}");
            prev = self.written.get(&prev).ok_or("a log holds an entry nobody wrote")?.1;
        }
        self.ends.insert(id, to);
        Ok(())
    }

    /// A leader sends a snapshot only to whom its log cannot help, and only one that it has.
    pub(super) fn check_snapshot_order(
        &mut self,
        members: &Members,
        before: &Status,
        after: &Status,
        order: &SnapshotOrder,
    ) -> Verdict {
        let id = after.id;
        ensure!(order.term == after.term, "n{id} orders a snapshot in term {}", order.term);
        let covered = members[&id].snapshots.covered();
        ensure!(order.position.index <= covered.index, "n{id} orders {} to be sent, it has {covered}", order.position);
        let matched = after.peers.get(&order.peer).map(|peer| peer.matched);
        let needs = matched.is_some_and(|matched| matched < after.base.index);
        ensure!(needs, "n{id} sends a snapshot to n{}, which has {matched:?}", order.peer);
        let waits = before.peers.get(&order.peer).is_some_and(|peer| peer.state == raft_consensus::PeerState::Snapshot);
        // Unless it has moved, or has what it was sent, and the log begins behind that by now.
        let has_moved = before.peers.get(&order.peer).map(|peer| peer.matched) != matched;
        let last = self.sent_snapshots.insert((id, order.peer), order.position);
        let has_last = last.is_some_and(|last| matched.is_some_and(|matched| matched >= last.index));
        ensure!(!waits || has_moved || has_last, "n{id} orders a second snapshot for n{}", order.peer);
        Ok(())
    }

    /// What is installed was committed, says more than is applied, and came with a term that is durable.
    pub(super) fn check_installation(&self, members: &Members, after: &Status, snapshot: &SnapshotMeta) -> Verdict {
        let (id, position) = (after.id, snapshot.position);
        ensure!(self.is_committed(position), "n{id} installs a snapshot through {position}, which is not committed");
        ensure!(position.index > after.applied, "n{id} installs {position}, it has applied {}", after.applied);
        let term = members[&id].disk.durable().hard_state.term;
        ensure!(position.term <= term, "n{id} installs {position}, its disk knows only term {term}");
        Ok(())
    }
}
