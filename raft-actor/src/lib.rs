//! Raft as actix actors: write a state machine, get a replicated, durable, linearizable one.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod clock;
pub mod envelope;
pub mod log_storage;
pub mod transport;

pub use raft_consensus as consensus;
pub use raft_consensus::{GroupId, LogIndex, LogPosition, NodeId, Role, Settings, Term};
