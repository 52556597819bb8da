//! Callers that wait, as the node holds them.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use raft_consensus::{NodeId, Time};

use super::Failure;
use super::answers::Answers;
use super::handed_out::HandedOut;
use super::permits::{Amount, Permit};
use super::segment::{Callers, Outlet, RemotePage, Segment};
use crate::envelope::ForwardError;

/// Consecutive callers that wait for an answer; the node's responsibility for them.
///
/// It knows no types. Its callers wait in this process, or at the node that
/// forwarded their requests. When it is dropped, all who have no answer yet get
/// `NodeStopped`, so that nobody can be forgotten; and the room they took in the
/// queue is given back.
pub(crate) struct Waiting {
    segments: VecDeque<Segment>,
    permit: Held,
}

/// The room these callers take. Once the state machine's actor may answer them, the one who ends first gives it back.
enum Held {
    None,
    Own(Permit),
    Shared(Arc<HandedOut>),
}

/// What became of callers whose answers came from another node.
#[derive(Default)]
pub(crate) struct Forwarded {
    /// Those that were certainly not appended there, with the offset of the first of each run. Try them again.
    pub(crate) retry: Vec<(usize, Waiting)>,
    /// Who leads, if the other node knows better than we did.
    pub(crate) leader: Option<NodeId>,
}

impl Waiting {
    pub(crate) fn new(segments: VecDeque<Segment>, permit: Permit) -> Self {
        Self { segments, permit: Held::Own(permit) }
    }

    /// Callers at another node: the serving side of a Forward. `requests` are the
    /// queries of reads; for writes, whose commands go their own way, one empty slice for each.
    /// What they are told goes to `outlet`.
    pub(crate) fn remote(forward_id: u64, first: u32, deadline: Time, requests: Vec<Bytes>, outlet: Outlet) -> Self {
        let sizes = requests.iter().map(|request| request.len() as u64).collect();
        Self::remote_sized(forward_id, first, deadline, requests, sizes, outlet)
    }

    /// Like [`remote`](Waiting::remote), of requests that take these many bytes each, wherever they are.
    pub(crate) fn remote_sized(
        forward_id: u64,
        first: u32,
        deadline: Time,
        requests: Vec<Bytes>,
        sizes: Vec<u64>,
        outlet: Outlet,
    ) -> Self {
        let end = requests.len();
        let page = Arc::new(RemotePage::new(forward_id, first, requests, sizes.into_iter(), outlet));
        let callers = Callers::Remote(page);
        let segment = Segment { callers, start: 0, end, earliest: deadline, latest: deadline };
        Self { segments: VecDeque::from([segment]), permit: Held::None }
    }

    /// These callers, taking this much room.
    pub(crate) fn holding(mut self, permit: Permit) -> Self {
        self.permit = Held::Own(permit);
        self
    }

    /// How many places; fixed, whatever becomes of the callers in them.
    pub(crate) fn len(&self) -> usize {
        self.segments.iter().map(Segment::len).sum()
    }

    /// Whether nobody is in here: not one place, or all callers taken out.
    pub(crate) fn is_empty(&self) -> bool {
        self.segments.iter().all(|segment| segment.is_gone() || segment.len() == 0)
    }

    /// Whether these wait at another node: what they want came in a Forward, and is never forwarded again.
    pub(crate) fn is_remote(&self) -> bool {
        self.segments.iter().any(|segment| match segment.callers {
            Callers::Remote(_) => true,
            Callers::Local(_) | Callers::Gone => false,
        })
    }

    /// Splits off the first `n` callers.
    ///
    /// # Panics
    /// If there are fewer.
    pub(crate) fn split_to(&mut self, n: usize) -> Self {
        let mut first = VecDeque::new();
        let mut missing = n;
        while missing > 0 {
            let segment = self.segments.front_mut().expect("no more callers are split off than there are");
            if segment.len() > missing {
                first.push_back(segment.split_to(missing));
                break;
            }
            missing -= segment.len();
            first.extend(self.segments.pop_front());
        }
        let permit = self.permit.split(&first);
        Self { segments: first, permit }
    }

