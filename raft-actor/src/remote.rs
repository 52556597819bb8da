//! What a client says and hears that runs no node of its own.
//!
//! A transport that serves such clients hands their requests to
//! [`Inbound::asked`](crate::transport::Inbound::asked); their commands, queries and answers are written and read here.
//! The remote client of `raft-transport` does all of this.

use bytes::Bytes;
use raft_consensus::GroupId;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::callers;
use crate::state_machine::command::{self, Once};
use crate::state_machine::sessions;

/// The group of a cluster that has one only.
pub const GROUP: GroupId = crate::host::GROUP;

/// How far the sequences of a session may reach beyond the first that has no answer yet: of each client so many answers
/// are remembered.
pub const SESSION_WINDOW: u64 = sessions::ANSWERS_MAX as u64;

/// A command, query or answer that cannot be encoded or decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "it cannot be encoded, or not be decoded again; check its serde attributes, and that all sides run builds that know it"
)]
#[non_exhaustive]
pub struct Malformed;

/// Encodes a query, or a command to be [framed](frame).
///
/// # Errors
/// If its `Serialize` fails.
pub fn encode<T: Serialize>(value: &T) -> Result<Bytes, Malformed> {
    callers::encode_to_bytes(value).map_err(|_| Malformed)
}

/// Decodes an answer.
///
/// # Errors
/// If it is none.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Malformed> {
    callers::decode(bytes).map_err(|_| Malformed)
}

/// Which command of a session this is (dissertation 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sequence<'a> {
    /// The name of the client: 1 to 128 bytes that no other client has.
    pub client: &'a str,
    /// Counts the commands of the client from 1.
    pub sequence: u64,
    /// The client has, or does not wait for, the answers up to this one: they need not be remembered any more.
    pub acknowledged: u64,
    /// No command of the client was answered yet, so it may be that nobody knows it. If one was, it is an error that
    /// nobody does.
    pub may_open: bool,
}

/// A command as it stands in a log; of a session if it has a `sequence`, and then it is applied once only.
///
/// # Errors
/// If the client's name is empty or too long.
pub fn frame(sequence: Option<Sequence<'_>>, command: &[u8]) -> Result<Bytes, Malformed> {
    let mut framed = Vec::with_capacity(command.len() + 64);
    match sequence {
        None => command::begin_plain(&mut framed),
        Some(Sequence { client, sequence, acknowledged, may_open }) => {
            let once = Once { client, sequence, acknowledged, may_open };
            command::begin_once(&once, &mut framed).ok_or(Malformed)?;
        }
    }
    framed.extend_from_slice(command);
    Ok(Bytes::from(framed))
}

/// In place of a command: a session that has none for a while does not want to be forgotten. It is answered with the
/// lifetime of sessions in milliseconds, a `u32`.
///
/// # Errors
/// If the client's name is empty or too long.
pub fn keep_alive(client: &str, acknowledged: u64) -> Result<Bytes, Malformed> {
    let mut framed = Vec::new();
    command::keep_alive(client, acknowledged, &mut framed).ok_or(Malformed)?;
    Ok(Bytes::from(framed))
}
