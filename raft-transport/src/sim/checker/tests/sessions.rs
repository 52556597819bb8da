//! Commands of sessions: each is applied once, and none that is forgotten.

use bytes::Bytes;
use raft_actor::consensus::{Input, ProposalId};

use super::refused;
use super::world::World;
use crate::sim::checker::Verdict;

const MAY_OPEN: u8 = 1;
const LIFETIME_MS: u32 = 100;

/// A command of a client as its leader stamps it.
fn numbered(client: &str, time_ms: u64, flags: u8, sequence: u64, acknowledged: u64) -> Bytes {
    let mut framed = vec![1];
    framed.extend_from_slice(&time_ms.to_le_bytes());
    framed.extend_from_slice(&LIFETIME_MS.to_le_bytes());
    framed.push(flags);
    framed.extend_from_slice(&sequence.to_le_bytes());
    framed.extend_from_slice(&acknowledged.to_le_bytes());
    framed.push(u8::try_from(client.len()).expect("a short name"));
    framed.extend_from_slice(client.as_bytes());
    framed.extend_from_slice(b"pay");
    framed.into()
}

/// A cluster whose machines apply whatever is committed: they know nothing of sessions.
struct Ignorant(World);

impl Ignorant {
    fn new() -> Self {
        let mut world = World::of(3);
        world.elect(1);
        Self(world)
    }

    fn commits(&mut self, command: Bytes) -> Verdict {
        let Self(world) = self;
        let id = ProposalId(world.fresh());
        world.step(1, Input::Propose { id, commands: vec![command] })?;
        world.work(1)?;
        world.settle()
    }
}

#[test]
fn a_command_that_comes_again_and_is_applied_again_is_refused() {
    let mut cluster = Ignorant::new();
    cluster.commits(numbered("till-7", 5, MAY_OPEN, 1, 0)).unwrap();
    cluster.commits(numbered("till-8", 5, MAY_OPEN, 1, 0)).unwrap();
    cluster.commits(numbered("till-7", 6, 0, 2, 0)).unwrap();
    refused(cluster.commits(numbered("till-7", 7, MAY_OPEN, 1, 0)), "once_in_a_session");
}

#[test]
fn a_command_whose_answer_was_acknowledged_is_not_new_when_it_comes_again() {
    let mut cluster = Ignorant::new();
    cluster.commits(numbered("till-7", 5, MAY_OPEN, 1, 0)).unwrap();
    cluster.commits(numbered("till-7", 6, 0, 2, 1)).unwrap();
    refused(cluster.commits(numbered("till-7", 7, MAY_OPEN, 1, 0)), "forgotten_is_not_applied");
}

#[test]
fn a_session_that_was_silent_for_longer_than_its_lifetime_is_not_renewed() {
    let mut cluster = Ignorant::new();
    cluster.commits(numbered("till-7", 5, MAY_OPEN, 1, 0)).unwrap();
    cluster.commits(numbered("till-7", 105, 0, 2, 0)).unwrap();
    // Log time never falls, whatever a leader stamps.
    cluster.commits(numbered("till-7", 7, 0, 3, 0)).unwrap();
    refused(cluster.commits(numbered("till-7", 206, 0, 4, 0)), "forgotten_is_not_applied");
}

#[test]
fn a_client_that_is_remembered_and_told_otherwise_is_refused() {
    let mut cluster = Ignorant::new();
    cluster.commits(numbered("till-7", 5, MAY_OPEN, 1, 0)).unwrap();
    refused(cluster.0.checker.told_expired("till-7", 1), "who_is_forgotten_was_silent");
    assert!(cluster.commits(numbered("till-8", 5, 0, 7, 0)).is_err(), "nobody knows it, and it is applied");
    cluster.0.checker.told_expired("till-8", 7).unwrap();
}
