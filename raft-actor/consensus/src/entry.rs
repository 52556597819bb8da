//! What the log holds, and what must be remembered beside it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{Configuration, DamageId, LogPosition, NodeId, Term};

/// One entry of the replicated log (§5.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its term and index; never changes.
    pub position: LogPosition,
    /// What it carries.
    pub payload: Payload,
}

/// What an entry carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Payload {
    /// Nothing: a new leader's first entry, so that it learns what is committed (§8).
    Noop,
    /// A command for the state machine, encoded once at the edge; the core never looks inside.
    Command(Bytes),
    /// The cluster's members from here on (§6); counts as soon as it is in the log.
    Configuration(Box<Configuration>),
}

/// Bytes that an entry without its command takes, in every budget that counts bytes.
const ENTRY_OVERHEAD_BYTES: u32 = 24;

impl Entry {
    /// What this entry counts for in byte budgets: its command plus a fixed overhead, saturating at `u32::MAX`.
    pub fn size_bytes(&self) -> u32 {
        let payload_bytes = match &self.payload {
            Payload::Noop => 0,
            Payload::Command(command) => u32::try_from(command.len()).unwrap_or(u32::MAX),
            Payload::Configuration(configuration) => configuration.size_bytes(),
        };
        Self::size_bytes_of(payload_bytes)
    }

    /// What an entry with a payload of this length counts for.
    pub const fn size_bytes_of(payload_bytes: u32) -> u32 {
        payload_bytes.saturating_add(ENTRY_OVERHEAD_BYTES)
    }
}

/// What a server must never forget, beside its log (Figure 2, "persistent state on all servers").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HardState {
    /// Latest term this server has seen; only grows.
    pub term: Term,
    /// Whom it voted for in that term; set at most once in a term.
    pub vote: Option<NodeId>,
    /// Something of the log was lost, and this server is not yet known to have it back: see the rule in `repair`.
    /// Only the storage sets it, when it finds the damage; only the core takes it away.
    #[serde(default)]
    pub damage: Option<DamageId>,
}
