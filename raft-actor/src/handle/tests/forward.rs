//! Callers and their answers at different nodes.

use bytes::Bytes;
use raft_consensus::Time;

use super::support::*;
use crate::callers::encode_to_bytes;
use crate::callers::{Failure, Waiting};
use crate::envelope::{Forward, ForwardError, ForwardKind, ForwardReply};
use crate::handle::queue::Consistency;
use crate::handle::{ReadError, WriteError};
use crate::state_machine::command::plain;

const NOT_LEADER: ForwardError = ForwardError::NotLeader { leader: None };

fn encoded<T: serde::Serialize>(value: T) -> Bytes {
    encode_to_bytes(&value).expect("encodes")
}

fn forward(kind: ForwardKind, requests: Vec<Bytes>) -> Forward {
    Forward { id: 9, timeout_ms: 1000, kind, term: None, requests }
}

#[test]
fn the_origin_decodes_each_answer_into_its_callers_slot() {
    let (queue, node) = words();
    let callers = queue.words(100);
    let mut waiting = node.writes().waiting;
    let forwarded = waiting.answer_encoded(60, (60..100_u64).map(|n| Ok(encoded(n))).collect());
    assert!(forwarded.retry.is_empty());
    assert!(!waiting.is_empty());
    waiting.answer_encoded(0, (0..60_u64).map(|n| Ok(encoded(n))).collect());
    assert!(waiting.is_empty(), "all are answered");
    for (n, caller) in (0..).zip(callers) {
        assert_eq!(now(caller).expect("answered"), n);
    }
}

#[test]
fn what_was_certainly_not_appended_comes_back_to_be_tried_again() {
    let (queue, node) = words();
    let mut callers = queue.words(7);
    let mut waiting = node.writes().waiting;
    let outcomes = vec![
        Err(ForwardError::NotLeader { leader: Some(3.into()) }),
        Err(ForwardError::ShuttingDown),
        Ok(encoded(2_u64)),
        Err(ForwardError::Unknown),
        Err(ForwardError::Overloaded),
        Err(NOT_LEADER),
    ];
    let forwarded = waiting.answer_encoded(1, outcomes);
    assert_eq!(forwarded.leader, Some(3.into()));
    let runs: Vec<_> = forwarded.retry.iter().map(|(first, waiting)| (*first, waiting.len())).collect();
    assert_eq!(runs, [(1, 2), (6, 1)]);
    for (first, waiting) in forwarded.retry {
        answer(waiting, first as u64);
    }
    assert!(matches!(error(callers.remove(5)), WriteError::Overloaded {}));
    let unknown = error(callers.remove(4));
    assert!(unknown.maybe_applied(), "{unknown}");
    let outcomes: Vec<_> =
        callers.iter_mut().map(|caller| look(caller).map(|outcome| outcome.expect("answered"))).collect();
    assert_eq!(outcomes, [None, Some(1), Some(2), Some(2), Some(6)]);
    assert_eq!(waiting.len(), 7, "the others keep their numbers");
    waiting.answer_encoded(0, vec![Ok(encoded(0_u64))]);
    assert_eq!(now(callers.remove(0)).expect("answered"), 0);
}

#[test]
fn repeated_and_impossible_replies_do_nothing() {
    let (queue, node) = words();
    let caller = queue.word("a");
    let mut waiting = node.writes().waiting;
    waiting.answer_encoded(1, vec![Ok(encoded(5_u64))]);
    waiting.answer_encoded(usize::MAX, vec![Ok(encoded(5_u64)); 3]);
    waiting.answer_encoded(0, Vec::new());
    let forwarded = waiting.answer_encoded(0, vec![Ok(encoded(1_u64)), Ok(encoded(2_u64)), Err(NOT_LEADER)]);
    assert!(forwarded.retry.is_empty());
    let again = waiting.answer_encoded(0, vec![Err(NOT_LEADER)]);
    assert!(again.retry.is_empty(), "nobody is left to retry for");
    assert_eq!(now(caller).expect("answered"), 1);
}

