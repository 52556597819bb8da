//! Logs that have lost something: what may be lost, what it counts for, and when it is back.

use raft_actor::consensus::{DamageId, DirectoryId, Input, LogIndex, Message, NodeId, TimeoutNow};
use raft_actor::envelope::{Body, Envelope};

use super::world::{ModelDisk, World, envelope};
use super::{node, refused};
use crate::sim::checker::Verdict;

impl World {
    /// A server that is down loses everything behind `kept`, as was to be expected; its log says so.
    pub(super) fn cut_log(&mut self, n: u64, kept: u64) {
        self.checker.damaged(node(n));
        let number = self.fresh();
        self.disk(n).truncate(LogIndex::new(kept));
        self.disk(n).hard_state.damage = Some(DamageId(number));
    }

    /// A server goes down and loses everything behind `kept`; its log says so.
    fn lose(&mut self, n: u64, kept: u64) {
        self.crash(n, usize::MAX, 0).expect("a sound end");
        self.disk(n).truncate(LogIndex::new(kept));
        self.disk(n).hard_state.damage = Some(DamageId(1));
    }

    /// A server that happens to be damaged and comes back.
    fn damage(&mut self, n: u64, kept: u64) -> Verdict {
        self.checker.damaged(node(n));
        self.lose(n, kept);
        self.start(n)
    }

    fn look(&mut self, n: u64) -> Verdict {
        self.checker.durable_changed(node(n), &self.disks[&node(n)])
    }
}

/// Three servers under the first, with three entries on all of them.
fn settled() -> World {
    let mut world = World::of(3);
    world.elect(1);
    world.propose(1, &["a", "b"]).expect("a sound step");
    world.settle().expect("a sound step");
    world
}

#[test]
fn a_damaged_disk_may_lose_what_it_held_and_gets_it_back() {
    let mut world = settled();
    world.damage(3, 1).expect("it says that it has lost something");
    assert!(!world.checker.is_whole(node(3)));
    for _ in 0..5 {
        world.deadline(1).expect("a sound step");
        world.settle().expect("a sound step");
    }
    assert!(world.checker.is_whole(node(3)));
    assert_eq!(world.checker.situations().damage_repaired, 1);
    assert_eq!(world.disks[&node(3)].entries.len(), world.disks[&node(1)].entries.len());
}

#[test]
fn a_disk_to_which_nothing_happened_may_not_call_itself_damaged() {
    let mut world = settled();
    world.lose(3, 1);
    refused(world.start(3), "what_is_durable_stays");
    // Nor a running server's.
    let mut world = settled();
    world.checker.damaged(node(3));
    world.disk(3).hard_state.damage = Some(DamageId(1));
    refused(world.look(3), "what_is_durable_stays");
}

#[test]
fn a_damaged_disk_may_not_lose_anything_in_silence() {
    let mut world = settled();
    world.checker.damaged(node(3));
    world.lose(3, 1);
    world.disk(3).hard_state.damage = None;
    refused(world.start(3), "what_is_durable_stays");
}

#[test]
fn a_vote_that_a_damage_took_is_refused() {
    let mut world = settled();
    world.checker.damaged(node(3));
    world.lose(3, 1);
    world.disk(3).hard_state.vote = None;
    refused(world.start(3), "what_is_durable_stays");
}

#[test]
fn a_server_that_calls_itself_whole_before_it_is_is_refused() {
    let mut world = settled();
    world.damage(3, 1).expect("it says that it has lost something");
    world.disk(3).hard_state.damage = None;
    refused(world.look(3), "the_damaged_become_whole");
}

/// The process dies between writing that and syncing it, and whoever opens the log next syncs it (seed 1496).
#[test]
fn a_mark_whose_removal_was_written_may_go_when_the_log_is_opened_next() {
    let mut world = settled();
    world.damage(3, 1).expect("it says that it has lost something");
    world.held.push(node(3));
    let removes = |world: &mut World| {
        let mut ordered = world.server(3).pending.iter();
        ordered.any(|(_, hard_state, _)| hard_state.is_some_and(|hard_state| hard_state.damage.is_none()))
    };
    for _ in 0..5 {
        world.deadline(1).expect("a sound step");
        world.settle().expect("a sound step");
        if removes(&mut world) {
            break;
        }
        world.sync(3, usize::MAX).expect("a sound step");
    }
    assert!(removes(&mut world) && !world.checker.is_whole(node(3)));
    world.crash(3, usize::MAX, 0).expect("it was written, and is durable now");
    assert_eq!(world.disks[&node(3)].hard_state.damage, None);
    world.start(3).expect("it has everything back");
    assert!(world.checker.is_whole(node(3)));
}

#[test]
fn a_mark_that_goes_by_itself_while_nobody_runs_is_refused() {
    let mut world = settled();
    world.damage(3, 1).expect("it says that it has lost something");
    world.crash(3, usize::MAX, 0).expect("a sound end");
    let whole = world.disks[&node(1)].entries.clone();
    world.disk(3).entries = whole;
    world.disk(3).hard_state.damage = None;
    refused(world.look(3), "the_damaged_become_whole");
}

