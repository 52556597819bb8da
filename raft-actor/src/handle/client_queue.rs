//! The node's side of the client queue.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use raft_consensus::Time;

use super::queue::{AnyQueue, Command};
use crate::callers::Failure;
use crate::callers::Outlet;
use crate::callers::Waiting;
use crate::callers::permits::Amount;
use crate::envelope::{Forward, ForwardKind};

/// Most writes handed out in one poll: the node stays responsive, and a batch stays a reasonable piece of the log.
const BATCH_WRITES_MAX: usize = 16_384;
/// Most bytes of commands handed out in one poll; a single larger command comes alone.
const BATCH_BYTES_MAX: usize = 8 << 20;

/// The node's side of the client queue; it knows no types.
///
/// Dropping it closes the queue: nobody is left waiting for a node that is gone.
pub(crate) struct ClientQueue {
    queue: Arc<dyn AnyQueue>,
    /// Out of the callers' mutex, not with the node yet. Only the node's side locks this.
    staged: Mutex<Staged>,
}

#[derive(Default)]
struct Staged {
    batch: ClientBatch,
    /// An empty list with an allocation, swapped in at the next drain.
    spare: Vec<Command>,
}

/// What clients want from the node.
#[derive(Default)]
pub(crate) struct ClientBatch {
    /// Commands to replicate.
    pub(crate) writes: Option<WriteBatch>,
    /// Callers who want to read linearizably.
    pub(crate) reads: Option<Waiting>,
    /// Callers who want the same, by the leader's lease if it has one.
    pub(crate) lease_reads: Option<Waiting>,
    /// Callers who are content with the state as it is here.
    pub(crate) local_reads: Option<Waiting>,
}

/// Commands and their callers: as many of the ones as of the others, in the same order.
pub(crate) struct WriteBatch {
    /// The encoded commands.
    pub(crate) commands: Vec<Bytes>,
    /// Who waits for their responses.
    pub(crate) waiting: Waiting,
}

impl ClientQueue {
    pub(crate) fn new(queue: Arc<dyn AnyQueue>) -> Self {
        Self { queue, staged: Mutex::default() }
    }

    /// The next batch. `None`: closed, and nothing is left. Pending: empty; the next push wakes the task.
    ///
    /// Take one batch per poll of the actor's stream and wake yourself, so that timers stay punctual under load.
    pub(crate) fn poll_batch(&self, cx: &mut Context<'_>) -> Poll<Option<ClientBatch>> {
        let mut staged = self.staged();
        let mut closed = false;
        if staged.batch.is_empty() {
            closed = self.stage(&mut staged, Some(cx));
        }
        if staged.batch.is_empty() {
            return if closed { Poll::Ready(None) } else { Poll::Pending };
        }
        let writes = staged.batch.writes.take().map(|writes| {
            let (now, later) = writes.limited();
            staged.batch.writes = later;
            now
        });
        Poll::Ready(Some(ClientBatch {
            writes,
            reads: staged.batch.reads.take(),
            lease_reads: staged.batch.lease_reads.take(),
            local_reads: staged.batch.local_reads.take(),
        }))
    }

    /// Whether there is another batch, or the queue is closed. If not, the next push wakes the task.
    pub(crate) fn has_more(&self, cx: &mut Context<'_>) -> bool {
        let mut staged = self.staged();
        !staged.batch.is_empty() || self.stage(&mut staged, Some(cx)) || !staged.batch.is_empty()
    }

    /// Whether [`poll_batch`](ClientQueue::poll_batch) has found nothing, and whoever polled then will yet be woken.
    pub(crate) fn is_watched(&self) -> bool {
        self.queue.is_watched()
    }

    /// Closes the queue: later callers are refused with `failure` at once, and so are those
    /// in line. Say in it that nothing was applied; of those nothing was.
    pub(crate) fn close(&self, failure: Failure) {
        self.queue.close(failure.clone());
        let mut staged = self.staged();
        self.stage(&mut staged, None);
        let batch = mem::take(&mut staged.batch);
        drop(staged);
        batch.fail(&failure);
    }

