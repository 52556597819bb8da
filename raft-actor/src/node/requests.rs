//! What clients wait for, from the moment the node takes it to the answer.
//!
//! A request is in exactly one place: parked (nobody leads), forwarded (another
//! node leads), proposed (in this leader's log, keyed by its position), asked (a
//! read whose index the core confirms), or with the state machine. Whatever is
//! dropped answers its callers, so nothing can be forgotten.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use raft_consensus::{Entries, LogIndex, LogPosition, NodeId, ReadId, Term, Time};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::callers::{Answers, Failure, Waiting};
use crate::envelope::ForwardKind;
use crate::handle::{StopReason, WriteBatch};

/// A batch of requests of one kind.
pub(super) enum Request {
    /// Commands and who waits for their responses.
    Write { commands: Vec<Bytes>, waiting: Waiting },
    /// Queries (they stay in the slots) and who waits for their answers; whether a lease will do.
    Read { waiting: Waiting, by_lease: bool },
}

impl Request {
    pub(super) fn waiting(&mut self) -> &mut Waiting {
        match self {
            Self::Write { waiting, .. } | Self::Read { waiting, .. } => waiting,
        }
    }

    pub(super) fn into_waiting(self) -> Waiting {
        match self {
            Self::Write { waiting, .. } | Self::Read { waiting, .. } => waiting,
        }
    }

    /// Without those whose deadline has passed; their commands go with them, for they are told that nothing was applied.
    fn expire_out(self, now: Time, failure: &Failure) -> Option<Self> {
        match self {
            Self::Write { commands, waiting } => WriteBatch { commands, waiting }
                .expire_out(now, failure)
                .map(|WriteBatch { commands, waiting }| Self::Write { commands, waiting }),
            Self::Read { mut waiting, by_lease } => {
                waiting.expire(now, failure.clone());
                (waiting.earliest_deadline() != Time::NEVER).then_some(Self::Read { waiting, by_lease })
            }
        }
    }

    /// Splits off the first `n`.
    pub(super) fn split_to(&mut self, n: usize) -> Self {
        match self {
            Self::Write { commands, waiting } => {
                let later = commands.split_off(n);
                Self::Write { commands: std::mem::replace(commands, later), waiting: waiting.split_to(n) }
            }
            Self::Read { waiting, by_lease } => Self::Read { waiting: waiting.split_to(n), by_lease: *by_lease },
        }
    }

    pub(super) fn kind(&self) -> ForwardKind {
        match self {
            Self::Write { .. } => ForwardKind::Write,
            Self::Read { by_lease: false, .. } => ForwardKind::Read,
            Self::Read { by_lease: true, .. } => ForwardKind::LeaseRead,
        }
    }

    pub(super) fn is_read(&self) -> bool {
        matches!(self, Self::Read { .. })
    }
}

/// Requests on their way to another node.
pub(super) struct Forwarded {
    pub(super) to: NodeId,
    /// The term in which that node leads.
    pub(super) term: Term,
    pub(super) request: Request,
    /// Whether messages to or from that node got lost since.
    is_cut: bool,
    /// That node does not lead any more: how long its answer is waited for.
    doubted_until: Option<Time>,
}

/// Commands in this node's log, from `first` on.
struct Proposed {
    first: LogPosition,
    waiting: Waiting,
}

impl Proposed {
    fn last_index(&self) -> LogIndex {
        self.first.index.plus(count(&self.waiting)).prev()
    }

    /// Splits off the callers of the entries below `end`.
    fn split_below(&mut self, end: LogIndex) -> Self {
        let below = end.prev().since(self.first.index.prev()).min(count(&self.waiting));
        let part = Self {
            first: self.first,
            waiting: self.waiting.split_to(usize::try_from(below).expect("no more than the callers there are")),
        };
        self.first.index = self.first.index.plus(below);
        part
    }
}

/// All requests that the node has taken and not answered.
pub(super) struct Requests {
    last_id: u64,
    /// The latest term of which it is known that its leader was started anew.
    forgotten_in: Option<Term>,
    parked: VecDeque<Request>,
    forwarded: BTreeMap<u64, Forwarded>,
    proposed: VecDeque<Proposed>,
    asked: BTreeMap<ReadId, Waiting>,
    /// Reads that wait until the entry of this index was handed to the state machine.
    confirmed: Vec<(LogIndex, Waiting)>,
    /// Callers whose last entry is with the state machine.
    applying: VecDeque<(LogIndex, Waiting)>,
    /// Reads that are with the state machine, oldest first.
    querying: VecDeque<Waiting>,
    /// No caller's deadline lies before this.
    earliest_deadline: Option<Time>,
}