    /// Takes the callers at these places out, leaving the places empty, so that the others keep their numbers.
    fn take_out(&mut self, range: Range<usize>) -> Self {
        let before = self.split_to(range.start);
        let taken = self.split_to(range.len());
        let gap =
            Segment { callers: Callers::Gone, start: 0, end: range.len(), earliest: Time::NEVER, latest: Time::ZERO };
        let after = std::mem::replace(self, before);
        self.segments.push_back(gap);
        self.append(after);
        taken
    }

    /// Fails all who have no answer yet.
    pub(crate) fn fail(mut self, failure: Failure) {
        self.fail_all(&failure);
    }

    fn fail_all(&mut self, failure: &Failure) {
        for segment in self.segments.drain(..) {
            segment.fail(failure);
        }
    }

    /// Fails those whose deadline has passed. They keep their places.
    pub(crate) fn expire(&mut self, now: Time, failure: Failure) {
        self.expire_places(now, &failure);
    }

    /// Like [`expire`](Waiting::expire), but those who expired leave. What is left: runs of callers
    /// who still wait, with the place of the first of each.
    pub(crate) fn expire_out(mut self, now: Time, failure: &Failure) -> Vec<(usize, Self)> {
        let len = self.len();
        let mut kept = Vec::new();
        let mut from = 0;
        for place in self.expire_places(now, failure) {
            kept.push(from..place);
            from = place + 1;
        }
        kept.push(from..len);
        kept.retain(|run| !run.is_empty());
        self.only(kept).collect()
    }

    /// Fails those whose deadline has passed; their places, in ascending order.
    fn expire_places(&mut self, now: Time, failure: &Failure) -> Vec<usize> {
        let mut places = Vec::new();
        let mut first = 0;
        for segment in &mut self.segments {
            places.extend(segment.expire(now, failure).into_iter().map(|place| first + place));
            first += segment.len();
        }
        places
    }

    /// When to call [`expire`](Waiting::expire): never too late, possibly for nothing.
    pub(crate) fn earliest_deadline(&self) -> Time {
        self.segments.iter().map(|segment| segment.earliest).min().unwrap_or(Time::NEVER)
    }

    /// The time after which nobody in here waits any more.
    pub(crate) fn latest_deadline(&self) -> Time {
        self.segments.iter().map(|segment| segment.latest).max().unwrap_or(Time::ZERO)
    }

    /// The right to answer these callers, for the state machine's actor. From here on they must not be split.
    pub(crate) fn answers(&mut self) -> Answers {
        let shared = match std::mem::replace(&mut self.permit, Held::None) {
            Held::None => Arc::new(HandedOut::default()),
            Held::Own(permit) => Arc::new(HandedOut::holding(permit)),
            Held::Shared(shared) => shared,
        };
        self.permit = Held::Shared(Arc::clone(&shared));
        Answers::new(self.segments.clone(), shared)
    }

    /// Whether whoever got the [`answers`](Waiting::answers) has answered all: nothing is left to do but
    /// [`complete`](Waiting::complete).
    pub(crate) fn is_answered(&self) -> bool {
        match &self.permit {
            Held::None | Held::Own(_) => false,
            Held::Shared(shared) => shared.is_finished(),
        }
    }

    /// All were answered: gives their room back without looking at each.
    pub(crate) fn complete(mut self) {
        self.segments.clear();
    }

