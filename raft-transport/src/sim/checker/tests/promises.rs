//! What a server says it must keep, and its disk with it: each promise is refused when it is broken.

use raft_actor::consensus::{
    AppendEntries, AppendEntriesReply, AppendOutcome, DamageId, Entries, HardState, LogIndex, LogPosition, Message,
    PreVote, PreVoteReply, RequestVote, RequestVoteReply, Round, Term,
};

use super::world::{World, command, envelope};
use super::{at, node, refused};
use crate::sim::checker::Verdict;

fn term(n: u64) -> Term {
    Term::new(n)
}

impl World {
    fn says(&mut self, from: u64, to: u64, message: Message) -> Verdict {
        self.checker.leaves(&envelope(from, to, message), &self.disks)
    }

    fn stores(&mut self, n: u64, stored_term: u64, vote: Option<u64>) -> Verdict {
        self.disk(n).hard_state = HardState { term: term(stored_term), vote: vote.map(node), damage: None };
        self.checker.durable_changed(node(n), &self.disks[&node(n)])
    }
}

fn grant(of: u64) -> Message {
    Message::RequestVoteReply(RequestVoteReply { term: term(of), granted: true })
}

fn matched(of: u64, durable: u64) -> Message {
    let outcome = AppendOutcome::Matched { durable: LogIndex::new(durable) };
    Message::AppendEntriesReply(AppendEntriesReply { term: term(of), round: Round::new(1), outcome, damage: None })
}

fn append(of: u64, prev: LogPosition, entries: Entries, commit: u64) -> Message {
    let (commit, round) = (LogIndex::new(commit), Round::new(1));
    Message::AppendEntries(AppendEntries { term: term(of), prev, entries, commit, round, rest: false, repair: None })
}

#[test]
fn a_term_that_is_said_before_it_is_durable_is_refused() {
    let mut world = World::of(3);
    let denied = Message::RequestVoteReply(RequestVoteReply { term: term(2), granted: false });
    refused(world.says(1, 2, denied), "term_is_durable");
}

#[test]
fn a_vote_that_is_said_before_it_is_durable_is_refused() {
    let mut world = World::of(3);
    world.stores(1, 2, None).unwrap();
    refused(world.says(1, 2, grant(2)), "vote_is_durable");
}

#[test]
fn two_votes_of_one_server_in_one_term_are_refused() {
    let mut world = World::of(3);
    world.stores(1, 2, Some(2)).unwrap();
    world.says(1, 2, grant(2)).unwrap();
    refused(world.says(1, 3, grant(2)), "one_vote_a_term");
    // Across a crash that lost the first one.
    let mut world = World::of(3);
    world.stores(1, 3, Some(2)).unwrap();
    world.disk(1).hard_state = HardState { term: term(3), vote: Some(node(3)), damage: None };
    refused(world.checker.durable_changed(node(1), &world.disks[&node(1)]), "what_is_durable_stays");
}

#[test]
fn a_wiped_disk_may_forget_what_it_promised() {
    let mut world = World::of(3);
    world.stores(1, 2, Some(2)).unwrap();
    world.checker.wiped(node(1));
    world.stores(1, 2, Some(3)).unwrap();
}

#[test]
fn a_stored_term_that_falls_is_refused() {
    let mut world = World::of(3);
    world.stores(1, 3, None).unwrap();
    refused(world.stores(1, 2, None), "what_is_durable_stays");
}

#[test]
fn a_match_that_is_not_durable_is_refused() {
    let mut world = World::of(3);
    world.elect(1);
    refused(world.says(2, 1, matched(2, 3)), "match_is_durable");
}

#[test]
fn a_match_that_is_none_is_refused() {
    let mut world = World::of(3);
    world.elect(1);
    world.cut.push(node(1));
    world.propose(1, &["a"]).unwrap();
    world.cut.clear();
    // What a former leader left.
    world.checker.known.written.remember(node(2), &command(3, 1, "b"), at(2, 1)).unwrap();
    world.disk(2).entries.push(command(3, 1, "b"));
    refused(world.says(2, 1, matched(2, 3)), "match_is_the_leaders");
}

#[test]
fn a_promise_of_a_passed_term_is_refused() {
    let mut world = World::of(3);
    world.elect(1);
    world.settle().unwrap();
    world.says(2, 1, matched(2, 2)).unwrap();
    refused(world.says(2, 1, matched(1, 1)), "promises_end_with_their_term");
    world.checker.crashed(node(2));
    refused(world.says(2, 1, matched(1, 2)), "match_is_the_leaders");
}

#[test]
fn a_promise_of_a_damaged_server_is_refused() {
    let mut world = World::of(3);
    world.elect(1);
    world.settle().unwrap();
    world.says(2, 1, matched(2, 2)).unwrap();
    world.disk(2).hard_state.damage = Some(DamageId(1));
    refused(world.says(2, 1, matched(2, 2)), "the_damaged_promise_nothing");
    let asked = PreVote { term: term(3), last: at(2, 2) };
    refused(world.says(2, 1, Message::PreVote(asked)), "the_damaged_promise_nothing");
    let granted = PreVoteReply { term: term(3), granted: true };
    refused(world.says(2, 1, Message::PreVoteReply(granted)), "the_damaged_promise_nothing");
}

