//! Situations that chance hardly ever leads into are recognized when they come up.

use raft_actor::consensus::{Role, Settings};

use super::world::World;
use super::{at, node};
use crate::sim::checker::Durable;

impl World {
    /// Lets a server win an election and nothing else: what it sends as a leader is lost.
    fn win(&mut self, n: u64) {
        while self.raft(n).role() != Role::Leader {
            match self.network.pop_front() {
                Some(envelope) => self.deliver(envelope).unwrap(),
                None => self.deadline(n).unwrap(),
            }
        }
        self.network.clear();
    }
}

#[test]
fn the_last_picture_of_figure_8_is_recognized() {
    let settings = Settings { append_batch_bytes_max: 1, ..Settings::default() };
    let mut world = World::with(5, 5, settings);
    // (a) n1 leads and replicates an entry to n2 only.
    world.elect(1);
    world.deadline(1).unwrap();
    world.settle().unwrap();
    world.cut = vec![node(3), node(4), node(5)];
    world.propose(1, &["a"]).unwrap();
    world.settle().unwrap();
    world.crash(1, 9, 0).unwrap();
    // (b) n5 is elected by n3 and n4, and has another entry there.
    world.cut = vec![node(2)];
    world.win(5);
    world.crash(5, 9, 0).unwrap();
    // (c) n1 leads again; its old entry reaches n3 and is on a majority, that of its new term is not.
    world.cut = vec![node(4)];
    world.start(1).unwrap();
    world.win(1);
    while world.disk(3).last() != at(3, 2) {
        match world.network.pop_front() {
            Some(envelope) => world.deliver(envelope).unwrap(),
            None => world.deadline(1).unwrap(),
        }
    }
    let to_leader: Vec<_> = world.network.drain(..).filter(|envelope| envelope.to == node(1)).collect();
    to_leader.into_iter().for_each(|envelope| world.deliver(envelope).unwrap());
    world.network.clear();
    assert_eq!(world.checker.committed(), at(2, 2));
    // (d) n5 leads, and the entry is gone.
    world.crash(1, 9, 0).unwrap();
    world.cut.clear();
    world.start(5).unwrap();
    world.elect(5);
    world.deadline(5).unwrap();
    world.settle().unwrap();
    // And n5's own old entry is on a majority before the first of its new term is.
    let seen = world.checker.situations();
    assert_eq!((seen.figure_8_overwritten, seen.figure_8), (1, 1), "{seen:?}");
    assert!(world.checker.committed() > at(3, 3));
}

#[test]
fn a_late_confirmation_of_what_was_overwritten_is_recognized() {
    let mut world = World::of(5);
    world.elect(1);
    world.deadline(1).unwrap();
    world.settle().unwrap();
    world.cut = vec![node(3), node(4), node(5)];
    world.held.push(node(2));
    world.propose(1, &["a"]).unwrap();
    world.settle().unwrap();
    world.crash(1, 9, 0).unwrap();
    world.cut.clear();
    world.elect(3);
    assert_eq!(world.checker.situations().late_persisted, 0);
    world.sync(2, 1).unwrap();
    let seen = world.checker.situations();
    assert_eq!((seen.late_persisted, seen.suffix_truncated), (1, 1), "{seen:?}");
}
