//! Exactly once: what has to become of the commands of sessions, found out once more from the log alone
//! (`docs/SESSIONS.md`).
//!
//! What is remembered of clients is part of the replicated state and depends on nothing but the log. So it can be
//! followed here, entry by entry as they are committed, by a book of its own. Nobody may apply what is in the book
//! already or what was forgotten, nobody may pass over what is new.
//!
//! Nothing here makes room: no simulation has so many clients, or so many answers, that the members would.

use std::collections::{BTreeMap, BTreeSet};

use raft_actor::consensus::{Entry, LogIndex, LogPosition, NodeId, Payload, Term};

use super::Knowledge;
use super::commits::Commits;
use super::situations::Situations;
use super::verdict::{Verdict, ensure};

/// The first byte of a command that a session sent.
const IN_A_SESSION: u8 = 1;
/// The client may be new.
const MAY_OPEN: u8 = 1;
/// Nothing follows but the wish to be remembered.
const SIGN_OF_LIFE: u8 = 2;

/// What stands in front of a command of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Numbered {
    time_ms: u64,
    lifetime_ms: u32,
    flags: u8,
    sequence: u64,
    acknowledged: u64,
    client: String,
}

/// What has to become of a command of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// It is new: everybody applies it.
    Applied,
    /// It was applied before: whoever asks gets the first answer.
    Remembered,
    /// Its client, or its number, is forgotten: nobody applies it.
    Forgotten,
    /// It is none.
    Nothing,
}

/// What is known of a client.
#[derive(Debug, Clone, Default)]
struct Client {
    ends_ms: u64,
    /// The numbers up to this one are forgotten.
    forgotten: u64,
    answered: BTreeSet<u64>,
}

/// The book of the clients, as the committed log has it.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    /// Written somewhere, and not known to be committed.
    written: BTreeMap<(LogIndex, Term), Numbered>,
    /// The book knows the log through here.
    through: LogIndex,
    time_ms: u64,
    clients: BTreeMap<String, Client>,
    due: BTreeMap<LogIndex, Due>,
    /// What came when it was forgotten.
    refused: BTreeSet<(String, u64)>,
}

impl Numbered {
    /// `None`: no session sent this.
    fn parse(command: &[u8]) -> Option<Self> {
        let (tag, rest) = command.split_first()?;
        if *tag != IN_A_SESSION {
            return None;
        }
        let (time_ms, rest) = rest.split_first_chunk::<8>()?;
        let (lifetime_ms, rest) = rest.split_first_chunk::<4>()?;
        let (flags, rest) = rest.split_first()?;
        let (sequence, rest) = rest.split_first_chunk::<8>()?;
        let (acknowledged, rest) = rest.split_first_chunk::<8>()?;
        let (length, rest) = rest.split_first()?;
        let client = std::str::from_utf8(rest.get(..usize::from(*length))?).ok()?;
        Some(Self {
            time_ms: u64::from_le_bytes(*time_ms),
            lifetime_ms: u32::from_le_bytes(*lifetime_ms),
            flags: *flags,
            sequence: u64::from_le_bytes(*sequence),
            acknowledged: u64::from_le_bytes(*acknowledged),
            client: client.to_owned(),
        })
    }
}

impl Sessions {
    /// Somebody has this entry in its log.
    pub(super) fn written(&mut self, entry: &Entry) {
        let Payload::Command(command) = &entry.payload else { return };
        let LogPosition { term, index } = entry.position;
        if command.first() != Some(&IN_A_SESSION) || index <= self.through || self.written.contains_key(&(index, term))
        {
            return;
        }
        if let Some(numbered) = Numbered::parse(command) {
            self.written.insert((index, term), numbered);
        }
    }

    /// More is committed.
    pub(super) fn follow(&mut self, commits: &Commits, situations: &mut Situations) {
        while let Some(commit) = commits.at(self.through.next()) {
            let LogPosition { term, index } = commit.position;
            self.through = index;
            let numbered = self.written.remove(&(index, term));
            // What others wrote there will not be committed.
            while self.written.first_key_value().is_some_and(|((at, _), _)| *at <= index) {
                self.written.pop_first();
            }
            let Some(numbered) = numbered else { continue };
            let due = self.enter(&numbered);
            situations.answered_from_memory += u64::from(due == Due::Remembered);
            if due == Due::Forgotten {
                situations.came_when_forgotten += 1;
                self.refused.insert((numbered.client, numbered.sequence));
            }
            self.due.insert(index, due);
        }
    }

    fn enter(&mut self, numbered: &Numbered) -> Due {
        let Numbered { time_ms, lifetime_ms, flags, sequence, acknowledged, ref client } = *numbered;
        self.time_ms = self.time_ms.max(time_ms);
        if self.clients.get(client).is_some_and(|known| known.ends_ms < self.time_ms) {
            self.clients.remove(client);
        }
        if flags & MAY_OPEN != 0 {
            self.clients.entry(client.clone()).or_default();
        }
        let Some(known) = self.clients.get_mut(client) else { return Due::Forgotten };
        known.ends_ms = self.time_ms + u64::from(lifetime_ms);
        let due = if flags & SIGN_OF_LIFE != 0 {
            Due::Nothing
        } else if known.answered.contains(&sequence) {
            Due::Remembered
        } else if sequence <= known.forgotten {
            Due::Forgotten
        } else {
            known.answered.insert(sequence);
            Due::Applied
        };
        known.forgotten = known.forgotten.max(acknowledged);
        known.answered = known.answered.split_off(&known.forgotten.saturating_add(1));
        due
    }

    /// Whether machines are not given the command at this index.
    pub(super) fn passes_over(&self, index: LogIndex) -> bool {
        self.due.get(&index).is_some_and(|due| *due != Due::Applied)
    }
}

impl Knowledge {
    /// A machine is given the command at `position`.
    pub(super) fn check_once(&self, id: NodeId, position: LogPosition) -> Verdict {
        let due = self.sessions.due.get(&position.index);
        let is_again = due == Some(&Due::Remembered);
        ensure!("once_in_a_session", id, !is_again, "n{id} applies {position}, which its session had applied before");
        let is_due = due.is_none_or(|due| *due == Due::Applied);
        ensure!("forgotten_is_not_applied", id, is_due, "n{id} applies {position}, whose session is forgotten");
        Ok(())
    }

    /// A client is told that it is forgotten.
    pub(super) fn check_expired(&self, client: &str, sequence: u64) -> Verdict {
        let is_so = self.sessions.refused.contains(&(client.to_owned(), sequence));
        ensure!(
            "who_is_forgotten_was_silent",
            None,
            is_so,
            "{client:?} is told that it is forgotten, but by the log its number {sequence} is not"
        );
        Ok(())
    }
}
