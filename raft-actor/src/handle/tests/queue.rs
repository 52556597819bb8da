//! The client queue.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use raft_consensus::Time;
use serde::{Deserialize, Serialize};

use super::support::*;
use crate::callers::Failure;
use crate::callers::decode;
use crate::clock::Clock;
use crate::envelope::{Forward, ForwardError, ForwardKind};
use crate::handle::queue::{Consistency, Queue};
use crate::handle::{QueueLimits, ReadError, WriteError};
use crate::state_machine::command::plain;
use crate::{ApplyContext, StateMachine};

#[test]
fn a_write_is_in_the_queue_before_its_future_is_polled() {
    let (queue, node) = words();
    drop(queue.word("never polled"));
    let batch = node.writes();
    assert_eq!(decode::<String>(&batch.commands[0][1..]).expect("a word"), "never polled");
    assert_eq!(batch.waiting.len(), 1);
}

#[test]
fn every_caller_gets_its_own_answer() {
    let (queue, node) = words();
    let callers = queue.words(1000);
    answer(node.writes().waiting, 0);
    for (n, caller) in (0..).zip(callers) {
        assert_eq!(now(caller).expect("answered"), n);
    }
}

#[test]
fn small_and_large_commands_come_out_as_they_went_in_and_in_order() {
    let (queue, node) = words();
    let sizes = [0, 1, 4090, 4096, 5, 100_000, 7, 4097, 3, 0];
    let mut seen = Vec::new();
    for round in 0..3 {
        let texts: Vec<_> = sizes.iter().map(|size| "x".repeat(size + round)).collect();
        let callers: Vec<_> = texts.iter().map(|text| queue.write(text, SECOND)).collect();
        let batch = node.writes();
        let decoded: Vec<String> = batch.commands.iter().map(|bytes| decode(&bytes[1..]).expect("a word")).collect();
        assert_eq!(decoded, texts);
        // Kept, so that the shared buffer cannot be reclaimed: later commands must not overwrite earlier ones.
        seen.push((batch.commands, texts));
        drop(callers);
    }
    for (commands, texts) in seen {
        let decoded: Vec<String> = commands.iter().map(|bytes| decode(&bytes[1..]).expect("a word")).collect();
        assert_eq!(decoded, texts);
    }
}

#[test]
fn only_the_push_that_ends_the_emptiness_wakes_the_node() {
    let (queue, node) = words();
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let mut cx = Context::from_waker(&waker);
    assert!(node.poll_batch(&mut cx).is_pending());
    let _callers = (queue.word("a"), queue.word("b"), queue.read(0, Consistency::Local, SECOND));
    assert_eq!(wakes.count(), 1);
    assert!(node.poll_batch(&mut cx).is_ready());
    let _more = queue.word("c");
    assert_eq!(wakes.count(), 1, "the node did not find it empty since");
    assert!(node.poll_batch(&mut cx).is_ready());
    assert!(node.poll_batch(&mut cx).is_pending());
    let _more = queue.word("d");
    assert_eq!(wakes.count(), 2);
}

#[test]
fn whoever_has_taken_a_batch_learns_whether_there_is_more_or_is_woken_by_the_next() {
    let (queue, node) = words();
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let mut cx = Context::from_waker(&waker);
    let _caller = queue.word("a");
    assert!(!node.is_watched());
    assert!(node.poll_batch(&mut cx).is_ready());
    let _caller = queue.word("b");
    assert!(node.has_more(&mut cx) && !node.is_watched());
    assert!(node.poll_batch(&mut cx).is_ready());
    assert!(!node.has_more(&mut cx) && node.is_watched());
    let _caller = queue.word("c");
    assert!(!node.is_watched());
    assert_eq!(wakes.count(), 1);
    assert!(node.poll_batch(&mut cx).is_ready(), "what was looked at is not lost");
}

#[test]
fn writes_reads_and_local_reads_come_in_lines_of_their_own() {
    let (queue, node) = words();
    let (_a, _b) = (queue.word("a"), queue.read(1, Consistency::Linearizable, SECOND));
    let (_c, _d) = (queue.read(2, Consistency::Local, SECOND), queue.read(3, Consistency::Local, SECOND));
    let batch = node.batch().expect("a batch");
    assert_eq!(batch.writes.expect("writes").waiting.len(), 1);
    assert_eq!(batch.reads.expect("reads").len(), 1);
    assert_eq!(batch.local_reads.expect("local reads").len(), 2);
    assert!(node.batch().is_none());
}

