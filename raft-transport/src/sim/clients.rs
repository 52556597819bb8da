//! The clients of a simulated cluster: each has one request under way at a time.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use raft_actor::consensus::{NodeId, Time};
use raft_actor::{ReadError, StateMachine, WriteError};

use super::machine::{At, Tagged};
use super::process::Handle;
use super::sessions::Number;

/// What a client asks of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request<C, Q> {
    /// Replicate and apply this.
    Write(C),
    /// Answer this linearizably.
    Read(Q),
    /// The same, by the leader's lease if it has one.
    ReadLease(Q),
    /// Answer this from the state of the node that is asked, be it stale.
    ReadLocal(Q),
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<R, A> {
    /// A write was applied, with this response.
    Applied(R),
    /// A read was answered.
    Answered(A),
    /// It certainly did not and will not happen.
    Failed,
    /// A write may have happened, or may yet. A read that got no answer.
    Unknown,
}

/// What the user's machine answers, with the index of the state it comes from.
pub(super) type Told<S> = Outcome<At<<S as StateMachine>::Response>, At<<S as StateMachine>::Answer>>;

/// What became of a request, and whether its session was forgotten.
type Back<S> = (Told<S>, bool);

/// A request on its way.
type OnItsWay<S> = Pin<Box<dyn Future<Output = Back<S>>>>;

/// A request that a client is waiting for.
struct Waiting<S: StateMachine> {
    request: u64,
    /// A request in a session may take many.
    attempt: u64,
    number: Option<Number>,
    node: NodeId,
    answer_due: AnswerDue,
    future: OnItsWay<S>,
}

/// What is sent to a server.
pub(super) struct Attempt<S: StateMachine> {
    pub(super) request: u64,
    /// Of a write in a session.
    pub(super) number: Option<Number>,
    pub(super) what: Request<S::Command, S::Query>,
}

/// Until when a server owes its caller an answer, be it that there is none.
#[derive(Debug, Clone, Copy)]
pub(super) struct AnswerDue {
    /// The process that was asked, by how often the server had been started.
    pub(super) run: u64,
    /// By the clock of the server.
    pub(super) at: Time,
}

/// All clients of a cluster.
pub(super) struct Clients<S: StateMachine> {
    waiting: Vec<Option<Waiting<S>>>,
    /// Which group each of them asks.
    groups: Vec<usize>,
    wakers: Vec<Waker>,
    ready: Ready,
    last_request: u64,
    last_attempt: u64,
}

/// Clients that have something to look at.
type Ready = Arc<Mutex<Vec<usize>>>;

struct ClientWaker {
    client: usize,
    ready: Ready,
}

impl Wake for ClientWaker {
    fn wake(self: Arc<Self>) {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).push(self.client);
    }
}

/// A request that has come back.
pub(super) struct Returned<S: StateMachine> {
    pub(super) client: usize,
    pub(super) request: u64,
    pub(super) number: Option<Number>,
    pub(super) node: NodeId,
    pub(super) outcome: Told<S>,
    /// Whether its session is forgotten.
    pub(super) is_forgotten: bool,
}

impl<S: StateMachine> Clients<S> {
    pub(super) fn new() -> Self {
        Self {
            waiting: Vec::new(),
            groups: Vec::new(),
            wakers: Vec::new(),
            ready: Ready::default(),
            last_request: 0,
            last_attempt: 0,
        }
    }

    /// One more client, of this group.
    pub(super) fn add(&mut self, group: usize) -> usize {
        let client = self.waiting.len();
        self.waiting.push(None);
        self.groups.push(group);
        self.wakers.push(Waker::from(Arc::new(ClientWaker { client, ready: Arc::clone(&self.ready) })));
        client
    }

    /// Those that ask this group.
    pub(super) fn of(&self, group: usize) -> impl Iterator<Item = usize> {
        self.groups.iter().enumerate().filter(move |(_, of)| **of == group).map(|(client, _)| client)
    }

