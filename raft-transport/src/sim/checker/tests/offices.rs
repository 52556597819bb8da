//! Who may lead, rest and vote: each rule is refused when it is broken.

use raft_actor::consensus::{
    AppendEntriesReply, AppendOutcome, Effect, Input, Message, PreVote, PreVoteReply, Role, Round, Settings, Term,
};

use super::world::{ModelDisk, World};
use super::{at, node, refused};
use crate::sim::checker::Verdict;
use crate::sim::checker::member::Facts;

const STALL_MS_MAX: u64 = 500;

/// Three servers with n1 leading; everybody has heard from everybody just now.
fn settled() -> World {
    let settings = Settings { storage_stall_ms_max: Some(STALL_MS_MAX), rest_after_ms: 10, ..Settings::default() };
    let mut world = World::with(3, 3, settings);
    world.elect(1);
    world.propose(1, &["a"]).unwrap();
    world.settle().unwrap();
    world
}

/// A server of these whose disk has not answered since just now.
fn waiting(n: u64) -> World {
    let mut world = settled();
    world.held.push(node(n));
    world.propose(1, &["b"]).unwrap();
    world.settle().unwrap();
    world
}

impl World {
    /// A server is told that something is due, and goes on as if nothing was.
    fn overlooks_a_deadline(&mut self, n: u64) -> Verdict {
        self.checker.at(self.now);
        self.checker.before(node(n), &Input::Deadline, self.now);
        self.idle_step(n, &[])
    }

    /// A server takes in a message and becomes what `change` says, with these effects.
    fn becomes(&mut self, n: u64, input: &Input, effects: &[Effect], change: impl Fn(&mut Facts)) -> Verdict {
        self.checker.at(self.now);
        self.checker.before(node(n), input, self.now);
        let member = self.checker.members.get_mut(&node(n)).unwrap();
        let waits_since = member.writes.front().map(|write| write.ordered_at);
        let run = member.run.as_mut().unwrap();
        let (before, mut after) = (run.facts, run.facts);
        change(&mut after);
        let raft = self.servers[&node(n)].raft.as_ref().unwrap();
        self.checker.known.check_office(node(n), run, &before, &after, waits_since, raft, effects)
    }

    fn gives_its_vote(&mut self, n: u64) -> Verdict {
        self.becomes(n, &Input::Stirred, &[], |after| (after.term, after.vote) = (Term::new(9), Some(node(1))))
    }

    fn gives_a_pre_vote(&mut self, n: u64) -> Verdict {
        let asked = Message::PreVote(PreVote { term: Term::new(9), last: at(9, 8) });
        let granted = Message::PreVoteReply(PreVoteReply { term: Term::new(9), granted: true });
        let input = Input::Received { from: node(1), message: asked };
        self.becomes(n, &input, &[Effect::Send { to: node(1), message: granted }], |_| {})
    }

    fn campaigns(&mut self, n: u64) -> Verdict {
        self.becomes(n, &Input::Deadline, &[], |after| after.role = Role::Candidate)
    }

    fn elects_in_any_way(&mut self, n: u64) -> [Verdict; 3] {
        [self.gives_its_vote(n), self.gives_a_pre_vote(n), self.campaigns(n)]
    }
}

#[test]
fn a_leader_that_stays_though_its_disk_does_not_answer_is_refused() {
    let mut world = waiting(1);
    world.pass(STALL_MS_MAX * 1_000 - 1);
    world.overlooks_a_deadline(1).unwrap();
    world.pass(1);
    refused(world.overlooks_a_deadline(1), "who_waits_for_its_disk_leads_no_more");
}

#[test]
fn a_vote_of_who_waits_for_its_disk_is_refused() {
    let mut world = waiting(2);
    world.pass(STALL_MS_MAX * 1_000 - 1);
    world.elects_in_any_way(2).into_iter().for_each(Result::unwrap);
    world.pass(1);
    for verdict in world.elects_in_any_way(2) {
        refused(verdict, "who_waits_for_its_disk_elects_nobody");
    }
    world.elects_in_any_way(3).into_iter().for_each(Result::unwrap);
}

#[test]
fn a_leader_that_stays_without_its_quorum_is_refused() {
    let mut world = settled();
    let timeout_us = world.settings.election_timeout_ms_min * 1_000;
    world.pass(timeout_us - 1);
    world.overlooks_a_deadline(1).unwrap();
    let outcome = AppendOutcome::Matched { durable: at(3, 2).index };
    let reply = |term| AppendEntriesReply { term: Term::new(term), round: Round::new(1), outcome, damage: None };
    let answer = |term| Input::Received { from: node(2), message: Message::AppendEntriesReply(reply(term)) };
    world.becomes(1, &answer(2), &[], |_| {}).unwrap();
    world.pass(timeout_us - 1);
    world.overlooks_a_deadline(1).unwrap();
    world.becomes(1, &answer(1), &[], |_| {}).unwrap();
    world.pass(1);
    refused(world.overlooks_a_deadline(1), "who_lost_its_quorum_leads_no_more");
}

#[test]
fn a_vote_of_who_was_wiped_is_refused_until_it_is_removed() {
    let mut world = settled();
    world.crash(3, 0, 0).unwrap();
    world.checker.wiped(node(3));
    *world.disk(3) = ModelDisk::default();
    world.start(3).unwrap();
    for verdict in world.elects_in_any_way(3) {
        refused(verdict, "the_wiped_do_not_vote");
    }
    world.cut.push(node(3));
    world.change(1, &[1, 2], &[]).unwrap();
    world.settle().unwrap();
    world.elects_in_any_way(3).into_iter().for_each(Result::unwrap);
}

/// Nobody has counted what a learner forgets (seed 3061).
#[test]
fn a_learner_that_was_wiped_may_be_given_a_vote() {
    let mut world = settled();
    world.change(1, &[1, 2], &[3]).unwrap();
    world.settle().unwrap();
    world.crash(3, 0, 0).unwrap();
    world.checker.wiped(node(3));
    *world.disk(3) = ModelDisk::default();
    world.start(3).unwrap();
    world.elects_in_any_way(3).into_iter().for_each(Result::unwrap);
}

#[test]
fn a_term_that_a_stranger_ends_is_refused() {
    let mut world = settled();
    let ends = |world: &mut World, from: u64| {
        let message = Message::PreVoteReply(PreVoteReply { term: Term::new(9), granted: false });
        world.becomes(1, &Input::Received { from: node(from), message }, &[], |after| {
            (after.role, after.term, after.vote) = (Role::Follower, Term::new(9), None);
        })
    };
    ends(&mut world, 2).unwrap();
    refused(ends(&mut world, 4), "strangers_end_no_term");
}

#[test]
fn a_leader_that_rests_before_all_others_do_is_refused() {
    let mut world = settled();
    while !world.raft(1).rests() {
        world.deadline(1).unwrap();
        world.settle().unwrap();
    }
    world.idle_step(1, &[]).unwrap();
    world.checker.known.rests.remove(&node(3));
    refused(world.idle_step(1, &[]), "leaders_rest_last");
}
