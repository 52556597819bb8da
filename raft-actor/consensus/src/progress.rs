//! What a leader knows of one peer, and what it lets go to it (§5.3; pipelining: dissertation 10.2.1).
//!
//! A peer begins in *probe*: the leader guesses where the logs agree and sends
//! one message at a time; a refusal carries a hint that skips a whole term. The
//! first message that fits changes to *replicate*: several messages under way,
//! limited in number and bytes. The window is small and adapts: two messages
//! may go at any time, more of them only spread over the measured round trip.
//! What waits meanwhile travels in the next message, so that load makes larger
//! batches and not more messages.
//!
//! Nothing that is lost blocks the window for ever: when something has been
//! under way for longer than a heartbeat while the peer does answer, an empty
//! message asks whether it arrived. A refusal leads back to probe.
//!
//! A peer that needs what is purged changes to *snapshot* (§7): it is sent one,
//! and nothing else but heartbeats, until it acknowledges something that the log
//! goes on from, in answer to whatever. If the sending fails, back to probe.

use std::collections::VecDeque;
use std::time::Duration;

use crate::{DamageId, Log, LogIndex, LogPosition, PeerState, PeerStatus, RepairTarget, Round, Settings, Time};

/// A leader's view of one peer.
#[derive(Debug, Clone)]
pub(crate) struct Progress {
    /// Highest index known to be durable at the peer and to equal ours; falls only when the peer was damaged.
    matched: LogIndex,
    /// The damage that the peer has told of and not repaired yet, and what makes it whole.
    repair: Option<RepairTarget>,
    /// The next index to send; always above `matched`.
    next: LogIndex,
    state: PeerState,
    /// The snapshot that is on its way, while it is waited for.
    snapshot: Option<SentSnapshot>,
    /// Nothing can be sent until the peer is heard from.
    unreachable: bool,
    /// The entries under way, oldest first.
    inflight: VecDeque<Inflight>,
    inflight_bytes: u64,
    /// The last round sent before this became a peer: what answers it or an older one speaks of another membership.
    joined_after: Round,
    /// The last round sent before the present state was entered: refusals of it or older are of the past.
    state_since: Round,
    /// The last question whether something arrived: its round, and when it was asked.
    asked: Option<(Round, Time)>,
    /// Smoothed time from the sending of entries to their acknowledgement.
    round_trip: Duration,
    /// Highest round that the peer has echoed.
    echoed: Round,
    /// When that round was sent.
    contact: Time,
    /// When the peer was last heard from.
    heard_at: Option<Time>,
}

/// One message with entries on its way.
#[derive(Debug, Clone)]
struct Inflight {
    round: Round,
    prev: LogIndex,
    through: LogIndex,
    bytes: u64,
    sent_at: Time,
}

/// A snapshot on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SentSnapshot {
    round: Round,
    /// It covers at least this: what the peer needs next lies behind it.
    covered: LogIndex,
}

/// Entries to send in one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) prev: LogPosition,
    pub(crate) through: LogPosition,
    bytes: u64,
}

/// What a refusal was good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It moved the probe.
    Used,
    /// It answers something that was settled since.
    Late,
}

/// This many messages with entries may be under way whatever the round trip.
const APPENDS_UNPACED: usize = 2;

/// What is under way for longer than this many usual round trips (and a heartbeat) may be lost.
const ROUND_TRIPS_PATIENT: u32 = 4;

impl Progress {
    /// A peer of which a leader knows nothing at `now`, when it is elected or gets the peer: guess that its
    /// log ends as ours (§5.3). `last_round` is the last round sent to anybody.
    pub(crate) fn new(last: LogIndex, last_round: Round, now: Time) -> Self {
        Self {
            matched: LogIndex::ZERO,
            repair: None,
            next: last.next(),
            state: PeerState::Probe,
            snapshot: None,
            unreachable: false,
            inflight: VecDeque::new(),
            inflight_bytes: 0,
            joined_after: last_round,
            state_since: last_round,
            asked: None,
            round_trip: Duration::ZERO,
            echoed: Round::ZERO,
            contact: now,
            heard_at: None,
        }
    }

    /// What the peer has acknowledged: nothing that a damaged one says it holds counts.
    pub(crate) fn matched(&self) -> LogIndex {
        if self.repair.is_some() { LogIndex::ZERO } else { self.matched }
    }

    /// The peer goes on with another disk. It begins from the start: whatever it has acknowledged it may lack now, and what
    /// answers an earlier round was said before.
    pub(crate) fn replaced(&mut self, last_round: Round) {
        *self = Self::new(LogIndex::ZERO, last_round, self.contact);
    }

    /// What the peer has to hold to be whole, if it was damaged.
    pub(crate) fn repair(&self) -> Option<RepairTarget> {
        self.repair
    }

