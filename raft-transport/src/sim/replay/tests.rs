use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use raft_actor::consensus::{LogPosition, NodeId, Term};
use serde::Deserialize;

use super::*;
use crate::sim::oracle::{Fate, Kind};
use crate::sim::{Chance, FaultKind, Faults, SimCluster};

/// Adds up what it is given; responds with the sum so far.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Sum(u64);

impl StateMachine for Sum {
    type Command = u64;
    type Response = u64;
    type Query = u64;
    type Answer = u64;

    fn apply(&mut self, ctx: &mut ApplyContext<'_>, add: u64) -> u64 {
        self.0 += add * ctx.index().get();
        self.0
    }

    fn query(&self, times: u64) -> u64 {
        self.0 * times
    }
}

struct Story {
    oracle: Oracle,
    replay: Replay<Sum>,
}

impl Story {
    /// Requests 1, 2 and 3 add 5, 6 and 7 at 10, 20 and 30; what comes of it is told as it is.
    fn new() -> Self {
        let mut story = Self { oracle: Oracle::default(), replay: Replay::new(Sum::default) };
        for (request, add, sum) in [(1, 5, 50), (2, 6, 170), (3, 7, 380)] {
            story.applies(request, add, sum).unwrap();
        }
        story
    }

    fn calls(&mut self, request: u64, what: Request<u64, u64>) {
        let kind = if matches!(what, Request::Write(_)) { Kind::Write } else { Kind::Read };
        self.oracle.called(request, request, kind);
        self.replay.called(request, &what);
    }

    fn applies(&mut self, request: u64, add: u64, response: u64) -> Verdict {
        self.calls(request, Request::Write(add));
        let position = LogPosition::new(Term::new(1), LogIndex::new(10 * request));
        let end = self.oracle.end();
        self.oracle.applied(NodeId::from(1), end, position, request, number_of(&response)).unwrap();
        self.replay.follow(&self.oracle, &Words::default())
    }

    fn reads(&mut self, request: u64, times: u64, index: u64, answer: u64) -> Verdict {
        self.calls(request, Request::ReadLocal(times));
        self.replay.answered(request, LogIndex::new(index), &answer)
    }
}

#[test]
fn responses_and_answers_of_an_honest_machine_are_accepted() {
    let mut story = Story::new();
    story.reads(10, 2, 30, 760).unwrap();
    story.reads(11, 3, 10, 150).unwrap();
    story.reads(12, 1, 0, 0).unwrap();
    story.replay.finish(&story.oracle, &BTreeMap::new()).unwrap();
}

#[test]
fn a_response_that_the_log_does_not_explain_is_refused() {
    let violation = Story::new().applies(4, 1, 419).unwrap_err();
    assert_eq!(violation.invariant, "response_of_a_replay", "{violation}");
    assert!(violation.what.contains("request 4 at 40@1"), "{violation}");
}

#[test]
fn an_answer_from_another_state_than_it_claims_is_refused() {
    let mut story = Story::new();
    assert_eq!(story.reads(10, 1, 30, 170).unwrap_err().invariant, "answer_of_a_replay");
}

#[test]
fn an_answer_from_the_past_is_compared_in_the_end() {
    for (answer, holds) in [(170, true), (380, false)] {
        let mut story = Story::new();
        story.reads(10, 1, 20, answer).unwrap();
        assert_eq!(story.replay.finish(&story.oracle, &BTreeMap::new()).is_ok(), holds);
    }
}

#[test]
fn what_was_never_answered_can_still_be_applied_if_it_may_happen() {
    let mut story = Story::new();
    story.calls(4, Request::Write(1));
    story.oracle.returned(4, 40, Fate::Unknown).unwrap();
    story.replay.unanswered(4, true);
    story.calls(5, Request::Read(1));
    story.replay.unanswered(5, false);
    let position = LogPosition::new(Term::new(2), LogIndex::new(50));
    story.oracle.applied(NodeId::from(2), LogIndex::new(30), position, 4, number_of(&430_u64)).unwrap();
    story.replay.follow(&story.oracle, &Words::default()).unwrap();
    assert_eq!(story.replay.asked.len(), 4, "the commands of the log, and nothing else");
}