impl Requests {
    /// No requests. `run` differs each time the node starts: an answer that an earlier run of this node was
    /// waiting for must not be taken for the answer to a request of this one.
    pub(super) fn new(run: u64) -> Self {
        Self {
            // Counting up from here never comes to the end of the numbers.
            last_id: ChaCha8Rng::seed_from_u64(run).random::<u64>() >> 1,
            forgotten_in: None,
            parked: VecDeque::new(),
            forwarded: BTreeMap::new(),
            proposed: VecDeque::new(),
            asked: BTreeMap::new(),
            confirmed: Vec::new(),
            applying: VecDeque::new(),
            querying: VecDeque::new(),
            earliest_deadline: None,
        }
    }

    /// Names something that is sent to another node or asked of the core; never the same twice.
    pub(super) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    fn note_deadline(&mut self, waiting: &Waiting) {
        let deadline = waiting.earliest_deadline();
        self.earliest_deadline = Some(self.earliest_deadline.map_or(deadline, |earliest| earliest.min(deadline)));
    }

    /// Keeps a request until somebody leads.
    pub(super) fn park(&mut self, mut request: Request) {
        self.note_deadline(request.waiting());
        self.parked.push_back(request);
    }

    /// Everything that was parked, oldest first.
    pub(super) fn unpark(&mut self) -> VecDeque<Request> {
        std::mem::take(&mut self.parked)
    }

    /// The leader of this term was started anew: it leads no more, and nobody else does in this term.
    pub(super) fn forgotten(&mut self, term: Term) {
        self.forgotten_in = Some(term);
    }

    /// Whether the leader of this term has forgotten that it leads.
    pub(super) fn is_forgotten(&self, term: Term) -> bool {
        self.forgotten_in == Some(term)
    }

    /// Notes a request that is sent to `to`, the leader of `term`; returns the id of the Forward.
    pub(super) fn forward(&mut self, to: NodeId, term: Term, mut request: Request) -> u64 {
        self.note_deadline(request.waiting());
        let id = self.next_id();
        self.forwarded.insert(id, Forwarded { to, term, request, is_cut: false, doubted_until: None });
        id
    }

    /// The request of a Forward, to be put back with [`keep_forwarded`](Self::keep_forwarded) if it is not finished.
    pub(super) fn take_forwarded(&mut self, id: u64) -> Option<Forwarded> {
        self.forwarded.remove(&id)
    }

    /// Puts back what was taken with [`take_forwarded`](Self::take_forwarded).
    pub(super) fn keep_forwarded(&mut self, id: u64, forwarded: Forwarded) {
        self.forwarded.insert(id, forwarded);
    }

    /// Takes out everything that was forwarded and for which `lost` holds: no answer is to be expected any more.
    pub(super) fn lose_forwarded(&mut self, lost: impl Fn(&Forwarded) -> bool) -> Vec<Request> {
        let lost = self.forwarded.extract_if(.., |_, forwarded| lost(forwarded));
        lost.map(|(_, forwarded)| forwarded.request).collect()
    }

    /// `leader` leads now: whoever else was asked answers until then, or not at all.
    pub(super) fn doubt_forwarded(&mut self, leader: NodeId, until: Time) {
        for forwarded in self.forwarded.values_mut() {
            if forwarded.to == leader {
                forwarded.doubted_until = None;
            } else {
                let until = if forwarded.is_cut { Time::ZERO } else { until };
                let doubted_until = *forwarded.doubted_until.get_or_insert(until);
                self.earliest_deadline = Some(self.earliest_deadline.map_or(doubted_until, |at| at.min(doubted_until)));
            }
        }
    }

    /// Messages to or from `peer` got lost, perhaps its answers among them.
    pub(super) fn forwarded_is_cut(&mut self, peer: NodeId) {
        for forwarded in self.forwarded.values_mut().filter(|forwarded| forwarded.to == peer) {
            forwarded.is_cut = true;
            if let Some(until) = &mut forwarded.doubted_until {
                *until = Time::ZERO;
                self.earliest_deadline = Some(Time::ZERO);
            }
        }
    }

