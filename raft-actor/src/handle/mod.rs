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
mod answers;
mod callers;
mod client_queue;
mod error;
mod events;
mod failure;
mod gateway;
mod lane;
mod permits;
pub(crate) mod queue;
mod raft_handle;
mod request;
mod slots;
mod status;
mod stop_reason;
mod waiting;
#[cfg(feature = "actix-web")]
mod web;

#[cfg(test)]
mod tests;

pub use admin::{RaftAdmin, StatusWatch};
pub use error::{ReadError, WriteError};
pub use events::{BecameCandidate, BecameFollower, BecameLeader, NodeStopped, RaftEvent};
pub use gateway::{Gateway, Read, Write};
pub use permits::QueueLimits;
pub use raft_handle::{PendingRead, PendingWrite, PendingWrites, RaftHandle};
pub use status::{PeerStatus, Status};
pub use stop_reason::StopReason;

pub(crate) use admin::{HostControl, NodeFace};
pub(crate) use answers::Answers;
pub(crate) use callers::Outlet;
pub(crate) use client_queue::{ClientBatch, ClientQueue, WriteBatch};
pub(crate) use events::Subscriptions;
pub(crate) use failure::Failure;
pub(crate) use queue::Queue;
pub(crate) use raft_handle::HandleParts;
pub(crate) use request::{Reads, Writes};
pub(crate) use waiting::Waiting;
