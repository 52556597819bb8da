//! Snapshots in random runs: how often they are taken, and what happens to them.

use raft_consensus::{Input, Settings};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{Chaos, node};

/// How likely what happens to snapshots is in this run.
#[derive(Debug)]
pub(super) struct Pace {
    /// How many of 100 turns a snapshot is stored, or one that has arrived.
    store: u32,
    /// Per mille of the steps at which one is asked for, fails to be stored, or is given up by its stream.
    ask: u32,
    fail: u32,
    give_up: u32,
}

impl Pace {
    pub(super) fn draw(mut sometimes: impl FnMut(u32) -> u32) -> Self {
        Self { store: 5 + sometimes(95), ask: sometimes(20), fail: sometimes(100), give_up: 3 + sometimes(20) }
    }
}

/// Snapshots every few dozen entries, sometimes without any tail behind them, sometimes none at all.
pub(super) fn draw_settings(settings: &mut Settings, rng: &mut ChaCha8Rng) {
    settings.snapshot_entries = [0, 3, 10, 30][rng.random_range(0..4)];
    settings.snapshot_bytes = [0, 0, 500][rng.random_range(0..3)];
    settings.log_tail_entries = [0, 2, 20][rng.random_range(0..3)];
    settings.log_tail_bytes_max = [0, 200, 1 << 20][rng.random_range(0..3)];
}

/// What happened to snapshots, counted.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct SnapshotTally {
    pub(crate) taken: usize,
    pub(crate) failed: usize,
    pub(crate) purges: usize,
    /// Snapshots sent, of which not all arrive.
    pub(crate) sent: usize,
    pub(crate) given_up: usize,
    /// ... that were not wanted when they arrived.
    pub(crate) dropped: usize,
    pub(crate) installed: usize,
    /// ... for which the log was given up; the others it had overtaken.
    pub(crate) resets: usize,
    pub(crate) overtaken: usize,
    /// Crashes between the storing of a snapshot and the reset of the log.
    pub(crate) crashes_in_between: usize,
}

impl SnapshotTally {
    pub(crate) fn add(&mut self, other: Self) {
        self.taken += other.taken;
        self.failed += other.failed;
        self.purges += other.purges;
        self.sent += other.sent;
        self.given_up += other.given_up;
        self.dropped += other.dropped;
        self.installed += other.installed;
        self.resets += other.resets;
        self.overtaken += other.overtaken;
        self.crashes_in_between += other.crashes_in_between;
    }

    /// Everything has happened; what is rare, after many runs.
    pub(crate) fn assert_complete(&self, runs: u64) {
        let usual = [self.taken, self.failed, self.purges, self.sent, self.given_up, self.dropped, self.resets];
        assert!(usual.into_iter().all(|count| count > 0), "not everything happened: {self:?}");
        assert!(runs < 150 || self.crashes_in_between > 0, "not everything rare happened: {self:?}");
    }
}

impl Chaos {
    /// The snapshots of a member, at the pace of this run.
    pub(super) fn let_snapshots_work(&mut self, n: u64) {
        let id = node(n);
        if self.rng.random_range(0..100) < self.mix.streams {
            self.cluster.run_snapshot_order(id);
        }
        if self.rng.random_range(0..100) < self.mix.snapshots.store {
            self.cluster.adopt_snapshot(id);
        }
        if self.rng.random_range(0..100) < self.mix.snapshots.store {
            if self.happens(self.mix.snapshots.fail) {
                self.cluster.fail_snapshot(id);
            } else {
                self.cluster.store_snapshot(id);
            }
        }
        if self.is_in_between(n) && self.happens(self.mix.crash_in_change) {
            self.crash(n);
            return;
        }
        if self.happens(self.mix.snapshots.ask) {
            let input = if self.rng.random_bool(0.25) { Input::SnapshotLost } else { Input::TakeSnapshot };
            self.cluster.step(id, input);
        }
        if self.happens(self.mix.snapshots.give_up) {
            self.streams_give_up(n);
        }
        self.cluster.report_failure(id);
    }

    /// Whether a snapshot of the leader is stored, and the log is not yet reset to it, or not durably.
    fn is_in_between(&self, n: u64) -> bool {
        let member = self.cluster.member(n);
        let covered = member.snapshots.covered();
        covered.index > member.machine.applied() || !member.disk.durable().contains(covered)
    }

    /// The streams of a member that send a snapshot take it for lost.
    pub(super) fn streams_give_up(&mut self, n: u64) {
        let sending = self.cluster.member(n).sending.clone();
        sending.into_iter().for_each(|peer| self.cluster.snapshot_lost(node(n), peer));
    }

    pub(super) fn count_snapshots(&mut self) {
        let count = |what: &str| self.cluster.trace.iter().filter(|line| line.contains(what)).count();
        let (installed, resets) = (count(" loads the snapshot "), count(" reset to "));
        self.tally.snapshots = SnapshotTally {
            taken: count(" has stored its snapshot "),
            failed: count(" cannot store its snapshot"),
            purges: count(" purge through "),
            sent: count(" orders its snapshot "),
            given_up: count(" with its snapshot"),
            dropped: count(" drops the snapshot "),
            installed,
            resets,
            overtaken: installed.saturating_sub(resets),
            crashes_in_between: count(" resets its log to "),
        };
    }
}
