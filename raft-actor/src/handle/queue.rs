//! The client queue: it stands beside the node's mailbox.
//!
//! An actix mailbox bounds `try_send` only, and costs an allocation and a
//! cross-thread message per request. Here a caller takes room (or is told
//! `Overloaded` at once), pushes under one mutex, and wakes the node only if
//! that one had found the queue empty. The node drains all there is in one go.
//!
//! [`Queue<S>`] is the callers' side and knows the types; [`ClientQueue`] is the
//! node's side and knows none.

use std::cell::Cell;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use raft_consensus::Time;

use super::ClientQueue;
use crate::busy_poll;
use crate::callers::lane::Lane;
use crate::callers::permits::{Admission, Amount, Permit, QueueLimits};
use crate::callers::slots::{Page, Pending, Waiter};
use crate::callers::{Failure, Request, Waiting, decode, encode_into};
use crate::clock::Clock;
use crate::state_machine::command::{self, Once};
use crate::state_machine::{Reads, StateMachine, Writes};

/// Commands up to this size share a buffer with their neighbours; larger ones are not copied.
const SHARED_COMMAND_BYTES_MAX: usize = 4096;
/// How much of the shared buffer is allocated at a time.
const BUFFER_BYTES: usize = 16 * 1024;
/// A thread's scratch buffer is not kept beyond this size.
const SCRATCH_BYTES_MAX: usize = 64 * 1024;

/// The callers' side of the queue. Any thread; never waits but for the mutex, which is held for a handful of stores.
pub(crate) struct Queue<S: StateMachine> {
    inner: Mutex<Inner<S>>,
    is_watched: Arc<AtomicBool>,
    limits: QueueLimits,
    clock: Clock,
}

struct Inner<S: StateMachine> {
    /// Set once; from then on nobody gets in.
    closed: Option<Failure>,
    admission: Admission,
    writes: Lane<Writes<S>>,
    /// The commands of `writes`.
    commands: Vec<Command>,
    /// The bytes of the small ones among `commands`, in order.
    buffer: BytesMut,
    reads: Lane<Reads<S>>,
    lease_reads: Lane<Reads<S>>,
    local_reads: Lane<Reads<S>>,
    /// The node, if it found the queue empty. Taken by the push that ends that.
    node: Option<Waker>,
    /// Whether `node` is set, for the node itself, which is polled for other reasons as well and need not lock anything
    /// to see that it was not for this one.
    is_watched: Arc<AtomicBool>,
}

/// Where an encoded command is.
pub(crate) enum Command {
    /// The next so many bytes of the shared buffer.
    Shared(usize),
    /// In a buffer of its own.
    Own(Bytes),
}

/// Which kind of read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consistency {
    Linearizable,
    /// As linearizable, answered by the leader's lease if it has one.
    Lease,
    Local,
}

/// A caller that did not get in, and why. The waiter comes back: it may hold actix's reply channel.
pub(crate) struct Refused<R: Request> {
    pub(crate) error: R::Error,
    pub(crate) waiter: Waiter<R>,
}

/// A place in the queue.
pub(crate) type Place<R> = (Arc<Page<R>>, usize);

