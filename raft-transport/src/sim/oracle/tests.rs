use proptest::prelude::*;
use raft_actor::consensus::Term;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;

mod runs;

use runs::run;

fn at(index: u64) -> LogPosition {
    LogPosition::new(Term::new(1), LogIndex::new(index))
}

fn done(index: u64) -> Fate {
    Fate::Done { index: LogIndex::new(index), answer: 0 }
}

fn node(id: u64) -> NodeId {
    NodeId::from(id)
}

/// A cluster of which only the oracle is real: everything happens when the test says so.
#[derive(Default)]
struct Story {
    oracle: Oracle,
    now_us: u64,
    last_request: u64,
}

impl Story {
    fn calls(&mut self, kind: Kind) -> u64 {
        self.now_us += 10;
        self.last_request += 1;
        self.oracle.called(self.last_request, self.now_us, kind);
        self.last_request
    }

    /// Applied by node 1, upon the end of the log.
    fn applies(&mut self, index: u64, request: u64) -> Verdict {
        let end = self.oracle.end();
        self.oracle.applied(node(1), end, at(index), request, 0)
    }

    fn returns(&mut self, request: u64, fate: Fate) -> Verdict {
        self.now_us += 10;
        self.oracle.returned(request, self.now_us, fate)
    }

    /// A write that is applied at `index` and acknowledged.
    fn writes(&mut self, index: u64) -> u64 {
        let write = self.calls(Kind::Write);
        self.applies(index, write).unwrap();
        self.returns(write, done(index)).unwrap();
        write
    }

    fn reads(&mut self, kind: Kind, index: u64) -> Verdict {
        let read = self.calls(kind);
        self.returns(read, done(index))
    }
}

#[track_caller]
fn breaks(invariant: &str, verdict: Verdict) {
    match verdict {
        Err(violation) => assert_eq!(violation.invariant, invariant, "{violation}"),
        Ok(()) => panic!("accepted, but {invariant} does not hold"),
    }
}

#[test]
fn an_acknowledged_write_that_nobody_applied_is_refused() {
    let mut story = Story::default();
    let write = story.calls(Kind::Write);
    breaks("acknowledged_is_applied", story.returns(write, done(3)));
}

#[test]
fn an_acknowledged_write_that_stands_elsewhere_is_refused() {
    let mut story = Story::default();
    let (one, two) = (story.calls(Kind::Write), story.calls(Kind::Write));
    story.applies(3, one).unwrap();
    story.applies(4, two).unwrap();
    breaks("acknowledged_is_applied", story.returns(one, done(4)));
}

#[test]
fn an_acknowledged_write_that_is_replaced_is_refused() {
    let mut story = Story::default();
    story.writes(3);
    let other = story.calls(Kind::Write);
    breaks("one_log", story.oracle.applied(node(2), LogIndex::ZERO, at(3), other, 0));
}

#[test]
fn an_acknowledged_write_that_a_node_goes_on_without_is_refused() {
    let mut story = Story::default();
    story.writes(3);
    let other = story.calls(Kind::Write);
    breaks("nothing_is_skipped", story.oracle.applied(node(2), LogIndex::ZERO, at(5), other, 0));
}

#[test]
fn an_acknowledged_write_that_a_node_lacks_in_the_end_is_refused() {
    let mut story = Story::default();
    story.writes(3);
    story.writes(5);
    story.oracle.finish([(node(1), LogIndex::new(5)), (node(2), LogIndex::new(5))]).unwrap();
    breaks("nothing_is_lost", story.oracle.finish([(node(1), LogIndex::new(5)), (node(2), LogIndex::new(3))]));
}

#[test]
fn a_write_that_nobody_sent_is_refused() {
    let mut story = Story::default();
    breaks("no_phantom_write", story.applies(3, 99));
    let read = story.calls(Kind::Read);
    breaks("no_phantom_write", story.applies(3, read));
}

#[test]
fn a_write_that_is_applied_twice_is_refused() {
    let mut story = Story::default();
    let write = story.writes(3);
    breaks("applied_once", story.applies(4, write));
    let unknown = story.calls(Kind::Write);
    story.returns(unknown, Fate::Unknown).unwrap();
    story.applies(5, unknown).unwrap();
    breaks("applied_once", story.applies(6, unknown));
}

#[test]
fn a_write_that_had_certainly_failed_is_not_applied() {
    let mut story = Story::default();
    let write = story.calls(Kind::Write);
    story.returns(write, Fate::Failed).unwrap();
    breaks("failed_is_not_applied", story.applies(3, write));
    let write = story.calls(Kind::Write);
    story.applies(4, write).unwrap();
    breaks("failed_is_not_applied", story.returns(write, Fate::Failed));
}

