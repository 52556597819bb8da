//! A machine, a bare executor, and the node's side of the queue by hand.

use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use raft_consensus::Time;
use serde::{Deserialize, Serialize};

use crate::callers::slots::Pending;
use crate::callers::{Failure, Outlet, Waiting};
use crate::clock::Clock;
use crate::envelope::ForwardReply;
use crate::handle::queue::Queue;
use crate::handle::{ClientBatch, ClientQueue, QueueLimits, WriteBatch, WriteError};
use crate::state_machine::{Reads, Writes};
use crate::{ApplyContext, StateMachine};

/// Joins words; answers with their number, queries for one of them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Words(Vec<String>);

impl StateMachine for Words {
    type Command = String;
    type Response = u64;
    type Query = u64;
    type Answer = Option<String>;

    fn apply(&mut self, _: &mut ApplyContext<'_>, word: String) -> u64 {
        self.0.push(word);
        self.0.len() as u64
    }

    fn query(&self, index: u64) -> Option<String> {
        self.0.get(usize::try_from(index).expect("a small number")).cloned()
    }
}

pub(super) type W = Writes<Words>;
pub(super) type R = Reads<Words>;

pub(super) const SECOND: Duration = Duration::from_secs(1);

pub(super) fn words() -> (Arc<Queue<Words>>, ClientQueue) {
    Queue::new(QueueLimits::default(), Clock::start())
}

pub(super) fn limited(requests_max: u64, bytes_max: u64) -> (Arc<Queue<Words>>, ClientQueue) {
    Queue::new(QueueLimits { requests_max, bytes_max, ..QueueLimits::default() }, Clock::start())
}

impl Queue<Words> {
    pub(super) fn word(&self, word: &str) -> Pending<W> {
        self.write(&word.to_owned(), SECOND)
    }

    pub(super) fn words(&self, n: usize) -> Vec<Pending<W>> {
        (0..n).map(|n| self.word(&n.to_string())).collect()
    }
}

impl ClientQueue {
    /// What a node gets when it looks now.
    pub(super) fn batch(&self) -> Option<ClientBatch> {
        match self.poll_batch(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(batch) => batch,
            Poll::Pending => None,
        }
    }

    pub(super) fn writes(&self) -> WriteBatch {
        self.batch().and_then(|batch| batch.writes).expect("somebody wrote")
    }

    pub(super) fn reads(&self) -> Waiting {
        self.batch().and_then(|batch| batch.reads).expect("somebody reads")
    }
}

/// Answers everybody in here with consecutive numbers.
pub(super) fn answer(mut waiting: Waiting, from: u64) {
    let mut answers = waiting.answers();
    for n in from..from + answers.len() as u64 {
        answers.answer::<W>(n);
    }
    waiting.complete();
}

/// Polls once, with nobody to be woken.
pub(super) fn look<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    match Pin::new(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// What a future that must be ready resolves to.
pub(super) fn now<F: Future + Unpin>(mut future: F) -> F::Output {
    look(&mut future).expect("it is ready")
}

pub(super) fn error(mut pending: Pending<W>) -> WriteError {
    look(&mut pending).expect("it is ready").expect_err("it failed")
}

/// An executor without timer, reactor or spawn.
pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// Counts how often it was woken.
#[derive(Default)]
pub(super) struct Wakes(AtomicUsize);

impl Wakes {
    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// An outlet that keeps what it is given.
pub(super) fn outlet() -> (Outlet, Arc<Mutex<Vec<ForwardReply>>>) {
    let replies = Arc::<Mutex<Vec<ForwardReply>>>::default();
    let kept = Arc::clone(&replies);
    (Arc::new(move |reply| kept.lock().expect("no panic").push(reply)), replies)
}

pub(super) fn timed_out() -> Failure {
    Failure::TimedOut { maybe_applied: true }
}

pub(super) fn far() -> Time {
    Time::from_millis(3_600_000)
}