#[test]
fn a_full_queue_refuses_at_once_and_has_room_again_when_the_node_is_done() {
    let (queue, node) = limited(3, 1 << 20);
    let callers = queue.words(3);
    assert!(matches!(error(queue.word("too many")), WriteError::Overloaded {}));
    assert!(matches!(now(queue.read(0, Consistency::Local, SECOND)), Err(ReadError::Overloaded {})));
    drop(callers);
    assert!(matches!(error(queue.word("callers gave up, the node did not")), WriteError::Overloaded {}));
    let batch = node.writes();
    assert!(matches!(error(queue.word("the node has them")), WriteError::Overloaded {}));
    let mut waiting = batch.waiting;
    waiting.split_to(1).complete();
    let mut kept = queue.word("room for one");
    assert!(look(&mut kept).is_none());
    assert!(matches!(error(queue.word("and no more")), WriteError::Overloaded {}));
}

#[test]
fn room_is_also_counted_in_bytes_and_given_back_for_exactly_those_who_left() {
    let word = "x".repeat(97); // and three bytes in front
    let (queue, node) = limited(1000, 1000);
    let _callers: Vec<_> = (0..10).map(|_| queue.word(&word)).collect();
    assert!(matches!(error(queue.word("")), WriteError::Overloaded {}));
    let mut waiting = node.writes().waiting;
    let first = waiting.split_to(3);
    first.complete();
    let more: Vec<_> = (0..4).map(|_| queue.word(&word)).collect();
    let refused = more.into_iter().map(|mut caller| look(&mut caller).is_some()).collect::<Vec<_>>();
    assert_eq!(refused, [false, false, false, true]);
}

#[test]
fn a_command_larger_than_the_queue_is_told_its_size() {
    let (queue, _node) = limited(10, 1000);
    let error = error(queue.word(&"x".repeat(2000)));
    assert!(matches!(error, WriteError::TooLarge { bytes: 2004, bytes_max: 1000 }), "{error}");
    assert!(!error.maybe_applied());
}

/// The transport could not carry it: it would be sent again and again, and nothing behind it.
#[test]
fn a_command_too_large_to_be_replicated_is_refused_at_the_edge_and_when_it_was_forwarded() {
    let (queue, node) = words();
    let word = "x".repeat(8 << 20);
    let refused = error(queue.word(&word));
    assert!(matches!(refused, WriteError::TooLarge { bytes_max, .. } if bytes_max == 8 << 20), "{refused}");
    let (outlet, replies) = outlet();
    let requests = vec![plain(&word)];
    let forward = Forward { id: 1, timeout_ms: 1000, kind: ForwardKind::Write, term: None, requests };
    assert!(node.accept_forward(forward, Time::ZERO, outlet).writes.is_none());
    assert_eq!(replies.lock().expect("no panic")[0].outcomes, [Err(ForwardError::BadRequest)]);
}

#[test]
fn closing_fails_those_in_line_and_refuses_all_later_ones() {
    let (queue, node) = words();
    let (caller, reader) = (queue.word("in line"), queue.read(0, Consistency::Linearizable, SECOND));
    node.close(Failure::ShuttingDown);
    assert!(matches!(error(caller), WriteError::ShuttingDown {}));
    assert!(matches!(now(reader), Err(ReadError::ShuttingDown {})));
    assert!(matches!(error(queue.word("late")), WriteError::ShuttingDown {}));
    assert!(matches!(node.poll_batch(&mut Context::from_waker(Waker::noop())), Poll::Ready(None)));
}

#[test]
fn closing_wakes_the_node_so_that_its_stream_ends() {
    let (_queue, node) = words();
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    assert!(node.poll_batch(&mut Context::from_waker(&waker)).is_pending());
    node.close(Failure::ShuttingDown);
    assert_eq!(wakes.count(), 1);
}

#[test]
fn what_the_node_already_has_survives_the_closing() {
    let (queue, node) = words();
    let caller = queue.word("taken");
    let batch = node.writes();
    node.close(Failure::ShuttingDown);
    answer(batch.waiting, 7);
    assert_eq!(now(caller).expect("answered"), 7);
}

#[test]
fn a_node_that_is_gone_leaves_nobody_in_line() {
    let (queue, node) = words();
    let caller = queue.word("in line");
    drop(node);
    for error in [error(caller), error(queue.word("late"))] {
        assert!(matches!(error, WriteError::NodeStopped { maybe_applied: false, .. }), "{error}");
    }
}

