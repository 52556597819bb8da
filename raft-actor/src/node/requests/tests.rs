//! Who is told what, by the positions and terms of what was applied, and by the clock.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use raft_consensus::{Entry, Payload};

use super::*;
use crate::WriteError;
use crate::clock::Clock;
use crate::handle::{ClientQueue, Consistency, Queue, QueueLimits};
use crate::state_machine::Writes;

#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct Words;

impl crate::StateMachine for Words {
    type Command = String;
    type Response = u64;
    type Query = ();
    type Answer = ();
    fn apply(&mut self, _: &mut crate::ApplyContext<'_>, _: String) -> u64 {
        0
    }
    fn query(&self, (): ()) {}
}

type Caller = Pin<Box<dyn Future<Output = Result<u64, WriteError>>>>;

const HOUR: Duration = Duration::from_secs(3600);

struct Node {
    queue: Arc<Queue<Words>>,
    face: ClientQueue,
    requests: Requests,
}

impl Node {
    fn new() -> Self {
        let limits = QueueLimits { requests_max: 100, ..QueueLimits::default() };
        let (queue, face) = Queue::<Words>::new(limits, Clock::start());
        Self { queue, face, requests: Requests::new(1) }
    }

    fn write(&self, timeout: Duration) -> Caller {
        Box::pin(self.queue.write(&"a word".to_owned(), timeout))
    }

    fn batch(&self, timeouts: &[Duration]) -> (Vec<Caller>, WriteBatch) {
        let callers = timeouts.iter().map(|timeout| self.write(*timeout)).collect();
        let Poll::Ready(Some(batch)) = self.face.poll_batch(&mut Context::from_waker(Waker::noop())) else {
            panic!("writes are in line")
        };
        (callers, batch.writes.expect("writes"))
    }

    /// So many commands that are in the log from `first` on.
    fn propose(&mut self, callers: usize, term: u64, first: u64) -> Vec<Caller> {
        let (callers, batch) = self.batch(&vec![HOUR; callers]);
        self.requests.propose(LogPosition::new(Term::new(term), LogIndex::new(first)), batch.waiting);
        callers
    }

    /// Hands these over, and lets the machine answer everybody with the index.
    fn apply(&mut self, first: u64, terms: &[u64]) {
        let entries = entries(first, terms);
        let through = entries.last_position().expect("some").index;
        for (index, mut answers) in self.requests.apply(&entries) {
            for answer in index.get().. {
                if answers.is_empty() {
                    break;
                }
                answers.answer::<Writes<Words>>(answer);
            }
        }
        self.requests.applied(through);
    }

    fn room_is_free(&self) -> bool {
        let callers: Vec<Caller> = (0..100).map(|_| self.write(HOUR)).collect();
        let all = callers.into_iter().all(|mut caller| outcome(&mut caller).is_none());
        let _ = self.face.poll_batch(&mut Context::from_waker(Waker::noop()));
        all
    }
}

fn entries(first: u64, terms: &[u64]) -> Entries {
    let entry = |(index, term): (u64, &u64)| Entry {
        position: LogPosition::new(Term::new(*term), LogIndex::new(index)),
        payload: Payload::Noop,
    };
    (first..).zip(terms).map(entry).collect()
}

fn outcome(caller: &mut Caller) -> Option<Result<u64, WriteError>> {
    match caller.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => Some(outcome),
        Poll::Pending => None,
    }
}

/// The answer, whether an error leaves it open, or nothing yet.
fn told(callers: &mut [Caller]) -> Vec<String> {
    let told = |caller: &mut Caller| match outcome(caller) {
        None => "waits".to_owned(),
        Some(Ok(index)) => index.to_string(),
        Some(Err(error)) if error.maybe_applied() => "unknown".to_owned(),
        Some(Err(_)) => "not applied".to_owned(),
    };
    callers.iter_mut().map(told).collect()
}

