//! Callers as the node holds them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use raft_consensus::Time;
use serde::{Deserialize, Serialize};

use super::support::*;
use crate::callers::Failure;
use crate::clock::Clock;
use crate::handle::queue::{Consistency, Queue};
use crate::handle::{QueueLimits, ReadError, WriteError};
use crate::state_machine::Reads;
use crate::{ApplyContext, StateMachine};

#[test]
fn dropping_it_tells_everybody_that_the_write_may_have_been_applied() {
    let (queue, node) = words();
    let callers = queue.words(200);
    drop(node.writes());
    for caller in callers {
        let error = error(caller);
        assert!(matches!(error, WriteError::NodeStopped { maybe_applied: true, .. }), "{error}");
    }
}

#[test]
fn failing_it_tells_everybody_why() {
    let (queue, node) = words();
    let callers = queue.words(3);
    node.writes().waiting.fail(Failure::NoLeader { leader: Some(2.into()) });
    for caller in callers {
        let error = error(caller);
        assert_eq!(error.leader(), Some(2.into()));
        assert!(!error.maybe_applied());
    }
}

#[test]
fn the_first_outcome_wins() {
    let (queue, node) = words();
    let callers = queue.words(3);
    let mut waiting = node.writes().waiting;
    let mut answers = waiting.answers();
    answers.answer::<W>(0);
    waiting.expire(far(), timed_out());
    answers.answer::<W>(1);
    answers.answer::<W>(2);
    waiting.fail(Failure::Unknown);
    let outcomes: Vec<_> = callers.into_iter().map(|caller| now(caller).ok()).collect();
    assert_eq!(outcomes, [Some(0), None, None]);
}

#[test]
fn splitting_keeps_the_order_across_pages_and_drains() {
    let (queue, node) = words();
    let mut callers = queue.words(100);
    let mut waiting = node.writes().waiting;
    callers.extend(queue.words(100));
    waiting.append(node.writes().waiting);
    assert_eq!(waiting.len(), 200);
    let mut from = 0;
    for n in [1, 62, 1, 1, 0, 35, 60, 40] {
        let part = waiting.split_to(n);
        assert_eq!(part.len(), n);
        answer(part, from);
        from += n as u64;
    }
    assert!(waiting.is_empty());
    for (n, caller) in (0..).zip(callers) {
        assert_eq!(now(caller).expect("answered"), n);
    }
}

#[test]
fn expiring_fails_those_whose_time_has_come_and_keeps_all_places() {
    let (queue, node) = words();
    let timeouts = [0, 7200, 0, 7200].map(Duration::from_secs);
    let callers = timeouts.map(|timeout| queue.write(&String::new(), timeout));
    let mut waiting = node.writes().waiting;
    assert!(waiting.earliest_deadline() < far());
    assert!(waiting.latest_deadline() > far());
    waiting.expire(far(), timed_out());
    assert_eq!(waiting.len(), 4);
    assert!(waiting.earliest_deadline() > far());
    answer(waiting, 10);
    let outcomes = callers.map(|caller| now(caller).map_err(|error| error.maybe_applied()));
    assert!(matches!(outcomes, [Err(true), Ok(11), Err(true), Ok(13)]), "{outcomes:?}");
}

#[test]
fn a_deadline_never_comes_too_late_and_passes_when_all_have_been_answered() {
    let (queue, node) = words();
    let _callers = queue.words(2);
    let mut waiting = node.writes().waiting;
    let earliest = waiting.earliest_deadline();
    let mut answers = waiting.answers();
    answers.answer::<W>(0);
    answers.answer::<W>(1);
    assert_eq!(waiting.earliest_deadline(), earliest, "it may be stale");
    waiting.expire(far(), timed_out());
    assert_eq!(waiting.earliest_deadline(), Time::NEVER);
}

#[test]
fn the_room_comes_back_as_soon_as_all_are_answered_and_only_once() {
    let (queue, node) = limited(2, 1 << 20);
    let _callers = queue.words(2);
    let mut waiting = node.writes().waiting;
    let mut answers = waiting.answers();
    answers.answer::<W>(0);
    assert!(!waiting.is_answered());
    assert!(matches!(error(queue.word("still full")), WriteError::Overloaded {}));
    answers.answer::<W>(1);
    assert!(waiting.is_answered());
    let _more = queue.words(2);
    waiting.complete();
    drop(answers);
    assert!(matches!(error(queue.word("full again")), WriteError::Overloaded {}));
}

#[test]
fn a_node_that_lets_go_first_gives_the_room_back_too() {
    let (queue, node) = limited(2, 1 << 20);
    let _callers = queue.words(2);
    let mut waiting = node.writes().waiting;
    let answers = waiting.answers();
    drop(waiting);
    let _more = queue.words(2);
    drop(answers);
    assert!(matches!(error(queue.word("full again")), WriteError::Overloaded {}));
}