    pub(super) fn group_of(&self, client: usize) -> usize {
        self.groups[client]
    }

    /// The number that the next request will get.
    pub(super) fn next_request(&mut self) -> u64 {
        self.last_request += 1;
        self.last_request
    }

    /// Sends a request to `node`. Returns which attempt this is.
    pub(super) fn send(
        &mut self,
        client: usize,
        node: NodeId,
        handle: &Handle<S>,
        answer_due: AnswerDue,
        attempt: Attempt<S>,
    ) -> u64 {
        let Attempt { request, number, what } = attempt;
        let future: OnItsWay<S> = match (what, &number) {
            (Request::Write(command), None) => {
                let pending = handle.write(Tagged { request, command });
                Box::pin(async move { pending.await.map_or_else(told_of_write::<S>, applied::<S>) })
            }
            (Request::Write(command), Some(number)) => {
                let pending = handle.write_sequenced(number.sequence(), Tagged { request, command });
                Box::pin(async move { pending.await.map_or_else(told_of_write::<S>, applied::<S>) })
            }
            (Request::Read(query), _) => {
                let pending = handle.read(query);
                Box::pin(async move { pending.await.map_or_else(told_of_read::<S>, answered::<S>) })
            }
            (Request::ReadLease(query), _) => {
                let pending = handle.read_lease(query);
                Box::pin(async move { pending.await.map_or_else(told_of_read::<S>, answered::<S>) })
            }
            (Request::ReadLocal(query), _) => {
                let pending = handle.read_local(query);
                Box::pin(async move { pending.await.map_or_else(told_of_read::<S>, answered::<S>) })
            }
        };
        self.last_attempt += 1;
        let attempt = self.last_attempt;
        self.waiting[client] = Some(Waiting { request, attempt, number, node, answer_due, future });
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).push(client);
        attempt
    }

    /// Which request this attempt is, who is to answer it and until when, if this client still waits for it.
    pub(super) fn waits_for(&self, client: usize, attempt: u64) -> Option<(u64, NodeId, AnswerDue)> {
        let waiting = self.waiting[client].as_ref().filter(|waiting| waiting.attempt == attempt)?;
        Some((waiting.request, waiting.node, waiting.answer_due))
    }

    pub(super) fn is_idle(&self, client: usize) -> bool {
        self.waiting[client].is_none()
    }

    /// The client does not wait any longer.
    pub(super) fn give_up(&mut self, client: usize) -> Option<Returned<S>> {
        let Waiting { request, number, node, .. } = self.waiting[client].take()?;
        Some(Returned { client, request, number, node, outcome: Outcome::Unknown, is_forgotten: false })
    }

    /// A request that has come back, if there is one.
    pub(super) fn next_returned(&mut self) -> Option<Returned<S>> {
        loop {
            let client = self.ready.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            let Some(waiting) = &mut self.waiting[client] else { continue };
            let mut cx = Context::from_waker(&self.wakers[client]);
            if let Poll::Ready((outcome, is_forgotten)) = waiting.future.as_mut().poll(&mut cx) {
                let Waiting { request, number, node, .. } = self.waiting[client].take().expect("it is there");
                return Some(Returned { client, request, number, node, outcome, is_forgotten });
            }
        }
    }
}

fn applied<S: StateMachine>(response: At<S::Response>) -> Back<S> {
    (Outcome::Applied(response), false)
}

fn answered<S: StateMachine>(answer: At<S::Answer>) -> Back<S> {
    (Outcome::Answered(answer), false)
}

fn told_of_write<S: StateMachine>(error: WriteError) -> Back<S> {
    let outcome = if error.maybe_applied() { Outcome::Unknown } else { Outcome::Failed };
    (outcome, matches!(error, WriteError::SessionExpired { .. }))
}

/// A read changes nothing, so it does not matter whether it happened.
fn told_of_read<S: StateMachine>(_: ReadError) -> Back<S> {
    (Outcome::Failed, false)
}
