//! What travels between hosts.
//!
//! An [`Envelope`] says who speaks to whom in which group; its [`Body`] is a
//! message of the consensus core, a request that a follower passes on to the
//! leader for a client, a piece of a snapshot, or the answer to one of these.

use bytes::Bytes;
use raft_consensus::{Entry, GroupId, Message, NodeId, Term};
use serde::{Deserialize, Serialize};

pub mod codec;
mod pulse;
mod snapshot;

pub use pulse::Pulse;
pub use snapshot::{SnapshotChunk, SnapshotOutcome, SnapshotReply};

/// A message on its way from one host to another.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    /// The sender.
    pub from: NodeId,
    /// The receiver.
    pub to: NodeId,
    /// The group it concerns.
    pub group: GroupId,
    /// What is said.
    pub body: Body,
}

impl Envelope {
    /// Bytes that the items of its body take in memory beside their own: an item may be a single byte on the
    /// wire, so whoever bounds what it holds has to count these too.
    pub fn items_bytes(&self) -> usize {
        match &self.body {
            Body::Raft(Message::AppendEntries(message)) => message.entries.len() * size_of::<Entry>(),
            Body::Raft(
                Message::PreVote(_)
                | Message::PreVoteReply(_)
                | Message::RequestVote(_)
                | Message::RequestVoteReply(_)
                | Message::AppendEntriesReply(_)
                | Message::InstallSnapshot(_)
                | Message::TimeoutNow(_),
            ) => 0,
            Body::Forward(message) => message.requests.len() * size_of::<Bytes>(),
            Body::ForwardReply(message) => message.outcomes.len() * size_of::<Bytes>(),
            Body::SnapshotChunk(_) | Body::SnapshotReply(_) => 0,
            Body::Pulse(pulse) => pulse.stopped.len() * size_of::<GroupId>(),
        }
    }
}

/// What an envelope holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// A message between members of the group.
    Raft(Message),
    /// Requests of clients, passed on to the leader.
    Forward(Forward),
    /// Answers to a [`Forward`].
    ForwardReply(ForwardReply),
    /// A piece of a snapshot.
    SnapshotChunk(SnapshotChunk),
    /// How much of a snapshot has arrived.
    SnapshotReply(SnapshotReply),
    /// A host is alive, with all its groups; the envelope's group means nothing.
    Pulse(Pulse),
}

/// Requests of clients that a follower passes on. They are never passed on again.
#[derive(Debug, Clone, PartialEq)]
pub struct Forward {
    /// Names this batch at its origin.
    pub id: u64,
    /// How long the callers still wait, in milliseconds.
    pub timeout_ms: u32,
    /// What the requests are.
    pub kind: ForwardKind,
    /// The term whose leader the receiver is to the sender. A receiver that was started anew since may have taken in
    /// this very Forward before, and forgotten it. `None` where that does no harm, and from a client, on whose connection
    /// nothing arrives twice.
    pub term: Option<Term>,
    /// The encoded commands, queries, the membership, or who shall lead.
    pub requests: Vec<Bytes>,
}

/// What the requests of a [`Forward`] are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ForwardKind {
    /// Commands, to be replicated.
    Write,
    /// Queries, to be answered linearizably.
    Read,
    /// Queries of a client, to be answered by whoever is asked, from its state as it is.
    ReadLocal,
    /// Queries, to be answered linearizably, by the leader's lease if it has one.
    LeaseRead,
    /// One [`Membership`](raft_consensus::Membership), in MessagePack: who shall belong to the cluster.
    Membership,
    /// One optional [`NodeId`], in MessagePack: who shall lead.
    Transfer,
}

/// Answers some or all requests of a [`Forward`].
#[derive(Debug, Clone, PartialEq)]
pub struct ForwardReply {
    /// The id of the Forward.
    pub id: u64,
    /// Which request of it the first outcome belongs to; the others follow.
    pub first: u32,
    /// An encoded answer, or why there is none.
    pub outcomes: Vec<Result<Bytes, ForwardError>>,
}

/// Why a forwarded request was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ForwardError {
    /// The receiver does not lead; nothing was applied. Try this one, if there is one.
    NotLeader {
        /// Who leads as far as the receiver knows.
        leader: Option<NodeId>,
    },
    /// The receiver's queues are full; nothing was applied.
    Overloaded,
    /// The receiver does not understand the request; nothing was applied.
    BadRequest,
    /// It was not finished in time, or the receiver lost track of it.
    Unknown,
    /// The receiver was started anew since it led in the term that the [`Forward`] names, and does not know what it was
    /// asked then. It leads no more in that term, and is not to be asked again in it.
    Forgotten,
    /// The receiver stops; nothing was applied.
    ShuttingDown,
    /// The session of the command, or the answer to it, is not remembered any more. It may have been applied before.
    SessionExpired,
}
