//! What happened, for people and for comparing two runs.
//!
//! Each event goes into a hash that is the same on every machine: two runs of one seed must come to the
//! same. The latest events are kept as they are, and become lines in the notation of
//! [`notation`] only when somebody wants to read them:
//! `12.345678s n2@3 candidate => leader`.

use std::collections::VecDeque;
use std::fmt;
use std::hash::Hasher;
use std::io::Write;

use raft_actor::consensus::notation::{self, Moment};
use raft_actor::consensus::{Effect, GroupId, LogIndex, LogPosition, NodeId, Time};
use raft_actor::envelope::{Body, Envelope, SnapshotReply};

use super::hash::StableHasher;

mod digest;

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// A member wants this done.
    Effect {
        /// What it was before the step.
        before: Moment,
        /// What it is now.
        after: Moment,
        /// What it wants.
        effect: Effect,
    },
    /// The commit index of a member moved.
    Commits {
        /// What it is now.
        after: Moment,
        /// Where the index was.
        from: LogIndex,
    },
    /// A state machine applied a command.
    Applies {
        /// Whose.
        node: NodeId,
        /// Where the command stands.
        position: LogPosition,
        /// A number that equal responses have in common.
        response: u64,
    },
    /// A message left a server, or arrived, or was lost.
    Travels {
        /// What became of it.
        how: Travel,
        /// The message.
        envelope: Envelope,
    },
    /// Anything else: a fault, a crash, a start, what a client did.
    Note {
        /// The server it is about, if it is about one.
        node: Option<NodeId>,
        /// What happened: `crashes`.
        what: &'static str,
        /// A number that belongs to it.
        number: u64,
    },
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Travel {
    /// It left its sender.
    Leaves,
    /// It arrived.
    Arrives,
    /// The network lost it.
    IsLost,
}

/// The events of a run.
pub struct Trace {
    hash: StableHasher,
    events: u64,
    kept_max: usize,
    /// Which group what comes next is about; none of several: 0 or 1.
    group: GroupId,
    kept: VecDeque<(Time, GroupId, Event)>,
    out: Option<Box<dyn Write + Send>>,
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hash, events, kept_max, group, kept, out } = self;
        let mut f = f.debug_struct("Trace");
        f.field("hash", hash).field("events", events).field("kept_max", kept_max).field("group", group);
        f.field("kept", &kept.len()).field("has_out", &out.is_some()).finish()
    }
}

impl Trace {
    /// A trace that keeps the last `kept_max` events.
    pub fn keeping(kept_max: usize) -> Self {
        let (hash, group) = (StableHasher::default(), GroupId::new(0));
        Self { hash, events: 0, kept_max, group, kept: VecDeque::new(), out: None }
    }

    /// What comes next is about this group. The lines of the groups behind the first say which.
    pub fn about(&mut self, group: GroupId) {
        self.group = group;
    }

    /// Writes the line of each event to `out` from now on. What cannot be written is lost.
    pub fn write_to(&mut self, out: Box<dyn Write + Send>) {
        self.out = Some(out);
    }

    /// How many events there were.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// A number that stands for all events so far, in their order.
    pub fn hash(&self) -> u64 {
        self.hash.finish()
    }

    /// The lines of the latest events, oldest first.
    pub fn latest(&self) -> impl Iterator<Item = String> {
        self.kept.iter().filter_map(|(at, group, event)| line_of(*at, *group, event))
    }

    /// A member took a step: see [`Event::Effect`] and [`Event::Commits`].
    pub fn step(&mut self, at: Time, before: Moment, after: Moment, effects: &[Effect]) {
        let mut from = (after.commit != before.commit).then_some(before.commit);
        for effect in effects {
            match effect {
                // Seen as the messages that they become.
                Effect::Send { .. } | Effect::Replicate(_) => continue,
                Effect::Apply { .. } => self.commits(at, after, from.take()),
                Effect::Persist { .. }
                | Effect::TakeSnapshot
                | Effect::SendSnapshot(_)
                | Effect::InstallSnapshot(_)
                | Effect::DropSnapshot { .. }
                | Effect::Proposed { .. }
                | Effect::MembershipChange { .. }
                | Effect::Transfer { .. }
                | Effect::ReadReady { .. }
                | Effect::ReadRefused { .. }
                | Effect::RoleChanged { .. }
                | Effect::Halt { .. } => {}
            }
            self.count(at);
            digest::take_effect(&mut self.hash, &after, effect);
            self.keep(at, || Event::Effect { before, after, effect: effect.clone() });
        }
        self.commits(at, after, from);
    }

    fn commits(&mut self, at: Time, after: Moment, from: Option<LogIndex>) {
        if let Some(from) = from {
            self.count(at);
            digest::numbers(&mut self.hash, [after.id.get(), from.get(), after.commit.get()]);
            self.keep(at, || Event::Commits { after, from });
        }
    }

