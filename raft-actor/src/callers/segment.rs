//! Callers behind one face: those who wait here, and those who wait at another node.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use raft_consensus::Time;

use super::Failure;
use super::codec::{decode, encode_to_bytes};
use super::request::Request;
use super::slots::Page;
use crate::envelope::{ForwardError, ForwardReply};

/// A page of slots, for those who do not know its type: the node.
pub(crate) trait AnyPage: Any + Send + Sync {
    /// Fails those of `start..end` that are open.
    fn fail(&self, start: usize, end: usize, failure: &Failure);
    /// Fails those of `start..end` whose deadline has passed, and adds their indexes to `expired`; the earliest
    /// deadline of the others.
    fn expire(&self, start: usize, end: usize, now: Time, failure: &Failure, expired: &mut Vec<usize>) -> Time;
    /// Bytes that `start..end` take.
    fn bytes(&self, start: usize, end: usize) -> u64;
    /// Encodes what `start..end` ask. Of those who do not wait any more: nothing, as an empty slice.
    fn encode_inputs(&self, start: usize, end: usize, out: &mut Vec<Bytes>);
    /// Settles a slot with an answer that came encoded from another node.
    fn settle_encoded(&self, index: usize, answer: &[u8]);
}

impl<R: Request> AnyPage for Page<R> {
    fn fail(&self, start: usize, end: usize, failure: &Failure) {
        for index in start..end {
            self.settle(index, || Err(failure.clone().into()));
        }
    }

    fn expire(&self, start: usize, end: usize, now: Time, failure: &Failure, expired: &mut Vec<usize>) -> Time {
        let mut earliest = Time::NEVER;
        for index in start..end {
            match Page::expire(self, index, now, || Err(failure.clone().into())) {
                Ok(()) => expired.push(index),
                Err(deadline) => earliest = earliest.min(deadline),
            }
        }
        earliest
    }

    fn bytes(&self, start: usize, end: usize) -> u64 {
        Page::bytes(self, start, end)
    }

    fn encode_inputs(&self, start: usize, end: usize, out: &mut Vec<Bytes>) {
        for index in start..end {
            // Taken out for the encoding, which is the user's code and must not run under the slot's lock.
            let Some(input) = self.take_input(index) else {
                out.push(Bytes::new());
                continue;
            };
            match encode_to_bytes(&input) {
                Ok(encoded) => {
                    self.return_input(index, input);
                    out.push(encoded);
                }
                Err(error) => {
                    tracing::warn!(%error, "a query cannot be encoded");
                    self.fail(index, index + 1, &Failure::BadRequest);
                    out.push(Bytes::new());
                }
            }
        }
    }

    fn settle_encoded(&self, index: usize, answer: &[u8]) {
        let outcome = match decode::<R::Output>(answer) {
            Ok(output) => Ok(output),
            Err(error) => {
                // It was done, only the words for its outcome are not known here.
                tracing::warn!(%error, "an answer from the leader cannot be decoded; do all members run the same build?");
                Err(Failure::Unknown.into())
            }
        };
        self.settle(index, || outcome);
    }
}

/// Where the answers for callers at another node are handed over; must not block.
pub(crate) type Outlet = Arc<dyn Fn(ForwardReply) + Send + Sync>;

/// The callers of one [`Forward`](crate::envelope::Forward), as the node that serves it sees them.
/// The counterpart of a page: settled exactly once each, by whoever comes first.
pub(crate) struct RemotePage {
    forward_id: u64,
    /// Number of the first caller within the Forward.
    first: u32,
    bytes_through: Vec<u64>,
    /// What each asks, until the state machine takes it (reads) or for good (writes: nothing). `None`: settled.
    open: Mutex<Vec<Option<Bytes>>>,
    outlet: Outlet,
}

impl RemotePage {
    pub(crate) fn new(
        forward_id: u64,
        first: u32,
        requests: Vec<Bytes>,
        bytes_each: impl Iterator<Item = u64>,
        outlet: Outlet,
    ) -> Self {
        let bytes_through = bytes_each
            .scan(0, |sum, bytes| {
                *sum += bytes;
                Some(*sum)
            })
            .collect();
        Self { forward_id, first, bytes_through, open: Mutex::new(requests.into_iter().map(Some).collect()), outlet }
    }

