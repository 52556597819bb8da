//! What must hold of snapshots and of what goes behind them (§7, Figure 13).

use raft_actor::consensus::{LogIndex, LogPosition, NodeId, SnapshotMeta, SnapshotOrder};
use raft_actor::envelope::SnapshotChunk;

use super::Knowledge;
use super::disks::{Disks, Durable};
use super::member::{Facts, Member, Run};
use super::shape::LogShape;
use super::verdict::{Verdict, ensure};

/// The last entry that the newest durable snapshot of a server covers.
fn covered(disks: &dyn Disks, node: NodeId) -> LogPosition {
    disks.disk(node).map_or(LogPosition::ZERO, |disk| disk.snapshot())
}

impl Knowledge {
    /// The committed configurations through `index`, which a snapshot knows of.
    pub(super) fn configurations_through(&self, index: LogIndex) -> Vec<LogPosition> {
        let all = self.written.configurations();
        all.filter(|at| at.index <= index && self.commits.contains(*at)).collect()
    }

    /// What a member takes for its newest snapshot is on its disk, was committed, and fits its log.
    pub(super) fn check_snapshot(
        &mut self,
        id: NodeId,
        before: &Facts,
        after: &Facts,
        is_installed: bool,
        disks: &dyn Disks,
    ) -> Verdict {
        let (old, new) = (before.snapshot, after.snapshot);
        if old == new {
            return Ok(());
        }
        self.situations.snapshot_taken += u64::from(!is_installed);
        ensure!("snapshots_go_forward", id, new.index > old.index, "the snapshot of n{id} falls from {old} to {new}");
        let stored = covered(disks, id);
        let is_durable = new.index <= stored.index;
        ensure!("snapshot_is_durable", id, is_durable, "n{id} believes in a snapshot of {new}, its disk has {stored}");
        let is_committed = self.commits.contains(new);
        ensure!("state_machine_safety", id, is_committed, "n{id} has a snapshot of {new}, which never committed");
        Ok(())
    }

    /// Nothing is purged that no durable snapshot covers.
    pub(super) fn check_purge(&self, id: NodeId, through: LogIndex, disks: &dyn Disks) -> Verdict {
        let covered = covered(disks, id);
        let is_covered = through <= covered.index;
        ensure!("purged_is_covered", id, is_covered, "n{id} purges {through}, its durable snapshot ends at {covered}");
        Ok(())
    }

    /// A log is given up for a durable snapshot only, and not if it says the same (Figure 13, rules 6 and 7).
    pub(super) fn check_reset(&self, id: NodeId, log: &LogShape, to: LogPosition, disks: &dyn Disks) -> Verdict {
        let stored = covered(disks, id);
        ensure!(
            "purged_is_covered",
            id,
            stored == to,
            "n{id} resets its log to {to}, its durable snapshot is {stored}"
        );
        let says_the_same = log.contains(to);
        ensure!("committed_is_immutable", id, !says_the_same, "n{id} gives up its log, which contains {to}");
        self.check_given_up(id, log, to)
    }

    /// A log that is replaced by a snapshot of `to` holds nothing behind it that counts.
    pub(super) fn check_given_up(&self, id: NodeId, log: &LogShape, to: LogPosition) -> Verdict {
        let is_committed = self.commits.contains(to);
        ensure!("state_machine_safety", id, is_committed, "n{id} begins its log behind {to}, which never committed");
        let end = log.last().index.min(self.commits.last().index);
        for index in to.index.next().get()..=end.get() {
            let Some(commit) = self.commits.at(LogIndex::new(index)) else { continue };
            let is_lost = log.contains(commit.position);
            ensure!("committed_is_immutable", id, !is_lost, "n{id} drops the committed {} for {to}", commit.position);
        }
        Ok(())
    }

    /// The newest snapshot on a disk never goes, was committed, and the log never begins above it.
    pub(super) fn check_stored_snapshot(&self, id: NodeId, old: LogPosition, disk: &dyn Durable) -> Verdict {
        let (new, base) = (disk.snapshot(), disk.base());
        let is_kept = new.index >= old.index;
        ensure!("what_is_durable_stays", id, is_kept, "the disk of n{id} held a snapshot of {old}, now {new}");
        let is_committed = self.commits.contains(new);
        ensure!("state_machine_safety", id, is_committed, "n{id} stored a snapshot of {new}, which never committed");
        let is_covered = base.index <= new.index;
        ensure!("purged_is_covered", id, is_covered, "the log of n{id} begins behind {base}, its snapshot is {new}");
        Ok(())
    }

