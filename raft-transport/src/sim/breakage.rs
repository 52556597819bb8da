//! What scripts do to disks, clocks and state machines.

use std::time::Duration;

use raft_actor::StateMachine;
use raft_actor::consensus::NodeId;
use raft_actor::log_storage::sim_disk::{Happened, Keep};

use super::faults::FaultKind;
use super::time::Pace;
use super::world::{SYNC, Sim, place};

impl<S: StateMachine> Sim<S> {
    /// From now on each sync of this server's disk takes this long. One that is under way takes as long as it was going to.
    pub fn slow_disk(&mut self, node: impl Into<NodeId>, sync: Duration) {
        self.tally.count(FaultKind::SlowDisk);
        self.node(node.into()).clock.set_sync(Pace::of(sync));
    }

    /// The process dies after so many more changes that it makes to its disk: in the middle of whatever it does then.
    pub fn kill_after(&mut self, node: impl Into<NodeId>, changes: u32) {
        self.node(node.into()).disk.kill_process_after(changes);
    }

    /// The next sync of this server's disk fails, once.
    pub fn fail_next_sync(&mut self, node: impl Into<NodeId>) {
        self.node(node.into()).disk.fail_next_sync();
    }

    /// From now on this server's disk has room for this many more bytes; what does not fit is written as far as it does.
    pub fn fill_disk(&mut self, node: impl Into<NodeId>, room_bytes: u64) {
        self.node(node.into()).disk.set_room(Some(room_bytes));
    }

    /// A disk that was slow, full or about to fail is as good as new. What it has lost stays lost.
    pub fn mend_disk(&mut self, node: impl Into<NodeId>) {
        let node = self.node(node.into());
        node.disk.set_room(None);
        node.disk.clear_orders();
        node.clock.set_sync(SYNC);
    }

    /// The process dies, and when nobody looks a bit flips in a record that was durable before the last one was.
    /// Returns whether there is such a record.
    ///
    /// It is started again. Either its peers repair it, or it refuses to run: see [`is_lost`](Self::is_lost).
    pub fn damage_disk(&mut self, node: impl Into<NodeId>) -> bool {
        let id = node.into();
        self.flip_a_bit(id, 0, 0)
    }

    /// A bit flips in the oldest of the latest `among` entries that were durable before the last batch, while the process
    /// runs: it finds out when it reads there, or when it is started again. Returns whether there is such an entry.
    pub fn rot_disk(&mut self, node: impl Into<NodeId>, among: usize) -> bool {
        self.flip_under_a_process(node.into(), among, 0, 0)
    }

    /// A bit flips in the newest snapshot of a server, whether a process runs or not. Returns whether it has one.
    pub fn rot_snapshot(&mut self, node: impl Into<NodeId>) -> bool {
        self.flip_in_a_snapshot(node.into(), 4_321)
    }

    /// As [`crash_machine`](Self::crash_machine), but it is not left to chance what survives of that which was not synced.
    pub fn crash_machine_keeping(&mut self, node: impl Into<NodeId>, keep: Keep) {
        let id = node.into();
        self.node(id).disk.crash_machine_keeping(keep);
        self.judge.note(Some(id), "loses its power", 0);
        self.end_process(id, false);
    }

    /// What really happened to this server's disk so far.
    pub fn happened_to_disk(&self, node: impl Into<NodeId>) -> Happened {
        self.node(node.into()).disk.happened()
    }

    /// This server's clock leaps ahead. All its timers that are due by then expire at once.
    pub fn jump_clock(&mut self, node: impl Into<NodeId>, by: Duration) {
        let id = node.into();
        self.tally.count(FaultKind::ClockJump);
        self.node(id).clock.jump(by);
        self.arm(place(id));
    }

    /// From now on this server's state machine takes this long for each command.
    pub fn slow_machine(&mut self, node: impl Into<NodeId>, apply: Duration) {
        self.tally.count(FaultKind::SlowMachine);
        self.node(node.into()).clock.set_apply(Pace::of(apply));
    }
}
