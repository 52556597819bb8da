//! The properties of Figure 3: each is refused when it is broken.

use bytes::Bytes;
use raft_actor::consensus::{
    AppendEntries, AppendEntriesReply, AppendOutcome, Effect, Entries, Entry, HardState, Input, LogIndex, LogWrite,
    Message, Payload, RequestVoteReply, Role, Round, Term, WriteSeq,
};

use super::world::{World, command};
use super::{at, node, refused};

/// A vote that `from` never gave.
fn forged_vote(from: u64, term: u64) -> Input {
    let reply = RequestVoteReply { term: Term::new(term), granted: true };
    Input::Received { from: node(from), message: Message::RequestVoteReply(reply) }
}

/// An acknowledgement that `from` never gave.
fn forged_match(from: u64, term: u64, durable: u64, round: u64) -> Input {
    let outcome = AppendOutcome::Matched { durable: LogIndex::new(durable) };
    let reply = AppendEntriesReply { term: Term::new(term), round: Round::new(round), outcome, damage: None };
    Input::Received { from: node(from), message: Message::AppendEntriesReply(reply) }
}

/// What a member with this log would order.
fn write(seq: u64, log: LogWrite) -> Effect {
    Effect::Persist { seq: WriteSeq::new(seq), hard_state: None, log: Some(log) }
}

impl World {
    /// The checker is told that a server ordered these effects, with its core as it is.
    fn pretend(&mut self, n: u64, effects: &[Effect]) -> crate::sim::checker::Verdict {
        let raft = self.servers[&node(n)].raft.as_ref().expect("it runs");
        self.checker.after(node(n), raft, effects, &self.disks)
    }

    /// Lets a server campaign, its messages getting nowhere.
    fn campaign(&mut self, n: u64) {
        let term = self.raft(n).term();
        while self.raft(n).term() == term {
            self.deadline(n).expect("a sound step");
            // Its pre-vote is granted.
            for other in self.ids_up().into_iter().filter(|other| *other != n) {
                let reply = raft_actor::consensus::PreVoteReply { term: self.raft(n).term().next(), granted: true };
                if self.raft(n).term() == term {
                    let message = Message::PreVoteReply(reply);
                    self.step(n, Input::Received { from: node(other), message }).expect("a sound step");
                }
            }
            self.work(n).expect("a sound step");
        }
        self.network.clear();
    }

    /// A server's disk says that it voted.
    fn store_vote(&mut self, voter: u64, term: u64, candidate: u64) {
        self.disk(voter).hard_state = HardState { term: Term::new(term), vote: Some(node(candidate)), damage: None };
        self.checker.durable_changed(node(voter), &self.disks[&node(voter)]).expect("a sound change");
    }
}

#[test]
fn a_leader_without_a_majority_of_votes_is_refused() {
    let mut world = World::of(3);
    world.campaign(1);
    refused(world.step(1, forged_vote(2, 2)), "elected_by_a_majority");
}

#[test]
fn two_leaders_of_one_term_are_refused() {
    let mut world = World::of(5);
    world.campaign(1);
    world.campaign(2);
    world.store_vote(3, 2, 1);
    world.store_vote(4, 2, 1);
    world.step(1, forged_vote(3, 2)).unwrap();
    world.step(1, forged_vote(4, 2)).unwrap();
    assert_eq!(world.raft(1).role(), Role::Leader);
    world.step(2, forged_vote(3, 2)).unwrap();
    refused(world.step(2, forged_vote(4, 2)), "election_safety");
}

#[test]
fn a_leader_that_lacks_what_is_committed_is_refused() {
    let mut world = World::of(3);
    world.elect(1);
    world.cut.push(node(3));
    world.propose(1, &["a"]).unwrap();
    world.settle().unwrap();
    assert_eq!(world.checker.committed(), at(3, 2));
    world.campaign(3);
    world.store_vote(2, 3, 3);
    refused(world.step(3, forged_vote(2, 3)), "leader_completeness");
}

#[test]
fn a_leader_without_an_entry_of_its_own_is_refused() {
    let mut world = World::of(3);
    world.elect(1);
    let run = world.checker.members.get_mut(&node(1)).unwrap().run.as_mut().unwrap();
    let (before, after) = (run.facts, run.facts);
    run.leads_in = None;
    let raft = world.servers[&node(1)].raft.as_ref().unwrap();
    let verdict = world.checker.known.check_leader(node(1), run, &before, &after, raft, &world.disks);
    refused(verdict, "leaders_begin_with_an_entry");
}

#[test]
fn a_leader_that_replaces_its_own_entries_is_refused() {
    let mut world = World::of(3);
    world.elect(1);
    let entries = Entries::from(vec![command(2, 2, "other")]);
    refused(world.pretend(1, &[write(9, LogWrite::Replace(entries))]), "leader_append_only");
}

