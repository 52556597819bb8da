//! Snapshots in the small cluster, and what a checker has to say of wrong ones.

use raft_actor::consensus::{
    Effect, GroupId, Input, InstallSnapshot, LogIndex, LogPosition, LogWrite, Message, Role, Round, Settings,
    SnapshotMeta, SnapshotOrder, WriteSeq,
};
use raft_actor::envelope::{Body, Envelope, SnapshotChunk};
use raft_actor::state_machine::SnapshotId;

use super::world::World;
use super::{at, node, refused};
use crate::sim::checker::{Durable, Verdict};

impl World {
    /// A snapshot is ordered: the stream of the model delivers it whole.
    pub(super) fn send_snapshot(&mut self, n: u64, order: &SnapshotOrder) -> Verdict {
        let snapshot = self.disks[&node(n)].snapshot.clone().expect("a leader sends what it has");
        let SnapshotOrder { peer, term, round, .. } = *order;
        let message = Message::InstallSnapshot(InstallSnapshot { term, round, snapshot });
        self.send(Envelope { from: node(n), to: peer, group: GroupId::new(1), body: Body::Raft(message) })
    }

    /// What a snapshot of this server would say now.
    pub(super) fn meta(&self, n: u64, through: LogIndex) -> SnapshotMeta {
        let log = self.raft(n).log();
        let (configured_at, configuration) = log.configuration_entry();
        SnapshotMeta {
            position: LogPosition::new(log.term_at(through).expect("it is in the log"), through),
            configuration: configuration.clone(),
            configured_at: LogPosition::new(log.term_at(configured_at).unwrap_or_default(), configured_at),
        }
    }

    /// What was ordered of snapshots is done at once.
    pub(super) fn work_on_snapshots(&mut self, n: u64) -> Verdict {
        if std::mem::take(&mut self.server(n).wants_snapshot) {
            let meta = self.meta(n, self.servers[&node(n)].applied);
            self.disk(n).snapshot = Some(meta.clone());
            self.checker.durable_changed(node(n), &self.disks[&node(n)])?;
            self.step(n, Input::SnapshotTaken(meta))?;
            self.work(n)?;
        }
        if let Some(meta) = self.server(n).to_install.take() {
            let position = meta.position;
            self.disk(n).snapshot = Some(meta);
            self.checker.durable_changed(node(n), &self.disks[&node(n)])?;
            self.checker.loaded(node(n), position.index)?;
            let server = self.server(n);
            (server.apply, server.applied) = (position.index, position.index);
            self.step(n, Input::SnapshotInstalled(position))?;
            self.work(n)?;
        }
        Ok(())
    }
}

/// Three servers that take a snapshot every five entries; the third has heard of nothing but the first few.
fn one_lags() -> World {
    let settings = Settings { snapshot_entries: 5, log_tail_entries: 0, log_tail_bytes_max: 0, ..Settings::default() };
    let mut world = World::with(3, 3, settings);
    world.elect(1);
    world.deadline(1).unwrap();
    world.settle().unwrap();
    world.cut = vec![node(3)];
    for number in 0..12 {
        world.propose(1, &[&format!("command {number}")]).unwrap();
        world.settle().unwrap();
    }
    world.step(1, Input::Unreachable(node(3))).unwrap();
    world.cut.clear();
    world
}

#[test]
fn a_server_that_lags_behind_the_purge_catches_up_by_snapshot() {
    let mut world = one_lags();
    assert!(world.disk(1).base().index > world.disk(3).last().index, "the log does not help it any more");
    for _ in 0..4 {
        world.deadline(1).unwrap();
        world.settle().unwrap();
    }
    assert_eq!(world.disk(3).last(), world.disk(1).last());
    let seen = world.checker.situations();
    assert!(seen.snapshot_taken >= 4 && seen.snapshot_installed >= 1, "{seen:?}");
    world.checker.recheck(&world.disks).unwrap();
    for n in 1..=3 {
        world.crash(n, 9, 0).unwrap();
        world.start(n).unwrap();
    }
    world.elect(2);
    world.checker.recheck(&world.disks).unwrap();
}

#[test]
fn a_snapshot_that_is_not_on_the_disk_counts_for_nothing() {
    let mut world = World::of(3);
    world.elect(1);
    world.deadline(1).unwrap();
    world.settle().unwrap();
    let meta = world.meta(1, world.raft(1).applied());
    refused(world.step(1, Input::SnapshotTaken(meta)), "snapshot_is_durable");
}