#[test]
fn a_candidate_that_tells_another_log_than_its_own_is_refused() {
    let mut world = World::of(3);
    world.stores(1, 2, Some(1)).unwrap();
    let request = RequestVote { term: term(2), last: at(7, 1), leadership_transfer: false };
    refused(world.says(1, 2, Message::RequestVote(request)), "own_log_is_told");
}

#[test]
fn append_entries_of_who_does_not_lead_are_refused() {
    let mut world = World::of(3);
    world.elect(1);
    world.settle().unwrap();
    refused(world.says(2, 3, append(2, at(2, 2), Entries::new(), 2)), "leaders_replicate");
    refused(world.says(1, 3, append(2, at(2, 2), Entries::new(), 3)), "commit_is_durable");
    refused(world.says(1, 3, append(2, at(9, 2), Entries::new(), 2)), "log_matching");
    let skips = Entries::from(vec![command(2, 2, "a")]);
    refused(world.says(1, 3, append(2, LogPosition::ZERO, skips, 2)), "log_matching");
    world.says(1, 3, append(2, at(2, 2), Entries::new(), 2)).unwrap();
    // What a stream finds in a log that has been overwritten since.
    world.checker.known.written.remember(node(2), &command(3, 3, "a"), at(2, 2)).unwrap();
    let later = Entries::from(vec![command(3, 3, "a")]);
    refused(world.says(1, 3, append(2, at(2, 2), later, 2)), "log_matching");
}

#[test]
fn a_disk_that_loses_what_was_durable_is_refused() {
    let mut world = World::of(3);
    world.elect(1);
    world.settle().unwrap();
    world.disk(2).truncate(LogIndex::new(1));
    refused(world.checker.durable_changed(node(2), &world.disks[&node(2)]), "what_is_durable_stays");
    world.checker.crashed(node(2));
    refused(world.start(2), "what_is_durable_stays");
}

#[test]
fn a_disk_with_an_entry_that_nobody_wrote_is_refused() {
    let mut world = World::of(3);
    world.elect(1);
    world.settle().unwrap();
    world.disk(2).entries.push(command(3, 2, "a"));
    refused(world.checker.durable_changed(node(2), &world.disks[&node(2)]), "log_matching");
    let mut world = World::of(3);
    world.elect(1);
    world.propose(1, &["a"]).unwrap();
    world.settle().unwrap();
    world.disk(2).entries[2] = command(3, 2, "b");
    refused(world.checker.recheck(&world.disks), "log_matching");
}

#[test]
fn a_server_that_starts_with_less_than_it_stored_is_refused() {
    let start_with = |change: fn(&mut super::world::ModelDisk)| {
        let mut world = World::of(3);
        world.elect(1);
        world.settle().unwrap();
        world.crash(2, 9, 0).unwrap();
        let stored = world.disks[&node(2)].clone();
        change(world.disk(2));
        let forgetful = world.core(2);
        world.checker.started(node(2), &forgetful, &stored)
    };
    refused(start_with(|disk| disk.hard_state.vote = None), "starts_with_what_is_durable");
    refused(start_with(|disk| disk.hard_state.term = term(1)), "starts_with_what_is_durable");
    refused(start_with(|disk| disk.entries.truncate(1)), "starts_with_what_is_durable");
    start_with(|_| {}).unwrap();
}

#[test]
fn a_storage_that_confirms_what_it_did_not_do_is_refused() {
    let confirm_early = |n: u64, input: fn(&mut World)| {
        let mut world = World::of(3);
        world.elect(1);
        world.settle().unwrap();
        world.held.push(node(n));
        input(&mut world);
        let seq = world.last_ordered(n);
        world.step(n, raft_actor::consensus::Input::Persisted(seq))
    };
    refused(confirm_early(1, |world| world.propose(1, &["a"]).unwrap()), "persisted_is_durable");
    let hears_of_term = |world: &mut World| {
        let denied = Message::RequestVoteReply(RequestVoteReply { term: term(9), granted: false });
        world.deliver(envelope(1, 2, denied)).unwrap();
    };
    refused(confirm_early(2, hears_of_term), "persisted_is_durable");
}

#[test]
fn a_vote_for_a_log_that_is_behind_is_refused() {
    let mut world = World::of(3);
    world.elect(1);
    world.settle().unwrap();
    let run = world.checker.members.get_mut(&node(2)).unwrap().run.as_mut().unwrap();
    let before = run.facts;
    let after = crate::sim::checker::member::Facts { term: term(3), vote: Some(node(3)), ..before };
    world.checker.known.elections.asks(node(3), term(3), at(9, 1));
    let verdict = world.checker.known.check_vote(node(2), run, &before, &after);
    refused(verdict, "votes_go_to_up_to_date_logs");
}