#[test]
fn a_command_whose_client_was_told_that_it_failed_ends_the_replay_without_a_panic() {
    let mut story = Story::new();
    story.calls(4, Request::Write(1));
    let position = LogPosition::new(Term::new(1), LogIndex::new(40));
    story.oracle.applied(NodeId::from(1), LogIndex::new(30), position, 4, number_of(&420_u64)).unwrap();
    assert_eq!(story.oracle.returned(4, 40, Fate::Failed).unwrap_err().invariant, "failed_is_not_applied");
    story.replay.unanswered(4, false);
    story.replay.follow(&story.oracle, &Words::default()).unwrap();
}

/// As one that keeps its state on a disk.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Durable;

impl StateMachine for Durable {
    type Command = ();
    type Response = ();
    type Query = ();
    type Answer = ();

    fn apply(&mut self, _: &mut ApplyContext<'_>, (): ()) {}

    fn query(&self, (): ()) {}

    fn durable_through(&self) -> Option<LogIndex> {
        Some(LogIndex::new(7))
    }
}

#[test]
fn a_machine_that_comes_with_a_state_is_not_replayed() {
    let mut replay = Replay::new(|| Durable);
    let mut oracle = Oracle::default();
    oracle.called(1, 1, Kind::Write);
    replay.called(1, &Request::Write(()));
    let position = LogPosition::new(Term::new(1), LogIndex::new(8));
    oracle.applied(NodeId::from(1), LogIndex::ZERO, position, 1, 12345).unwrap();
    replay.follow(&oracle, &Words::default()).unwrap();
}

/// Answers every tenth question of a process wrong.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Moody {
    sum: u64,
    #[serde(skip)]
    questions: Cell<u64>,
}

impl StateMachine for Moody {
    type Command = u64;
    type Response = ();
    type Query = ();
    type Answer = u64;

    fn apply(&mut self, _: &mut ApplyContext<'_>, add: u64) {
        self.sum += add;
    }

    fn query(&self, (): ()) -> u64 {
        self.questions.set(self.questions.get() + 1);
        if self.questions.get().is_multiple_of(10) { 0 } else { self.sum }
    }
}

#[test]
fn a_machine_whose_answers_depend_on_more_than_its_state_is_found_in_a_simulation() {
    // A process that starts anew counts anew; the machine of the replay never does.
    let faults = Faults::of([FaultKind::Crash, FaultKind::RestartStorm]);
    let cluster = SimCluster::<Moody>::of(3).faults(faults).lasting(Duration::from_secs(20));
    let ask = |_: usize, chance: &mut Chance| match chance.between(0..=1) {
        0 => Request::Read(()),
        add => Request::Write(add),
    };
    let failure = cluster.run(1, ask).unwrap_err();
    assert_eq!(failure.violation.invariant, "answer_of_a_replay", "{failure}");
}

/// Each process has a state of its own and answers as all others do.
#[derive(Clone, Serialize, Deserialize)]
struct Sly {
    sum: u64,
    whose: u64,
}

impl Default for Sly {
    fn default() -> Self {
        thread_local!(static MADE: Cell<u64> = const { Cell::new(0) });
        Self { sum: 0, whose: MADE.replace(MADE.get() + 1) }
    }
}

impl StateMachine for Sly {
    type Command = u64;
    type Response = ();
    type Query = ();
    type Answer = u64;

    fn apply(&mut self, _: &mut ApplyContext<'_>, add: u64) {
        self.sum += add;
    }

    fn query(&self, (): ()) -> u64 {
        self.sum
    }
}

#[test]
fn states_that_differ_and_never_show_it_are_found_in_the_shortest_run() {
    let cluster = SimCluster::<Sly>::of(3).faults(Faults::none()).lasting(Duration::from_secs(1));
    let failure = cluster.run(1, |_: usize, _: &mut Chance| Request::Write(1)).unwrap_err();
    assert_eq!(failure.violation.invariant, "equal_states", "{failure}");
}