thread_local! {
    /// Commands are encoded into this, outside the mutex. A Cell, so that a `Serialize` that writes itself just finds it empty.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl<S: StateMachine> Queue<S> {
    /// An empty queue: the callers' side and the node's.
    pub(crate) fn new(limits: QueueLimits, clock: Clock) -> (Arc<Self>, ClientQueue) {
        let is_watched = Arc::<AtomicBool>::default();
        let inner = Inner {
            closed: None,
            admission: Admission::new(limits),
            writes: Lane::new(),
            commands: Vec::new(),
            buffer: BytesMut::new(),
            reads: Lane::new(),
            lease_reads: Lane::new(),
            local_reads: Lane::new(),
            node: None,
            is_watched: Arc::clone(&is_watched),
        };
        let queue = Arc::new(Self { inner: Mutex::new(inner), is_watched, limits, clock });
        let face = ClientQueue::new(Arc::clone(&queue) as Arc<dyn AnyQueue>);
        (queue, face)
    }

    /// Lines a command up, as a future.
    pub(crate) fn write(&self, command: &S::Command, timeout: Duration) -> Pending<Writes<S>> {
        match self.push_write(command, timeout, Waiter::Future) {
            Ok((page, index)) => Pending::waiting(page, index),
            Err(refused) => Pending::refused(refused.error),
        }
    }

    /// A command as a session sends it, again and again if need be.
    pub(crate) fn frame_once(&self, once: &Once<'_>, command: &S::Command) -> Result<Bytes, Failure> {
        let mut framed = Vec::new();
        command::begin_once(once, &mut framed).ok_or(Failure::BadRequest)?;
        self.encode(command, &mut framed)?;
        Ok(Bytes::from(framed))
    }

    /// Lines up what [`frame_once`](Self::frame_once) made.
    pub(crate) fn write_framed(&self, framed: Bytes, deadline: Time) -> Pending<Writes<S>> {
        let bytes = framed.len() as u64;
        let mut inner = self.lock();
        if let Err(failure) = inner.admit(Amount { requests: 1, bytes }) {
            return Pending::refused(failure.into());
        }
        inner.commands.push(Command::Own(framed));
        let (page, index) = inner.writes.push(deadline, (), Waiter::Future, bytes);
        let pending = Pending::waiting(Arc::clone(page), index);
        inner.wake_node();
        pending
    }

    /// Lines a query up, as a future.
    pub(crate) fn read(&self, query: S::Query, consistency: Consistency, timeout: Duration) -> Pending<Reads<S>> {
        match self.push_read(query, consistency, timeout, Waiter::Future) {
            Ok((page, index)) => Pending::waiting(page, index),
            Err(refused) => Pending::refused(refused.error),
        }
    }

    /// Encodes a command and lines it up.
    pub(crate) fn push_write(
        &self,
        command: &S::Command,
        timeout: Duration,
        waiter: Waiter<Writes<S>>,
    ) -> Result<Place<Writes<S>>, Refused<Writes<S>>> {
        let mut scratch = SCRATCH.take();
        scratch.clear();
        command::begin_plain(&mut scratch);
        let result = match self.encode(command, &mut scratch) {
            Ok(()) => self.push_encoded(&mut scratch, timeout, waiter),
            Err(failure) => Err(refused(failure, waiter)),
        };
        if scratch.capacity() <= SCRATCH_BYTES_MAX {
            SCRATCH.set(scratch);
        }
        result
    }

    /// Behind what `out` begins with.
    fn encode(&self, command: &S::Command, out: &mut Vec<u8>) -> Result<(), Failure> {
        let head = out.len();
        if let Err(error) = encode_into(command, out) {
            tracing::warn!(%error, "a command cannot be encoded");
            return Err(Failure::BadRequest);
        }
        // A command that cannot be decoded would stop every member for good once it is committed. Rather none than that.
        if let Err(error) = decode::<S::Command>(&out[head..]) {
            tracing::warn!(%error, "a command cannot be decoded again; check its serde attributes");
            return Err(Failure::BadRequest);
        }
        let bytes = out.len() as u64;
        let bytes_max = self.limits.largest_command();
        if bytes > bytes_max {
            return Err(Failure::TooLarge { bytes, bytes_max });
        }
        Ok(())
    }

    fn push_encoded(
        &self,
        encoded: &mut Vec<u8>,
        timeout: Duration,
        waiter: Waiter<Writes<S>>,
    ) -> Result<Place<Writes<S>>, Refused<Writes<S>>> {
        let deadline = self.deadline(timeout);
        let bytes = encoded.len() as u64;
        let mut inner = self.lock();
        if let Err(failure) = inner.admit(Amount { requests: 1, bytes }) {
            drop(inner);
            return Err(refused(failure, waiter));
        }
        if encoded.len() <= SHARED_COMMAND_BYTES_MAX {
            if inner.buffer.capacity() - inner.buffer.len() < encoded.len() {
                inner.buffer.reserve(BUFFER_BYTES);
            }
            inner.buffer.extend_from_slice(encoded);
            inner.commands.push(Command::Shared(encoded.len()));
        } else {
            inner.commands.push(Command::Own(Bytes::from(mem::take(encoded))));
        }
        let (page, index) = inner.writes.push(deadline, (), waiter, bytes);
        let place = (Arc::clone(page), index);
        inner.wake_node();
        Ok(place)
    }

    /// Lines a query up.
    pub(crate) fn push_read(
        &self,
        query: S::Query,
        consistency: Consistency,
        timeout: Duration,
        waiter: Waiter<Reads<S>>,
    ) -> Result<Place<Reads<S>>, Refused<Reads<S>>> {
        let deadline = self.deadline(timeout);
        let mut inner = self.lock();
        // A query stays as it is, so its size is not known; reads are counted, not weighed.
        if let Err(failure) = inner.admit(Amount { requests: 1, bytes: 0 }) {
            drop(inner);
            return Err(refused(failure, waiter));
        }
        let lane = match consistency {
            Consistency::Linearizable => &mut inner.reads,
            Consistency::Lease => &mut inner.lease_reads,
            Consistency::Local => &mut inner.local_reads,
        };
        let (page, index) = lane.push(deadline, query, waiter, 0);
        let place = (Arc::clone(page), index);
        inner.wake_node();
        Ok(place)
    }

    /// When a caller who comes now gives up. It always has a deadline: [`Time::NEVER`] means that nobody waits.
    pub(crate) fn deadline(&self, timeout: Duration) -> Time {
        let forever = Time::from_micros(Time::NEVER.as_micros() - 1);
        self.clock.now().after(timeout).min(forever)
    }

    /// What is under way at the moment, in line and with the node.
    #[cfg(test)]
    pub(crate) fn in_use(&self) -> Amount {
        self.lock().admission.in_use()
    }

    fn lock(&self) -> MutexGuard<'_, Inner<S>> {
        // No code of others runs under this lock, so a poisoned one is still consistent.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refused<R: Request>(failure: Failure, waiter: Waiter<R>) -> Refused<R> {
    Refused { error: failure.into(), waiter }
}

