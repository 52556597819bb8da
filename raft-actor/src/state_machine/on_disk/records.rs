//! The records that a machine on disk keeps for the framework. Numbers in values are little-endian, in keys big-endian.
//!
//! | key | value |
//! |---|---|
//! | 0 | version 1 (u8); group, term and index of the last entry applied, log time in ms, clients, bytes of answers (u64 each); name of the cluster |
//! | 1 | MessagePack map: `configuration` in force there, `configured_at`: where that stands in the log |
//! | 2, name | a client: when it is forgotten in ms of log time, the sequence through which it has its answers (u64 each) |
//! | 3, length of the name (u8), name, sequence (u64) | what it was answered |
//!
//! Record 0 is written with every batch, record 1 when the members change, 2 and 3 when what they say does. What is
//! counted in record 0 tells whether all of the others are there. Against flipped bits the machine's own store has to
//! guard, as it does for its data.

use std::collections::BTreeMap;

use bytes::{Buf, BufMut, Bytes};
use raft_consensus::{Configuration, GroupId, LogIndex, LogPosition, SnapshotMeta, Term};
use serde::{Deserialize, Serialize};

use super::super::sessions::{SessionKey, SessionValue, Sessions};
use super::{Changes, Held, MachineError, Owner};

/// The version that this build writes, and the newest that it reads.
pub(super) const VERSION: u8 = 1;

const HEAD: u8 = 0;
const MEMBERS: u8 = 1;
const CLIENT: u8 = 2;
const ANSWER: u8 = 3;
/// Version and six numbers, in front of the name.
const HEAD_BYTES: usize = 1 + 6 * 8;

/// Which of the records that do not change with every batch are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stored {
    position: LogPosition,
    configured_at: LogPosition,
}

impl Stored {
    pub(crate) fn of(covered: &SnapshotMeta) -> Self {
        Self { position: covered.position, configured_at: covered.configured_at }
    }
}

/// What record 0 says.
struct Head {
    owner: Owner,
    position: LogPosition,
    time_ms: u64,
    /// Clients, and bytes of answers.
    extent: (u64, u64),
}

#[derive(Serialize)]
struct MembersToStore<'a> {
    configuration: &'a Configuration,
    configured_at: LogPosition,
}

#[derive(Deserialize)]
struct Members {
    configuration: Configuration,
    configured_at: LogPosition,
}

/// What has to be stored with what was applied since `stored`.
pub(super) fn changes(
    owner: &Owner,
    covered: &SnapshotMeta,
    sessions: &mut Sessions,
    stored: Option<Stored>,
) -> Result<Changes, MachineError> {
    let SnapshotMeta { position, configuration, configured_at } = covered;
    let (owner, position) = (owner.clone(), *position);
    let head = Head { owner, position, time_ms: sessions.time_ms(), extent: sessions.extent() };
    let mut changes = vec![(vec![HEAD], Some(head.encode()))];
    if stored.is_none_or(|stored| stored.configured_at != *configured_at) {
        let members = rmp_serde::to_vec_named(&MembersToStore { configuration, configured_at: *configured_at });
        let members = members.map_err(|error| MachineError::Failed {
            action: "be given the list of the members",
            source: std::io::Error::other(error),
        })?;
        changes.push((vec![MEMBERS], Some(members.into())));
    }
    let of_sessions = sessions.take_changes().into_iter();
    changes.extend(of_sessions.map(|(key, value)| (encode_key(&key), value.map(encode_value))));
    Ok(changes)
}

