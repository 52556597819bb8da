//! Whether answers are true, whatever the machine: it is given the same log once more, in a cluster of none.
//!
//! The [oracle](super::oracle) knows which state each answer claims to come from; here that state is made again, on one
//! machine that never crashes and is handed each command once. Every response has to be the one that the
//! servers gave, every read has to be answered alike.

use std::collections::BTreeMap;

use raft_actor::consensus::{LogIndex, NodeId};
use raft_actor::{ApplyContext, StateMachine};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::checker::{Verdict, Violation};
use super::clients::Request;
use super::hash::number_of;
use super::judge::States;
use super::machine::{Maker, fingerprint};
use super::oracle::{Applied, Oracle};
use super::words::{ADVICE, Words, readable, shown};

#[cfg(test)]
mod tests;

/// A machine that is given what the [`Oracle`] says is the log.
#[derive(Debug)]
pub struct Replay<S: StateMachine> {
    fresh: Maker<S>,
    machine: S,
    /// The last command that the machine has been given.
    applied: LogIndex,
    /// Whether a fresh machine begins at the beginning.
    is_possible: bool,
    /// What was asked for, by request, encoded as it travels. A command is needed as long as the log.
    asked: BTreeMap<u64, Request<Vec<u8>, Vec<u8>>>,
    /// Reads of states that the machine had left behind, by the state.
    late: BTreeMap<LogIndex, Vec<Answered>>,
}

#[derive(Debug)]
struct Answered {
    request: u64,
    query: Vec<u8>,
    answer: u64,
}

impl<S: StateMachine> Replay<S> {
    /// A replay on machines that `fresh` makes. One that comes with a state (because it lives on a disk) cannot be
    /// given the log from its beginning: then nothing is checked.
    pub fn new(fresh: fn() -> S) -> Self {
        Self::made_by(Maker::InMemory(fresh))
    }

    pub(super) fn made_by(fresh: Maker<S>) -> Self {
        let machine = fresh.fresh();
        let is_possible = machine.durable_through().is_none_or(|index| index == LogIndex::ZERO);
        let (asked, late) = (BTreeMap::new(), BTreeMap::new());
        Self { fresh, machine, applied: LogIndex::ZERO, is_possible, asked, late }
    }

    /// A client asks for this.
    pub fn called(&mut self, request: u64, what: &Request<S::Command, S::Query>) {
        let encoded = match what {
            Request::Write(command) => encode(command).map(Request::Write),
            Request::Read(query) => encode(query).map(Request::Read),
            Request::ReadLease(query) => encode(query).map(Request::ReadLease),
            Request::ReadLocal(query) => encode(query).map(Request::ReadLocal),
        };
        // What cannot be encoded cannot travel, and will not be in the log.
        if let Some(encoded) = encoded {
            self.asked.insert(request, encoded);
        }
    }

    /// What a request asked for, to ask for it again; `None` of one that is over.
    pub(super) fn asked(&self, request: u64) -> Option<Request<S::Command, S::Query>> {
        match self.asked.get(&request)? {
            Request::Write(command) => decode(command).map(Request::Write),
            Request::Read(query) => decode(query).map(Request::Read),
            Request::ReadLease(query) => decode(query).map(Request::ReadLease),
            Request::ReadLocal(query) => decode(query).map(Request::ReadLocal),
        }
    }

    /// Gives the machine what has been applied since the last time. `words` tells what was responded, if it has to be told.
    ///
    /// # Errors
    /// If its response is another one.
    pub fn follow(&mut self, oracle: &Oracle, words: &Words) -> Verdict {
        if !self.is_possible {
            return Ok(());
        }
        for applied in oracle.commands_after(self.applied) {
            let Some(response) = give(&mut self.machine, &self.asked, applied) else { return Ok(()) };
            self.applied = applied.position.index;
            if number_of(&response) != applied.response {
                let Applied { request, position, .. } = applied;
                let command = self.asked.get(request).map(|asked| readable(bytes_of(asked))).unwrap_or_default();
                let (first, second) = (words.first(position.index), shown(&response));
                let what = format!(
                    "{first} to {command}, request {request} at {position}; a fresh machine that is given the same commands \
                     responds {second}: {ADVICE}"
                );
                return Err(Violation { invariant: "response_of_a_replay", node: None, what });
            }
        }
        Ok(())
    }