#[test]
fn each_caller_is_answered_from_its_own_position_however_the_entries_are_cut() {
    let mut node = Node::new();
    let mut first = node.propose(3, 1, 5);
    let mut second = node.propose(2, 1, 8);
    node.apply(1, &[1, 1, 1, 1, 1]);
    node.apply(6, &[1, 1, 1]);
    assert_eq!(told(&mut first), ["5", "6", "7"]);
    assert_eq!(told(&mut second), ["8", "waits"]);
    node.apply(9, &[1, 1]);
    assert_eq!(outcome(&mut second[1]).and_then(Result::ok), Some(9));
}

#[test]
fn whoevers_position_holds_another_term_was_certainly_not_applied() {
    let mut node = Node::new();
    let mut callers = node.propose(4, 3, 5);
    node.apply(5, &[3, 3, 4, 4]);
    assert_eq!(told(&mut callers), ["5", "6", "not applied", "not applied"]);
}

/// Terms in a log never fall: behind an applied entry of a later term nothing of an earlier one can follow.
#[test]
fn a_later_term_settles_all_positions_above_it_and_gives_their_room_back() {
    let mut node = Node::new();
    let mut callers = node.propose(100, 3, 50);
    assert!(matches!(outcome(&mut node.write(HOUR)), Some(Err(WriteError::Overloaded {}))));
    node.apply(50, &[4]);
    assert_eq!(told(&mut callers), vec!["not applied"; 100]);
    assert!(node.room_is_free(), "the log may never grow as long again");
}

#[test]
fn an_entry_of_the_same_term_settles_nothing_above_it() {
    let mut node = Node::new();
    let mut callers = node.propose(2, 3, 50);
    node.apply(40, &[2, 3]);
    assert_eq!(told(&mut callers), ["waits", "waits"]);
}

/// Two terms in office, and the second began lower in the log than the first had come.
#[test]
fn positions_of_two_terms_that_overlap_are_told_apart() {
    let mut node = Node::new();
    let mut lost = node.propose(4, 3, 10);
    let mut kept = node.propose(2, 5, 9);
    node.apply(8, &[5, 5, 5, 5]);
    assert_eq!(told(&mut lost), vec!["not applied"; 4]);
    assert_eq!(told(&mut kept), ["9", "10"]);
}

#[test]
fn whoever_gives_up_while_the_command_is_in_the_log_is_told_that_it_may_be_applied() {
    let mut node = Node::new();
    let mut callers = node.propose(2, 1, 1);
    node.requests.expire(Time::from_millis(7_200_000), None);
    assert_eq!(told(&mut callers), ["unknown", "unknown"]);
    assert_eq!(node.requests.earliest_deadline(), Time::NEVER);
    node.apply(1, &[1, 1]);
    assert!(node.room_is_free());
}

#[test]
fn whoever_gives_up_before_anybody_leads_takes_the_command_along() {
    let mut node = Node::new();
    let (mut callers, WriteBatch { commands, waiting }) = node.batch(&[Duration::ZERO, HOUR * 2, Duration::ZERO]);
    node.requests.park(Request::Write { commands, waiting });
    node.requests.expire(Time::from_millis(3_600_000), None);
    assert!(node.requests.earliest_deadline() > Time::from_millis(3_600_000));
    assert_eq!(told(&mut callers), ["not applied", "waits", "not applied"]);
    let left = node.requests.unpark().pop_front().expect("one is left");
    let Request::Write { commands, waiting } = left else { panic!("it is a write") };
    assert_eq!((commands.len(), waiting.len()), (1, 1));
}