    /// Fails those in line whose deadline has passed, and takes them and their commands out of the
    /// line: they are told that nothing was applied, so nothing may be.
    pub(crate) fn expire(&self, now: Time) {
        if self.earliest_deadline() > now {
            return;
        }
        let mut staged = self.staged();
        self.stage(&mut staged, None);
        let batch = mem::take(&mut staged.batch);
        drop(staged); // the callers' wakers may do anything
        let mut left = batch.expire_out(now, &Failure::TimedOut { maybe_applied: false });
        let mut staged = self.staged();
        left.append(mem::take(&mut staged.batch));
        staged.batch = left;
    }

    /// When to call [`expire`](ClientQueue::expire).
    pub(crate) fn earliest_deadline(&self) -> Time {
        let staged = self.staged().batch.waiting_mut().map(|waiting| waiting.earliest_deadline()).min();
        self.queue.earliest_deadline().min(staged.unwrap_or(Time::NEVER))
    }

    /// Takes in requests that another node forwarded, as if they had come from here. What their
    /// callers are to be told goes to `outlet`; also at once, for those that are not taken in.
    pub(crate) fn accept_forward(&self, forward: Forward, now: Time, outlet: Outlet) -> ClientBatch {
        if forward.requests.is_empty() {
            return ClientBatch::default();
        }
        let deadline = now.after(std::time::Duration::from_millis(u64::from(forward.timeout_ms)));
        let amount = Amount {
            requests: forward.requests.len() as u64,
            bytes: forward.requests.iter().map(|request| request.len() as u64).sum(),
        };
        let sizes = forward.requests.iter().map(|request| request.len() as u64).collect();
        let permit = self.queue.admit(amount);
        let mut batch = ClientBatch::default();
        match forward.kind {
            kind @ (ForwardKind::Read | ForwardKind::LeaseRead | ForwardKind::ReadLocal) => {
                let waiting = Waiting::remote(forward.id, 0, deadline, forward.requests, outlet);
                let place = match kind {
                    ForwardKind::LeaseRead => &mut batch.lease_reads,
                    ForwardKind::ReadLocal => &mut batch.local_reads,
                    ForwardKind::Read | ForwardKind::Write | ForwardKind::Membership | ForwardKind::Transfer => {
                        &mut batch.reads
                    }
                };
                match permit {
                    Ok(permit) => *place = Some(waiting.holding(permit)),
                    Err(failure) => waiting.fail(failure),
                }
            }
            ForwardKind::Write => {
                let nothing = vec![Bytes::new(); forward.requests.len()];
                let waiting = Waiting::remote_sized(forward.id, 0, deadline, nothing, sizes, outlet);
                match permit {
                    Ok(permit) => batch.writes = self.only_commands(forward.requests, waiting.holding(permit)),
                    Err(failure) => waiting.fail(failure),
                }
            }
            // Nothing that would wait in a queue.
            ForwardKind::Membership | ForwardKind::Transfer => {
                Waiting::remote(forward.id, 0, deadline, forward.requests, outlet).fail(Failure::BadRequest);
            }
        }
        batch
    }

    /// Refuses what does not decode: once committed, it would stop every member's state machine.
    fn only_commands(&self, requests: Vec<Bytes>, mut waiting: Waiting) -> Option<WriteBatch> {
        let mut accepted = ClientBatch::default();
        let mut commands = Vec::with_capacity(requests.len());
        let mut accept = |commands: &mut Vec<Bytes>, waiting: &mut Waiting| {
            if !commands.is_empty() {
                let run = WriteBatch { waiting: waiting.split_to(commands.len()), commands: mem::take(commands) };
                accepted.append(ClientBatch { writes: Some(run), ..ClientBatch::default() });
            }
        };
        for request in requests {
            if self.queue.is_command(&request) {
                commands.push(request);
                continue;
            }
            accept(&mut commands, &mut waiting);
            waiting.split_to(1).fail(Failure::BadRequest);
        }
        accept(&mut commands, &mut waiting);
        accepted.writes
    }

