//! What a read by lease rests upon: each rule is refused when it is broken.

use std::time::Duration;

use raft_actor::consensus::{Effect, LogIndex, ReadId, Settings, Term};

use super::world::World;
use super::{node, refused};
use crate::sim::checker::Verdict;
use crate::sim::checker::member::{Cause, Facts};

/// Three servers with lease reads and n1 leading; all have heard from it just now.
fn settled() -> World {
    let mut world = World::with_leases(3, 3, Settings::default());
    // What they say when they start is over.
    world.pass(1_000_000);
    world.elect(1);
    world.propose(1, &["a"]).unwrap();
    world.settle().unwrap();
    world
}

fn promise() -> Duration {
    Duration::from_millis(Settings::default().election_timeout_ms_min)
}

impl World {
    /// n1 answers a read by its lease, though its core knows of none.
    fn answers_by_lease(&mut self) -> Verdict {
        let (read, index) = (ReadId(5), LogIndex::new(3));
        self.checker.at(self.now);
        self.run(1).reads.insert(read, index);
        self.run(1).cause = Cause::ReadByLease(read);
        self.idle_step(1, &[Effect::ReadReady { id: read, index }])
    }

    /// n2 votes for n3 in the next term.
    fn votes(&mut self, cause: Cause) -> Verdict {
        self.checker.at(self.now);
        let before = self.run(2).facts;
        let after = Facts { term: before.term.next(), vote: Some(node(3)), ..before };
        let run = self.checker.members[&node(2)].run.as_ref().unwrap();
        self.checker.known.check_word(node(2), run, &before, &after, cause, &[])
    }

    fn asked(&mut self, is_handed_over: bool) -> Cause {
        let last = self.run(3).facts.last;
        Cause::VoteAsked { candidate: node(3), term: Term::new(9), last, is_handed_over }
    }
}

fn micros(of: Duration) -> u64 {
    u64::try_from(of.as_micros()).unwrap()
}

#[test]
fn a_lease_that_rests_upon_words_that_may_be_over_is_refused() {
    let mut world = settled();
    // Clocks may be off by a tenth.
    world.pass(micros(promise() * 9 / 10));
    world.answers_by_lease().unwrap();
    world.pass(1_000);
    refused(world.answers_by_lease(), "leases_rest_upon_words");
}

#[test]
fn a_lease_that_rests_upon_who_does_not_know_of_it_is_refused() {
    let mut world = settled();
    for n in [2, 3] {
        world.disk(n).truncate(LogIndex::ZERO);
    }
    refused(world.answers_by_lease(), "leases_rest_upon_words");
}

/// It gave its word, and can give nobody its vote.
#[test]
fn a_lease_may_rest_upon_the_word_of_a_server_whose_disk_was_wiped_since() {
    let mut world = settled();
    for n in [2, 3] {
        world.checker.wiped(node(n));
        world.disk(n).truncate(LogIndex::ZERO);
    }
    world.answers_by_lease().unwrap();
    world.pass(micros(promise()));
    refused(world.answers_by_lease(), "leases_rest_upon_words");
}

#[test]
fn a_lease_that_nobody_allows_is_refused() {
    let mut world = World::of(3);
    world.elect(1);
    world.settle().unwrap();
    refused(world.answers_by_lease(), "leases_rest_upon_words");
}

#[test]
fn a_lease_of_who_has_told_another_to_campaign_is_refused() {
    let mut world = settled();
    world.cut.push(node(1));
    world.answers_by_lease().unwrap();
    world.transfer(1, 2).unwrap();
    refused(world.answers_by_lease(), "who_hands_over_has_no_lease");
}

#[test]
fn a_vote_in_spite_of_a_word_is_refused_unless_the_leader_wants_it() {
    let mut world = settled();
    let (asked, sent) = (world.asked(false), world.asked(true));
    world.pass(micros(promise() * 8 / 10));
    refused(world.votes(asked), "words_are_kept");
    world.votes(sent).unwrap();
    world.pass(micros(promise() * 2 / 10));
    world.votes(asked).unwrap();
}