/// The deadline of everybody that is held anywhere is known, whichever way the request went.
#[test]
fn a_request_is_watched_for_its_deadline_wherever_it_is() {
    let mut node = Node::new();
    let early = Time::from_millis(3_700_000);
    let forwarded = node.batch(&[HOUR]);
    let WriteBatch { commands, waiting } = forwarded.1;
    let id = node.requests.forward(NodeId::from(2), Term::new(2), Request::Write { commands, waiting });
    assert!(node.requests.earliest_deadline() < early);
    let taken = node.requests.take_forwarded(id).expect("it was noted");
    node.requests.park(taken.request);
    assert!(node.requests.earliest_deadline() < early);
    node.requests.expire(early, None);
    assert_eq!(told(&mut { forwarded.0 }), ["not applied"]);
}

#[test]
fn whoever_waits_for_ever_is_not_taken_for_somebody_who_does_not_wait() {
    let mut node = Node::new();
    let (mut callers, WriteBatch { commands, waiting }) = node.batch(&[Duration::MAX]);
    let id = node.requests.forward(NodeId::from(2), Term::new(2), Request::Write { commands, waiting });
    let _reader = node.queue.read((), Consistency::Linearizable, Duration::MAX);
    let Poll::Ready(Some(batch)) = node.face.poll_batch(&mut Context::from_waker(Waker::noop())) else {
        panic!("a read is in line")
    };
    node.requests.park(Request::Read { waiting: batch.reads.expect("a read"), by_lease: false });
    let mut others = node.propose(1, 1, 1);
    node.requests.expire(Time::from_millis(7_200_000), None);
    assert_eq!(told(&mut others), ["unknown"]);
    assert_eq!(told(&mut callers), ["waits"]);
    assert!(node.requests.take_forwarded(id).is_some());
    assert_eq!(node.requests.unpark().len(), 1);
}

/// The leader still has answers for an earlier run of this node on the road; they come to this one.
#[test]
fn two_runs_of_a_node_name_their_requests_differently() {
    let names = |run| {
        let mut node = Node { requests: Requests::new(run), ..Node::new() };
        let name = |node: &mut Node| {
            let (_, WriteBatch { commands, waiting }) = node.batch(&[HOUR]);
            node.requests.forward(NodeId::from(2), Term::new(2), Request::Write { commands, waiting })
        };
        [name(&mut node), name(&mut node)]
    };
    let (one, other) = (names(1), names(2));
    assert_eq!(one[1], one[0] + 1);
    assert!(one.iter().all(|id| !other.contains(id)), "{one:?} {other:?}");
}

#[test]
fn only_what_was_sent_where_nothing_arrives_is_lost() {
    let mut node = Node::new();
    let mut forward = |to: u64| {
        let (callers, WriteBatch { commands, waiting }) = node.batch(&[HOUR]);
        node.requests.forward(NodeId::from(to), Term::new(2), Request::Write { commands, waiting });
        callers
    };
    let (mut lost, mut kept) = (forward(2), forward(3));
    for request in node.requests.lose_forwarded(|forwarded| forwarded.to == NodeId::from(2)) {
        request.into_waiting().fail(Failure::Unknown);
    }
    assert_eq!([told(&mut lost), told(&mut kept)], [["unknown"], ["waits"]]);
}

#[test]
fn everybody_is_answered_when_the_node_stops() {
    let mut node = Node::new();
    let mut proposed = node.propose(1, 1, 1);
    let (mut parked, WriteBatch { commands, waiting }) = node.batch(&[HOUR]);
    node.requests.park(Request::Write { commands, waiting });
    let (mut forwarded, WriteBatch { commands, waiting }) = node.batch(&[HOUR]);
    node.requests.forward(NodeId::from(2), Term::new(2), Request::Write { commands, waiting });
    let mut applying = node.propose(1, 1, 2);
    let answers = node.requests.apply(&entries(1, &[1, 1]));
    node.requests.fail_all(&StopReason::ShutDown);
    drop(answers);
    assert_eq!(told(&mut parked), ["not applied"]);
    for mut unknown in [proposed.remove(0), forwarded.remove(0), applying.remove(0)] {
        assert_eq!(told(std::slice::from_mut(&mut unknown)), ["unknown"]);
    }
}