    /// A message leaves, arrives or is lost.
    pub fn travels(&mut self, at: Time, how: Travel, envelope: &Envelope) {
        self.count(at);
        let how_number = match how {
            Travel::Leaves => 1,
            Travel::Arrives => 2,
            Travel::IsLost => 3,
        };
        digest::numbers(&mut self.hash, [how_number, envelope.from.get(), envelope.to.get()]);
        digest::take_body(&mut self.hash, &envelope.body);
        self.keep(at, || Event::Travels { how, envelope: envelope.clone() });
    }

    /// A state machine applied a command; `response` is a number that equal responses have in common.
    pub fn applies(&mut self, at: Time, node: NodeId, position: LogPosition, response: u64) {
        self.count(at);
        self.hash.write_u64(node.get());
        digest::take_position(&mut self.hash, position);
        self.hash.write_u64(response);
        self.keep(at, || Event::Applies { node, position, response });
    }

    /// Anything else; see [`Event::Note`].
    pub fn note(&mut self, at: Time, node: Option<NodeId>, what: &'static str, number: u64) {
        self.count(at);
        self.hash.write(what.as_bytes());
        digest::numbers(&mut self.hash, [node.map_or(0, NodeId::get), number]);
        self.keep(at, || Event::Note { node, what, number });
    }

    fn count(&mut self, at: Time) {
        self.events += 1;
        self.hash.write_u64(at.as_micros());
    }

    fn keep(&mut self, at: Time, event: impl FnOnce() -> Event) {
        if self.kept_max == 0 && self.out.is_none() {
            return;
        }
        let event = event();
        if let Some(out) = &mut self.out
            && let Some(line) = line_of(at, self.group, &event)
        {
            let _ = writeln!(out, "{line}");
        }
        if self.kept_max > 0 {
            if self.kept.len() >= self.kept_max {
                self.kept.pop_front();
            }
            self.kept.push_back((at, self.group, event));
        }
    }
}

fn line_of(at: Time, group: GroupId, event: &Event) -> Option<String> {
    let line = line(at, event)?;
    Some(if group.get() > 1 { format!("{line} (group {group})") } else { line })
}

/// The line of an event, if it has one of its own.
pub fn line(at: Time, event: &Event) -> Option<String> {
    let what = match event {
        Event::Effect { before, after, effect } => notation::effect(before, after, effect)?,
        Event::Commits { after, from } => notation::commit(after, *from),
        Event::Applies { node, position, response } => format!("n{node} applies {position}, response {response:016x}"),
        Event::Travels { how, envelope } => {
            let Envelope { from, to, group: _, body } = envelope;
            let arrow = match how {
                Travel::Leaves => "->",
                Travel::Arrives => "=>",
                Travel::IsLost => "-x",
            };
            format!("n{from}{} {arrow} n{to} {}", term_of(body), body_line(body))
        }
        Event::Note { node: Some(node), what, number: 0 } => format!("n{node} {what}"),
        Event::Note { node: Some(node), what, number } => format!("n{node} {what} {number}"),
        Event::Note { node: None, what, number: 0 } => (*what).to_owned(),
        Event::Note { node: None, what, number } => format!("{what} {number}"),
    };
    let micros = at.as_micros();
    Some(format!("{}.{:06}s {what}", micros / 1_000_000, micros % 1_000_000))
}

fn term_of(body: &Body) -> String {
    match body {
        Body::Raft(message) => format!("@{}", message.term()),
        Body::SnapshotChunk(chunk) => format!("@{}", chunk.term),
        Body::Forward(_) | Body::ForwardReply(_) | Body::SnapshotReply(_) | Body::Pulse(_) => String::new(),
    }
}

fn body_line(body: &Body) -> String {
    match body {
        Body::Raft(message) => notation::message(message.term(), message),
        Body::Forward(forward) => {
            format!("Forward {} {:?} x{}", forward.id, forward.kind, forward.requests.len())
        }
        Body::ForwardReply(reply) => format!("ForwardReply {} x{}", reply.id, reply.outcomes.len()),
        Body::SnapshotChunk(chunk) => {
            let (id, from) = (chunk.id, chunk.offset);
            let to = from + chunk.bytes.len() as u64;
            format!("SnapshotChunk {} {from}..{to}/{} round={}", id.position, id.size_bytes, chunk.round.get())
        }
        Body::Pulse(pulse) => format!("Pulse stops={}", pulse.stops),
        Body::SnapshotReply(reply) => {
            let SnapshotReply { id, round, received, outcome } = reply;
            format!("SnapshotReply {} {received}/{} {outcome:?} round={}", id.position, id.size_bytes, round.get())
        }
    }
}

#[cfg(test)]
mod tests;