    /// Whether nobody waits for anything.
    pub(super) fn is_at_rest(&self) -> bool {
        let has_requests = !self.parked.is_empty() || !self.forwarded.is_empty() || !self.proposed.is_empty();
        let has_reads = !self.asked.is_empty() || !self.confirmed.is_empty();
        !has_requests && !has_reads && self.applying.is_empty() && self.querying.iter().all(Waiting::is_answered)
    }

    /// Notes commands that are in the log from `first` on.
    pub(super) fn propose(&mut self, first: LogPosition, waiting: Waiting) {
        if waiting.is_empty() {
            return;
        }
        self.note_deadline(&waiting);
        self.proposed.push_back(Proposed { first, waiting });
    }

    /// Notes reads whose index the core is asked for.
    pub(super) fn ask(&mut self, waiting: Waiting) -> ReadId {
        self.note_deadline(&waiting);
        let id = ReadId(self.next_id());
        self.asked.insert(id, waiting);
        id
    }

    /// The core has answered a read: with the index it must see.
    pub(super) fn confirm(&mut self, id: ReadId, index: LogIndex) {
        if let Some(waiting) = self.asked.remove(&id) {
            self.confirmed.push((index, waiting));
        }
    }

    /// The core has answered a read: it cannot be served here.
    pub(super) fn refuse(&mut self, id: ReadId) -> Option<Waiting> {
        self.asked.remove(&id)
    }

    /// Takes out the reads that may be served once everything through `sent` is applied.
    pub(super) fn take_readable(&mut self, sent: LogIndex) -> Vec<Waiting> {
        self.confirmed.extract_if(.., |(index, _)| *index <= sent).map(|(_, waiting)| waiting).collect()
    }

    /// These reads go to the state machine.
    pub(super) fn query(&mut self, mut waiting: Waiting) -> Answers {
        self.note_deadline(&waiting);
        while self.querying.front().is_some_and(Waiting::is_answered) {
            self.querying.pop_front().into_iter().for_each(Waiting::complete);
        }
        let answers = waiting.answers();
        self.querying.push_back(waiting);
        answers
    }

    /// These entries go to the state machine: whose callers are to be answered from them?
    ///
    /// A caller whose position holds an entry of another term learns that its
    /// command was certainly not applied (§8; Log Matching makes the position its name). So do all
    /// whose term is older than the last of these: terms in a log never fall, so none of theirs comes after it.
    pub(super) fn apply(&mut self, entries: &Entries) -> Vec<(LogIndex, Answers)> {
        let (Some(first), Some(last)) = (entries.first_index(), entries.last_position()) else {
            return Vec::new();
        };
        let mut answers = Vec::new();
        for mut proposed in std::mem::take(&mut self.proposed) {
            debug_assert!(
                proposed.last_index() >= first,
                "whoever waits for an entry before these was answered with it"
            );
            let mut reached = proposed.split_below(last.index.next());
            if last.rules_out(proposed.first) {
                proposed.waiting.fail(Failure::NoLeader { leader: None });
            } else if !proposed.waiting.is_empty() {
                self.proposed.push_back(proposed);
            }
            if reached.waiting.is_empty() {
                continue;
            }
            let overwritten =
                first_of_other_term(entries, reached.first.term, reached.first.index, reached.last_index());
            let mut ours = reached.split_below(overwritten);
            reached.waiting.fail(Failure::NoLeader { leader: None });
            if !ours.waiting.is_empty() {
                answers.push((ours.first.index, ours.waiting.answers()));
                self.applying.push_back((ours.last_index(), ours.waiting));
            }
        }
        answers
    }

    /// The state machine has answered everybody through this index.
    pub(super) fn applied(&mut self, through: LogIndex) {
        while self.applying.front().is_some_and(|(last, _)| *last <= through) {
            if let Some((_, waiting)) = self.applying.pop_front() {
                waiting.complete();
            }
        }
    }

    /// A snapshot took the place of all entries through this index: nobody learns what came of theirs.
    pub(super) fn skipped(&mut self, through: LogIndex) {
        for mut proposed in std::mem::take(&mut self.proposed) {
            proposed.split_below(through.next()).waiting.fail(Failure::Unknown);
            if !proposed.waiting.is_empty() {
                self.proposed.push_back(proposed);
            }
        }
    }