    /// What is installed was committed, says more than is applied, and came in a term that is durable.
    pub(super) fn check_installation(
        &self,
        id: NodeId,
        run: &Run,
        after: &Facts,
        snapshot: &SnapshotMeta,
        disks: &dyn Disks,
    ) -> Verdict {
        let position = snapshot.position;
        let is_committed = self.commits.contains(position);
        ensure!("state_machine_safety", id, is_committed, "n{id} installs {position}, which never committed");
        let says_more = position.index > after.applied && position.index > run.machine_applied;
        ensure!("installed_is_newer", id, says_more, "n{id} installs {position}, it has applied {}", after.applied);
        let term = disks.disk(id).map(|disk| disk.hard_state().term).unwrap_or_default();
        ensure!("term_is_durable", id, position.term <= term, "n{id} installs {position}, its disk knows term {term}");
        let at = self.configurations_through(position.index).last().copied();
        let is_same = *self.written.configuration(at) == snapshot.configuration;
        ensure!("latest_configuration_counts", id, is_same, "n{id} installs {snapshot:?}, committed is that at {at:?}");
        Ok(())
    }

    /// A machine has loaded a state: no older one than it was.
    pub(super) fn check_loaded(&self, id: NodeId, member: &mut Member, index: LogIndex) -> Verdict {
        let Some(run) = &mut member.run else {
            member.loaded = Some(index);
            return Ok(());
        };
        // Its last command may be the same: what a snapshot covers beyond that changes no state.
        let is_newer =
            index >= run.machine_applied || self.check_nothing_between(id, index, run.machine_applied).is_ok();
        ensure!(
            "installed_is_newer",
            id,
            is_newer,
            "n{id} loads a state of {index} over one of {}",
            run.machine_applied
        );
        run.machine_applied = index;
        Ok(())
    }

    /// What a machine keeps by itself reaches as far as the log may have been cut.
    pub(super) fn check_held_at_start(&self, id: NodeId, held: Option<LogIndex>, covered: LogIndex) -> Verdict {
        let Some(held) = held else { return Ok(()) };
        let is_kept = self.check_nothing_between(id, held, covered).is_ok();
        ensure!("purged_is_covered", id, is_kept, "n{id} holds {held} by itself, its log may end behind {covered}");
        Ok(())
    }

    /// The state with which a machine starts, that of the snapshot or one that it has kept by itself, is where it goes on.
    pub(super) fn check_loaded_at_start(&self, id: NodeId, loaded: Option<LogIndex>, facts: &Facts) -> Verdict {
        let Some(loaded) = loaded else { return Ok(()) };
        let applied = facts.applied;
        ensure!("applied_in_order", id, loaded <= applied, "n{id} holds {loaded}, and is to go on behind {applied}");
        self.check_nothing_between(id, loaded, applied)
    }

    /// The core is told that a snapshot is loaded: the machine lacks no command of it.
    pub(super) fn check_installed(&mut self, id: NodeId, run: &mut Run, position: LogPosition) -> Verdict {
        self.situations.snapshot_installed += 1;
        // What the log has by itself is not reset.
        self.situations.appends_overtook_snapshot += u64::from(run.log.last().index > position.index);
        if self.watches_machines {
            self.check_nothing_between(id, run.machine_applied, position.index)?;
        }
        run.machine_applied = run.machine_applied.max(position.index);
        run.machine_told = run.machine_told.max(position.index);
        run.apply_ordered = run.apply_ordered.max(position.index);
        Ok(())
    }

    /// A piece of a snapshot leaves: one of what is committed, sent by who leads, and it is on its disk.
    pub(super) fn check_chunk(
        &mut self,
        from: NodeId,
        to: NodeId,
        chunk: &SnapshotChunk,
        disks: &dyn Disks,
    ) -> Verdict {
        let position = chunk.id.position;
        let leads = self.elections.leads(from, chunk.term);
        ensure!(
            "leaders_replicate",
            from,
            leads,
            "n{from} sends a snapshot in term {}, which it does not lead",
            chunk.term
        );
        let stored = covered(disks, from);
        let is_durable = self.commits.contains(position) && position.index <= stored.index;
        ensure!(
            "snapshot_is_durable",
            from,
            is_durable,
            "n{from} sends a snapshot of {position}, its disk has {stored}"
        );
        self.situations.chunk((from, to), chunk);
        self.check_begins_to_send(from, to, chunk, disks)
    }

    /// What a server begins to send is what was written. If it rots later, whoever receives it finds out.
    fn check_begins_to_send(&mut self, from: NodeId, to: NodeId, chunk: &SnapshotChunk, disks: &dyn Disks) -> Verdict {
        let sending = (chunk.term, chunk.round);
        if chunk.is_question() || self.sendings.insert((from, to), sending) == Some(sending) {
            return Ok(());
        }
        let position = chunk.id.position;
        // A newer one may be there by now.
        let is_sound = disks.disk(from).is_none_or(|disk| disk.snapshot() != position || disk.snapshot_is_sound());
        ensure!("what_has_rotted_stays", from, is_sound, "n{from} sends its snapshot of {position}, which has rotted");
        Ok(())
    }
}

/// A leader sends a snapshot only to whom its log does not help any more.
pub(super) fn check_snapshot_order(id: NodeId, before: &Facts, after: &Facts, order: &SnapshotOrder) -> Verdict {
    let leads = after.leads() || (before.leads() && before.term == after.term);
    let is_own = leads && order.term == after.term && order.position.index <= after.snapshot.index;
    ensure!("orders_are_in_the_log", id, is_own, "n{id} orders {order:?}, it is {after:?}");
    Ok(())
}
