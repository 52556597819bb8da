//! Persist before reply, in one place.
//!
//! Everything that leaves a member passes through here, and waits here until
//! what it promises is durable (Figure 2: "updated on stable storage before
//! responding to RPCs"):
//!
//! - a message waits for the term and vote it was sent under;
//! - an acknowledgement of entries waits for those entries as well;
//! - a heartbeat's reply acknowledges only what is durable anyway and so waits
//!   for the term alone, so that slow disks do not depose a healthy leader.
//!
//! Writes are told apart by [`WriteSeq`], not by index: when two leaders make
//! us write the same index twice, the confirmation of the first write must not
//! count for the second (the ABA race).

use std::collections::VecDeque;
use std::mem::{discriminant, take};

use crate::{
    AppendEntriesReply, AppendOutcome, Effect, Effects, HardState, LogIndex, LogWrite, Message, NodeId, Round, Time,
    WriteSeq,
};

/// What has been ordered from the storage, what of it is durable, and what waits for the rest.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    /// Term and vote that this member acts by.
    hard_state: HardState,
    /// The write that makes `hard_state` durable; not ordered yet while `hard_state_changed`.
    hard_state_seq: WriteSeq,
    hard_state_changed: bool,
    hard_state_durable: HardState,
    /// The log equals its durable copy through here.
    durable: LogIndex,
    /// The last write that was ordered.
    ordered: WriteSeq,
    /// The last write that was confirmed.
    persisted: WriteSeq,
    /// The writes between the two, oldest first.
    writes: VecDeque<Write>,
    held: Vec<Held>,
}

/// A write that was ordered and not confirmed yet.
#[derive(Debug, Clone)]
struct Write {
    seq: WriteSeq,
    ordered_at: Time,
    hard_state: Option<HardState>,
    /// The log will be durable through here; lowered if what was written is overwritten meanwhile.
    through: LogIndex,
}

/// A message that waits for a write.
#[derive(Debug, Clone)]
struct Held {
    after: WriteSeq,
    to: NodeId,
    message: Message,
}

/// Most messages that wait at a time: strangers with many names must not fill our memory.
const HELD_MAX: usize = 1024;

/// The storage confirmed a write that was never ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NeverOrdered {
    pub(crate) ordered: WriteSeq,
}

impl Outbox {
    /// What was read at start is durable: opening the storage made it so.
    pub(crate) fn new(hard_state: HardState, durable: LogIndex) -> Self {
        Self {
            hard_state,
            hard_state_seq: WriteSeq::ZERO,
            hard_state_changed: false,
            hard_state_durable: hard_state,
            durable,
            ordered: WriteSeq::ZERO,
            persisted: WriteSeq::ZERO,
            writes: VecDeque::new(),
            held: Vec::new(),
        }
    }

    pub(crate) fn hard_state(&self) -> HardState {
        self.hard_state
    }

    pub(crate) fn hard_state_durable(&self) -> HardState {
        self.hard_state_durable
    }

    /// Whether the current term and vote are durable.
    pub(crate) fn is_hard_state_durable(&self) -> bool {
        !self.hard_state_changed && self.persisted >= self.hard_state_seq
    }

    /// The log equals its durable copy through here.
    pub(crate) fn durable(&self) -> LogIndex {
        self.durable
    }

    pub(crate) fn ordered(&self) -> WriteSeq {
        self.ordered
    }

    pub(crate) fn persisted_through(&self) -> WriteSeq {
        self.persisted
    }

    /// When the oldest unconfirmed write was ordered.
    pub(crate) fn oldest_unconfirmed(&self) -> Option<Time> {
        self.writes.front().map(|write| write.ordered_at)
    }

    /// Changes term or vote. Ordered together with the next change of the log, or by [`Outbox::flush`].
    pub(crate) fn set_hard_state(&mut self, hard_state: HardState) {
        if hard_state.term != self.hard_state.term {
            // A reply of a passed term promises what we may be about to undo: an acknowledged entry
            // can be overwritten by the next leader before it leaves.
            self.held.clear();
        }
        self.hard_state = hard_state;
        self.hard_state_changed = true;
        self.hard_state_seq = self.ordered.next();
    }

    /// Orders a change of the log.
    pub(crate) fn write_log(&mut self, now: Time, write: LogWrite, effects: &mut Effects) {
        let through = match &write {
            LogWrite::Append(entries) => entries.last_position().expect("an append is never empty").index,
            LogWrite::Replace(entries) => {
                self.forget_durable_from(entries.first_index().expect("a replacement is never empty"));
                entries.last_position().expect("a replacement is never empty").index
            }
            LogWrite::Reset { to } => {
                self.forget_durable_from(LogIndex::ZERO);
                // What they acknowledge is being given up, or is part of what will be acknowledged when this is durable.
                self.held.retain(|held| !matches!(held.message, Message::AppendEntriesReply(_)));
                to.index
            }
            LogWrite::Purge { .. } => self.through(),
        };
        self.order(now, through, Some(write), effects);
    }

    /// Orders a changed term or vote that no change of the log took along.
    pub(crate) fn flush(&mut self, now: Time, effects: &mut Effects) {
        if self.hard_state_changed {
            self.order(now, self.through(), None, effects);
        }
    }