    /// The node stops: everybody is answered.
    pub(super) fn fail_all(&mut self, reason: &StopReason) {
        let untouched = Failure::NodeStopped { reason: reason.clone(), maybe_applied: false };
        let unknown = Failure::NodeStopped { reason: reason.clone(), maybe_applied: true };
        std::mem::take(&mut self.parked).into_iter().for_each(|request| request.into_waiting().fail(untouched.clone()));
        for forwarded in std::mem::take(&mut self.forwarded).into_values() {
            forwarded.request.into_waiting().fail(unknown.clone());
        }
        self.proposed.drain(..).for_each(|proposed| proposed.waiting.fail(unknown.clone()));
        self.applying.drain(..).for_each(|(_, waiting)| waiting.fail(unknown.clone()));
        let asked = std::mem::take(&mut self.asked).into_values();
        let readers = asked.chain(self.confirmed.drain(..).map(|(_, waiting)| waiting)).chain(self.querying.drain(..));
        readers.for_each(|waiting| waiting.fail(untouched.clone()));
        self.earliest_deadline = None;
    }

    /// When [`expire`](Self::expire) is to be called next.
    pub(super) fn earliest_deadline(&self) -> Time {
        self.earliest_deadline.unwrap_or(Time::NEVER)
    }

    /// Fails those whose answer would have to come from a former leader and has not. When the next are to be.
    fn give_up_doubted(&mut self, now: Time) -> Time {
        let is_given_up = |forwarded: &Forwarded| forwarded.doubted_until.is_some_and(|until| until <= now);
        for (_, forwarded) in self.forwarded.extract_if(.., |_, forwarded| is_given_up(forwarded)) {
            forwarded.request.into_waiting().fail(Failure::Unknown);
        }
        self.forwarded.values().filter_map(|forwarded| forwarded.doubted_until).min().unwrap_or(Time::NEVER)
    }

    /// Fails all callers whose deadline has come. `leader` is what the node knows.
    pub(super) fn expire(&mut self, now: Time, leader: Option<NodeId>) {
        if now < self.earliest_deadline() {
            return;
        }
        let unknown = Failure::TimedOut { maybe_applied: true };
        let unread = Failure::TimedOut { maybe_applied: false };
        let mut earliest = Time::NEVER;
        for request in std::mem::take(&mut self.parked) {
            if let Some(mut left) = request.expire_out(now, &Failure::NoLeader { leader }) {
                earliest = earliest.min(left.waiting().earliest_deadline());
                self.parked.push_back(left);
            }
        }
        earliest = self.give_up_doubted(now).min(earliest);
        let mut look_at = |waiting: &mut Waiting, failure: &Failure| {
            waiting.expire(now, failure.clone());
            earliest = earliest.min(waiting.earliest_deadline());
        };
        for forwarded in self.forwarded.values_mut() {
            let failure = match &forwarded.request {
                Request::Write { .. } => &unknown,
                Request::Read { .. } => &unread,
            };
            look_at(forwarded.request.waiting(), failure);
        }
        self.proposed.iter_mut().for_each(|proposed| look_at(&mut proposed.waiting, &unknown));
        self.applying.iter_mut().for_each(|(_, waiting)| look_at(waiting, &unknown));
        self.asked.values_mut().for_each(|waiting| look_at(waiting, &unread));
        self.confirmed.iter_mut().for_each(|(_, waiting)| look_at(waiting, &unread));
        self.querying.iter_mut().for_each(|waiting| look_at(waiting, &unread));
        // Requests that nobody waits for any more and nobody will answer are let go of.
        self.forwarded.retain(|_, forwarded| forwarded.request.waiting().earliest_deadline() != Time::NEVER);
        self.querying.retain(|waiting| !waiting.is_answered());
        self.earliest_deadline = (earliest != Time::NEVER).then_some(earliest);
    }
}

fn count(waiting: &Waiting) -> u64 {
    u64::try_from(waiting.len()).unwrap_or(u64::MAX)
}

/// The first index in `from ..= through` at which `entries` hold another term than `term`; behind `through` if none.
fn first_of_other_term(entries: &Entries, term: Term, from: LogIndex, through: LogIndex) -> LogIndex {
    let range = entries.range(from, through);
    // Log Matching (§5.3): if the last one is of that term, so are those of the batch before it.
    if range.last_position().is_some_and(|last| last.term == term) {
        return through.next();
    }
    range.iter().find(|entry| entry.position.term != term).map_or(through.next(), |entry| entry.position.index)
}

#[cfg(test)]
mod tests;
