//! A snapshot on its way from one host to another, in pieces.
//!
//! The leader asks how much of a snapshot its follower has, and goes on from there. What arrives is written to the
//! follower's disk beside the core; only the whole, checked snapshot is a message of Raft
//! ([`InstallSnapshot`](raft_consensus::Message)).

use bytes::Bytes;
use raft_consensus::{Round, Term};
use serde::{Deserialize, Serialize};

use crate::state_machine::SnapshotId;

/// A piece of a snapshot file, or, without bytes, the question of how much of it is there already.
#[derive(Debug, Clone, PartialEq)]
pub struct SnapshotChunk {
    /// The term in which the sender leads.
    pub term: Term,
    /// The round in which the leader decided to send a snapshot; a later one takes the place of an earlier.
    pub round: Round,
    /// Which snapshot.
    pub id: SnapshotId,
    /// Where the bytes belong in the file.
    pub offset: u64,
    /// The bytes; they end within the file.
    pub bytes: Bytes,
}

impl SnapshotChunk {
    /// Whether this is the question of how much is there.
    pub fn is_question(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The offset behind the last byte, if it is within the file.
    pub fn end(&self) -> Option<u64> {
        let end = self.offset.checked_add(u64::try_from(self.bytes.len()).ok()?)?;
        (end <= self.id.size_bytes).then_some(end)
    }
}

/// Answers a [`SnapshotChunk`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotReply {
    /// Which snapshot.
    pub id: SnapshotId,
    /// The round of the chunk.
    pub round: Round,
    /// So many bytes, from the first on, are in the receiver's file.
    pub received: u64,
    /// What the sender is to make of it.
    pub outcome: SnapshotOutcome,
}

/// What the receiver of a snapshot says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SnapshotOutcome {
    /// Go on.
    Continue,
    /// What was sent does not follow on what is there: go back.
    Gap,
    /// All of it is there, and the receiver is busy with it: checking it, or installing it.
    Whole,
    /// The receiver needs nothing of it: it has all that it covers.
    Covered,
    /// The receiver cannot take it: its disk fails, or what arrived is not the snapshot that was announced.
    Failed,
}