    fn order(&mut self, now: Time, through: LogIndex, log: Option<LogWrite>, effects: &mut Effects) {
        let seq = self.ordered.next();
        self.ordered = seq;
        let hard_state = take(&mut self.hard_state_changed).then_some(self.hard_state);
        self.writes.push_back(Write { seq, ordered_at: now, hard_state, through });
        effects.push(Effect::Persist { seq, hard_state, log });
    }

    /// Where the durable log will end once everything ordered is confirmed.
    fn through(&self) -> LogIndex {
        self.writes.back().map_or(self.durable, |write| write.through)
    }

    /// What lies at `index` and above is being overwritten: no confirmation of an earlier write counts for it.
    fn forget_durable_from(&mut self, index: LogIndex) {
        self.durable = self.durable.min(index.prev());
        self.writes.iter_mut().for_each(|write| write.through = write.through.min(index.prev()));
    }

    /// The storage has confirmed everything through `seq`: releases what waited for it.
    pub(crate) fn confirm(&mut self, seq: WriteSeq, effects: &mut Effects) -> Result<(), NeverOrdered> {
        if seq > self.ordered {
            return Err(NeverOrdered { ordered: self.ordered });
        }
        self.persisted = self.persisted.max(seq);
        while self.writes.front().is_some_and(|write| write.seq <= seq) {
            let write = self.writes.pop_front().expect("just seen");
            self.durable = self.durable.max(write.through);
            self.hard_state_durable = write.hard_state.unwrap_or(self.hard_state_durable);
        }
        self.release(effects);
        Ok(())
    }

    /// Sends a message once the current term and vote are durable.
    pub(crate) fn send(&mut self, to: NodeId, message: Message, effects: &mut Effects) {
        self.send_after(self.hard_state_seq, to, message, effects);
    }

    /// Acknowledges the log through `matched` once it is durable through there.
    pub(crate) fn acknowledge(&mut self, to: NodeId, round: Round, matched: LogIndex, effects: &mut Effects) {
        let written_by = if matched <= self.durable {
            WriteSeq::ZERO
        } else {
            self.writes.iter().find(|write| write.through >= matched).map_or(self.ordered, |write| write.seq)
        };
        let message = matched_reply(self.hard_state, round, matched);
        self.send_after(written_by.max(self.hard_state_seq), to, message, effects);
    }

    fn send_after(&mut self, after: WriteSeq, to: NodeId, message: Message, effects: &mut Effects) {
        if after <= self.persisted {
            effects.push(Effect::Send { to, message });
        } else {
            self.hold(Held { after, to, message });
        }
    }

    /// Keeps at most one message of a kind per receiver and write, so that a peer that repeats itself costs no memory.
    fn hold(&mut self, new: Held) {
        let replaces =
            |old: &Held| old.to == new.to && old.after == new.after && is_same_kind(&old.message, &new.message);
        if let Some(old) = self.held.iter_mut().rev().find(|old| replaces(old)) {
            old.message = newer(&old.message, new.message);
        } else if self.held.len() < HELD_MAX {
            self.held.push(new);
        }
        // Else it is as if the network had lost it.
    }

    fn release(&mut self, effects: &mut Effects) {
        if self.held.is_empty() {
            return;
        }
        let first_released = effects.len();
        for held in self.held.extract_if(.., |held| held.after <= self.persisted) {
            // Acknowledgements to one leader that become due together become one.
            let same = effects.iter_mut_from(first_released).find_map(|effect| {
                let Effect::Send { to, message } = effect else { return None };
                (*to == held.to && is_same_kind(message, &held.message)).then_some(message)
            });
            match same {
                Some(message) => *message = newer(message, held.message),
                None => effects.push(Effect::Send { to: held.to, message: held.message }),
            }
        }
    }
}

fn matched_reply(HardState { term, damage, .. }: HardState, round: Round, durable: LogIndex) -> Message {
    Message::AppendEntriesReply(AppendEntriesReply { term, round, outcome: AppendOutcome::Matched { durable }, damage })
}

fn is_same_kind(a: &Message, b: &Message) -> bool {
    match (a, b) {
        (Message::AppendEntriesReply(a), Message::AppendEntriesReply(b)) => {
            discriminant(&a.outcome) == discriminant(&b.outcome)
        }
        (a, b) => discriminant(a) == discriminant(b),
    }
}

/// What remains of two messages of a kind to the same peer in the same term.
fn newer(old: &Message, new: Message) -> Message {
    match (old, new) {
        (Message::AppendEntriesReply(old), Message::AppendEntriesReply(new)) => match (old.outcome, new.outcome) {
            (AppendOutcome::Matched { durable: before }, AppendOutcome::Matched { durable }) => {
                let (round, durable) = (old.round.max(new.round), before.max(durable));
                Message::AppendEntriesReply(AppendEntriesReply {
                    round,
                    outcome: AppendOutcome::Matched { durable },
                    ..new
                })
            }
            (_, outcome) => Message::AppendEntriesReply(AppendEntriesReply { outcome, ..new }),
        },
        (_, new) => new,
    }
}

#[cfg(test)]
mod tests;
