//! What clients may rely on, judged against the log: linear in time, as the order of everything is known.
//!
//! [`linearizable`](super::linearizable) has to search for an order that explains a history. A simulation need not:
//! every write that took effect has a place in the log, every answer names the state that it comes from, and events
//! are told in the order in which they happen. What is left to check is that this order is one for all, true to real
//! time, and without anything that nobody asked for; and that at the step where it goes wrong.
//!
//! Nothing here knows what commands mean. Whether responses and answers are those of the state that they claim to come
//! from is [`replay`](super::replay)'s to say.

use std::collections::BTreeMap;
use std::fmt;

use raft_actor::consensus::{LogIndex, LogPosition, NodeId};

use super::checker::{Verdict, Violation};

#[cfg(test)]
mod tests;

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A command.
    Write,
    /// A linearizable read.
    Read,
    /// A read from the state of this node, be it stale.
    LocalRead(NodeId),
}

/// What a client is told. Answers are numbers that equal ones have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// A write: this is its place in the log and its response. A read: the last command of the state that the answer
    /// comes from ([`LogIndex::ZERO`]: none), and the answer.
    Done {
        /// The place.
        index: LogIndex,
        /// The response or answer.
        answer: u64,
    },
    /// It certainly did not and will not happen.
    Failed,
    /// Nothing, or nothing certain.
    Unknown,
}

/// A command in the log that somebody has applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// Which request it is.
    pub request: u64,
    /// Where it stands.
    pub position: LogPosition,
    /// What came of it.
    pub response: u64,
    /// The command before it.
    after: LogIndex,
}

#[derive(Debug)]
struct Request {
    kind: Kind,
    called_us: u64,
    /// Everything through here had been seen when it was called, by somebody who could have told.
    floor: LogIndex,
    /// What its client was told; `None`: nothing yet.
    fate: Option<Fate>,
    /// Its place in the log, once somebody has applied it.
    place: Option<LogIndex>,
}

/// Judges what clients are told. Call every method at the moment when what it is about happens; the first error is
/// final.
#[derive(Debug, Default)]
pub struct Oracle {
    requests: BTreeMap<u64, Request>,
    log: BTreeMap<LogIndex, Applied>,
    /// The latest state that any write or linearizable read has told of.
    seen: LogIndex,
    /// The latest state that local reads of each node have told of since it was started.
    seen_locally: BTreeMap<NodeId, LogIndex>,
}

/// Fails with the name of the invariant, the node and a sentence, unless the condition holds.
macro_rules! ensure {
    ($invariant:literal, $node:expr, $holds:expr, $($what:tt)+) => {
        if !$holds {
            return Err(Violation { invariant: $invariant, node: $node, what: format!($($what)+) });
        }
    };
}

impl Oracle {
    /// A client asks. `request` is a number that no other request has, and each retry has its own, unless it is one in a
    /// session: that is the same request, and its client is told when it is over.
    ///
    /// # Panics
    /// If the number was used before.
    pub fn called(&mut self, request: u64, at_us: u64, kind: Kind) {
        let floor = match kind {
            Kind::Write | Kind::Read => self.seen,
            Kind::LocalRead(node) => self.seen_locally.get(&node).copied().unwrap_or(LogIndex::ZERO),
        };
        let earlier = self.requests.insert(request, Request { kind, called_us: at_us, floor, fate: None, place: None });
        assert!(earlier.is_none(), "request {request} is called twice");
    }

    /// A node was started: its state may be an older one than before.
    pub fn started(&mut self, node: NodeId) {
        self.seen_locally.remove(&node);
    }

    /// A node's state machine has applied a request, upon a state whose last command stands at `after`.
    ///
    /// # Errors
    /// If nobody asked for it, its client knows that it will not happen, or it happened before; if anybody applied
    /// something else there, upon something else, or to another end.
    pub fn applied(
        &mut self,
        node: NodeId,
        after: LogIndex,
        position: LogPosition,
        request: u64,
        response: u64,
    ) -> Verdict {
        let (by, index) = (Some(node), position.index);
        let applied = Applied { request, position, response, after };
        if let Some(known) = self.log.get(&index) {
            return known.is_again(node, &applied);
        }
        let end = self.end();
        let Some(asked) = self.requests.get_mut(&request) else {
            let what = format!("n{node} applies request {request} at {position}: nobody sent it");
            return Err(Violation { invariant: "no_phantom_write", node: by, what });
        };
        let who = Named(request, asked);
        ensure!(
            "no_phantom_write",
            by,
            asked.kind == Kind::Write,
            "n{node} applies at {position} what is no write: {who}"
        );
        let place = asked.place.unwrap_or_default();
        ensure!(
            "applied_once",
            by,
            asked.place.is_none(),
            "n{node} applies at {position} what stands at {place}: {who}"
        );
        let may_happen = asked.fate != Some(Fate::Failed);
        ensure!("failed_is_not_applied", by, may_happen, "n{node} applies at {position} what had failed: {who}");
        ensure!(
            "real_time_order",
            by,
            index > asked.floor,
            "n{node} applies at {position} what was called later: {who}"
        );
        // Whoever was further than this has left it out.
        ensure!("nothing_is_skipped", by, index > end, "n{node} applies at {position}, others were at {end}: {who}");
        ensure!("nothing_is_skipped", by, after == end, "n{node} applies {position} upon {after}, not {end}: {who}");
        asked.place = Some(index);
        self.log.insert(index, applied);
        Ok(())
    }