    /// The peer, whose log may equal ours through `guess`, tells of a damage of which we had not heard. What it ever
    /// acknowledged may be gone. `last` is our last entry, `last_round` the last round sent to anybody.
    pub(crate) fn damaged(&mut self, damage: DamageId, guess: LogIndex, last: LogIndex, last_round: Round) {
        self.repair = Some(RepairTarget { damage, through: last });
        self.matched = LogIndex::ZERO;
        self.next = guess.next();
        // What answers an earlier round may have been said before the damage.
        self.joined_after = last_round;
        self.enter(PeerState::Probe, last_round);
    }

    /// The peer says that it is whole. Whether that is news.
    pub(crate) fn repaired(&mut self) -> bool {
        self.repair.take().is_some()
    }

    /// Whether an answer to `round` can come from this peer as the member that it is now.
    pub(crate) fn was_asked(&self, round: Round) -> bool {
        round > self.joined_after
    }

    pub(crate) fn next(&self) -> LogIndex {
        self.next
    }

    /// Highest round that the peer has echoed.
    pub(crate) fn echoed(&self) -> Round {
        self.echoed
    }

    /// When the latest round that the peer echoed was sent.
    pub(crate) fn contact(&self) -> Time {
        self.contact
    }

    pub(crate) fn status(&self) -> PeerStatus {
        PeerStatus { matched: self.matched(), state: self.state, last_contact: self.heard_at }
    }

    /// The next batch to send, if there is something to send and the window has room.
    pub(crate) fn next_batch(&mut self, log: &Log, settings: &Settings, now: Time) -> Option<Batch> {
        let prev_index = self.next.prev();
        if prev_index < log.base().index && !self.unreachable && self.state != PeerState::Snapshot {
            // What the peer needs is purged: only a snapshot can help (§7).
            self.enter(PeerState::Snapshot, self.state_since);
        }
        if self.next > log.last().index || !self.has_room(settings, now) {
            return None;
        }
        let prev_term = log.term_at(prev_index)?;
        let (through, bytes) = log.batch_end(prev_index, settings.append_batch_bytes_max)?;
        let through_term = log.term_at(through).expect("a batch ends inside the log");
        Some(Batch {
            prev: LogPosition::new(prev_term, prev_index),
            through: LogPosition::new(through_term, through),
            bytes,
        })
    }

    fn has_room(&self, settings: &Settings, now: Time) -> bool {
        let appends_max = settings.inflight_appends_max.max(1);
        match self.state {
            PeerState::Snapshot => false,
            PeerState::Probe => !self.unreachable && self.inflight.is_empty(),
            PeerState::Replicate if self.inflight.len() >= appends_max => false,
            PeerState::Replicate if self.inflight_bytes >= settings.inflight_bytes_max && self.inflight_bytes > 0 => {
                false
            }
            PeerState::Replicate if self.inflight.len() < APPENDS_UNPACED => true,
            PeerState::Replicate => {
                let pace = self.round_trip / u32::try_from(appends_max).unwrap_or(u32::MAX);
                self.inflight.back().is_none_or(|latest| now.since(latest.sent_at) >= pace)
            }
        }
    }

    /// Whether the peer needs a snapshot and none is on its way to it.
    pub(crate) fn wants_snapshot(&self) -> bool {
        self.state == PeerState::Snapshot && self.snapshot.is_none()
    }

    /// A snapshot that covers the log through `covered` was sent as `round`.
    pub(crate) fn sent_snapshot(&mut self, covered: LogIndex, round: Round) {
        self.snapshot = Some(SentSnapshot { round, covered });
    }

    /// Behind which entry lies what the peer needs next: that which the snapshot covers that it is being sent,
    /// or the last one that it is known to have.
    pub(crate) fn needed_after(&self) -> LogIndex {
        self.snapshot.map_or(self.matched, |snapshot| snapshot.covered.max(self.matched))
    }

    /// `batch` was sent as `round`.
    pub(crate) fn sent(&mut self, batch: &Batch, round: Round, now: Time) {
        let Batch { prev, through, bytes } = *batch;
        self.inflight.push_back(Inflight { round, prev: prev.index, through: through.index, bytes, sent_at: now });
        self.inflight_bytes += bytes;
        self.next = through.index.next();
    }

    /// The peer answered: it echoed `round`, which was sent at `sent_at`.
    pub(crate) fn heard(&mut self, round: Round, sent_at: Time, now: Time) {
        self.unreachable = false;
        self.heard_at = Some(now);
        // Echoes can overtake each other; an older one says nothing new.
        self.echoed = self.echoed.max(round);
        self.contact = self.contact.max(sent_at);
    }

    /// The peer's log durably equals ours through `durable`; it says so in answer to `round`.
    /// `last_round` is the last round sent to anybody. Whether `matched` moved.
    pub(crate) fn acknowledged(
        &mut self,
        durable: LogIndex,
        round: Round,
        last_round: Round,
        log: &Log,
        now: Time,
    ) -> bool {
        let has_moved = durable > self.matched;
        self.matched = self.matched.max(durable);
        self.next = self.next.max(self.matched.next());
        if self.state == PeerState::Snapshot {
            self.acknowledged_in_snapshot(has_moved, round, last_round, log);
        } else if self.fits_probe(round) {
            // The guess was right: from here on, stream.
            self.state = PeerState::Replicate;
        }
        while self.inflight.front().is_some_and(|oldest| oldest.through <= self.matched) {
            let done = self.inflight.pop_front().expect("just seen");
            self.inflight_bytes -= done.bytes;
            self.measure(now.since(done.sent_at));
        }
        has_moved
    }