/// What rots while it is sent is for the receiver to find.
#[test]
fn a_snapshot_that_has_rotted_is_not_begun_to_be_sent() {
    let mut world = one_lags();
    let position = world.disk(1).snapshot();
    let term = world.raft(1).term();
    let chunk = |round, length: u64| {
        let id = SnapshotId { position, size_bytes: 100, checksum: 7 };
        let bytes = vec![0; usize::try_from(length).expect("a few")].into();
        let body = Body::SnapshotChunk(SnapshotChunk { term, round: Round::new(round), id, offset: 0, bytes });
        Envelope { from: node(1), to: node(3), group: GroupId::new(1), body }
    };
    world.checker.leaves(&chunk(7, 10), &world.disks).unwrap();
    world.disk(1).snapshot_has_rotted = true;
    world.checker.leaves(&chunk(7, 10), &world.disks).unwrap();
    world.checker.leaves(&chunk(8, 0), &world.disks).unwrap();
    refused(world.checker.leaves(&chunk(8, 10), &world.disks), "what_has_rotted_stays");
}

#[test]
fn a_log_on_a_disk_never_begins_above_the_snapshot() {
    let mut world = one_lags();
    let through = world.disk(2).last().index;
    world.disk(2).apply(None, Some(&LogWrite::Purge { through }));
    refused(world.checker.durable_changed(node(2), &world.disks[&node(2)]), "purged_is_covered");
}

#[test]
fn a_durable_snapshot_never_goes() {
    let mut world = one_lags();
    world.disk(2).snapshot = None;
    refused(world.checker.durable_changed(node(2), &world.disks[&node(2)]), "what_is_durable_stays");
}

#[test]
fn a_snapshot_of_what_never_committed_is_recognized() {
    let mut world = one_lags();
    let snapshot = world.disk(2).snapshot.as_mut().expect("it has one");
    snapshot.position = at(snapshot.position.index.get() + 9, snapshot.position.term.get());
    refused(world.checker.durable_changed(node(2), &world.disks[&node(2)]), "state_machine_safety");
}

#[test]
fn a_state_that_is_older_than_the_machine_is_not_loaded() {
    let mut world = one_lags();
    assert_eq!(world.raft(1).role(), Role::Leader);
    refused(world.checker.loaded(node(1), LogIndex::new(2)), "installed_is_newer");
}

/// A machine knows of its last command only; what stands behind that in the log changes no state (seed 239).
#[test]
fn a_state_without_what_is_no_command_is_as_new() {
    let mut world = World::of(3);
    world.elect(1);
    world.settle().unwrap();
    world.propose(1, &["the last command"]).unwrap();
    world.settle().unwrap();
    let last_command = world.disk(1).last().index;
    world.change(1, &[1, 2], &[]).unwrap();
    world.settle().unwrap();
    assert!(world.disk(1).last().index > last_command);
    world.checker.loaded(node(1), last_command).unwrap();
    refused(world.checker.loaded(node(1), last_command.prev()), "installed_is_newer");
}

#[test]
fn what_an_installed_snapshot_covers_is_not_applied_again() {
    let mut world = one_lags();
    let applied = world.disk(1).last();
    refused(world.checker.applied(node(1), applied, 7, 7), "applied_in_order");
}

#[test]
fn a_log_that_says_the_same_is_not_given_up_for_a_snapshot() {
    let mut world = one_lags();
    let to = world.disk(2).snapshot();
    let reset = Effect::Persist { seq: WriteSeq::new(1 << 40), hard_state: None, log: Some(LogWrite::Reset { to }) };
    let core = world.core(2);
    refused(world.checker.after(node(2), &core, &[reset], &world.disks), "committed_is_immutable");
}

#[test]
fn a_machine_on_disk_holds_what_the_log_may_have_been_cut_behind() {
    let mut world = one_lags();
    let covered = world.disk(2).snapshot().index;
    world.crash(2, 9, 0).unwrap();
    world.checker.holds(node(2), covered.prev());
    refused(world.start(2), "purged_is_covered");
}

#[test]
fn what_a_machine_on_disk_holds_is_not_applied_to_it_again() {
    let mut world = one_lags();
    let covered = world.disk(2).snapshot().index;
    world.crash(2, 9, 0).unwrap();
    world.checker.holds(node(2), covered.next());
    refused(world.start(2), "applied_in_order");
    world.checker.holds(node(2), covered);
    world.start(2).unwrap();
}