    /// A client is told what became of its request. One that nobody ever tells of stays unknown.
    ///
    /// # Errors
    /// If that is not true to the log, or to what had been seen when the request was called.
    ///
    /// # Panics
    /// If it was never called, or is told twice.
    pub fn returned(&mut self, request: u64, at_us: u64, fate: Fate) -> Verdict {
        let asked = self.requests.get_mut(&request).expect("what returns was called");
        if let (Some(first @ Fate::Done { .. }), Kind::Write) = (asked.fate, asked.kind) {
            // In a session one may ask again.
            ensure!("first_answer_again", None, fate == first, "now it is {fate:?}: {}", Named(request, asked));
            return Ok(());
        }
        assert!(asked.fate.is_none(), "told twice, the second time at {at_us} us: {}", Named(request, asked));
        asked.fate = Some(fate);
        let asked = &*asked;
        let who = Named(request, asked);
        match (fate, asked.kind) {
            (Fate::Done { index, answer }, Kind::Write) => {
                let stands = self.log.get(&index).is_some_and(|entry| entry.request == request);
                ensure!("acknowledged_is_applied", None, stands, "nobody has applied it there: {who}");
                let response = self.log[&index].response;
                ensure!(
                    "told_what_was_responded",
                    None,
                    answer == response,
                    "{answer:x} instead of {response:x}: {who}"
                );
                self.seen = self.seen.max(index);
            }
            (Fate::Done { index, .. }, Kind::Read) => {
                let floor = asked.floor;
                ensure!("linearizable_read", None, index >= floor, "{floor} had been seen when it was called: {who}");
                ensure!("reads_see_a_state", None, is_a_state(&self.log, index), "no state ends with {index}: {who}");
                self.seen = self.seen.max(index);
            }
            (Fate::Done { index, .. }, Kind::LocalRead(node)) => {
                let (at, floor) = (Some(node), asked.floor);
                ensure!("local_reads_go_forward", at, index >= floor, "{floor} had been seen there before: {who}");
                ensure!("reads_see_a_state", at, is_a_state(&self.log, index), "no state ends with {index}: {who}");
                let seen = self.seen_locally.entry(node).or_insert(index);
                *seen = index.max(*seen);
            }
            (Fate::Failed, _) => {
                let place = asked.place.unwrap_or_default();
                ensure!("failed_is_not_applied", None, asked.place.is_none(), "it stands at {place}: {who}");
            }
            (Fate::Unknown, _) => {}
        }
        Ok(())
    }

    /// A client was told that its try has failed, and tries again: until then nobody has applied it.
    ///
    /// # Errors
    /// If somebody has.
    pub fn has_failed_so_far(&self, request: u64) -> Verdict {
        let Some(asked) = self.requests.get(&request) else { return Ok(()) };
        let (place, who) = (asked.place.unwrap_or_default(), Named(request, asked));
        ensure!("failed_is_not_applied", None, asked.place.is_none(), "it stands at {place}, and failed: {who}");
        Ok(())
    }

    /// The run is over, all faults have ended, and these are the states of the nodes that can be asked: the last command
    /// of each.
    ///
    /// # Errors
    /// If one of them is not the end of the log: what was acknowledged, or seen, is lost there.
    pub fn finish(&self, states: impl IntoIterator<Item = (NodeId, LogIndex)>) -> Verdict {
        let end = self.end();
        for (node, state) in states {
            ensure!("nothing_is_lost", Some(node), state == end, "n{node} ends at {state}, the log at {end}");
        }
        Ok(())
    }

    /// The last command that anybody has applied.
    pub fn end(&self) -> LogIndex {
        self.log.last_key_value().map_or(LogIndex::ZERO, |(index, _)| *index)
    }

    /// The commands behind `index`, in their order.
    pub fn commands_after(&self, index: LogIndex) -> impl Iterator<Item = &Applied> {
        self.log.range(index.next()..).map(|(_, applied)| applied)
    }
}

/// Whether the state of a machine is what the commands through `index` make of it.
fn is_a_state(log: &BTreeMap<LogIndex, Applied>, index: LogIndex) -> bool {
    index == LogIndex::ZERO || log.contains_key(&index)
}

impl Applied {
    /// Another node, or the same one after a restart, has applied the same place of the log.
    fn is_again(&self, node: NodeId, again: &Self) -> Verdict {
        let (by, place) = (Some(node), again.position);
        let (one, other) = (self.request, again.request);
        let same = one == other && self.position == place;
        ensure!("one_log", by, same, "n{node} applies request {other} at {place}, others {one} at {}", self.position);
        let (one, other) = (self.after, again.after);
        ensure!("nothing_is_skipped", by, one == other, "n{node} applies {place} upon {other}, not {one}");
        let (one, other) = (self.response, again.response);
        ensure!(
            "same_response",
            by,
            one == other,
            "n{node} responds {other:x} to the command at {place}, others {one:x}"
        );
        Ok(())
    }
}

/// A request for people.
struct Named<'a>(u64, &'a Request);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(request, Request { kind, called_us, fate, .. }) = self;
        match kind {
            Kind::Write => write!(f, "write {request}"),
            Kind::Read => write!(f, "read {request}"),
            Kind::LocalRead(node) => write!(f, "local read {request} of n{node}"),
        }?;
        write!(f, ", called at {called_us} us, ")?;
        match fate {
            None => f.write_str("under way"),
            Some(Fate::Done { index, .. }) => write!(f, "done at {index}"),
            Some(Fate::Failed) => f.write_str("failed"),
            Some(Fate::Unknown) => f.write_str("unknown"),
        }
    }
}