    /// A client gets this answer to its query, from the state whose last command stands at `index`. That state
    /// must have been [followed](Self::follow).
    ///
    /// # Errors
    /// If the machine, in that state, answers otherwise. Of a state that it has left behind that is known in
    /// [`finish`](Self::finish) only.
    pub fn answered(&mut self, request: u64, index: LogIndex, answer: &S::Answer) -> Verdict {
        let Some(asked) = self.asked.remove(&request).filter(|_| self.is_possible) else { return Ok(()) };
        let answered = Answered { request, query: bytes_of(&asked).to_vec(), answer: number_of(answer) };
        if index == self.applied {
            return answered.compare(&self.machine, index);
        }
        self.late.entry(index).or_default().push(answered);
        Ok(())
    }

    /// A client gets no answer. What may still happen is kept in mind: a write whose outcome is unknown.
    pub fn unanswered(&mut self, request: u64, may_still_happen: bool) {
        if !may_still_happen {
            self.asked.remove(&request);
        }
    }

    /// Looks at the answers that came from states of the past, and at the states that servers were seen to have, be it
    /// after loading them from a snapshot, on one more machine.
    ///
    /// # Errors
    /// If it answers otherwise, or its state is another one.
    pub fn finish(&self, oracle: &Oracle, states: &States) -> Verdict {
        let last = self.late.last_key_value().map(|(last, _)| *last);
        let Some(last) = last.max(states.last_key_value().map(|(last, _)| *last)) else { return Ok(()) };
        if !self.is_possible {
            return Ok(());
        }
        let mut machine = self.fresh.fresh();
        self.compare_at(LogIndex::ZERO, &machine)?;
        for applied in oracle.commands_after(LogIndex::ZERO).take_while(|applied| applied.position.index <= last) {
            if give(&mut machine, &self.asked, applied).is_none() {
                return Ok(());
            }
            let index = applied.position.index;
            self.compare_at(index, &machine)?;
            if let Some((node, state)) = states.get(&index) {
                compare_state(&machine, index, *node, *state)?;
            }
        }
        Ok(())
    }

    fn compare_at(&self, index: LogIndex, machine: &S) -> Verdict {
        self.late.get(&index).into_iter().flatten().try_for_each(|answered| answered.compare(machine, index))
    }
}

/// Whether the state that `node` was seen to have after the entry at `index` is that of `machine`.
fn compare_state<S: StateMachine>(machine: &S, index: LogIndex, node: NodeId, seen: u64) -> Verdict {
    // One that cannot be saved was found out where it was seen.
    let is_other = fingerprint(machine).is_ok_and(|state| state != seen);
    if !is_other {
        return Ok(());
    }
    let what = format!(
        "after entry {index} the state machine of n{node} is saved as other bytes than a fresh one that is given the \
         same commands through there: {ADVICE}"
    );
    Err(Violation { invariant: "state_of_a_replay", node: Some(node), what })
}

impl Answered {
    fn compare<S: StateMachine>(&self, machine: &S, index: LogIndex) -> Verdict {
        let Self { request, query, answer: told } = self;
        // One that was answered where it was asked need not be able to travel.
        let Some(query) = decode(query) else { return Ok(()) };
        let answer = machine.query(query);
        if number_of(&answer) == *told {
            return Ok(());
        }
        let (query, answer) = (readable(&self.query), shown(&answer));
        let what = format!(
            "request {request} asked for {query} and was answered from the state after entry {index}, but a fresh \
             machine that is given the same commands through there answers {answer}: {ADVICE}; and query on the state"
        );
        Err(Violation { invariant: "answer_of_a_replay", node: None, what })
    }
}

/// Gives a machine the next command, and gives back its response; `None` if its client was told that it will not happen,
/// of which the oracle has spoken already.
fn give<S: StateMachine>(
    machine: &mut S,
    asked: &BTreeMap<u64, Request<Vec<u8>, Vec<u8>>>,
    next: &Applied,
) -> Option<S::Response> {
    let command = decode(bytes_of(asked.get(&next.request)?)).expect("it was applied, so it can be decoded");
    Some(machine.apply(&mut ApplyContext::at(next.position), command))
}

fn bytes_of(asked: &Request<Vec<u8>, Vec<u8>>) -> &[u8] {
    match asked {
        Request::Write(bytes) | Request::Read(bytes) | Request::ReadLease(bytes) | Request::ReadLocal(bytes) => bytes,
    }
}

fn encode(value: &impl Serialize) -> Option<Vec<u8>> {
    rmp_serde::to_vec_named(value).ok()
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    rmp_serde::from_slice(bytes).ok()
}