#[test]
fn an_answer_that_cannot_be_decoded_is_an_unknown_outcome() {
    let (queue, node) = words();
    let caller = queue.word("a");
    node.writes().waiting.answer_encoded(0, vec![Ok(Bytes::from_static(b"\xc1nonsense"))]);
    assert!(error(caller).maybe_applied());
}

#[test]
fn the_room_comes_back_with_the_answers_of_another_node() {
    let (queue, node) = limited(2, 1 << 20);
    let _callers = queue.words(2);
    let mut waiting = node.writes().waiting;
    let forwarded = waiting.answer_encoded(0, vec![Ok(encoded(1_u64)), Err(NOT_LEADER)]);
    let _third = queue.word("one place is free");
    assert!(matches!(error(queue.word("only one")), WriteError::Overloaded {}));
    drop(forwarded);
    let _fourth = look(&mut queue.word("two places were free")).is_none();
    assert!(waiting.is_empty());
}

#[test]
fn queries_are_encoded_for_the_road_and_can_still_be_answered_here() {
    let (queue, node) = words();
    drop(queue.read(6, Consistency::Linearizable, SECOND));
    let reader = queue.read(7, Consistency::Linearizable, SECOND);
    let mut waiting = node.reads();
    assert_eq!(waiting.encoded_requests(), [Bytes::new(), encoded(7_u64)]);
    assert_eq!(waiting.encoded_requests(), [Bytes::new(), encoded(7_u64)], "again, for a retry");
    let forwarded = waiting.answer_encoded(0, vec![Err(ForwardError::BadRequest), Err(NOT_LEADER)]);
    let (_, mut waiting) = forwarded.retry.into_iter().next().expect("one to retry");
    let mut answers = waiting.answers();
    assert_eq!(answers.input::<R>(), Some(7));
    answers.answer::<R>(None);
    assert_eq!(now(reader).expect("answered"), None);
}

#[test]
fn the_leader_answers_remote_callers_by_number_whoever_settles_them() {
    let (outlet, replies) = outlet();
    let mut waiting = Waiting::remote(9, 0, far(), vec![Bytes::new(); 6], outlet);
    let mut first = waiting.split_to(2);
    let mut answers = first.answers();
    answers.answer::<W>(10);
    answers.answer::<W>(11);
    first.complete();
    waiting.split_to(1).fail(Failure::NoLeader { leader: Some(2.into()) });
    let mut expiring = waiting.split_to(1);
    expiring.expire(far(), Failure::TimedOut { maybe_applied: true });
    expiring.fail(Failure::Overloaded);
    drop(waiting);
    let replies = replies.lock().expect("no panic").clone();
    let reply = |first, outcomes| ForwardReply { id: 9, first, outcomes };
    assert_eq!(
        replies,
        [
            reply(0, vec![Ok(encoded(10_u64)), Ok(encoded(11_u64))]),
            reply(2, vec![Err(ForwardError::NotLeader { leader: Some(2.into()) })]),
            reply(3, vec![Err(ForwardError::Unknown)]),
            reply(4, vec![Err(ForwardError::Unknown), Err(ForwardError::Unknown)]),
        ]
    );
}

/// A hundred large answers in one message exceeded what a transport takes: none of them ever arrived.
#[test]
fn large_answers_for_another_node_do_not_travel_in_one_message() {
    let (outlet, replies) = outlet();
    let mut waiting = Waiting::remote(9, 0, far(), vec![Bytes::new(); 10], outlet);
    let mut answers = waiting.answers();
    let large = "x".repeat(700 << 10);
    (0..10).for_each(|_| answers.answer::<R>(Some(large.clone())));
    let replies = replies.lock().expect("no panic");
    let places: Vec<_> = replies.iter().map(|reply| (reply.first, reply.outcomes.len())).collect();
    assert_eq!(places, [(0, 2), (2, 2), (4, 2), (6, 2), (8, 2)]);
}

#[test]
fn answers_that_come_after_the_deadline_are_not_sent_twice() {
    let (outlet, replies) = outlet();
    let mut waiting = Waiting::remote(9, 0, Time::from_millis(1), vec![Bytes::new(); 2], outlet);
    let mut answers = waiting.answers();
    waiting.expire(far(), timed_out());
    answers.answer::<W>(10);
    answers.answer::<W>(11);
    assert_eq!(replies.lock().expect("no panic").len(), 1);
}

