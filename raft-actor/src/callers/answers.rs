//! The right to answer callers, for the state machine's actor.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::Failure;
use super::codec::{decode, encode_to_bytes};
use super::handed_out::HandedOut;
use super::request::Request;
use super::segment::{AnyPage, Callers, Segment};
use super::slots::Page;
use crate::envelope::ForwardError;

/// Answers for callers at another node are handed over in messages of at most so many.
const REMOTE_ANSWERS_MAX: usize = 256;
/// And when they come to so many bytes: a message that no transport takes would leave all of them unanswered.
const REMOTE_ANSWERS_BYTES_MAX: usize = 1 << 20;

/// The right to answer the callers of a [`Waiting`](super::Waiting), one after the other, once.
///
/// It may be used on another thread than the node's, which keeps the right to
/// fail them meanwhile (deadlines): who comes first wins. Dropped too early, it
/// fails those that are left, so that the end of the state machine's actor
/// leaves nobody waiting.
pub(crate) struct Answers {
    /// Those not answered yet.
    segments: VecDeque<Segment>,
    /// Outcomes for callers at another node, just before the first segment, not handed over yet.
    remote: Vec<Result<Bytes, ForwardError>>,
    /// Their bytes.
    remote_bytes: usize,
    shared: Arc<HandedOut>,
}

impl Answers {
    pub(crate) fn new(segments: VecDeque<Segment>, shared: Arc<HandedOut>) -> Self {
        let mut answers = Self { segments, remote: Vec::new(), remote_bytes: 0, shared };
        answers.segments.retain(|segment| segment.len() > 0);
        if answers.is_empty() {
            answers.shared.finish();
        }
        answers
    }

    /// How many callers are left to answer.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.segments.iter().map(Segment::len).sum()
    }

    /// Whether all were answered.
    pub(crate) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// What the next caller asks. `None`: it does not wait any more, or asked nonsense and was told; go on with
    /// [`skip`](Answers::skip).
    pub(crate) fn input<R: Request>(&mut self) -> Option<R::Input> {
        let segment = self.segments.front()?;
        match &segment.callers {
            Callers::Local(page) => typed::<R>(page)?.take_input(segment.start),
            Callers::Remote(page) => match decode(&page.request(segment.start)?) {
                Ok(input) => Some(input),
                Err(error) => {
                    tracing::debug!(%error, "a forwarded query cannot be decoded");
                    page.fail(segment.start, segment.start + 1, ForwardError::BadRequest);
                    None
                }
            },
            Callers::Gone => None,
        }
    }

    /// Answers the next caller.
    pub(crate) fn answer<R: Request>(&mut self, output: R::Output) {
        let Some(segment) = self.segments.front() else {
            return;
        };
        match &segment.callers {
            Callers::Local(page) => match typed::<R>(page) {
                Some(page) => page.settle(segment.start, || Ok(output)),
                None => segment.fail_one(segment.start, &Failure::Unknown),
            },
            Callers::Remote(_) => return self.answer_encoded(encode_to_bytes(&output)),
            Callers::Gone => {}
        }
        self.advance();
    }

    /// Answers the next caller with bytes of the framework's own; only callers elsewhere ask for what those answer.
    pub(crate) fn answer_encoded(&mut self, answer: Result<Bytes, rmp_serde::encode::Error>) {
        let Some(segment) = self.segments.front() else {
            return;
        };
        match &segment.callers {
            Callers::Local(_) => segment.fail_one(segment.start, &Failure::Unknown),
            Callers::Remote(_) => {
                let answer = answer.map_err(|error| {
                    tracing::warn!(%error, "an answer cannot be encoded");
                    ForwardError::Unknown
                });
                self.remote_bytes += answer.as_ref().map_or(0, Bytes::len);
                self.remote.push(answer);
            }
            Callers::Gone => {}
        }
        self.advance();
    }

    /// Fails the next caller.
    pub(crate) fn fail_next(&mut self, failure: &Failure) {
        let Some(segment) = self.segments.front() else {
            return;
        };
        match &segment.callers {
            Callers::Local(_) => segment.fail_one(segment.start, failure),
            Callers::Remote(_) => self.remote.push(Err(failure.to_wire())),
            Callers::Gone => {}
        }
        self.advance();
    }

    /// Passes over the next caller, who does not wait any more.
    pub(crate) fn skip(&mut self) {
        // Harmless if it does wait after all: somebody has to tell it something.
        self.fail_next(&Failure::Unknown);
    }

    /// Fails all that are left.
    pub(crate) fn fail(mut self, failure: &Failure) {
        self.fail_rest(failure);
    }

    fn fail_rest(&mut self, failure: &Failure) {
        self.hand_over();
        for segment in self.segments.drain(..) {
            segment.fail(failure);
        }
        self.shared.finish();
    }

    /// The front caller is done with.
    fn advance(&mut self) {
        let Some(segment) = self.segments.front_mut() else {
            return;
        };
        segment.start += 1;
        let is_full = self.remote.len() >= REMOTE_ANSWERS_MAX || self.remote_bytes >= REMOTE_ANSWERS_BYTES_MAX;
        if segment.len() > 0 && !is_full {
            return;
        }
        self.hand_over();
        if self.segments.front().is_some_and(|segment| segment.len() == 0) {
            self.segments.pop_front();
        }
        if self.segments.is_empty() {
            self.shared.finish();
        }
    }

    /// Sends off what was collected for callers at another node, all of the front segment.
    fn hand_over(&mut self) {
        let outcomes = std::mem::take(&mut self.remote);
        self.remote_bytes = 0;
        if let Some(segment) = self.segments.front()
            && let Callers::Remote(page) = &segment.callers
            && !outcomes.is_empty()
        {
            page.settle(segment.start - outcomes.len(), outcomes);
        }
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        if !self.segments.is_empty() {
            self.fail_rest(&Failure::lost("state machine", true));
        }
    }
}

/// The page with its types. A page of another machine cannot get here: queue and actor are made together.
fn typed<R: Request>(page: &Arc<dyn AnyPage>) -> Option<&Page<R>> {
    let page: &dyn std::any::Any = &**page;
    let page = page.downcast_ref();
    debug_assert!(page.is_some(), "answers of one state machine's actor belong to its own queue");
    page
}
