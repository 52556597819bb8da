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
    /// What may differ from the records that a machine on disk has stored. `None`: nobody stores any.
    changed: Option<BTreeSet<SessionKey>>,
}

/// What is stored by itself where a machine on disk keeps it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SessionKey {
    /// A client, without its answers.
    Client(String),
    /// One answer of a client.
    Answer(String, u64),
}

/// What is stored under a [`SessionKey`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SessionValue {
    /// Of a client: until when it is remembered, and through where it has its answers.
    Client {
        /// In milliseconds of log time.
        ends_ms: u64,
        /// A sequence.
        forgotten: u64,
    },
    /// Of an answer: its bytes.
    Answer(Bytes),
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
        self.forget_through(once.client, once.acknowledged);
        seen
    }

    /// A client gives a sign of life. Whether it is remembered; then it is for another lifetime.
    pub(crate) fn keep_alive(&mut self, once: &Once<'_>, stamp: Stamp) -> bool {
        self.time_ms = self.time_ms.max(stamp.time_ms);
        self.forget_ended();
        if self.heard_of(once.client, stamp).is_none() {
            return false;
        }
        self.forget_through(once.client, once.acknowledged);
        true
    }

    /// The client, if it is remembered: from now on for its lifetime.
    fn heard_of(&mut self, client: &str, stamp: Stamp) -> Option<&mut Client> {
        let ends_ms = self.time_ms.saturating_add(u64::from(stamp.lifetime_ms));
        let known = self.clients.get_mut(client)?;
        self.ends.remove(&(known.ends_ms, client.to_owned()));
        known.ends_ms = ends_ms;
        self.ends.insert((ends_ms, client.to_owned()));
        if let Some(changed) = &mut self.changed {
            changed.insert(SessionKey::Client(client.to_owned()));
        }
        Some(known)
    }

    /// The client has all answers through `sequence`.
    fn forget_through(&mut self, client: &str, sequence: u64) {
        let Some(known) = self.clients.get_mut(client) else { return };
        let gone = known.forget_through(sequence);
        self.bytes -= gone.values().map(size).sum::<u64>();
        self.note_changed(client, gone.keys().copied());
    }

    /// This client, and these answers of it, are not what they were.
    fn note_changed(&mut self, client: &str, answers: impl Iterator<Item = u64>) {
        if let Some(changed) = &mut self.changed {
            changed.insert(SessionKey::Client(client.to_owned()));
            changed.extend(answers.map(|sequence| SessionKey::Answer(client.to_owned(), sequence)));
        }
    }

    /// The new command was answered so.
    pub(crate) fn remember(&mut self, client: &str, sequence: u64, answer: Bytes) {
        let Some(known) = self.clients.get_mut(client) else { return };
        self.bytes += size(&answer);
        known.answers.insert(sequence, answer);
        let has_too_many = known.answers.len() > ANSWERS_MAX;
        let oldest = known.answers.keys().next().copied().filter(|_| has_too_many);
        self.note_changed(client, std::iter::once(sequence));
        if let Some(oldest) = oldest {
            self.forget_through(client, oldest);
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
            self.note_changed(&name, gone.answers.keys().copied());
        }
    }

    /// From here on notes what changes, for whoever stores it piece by piece.
    pub(crate) fn note_changes(&mut self) {
        self.changed.get_or_insert_default();
    }

    /// What has changed since the last time, and what it is now; `None`: it is gone.
    pub(crate) fn take_changes(&mut self) -> Vec<(SessionKey, Option<SessionValue>)> {
        let changed = self.changed.as_mut().map(std::mem::take).unwrap_or_default();
        changed
            .into_iter()
            .map(|key| {
                let value = self.value_of(&key);
                (key, value)
            })
            .collect()
    }

    fn value_of(&self, key: &SessionKey) -> Option<SessionValue> {
        match key {
            SessionKey::Client(name) => {
                let client = self.clients.get(name)?;
                Some(SessionValue::Client { ends_ms: client.ends_ms, forgotten: client.forgotten })
            }
            SessionKey::Answer(name, sequence) => {
                self.clients.get(name)?.answers.get(sequence).cloned().map(SessionValue::Answer)
            }
        }
    }

    /// Becomes what a snapshot says; for whoever stores it, everything has changed.
    pub(crate) fn replace(&mut self, by: Self) {
        let before = std::mem::replace(self, by);
        if let Some(unstored) = &before.changed {
            self.changed = Some(before.keys().chain(self.keys()).chain(unstored.iter().cloned()).collect());
        }
    }

    fn keys(&self) -> impl Iterator<Item = SessionKey> {
        self.clients.iter().flat_map(|(name, client)| {
            let answers = client.answers.keys().map(|sequence| SessionKey::Answer(name.clone(), *sequence));
            std::iter::once(SessionKey::Client(name.clone())).chain(answers)
        })
    }

    /// How much is remembered: clients, and bytes of answers. Whoever stores it can tell that something is missing.
    pub(crate) fn extent(&self) -> (u64, u64) {
        (self.clients.len() as u64, self.bytes)
    }

    /// What was stored piece by piece, in any order. `None`: an answer belongs to no client, or something is of a
    /// kind that its key does not say.
    pub(crate) fn of_stored(time_ms: u64, stored: BTreeMap<SessionKey, SessionValue>) -> Option<Self> {
        let mut clients = BTreeMap::new();
        // Keys of clients come first.
        for (key, value) in stored {
            match (key, value) {
                (SessionKey::Client(name), SessionValue::Client { ends_ms, forgotten }) => {
                    clients.insert(name, Client { ends_ms, forgotten, answers: BTreeMap::new() });
                }
                (SessionKey::Answer(name, sequence), SessionValue::Answer(answer)) => {
                    clients.get_mut(&name)?.answers.insert(sequence, answer);
                }
                (SessionKey::Client(_), SessionValue::Answer(_))
                | (SessionKey::Answer(..), SessionValue::Client { .. }) => return None,
            }
        }
        Some(Self::of_clients(time_ms, clients))
    }

    fn of_clients(time_ms: u64, clients: BTreeMap<String, Client>) -> Self {
        let ends = clients.iter().map(|(name, client)| (client.ends_ms, name.clone())).collect();
        let bytes = clients.values().map(Client::size).sum();
        Self { time_ms, clients, ends, bytes, changed: None }
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
        Ok(Self::of_clients(time_ms, clients))
    }
}

impl Client {
    /// Returns the answers that nobody asks for any more.
    fn forget_through(&mut self, sequence: u64) -> BTreeMap<u64, Bytes> {
        if sequence <= self.forgotten {
            return BTreeMap::new();
        }
        self.forgotten = sequence;
        let kept = self.answers.split_off(&sequence.saturating_add(1));
        std::mem::replace(&mut self.answers, kept)
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