#[test]
fn a_write_that_overtakes_an_earlier_one_in_the_log_is_refused() {
    let mut story = Story::default();
    story.writes(5);
    let later = story.calls(Kind::Write);
    breaks("real_time_order", story.oracle.applied(node(2), LogIndex::ZERO, at(4), later, 0));
    // One that was under way at the same time may stand before, but not after others have gone on without it.
    let mut story = Story::default();
    let (one, two) = (story.calls(Kind::Write), story.calls(Kind::Write));
    story.applies(5, one).unwrap();
    breaks("nothing_is_skipped", story.oracle.applied(node(2), LogIndex::ZERO, at(4), two, 0));
}

#[test]
fn a_node_that_applies_upon_another_state_is_refused() {
    let mut story = Story::default();
    let first = story.writes(3);
    let second = story.writes(5);
    story.oracle.applied(node(2), LogIndex::ZERO, at(3), first, 0).unwrap();
    breaks("nothing_is_skipped", story.oracle.applied(node(2), LogIndex::ZERO, at(5), second, 0));
    // Again upon what it has already: after a restart that lost count.
    breaks("nothing_is_skipped", story.oracle.applied(node(2), LogIndex::new(5), at(5), second, 0));
}

#[test]
fn nodes_that_respond_differently_are_refused() {
    let mut story = Story::default();
    let write = story.writes(3);
    story.oracle.applied(node(2), LogIndex::ZERO, at(3), write, 0).unwrap();
    breaks("same_response", story.oracle.applied(node(3), LogIndex::ZERO, at(3), write, 1));
}

#[test]
fn a_client_that_is_told_another_response_is_refused() {
    let mut story = Story::default();
    let write = story.calls(Kind::Write);
    story.applies(3, write).unwrap();
    breaks("told_what_was_responded", story.returns(write, Fate::Done { index: LogIndex::new(3), answer: 1 }));
}

#[test]
fn a_linearizable_read_sees_what_was_acknowledged_before_it_was_called() {
    let mut story = Story::default();
    let early = story.calls(Kind::Read);
    story.writes(3);
    story.returns(early, done(0)).unwrap();
    story.reads(Kind::Read, 3).unwrap();
    breaks("linearizable_read", story.reads(Kind::Read, 0));
}

#[test]
fn a_linearizable_read_sees_what_an_earlier_one_saw() {
    let mut story = Story::default();
    let write = story.calls(Kind::Write);
    story.applies(3, write).unwrap();
    let beside = story.calls(Kind::Read);
    story.reads(Kind::Read, 3).unwrap();
    story.returns(beside, done(0)).unwrap();
    breaks("linearizable_read", story.reads(Kind::Read, 0));
}

#[test]
fn a_read_from_the_future_or_from_no_state_is_refused() {
    let mut story = Story::default();
    story.writes(3);
    breaks("reads_see_a_state", story.reads(Kind::Read, 4));
    breaks("reads_see_a_state", story.reads(Kind::LocalRead(node(1)), 2));
}

#[test]
fn local_reads_may_be_stale_and_go_forward_as_long_as_their_node_runs() {
    let mut story = Story::default();
    story.writes(3);
    story.writes(4);
    let local = Kind::LocalRead(node(2));
    story.reads(local, 0).unwrap();
    story.reads(Kind::LocalRead(node(1)), 4).unwrap();
    story.reads(local, 3).unwrap();
    let beside = story.calls(local);
    story.reads(local, 4).unwrap();
    story.returns(beside, done(3)).unwrap();
    breaks("local_reads_go_forward", story.reads(local, 3));
    story.oracle.started(node(2));
    story.reads(local, 0).unwrap();
}

#[test]
fn a_violation_says_who_asked_for_what_and_when() {
    let mut story = Story::default();
    story.writes(3);
    let violation = story.reads(Kind::Read, 0).unwrap_err().to_string();
    let expected = "linearizable_read: 3 had been seen when it was called: read 2, called at 30 us, done at 0";
    assert_eq!(violation, expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_an_honest_cluster_tells_is_accepted(seed: u64) {
        let events = run(&mut StdRng::seed_from_u64(seed), 400);
        let mut oracle = Oracle::default();
        for event in &events {
            prop_assert_eq!(event.clone().tell(&mut oracle), Ok(()), "{:?}", event);
        }
        prop_assert!(oracle.end() > LogIndex::ZERO);
    }

    #[test]
    fn one_lie_in_an_honest_run_is_refused_where_it_is_told(seed: u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        let events = run(&mut rng, 400);
        let lies = events.iter().enumerate().filter_map(|(place, event)| event.lie(&mut rng).map(|lie| (place, lie)));
        for (place, lie) in lies.collect::<Vec<_>>() {
            let mut oracle = Oracle::default();
            for event in &events[..place] {
                event.clone().tell(&mut oracle).unwrap();
            }
            let verdict = lie.clone().tell(&mut oracle);
            prop_assert!(verdict.is_err(), "{:?} for {:?}", lie, events[place]);
        }
    }
}