/// What the records say, all of which are here; `None` if there are none.
pub(super) fn read(records: Vec<(Vec<u8>, Vec<u8>)>, owner: &Owner) -> Result<Option<Held>, MachineError> {
    if records.is_empty() {
        return Ok(None);
    }
    let damaged = |what| MachineError::Records { what };
    // First of all: a later version may have other records.
    let head = records.iter().find(|(key, _)| *key == [HEAD]);
    let head = Head::decode(&head.ok_or(damaged("the first one is missing"))?.1)?;
    if head.owner != *owner {
        return Err(MachineError::OtherGroup { found: head.owner, expected: owner.clone() });
    }
    let (mut members, mut sessions) = (None, BTreeMap::new());
    for (key, value) in records {
        match key.split_first() {
            Some((&HEAD, [])) => {}
            Some((&MEMBERS, [])) => {
                let decoded = rmp_serde::from_slice::<Members>(&value);
                members = Some(decoded.map_err(|_| damaged("the list of the members cannot be decoded"))?);
            }
            Some((&kind, rest)) => {
                let session = decode_session(kind, rest, value.into());
                let (key, value) = session.ok_or(damaged("one is of no known form"))?;
                sessions.insert(key, value);
            }
            None => return Err(damaged("one has no key")),
        }
    }
    let sessions = Sessions::of_stored(head.time_ms, sessions).ok_or(damaged("an answer belongs to no client"))?;
    if sessions.extent() != head.extent {
        return Err(damaged("there are more or fewer sessions than there were"));
    }
    let Members { configuration, configured_at } = members.ok_or(damaged("the list of the members is missing"))?;
    let covered = SnapshotMeta { position: head.position, configuration, configured_at };
    if configured_at > covered.position || covered.position == LogPosition::ZERO {
        return Err(damaged("they contradict each other"));
    }
    Ok(Some(Held { covered, sessions }))
}

impl Head {
    fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(HEAD_BYTES);
        out.put_u8(VERSION);
        let (clients, bytes) = self.extent;
        let Self { owner, position, time_ms, extent: _ } = self;
        for number in [owner.group.get(), position.term.get(), position.index.get(), *time_ms, clients, bytes] {
            out.put_u64_le(number);
        }
        out.put_slice(owner.cluster.as_bytes());
        out.into()
    }

    fn decode(mut bytes: &[u8]) -> Result<Self, MachineError> {
        let Some((&version, rest)) = bytes.split_first() else {
            return Err(MachineError::Records { what: "the first one is empty" });
        };
        if version != VERSION {
            return Err(MachineError::Version { found: version, supported: VERSION });
        }
        let (numbers, name) = rest
            .split_at_checked(HEAD_BYTES - 1)
            .ok_or(MachineError::Records { what: "the first one is too short" })?;
        let cluster = std::str::from_utf8(name)
            .map_err(|_| MachineError::Records { what: "the name of the cluster cannot be decoded" })?;
        bytes = numbers;
        let mut number = || bytes.get_u64_le();
        Ok(Self {
            owner: Owner { group: GroupId::new(number()), cluster: cluster.into() },
            position: LogPosition::new(Term::new(number()), LogIndex::new(number())),
            time_ms: number(),
            extent: (number(), number()),
        })
    }
}

fn encode_key(key: &SessionKey) -> Vec<u8> {
    let mut out = Vec::new();
    match key {
        SessionKey::Client(name) => {
            out.put_u8(CLIENT);
            out.put_slice(name.as_bytes());
        }
        SessionKey::Answer(name, sequence) => {
            out.put_u8(ANSWER);
            out.put_u8(u8::try_from(name.len()).expect("names of clients are no longer than CLIENT_BYTES_MAX"));
            out.put_slice(name.as_bytes());
            out.put_u64(*sequence);
        }
    }
    out
}

fn encode_value(value: SessionValue) -> Bytes {
    match value {
        SessionValue::Client { ends_ms, forgotten } => {
            let mut out = Vec::with_capacity(16);
            out.put_u64_le(ends_ms);
            out.put_u64_le(forgotten);
            out.into()
        }
        SessionValue::Answer(answer) => answer,
    }
}

/// `None`: it is none.
fn decode_session(kind: u8, mut key: &[u8], mut value: Bytes) -> Option<(SessionKey, SessionValue)> {
    let name = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(str::to_owned);
    match kind {
        CLIENT if value.len() == 16 => {
            let (ends_ms, forgotten) = (value.get_u64_le(), value.get_u64_le());
            Some((SessionKey::Client(name(key)?), SessionValue::Client { ends_ms, forgotten }))
        }
        ANSWER => {
            let length = usize::from(key.try_get_u8().ok()?);
            let (of, mut sequence) = key.split_at_checked(length).filter(|(_, rest)| rest.len() == 8)?;
            Some((SessionKey::Answer(name(of)?, sequence.get_u64()), SessionValue::Answer(value)))
        }
        _ => None,
    }
}