#[test]
fn a_commit_that_counts_what_a_damaged_server_holds_is_refused() {
    let mut world = settled();
    world.cut = vec![NodeId::from(2)];
    world.damage(3, 1).expect("it says that it has lost something");
    // The leader takes it for whole, and so it counts what it stores.
    let entries = world.disks[&node(1)].entries.clone();
    world.propose(1, &["c"]).expect("a sound step");
    let last = world.disks[&node(1)].entries.last().expect("it is there").position;
    world.disk(3).entries =
        [entries, vec![world.disks[&node(1)].entries.last().expect("it is there").clone()]].concat();
    world.look(3).expect("it may store what it likes");
    let term = world.raft(1).term();
    let commit = |world: &mut World| {
        use raft_actor::consensus::{AppendEntriesReply, AppendOutcome, Input, Message, Round};
        let outcome = AppendOutcome::Matched { durable: last.index };
        for round in 1..100 {
            let reply = AppendEntriesReply { term, round: Round::new(round), outcome, damage: None };
            world.step(1, Input::Received { from: node(3), message: Message::AppendEntriesReply(reply) })?;
        }
        Ok(())
    };
    refused(commit(&mut world), "commit_is_durable");
}

impl World {
    /// A server comes back with an empty disk, and lives in the term of its leader.
    fn empty(&mut self, n: u64, leader: u64) {
        self.crash(n, usize::MAX, 0).expect("a sound end");
        self.checker.wiped(node(n));
        *self.disk(n) = ModelDisk::default();
        self.start(n).expect("it has nothing to start with");
        self.deadline(leader).expect("a sound step");
        self.cut = vec![node(n)];
        self.settle().expect("a sound step");
        self.cut.clear();
        assert_eq!(self.disks[&node(n)].hard_state.term, self.raft(leader).term());
    }

    fn meets(&mut self, n: u64, peer: u64, directory: u64) -> Verdict {
        self.step(n, Input::Met { peer: node(peer), directory: DirectoryId(directory) })
    }
}

/// The host of the leader does not let the new disk in: the leader knows what the old one has told it (seed 1617).
#[test]
fn a_leader_may_tell_a_server_to_campaign_of_whose_emptied_disk_it_has_not_heard() {
    let mut world = settled();
    world.meets(1, 3, 30).expect("a sound step");
    world.empty(3, 1);
    world.meets(1, 3, 30).expect("it is told so again");
    world.transfer(1, 3).expect("as far as it knows, 3 has it all");
    assert_eq!(world.checker.situations().told_to_campaign, 1);
}

/// A bit that flips where a snapshot covers it takes nothing away, and nobody hears of it (seed 6371).
#[test]
fn a_leader_may_tell_a_server_to_campaign_that_had_a_damage_of_no_account_and_has_got_more_since() {
    let mut world = settled();
    for transfers in 1..=2 {
        world.checker.damaged(node(3));
        world.propose(1, &["c"]).expect("a sound step");
        world.settle().expect("a sound step");
        world.transfer(1, 3).expect("3 has it all");
        assert_eq!(world.checker.situations().told_to_campaign, transfers);
        world.settle().expect("a sound step");
        world.elect(1);
        world.settle().expect("a sound step");
    }
}

#[test]
fn a_leader_that_has_heard_of_an_emptied_disk_and_believes_the_old_one_is_refused() {
    let mut world = settled();
    world.empty(3, 1);
    // Its core was told of none before.
    world.meets(1, 3, 31).expect("a sound step");
    refused(world.transfer(1, 3), "the_next_leader_has_it_all");
}

#[test]
fn what_an_earlier_leader_has_not_heard_of_is_no_excuse_in_another_office() {
    let mut world = settled();
    world.empty(3, 1);
    world.cut = vec![node(3)];
    world.elect(2);
    world.elect(1);
    world.transfer(1, 3).expect("3 has not said that it has anything");
    assert_eq!(world.checker.situations().told_to_campaign, 0);
    let term = world.raft(1).term();
    world.disk(3).hard_state.term = term;
    let message = Message::TimeoutNow(TimeoutNow { term });
    refused(world.checker.leaves(&envelope(1, 3, message), &world.disks), "the_next_leader_has_it_all");
}

#[test]
fn a_leader_may_tell_a_server_to_campaign_until_it_hears_of_its_damage() {
    let mut world = settled();
    world.damage(3, 1).expect("it says that it has lost something");
    world.transfer(1, 3).expect("as far as it knows, 3 has it all");
    assert_eq!(world.checker.situations().told_to_campaign, 1);
    world.deadline(1).expect("a sound step");
    let answer = |world: &mut World| world.network.iter().position(|envelope| envelope.from == node(3));
    while answer(&mut world).is_none() {
        let next = world.network.pop_front().expect("3 answers");
        world.deliver(next).expect("a sound step");
    }
    let term = world.raft(1).term();
    let told = envelope(1, 3, Message::TimeoutNow(TimeoutNow { term }));
    world.checker.leaves(&told, &world.disks).expect("it has not heard of the damage");
    let at = answer(&mut world).expect("just seen");
    let answer = world.network.remove(at).expect("just seen");
    let Envelope { from, body: Body::Raft(message), .. } = answer else { panic!("servers say nothing else here") };
    world.step(1, Input::Received { from, message }).expect("a sound step");
    refused(world.checker.leaves(&told, &world.disks), "the_next_leader_has_it_all");
}
