//! Where callers wait: typed slots, many to an allocation.
//!
//! A oneshot channel per request would be an allocation per request. Instead a
//! [`Page`] holds a few dozen slots; the caller's future is `(page, index)`, and
//! so is what the node and the state machine's actor hold, as a range. A slot is
//! settled exactly once, by whoever comes first: the state machine's answer, a
//! deadline, or the end of the node. All others find it settled and do nothing.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use actix::dev::OneshotSender;
use raft_consensus::Time;

use super::request::Request;
use crate::busy_poll::{self, Post};

/// Most slots in a page: enough that a page's allocation is not felt, few enough that a
/// caller who never looks at its answer does not pin much.
pub(crate) const PAGE_SLOTS_MAX: usize = 64;

/// Fewest slots in a page. Where few callers come at a time, small pages are soon done with, and their memory is still in
/// the processor's caches when the next one needs some.
pub(crate) const PAGE_SLOTS_MIN: usize = 8;

/// What a caller gets.
pub(crate) type Outcome<R> = Result<<R as Request>::Output, <R as Request>::Error>;

/// Some slots. Filled in order, by the queue, under its mutex.
pub(crate) struct Page<R: Request> {
    slots: Box<[Mutex<Slot<R>>]>,
    /// Bytes taken by the requests of this page up to and including each slot.
    bytes_through: Box<[AtomicU64]>,
    /// Of the thread that asked for the first slot, if it looks for work. Who asks from there as well is woken this way.
    post: Option<Arc<Post>>,
}

struct Slot<R: Request> {
    deadline: Time,
    state: State<R>,
}

enum State<R: Request> {
    /// Not given to anybody yet.
    Vacant,
    /// No outcome yet.
    Open { input: Option<R::Input>, waiter: Waiter<R> },
    /// The outcome waits for its caller.
    Settled(Outcome<R>),
    /// The outcome was fetched, or there is nobody to fetch it.
    Over,
}

/// Who waits for the outcome of a slot.
pub(crate) enum Waiter<R: Request> {
    /// A future that was not polled yet.
    Future,
    /// A task.
    Task(Waker),
    /// A task of the thread that the page's post is of.
    Posted(Waker),
    /// The sender of a message to the gateway: actix's own reply channel.
    Sender(OneshotSender<Outcome<R>>),
    /// Nobody: the future was dropped, or the message was sent with `do_send`.
    Nobody,
}

/// What remains to be done when a slot has been settled. Runs the code of others
/// (wakers, destructors), so it is done outside every lock.
#[must_use]
struct Notice<R: Request> {
    what: Notify<R>,
    /// Only for its destructor.
    _input: Option<R::Input>,
}

enum Notify<R: Request> {
    Nothing,
    Wake(Waker),
    Post(Waker),
    Send(OneshotSender<Outcome<R>>, Outcome<R>),
    Discard { _outcome: Outcome<R> },
}

impl<R: Request> Page<R> {
    /// A page of so many slots, made by who asks for the first.
    pub(crate) fn new(slots: usize) -> Arc<Self> {
        let vacant = || Mutex::new(Slot { deadline: Time::NEVER, state: State::Vacant });
        Arc::new(Self {
            slots: (0..slots).map(|_| vacant()).collect(),
            bytes_through: (0..slots).map(|_| AtomicU64::new(0)).collect(),
            post: busy_poll::post(),
        })
    }

    /// How many slots it has.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Gives the slot to a caller. Called once for each index, in order, under the queue's mutex,
    /// which also makes the byte count visible to whoever takes the slots over.
    pub(crate) fn fill(&self, index: usize, deadline: Time, input: R::Input, waiter: Waiter<R>, bytes: u64) {
        let before = self.bytes_before(index);
        self.bytes_through[index].store(before + bytes, Ordering::Relaxed);
        *self.slot(index) = Slot { deadline, state: State::Open { input: Some(input), waiter } };
    }

    /// Bytes taken by the slots `start..end`.
    pub(crate) fn bytes(&self, start: usize, end: usize) -> u64 {
        self.bytes_before(end) - self.bytes_before(start)
    }

    fn bytes_before(&self, index: usize) -> u64 {
        index.checked_sub(1).map_or(0, |before| self.bytes_through[before].load(Ordering::Relaxed))
    }

    /// Settles the slot and tells who waits, unless somebody did before. Not to be called under a lock.
    pub(crate) fn settle(&self, index: usize, outcome: impl FnOnce() -> Outcome<R>) {
        let notice = settle(&mut self.slot(index), outcome);
        notice.into_iter().for_each(|notice| self.deliver(notice));
    }

    /// Like `settle`, if the deadline of the slot has passed, and says that it did. Otherwise its
    /// deadline: [`Time::NEVER`] if it is settled.
    pub(crate) fn expire(&self, index: usize, now: Time, outcome: impl FnOnce() -> Outcome<R>) -> Result<(), Time> {
        let mut slot = self.slot(index);
        if slot.deadline > now {
            return Err(if matches!(slot.state, State::Open { .. }) { slot.deadline } else { Time::NEVER });
        }
        let notice = settle(&mut slot, outcome).ok_or(Time::NEVER)?;
        drop(slot);
        self.deliver(notice);
        Ok(())
    }