impl<S: StateMachine> Inner<S> {
    fn admit(&mut self, amount: Amount) -> Result<(), Failure> {
        if let Some(failure) = &self.closed {
            return Err(failure.clone());
        }
        if self.admission.try_take(amount) { Ok(()) } else { Err(Failure::Overloaded) }
    }
}

/// A push that ends the emptiness wakes the node, and not before the mutex is free: a waker may run anything.
trait WakeNode {
    fn wake_node(self);
}

impl<S: StateMachine> WakeNode for MutexGuard<'_, Inner<S>> {
    fn wake_node(mut self) {
        let node = self.node.take();
        self.is_watched.store(false, Ordering::Release);
        drop(self);
        if let Some(node) = node {
            node.wake();
        }
        busy_poll::stir();
    }
}

/// What was in the queue.
#[derive(Default)]
pub(crate) struct Drained {
    /// One for each caller of `writes`.
    pub(crate) commands: Vec<Command>,
    pub(crate) buffer: Bytes,
    pub(crate) writes: Option<Waiting>,
    pub(crate) reads: Option<Waiting>,
    pub(crate) lease_reads: Option<Waiting>,
    pub(crate) local_reads: Option<Waiting>,
    pub(crate) closed: bool,
}

/// The queue without its types, for the node's side.
pub(crate) trait AnyQueue: Send + Sync {
    /// Takes all there is. If that is nothing, and with `cx`: wakes that task at the next push.
    /// `spare` is an empty list whose allocation is reused.
    fn drain(&self, spare: Vec<Command>, cx: Option<&mut Context<'_>>) -> Drained;
    /// Whether the task that found the queue empty will yet be woken by the next push.
    fn is_watched(&self) -> bool;
    /// Refuses all later callers; `false` if it did already.
    fn close(&self, failure: Failure) -> bool;
    /// When the first caller in here gives up.
    fn earliest_deadline(&self) -> Time;
    /// Takes room for callers at another node.
    fn admit(&self, amount: Amount) -> Result<Permit, Failure>;
    /// Whether these bytes are a command of this machine, and none that is too large.
    fn is_command(&self, bytes: &[u8]) -> bool;
}

impl<S: StateMachine> AnyQueue for Queue<S> {
    fn drain(&self, spare: Vec<Command>, cx: Option<&mut Context<'_>>) -> Drained {
        let mut guard = self.lock();
        let inner = &mut *guard;
        let drained = Drained {
            writes: inner.writes.take(&inner.admission),
            commands: mem::replace(&mut inner.commands, spare),
            buffer: inner.buffer.split().freeze(),
            reads: inner.reads.take(&inner.admission),
            lease_reads: inner.lease_reads.take(&inner.admission),
            local_reads: inner.local_reads.take(&inner.admission),
            closed: inner.closed.is_some(),
        };
        let lanes = [&drained.writes, &drained.reads, &drained.lease_reads, &drained.local_reads];
        let empty = lanes.into_iter().all(Option::is_none);
        if let Some(cx) = cx
            && empty
        {
            match &mut inner.node {
                Some(node) => node.clone_from(cx.waker()),
                None => inner.node = Some(cx.waker().clone()),
            }
            inner.is_watched.store(true, Ordering::Release);
        }
        drained
    }

    fn is_watched(&self) -> bool {
        self.is_watched.load(Ordering::Acquire)
    }

    fn close(&self, failure: Failure) -> bool {
        let mut inner = self.lock();
        let first = inner.closed.is_none();
        if first {
            inner.closed = Some(failure);
        }
        inner.wake_node();
        first
    }

    fn earliest_deadline(&self) -> Time {
        let inner = self.lock();
        let reads = [&inner.reads, &inner.lease_reads, &inner.local_reads].map(Lane::earliest_deadline);
        reads.into_iter().fold(inner.writes.earliest_deadline(), Time::min)
    }

    fn admit(&self, amount: Amount) -> Result<Permit, Failure> {
        let mut inner = self.lock();
        inner.admit(amount)?;
        Ok(inner.admission.permit(amount))
    }

    fn is_command(&self, bytes: &[u8]) -> bool {
        let decodes = |command| decode::<S::Command>(command).is_ok();
        let is_one = || command::parse(bytes).is_some_and(|framed| framed.command.is_none_or(decodes));
        bytes.len() as u64 <= self.limits.largest_command() && is_one()
    }
}
