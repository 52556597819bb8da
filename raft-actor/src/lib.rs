//! Raft as actix actors: write a state machine, get a replicated, durable, linearizable one.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod busy_poll;
mod callers;
pub mod clock;
pub mod envelope;
pub mod events;
pub mod handle;
pub mod host;
mod local_cluster;
pub mod log_storage;
mod node;
pub mod observer;
mod registry;
pub mod remote;
mod replication;
pub mod state_machine;
pub mod transport;

pub use busy_poll::busy_poll;
pub use handle::{
    BecameCandidate, BecameFollower, BecameLeader, Gateway, Leadership, MembershipError, NodeStopped, QueueLimits,
    RaftAdmin, RaftHandle, Read, ReadError, Session, SessionWrite, Status, StopReason, TakeSnapshotError,
    TransferError, Write, WriteError,
};
pub use host::{GroupError, GroupOptions, HostBuilder, NodeThread, Placement, RaftHost, StartError};
pub use local_cluster::{LocalCluster, LocalClusterBuilder};
pub use raft_consensus as consensus;
pub use raft_consensus::{
    ELECTION_PRIORITY_MAX, GroupId, InvalidMembership, LEASE_DRIFT_PERCENT_MAX, LeaseChange, LeaseReads, LogIndex,
    LogPosition, Membership, NodeId, Role, Settings, Term,
};
pub use state_machine::{ApplyContext, MachineError, OnDisk, Records, Snapshot, SnapshotError, StateMachine};

/// The program of the page on reads.
#[cfg(doctest)]
#[doc = include_str!("../../docs/READS.md")]
struct PageOnReads;