#[test]
fn a_deadline_in_line_takes_the_command_out_and_the_others_keep_their_order() {
    let (queue, node) = limited(5, 1 << 20);
    let timeouts = [0, 7200, 0, 0, 7200].map(Duration::from_secs);
    let words = ["a", "b", "c", "d", "e"];
    let callers = std::array::from_fn::<_, 5, _>(|n| queue.write(&words[n].to_owned(), timeouts[n]));
    assert!(node.earliest_deadline() < far());
    node.expire(far());
    assert!(node.earliest_deadline() > far());
    let last = [queue.word("f"), queue.word("g"), queue.word("h")];

    let (first, second) = (node.writes(), node.writes());
    let commands = first.commands.iter().chain(&second.commands);
    let commands: Vec<String> = commands.map(|bytes| decode(&bytes[1..]).expect("a word")).collect();
    assert_eq!(commands, ["b", "e", "f", "g", "h"], "who was told `not applied` must not be applied");
    answer(first.waiting, 0);
    answer(second.waiting, 2);
    let outcomes = callers.map(|caller| now(caller).map_err(|error| error.maybe_applied()));
    assert!(matches!(outcomes, [Err(false), Ok(0), Err(false), Err(false), Ok(1)]), "{outcomes:?}");
    assert_eq!(last.map(|caller| now(caller).expect("answered")), [2, 3, 4]);
}

#[test]
fn reads_whose_deadline_passed_in_line_are_gone() {
    let (queue, node) = words();
    let expired = queue.read(0, Consistency::Linearizable, Duration::ZERO);
    let local = queue.read(1, Consistency::Local, Duration::ZERO);
    node.expire(far());
    assert!(matches!(now(expired), Err(ReadError::TimedOut {})));
    assert!(matches!(now(local), Err(ReadError::TimedOut {})));
    assert!(node.batch().is_none());
}

#[test]
fn one_poll_hands_out_a_limited_batch_and_the_next_one_the_rest() {
    let (queue, node) = words();
    let callers = queue.words(20_000);
    let first = node.writes();
    assert_eq!((first.commands.len(), first.waiting.len()), (16_384, 16_384));
    let second = node.writes();
    assert_eq!((second.commands.len(), second.waiting.len()), (3616, 3616));
    answer(first.waiting, 0);
    answer(second.waiting, 16_384);
    for (n, caller) in (0..).zip(callers) {
        assert_eq!(now(caller).expect("answered"), n);
    }
}

#[test]
fn a_batch_is_limited_in_bytes_but_never_empty() {
    let limits = QueueLimits { command_bytes_max: 16 << 20, ..QueueLimits::default() };
    let (queue, node) = Queue::<Words>::new(limits, Clock::start());
    let large = "x".repeat(5 << 20);
    let larger = "x".repeat(9 << 20);
    let _callers: Vec<_> = [&large, &large, &larger].map(|word| queue.word(word)).into();
    for _ in 0..3 {
        assert_eq!(node.writes().commands.len(), 1);
    }
    assert!(node.batch().is_none());
}

/// `skip_serializing_if` without `default`: an easy mistake, and a command that no member could decode.
#[derive(Clone, Default, Serialize, Deserialize)]
struct OneWay {
    #[serde(skip_serializing_if = "is_zero")]
    value: u64,
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}

impl StateMachine for OneWay {
    type Command = Self;
    type Response = ();
    type Query = ();
    type Answer = ();
    fn apply(&mut self, _: &mut ApplyContext<'_>, _: Self) {}
    fn query(&self, (): ()) {}
}

#[test]
fn a_command_that_could_not_be_decoded_again_never_reaches_the_log() {
    let (queue, node) = Queue::<OneWay>::new(QueueLimits::default(), Clock::start());
    let refused = now(queue.write(&OneWay { value: 0 }, SECOND));
    assert!(matches!(refused, Err(WriteError::BadRequest {})));
    let _fine = queue.write(&OneWay { value: 1 }, SECOND);
    assert_eq!(node.writes().commands, [Bytes::from_static(b"\0\x81\xa5value\x01")]);
}

/// A command whose `Serialize` writes to the queue it is being written to.
struct Recursive(Arc<Queue<Words>>);

impl Serialize for Recursive {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        drop(self.0.word("inner"));
        serializer.serialize_unit()
    }
}

#[test]
fn encoding_runs_outside_the_lock() {
    let (queue, node) = words();
    let mut out = Vec::new();
    crate::callers::encode_into(&Recursive(Arc::clone(&queue)), &mut out).expect("encodes");
    assert_eq!(node.writes().commands.len(), 1);
}

#[test]
fn whoever_waits_for_ever_has_a_deadline_all_the_same() {
    let (queue, node) = words();
    let mut caller = queue.write(&String::new(), Duration::MAX);
    let waiting = node.writes().waiting;
    assert!(waiting.earliest_deadline() < raft_consensus::Time::NEVER, "never is for those nobody waits for");
    assert!(look(&mut caller).is_none());
}