    /// What these callers ask, encoded, to be forwarded: for reads. Of those who do not wait any
    /// more an empty slice, which no receiver understands and nobody misses.
    pub(crate) fn encoded_requests(&self) -> Vec<Bytes> {
        let mut out = Vec::with_capacity(self.len());
        for segment in &self.segments {
            match &segment.callers {
                Callers::Local(page) => page.encode_inputs(segment.start, segment.end, &mut out),
                // A forwarded request is never forwarded again.
                Callers::Remote(_) | Callers::Gone => out.extend((0..segment.len()).map(|_| Bytes::new())),
            }
        }
        out
    }

    /// The origin's side of a forward: outcomes for the callers from place `first` on. Those that
    /// are answered for good leave their places; see [`is_empty`](Waiting::is_empty). Repeated,
    /// late and impossible outcomes find nobody and do nothing.
    pub(crate) fn answer_encoded(&mut self, first: usize, outcomes: Vec<Result<Bytes, ForwardError>>) -> Forwarded {
        let mut forwarded = Forwarded::default();
        let end = first.saturating_add(outcomes.len()).min(self.len());
        if first >= end {
            return forwarded;
        }
        let part = self.take_out(first..end);
        let mut again: Vec<Range<usize>> = Vec::new();
        let places = part.segments.iter().flat_map(|segment| (segment.start..segment.end).map(move |at| (segment, at)));
        for (place, ((segment, at), outcome)) in places.zip(outcomes).enumerate() {
            if let Err(ForwardError::NotLeader { leader: Some(leader) }) = outcome {
                forwarded.leader = Some(leader);
            }
            match outcome {
                Ok(answer) => segment.settle_encoded(at, answer),
                Err(error) => match Failure::from_wire(error) {
                    Some(failure) => segment.fail_one(at, &failure),
                    None => match again.last_mut() {
                        Some(run) if run.end == place => run.end += 1,
                        Some(_) | None => again.push(place..place + 1),
                    },
                },
            }
        }
        forwarded.retry = part.only(again).map(|(place, waiting)| (first + place, waiting)).collect();
        forwarded
    }

    /// Keeps the callers at these places, each run as a Waiting of its own; all others have been answered.
    fn only(mut self, places: Vec<Range<usize>>) -> impl Iterator<Item = (usize, Self)> {
        let mut at = 0;
        let mut kept = Vec::with_capacity(places.len());
        for run in places {
            self.split_to(run.start - at).complete();
            at = run.end;
            kept.push((run.start, self.split_to(run.len())));
        }
        self.complete();
        kept.into_iter().filter(|(_, waiting)| !waiting.is_empty())
    }

    /// Adds the callers of `more` behind these.
    pub(crate) fn append(&mut self, mut more: Self) {
        self.segments.append(&mut more.segments);
        self.permit.merge(std::mem::replace(&mut more.permit, Held::None));
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.fail_all(&Failure::lost("node", true));
        if let Held::Shared(shared) = &self.permit {
            shared.give_back();
        }
    }
}

impl Held {
    /// The part of the room that belongs to `segments`.
    fn split(&mut self, segments: &VecDeque<Segment>) -> Self {
        match self {
            Self::None => Self::None,
            Self::Own(permit) => {
                let taken = segments.iter().filter(|segment| !segment.is_gone());
                let amount = taken.fold(Amount::default(), |sum, segment| Amount {
                    requests: sum.requests + segment.len() as u64,
                    bytes: sum.bytes + segment.bytes(),
                });
                Self::Own(permit.split(amount))
            }
            // Not split any more: it is given back as a whole, a little early for some.
            Self::Shared(shared) => Self::Shared(Arc::clone(shared)),
        }
    }

    fn merge(&mut self, other: Self) {
        match (&mut *self, other) {
            (_, Self::None) | (Self::Shared(_), Self::Shared(_)) => {}
            (Self::Own(permit), Self::Own(more)) => permit.merge(more),
            (Self::None, other) => *self = other,
            (Self::Own(_) | Self::Shared(_), Self::Own(_) | Self::Shared(_)) => {
                unreachable!("the parts of one Waiting hold their room in the same way")
            }
        }
    }
}