    pub(crate) fn bytes(&self, start: usize, end: usize) -> u64 {
        let before = |index: usize| index.checked_sub(1).map_or(0, |before| self.bytes_through[before]);
        before(end) - before(start)
    }

    /// The encoded request, if it is still open.
    pub(crate) fn request(&self, index: usize) -> Option<Bytes> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)[index].clone()
    }

    /// Fails those of `start..end` that are open.
    pub(crate) fn fail(&self, start: usize, end: usize, error: ForwardError) {
        self.settle(start, (start..end).map(|_| Err(error)).collect());
    }

    /// Settles the callers from `start` on, those that are open: one message per run of them.
    pub(crate) fn settle(&self, start: usize, outcomes: Vec<Result<Bytes, ForwardError>>) {
        let mut replies = Vec::with_capacity(1);
        {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            let mut run: Option<ForwardReply> = None;
            for (index, outcome) in (start..).zip(outcomes) {
                if open[index].take().is_none() {
                    replies.extend(run.take());
                    continue;
                }
                run.get_or_insert_with(|| ForwardReply {
                    id: self.forward_id,
                    first: self.first.saturating_add(u32::try_from(index).unwrap_or(u32::MAX)),
                    outcomes: Vec::new(),
                })
                .outcomes
                .push(outcome);
            }
            replies.extend(run);
        }
        for reply in replies {
            (self.outlet)(reply);
        }
    }
}

/// Whoever a range of slots belongs to.
#[derive(Clone)]
pub(crate) enum Callers {
    Local(Arc<dyn AnyPage>),
    Remote(Arc<RemotePage>),
    /// Taken out by [`Waiting::take_out`](super::waiting::Waiting::take_out); they only keep the numbering.
    Gone,
}

/// Consecutive slots of one page.
#[derive(Clone)]
pub(crate) struct Segment {
    pub(crate) callers: Callers,
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// No deadline in here is earlier; it may belong to somebody already settled.
    pub(crate) earliest: Time,
    /// No deadline in here is later.
    pub(crate) latest: Time,
}

impl Segment {
    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }

    pub(crate) fn bytes(&self) -> u64 {
        match &self.callers {
            Callers::Local(page) => page.bytes(self.start, self.end),
            Callers::Remote(page) => page.bytes(self.start, self.end),
            Callers::Gone => 0,
        }
    }

    pub(crate) fn is_gone(&self) -> bool {
        match self.callers {
            Callers::Gone => true,
            Callers::Local(_) | Callers::Remote(_) => false,
        }
    }

    pub(crate) fn fail(&self, failure: &Failure) {
        match &self.callers {
            Callers::Local(page) => page.fail(self.start, self.end, failure),
            Callers::Remote(page) => page.fail(self.start, self.end, failure.to_wire()),
            Callers::Gone => {}
        }
    }

    /// Fails one of them.
    pub(crate) fn fail_one(&self, index: usize, failure: &Failure) {
        match &self.callers {
            Callers::Local(page) => page.fail(index, index + 1, failure),
            Callers::Remote(page) => page.fail(index, index + 1, failure.to_wire()),
            Callers::Gone => {}
        }
    }

    /// Fails those whose deadline has passed; their places, counted from the first of the segment.
    pub(crate) fn expire(&mut self, now: Time, failure: &Failure) -> Vec<usize> {
        let mut expired = Vec::new();
        if self.earliest > now {
            return expired;
        }
        self.earliest = match &self.callers {
            Callers::Local(page) => page.expire(self.start, self.end, now, failure, &mut expired),
            // All of a Forward share a deadline.
            Callers::Remote(page) => {
                page.fail(self.start, self.end, failure.to_wire());
                expired.extend(self.start..self.end);
                Time::NEVER
            }
            Callers::Gone => Time::NEVER,
        };
        expired.iter_mut().for_each(|index| *index -= self.start);
        expired
    }

    /// Settles one of them with an encoded answer from another node.
    pub(crate) fn settle_encoded(&self, index: usize, answer: Bytes) {
        match &self.callers {
            Callers::Local(page) => page.settle_encoded(index, &answer),
            Callers::Remote(page) => page.settle(index, vec![Ok(answer)]),
            Callers::Gone => {}
        }
    }

    /// Splits off the first `n`.
    pub(crate) fn split_to(&mut self, n: usize) -> Self {
        let first = Self { end: self.start + n, ..self.clone() };
        self.start += n;
        first
    }
}