    /// The peer answered while it waits for a snapshot.
    fn acknowledged_in_snapshot(&mut self, has_moved: bool, round: Round, last_round: Round, log: &Log) {
        if self.matched >= log.base().index {
            // The log goes on from there, whether the snapshot brought it so far or (a late answer) entries did.
            self.enter(PeerState::Replicate, last_round);
        } else if self.snapshot.is_some_and(|sent| round >= sent.round && (has_moved || self.matched >= sent.covered)) {
            // It has installed ours, and we have purged beyond that meanwhile; or another, older one, and
            // has perhaps dropped ours for that. Once more, then.
            self.snapshot = None;
        }
    }

    /// Whether an acceptance of `round` shows that what the probe supposed is true.
    fn fits_probe(&self, round: Round) -> bool {
        if self.state != PeerState::Probe {
            return false;
        }
        match self.inflight.front() {
            // Nothing under way: what is known to match is where we go on.
            None => self.next == self.matched.next(),
            Some(probe) => {
                let was_asked = self.asked.is_some_and(|(asked, _)| asked == round);
                self.matched >= probe.prev || round == probe.round || was_asked
            }
        }
    }

    fn measure(&mut self, sample: Duration) {
        self.round_trip = if self.round_trip.is_zero() { sample } else { (self.round_trip * 7 + sample) / 8 };
    }

    /// The peer has no entry at `refused` that equals ours; it says so in answer to `round`.
    /// `last_round` is the last round sent to anybody.
    pub(crate) fn refused(
        &mut self,
        refused: LogIndex,
        hint: LogPosition,
        round: Round,
        last_round: Round,
        log: &Log,
    ) -> Refusal {
        // A match is for ever within a leadership: what contradicts it was sent before it.
        // While a snapshot is on its way, nothing was asked.
        if round <= self.state_since || refused <= self.matched || self.state == PeerState::Snapshot {
            return Refusal::Late;
        }
        let candidate = log.last_index_at_most(hint.term, hint.index);
        self.next = candidate.index.max(self.matched).next();
        let is_compacted = hint.index < log.base().index && self.matched < log.base().index;
        self.enter(if is_compacted { PeerState::Snapshot } else { PeerState::Probe }, last_round);
        Refusal::Used
    }

    /// What was under way is lost.
    pub(crate) fn unreachable(&mut self, last_round: Round) {
        self.next = match self.state {
            // The guess was neither right nor wrong: it stands. From `matched`, which may still be
            // zero, a peer that has it all would be sent the whole log.
            PeerState::Probe => self.inflight.front().map_or(self.next, |probe| probe.prev.next()),
            PeerState::Replicate | PeerState::Snapshot => self.matched.next(),
        };
        self.enter(PeerState::Probe, last_round);
        self.unreachable = true;
    }

    fn enter(&mut self, state: PeerState, last_round: Round) {
        self.state = state;
        self.state_since = last_round;
        self.snapshot = None;
        self.inflight.clear();
        self.inflight_bytes = 0;
        self.asked = None;
    }

    /// Whether to ask if what is under way has arrived: it has taken unusually long.
    pub(crate) fn wants_to_ask(&self, settings: &Settings, now: Time) -> bool {
        let patience = settings.heartbeat().max(self.round_trip * ROUND_TRIPS_PATIENT);
        self.inflight.front().is_some_and(|oldest| now.since(oldest.sent_at) >= patience)
            && self.asked.is_none_or(|(_, asked_at)| now.since(asked_at) >= patience)
    }

    /// Asked whether all up to `next` has arrived.
    pub(crate) fn asked(&mut self, round: Round, now: Time) {
        self.asked = Some((round, now));
    }

    /// What must hold of these numbers, whatever happened (a second opinion for the invariants).
    pub(crate) fn violation(&self, last: LogIndex) -> Option<String> {
        let bytes: u64 = self.inflight.iter().map(|inflight| inflight.bytes).sum();
        let is_sound = self.matched < self.next
            && self.matched <= last
            && self.next <= last.next()
            && bytes == self.inflight_bytes
            && self.inflight.iter().is_sorted_by(|a, b| a.round < b.round && a.through == b.prev)
            && (self.state != PeerState::Probe || self.inflight.len() <= 1)
            && (self.state != PeerState::Snapshot || self.inflight.is_empty())
            && (self.state == PeerState::Snapshot || self.snapshot.is_none());
        (!is_sound).then(|| format!("unsound progress with last index {last}: {self:?}"))
    }
}

#[cfg(test)]
mod tests;
