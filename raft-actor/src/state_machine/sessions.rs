//! Exactly once: what clients were answered, so that a command that comes again is not applied again (§8,
//! dissertation 6.3).
//!
//! This is part of the replicated state: every member goes through the same changes in the same order and forgets the
//! same clients, since nothing here depends on anything but the entries applied. Snapshots carry it.
//!
//! Time is the *log's*: the leader stamps commands of sessions, and it never falls. While nothing is written it stands
//! still, so that nobody is forgotten because the cluster was down.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::command::{Once, Stamp};

/// Most clients that are remembered. The one that was not heard of for the longest time makes room for another.
const CLIENTS_MAX: usize = 65_536;
/// Most answers that are remembered for one client. The oldest makes room for another.
pub(crate) const ANSWERS_MAX: usize = 1_024;
/// Most bytes of answers that are remembered for all clients together; makes room as [`CLIENTS_MAX`] does.
const BYTES_MAX: u64 = 64 << 20;
/// What remembering an answer takes beside its bytes, about.
const ANSWER_OVERHEAD_BYTES: u64 = 64;

/// The clients that are remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sessions {
    /// In milliseconds.
    time_ms: u64,
    clients: BTreeMap<String, Client>,
    /// When each client is forgotten, the first one first.
    ends: BTreeSet<(u64, String)>,
    bytes: u64,
}

/// What is remembered of one client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Client {
    /// It is forgotten when the log time passes this.
    ends_ms: u64,
    /// Everything up to here is answered, and forgotten.
    forgotten: u64,
    /// By sequence.
    answers: BTreeMap<u64, Bytes>,
}

/// What to do with a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It is new: apply it, and [remember](Sessions::remember) the answer.
    New,
    /// It was applied before, with this answer.
    Answered(Bytes),
    /// The client, or the answer, is forgotten: it may have been applied before. It must not be applied now.
    Forgotten,
}

/// As it is written to a snapshot.
#[derive(Serialize)]
struct Saving<'a> {
    time_ms: u64,
    clients: &'a BTreeMap<String, Client>,
}

/// As it is read from one.
#[derive(Deserialize)]
struct Saved {
    time_ms: u64,
    clients: BTreeMap<String, Client>,
}

impl Sessions {
    /// Whether a command was applied before. Its client is remembered from now on for its lifetime.
    pub(crate) fn look_up(&mut self, once: &Once<'_>, stamp: Stamp) -> Seen {
        self.time_ms = self.time_ms.max(stamp.time_ms);
        self.forget_ended();
        if once.may_open && !self.clients.contains_key(once.client) {
            self.make_room();
            let client = Client { ends_ms: 0, forgotten: 0, answers: BTreeMap::new() };
            self.clients.insert(once.client.to_owned(), client);
        }
        let Some(client) = self.heard_of(once.client, stamp) else { return Seen::Forgotten };
        let seen = match client.answers.get(&once.sequence) {
            Some(answer) => Seen::Answered(answer.clone()),
            None if once.sequence <= client.forgotten => Seen::Forgotten,
            None => Seen::New,
        };
        let freed = client.forget_through(once.acknowledged);
        self.bytes -= freed;
        seen
    }

    /// A client gives a sign of life. Whether it is remembered; then it is for another lifetime.
    pub(crate) fn keep_alive(&mut self, once: &Once<'_>, stamp: Stamp) -> bool {
        self.time_ms = self.time_ms.max(stamp.time_ms);
        self.forget_ended();
        let Some(client) = self.heard_of(once.client, stamp) else { return false };
        let freed = client.forget_through(once.acknowledged);
        self.bytes -= freed;
        true
    }

    /// The client, if it is remembered: from now on for its lifetime.
    fn heard_of(&mut self, client: &str, stamp: Stamp) -> Option<&mut Client> {
        let ends_ms = self.time_ms.saturating_add(u64::from(stamp.lifetime_ms));
        let known = self.clients.get_mut(client)?;
        self.ends.remove(&(known.ends_ms, client.to_owned()));
        known.ends_ms = ends_ms;
        self.ends.insert((ends_ms, client.to_owned()));
        Some(known)
    }

    /// The new command was answered so.
    pub(crate) fn remember(&mut self, client: &str, sequence: u64, answer: Bytes) {
        let Some(known) = self.clients.get_mut(client) else { return };
        self.bytes += size(&answer);
        known.answers.insert(sequence, answer);
        if known.answers.len() > ANSWERS_MAX
            && let Some(oldest) = known.answers.keys().next().copied()
        {
            self.bytes -= known.forget_through(oldest);
        }
        while self.bytes > BYTES_MAX && self.clients.len() > 1 {
            self.forget_first();
        }
    }

    /// The log time in milliseconds: grows with what is applied, never falls.
    pub(crate) fn time_ms(&self) -> u64 {
        self.time_ms
    }

    /// How many clients are remembered.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.clients.len()
    }

    fn forget_ended(&mut self) {
        while self.ends.first().is_some_and(|(ends_ms, _)| *ends_ms < self.time_ms) {
            self.forget_first();
        }
    }

    fn make_room(&mut self) {
        while self.clients.len() >= CLIENTS_MAX {
            self.forget_first();
        }
    }

    /// Forgets the client that was not heard of for the longest time.
    fn forget_first(&mut self) {
        let Some((_, name)) = self.ends.pop_first() else { return };
        if let Some(gone) = self.clients.remove(&name) {
            self.bytes -= gone.size();
        }
    }

    /// Into a snapshot, ahead of the state machine: length (u64, little-endian), then MessagePack.
    pub(crate) fn save(&self, out: &mut dyn Write) -> io::Result<()> {
        let saved = rmp_serde::to_vec_named(&Saving { time_ms: self.time_ms, clients: &self.clients });
        let saved = saved.map_err(io::Error::other)?;
        out.write_all(&(saved.len() as u64).to_le_bytes())?;
        out.write_all(&saved)
    }

    /// From a snapshot; reads no further than [`save`](Self::save) wrote.
    pub(crate) fn load(input: &mut dyn Read) -> io::Result<Self> {
        let mut length = [0; 8];
        input.read_exact(&mut length)?;
        let mut saved = Vec::new();
        input.take(u64::from_le_bytes(length)).read_to_end(&mut saved)?;
        let Saved { time_ms, clients } = rmp_serde::from_slice(&saved).map_err(io::Error::other)?;
        let ends = clients.iter().map(|(name, client)| (client.ends_ms, name.clone())).collect();
        let bytes = clients.values().map(Client::size).sum();
        Ok(Self { time_ms, clients, ends, bytes })
    }
}

impl Client {
    /// Returns how many bytes that frees.
    fn forget_through(&mut self, sequence: u64) -> u64 {
        if sequence <= self.forgotten {
            return 0;
        }
        self.forgotten = sequence;
        let kept = self.answers.split_off(&sequence.saturating_add(1));
        let gone = std::mem::replace(&mut self.answers, kept);
        gone.values().map(size).sum()
    }

    fn size(&self) -> u64 {
        self.answers.values().map(size).sum()
    }
}

fn size(answer: &Bytes) -> u64 {
    answer.len() as u64 + ANSWER_OVERHEAD_BYTES
}

#[cfg(test)]
mod tests;
