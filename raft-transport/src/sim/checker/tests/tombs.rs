//! Groups that are destroyed: on order only, for ever, and whatever else happens to the server.

use raft_actor::consensus::{HardState, LogWrite, Message, RequestVote, Term};

use super::world::{World, envelope};
use super::{at, node, refused};
use crate::sim::checker::Verdict;

impl World {
    /// A server goes down, and its disk holds a tombstone then.
    fn bury(&mut self, n: u64) -> Verdict {
        self.crash(n, usize::MAX, 0)?;
        let hard_state = HardState { term: Term::new(u64::MAX), vote: None, damage: None };
        self.disk(n).apply(Some(hard_state), Some(&LogWrite::Reset { to: at(u64::MAX, u64::MAX) }));
        self.checker.durable_changed(node(n), &self.disks[&node(n)])
    }
}

/// Three servers, of which the last has destroyed the group.
fn destroyed() -> World {
    let mut world = World::of(3);
    world.elect(1);
    world.propose(1, &["a", "b"]).expect("a sound step");
    world.settle().expect("a sound step");
    world.checker.destroys(node(3));
    world.bury(3).expect("it was told to");
    world
}

#[test]
fn a_group_that_was_to_be_destroyed_is_and_the_others_go_on() {
    let mut world = destroyed();
    world.checker.has_destroyed(node(3), &world.disks[&node(3)]).expect("it is durable");
    assert!(!world.checker.has_part(node(3)) && world.checker.has_part(node(2)));
    world.propose(1, &["c"]).expect("a sound step");
    world.settle().expect("a sound step");
}

#[test]
fn a_group_that_nobody_wants_to_end_does_not() {
    let mut world = World::of(3);
    world.elect(1);
    refused(world.bury(3), "destroyed_on_order");
}

#[test]
fn a_group_is_called_destroyed_when_that_is_durable() {
    let mut world = World::of(3);
    world.elect(1);
    world.checker.destroys(node(3));
    refused(world.checker.has_destroyed(node(3), &world.disks[&node(3)]), "destroyed_is_durable");
}

#[test]
fn a_destroyed_group_comes_back_on_no_disk_and_runs_on_none() {
    let mut world = destroyed();
    refused(world.start(3), "destroyed_for_good");
    let mut world = destroyed();
    let other = world.disks[&node(2)].clone();
    *world.disk(3) = other;
    refused(world.checker.durable_changed(node(3), &world.disks[&node(3)]), "destroyed_for_good");
    // An empty disk remembers nothing; whoever runs the host has to.
    let mut world = destroyed();
    world.checker.wiped(node(3));
    *world.disk(3) = Default::default();
    world.checker.durable_changed(node(3), &world.disks[&node(3)]).expect("it was wiped");
    refused(world.start(3), "destroyed_for_good");
}

#[test]
fn nothing_is_said_for_a_destroyed_group() {
    let mut world = destroyed();
    let request = RequestVote { term: Term::new(9), last: at(3, 1), leadership_transfer: false };
    let sent = envelope(3, 1, Message::RequestVote(request));
    refused(world.checker.leaves(&sent, &world.disks), "destroyed_for_good");
}