#[test]
fn two_entries_with_one_position_are_refused() {
    let mut world = World::of(3);
    world.elect(1);
    world.propose(1, &["a"]).unwrap();
    let entries = Entries::from(vec![command(3, 2, "b")]);
    refused(world.pretend(2, &[write(9, LogWrite::Append(entries))]), "log_matching");
    // One entry behind two others.
    let noop = |index| Entry { position: at(index, 3), payload: Payload::Noop };
    let mut world = World::of(3);
    world.elect(1);
    world.cut.push(node(3));
    world.propose(1, &["a"]).unwrap();
    world.settle().unwrap();
    world.elect(2);
    assert_eq!(world.raft(2).log().last(), at(4, 3));
    let entries = Entries::from(vec![noop(3), noop(4)]);
    refused(world.pretend(3, &[write(9, LogWrite::Append(entries))]), "log_matching");
}

#[test]
fn a_commit_that_no_majority_holds_durably_is_refused() {
    let mut world = World::of(3);
    world.elect(1);
    world.propose(1, &["a"]).unwrap();
    refused(world.step(1, forged_match(2, 2, 3, 3)), "commit_is_durable");
}

#[test]
fn a_follower_that_is_the_first_to_commit_is_refused() {
    let mut world = World::of(3);
    world.elect(1);
    world.cut.extend([node(1), node(2), node(3)]);
    world.propose(1, &["a"]).unwrap();
    let append = AppendEntries {
        term: Term::new(2),
        prev: at(2, 2),
        entries: Entries::from(vec![command(3, 2, "a")]),
        commit: LogIndex::new(3),
        round: Round::new(99),
        rest: false,
        repair: None,
    };
    let input = Input::Received { from: node(1), message: Message::AppendEntries(append) };
    refused(world.step(2, input), "leaders_commit_first");
}

#[test]
fn an_entry_of_an_older_term_that_is_committed_by_counting_is_refused() {
    let mut world = World::of(3);
    world.elect(1);
    let run = world.checker.members.get_mut(&node(1)).unwrap().run.as_mut().unwrap();
    // As if its term were the next.
    run.facts.term = Term::new(2);
    run.facts.commit = LogIndex::ZERO;
    let (before, mut after) = (run.facts, run.facts);
    after.commit = LogIndex::new(1);
    let verdict = world.checker.known.check_commit(node(1), run, &before, &after, &world.disks);
    refused(verdict, "own_term_commits");
}

#[test]
fn another_commit_at_a_committed_index_is_refused() {
    let mut world = World::of(3);
    world.elect(1);
    world.settle().unwrap();
    let mut run = world.checker.members.get_mut(&node(2)).unwrap().run.take().unwrap();
    run.log.truncate_after(LogIndex::new(1));
    run.log.push(at(2, 1), false);
    let (mut before, after) = (run.facts, run.facts);
    before.commit = LogIndex::new(1);
    let after = crate::sim::checker::member::Facts { commit: LogIndex::new(2), ..after };
    let verdict = world.checker.known.check_commit(node(2), &run, &before, &after, &world.disks);
    refused(verdict, "committed_is_immutable");
}

#[test]
fn a_follower_that_removes_what_is_committed_is_refused() {
    let mut world = World::of(3);
    world.elect(1);
    world.propose(1, &["a"]).unwrap();
    world.settle().unwrap();
    let entries = Entries::from(vec![command(3, 3, "b")]);
    refused(world.pretend(2, &[write(9, LogWrite::Replace(entries))]), "committed_is_immutable");
}

#[test]
fn another_command_response_or_order_at_a_state_machine_is_refused() {
    let applied = |position, command, response, invariant| {
        let mut world = World::of(3);
        world.elect(1);
        world.propose(1, &["a", "b"]).unwrap();
        world.settle().unwrap();
        let run = world.checker.members.get_mut(&node(3)).unwrap().run.as_mut().unwrap();
        // It has not applied them yet, and was told to.
        (run.machine_applied, run.apply_ordered) = (LogIndex::new(2), LogIndex::new(4));
        refused(world.checker.applied(node(3), position, command, response), invariant);
    };
    let hash = crate::sim::durable::payload_hash;
    applied(at(3, 2), hash(&Bytes::from("b")), 3, "state_machine_safety");
    applied(at(3, 2), hash(&Bytes::from("a")), 4, "same_response_everywhere");
    applied(at(3, 1), hash(&Bytes::from("a")), 3, "state_machine_safety");
    applied(at(4, 2), hash(&Bytes::from("b")), 4, "applied_in_order");
    applied(at(2, 2), 0, 0, "applied_in_order");
    applied(at(9, 2), 0, 0, "applied_in_order");
}