#[test]
fn answers_that_are_dropped_leave_nobody_waiting() {
    let (queue, node) = words();
    let callers = queue.words(3);
    let mut waiting = node.writes().waiting;
    let mut answers = waiting.answers();
    answers.answer::<W>(0);
    drop(answers);
    assert!(waiting.is_answered());
    let outcomes: Vec<_> = callers.into_iter().map(|caller| now(caller).ok()).collect();
    assert_eq!(outcomes, [Some(0), None, None]);
}

#[test]
fn a_caller_is_woken_when_its_outcome_is_there_and_by_its_latest_waker() {
    let (queue, node) = words();
    let mut caller = queue.word("a");
    let (old, new) = (Arc::new(Wakes::default()), Arc::new(Wakes::default()));
    for wakes in [&old, &new] {
        let waker = Waker::from(Arc::clone(wakes));
        assert!(std::pin::Pin::new(&mut caller).poll(&mut Context::from_waker(&waker)).is_pending());
    }
    answer(node.writes().waiting, 0);
    assert_eq!((old.count(), new.count()), (0, 1));
    assert_eq!(now(caller).expect("answered"), 0);
}

#[test]
fn a_query_is_answered_from_the_slot_it_waits_in() {
    let (queue, node) = words();
    let reader = queue.read(42, Consistency::Linearizable, SECOND);
    let mut waiting = node.reads();
    let mut answers = waiting.answers();
    assert_eq!(answers.input::<R>(), Some(42));
    answers.answer::<R>(Some("answer".to_owned()));
    assert_eq!(now(reader).expect("answered").as_deref(), Some("answer"));
}

#[test]
fn a_query_that_nobody_waits_for_is_not_asked() {
    let (queue, node) = words();
    drop(queue.read(1, Consistency::Linearizable, SECOND));
    let expired = queue.read(2, Consistency::Linearizable, Duration::ZERO);
    let asked = queue.read(3, Consistency::Linearizable, Duration::from_secs(7200));
    let mut waiting = node.reads();
    waiting.expire(far(), timed_out());
    let mut answers = waiting.answers();
    let mut inputs = Vec::new();
    while !answers.is_empty() {
        match answers.input::<R>() {
            Some(input) => {
                inputs.push(input);
                answers.answer::<R>(None);
            }
            None => answers.skip(),
        }
    }
    assert_eq!(inputs, [3]);
    assert!(matches!(now(expired), Err(ReadError::TimedOut {})));
    assert_eq!(now(asked).expect("answered"), None);
}

/// Counts how many of its responses are alive.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Counted;

static ALIVE: AtomicUsize = AtomicUsize::new(0);

#[derive(Serialize, Deserialize)]
struct Tracked;

impl Tracked {
    fn new() -> Self {
        ALIVE.fetch_add(1, Ordering::SeqCst);
        Self
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, Ordering::SeqCst);
    }
}

impl StateMachine for Counted {
    type Command = ();
    type Response = ();
    type Query = Tracked;
    type Answer = Tracked;
    fn apply(&mut self, _: &mut ApplyContext<'_>, (): ()) {}
    fn query(&self, query: Tracked) -> Tracked {
        query
    }
}

#[test]
fn queries_and_answers_that_nobody_fetches_are_dropped_at_once() {
    let (queue, node) = Queue::<Counted>::new(QueueLimits::default(), Clock::start());
    let mut kept = queue.read(Tracked::new(), Consistency::Local, SECOND); // keeps the page alive
    let fetched_never = queue.read(Tracked::new(), Consistency::Local, SECOND);
    let failed = queue.read(Tracked::new(), Consistency::Local, SECOND);
    let mut waiting = node.batch().and_then(|batch| batch.local_reads).expect("reads");
    let mut answers = waiting.answers();
    drop(answers.input::<Reads<Counted>>());
    answers.answer::<Reads<Counted>>(Tracked::new());
    drop(answers.input::<Reads<Counted>>());
    answers.answer::<Reads<Counted>>(Tracked::new());
    assert_eq!(ALIVE.load(Ordering::SeqCst), 3, "two answers and a query");
    drop(fetched_never);
    assert_eq!(ALIVE.load(Ordering::SeqCst), 2);
    waiting.fail(Failure::Unknown);
    assert_eq!(ALIVE.load(Ordering::SeqCst), 1);
    drop(failed);
    assert!(look(&mut kept).expect("ready").is_ok());
    assert_eq!(ALIVE.load(Ordering::SeqCst), 0);
}