    /// Moves all that is in the callers' mutex behind what is staged. Whether the queue is closed.
    fn stage(&self, staged: &mut Staged, cx: Option<&mut Context<'_>>) -> bool {
        let mut drained = self.queue.drain(mem::take(&mut staged.spare), cx);
        let writes = drained.writes.map(|waiting| {
            let mut buffer = drained.buffer;
            let commands = drained.commands.drain(..).map(|command| match command {
                Command::Shared(bytes) => buffer.split_to(bytes),
                Command::Own(bytes) => bytes,
            });
            WriteBatch { commands: commands.collect(), waiting }
        });
        staged.spare = drained.commands;
        staged.batch.append(ClientBatch {
            writes,
            reads: drained.reads,
            lease_reads: drained.lease_reads,
            local_reads: drained.local_reads,
        });
        drained.closed
    }

    fn staged(&self) -> MutexGuard<'_, Staged> {
        self.staged.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ClientQueue {
    fn drop(&mut self) {
        self.close(Failure::lost("node", false));
    }
}

impl ClientBatch {
    /// Whether nobody wants anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.writes.is_none() && self.reads.is_none() && self.lease_reads.is_none() && self.local_reads.is_none()
    }

    fn append(&mut self, more: Self) {
        match (&mut self.writes, more.writes) {
            (Some(writes), Some(more)) => writes.append(more),
            (writes @ None, more) => *writes = more,
            (Some(_), None) => {}
        }
        append(&mut self.reads, more.reads);
        append(&mut self.lease_reads, more.lease_reads);
        append(&mut self.local_reads, more.local_reads);
    }

    fn waiting_mut(&mut self) -> impl Iterator<Item = &mut Waiting> {
        let writes = self.writes.as_mut().map(|writes| &mut writes.waiting);
        writes.into_iter().chain(&mut self.reads).chain(&mut self.lease_reads).chain(&mut self.local_reads)
    }

    /// Without those whose deadline has passed.
    fn expire_out(self, now: Time, failure: &Failure) -> Self {
        let reads = |waiting: Waiting| {
            let mut left = None;
            waiting.expire_out(now, failure).into_iter().for_each(|(_, run)| append(&mut left, Some(run)));
            left
        };
        Self {
            writes: self.writes.and_then(|writes| writes.expire_out(now, failure)),
            reads: self.reads.and_then(reads),
            lease_reads: self.lease_reads.and_then(reads),
            local_reads: self.local_reads.and_then(reads),
        }
    }

    fn fail(self, failure: &Failure) {
        let writes = self.writes.map(|writes| writes.waiting);
        for waiting in writes.into_iter().chain(self.reads).chain(self.lease_reads).chain(self.local_reads) {
            waiting.fail(failure.clone());
        }
    }
}

fn append(waiting: &mut Option<Waiting>, more: Option<Waiting>) {
    match (waiting, more) {
        (Some(waiting), Some(more)) => waiting.append(more),
        (waiting @ None, more) => *waiting = more,
        (Some(_), None) => {}
    }
}

impl WriteBatch {
    fn append(&mut self, mut more: Self) {
        self.commands.append(&mut more.commands);
        self.waiting.append(more.waiting);
    }

    /// Fails the callers whose deadline has passed, and takes their commands out with them. Only that
    /// way may somebody who gives up be told that nothing was applied.
    pub(crate) fn expire_out(self, now: Time, failure: &Failure) -> Option<Self> {
        let Self { mut commands, waiting } = self;
        let mut runs = Vec::new();
        // From behind, so that the places in front stay what they are.
        for (first, waiting) in waiting.expire_out(now, failure).into_iter().rev() {
            commands.truncate(first + waiting.len());
            runs.push(Self { commands: commands.split_off(first), waiting });
        }
        let mut left = runs.pop()?;
        runs.into_iter().rev().for_each(|run| left.append(run));
        Some(left)
    }

    /// As much as one poll may hand out, and the rest.
    fn limited(mut self) -> (Self, Option<Self>) {
        let mut bytes = 0;
        let fit = self.commands.iter().take(BATCH_WRITES_MAX).take_while(|command| {
            bytes += command.len();
            bytes <= BATCH_BYTES_MAX
        });
        let n = fit.count().max(1);
        if n >= self.commands.len() {
            return (self, None);
        }
        let later = self.commands.split_off(n);
        let first = self.waiting.split_to(n);
        (Self { commands: self.commands, waiting: first }, Some(Self { commands: later, waiting: self.waiting }))
    }
}
