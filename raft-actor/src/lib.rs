//! Raft as actix actors: write a state machine, get a replicated, durable, linearizable one.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod clock;
pub mod envelope;
#[allow(dead_code, unused_imports, reason = "the node that uses these is being written")]
pub mod handle;
pub mod log_storage;
#[allow(dead_code, unused_imports, reason = "the node that uses these is being written")]
pub mod state_machine;
pub mod transport;

pub use handle::{
    BecameCandidate, BecameFollower, BecameLeader, Gateway, NodeStopped, RaftAdmin, RaftHandle, Read, ReadError,
    Status, StopReason, Write, WriteError,
};

pub use raft_consensus as consensus;
pub use raft_consensus::{GroupId, LogIndex, LogPosition, NodeId, Role, Settings, Term};
pub use state_machine::{ApplyContext, Snapshot, StateMachine};