#[test]
fn a_forwarded_query_is_decoded_at_the_leader_and_nonsense_is_refused() {
    let (_queue, node) = words();
    let (outlet, replies) = outlet();
    let requests = vec![encoded(5_u64), Bytes::from_static(b"\xc1"), encoded(6_u64)];
    let mut waiting =
        node.accept_forward(forward(ForwardKind::Read, requests), Time::ZERO, outlet).reads.expect("reads");
    let mut answers = waiting.answers();
    assert_eq!(answers.input::<R>(), Some(5));
    answers.answer::<R>(Some("five".to_owned()));
    assert_eq!(answers.input::<R>(), None);
    answers.skip();
    assert_eq!(answers.input::<R>(), Some(6));
    answers.answer::<R>(None);
    assert!(waiting.is_answered());
    let mut replies = replies.lock().expect("no panic").clone();
    replies.sort_by_key(|reply| reply.first);
    let outcomes: Vec<_> = replies.into_iter().flat_map(|reply| reply.outcomes).collect();
    assert_eq!(outcomes, [Ok(encoded(Some("five"))), Err(ForwardError::BadRequest), Ok(encoded(None::<String>))]);
}

#[test]
fn the_leader_takes_only_forwarded_bytes_that_are_commands() {
    let (_queue, node) = words();
    let (outlet, replies) = outlet();
    let nonsense = Bytes::from_static(b"\xc1");
    let requests = vec![nonsense.clone(), plain(&"a"), plain(&"b"), nonsense, plain(&"c")];
    let batch = node.accept_forward(forward(ForwardKind::Write, requests), Time::ZERO, outlet);
    let writes = batch.writes.expect("three of them");
    assert_eq!(writes.commands, [plain(&"a"), plain(&"b"), plain(&"c")]);
    answer(writes.waiting, 1);
    let mut firsts: Vec<_> = Vec::new();
    for reply in replies.lock().expect("no panic").iter() {
        firsts.push((reply.first, reply.outcomes.clone()));
    }
    firsts.sort_by_key(|(first, _)| *first);
    assert_eq!(
        firsts,
        [
            (0, vec![Err(ForwardError::BadRequest)]),
            (1, vec![Ok(encoded(1_u64)), Ok(encoded(2_u64))]),
            (3, vec![Err(ForwardError::BadRequest)]),
            (4, vec![Ok(encoded(3_u64))]),
        ]
    );
}

#[test]
fn forwarded_requests_take_room_like_any_other() {
    let (queue, node) = limited(2, 1 << 20);
    let (outlet, replies) = outlet();
    let too_many = forward(ForwardKind::Write, vec![plain(&"a"); 3]);
    assert!(node.accept_forward(too_many, Time::ZERO, outlet.clone()).is_empty());
    assert_eq!(replies.lock().expect("no panic")[0].outcomes, vec![Err(ForwardError::Overloaded); 3]);
    let fits = forward(ForwardKind::Write, vec![plain(&"a"); 2]);
    let batch = node.accept_forward(fits, Time::ZERO, outlet);
    assert!(matches!(error(queue.word("full")), WriteError::Overloaded {}));
    drop(batch);
    assert!(look(&mut queue.word("room again")).is_none());
}

#[test]
fn a_closed_queue_takes_no_forwarded_requests() {
    let (_queue, node) = words();
    node.close(Failure::ShuttingDown);
    let (outlet, replies) = outlet();
    let one = forward(ForwardKind::Read, vec![encoded(1_u64)]);
    assert!(node.accept_forward(one, Time::ZERO, outlet).is_empty());
    assert_eq!(replies.lock().expect("no panic")[0].outcomes, [Err(ForwardError::ShuttingDown)]);
}

#[test]
fn a_read_whose_leader_lost_track_of_it_is_a_timeout() {
    let (queue, node) = words();
    let reader = queue.read(7, Consistency::Linearizable, SECOND);
    node.reads().answer_encoded(0, vec![Err(ForwardError::Unknown)]);
    assert!(matches!(now(reader), Err(ReadError::TimedOut {})));
}