    fn deliver(&self, Notice { what, _input }: Notice<R>) {
        match what {
            Notify::Nothing | Notify::Discard { .. } => {}
            Notify::Wake(waker) => waker.wake(),
            Notify::Post(waker) => match &self.post {
                Some(post) => busy_poll::leave(post, waker),
                None => waker.wake(),
            },
            // A sender that does not wait any more gets nothing; that is its right.
            Notify::Send(sender, outcome) => drop(sender.send(outcome)),
        }
    }

    /// Takes the input out, if somebody still waits for an answer to it.
    pub(crate) fn take_input(&self, index: usize) -> Option<R::Input> {
        match &mut self.slot(index).state {
            State::Open { waiter: Waiter::Nobody, .. } | State::Vacant | State::Settled(_) | State::Over => None,
            State::Open { input, waiter: Waiter::Future | Waiter::Task(_) | Waiter::Posted(_) | Waiter::Sender(_) } => {
                input.take()
            }
        }
    }

    /// Puts back what `take_input` took.
    pub(crate) fn return_input(&self, index: usize, returned: R::Input) {
        let mut slot = self.slot(index);
        if let State::Open { input, .. } = &mut slot.state {
            *input = Some(returned);
            return;
        }
        drop(slot); // the input's destructor is the user's code
    }

    /// For the caller's future. Ready only once.
    fn poll(&self, index: usize, cx: &mut Context<'_>) -> Poll<Outcome<R>> {
        let mut slot = self.slot(index);
        match &mut slot.state {
            State::Open { waiter, .. } => {
                let is_posted = self.post.as_ref().is_some_and(|post| busy_poll::fetches(post, cx.waker()));
                match waiter {
                    Waiter::Task(waker) if !is_posted => waker.clone_from(cx.waker()),
                    Waiter::Posted(waker) if is_posted => waker.clone_from(cx.waker()),
                    Waiter::Future | Waiter::Task(_) | Waiter::Posted(_) | Waiter::Sender(_) | Waiter::Nobody => {
                        let waker = cx.waker().clone();
                        *waiter = if is_posted { Waiter::Posted(waker) } else { Waiter::Task(waker) };
                    }
                }
                Poll::Pending
            }
            State::Settled(_) => match std::mem::replace(&mut slot.state, State::Over) {
                State::Settled(outcome) => Poll::Ready(outcome),
                State::Vacant | State::Open { .. } | State::Over => unreachable!("it was settled a line above"),
            },
            State::Vacant | State::Over => unreachable!("a future lets go of its slot when it is ready"),
        }
    }

    /// The caller's future was dropped. The request goes on; only its outcome has no taker.
    fn abandon(&self, index: usize) {
        let mut slot = self.slot(index);
        let dropped = match &mut slot.state {
            State::Open { waiter, .. } => Err(std::mem::replace(waiter, Waiter::Nobody)),
            State::Vacant | State::Settled(_) | State::Over => Ok(std::mem::replace(&mut slot.state, State::Over)),
        };
        drop(slot);
        drop(dropped);
    }

    fn slot(&self, index: usize) -> MutexGuard<'_, Slot<R>> {
        // No code of others runs under a slot's lock, so a poisoned one is still consistent.
        self.slots[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn settle<R: Request>(slot: &mut Slot<R>, outcome: impl FnOnce() -> Outcome<R>) -> Option<Notice<R>> {
    match &slot.state {
        State::Open { .. } => {}
        State::Vacant | State::Settled(_) | State::Over => return None,
    }
    let State::Open { input, waiter } = std::mem::replace(&mut slot.state, State::Over) else {
        unreachable!("it was open a line above")
    };
    let what = match waiter {
        Waiter::Future => {
            slot.state = State::Settled(outcome());
            Notify::Nothing
        }
        Waiter::Task(waker) => {
            slot.state = State::Settled(outcome());
            Notify::Wake(waker)
        }
        Waiter::Posted(waker) => {
            slot.state = State::Settled(outcome());
            Notify::Post(waker)
        }
        Waiter::Sender(sender) => Notify::Send(sender, outcome()),
        Waiter::Nobody => Notify::Discard { _outcome: outcome() },
    };
    Some(Notice { what, _input: input })
}

/// A caller's future: its place in a page, or the reason why it has none.
pub(crate) struct Pending<R: Request> {
    place: Option<(Arc<Page<R>>, usize)>,
    refused: Option<R::Error>,
}

impl<R: Request> Pending<R> {
    /// Waits for the outcome of a slot that was filled with [`Waiter::Future`].
    pub(crate) fn waiting(page: Arc<Page<R>>, index: usize) -> Self {
        Self { place: Some((page, index)), refused: None }
    }

    /// Is ready at once.
    pub(crate) fn refused(error: R::Error) -> Self {
        Self { place: None, refused: Some(error) }
    }
}

impl<R: Request> Future for Pending<R> {
    type Output = Outcome<R>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome<R>> {
        let this = self.get_mut();
        if let Some((page, index)) = &this.place {
            let outcome = ready!(page.poll(*index, cx));
            this.place = None;
            return Poll::Ready(outcome);
        }
        Poll::Ready(Err(this.refused.take().expect("a future is not polled again after it was ready")))
    }
}

impl<R: Request> Drop for Pending<R> {
    fn drop(&mut self) {
        if let Some((page, index)) = self.place.take() {
            page.abandon(index);
        }
    }
}
