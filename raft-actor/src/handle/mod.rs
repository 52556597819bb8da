//! How clients talk to a node: [`RaftHandle`], its actor face [`Gateway`], and
//! the untyped [`RaftAdmin`].
//!
//! A request goes into the client queue, which stands beside the node's mailbox,
//! and its caller waits in a slot that is settled exactly once: by the state
//! machine's answer, by its deadline, or by the end of whatever was responsible
//! for it. Nobody waits for ever: every holder of callers fails them when it is dropped.
//!
//! Only this module and the state machine's actor know the machine's type. The
//! node sees bytes, and callers as `Waiting`.

mod admin;
mod asker;
mod client_queue;
mod events;
mod gateway;
mod membership;
pub(crate) mod queue;
mod raft_handle;
mod session;
mod snapshot;
mod status;
mod transfer;
#[cfg(feature = "actix-web")]
mod web;

#[cfg(test)]
mod tests;

pub use crate::callers::{
    MembershipError, QueueLimits, ReadError, StopReason, TakeSnapshotError, TransferError, WriteError,
};
pub use admin::{RaftAdmin, StatusWatch};
pub use events::{BecameCandidate, BecameFollower, BecameLeader, NodeStopped, RaftEvent};
pub use gateway::{Gateway, Read, Write};
pub use raft_handle::{PendingRead, PendingWrite, PendingWrites, RaftHandle};
pub use session::{Session, SessionWrite};
pub use status::{MembershipStatus, PeerStatus, Status};
pub use transfer::Leadership;

pub(crate) use admin::{HostControl, NodeFace};
pub(crate) use asker::Asker;
pub(crate) use client_queue::{ClientBatch, ClientQueue, WriteBatch};
pub(crate) use events::Subscriptions;
pub(crate) use membership::{ChangeMembership, decode_wanted, encode as encode_wanted, from_wire as change_from_wire};
#[cfg(test)]
pub(crate) use queue::Consistency;
pub(crate) use queue::Queue;
pub(crate) use raft_handle::HandleParts;
pub(crate) use session::{DEFAULT_LIFETIME, SessionNames};
pub(crate) use snapshot::AskForSnapshot;
pub(crate) use transfer::{
    TransferLeadership, decode_wanted as decode_transfer, encode as encode_transfer, from_wire as transfer_from_wire,
};
